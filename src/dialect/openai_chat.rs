//! OpenAI's Chat Completions: the client's own dialect, so almost everything passes through.
//!
//! Going up, only what the gateway owns or the model needs is changed; unknown fields are forwarded byte for byte. Coming
//! down, bytes pass as they are; the decoders read just enough to know whether an answer has begun, is whole and what it
//! cost. Providers deviate, so everything they send is optional here (api-facts.md §3 and §5).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::{ChatRequest, Field, Role, object_fields};
use crate::dialect::provider_error::{self, ProviderError};
use crate::dialect::{Asking, Defect, Encoded, Meaning, Told, Whole};
use crate::policy::{Candidate, Model, Policy, Prefill, Quirk};
use crate::record::Usage;

/// Below the provider's base URL.
pub const PATH: &str = "/chat/completions";

/// What models without `sampling` refuse while they reason (api-facts.md §3).
const SAMPLING: [&str; 7] =
    ["temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"];

/// The client's request as `candidate` takes it.
pub fn encode_request(policy: &Policy, candidate: &Candidate, request: &ChatRequest<'_>, asking: &Asking) -> Encoded {
    let model = policy.model(candidate.model);
    let quirks = &policy.provider(model.provider).quirks;
    let renames_developer = quirks.contains(&Quirk::NoDeveloperRole) && has_developer(request);
    let begun = asking.begun.as_deref().zip(model.prefill);
    let effort = effort(candidate, model, request);
    let mut writer = Writer::new(request);
    let mut wrote_effort = false;
    let mut wrote_stream_options = false;
    for field in &request.fields {
        let value = field.value.get();
        match field.name.as_ref() {
            "model" => {}
            "messages" if renames_developer || begun.is_some() => {
                writer.name("messages");
                write_messages(&mut writer.body, request, renames_developer, begun);
            }
            "stop" if quirks.contains(&Quirk::StopArray) && value.starts_with('"') => {
                writer.field("stop", format!("[{value}]"));
            }
            "stream_options" if request.stream && asking.counts_usage => {
                wrote_stream_options = true;
                writer.field("stream_options", with_usage(field.value));
            }
            "reasoning_effort" if effort.is_some() => {
                wrote_effort = true;
                writer.field("reasoning_effort", format!("\"{}\"", effort.unwrap_or_default()));
            }
            name if !model.sampling && SAMPLING.contains(&name) => {
                if value != "null" {
                    writer.dropped.push(name.to_owned());
                }
            }
            "max_tokens" | "max_completion_tokens" => {
                write_limit(&mut writer, field.name.as_ref(), value, model, request)
            }
            name => writer.field(name, value),
        }
    }
    writer.field("model", json_string(&model.id));
    if let (Some(effort), false) = (effort, wrote_effort) {
        writer.field("reasoning_effort", format!("\"{effort}\""));
    }
    if request.stream && asking.counts_usage && !wrote_stream_options {
        writer.field("stream_options", r#"{"include_usage":true}"#);
    }
    writer.finish()
}

/// The effort that the policy demands; nothing leaves the client's.
fn effort(candidate: &Candidate, model: &Model, request: &ChatRequest<'_>) -> Option<&'static str> {
    let for_tools = model.tools_effort.filter(|_| request.features.has_tools);
    for_tools.or(candidate.effort).map(|effort| effort.as_str())
}

fn has_developer(request: &ChatRequest<'_>) -> bool {
    request.turns.iter().any(|turn| turn.role == Role::Developer)
}

/// All messages, with `developer` renamed to `system` where asked for, and the answer that was `begun` as the last one.
fn write_messages(
    body: &mut Vec<u8>,
    request: &ChatRequest<'_>,
    renames_developer: bool,
    begun: Option<(&str, Prefill)>,
) {
    body.push(b'[');
    for (position, turn) in request.turns.iter().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        if !(renames_developer && turn.role == Role::Developer) {
            body.extend_from_slice(turn.raw.get().as_bytes());
            continue;
        }
        body.extend_from_slice(br#"{"role":"system""#);
        for field in fields_of(turn.raw).iter().filter(|field| field.name != "role") {
            body.push(b',');
            write_field(body, field);
        }
        body.push(b'}');
    }
    if let Some((text, prefill)) = begun {
        let flag = match prefill {
            Prefill::Message => "",
            Prefill::Prefix => r#","prefix":true"#,
        };
        let message = format!(r#",{{"role":"assistant","content":{}{flag}}}"#, json_string(text));
        body.extend_from_slice(message.as_bytes());
    }
    body.push(b']');
}

/// The fields of a value that `chat` has found to be an object.
fn fields_of(object: &RawValue) -> Vec<Field<'_>> {
    object_fields(object.get()).unwrap_or_default()
}

/// A limit on the answer's tokens: renamed where the model takes only the newer name, never above what it can do.
fn write_limit(writer: &mut Writer, name: &str, value: &str, model: &Model, request: &ChatRequest<'_>) {
    let name = match (name, model.sampling) {
        ("max_tokens", false) if request.field("max_completion_tokens").is_some() => return,
        ("max_tokens", false) => "max_completion_tokens",
        (name, _) => name,
    };
    if value.parse().is_ok_and(|asked: u64| asked > model.max_output) {
        writer.dropped.push(name.to_owned());
        writer.field(name, model.max_output.to_string());
    } else {
        writer.field(name, value);
    }
}

/// The client's stream options, with usage switched on.
fn with_usage(options: &RawValue) -> Vec<u8> {
    let mut json = br#"{"include_usage":true"#.to_vec();
    for field in fields_of(options).iter().filter(|field| field.name != "include_usage") {
        json.push(b',');
        write_field(&mut json, field);
    }
    json.push(b'}');
    json
}

struct Writer {
    body: Vec<u8>,
    dropped: Vec<String>,
}

impl Writer {
    fn new(request: &ChatRequest<'_>) -> Self {
        let length: usize = request.fields.iter().map(|field| field.name.len() + field.value.get().len() + 4).sum();
        let mut body = Vec::with_capacity(length + 128);
        body.push(b'{');
        Self { body, dropped: Vec::new() }
    }

    fn name(&mut self, name: &str) {
        if self.body.len() > 1 {
            self.body.push(b',');
        }
        self.body.extend_from_slice(json_string(name).as_bytes());
        self.body.push(b':');
    }

    fn field(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.name(name);
        self.body.extend_from_slice(value.as_ref());
    }

    fn finish(mut self) -> Encoded {
        self.body.push(b'}');
        Encoded { body: self.body, dropped: self.dropped }
    }
}

fn write_field(json: &mut Vec<u8>, field: &Field<'_>) {
    json.extend_from_slice(json_string(&field.name).as_bytes());
    json.push(b':');
    json.extend_from_slice(field.value.get().as_bytes());
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("a string should serialise")
}

#[derive(Deserialize)]
struct AnswerFields<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<UsageFields>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    message: Option<Piece<'a>>,
    #[serde(borrow, default)]
    delta: Option<Piece<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

/// A message, or a delta of one.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
}

impl Piece<'_> {
    /// Whether there is any of an answer in it: a role alone is none.
    fn says_something(&self) -> bool {
        let fields = [
            self.content,
            self.refusal,
            self.reasoning_content,
            self.reasoning,
            self.tool_calls,
            self.function_call,
            self.audio,
        ];
        fields.into_iter().flatten().any(|value| !matches!(value.get(), "null" | "\"\"" | "[]" | "{}"))
    }
}

#[derive(Deserialize)]
struct UsageFields {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<InputDetails>,
    #[serde(default)]
    completion_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl From<UsageFields> for Usage {
    fn from(fields: UsageFields) -> Self {
        let input = fields.prompt_tokens_details;
        Usage {
            input: fields.prompt_tokens.unwrap_or_default(),
            cached_input: input.as_ref().and_then(|details| details.cached_tokens).unwrap_or_default(),
            cache_write: input.as_ref().and_then(|details| details.cache_write_tokens).unwrap_or_default(),
            output: fields.completion_tokens.unwrap_or_default(),
            reasoning: fields
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or_default(),
        }
    }
}

/// Reads a whole answer.
pub fn decode_answer(body: &[u8]) -> Result<Whole, Defect> {
    let answer: AnswerFields<'_> = serde_json::from_slice(body).map_err(|_| match provider_error::parse(body) {
        error if error == ProviderError::default() => Defect::Undecodable,
        error => Defect::Error(error),
    })?;
    if let Some(error) = answer.error.filter(|error| !error.is_null()) {
        return Err(Defect::Error(provider_error::from_value(&error)));
    }
    let choices = answer.choices.filter(|choices| !choices.is_empty()).ok_or(Defect::Undecodable)?;
    if choices.iter().any(|choice| choice.message.is_none()) {
        return Err(Defect::Undecodable);
    }
    let content = choices[0].message.as_ref().and_then(|message| serde_json::from_str(message.content?.get()).ok());
    let finish_reasons = choices.into_iter().filter_map(|choice| Some(choice.finish_reason?.into_owned())).collect();
    let told = Told { usage: answer.usage.map(Usage::from), model: answer.model.map(Cow::into_owned), finish_reasons };
    Ok(Whole { told, content })
}

/// What is known of a streamed answer so far.
#[derive(Debug, Default)]
pub struct Stream {
    /// How many choices must finish.
    expected_choices: usize,
    include_usage: bool,
    finished: Vec<u64>,
    pub told: Told,
}

impl Stream {
    pub fn new(request: &ChatRequest<'_>) -> Self {
        let asked: Option<usize> = request.field("n").and_then(|value| value.get().parse().ok());
        Self {
            expected_choices: asked.unwrap_or_default().max(1),
            include_usage: request.include_usage,
            ..Self::default()
        }
    }

    /// Takes in the data of one event.
    pub fn take(&mut self, data: &[u8]) -> Meaning {
        if data.trim_ascii() == b"[DONE]" {
            return Meaning::End;
        }
        if !data.trim_ascii_start().starts_with(b"{") {
            return Meaning::Foreign;
        }
        let Ok(chunk) = serde_json::from_slice::<AnswerFields<'_>>(data) else {
            return Meaning::Undecodable;
        };
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Meaning::Error(provider_error::from_value(&error));
        }
        if self.told.model.is_none() {
            self.told.model = chunk.model.map(Cow::into_owned);
        }
        let choices = chunk.choices.unwrap_or_default();
        let is_usage_chunk = choices.is_empty() && chunk.usage.is_some();
        if let Some(usage) = chunk.usage {
            self.told.usage = Some(usage.into());
        }
        let mut says_something = false;
        for choice in choices {
            let index = choice.index.unwrap_or_default();
            says_something |=
                choice.finish_reason.is_some() || choice.delta.is_some_and(|delta| delta.says_something());
            if let Some(reason) = choice.finish_reason
                && !self.finished.contains(&index)
            {
                self.finished.push(index);
                self.told.finish_reasons.push(reason.into_owned());
            }
        }
        match (is_usage_chunk && !self.include_usage, says_something) {
            (true, _) => Meaning::Unasked,
            (false, true) => Meaning::Piece,
            (false, false) => Meaning::Preamble,
        }
    }

    /// Whether every choice has its finish_reason.
    pub fn is_finished(&self) -> bool {
        self.finished.len() >= self.expected_choices
    }
}
