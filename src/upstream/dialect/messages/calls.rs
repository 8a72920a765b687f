//! How the calls of an answer are to be read: which tools are custom ones, that the API knows as functions, and whether names
//! of properties are escaped.
//!
//! It follows from the request alone, for a request and for its answer alike. The input of a custom tool goes up as the one
//! property of a function, and its text comes back out of that, at every split of a stream.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::property_names::{self, PropertyNames, Renamer};
use crate::wire::ask::content::{Content, ToolKind};
use crate::wire::ask::items::qualified;
use crate::wire::ask::{Api, Ask};
use crate::wire::call::CallKind;
use crate::wire::json::JsonString;

/// The property that holds the input of a custom tool.
pub const INPUT: &str = "input";
/// The schema of a custom tool's input.
pub const INPUT_SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// How much may stand before the text of a custom tool's input, in bytes.
const MAX_BEFORE_BYTES: usize = 64;

/// How the calls of an answer are to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The names of properties, if any go up in another form.
    pub names: Option<Rc<PropertyNames>>,
    /// The names of custom tools, if there are any.
    custom: Option<Rc<BTreeSet<String>>>,
}

impl Reading {
    /// How calls are read in the answer to `request`.
    pub fn of(request: &Ask<'_>) -> Self {
        let may_matter = match request.api {
            // Most requests have no such tools, and their content is not read again.
            Api::Chat => ["tools", "functions"].into_iter().filter_map(|name| request.field(name)).any(matters),
            Api::Gateway => request.features.has_tools,
        };
        if !may_matter {
            return Self::default();
        }
        request.content().map(|content| Self::of_content(&content)).unwrap_or_default()
    }

    pub fn of_content(content: &Content<'_>) -> Self {
        let tools = content.all_tools().filter(|tool| !matches!(tool.kind, ToolKind::Hosted));
        let names = PropertyNames::of(tools.map(|tool| tool.raw.get())).map(Rc::new);
        let custom = content.all_tools().filter(|tool| matches!(tool.kind, ToolKind::Custom { .. }));
        let custom: BTreeSet<String> =
            custom.map(|tool| qualified(tool.namespace.as_deref(), &tool.name.value).into_owned()).collect();
        Self { names, custom: (!custom.is_empty()).then(|| custom.into()) }
    }

    /// Which kind of call one of the function `name` is.
    pub fn kind(&self, name: &JsonString<'_>) -> CallKind {
        let Some(custom) = &self.custom else { return CallKind::Function };
        match name.decode().is_some_and(|name| custom.contains(name.as_ref())) {
            true => CallKind::Custom,
            false => CallKind::Function,
        }
    }

    /// What reads the input of a call, if it is not to be told as it comes.
    pub fn reader(&self, kind: CallKind) -> Option<InputReader> {
        match kind {
            CallKind::Custom => Some(InputReader::Custom(TextReader::Before(String::new()))),
            CallKind::Function | CallKind::Legacy => {
                self.names.clone().map(|names| InputReader::Names(Renamer::restoring(names)))
            }
        }
    }
}

fn matters(tools: &RawValue) -> bool {
    memchr::memmem::find(tools.get().as_bytes(), b"\"custom\"").is_some() || property_names::are_odd(tools.get())
}

/// Reads the input of a call out of its fragments.
#[derive(Debug)]
pub enum InputReader {
    Custom(TextReader),
    Names(Renamer),
}

impl InputReader {
    /// What a fragment says, perhaps nothing yet.
    pub fn take(&mut self, fragment: &str) -> String {
        match self {
            InputReader::Custom(reader) => reader.take(fragment),
            InputReader::Names(renamer) => renamer.take(fragment),
        }
    }

    /// What was held back until nothing more came.
    pub fn end(&mut self) -> String {
        match self {
            InputReader::Custom(TextReader::Before(held)) => std::mem::take(held),
            // What is less than one code came too late to say anything.
            InputReader::Custom(TextReader::Inside(held)) if is_half(held, HIGH) => NO_CHARACTER.to_owned(),
            InputReader::Custom(TextReader::Inside(_) | TextReader::After | TextReader::Raw) => String::new(),
            InputReader::Names(renamer) => renamer.end(),
        }
    }
}

/// Reads the text out of `{"input":"..."}`; any other input is told as it is.
#[derive(Debug)]
pub enum TextReader {
    /// What has come before the text.
    Before(String),
    /// An escape that is not yet whole.
    Inside(String),
    After,
    Raw,
}

impl TextReader {
    fn take(&mut self, fragment: &str) -> String {
        match self {
            TextReader::After => String::new(),
            TextReader::Raw => fragment.to_owned(),
            TextReader::Before(held) => {
                held.push_str(fragment);
                match beginning(held) {
                    Beginning::Unknown if held.len() <= MAX_BEFORE_BYTES => String::new(),
                    Beginning::Unknown | Beginning::Other => {
                        let held = std::mem::take(held);
                        *self = TextReader::Raw;
                        held
                    }
                    Beginning::Text(at) => {
                        let rest = held.split_off(at);
                        *self = TextReader::Inside(String::new());
                        self.take(&rest)
                    }
                }
            }
            TextReader::Inside(held) => {
                held.push_str(fragment);
                let (length, is_end) = whole_characters(held);
                let rest = held.split_off(length);
                let text = decode(held);
                *self = if is_end { TextReader::After } else { TextReader::Inside(rest) };
                text
            }
        }
    }
}

enum Beginning {
    /// More of it must come.
    Unknown,
    /// The text begins at this byte.
    Text(usize),
    Other,
}

fn beginning(json: &str) -> Beginning {
    let mut rest = json;
    for token in ["{", "\"input\"", ":", "\""] {
        rest = rest.trim_ascii_start();
        match rest.strip_prefix(token) {
            Some(after) => rest = after,
            None if token.starts_with(rest) => return Beginning::Unknown,
            None => return Beginning::Other,
        }
    }
    Beginning::Text(json.len() - rest.len())
}

/// What stands for half of a surrogate pair that has no other half.
const NO_CHARACTER: &str = "\u{fffd}";
/// The second digits of the codes of first and of second halves of surrogate pairs, both after a `d`.
const HIGH: &[u8] = b"89abAB";
const LOW: &[u8] = b"cdefCDEF";
/// How long a code is that stands for a character, as `\u00e9`.
const CODE_BYTES: usize = 6;

/// Whether a text begins with the code of half of a pair.
fn is_half(text: &str, digits: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let is_code = bytes.get(2..CODE_BYTES).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    is_code && matches!(bytes, [b'\\', b'u', b'd' | b'D', digit, ..] if digits.contains(digit))
}

/// The text that a JSON string's inside says, whole characters of it. Some models write half a surrogate pair.
fn decode(inside: &str) -> String {
    let read = |inside: &str| serde_json::from_str(&format!("\"{inside}\"")).ok();
    if let Some(text) = read(inside) {
        return text;
    }
    let mut mended = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        mended.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_high = is_half(rest, HIGH);
        let is_pair = is_high && rest.get(CODE_BYTES..).is_some_and(|rest| is_half(rest, LOW));
        let is_lone = !is_pair && (is_high || is_half(rest, LOW));
        let length = match (is_pair, is_lone) {
            (true, _) => 2 * CODE_BYTES,
            (_, true) => CODE_BYTES,
            (false, false) => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (escape, behind) = rest.split_at(length);
        mended.push_str(if is_lone { NO_CHARACTER } else { escape });
        rest = behind;
    }
    mended.push_str(rest);
    read(&mended).unwrap_or(mended)
}

/// How long the beginning of a JSON string's inside is that can be read by itself, and whether its end follows. Half a
/// surrogate pair waits for what may be its other half.
fn whole_characters(inside: &str) -> (usize, bool) {
    let bytes = inside.as_bytes();
    let mut at = 0;
    loop {
        let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) else {
            return (inside.len(), false);
        };
        at += found;
        let rest = inside.get(at..).unwrap_or_default();
        if rest.starts_with('"') {
            return (at, true);
        }
        let length = match rest.as_bytes() {
            [_, b'u', ..] if is_half(rest, HIGH) => match rest.as_bytes().get(CODE_BYTES..) {
                Some([] | [b'\\'] | [b'\\', b'u', ..]) => 2 * CODE_BYTES,
                Some(_) | None => CODE_BYTES,
            },
            [_, b'u', ..] => CODE_BYTES,
            _ => 2,
        };
        if bytes.len() < at + length {
            return (at, false);
        }
        // What follows a first half may be a first half itself.
        let is_pair = length == 2 * CODE_BYTES && rest.get(CODE_BYTES..).is_some_and(|rest| is_half(rest, LOW));
        at += if length == 2 * CODE_BYTES && !is_pair { CODE_BYTES } else { length };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&str]) -> String {
        let mut reader = InputReader::Custom(TextReader::Before(String::new()));
        let read: String = parts.iter().map(|part| reader.take(part)).collect();
        read + &reader.end()
    }

    #[test]
    fn the_text_of_a_custom_tool_is_read_at_every_split() {
        for (json, expected) in [
            (r#"{"input":"print(\"a\")\n\u00e9\ud83d\ude00\\"}"#, "print(\"a\")\n\u{e9}\u{1F600}\\"),
            (" { \"input\" : \"\" } ", ""),
            (r#"{"input":"whole \ud83d and"}"#, "whole \u{fffd} and"),
            (r#"{"input":"\ude00\ud83d\n\uD83D\ud83d\ude00"}"#, "\u{fffd}\u{fffd}\n\u{fffd}\u{1F600}"),
            (r#"{"input":"\\ud83d\ud83d"}"#, "\\ud83d\u{fffd}"),
            (r#"{"input":"\ud83d\u00e9\ud83d\\"}"#, "\u{fffd}\u{e9}\u{fffd}\\"),
            (r#"{"other":"x"}"#, r#"{"other":"x"}"#),
            (r#"{"input":5}"#, r#"{"input":5}"#),
            ("{}", "{}"),
        ] {
            for at in 0..=json.len() {
                for then in at..=json.len() {
                    assert_eq!(read(&[&json[..at], &json[at..then], &json[then..]]), expected, "{json} {at} {then}");
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_read_as_far_as_it_came() {
        assert_eq!(read(&[r#"{"input":"ab\u00"#]), "ab");
        assert_eq!(read(&[r#"{"inp"#]), r#"{"inp"#);
        assert_eq!(read(&[r#"{"input":"ab\ud83d"#]), "ab\u{fffd}");
        assert_eq!(read(&[r#"{"input":"ab\ud83d\u"#]), "ab\u{fffd}");
    }
}
