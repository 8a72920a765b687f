//! A streamed answer under way: its provider's stream, and its delivery to the client.

use crate::door::delivery::Delivery;
use crate::platform::Platform;
use crate::upstream::stream::{Break, Progress, ProviderStream};
use crate::wire::piece::{FinishReason, Piece};

/// Joins the two sides of a stream.
pub struct AnswerStream<P: Platform> {
    pub provider: ProviderStream<P>,
    pub delivery: Delivery,
    /// What the client gets next; all that is left, if the stream has ended.
    pub held: Vec<u8>,
    pub progress: Progress,
    opening: Opening,
}

/// What an answer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It has not begun.
    Nothing,
    /// The model, or the provider's filter, refuses, and no text came before that.
    Refusal,
    Answer,
}

impl Opening {
    /// What pieces open with.
    pub fn of(pieces: &[Piece<'_>]) -> Self {
        let refuses = |piece: &Piece<'_>| match piece {
            Piece::Refusal { .. } => true,
            Piece::Finish { finish, .. } => finish.reason == FinishReason::Filtered,
            _ => false,
        };
        match pieces.iter().find(|piece| piece.says_something()) {
            None => Opening::Nothing,
            Some(piece) if refuses(piece) => Opening::Refusal,
            Some(_) => Opening::Answer,
        }
    }
}

impl<P: Platform> AnswerStream<P> {
    pub fn new(provider: ProviderStream<P>, delivery: Delivery) -> Self {
        Self { provider, delivery, held: Vec::new(), progress: Progress::Preamble, opening: Opening::Nothing }
    }

    /// Reads once, waiting if nothing has come. What is held after a break is good.
    pub fn read(&mut self, platform: &P) -> Result<Progress, Break> {
        let Self { provider, delivery, held, opening, .. } = self;
        let progress = provider.read(platform, &mut |said| {
            if *opening == Opening::Nothing {
                *opening = Opening::of(said.pieces);
            }
            delivery.take(said, held)
        })?;
        self.note(progress)
    }

    /// The provider will say no more: whole if every choice has finished, also without an end marker.
    pub fn end(&mut self) -> Result<Progress, Break> {
        let Self { provider, delivery, held, .. } = self;
        let progress = provider.end(&mut |said| delivery.take(said, held))?;
        self.note(progress)
    }

    /// What it begins with.
    pub fn opening(&self) -> Opening {
        self.opening
    }

    /// Whether the client gets other bytes than the provider sends.
    pub fn is_rewritten(&self) -> bool {
        let dialect = self.provider.dialect();
        dialect.is_mended() || self.provider.is_coded() || self.delivery.rewrites(dialect.dialect())
    }

    fn note(&mut self, progress: Progress) -> Result<Progress, Break> {
        if self.delivery.is_too_large() {
            return Err(Break::TooLong);
        }
        if progress == Progress::Ended {
            self.delivery.end(&mut self.held);
        }
        self.progress = progress;
        Ok(progress)
    }
}
