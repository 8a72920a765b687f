//! The neutral content of a chat completion request: its settings here, its tools in `tools`, its messages in `conversation`.
//!
//! What is read here only other dialects need, so it is checked only for them; OpenAI's own says itself what it refuses.

use std::cell::RefCell;

use serde_json::value::RawValue;

use super::conversation;
use super::tools::{self, Tools};
use crate::door::members::Members;
use crate::wire::ask::Ask;
use crate::wire::ask::content::{Content, Format, FormatKind, Setting, SettingKind};
use crate::wire::ask::place::{Place, RequestFault};
use crate::wire::ask::unread::Unread;
use crate::wire::json::{Json, given, is_blank, is_text, says_nothing};

/// What says nothing, as people write it.
const DEFAULTS: [(&str, &[&str]); 11] = [
    ("frequency_penalty", &["0", "0.0"]),
    ("presence_penalty", &["0", "0.0"]),
    ("logit_bias", &["{}"]),
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
    ("metadata", &["{}"]),
    ("modalities", &[r#"["text"]"#]),
    ("n", &["1"]),
    ("service_tier", &[r#""auto""#]),
    ("store", &["false"]),
    ("verbosity", &[r#""medium""#]),
];

/// Reads the neutral content.
///
/// # Errors
/// What is no chat completion request in the parts that [`super::parse`] leaves unread.
pub fn read<'a>(ask: &'a Ask<'a>) -> Result<Content<'a>, RequestFault> {
    let unread = RefCell::default();
    let items = conversation::read(&ask.turns, &unread)?;
    let Tools { tools, choice } = tools::read(ask, &unread)?;
    let format = format(ask, &unread)?;
    read_stream_options(ask, &unread);
    let unread = unread.into_inner();
    Ok(Content { list: "messages", settings: settings(ask), format, tools, choice, items, unread })
}

/// What a field sets; nothing for those that are no settings.
fn kind(name: &str) -> Option<SettingKind> {
    match name {
        "model" | "messages" | "stream" | "stream_options" | "tools" | "tool_choice" | "response_format" => None,
        "max_tokens" | "max_completion_tokens" => Some(SettingKind::MaxOutput),
        "n" => Some(SettingKind::Answers),
        "reasoning_effort" => Some(SettingKind::Effort),
        "verbosity" => Some(SettingKind::Verbosity),
        "temperature" => Some(SettingKind::Temperature),
        "top_p" => Some(SettingKind::TopP),
        "stop" => Some(SettingKind::Stop),
        "seed" => Some(SettingKind::Seed),
        "frequency_penalty" => Some(SettingKind::FrequencyPenalty),
        "presence_penalty" => Some(SettingKind::PresencePenalty),
        "logit_bias" => Some(SettingKind::LogitBias),
        "logprobs" => Some(SettingKind::Logprobs),
        "top_logprobs" => Some(SettingKind::TopLogprobs),
        "parallel_tool_calls" => Some(SettingKind::ParallelCalls),
        "user" | "safety_identifier" => Some(SettingKind::User),
        "prompt_cache_key" => Some(SettingKind::CacheKey),
        "metadata" => Some(SettingKind::Metadata),
        "service_tier" => Some(SettingKind::ServiceTier),
        "store" => Some(SettingKind::Store),
        _ => Some(SettingKind::Other),
    }
}

fn settings<'a>(ask: &Ask<'a>) -> Vec<Setting<'a>> {
    let mut settings = Vec::new();
    let limit = first(ask, ["max_completion_tokens", "max_tokens"], |_| true);
    let user = first(ask, ["safety_identifier", "user"], |value| is_text(value) && !is_blank(value));
    for field in &ask.fields {
        let (name, value) = (field.name.as_ref(), field.value);
        let is_default = DEFAULTS.iter().any(|(known, defaults)| *known == name && defaults.contains(&value.get()));
        if value.get() == "null" || is_default {
            continue;
        }
        let kind = match (name, kind(name)) {
            // Where the functions count they are read as tools, so they are no settings, and `tool_choice` has no meaning then.
            ("functions" | "function_call", _) if ask.legacy_calls || value.get() == "[]" => None,
            ("tool_choice", _) if ask.legacy_calls => Some(SettingKind::Other),
            // Of two names for the same, one counts, and the other means nothing any more.
            (_, Some(SettingKind::MaxOutput)) if limit != Some(name) => besides(ask, limit, value),
            (_, Some(SettingKind::User)) if user != Some(name) => besides(ask, user, value),
            // A legacy answer has room for one call in any case.
            (_, Some(SettingKind::ParallelCalls)) if ask.legacy_calls => None,
            (_, kind) => kind,
        };
        if let Some(kind) = kind {
            settings.push(Setting { name: field.name.clone(), kind, value: Json::Borrowed(value) });
        }
    }
    if ask.legacy_calls {
        let value = Json::Borrowed(RawValue::FALSE);
        settings.push(Setting { name: "functions".into(), kind: SettingKind::ParallelCalls, value });
    }
    settings
}

/// The first of these fields that says something.
fn first(ask: &Ask<'_>, names: [&'static str; 2], says: impl Fn(&RawValue) -> bool) -> Option<&'static str> {
    names.into_iter().find(|name| given(ask.field(name)).is_some_and(&says))
}

/// What a setting is beside another one that counts; nothing where it says nothing else.
fn besides(ask: &Ask<'_>, other: Option<&str>, value: &RawValue) -> Option<SettingKind> {
    let counts = other.and_then(|name| ask.field(name)).map(RawValue::get);
    let is_said = says_nothing(value) || is_text(value) && is_blank(value) || counts == Some(value.get());
    (!is_said).then_some(SettingKind::Other)
}

/// Streams are as every API has them, and usage is told by the door.
fn read_stream_options<'a>(ask: &Ask<'a>, unread: &RefCell<Unread<'a>>) {
    let options = given(ask.field("stream_options"));
    let place = Place::field("stream_options");
    if let Some(mut options) = options.and_then(|options| Members::open(options, place, unread)) {
        options.take_flag("include_usage");
    }
}

fn format<'a>(ask: &Ask<'a>, unread: &RefCell<Unread<'a>>) -> Result<Option<Format<'a>>, RequestFault> {
    let Some(format) = given(ask.field("response_format")) else { return Ok(None) };
    let place = Place::field("response_format");
    let format = Members::open(format, place, unread);
    let mut format = format.ok_or_else(|| place.fault("must be an object"))?;
    let kind = match format.take("type").map(RawValue::get) {
        Some(r#""text""#) => return Ok(None),
        Some(r#""json_object""#) => FormatKind::Json,
        Some(r#""json_schema""#) => {
            let leaf = "json_schema";
            let json_schema = format.take(leaf).ok_or_else(|| place.leaf(leaf).fault("is missing"))?;
            schema(format.inner(json_schema, leaf).ok_or_else(|| place.leaf(leaf).fault("must be an object"))?)?
        }
        Some(_) | None => {
            return Err(place.leaf("type").fault("must be `text`, `json_object` or `json_schema`"));
        }
    };
    Ok(Some(Format { name: "response_format", kind }))
}

fn schema<'a>(mut json_schema: Members<'_, 'a>) -> Result<FormatKind<'a>, RequestFault> {
    let schema = json_schema.take("schema");
    if schema.is_some_and(|schema| !schema.get().starts_with('{')) {
        return Err(json_schema.place().leaf("json_schema.schema").fault("must be an object"));
    }
    Ok(FormatKind::Schema {
        name: json_schema.take_text("name"),
        description: json_schema.take_text("description"),
        schema: schema.map(Json::Borrowed),
        strict: json_schema.take_flag("strict"),
    })
}
