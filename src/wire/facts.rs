//! What an answer tells about itself, for the log and the bill.

use crate::mask::keys::cut;
use crate::wire::carried::carried;
use crate::wire::piece::Piece;
use crate::wire::usage::Tally;

/// The longest name of a model that is logged, in bytes.
const MAX_MODEL_BYTES: usize = 128;
/// The most reasons to finish that are logged: one of each choice.
const MAX_REASONS: usize = 16;
/// The longest reason to finish that is logged, in bytes.
const MAX_REASON_BYTES: usize = 64;

/// The facts of one answer, made from its pieces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerFacts {
    pub tally: Tally,
    /// The model as the provider names it, cut to [`MAX_MODEL_BYTES`].
    pub model: Option<String>,
    /// The reasons to finish, [`MAX_REASONS`] at most, each cut to [`MAX_REASON_BYTES`].
    pub finish_reasons: Vec<String>,
    /// The choice of each of them.
    finished: Vec<u64>,
}

carried!(AnswerFacts { tally, model, finish_reasons, finished });

impl AnswerFacts {
    /// Notes what a piece tells, but for a reason to finish, whose word is the door's.
    pub fn note(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Start(start) => {
                self.tally.usage_at_start = start.usage.or(self.tally.usage_at_start);
                if let (None, Some(model)) = (&self.model, start.model.as_ref().and_then(|model| model.decode())) {
                    self.model = Some(cut(&model, MAX_MODEL_BYTES).to_owned());
                }
            }
            Piece::Usage { usage, .. } => self.tally.usage = usage.or(self.tally.usage),
            Piece::Text { text, .. }
            | Piece::Refusal { text, .. }
            | Piece::Reasoning { text, .. }
            | Piece::Input { fragment: text, .. } => self.tally.text_bytes += text.text_bytes() as u64,
            Piece::Begin { .. }
            | Piece::Sealed { .. }
            | Piece::End { .. }
            | Piece::Finish { .. }
            | Piece::Alive(_)
            | Piece::Opaque(_) => {}
        }
    }

    /// Notes why `choice` has finished, in the word that the client gets. What it said before was not the end.
    pub fn note_finish_reason(&mut self, choice: u64, reason: &str) {
        let reason = cut(reason, MAX_REASON_BYTES);
        match self.finished.iter().position(|known| *known == choice) {
            Some(position) => reason.clone_into(&mut self.finish_reasons[position]),
            None if self.finished.len() < MAX_REASONS => {
                self.finished.push(choice);
                self.finish_reasons.push(reason.to_owned());
            }
            None => {}
        }
    }
}
