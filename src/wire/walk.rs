//! A walk over JSON text: what a reader wants of it is found in one pass, and nothing is copied.
//!
//! The text must have been found to be valid JSON. On other text a walk ends early and says nothing wrong about it; it never
//! panics and never goes back.

use std::borrow::Cow;

use super::json::decoded;

/// The longest name, as it is written, that is decoded.
const MAX_NAME_BYTES: usize = 1_024;

/// A place in a JSON text.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    text: &'a str,
    at: usize,
}

/// A value that has been passed.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    pub json: &'a str,
    /// How many bytes its text has, if it is a string; of half a surrogate pair, two.
    pub text_bytes: usize,
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
        self.at = match first {
            Some(b'"') => string_end(bytes, start),
            Some(b'{' | b'[') => container_end(bytes, start),
            _ => {
                let rest = bytes.get(start..).unwrap_or_default();
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
                start + rest.iter().position(ends).unwrap_or(rest.len())
            }
        };
        self.since(start)
    }

    /// Goes past one value, and counts its text's bytes if it is a string.
    pub fn text(&mut self) -> Counted<'a> {
        if self.peek() != Some(b'"') {
            return Counted { json: self.value(), text_bytes: 0 };
        }
        let start = self.at;
        let string = StringSeen::at(self.text.as_bytes(), start);
        self.at = string.end;
        Counted { json: self.since(start), text_bytes: string.text_bytes }
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
                let string = StringSeen::at(bytes, at);
                said += 2 + string.text_bytes;
                at = string.end;
                continue;
            }
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => said += 1,
        }
        at += 1;
    }
    said as u64
}

/// The position behind the object or array that begins at `start`.
fn container_end(json: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start + 1, 1_usize);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                at = string_end(json, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    json.len()
}

/// What a JSON string holds between its quotes, with its escapes; any other value whole.
pub fn inside(json: &str) -> &str {
    json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json)
}

/// The position behind the string that begins at `start`.
pub fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        at = quote_or_backslash(json, at);
        match json.get(at) {
            Some(b'\\') => at += 2,
            Some(_) => return at + 1,
            None => return json.len(),
        }
    }
}

/// What one pass over a JSON string finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringSeen {
    /// The position behind it.
    pub end: usize,
    /// How many bytes its text has; of half a surrogate pair, two.
    pub text_bytes: usize,
}

impl StringSeen {
    /// Goes over the string that begins at `start`.
    pub fn at(json: &[u8], start: usize) -> Self {
        let (mut from, mut text_bytes) = (start + 1, 0);
        loop {
            let at = quote_or_backslash(json, from);
            text_bytes += at.saturating_sub(from);
            if json.get(at) != Some(&b'\\') {
                return Self { end: json.len().min(at + 1), text_bytes };
            }
            let (length, stands_for) = match json.get(at + 1) {
                Some(b'u') => (6, json.get(at + 2..at + 6).map_or(0, utf8_bytes)),
                Some(_) | None => (2, 1),
            };
            text_bytes += stands_for;
            from = at + length;
        }
    }
}

/// How many bytes of UTF-8 the four digits of a `\u` stand for; half of a surrogate pair for half of its four.
fn utf8_bytes(digits: &[u8]) -> usize {
    match digits {
        [b'0', b'0', b'0'..=b'7', _] => 1,
        [b'0', b'0'..=b'7', ..] | [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..] => 2,
        _ => 3,
    }
}

/// The position of the first quote or backslash from `from` on; the length where none follows.
///
/// Most strings of a request are names and words too short for a search to begin to pay, and the guest's machine has no vectors,
/// so this looks at eight bytes at a time itself: the lowest byte that is zero is the lowest that borrows from its highest bit.
fn quote_or_backslash(json: &[u8], from: usize) -> usize {
    const LOW: u64 = u64::MAX / 0xff;
    const HIGH: u64 = LOW << 7;
    let is_zero = |bytes: u64| bytes.wrapping_sub(LOW) & !bytes & HIGH;
    let mut at = from;
    while let Some(bytes) = json.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let bytes = u64::from_le_bytes(*bytes);
        let found = is_zero(bytes ^ (LOW * u64::from(b'"'))) | is_zero(bytes ^ (LOW * u64::from(b'\\')));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = json.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len())
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

    /// As [`StringSeen::at`], a byte at a time, of a string that begins the text.
    fn string_seen(json: &str) -> StringSeen {
        let bytes = json.as_bytes();
        let mut at = 1;
        while bytes.get(at).is_some_and(|byte| *byte != b'"') {
            at += if bytes[at] == b'\\' { 2 } else { 1 };
        }
        let end = bytes.len().min(at + 1);
        let text = serde_json::from_str::<String>(&json[..end]);
        StringSeen { end, text_bytes: text.expect("a string").len() }
    }

    proptest! {
        #[test]
        fn strings_of_any_length_are_seen_whole(text in "[a\"\\\\#é€😀\n\u{80}!]{0,40}", behind in "[\"#\\\\, ]{0,12}", is_escaped: bool) {
            let json = match is_escaped {
                true => format!("\"{}\"", text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>()),
                false => serde_json::to_string(&text).expect("JSON"),
            };
            let all = format!("{json}{behind}");
            let expected = string_seen(&all);
            prop_assert_eq!(expected, StringSeen { end: json.len(), text_bytes: text.len() });
            prop_assert_eq!(StringSeen::at(all.as_bytes(), 0), expected);
            prop_assert_eq!(string_end(all.as_bytes(), 0), expected.end);
            prop_assert_eq!(Walk::new(&all).value(), json.as_str());
            let open = &json[..json.len() - 1];
            prop_assert_eq!(string_end(open.as_bytes(), 0), open.len());
        }

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
