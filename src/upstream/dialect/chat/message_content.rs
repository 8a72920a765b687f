//! What messages of a conversation say, as far as it decides what becomes of them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::wire::ask::turns::{Role, Turn};
use crate::wire::containers::{found_valid, members_named};
use crate::wire::json::{self, Field, says_nothing};

/// What a message says.
#[derive(Default)]
pub struct SaidInMessage<'a> {
    pub content: Option<Cow<'a, str>>,
    /// There are calls, a refusal or audio.
    pub more: bool,
}

impl SaidInMessage<'_> {
    pub fn is_nothing(&self) -> bool {
        self.content.as_ref().is_none_or(|content| content == "null") && !self.more
    }

    /// The content with a text behind it.
    pub fn with(&self, text: &str) -> String {
        match self.content.as_deref().unwrap_or("null") {
            "null" | "[]" | r#""""# => json::quoted(text),
            content => match (json::decoded(content), content.strip_suffix(']')) {
                (Some(content), _) => json::quoted(&format!("{content}\n\n{text}")),
                (None, Some(parts)) => format!(r#"{parts},{{"type":"text","text":{}}}]"#, json::quoted(text)),
                (None, None) => json::quoted(text),
            },
        }
    }
}

/// Whether there is no content: an empty list is none, either.
pub fn is_missing(content: &RawValue) -> bool {
    json::is_null(content) || content.get().starts_with('[') && says_nothing(content)
}

/// Whether a call has a thought signature in the member of `extra_content` that its maker has for it.
pub fn is_signed(call: &[Field<'_>], maker: &str) -> bool {
    let made = json::field(call, "extra_content").and_then(|extra| members_named(extra, &[maker])?[0]);
    let signature = made.and_then(|made| members_named(made, &["thought_signature"])?[0]);
    signature.is_some_and(|signature| !says_nothing(signature))
}

/// Whether a message of the assistant calls anything.
pub fn has_calls(turn: &Turn<'_>) -> bool {
    let fields = members_named(found_valid(turn.raw), &["tool_calls", "function_call"]).unwrap_or_default();
    fields.into_iter().flatten().any(|calls| !says_nothing(calls))
}

/// Whether a message of the assistant has calls without the reasoning that led to them.
pub fn has_bare_calls(turns: &[Turn<'_>]) -> bool {
    let answers = turns.iter().filter(|turn| turn.role == Role::Assistant);
    let mut fields = answers
        .filter_map(|turn| members_named(found_valid(turn.raw), &["tool_calls", "function_call", "reasoning_content"]));
    let says_something = |value: Option<&RawValue>| value.is_some_and(|value| !says_nothing(value));
    fields.any(|[calls, call, reasoning]| (says_something(calls) || says_something(call)) && !says_something(reasoning))
}
