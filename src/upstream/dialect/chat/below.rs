//! The published API below the top level of a request: of the objects in a field only what it has there goes up, and what the
//! provider's row adds.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::edit::{ObjectEdit, OpenedObject, list};
use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::json::is_null;

/// The fields of each object, by the names on the way to it, in their order; what is in a list is where the list is. Of
/// messages, parts, calls and tools the modules beside this one know the upper levels.
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
    ("prediction.content", &["type", "text", "prompt_cache_breakpoint"]),
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

/// Takes out of values what their recipient does not know.
pub struct Pruner<'a, 'd> {
    pub recipient: &'a Recipient<'a>,
    /// Whether the recipient's row adds the field at a path.
    pub is_added: &'a dyn Fn(&str) -> bool,
    pub dropped: &'d mut Dropped,
}

impl Pruner<'_, '_> {
    /// The value at `path` without the fields, at any depth, that the recipient does not know; as it came, if it knows all.
    pub fn prune<'x>(&mut self, path: &str, value: &'x RawValue) -> Cow<'x, str> {
        let raw = value.get();
        let Some(known) = fields_at(path) else { return Cow::Borrowed(raw) };
        if raw.starts_with('[') {
            let items = list(value, |item| Ok(Some(self.prune(path, item.raw))));
            return items.ok().flatten().unwrap_or(Cow::Borrowed(raw));
        }
        if !raw.starts_with('{') {
            return Cow::Borrowed(raw);
        }
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(raw) else { return Cow::Borrowed(raw) };
        for field in &fields {
            let path = format!("{path}.{}", field.name);
            let is_known = known.contains(&field.name.as_ref()) && !self.recipient.lacks(&path);
            if !is_null(field.value) && (is_known || (self.is_added)(&path)) {
                edit.put(field, self.prune(&path, field.value));
                continue;
            }
            edit.lose(field, format_args!("{path}"), self.dropped);
        }
        edit.finish()
    }
}

/// The fields of the published API at a place that [`OBJECTS`] has.
pub fn fields_at(path: &str) -> Option<&'static [&'static str]> {
    let found = OBJECTS.binary_search_by_key(&path, |(known, _)| known).ok()?;
    OBJECTS.get(found).map(|(_, fields)| *fields)
}

/// The last name of a path.
pub fn leaf(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
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
