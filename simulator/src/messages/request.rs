//! Reading a request leniently: what is there, not whether it is right (that is `refusals` and `turns`).

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::classifier;
use crate::profile::{Model, Thinking};
use crate::task::{self, Told};

/// The newest version of the API. Since then sampling fields are refused altogether.
pub const NEWEST_VERSION: &str = "2026-10-21";

pub struct MessagesRequest<'a>(pub &'a Map<String, Value>);

/// Messages of one role in a row, which the provider takes as one.
pub struct Turn<'a> {
    pub role: &'a str,
    /// Each block with the position of its message and its own within that.
    pub blocks: Vec<(usize, usize, Cow<'a, Value>)>,
}

impl<'a> MessagesRequest<'a> {
    /// A field that is given; the few that may be `null` count as absent then.
    pub fn field(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn model(&self) -> Option<&'a str> {
        self.field("model").and_then(Value::as_str)
    }

    pub fn messages(&self) -> &'a [Value] {
        self.list("messages")
    }

    pub fn tools(&self) -> &'a [Value] {
        self.list("tools")
    }

    pub fn streams(&self) -> bool {
        self.field("stream") == Some(&Value::Bool(true))
    }

    pub fn max_tokens(&self) -> usize {
        let tokens = self.field("max_tokens").and_then(Value::as_u64).unwrap_or_default();
        usize::try_from(tokens).unwrap_or(usize::MAX)
    }

    pub fn stops(&self) -> Vec<&'a str> {
        self.list("stop_sequences").iter().filter_map(Value::as_str).collect()
    }

    pub fn effort(&self) -> Option<&'a str> {
        self.field("output_config").and_then(|config| config["effort"].as_str())
    }

    pub fn output_schema(&self) -> Option<&'a Value> {
        self.field("output_config").map(|config| &config["format"]["schema"]).filter(|schema| schema.is_object())
    }

    /// The schema that the answer must follow, also one that the system prompt gives in words.
    pub fn wanted_schema(&self) -> Option<Cow<'a, Value>> {
        classifier::wanted_schema(self.output_schema(), &self.field("system").map(text_of).unwrap_or_default())
    }

    /// The `type` of `tool_choice`.
    pub fn choice(&self) -> Option<&'a str> {
        self.field("tool_choice").and_then(|choice| choice["type"].as_str())
    }

    /// The `type` of `thinking`.
    pub fn thinking(&self) -> Option<&'a str> {
        self.field("thinking").and_then(|thinking| thinking["type"].as_str())
    }

    /// Whether the model thinks about this request.
    pub fn thinks(&self, model: &Model) -> bool {
        match (self.thinking(), model.claude.thinking) {
            (Some("disabled"), _) => false,
            (Some("between_tools"), _) => self.last_results().next().is_some(),
            (Some(_), _) => true,
            (None, Thinking::Always | Thinking::AlwaysOrBetweenTools | Thinking::Default { .. }) => true,
            (None, Thinking::Any | Thinking::Adaptive | Thinking::AdaptiveOrBudget | Thinking::Budget) => false,
        }
    }

    /// Whether its thinking is to be seen.
    pub fn shows_thinking(&self, model: &Model) -> bool {
        match self.field("thinking").and_then(|thinking| thinking["display"].as_str()) {
            Some(display) => display == "summarized",
            None => model.claude.shows_thinking,
        }
    }

    pub fn turns(&self) -> Vec<Turn<'a>> {
        let mut turns: Vec<Turn<'a>> = Vec::new();
        for (at, message) in self.messages().iter().enumerate() {
            let role = message["role"].as_str().unwrap_or_default();
            let blocks = blocks_of(&message["content"]).into_iter().enumerate().map(|(nth, block)| (at, nth, block));
            match turns.last_mut().filter(|turn| turn.role == role) {
                Some(turn) => turn.blocks.extend(blocks),
                None => turns.push(Turn { role, blocks: blocks.collect() }),
            }
        }
        turns
    }

    /// The assistant's text at the end of the conversation, which the answer is to go on with.
    pub fn prefill(&self) -> Option<String> {
        let last = self.messages().last().filter(|message| message["role"] == "assistant")?;
        Some(text_of(&last["content"]))
    }

    pub fn last_user_text(&self) -> String {
        let mut texts = self.messages().iter().rev().filter(|message| message["role"] == "user");
        let words = |message: &Value| task::without_reminders(&text_of(&message["content"]));
        texts.find_map(|message| Some(words(message)).filter(|text| !text.is_empty())).unwrap_or_default()
    }

    /// The conversation as far as a task needs it.
    pub fn history(&self) -> Vec<Told> {
        let turns = self.turns().into_iter().filter(|turn| turn.role != "system");
        let told = turns.filter_map(|turn| {
            let count = |kind: &str| turn.blocks.iter().filter(|(.., block)| block["type"] == kind).count();
            if turn.role == "assistant" {
                return Some(Told::Answer { calls: count("tool_use") });
            }
            if count("tool_result") > 0 {
                return Some(Told::Results);
            }
            let texts = turn.blocks.iter().filter_map(|(.., block)| block["text"].as_str());
            let words = task::without_reminders(&texts.collect::<Vec<_>>().join(" "));
            (!words.is_empty()).then_some(Told::User(words))
        });
        told.collect()
    }

    /// The texts of the tool results in the last turn, behind which instructions may stand.
    pub fn last_results(&self) -> impl Iterator<Item = String> + use<'a> {
        let last = self.turns().into_iter().rfind(|turn| turn.role != "system");
        let last = last.map(|turn| turn.blocks).unwrap_or_default();
        let results = last.into_iter().filter(|(.., block)| block["type"] == "tool_result");
        results.map(|(.., block)| text_of(&block["content"]))
    }

    fn list(&self, name: &str) -> &'a [Value] {
        self.field(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

/// Whether a tool is no part of what a model reads before the conversation.
pub fn is_deferred(tool: &Value) -> bool {
    tool["defer_loading"] == true
}

/// The blocks of a content; a string stands for one block of text.
pub fn blocks_of(content: &Value) -> Vec<Cow<'_, Value>> {
    match content {
        Value::String(text) => vec![Cow::Owned(json!({"type": "text", "text": text}))],
        Value::Array(blocks) => blocks.iter().map(Cow::Borrowed).collect(),
        _ => Vec::new(),
    }
}

/// The text of a content, be it a string or blocks.
pub fn text_of(content: &Value) -> String {
    let blocks = blocks_of(content);
    blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join(" ")
}
