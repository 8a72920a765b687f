//! The names that a client of another API has for what its request became in this dialect: whoever is told that something was
//! left out, or is at fault, reads them.

use std::borrow::Cow;

use crate::error::Error;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::ask::Api;
use crate::wire::ask::content::Content;

/// Paths of this dialect, and what a client of the Messages API calls the same; of several that fit the first holds, and what
/// stands below it stays. What a thought left behind is the thought.
const OF_MESSAGES: [(&str, &str); 25] = [
    ("max_completion_tokens", "max_tokens"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    ("safety_identifier", "metadata.user_id"),
    ("stop", "stop_sequences"),
    ("user", "metadata.user_id"),
    ("messages.content.extra_content", "messages.content.thinking"),
    ("messages.content.file.filename", "messages.content.title"),
    ("messages.content.file", "messages.content.document"),
    ("messages.content.image_url", "messages.content.image"),
    ("messages.content.prompt_cache_breakpoint", "messages.content.cache_control"),
    ("messages.extra_content", "messages.content.thinking"),
    ("messages.reasoning", "messages.content.thinking"),
    ("messages.reasoning_content", "messages.content.thinking"),
    ("messages.reasoning_details", "messages.content.thinking"),
    ("messages.tool_call_id", "messages.content.tool_use_id"),
    ("messages.tool_calls.extra_content", "messages.content.thinking"),
    ("messages.tool_calls.function.arguments", "messages.content.input"),
    ("messages.tool_calls.function", "messages.content"),
    ("messages.tool_calls.", "messages.content."),
    ("messages.tool_calls", "messages.content.tool_use"),
    ("tool_choice.function", "tool_choice"),
    ("tools.function.parameters", "tools.input_schema"),
    ("tools.function", "tools"),
    ("tools.parameters", "tools.input_schema"),
    ("tools.prompt_cache_breakpoint", "tools.cache_control"),
];
/// What the client's API calls effort and form of the answer, where its request does not say.
const EFFORT: &str = "output_config.effort";
const FORMAT: &str = "output_config.format";

/// The names of one request.
pub struct ClientNames {
    api: Api,
    effort: String,
    format: &'static str,
}

impl ClientNames {
    pub fn of(api: Api, content: &Content<'_>) -> Self {
        let effort = content.last_effort().map(|effort| effort.name.to_owned()).filter(|name| name != "effort");
        let format = content.last_format().map_or(FORMAT, |format| format.name);
        Self { api, effort: effort.unwrap_or_else(|| EFFORT.to_owned()), format }
    }

    /// Notes what was left out of the request as this dialect has it.
    pub fn note_all(&self, left_out: &[String], dropped: &mut Dropped) {
        left_out.iter().for_each(|path| dropped.note(&self.name(path)));
    }

    /// What the client is told of an error about the request as this dialect has it, whose positions are not the client's.
    pub fn of_error(&self, error: Error) -> Error {
        let Some(param) = error.param.as_deref().filter(|_| self.api == Api::Messages) else { return error };
        let name = self.name(&without_positions(param)).into_owned();
        let message = error.message.replace(&format!("`{param}`"), &format!("`{name}`"));
        Error { message, param: Some(name), ..error }
    }

    fn name<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let dynamic = [("reasoning_effort", self.effort.as_str()), ("response_format", self.format)];
        let is_at = |known: &str, rest: &str| rest.is_empty() || rest.starts_with('.') || known.ends_with('.');
        let found = dynamic.into_iter().chain(OF_MESSAGES).filter(|_| self.api == Api::Messages);
        let mut found = found.filter_map(|(known, name)| {
            path.strip_prefix(known).filter(|rest| is_at(known, rest)).map(|rest| (name, rest))
        });
        match found.next() {
            Some((name, rest)) => format!("{name}{rest}").into(),
            None => path.into(),
        }
    }
}

/// A path as names of what is left out have it, of any element alike.
fn without_positions(path: &str) -> String {
    let parts = path.split('[').enumerate();
    parts.map(|(at, part)| if at == 0 { part } else { part.split_once(']').map_or("", |(_, rest)| rest) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn names(api: Api) -> ClientNames {
        ClientNames { api, effort: "thinking.budget_tokens".to_owned(), format: "output_format" }
    }

    #[test]
    fn a_client_of_the_messages_api_reads_its_own_names() {
        for (path, expected) in [
            ("stop", "stop_sequences"),
            ("max_completion_tokens", "max_tokens"),
            ("max_tokens", "max_tokens"),
            ("reasoning_effort", "thinking.budget_tokens"),
            ("response_format", "output_format"),
            ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
            ("user", "metadata.user_id"),
            ("user_x", "user_x"),
            ("temperature", "temperature"),
            ("messages", "messages"),
            ("messages.tool_calls", "messages.content.tool_use"),
            ("messages.tool_calls.index", "messages.content.index"),
            ("messages.tool_calls.function.arguments", "messages.content.input"),
            ("messages.tool_calls.function.x", "messages.content.x"),
            ("messages.tool_calls.extra_content.google", "messages.content.thinking.google"),
            ("messages.reasoning_content", "messages.content.thinking"),
            ("messages.content.image_url.detail", "messages.content.image.detail"),
            ("messages.content.thinking", "messages.content.thinking"),
            ("tools.function.strict", "tools.strict"),
            ("tools.function.parameters.a", "tools.input_schema.a"),
            ("tool_choice.function.name", "tool_choice.name"),
        ] {
            assert_eq!(names(Api::Messages).name(path), expected);
            assert_eq!(names(Api::Gateway).name(path), path);
        }
    }

    #[test]
    fn an_error_names_what_the_client_wrote() {
        let error = Error::new(Kind::InvalidRequest, "`messages[3].content[1].file` is none, `x` is.")
            .with_param("messages[3].content[1].file");
        let told = names(Api::Messages).of_error(error.clone());
        assert_eq!(told.param.as_deref(), Some("messages.content.document"));
        assert_eq!(told.message, "`messages.content.document` is none, `x` is.");
        assert_eq!(names(Api::Gateway).of_error(error.clone()), error);
    }
}
