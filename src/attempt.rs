//! Asks candidates, one after the other, until one begins to answer.
//!
//! An attempt ends with an [`Outcome`]; [`judge`] is the one table that says what follows from it (design.md §7). Nothing
//! is sent to the client here: a stream is held until its first piece of an answer, a whole answer until it decodes, so
//! that every failure before that leaves the next candidate free to serve.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use crate::chat::ChatRequest;
use crate::dialect::openai_chat::{self, Defect, Meaning, Stream};
use crate::dialect::provider_error::{self, ProviderError};
use crate::dialect::{self, NoSecret, Whole};
use crate::headers;
use crate::platform::{Platform, SendError, UpstreamRequest, UpstreamResponse, Wait};
use crate::policy::{Candidate, Dialect, Policy, Tier};
use crate::record::{AttemptRecord, Record};
use crate::secret::Secret;
use crate::sse;

/// The largest whole answer.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// The largest error body that is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// What may come before the first piece of a streamed answer.
const MAX_HELD_BYTES: usize = 64 * 1024;
/// Attempts at one request; with the classifier's call they stay far below the platform's limit of backend requests.
const MAX_ATTEMPTS: usize = 6;
const READ_BYTES: usize = 32 * 1024;

/// What all attempts at one request share.
pub struct Job<'a, P: Platform> {
    pub platform: &'a P,
    pub policy: &'a Policy,
    pub tier: &'a Tier,
    pub request: &'a ChatRequest<'a>,
    pub client_headers: &'a HeaderMap,
    /// When the answer must have ended, on [`Platform::elapsed`]'s clock.
    pub total: Duration,
}

/// A candidate that can be sent to at once.
pub struct Prepared<P: Platform> {
    pub candidate: Candidate,
    backend: P::Backend,
    request: UpstreamRequest,
    secret: Option<Secret<String>>,
    dropped: Vec<String>,
}

/// An answer that has begun.
pub struct Committed<P: Platform> {
    pub candidate: Candidate,
    pub headers: HeaderMap,
    pub answer: Answer<P>,
}

pub enum Answer<P: Platform> {
    Whole {
        body: Vec<u8>,
        whole: Whole,
    },
    /// `held` is what the client gets first; `decoder` may hold further events.
    Stream {
        body: P::Body,
        decoder: sse::Decoder,
        stream: Stream,
        held: Vec<u8>,
    },
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    DialectUnavailable(Dialect),
    NoSecret(NoSecret, String),
    Send(SendError),
    /// No first piece, or no whole answer, by its deadline.
    Timeout,
    /// An answer other than 2xx.
    Status {
        status: StatusCode,
        error: ProviderError,
        retry_after: Option<Duration>,
    },
    /// An error in a 2xx.
    ErrorInside(ProviderError),
    /// A 2xx that is no answer of this dialect.
    Undecodable,
    /// The body ended early.
    Broken,
    TooLarge,
}

/// What follows from an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Next,
    /// The next candidate with a larger context.
    NextLarger,
    /// Every candidate would say the same.
    GiveUp,
}

/// The last failure of a request that no candidate served.
#[derive(Debug)]
pub struct Failure {
    pub outcome: Outcome,
    /// Whose failure it was, to mask it.
    pub secret: Option<Secret<String>>,
    /// The policy's name of the provider.
    pub provider: String,
}

/// The table of design.md §7, as far as it is built: no retry on the same candidate yet.
pub fn judge(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Status { status, error, .. } => match status.as_u16() {
            400 | 422 if error.is_context_length() => Verdict::NextLarger,
            413 => Verdict::NextLarger,
            400 | 422 => Verdict::GiveUp,
            _ => Verdict::Next,
        },
        Outcome::ErrorInside(error) if error.is_context_length() => Verdict::NextLarger,
        Outcome::DialectUnavailable(_)
        | Outcome::NoSecret(..)
        | Outcome::Send(_)
        | Outcome::Timeout
        | Outcome::ErrorInside(_)
        | Outcome::Undecodable
        | Outcome::Broken
        | Outcome::TooLarge => Verdict::Next,
    }
}

impl Outcome {
    /// As `x-route-attempts` and the log show it.
    fn label(&self) -> String {
        let name = match self {
            Outcome::Status { status, .. } => return status.as_u16().to_string(),
            Outcome::DialectUnavailable(_) => "dialect_unavailable",
            Outcome::NoSecret(..) => "no_secret",
            Outcome::Send(SendError::Dns) => "dns",
            Outcome::Send(SendError::Connect) => "connect",
            Outcome::Send(SendError::Tls) => "tls",
            Outcome::Send(SendError::Timeout) | Outcome::Timeout => "timeout",
            Outcome::Send(SendError::Reset) => "reset",
            Outcome::Send(SendError::NoBackend) => "no_backend",
            Outcome::Send(SendError::Other) => "send_error",
            Outcome::ErrorInside(_) => "error_in_200",
            Outcome::Undecodable => "undecodable",
            Outcome::Broken => "broken",
            Outcome::TooLarge => "too_large",
        };
        name.to_owned()
    }

    /// Whether nothing was sent, so that it says less than any other failure.
    fn is_unsent(&self) -> bool {
        matches!(self, Outcome::DialectUnavailable(_) | Outcome::NoSecret(..))
    }
}

/// Gets key, address and body of `candidate` ready.
pub fn prepare<P: Platform>(job: &Job<'_, P>, candidate: &Candidate) -> Result<Prepared<P>, Outcome> {
    let provider = job.policy.provider_of(candidate.model);
    if provider.dialect != Dialect::OpenaiChat {
        return Err(Outcome::DialectUnavailable(provider.dialect));
    }
    let secret = dialect::secret(job.platform, provider)
        .map_err(|missing| Outcome::NoSecret(missing, provider.secret.clone()))?;
    let deadlines = &job.tier.deadlines;
    let target = dialect::target(provider, deadlines.connect, deadlines.idle);
    let backend = job.platform.backend(&target).map_err(Outcome::Send)?;
    let accept = if job.request.stream { dialect::EVENT_STREAM } else { dialect::JSON };
    let mut request_headers = dialect::request_headers(provider, secret.as_ref(), accept);
    headers::forward_upstream(job.client_headers, &mut request_headers);
    let encoded = openai_chat::encode_request(job.policy, candidate, job.request);
    let request = UpstreamRequest {
        method: Method::POST,
        url: format!("{}{}", provider.base_url, openai_chat::PATH),
        headers: request_headers,
        body: encoded.body,
    };
    Ok(Prepared { candidate: candidate.clone(), backend, request, secret, dropped: encoded.dropped })
}

/// Tries `candidates` in order; `first` is the first of them if it is prepared already.
///
/// # Errors
/// The failure that says most, if none of them answers.
pub fn run<P: Platform>(
    job: &Job<'_, P>,
    candidates: &[Candidate],
    mut first: Option<Prepared<P>>,
    record: &mut Record,
) -> Result<Committed<P>, Box<Failure>> {
    let started = job.platform.elapsed();
    let mut failure: Option<Failure> = None;
    let mut too_small = 0;
    let candidates = &candidates[..candidates.len().min(MAX_ATTEMPTS)];
    for (position, candidate) in candidates.iter().enumerate() {
        let model = job.policy.model(candidate.model);
        if model.context <= too_small {
            continue;
        }
        let attempt_started = job.platform.elapsed();
        if failure.is_some() && attempt_started >= job.total {
            break;
        }
        let is_last = position + 1 == candidates.len();
        let prepared = match first.take().filter(|prepared| prepared.candidate == *candidate) {
            Some(prepared) => Ok(prepared),
            None => prepare(job, candidate),
        };
        let (result, secret) = match prepared {
            Ok(prepared) => {
                let secret = prepared.secret.clone();
                (send(job, prepared, is_last), secret)
            }
            Err(outcome) => (Err(outcome), None),
        };
        let provider = &job.policy.provider(model.provider).name;
        let mut attempt = AttemptRecord {
            provider: provider.clone(),
            model: model.name.clone(),
            outcome: String::new(),
            duration: job.platform.elapsed() - attempt_started,
        };
        match result {
            Ok((committed, dropped, status)) => {
                attempt.outcome = status.as_u16().to_string();
                record.attempts.push(attempt);
                record.dropped = dropped;
                record.timings.upstream = Some(job.platform.elapsed() - started);
                return Ok(committed);
            }
            Err(outcome) => {
                attempt.outcome = outcome.label();
                record.attempts.push(attempt);
                let verdict = judge(&outcome);
                if failure.is_none() || !outcome.is_unsent() {
                    failure = Some(Failure { outcome, secret, provider: provider.clone() });
                }
                match verdict {
                    Verdict::Next => {}
                    Verdict::NextLarger => too_small = too_small.max(model.context),
                    Verdict::GiveUp => break,
                }
            }
        }
    }
    Err(Box::new(failure.expect("a plan should have at least one candidate")))
}

type Commit<P> = (Committed<P>, Vec<String>, StatusCode);

fn send<P: Platform>(job: &Job<'_, P>, prepared: Prepared<P>, is_last: bool) -> Result<Commit<P>, Outcome> {
    let platform = job.platform;
    let deadlines = &job.tier.deadlines;
    let own = if job.request.stream { deadlines.first_token } else { deadlines.response };
    let until = if is_last { job.total } else { job.total.min(platform.elapsed() + own) };
    let pending = platform.send(&prepared.backend, prepared.request).map_err(Outcome::Send)?;
    in_time(platform, Wait::Response(&pending), until)?;
    let mut response = platform.response(pending).map_err(Outcome::Send)?;
    if !response.status.is_success() {
        return Err(refused(platform, response, until));
    }
    let answer = match (job.request.stream, is_event_stream(&response.headers)) {
        (true, true) => first_piece(job, &mut response, until).map(|(decoder, stream, held)| Answer::Stream {
            body: response.body,
            decoder,
            stream,
            held,
        })?,
        (false, false) => whole_answer(platform, &mut response, until)?,
        (true, false) => {
            let body = read_all(platform, &mut response, until, MAX_ERROR_BYTES)?;
            let error = provider_error::parse(&body);
            let is_error = error != ProviderError::default();
            return Err(if is_error { Outcome::ErrorInside(error) } else { Outcome::Undecodable });
        }
        (false, true) => return Err(Outcome::Undecodable),
    };
    let committed = Committed { candidate: prepared.candidate, headers: response.headers, answer };
    Ok((committed, prepared.dropped, response.status))
}

/// Waits for one thing, until `until` on [`Platform::elapsed`]'s clock.
fn in_time<P: Platform>(platform: &P, wait: Wait<'_, P>, until: Duration) -> Result<(), Outcome> {
    let left = until.saturating_sub(platform.elapsed());
    if left.is_zero() || platform.wait_first(&[wait], Some(left)).is_none() {
        return Err(Outcome::Timeout);
    }
    Ok(())
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with(dialect::EVENT_STREAM))
}

fn refused<P: Platform>(platform: &P, mut response: UpstreamResponse<P::Body>, until: Duration) -> Outcome {
    // What it says is worth having, but its status alone decides.
    let body = read_all(platform, &mut response, until, MAX_ERROR_BYTES).unwrap_or_default();
    let retry_after = response
        .headers
        .get(http::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    Outcome::Status { status: response.status, error: provider_error::parse(&body), retry_after }
}

fn whole_answer<P: Platform>(
    platform: &P,
    response: &mut UpstreamResponse<P::Body>,
    until: Duration,
) -> Result<Answer<P>, Outcome> {
    let body = read_all(platform, response, until, MAX_ANSWER_BYTES)?;
    match openai_chat::decode_answer(&body) {
        Ok(whole) => Ok(Answer::Whole { body, whole }),
        Err(Defect::Error(error)) => Err(Outcome::ErrorInside(error)),
        Err(Defect::Undecodable) => Err(Outcome::Undecodable),
    }
}

fn read_all<P: Platform>(
    platform: &P,
    response: &mut UpstreamResponse<P::Body>,
    until: Duration,
    limit: usize,
) -> Result<Vec<u8>, Outcome> {
    let length = headers::content_length(&response.headers);
    let mut bytes = Vec::with_capacity(4096);
    while length != Some(bytes.len() as u64) {
        in_time(platform, Wait::Body(&response.body), until)?;
        if platform.read(&mut response.body, &mut bytes, READ_BYTES).map_err(|_| Outcome::Broken)? == 0 {
            // The local runtime's wait swallows the error of a body that broke off, so its length is checked too.
            return if length.is_none() { Ok(bytes) } else { Err(Outcome::Broken) };
        }
        if bytes.len() > limit {
            return Err(Outcome::TooLarge);
        }
    }
    Ok(bytes)
}

/// Reads a stream up to its first piece of an answer, that piece included.
fn first_piece<P: Platform>(
    job: &Job<'_, P>,
    response: &mut UpstreamResponse<P::Body>,
    until: Duration,
) -> Result<(sse::Decoder, Stream, Vec<u8>), Outcome> {
    let mut decoder = sse::Decoder::default();
    let mut stream = Stream::new(job.request);
    let mut held = Vec::new();
    loop {
        in_time(job.platform, Wait::Body(&response.body), until)?;
        let read = job.platform.read(&mut response.body, decoder.space(), READ_BYTES).map_err(|_| Outcome::Broken)?;
        if read == 0 {
            return Err(Outcome::Broken);
        }
        while let Some(event) = decoder.next_event().map_err(|_| Outcome::TooLarge)? {
            // Comments before the answer only keep the connection to us open.
            let Some(data) = event.data() else { continue };
            match stream.read(&data) {
                Meaning::Preamble => {
                    held.extend_from_slice(event.raw);
                    if held.len() > MAX_HELD_BYTES {
                        return Err(Outcome::TooLarge);
                    }
                }
                Meaning::Unasked | Meaning::Foreign => {}
                Meaning::Piece => {
                    held.extend_from_slice(event.raw);
                    return Ok((decoder, stream, held));
                }
                Meaning::End => return Err(Outcome::Broken),
                Meaning::Error(error) => return Err(Outcome::ErrorInside(error)),
                Meaning::Undecodable => return Err(Outcome::Undecodable),
            }
        }
    }
}
