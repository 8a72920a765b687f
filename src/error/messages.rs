//! Errors as clients of Anthropic's Messages API act on them (docs/providers.md, What agents do with errors).
//!
//! Claude Code compacts a conversation, strips what a model cannot take, or stops, by status, type and words: a 413 ends it where
//! a 400 in the right words makes it go on, and a 401 without `x-should-retry` is asked again for minutes.

use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;

use super::{BrokenBy, Error, INVALID_REQUEST, Incapacity, Kind, RejectedAs, Retry};

/// What such a client is told.
pub struct Told<'e> {
    pub status: StatusCode,
    /// Anthropic's `type` of the error.
    kind: &'static str,
    message: Cow<'e, str>,
    details: Option<Details>,
    pub retry: Option<Retry>,
}

/// What an SDK reads beside the type.
#[derive(Clone, Copy, Debug, Serialize)]
struct Details {
    error_code: &'static str,
    unsupported: [&'static str; 1],
}

/// With this, Anthropic's tool runners send the whole conversation each time instead of asking a server to hold it.
const NO_THREADS: Details = Details { error_code: "thread_unsupported_request", unsupported: ["thread"] };

/// Words by which these clients know that a conversation has outgrown its model.
const OUTGROWN: [&str; 5] = [
    "prompt is too long",
    "exceed context limit",
    "maximum context length",
    "context_length_exceeded",
    "exceeds the context window",
];

const RATE_LIMIT: &str = "rate_limit_error";
const TIMEOUT: &str = "timeout_error";

impl<'e> Told<'e> {
    pub fn of(error: &'e Error) -> Self {
        let Error { kind, message, retry, .. } = error;
        let told = |status, kind, message| Told { status, kind, message, details: None, retry: *retry };
        let refused = |message| told(StatusCode::BAD_REQUEST, INVALID_REQUEST, message);
        // Under the status that other clients get, too.
        let own = |name| told(kind.status(), name, message.into());
        let final_error = |name| Told { retry: Some(Retry::Never), ..own(name) };
        match kind {
            Kind::InvalidJson
            | Kind::InvalidRequest
            | Kind::InvalidHeader
            | Kind::MethodNotAllowed(_)
            | Kind::UnsupportedContent
            | Kind::UnsupportedCoding
            | Kind::BodyIncomplete => own(INVALID_REQUEST),
            Kind::HeldConversation => Told { details: Some(NO_THREADS), ..refused(message.into()) },
            // Anthropic's 413 and `request_too_large` would end an agent that can make its conversation shorter.
            Kind::Rejected(RejectedAs::ContextLength | RejectedAs::TooLarge)
            | Kind::NoCapableCandidate(Incapacity::Context)
            | Kind::BodyTooLarge => refused(outgrown(message)),
            Kind::NoCapableCandidate(incapacity) => refused(rejected_class(*incapacity, message)),
            Kind::Rejected(RejectedAs::BadRequest | RejectedAs::Unprocessable) => refused(message.into()),
            Kind::Rejected(RejectedAs::ContentPolicy) | Kind::NoAllowedCandidate => {
                told(StatusCode::BAD_REQUEST, "policy_blocked", message.into())
            }
            Kind::InvalidKey => final_error("authentication_error"),
            Kind::TierNotAllowed | Kind::PinNotAllowed => own("permission_error"),
            Kind::UnknownPath | Kind::UnknownModel => own("not_found_error"),
            Kind::RateLimited => own(RATE_LIMIT),
            Kind::ProviderQuota => final_error("billing_error"),
            Kind::BodyTimeout | Kind::ProviderTimeout | Kind::StreamTimeLimit => own(TIMEOUT),
            Kind::ProviderOverloaded | Kind::StreamBroken(BrokenBy::Overload) => {
                told(overloaded(), "overloaded_error", message.into())
            }
            Kind::StreamBroken(BrokenBy::RateLimit) => told(StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT, message.into()),
            Kind::StreamBroken(BrokenBy::Silence) => told(StatusCode::GATEWAY_TIMEOUT, TIMEOUT, message.into()),
            Kind::ProviderAuth
            | Kind::ProviderNotFound
            | Kind::ProviderError
            | Kind::NoSecret
            | Kind::NoBackend
            | Kind::DialectUnavailable
            | Kind::AuthUnavailable
            | Kind::PolicyUnavailable
            | Kind::StreamBroken(BrokenBy::Provider)
            | Kind::Internal => own("api_error"),
        }
    }

    /// Anthropic's envelope.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            r#type: &'a str,
            error: Fields<'a>,
            request_id: &'a str,
        }
        #[derive(Serialize)]
        struct Fields<'a> {
            r#type: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            details: Option<Details>,
        }
        let error = Fields { r#type: self.kind, message: &self.message, details: self.details };
        serde_json::to_vec(&Envelope { r#type: "error", error, request_id }).expect("strings should serialise")
    }
}

/// Anthropic's status for it.
fn overloaded() -> StatusCode {
    StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

fn outgrown(message: &str) -> Cow<'_, str> {
    match OUTGROWN.iter().any(|words| message.contains(words)) {
        true => message.into(),
        false => format!("prompt is too long: {message}").into(),
    }
}

/// The class of content that no candidate can carry, as the whole message: only so it is read as one.
fn rejected_class(incapacity: Incapacity, message: &str) -> Cow<'_, str> {
    match incapacity {
        Incapacity::Images => "capability_rejected: image_block".into(),
        Incapacity::Files => "capability_rejected: document_block".into(),
        Incapacity::Schema => "capability_rejected: structured_outputs_unsupported".into(),
        Incapacity::Context | Incapacity::Other => message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::door::Door;

    #[test]
    fn every_kind_is_told_as_an_agent_can_act_on_it() {
        for (kind, message, status, r#type, told) in [
            (
                Kind::Rejected(RejectedAs::ContextLength),
                "Too many tokens.",
                400,
                INVALID_REQUEST,
                "prompt is too long: Too many tokens.",
            ),
            (
                Kind::Rejected(RejectedAs::TooLarge),
                "prompt is too long: 3 > 2",
                400,
                INVALID_REQUEST,
                "prompt is too long: 3 > 2",
            ),
            (Kind::BodyTooLarge, "x", 400, INVALID_REQUEST, "prompt is too long: x"),
            (
                Kind::NoCapableCandidate(Incapacity::Images),
                "x",
                400,
                INVALID_REQUEST,
                "capability_rejected: image_block",
            ),
            (
                Kind::NoCapableCandidate(Incapacity::Files),
                "x",
                400,
                INVALID_REQUEST,
                "capability_rejected: document_block",
            ),
            (
                Kind::NoCapableCandidate(Incapacity::Schema),
                "x",
                400,
                INVALID_REQUEST,
                "capability_rejected: structured_outputs_unsupported",
            ),
            (Kind::NoCapableCandidate(Incapacity::Context), "x", 400, INVALID_REQUEST, "prompt is too long: x"),
            (Kind::NoCapableCandidate(Incapacity::Other), "x", 400, INVALID_REQUEST, "x"),
            (Kind::InvalidJson, "x", 400, INVALID_REQUEST, "x"),
            (Kind::InvalidRequest, "x", 400, INVALID_REQUEST, "x"),
            (Kind::InvalidHeader, "x", 400, INVALID_REQUEST, "x"),
            (Kind::BodyIncomplete, "x", 400, INVALID_REQUEST, "x"),
            (Kind::MethodNotAllowed("GET"), "x", 405, INVALID_REQUEST, "x"),
            (Kind::UnsupportedContent, "x", 415, INVALID_REQUEST, "x"),
            (Kind::UnsupportedCoding, "x", 415, INVALID_REQUEST, "x"),
            (Kind::Rejected(RejectedAs::BadRequest), "x", 400, INVALID_REQUEST, "x"),
            (Kind::Rejected(RejectedAs::Unprocessable), "x", 400, INVALID_REQUEST, "x"),
            (Kind::Rejected(RejectedAs::ContentPolicy), "x", 400, "policy_blocked", "x"),
            (Kind::NoAllowedCandidate, "x", 400, "policy_blocked", "x"),
            (Kind::InvalidKey, "x", 401, "authentication_error", "x"),
            (Kind::TierNotAllowed, "x", 403, "permission_error", "x"),
            (Kind::PinNotAllowed, "x", 403, "permission_error", "x"),
            (Kind::UnknownPath, "x", 404, "not_found_error", "x"),
            (Kind::UnknownModel, "x", 404, "not_found_error", "x"),
            (Kind::BodyTimeout, "x", 408, "timeout_error", "x"),
            (Kind::RateLimited, "x", 429, "rate_limit_error", "x"),
            (Kind::Internal, "x", 500, "api_error", "x"),
            (Kind::ProviderAuth, "x", 502, "api_error", "x"),
            (Kind::ProviderNotFound, "x", 502, "api_error", "x"),
            (Kind::ProviderError, "x", 502, "api_error", "x"),
            (Kind::ProviderOverloaded, "x", 529, "overloaded_error", "x"),
            (Kind::ProviderQuota, "x", 503, "billing_error", "x"),
            (Kind::ProviderTimeout, "x", 504, "timeout_error", "x"),
            (Kind::NoSecret, "x", 503, "api_error", "x"),
            (Kind::NoBackend, "x", 503, "api_error", "x"),
            (Kind::DialectUnavailable, "x", 503, "api_error", "x"),
            (Kind::AuthUnavailable, "x", 503, "api_error", "x"),
            (Kind::PolicyUnavailable, "x", 503, "api_error", "x"),
            (Kind::StreamBroken(BrokenBy::Provider), "x", 502, "api_error", "x"),
            (Kind::StreamBroken(BrokenBy::Overload), "x", 529, "overloaded_error", "x"),
            (Kind::StreamBroken(BrokenBy::RateLimit), "x", 429, "rate_limit_error", "x"),
            (Kind::StreamBroken(BrokenBy::Silence), "x", 504, "timeout_error", "x"),
            (Kind::StreamTimeLimit, "x", 504, "timeout_error", "x"),
        ] {
            let error = Error::new(kind, message);
            assert_eq!(error.status(Door::Messages).as_u16(), status, "{kind:?}");
            let body: serde_json::Value = serde_json::from_slice(&error.body(Door::Messages, "id")).expect("JSON");
            let expected =
                serde_json::json!({"type": "error", "error": {"type": r#type, "message": told}, "request_id": "id"});
            assert_eq!(body, expected, "{kind:?}");
        }
        let never = |kind| Error::new(kind, "").retry(Door::Messages);
        assert_eq!((never(Kind::InvalidKey), never(Kind::ProviderQuota)), (Some(Retry::Never), Some(Retry::Never)));
    }

    #[test]
    fn a_client_that_wants_its_conversation_held_is_told_to_go_on_without() {
        let body = Error::new(Kind::HeldConversation, "x").body(Door::Messages, "id");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["error"]["details"]["error_code"], "thread_unsupported_request");
    }
}
