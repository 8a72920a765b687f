//! One provider's stream: its bytes in, pieces out, and whether it has begun, is whole, or broke.
//!
//! A stream is whole when every choice has a reason to finish that nothing meaningful followed, and then the end marker or the
//! end of the body came. An event that begins as a JSON object and does not parse is a break, since it may have carried text;
//! data that is no JSON object at all is left out and counted. One read is decoded at a time, so that what arrived together
//! goes out together.

use std::time::Duration;

use crate::platform::{Platform, Wait};
use crate::upstream::dialect::{Defect, Heard, Stream};
use crate::upstream::error_words::ProviderError;
use crate::wire::piece::{Alive, AsItCame, Piece, Said, Weight, recycle};
use crate::wire::sse::Decoder;

/// How long usage and the end marker are awaited after every choice has finished.
pub const AFTER_FINISH: Duration = Duration::from_secs(2);
/// The most that one read of a stream brings, in bytes.
const READ_BYTES: usize = 32 * 1024;

/// A stream under way.
pub struct ProviderStream<P: Platform> {
    body: P::Body,
    decoder: Decoder,
    dialect: Stream,
    /// The buffer for the pieces of one event.
    pieces: Vec<Piece<'static>>,
    /// Whether a piece of an answer has come.
    begun: bool,
    /// Events whose data was no JSON object.
    pub ignored: u32,
    /// Whether an event has come, since this was last asked, that shows that the model works.
    alive: bool,
    /// After how much silence the platform itself ends the body, if it does.
    pub cut_after: Option<Duration>,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No piece of an answer yet.
    Preamble,
    /// A piece of an answer has come.
    Begun,
    /// The stream is whole.
    Ended,
}

/// Why a stream will not become whole.
#[derive(Clone, Debug, PartialEq)]
pub enum Break {
    /// The provider reported an error in an event.
    Error(ProviderError),
    /// The body ended, or broke off, before every choice had finished.
    Cut,
    /// Nothing came for longer than the tier allows.
    Stalled,
    /// The end marker came before every choice had finished.
    EndedEarly,
    /// An event cannot be read.
    Undecodable,
    /// One event grew past its bound.
    TooLong,
}

impl From<Defect> for Break {
    fn from(defect: Defect) -> Self {
        match defect {
            Defect::Error(error) => Break::Error(error),
            Defect::Undecodable => Break::Undecodable,
        }
    }
}

impl<P: Platform> ProviderStream<P> {
    pub fn new(body: P::Body, dialect: Stream, cut_after: Option<Duration>) -> Self {
        Self {
            body,
            decoder: Decoder::default(),
            dialect,
            pieces: Vec::new(),
            begun: false,
            ignored: 0,
            alive: false,
            cut_after,
        }
    }

    /// Whether a piece of an answer has come.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether every choice has finished, so that only usage and the end marker may come.
    pub fn is_finished(&self) -> bool {
        self.dialect.is_finished()
    }

    /// Whether an event has come, since this was last asked, that shows that the model works but is no piece of its answer.
    pub fn take_alive(&mut self) -> bool {
        std::mem::take(&mut self.alive)
    }

    /// The decoder of the provider's dialect.
    pub fn dialect(&self) -> &Stream {
        &self.dialect
    }

    /// What the next read waits for.
    pub fn wait(&self) -> Wait<'_, P> {
        Wait::Body(&self.body)
    }

    /// Reads once, waiting if nothing has come, and gives `tell` what each event says. What was told before a break is good.
    pub fn read(&mut self, platform: &P, tell: &mut impl FnMut(&Said<'_>) -> Weight) -> Result<Progress, Break> {
        match platform.read(&mut self.body, self.decoder.space(), READ_BYTES) {
            Ok(read) if read > 0 => self.take_events(tell),
            // A body that broke off and one that ended are told apart by what they brought.
            Ok(_) | Err(_) => self.end(tell),
        }
    }

    /// The provider will say no more: whole if every choice has finished, also without an end marker.
    pub fn end(&mut self, tell: &mut impl FnMut(&Said<'_>) -> Weight) -> Result<Progress, Break> {
        self.decoder.end();
        if self.take_events(tell)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
        let last = self.dialect.data(&self.decoder.remainder());
        let mut pieces = recycle(std::mem::take(&mut self.pieces));
        let heard = self.dialect.take(&last, &mut pieces);
        if let Err(Defect::Error(error)) = heard {
            return Err(Break::Error(error));
        }
        if !self.dialect.is_finished() {
            return Err(Break::Cut);
        }
        if heard == Ok(Heard::Pieces) && last.as_it_came().is_some() {
            let came = last.as_it_came().map(|came| AsItCame { whole: None, ..came });
            tell(&Said { dialect: self.dialect.dialect(), pieces: &pieces, came });
        }
        Ok(Progress::Ended)
    }

    /// What was read and not told, and the body that goes on from there.
    pub fn into_rest(self) -> (Vec<u8>, P::Body) {
        (self.decoder.remainder().raw.to_vec(), self.body)
    }

    fn take_events(&mut self, tell: &mut impl FnMut(&Said<'_>) -> Weight) -> Result<Progress, Break> {
        while let Some(event) = self.decoder.next_event().map_err(|_| Break::TooLong)? {
            let data = self.dialect.data(&event);
            let mut pieces = recycle(std::mem::take(&mut self.pieces));
            let heard = self.dialect.take(&data, &mut pieces)?;
            self.alive |= heard == Heard::Pieces;
            match heard {
                // Comments before the answer only keep the connection to the gateway open, so they go no further.
                Heard::Pieces if !self.begun && matches!(pieces[..], [Piece::Alive(Alive::Comment)]) => {}
                Heard::Pieces => {
                    let said = Said { dialect: self.dialect.dialect(), pieces: &pieces, came: data.as_it_came() };
                    self.begun |= tell(&said) == Weight::Answer;
                }
                Heard::Foreign => self.ignored += 1,
                Heard::End if self.dialect.is_finished() => return Ok(Progress::Ended),
                Heard::End => return Err(Break::EndedEarly),
            }
            self.pieces = recycle(pieces);
        }
        Ok(if self.begun { Progress::Begun } else { Progress::Preamble })
    }
}
