//! What the client is told when no candidate served: the last failure in the client's terms.
//!
//! A provider's text passes only where the request itself was refused, masked by its shape and bounded; its authentication,
//! quota and not-found errors are the operator's business and become 5xx. No key comes near this: what a
//! client is told does not depend on it.

use crate::attempt::Failure;
use crate::attempt::outcome::{ClientError, judge};
use crate::door::answer_headers::MAX_RETRY_AFTER;
use crate::error::{Error, Kind, RejectedAs, Retry};
use crate::mask::words;
use crate::policy::{OnRefusal, Policy};
use crate::upstream::error_words::ProviderError;
use crate::wire::door::Door;

/// The longest text of a provider that a client is shown, in bytes.
const MAX_REASON_BYTES: usize = 1_000;
/// What a client reads in place of a text that speaks of keys, or looks like one in pieces.
const WITHHELD: &str = "its words are not shown, since they may hold a part of a key";
/// What a client reads in place of such a text about a request that was too long: words that agents know.
const TOO_LONG: &str = "The prompt is too long: it exceeds the model's maximum context length.";

/// The error for `failure`. The client should come back if a candidate is expected back soon, whichever it is.
pub fn of(policy: &Policy, door: Door, failure: &Failure) -> Error {
    let provider = &failure.provider;
    let retry = match failure.back {
        Some(back) if back <= MAX_RETRY_AFTER => Retry::After(back),
        Some(_) | None => Retry::Never,
    };
    let failed = |kind: Kind, what: &str| {
        // It is not always the last one that says most, so the name stands with its own failure and claims no order.
        let message = format!("No candidate could answer; {provider} {what}.");
        Error::new(kind, message).with_retry(retry)
    };
    // What is told is the same whatever the tier says of refusals.
    match judge(&failure.outcome, OnRefusal::End).client_error {
        ClientError::Failed(kind, what) => failed(kind, &what),
        ClientError::Own(error) => error,
        ClientError::Refused { how, words } => refused(policy, Origin { door, provider }, how, &words),
    }
}

/// Who has refused a request, and in which API its client spoke.
struct Origin<'a> {
    door: Door,
    provider: &'a str,
}

/// The provider's own reason, since it is about what the client sent.
fn refused(policy: &Policy, origin: Origin<'_>, how: RejectedAs, error: &ProviderError) -> Error {
    let Origin { door, provider } = origin;
    let dialect = policy.providers.iter().find(|row| row.name == provider).map(|row| row.dialect);
    let is_model = |word: &str| policy.models.iter().any(|model| model.name == word || model.id == word);
    let shown = |text: &String| words::shown(text, is_model, MAX_REASON_BYTES);
    // Agents match on the words in which providers say it, so nothing is put before them: of a context always, of all else where
    // they know this API.
    let is_relayed = how == RejectedAs::ContextLength || (door == Door::Messages && dialect == Some(door.dialect()));
    let message = match (&error.message, how == RejectedAs::ContextLength) {
        (Some(text), false) if is_relayed => shown(text).unwrap_or_else(|| WITHHELD.to_owned()),
        (Some(text), true) => shown(text).unwrap_or_else(|| TOO_LONG.to_owned()),
        (None, true) => TOO_LONG.to_owned(),
        (Some(text), false) => {
            let reason = shown(text);
            let reason = reason.as_deref().unwrap_or(WITHHELD);
            format!("The provider ({provider}) rejected the request: {reason}")
        }
        (None, false) => format!("The provider ({provider}) rejected the request: it gave no reason"),
    };
    let rejected = Error::new(Kind::Rejected(how), message);
    match error.param.as_ref().and_then(shown) {
        Some(param) => rejected.with_param(param),
        None => rejected,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::attempt::outcome::Outcome;
    use crate::platform::SendError;
    use crate::upstream::error_words;
    use crate::upstream::keyring::NoSecret;

    const WORDS: &str = r#"{"error":{"message":"x"}}"#;
    const BACK: Duration = Duration::from_secs(7);

    fn policy() -> Policy {
        crate::policy::parse::parse(include_bytes!("../../policy/default.json"))
            .expect("the shipped policy should parse")
    }

    fn check(outcome: Outcome, back: Option<Duration>) -> Error {
        of(&policy(), Door::Chat, &Failure { outcome, provider: "openai".into(), back })
    }

    fn status(status: u16, body: &str) -> Outcome {
        let status = StatusCode::from_u16(status).expect("a status");
        Outcome::Status { status, error: Box::new(error_words::parse(body.as_bytes())), delay: None }
    }

    #[test]
    fn statuses_become_the_clients() {
        let quota = r#"{"error":{"message":"x","code":"insufficient_quota"}}"#;
        let inside = |body: &str| Outcome::ErrorInside(Box::new(error_words::parse(body.as_bytes())));
        for (outcome, expected, code) in [
            (status(401, ""), 502, "provider_auth"),
            (status(402, ""), 503, "provider_quota"),
            (status(403, WORDS), 502, "provider_auth"),
            (status(403, "<html>"), 502, "provider_error"),
            (status(404, WORDS), 502, "provider_not_found"),
            (status(404, ""), 502, "provider_error"),
            (status(409, WORDS), 502, "provider_error"),
            (status(429, ""), 429, "rate_limit_exceeded"),
            (status(429, quota), 503, "provider_quota"),
            (status(503, ""), 502, "provider_error"),
            (status(529, ""), 502, "provider_error"),
            (status(301, ""), 502, "provider_error"),
            (inside(r#"{"error":{"message":"busy"}}"#), 502, "provider_error"),
            (Outcome::Timeout, 504, "provider_timeout"),
            (Outcome::Send(SendError::NoBackend), 503, "no_backend"),
            (Outcome::NoSecret(NoSecret::Missing), 503, "no_secret"),
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
        let inside = Outcome::ErrorInside(Box::new(error_words::parse(br#"{"error":{"message":"x","code":400}}"#)));
        for (outcome, expected, code) in [
            (status(400, ""), 400, "provider_rejected"),
            (status(422, ""), 422, "provider_rejected"),
            (status(413, ""), 413, "request_too_large"),
            (status(400, r#"{"error":{"code":"content_policy_violation"}}"#), 400, "content_policy_violation"),
            (inside, 400, "provider_rejected"),
        ] {
            let name = format!("{outcome:?}");
            let error = check(outcome, Some(BACK));
            let told = (error.kind.status().as_u16(), error.kind.code(), error.retry);
            assert_eq!(told, (expected, code, None), "{name}");
        }
    }

    #[test]
    fn a_providers_reason_is_masked_by_its_shape() {
        let rejected = |message: &str, param: &str| {
            let body = serde_json::json!({"error": {"message": message, "param": param}}).to_string();
            let error = check(status(400, &body), None);
            (error.message, error.param)
        };
        let (message, param) = rejected("bad field for super5ecretkey12345", "temperature");
        assert_eq!(message, "The provider (openai) rejected the request: bad field for [masked]");
        assert_eq!(param.as_deref(), Some("temperature"));
        let (message, param) = rejected("Incorrect API key: supersec**2345", "headers.authorization");
        assert!(message.ends_with(WITHHELD), "{message}");
        assert_eq!(param, None);
        for model in &policy().models {
            let text = format!("The model `{}` ({}) does not take that.", model.name, model.id);
            assert!(rejected(&text, "").0.ends_with(&text), "{text}");
        }
    }

    #[test]
    fn what_agents_look_for_comes_first() {
        for (status_code, body, expected) in [
            (
                400,
                r#"{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                "prompt is too long: 210000 tokens > 200000 maximum",
            ),
            (413, r#"{"error":{"message":"prompt is too long: a1b2c3d4"}}"#, "prompt is too long: [masked]"),
            (400, r#"{"error":{"message":"the context window of this API key"}}"#, TOO_LONG),
            (422, r#"{"error":{"code":"context_length_exceeded"}}"#, TOO_LONG),
        ] {
            assert_eq!(check(status(status_code, body), None).message, expected);
        }
    }
}
