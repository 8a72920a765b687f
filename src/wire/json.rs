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

/// A value that goes up as it is.
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

/// A text, as the JSON string that it came as: it need not be decoded to be sent on.
#[derive(Clone, Debug)]
pub struct Text<'a>(Json<'a>);

impl<'a> Text<'a> {
    /// Text of the gateway's own.
    pub fn of(text: &str) -> Text<'static> {
        Text(Json::text(text))
    }

    /// The text that a value is, if it is one.
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        is_text(raw).then_some(Text(Json::Borrowed(raw)))
    }

    pub fn raw(&self) -> &RawValue {
        self.0.raw()
    }

    pub fn decoded(&self) -> Cow<'_, str> {
        text(self.raw()).unwrap_or_default()
    }

    /// Whether it holds nothing but white space.
    pub fn is_blank(&self) -> bool {
        is_blank(self.raw())
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
    fn a_text_is_as_deep_as_a_body_may_be() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!is_too_deep(&nested(MAX_DEPTH)) && is_too_deep(&nested(MAX_DEPTH + 1)));
        assert!(!is_too_deep(&format!("[\"{}\"]", "[".repeat(500))));
    }
}
