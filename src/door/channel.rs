//! The texts of an answer by the channel that they come in, and how far a replay has said them again.

use serde_json::Value;

use crate::wire::carried::Carried;
use crate::wire::json::JsonString;
use crate::wire::piece::{Piece, ReasoningForm};

/// How many channels of text an answer has: text, refusal, and reasoning under its two names.
pub const CHANNELS: usize = 4;

/// A text as far as it was delivered.
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
    /// Whether a replay has not said all of it again.
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

/// Without what a replay has said again: where the answer goes on elsewhere, no other stream takes its place.
impl Carried for Channel {
    fn to_json(&self) -> Value {
        let Self { delivered, replayed } = self;
        delivered.get(*replayed..).unwrap_or_default().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        String::from_json(json).map(|delivered| Self { delivered, replayed: 0 })
    }
}

/// The channel of a text, and the text.
pub fn channel_of<'p, 's>(piece: &'p Piece<'s>) -> Option<(usize, &'p JsonString<'s>)> {
    match piece {
        Piece::Text { text, .. } => Some((0, text)),
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
