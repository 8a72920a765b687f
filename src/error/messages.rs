//! Errors as clients of Anthropic's Messages API act on them (docs/providers.md, What agents do with errors).
//!
//! Claude Code compacts a conversation, strips what a model cannot take, or stops, by status, type and words: a 413 ends it where
//! a 400 in the right words makes it go on, and a 401 without `x-should-retry` is asked again for minutes.

use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;

use super::{Error, INVALID_REQUEST, Incapacity, Kind, RejectedAs, Retry};

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

impl<'e> Told<'e> {
    pub fn of(error: &'e Error) -> Self {
        let Error { kind, message, retry, .. } = error;
        let told = |status, kind, message| Told { status, kind, message, details: None, retry: *retry };
        let refused = |message| told(StatusCode::BAD_REQUEST, INVALID_REQUEST, message);
        match kind {
            Kind::Rejected(RejectedAs::ContextLength | RejectedAs::TooLarge)
            | Kind::NoCapableCandidate(Incapacity::Context)
            | Kind::BodyTooLarge => refused(outgrown(message)),
            Kind::NoCapableCandidate(incapacity) => refused(rejected_class(*incapacity, message)),
            Kind::Rejected(RejectedAs::BadRequest | RejectedAs::Unprocessable) => refused(message.into()),
            Kind::Rejected(RejectedAs::ContentPolicy) | Kind::NoAllowedCandidate => {
                told(StatusCode::BAD_REQUEST, "policy_blocked", message.into())
            }
            Kind::HeldConversation => Told { details: Some(NO_THREADS), ..refused(message.into()) },
            Kind::InvalidKey => {
                Told { retry: Some(Retry::Never), ..told(kind.status(), kind_of(*kind), message.into()) }
            }
            Kind::ProviderQuota => {
                Told { retry: Some(Retry::Never), ..told(kind.status(), "billing_error", message.into()) }
            }
            _ => told(kind.status(), kind_of(*kind), message.into()),
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

/// Anthropic's `type` for a status.
fn kind_of(kind: Kind) -> &'static str {
    match kind.status() {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_client_error() => INVALID_REQUEST,
        _ => "api_error",
    }
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
    fn an_agent_is_told_what_it_can_act_on() {
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
            (Kind::NoCapableCandidate(Incapacity::Other), "x", 400, INVALID_REQUEST, "x"),
            (Kind::Rejected(RejectedAs::Unprocessable), "x", 400, INVALID_REQUEST, "x"),
            (Kind::Rejected(RejectedAs::ContentPolicy), "x", 400, "policy_blocked", "x"),
            (Kind::NoAllowedCandidate, "x", 400, "policy_blocked", "x"),
            (Kind::TierNotAllowed, "x", 403, "permission_error", "x"),
            (Kind::InvalidKey, "x", 401, "authentication_error", "x"),
            (Kind::UnknownModel, "x", 404, "not_found_error", "x"),
            (Kind::RateLimited, "x", 429, "rate_limit_error", "x"),
            (Kind::ProviderQuota, "x", 503, "billing_error", "x"),
            (Kind::ProviderTimeout, "x", 504, "timeout_error", "x"),
            (Kind::StreamBroken, "x", 502, "api_error", "x"),
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
