//! How an attempt failed, and the one table that says what follows from it: for the request, for the candidate's standing
//! in this POP, and for what the client is told in the end.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use crate::error::{Error, Kind, RejectedAs};
use crate::platform::SendError;
use crate::policy::Dialect;
use crate::pop::health::Cooling;
use crate::record::AttemptEnd;
use crate::upstream::dialect::CannotEncode;
use crate::upstream::error_words::ProviderError;
use crate::upstream::keyring::NoSecret;

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// This version does not speak the provider's dialect.
    DialectUnavailable(Dialect),
    /// Nothing may be sent to the provider.
    NoSecret(NoSecret),
    /// The candidate's dialect cannot carry the request; what the client is told if no other can.
    Unfit(Box<Error>),
    /// The request could not be sent, or no head came.
    Send(SendError),
    /// No first piece, or no whole answer, by its deadline.
    Timeout,
    /// The request's own time ended before the candidate's; that says nothing about it.
    OutOfTime,
    /// An answer other than 2xx.
    Status {
        status: StatusCode,
        error: Box<ProviderError>,
        /// How long the provider asks to be left alone.
        delay: Option<Duration>,
    },
    /// An error in a 2xx.
    ErrorInside(Box<ProviderError>),
    /// A 2xx that is no answer of this dialect.
    Undecodable,
    /// A 2xx in a coding that nobody asked for and the gateway cannot read.
    UnknownCoding,
    /// The body ended early.
    Broken,
    /// More than the gateway holds.
    TooLarge,
}

/// What follows from an outcome for this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Once more on the same candidate, soon, if the tier's policy allows; else the next one.
    Retry,
    /// The next candidate; if none is healthy, the same one after this delay.
    Wait(Duration),
    /// The next candidate.
    Next,
    /// The next candidate with a larger context.
    NextLarger,
    /// A candidate of another provider, if no other has said the same.
    Elsewhere,
    /// Every candidate would say the same.
    GiveUp,
}

/// When a candidate may well serve the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedBack {
    Never,
    AfterCooldown,
    After(Duration),
}

/// What the client is told if this is the failure that says most.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientError {
    /// The request itself was refused, for the provider's own reason.
    Refused { how: RejectedAs, words: Box<ProviderError> },
    /// What the last candidate did, as the end of a sentence about it.
    Failed(Kind, Cow<'static, str>),
    /// An error of the gateway's own, as it is.
    Own(Error),
}

/// A row of the table: all that follows from an outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// What follows for the candidate's standing in this POP.
    pub cooling: Cooling,
    /// When the candidate may serve the same request.
    pub expected_back: ExpectedBack,
    pub client_error: ClientError,
}

/// The table: what follows from `outcome`.
pub fn judge(outcome: &Outcome) -> Judgement {
    use Verdict::{Next, Retry};
    let failed = |what: &'static str| client_error(Kind::ProviderError, what);
    match outcome {
        Outcome::DialectUnavailable(dialect) => {
            let what = format!("speaks `{}`, which this version cannot translate", dialect.as_str());
            row(Next, Cooling::None, client_error(Kind::DialectUnavailable, what))
        }
        Outcome::NoSecret(why) => {
            row(Next, Cooling::None, client_error(Kind::NoSecret, format!("may get nothing: {}", why.describe())))
        }
        Outcome::Unfit(error) => row(Next, Cooling::None, ClientError::Own((**error).clone())),
        Outcome::OutOfTime => {
            let what = "was cut off, since the time of this request was over";
            row(Next, Cooling::None, client_error(Kind::ProviderTimeout, what))
        }
        Outcome::Send(SendError::NoBackend) => {
            let what = "has no backend in this service, which may not create one: see `fastly backend create` in the \
                        README";
            row(Next, Cooling::None, client_error(Kind::NoBackend, what))
        }
        Outcome::Send(
            error @ (SendError::Dns | SendError::Connect | SendError::Tls | SendError::Reset | SendError::Other),
        ) => row(Retry, Cooling::Failure, client_error(Kind::ProviderError, format!("could not be asked: {error}"))),
        Outcome::Send(SendError::Timeout) | Outcome::Timeout => {
            let late = row(Next, Cooling::Failure, client_error(Kind::ProviderTimeout, "did not answer in time"));
            Judgement { expected_back: ExpectedBack::AfterCooldown, ..late }
        }
        Outcome::Status { status, error, delay } => {
            let answer = Answered { status: status.as_u16(), error, delay: *delay };
            judge_answer(&answer, format!("answered {status}"))
        }
        Outcome::ErrorInside(error) => {
            // What no status is known for is the provider's fault, unless its words say that it is the prompt's length.
            let unknown = if error.is_context_length() { 400 } else { 500 };
            let status = error.implied_status().unwrap_or(unknown);
            judge_answer(&Answered { status, error, delay: error.retry_delay }, "answered with an error".to_owned())
        }
        Outcome::Broken => row(Retry, Cooling::Failure, failed("broke off its answer")),
        Outcome::Undecodable => {
            let unread = row(Next, Cooling::Failure, failed("sent an answer that cannot be read"));
            Judgement { expected_back: ExpectedBack::AfterCooldown, ..unread }
        }
        Outcome::UnknownCoding => {
            row(Next, Cooling::Failure, failed("sent its answer in a coding that nobody asked for"))
        }
        Outcome::TooLarge => row(Next, Cooling::Failure, failed("sent more than the gateway accepts")),
    }
}

/// An error that a provider answered with, wherever it stood.
struct Answered<'a> {
    status: u16,
    error: &'a ProviderError,
    /// How long the provider asks to be left alone.
    delay: Option<Duration>,
}

/// The rows of answered errors; `otherwise` is what is told where no row says more.
fn judge_answer(answer: &Answered<'_>, otherwise: String) -> Judgement {
    use Verdict::{GiveUp, Next, NextLarger, Retry, Wait};
    let Answered { status, error, delay } = *answer;
    let refused = |verdict, how| {
        let words = Box::new(error.clone());
        row(verdict, Cooling::None, ClientError::Refused { how, words })
    };
    let failed = |kind| client_error(kind, otherwise);
    match status {
        413 => refused(NextLarger, RejectedAs::TooLarge),
        400 | 422 if error.is_context_length() => refused(NextLarger, RejectedAs::ContextLength),
        400 => refused(GiveUp, RejectedAs::BadRequest),
        422 => refused(GiveUp, RejectedAs::Unprocessable),
        // Too much in the address or the headers is the client's doing.
        414 | 431 => row(Next, Cooling::None, failed(Kind::ProviderError)),
        402 => row(Next, Cooling::Long, client_error(Kind::ProviderQuota, NO_QUOTA)),
        _ if error.is_quota() => row(Next, Cooling::Long, client_error(Kind::ProviderQuota, NO_QUOTA)),
        401 | 403 => row(Next, Cooling::Long, client_error(Kind::ProviderAuth, "refused the gateway's key")),
        404 => row(Next, Cooling::Long, client_error(Kind::ProviderNotFound, "does not know the model")),
        408 | 425 | 429 | 500..=599 => {
            let client_error = if status == 429 {
                client_error(Kind::RateLimited, "is rate limited")
            } else {
                failed(Kind::ProviderError)
            };
            match delay {
                Some(delay) => row(Wait(delay), Cooling::Asked(delay), client_error),
                None => row(Retry, Cooling::Failure, client_error),
            }
        }
        _ => row(Next, Cooling::Failure, failed(Kind::ProviderError)),
    }
}

const NO_QUOTA: &str = "has no quota left";

fn client_error(kind: Kind, what: impl Into<Cow<'static, str>>) -> ClientError {
    ClientError::Failed(kind, what.into())
}

/// A row whose candidate is back as its verdict says.
fn row(verdict: Verdict, cooling: Cooling, client_error: ClientError) -> Judgement {
    let expected_back = match verdict {
        Verdict::Wait(delay) => ExpectedBack::After(delay),
        Verdict::Retry => ExpectedBack::AfterCooldown,
        Verdict::Next | Verdict::NextLarger | Verdict::Elsewhere | Verdict::GiveUp => ExpectedBack::Never,
    };
    Judgement { verdict, cooling, expected_back, client_error }
}

impl From<CannotEncode> for Outcome {
    fn from(why: CannotEncode) -> Self {
        match why {
            CannotEncode::Unavailable(dialect) => Outcome::DialectUnavailable(dialect),
            CannotEncode::Unfit(error) => Outcome::Unfit(error),
        }
    }
}

impl Outcome {
    /// The end of the attempt, as the record shows it.
    pub fn end(&self) -> AttemptEnd {
        let name = match self {
            Outcome::Status { status, .. } => return AttemptEnd::Status(*status),
            Outcome::DialectUnavailable(_) => "dialect_unavailable",
            Outcome::NoSecret(NoSecret::Limit) => "secret_limit",
            Outcome::NoSecret(_) => "no_secret",
            Outcome::Unfit(_) => "unfit",
            Outcome::Send(SendError::Dns) => "dns",
            Outcome::Send(SendError::Connect) => "connect",
            Outcome::Send(SendError::Tls) => "tls",
            Outcome::Send(SendError::Timeout) | Outcome::Timeout => "timeout",
            Outcome::OutOfTime => "out_of_time",
            Outcome::Send(SendError::Reset) => "reset",
            Outcome::Send(SendError::NoBackend) => "no_backend",
            Outcome::Send(SendError::Other) => "send_error",
            Outcome::ErrorInside(_) => "error_in_200",
            Outcome::Undecodable => "undecodable",
            Outcome::UnknownCoding => "unknown_coding",
            Outcome::Broken => "broken",
            Outcome::TooLarge => "too_large",
        };
        AttemptEnd::Failed(name)
    }

    /// Whether nothing was sent, so that it says less than any other failure.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Outcome::DialectUnavailable(_) | Outcome::NoSecret(_) | Outcome::Unfit(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::upstream::error_words;

    const SECOND: Duration = Duration::from_secs(1);

    fn status(status: u16, body: &str, delay: Option<Duration>) -> Outcome {
        let status = StatusCode::from_u16(status).expect("a status");
        Outcome::Status { status, error: Box::new(error_words::parse(body.as_bytes())), delay }
    }

    fn inside(body: &str) -> Outcome {
        Outcome::ErrorInside(Box::new(error_words::parse(body.as_bytes())))
    }

    #[test]
    fn every_row_of_the_table() {
        let context = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
        let policy = r#"{"error":{"message":"x","code":"content_policy_violation"}}"#;
        let quota = r#"{"error":{"message":"x","code":"insufficient_quota"}}"#;
        let again = (Verdict::Retry, Cooling::Failure);
        let next = (Verdict::Next, Cooling::Failure);
        let long = (Verdict::Next, Cooling::Long);
        let unsent = (Verdict::Next, Cooling::None);
        let larger = (Verdict::NextLarger, Cooling::None);
        let give_up = (Verdict::GiveUp, Cooling::None);
        let wait = (Verdict::Wait(SECOND), Cooling::Asked(SECOND));
        for (outcome, expected) in [
            (Outcome::DialectUnavailable(Dialect::OpenaiResponses), unsent),
            (Outcome::NoSecret(NoSecret::Missing), unsent),
            (Outcome::NoSecret(NoSecret::Limit), unsent),
            (Outcome::Unfit(Box::new(Error::new(Kind::InvalidRequest, "x"))), unsent),
            (Outcome::Send(SendError::NoBackend), unsent),
            (Outcome::Send(SendError::Dns), again),
            (Outcome::Send(SendError::Connect), again),
            (Outcome::Send(SendError::Tls), again),
            (Outcome::Send(SendError::Reset), again),
            (Outcome::Send(SendError::Other), again),
            (Outcome::Send(SendError::Timeout), next),
            (Outcome::Timeout, next),
            (Outcome::OutOfTime, unsent),
            (status(429, "", Some(SECOND)), wait),
            (status(429, "", None), again),
            (status(429, quota, Some(SECOND)), long),
            (status(408, "", None), again),
            (status(425, "", None), again),
            (status(500, "<html>", None), again),
            (status(503, "", Some(SECOND)), wait),
            (status(529, "[]", None), again),
            (status(400, context, None), larger),
            (status(422, context, None), larger),
            (status(413, "", None), larger),
            (status(414, "", None), unsent),
            (status(431, "<html>", None), unsent),
            (inside(r#"{"error":{"message":"x","code":431}}"#), unsent),
            (status(400, "", None), give_up),
            (status(400, policy, None), give_up),
            (status(422, "nonsense", None), give_up),
            (status(401, "", None), long),
            (status(402, "", None), long),
            (status(403, "", None), long),
            (status(404, "", None), long),
            (status(302, "", None), next),
            (status(409, "", None), next),
            (status(451, "", None), next),
            (inside(r#"{"error":{"message":"busy"}}"#), again),
            (inside(r#"{"error":{"message":"x","code":400}}"#), give_up),
            (inside(r#"{"error":{"message":"x","type":"invalid_request_error"}}"#), give_up),
            (inside(r#"{"error":{"message":"x","type":"overloaded_error"}}"#), again),
            (inside(r#"{"error":{"message":"x","type":"authentication_error"}}"#), long),
            (inside(context), larger),
            (inside(quota), long),
            (Outcome::Broken, again),
            (Outcome::Undecodable, next),
            (Outcome::UnknownCoding, next),
            (Outcome::TooLarge, next),
        ] {
            let Judgement { verdict, cooling, .. } = judge(&outcome);
            assert_eq!((verdict, cooling), expected, "{outcome:?}");
        }
    }
}
