//! A chat completion request as a request of the Messages API.
//!
//! Fields that the API has no word for are left out and named; a field at its default says nothing, so it is not named.

use serde_json::value::RawValue;

use super::parts::invalid;
use super::reasoning::{self, Circumstances};
use super::wire::{Block, Body, Format, Metadata, OutputConfig, Thinking};
use super::{cache, schema, tools, turns};
use crate::error::Error;
use crate::policy::{Candidate, Model, Policy};
use crate::upstream::dialect::Encoded;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::ask::Ask;
use crate::wire::json::object_fields;
use crate::wire::json::{Json, given, is_blank, is_text, text};

/// Fields that are read here or elsewhere, or are the gateway's own business.
const KNOWN: [&str; 19] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
    "stop",
    "temperature",
    "top_p",
    "user",
    "safety_identifier",
    "n",
];

/// What says nothing, as people write it.
const DEFAULTS: [(&str, &[&str]); 10] = [
    ("frequency_penalty", &["0", "0.0"]),
    ("presence_penalty", &["0", "0.0"]),
    ("logit_bias", &["{}"]),
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
    ("metadata", &["{}"]),
    ("modalities", &[r#"["text"]"#]),
    ("service_tier", &[r#""auto""#]),
    ("store", &["false"]),
    ("verbosity", &[r#""medium""#]),
];

/// How the answer is to be shaped.
#[derive(Default)]
struct Shape {
    format: Option<Format>,
    /// For the end of the system prompt.
    hint: Option<String>,
}

/// The client's request as `candidate` takes it. Usage is told without being asked for.
///
/// # Errors
/// A 400 with `param` for what the Messages API cannot carry at all, or only with another meaning.
pub fn encode_request(policy: &Policy, candidate: &Candidate, request: &Ask<'_>) -> Result<Encoded, Error> {
    let model = policy.model(candidate.model);
    let mut dropped = Dropped::default();
    check_choices(request)?;
    let max_tokens = max_tokens(request, model, &mut dropped)?;
    let turns = turns::translate(request, model, &mut dropped)?;
    let tools = tools::translate(request, model, &turns.called, &mut dropped)?;
    let shape = shape(request, model, &mut dropped)?;
    let circumstances = Circumstances {
        max_tokens,
        forced_call: tools.forced,
        in_tool_loop: turns.in_tool_loop,
        has_prefill: turns.has_prefill,
        shown: policy.provider(model.provider).show_reasoning,
    };
    let reasoning = reasoning::translate(request, (candidate, model), &circumstances, &mut dropped);
    let thinks = matches!(reasoning.thinking, Some(Thinking::Adaptive { .. } | Thinking::Enabled { .. }));
    let (temperature, top_p) = sampling(request, model, thinks, &mut dropped);
    drop_unknown(request, &mut dropped);

    let mut body = Body {
        model: &model.id,
        max_tokens,
        system: turns.system,
        messages: turns.messages,
        tools: tools.tools,
        tool_choice: tools.choice,
        thinking: reasoning.thinking,
        output_config: OutputConfig { effort: reasoning.effort, format: shape.format },
        stop_sequences: stop_sequences(request, &mut dropped)?,
        temperature,
        top_p,
        metadata: user_id(request).map(|user_id| Metadata { user_id }),
        stream: request.stream,
    };
    if let Some(min_tokens) = model.prompt_cache_min {
        cache::mark(&mut body, min_tokens);
    }
    // What depends on the request stands behind what a cache may hold.
    let hints = [tools.hint, shape.hint];
    body.system.extend(hints.into_iter().flatten().map(|hint| Block::note(&hint)));
    let length: usize = request.fields.iter().map(|field| field.value.get().len()).sum();
    let mut json = Vec::with_capacity(length + length / 8 + 512);
    serde_json::to_writer(&mut json, &body).expect("strings and JSON should serialise");
    Ok(Encoded { body: json, dropped: dropped.0 })
}

fn check_choices(request: &Ask<'_>) -> Result<(), Error> {
    match given(request.field("n")).map(RawValue::get) {
        None | Some("1") => Ok(()),
        Some(_) => Err(invalid("n", "must be 1 for the serving model")),
    }
}

/// The limit on the answer, never above what the model can do.
fn max_tokens(request: &Ask<'_>, model: &Model, dropped: &mut Dropped) -> Result<u64, Error> {
    let asked = ["max_completion_tokens", "max_tokens"].into_iter().find_map(|name| {
        let value = given(request.field(name))?;
        Some((name, value.get().parse::<u64>().ok()?))
    });
    match asked {
        None => Ok(model.default_max_tokens),
        Some((name, 0)) => Err(invalid(name, "must be at least 1")),
        Some((name, asked)) if asked > model.max_output => {
            dropped.note(name);
            Ok(model.max_output)
        }
        Some((_, asked)) => Ok(asked),
    }
}

fn shape(request: &Ask<'_>, model: &Model, dropped: &mut Dropped) -> Result<Shape, Error> {
    let Some(format) = given(request.field("response_format")) else { return Ok(Shape::default()) };
    let place = "response_format";
    let fields = object_fields(format.get()).map_err(|_| invalid(place, "must be an object"))?;
    let get = |name: &str| given(fields.iter().find(|field| field.name == name).map(|field| field.value));
    match get("type").map(RawValue::get) {
        Some(r#""text""#) => Ok(Shape::default()),
        Some(r#""json_object""#) => {
            dropped.note(place);
            Ok(Shape { format: None, hint: Some(in_words(None)) })
        }
        Some(r#""json_schema""#) => {
            let place = "response_format.json_schema";
            let json_schema = get("json_schema").ok_or_else(|| invalid(place, "is missing"))?;
            schema_shape(json_schema, model, dropped)
        }
        Some(_) | None => Err(invalid("response_format.type", "must be `text`, `json_object` or `json_schema`")),
    }
}

fn schema_shape(json_schema: &RawValue, model: &Model, dropped: &mut Dropped) -> Result<Shape, Error> {
    let place = "response_format.json_schema";
    let fields = object_fields(json_schema.get()).map_err(|_| invalid(place, "must be an object"))?;
    let get = |name: &str| given(fields.iter().find(|field| field.name == name).map(|field| field.value));
    let Some(schema) = get("schema") else {
        dropped.note("response_format");
        return Ok(Shape { format: None, hint: Some(in_words(None)) });
    };
    if object_fields(schema.get()).is_err() {
        return Err(invalid("response_format.json_schema.schema", "must be an object"));
    }
    let description = get("description").and_then(text);
    let sanitised = match model.json_schema {
        true => schema::sanitise(schema.get(), description.as_deref(), &mut schema::Budget::default()),
        false => None,
    };
    match sanitised {
        Some(sanitised) => {
            if sanitised.weakened {
                dropped.note("response_format");
            }
            Ok(Shape { format: Some(Format::JsonSchema { schema: sanitised.schema }), hint: None })
        }
        None => {
            dropped.note("response_format");
            Ok(Shape { format: None, hint: Some(in_words(Some(schema))) })
        }
    }
}

/// What asks for JSON where the API cannot be told.
fn in_words(schema: Option<&RawValue>) -> String {
    let only = "Answer with one JSON object and nothing else: no words around it, no code fence.";
    match schema {
        Some(schema) => format!("{only} It must follow this JSON Schema: {schema}"),
        None => only.to_owned(),
    }
}

/// `temperature`, which the API takes up to 1, and `top_p`, as far as the model takes them.
fn sampling<'a>(
    request: &Ask<'a>,
    model: &Model,
    thinks: bool,
    dropped: &mut Dropped,
) -> (Option<Json<'a>>, Option<&'a RawValue>) {
    let (temperature, top_p) = (given(request.field("temperature")), given(request.field("top_p")));
    if !model.sampling || thinks {
        for (name, value) in [("temperature", temperature), ("top_p", top_p)] {
            let is_default = |value: &RawValue| value.get().parse() == Ok(1.0);
            if value.is_some_and(|value| !is_default(value)) {
                dropped.note(name);
            }
        }
        return (None, None);
    }
    let exclusive = model.sampling_exclusive && temperature.is_some();
    if exclusive && top_p.is_some() {
        dropped.note("top_p");
    }
    let clamped = temperature.map(|value| match value.get().parse::<f64>() {
        Ok(number) if number <= 1.0 => Json::Borrowed(value),
        Ok(_) | Err(_) => {
            dropped.note("temperature");
            Json::parse("1".to_owned()).expect("a number should be JSON")
        }
    });
    (clamped, top_p.filter(|_| !exclusive))
}

/// Sequences that end the answer; blank ones, which the API refuses, are left out.
fn stop_sequences<'a>(request: &Ask<'a>, dropped: &mut Dropped) -> Result<Vec<&'a RawValue>, Error> {
    let Some(stop) = given(request.field("stop")) else { return Ok(Vec::new()) };
    let mut sequences: Vec<&'a RawValue> = match is_text(stop) {
        true => vec![stop],
        false => serde_json::from_str(stop.get()).unwrap_or_default(),
    };
    if !sequences.iter().all(|sequence| is_text(sequence)) {
        return Err(invalid("stop", "must be a string or an array of strings"));
    }
    let given = sequences.len();
    sequences.retain(|sequence| !is_blank(sequence));
    if sequences.len() < given {
        dropped.note("stop");
    }
    Ok(sequences)
}

fn user_id<'a>(request: &Ask<'a>) -> Option<&'a RawValue> {
    let given = ["safety_identifier", "user"].into_iter().filter_map(|name| given(request.field(name)));
    given.into_iter().find(|value| is_text(value) && !is_blank(value))
}

fn drop_unknown(request: &Ask<'_>, dropped: &mut Dropped) {
    for field in &request.fields {
        let (name, value) = (field.name.as_ref(), field.value.get());
        let says_nothing = value == "null"
            || KNOWN.contains(&name)
            || DEFAULTS.iter().any(|(known, defaults)| *known == name && defaults.contains(&value));
        if !says_nothing {
            dropped.note(name);
        }
    }
}
