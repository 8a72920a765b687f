//! The top-level fields of a request: which ones OpenAI's Chat Completions API publishes, and what they may hold.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Kind};

/// A name of a client's that a message may hold, in characters.
const MAX_SHOWN: usize = 64;

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
                while let Some(name) = map.next_key::<BorrowedName<'de>>()? {
                    fields.push(Field { name: name.0, value: map.next_value()? });
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A key, borrowed where it has no escapes (`Cow` alone would always copy).
#[derive(Deserialize)]
struct BorrowedName<'a>(#[serde(borrow)] Cow<'a, str>);

/// The JSON types that a field may have.
#[derive(Clone, Copy)]
pub enum Type {
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

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Any => "any JSON",
            Type::Text => "a string",
            Type::Boolean => "true or false",
            Type::Number => "a number",
            Type::Whole => "a whole number of at least 0",
            Type::Array => "an array",
            Type::Object => "an object",
            Type::TextOrArray => "a string or an array",
            Type::TextOrObject => "a string or an object",
        }
    }

    pub fn accepts(self, value: &RawValue) -> bool {
        let first = value.get().as_bytes().first().copied().unwrap_or_default();
        match self {
            Type::Any => true,
            Type::Text => first == b'"',
            Type::Boolean => matches!(first, b't' | b'f'),
            Type::Number => first == b'-' || first.is_ascii_digit(),
            Type::Whole => value.get().parse::<u64>().is_ok(),
            Type::Array => first == b'[',
            Type::Object => first == b'{',
            Type::TextOrArray => matches!(first, b'"' | b'['),
            Type::TextOrObject => matches!(first, b'"' | b'{'),
        }
    }
}

/// Every field of the published API, with its type where the gateway reads it or may change it. All but `messages` may be
/// null.
const PUBLISHED: [(&str, Type); 37] = [
    ("audio", Type::Any),
    ("frequency_penalty", Type::Number),
    ("function_call", Type::TextOrObject),
    ("functions", Type::Array),
    ("logit_bias", Type::Object),
    ("logprobs", Type::Boolean),
    ("max_completion_tokens", Type::Whole),
    ("max_tokens", Type::Whole),
    ("messages", Type::Array),
    ("metadata", Type::Object),
    ("modalities", Type::Any),
    ("model", Type::Text),
    ("moderation", Type::Any),
    ("n", Type::Whole),
    ("parallel_tool_calls", Type::Boolean),
    ("prediction", Type::Any),
    ("presence_penalty", Type::Number),
    ("prompt_cache_key", Type::Any),
    ("prompt_cache_options", Type::Any),
    ("prompt_cache_retention", Type::Any),
    ("reasoning_effort", Type::Text),
    ("response_format", Type::Object),
    ("safety_identifier", Type::Any),
    ("seed", Type::Number),
    ("service_tier", Type::Any),
    ("stop", Type::TextOrArray),
    ("store", Type::Any),
    ("stream", Type::Boolean),
    ("stream_options", Type::Object),
    ("temperature", Type::Number),
    ("tool_choice", Type::TextOrObject),
    ("tools", Type::Array),
    ("top_logprobs", Type::Whole),
    ("top_p", Type::Number),
    ("user", Type::Text),
    ("verbosity", Type::Any),
    ("web_search_options", Type::Any),
];

/// Whether the published API has a field of this name.
pub fn is_published(name: &str) -> bool {
    PUBLISHED.binary_search_by_key(&name, |(known, _)| known).is_ok()
}

/// The field of the published API that `name` is in another case; a provider's parser may take the one for the other.
pub fn other_case(name: &str) -> Option<&'static str> {
    let names = PUBLISHED.iter().map(|(known, _)| *known);
    names.into_iter().find(|known| *known != name && same_but_for_case(known, name))
}

/// Whether two names are one to a parser that ignores case, as Go's does, which folds `ſ` and the Kelvin sign too; `known`
/// is in lower case.
pub fn same_but_for_case(known: &str, name: &str) -> bool {
    name.chars().map(lower).eq(known.chars())
}

/// The lower case of a character that may stand in a name, also of the two beyond ASCII that fold to letters of it.
pub fn lower(character: char) -> char {
    match character {
        'ſ' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

/// Checks names and types of a request's fields.
///
/// # Errors
/// [`Kind::InvalidRequest`] for a field that stands twice, has another case than the API's, or another type.
pub fn check_fields(fields: &[Field<'_>]) -> Result<(), Error> {
    let invalid = |name: &str, message: String| Error::new(Kind::InvalidRequest, message).with_param(name);
    let mut seen = BTreeSet::new();
    for field in fields {
        let name = field.name.as_ref();
        if !seen.insert(name) {
            let name = shown(name);
            return Err(invalid(name, format!("The field `{name}` stands twice in the body.")));
        }
        let Ok(at) = PUBLISHED.binary_search_by_key(&name, |(known, _)| known) else {
            if let Some(known) = other_case(name) {
                let name = shown(name);
                return Err(invalid(name, format!("There is no field `{name}`; valid: `{known}`.")));
            }
            continue;
        };
        let expected = PUBLISHED.get(at).map_or(Type::Any, |(_, expected)| *expected);
        if !expected.accepts(field.value) && (field.value.get() != "null" || name == "messages") {
            return Err(invalid(name, format!("`{name}` must be {}.", expected.name())));
        }
    }
    Ok(())
}

/// A client's word in a message, bounded.
pub fn shown(word: &str) -> &str {
    let end = word.char_indices().nth(MAX_SHOWN).map_or(word.len(), |(at, _)| at);
    &word[..end]
}

/// The value, unless it is null, which says nothing.
pub fn given(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| value.get() != "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_each_name_is_found() {
        assert!(PUBLISHED.is_sorted_by_key(|(name, _)| *name));
        assert!(PUBLISHED.iter().all(|(name, _)| is_published(name) && other_case(name).is_none()));
        assert!(!is_published("models") && !is_published("Stream") && !is_published(""));
    }

    #[test]
    fn a_name_in_another_case_is_found() {
        for (name, expected) in [
            ("Stream", Some("stream")),
            ("STREAM", Some("stream")),
            ("\u{17f}tream", Some("stream")),
            ("max_to\u{212a}ens", Some("max_tokens")),
            ("Max_Tokens", Some("max_tokens")),
            ("streams", None),
            ("strëam", None),
            ("maxTokens", None),
            ("stream ", None),
        ] {
            assert_eq!(other_case(name), expected, "{name}");
        }
    }
}
