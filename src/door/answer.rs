//! What a client wants of its answer, and what it sees of one: whichever API it speaks.

use std::borrow::Cow;

use crate::door::chat::answer as chat;
use crate::door::chat::gathered;
use crate::door::messages::answer as messages;
use crate::policy::Dialect;
use crate::wire::ask::Ask;
use crate::wire::carried::carried;
use crate::wire::door::Door;
use crate::wire::piece::{Finish, Piece};
use crate::wire::seal::Sealed;

/// What a client wants of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerOptions {
    /// The API that it speaks.
    pub door: Door,
    /// Whether a stream ends with its usage, where the API lets its clients choose.
    pub includes_usage: bool,
    pub calls: CallShape,
    /// Whether the client sees the reasoning of models that speak another dialect.
    pub shows_reasoning: bool,
}

carried!(AnswerOptions { door, includes_usage, calls, shows_reasoning });

/// The shape in which a client expects calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallShape {
    ToolCalls,
    /// One `function_call`, for chat clients that sent `functions`.
    FunctionCall,
}

carried!(CallShape = ToolCalls | FunctionCall);

impl AnswerOptions {
    pub fn of(request: &Ask<'_>, shows_reasoning: bool) -> Self {
        let calls = if request.legacy_calls { CallShape::FunctionCall } else { CallShape::ToolCalls };
        Self { door: request.door(), includes_usage: request.include_usage, calls, shows_reasoning }
    }

    /// Whether a provider of `dialect` speaks the client's own API.
    pub fn is_own(&self, dialect: Dialect) -> bool {
        dialect == self.door.dialect()
    }

    /// Whether the client sees any of an answer in a piece.
    pub fn shows(&self, dialect: Dialect, piece: &Piece<'_>) -> bool {
        let is_hidden = matches!(piece, Piece::Reasoning { .. }) && !self.shows_reasoning && !self.is_own(dialect);
        piece.says_something() && !is_hidden
    }

    /// What of a piece keeps the state of the reasoning for a client that may see what belongs to it.
    pub fn state<'p>(&self, dialect: Dialect, piece: &'p Piece<'_>) -> Option<&'p Sealed<'p>> {
        match piece {
            Piece::Sealed { sealed, .. } => {
                Some(sealed).filter(|sealed| self.shows_reasoning || self.is_own(dialect) || sealed.text.is_empty())
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

    /// The client's word for why a choice finished; a provider of the client's own dialect has the word.
    pub fn finish_word<'a>(&self, dialect: Dialect, finish: &'a Finish<'_>) -> Cow<'a, str> {
        match self.door {
            _ if self.is_own(dialect) => finish.word.decode().unwrap_or_default(),
            Door::Chat => chat::finish_word(self.calls, finish.reason).into(),
            Door::Messages => messages::stop_word(finish.reason).into(),
        }
    }
}

/// Whether a stream can bring all of the answer to `ask`. Events of the Messages API say all that its whole answers do.
pub fn can_gather(ask: &Ask<'_>) -> bool {
    match ask.door() {
        Door::Chat => gathered::can_gather(ask),
        Door::Messages => true,
    }
}
