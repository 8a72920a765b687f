//! How an attempt failed, and the one table that says what follows from it (design.md §7).

use std::time::Duration;

use http::StatusCode;

use crate::error::Error;
use crate::platform::SendError;
use crate::policy::Dialect;
use crate::pop::health::Cooling;
use crate::upstream::dialect::CannotEncode;
use crate::upstream::error_words::ProviderError;
use crate::upstream::keyring::NoSecret;

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    DialectUnavailable(Dialect),
    /// Nothing may be sent to it.
    NoSecret(NoSecret),
    /// The candidate's dialect cannot carry the request; what the client is told if no other can.
    Unfit(Box<Error>),
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
    /// The body ended early.
    Broken,
    TooLarge,
}

/// What follows from an outcome for this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Once more on the same candidate, soon, if the tier's policy allows; else the next one.
    Retry,
    /// The next candidate; if none is healthy, the same one after this delay.
    Wait(Duration),
    Next,
    /// The next candidate with a larger context.
    NextLarger,
    /// Every candidate would say the same.
    GiveUp,
}

/// The table.
pub fn judge(outcome: &Outcome) -> (Verdict, Cooling) {
    match outcome {
        Outcome::DialectUnavailable(_) | Outcome::NoSecret(_) | Outcome::Unfit(_) | Outcome::OutOfTime => {
            (Verdict::Next, Cooling::None)
        }
        Outcome::Send(SendError::NoBackend) => (Verdict::Next, Cooling::None),
        Outcome::Send(SendError::Dns | SendError::Connect | SendError::Tls | SendError::Reset | SendError::Other) => {
            (Verdict::Retry, Cooling::Short)
        }
        Outcome::Send(SendError::Timeout) | Outcome::Timeout => (Verdict::Next, Cooling::Short),
        Outcome::Status { status, error, delay } => judge_status(status.as_u16(), error, *delay),
        Outcome::ErrorInside(error) => match error.implied_status() {
            Some(status) => judge_status(status, error, error.retry_delay),
            None => judge_status(500, error, error.retry_delay),
        },
        Outcome::Broken => (Verdict::Retry, Cooling::Short),
        Outcome::Undecodable | Outcome::TooLarge => (Verdict::Next, Cooling::Short),
    }
}

fn judge_status(status: u16, error: &ProviderError, delay: Option<Duration>) -> (Verdict, Cooling) {
    match status {
        400 | 413 | 422 if error.is_context_length() => (Verdict::NextLarger, Cooling::None),
        413 => (Verdict::NextLarger, Cooling::None),
        // Too much in the address or the headers is the client's doing.
        414 | 431 => (Verdict::Next, Cooling::None),
        400 | 422 => (Verdict::GiveUp, Cooling::None),
        401..=404 => (Verdict::Next, Cooling::Long),
        _ if error.is_quota() => (Verdict::Next, Cooling::Long),
        408 | 425 | 429 | 500..=599 => match delay {
            Some(delay) => (Verdict::Wait(delay), Cooling::Asked(delay)),
            None => (Verdict::Retry, Cooling::Short),
        },
        _ => (Verdict::Next, Cooling::Short),
    }
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
    /// As `x-route-attempts` and the log show it.
    pub fn label(&self) -> String {
        let name = match self {
            Outcome::Status { status, .. } => return status.as_u16().to_string(),
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
            Outcome::Broken => "broken",
            Outcome::TooLarge => "too_large",
        };
        name.to_owned()
    }

    /// Whether the same request may well work a little later, although it is not worth a second attempt now.
    pub fn may_pass(&self) -> bool {
        matches!(self, Outcome::Timeout | Outcome::Send(SendError::Timeout) | Outcome::Undecodable)
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
        let again = (Verdict::Retry, Cooling::Short);
        let next = (Verdict::Next, Cooling::Short);
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
            (Outcome::TooLarge, next),
        ] {
            assert_eq!(judge(&outcome), expected, "{outcome:?}");
        }
    }
}
