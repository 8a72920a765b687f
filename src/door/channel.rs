//! The channels of text that an answer has, and how far a stream that takes another one's place is in each.

use crate::wire::json::JsonString;
use crate::wire::piece::{Piece, ReasoningForm};

/// How many channels of text an answer has: text, refusal, and reasoning under its two names.
pub const CHANNELS: usize = 4;
/// The channel of the answer's text.
pub const TEXT: usize = 0;

/// A text of one kind, of which an answer has one.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    pub delivered: String,
    /// How many bytes of it a replay has said again.
    pub replayed: usize,
}

/// A replay says something else than what was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differs;

impl Channel {
    /// Whether a replay has still to say some of what was delivered.
    pub fn is_behind(&self) -> bool {
        self.replayed < self.delivered.len()
    }

    /// Takes what a stream says, and gives how much of it was delivered before.
    pub fn take(&mut self, text: &str) -> Result<usize, Differs> {
        let expected = &self.delivered[self.replayed..];
        if text.starts_with(expected) {
            let known = expected.len();
            self.replayed = self.delivered.len();
            Ok(known)
        } else if expected.starts_with(text) {
            self.replayed += text.len();
            Ok(text.len())
        } else {
            Err(Differs)
        }
    }
}

/// Whether a piece cannot be compared with what another stream says: one of another choice, or a part of the answer in a form
/// that nobody here knows.
pub fn is_incomparable(piece: &Piece<'_>) -> bool {
    let is_unknown = match piece {
        Piece::Opaque(opaque) => opaque.is_answer,
        Piece::Text { text, .. } | Piece::Refusal { text, .. } | Piece::Reasoning { text, .. } => {
            // Only with escapes it may be half a character.
            text.get().contains('\\') && text.decode().is_none()
        }
        Piece::Start(_)
        | Piece::Begin { .. }
        | Piece::Sealed { .. }
        | Piece::Input { .. }
        | Piece::End { .. }
        | Piece::Finish { .. }
        | Piece::Usage { .. }
        | Piece::Alive(_) => false,
    };
    is_unknown || piece.choice().is_some_and(|choice| choice > 0)
}

/// The channel of a text, and the text.
pub fn channel_of<'p, 's>(piece: &'p Piece<'s>) -> Option<(usize, &'p JsonString<'s>)> {
    match piece {
        Piece::Text { text, .. } => Some((TEXT, text)),
        Piece::Refusal { text, .. } => Some((1, text)),
        Piece::Reasoning { form: ReasoningForm::Text | ReasoningForm::Summary, text, .. } => Some((2, text)),
        Piece::Reasoning { form: ReasoningForm::Alias, text, .. } => Some((3, text)),
        Piece::Start(_)
        | Piece::Begin { .. }
        | Piece::Sealed { .. }
        | Piece::Input { .. }
        | Piece::End { .. }
        | Piece::Finish { .. }
        | Piece::Usage { .. }
        | Piece::Alive(_)
        | Piece::Opaque(_) => None,
    }
}

/// A piece of a channel with another text.
pub fn with_text<'s>(piece: &Piece<'s>, new: JsonString<'s>) -> Piece<'s> {
    let mut piece = piece.clone();
    if let Piece::Text { text, .. } | Piece::Refusal { text, .. } | Piece::Reasoning { text, .. } = &mut piece {
        *text = new;
    }
    piece
}
