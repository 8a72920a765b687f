//! Reading a chat request leniently: what is there, not whether it is right (that is `refusals`).

use serde_json::{Map, Value};

use crate::profile::{Profile, Quirk};
use crate::task::{self, Told};

pub struct ChatRequest<'a>(pub &'a Map<String, Value>);

impl<'a> ChatRequest<'a> {
    /// A field that is given; `null` counts as absent, as it does for the provider.
    pub fn field(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn model(&self) -> Option<&'a str> {
        self.field("model").and_then(Value::as_str)
    }

    /// Whether the answer begins with what the model thinks, as a part of its content.
    pub fn shows_thought(&self, profile: &Profile) -> bool {
        let word = |name: &str| self.field(name).and_then(Value::as_str);
        let is_reasoning = self.model().is_some_and(|model| model.starts_with("magistral"))
            || word("prompt_mode") == Some("reasoning")
            || word("reasoning_effort").is_some_and(|effort| effort != "none");
        profile.has(Quirk::ThinkingParts) && is_reasoning
    }

    pub fn messages(&self) -> &'a [Value] {
        self.field("messages").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub fn tools(&self) -> &'a [Value] {
        self.field("tools").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub fn streams(&self) -> bool {
        self.field("stream") == Some(&Value::Bool(true))
    }

    pub fn include_usage(&self) -> bool {
        self.field("stream_options").is_some_and(|options| options["include_usage"] == true)
    }

    pub fn choices(&self) -> usize {
        let count = self.field("n").and_then(Value::as_u64).unwrap_or(1);
        usize::try_from(count).unwrap_or(1).clamp(1, 128)
    }

    /// The limit on the answer, as far as the provider reads it.
    pub fn max_tokens(&self, profile: &Profile) -> Option<usize> {
        let newer = self.field("max_completion_tokens").filter(|_| !profile.has(Quirk::OnlyMaxTokens));
        let field = newer.or_else(|| self.field("max_tokens"));
        field.and_then(Value::as_u64).and_then(|tokens| usize::try_from(tokens).ok())
    }

    pub fn stops(&self) -> Vec<&'a str> {
        match self.field("stop") {
            Some(Value::String(stop)) => vec![stop],
            Some(Value::Array(stops)) => stops.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The assistant's text at the end of the conversation, which the answer is to go on with.
    pub fn prefill(&self, profile: &Profile) -> Option<String> {
        let goes_on = !profile.has(Quirk::AnswersAnew);
        let last = self.messages().last().filter(|message| goes_on && message["role"] == "assistant")?;
        Some(text_of(&last["content"])).filter(|text| !text.is_empty())
    }

    pub fn output_schema(&self) -> Option<&'a Value> {
        self.field("response_format").map(|format| &format["json_schema"]["schema"]).filter(|schema| schema.is_object())
    }

    /// What the system and the developer say.
    pub fn instructions(&self) -> String {
        let messages = self.messages().iter();
        let instructions = messages.filter(|message| message["role"] == "system" || message["role"] == "developer");
        instructions.map(|message| text_of(&message["content"])).collect::<Vec<_>>().join("\n")
    }

    pub fn last_user_text(&self) -> String {
        let messages = self.messages().iter().rev().filter(|message| message["role"] == "user");
        let mut texts = messages.map(|message| task::without_reminders(&text_of(&message["content"])));
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// The conversation as far as a task needs it.
    pub fn history(&self) -> Vec<Told> {
        let told = self.messages().iter().filter_map(|message| match message["role"].as_str() {
            Some("assistant") => Some(Told::Answer { calls: message["tool_calls"].as_array().map_or(0, Vec::len) }),
            Some("tool") => Some(Told::Results),
            Some("user") => {
                let words = task::without_reminders(&text_of(&message["content"]));
                (!words.is_empty()).then_some(Told::User(words))
            }
            _ => None,
        });
        told.collect()
    }

    /// The text of the tool's result that came last, if nothing but instructions stands behind it.
    pub fn last_result(&self) -> Option<String> {
        let is_result = matches!(self.history().last(), Some(Told::Results));
        let result = self.messages().iter().rfind(|message| message["role"] == "tool");
        result.filter(|_| is_result).map(|message| text_of(&message["content"]))
    }
}

/// The text of a message's content, which is a string or a list of parts.
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}
