//! Asks a fast model which tier a request needs, within a hard deadline.
//!
//! The model is a candidate like any other: its question is put, and its answer read, by its provider's dialect. [`start`]
//! sends the question, [`finish`] waits for the reply, so that the caller can prepare the default tier beside it. Whatever
//! goes wrong is a [`Reason`] and never an error: the default tier serves then. The provider's answer goes nowhere else.

pub mod prompt;
pub mod reply;

use std::time::Duration;

use crate::platform::{Platform, SendError, UpstreamRequest, Wait};
use crate::policy::{Candidate, Classifier, Policy};
use crate::record::Reason;
use crate::upstream::dialect::{self, DecodeOptions, EncodeOptions};
use crate::upstream::error_words;
use crate::upstream::keyring::Keyring;
use crate::wire::ask::Ask;
use crate::wire::facts::AnswerFacts;
use crate::wire::media;
use crate::wire::piece::{self, FinishReason, Piece};
use crate::wire::usage::Usage;

pub use reply::Reply;

/// More than this is no tier's name.
const MAX_REPLY_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// A question that was sent.
pub struct Call<P: Platform> {
    pending: P::Pending,
    decode: DecodeOptions,
    /// On [`Platform::elapsed`]'s clock.
    sent: Duration,
}

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    pub reply: Result<Reply, Reason>,
    /// Whether the breaker should count it.
    pub failed: bool,
    pub duration: Duration,
    pub usage: Option<Usage>,
}

/// Sends the question.
///
/// # Errors
/// The reason why it could not be sent, and whether the breaker should count that.
pub fn start<P: Platform>(
    keyring: &Keyring<'_, P>,
    policy: &Policy,
    classifier: &Classifier,
    request: &Ask<'_>,
) -> Result<Call<P>, (Reason, bool)> {
    let provider = policy.provider_of(classifier.model);
    let effort = dialect::least_effort(policy, classifier.model);
    let candidate = Candidate { model: classifier.model, effort };
    let question = prompt::question(policy, classifier, effort, request);
    let asking = EncodeOptions { counts_usage: false, begun: None };
    let Ok((path, encoded)) = dialect::encode_request(policy, &candidate, &question, &asking) else {
        return Err((Reason::ClassifierError, false));
    };
    let Ok(permit) = keyring.permit(provider, path) else {
        return Err((Reason::ClassifierNoSecret, false));
    };
    let platform = keyring.platform();
    let unsent = |_: SendError| (Reason::ClassifierError, true);
    let target = dialect::target(provider, &permit, classifier.timeout, classifier.timeout);
    let backend = platform.backend(&target).map_err(unsent)?;
    let upstream = UpstreamRequest {
        method: http::Method::POST,
        url: format!("{}{}", provider.base_url, path),
        headers: dialect::request_headers(provider, permit.secret.as_ref(), media::JSON),
        body: encoded.body,
    };
    let decode = DecodeOptions::of(provider, &question, platform.unix_time());
    let sent = platform.elapsed();
    let pending = platform.send(&backend, upstream).map_err(unsent)?;
    Ok(Call { pending, decode, sent })
}

/// Waits for the reply, no longer than the policy's timeout from when the question was sent.
pub fn finish<P: Platform>(platform: &P, policy: &Policy, classifier: &Classifier, call: Call<P>) -> Outcome {
    let sent = call.sent;
    let decode = call.decode;
    let ((reply, usage), failed) = match receive(platform, classifier, call) {
        Ok(body) => (read_reply(policy, decode, body), false),
        Err(Failure::Refused) => ((Err(Reason::ClassifierError), None), false),
        Err(Failure::Classifier(reason)) => ((Err(reason), None), reason != Reason::ClassifierInvalid),
    };
    Outcome { reply, failed, duration: platform.elapsed() - sent, usage }
}

/// Why there is no reply.
enum Failure {
    /// It is about this one question, and says nothing of the next.
    Refused,
    Classifier(Reason),
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Failure::Classifier(reason)
    }
}

fn receive<P: Platform>(platform: &P, classifier: &Classifier, call: Call<P>) -> Result<Vec<u8>, Failure> {
    let left = || (call.sent + classifier.timeout).checked_sub(platform.elapsed()).filter(|left| !left.is_zero());
    let in_time = |wait: Wait<'_, P>| match left() {
        Some(left) if platform.wait_first(&[wait], Some(left)).is_some() => Ok(()),
        _ => Err(Reason::ClassifierTimeout),
    };
    in_time(Wait::Response(&call.pending))?;
    let mut response = platform.response(call.pending).map_err(|error| match error {
        SendError::Timeout => Reason::ClassifierTimeout,
        _ => Reason::ClassifierError,
    })?;
    let status = response.status;
    match status.as_u16() {
        200..=299 => {}
        400 | 413 | 414 | 422 | 431 => return Err(Failure::Refused),
        // What it says decides whether it is about the key or about the text.
        403 => {}
        _ => return Err(Reason::ClassifierError.into()),
    }
    let mut body = Vec::new();
    loop {
        in_time(Wait::Body(&response.body))?;
        let read = platform.read(&mut response.body, &mut body, READ_BYTES).map_err(|_| Reason::ClassifierError)?;
        if read == 0 {
            break;
        }
        if body.len() > MAX_REPLY_BYTES {
            return Err(Reason::ClassifierInvalid.into());
        }
    }
    match status.is_success() {
        true => Ok(body),
        false if error_words::parse(&body).is_content_policy() => Err(Failure::Refused),
        false => Err(Reason::ClassifierError.into()),
    }
}

fn read_reply(policy: &Policy, decode: DecodeOptions, body: Vec<u8>) -> (Result<Reply, Reason>, Option<Usage>) {
    let body = dialect::mend_answer(decode, body);
    let Ok(pieces) = dialect::decode_answer(decode, &body) else {
        return (Err(Reason::ClassifierInvalid), None);
    };
    let is_cut =
        |piece: &Piece<'_>| matches!(piece, Piece::Finish { finish, .. } if finish.reason == FinishReason::Length);
    let content = piece::text(&pieces).filter(|_| !pieces.iter().any(is_cut));
    let reply = content.and_then(|text| reply::parse(policy, &text));
    let mut facts = AnswerFacts::default();
    pieces.iter().for_each(|piece| facts.note(piece));
    let usage = facts.usage;
    (reply.ok_or(Reason::ClassifierInvalid), usage)
}
