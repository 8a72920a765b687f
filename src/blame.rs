//! What the client is told when no candidate served: the last failure in the client's terms.
//!
//! A provider's text passes only where the request itself was refused, masked and bounded; its authentication, quota and
//! not-found errors are the operator's business and become 5xx (design.md §4).

use crate::attempt::{Failure, Outcome};
use crate::dialect::NoSecret;
use crate::dialect::provider_error::ProviderError;
use crate::error::{Error, Kind, RejectedAs, Retry};
use crate::platform::SendError;
use crate::policy::Health;
use crate::secret::mask;

const MAX_REASON_BYTES: usize = 1_000;

/// The error for `failure`. A candidate that failed for a passing reason is expected back after the provider's own delay,
/// or the policy's cool-down.
pub fn error(failure: &Failure, health: &Health) -> Error {
    let provider = &failure.provider;
    let soon = Retry::After(health.cooldown);
    let failed = |kind: Kind, what: &str, retry: Retry| {
        let message = format!("No candidate could answer; the last one ({provider}) {what}.");
        Error::new(kind, message).with_retry(retry)
    };
    match &failure.outcome {
        Outcome::Status { status, error, retry_after } => {
            let after = retry_after.map_or(soon, Retry::After);
            match status.as_u16() {
                400 if error.is_context_length() => rejected(failure, error, RejectedAs::ContextLength),
                400 => rejected(failure, error, RejectedAs::BadRequest),
                413 => rejected(failure, error, RejectedAs::TooLarge),
                422 => rejected(failure, error, RejectedAs::Unprocessable),
                402 => failed(Kind::ProviderQuota, "has no quota left", Retry::Never),
                429 if error.is_quota() => failed(Kind::ProviderQuota, "has no quota left", Retry::Never),
                429 => failed(Kind::RateLimited, "is rate limited", after),
                401 | 403 => failed(Kind::ProviderAuth, "refused the gateway's key", Retry::Never),
                404 => failed(Kind::ProviderNotFound, "does not know the model", Retry::Never),
                408 | 425 | 500..=599 => failed(Kind::ProviderError, &format!("answered {status}"), after),
                _ => failed(Kind::ProviderError, &format!("answered {status}"), Retry::Never),
            }
        }
        Outcome::ErrorInside(error) if error.is_context_length() => rejected(failure, error, RejectedAs::ContextLength),
        Outcome::ErrorInside(_) => failed(Kind::ProviderError, "answered with an error", soon),
        Outcome::Undecodable => failed(Kind::ProviderError, "sent an answer that cannot be read", soon),
        Outcome::Broken => failed(Kind::ProviderError, "broke off its answer", soon),
        Outcome::TooLarge => failed(Kind::ProviderError, "sent more than the gateway accepts", Retry::Never),
        Outcome::Timeout | Outcome::Send(SendError::Timeout) => {
            failed(Kind::ProviderTimeout, "did not answer in time", soon)
        }
        Outcome::Send(SendError::NoBackend) => {
            let what = "has no backend in this service, which may not create one: see `fastly backend create` in the \
                        README";
            failed(Kind::NoBackend, what, Retry::Never)
        }
        Outcome::Send(
            error @ (SendError::Dns | SendError::Connect | SendError::Tls | SendError::Reset | SendError::Other),
        ) => failed(Kind::ProviderError, &format!("could not be asked: {error}"), soon),
        Outcome::NoSecret(NoSecret::Missing, entry) => {
            failed(Kind::NoSecret, &format!("has no key: the Secret Store lacks the entry `{entry}`"), Retry::Never)
        }
        Outcome::NoSecret(NoSecret::StoreUnreachable, _) => {
            failed(Kind::NoSecret, "has no key: the Secret Store cannot be reached", soon)
        }
        Outcome::DialectUnavailable(dialect) => {
            let what = format!("speaks `{}`, which this version cannot translate", dialect.as_str());
            failed(Kind::DialectUnavailable, &what, Retry::Never)
        }
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
    use crate::secret::Secret;

    const COOLDOWN: Duration = Duration::from_secs(5);

    fn check(outcome: Outcome) -> Error {
        let health = Health { cooldown: COOLDOWN, max_cooldown: COOLDOWN, auth_cooldown: COOLDOWN };
        let secret = Some(Secret::new("supersecretkey12345".to_owned()));
        error(&Failure { outcome, secret, provider: "openai".into() }, &health)
    }

    fn status(status: u16, body: &str, retry_after: Option<u64>) -> Outcome {
        Outcome::Status {
            status: StatusCode::from_u16(status).expect("a status"),
            error: provider_error::parse(body.as_bytes()),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn statuses_become_the_clients() {
        let quota = r#"{"error":{"message":"x","code":"insufficient_quota"}}"#;
        let after = |seconds| Some(Retry::After(Duration::from_secs(seconds)));
        for (outcome, expected, code, retry) in [
            (status(400, "", None), 400, "provider_rejected", None),
            (status(422, "", None), 422, "provider_rejected", None),
            (status(413, "", None), 413, "request_too_large", None),
            (status(401, "", None), 502, "provider_auth", Some(Retry::Never)),
            (status(402, "", None), 503, "provider_quota", Some(Retry::Never)),
            (status(403, "", None), 502, "provider_auth", Some(Retry::Never)),
            (status(404, "", None), 502, "provider_not_found", Some(Retry::Never)),
            (status(429, "", Some(7)), 429, "rate_limit_exceeded", after(7)),
            (status(429, quota, Some(7)), 503, "provider_quota", Some(Retry::Never)),
            (status(503, "", None), 502, "provider_error", after(5)),
            (status(529, "", None), 502, "provider_error", after(5)),
            (status(301, "", None), 502, "provider_error", Some(Retry::Never)),
            (Outcome::Timeout, 504, "provider_timeout", after(5)),
            (Outcome::Send(SendError::NoBackend), 503, "no_backend", Some(Retry::Never)),
            (Outcome::NoSecret(NoSecret::Missing, "h".into()), 503, "no_secret", Some(Retry::Never)),
        ] {
            let name = format!("{outcome:?}");
            let error = check(outcome);
            assert_eq!(
                (error.kind.status().as_u16(), error.kind.code(), error.retry),
                (expected, code, retry),
                "{name}"
            );
        }
    }

    #[test]
    fn a_providers_reason_is_masked() {
        let body = r#"{"error":{"message":"bad field for key supersecretkey12345","param":"temperature"}}"#;
        let error = check(status(400, body, None));
        assert!(error.message.ends_with("bad field for key [masked]"), "{}", error.message);
        assert_eq!(error.param.as_deref(), Some("temperature"));
        let silent = check(status(401, r#"{"error":{"message":"Incorrect API key: supersec**2345"}}"#, None));
        assert!(!silent.message.contains("supersec"), "{}", silent.message);
    }
}
