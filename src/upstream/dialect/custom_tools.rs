//! Custom tools, whose input is any text, for APIs that know functions only.
//!
//! The input goes up as the one property of a function, in schemas and in calls of the history, and its text comes back out of
//! that, whole or at every split of a stream. A grammar stands in the function's description, in words.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use crate::wire::carried::{Carried, carried};
use crate::wire::halves::{self, CODE_BYTES, Half, NO_CHARACTER};
use crate::wire::json::quoted;

/// The property that holds the input of a custom tool.
const INPUT: &str = "input";
/// The schema of a custom tool's input.
pub const INPUT_SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// How much may stand before the text of a custom tool's input, in bytes.
const MAX_BEFORE_BYTES: usize = 64;

/// The names of a request's custom tools, as the client has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomNames(Option<Rc<BTreeSet<String>>>);

impl CustomNames {
    pub fn new(names: BTreeSet<String>) -> Self {
        Self((!names.is_empty()).then(|| names.into()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|names| names.contains(name))
    }

    /// Whether one of them begins with `beginning`, and does not end there.
    pub fn go_on_after(&self, beginning: &str) -> bool {
        let mut names = self.0.iter().flat_map(|names| names.iter());
        names.any(|name| name.len() > beginning.len() && name.starts_with(beginning))
    }
}

impl Carried for CustomNames {
    fn to_json(&self) -> Value {
        self.0.to_json()
    }

    fn from_json(json: Value) -> Option<Self> {
        Carried::from_json(json).map(Self)
    }
}

/// The input of a custom tool's call as that of a function's.
pub fn write_input(text: &str) -> String {
    format!(r#"{{"{INPUT}":{}}}"#, quoted(text))
}

/// The description of a custom tool whose input has a grammar, which a function cannot keep.
pub fn describe_with_grammar(description: &str, syntax: &str, definition: &str) -> String {
    let space = if description.is_empty() { "" } else { " " };
    format!("{description}{space}The input must follow this grammar ({syntax}): {definition}")
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

carried!(TextReader = Before(held) | Inside(held) | After | Raw);

impl Default for TextReader {
    fn default() -> Self {
        Self::Before(String::new())
    }
}

impl TextReader {
    /// What of the text a fragment of the input brings.
    pub fn take(&mut self, fragment: &str) -> String {
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

    /// What was held back until nothing more came.
    pub fn end(&mut self) -> String {
        match self {
            TextReader::Before(held) => std::mem::take(held),
            // What is less than one code came too late to say anything.
            TextReader::Inside(held) if Half::First.begins(held) => NO_CHARACTER.to_owned(),
            TextReader::Inside(_) | TextReader::After | TextReader::Raw => String::new(),
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
    let mended = halves::mended(inside);
    read(&mended).unwrap_or_else(|| mended.into_owned())
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
        let mut reader = TextReader::default();
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
