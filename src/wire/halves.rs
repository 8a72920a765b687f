//! Halves of surrogate pairs in JSON strings, which some models and clients write, and which stand for no character.

use std::borrow::Cow;

use serde_json::Value;

use super::carried::Carried;
use super::json::Json;

/// What stands for half of a pair.
pub const NO_CHARACTER: &str = "\u{fffd}";
/// The same in JSON.
const MENDED: &str = r"\ufffd";
/// How long a code is that stands for a character, as `\u00e9`.
pub const CODE_BYTES: usize = 6;

/// Which half of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    First,
    Second,
}

impl Half {
    /// Whether a text begins with the code of such a half.
    pub fn begins(self, text: &str) -> bool {
        // The second digits of the codes, behind a `d`.
        let digits: &[u8] = match self {
            Half::First => b"89abAB",
            Half::Second => b"cdefCDEF",
        };
        let bytes = text.as_bytes();
        let is_code = bytes.get(2..CODE_BYTES).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
        is_code && matches!(bytes, [b'\\', b'u', b'd' | b'D', digit, ..] if digits.contains(digit))
    }
}

/// A part of the inside of a JSON string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch<'a> {
    /// What can be read by itself.
    Whole(&'a str),
    /// The code of a half that has no other.
    Lone(&'a str),
}

/// The first half of a pair at the end of a text that goes on: its other half may come with the next part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldHalf(Option<String>);

impl Carried for HeldHalf {
    fn to_json(&self) -> Value {
        self.0.to_json()
    }

    fn from_json(json: Value) -> Option<Self> {
        Carried::from_json(json).map(Self)
    }
}

impl HeldHalf {
    /// What the next part, the inside of a JSON string, adds to the text: behind the half that was held, without the one that is
    /// now, and with U+FFFD for those that have no other.
    pub fn take<'s>(&mut self, inside: &'s str) -> Cow<'s, str> {
        let whole = match self.0.take() {
            None if first_lone(inside).is_none() => return inside.into(),
            None => Cow::Borrowed(inside),
            Some(held) => Cow::Owned(held + inside),
        };
        let mut parts: Vec<Stretch<'_>> = parts(&whole).collect();
        if let Some(Stretch::Lone(code)) = parts.last()
            && Half::First.begins(code)
        {
            self.0 = Some((*code).to_owned());
            parts.pop();
        }
        parts.into_iter().map(Stretch::mended).collect::<String>().into()
    }

    /// What the text ends with, as the inside of a JSON string, where nothing more comes.
    pub fn end(&mut self) -> Option<&'static str> {
        self.0.take().map(|_| MENDED)
    }
}

impl<'a> Stretch<'a> {
    /// The same, with U+FFFD for a half.
    fn mended(self) -> &'a str {
        match self {
            Stretch::Whole(text) => text,
            Stretch::Lone(_) => MENDED,
        }
    }
}

/// The parts of the inside of a JSON string.
pub fn parts(inside: &str) -> impl Iterator<Item = Stretch<'_>> {
    let mut rest = inside;
    std::iter::from_fn(move || {
        let lone = first_lone(rest);
        if rest.is_empty() {
            return None;
        }
        let is_lone = lone == Some(0);
        let length = if is_lone { CODE_BYTES } else { lone.unwrap_or(rest.len()) };
        let (part, behind) = rest.split_at(length);
        rest = behind;
        Some(if is_lone { Stretch::Lone(part) } else { Stretch::Whole(part) })
    })
}

/// JSON, or the inside of a string of it, in which U+FFFD stands for each half that has no other; as it came, if there is none.
pub fn mended(json: &str) -> Cow<'_, str> {
    if first_lone(json).is_none() {
        return json.into();
    }
    parts(json).map(Stretch::mended).collect::<String>().into()
}

/// Any JSON, with U+FFFD for half a surrogate pair, which the reader has no value for.
pub fn value(json: &[u8]) -> Option<Value> {
    let again = || std::str::from_utf8(json).ok().map(mended);
    serde_json::from_slice(json).ok().or_else(|| serde_json::from_str(&again()?).ok())
}

/// JSON in which U+FFFD stands for half a surrogate pair.
pub fn without_halves(json: Json<'_>) -> Json<'_> {
    match mended(json.get()) {
        Cow::Borrowed(_) => json,
        Cow::Owned(whole) => Json::parse(whole).unwrap_or(json),
    }
}

/// Where the first half stands that has no other.
fn first_lone(inside: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = inside.get(at..).and_then(|rest| rest.find('\\')) {
        at += found;
        let code = inside.get(at..).unwrap_or_default();
        let is_first = Half::First.begins(code);
        let is_pair = is_first && code.get(CODE_BYTES..).is_some_and(|code| Half::Second.begins(code));
        if is_pair {
            at += 2 * CODE_BYTES;
        } else if is_first || Half::Second.begins(code) {
            return Some(at);
        } else {
            at += 1 + code.chars().nth(1).map_or(0, char::len_utf8);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn halves_are_told_from_pairs_and_other_codes() {
        for (inside, expected) in [
            ("", vec![]),
            (r"ab\n", vec![Stretch::Whole(r"ab\n")]),
            (r"a\ud83d\ude00b", vec![Stretch::Whole(r"a\ud83d\ude00b")]),
            (r"\ud83d", vec![Stretch::Lone(r"\ud83d")]),
            (
                r"a\uDE00\ud83d b",
                vec![Stretch::Whole("a"), Stretch::Lone(r"\uDE00"), Stretch::Lone(r"\ud83d"), Stretch::Whole(" b")],
            ),
            (r"\\ud83d\u00e9", vec![Stretch::Whole(r"\\ud83d\u00e9")]),
            (r"\ud83d\u00e9\", vec![Stretch::Lone(r"\ud83d"), Stretch::Whole(r"\u00e9\")]),
        ] {
            assert_eq!(parts(inside).collect::<Vec<_>>(), expected, "{inside}");
        }
    }

    #[test]
    fn a_pair_that_is_split_becomes_one_again() {
        for (parts, expected, end) in [
            (&["a", r"b\n"][..], r"ab\n", None),
            (&[r"a\ud83d", r"\ude00b"], r"a\ud83d\ude00b", None),
            (&[r"\ud83d", "", r"\uDE00", "c"], r"\ud83d\uDE00c", None),
            (&[r"\ud83d", "b"], r"\ufffdb", None),
            (&[r"\ud83d", r"\ud83d", r"\ude00\ude00"], r"\ufffd\ud83d\ude00\ufffd", None),
            (&[r"a\ude00", r"\ud83d"], r"a\ufffd", Some(r"\ufffd")),
            (&[r"\\ud83d", r"\ude00"], r"\\ud83d\ufffd", None),
        ] {
            let mut held = HeldHalf::default();
            let told: String = parts.iter().map(|part| held.take(part).into_owned()).collect();
            assert_eq!((told.as_str(), held.end()), (expected, end), "{parts:?}");
        }
        assert!(matches!(HeldHalf::default().take("a\\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn half_a_pair_becomes_the_sign_for_no_character() {
        let json = r#"{"a\ud800":"x\uDE00","b":"\ud83d\ude00"}"#;
        assert_eq!(mended(json), r#"{"a\ufffd":"x\ufffd","b":"\ud83d\ude00"}"#);
        assert_eq!(value(json.as_bytes()), Some(json!({"a\u{fffd}": "x\u{fffd}", "b": "\u{1F600}"})));
        assert_eq!(value(b"{"), None);
        let text = Json::borrow(r#""x\ud800""#).expect("JSON");
        assert_eq!(without_halves(text).get(), r#""x\ufffd""#);
    }
}
