//! What whole answers and streams of the Messages API have in common: usage, reasons to stop, the answer's own names.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::policy::Dialect;
use crate::wire::json::JsonString;
use crate::wire::piece::{Finish, FinishReason};
use crate::wire::seal::{SealKind, SealOrigin, Sealed};
use crate::wire::usage::Usage;

/// A longer id, or name of a model, is none: it would stand in every chunk.
const MAX_NAME_BYTES: usize = 256;

/// The counts of a message, each as far as it is known. They are cumulative: a later one replaces an earlier one.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Counts {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct OutputDetails {
    #[serde(default)]
    thinking_tokens: Option<u64>,
}

impl Counts {
    /// What cannot be read counts nothing: an answer is worth more than its count.
    pub fn read(raw: Option<&RawValue>) -> Option<Self> {
        serde_json::from_str::<Option<Counts>>(raw?.get()).ok().flatten()
    }

    pub fn update(&mut self, later: Counts) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens = later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }
}

impl From<Counts> for Usage {
    /// The API counts what was read from the cache and put into it apart from the other input.
    fn from(counts: Counts) -> Self {
        let cached_input = counts.cache_read_input_tokens.unwrap_or_default();
        let cache_write = counts.cache_creation_input_tokens.unwrap_or_default();
        let input = counts.input_tokens.unwrap_or_default().saturating_add(cached_input).saturating_add(cache_write);
        let reasoning = counts.output_tokens_details.and_then(|details| details.thinking_tokens).unwrap_or_default();
        Usage { input, cached_input, cache_write, output: counts.output_tokens.unwrap_or_default(), reasoning }
    }
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    Text,
    Thinking,
    Call,
    /// What the gateway passes over; its fragments are not those of a call.
    Other,
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

/// Reasoning that only the API itself can read.
pub fn sealed(kind: SealKind, state: JsonString<'_>) -> Sealed<'_> {
    Sealed { kind, origin: SealOrigin { dialect: Dialect::AnthropicMessages, route: None }, state }
}

/// The explanation in the `stop_details` of a refusal.
pub fn explanation(stop_details: Option<&RawValue>) -> Option<JsonString<'_>> {
    #[derive(Deserialize)]
    struct Details<'a> {
        #[serde(borrow, default)]
        explanation: Option<&'a RawValue>,
    }
    let details: Option<Details<'_>> = serde_json::from_str(stop_details?.get()).ok()?;
    details?.explanation.and_then(JsonString::read)
}

/// An id, or the name of a model, if it is one.
pub fn name(raw: Option<&RawValue>) -> Option<JsonString<'_>> {
    JsonString::read_some(raw).filter(|name| name.get().len() <= MAX_NAME_BYTES && name.decode().is_some())
}
