//! What a request asks for, in no dialect's words: settings, tools, the form of the answer and the conversation.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::items::{CacheMark, CallKind, Item, ItemKind};
use super::place::{Located, Place};
use crate::wire::json::{Json, Text};

#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// The field that holds the conversation.
    pub list: &'static str,
    /// In the client's order; one that says nothing, as null or its API's default, is left out.
    pub settings: Vec<Setting<'a>>,
    pub format: Option<Format<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<Choice<'a>>,
    pub items: Vec<Item<'a>>,
}

/// A setting. Its value is JSON of the type that all dialects have for its kind.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// As the client calls it.
    pub name: Cow<'a, str>,
    pub kind: SettingKind,
    pub value: Json<'a>,
}

/// What a setting means, as far as several dialects know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// The most tokens of the answer.
    MaxOutput,
    /// How many answers are asked for.
    Answers,
    /// How much the model should think, in OpenAI's words.
    Effort,
    /// How its thinking is to be told.
    ReasoningSummary,
    Verbosity,
    Temperature,
    TopP,
    TopK,
    /// A string or an array of strings.
    Stop,
    Seed,
    FrequencyPenalty,
    PresencePenalty,
    LogitBias,
    Logprobs,
    TopLogprobs,
    /// Whether an answer may hold several calls.
    ParallelCalls,
    /// Who the client's user is.
    User,
    CacheKey,
    Metadata,
    ServiceTier,
    Store,
    /// What no other dialect has.
    Other,
}

/// The form that the answer's text must have.
#[derive(Clone, Debug)]
pub struct Format<'a> {
    /// As the client calls it.
    pub name: &'static str,
    pub kind: FormatKind<'a>,
}

#[derive(Clone, Debug)]
pub enum FormatKind<'a> {
    /// Any JSON object.
    Json,
    Schema {
        name: Option<Text<'a>>,
        description: Option<Text<'a>>,
        /// An object, where the client gives one.
        schema: Option<Json<'a>>,
        strict: Option<bool>,
    },
}

/// A tool that the model may call.
#[derive(Clone, Debug)]
pub struct Tool<'a> {
    pub place: Place,
    pub kind: ToolKind<'a>,
    /// Empty if the client gives none.
    pub name: Located<Cow<'a, str>>,
    /// The group of tools that the name belongs to.
    pub namespace: Option<Cow<'a, str>>,
    pub description: Option<Text<'a>>,
    /// Whether the model learns of it only when it looks for it.
    pub is_deferred: bool,
    pub cache: Option<CacheMark<'a>>,
    /// As the client wrote it.
    pub raw: &'a RawValue,
}

#[derive(Clone, Debug)]
pub enum ToolKind<'a> {
    Function {
        /// The JSON schema of its arguments.
        parameters: Option<Located<&'a RawValue>>,
        /// Nothing where the API's default holds.
        strict: Option<bool>,
    },
    Custom {
        format: Option<&'a RawValue>,
    },
    /// One that the provider itself runs.
    Hosted,
}

/// Whether and which tools are to be called.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    pub place: Place,
    pub demand: Demand<'a>,
}

#[derive(Clone, Debug)]
pub enum Demand<'a> {
    Auto,
    None,
    /// Any tool must be called.
    Any,
    Tool(ToolName<'a>),
    /// Only these may be called.
    Allowed {
        must_call: bool,
        tools: Located<Vec<ToolName<'a>>>,
    },
    /// What no other dialect has, or nobody knows.
    Other(&'a RawValue),
}

#[derive(Clone, Debug)]
pub struct ToolName<'a> {
    pub kind: CallKind,
    pub name: Cow<'a, str>,
}

impl<'a> Content<'a> {
    /// The first setting of a kind.
    pub fn setting(&self, kind: SettingKind) -> Option<&Setting<'a>> {
        self.settings.iter().find(|setting| setting.kind == kind)
    }

    /// The tools, and those that the conversation adds.
    pub fn all_tools(&self) -> impl Iterator<Item = &Tool<'a>> {
        let added = self.items.iter().filter_map(|item| match &item.kind {
            ItemKind::ToolsAdded(tools) => Some(tools),
            _ => None,
        });
        self.tools.iter().chain(added.flatten())
    }
}
