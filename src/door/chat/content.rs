//! The neutral content of a chat completion request: its settings here, its tools in `tools`, its messages in `conversation`.
//!
//! What is read here only other dialects need, so it is checked only for them; OpenAI's own says itself what it refuses.

use serde_json::value::RawValue;

use super::conversation;
use super::tools::{self, Tools};
use crate::wire::ask::Ask;
use crate::wire::ask::content::{Content, Format, FormatKind, Setting, SettingKind};
use crate::wire::ask::place::{Place, RequestFault};
use crate::wire::json::{Json, JsonString, given, is_blank, is_text, object_fields};

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
    let items = conversation::read(&ask.turns)?;
    let Tools { tools, choice } = tools::read(ask)?;
    let format = format(ask)?;
    Ok(Content { list: "messages", settings: settings(ask), format, tools, choice, items })
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
            // Of two names for the same, one counts; a legacy answer has room for one call in any case.
            (_, Some(SettingKind::MaxOutput)) if limit != Some(name) => None,
            (_, Some(SettingKind::User)) if user != Some(name) => None,
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

fn format<'a>(ask: &Ask<'a>) -> Result<Option<Format<'a>>, RequestFault> {
    let Some(format) = given(ask.field("response_format")) else { return Ok(None) };
    let place = Place::field("response_format");
    let fields = object_fields(format.get()).map_err(|_| place.fault("must be an object"))?;
    let get = |name: &str| given(fields.iter().find(|field| field.name == name).map(|field| field.value));
    let kind = match get("type").map(RawValue::get) {
        Some(r#""text""#) => return Ok(None),
        Some(r#""json_object""#) => FormatKind::Json,
        Some(r#""json_schema""#) => {
            let json_schema = get("json_schema").ok_or_else(|| place.leaf("json_schema").fault("is missing"))?;
            schema(json_schema, place)?
        }
        Some(_) | None => {
            return Err(place.leaf("type").fault("must be `text`, `json_object` or `json_schema`"));
        }
    };
    Ok(Some(Format { name: "response_format", kind }))
}

fn schema<'a>(json_schema: &'a RawValue, place: Place) -> Result<FormatKind<'a>, RequestFault> {
    let must_be_object = |leaf| place.leaf(leaf).fault("must be an object");
    let fields = object_fields(json_schema.get()).map_err(|_| must_be_object("json_schema"))?;
    let get = |name: &str| given(fields.iter().find(|field| field.name == name).map(|field| field.value));
    let schema = get("schema");
    if schema.is_some_and(|schema| !schema.get().starts_with('{')) {
        return Err(must_be_object("json_schema.schema"));
    }
    Ok(FormatKind::Schema {
        name: get("name").and_then(JsonString::read),
        description: get("description").and_then(JsonString::read),
        schema: schema.map(Json::Borrowed),
        strict: get("strict").map(|strict| strict.get() == "true"),
    })
}
