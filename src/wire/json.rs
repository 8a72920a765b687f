//! JSON that is passed on as it came, and the little that must be known of it.

use std::borrow::Cow;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::walk::string_end;

/// The deepest nesting of what a client sends, and of JSON in a text of it.
pub const MAX_DEPTH: usize = 128;

/// One member of an object, its value raw.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    pub name: Cow<'a, str>,
    pub value: &'a RawValue,
}

/// The fields of a JSON object, in order, their values raw.
pub fn object_fields(json: &str) -> Result<Vec<Field<'_>>, serde_json::Error> {
    serde_json::from_str(json).map(|Fields(fields)| fields)
}

struct Fields<'a>(Vec<Field<'a>>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(name) = map.next_key::<Borrowing<'de>>()? {
                    fields.push(Field { name: name.0, value: map.next_value()? });
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A text, borrowed where it has no escapes (`Cow` alone would always copy).
#[derive(Deserialize)]
struct Borrowing<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a JSON string, borrowed where it has no escapes; nothing for a value of another type.
pub fn decoded(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    match memchr::memchr(b'\\', inside.as_bytes()) {
        None => Some(inside.into()),
        Some(_) => serde_json::from_str::<Borrowing<'_>>(json).ok().map(|text| text.0),
    }
}

/// A JSON value that goes to a provider as it is.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Json<'a> {
    Borrowed(&'a RawValue),
    Owned(Box<RawValue>),
}

impl Json<'_> {
    /// `text` as a JSON string.
    pub fn text(text: &str) -> Json<'static> {
        Json::Owned(serde_json::value::to_raw_value(text).expect("a string should serialise"))
    }

    /// `json` if it is valid JSON.
    pub fn parse(json: String) -> Option<Json<'static>> {
        RawValue::from_string(json).ok().map(Json::Owned)
    }

    /// `json`, without the white space around it, if it is valid JSON.
    pub fn borrow(json: &str) -> Option<Json<'_>> {
        serde_json::from_str(json).ok().map(Json::Borrowed)
    }

    pub fn raw(&self) -> &RawValue {
        match self {
            Json::Borrowed(raw) => raw,
            Json::Owned(raw) => raw,
        }
    }

    pub fn get(&self) -> &str {
        self.raw().get()
    }
}

/// A JSON string with its quotes, as it came: it passes from JSON to JSON without being decoded.
#[derive(Clone, Debug)]
pub struct JsonString<'a>(Json<'a>);

impl<'a> JsonString<'a> {
    /// `text` as a JSON string.
    pub fn encode(text: &str) -> JsonString<'static> {
        JsonString(Json::text(text))
    }

    /// The empty text.
    pub fn empty() -> JsonString<'static> {
        JsonString(Json::borrow("\"\"").expect("two quotes should be JSON"))
    }

    /// A value, if it is a string.
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        is_text(raw).then_some(JsonString(Json::Borrowed(raw)))
    }

    /// A value, if it is a string that says something.
    pub fn read_some(raw: Option<&'a RawValue>) -> Option<Self> {
        raw.and_then(Self::read).filter(|text| !text.is_empty())
    }

    pub fn raw(&self) -> &RawValue {
        self.0.raw()
    }

    /// The JSON, with its quotes.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// What stands between the quotes, with its escapes.
    pub fn inside(&self) -> &str {
        let json = self.get();
        &json[1..json.len() - 1]
    }

    pub fn is_empty(&self) -> bool {
        self.get().len() == 2
    }

    /// Whether it holds nothing but white space.
    pub fn is_blank(&self) -> bool {
        is_blank(self.raw())
    }

    /// How many bytes the text has, without decoding it; of half a surrogate pair, two.
    pub fn text_bytes(&self) -> usize {
        let inside = self.inside().as_bytes();
        let (mut bytes, mut at) = (0, 0);
        while let Some(escape) = memchr::memchr(b'\\', &inside[at..]) {
            let code = inside.get(at + escape + 2..at + escape + 6);
            let (length, stands_for) = match inside.get(at + escape + 1) {
                Some(b'u') => (6, code.map_or(0, utf8_bytes)),
                Some(_) | None => (2, 1),
            };
            bytes += escape + stands_for;
            at = (at + escape + length).min(inside.len());
        }
        bytes + inside.len() - at
    }

    /// The text, borrowed where it has no escapes; nothing if it is none, as with half of a surrogate pair.
    pub fn decode(&self) -> Option<Cow<'_, str>> {
        text(self.raw())
    }
}

impl PartialEq for JsonString<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for JsonString<'_> {}

/// How many bytes of UTF-8 the four digits of a `\u` stand for; half of a surrogate pair for half of its four.
fn utf8_bytes(digits: &[u8]) -> usize {
    match digits {
        [b'0', b'0', b'0'..=b'7', _] => 1,
        [b'0', b'0'..=b'7', ..] | [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..] => 2,
        _ => 3,
    }
}

/// The text of a JSON string, borrowed where it has no escapes; nothing for a value of another type.
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    decoded(raw.get())
}

/// Whether a value is a string, without looking at all of it.
pub fn is_text(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

pub fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// The value, unless it is null.
pub fn given(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| !is_null(raw))
}

/// Whether a JSON string holds nothing but white space.
pub fn is_blank(raw: &RawValue) -> bool {
    let inside = raw.get().trim_matches('"').trim_start();
    // An escape may stand for white space, so only then the text itself is needed.
    match inside.as_bytes().first() {
        None => true,
        Some(b'\\') => text(raw).is_some_and(|text| text.trim().is_empty()),
        Some(_) => false,
    }
}

/// Whether `json` is nested deeper than [`MAX_DEPTH`].
pub fn is_too_deep(json: &str) -> bool {
    let bytes = json.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' if depth == MAX_DEPTH => return true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_told_from_other_values_and_decoded_only_when_asked() {
        for (json, text) in
            [(r#""a b""#, Some("a b")), (r#""a\u00e4\n""#, Some("aä\n")), (r#""""#, Some("")), (r#""\ud83d""#, None)]
        {
            let raw: &RawValue = serde_json::from_str(json).expect("JSON");
            let string = JsonString::read(raw).expect("a string");
            assert_eq!((string.get(), string.decode().as_deref()), (json, text));
            assert_eq!(JsonString::read_some(Some(raw)).is_none(), json == "\"\"");
            let bytes = text.map_or(2, str::len);
            assert_eq!(string.text_bytes(), bytes, "{json}");
        }
        for json in ["7", "null", "[\"a\"]"] {
            assert_eq!(JsonString::read(serde_json::from_str(json).expect("JSON")), None);
        }
        assert_eq!(JsonString::encode("a\"b").inside(), "a\\\"b");
        assert_eq!(JsonString::empty(), JsonString::encode(""));
    }

    #[test]
    fn the_bytes_of_a_text_are_counted_without_decoding_it() {
        for text in ["", "plain", "\"quoted\"\n", "\\\\u0041", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}", "\u{1f600}!"] {
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            for json in [serde_json::to_string(text).expect("JSON"), format!("\"{escaped}\"")] {
                let string = JsonString(Json::parse(json.clone()).expect("JSON"));
                assert_eq!((string.decode().as_deref(), string.text_bytes()), (Some(text), text.len()), "{json}");
            }
        }
    }

    #[test]
    fn a_text_is_as_deep_as_a_body_may_be() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!is_too_deep(&nested(MAX_DEPTH)) && is_too_deep(&nested(MAX_DEPTH + 1)));
        assert!(!is_too_deep(&format!("[\"{}\"]", "[".repeat(500))));
    }
}
