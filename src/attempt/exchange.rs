//! One request to one provider, from the send to an answer that may be committed, a step at a time.
//!
//! Each step is taken when [`Exchange::wait`] is ready, so that several exchanges can run beside each other.

use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::attempt::answer_stream::{AnswerStream, Opening};
use crate::attempt::outcome::Outcome;
use crate::attempt::{Answer, CommitAt, Job};
use crate::door::answer::AnswerOptions;
use crate::door::delivery::{self, Delivery};
use crate::door::repair::Repair;
use crate::platform::{Platform, UpstreamResponse, Wait};
use crate::upstream::coding::{BodyFailure, PlainBody};
use crate::upstream::dialect::{self, DecodeOptions, Defect};
use crate::upstream::error_words;
use crate::upstream::headers;
use crate::upstream::stream::{Break, Progress, ProviderStream};
use crate::wire::call_tag::CallTagger;
use crate::wire::coding::UnknownCoding;
use crate::wire::json;
use crate::wire::media;
use crate::wire::piece::Said;
use crate::wire::sse::{self, Beginning};
use crate::wire::transfer::Transfer;
use crate::wire::usage::Tally;

/// The largest answer that is held as a whole, in bytes.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// The largest error body that is read, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How long an error's words are waited for; its status alone decides.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// The most that one read of a body brings, in bytes.
const READ_BYTES: usize = 32 * 1024;
/// The most that is held before the first piece of an answer, in bytes.
const MAX_PREAMBLE_BYTES: usize = 64 * 1024;

/// One request to one provider, and what has come back.
pub struct Exchange<P: Platform> {
    stage: Stage<P>,
    terms: Terms,
    carrying: Carrying,
    clocks: Clocks,
    status: StatusCode,
    request_id: Option<String>,
    tally: Tally,
}

/// What has been seen of an exchange; times on [`Platform::elapsed`]'s clock.
#[derive(Clone, Debug, Default)]
pub struct Sighting {
    /// The provider's own name for the request.
    pub request_id: Option<String>,
    pub head: Option<Duration>,
    /// When the first piece of a stream's answer came.
    pub first_piece: Option<Duration>,
    pub tally: Tally,
}

/// The times of an exchange, on [`Platform::elapsed`]'s clock.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    started: Duration,
    /// When it is late, unless it has begun by then.
    late: Duration,
    /// When what has come has to do.
    end: Option<Duration>,
    /// When anything came last.
    heard: Duration,
    head: Option<Duration>,
    first_piece: Option<Duration>,
}

/// What an exchange is to bring, and by when.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// In which form the provider was asked for the answer.
    pub asked: Transfer,
    pub commit_at: CommitAt,
    /// How long the first piece, or the whole answer, may take before the exchange is late.
    pub own_time: Duration,
    /// How long may pass between two reads of a stream that has begun.
    pub idle: Duration,
    /// When the answer must have ended.
    pub total: Duration,
}

impl Terms {
    pub fn of<P: Platform>(job: &Job<'_, P>) -> Self {
        let Job { asked, commit_at, total, .. } = *job;
        Self { asked, commit_at, own_time: job.own_time(), idle: job.tier.deadlines.idle, total }
    }
}

/// How an answer comes from its provider to its client.
pub struct Carrying {
    pub decode: DecodeOptions,
    pub encode: AnswerOptions,
    /// What tags the calls of the answer.
    pub tagger: Option<Rc<CallTagger>>,
    /// In which form the client gets it.
    pub told: Transfer,
    /// What the client has of an answer that broke, or what such a repair would need.
    pub repair: Option<Repair>,
    /// After how much silence the platform itself ends the body, if it does.
    pub cut_after: Option<Duration>,
}

enum Stage<P: Platform> {
    Head(P::Pending),
    Stream { headers: HeaderMap, answer: Box<AnswerStream<P>> },
    Body(HeldBody<P>),
    Over,
}

/// A body that is read as a whole.
struct HeldBody<P: Platform> {
    response: UpstreamResponse<PlainBody<P>>,
    /// What has come.
    bytes: Vec<u8>,
    kind: BodyKind,
}

/// What a body that is read as a whole will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyKind {
    Answer,
    /// The words of an answer other than 2xx.
    Error,
}

/// What an exchange brought that may be committed.
pub struct Arrival<P: Platform> {
    pub headers: HeaderMap,
    pub answer: Answer<P>,
    pub opening: Opening,
    /// Events that were no part of an answer; of one that is still a stream, its relay counts them.
    pub ignored: u32,
}

/// How an exchange ended; nothing while it is to be waited for.
pub type Advance<P> = Option<Result<Arrival<P>, Outcome>>;

impl<P: Platform> Exchange<P> {
    pub fn new(pending: P::Pending, now: Duration, terms: Terms, carrying: Carrying) -> Self {
        let clocks =
            Clocks { started: now, late: now + terms.own_time, end: None, heard: now, head: None, first_piece: None };
        Self {
            stage: Stage::Head(pending),
            terms,
            carrying,
            clocks,
            status: StatusCode::OK,
            request_id: None,
            tally: Tally::default(),
        }
    }

    /// Whether the next step waits for nothing.
    pub fn is_pending(&self) -> bool {
        match &self.stage {
            Stage::Stream { answer, .. } => answer.provider.is_pending(),
            Stage::Body(held) => held.response.body.is_pending(),
            Stage::Head(_) | Stage::Over => false,
        }
    }

    /// What the next step waits for, if for anything; nothing if the exchange is over.
    pub fn wait(&self) -> Option<Wait<'_, P>> {
        match &self.stage {
            Stage::Head(pending) => Some(Wait::Response(pending)),
            Stage::Stream { answer, .. } => Some(answer.provider.wait()),
            Stage::Body(held) => Some(held.response.body.wait()),
            Stage::Over => None,
        }
    }

    /// When the exchange is late; nothing if it is not to be any more.
    pub fn late_at(&self) -> Option<Duration> {
        (self.clocks.end.is_none() && !self.has_begun()).then_some(self.clocks.late)
    }

    /// When what has come has to do, so that [`Exchange::expire`] is due; nothing if all time is left to it.
    pub fn ends_at(&self) -> Option<Duration> {
        self.clocks.end
    }

    /// When anything came last, or else its start.
    pub fn heard_at(&self) -> Duration {
        self.clocks.heard
    }

    /// In which form the provider was asked for the answer.
    pub fn asked(&self) -> Transfer {
        self.terms.asked
    }

    /// The exchange is to bring the whole answer, whoever wants it.
    pub fn complete(&mut self) {
        self.terms.commit_at = CommitAt::Whole;
    }

    /// The status of the provider's answer; 200 until its head has come.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What has been seen of it.
    pub fn sighting(&self) -> Sighting {
        let Clocks { head, first_piece, .. } = self.clocks;
        Sighting { request_id: self.request_id.clone(), head, first_piece, tally: self.tally }
    }

    /// Whether the head of the provider's answer has come.
    pub fn has_head(&self) -> bool {
        !matches!(self.stage, Stage::Head(_))
    }

    /// Whether no byte of a body has come, which even a model that thinks in silence would be introduced by.
    pub fn is_silent(&self) -> bool {
        match &self.stage {
            Stage::Head(_) => true,
            Stage::Stream { answer, .. } => answer.provider.bytes == 0,
            Stage::Body(_) | Stage::Over => false,
        }
    }

    /// Whether a piece of an answer has come.
    pub fn has_begun(&self) -> bool {
        matches!(&self.stage, Stage::Stream { answer, .. } if answer.provider.has_begun())
    }

    /// How many events of a stream have been read.
    pub fn events(&self) -> u32 {
        match &self.stage {
            Stage::Stream { answer, .. } => answer.provider.events,
            Stage::Head(_) | Stage::Body(_) | Stage::Over => 0,
        }
    }

    /// Whether it is a stream that shows life, with which another execution could go on.
    pub fn can_be_left(&self) -> bool {
        matches!(&self.stage, Stage::Stream { answer, .. } if answer.provider.bytes > 0 && !answer.provider.is_coded())
    }

    /// Leaves a stream as far as it has come.
    pub fn leave(&mut self) -> Option<Arrival<P>> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Stream { headers, answer } => Some(Arrival::left(headers, answer)),
            Stage::Head(_) | Stage::Body(_) | Stage::Over => None,
        }
    }

    /// Takes what has come, and says what it came to.
    pub fn advance(&mut self, platform: &P) -> Advance<P> {
        let silence = platform.elapsed() - self.clocks.heard;
        let advance = self.step(platform);
        // A body that the platform ended for its silence has not broken off: who thinks for long is silent for long.
        let was_cut = self.carrying.cut_after.is_some_and(|limit| silence >= limit) && !self.has_begun();
        match advance {
            Some(Err(Outcome::Broken)) if was_cut => Some(Err(Outcome::Timeout)),
            other => other,
        }
    }

    fn step(&mut self, platform: &P) -> Advance<P> {
        self.clocks.heard = platform.elapsed();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Head(pending) => match platform.response(pending) {
                Ok(response) => self.take_head(platform, response),
                Err(error) => Some(Err(Outcome::Send(error))),
            },
            Stage::Stream { headers, answer } => self.read_stream(platform, headers, answer),
            Stage::Body(held) => self.read_body(platform, held),
            Stage::Over => None,
        }
    }

    /// Ends the exchange with what has come until now.
    pub fn expire(&mut self, platform: &P) -> Advance<P> {
        let now = platform.elapsed();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Body(HeldBody { response, bytes, kind: BodyKind::Error }) => {
                Some(Err(refusal(platform, &response, &bytes)))
            }
            Stage::Stream { headers, mut answer } if answer.provider.settles_in(self.terms.idle).is_some() => {
                let ended = answer.end().map_err(Outcome::from);
                Some(ended.map(|_| Arrival::streamed(headers, answer)))
            }
            Stage::Stream { answer, .. } if answer.provider.has_begun() => {
                let has_stalled = self.clocks.end.is_some_and(|end| end <= now);
                Some(Err(if has_stalled { Outcome::Stalled } else { Outcome::OutOfTime }))
            }
            _ if now < self.clocks.started + self.terms.own_time => Some(Err(Outcome::OutOfTime)),
            Stage::Head(_) | Stage::Stream { .. } | Stage::Body(_) | Stage::Over => Some(Err(Outcome::Timeout)),
        }
    }

    fn take_head(&mut self, platform: &P, response: UpstreamResponse<P::Body>) -> Advance<P> {
        self.status = response.status;
        self.clocks.head = Some(self.clocks.heard);
        self.request_id = headers::request_id(&response.headers);
        let UpstreamResponse { status, headers, body } = response;
        let body = match PlainBody::new(body, &headers) {
            Ok(body) => body,
            Err(UnknownCoding) if status.is_success() => return Some(Err(Outcome::UnknownCoding)),
            // Its status says enough.
            Err(UnknownCoding) => {
                return Some(Err(refusal(platform, &UpstreamResponse { status, headers, body: () }, b"")));
            }
        };
        let kind = match self.terms.asked {
            _ if !status.is_success() => {
                self.clocks.end = Some(self.clocks.heard + ERROR_BODY_TIMEOUT);
                BodyKind::Error
            }
            Transfer::Whole => BodyKind::Answer,
            Transfer::Stream => {
                let Carrying { decode, encode, tagger, told, repair, cut_after } = &mut self.carrying;
                let Some(provider) = ProviderStream::new(body, decode.clone(), *cut_after) else {
                    return Some(Err(Outcome::DialectUnavailable(decode.dialect)));
                };
                let delivery = match told {
                    Transfer::Stream => Delivery::stream(*encode, repair.take()),
                    Transfer::Whole => Delivery::whole(*encode),
                };
                let answer = Box::new(AnswerStream::new(provider, delivery.tagged(tagger.take())));
                self.stage = Stage::Stream { headers, answer };
                return None;
            }
        };
        let length = media::content_length(&headers).unwrap_or(4096);
        let bytes = Vec::with_capacity(length.min(MAX_ERROR_BYTES as u64) as usize);
        self.stage = Stage::Body(HeldBody { response: UpstreamResponse { status, headers, body }, bytes, kind });
        None
    }

    fn read_stream(&mut self, platform: &P, headers: HeaderMap, mut answer: Box<AnswerStream<P>>) -> Advance<P> {
        let read = answer.read(platform);
        self.tally = answer.delivery.facts.tally;
        let progress = match read {
            Ok(progress) => progress,
            Err(broken) => return Some(Err(broken.into())),
        };
        let enough = match (progress, self.terms.commit_at) {
            (Progress::Ended, _) | (Progress::Begun, CommitAt::FirstPiece) => true,
            (Progress::Begun, CommitAt::Whole) | (Progress::Preamble, _) => false,
        };
        if answer.provider.has_begun() {
            self.clocks.first_piece.get_or_insert(self.clocks.heard);
        }
        if enough {
            return Some(Ok(Arrival::streamed(headers, answer)));
        }
        let limit = match answer.provider.has_begun() {
            true => MAX_ANSWER_BYTES,
            // What a model thinks in secret comes before all that it says, and may be long.
            false => MAX_ANSWER_BYTES.min(MAX_PREAMBLE_BYTES + answer.delivery.sealed_bytes),
        };
        if answer.held.len() > limit {
            return Some(Err(Outcome::TooLarge));
        }
        if let Some(patience) = answer.provider.settles_in(self.terms.idle) {
            self.clocks.end = Some(self.clocks.heard + patience);
        } else if answer.provider.has_begun() {
            // From here on the time between two reads counts.
            self.clocks.end = Some(self.clocks.heard + self.terms.idle);
        } else if answer.provider.take_alive() {
            self.put_off();
        }
        self.stage = Stage::Stream { headers, answer };
        None
    }

    /// The model shows that it works, so it gets its time anew; but half of what the request has is left to others.
    fn put_off(&mut self) {
        let Clocks { started, late, heard, .. } = self.clocks;
        let latest = started + self.terms.total.saturating_sub(started) / 2;
        self.clocks.late = late.max((heard + self.terms.own_time).min(latest));
    }

    fn read_body(&mut self, platform: &P, held: HeldBody<P>) -> Advance<P> {
        let HeldBody { mut response, mut bytes, kind } = held;
        let body = &mut response.body;
        let read = if body.is_over() { Ok(()) } else { body.read(platform, &mut bytes, READ_BYTES) };
        let limit = if kind == BodyKind::Answer { MAX_ANSWER_BYTES } else { MAX_ERROR_BYTES };
        let is_large = bytes.len() > limit;
        // Whatever its content type says, a stream is no whole answer, and may be long.
        let is_stream = kind == BodyKind::Answer && sse::beginning(&bytes) == Beginning::Events;
        if read.is_ok() && !body.is_over() && !is_large && !is_stream {
            self.stage = Stage::Body(HeldBody { response, bytes, kind });
            return None;
        }
        Some(match (kind, read) {
            (BodyKind::Error, _) => Err(refusal(platform, &response, &bytes)),
            _ if is_large => Err(Outcome::TooLarge),
            (BodyKind::Answer, Err(BodyFailure::Broken)) => Err(Outcome::Broken),
            (BodyKind::Answer, Err(BodyFailure::Corrupt)) => Err(Outcome::Undecodable),
            (BodyKind::Answer, Ok(())) => self.carry(response.headers, bytes).map_err(Outcome::from),
        })
    }

    /// A whole answer, in the client's terms.
    fn carry(&self, headers: HeaderMap, body: Vec<u8>) -> Result<Arrival<P>, Defect> {
        let Carrying { decode, encode, tagger, .. } = &self.carrying;
        let body = dialect::mend_answer(decode, body);
        let pieces = dialect::decode_answer(decode, &body)?;
        let said = Said { dialect: decode.dialect, pieces: &pieces, came: None };
        let facts = delivery::facts(encode, &said);
        let encoded = delivery::encode_answer(encode, &said, tagger.clone());
        let opening = Opening::of(&pieces);
        drop(pieces);
        let body = encoded.or_else(|| dialect::pass_answer(decode, &body)).unwrap_or(body);
        Ok(Arrival { headers, answer: Answer::Whole { body, facts }, opening, ignored: 0 })
    }
}

impl<P: Platform> Arrival<P> {
    /// Whether there is any of an answer.
    pub fn has_begun(&self) -> bool {
        match &self.answer {
            Answer::Whole { .. } => true,
            Answer::Stream(answer) => answer.provider.has_begun(),
        }
    }

    /// A stream with which another execution goes on.
    fn left(headers: HeaderMap, answer: Box<AnswerStream<P>>) -> Self {
        let opening = answer.opening();
        Self { headers, answer: Answer::Stream(answer), opening, ignored: 0 }
    }

    /// What came as a stream, in the form in which the client gets it.
    fn streamed(headers: HeaderMap, answer: Box<AnswerStream<P>>) -> Self {
        let opening = answer.opening();
        match answer.delivery.transfer() {
            Transfer::Stream => Self { headers, answer: Answer::Stream(answer), opening, ignored: 0 },
            Transfer::Whole => {
                let AnswerStream { provider, delivery, held, .. } = *answer;
                let answer = Answer::Whole { body: held, facts: delivery.facts };
                Self { headers, answer, opening, ignored: provider.ignored }
            }
        }
    }
}

/// What an answer that is an error comes to.
pub fn refusal<P: Platform, B>(platform: &P, response: &UpstreamResponse<B>, body: &[u8]) -> Outcome {
    let error = Box::new(error_words::parse(json::without_mark(body)));
    let delay = dialect::asked_delay(&response.headers, &error, platform.unix_time());
    Outcome::Status { status: response.status, error, delay }
}

impl From<Break> for Outcome {
    fn from(broken: Break) -> Self {
        match broken {
            Break::Error(error) => Outcome::ErrorInside(Box::new(error)),
            Break::Stalled => Outcome::Stalled,
            Break::Cut | Break::EndedEarly => Outcome::Broken,
            Break::Undecodable => Outcome::Undecodable,
            Break::TooLong => Outcome::TooLarge,
        }
    }
}

impl From<Defect> for Outcome {
    fn from(defect: Defect) -> Self {
        Break::from(defect).into()
    }
}
