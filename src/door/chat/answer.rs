//! What whole answers and streams for a chat client have in common: OpenAI's words, and its usage.

use serde::Serialize;

use crate::door::answer::{AnswerOptions, CallShape};
use crate::policy::Dialect;
use crate::wire::piece::{FinishReason, Piece, Said};
use crate::wire::usage::Usage;

/// The dialect that a chat client speaks.
pub const DIALECT: Dialect = Dialect::OpenaiChat;

/// OpenAI's word for why a choice finished.
pub fn finish_word(calls: CallShape, reason: FinishReason) -> &'static str {
    match (reason, calls) {
        (FinishReason::Calls, CallShape::ToolCalls) => "tool_calls",
        (FinishReason::Calls, CallShape::FunctionCall) => "function_call",
        (FinishReason::Length | FinishReason::Window, _) => "length",
        (FinishReason::Filtered, _) => "content_filter",
        (FinishReason::Stop | FinishReason::StopString | FinishReason::Paused | FinishReason::Other, _) => "stop",
    }
}

/// Whether an event holds nothing but usage that the client did not ask for.
pub fn is_unasked(options: &AnswerOptions, said: &Said<'_>) -> bool {
    let is_usage = |piece: &Piece<'_>| matches!(piece, Piece::Usage { stands_alone: true, .. });
    !options.includes_usage && said.pieces.iter().any(is_usage)
}

/// The id of an answer that has none, as JSON.
pub fn unknown_id(created: u64) -> String {
    format!("\"chatcmpl-{created}\"")
}

/// OpenAI's `usage`.
#[derive(Serialize)]
pub struct ClientUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: ClientInputDetails,
    completion_tokens_details: ClientOutputDetails,
}

#[derive(Serialize)]
struct ClientInputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct ClientOutputDetails {
    reasoning_tokens: u64,
}

impl ClientUsage {
    /// Appends it as JSON to `out`.
    pub fn write(usage: Usage, out: &mut Vec<u8>) {
        serde_json::to_writer(out, &Self::from(usage)).expect("numbers should serialise");
    }

    /// It as JSON.
    pub fn json(usage: Usage) -> String {
        serde_json::to_string(&Self::from(usage)).expect("numbers should serialise")
    }
}

impl From<Usage> for ClientUsage {
    fn from(usage: Usage) -> Self {
        ClientUsage {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: ClientInputDetails {
                cached_tokens: usage.cached_input,
                cache_write_tokens: usage.cache_write,
            },
            completion_tokens_details: ClientOutputDetails { reasoning_tokens: usage.reasoning },
        }
    }
}
