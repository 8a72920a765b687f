//! The body of a request to the Messages API, from the neutral content of a request.
//!
//! Settings are put here, items, tools and schemas by the modules beside it. What the API has no word for is left out and named.

use serde_json::value::RawValue;

use super::calls::Reading;
use super::parts::invalid;
use super::pointers::Changes;
use super::reasoning::{self, Circumstances};
use super::schema::Costs;
use super::wire::{Block, Body, Format, Metadata, OutputConfig, ServiceTier, Thinking};
use super::{cache, native, row, schema, schema_form, strict, thoughts, tools, turns, user};
use crate::error::Error;
use crate::policy::{Candidate, Dialect, Model, Policy, is_decided_in_messages};
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::upstream::dialect::{EncodeOptions, Encoded, Recipient, in_words};
use crate::wire::ask::content::{Content, FormatKind, Setting, SettingKind};
use crate::wire::ask::items::{Item, ItemKind, Part};
use crate::wire::ask::place::Place;
use crate::wire::ask::{Api, Ask};
use crate::wire::json::{Json, JsonString, is_blank, is_text};

/// How the answer is to be shaped.
#[derive(Default)]
struct Shape {
    format: Option<Format>,
    /// For the end of the system prompt.
    hint: Option<String>,
    costs: Costs,
}

/// The request as `candidate` takes it. Usage is told without being asked for.
///
/// # Errors
/// A 400 with `param` for what the Messages API cannot carry at all, or only with another meaning.
pub fn encode_request(
    policy: &Policy,
    candidate: &Candidate,
    request: &Ask<'_>,
    options: &EncodeOptions,
) -> Result<Encoded, Error> {
    let recipient = Recipient::of(policy, candidate);
    match request.api {
        Api::Messages => return Ok(native::encode_request(&recipient, request, options)),
        Api::Chat | Api::Gateway => {}
    }
    let model = recipient.model;
    let content = &*request.content()?;
    let mut dropped = Dropped::default();
    check_answers(content)?;
    let max_tokens = max_tokens(content, model, &mut dropped)?;
    let text = options.begun.as_deref().filter(|_| model.prefill.is_some()).unwrap_or_default();
    let (shown, hidden) = text.split_at(text.trim_end().len());
    let begun = (!shown.is_empty()).then(|| begun(content, shown));
    let reading = Reading::of_content(content);
    let names = ToolNames::of(request, Dialect::AnthropicMessages);
    let sealer = options.sealer.as_deref();
    let setting = turns::Setting { list: content.list, model, sealer, reading: &reading, names: &names };
    let mut turns = turns::translate(setting, content.items.iter().chain(&begun), &mut dropped)?;
    // The API keeps no schema where it goes on with an answer.
    let keeps_schemas = model.json_schema && !turns.has_prefill;
    let shape = shape(content, keeps_schemas, &mut dropped);
    let circumstances =
        tools::Circumstances { called: &turns.called, reading: &reading, names: &names, costs: shape.costs };
    let tools = tools::translate(content, model, &circumstances, &mut dropped)?;
    let circumstances = Circumstances {
        max_tokens,
        forced_call: tools.forced,
        in_thoughtless_loop: turns.in_thoughtless_loop,
        has_prefill: turns.has_prefill,
        has_tools: request.features.has_tools,
        has_thoughts: turns.messages.iter().any(|turn| turn.content.iter().any(Block::is_thought)),
        shown: recipient.provider.show_reasoning,
    };
    let reasoning = reasoning::translate(content, &recipient, &circumstances, &mut dropped);
    if !reasoning.takes_thoughts && turns.remove_thoughts() {
        dropped.note(thoughts::FIELD);
    }
    let thinks = matches!(reasoning.thinking, Some(Thinking::Adaptive { .. } | Thinking::Enabled { .. }));
    let (temperature, top_p) = sampling(content, model, thinks, &mut dropped);
    let extras = extras(content, &recipient, thinks, &mut dropped);

    let mut body = Body {
        model: &model.id,
        max_tokens,
        system: turns.system,
        messages: turns.messages,
        tools: tools.tools,
        tool_choice: tools.choice,
        thinking: reasoning.thinking,
        output_config: OutputConfig { effort: reasoning.effort, format: shape.format },
        stop_sequences: stop_sequences(content, &mut dropped)?,
        temperature,
        top_p,
        metadata: content
            .setting(SettingKind::User)
            .map(|setting| Metadata { user_id: user::id(setting, &mut dropped) }),
        service_tier: service_tier(content, &mut dropped),
        stream: options.asks_for_a_stream(request),
    };
    let is_marked = cache::keep_marks(&mut body, &mut dropped);
    if !is_marked && cache::pays(model, request.features.input_tokens, || cache::may_return(&body)) {
        cache::mark(&mut body, model.prompt_cache_min);
    }
    // What depends on the request stands behind what a cache may hold.
    let hints = [tools.hint, shape.hint];
    body.system.extend(hints.into_iter().flatten().map(|hint| Block::note(&hint)));
    let mut json = Vec::with_capacity(request.bytes + request.bytes / 8 + 512);
    serde_json::to_writer(&mut json, &body).expect("strings and JSON should serialise");
    let body = row::adapt(&recipient, json, &extras, &mut dropped);
    Ok(Encoded { body, dropped: dropped.0, hidden: hidden.to_owned() })
}

/// What an answer began, as the last thing that was said.
fn begun(content: &Content<'_>, text: &str) -> Item<'static> {
    let place = Place::element(content.list, content.items.len());
    Item::new(place, ItemKind::Text { phase: None, parts: vec![Part::text(place, JsonString::encode(text))] })
}

fn check_answers(content: &Content<'_>) -> Result<(), Error> {
    match content.setting(SettingKind::Answers) {
        Some(setting) if setting.value.get() != "1" => Err(invalid(&setting.name, "must be 1 for the serving model")),
        Some(_) | None => Ok(()),
    }
}

/// The limit on the answer, never above what the model can do.
fn max_tokens(content: &Content<'_>, model: &Model, dropped: &mut Dropped) -> Result<u64, Error> {
    let asked = content.setting(SettingKind::MaxOutput);
    match asked.and_then(|setting| Some((setting.name.as_ref(), setting.value.get().parse::<u64>().ok()?))) {
        None => Ok(model.default_max_tokens),
        Some((name, 0)) => Err(invalid(name, "must be at least 1")),
        Some((name, asked)) if asked > model.max_output => {
            dropped.note(name);
            Ok(model.max_output)
        }
        Some((_, asked)) => Ok(asked),
    }
}

fn shape(content: &Content<'_>, keeps_schemas: bool, dropped: &mut Dropped) -> Shape {
    let Some(format) = content.last_format() else { return Shape::default() };
    let asked_in_words = || Shape { hint: Some(in_words::answer_form(&format.kind)), ..Shape::default() };
    let FormatKind::Schema { name, description, schema: Some(schema), strict: _ } = &format.kind else {
        dropped.note(format.name);
        return asked_in_words();
    };
    let heading = schema::Heading { name: name.as_ref(), description: description.as_ref() };
    let is_cheap = |sanitised: &schema::Sanitised| {
        let Costs { optional, unions } = sanitised.costs;
        optional <= strict::MAX_COSTS.optional && unions <= strict::MAX_COSTS.unions
    };
    let rewritten = schema_form::rewritten(schema.get(), Changes::default());
    let in_form = rewritten.as_ref().map_or(schema.get(), |rewritten| &rewritten.schema);
    let sanitised = match keeps_schemas {
        true => schema::sanitise(in_form, heading, &mut schema::Budget::default()).filter(is_cheap),
        false => None,
    };
    let is_weaker = rewritten.as_ref().is_some_and(|rewritten| rewritten.is_weaker);
    if is_weaker || sanitised.as_ref().is_none_or(|sanitised| sanitised.weakened) {
        dropped.note(format.name);
    }
    match sanitised {
        Some(schema::Sanitised { schema, is_renamed, costs, .. }) => {
            if is_renamed {
                dropped.note(&Place::field(format.name).leaf("json_schema").path_to("name"));
            }
            Shape { format: Some(Format::JsonSchema { schema }), hint: None, costs }
        }
        None => asked_in_words(),
    }
}

/// `temperature`, which the API takes up to 1, and `top_p`, as far as the model takes them.
fn sampling<'x>(
    content: &'x Content<'x>,
    model: &Model,
    thinks: bool,
    dropped: &mut Dropped,
) -> (Option<Json<'x>>, Option<&'x RawValue>) {
    let (temperature, top_p) = (content.setting(SettingKind::Temperature), content.setting(SettingKind::TopP));
    if !model.sampling || thinks {
        for setting in [temperature, top_p].into_iter().flatten() {
            if setting.value.get().parse() != Ok(1.0) {
                dropped.note(&setting.name);
            }
        }
        return (None, None);
    }
    let is_exclusive = model.sampling_exclusive && temperature.is_some();
    if let (true, Some(setting)) = (is_exclusive, top_p) {
        dropped.note(&setting.name);
    }
    let clamped = temperature.map(|setting| match setting.value.get().parse::<f64>() {
        Ok(number) if number <= 1.0 => Json::Borrowed(setting.value.raw()),
        Ok(_) | Err(_) => {
            dropped.note(&setting.name);
            Json::parse("1".to_owned()).expect("a number should be JSON")
        }
    });
    (clamped, top_p.filter(|_| !is_exclusive).map(|setting| setting.value.raw()))
}

/// Sequences that end the answer; blank ones, which the API refuses, are left out.
fn stop_sequences<'x>(content: &'x Content<'x>, dropped: &mut Dropped) -> Result<Vec<&'x RawValue>, Error> {
    let Some(setting) = content.setting(SettingKind::Stop) else { return Ok(Vec::new()) };
    let stop = setting.value.raw();
    let mut sequences: Vec<&'x RawValue> = match is_text(stop) {
        true => vec![stop],
        false => serde_json::from_str(stop.get()).unwrap_or_default(),
    };
    if !sequences.iter().all(|sequence| is_text(sequence)) {
        return Err(invalid(&setting.name, "must be a string or an array of strings"));
    }
    let given = sequences.len();
    sequences.retain(|sequence| !is_blank(sequence));
    if sequences.len() < given {
        dropped.note(&setting.name);
    }
    Ok(sequences)
}

/// The capacity that serves the request, in the API's words: what it does by itself is called automatic there too.
fn service_tier(content: &Content<'_>, dropped: &mut Dropped) -> Option<ServiceTier> {
    let setting = content.setting(SettingKind::ServiceTier)?;
    match setting.value.get() {
        r#""default""# | r#""standard""# | r#""standard_only""# => Some(ServiceTier::StandardOnly),
        r#""auto""# => None,
        _ => {
            dropped.note(&setting.name);
            None
        }
    }
}

/// The settings that the API has no word for and the rows add. Names the others, and what the neutral form has no word for.
fn extras<'x>(
    content: &'x Content<'x>,
    recipient: &Recipient<'_>,
    thinks: bool,
    dropped: &mut Dropped,
) -> Vec<&'x Setting<'x>> {
    content.unread.paths().for_each(|path| dropped.note(&path));
    let mut extras = Vec::new();
    // Models that take no sampling, or not while they think, refuse it as they do the fields that the API shares.
    let takes_sampling = recipient.model.sampling && !thinks;
    let takes =
        |name: &str| recipient.adds(name) && !is_decided_in_messages(name) && (name != "top_k" || takes_sampling);
    for setting in &content.settings {
        match setting.kind {
            SettingKind::MaxOutput
            | SettingKind::Answers
            | SettingKind::Effort
            | SettingKind::Temperature
            | SettingKind::TopP
            | SettingKind::Stop
            | SettingKind::ParallelCalls
            | SettingKind::ServiceTier
            | SettingKind::User => {}
            SettingKind::ReasoningSummary
            | SettingKind::Verbosity
            | SettingKind::TopK
            | SettingKind::Seed
            | SettingKind::FrequencyPenalty
            | SettingKind::PresencePenalty
            | SettingKind::LogitBias
            | SettingKind::Logprobs
            | SettingKind::TopLogprobs
            | SettingKind::CacheKey
            | SettingKind::Metadata
            | SettingKind::Store
            | SettingKind::Other => match takes(&setting.name) {
                true => extras.push(setting),
                false => dropped.note(&setting.name),
            },
        }
    }
    extras
}
