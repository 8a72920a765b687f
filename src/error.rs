//! What a client is told when its request is not served: one error type, one place that maps it to HTTP.
//!
//! The body is the envelope of the client's API: OpenAI's (`{"error":{message,type,param,code}}`), or Anthropic's
//! (`{"type":"error","error":{type,message},request_id}`). Whose fault it is shows in the status: the client's 4xx, the gateway's and the providers' 5xx. A provider's own 401, 402, 403 or
//! 404 is never the client's, since only the operator can mend it (docs/contract.md, HTTP).

mod messages;

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use self::messages::Told;
use crate::wire::ask::place::RequestFault;
use crate::wire::door::Door;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub kind: Kind,
    /// For people; holds no secret and no unmasked provider text.
    pub message: String,
    /// The request field at fault, as a JSON path below the body.
    pub param: Option<String>,
    /// What the client's SDK should do next; nothing where the status says it.
    pub retry: Option<Retry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    After(Duration),
    Never,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    InvalidJson,
    InvalidRequest,
    /// The provider would have to hold the conversation.
    HeldConversation,
    /// A routing header's value.
    InvalidHeader,
    /// No candidate of any tier can carry the request.
    NoCapableCandidate(Incapacity),
    InvalidKey,
    TierNotAllowed,
    PinNotAllowed,
    /// Rules leave no candidate.
    NoAllowedCandidate,
    UnknownPath,
    UnknownModel,
    /// The methods that the path takes.
    MethodNotAllowed(&'static str),
    BodyTooLarge,
    /// A body that is no JSON by its own headers.
    UnsupportedContent,
    /// A body in a content coding that is not read.
    UnsupportedCoding,
    /// The client's body broke off.
    BodyIncomplete,
    /// The client's body came too slowly.
    BodyTimeout,
    /// The provider refused the request itself, with this status.
    Rejected(RejectedAs),
    RateLimited,
    ProviderAuth,
    ProviderNotFound,
    ProviderQuota,
    ProviderError,
    /// The provider has more to do than it can.
    ProviderOverloaded,
    ProviderTimeout,
    NoSecret,
    NoBackend,
    DialectUnavailable,
    AuthUnavailable,
    /// There is no policy, nor a good copy of an earlier one.
    PolicyUnavailable,
    /// The answer broke after it had begun.
    StreamBroken(BrokenBy),
    StreamTimeLimit,
    Internal,
}

/// What broke an answer that had begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenBy {
    /// The provider, for whatever reason.
    Provider,
    Overload,
    RateLimit,
    /// Nothing came any more.
    Silence,
}

/// What no candidate can carry, where it is one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incapacity {
    /// So long a conversation.
    Context,
    Images,
    Files,
    /// An answer that follows a schema.
    Schema,
    Other,
}

/// The statuses with which a provider rejects what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedAs {
    BadRequest,
    ContextLength,
    TooLarge,
    ContentPolicy,
    Unprocessable,
}

/// The three parts of an error that follow from its kind.
struct Shape {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
}

const INVALID_REQUEST: &str = "invalid_request_error";
const SERVER: &str = "server_error";

impl Kind {
    fn shape(self) -> Shape {
        let (status, kind, code) = match self {
            Kind::InvalidJson => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "invalid_json"),
            Kind::InvalidRequest => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "invalid_value"),
            Kind::HeldConversation => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "held_conversation"),
            Kind::InvalidHeader => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "invalid_header"),
            Kind::NoCapableCandidate(_) => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "no_capable_candidate"),
            Kind::InvalidKey => (StatusCode::UNAUTHORIZED, "authentication_error", "invalid_api_key"),
            Kind::TierNotAllowed => (StatusCode::FORBIDDEN, "permission_error", "tier_not_allowed"),
            Kind::PinNotAllowed => (StatusCode::FORBIDDEN, "permission_error", "pin_not_allowed"),
            Kind::NoAllowedCandidate => (StatusCode::FORBIDDEN, "permission_error", "no_allowed_candidate"),
            Kind::UnknownPath => (StatusCode::NOT_FOUND, INVALID_REQUEST, "unknown_path"),
            Kind::UnknownModel => (StatusCode::NOT_FOUND, INVALID_REQUEST, "model_not_found"),
            Kind::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, "method_not_allowed"),
            Kind::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "body_too_large"),
            Kind::UnsupportedContent | Kind::UnsupportedCoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, "unsupported_content")
            }
            Kind::BodyIncomplete => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "body_incomplete"),
            Kind::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, INVALID_REQUEST, "body_timeout"),
            Kind::Rejected(RejectedAs::BadRequest) => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "provider_rejected"),
            Kind::Rejected(RejectedAs::ContextLength) => {
                (StatusCode::BAD_REQUEST, INVALID_REQUEST, "context_length_exceeded")
            }
            Kind::Rejected(RejectedAs::ContentPolicy) => {
                (StatusCode::BAD_REQUEST, INVALID_REQUEST, "content_policy_violation")
            }
            Kind::Rejected(RejectedAs::TooLarge) => {
                (StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "request_too_large")
            }
            Kind::Rejected(RejectedAs::Unprocessable) => {
                (StatusCode::UNPROCESSABLE_ENTITY, INVALID_REQUEST, "provider_rejected")
            }
            Kind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded"),
            Kind::ProviderAuth => (StatusCode::BAD_GATEWAY, SERVER, "provider_auth"),
            Kind::ProviderNotFound => (StatusCode::BAD_GATEWAY, SERVER, "provider_not_found"),
            Kind::ProviderQuota => (StatusCode::SERVICE_UNAVAILABLE, SERVER, "provider_quota"),
            Kind::ProviderError | Kind::ProviderOverloaded => (StatusCode::BAD_GATEWAY, SERVER, "provider_error"),
            Kind::ProviderTimeout => (StatusCode::GATEWAY_TIMEOUT, SERVER, "provider_timeout"),
            Kind::NoSecret => (StatusCode::SERVICE_UNAVAILABLE, SERVER, "no_secret"),
            Kind::NoBackend => (StatusCode::SERVICE_UNAVAILABLE, SERVER, "no_backend"),
            Kind::DialectUnavailable => (StatusCode::SERVICE_UNAVAILABLE, SERVER, "dialect_unavailable"),
            Kind::AuthUnavailable => (StatusCode::SERVICE_UNAVAILABLE, SERVER, "auth_unavailable"),
            Kind::PolicyUnavailable => (StatusCode::SERVICE_UNAVAILABLE, SERVER, "policy_unavailable"),
            Kind::StreamBroken(_) => (StatusCode::BAD_GATEWAY, SERVER, "stream_broken"),
            Kind::StreamTimeLimit => (StatusCode::GATEWAY_TIMEOUT, SERVER, "stream_time_limit"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, SERVER, "internal_error"),
        };
        Shape { status, kind, code }
    }

    pub fn status(self) -> StatusCode {
        self.shape().status
    }

    /// The stable name, OpenAI's `code`.
    pub fn code(self) -> &'static str {
        self.shape().code
    }
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, retry: None }
    }

    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// The status of the answer to a client that speaks this API.
    pub fn status(&self, door: Door) -> StatusCode {
        match door {
            Door::Chat => self.kind.status(),
            Door::Messages => Told::of(self).status,
        }
    }

    /// What the client's SDK should do next; nothing where the status says it.
    pub fn retry(&self, door: Door) -> Option<Retry> {
        match door {
            Door::Chat => self.retry,
            Door::Messages => Told::of(self).retry,
        }
    }

    /// The body of the answer in the envelope of the client's API.
    pub fn body(&self, door: Door, request_id: &str) -> Vec<u8> {
        match door {
            Door::Chat => self.openai(),
            Door::Messages => Told::of(self).body(request_id),
        }
    }

    /// The event that ends a stream which is not whole.
    pub fn event(&self, door: Door, request_id: &str) -> Vec<u8> {
        let mut event = match door {
            Door::Chat => Vec::new(),
            // Clients of this API look for an event's name, and take a stream that only ends for whole.
            Door::Messages => b"event: error\n".to_vec(),
        };
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(&self.body(door, request_id));
        event.extend_from_slice(b"\n\n");
        event
    }

    /// OpenAI's envelope.
    fn openai(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: Fields<'a>,
        }
        #[derive(Serialize)]
        struct Fields<'a> {
            message: &'a str,
            r#type: &'a str,
            param: Option<&'a str>,
            code: &'a str,
        }
        let shape = self.kind.shape();
        let fields =
            Fields { message: &self.message, r#type: shape.kind, param: self.param.as_deref(), code: shape.code };
        serde_json::to_vec(&Envelope { error: fields }).expect("strings should serialise")
    }
}

impl From<RequestFault> for Error {
    fn from(RequestFault { place, message }: RequestFault) -> Self {
        Error::new(Kind::InvalidRequest, format!("`{place}` {message}.")).with_param(place)
    }
}
