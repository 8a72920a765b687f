//! What whole answers and streams of the Messages API have in common: usage, reasons to stop, the answer's own names.

use serde_json::value::RawValue;

use crate::upstream::sealer::{Sealer, Thought};
use crate::wire::carried::carried;
use crate::wire::json::{JsonString, fields_named, whole};
use crate::wire::piece::{Finish, FinishReason, is_reason};
use crate::wire::seal::{SealKind, Sealed};
use crate::wire::usage::Usage;

/// A longer id, or name of a model, is none: it would stand in every chunk.
const MAX_NAME_BYTES: usize = 256;

/// The counts of a message, each as far as it is known. They are cumulative, so of two the larger is the later one, also where
/// a provider repeats a count as 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    input: Option<u64>,
    cache_creation: Option<u64>,
    cache_read: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

carried!(Counts { input, cache_creation, cache_read, output, thinking });

impl Counts {
    /// What cannot be read counts nothing: an answer is worth more than its count.
    pub fn read(raw: Option<&RawValue>) -> Option<Self> {
        let names = [
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
            "output_tokens",
            "output_tokens_details",
        ];
        let [input, cache_creation, cache_read, output, details] = fields_named(raw?.get(), &names).ok()?;
        let thinking = details.and_then(|details| fields_named(details.get(), &["thinking_tokens"]).ok()?[0]);
        let [input, cache_creation, cache_read, output, thinking] =
            [input, cache_creation, cache_read, output, thinking].map(|count| count.and_then(whole));
        let is_known = [input, cache_creation, cache_read, output, thinking].iter().any(Option::is_some);
        is_known.then_some(Self { input, cache_creation, cache_read, output, thinking })
    }

    /// The usage of an answer; nothing while its output is unknown.
    pub fn usage(self) -> Option<Usage> {
        self.output.map(|_| self.into())
    }

    /// What is known when an answer begins, of which no output has been counted yet: the API writes 1 there.
    pub fn at_start(self) -> Self {
        Self { output: None, ..self }
    }

    pub fn update(&mut self, later: Counts) {
        self.input = self.input.max(later.input);
        self.cache_creation = self.cache_creation.max(later.cache_creation);
        self.cache_read = self.cache_read.max(later.cache_read);
        self.output = self.output.max(later.output);
        self.thinking = self.thinking.max(later.thinking);
    }
}

impl From<Counts> for Usage {
    /// The API counts what was read from the cache and put into it apart from the other input.
    fn from(counts: Counts) -> Self {
        let cached_input = counts.cache_read.unwrap_or_default();
        let cache_write = counts.cache_creation.unwrap_or_default();
        let input = counts.input.unwrap_or_default().saturating_add(cached_input).saturating_add(cache_write);
        let (output, reasoning) = (counts.output.unwrap_or_default(), counts.thinking.unwrap_or_default());
        Usage { input, cached_input, cache_write, output, reasoning }
    }
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    Text,
    Thinking,
    /// Thinking of which no word may be told.
    Redacted,
    Call,
    /// What the gateway passes over; its fragments are not those of a call.
    Other,
}

carried!(BlockKind = Text | Thinking | Redacted | Call | Other);

/// The word for why a message ended, if there is one.
pub fn reason(raw: Option<&RawValue>) -> Option<JsonString<'_>> {
    raw.and_then(JsonString::read).filter(|word| word.decode().is_some_and(|word| is_reason(&word)))
}

/// Why a message ended, by the API's word for it. Without a call, an end that was meant for one is an ordinary one.
pub fn finish(word: JsonString<'_>, has_calls: bool) -> Finish<'_> {
    let reason = match word.decode().as_deref() {
        Some("max_tokens") => FinishReason::Length,
        Some("model_context_window_exceeded") => FinishReason::Window,
        Some("refusal") => FinishReason::Filtered,
        Some("tool_use" | "end_turn") if has_calls => FinishReason::Calls,
        Some("tool_use" | "end_turn") => FinishReason::Stop,
        Some("stop_sequence") => FinishReason::StopString,
        Some("pause_turn") => FinishReason::Paused,
        Some(_) | None => FinishReason::Other,
    };
    Finish { reason, word, stop_string: None, explanation: None }
}

/// A whole thought with the state that only the API itself can read, as its client gets it; nothing where it cannot be sealed.
pub fn sealed<'a>(
    sealer: Option<&Sealer>,
    kind: SealKind,
    text: JsonString<'a>,
    state: Option<&RawValue>,
) -> Option<Sealed<'a>> {
    let sealer = sealer?;
    let state = JsonString::read_some(state)?;
    let token = sealer.seal(Thought { kind, text: &text.decode()? }, &state.decode()?)?;
    Some(Sealed { kind, text, token: token.into() })
}

/// The explanation in the `stop_details` of a refusal.
pub fn explanation(stop_details: Option<&RawValue>) -> Option<JsonString<'_>> {
    let [explanation] = fields_named(stop_details?.get(), &["explanation"]).ok()?;
    explanation.and_then(JsonString::read)
}

/// An id, or the name of a model, if it is one.
pub fn name(raw: Option<&RawValue>) -> Option<JsonString<'_>> {
    JsonString::read_some(raw).filter(|name| name.get().len() <= MAX_NAME_BYTES && name.decode().is_some())
}
