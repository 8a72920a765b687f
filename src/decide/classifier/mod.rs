//! The classifier's call: asks a fast model which tier a request needs, within a hard deadline. When, and what follows, is
//! `decide::rung::classifier`'s.
//!
//! The model is a candidate like any other: its question is put, and its answer read, by its provider's dialect. [`start`]
//! sends the question, [`finish`] waits for the reply, so that the caller can prepare the default tier beside it. Whatever
//! goes wrong is a [`Reason`] and never an error: the default tier serves then. The provider's answer goes nowhere else.

pub mod prompt;
pub mod reply;

use std::time::Duration;

use http::StatusCode;

use crate::platform::{Platform, SendError, UpstreamRequest, UpstreamResponse, Wait};
use crate::policy::{Candidate, Classifier, Policy};
use crate::record::Reason;
use crate::upstream::address::Address;
use crate::upstream::coding::{BodyFailure, PlainBody};
use crate::upstream::dialect::{self, DecodeOptions, Defect, EncodeOptions, Recipient, head};
use crate::upstream::error_words::{self, ProviderError};
use crate::upstream::keyring::Keyring;
use crate::upstream::meaning;
use crate::wire::ask::Ask;
use crate::wire::facts::AnswerFacts;
use crate::wire::media;
use crate::wire::piece::{self, FinishReason, Piece};
use crate::wire::usage::Usage;

pub use reply::Reply;

/// The largest reply that is read, in bytes: more is no tier's name.
const MAX_REPLY_BYTES: usize = 64 * 1024;
/// The most that one read of the reply brings, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// A question that was sent.
pub struct SentQuestion<P: Platform> {
    pending: P::Pending,
    decode: DecodeOptions,
    /// When it was sent, on [`Platform::elapsed`]'s clock.
    sent: Duration,
    /// When its reply is no longer waited for.
    deadline: Duration,
    /// What it means if none has come by then.
    lateness: NoReply,
}

impl<P: Platform> SentQuestion<P> {
    /// The client's own time ends at `end`, on [`Platform::elapsed`]'s clock, which says nothing of the classifier.
    pub fn ending_by(self, end: Duration) -> Self {
        if self.deadline <= end {
            return self;
        }
        Self { deadline: end, lateness: NoReply::to_this_question(Reason::ClassifierTimeout), ..self }
    }
}

/// What came of asking the classifier.
#[derive(Debug)]
pub struct Classification {
    pub reply: Result<Reply, NoReply>,
    /// The time from sending the question to having read the reply.
    pub duration: Duration,
    pub usage: Option<Usage>,
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug)]
pub struct NoReply {
    pub reason: Reason,
    /// Whether the breaker should count it.
    pub counts: bool,
}

impl NoReply {
    /// It is about this one question, and says nothing of the next.
    fn to_this_question(reason: Reason) -> Self {
        Self { reason, counts: false }
    }
}

/// It is about the classifier; one that answers, if with nonsense, is there.
impl From<Reason> for NoReply {
    fn from(reason: Reason) -> Self {
        Self { reason, counts: reason != Reason::ClassifierInvalid }
    }
}

/// Sends the question.
///
/// # Errors
/// Why it could not be sent.
pub fn start<P: Platform>(
    keyring: &Keyring<'_, P>,
    policy: &Policy,
    classifier: &Classifier,
    request: &Ask<'_>,
) -> Result<SentQuestion<P>, NoReply> {
    let provider = policy.provider_of(classifier.model);
    let effort = dialect::least_effort(policy, classifier.model);
    let candidate = Candidate { model: classifier.model, effort };
    let question = prompt::question(policy, classifier, effort, request);
    let options = EncodeOptions::default();
    let Ok(encoded) = dialect::encode_request(policy, &candidate, &question, &options) else {
        return Err(NoReply::to_this_question(Reason::ClassifierError));
    };
    let Address { path, url } = Address::of(policy, classifier.model);
    let Ok(permit) = keyring.permit(provider, &path) else {
        return Err(NoReply::to_this_question(Reason::ClassifierNoSecret));
    };
    let platform = keyring.platform();
    let unsent = |_: SendError| NoReply::from(Reason::ClassifierError);
    let target = dialect::target(provider, &permit, classifier.timeout, classifier.timeout);
    let backend = platform.backend(&target).map_err(unsent)?;
    let upstream = UpstreamRequest {
        method: http::Method::POST,
        url,
        headers: head::request_headers(provider, permit.secret.as_ref(), media::JSON),
        body: encoded.body,
    };
    let decode = DecodeOptions::of(&Recipient::of(policy, &candidate), &question, platform.unix_time());
    let sent = platform.elapsed();
    let pending = platform.send(&backend, upstream).map_err(unsent)?;
    let deadline = sent + classifier.timeout;
    Ok(SentQuestion { pending, decode, sent, deadline, lateness: Reason::ClassifierTimeout.into() })
}

/// Waits for the reply, no longer than to the question's deadline.
pub fn finish<P: Platform>(platform: &P, policy: &Policy, question: SentQuestion<P>) -> Classification {
    let (sent, decode) = (question.sent, question.decode.clone());
    let Contents { reply, usage } = match receive(platform, question) {
        Ok(body) => read_reply(policy, &decode, body),
        Err(why) => Contents { reply: Err(why), usage: None },
    };
    Classification { reply, duration: platform.elapsed() - sent, usage }
}

/// What the classifier's answer holds.
struct Contents {
    reply: Result<Reply, NoReply>,
    usage: Option<Usage>,
}

fn receive<P: Platform>(platform: &P, question: SentQuestion<P>) -> Result<Vec<u8>, NoReply> {
    let SentQuestion { deadline, lateness, .. } = question;
    let left = || deadline.checked_sub(platform.elapsed()).filter(|left| !left.is_zero());
    let in_time = |wait: Wait<'_, P>| match left() {
        Some(left) if platform.wait_first(&[wait], Some(left)).is_some() => Ok(()),
        _ => Err(lateness),
    };
    in_time(Wait::Response(&question.pending))?;
    let UpstreamResponse { status, headers, body } =
        platform.response(question.pending).map_err(|error| match error {
            SendError::Timeout => Reason::ClassifierTimeout,
            _ => Reason::ClassifierError,
        })?;
    let mut bytes = Vec::new();
    let read = || -> Result<(), NoReply> {
        let mut plain = PlainBody::new(body, &headers).map_err(|_| Reason::ClassifierInvalid)?;
        while !plain.is_over() {
            in_time(plain.wait())?;
            plain.read(platform, &mut bytes, READ_BYTES).map_err(|failure| match failure {
                BodyFailure::Broken => Reason::ClassifierError,
                BodyFailure::Corrupt => Reason::ClassifierInvalid,
            })?;
            if bytes.len() > MAX_REPLY_BYTES {
                return Err(Reason::ClassifierInvalid.into());
            }
        }
        Ok(())
    };
    let read = read();
    if !status.is_success() {
        // As much of its words as has come.
        return Err(failure(Some(status), &error_words::parse(&bytes)));
    }
    read.map(|()| bytes)
}

/// An error in place of a reply: what it means says whether it is about the classifier or about the one question.
fn failure(status: Option<StatusCode>, error: &ProviderError) -> NoReply {
    let meaning = meaning::find(status.map(|status| status.as_u16()), error);
    NoReply { reason: Reason::ClassifierError, counts: !meaning.is_about_this_request() }
}

fn read_reply(policy: &Policy, decode: &DecodeOptions, body: Vec<u8>) -> Contents {
    let body = dialect::mend_answer(decode, body);
    let pieces = match dialect::decode_answer(decode, &body) {
        Ok(pieces) => pieces,
        Err(Defect::Error(error)) => return Contents { reply: Err(failure(None, &error)), usage: None },
        Err(_) => return Contents { reply: Err(Reason::ClassifierInvalid.into()), usage: None },
    };
    let is_cut =
        |piece: &Piece<'_>| matches!(piece, Piece::Finish { finish, .. } if finish.reason == FinishReason::Length);
    let content = piece::text(&pieces).filter(|_| !pieces.iter().any(is_cut));
    let reply = content.and_then(|text| reply::parse(policy, &text));
    let mut facts = AnswerFacts::default();
    pieces.iter().for_each(|piece| facts.note(piece));
    Contents { reply: reply.ok_or(Reason::ClassifierInvalid.into()), usage: facts.tally.usage }
}
