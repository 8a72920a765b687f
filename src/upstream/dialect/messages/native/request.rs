//! The body of a request of a client that speaks this API itself: its own fields, in its order, byte for byte, but for what the
//! gateway owns and what the policy says of provider and model. What is added stands behind them.

use std::borrow::Cow;

use super::choice::{self, is_forced, unforced};
use super::fields::{pruned, takes};
use super::history::{self, Added, History, Terms};
use super::marks;
use super::reasoning::{self, Circumstances, OUTPUT_CONFIG, Reasoning, Sent, THINKING};
use super::thoughts::States;
use crate::policy::{Model, Thinking};
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::messages::reasoning::takes_binding;
use crate::upstream::dialect::object_writer::ObjectWriter;
use crate::upstream::dialect::{EncodeOptions, Encoded, Recipient};
use crate::wire::ask::Ask;
use crate::wire::ask::turns::Role;
use crate::wire::containers::{found_valid, members_named};
use crate::wire::json::{Field, fields_named, given, is_null, quoted, whole, without_mark};

/// What the API's endpoint that counts a prompt's tokens does not take.
const NOT_COUNTED: [&str; 14] = [
    "container",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "inference_geo",
    "max_tokens",
    "metadata",
    "service_tier",
    "stop_sequences",
    "stream",
    "temperature",
    "thread",
    "top_k",
    "top_p",
];
/// What models without `sampling` refuse.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];
const MAX_TOKENS: &str = "max_tokens";
const MESSAGES: &str = "messages";

/// The request as its recipient takes it.
pub fn encode_request(recipient: &Recipient<'_>, ask: &Ask<'_>, options: &EncodeOptions) -> Encoded {
    let mut dropped = Dropped::default();
    let text = options.begun.as_deref().filter(|_| recipient.model.prefill.is_some()).unwrap_or_default();
    let (begun, hidden) = text.split_at(text.trim_end().len());
    let begun = Some(begun).filter(|begun| !begun.is_empty());
    let prompt = Prompt::of(recipient, ask, Ways::of(options, begun), &mut dropped);
    let marks = marks::find(ask, recipient.model);
    let wants_a_stream = options.asks_for_a_stream(ask);
    let stream = if wants_a_stream { "true" } else { "false" };
    let max_tokens = prompt.limit.tokens.to_string();
    let mut writer = writer_for(ask, prompt.messages.len());
    for given in &ask.fields {
        match given.name.as_ref() {
            MAX_TOKENS if prompt.limit.is_clamped || is_null(given.value) => {
                if prompt.limit.is_clamped {
                    dropped.note(MAX_TOKENS);
                }
                writer.field(MAX_TOKENS, &max_tokens);
            }
            "stream" if is_stream(given) != wants_a_stream => writer.field("stream", stream),
            name if marks.end_of == Some(name) => {
                let value = pruned(recipient, name, given.value, &mut dropped);
                writer.field(name, marks::marked(found_valid(&value)));
            }
            _ => prompt.write(given, &mut writer, &mut dropped),
        }
    }
    if !writer.has(MAX_TOKENS) {
        writer.field(MAX_TOKENS, &max_tokens);
    }
    if wants_a_stream && !writer.has("stream") {
        writer.field("stream", stream);
    }
    prompt.write_rest(&mut writer);
    if marks.conversation && takes(recipient, marks::FIELD) {
        writer.field(marks::FIELD, marks::OWN);
    }
    writer.add_missing(&recipient.provider.body);
    Encoded { body: writer.finish(), dropped: dropped.0, hidden: hidden.to_owned() }
}

/// What asks how many tokens the prompt has.
pub fn encode_count(recipient: &Recipient<'_>, ask: &Ask<'_>, options: &EncodeOptions) -> Encoded {
    let mut dropped = Dropped::default();
    let prompt = Prompt::of(recipient, ask, Ways::of(options, None), &mut dropped);
    let mut writer = writer_for(ask, prompt.messages.len());
    for given in ask.fields.iter().filter(|given| !NOT_COUNTED.contains(&given.name.as_ref())) {
        prompt.write(given, &mut writer, &mut dropped);
    }
    prompt.write_rest(&mut writer);
    let defaults = recipient.provider.body.iter();
    writer.add_missing(defaults.filter(|default| !NOT_COUNTED.contains(&default.name.as_str())));
    Encoded { body: writer.finish(), dropped: dropped.0, hidden: String::new() }
}

/// How many tokens a prompt has, by the answer to that; nothing if it does not say it.
pub fn read_count(body: &[u8]) -> Option<u64> {
    let body = std::str::from_utf8(without_mark(body)).ok()?;
    let [count] = fields_named(body, &["input_tokens"]).ok()?;
    count.and_then(whole)
}

/// What goes up of the fields that depend on each other.
struct Prompt<'x, 'p> {
    recipient: &'p Recipient<'p>,
    messages: Cow<'x, str>,
    limit: Limit,
    reasoning: Reasoning<'x>,
    /// Whether the API is asked to pass over thoughts that do not belong to the conversation as it is now.
    binds_thoughts: bool,
    /// The sampling fields that do not go up.
    lost_sampling: &'static [&'static str],
}

impl<'x, 'p> Prompt<'x, 'p> {
    fn of(recipient: &'p Recipient<'p>, ask: &'x Ask<'x>, ways: Ways<'_>, dropped: &mut Dropped) -> Self {
        let model = recipient.model;
        let limit = Limit::of(ask, model);
        let mut circumstances = Circumstances {
            max_tokens: limit.tokens,
            is_clamped: limit.is_clamped,
            forced_call: is_forced(ask),
            has_begun: ways.begun.is_some(),
            in_thoughtless_loop: false,
        };
        let mut messages = match ask.field(MESSAGES) {
            Some(raw) => pruned(recipient, MESSAGES, raw, dropped),
            None => Cow::Borrowed("[]"),
        };
        let terms = Terms {
            system_turns: model.system_turns,
            begun_answers: model.prefill.is_some(),
            efforts: !reasoning::replaces_efforts(ask, recipient),
        };
        let ends_with_an_answer = ask.turns.last().is_some_and(|turn| turn.role == Role::Assistant);
        let hint = choice::hint(ask, model);
        let may_change = ways.begun.is_some()
            || hint.is_some()
            || ends_with_an_answer
            || ask.features.has_tools && model.thinking == Thinking::Budget
            || history::may_change(&messages, terms);
        let mut has_thoughts = false;
        let reasoning = if may_change {
            let history = History::read(found_valid(&messages), terms, ways.states);
            circumstances.in_thoughtless_loop = history.is_in_thoughtless_loop();
            circumstances.has_begun |= history.ends_with_a_begun_answer() && terms.begun_answers;
            let reasoning = reasoning::settle(ask, recipient, &circumstances, dropped);
            has_thoughts = history.has_thoughts(reasoning.thoughts);
            let added = Added { hint: hint.as_deref(), begun: ways.begun };
            if let Cow::Owned(changed) = history.write(reasoning.thoughts, added, dropped) {
                messages = Cow::Owned(changed);
            }
            reasoning
        } else {
            reasoning::settle(ask, recipient, &circumstances, dropped)
        };
        let lost_sampling = lost_sampling(ask, model, &reasoning);
        let binds_thoughts = has_thoughts && takes_binding(recipient);
        Self { recipient, messages, limit, reasoning, binds_thoughts, lost_sampling }
    }

    /// Writes one of the client's fields, if it goes up.
    fn write(&self, given: &Field<'_>, writer: &mut ObjectWriter, dropped: &mut Dropped) {
        let (name, value) = (given.name.as_ref(), given.value.get());
        match name {
            "model" => writer.field(name, quoted(&self.recipient.model.id)),
            MESSAGES => writer.field(name, self.messages.as_bytes()),
            _ if !takes(self.recipient, name) => dropped.note(name),
            THINKING => {
                let thinking = match &self.reasoning.thinking {
                    Sent::AsItCame => Some(pruned(self.recipient, name, given.value, dropped)),
                    sent @ (Sent::Nothing | Sent::Value(_)) => sent.value(),
                };
                self.write_thinking(thinking, writer);
            }
            OUTPUT_CONFIG if self.reasoning.output_config != Sent::AsItCame => {
                if let Some(config) = self.reasoning.output_config.value() {
                    writer.field(name, config.as_bytes());
                }
            }
            _ if self.lost_sampling.contains(&name) => {
                if value.parse() != Ok(1.0) {
                    dropped.note(name);
                }
            }
            _ => match unforced(given.value, self.recipient.model).filter(|_| name == choice::FIELD) {
                Some(unforced) => {
                    dropped.note(name);
                    writer.field(name, unforced);
                }
                None => writer.field(name, pruned(self.recipient, name, given.value, dropped).as_bytes()),
            },
        }
    }

    /// Writes what every request has, and what the policy demands that the client does not speak of.
    fn write_rest(&self, writer: &mut ObjectWriter) {
        if !writer.has("model") {
            writer.field("model", quoted(&self.recipient.model.id));
        }
        let is_missing = |name: &str, writer: &ObjectWriter| !writer.has(name) && takes(self.recipient, name);
        if is_missing(THINKING, writer) {
            self.write_thinking(self.reasoning.thinking.value(), writer);
        }
        if let Some(config) = self.reasoning.output_config.value()
            && is_missing(OUTPUT_CONFIG, writer)
        {
            writer.field(OUTPUT_CONFIG, config.as_bytes());
        }
    }

    /// Writes how the model is to think, if that is said.
    fn write_thinking(&self, thinking: Option<Cow<'_, str>>, writer: &mut ObjectWriter) {
        let thinking = if self.binds_thoughts { Some(reasoning::bound(thinking)) } else { thinking };
        if let Some(thinking) = thinking {
            writer.field(THINKING, thinking.as_bytes());
        }
    }
}

/// A body with room for all of the request, whose messages have this length.
fn writer_for(ask: &Ask<'_>, messages: usize) -> ObjectWriter {
    ObjectWriter::with_capacity(ask.bytes + messages / 8 + 512)
}

/// How a conversation is to be put.
#[derive(Clone, Copy)]
struct Ways<'s> {
    states: States<'s>,
    /// What the answer begins with.
    begun: Option<&'s str>,
}

impl<'s> Ways<'s> {
    fn of(options: &'s EncodeOptions, begun: Option<&'s str>) -> Self {
        let states = States { sealer: options.sealer.as_deref(), unsealed: options.unsealed };
        Self { states, begun }
    }
}

/// The limit on the answer.
#[derive(Clone, Copy, Debug)]
struct Limit {
    tokens: u64,
    /// Whether the client allows for more than the model can do.
    is_clamped: bool,
}

impl Limit {
    fn of(ask: &Ask<'_>, model: &Model) -> Self {
        let budget = ask.field(THINKING).and_then(|thinking| members_named(thinking, &["budget_tokens"])?[0]);
        match given(ask.field(MAX_TOKENS)).and_then(whole) {
            Some(asked) => Self { tokens: asked.min(model.max_output), is_clamped: asked > model.max_output },
            None => {
                // What is thought counts too.
                let tokens = model.default_max_tokens.saturating_add(budget.and_then(whole).unwrap_or_default());
                Self { tokens: tokens.min(model.max_output), is_clamped: tokens > model.max_output }
            }
        }
    }
}

/// The sampling fields that the model does not take, or not beside the others.
fn lost_sampling(ask: &Ask<'_>, model: &Model, reasoning: &Reasoning<'_>) -> &'static [&'static str] {
    let is_exclusive = model.sampling_exclusive && ask.field("temperature").is_some();
    match model.sampling && !reasoning.thinks_unasked {
        false => &SAMPLING,
        true if is_exclusive => &["top_p"],
        true => &[],
    }
}

/// Whether a client wants a stream.
fn is_stream(given: &Field<'_>) -> bool {
    given.value.get() == "true"
}
