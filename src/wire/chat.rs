//! The fields that OpenAI's API publishes of a chat completion request, at the top level with the JSON types that they may
//! have, and of its messages.
//!
//! One list for both sides, so that they cannot drift apart: the client's door checks fields by it, and a provider of the same
//! API gets no field that is not in it.

/// The most choices that a request may ask for.
pub const MAX_CHOICES: u64 = 128;

/// The JSON types that a field may have.
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

/// Every field of the published API, with its type where the gateway reads it or may change it. All but `messages` may be
/// null.
pub const PUBLISHED: [(&str, FieldType); 37] = [
    ("audio", FieldType::Any),
    ("frequency_penalty", FieldType::Number),
    ("function_call", FieldType::TextOrObject),
    ("functions", FieldType::Array),
    ("logit_bias", FieldType::Object),
    ("logprobs", FieldType::Boolean),
    ("max_completion_tokens", FieldType::Whole),
    ("max_tokens", FieldType::Whole),
    ("messages", FieldType::Array),
    ("metadata", FieldType::Object),
    ("modalities", FieldType::Any),
    ("model", FieldType::Text),
    ("moderation", FieldType::Any),
    ("n", FieldType::Whole),
    ("parallel_tool_calls", FieldType::Boolean),
    ("prediction", FieldType::Any),
    ("presence_penalty", FieldType::Number),
    ("prompt_cache_key", FieldType::Any),
    ("prompt_cache_options", FieldType::Any),
    ("prompt_cache_retention", FieldType::Any),
    ("reasoning_effort", FieldType::Text),
    ("response_format", FieldType::Object),
    ("safety_identifier", FieldType::Any),
    ("seed", FieldType::Number),
    ("service_tier", FieldType::Any),
    ("stop", FieldType::TextOrArray),
    ("store", FieldType::Any),
    ("stream", FieldType::Boolean),
    ("stream_options", FieldType::Object),
    ("temperature", FieldType::Number),
    ("tool_choice", FieldType::TextOrObject),
    ("tools", FieldType::Array),
    ("top_logprobs", FieldType::Whole),
    ("top_p", FieldType::Number),
    ("user", FieldType::Text),
    ("verbosity", FieldType::Any),
    ("web_search_options", FieldType::Any),
];

/// The fields of messages in the published API, which mean something here.
pub const MESSAGE_FIELDS: [&str; 8] =
    ["role", "content", "name", "refusal", "audio", "function_call", "tool_calls", "tool_call_id"];

/// Whether the published API has a field of this name.
pub fn is_published(name: &str) -> bool {
    PUBLISHED.binary_search_by_key(&name, |(known, _)| known).is_ok()
}
