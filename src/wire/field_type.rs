//! The JSON types that a top-level field of a request may have.

use serde_json::value::RawValue;

/// One of those types, or several.
#[derive(Clone, Copy)]
pub enum FieldType {
    Any,
    Text,
    Boolean,
    Number,
    Whole,
    Array,
    Object,
    TextOrArray,
    TextOrObject,
}

impl FieldType {
    /// What a field of this type must be, in words for a client.
    pub fn words(self) -> &'static str {
        match self {
            Self::Any => "any JSON",
            Self::Text => "a string",
            Self::Boolean => "true or false",
            Self::Number => "a number",
            Self::Whole => "a whole number of at least 0",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::TextOrArray => "a string or an array",
            Self::TextOrObject => "a string or an object",
        }
    }

    /// Whether a value is of this type, by its first byte where that tells.
    pub fn accepts(self, value: &RawValue) -> bool {
        let first = value.get().as_bytes().first().copied().unwrap_or_default();
        match self {
            Self::Any => true,
            Self::Text => first == b'"',
            Self::Boolean => matches!(first, b't' | b'f'),
            Self::Number => first == b'-' || first.is_ascii_digit(),
            Self::Whole => value.get().parse::<u64>().is_ok(),
            Self::Array => first == b'[',
            Self::Object => first == b'{',
            Self::TextOrArray => matches!(first, b'"' | b'['),
            Self::TextOrObject => matches!(first, b'"' | b'{'),
        }
    }
}
