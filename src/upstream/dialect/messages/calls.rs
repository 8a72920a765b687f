//! How the calls of an answer are to be read: which tools are custom ones, that the API knows as functions, and for which
//! names of properties others stand.
//!
//! It follows from the request alone, for a request and for its answer alike. The input of a custom tool goes up as the one
//! property of a function, and its text comes back out of that, at every split of a stream.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::halves::{self, CODE_BYTES, Half, NO_CHARACTER, Part};
use super::property_names::{self, PropertyNames};
use super::renamer::{Direction, Renamer};
use super::schema_form;
use crate::wire::ask::content::{Content, ToolKind};
use crate::wire::ask::items::{ItemKind, qualified};
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
    /// Whether the schema of a tool goes up in another form, or in none.
    pub rewrites_schemas: bool,
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
        let (mut odd, mut rewrites_schemas) = (Vec::new(), false);
        for tool in content.all_tools() {
            let ToolKind::Function { parameters: Some(parameters), .. } = &tool.kind else { continue };
            let look = schema_form::look(parameters.value.get());
            odd.extend(look.odd_names);
            rewrites_schemas |= look.is_rewritten;
        }
        let names = match odd.is_empty() {
            true => None,
            false => PropertyNames::of(&odd, &taken(content)).map(Rc::new),
        };
        rewrites_schemas |= names.is_some();
        let custom = content.all_tools().filter(|tool| matches!(tool.kind, ToolKind::Custom { .. }));
        let custom: BTreeSet<String> =
            custom.map(|tool| qualified(tool.namespace.as_deref(), &tool.name.value).into_owned()).collect();
        Self { names, rewrites_schemas, custom: (!custom.is_empty()).then(|| custom.into()) }
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
                self.names.clone().map(|names| InputReader::Names(Renamer::new(names, Direction::Down)))
            }
        }
    }
}

fn matters(tools: &RawValue) -> bool {
    memchr::memmem::find(tools.get().as_bytes(), b"\"custom\"").is_some() || property_names::may_be_odd(tools.get())
}

/// What may stand for no name of a property: whatever the tools say, and the names in the inputs of earlier calls.
fn taken<'c>(content: &'c Content<'_>) -> BTreeSet<Cow<'c, str>> {
    let inputs = content.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Call(call) if call.kind != CallKind::Custom => Some(call.payload.value.as_ref()),
        _ => None,
    });
    let of_tools = content.all_tools().flat_map(|tool| property_names::texts(tool.raw.get()));
    of_tools.chain(inputs.flat_map(property_names::member_names)).map(property_names::key).collect()
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
            InputReader::Custom(TextReader::Inside(held)) if Half::First.begins(held) => NO_CHARACTER.to_owned(),
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

/// The text that a JSON string's inside says, whole characters of it. Some models write half a surrogate pair.
fn decode(inside: &str) -> String {
    let read = |inside: &str| serde_json::from_str(&format!("\"{inside}\"")).ok();
    if let Some(text) = read(inside) {
        return text;
    }
    let parts = halves::parts(inside).map(|part| match part {
        Part::Whole(text) => text,
        Part::Lone(_) => NO_CHARACTER,
    });
    let mended: String = parts.collect();
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
            [_, b'u', ..] if Half::First.begins(rest) => match rest.as_bytes().get(CODE_BYTES..) {
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
        let is_pair = length == 2 * CODE_BYTES && rest.get(CODE_BYTES..).is_some_and(|rest| Half::Second.begins(rest));
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
