//! The top-level fields of a chat completion request: which ones OpenAI's API publishes, and what they may hold.

use serde_json::value::RawValue;

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
    pub fn name(self) -> &'static str {
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
pub const PUBLISHED: [(&str, Type); 37] = [
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
