//! What the client is told when no candidate served: the last failure in the client's terms.
//!
//! A provider's text passes only where the request itself was refused, masked and bounded; its authentication, quota and
//! not-found errors are the operator's business and become 5xx (design.md §4).

use crate::attempt::Failure;
use crate::dialect::provider_error::ProviderError;
use crate::error::{Error, Kind, RejectedAs, Retry};
use crate::headers::MAX_RETRY_AFTER;
use crate::outcome::Outcome;
use crate::platform::SendError;
use crate::secret::mask;

const MAX_REASON_BYTES: usize = 1_000;

/// The error for `failure`. The client should come back if a candidate is expected back soon, whichever it is.
pub fn error(failure: &Failure) -> Error {
    let provider = &failure.provider;
    let retry = match failure.back {
        Some(back) if back <= MAX_RETRY_AFTER => Retry::After(back),
        Some(_) | None => Retry::Never,
    };
    let failed = |kind: Kind, what: &str| {
        let message = format!("No candidate could answer; the last one ({provider}) {what}.");
        Error::new(kind, message).with_retry(retry)
    };
    match &failure.outcome {
        Outcome::Status { status, error, .. } => match status.as_u16() {
            400 | 422 if error.is_context_length() => rejected(failure, error, RejectedAs::ContextLength),
            400 => rejected(failure, error, RejectedAs::BadRequest),
            413 => rejected(failure, error, RejectedAs::TooLarge),
            422 => rejected(failure, error, RejectedAs::Unprocessable),
            402 => failed(Kind::ProviderQuota, "has no quota left"),
            _ if error.is_quota() => failed(Kind::ProviderQuota, "has no quota left"),
            429 => failed(Kind::RateLimited, "is rate limited"),
            401 | 403 => failed(Kind::ProviderAuth, "refused the gateway's key"),
            404 => failed(Kind::ProviderNotFound, "does not know the model"),
            _ => failed(Kind::ProviderError, &format!("answered {status}")),
        },
        Outcome::ErrorInside(error) => match error.implied_status() {
            _ if error.is_context_length() => rejected(failure, error, RejectedAs::ContextLength),
            Some(400 | 422) => rejected(failure, error, RejectedAs::BadRequest),
            _ => failed(Kind::ProviderError, "answered with an error"),
        },
        Outcome::Undecodable => failed(Kind::ProviderError, "sent an answer that cannot be read"),
        Outcome::Broken => failed(Kind::ProviderError, "broke off its answer"),
        Outcome::TooLarge => failed(Kind::ProviderError, "sent more than the gateway accepts"),
        Outcome::Timeout | Outcome::Send(SendError::Timeout) => failed(Kind::ProviderTimeout, "did not answer in time"),
        Outcome::OutOfTime => failed(Kind::ProviderTimeout, "was cut off, since the time of this request was over"),
        Outcome::Send(SendError::NoBackend) => {
            let what = "has no backend in this service, which may not create one: see `fastly backend create` in the \
                        README";
            failed(Kind::NoBackend, what)
        }
        Outcome::Send(
            error @ (SendError::Dns | SendError::Connect | SendError::Tls | SendError::Reset | SendError::Other),
        ) => failed(Kind::ProviderError, &format!("could not be asked: {error}")),
        Outcome::NoSecret(why, entry) => failed(Kind::NoSecret, &format!("may get nothing: {}", why.describe(entry))),
        Outcome::DialectUnavailable(dialect) => {
            let what = format!("speaks `{}`, which this version cannot translate", dialect.as_str());
            failed(Kind::DialectUnavailable, &what)
        }
        Outcome::Unfit(error) => (**error).clone(),
    }
}

/// The provider's own reason, since it is about what the client sent.
fn rejected(failure: &Failure, error: &ProviderError, how: RejectedAs) -> Error {
    let masked = |text: &String| mask(text, failure.secret.as_ref(), MAX_REASON_BYTES);
    let reason = error.message.as_ref().map_or_else(|| "it gave no reason".to_owned(), masked);
    let message = format!("The provider ({}) rejected the request: {reason}", failure.provider);
    let rejected = Error::new(Kind::Rejected(how), message);
    match &error.param {
        Some(param) => rejected.with_param(masked(param)),
        None => rejected,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::dialect::provider_error;
    use crate::keyring::NoSecret;
    use crate::secret::Secret;

    const BACK: Duration = Duration::from_secs(7);

    fn check(outcome: Outcome, back: Option<Duration>) -> Error {
        let secret = Some(Secret::new("supersecretkey12345".to_owned()));
        error(&Failure { outcome, secret, provider: "openai".into(), back })
    }

    fn status(status: u16, body: &str) -> Outcome {
        let status = StatusCode::from_u16(status).expect("a status");
        Outcome::Status { status, error: Box::new(provider_error::parse(body.as_bytes())), delay: None }
    }

    #[test]
    fn statuses_become_the_clients() {
        let quota = r#"{"error":{"message":"x","code":"insufficient_quota"}}"#;
        let inside = |body: &str| Outcome::ErrorInside(Box::new(provider_error::parse(body.as_bytes())));
        for (outcome, expected, code) in [
            (status(401, ""), 502, "provider_auth"),
            (status(402, ""), 503, "provider_quota"),
            (status(403, ""), 502, "provider_auth"),
            (status(404, ""), 502, "provider_not_found"),
            (status(429, ""), 429, "rate_limit_exceeded"),
            (status(429, quota), 503, "provider_quota"),
            (status(503, ""), 502, "provider_error"),
            (status(529, ""), 502, "provider_error"),
            (status(301, ""), 502, "provider_error"),
            (inside(r#"{"error":{"message":"busy"}}"#), 502, "provider_error"),
            (Outcome::Timeout, 504, "provider_timeout"),
            (Outcome::Send(SendError::NoBackend), 503, "no_backend"),
            (Outcome::NoSecret(NoSecret::Missing, "h".into()), 503, "no_secret"),
        ] {
            let name = format!("{outcome:?}");
            for (back, retry) in
                [(Some(BACK), Retry::After(BACK)), (Some(MAX_RETRY_AFTER * 2), Retry::Never), (None, Retry::Never)]
            {
                let error = check(outcome.clone(), back);
                let told = (error.kind.status().as_u16(), error.kind.code(), error.retry);
                assert_eq!(told, (expected, code, Some(retry)), "{name}");
            }
        }
    }

    #[test]
    fn a_rejection_is_the_clients_own() {
        let inside = Outcome::ErrorInside(Box::new(provider_error::parse(br#"{"error":{"message":"x","code":400}}"#)));
        for (outcome, expected, code) in [
            (status(400, ""), 400, "provider_rejected"),
            (status(422, ""), 422, "provider_rejected"),
            (status(413, ""), 413, "request_too_large"),
            (inside, 400, "provider_rejected"),
        ] {
            let name = format!("{outcome:?}");
            let error = check(outcome, Some(BACK));
            let told = (error.kind.status().as_u16(), error.kind.code(), error.retry);
            assert_eq!(told, (expected, code, None), "{name}");
        }
    }

    #[test]
    fn a_providers_reason_is_masked() {
        let body = r#"{"error":{"message":"bad field for key supersecretkey12345","param":"temperature"}}"#;
        let error = check(status(400, body), None);
        assert!(error.message.ends_with("bad field for key [masked]"), "{}", error.message);
        assert_eq!(error.param.as_deref(), Some("temperature"));
        let silent = check(status(401, r#"{"error":{"message":"Incorrect API key: supersec**2345"}}"#), None);
        assert!(!silent.message.contains("supersec"), "{}", silent.message);
    }
}
