//! JSON that is passed on as it came, and the little that must be known of it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::door::chat::walk::decoded;

/// A value that goes up as it is.
#[derive(Debug, Serialize)]
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

    pub fn get(&self) -> &str {
        match self {
            Json::Borrowed(raw) => raw.get(),
            Json::Owned(raw) => raw.get(),
        }
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
