//! One request to one provider, from the send to an answer that may be committed, a step at a time.
//!
//! Each step is taken when [`Exchange::wait`] is ready, so that several exchanges can run beside each other.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::attempt::answer_stream::AnswerStream;
use crate::attempt::outcome::Outcome;
use crate::attempt::{Answer, CommitAt, Job};
use crate::door::chat::answer::AnswerOptions;
use crate::door::delivery::{self, Delivery};
use crate::door::repair::Repair;
use crate::platform::{Platform, UpstreamResponse, Wait};
use crate::upstream::coding::{BodyFailure, PlainBody, UnknownCoding};
use crate::upstream::dialect::{self, DecodeOptions, Defect};
use crate::upstream::error_words;
use crate::upstream::headers;
use crate::upstream::stream::{Break, Progress, ProviderStream};
use crate::wire::json;
use crate::wire::media;
use crate::wire::piece::Said;
use crate::wire::sse::{self, Beginning};

/// The largest answer that is held as a whole, in bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
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
    /// When the exchange is given up, on [`Platform::elapsed`]'s clock.
    deadline: Duration,
    /// When the candidate has had the time that its tier gives it, whatever the request's own limit.
    own_deadline: Duration,
    status: StatusCode,
    request_id: Option<String>,
}

/// What an exchange is to bring, and by when.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub commit_at: CommitAt,
    /// How long the first piece, or the whole answer, may take.
    pub own_time: Duration,
    /// How long may pass between two reads of a stream that has begun.
    pub idle: Duration,
}

impl Terms {
    pub fn of<P: Platform>(job: &Job<'_, P>) -> Self {
        let deadlines = &job.tier.deadlines;
        let own_time = match job.commit_at {
            CommitAt::WholeAnswer => deadlines.response,
            CommitAt::FirstPiece | CommitAt::WholeStream => deadlines.first_token,
        };
        Self { commit_at: job.commit_at, own_time, idle: deadlines.idle }
    }
}

/// How an answer comes from its provider to its client.
pub struct Carrying {
    pub decode: DecodeOptions,
    pub encode: AnswerOptions,
    /// What the client has of an answer that broke, or what such a repair would need.
    pub repair: Option<Repair>,
    /// Whether the platform ends a body that stalls.
    pub keeps_timeouts: bool,
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
}

/// How an exchange ended; nothing while it is to be waited for.
pub type Advance<P> = Option<Result<Arrival<P>, Outcome>>;

impl<P: Platform> Exchange<P> {
    pub fn new(pending: P::Pending, now: Duration, terms: Terms, carrying: Carrying) -> Self {
        let deadline = now + terms.own_time;
        Self {
            stage: Stage::Head(pending),
            terms,
            carrying,
            deadline,
            own_deadline: deadline,
            status: StatusCode::OK,
            request_id: None,
        }
    }

    /// What the next step waits for; nothing if the exchange is over.
    pub fn wait(&self) -> Option<Wait<'_, P>> {
        match &self.stage {
            Stage::Head(pending) => Some(Wait::Response(pending)),
            Stage::Stream { answer, .. } => Some(answer.provider.wait()),
            Stage::Body(held) => Some(held.response.body.wait()),
            Stage::Over => None,
        }
    }

    /// When the exchange is given up, on [`Platform::elapsed`]'s clock.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Puts the deadline off.
    pub fn extend(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// The status of the provider's answer; 200 until its head has come.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The provider's own name for the request, for the log.
    pub fn request_id(&self) -> Option<String> {
        self.request_id.clone()
    }

    /// Whether the head of the provider's answer has come.
    pub fn has_head(&self) -> bool {
        !matches!(self.stage, Stage::Head(_))
    }

    /// Whether a piece of an answer has come.
    pub fn has_begun(&self) -> bool {
        matches!(&self.stage, Stage::Stream { answer, .. } if answer.provider.has_begun())
    }

    /// Whether enough has come for an end, so that its deadline only ends the waiting for more.
    pub fn outcome_is_known(&self) -> bool {
        match &self.stage {
            Stage::Head(_) | Stage::Over => false,
            Stage::Stream { answer, .. } => answer.provider.settles_in(self.terms.idle).is_some(),
            Stage::Body(held) => held.kind == BodyKind::Error,
        }
    }

    /// Takes what has come, and says what it came to.
    pub fn advance(&mut self, platform: &P) -> Advance<P> {
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

    /// Ends the exchange at its deadline, with what has come until then.
    pub fn expire(&mut self, platform: &P) -> Advance<P> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Body(HeldBody { response, bytes, kind: BodyKind::Error }) => {
                Some(Err(refusal(platform, &response, &bytes)))
            }
            Stage::Stream { headers, mut answer } if answer.provider.settles_in(self.terms.idle).is_some() => {
                let ended = answer.end().map_err(Outcome::from);
                Some(ended.map(|_| Arrival { headers, answer: Answer::Stream(answer) }))
            }
            _ if platform.elapsed() < self.own_deadline => Some(Err(Outcome::OutOfTime)),
            Stage::Head(_) | Stage::Stream { .. } | Stage::Body(_) | Stage::Over => Some(Err(Outcome::Timeout)),
        }
    }

    fn take_head(&mut self, platform: &P, response: UpstreamResponse<P::Body>) -> Advance<P> {
        self.status = response.status;
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
        let kind = match self.terms.commit_at {
            _ if !status.is_success() => {
                self.deadline = self.deadline.min(platform.elapsed() + ERROR_BODY_TIMEOUT);
                BodyKind::Error
            }
            CommitAt::WholeAnswer => BodyKind::Answer,
            CommitAt::FirstPiece | CommitAt::WholeStream => {
                let Carrying { decode, encode, ref mut repair, keeps_timeouts } = self.carrying;
                let Some(provider) = ProviderStream::new(body, decode, keeps_timeouts) else {
                    return Some(Err(Outcome::DialectUnavailable(decode.dialect)));
                };
                let answer = Box::new(AnswerStream::new(provider, Delivery::new(encode, repair.take())));
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
        let progress = match answer.read(platform) {
            Ok(progress) => progress,
            Err(broken) => return Some(Err(broken.into())),
        };
        let enough = match (progress, self.terms.commit_at) {
            (Progress::Ended, _) | (Progress::Begun, CommitAt::FirstPiece | CommitAt::WholeAnswer) => true,
            (Progress::Begun, CommitAt::WholeStream) | (Progress::Preamble, _) => false,
        };
        if enough {
            return Some(Ok(Arrival { headers, answer: Answer::Stream(answer) }));
        }
        let limit = if answer.provider.has_begun() { MAX_ANSWER_BYTES } else { MAX_PREAMBLE_BYTES };
        if answer.held.len() > limit {
            return Some(Err(Outcome::TooLarge));
        }
        if let Some(patience) = answer.provider.settles_in(self.terms.idle) {
            self.deadline = platform.elapsed() + patience;
        } else if answer.provider.has_begun() {
            // From here on the time between two reads counts.
            self.deadline = platform.elapsed() + self.terms.idle;
        }
        self.stage = Stage::Stream { headers, answer };
        None
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
            (BodyKind::Answer, Ok(())) => {
                self.carry(bytes).map(|answer| Arrival { headers: response.headers, answer }).map_err(Outcome::from)
            }
        })
    }

    /// A whole answer, in the client's terms.
    fn carry(&self, body: Vec<u8>) -> Result<Answer<P>, Defect> {
        let Carrying { decode, encode, .. } = &self.carrying;
        let body = dialect::mend_answer(*decode, body);
        let pieces = dialect::decode_answer(*decode, &body)?;
        let said = Said { dialect: decode.dialect, pieces: &pieces, came: None };
        let (facts, encoded) = (delivery::facts(encode, &said), delivery::encode_answer(encode, &said));
        drop(pieces);
        Ok(Answer::Whole { body: encoded.unwrap_or(body), facts })
    }
}

fn refusal<P: Platform, B>(platform: &P, response: &UpstreamResponse<B>, body: &[u8]) -> Outcome {
    let error = Box::new(error_words::parse(json::without_mark(body)));
    let delay = dialect::asked_delay(&response.headers, &error, platform.unix_time());
    Outcome::Status { status: response.status, error, delay }
}

impl From<Break> for Outcome {
    fn from(broken: Break) -> Self {
        match broken {
            Break::Error(error) => Outcome::ErrorInside(Box::new(error)),
            Break::Stalled => Outcome::Timeout,
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
