//! Names of a tool's properties that the Messages API does not take, as names that it takes, and back.
//!
//! What the API refuses of a name is written as `_xHEX_`, one code point each, and so is the beginning of what would look like
//! that. Nothing but the name is needed to read it back, so it goes on in every request alike and a streamed answer is read
//! without a table. Names are written so only where a request has one that needs it ([`are_odd`]).

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::wire::json::{Field, decoded, object_fields, quoted, text};
use crate::wire::walk::string_end;

/// The longest name that the API takes, in bytes.
const MAX_BYTES: usize = 64;
const ESCAPE: &str = "_x";
/// The most digits of a code point in hexadecimal.
const MAX_DIGITS: usize = 6;
/// How deep schemas are looked into.
const MAX_DEPTH: usize = 64;

/// Whether JSON has, at any depth, a name of a member that would be no name of a property. JSON Schema's own words count as
/// plain. The JSON must be valid.
pub fn are_odd(json: &str) -> bool {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
        let (start, end) = (at + found, string_end(bytes, at + found));
        let is_name = json.get(end..).is_some_and(|rest| rest.trim_ascii_start().starts_with(':'));
        let inside = bytes.get(start + 1..end.saturating_sub(1)).unwrap_or_default();
        // A known word of JSON Schema is written without escapes.
        if is_name && !is_plain(inside) && !is_word(inside) {
            return true;
        }
        at = end;
    }
    false
}

fn is_plain(name: &[u8]) -> bool {
    let is_taken = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MAX_BYTES).contains(&name.len()) && name.iter().all(is_taken)
}

fn is_word(name: &[u8]) -> bool {
    matches!(name, b"$ref" | b"$defs" | b"$schema" | b"$id" | b"$comment" | b"$anchor")
}

/// The name in characters that the API takes. The empty name is a lone mark of an escape.
pub fn escape(name: &str) -> Cow<'_, str> {
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

/// The name as the API takes it, unless it is too long for it.
fn short(name: &str) -> Option<Cow<'_, str>> {
    Some(escape(name)).filter(|name| name.len() <= MAX_BYTES)
}

/// The name that [`escape`] was given.
pub fn restore(name: &str) -> Cow<'_, str> {
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

/// A schema with its properties' names escaped. Nothing if one is too long for the API even so, or what is nested too deep.
pub fn escape_schema(schema: &str) -> Option<String> {
    let mut out = String::with_capacity(schema.len() + 64);
    Schema { out: &mut out }.write(schema, 0)?;
    Some(out)
}

struct Schema<'o> {
    out: &'o mut String,
}

impl Schema<'_> {
    fn write(&mut self, json: &str, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        if json.starts_with('[') {
            let schemas: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            self.out.push('[');
            for (at, schema) in schemas.into_iter().enumerate() {
                self.separate(at);
                self.write(schema.get(), depth + 1)?;
            }
            self.out.push(']');
            return Some(());
        }
        if !json.starts_with('{') {
            self.out.push_str(json);
            return Some(());
        }
        self.out.push('{');
        for (at, Field { name, value }) in object_fields(json).ok()?.into_iter().enumerate() {
            self.separate(at);
            self.name(&name)?;
            match name.as_ref() {
                "properties" | "dependentSchemas" => self.named(value, depth, short)?,
                "$defs" | "definitions" => self.named(value, depth, |name| Some(name.into()))?,
                "dependentRequired" => self.dependent(value)?,
                "required" => self.list(value)?,
                "items"
                | "prefixItems"
                | "contains"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "not"
                | "if"
                | "then"
                | "else"
                | "anyOf"
                | "oneOf"
                | "allOf" => self.write(value.get(), depth + 1)?,
                _ => self.out.push_str(value.get()),
            }
        }
        self.out.push('}');
        Some(())
    }

    /// Writes an object of schemas, its names as `rename` has them.
    fn named(&mut self, value: &RawValue, depth: usize, rename: fn(&str) -> Option<Cow<'_, str>>) -> Option<()> {
        let Ok(fields) = object_fields(value.get()) else {
            self.out.push_str(value.get());
            return Some(());
        };
        self.out.push('{');
        for (at, Field { name, value }) in fields.into_iter().enumerate() {
            self.separate(at);
            self.name(&rename(&name)?)?;
            self.write(value.get(), depth + 1)?;
        }
        self.out.push('}');
        Some(())
    }

    fn dependent(&mut self, value: &RawValue) -> Option<()> {
        self.out.push('{');
        for (at, Field { name, value }) in object_fields(value.get()).ok()?.into_iter().enumerate() {
            self.separate(at);
            self.name(&escape(&name))?;
            self.list(value)?;
        }
        self.out.push('}');
        Some(())
    }

    /// Writes an array of properties' names.
    fn list(&mut self, value: &RawValue) -> Option<()> {
        let Ok(names) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
            self.out.push_str(value.get());
            return Some(());
        };
        self.out.push('[');
        for (at, name) in names.into_iter().enumerate() {
            self.separate(at);
            match text(name) {
                Some(name) => self.out.push_str(&quoted(&escape(&name))),
                None => self.out.push_str(name.get()),
            }
        }
        self.out.push(']');
        Some(())
    }

    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.out.push(',');
        }
    }

    fn name(&mut self, name: &str) -> Option<()> {
        self.out.push_str(&quoted(name));
        self.out.push(':');
        Some(())
    }
}

/// Rewrites the names of members in JSON that comes in fragments, split anywhere.
#[derive(Debug)]
pub struct Renamer {
    rename: fn(&str) -> Cow<'_, str>,
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
    pub fn new(rename: fn(&str) -> Cow<'_, str>) -> Self {
        Self { rename, open: Vec::new(), expects_name: false, place: Place::Outside, held: String::new() }
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
        let renamed = decoded(&held).map(|name| (self.rename)(&name).into_owned());
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
    fn schemas_are_renamed_at_their_properties_only() {
        let schema = r##"{"type":"object","properties":{"$top":{"const":{"a b":1}},"c":{"items":{"properties":{"d e":{}}}}},"required":["$top"],"$defs":{"f g":{}},"dependentRequired":{"$top":["d e"]}}"##;
        let expected = r##"{"type":"object","properties":{"_x24_top":{"const":{"a b":1}},"c":{"items":{"properties":{"d_x20_e":{}}}}},"required":["_x24_top"],"$defs":{"f g":{}},"dependentRequired":{"_x24_top":["d_x20_e"]}}"##;
        assert_eq!(escape_schema(schema).as_deref(), Some(expected));
        assert_eq!(escape_schema(&format!(r#"{{"properties":{{"{}":{{}}}}}}"#, "x".repeat(65))), None);
    }

    #[test]
    fn names_are_restored_at_every_split() {
        let json = r#"{"_x24_top":5, "a":["_x24_top",{"b_x20_c":{"d":"\"_x24_top\":{"}}],"e\"_x24_":"{\"_x24_f\":1}"}"#;
        let expected = r#"{"$top":5, "a":["_x24_top",{"b c":{"d":"\"_x24_top\":{"}}],"e\"$":"{\"_x24_f\":1}"}"#;
        for first in (0..=json.len()).filter(|at| json.is_char_boundary(*at)) {
            for second in first..=json.len() {
                let mut renamer = Renamer::new(restore);
                let parts = [&json[..first], &json[first..second], &json[second..]];
                let read: String = parts.into_iter().map(|part| renamer.take(part)).collect();
                assert_eq!(read + &renamer.end(), expected, "{parts:?}");
            }
        }
        let mut renamer = Renamer::new(restore);
        assert_eq!(
            renamer.take(r#"{"_x24_t"#) + &renamer.end(),
            r#"{"_x24_t"#,
            "a name that is cut off is told as it came"
        );
    }
}
