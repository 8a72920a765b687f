//! How far the JSON object has come that is a call's input, seen in its fragments.
//!
//! An object that has begun, is JSON as far as it goes and is not closed was cut off. What is no object, or no JSON, is what a model
//! wrote, and lacks nothing. So that the two are told apart, what stands between strings is looked at; what is in them is not, nor
//! are numbers and words.

use crate::wire::carried::carried;
use crate::wire::json::JsonString;

/// The deepest nesting that is followed; what is nested deeper is taken for no object.
const MAX_DEPTH: u32 = u128::BITS;

/// How far a call's input has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputSeen {
    state: State,
    /// A bit for each container that is open, the lowest for the innermost one: 1 is an object, 0 an array.
    open: u128,
    depth: u32,
    /// Whether a backslash stands before what comes next in a string.
    is_escaped: bool,
    /// How many containers would have been closed behind a quotation mark of a string's that is escaped, if nothing else came.
    closed_in_string: Option<u32>,
}

carried!(InputSeen { state, open, depth, is_escaped, closed_in_string });

/// What may come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The object; nothing has come but white space.
    #[default]
    Object,
    /// A member's name, or the end of its object.
    Name,
    /// The rest of a name.
    InName,
    Colon,
    /// A value, or the end of its array.
    Value,
    /// The rest of a string, or of a number or word.
    InString,
    InWord,
    /// A comma, or the end of a container.
    Comma,
    /// Nothing: the object is closed.
    Closed,
    /// Anything: it is no object, or none that is JSON.
    Other,
}

carried!(State = Object | Name | InName | Colon | Value | InString | InWord | Comma | Closed | Other);

impl InputSeen {
    /// Whether the object has begun and is not closed. One whose last string ends with a backslash is (`{"path":"C:\"}` with one
    /// backslash too few): the model meant to close it.
    pub fn is_open(&self) -> bool {
        let is_meant_closed = self.state == State::InString && self.closed_in_string == Some(self.depth);
        !matches!(self.state, State::Object | State::Closed | State::Other) && !is_meant_closed
    }

    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Takes the next fragment.
    pub fn take(&mut self, fragment: &JsonString<'_>) {
        let mut rest = fragment.inside().as_bytes();
        while !matches!(self.state, State::Closed | State::Other) {
            if self.is_in_string() && !self.is_escaped && self.closed_in_string.is_none() {
                // Quotes and backslashes of the input are escaped in the fragment.
                let Some(next) = memchr::memchr(b'\\', rest) else { return };
                rest = rest.get(next..).unwrap_or_default();
            }
            let (byte, length) = match rest {
                [] => return,
                [b'\\', b'u', b'0', b'0', high @ b'0'..=b'7', low, ..] => (code(*high, *low), 6),
                // No character that means anything between strings.
                [b'\\', b'u', ..] => (0, 6),
                [b'\\', letter, ..] => (unescaped(*letter), 2),
                [byte, ..] => (*byte, 1),
            };
            self.take_byte(byte);
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    /// Takes the next fragment, as the text that it is.
    pub fn take_text(&mut self, fragment: &str) {
        fragment.bytes().for_each(|byte| self.take_byte(byte));
    }

    fn is_in_string(&self) -> bool {
        matches!(self.state, State::InName | State::InString)
    }

    fn take_byte(&mut self, byte: u8) {
        let is_blank = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        self.state = match (self.state, byte) {
            (State::Closed | State::Other, _) => return,
            (State::InName | State::InString, _) if self.is_escaped => {
                self.is_escaped = false;
                self.closed_in_string = (byte == b'"').then_some(0);
                return;
            }
            (State::InName | State::InString, b'\\') => {
                (self.is_escaped, self.closed_in_string) = (true, None);
                return;
            }
            (State::InName | State::InString, b'"') => {
                self.closed_in_string = None;
                if self.state == State::InName { State::Colon } else { State::Comma }
            }
            (State::InName | State::InString, _) => {
                let is_end = matches!(byte, b'}' | b']');
                self.closed_in_string =
                    self.closed_in_string.filter(|_| is_end || is_blank).map(|closed| closed + u32::from(is_end));
                return;
            }
            (State::InWord, _) if is_of_a_word(byte) => return,
            (State::InWord, _) => {
                self.state = State::Comma;
                return self.take_byte(byte);
            }
            _ if is_blank => return,
            (State::Object | State::Value, b'{') => self.begin(1),
            (State::Name, b'"') => State::InName,
            // Some models write a comma before it.
            (State::Name | State::Comma, b'}') => self.end(1),
            (State::Colon, b':') => State::Value,
            (State::Value, b'[') => self.begin(0),
            (State::Value | State::Comma, b']') => self.end(0),
            (State::Value, b'"') => State::InString,
            (State::Value, _) if is_of_a_word(byte) => State::InWord,
            (State::Comma, b',') if self.open & 1 == 1 => State::Name,
            (State::Comma, b',') => State::Value,
            (State::Object | State::Name | State::Colon | State::Value | State::Comma, _) => State::Other,
        };
    }

    /// A container of this kind begins.
    fn begin(&mut self, kind: u128) -> State {
        if self.depth >= MAX_DEPTH {
            return State::Other;
        }
        self.depth += 1;
        self.open = self.open << 1 | kind;
        if kind == 1 { State::Name } else { State::Value }
    }

    /// The innermost container ends, if it is of this kind.
    fn end(&mut self, kind: u128) -> State {
        if self.open & 1 != kind {
            return State::Other;
        }
        self.depth -= 1;
        self.open >>= 1;
        if self.depth == 0 { State::Closed } else { State::Comma }
    }
}

/// Whether a byte may stand in a number or a word. Which words there are does not matter: some models write those of Python.
fn is_of_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// What an escape of one letter stands for.
fn unescaped(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' | b'f' => 0,
        other => other,
    }
}

/// What two hexadecimal digits stand for.
fn code(high: u8, low: u8) -> u8 {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default();
    digit(high) << 4 | digit(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(parts: &[&str]) -> InputSeen {
        let (mut seen, mut as_text) = (InputSeen::default(), InputSeen::default());
        for part in parts {
            seen.take(&JsonString::encode(part));
            as_text.take_text(part);
        }
        assert_eq!(seen, as_text, "{parts:?}");
        seen
    }

    #[test]
    fn an_object_that_is_not_closed_is_told_from_what_is_none() {
        let deep = "{\"a\":".repeat(129);
        for (input, is_open, is_closed) in [
            ("", false, false),
            (" \n\t\r", false, false),
            ("{", true, false),
            (" {\"a\" : [1, {\"b\":null}, \"}\\\"\\\\\"], \"c\\u007d\":-1.5e3 } ", false, true),
            (r#"{"a":"\"#, true, false),
            (r#"{"a":"\""#, true, false),
            // A backslash of the string's own, which should be two.
            (r#"{"a":"C:\"}"#, false, false),
            ("{\"a\":[\"C:\\\"]\n}", false, false),
            (r#"{"a":["C:\"}"#, true, false),
            (r#"{"a":"C:\"} x"#, true, false),
            (r#"{"a":"x\"}","b":""#, true, false),
            (r#"{"a":[{},[]"#, true, false),
            (r#"{"a":1,"#, true, false),
            (r#"{"a":nul"#, true, false),
            ("{\"a\":\"two\nlines \u{1F600}", true, false),
            // Closed, whatever stands behind it.
            (r#"{"a":1}{"b":"#, false, true),
            ("{} x", false, true),
            // Commas too many, and words of Python.
            (r#"{"a":[True,],}"#, false, true),
            // No object, or written badly.
            ("null", false, false),
            ("[1", false, false),
            ("{'a': \"it's", false, false),
            ("{a: \"b", false, false),
            (r#"{"a":"say "hi", "b":[1"#, false, false),
            (r#"{"a":[1}, "b":""#, false, false),
            (r#"{"a" "b""#, false, false),
            (r#"{"a":1 // "b"#, false, false),
            (r#"{"a":}, {"b":"#, false, false),
            ("\u{e4}{", false, false),
            (&deep, false, false),
        ] {
            for (at, _) in input.char_indices().chain([(input.len(), ' ')]) {
                let seen = seen(&[&input[..at], &input[at..]]);
                assert_eq!((seen.is_open(), seen.is_closed()), (is_open, is_closed), "{input} at {at}");
            }
        }
    }

    #[test]
    fn a_fragment_may_be_written_with_any_escapes() {
        for (inside, is_open) in [
            (r"\u007b\u0022a\u0022\u003a\u0031\u007d", false),
            (r#"{\"a\":\"\u005c\" \u007D"#, false),
            (r#"{\"a\":\"\u005c\" \u007D."#, true),
            (r#"\u0020{\"a\":\"\ud83d\ude00\u005C\u0022\"\u000a}"#, false),
            (r#"{\u00a0\"a"#, false),
        ] {
            let mut seen = InputSeen::default();
            seen.take(&JsonString::join(inside));
            assert_eq!(seen.is_open(), is_open, "{inside}");
        }
    }

    proptest! {
        #[test]
        fn of_any_object_each_beginning_is_open(values in prop::collection::vec((".{0,6}", ".{0,6}", any::<f64>()), 0..4)) {
            let member = |(name, text, number): (String, String, f64)| (name, serde_json::json!([text, number, {"": null}]));
            let object: serde_json::Value = values.into_iter().map(member).collect::<serde_json::Map<_, _>>().into();
            let json = object.to_string();
            for (at, _) in json.char_indices().skip(1) {
                prop_assert!(seen(&[&json[..at]]).is_open());
            }
            prop_assert!(seen(&[&json]).is_closed());
        }
    }
}
