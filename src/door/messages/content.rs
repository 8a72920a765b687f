//! The neutral content of a request to the Messages API: its settings here, its tools in `tools`, its messages in
//! `conversation`.
//!
//! What is read here only other dialects need, so it is checked only for them; Anthropic's own says itself what it refuses.

use std::borrow::Cow;
use std::cell::RefCell;

use serde_json::value::RawValue;

use super::conversation;
use super::tools::{self, Tools};
use crate::door::members::Members;
use crate::wire::ask::Ask;
use crate::wire::ask::content::{Content, Format, FormatKind, Setting, SettingKind};
use crate::wire::ask::place::{Place, RequestFault};
use crate::wire::ask::unread::Unread;
use crate::wire::containers::members_named;
use crate::wire::json::{Json, given, is_blank, says_nothing};

/// From how many tokens of a budget on a model is to think with medium, and with high effort: those of the budgets that the
/// other way stands for these words (docs/dialects.md).
const MEDIUM_BUDGET_TOKENS: u64 = 4_096;
const HIGH_BUDGET_TOKENS: u64 = 8_192;

/// Reads the neutral content.
///
/// # Errors
/// What is no request to the Messages API in the parts that [`super::parse`] leaves unread.
pub fn read<'a>(ask: &'a Ask<'a>) -> Result<Content<'a>, RequestFault> {
    let unread = RefCell::default();
    let items = conversation::read(ask, &unread)?;
    let Tools { tools, choice, parallel_calls } = tools::read(ask, &unread)?;
    let mut settings = Settings { list: Vec::new(), format: None };
    for field in &ask.fields {
        if let Some(kind) = kind(&field.name).filter(|_| !says_nothing(field.value)) {
            settings.push(field.name.to_string(), kind, Json::Borrowed(field.value));
        }
    }
    settings.read_thinking(ask, &unread);
    settings.read_output_config(ask, &unread)?;
    settings.read_metadata(ask, &unread);
    settings.read_service_tier(ask);
    settings.list.extend(parallel_calls);
    let Settings { list: settings, format } = settings;
    Ok(Content { list: "messages", settings, format, tools, choice, items, unread: unread.into_inner() })
}

/// What a field sets that holds nothing else; nothing for the others.
fn kind(name: &str) -> Option<SettingKind> {
    match name {
        "model" | "messages" | "system" | "stream" | "tools" | "tool_choice" | "thinking" | "output_config"
        | "output_format" | "metadata" | "service_tier" => None,
        "max_tokens" => Some(SettingKind::MaxOutput),
        "stop_sequences" => Some(SettingKind::Stop),
        "temperature" => Some(SettingKind::Temperature),
        "top_p" => Some(SettingKind::TopP),
        "top_k" => Some(SettingKind::TopK),
        _ => Some(SettingKind::Other),
    }
}

struct Settings<'a> {
    list: Vec<Setting<'a>>,
    format: Option<Format<'a>>,
}

impl<'a> Settings<'a> {
    fn push(&mut self, name: impl Into<Cow<'a, str>>, kind: SettingKind, value: Json<'a>) {
        self.list.push(Setting { name: name.into(), kind, value });
    }

    /// What is said of thinking, as an effort, where the client names none.
    fn read_thinking(&mut self, ask: &Ask<'a>, unread: &RefCell<Unread<'a>>) {
        let Some(raw) = given(ask.field("thinking")) else { return };
        let Some(mut thinking) = Members::open(raw, Place::field("thinking"), unread) else { return };
        if let Some(display) = thinking.take("display") {
            self.push("thinking.display", SettingKind::ReasoningSummary, Json::Borrowed(display));
        }
        let budget = thinking.take_as("budget_tokens", |budget| budget.get().parse::<u64>().ok());
        let kind = thinking.take_if("type", |kind| {
            matches!(kind.get(), r#""enabled""# | r#""adaptive""# | r#""between_tools""# | r#""disabled""#)
        });
        let has_effort = effort(ask).is_some();
        match (kind.map(RawValue::get), budget) {
            (Some(r#""disabled""#), _) => self.push("thinking", SettingKind::Effort, Json::text("none")),
            (Some(r#""enabled""#), Some(budget)) if !has_effort => {
                let word = match budget {
                    HIGH_BUDGET_TOKENS.. => "high",
                    MEDIUM_BUDGET_TOKENS.. => "medium",
                    _ => "low",
                };
                self.push("thinking.budget_tokens", SettingKind::Effort, Json::text(word));
            }
            _ => {}
        }
    }

    fn read_output_config(&mut self, ask: &Ask<'a>, unread: &RefCell<Unread<'a>>) -> Result<(), RequestFault> {
        let place = Place::field("output_config");
        if let Some(mut config) = given(ask.field("output_config")).and_then(|raw| Members::open(raw, place, unread)) {
            if let Some(effort) = config.take("effort") {
                // Who is not to think at all does it with no effort.
                let is_first = self.list.iter().all(|setting| setting.kind != SettingKind::Effort);
                let kind = if is_first { SettingKind::Effort } else { SettingKind::Other };
                self.push("output_config.effort", kind, Json::Borrowed(effort));
            }
            self.format = format(&mut config, "format")?;
        }
        let format = given(ask.field("output_format")).filter(|_| self.format.is_none());
        if let Some(mut format) = format.and_then(|raw| Members::open(raw, Place::field("output_format"), unread)) {
            self.format = read_format("output_format", &mut format)?;
        }
        Ok(())
    }

    fn read_metadata(&mut self, ask: &Ask<'a>, unread: &RefCell<Unread<'a>>) {
        let place = Place::field("metadata");
        let Some(mut metadata) = given(ask.field("metadata")).and_then(|raw| Members::open(raw, place, unread)) else {
            return;
        };
        if let Some(user) = metadata.take_if("user_id", |user| user.get().starts_with('"')).filter(|id| !is_blank(id)) {
            self.push("metadata.user_id", SettingKind::User, Json::Borrowed(user));
        }
    }

    /// The capacity that serves, in OpenAI's words; `auto` says nothing.
    fn read_service_tier(&mut self, ask: &Ask<'a>) {
        match given(ask.field("service_tier")) {
            None => {}
            Some(tier) if tier.get() == r#""auto""# => {}
            Some(tier) if tier.get() == r#""standard_only""# => {
                self.push("service_tier", SettingKind::ServiceTier, Json::text("default"));
            }
            Some(tier) => self.push("service_tier", SettingKind::Other, Json::Borrowed(tier)),
        }
    }
}

/// The effort that a request names for all of it.
fn effort<'a>(ask: &Ask<'a>) -> Option<&'a RawValue> {
    let config = given(ask.field("output_config"))?;
    members_named(config, &["effort"])?[0]
}

/// The form of the answer in a configuration, which a message may have, too; `leaf` is where it stands there.
///
/// # Errors
/// The place of what is no form.
pub fn format<'a>(config: &mut Members<'_, 'a>, leaf: &'static str) -> Result<Option<Format<'a>>, RequestFault> {
    let Some(raw) = config.take("format") else { return Ok(None) };
    let mut format = config.inner(raw, leaf).ok_or_else(|| config.place().leaf(leaf).fault("must be an object"))?;
    read_format("output_config.format", &mut format)
}

fn read_format<'a>(name: &'static str, format: &mut Members<'_, 'a>) -> Result<Option<Format<'a>>, RequestFault> {
    let place = format.place();
    let kind = format.take("type").map(RawValue::get);
    if kind != Some(r#""json_schema""#) {
        return Err(place.fault("must be an object with the `type` `json_schema`"));
    }
    let schema = format.take("schema").filter(|schema| schema.get().starts_with('{'));
    let schema = schema.ok_or_else(|| place.fault("must have a `schema`, which is an object"))?;
    let schema = Some(Json::Borrowed(schema));
    Ok(Some(Format { name, kind: FormatKind::Schema { name: None, description: None, schema, strict: None } }))
}
