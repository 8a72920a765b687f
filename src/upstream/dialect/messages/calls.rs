//! How the calls of an answer are to be read: which tools are custom ones, that the API knows as functions, and whether names
//! of properties are escaped.
//!
//! It follows from the request alone, for a request and for its answer alike. The input of a custom tool goes up as the one
//! property of a function, and its text comes back out of that, at every split of a stream.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::property_names::{self, Renamer};
use crate::wire::ask::content::{Content, ToolKind};
use crate::wire::ask::items::qualified;
use crate::wire::ask::{Api, Ask};
use crate::wire::call::CallKind;
use crate::wire::json::JsonString;

/// The property that holds the input of a custom tool.
pub const INPUT: &str = "input";
/// The schema of a custom tool's input.
pub const INPUT_SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// How many custom tools a request may have.
pub const MAX_CUSTOM_TOOLS: usize = 16;
/// How much may stand before the text of a custom tool's input, in bytes.
const MAX_BEFORE_BYTES: usize = 64;

/// How the calls of an answer are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whether the names of properties are escaped.
    pub escapes: bool,
    /// Hashes of the names of custom tools, and zeros.
    custom: [u64; MAX_CUSTOM_TOOLS],
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
        let escapes = content.all_tools().any(|tool| property_names::are_odd(tool.raw.get()));
        let mut reading = Self { escapes, ..Self::default() };
        let custom = content.all_tools().filter(|tool| matches!(tool.kind, ToolKind::Custom { .. }));
        for (slot, tool) in reading.custom.iter_mut().zip(custom) {
            *slot = hash(&qualified(tool.namespace.as_deref(), &tool.name.value));
        }
        reading
    }

    /// Which kind of call one of the function `name` is.
    pub fn kind(&self, name: &JsonString<'_>) -> CallKind {
        let is_custom = |name: &str| self.custom.contains(&hash(name));
        match self.custom[0] != 0 && name.decode().is_some_and(|name| is_custom(&name)) {
            true => CallKind::Custom,
            false => CallKind::Function,
        }
    }

    /// What reads the input of a call, if it is not to be told as it comes.
    pub fn reader(&self, kind: CallKind) -> Option<InputReader> {
        match kind {
            CallKind::Custom => Some(InputReader::Custom(TextReader::Before(String::new()))),
            CallKind::Function | CallKind::Legacy => {
                self.escapes.then(|| InputReader::Names(Renamer::new(property_names::restore)))
            }
        }
    }
}

fn matters(tools: &RawValue) -> bool {
    memchr::memmem::find(tools.get().as_bytes(), b"\"custom\"").is_some() || property_names::are_odd(tools.get())
}

/// Never zero, which is no name's.
fn hash(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    let first: u64 = digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    first.max(1)
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
                let text = serde_json::from_str(&format!("\"{held}\"")).unwrap_or_default();
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

/// How long the beginning of a JSON string's inside is that can be read by itself, and whether its end follows. Of a surrogate
/// pair neither half can.
fn whole_characters(inside: &str) -> (usize, bool) {
    let bytes = inside.as_bytes();
    let mut at = 0;
    loop {
        let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) else {
            return (inside.len(), false);
        };
        at += found;
        if bytes[at] == b'"' {
            return (at, true);
        }
        let is_high = |digits: &[u8]| matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..]);
        let length = match bytes.get(at + 1) {
            None => return (at, false),
            Some(b'u') if bytes.get(at + 2..).is_some_and(is_high) => 12,
            Some(b'u') => 6,
            Some(_) => 2,
        };
        if bytes.len() < at + length {
            return (at, false);
        }
        at += length;
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
    }
}
