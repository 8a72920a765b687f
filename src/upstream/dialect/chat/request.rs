//! A request as a provider of this dialect takes it: what the gateway owns is set, what the policy says of model and provider
//! is obeyed, every other field of the published API is forwarded byte for byte. A field that is none of its goes only to a
//! provider whose row asks for it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::below::Pruner;
use super::build;
use super::history::History;
use super::message_content;
use super::tools::{self, Asked};
use crate::error::{Error, Kind};
use crate::policy::{Candidate, Dialect, Model, Policy, Quirk};
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::object_writer::ObjectWriter;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::upstream::dialect::{EncodeOptions, Encoded, Recipient};
use crate::wire::ask::turns::Turn;
use crate::wire::ask::{Api, Ask};
use crate::wire::containers::{found_valid, members};
use crate::wire::json::{Field, field, given, is_null, quoted};

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
    let (features, stream) = (request.features, options.asks_for_a_stream(request));
    let form = |fields, turns| Form { fields, turns, stream, has_tools: features.has_tools };
    match request.api {
        Api::Chat => adapt(&recipient, &form(&request.fields, &request.turns), options),
        Api::Messages | Api::Gateway => {
            let built = build::build(request, &recipient, options.sealer.as_deref())?;
            let (fields, turns) = (built.fields(), built.turns());
            let encoded = adapt(&recipient, &form(&fields, &turns), options);
            let encoded = encoded.map_err(|error| built.names.of_error(error))?;
            let mut dropped = built.dropped;
            built.names.note_all(&encoded.dropped, &mut dropped);
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
        field(self.fields, name)
    }
}

fn adapt(recipient: &Recipient<'_>, form: &Form<'_>, options: &EncodeOptions) -> Result<Encoded, Error> {
    let Recipient { candidate, model, .. } = *recipient;
    let mut dropped = Dropped::default();
    let asked = Asked {
        tools: form.field("tools"),
        functions: form.field("functions"),
        choice: form.field("tool_choice"),
        function_call: form.field("function_call"),
    };
    let names = ToolNames::of_fields([asked.tools, asked.functions], Dialect::OpenaiChat);
    let tools = tools::adapt(recipient, asked, &names, &mut dropped)?;
    let history = History {
        recipient: *recipient,
        turns: form.turns,
        names: &names,
        begun: options.begun.as_deref().filter(|_| model.prefill.is_some()),
        hint: tools.hint.as_deref(),
    };
    let has_bare_calls = recipient.has(Quirk::ReasoningWithCalls) && message_content::has_bare_calls(form.turns);
    let effort = if has_bare_calls { Effort::without(form) } else { effort(candidate, model, form) };
    let mut of_history = Dropped::default();
    let messages = history.write(&mut of_history)?;
    let mut writer = Writer::new(form, messages.as_deref(), dropped);
    let mut wrote_stream_options = false;
    for field in form.fields {
        let value = field.value.get();
        match field.name.as_ref() {
            "model" | "reasoning_effort" => {}
            "messages" => {
                of_history.0.iter().for_each(|name| writer.dropped.note(name));
                match &messages {
                    Some(messages) => writer.list("messages", messages),
                    None => writer.field("messages", value),
                }
            }
            "functions" if tools.are_older => writer.optional("tools", tools.tools.as_deref()),
            "function_call" if tools.are_older => writer.optional("tool_choice", tools.choice.as_deref()),
            // Beside functions these are empty, and say nothing.
            "tools" | "tool_choice" if tools.are_older => {}
            // The older form has room for one call.
            "parallel_tool_calls" if tools.are_older => {}
            "tools" => writer.optional("tools", tools.tools.as_deref()),
            "tool_choice" => {
                let has_any = recipient.has(Quirk::ToolChoiceAny);
                let choice = tools.choice.as_deref();
                let choice =
                    choice.map(|choice| if has_any && choice == r#""required""# { r#""any""# } else { choice });
                writer.optional("tool_choice", choice);
            }
            // Whatever is null is not given, and some providers refuse it.
            _ if is_null(field.value) => {}
            "stream" => writer.field("stream", form.stream.to_string()),
            "n" if !recipient.takes("n") => check_choices(value)?,
            "thinking" if has_bare_calls => writer.dropped.note("thinking"),
            name if !recipient.takes(name) && !Limit::takes(recipient, name) => writer.dropped.note(name),
            name if !model.sampling && SAMPLING.contains(&name) => writer.dropped.note(name),
            "function_call" => writer.optional("function_call", tools.function_call.as_deref()),
            "functions" => writer.optional("functions", tools.functions.as_deref()),
            "parallel_tool_calls" if !tools.has_any() => {}
            "stop" if recipient.has(Quirk::StopArray) && value.starts_with('"') => {
                writer.field("stop", format!("[{value}]"));
            }
            // Under this name the provider gets the client's `seed`.
            "random_seed" if recipient.has(Quirk::RandomSeed) && form.field("seed").is_some() => {
                writer.dropped.note("random_seed");
            }
            "seed" if recipient.has(Quirk::RandomSeed) => writer.field("random_seed", value),
            "stream_options" if form.stream && options.counts_usage => {
                wrote_stream_options = true;
                let stream_options = pruned(recipient, "stream_options", field.value, &mut writer.dropped);
                writer.field("stream_options", with_usage(found_valid(&stream_options)));
            }
            "max_tokens" | "max_completion_tokens" => {
                let older_name = recipient.has(Quirk::MaxTokens);
                let limit = Limit { form, model, newer_name: !model.sampling, older_name };
                limit.write(&mut writer, field.name.as_ref(), value);
            }
            name => {
                let value = pruned(recipient, name, field.value, &mut writer.dropped);
                writer.field(name, value.as_bytes());
            }
        }
    }
    writer.field("model", quoted(&model.id));
    if form.stream && !writer.has("stream") {
        writer.field("stream", "true");
    }
    match effort {
        Effort::Absent => {}
        Effort::Sent { word, is_asked } if recipient.takes("reasoning_effort") => {
            if !is_asked {
                writer.dropped.note("reasoning_effort");
            }
            writer.field("reasoning_effort", word);
        }
        Effort::Sent { .. } | Effort::Dropped => writer.dropped.note("reasoning_effort"),
    }
    if tools.are_older && tools.has_any() && recipient.takes("parallel_tool_calls") {
        writer.field("parallel_tool_calls", "false");
    }
    if has_bare_calls {
        writer.field("thinking", r#"{"type":"disabled"}"#);
    }
    if form.stream && options.counts_usage && !wrote_stream_options && recipient.takes("stream_options") {
        writer.field("stream_options", r#"{"include_usage":true}"#);
    }
    writer.object.add_missing(&recipient.provider.body);
    Ok(writer.finish())
}

/// The value of a field at the top level, with what the recipient knows of it.
pub fn pruned<'x>(recipient: &Recipient<'_>, name: &str, value: &'x RawValue, dropped: &mut Dropped) -> Cow<'x, str> {
    let is_added = |path: &str| recipient.adds(path);
    Pruner { recipient, is_added: &is_added, dropped }.prune(name, value)
}

fn check_choices(value: &str) -> Result<(), Error> {
    if value == "1" {
        return Ok(());
    }
    Err(Error::new(Kind::InvalidRequest, "`n` must be 1 for the serving model.").with_param("n"))
}

/// What becomes of `reasoning_effort`.
enum Effort {
    Absent,
    /// This word, as JSON, and whether it is what the client asked for, if it asked for any.
    Sent {
        word: String,
        is_asked: bool,
    },
    /// The model has no word for it.
    Dropped,
}

impl Effort {
    /// The client's is left out.
    fn without(form: &Form<'_>) -> Self {
        given(form.field("reasoning_effort")).map_or(Self::Absent, |_| Self::Dropped)
    }
}

/// The effort that the policy demands, else the client's, in the model's words where the policy has them.
fn effort(candidate: &Candidate, model: &Model, form: &Form<'_>) -> Effort {
    let for_tools = model.tools_effort.filter(|_| form.has_tools);
    let demanded = for_tools.or(candidate.effort).map(|effort| quoted(effort.as_str()));
    let asked = given(form.field("reasoning_effort")).map(|value| value.get().to_owned());
    let is_asked = demanded.is_none() || asked.is_none() || asked == demanded;
    let Some(effort) = demanded.or(asked) else { return Effort::Absent };
    let Some(words) = &model.efforts else { return Effort::Sent { word: effort, is_asked } };
    let word = words.iter().find(|(known, _)| quoted(known.as_str()) == effort);
    word.map_or(Effort::Dropped, |(_, word)| Effort::Sent { word: quoted(word), is_asked })
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
    /// Whether a field is a limit that goes up, under one name or the other.
    fn takes(recipient: &Recipient<'_>, name: &str) -> bool {
        let names = ["max_tokens", "max_completion_tokens"];
        names.contains(&name) && !recipient.lacks(name) && names.into_iter().any(|name| recipient.takes(name))
    }

    /// Writes one of the client's two limits.
    fn write(&self, writer: &mut Writer, name: &str, value: &str) {
        // The newer name wins where both are given and only one can be sent.
        let is_beaten = name == "max_tokens" && given(self.form.field("max_completion_tokens")).is_some();
        if is_beaten && (self.newer_name || self.older_name) {
            let newer = self.form.field("max_completion_tokens");
            if newer.is_some_and(|newer| newer.get() != value) {
                writer.dropped.note(name);
            }
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
    for field in members(options).unwrap_or_default().iter().filter(|field| field.name != "include_usage") {
        json.push(b',');
        write_field(&mut json, field);
    }
    json.push(b'}');
    json
}

struct Writer {
    object: ObjectWriter,
    dropped: Dropped,
}

impl Writer {
    /// With room for all of the request, whose messages may have become others.
    fn new(form: &Form<'_>, messages: Option<&[Cow<'_, str>]>, dropped: Dropped) -> Self {
        let length = |field: &Field<'_>| match messages {
            Some(messages) if field.name == "messages" => messages.iter().map(|message| message.len() + 1).sum(),
            Some(_) | None => field.value.get().len(),
        };
        let length: usize = form.fields.iter().map(|field| field.name.len() + length(field) + 4).sum();
        Self { object: ObjectWriter::with_capacity(length + 256), dropped }
    }

    fn has(&self, name: &str) -> bool {
        self.object.has(name)
    }

    fn field(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.object.field(name, value);
    }

    fn list(&mut self, name: &str, items: &[Cow<'_, str>]) {
        let json = self.object.name(name);
        json.push(b'[');
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                json.push(b',');
            }
            json.extend_from_slice(item.as_bytes());
        }
        json.push(b']');
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    fn finish(self) -> Encoded {
        Encoded { body: self.object.finish(), dropped: self.dropped.0, hidden: String::new() }
    }
}

fn write_field(json: &mut Vec<u8>, field: &Field<'_>) {
    write_member(json, &field.name, field.value.get());
}

fn write_member(json: &mut Vec<u8>, name: &str, value: &str) {
    json.extend_from_slice(quoted(name).as_bytes());
    json.push(b':');
    json.extend_from_slice(value.as_bytes());
}
