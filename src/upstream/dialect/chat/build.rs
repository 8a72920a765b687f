//! A request that came in other words, in those of OpenAI's Chat Completions API: its fields, as a client of that API would
//! have sent them. What becomes of them at a certain provider is `request`'s matter.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::client_names::ClientNames;
use super::wire::{
    Allowed, CustomFormat, CustomTool, FunctionTool, Grammar, JsonSchema, Name, ResponseFormat, Tool, ToolChoice,
    ToolName,
};
use super::{messages, strict_schema};
use crate::error::{Error, Kind};
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::edit::{ObjectEdit, OpenedObject};
use crate::upstream::dialect::{Recipient, in_words, user_hash};
use crate::upstream::sealer::Sealer;
use crate::wire::ask::content::{self, AskedEffort, Content, Demand, FormatKind, Setting, SettingKind, ToolKind};
use crate::wire::ask::items::qualified;
use crate::wire::ask::place::{Located, Place};
use crate::wire::ask::turns::{Role, Turn};
use crate::wire::ask::{Api, Ask};
use crate::wire::call::CallKind;
use crate::wire::containers::{elements, members};
use crate::wire::json::{self, Field, Json, JsonString};

/// What a schema is called that has no name, as the API demands one.
const SCHEMA_NAME: &str = "answer";

/// The longest id of a user that OpenAI's API takes.
const MAX_USER_CHARACTERS: usize = 64;

/// The most sequences that end an answer in OpenAI's API.
const MAX_SEQUENCES: usize = 4;

/// The fields of a request in this dialect.
pub struct Built {
    fields: Vec<(&'static str, Box<RawValue>)>,
    messages: Vec<(Role, Box<RawValue>)>,
    pub names: ClientNames,
    pub dropped: Dropped,
}

/// Puts `request` into this dialect's words; `sealer` opens the tokens that are the model's own. Where the model, or its provider, takes no schema, words ask for it.
///
/// # Errors
/// A 400 with `param` for what this dialect cannot carry at all.
pub fn build(request: &Ask<'_>, recipient: &Recipient<'_>, sealer: Option<&Sealer>) -> Result<Built, Error> {
    let content = &*request.content()?;
    let names = ClientNames::of(request.api, content);
    let mut built = Built { fields: Vec::new(), messages: Vec::new(), names, dropped: Dropped::default() };
    let mut hint = None;
    if let Some(format) = content.last_format() {
        if recipient.model.json_schema && recipient.takes("response_format") {
            let strict = built.strictness(request.api, &format.kind, format.name);
            built.set("response_format", &response_format(&format.kind, strict));
        } else {
            built.dropped.note(format.name);
            hint = Some(in_words::answer_form(&format.kind));
        }
    }
    content.unread.paths().for_each(|path| built.dropped.note(&path));
    let setting = messages::Setting { api: request.api, hint: hint.as_deref(), sealer };
    let messages = messages::build(content, setting, &mut built.dropped)?;
    built.messages = messages.iter().map(|message| (message.role(), raw(message))).collect();
    let array: Vec<&RawValue> = built.messages.iter().map(|(_, message)| &**message).collect();
    let array = raw(&array);
    built.fields.push(("messages", array));
    built.set_tools(content, request.api)?;
    for setting in &content.settings {
        match name(setting.kind) {
            Some("reasoning_effort") => {}
            Some("max_completion_tokens") if setting.value.get() == "0" => {
                return Err(Error::new(Kind::InvalidRequest, format!("`{}` must be at least 1.", setting.name))
                    .with_param(setting.name.as_ref()));
            }
            Some(name @ "stop") => {
                let stop = sequences(setting, &mut built.dropped);
                stop.iter().for_each(|stop| built.set(name, stop));
            }
            Some(name @ "user") => {
                let user = user_id(setting, &mut built.dropped);
                built.set(name, &user);
            }
            Some(name) => built.set(name, setting.value.raw()),
            None => built.dropped.note(&setting.name),
        }
    }
    if let Some(AskedEffort { name, value: effort }) = content.last_effort() {
        // Clients of the other API name an effort for whatever model; one that lists none may know none.
        match request.api {
            Api::Messages if recipient.model.efforts.is_none() => built.dropped.note(name),
            Api::Chat | Api::Messages | Api::Gateway => built.set("reasoning_effort", effort),
        }
    }
    built.set("stream", &request.stream);
    Ok(built)
}

impl Built {
    pub fn fields(&self) -> Vec<Field<'_>> {
        self.fields.iter().map(|(name, value)| Field { name: (*name).into(), value }).collect()
    }

    pub fn turns(&self) -> Vec<Turn<'_>> {
        self.messages.iter().map(|(role, raw)| Turn::written(*role, raw.get())).collect()
    }

    fn set(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        self.fields.push((name, raw(value)));
    }

    /// Whether a form of the answer is to be kept to the letter. The Messages API always does that, and names no such thing;
    /// where its schema is none that may be, that is named.
    fn strictness(&mut self, api: Api, kind: &FormatKind<'_>, name: &str) -> Option<bool> {
        let FormatKind::Schema { schema, strict, .. } = kind else { return None };
        let asked = match api {
            Api::Messages => Some(true),
            Api::Chat | Api::Gateway => return *strict,
        };
        self.strict(asked, schema.as_ref().map(Json::raw), name)
    }

    /// `strict` as far as OpenAI takes it with this schema, which another API may have taken.
    fn strict(&mut self, asked: Option<bool>, schema: Option<&RawValue>, name: &str) -> Option<bool> {
        let is_lost = asked == Some(true) && !schema.is_some_and(strict_schema::takes);
        if is_lost {
            self.dropped.note(name);
        }
        asked.filter(|_| !is_lost)
    }

    /// # Errors
    /// A 400 for what is no function, and for a choice of what is no tool.
    fn set_tools(&mut self, content: &Content<'_>, api: Api) -> Result<(), Error> {
        let mut tools = Vec::new();
        for tool in content.all_tools() {
            if let Some(mark) = tool.cache {
                self.dropped.note(&mark.path());
            }
            let strict = match (&tool.kind, api) {
                (ToolKind::Function { parameters, strict }, Api::Messages) => {
                    self.strict(*strict, parameters.as_ref().map(|parameters| parameters.value), "tools.strict")
                }
                (ToolKind::Function { strict, .. }, Api::Chat | Api::Gateway) => *strict,
                (ToolKind::Custom { .. } | ToolKind::Hosted, _) => None,
            };
            match build_tool(tool, strict)? {
                Some(tool) => tools.push(tool),
                None => self.dropped.note("tools"),
            }
        }
        if !tools.is_empty() {
            self.set("tools", &tools);
        }
        if let Some(content::Choice { place, demand: Demand::Tool(chosen) }) = &content.choice {
            let is_there = |tool: &content::Tool<'_>| tool.name.value == chosen.name;
            if !tools.is_empty() && !content.all_tools().any(is_there) {
                return Err(place.fault("names a tool that is not among the tools").into());
            }
        }
        match content.choice.as_ref().map(|choice| (choice.place, build_choice(&choice.demand))) {
            Some((_, Some(choice))) => self.set("tool_choice", &choice),
            Some((place, None)) => self.dropped.note(&place.to_string()),
            None => {}
        }
        Ok(())
    }
}

fn raw(value: &(impl Serialize + ?Sized)) -> Box<RawValue> {
    to_raw_value(value).expect("strings and JSON should serialise")
}

/// What the API calls a setting, if it has it.
fn name(kind: SettingKind) -> Option<&'static str> {
    match kind {
        SettingKind::MaxOutput => Some("max_completion_tokens"),
        SettingKind::Answers => Some("n"),
        SettingKind::Effort => Some("reasoning_effort"),
        SettingKind::Verbosity => Some("verbosity"),
        SettingKind::Temperature => Some("temperature"),
        SettingKind::TopP => Some("top_p"),
        SettingKind::Stop => Some("stop"),
        SettingKind::Seed => Some("seed"),
        SettingKind::FrequencyPenalty => Some("frequency_penalty"),
        SettingKind::PresencePenalty => Some("presence_penalty"),
        SettingKind::LogitBias => Some("logit_bias"),
        SettingKind::Logprobs => Some("logprobs"),
        SettingKind::TopLogprobs => Some("top_logprobs"),
        SettingKind::ParallelCalls => Some("parallel_tool_calls"),
        SettingKind::User => Some("user"),
        SettingKind::CacheKey => Some("prompt_cache_key"),
        SettingKind::Metadata => Some("metadata"),
        SettingKind::ServiceTier => Some("service_tier"),
        SettingKind::Store => Some("store"),
        // None of the API's, but some providers' rows add it.
        SettingKind::TopK => Some("top_k"),
        SettingKind::ReasoningSummary | SettingKind::Other => None,
    }
}

/// What ends the answer: as many sequences as OpenAI takes, without empty ones; nothing if none is left. The others are named.
fn sequences<'x>(setting: &'x Setting<'_>, dropped: &mut Dropped) -> Option<Json<'x>> {
    let whole = Json::Borrowed(setting.value.raw());
    let Some(sequences) = elements(setting.value.raw()) else { return Some(whole) };
    let given = sequences.len();
    let mut kept: Vec<&RawValue> = sequences.into_iter().filter(|sequence| sequence.get() != r#""""#).collect();
    kept.truncate(MAX_SEQUENCES);
    if kept.len() == given {
        return Some(whole);
    }
    dropped.note(&setting.name);
    (!kept.is_empty()).then(|| Json::Owned(raw(&kept)))
}

/// The id of the user whom a setting names, hashed and named if it is longer than OpenAI takes one.
fn user_id<'x>(setting: &'x Setting<'_>, dropped: &mut Dropped) -> Json<'x> {
    let raw = setting.value.raw();
    match json::text(raw) {
        Some(user) if user.chars().count() > MAX_USER_CHARACTERS => {
            dropped.note(&setting.name);
            user_hash::write(&user)
        }
        Some(_) | None => Json::Borrowed(raw),
    }
}

fn response_format<'x>(kind: &'x FormatKind<'x>, strict: Option<bool>) -> ResponseFormat<'x> {
    match kind {
        FormatKind::Json => ResponseFormat::JsonObject,
        FormatKind::Schema { name, description, schema, strict: _ } => {
            let name = name.as_ref().map_or(Json::text(SCHEMA_NAME), |name| Json::Borrowed(name.raw()));
            let description = description.as_ref().map(JsonString::raw);
            let schema = schema.as_ref().map(Json::raw);
            ResponseFormat::JsonSchema { json_schema: JsonSchema { name, description, schema, strict } }
        }
    }
}

/// A tool in the API's words; nothing for one that a provider runs itself.
///
/// # Errors
/// A 400 for a function without a name, or with parameters that are no object's.
fn build_tool<'x>(tool: &'x content::Tool<'x>, strict: Option<bool>) -> Result<Option<Tool<'x>>, Error> {
    if tool.name.value.is_empty() && !matches!(tool.kind, ToolKind::Hosted) {
        return Err(tool.place.leaf(tool.name.leaf).fault("must be a string that is not empty").into());
    }
    let name = qualified(tool.namespace.as_deref(), &tool.name.value);
    let description = tool.description.as_ref().map(JsonString::raw);
    Ok(match &tool.kind {
        ToolKind::Function { parameters, strict: _ } => {
            let parameters = match parameters {
                Some(Located { leaf, value }) => of_object(value, tool.place.leaf(leaf))?,
                None => None,
            };
            Some(Tool::Function { function: FunctionTool { name, description, parameters, strict } })
        }
        ToolKind::Custom { grammar } => {
            let format = grammar.as_ref().map(|grammar| CustomFormat::Grammar {
                grammar: Grammar { definition: grammar.definition.raw(), syntax: grammar.syntax.raw() },
            });
            Some(Tool::Custom { custom: CustomTool { name, description, format } })
        }
        ToolKind::Hosted => None,
    })
}

/// The schema of a function's parameters, which must say that they are an object; nothing if it says nothing.
fn of_object(schema: &RawValue, place: Place) -> Result<Option<Json<'_>>, Error> {
    if json::is_null(schema) {
        return Ok(None);
    }
    let fields = members(schema).ok_or_else(|| place.fault("must be an object"))?;
    match (json::field(&fields, "type").map(RawValue::get), schema.get().strip_prefix('{')) {
        (Some(r#""object""#), _) => Ok(Some(Json::Borrowed(schema))),
        (None, Some(_)) if fields.is_empty() => Ok(None),
        (None, Some(rest)) => Ok(Json::parse(format!(r#"{{"type":"object",{rest}"#))),
        // Some clients allow for null, too.
        (Some(kinds), _) if kinds.starts_with('[') && kinds.contains(r#""object""#) => Ok(with_type_of_object(schema)),
        (Some(_), _) | (None, None) => Err(place.fault("must have the `type` `object`").into()),
    }
}

fn build_choice<'x>(demand: &'x Demand<'x>) -> Option<ToolChoice<'x>> {
    match demand {
        Demand::Auto => Some(ToolChoice::Word("auto")),
        Demand::None => Some(ToolChoice::Word("none")),
        Demand::Any => Some(ToolChoice::Word("required")),
        Demand::Tool(tool) => Some(ToolChoice::Tool(tool_name(tool))),
        Demand::Allowed { must_call, tools } => {
            let mode = if *must_call { "required" } else { "auto" };
            let tools = tools.value.iter().map(tool_name).collect();
            Some(ToolChoice::Allowed { r#type: "allowed_tools", allowed_tools: Allowed { mode, tools } })
        }
        Demand::Other(_) => None,
    }
}

fn tool_name<'x>(tool: &'x content::ToolName<'x>) -> ToolName<'x> {
    let name = Name { name: &tool.name };
    match tool.kind {
        CallKind::Function | CallKind::Legacy => ToolName::Function { function: name },
        CallKind::Custom => ToolName::Custom { custom: name },
    }
}

fn with_type_of_object(schema: &RawValue) -> Option<Json<'_>> {
    let OpenedObject { fields, mut edit } = ObjectEdit::open(schema)?;
    for field in &fields {
        match field.name.as_ref() {
            "type" => edit.put(field, Cow::Owned(r#""object""#.to_owned())),
            _ => edit.put(field, Cow::Borrowed(field.value.get())),
        }
    }
    Json::parse(edit.finish().into_owned())
}
