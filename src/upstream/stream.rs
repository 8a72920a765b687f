//! One provider's stream: its bytes in, pieces out, and whether it has begun, is whole, or broke.
//!
//! A stream is whole when every choice has a reason to finish that nothing meaningful followed, and then the end marker or the
//! end of the body came. An event that begins as a JSON object and does not parse is a break, since it may have carried text;
//! data that is no JSON object at all is left out and counted. One read is decoded at a time, so that what arrived together
//! goes out together.
//!
//! What has come is known by its first bytes, since content types are often wrong or missing. A whole answer in place of a
//! stream is read as one, and told at its end.

use std::rc::Rc;
use std::time::Duration;

use crate::platform::{Platform, Wait};
use crate::upstream::coding::{BodyFailure, BodyState, PlainBody};
use crate::upstream::dialect::state::DecoderState;
use crate::upstream::dialect::{self, DecodeOptions, Defect, EndOfAnswer, Heard, Stream};
use crate::upstream::error_words::ProviderError;
use crate::upstream::sealer::Sealer;
use crate::wire::carried::carried;
use crate::wire::piece::{Alive, AsItCame, Came, Piece, Said, Weight, recycle};
use crate::wire::sse::{self, Beginning, Decoder, MAX_EVENT_BYTES};

/// How long usage and the end marker are awaited after every choice has finished.
pub const AFTER_FINISH: Duration = Duration::from_secs(2);
/// The most that one read of a stream brings, in bytes.
const READ_BYTES: usize = 32 * 1024;
/// The most white space that may stand before anything else, in bytes.
const MAX_BLANK_BYTES: usize = 64 * 1024;

/// A stream under way.
pub struct ProviderStream<P: Platform> {
    body: PlainBody<P>,
    decoder: Decoder,
    form: Form,
    options: DecodeOptions,
    dialect: Stream,
    /// The buffer for the pieces of one event.
    pieces: Vec<Piece<'static>>,
    /// Whether a piece of an answer has come.
    begun: bool,
    /// Whether an event has come that shows that the model works.
    alive: bool,
    /// How many events this execution has read.
    pub events: u32,
    /// Events whose data was no JSON object.
    pub ignored: u32,
    /// Whether the body broke off, rather than ended.
    pub broke_off: bool,
    /// How many bytes of the body have come, decoded.
    pub bytes: u64,
    /// After how much silence the platform itself ends the body, if it does.
    pub cut_after: Option<Duration>,
}

/// A stream under way, without its body and its keys, as plain values: another execution of the same build goes on with it.
#[derive(Debug)]
pub struct ProviderState {
    body: BodyState,
    is_behind_beginning: bool,
    form: Form,
    options: DecodeOptions,
    dialect: DecoderState,
    /// What the keys are for that seal its thoughts, if any are sealed.
    sealer_origin: Option<[String; 3]>,
    begun: bool,
    alive: bool,
    ignored: u32,
    bytes: u64,
    cut_after: Option<Duration>,
}

carried!(ProviderState {
    body,
    is_behind_beginning,
    form,
    options,
    dialect,
    sealer_origin,
    begun,
    alive,
    ignored,
    bytes,
    cut_after
});

/// A stream that is taken apart.
pub struct ProviderParts<P: Platform> {
    pub state: ProviderState,
    /// What has been read of the body and not told.
    pub rest: Vec<u8>,
    /// What is left of it behind `rest`.
    pub body: P::Body,
}

impl ProviderState {
    /// What [`Sealer::of_origin`] needs for the stream's keys; nothing if it has none.
    pub fn sealer_origin(&self) -> Option<[&str; 3]> {
        self.sealer_origin.as_ref().map(|origin| origin.each_ref().map(String::as_str))
    }
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Unknown,
    Events,
    /// One JSON document.
    Whole,
}

carried!(Form = Unknown | Events | Whole);

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

carried!(Progress = Preamble | Begun | Ended);

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
    /// One event, or what is gathered of the answer, grew past its bound.
    TooLong,
}

impl From<Defect> for Break {
    fn from(defect: Defect) -> Self {
        match defect {
            Defect::Error(error) => Break::Error(error),
            Defect::Undecodable => Break::Undecodable,
            Defect::Cut => Break::EndedEarly,
        }
    }
}

impl<P: Platform> ProviderStream<P> {
    /// Nothing if the dialect cannot be read.
    pub fn new(body: PlainBody<P>, options: DecodeOptions, cut_after: Option<Duration>) -> Option<Self> {
        Some(Self {
            body,
            decoder: Decoder::default(),
            form: Form::Unknown,
            dialect: Stream::new(&options)?,
            options,
            pieces: Vec::new(),
            begun: false,
            alive: false,
            events: 0,
            ignored: 0,
            broke_off: false,
            bytes: 0,
            cut_after,
        })
    }

    /// Takes it apart, for [`ProviderStream::from_parts`]. A body with a coding must not be: see [`ProviderStream::is_coded`].
    pub fn into_parts(self) -> ProviderParts<P> {
        let Self {
            body,
            decoder,
            form,
            options,
            dialect,
            pieces: _,
            begun,
            alive,
            events: _,
            ignored,
            broke_off: _,
            bytes,
            cut_after,
        } = self;
        let is_behind_beginning = decoder.is_behind_beginning();
        let mut rest = decoder.into_unread();
        // It is read again, and counted then.
        let unread = rest.len() as u64;
        let state = ProviderState {
            body: body.state(unread),
            is_behind_beginning,
            form,
            sealer_origin: options.sealer.as_ref().map(|sealer| sealer.origin().clone()),
            options,
            dialect: dialect.into_state(),
            begun,
            alive,
            ignored,
            bytes: bytes - unread,
            cut_after,
        };
        let body = body.into_rest(&mut rest);
        ProviderParts { state, rest, body }
    }

    /// Puts it together again; nothing if the state is none of this build. Where it comes from elsewhere, `sealer` seals its
    /// thoughts. `rest` may be more, or less, of the body than it was where the stream was taken apart.
    pub fn from_parts(parts: ProviderParts<P>, sealer: Option<Rc<Sealer>>) -> Option<Self> {
        let ProviderParts { state, rest, body } = parts;
        let ProviderState {
            body: body_state,
            is_behind_beginning,
            form,
            options,
            dialect,
            sealer_origin: _,
            begun,
            alive,
            ignored,
            bytes,
            cut_after,
        } = state;
        let options = DecodeOptions { sealer: options.sealer.clone().or(sealer), ..options };
        Some(Self {
            body: PlainBody::from_state(&body_state, rest, body),
            decoder: if is_behind_beginning { Decoder::behind_beginning() } else { Decoder::default() },
            form,
            dialect: Stream::from_state(&options, dialect)?,
            options,
            pieces: Vec::new(),
            begun,
            alive,
            events: 0,
            ignored,
            broke_off: false,
            bytes,
            cut_after,
        })
    }

    /// Whether a piece of an answer has come.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether every choice has finished, so that only usage and the end marker may come.
    pub fn is_finished(&self) -> bool {
        self.dialect.is_finished()
    }

    /// How long more is awaited once every choice has finished; nothing while one has not, or where the answer has gone on after
    /// a reason to finish before. One that came with a part of the answer may be one of many, so it is waited as long as for
    /// any other part, `idle`.
    pub fn settles_in(&self, idle: Duration) -> Option<Duration> {
        match self.dialect.end() {
            _ if !self.is_finished() => None,
            EndOfAnswer { went_on: true, .. } => None,
            EndOfAnswer { stood_alone: true, .. } => Some(AFTER_FINISH),
            EndOfAnswer { stood_alone: false, .. } => Some(idle.max(AFTER_FINISH)),
        }
    }

    /// Whether since the last call an event has come that is no piece of the answer, and shows that the model works.
    pub fn take_alive(&mut self) -> bool {
        std::mem::take(&mut self.alive)
    }

    /// Whether the body is not what was sent, so that nobody else can pass on the rest.
    pub fn is_coded(&self) -> bool {
        self.body.is_coded()
    }

    /// The decoder of the provider's dialect.
    pub fn dialect(&self) -> &Stream {
        &self.dialect
    }

    /// Whether the next read waits for nothing.
    pub fn is_pending(&self) -> bool {
        self.body.is_pending()
    }

    /// What the next read waits for, if for anything.
    pub fn wait(&self) -> Wait<'_, P> {
        self.body.wait()
    }

    /// Reads once, waiting if nothing has come, and gives `tell` what each event says. What was told before a break is good.
    pub fn read(&mut self, platform: &P, tell: &mut impl FnMut(&Said<'_>) -> Weight) -> Result<Progress, Break> {
        let space = self.decoder.space();
        let before = space.len();
        let read = self.body.read(platform, space, READ_BYTES);
        self.bytes += (space.len() - before) as u64;
        match read {
            Ok(()) if !self.body.is_over() => self.take(tell),
            Err(BodyFailure::Corrupt) => Err(Break::Undecodable),
            Ok(()) => self.end(tell),
            Err(BodyFailure::Broken) => {
                self.broke_off = true;
                self.break_off(tell)
            }
        }
    }

    /// The body broke off. What has come tells it from one that ended: whole is what the end marker ended, or a reason to
    /// finish that stood alone and was the only one; one that came with a part of the answer may be one of many.
    fn break_off(&mut self, tell: &mut impl FnMut(&Said<'_>) -> Weight) -> Result<Progress, Break> {
        let is_sure = |end: EndOfAnswer| end.stood_alone && !end.went_on;
        let had_finished = self.is_finished();
        if had_finished && !is_sure(self.dialect.end()) {
            return match self.take(tell)? {
                Progress::Ended => Ok(Progress::Ended),
                Progress::Preamble | Progress::Begun => Err(Break::Cut),
            };
        }
        let progress = self.end(tell)?;
        // The last event had come, but for the line that ends it.
        if !had_finished && self.form == Form::Events && !is_sure(self.dialect.end()) {
            return Err(Break::Cut);
        }
        Ok(progress)
    }

    /// Takes what has come, once it is known what it is.
    fn take(&mut self, tell: &mut impl FnMut(&Said<'_>) -> Weight) -> Result<Progress, Break> {
        let come = self.decoder.unread();
        if self.form == Form::Unknown {
            self.form = match sse::beginning(come) {
                Beginning::Events => Form::Events,
                Beginning::Json => Form::Whole,
                Beginning::Unknown if come.len() <= MAX_BLANK_BYTES => return Ok(Progress::Preamble),
                Beginning::Unknown | Beginning::Other => return Err(Break::Undecodable),
            };
        }
        match self.form {
            Form::Events => self.take_events(tell),
            Form::Whole if come.len() > MAX_EVENT_BYTES => Err(Break::TooLong),
            Form::Unknown | Form::Whole => Ok(Progress::Preamble),
        }
    }

    /// The provider will say no more: whole if every choice has finished, also without an end marker.
    pub fn end(&mut self, tell: &mut impl FnMut(&Said<'_>) -> Weight) -> Result<Progress, Break> {
        self.decoder.end();
        if self.take(tell)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
        if self.form == Form::Whole {
            return self.take_whole(tell);
        }
        let last = self.dialect.data(&self.decoder.remainder()).without_end();
        let mut pieces = recycle(std::mem::take(&mut self.pieces));
        let heard = self.dialect.take(&last, &mut pieces);
        let passed = self.dialect.pass(&last);
        if let Err(Defect::Error(error)) = heard {
            return Err(Break::Error(error));
        }
        let held = self.dialect.rest();
        let mut behind = Vec::new();
        if let Some(held) = &held {
            self.dialect.take(held, &mut behind)?;
        }
        if !self.dialect.is_finished() {
            return Err(Break::Cut);
        }
        if let (Ok(Heard::Pieces), came @ Some(_)) = (heard, passed.as_it_came()) {
            tell(&Said { dialect: self.dialect.dialect(), pieces: &pieces, came });
        }
        if let Some(held) = &held {
            let passed = self.dialect.pass(held);
            tell(&Said { dialect: self.dialect.dialect(), pieces: &behind, came: passed.as_it_came() });
        }
        Ok(Progress::Ended)
    }

    /// Takes a whole answer that came in place of a stream.
    fn take_whole(&mut self, tell: &mut impl FnMut(&Said<'_>) -> Weight) -> Result<Progress, Break> {
        let body = dialect::mend_answer(&self.options, std::mem::take(&mut self.decoder).into_unread());
        let pieces = dialect::decode_answer(&self.options, &body)?;
        let has_finished =
            |choice| pieces.iter().any(|piece| matches!(piece, Piece::Finish { choice: of, .. } if *of == choice));
        if !pieces.iter().filter_map(Piece::choice).all(has_finished) {
            return Err(Break::Cut);
        }
        let sealed = dialect::pass_answer(&self.options, &body);
        let came = Some(AsItCame { kind: Came::Body, whole: None, data: sealed.as_deref().unwrap_or(&body) });
        tell(&Said { dialect: self.options.dialect, pieces: &pieces, came });
        self.begun = true;
        Ok(Progress::Ended)
    }

    /// What was read and not told, and the body that goes on from there.
    pub fn into_rest(self) -> (Vec<u8>, P::Body) {
        let mut rest = self.decoder.into_unread();
        let body = self.body.into_rest(&mut rest);
        (rest, body)
    }

    fn take_events(&mut self, tell: &mut impl FnMut(&Said<'_>) -> Weight) -> Result<Progress, Break> {
        while let Some(event) = self.decoder.next_event().map_err(|_| Break::TooLong)? {
            self.events += 1;
            let data = self.dialect.data(&event);
            let mut pieces = recycle(std::mem::take(&mut self.pieces));
            match self.dialect.take(&data, &mut pieces)? {
                // Comments before the answer only keep the connection to the gateway open, so they go no further.
                Heard::Pieces if !self.begun && matches!(pieces[..], [Piece::Alive(Alive::Comment)]) => {
                    self.alive = true;
                }
                Heard::Pieces => {
                    let passed = self.dialect.pass(&data);
                    let said = Said { dialect: self.dialect.dialect(), pieces: &pieces, came: passed.as_it_came() };
                    match tell(&said) {
                        Weight::Answer => self.begun = true,
                        Weight::Nothing => self.alive = true,
                    }
                    if data.is_end() {
                        return if self.dialect.is_finished() { Ok(Progress::Ended) } else { Err(Break::EndedEarly) };
                    }
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
