//! The fields that Anthropic publishes of a request to the Messages API, its betas among them, at the top level.

use crate::wire::field_type::FieldType;

/// Every one of them, with its type where the gateway reads it or may change it.
pub const PUBLISHED: [(&str, FieldType); 30] = [
    ("billing_policy", FieldType::Any),
    ("cache_control", FieldType::Any),
    ("compaction", FieldType::Any),
    ("container", FieldType::Any),
    ("context_management", FieldType::Any),
    ("diagnostics", FieldType::Any),
    ("fallback_credit_token", FieldType::Any),
    ("fallbacks", FieldType::Any),
    ("inference_geo", FieldType::Any),
    ("max_tokens", FieldType::Whole),
    ("mcp_servers", FieldType::Array),
    ("messages", FieldType::Array),
    ("metadata", FieldType::Object),
    ("model", FieldType::Text),
    ("output_config", FieldType::Object),
    ("output_format", FieldType::Object),
    ("service_tier", FieldType::Text),
    ("speed", FieldType::Any),
    ("stop_sequences", FieldType::Array),
    ("stream", FieldType::Boolean),
    ("system", FieldType::TextOrArray),
    ("temperature", FieldType::Number),
    ("thinking", FieldType::Object),
    ("thread", FieldType::Any),
    ("tool_choice", FieldType::Object),
    ("tools", FieldType::Array),
    ("top_k", FieldType::Number),
    ("top_p", FieldType::Number),
    ("user_profile_id", FieldType::Any),
    ("workspace_id", FieldType::Any),
];

/// The fields of a message.
pub const MESSAGE_FIELDS: [&str; 3] = ["role", "content", "output_config"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fields::other_case;

    #[test]
    fn the_list_is_sorted_and_each_name_is_its_own() {
        assert!(PUBLISHED.is_sorted_by_key(|(name, _)| *name));
        assert!(PUBLISHED.iter().all(|(name, _)| other_case(&PUBLISHED, name).is_none()));
        assert_eq!(other_case(&PUBLISHED, "Max_Tokens"), Some("max_tokens"));
    }
}
