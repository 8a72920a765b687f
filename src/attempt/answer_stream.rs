//! A streamed answer under way: its provider's stream, and its delivery to the client. It can be taken apart into plain values,
//! written down, and put together again in another execution of the same build, which goes on as if nothing had happened.

use std::rc::Rc;

use crate::door::delivery::Delivery;
use crate::platform::Platform;
use crate::upstream::sealer::Sealer;
use crate::upstream::stream::{Break, Progress, ProviderParts, ProviderState, ProviderStream};
use crate::wire::call_tag::{CallTagger, Origin};
use crate::wire::carried::carried;
use crate::wire::piece::{FinishReason, Piece};
use crate::wire::transfer::Transfer;

/// Joins the two sides of a stream.
pub struct AnswerStream<P: Platform> {
    pub provider: ProviderStream<P>,
    pub delivery: Delivery,
    /// What the client gets next; all that is left, if the stream has ended.
    pub held: Vec<u8>,
    pub progress: Progress,
    opening: Opening,
}

/// An answer under way as plain values. No key is among them, and nothing of the policy's but what the answer needs.
#[derive(Debug)]
pub struct StreamState {
    provider: ProviderState,
    delivery: Delivery,
    progress: Progress,
    opening: Opening,
}

carried!(StreamState { provider, delivery, progress, opening });

/// An answer that is taken apart.
pub struct Parts<P: Platform> {
    pub state: StreamState,
    /// What the client gets next; of an answer that is held, all that it has so far.
    pub held: Vec<u8>,
    /// What has been read of the body and not told: it is the beginning of what is still to be read.
    pub rest: Vec<u8>,
    /// The body behind that.
    pub body: P::Body,
}

/// What is made anew for an answer under way, since keys are no plain values.
#[derive(Clone, Debug, Default)]
pub struct StreamKeys {
    /// What seals its thoughts.
    pub sealer: Option<Rc<Sealer>>,
    /// What tags its calls.
    pub tagger: Option<Rc<CallTagger>>,
}

impl StreamState {
    /// In which form the client gets the answer.
    pub fn told(&self) -> Transfer {
        self.delivery.transfer()
    }

    /// Whose calls are tagged, if they are.
    pub fn tagged_origin(&self) -> Option<Origin> {
        self.delivery.origin()
    }

    /// What [`Sealer::of_origin`] needs for the keys that the answer is read with; nothing if it needs none.
    pub fn sealer_origin(&self) -> Option<[&str; 3]> {
        self.provider.sealer_origin()
    }
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

carried!(Opening = Nothing | Refusal | Answer);

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

    /// Takes the answer apart; gives it back as it is if its body has a coding, whose window would be most of what is carried.
    ///
    /// # Errors
    /// The answer itself.
    pub fn into_parts(self: Box<Self>) -> Result<Parts<P>, Box<Self>> {
        if self.provider.is_coded() {
            return Err(self);
        }
        let Self { provider, delivery, held, progress, opening } = *self;
        let ProviderParts { state: provider, rest, body } = provider.into_parts();
        Ok(Parts { state: StreamState { provider, delivery, progress, opening }, held, rest, body })
    }

    /// Puts an answer together again; nothing if the state is none of this build. The next read takes `rest`, which is what has
    /// been read of the body by now. Of a state that comes from elsewhere, `keys` are those that it had
    /// ([`StreamState::sealer_origin`], [`StreamState::tagged_origin`]), and no other answer can take the place of this one any more.
    pub fn from_parts(parts: Parts<P>, keys: StreamKeys) -> Option<Self> {
        let StreamKeys { sealer, tagger } = keys;
        let Parts { state, held, rest, body } = parts;
        let StreamState { provider: state, delivery, progress, opening } = state;
        let provider = ProviderStream::from_parts(ProviderParts { state, rest, body }, sealer)?;
        Some(Self { provider, delivery: delivery.tagged(tagger), held, progress, opening })
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
