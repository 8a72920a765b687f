//! The fields that OpenAI's API publishes of a chat completion request: at the top level with the JSON types that they may
//! have, of its messages, and of what is below.
//!
//! One list for both sides, so that they cannot drift apart: the client's door checks fields by it, and a provider of the same
//! API gets no field that is not in it.

use super::field_type::FieldType;

/// The most choices that a request may ask for.
pub const MAX_CHOICES: u64 = 128;

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

/// In a part, that the prompt is to be cached up to there.
pub const CACHE_MARK: &str = "prompt_cache_breakpoint";

/// The fields of each object, by the names on the way to it, in their order; what is in a list is where the list is. Of
/// messages, parts, calls and tools the dialect knows the upper levels.
const OBJECTS: [(&str, &[&str]); 33] = [
    ("audio", &["voice", "format"]),
    ("audio.voice", &["id"]),
    ("function_call", &["name"]),
    ("functions", &["name", "description", "parameters"]),
    ("messages.audio", &["id"]),
    ("messages.content.file", &["file_data", "file_id", "filename"]),
    ("messages.content.image_url", &["url", "detail"]),
    ("messages.content.input_audio", &["data", "format"]),
    ("messages.content.prompt_cache_breakpoint", &["mode"]),
    ("messages.content.video_url", &["url"]),
    ("messages.function_call", &["name", "arguments"]),
    ("moderation", &["model", "policy"]),
    ("moderation.policy", &["input", "output"]),
    ("moderation.policy.input", &["mode"]),
    ("moderation.policy.output", &["mode"]),
    ("prediction", &["type", "content"]),
    ("prediction.content", &["type", "text", CACHE_MARK]),
    ("prompt_cache_options", &["ttl", "mode"]),
    ("response_format", &["type", "json_schema"]),
    ("response_format.json_schema", &["name", "description", "schema", "strict"]),
    ("stream_options", &["include_usage", "include_obfuscation"]),
    ("tool_choice", &["type", "function", "custom", "allowed_tools"]),
    ("tool_choice.allowed_tools", &["mode", "tools"]),
    ("tool_choice.allowed_tools.tools", &["type", "function", "custom"]),
    ("tool_choice.allowed_tools.tools.custom", &["name"]),
    ("tool_choice.allowed_tools.tools.function", &["name"]),
    ("tool_choice.custom", &["name"]),
    ("tool_choice.function", &["name"]),
    ("tools.custom.format", &["type", "grammar"]),
    ("tools.custom.format.grammar", &["definition", "syntax"]),
    ("web_search_options", &["search_context_size", "user_location"]),
    ("web_search_options.user_location", &["type", "approximate"]),
    ("web_search_options.user_location.approximate", &["country", "region", "city", "timezone"]),
];

/// Whether the published API has a field of this name.
pub fn is_published(name: &str) -> bool {
    PUBLISHED.binary_search_by_key(&name, |(known, _)| known).is_ok()
}

/// The fields of the published API at a place that [`OBJECTS`] has.
pub fn fields_at(path: &str) -> Option<&'static [&'static str]> {
    let found = OBJECTS.binary_search_by_key(&path, |(known, _)| known).ok()?;
    OBJECTS.get(found).map(|(_, fields)| *fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found() {
        assert!(OBJECTS.is_sorted_by_key(|(path, _)| *path));
        for (path, _) in OBJECTS {
            assert!(fields_at(path).is_some(), "{path}");
            let above = path.rsplit_once('.').and_then(|(above, name)| Some((fields_at(above)?, name)));
            assert!(above.is_none_or(|(above, name)| above.contains(&name)), "{path}");
        }
    }
}
