//! One provider's stream: its bytes in, the client's events out, and whether it has begun, is whole, or broke.
//!
//! A stream is whole when every choice has its finish_reason and then the end marker or the end of the body came
//! (design.md §7). An event that begins as a JSON object and does not parse is a break, since it may have carried text; data
//! that is no JSON object at all is left out and counted. One read is decoded at a time, so that what arrived together goes
//! out together.

use std::time::Duration;

use crate::platform::{Platform, Wait};
use crate::upstream::dialect::{Meaning, Stream};
use crate::upstream::error_words::ProviderError;
use crate::wire::sse::{Decoder, Event};

/// How long usage and the end marker are awaited after every choice has finished.
pub const AFTER_FINISH: Duration = Duration::from_secs(2);
const READ_BYTES: usize = 32 * 1024;
/// What may come before the first piece of an answer.
const MAX_PREAMBLE_BYTES: usize = 64 * 1024;
const DONE: &[u8] = b"data: [DONE]\n\n";

/// A stream under way.
pub struct Incoming<P: Platform> {
    body: P::Body,
    decoder: Decoder,
    /// What the stream has told so far.
    pub stream: Stream,
    begun: bool,
    /// Events whose data was no JSON object.
    pub ignored: u32,
    /// Whether the platform ends a body that stalls.
    pub keeps_timeouts: bool,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No piece of an answer yet.
    Preamble,
    Begun,
    /// Whole; the end marker has been put out.
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
    Undecodable,
    /// One event grew past its bound.
    TooLong,
    /// What came before the first piece grew past its bound.
    LongPreamble,
}

impl<P: Platform> Incoming<P> {
    pub fn new(body: P::Body, stream: Stream, keeps_timeouts: bool) -> Self {
        Self { body, decoder: Decoder::default(), stream, begun: false, ignored: 0, keeps_timeouts }
    }

    pub fn has_begun(&self) -> bool {
        self.begun
    }

    pub fn wait(&self) -> Wait<'_, P> {
        Wait::Body(&self.body)
    }

    /// Reads once, waiting if nothing has come, and appends what the client is to get of it to `out`. What was appended
    /// before a break is good.
    pub fn read(&mut self, platform: &P, out: &mut Vec<u8>) -> Result<Progress, Break> {
        match platform.read(&mut self.body, self.decoder.space(), READ_BYTES) {
            Ok(read) if read > 0 => self.take_events(out),
            // A body that broke off and one that ended are told apart by what they brought.
            Ok(_) | Err(_) => self.end(out),
        }
    }

    /// The provider will say no more: whole if every choice has finished, also without an end marker.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<Progress, Break> {
        self.decoder.end();
        if self.take_events(out)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
        let mut last = Vec::new();
        let remainder = self.decoder.remainder();
        let meaning = self.stream.take(&remainder, &mut last);
        if let Meaning::Error(error) = meaning {
            return Err(Break::Error(error));
        }
        if !self.stream.is_finished() {
            return Err(Break::Cut);
        }
        if matches!(meaning, Meaning::Preamble | Meaning::Piece | Meaning::End) && !last.is_empty() {
            out.extend_from_slice(last.trim_ascii_end());
            out.extend_from_slice(b"\n\n");
        }
        out.extend_from_slice(DONE);
        Ok(Progress::Ended)
    }

    /// What was read and not put out, and the body that goes on from there.
    pub fn into_rest(self) -> (Vec<u8>, P::Body) {
        (self.decoder.remainder().raw.to_vec(), self.body)
    }

    fn take_events(&mut self, out: &mut Vec<u8>) -> Result<Progress, Break> {
        while let Some(event) = self.decoder.next_event().map_err(|_| Break::TooLong)? {
            match take(&mut self.stream, &event, self.begun, out) {
                Meaning::Preamble if !self.begun && out.len() > MAX_PREAMBLE_BYTES => return Err(Break::LongPreamble),
                Meaning::Comment | Meaning::Preamble | Meaning::Unasked => {}
                Meaning::Piece => self.begun = true,
                Meaning::Foreign => self.ignored += 1,
                Meaning::End if self.stream.is_finished() => {
                    out.extend_from_slice(DONE);
                    return Ok(Progress::Ended);
                }
                Meaning::End => return Err(Break::EndedEarly),
                Meaning::Error(error) => return Err(Break::Error(error)),
                Meaning::Undecodable => return Err(Break::Undecodable),
            }
        }
        Ok(if self.begun { Progress::Begun } else { Progress::Preamble })
    }
}

/// Comments before the answer only keep the connection to the gateway open, so they go no further.
fn take(stream: &mut Stream, event: &Event<'_>, begun: bool, out: &mut Vec<u8>) -> Meaning {
    let before = out.len();
    let meaning = stream.take(event, out);
    if meaning == Meaning::Comment && !begun {
        out.truncate(before);
    }
    meaning
}
