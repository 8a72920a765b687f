//! What a request asks for, in no dialect's words: settings, tools, the form of the answer and the conversation.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::items::{CacheMark, Item, ItemKind};
use super::place::{Located, Place};
use super::unread::Unread;
use crate::wire::call::CallKind;
use crate::wire::json::{Json, JsonString};

/// All that a request asks for.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// The field that holds the conversation.
    pub list: &'static str,
    /// The settings in the client's order; one that says nothing, as null or its API's default, is left out.
    pub settings: Vec<Setting<'a>>,
    pub format: Option<Format<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<Choice<'a>>,
    pub items: Vec<Item<'a>>,
    /// What of all that no dialect can carry, since this form has no word for it.
    pub unread: Unread<'a>,
}

/// A setting. Its value is JSON of the type that all dialects have for its kind.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// The client's name for it.
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
    /// The client's name for it.
    pub name: &'static str,
    pub kind: FormatKind<'a>,
}

/// Which form the answer's text must have.
#[derive(Clone, Debug)]
pub enum FormatKind<'a> {
    /// Any JSON object.
    Json,
    Schema {
        name: Option<JsonString<'a>>,
        description: Option<JsonString<'a>>,
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
    pub description: Option<JsonString<'a>>,
    /// Whether the model learns of it only when it looks for it.
    pub is_deferred: bool,
    pub cache: Option<CacheMark>,
    /// The tool as the client wrote it.
    pub raw: &'a RawValue,
}

/// What a tool takes, or who runs it.
#[derive(Clone, Debug)]
pub enum ToolKind<'a> {
    Function {
        /// The JSON schema of its arguments.
        parameters: Option<Located<&'a RawValue>>,
        /// Nothing where the API's default holds.
        strict: Option<bool>,
    },
    /// Its input is any text, or one that the grammar allows.
    Custom { grammar: Option<Grammar<'a>> },
    /// One that the provider itself runs.
    Hosted,
}

/// What a custom tool's input must look like.
#[derive(Clone, Debug)]
pub struct Grammar<'a> {
    pub syntax: JsonString<'a>,
    pub definition: JsonString<'a>,
}

/// Whether and which tools are to be called.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    pub place: Place,
    pub demand: Demand<'a>,
}

/// What the client demands of the model's calls.
#[derive(Clone, Debug)]
pub enum Demand<'a> {
    /// The model decides.
    Auto,
    /// No tool may be called.
    None,
    /// Any tool must be called.
    Any,
    /// This tool must be called.
    Tool(ToolName<'a>),
    /// No other tools than these may be called.
    Allowed { must_call: bool, tools: Located<Vec<ToolName<'a>>> },
    /// What no other dialect has, or nobody knows.
    Other(&'a RawValue),
}

/// A tool that a choice names.
#[derive(Clone, Debug)]
pub struct ToolName<'a> {
    pub kind: CallKind,
    pub name: Cow<'a, str>,
}

/// The effort that a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct AskedEffort<'a> {
    /// The client's name for the setting.
    pub name: &'a str,
    pub value: &'a RawValue,
}

impl<'a> Content<'a> {
    /// The first setting of a kind.
    pub fn setting(&self, kind: SettingKind) -> Option<&Setting<'a>> {
        self.settings.iter().find(|setting| setting.kind == kind)
    }

    /// The tools, with those that the conversation adds, without those that it takes away.
    pub fn all_tools(&self) -> impl Iterator<Item = &Tool<'a>> {
        let added = self.items.iter().filter_map(|item| match &item.kind {
            ItemKind::ToolsAdded(tools) => Some(tools),
            _ => None,
        });
        let removed: BTreeSet<&str> = self
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::ToolsRemoved(names) => Some(names),
                _ => None,
            })
            .flatten()
            .map(AsRef::as_ref)
            .collect();
        self.tools.iter().chain(added.flatten()).filter(move |tool| !removed.contains(tool.name.value.as_ref()))
    }

    /// The form of the answer, as the conversation has it at its end.
    pub fn last_format(&self) -> Option<&Format<'a>> {
        let changed = self.items.iter().rev().find_map(|item| match &item.kind {
            ItemKind::Config { format, .. } => format.as_ref(),
            _ => None,
        });
        changed.or(self.format.as_ref())
    }

    /// The effort, as the conversation has it at its end.
    pub fn last_effort(&self) -> Option<AskedEffort<'_>> {
        let setting = self.setting(SettingKind::Effort);
        let name = setting.map_or("effort", |setting| setting.name.as_ref());
        let changed = self.items.iter().rev().find_map(|item| match &item.kind {
            ItemKind::Config { effort, .. } => effort.as_ref().map(JsonString::raw),
            _ => None,
        });
        changed.or(setting.map(|setting| setting.value.raw())).map(|value| AskedEffort { name, value })
    }
}
