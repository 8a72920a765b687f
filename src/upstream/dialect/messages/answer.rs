//! What whole answers and streams of the Messages API have in common: usage, reasons to stop, the answer's own names.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::record::Usage;
use crate::wire::json::{is_text, text};

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

/// OpenAI's `usage`.
#[derive(Serialize)]
pub struct UsageFields {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: InputDetails,
    completion_tokens_details: ReasoningDetails,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct ReasoningDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for UsageFields {
    fn from(usage: Usage) -> Self {
        UsageFields {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: InputDetails {
                cached_tokens: usage.cached_input,
                cache_write_tokens: usage.cache_write,
            },
            completion_tokens_details: ReasoningDetails { reasoning_tokens: usage.reasoning },
        }
    }
}

/// The shape in which a client expects calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallShape {
    ToolCalls,
    /// One `function_call`, for clients that sent `functions`.
    FunctionCall,
}

impl CallShape {
    pub fn of(request: &crate::wire::ask::Ask<'_>) -> Self {
        if request.legacy_calls { CallShape::FunctionCall } else { CallShape::ToolCalls }
    }
}

/// OpenAI's word for why an answer ended.
pub fn finish_reason(stop_reason: &str, has_calls: bool, shape: CallShape) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content_filter",
        // Without a call, an end that was meant for one is an ordinary one.
        "tool_use" | "end_turn" if has_calls => match shape {
            CallShape::ToolCalls => "tool_calls",
            CallShape::FunctionCall => "function_call",
        },
        // end_turn, stop_sequence, pause_turn, and what may come.
        _ => "stop",
    }
}

/// The explanation in the `stop_details` of a refusal, as JSON.
pub fn explanation(stop_details: Option<&RawValue>) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Details<'a> {
        #[serde(borrow, default)]
        explanation: Option<&'a RawValue>,
    }
    let details: Option<Details<'_>> = serde_json::from_str(stop_details?.get()).ok()?;
    details?.explanation.filter(|explanation| is_text(explanation))
}

/// An id, or the name of a model, if it is one.
pub fn name(raw: Option<&RawValue>) -> Option<String> {
    let raw = raw.filter(|raw| is_text(raw) && raw.get().len() <= MAX_NAME_BYTES)?;
    text(raw).map(|text| text.into_owned()).filter(|text| !text.is_empty())
}

/// The id of an answer that has none.
pub fn unknown_id(created: u64) -> String {
    format!("chatcmpl-{created}")
}
