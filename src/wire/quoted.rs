//! A JSON string that passes from JSON to JSON without being decoded.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A JSON string with its quotes, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted<'a>(Cow<'a, str>);

impl<'a> Quoted<'a> {
    /// The empty string.
    pub const EMPTY: Quoted<'static> = Quoted(Cow::Borrowed("\"\""));

    /// A value, if it is a string.
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        raw.get().starts_with('"').then(|| Quoted(Cow::Borrowed(raw.get())))
    }

    /// A value, if it is a string that says something.
    pub fn read_some(raw: Option<&'a RawValue>) -> Option<Self> {
        raw.and_then(Self::read).filter(|text| !text.is_empty())
    }

    pub fn encode(text: &str) -> Quoted<'static> {
        Quoted(Cow::Owned(serde_json::to_string(text).expect("a string should serialise")))
    }

    pub fn get(&self) -> &str {
        &self.0
    }

    /// What stands between the quotes, with its escapes.
    pub fn inside(&self) -> &str {
        &self.0[1..self.0.len() - 1]
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 2
    }

    /// The text, borrowed where it has no escapes; nothing if it is none, as with half of a surrogate pair.
    pub fn decode(&self) -> Option<Cow<'_, str>> {
        // `Cow` alone would always copy.
        #[derive(Deserialize)]
        struct Borrowing<'a>(#[serde(borrow)] Cow<'a, str>);
        match memchr::memchr(b'\\', self.0.as_bytes()) {
            None => Some(self.inside().into()),
            Some(_) => serde_json::from_str::<Borrowing<'_>>(&self.0).ok().map(|text| text.0),
        }
    }
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
            let quoted = Quoted::read(raw).expect("a string");
            assert_eq!((quoted.get(), quoted.decode().as_deref()), (json, text));
            assert_eq!(Quoted::read_some(Some(raw)).is_none(), json == "\"\"");
        }
        for json in ["7", "null", "[\"a\"]"] {
            assert_eq!(Quoted::read(serde_json::from_str(json).expect("JSON")), None);
        }
        assert_eq!(Quoted::encode("a\"b").inside(), "a\\\"b");
    }
}
