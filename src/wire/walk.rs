//! A walk over JSON text: what a reader wants of it is found in one pass, and nothing is copied.
//!
//! The text must have been found to be valid JSON. On other text a walk ends early and says nothing wrong about it; it never
//! panics and never goes back.

use std::borrow::Cow;

use super::json::{decoded, text_bytes};

/// The longest name, as it is written, that is decoded.
const MAX_NAME_BYTES: usize = 1_024;

/// A place in a JSON text.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The first byte of what comes next.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    /// Goes past `byte`, if it comes next.
    pub fn pass(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    /// How many bytes have been passed.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The text from `start` to here.
    pub fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Goes past one value, and gives its text.
    pub fn value(&mut self) -> &'a str {
        let first = self.peek();
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut depth = 0_usize;
        self.at = match first {
            Some(b'"') => string_end(bytes, start),
            Some(b'{' | b'[') => loop {
                match bytes.get(self.at) {
                    None => break bytes.len(),
                    Some(b'"') => self.at = string_end(bytes, self.at),
                    Some(b'{' | b'[') => {
                        depth += 1;
                        self.at += 1;
                    }
                    Some(b'}' | b']') => {
                        depth -= 1;
                        self.at += 1;
                        if depth == 0 {
                            break self.at;
                        }
                    }
                    Some(_) => self.at += 1,
                }
            },
            _ => {
                let rest = bytes.get(start..).unwrap_or_default();
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
                start + rest.iter().position(ends).unwrap_or(rest.len())
            }
        };
        self.since(start)
    }

    /// Goes past the name of an object's next member, which is told as it is written, up to its value. Nothing, and past the
    /// object, at its end.
    pub fn name(&mut self) -> Option<&'a str> {
        self.pass(b',');
        if self.peek() != Some(b'"') {
            self.pass(b'}');
            return None;
        }
        let name = self.value();
        self.pass(b':');
        Some(name)
    }

    /// Goes past such a name, which is told.
    pub fn member(&mut self) -> Option<Cow<'a, str>> {
        let name = self.name()?;
        // A name that anybody knows is short, whatever it is written with; a long one is only passed.
        Some(if name.len() > MAX_NAME_BYTES { name.into() } else { decoded(name).unwrap_or_default() })
    }

    /// Goes up to an array's next element. False, and past the array, at its end.
    pub fn element(&mut self) -> bool {
        self.pass(b',');
        match self.peek() {
            None => false,
            Some(_) => !self.pass(b']'),
        }
    }
}

/// How many bytes JSON has, however it is written: its texts without escapes, and no white space between values.
pub fn said_bytes(json: &str) -> u64 {
    let bytes = json.as_bytes();
    let (mut said, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = string_end(bytes, at);
                said += 2 + json.get(at..end).map_or(0, string_bytes);
                at = end;
                continue;
            }
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => said += 1,
        }
        at += 1;
    }
    said
}

/// The bytes of a text that is a JSON string, without the quotes around it.
pub fn string_bytes(json: &str) -> u64 {
    json.get(1..json.len().saturating_sub(1)).map_or(0, text_bytes) as u64
}

/// What a JSON string holds between its quotes, with its escapes; any other value whole.
pub fn inside(json: &str) -> &str {
    json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json)
}

/// The position behind the string that begins at `start`.
pub fn string_end(json: &[u8], start: usize) -> usize {
    let mut from = start + 1;
    while let Some(found) = json.get(from..).and_then(|rest| memchr::memchr(b'"', rest)) {
        let quote = from + found;
        let before = json.get(start + 1..quote).unwrap_or_default();
        let escapes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return quote + 1;
        }
        from = quote + 1;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn members_and_elements_are_found_whatever_stands_between() {
        let text = "{ \"a\" : [1 , \"]\\\"}\",{\"b\":[]}] ,\"\\u0062\":null,\"c\":-1.5e3 } rest";
        let mut walk = Walk::new(text);
        assert!(walk.pass(b'{'));
        let mut found = Vec::new();
        while let Some(name) = walk.member() {
            if walk.pass(b'[') {
                while walk.element() {
                    found.push((name.to_string(), walk.value()));
                }
            } else {
                found.push((name.to_string(), walk.value()));
            }
        }
        let expected = [("a", "1"), ("a", "\"]\\\"}\""), ("a", "{\"b\":[]}"), ("b", "null"), ("c", "-1.5e3")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(walk.since(0).len() + " rest".len(), text.len());
    }

    #[test]
    fn strings_end_where_they_end() {
        for (text, end) in [("\"\"x", 2), ("\"\\\\\"x", 4), ("\"\\\"\"x", 4), ("\"open", 5), ("\"\\\"", 3)] {
            assert_eq!(string_end(text.as_bytes(), 0), end, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_walked_over(text in ".{0,60}", json in "[{}\\[\\]\":,a1\\\\ ]{0,60}") {
            for text in [text, json] {
                let mut walk = Walk::new(&text);
                let mut steps = 0;
                while walk.peek().is_some() && steps < 200 {
                    walk.pass(b'{');
                    if walk.member().is_none() && !walk.element() {
                        walk.value();
                    }
                    steps += 1;
                }
            }
        }

        #[test]
        fn a_value_is_all_of_it(text in "[{}\\[\\]\":,a1\\\\ ]{0,40}") {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let mut walk = Walk::new(&text);
                prop_assert_eq!(serde_json::from_str::<Value>(walk.value()).ok(), Some(value));
                prop_assert_eq!(walk.peek(), None);
            }
        }
    }
}
