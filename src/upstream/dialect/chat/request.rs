//! A request as a provider of this dialect takes it: what the gateway owns is set, what the policy says of model and provider
//! is obeyed, every other field of the published API is forwarded byte for byte. A field that is none of its goes only to a
//! provider whose row asks for it.

use serde_json::value::RawValue;

use super::{PATH, build, short_ids};
use crate::error::{Error, Kind};
use crate::policy::{Candidate, Model, Policy, Prefill, Quirk};
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::{EncodeOptions, Encoded, Recipient};
use crate::wire::ask::turns::{Role, Turn};
use crate::wire::ask::{Api, Ask};
use crate::wire::chat::is_published;
use crate::wire::json::{Field, given, object_fields};

/// What models without `sampling` refuse while they reason (docs/providers.md, What models take).
const SAMPLING: [&str; 7] =
    ["temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"];

/// The request as `candidate` takes it.
///
/// # Errors
/// A 400 with `param` for what the dialect or the provider does not take and cannot be left out, as several choices.
pub fn encode_request(
    policy: &Policy,
    candidate: &Candidate,
    request: &Ask<'_>,
    options: &EncodeOptions,
) -> Result<Encoded, Error> {
    let recipient = Recipient::of(policy, candidate);
    let Ask { stream, features, .. } = *request;
    let form = |fields, turns| Form { fields, turns, stream, has_tools: features.has_tools };
    match request.api {
        Api::Chat => adapt(&recipient, &form(&request.fields, &request.turns), options),
        Api::Gateway => {
            let built = build::build(request, recipient.model, recipient.provider)?;
            let (fields, turns) = (built.fields(), built.turns());
            let encoded = adapt(&recipient, &form(&fields, &turns), options)?;
            let mut dropped = built.dropped;
            encoded.dropped.iter().for_each(|name| dropped.note(name));
            Ok(Encoded { dropped: dropped.0, ..encoded })
        }
    }
}

/// A request in the words of this dialect.
struct Form<'x> {
    fields: &'x [Field<'x>],
    turns: &'x [Turn<'x>],
    stream: bool,
    has_tools: bool,
}

impl<'x> Form<'x> {
    fn field(&self, name: &str) -> Option<&'x RawValue> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value)
    }
}

fn adapt(recipient: &Recipient<'_>, form: &Form<'_>, options: &EncodeOptions) -> Result<Encoded, Error> {
    let Recipient { candidate, model, provider } = *recipient;
    let has = |quirk| provider.quirks.contains(&quirk);
    let messages = Messages {
        renames_developer: has(Quirk::NoDeveloperRole) && form.turns.iter().any(|turn| turn.role == Role::Developer),
        drops_names: has(Quirk::NoMessageName),
        shortens_ids: has(Quirk::ShortToolIds),
        begun: options.begun.as_deref().zip(model.prefill),
    };
    let effort = effort(candidate, model, form);
    let mut writer = Writer::new(form);
    let mut wrote_stream_options = false;
    for field in form.fields {
        let value = field.value.get();
        match field.name.as_ref() {
            "model" | "reasoning_effort" => {}
            "messages" if messages.are_changed() => {
                writer.name("messages");
                messages.write(&mut writer, form);
            }
            "n" if provider.lacks("n") => check_choices(value)?,
            name if provider.lacks(name)
                || !(is_published(name) || provider.adds(name))
                || (!model.sampling && SAMPLING.contains(&name)) =>
            {
                if value != "null" {
                    writer.dropped.note(name);
                }
            }
            "stop" if has(Quirk::StopArray) && value.starts_with('"') => {
                writer.field("stop", format!("[{value}]"));
            }
            // Under this name the provider gets the client's `seed`.
            "random_seed" if has(Quirk::RandomSeed) && form.field("seed").is_some() => {
                writer.dropped.note("random_seed");
            }
            "seed" if has(Quirk::RandomSeed) => writer.field("random_seed", value),
            "tool_choice" if has(Quirk::ToolChoiceAny) && value == r#""required""# => {
                writer.field("tool_choice", r#""any""#);
            }
            "stream_options" if form.stream && options.counts_usage => {
                wrote_stream_options = true;
                writer.field("stream_options", with_usage(field.value));
            }
            "max_tokens" | "max_completion_tokens" => {
                let limit = Limit { form, model, newer_name: !model.sampling, older_name: has(Quirk::MaxTokens) };
                limit.write(&mut writer, field.name.as_ref(), value);
            }
            name => writer.field(name, value),
        }
    }
    writer.field("model", json_string(&model.id));
    match effort {
        Effort::Absent => {}
        Effort::Sent(effort) => writer.field("reasoning_effort", effort),
        Effort::Dropped => writer.dropped.note("reasoning_effort"),
    }
    if form.stream && options.counts_usage && !wrote_stream_options && !provider.lacks("stream_options") {
        writer.field("stream_options", r#"{"include_usage":true}"#);
    }
    Ok(writer.finish())
}

fn check_choices(value: &str) -> Result<(), Error> {
    if matches!(value, "1" | "null") {
        return Ok(());
    }
    Err(Error::new(Kind::InvalidRequest, "`n` must be 1 for the serving model.").with_param("n"))
}

/// What becomes of `reasoning_effort`.
enum Effort {
    Absent,
    /// This value, as JSON.
    Sent(String),
    /// The model has no word for it.
    Dropped,
}

/// The effort that the policy demands, else the client's, in the model's words where the policy has them.
fn effort(candidate: &Candidate, model: &Model, form: &Form<'_>) -> Effort {
    let for_tools = model.tools_effort.filter(|_| form.has_tools);
    let demanded = for_tools.or(candidate.effort).map(|effort| json_string(effort.as_str()));
    let asked = form.field("reasoning_effort").map(|value| value.get().to_owned());
    let Some(effort) = demanded.or(asked).filter(|effort| effort != "null") else { return Effort::Absent };
    let Some(words) = &model.efforts else { return Effort::Sent(effort) };
    let word = words.iter().find(|(known, _)| json_string(known.as_str()) == effort);
    word.map_or(Effort::Dropped, |(_, word)| Effort::Sent(json_string(word)))
}

/// What is changed about the messages.
struct Messages<'a> {
    /// `developer` becomes `system`.
    renames_developer: bool,
    drops_names: bool,
    /// Ids of tool calls become such as Mistral takes.
    shortens_ids: bool,
    /// The beginning of the answer, for the last message.
    begun: Option<(&'a str, Prefill)>,
}

impl Messages<'_> {
    fn are_changed(&self) -> bool {
        self.renames_developer || self.drops_names || self.shortens_ids || self.begun.is_some()
    }

    fn write(&self, writer: &mut Writer, form: &Form<'_>) {
        writer.body.push(b'[');
        for (position, turn) in form.turns.iter().enumerate() {
            if position > 0 {
                writer.body.push(b',');
            }
            self.write_turn(writer, turn);
        }
        if let Some((text, prefill)) = self.begun {
            let flag = match prefill {
                Prefill::Message => "",
                Prefill::Prefix => r#","prefix":true"#,
            };
            let message = format!(r#",{{"role":"assistant","content":{}{flag}}}"#, json_string(text));
            writer.body.extend_from_slice(message.as_bytes());
        }
        writer.body.push(b']');
    }

    fn write_turn(&self, writer: &mut Writer, turn: &Turn<'_>) {
        let renames = self.renames_developer && turn.role == Role::Developer;
        let shortens = self.shortens_ids && matches!(turn.role, Role::Assistant | Role::Tool);
        if !renames && !self.drops_names && !shortens {
            writer.body.extend_from_slice(turn.raw.as_bytes());
            return;
        }
        let role = if renames { "system" } else { turn.role.as_str() };
        writer.body.extend_from_slice(format!(r#"{{"role":"{role}""#).as_bytes());
        for field in object_fields(turn.raw).unwrap_or_default().iter().filter(|field| field.name != "role") {
            if self.drops_names && field.name == "name" && turn.role != Role::Function {
                writer.dropped.note("messages.name");
                continue;
            }
            writer.body.push(b',');
            let short = if shortens { short_ids::field(field) } else { None };
            match short {
                Some(value) => write_member(&mut writer.body, &field.name, &value),
                None => write_field(&mut writer.body, field),
            }
        }
        writer.body.push(b'}');
    }
}

/// A limit on the answer's tokens: under the name that the model takes, never above what it can do.
struct Limit<'a> {
    form: &'a Form<'a>,
    model: &'a Model,
    /// It takes only `max_completion_tokens`.
    newer_name: bool,
    /// It takes only `max_tokens`.
    older_name: bool,
}

impl Limit<'_> {
    /// Writes one of the client's two limits.
    fn write(&self, writer: &mut Writer, name: &str, value: &str) {
        // The newer name wins where both are given and only one can be sent; null gives nothing.
        let is_beaten = name == "max_tokens" && given(self.form.field("max_completion_tokens")).is_some();
        if (is_beaten || value == "null") && (self.newer_name || self.older_name) {
            return;
        }
        let name = match name {
            _ if self.older_name => "max_tokens",
            _ if self.newer_name => "max_completion_tokens",
            name => name,
        };
        if value.parse().is_ok_and(|asked: u64| asked > self.model.max_output) {
            writer.dropped.note(name);
            writer.field(name, self.model.max_output.to_string());
        } else {
            writer.field(name, value);
        }
    }
}

/// The client's stream options, with usage switched on.
fn with_usage(options: &RawValue) -> Vec<u8> {
    let mut json = br#"{"include_usage":true"#.to_vec();
    for field in object_fields(options.get()).unwrap_or_default().iter().filter(|field| field.name != "include_usage") {
        json.push(b',');
        write_field(&mut json, field);
    }
    json.push(b'}');
    json
}

struct Writer {
    body: Vec<u8>,
    dropped: Dropped,
}

impl Writer {
    fn new(form: &Form<'_>) -> Self {
        let length: usize = form.fields.iter().map(|field| field.name.len() + field.value.get().len() + 4).sum();
        let mut body = Vec::with_capacity(length + 128);
        body.push(b'{');
        Self { body, dropped: Dropped::default() }
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
        Encoded { path: PATH, body: self.body, dropped: self.dropped.0, hidden: String::new() }
    }
}

fn write_field(json: &mut Vec<u8>, field: &Field<'_>) {
    write_member(json, &field.name, field.value.get());
}

fn write_member(json: &mut Vec<u8>, name: &str, value: &str) {
    json.extend_from_slice(json_string(name).as_bytes());
    json.push(b':');
    json.extend_from_slice(value.as_bytes());
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("a string should serialise")
}
