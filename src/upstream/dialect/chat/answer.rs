//! What providers of this dialect answer, read as far as the gateway needs it. Providers deviate, so everything is optional.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::mend::{Calls, Mends};
use crate::record::Usage;
use crate::upstream::dialect::{AnswerFacts, Defect, Meaning, Whole, is_reason};
use crate::upstream::error_words::{self, ProviderError};
use crate::wire::ask::Ask;
use crate::wire::sse::Event;

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
    #[serde(borrow, default)]
    object: Option<Cow<'a, str>>,
}

impl AnswerFields<'_> {
    /// The error in place of an answer: of all of it, of a choice (OpenRouter), or, without an envelope, `whole` itself.
    fn error(&self, whole: &[u8]) -> Option<ProviderError> {
        let choices = self.choices.iter().flatten().map(|choice| &choice.error);
        let enveloped = iter::once(&self.error).chain(choices).flatten().find(|error| !error.is_null());
        match enveloped {
            Some(error) => Some(error_words::from_value(error)),
            None if self.object.as_deref() == Some("error") => Some(error_words::parse(whole)),
            None if !self.choices.iter().flatten().any(Choice::says_something) => error_words::without_answer(whole),
            None => None,
        }
    }
}

/// The fields of a chunk without choices that a client may get: usage, or what Azure says of the prompt. Another one says
/// something that is no answer.
const AROUND_ANSWERS: [&str; 10] = [
    "id",
    "object",
    "created",
    "model",
    "choices",
    "usage",
    "service_tier",
    "system_fingerprint",
    "prompt_filter_results",
    "obfuscation",
];

fn is_around_an_answer(chunk: &[u8]) -> bool {
    let fields: Option<BTreeMap<Cow<'_, str>, IgnoredAny>> = serde_json::from_slice(chunk).ok();
    fields.is_some_and(|fields| {
        fields.contains_key("choices") && fields.keys().all(|name| AROUND_ANSWERS.contains(&name.as_ref()))
    })
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
    #[serde(default)]
    error: Option<serde_json::Value>,
}

impl Choice<'_> {
    /// Why it finished, if it did.
    fn reason(&self) -> Option<&str> {
        self.finish_reason.as_deref().filter(|reason| is_reason(reason))
    }

    fn says_something(&self) -> bool {
        [&self.message, &self.delta].into_iter().flatten().any(Piece::says_something) || self.reason().is_some()
    }

    /// Whether it ended because something went wrong (OpenRouter, Mistral).
    fn has_failed(&self) -> bool {
        self.finish_reason.as_deref() == Some("error")
    }
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
    let answer: AnswerFields<'_> = serde_json::from_slice(body).map_err(|_| match error_words::parse(body) {
        error if error == ProviderError::default() => Defect::Undecodable,
        error => Defect::Error(error),
    })?;
    if let Some(error) = answer.error(body) {
        return Err(Defect::Error(error));
    }
    let choices = answer.choices.filter(|choices| !choices.is_empty()).ok_or(Defect::Undecodable)?;
    if choices.iter().any(|choice| choice.message.is_none()) {
        return Err(Defect::Undecodable);
    }
    if choices.iter().any(Choice::has_failed) {
        return Err(Defect::Error(ProviderError::default()));
    }
    let mut told = AnswerFacts { usage: answer.usage.map(Usage::from), ..AnswerFacts::default() };
    if let Some(model) = &answer.model {
        told.note_model(model);
    }
    choices.iter().filter_map(Choice::reason).for_each(|reason| told.note_finish_reason(reason));
    let content = choices[0].message.as_ref().and_then(|message| serde_json::from_str(message.content?.get()).ok());
    Ok(Whole { told, content })
}

/// What is known of a streamed answer so far.
#[derive(Debug, Default)]
pub struct Stream {
    /// How many choices must finish.
    expected_choices: u32,
    include_usage: bool,
    /// The choices that have said something, and those that have finished, a bit for each.
    begun: u128,
    finished: u128,
    mends: Mends,
    calls: Calls,
    pub told: AnswerFacts,
}

impl Stream {
    pub fn new(request: &Ask<'_>, mends: Mends) -> Self {
        let asked: Option<u32> = request.field("n").and_then(|value| value.get().parse().ok());
        Self {
            expected_choices: asked.unwrap_or_default().max(1),
            include_usage: request.include_usage,
            mends,
            ..Self::default()
        }
    }

    /// Takes one event, of which `data` is the data, and appends what the client gets for it to `out`.
    pub fn take(&mut self, event: &Event<'_>, data: &[u8], out: &mut Vec<u8>) -> Meaning {
        let mended = if self.mends.any() { self.mends.chunk(data, &mut self.calls) } else { None };
        let meaning = self.read(mended.as_deref().unwrap_or(data));
        if matches!(meaning, Meaning::Preamble | Meaning::Piece) {
            match mended {
                None if event.is_bare() => out.extend_from_slice(event.raw),
                None => Event::write(data, out),
                Some(data) => Event::write(&data, out),
            }
        }
        meaning
    }

    /// Whether the client gets other bytes than the provider sends.
    pub fn is_mended(&self) -> bool {
        self.mends.any()
    }

    fn read(&mut self, data: &[u8]) -> Meaning {
        if data.trim_ascii() == b"[DONE]" {
            return Meaning::End;
        }
        if !data.trim_ascii_start().starts_with(b"{") {
            // An error may come in an array (Gemini).
            let error = error_words::parse(data);
            return if error == ProviderError::default() { Meaning::Foreign } else { Meaning::Error(error) };
        }
        let Ok(chunk) = serde_json::from_slice::<AnswerFields<'_>>(data) else {
            return Meaning::Undecodable;
        };
        if let Some(error) = chunk.error(data) {
            return Meaning::Error(error);
        }
        if chunk.choices.iter().flatten().any(Choice::has_failed) {
            return Meaning::Error(ProviderError::default());
        }
        if self.told.model.is_none() {
            // Azure's first chunk, which is about the prompt, names none.
            if let Some(model) = chunk.model.as_deref().filter(|model| !model.is_empty()) {
                self.told.note_model(model);
            }
        }
        let choices = chunk.choices.unwrap_or_default();
        let is_usage_chunk = choices.is_empty() && chunk.usage.is_some();
        let is_foreign = choices.is_empty() && !is_around_an_answer(data);
        if let Some(usage) = chunk.usage {
            self.told.usage = Some(usage.into());
        }
        let mut says_something = false;
        for choice in choices {
            let place = choice.index.unwrap_or_default();
            let place = u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place)).unwrap_or_default();
            let says = choice.delta.as_ref().is_some_and(Piece::says_something);
            if says {
                self.begun |= place;
                // What follows a finish was not the end.
                self.finished &= !place;
            }
            let reason = choice.reason();
            says_something |= says || reason.is_some();
            if let Some(reason) = reason.filter(|_| self.finished & place == 0) {
                self.finished |= place;
                self.told.note_finish_reason(reason);
            }
        }
        match says_something {
            _ if is_usage_chunk && !self.include_usage => Meaning::Unasked,
            _ if is_foreign => Meaning::Foreign,
            true => Meaning::Piece,
            false => Meaning::Preamble,
        }
    }

    /// Whether every choice has its finish_reason: as many as were asked for, and each that said something.
    pub fn is_finished(&self) -> bool {
        self.finished.count_ones() >= self.expected_choices && self.begun & !self.finished == 0
    }
}
