//! What whole answers and streams for a chat client have in common: what the client asked for, and OpenAI's words.

use std::borrow::Cow;

use serde::Serialize;

use crate::policy::Dialect;
use crate::wire::ask::Ask;
use crate::wire::carried::carried;
use crate::wire::piece::{Finish, FinishReason, Piece, Said};
use crate::wire::seal::Sealed;
use crate::wire::usage::Usage;

/// The dialect that a chat client speaks.
pub const DIALECT: Dialect = Dialect::OpenaiChat;

/// What a client wants of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerOptions {
    /// Whether a stream ends with its usage.
    pub includes_usage: bool,
    pub calls: CallShape,
    /// Whether the client sees the reasoning of models that speak another dialect.
    pub shows_reasoning: bool,
}

carried!(AnswerOptions { includes_usage, calls, shows_reasoning });

/// The shape in which a client expects calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallShape {
    ToolCalls,
    /// One `function_call`, for clients that sent `functions`.
    FunctionCall,
}

carried!(CallShape = ToolCalls | FunctionCall);

impl AnswerOptions {
    pub fn of(request: &Ask<'_>, shows_reasoning: bool) -> Self {
        let calls = if request.legacy_calls { CallShape::FunctionCall } else { CallShape::ToolCalls };
        Self { includes_usage: request.include_usage, calls, shows_reasoning }
    }

    /// Whether the client sees any of an answer in a piece.
    pub fn shows(&self, dialect: Dialect, piece: &Piece<'_>) -> bool {
        let is_hidden = matches!(piece, Piece::Reasoning { .. }) && !self.shows_reasoning && dialect != DIALECT;
        piece.says_something() && !is_hidden
    }

    /// What of a piece keeps the state of the reasoning for a client that may see what belongs to it.
    pub fn state<'p>(&self, piece: &'p Piece<'_>) -> Option<&'p Sealed<'p>> {
        match piece {
            Piece::Sealed { sealed, .. } => {
                Some(sealed).filter(|sealed| self.shows_reasoning || sealed.text.is_empty())
            }
            Piece::Start(_)
            | Piece::Begin { .. }
            | Piece::Text { .. }
            | Piece::Refusal { .. }
            | Piece::Reasoning { .. }
            | Piece::Input { .. }
            | Piece::End { .. }
            | Piece::Finish { .. }
            | Piece::Usage { .. }
            | Piece::Alive(_)
            | Piece::Opaque(_) => None,
        }
    }

    /// OpenAI's word for why a choice finished; a provider of the client's own dialect has the word.
    pub fn finish_word<'a>(&self, dialect: Dialect, finish: &'a Finish<'_>) -> Cow<'a, str> {
        let word = match (finish.reason, self.calls) {
            _ if dialect == DIALECT => return finish.word.decode().unwrap_or_default(),
            (FinishReason::Calls, CallShape::ToolCalls) => "tool_calls",
            (FinishReason::Calls, CallShape::FunctionCall) => "function_call",
            (FinishReason::Length | FinishReason::Window, _) => "length",
            (FinishReason::Filtered, _) => "content_filter",
            (FinishReason::Stop | FinishReason::StopString | FinishReason::Paused | FinishReason::Other, _) => "stop",
        };
        word.into()
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
