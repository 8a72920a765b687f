//! How an attempt failed, and the one table that says what follows from it: for the request, for the candidate's standing
//! in this POP, and for what the client is told in the end.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use crate::error::{Error, Kind, RejectedAs};
use crate::platform::SendError;
use crate::policy::{Dialect, OnRefusal};
use crate::pop::health::Cooling;
use crate::record::{AttemptEnd, Billing};
use crate::upstream::dialect::CannotEncode;
use crate::upstream::error_words::ProviderError;
use crate::upstream::keyring::NoSecret;
use crate::upstream::meaning::{self, Meaning};
use crate::wire::usage::Tally;

/// A connection that is reset so soon after a request was sent had been closed before.
const STALE_CONNECTION: Duration = Duration::from_secs(1);

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
    /// A stream began, and then nothing came for longer than the tier allows.
    Stalled,
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
    /// An answer that begins with a refusal, where the tier wants another candidate asked then.
    ModelRefused,
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

/// How much a failure says to the client, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureWeight {
    /// Nothing was sent.
    Unsent,
    /// The provider is in trouble.
    Provider,
    /// The request is at fault.
    Request,
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

/// The table: what follows from `outcome` where the tier says `on_refusal`.
pub fn judge(outcome: &Outcome, on_refusal: OnRefusal) -> Judgement {
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
        // A long thought is no fault: whether the candidate was late shows only beside another.
        Outcome::Send(SendError::Timeout) | Outcome::Timeout => {
            let late = row(Next, Cooling::None, client_error(Kind::ProviderTimeout, "did not answer in time"));
            Judgement { expected_back: ExpectedBack::AfterCooldown, ..late }
        }
        Outcome::Status { status, error, delay } => {
            let answered = Answered { status: Some(*status), error, delay: *delay };
            judge_answered(&answered, on_refusal)
        }
        Outcome::ErrorInside(error) => {
            judge_answered(&Answered { status: None, error, delay: error.retry_delay }, on_refusal)
        }
        Outcome::ModelRefused => {
            let kind = Kind::Rejected(RejectedAs::ContentPolicy);
            row(Next, Cooling::Alive, client_error(kind, "refused what the request asks for"))
        }
        Outcome::Stalled => row(Retry, Cooling::Failure, client_error(Kind::ProviderTimeout, "did not go on in time")),
        Outcome::Broken => row(Retry, Cooling::Failure, failed("broke off its answer")),
        Outcome::Undecodable => row(Retry, Cooling::Failure, failed("sent an answer that cannot be read")),
        Outcome::UnknownCoding => {
            row(Next, Cooling::Failure, failed("sent its answer in a coding that nobody asked for"))
        }
        Outcome::TooLarge => row(Next, Cooling::None, failed("sent more than the gateway accepts")),
    }
}

/// An error that a provider answered with, wherever it stood.
struct Answered<'a> {
    /// Nothing for an error within a 200, or in a stream.
    status: Option<StatusCode>,
    error: &'a ProviderError,
    /// How long the provider asks to be left alone.
    delay: Option<Duration>,
}

/// The rows of answered errors: what an error means decides, not where it stood.
fn judge_answered(answered: &Answered<'_>, on_refusal: OnRefusal) -> Judgement {
    use Verdict::{Elsewhere, GiveUp, Next, NextLarger};
    let Answered { status, error, delay } = *answered;
    let refused = |how| ClientError::Refused { how, words: Box::new(error.clone()) };
    let failed = || match status {
        Some(status) => client_error(Kind::ProviderError, format!("answered {}", status.as_u16())),
        None => client_error(Kind::ProviderError, "answered with an error"),
    };
    let rate_limited = || client_error(Kind::RateLimited, "is rate limited");
    match meaning::find(status.map(|status| status.as_u16()), error) {
        Meaning::Account => row(Next, Cooling::Long, client_error(Kind::ProviderQuota, NO_QUOTA)),
        Meaning::Key => row(Next, Cooling::Long, client_error(Kind::ProviderAuth, "refused the gateway's key")),
        Meaning::Region => {
            let what = "does not serve the place that it was asked from";
            row(Next, Cooling::Long, client_error(Kind::ProviderAuth, what))
        }
        Meaning::Model => row(Next, Cooling::Long, client_error(Kind::ProviderNotFound, "does not know the model")),
        Meaning::ContextLength => row(NextLarger, Cooling::None, refused(RejectedAs::ContextLength)),
        Meaning::TooLarge => row(Next, Cooling::None, refused(RejectedAs::TooLarge)),
        Meaning::HeadTooLarge => row(Next, Cooling::None, failed()),
        Meaning::RateLimit => again(delay, rate_limited()),
        Meaning::AboveRate if delay.is_some() => again(delay, rate_limited()),
        Meaning::AboveRate => row(Next, Cooling::None, rate_limited()),
        Meaning::ContentPolicy => {
            let verdict = match on_refusal {
                OnRefusal::End => GiveUp,
                OnRefusal::Next => Next,
            };
            row(verdict, Cooling::None, refused(RejectedAs::ContentPolicy))
        }
        Meaning::Flagged => row(Next, Cooling::None, refused(RejectedAs::ContentPolicy)),
        // What the account can still pay is the operator's business.
        Meaning::Unaffordable => row(Next, Cooling::None, client_error(Kind::ProviderQuota, NO_QUOTA)),
        Meaning::ThisRequest => row(Next, Cooling::None, refused(RejectedAs::BadRequest)),
        Meaning::Refused => {
            let how = match status {
                Some(StatusCode::UNPROCESSABLE_ENTITY) => RejectedAs::Unprocessable,
                None if error.numeric_status() == Some(422) => RejectedAs::Unprocessable,
                Some(_) | None => RejectedAs::BadRequest,
            };
            row(Elsewhere, Cooling::Alive, refused(how))
        }
        Meaning::Overload => again(delay, client_error(Kind::ProviderOverloaded, "is overloaded")),
        Meaning::Trouble => again(delay, failed()),
        Meaning::Unknown => row(Next, Cooling::Failure, failed()),
    }
}

/// What may well work the next time: after the delay that was asked for, or soon.
fn again(delay: Option<Duration>, client_error: ClientError) -> Judgement {
    match delay {
        Some(delay) => row(Verdict::Wait(delay), Cooling::Asked(delay), client_error),
        None => row(Verdict::Retry, Cooling::Failure, client_error),
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
            Outcome::Send(SendError::Timeout) | Outcome::Timeout | Outcome::Stalled => "timeout",
            Outcome::OutOfTime => "out_of_time",
            Outcome::Send(SendError::Reset) => "reset",
            Outcome::Send(SendError::NoBackend) => "no_backend",
            Outcome::Send(SendError::Other) => "send_error",
            Outcome::ErrorInside(_) => "error_in_200",
            Outcome::ModelRefused => "refused",
            Outcome::Undecodable => "undecodable",
            Outcome::UnknownCoding => "unknown_coding",
            Outcome::Broken => "broken",
            Outcome::TooLarge => "too_large",
        };
        AttemptEnd::Failed(name.into())
    }

    /// What the provider's error means, if it is one.
    pub fn meaning(&self) -> Option<Meaning> {
        match self {
            Outcome::Status { status, error, .. } => Some(meaning::find(Some(status.as_u16()), error)),
            Outcome::ErrorInside(error) => Some(meaning::find(None, error)),
            _ => None,
        }
    }

    /// How much it says to the client.
    pub fn weight(&self) -> FailureWeight {
        match self {
            Outcome::DialectUnavailable(_) | Outcome::NoSecret(_) | Outcome::Unfit(_) => FailureWeight::Unsent,
            Outcome::ModelRefused => FailureWeight::Request,
            _ => match judge(self, OnRefusal::End).verdict {
                Verdict::NextLarger | Verdict::Elsewhere | Verdict::GiveUp => FailureWeight::Request,
                Verdict::Retry | Verdict::Wait(_) | Verdict::Next => FailureWeight::Provider,
            },
        }
    }

    /// Whether an attempt that ended so after `took` shows no more than that its connection had been kept for too long.
    pub fn is_stale_connection(&self, took: Duration) -> bool {
        *self == Outcome::Send(SendError::Reset) && took < STALE_CONNECTION
    }

    /// Whether the provider may bill an attempt that ended so after `took`, of which `tally` is known.
    pub fn billing(&self, took: Duration, tally: &Tally) -> Billing {
        let may_bill = match self {
            Outcome::DialectUnavailable(_) | Outcome::NoSecret(_) | Outcome::Unfit(_) | Outcome::Status { .. } => false,
            Outcome::Send(error) => match error {
                SendError::Dns | SendError::Connect | SendError::Tls | SendError::NoBackend | SendError::Other => false,
                // Somebody may have been at work.
                SendError::Reset => !self.is_stale_connection(took),
                SendError::Timeout => true,
            },
            Outcome::ErrorInside(_) => tally.text_bytes > 0,
            Outcome::Timeout
            | Outcome::OutOfTime
            | Outcome::Stalled
            | Outcome::ModelRefused
            | Outcome::Undecodable
            | Outcome::UnknownCoding
            | Outcome::Broken
            | Outcome::TooLarge => true,
        };
        if may_bill { Billing::Possible } else { Billing::Free }
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
    fn a_provider_bills_what_it_may_have_worked_on() {
        let (nothing, text) = (Tally::default(), Tally { text_bytes: 1, ..Tally::default() });
        let moment = Duration::from_millis(900);
        for (outcome, took, tally, expected) in [
            (status(500, "", None), SECOND, nothing, false),
            (status(400, "", None), SECOND, nothing, false),
            (Outcome::NoSecret(NoSecret::Missing), SECOND, nothing, false),
            (Outcome::Send(SendError::Dns), SECOND, nothing, false),
            (Outcome::Send(SendError::Tls), SECOND, nothing, false),
            (Outcome::Send(SendError::Reset), moment, nothing, false),
            (Outcome::Send(SendError::Reset), SECOND, nothing, true),
            (Outcome::Send(SendError::Timeout), SECOND, nothing, true),
            (inside("{}"), SECOND, nothing, false),
            (inside("{}"), SECOND, text, true),
            (Outcome::Timeout, SECOND, nothing, true),
            (Outcome::OutOfTime, SECOND, nothing, true),
            (Outcome::Undecodable, moment, nothing, true),
            (Outcome::Broken, moment, nothing, true),
            (Outcome::TooLarge, moment, text, true),
        ] {
            let billed = outcome.billing(took, &tally) == Billing::Possible;
            assert_eq!(billed, expected, "{outcome:?} after {took:?}");
        }
    }

    #[test]
    fn every_row_of_the_table() {
        let context = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
        let policy = r#"{"error":{"message":"x","code":"content_policy_violation"}}"#;
        let quota = r#"{"error":{"message":"x","code":"insufficient_quota"}}"#;
        let words = r#"{"error":{"message":"x"}}"#;
        let again = (Verdict::Retry, Cooling::Failure);
        let next = (Verdict::Next, Cooling::Failure);
        let long = (Verdict::Next, Cooling::Long);
        let unsent = (Verdict::Next, Cooling::None);
        let larger = (Verdict::NextLarger, Cooling::None);
        let elsewhere = (Verdict::Elsewhere, Cooling::Alive);
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
            (Outcome::Send(SendError::Timeout), unsent),
            (Outcome::Timeout, unsent),
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
            (status(413, "", None), unsent),
            (status(413, context, None), larger),
            (status(414, "", None), unsent),
            (status(431, "<html>", None), unsent),
            (inside(r#"{"error":{"message":"x","code":431}}"#), unsent),
            (status(400, "", None), elsewhere),
            (status(400, policy, None), give_up),
            (status(422, "nonsense", None), elsewhere),
            (status(401, "", None), long),
            (status(402, "", None), long),
            (status(403, words, None), long),
            (status(404, words, None), long),
            (status(410, words, None), long),
            (status(403, "", None), next),
            (status(403, "<html>", None), next),
            (status(404, "<html>", None), next),
            (status(404, "{}", None), next),
            (status(302, "", None), next),
            (status(409, "", None), again),
            (status(409, "", Some(SECOND)), wait),
            (status(451, "", None), next),
            (inside(r#"{"error":{"message":"busy"}}"#), again),
            (inside(r#"{"error":{"message":"x","code":400}}"#), elsewhere),
            (inside(r#"{"error":{"message":"x","type":"invalid_request_error"}}"#), elsewhere),
            (inside(r#"{"error":{"message":"x","type":"overloaded_error"}}"#), again),
            (inside(r#"{"error":{"message":"x","type":"authentication_error"}}"#), long),
            (inside(context), larger),
            (inside(quota), long),
            (Outcome::Broken, again),
            (Outcome::Undecodable, again),
            (Outcome::UnknownCoding, (Verdict::Next, Cooling::Failure)),
            (Outcome::TooLarge, unsent),
        ] {
            let Judgement { verdict, cooling, .. } = judge(&outcome, OnRefusal::End);
            assert_eq!((verdict, cooling), expected, "{outcome:?}");
        }
    }

    #[test]
    fn a_tier_may_ask_elsewhere_what_one_provider_will_not_say() {
        let policy = status(400, r#"{"error":{"message":"x","code":"content_policy_violation"}}"#, None);
        let judgement = judge(&policy, OnRefusal::Next);
        assert_eq!((judgement.verdict, judgement.cooling), (Verdict::Next, Cooling::None));
        assert_eq!(judgement.client_error, judge(&policy, OnRefusal::End).client_error);
    }
}
