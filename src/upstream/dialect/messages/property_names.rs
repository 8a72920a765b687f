//! Names of a tool's properties that the Messages API does not take, as names that it takes, and back.
//!
//! What the API refuses of a name is written as `_xHEX_`, one code point each, and so is the beginning of what would look like
//! that. Nothing but the name is needed to read it back. Where that would be too long, the name's beginning and a part of its hash
//! stand for it, and the request's tools tell which name they stand for. Names are written so only where a request has one that
//! needs it ([`PropertyNames::of`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::wire::json::{decoded, quoted};
use crate::wire::walk::string_end;

/// The longest name that the API takes, in bytes.
const MAX_BYTES: usize = 64;
const ESCAPE: &str = "_x";
/// The most digits of a code point in hexadecimal.
const MAX_DIGITS: usize = 6;
/// How many digits of a name's hash stand behind its beginning.
const HASH_DIGITS: usize = 10;

/// What stands in a request's tools for names of properties, where it cannot be read back by itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PropertyNames {
    /// Names by their stand-ins.
    names: BTreeMap<String, String>,
}

impl PropertyNames {
    /// The names in these tools; nothing if all may go up as they are.
    pub fn of<'t>(tools: impl Iterator<Item = &'t str>) -> Option<Self> {
        let mut odd: Option<Self> = None;
        for tool in tools {
            for name in odd_names(tool) {
                let names = &mut odd.get_or_insert_default().names;
                let Some(name) = decoded(name) else { continue };
                let written = escape(&name);
                if written.len() > MAX_BYTES {
                    names.insert(stand_in(&name), name.into_owned());
                }
            }
        }
        odd
    }

    /// The name that [`write`] was given.
    pub fn restore<'n>(&'n self, name: &'n str) -> Cow<'n, str> {
        match self.names.get(name) {
            Some(known) => known.into(),
            None => restore(name),
        }
    }
}

/// The name as the API takes it.
pub fn write(name: &str) -> Cow<'_, str> {
    let escaped = escape(name);
    if escaped.len() <= MAX_BYTES { escaped } else { stand_in(name).into() }
}

fn stand_in(name: &str) -> String {
    let plain = |c: char| if c.is_ascii() && is_plain(&[c as u8]) { c } else { '_' };
    let mut stand_in: String = name.chars().take(MAX_BYTES - HASH_DIGITS - 1).map(plain).collect();
    stand_in.push('_');
    for byte in Sha256::digest(name.as_bytes()).iter().take(HASH_DIGITS / 2) {
        stand_in.push_str(&format!("{byte:02x}"));
    }
    stand_in
}

/// Whether JSON has, at any depth, a name of a member that would be no name of a property. JSON Schema's own words count as
/// plain. The JSON must be valid.
pub fn are_odd(json: &str) -> bool {
    odd_names(json).next().is_some()
}

/// Such names as they are written, with their quotes.
fn odd_names(json: &str) -> impl Iterator<Item = &str> {
    let bytes = json.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
            let (start, end) = (at + found, string_end(bytes, at + found));
            at = end;
            let is_name = json.get(end..).is_some_and(|rest| rest.trim_ascii_start().starts_with(':'));
            let inside = bytes.get(start + 1..end.saturating_sub(1)).unwrap_or_default();
            // A known word of JSON Schema is written without escapes.
            if is_name && !is_plain(inside) && !is_word(inside) {
                return json.get(start..end);
            }
        }
        None
    })
}

fn is_plain(name: &[u8]) -> bool {
    let is_taken = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MAX_BYTES).contains(&name.len()) && name.iter().all(is_taken)
}

fn is_word(name: &[u8]) -> bool {
    matches!(name, b"$ref" | b"$defs" | b"$schema" | b"$id" | b"$comment" | b"$anchor")
}

/// The name in characters that the API takes, however long. The empty name is a lone mark of an escape.
fn escape(name: &str) -> Cow<'_, str> {
    if is_plain(name.as_bytes()) && !name.contains(ESCAPE) {
        return name.into();
    }
    let mut escaped = String::with_capacity(name.len() + 8);
    for (at, character) in name.char_indices() {
        let is_mark = name.get(at..).is_some_and(|rest| rest.starts_with(ESCAPE));
        match character {
            '_' if !is_mark => escaped.push('_'),
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => escaped.push(character),
            _ => escaped.push_str(&format!("{ESCAPE}{:x}_", u32::from(character))),
        }
    }
    if escaped.is_empty() {
        escaped.push_str("_x_");
    }
    escaped.into()
}

/// The name that [`escape`] was given.
fn restore(name: &str) -> Cow<'_, str> {
    if !name.contains(ESCAPE) {
        return name.into();
    }
    if name == "_x_" {
        return "".into();
    }
    let mut restored = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once(ESCAPE) {
        restored.push_str(before);
        let end = after.bytes().take(MAX_DIGITS + 1).position(|byte| byte == b'_');
        let code = end.and_then(|end| u32::from_str_radix(after.get(..end)?, 16).ok()).and_then(char::from_u32);
        match (code, end) {
            (Some(character), Some(end)) => {
                restored.push(character);
                rest = after.get(end + 1..).unwrap_or_default();
            }
            (Some(_) | None, _) => {
                restored.push_str(ESCAPE);
                rest = after;
            }
        }
    }
    restored.push_str(rest);
    restored.into()
}

/// Rewrites the names of members in JSON that comes in fragments, split anywhere.
#[derive(Debug)]
pub struct Renamer {
    /// What restores names; without it they are written.
    names: Option<Rc<PropertyNames>>,
    /// What is open, outermost first: whether it is an object.
    open: Vec<bool>,
    /// Whether a string that begins now is a name.
    expects_name: bool,
    place: Place,
    /// A name that is not yet whole, with its first quote.
    held: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    Name { is_escaped: bool },
    Text { is_escaped: bool },
}

impl Renamer {
    /// Writes names as the API takes them.
    pub fn writing() -> Self {
        Self::new(None)
    }

    /// Reads names that the API was given.
    pub fn restoring(names: Rc<PropertyNames>) -> Self {
        Self::new(Some(names))
    }

    fn new(names: Option<Rc<PropertyNames>>) -> Self {
        Self { names, open: Vec::new(), expects_name: false, place: Place::Outside, held: String::new() }
    }

    /// Takes in a fragment; what can be told of it by now.
    pub fn take(&mut self, fragment: &str) -> String {
        let mut out = String::with_capacity(fragment.len());
        for character in fragment.chars() {
            match self.place {
                Place::Outside => self.take_outside(character, &mut out),
                Place::Text { is_escaped } => {
                    out.push(character);
                    self.place = match (is_escaped, character) {
                        (false, '"') => Place::Outside,
                        (false, '\\') => Place::Text { is_escaped: true },
                        (_, _) => Place::Text { is_escaped: false },
                    };
                }
                Place::Name { is_escaped } => {
                    self.held.push(character);
                    self.place = match (is_escaped, character) {
                        (false, '"') => {
                            self.end_name(&mut out);
                            Place::Outside
                        }
                        (false, '\\') => Place::Name { is_escaped: true },
                        (_, _) => Place::Name { is_escaped: false },
                    };
                }
            }
        }
        out
    }

    /// What is held back of a name that never became whole.
    pub fn end(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    fn take_outside(&mut self, character: char, out: &mut String) {
        match character {
            '"' if self.expects_name => {
                self.held.push('"');
                self.place = Place::Name { is_escaped: false };
                return;
            }
            '"' => self.place = Place::Text { is_escaped: false },
            '{' | '[' => {
                self.open.push(character == '{');
                self.expects_name = character == '{';
            }
            '}' | ']' => {
                self.open.pop();
                self.expects_name = false;
            }
            ',' => self.expects_name = self.open.last() == Some(&true),
            ':' => self.expects_name = false,
            _ => {}
        }
        out.push(character);
    }

    fn end_name(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        let renamed = decoded(&held).map(|name| match &self.names {
            Some(names) => names.restore(&name).into_owned(),
            None => write(&name).into_owned(),
        });
        match renamed.map(|name| quoted(&name)) {
            Some(name) => out.push_str(&name),
            None => out.push_str(&held),
        }
        self.expects_name = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back() {
        for (name, expected) in [
            ("city", "city"),
            ("$top", "_x24_top"),
            ("filter[name]", "filter_x5b_name_x5d_"),
            ("_x24_top", "_x5f_x24_top"),
            ("a_x", "a_x5f_x"),
            ("größe", "gr_xf6__xdf_e"),
            ("\u{1F600}", "_x1f600_"),
            ("a b", "a_x20_b"),
            ("", "_x_"),
        ] {
            assert_eq!(escape(name), expected);
            assert_eq!(restore(expected), name);
            assert!(is_plain(expected.as_bytes()), "{expected}");
        }
        assert_eq!(restore("_xyz_ and _x"), "_xyz_ and _x", "what is no escape stays");
    }

    #[test]
    fn odd_names_are_found_whatever_stands_around_them() {
        for (json, expected) in [
            (r##"{"$schema":"x y","properties":{"a":{"$ref":"#/$defs/b c"}},"required":["a"]}"##, false),
            (r#"{"description":"\"$top\": 5","enum":["a b"]}"#, false),
            (r#"{"properties":{"$top" : {}}}"#, true),
            (r#"{"properties":{"":{}}}"#, true),
            (r#"{"properties":{"a\u0062":{}}}"#, true),
        ] {
            assert_eq!(are_odd(json), expected, "{json}");
        }
    }

    #[test]
    fn for_a_name_that_would_be_too_long_another_stands() {
        let long = "x".repeat(65);
        for name in ["\u{54c1}".repeat(10), long] {
            let written = write(&name);
            assert!(is_plain(written.as_bytes()), "{written}");
            let tool = format!(r#"{{"properties":{{"{name}":{{}},"$a":{{}}}}}}"#);
            let names = PropertyNames::of([tool.as_str()].into_iter()).expect("odd names");
            assert_eq!(names.restore(&written), name);
            assert_eq!(names.restore("_x24_a"), "$a");
            let mut renamer = Renamer::restoring(names.into());
            assert_eq!(renamer.take(&format!(r#"{{"{written}":1}}"#)), format!(r#"{{"{name}":1}}"#));
        }
        assert_eq!(PropertyNames::of(["{\"a\":1}"].into_iter()), None);
    }

    #[test]
    fn names_are_restored_at_every_split() {
        let json = r#"{"_x24_top":5, "a":["_x24_top",{"b_x20_c":{"d":"\"_x24_top\":{"}}],"e\"_x24_":"{\"_x24_f\":1}"}"#;
        let expected = r#"{"$top":5, "a":["_x24_top",{"b c":{"d":"\"_x24_top\":{"}}],"e\"$":"{\"_x24_f\":1}"}"#;
        for first in (0..=json.len()).filter(|at| json.is_char_boundary(*at)) {
            for second in first..=json.len() {
                let mut renamer = Renamer::restoring(Rc::default());
                let parts = [&json[..first], &json[first..second], &json[second..]];
                let read: String = parts.into_iter().map(|part| renamer.take(part)).collect();
                assert_eq!(read + &renamer.end(), expected, "{parts:?}");
            }
        }
        let mut renamer = Renamer::restoring(Rc::default());
        assert_eq!(
            renamer.take(r#"{"_x24_t"#) + &renamer.end(),
            r#"{"_x24_t"#,
            "a name that is cut off is told as it came"
        );
    }
}
