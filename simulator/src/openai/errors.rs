//! Errors in the provider's shape, and in the other shapes that a script asks for.

use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};

use super::encode;
use crate::foreign;
use crate::profile::{Profile, Quirk};
use crate::reply::{Asked, Refusal, Reply};
use crate::script::{ErrorBody, KEY};
use crate::trouble_words;

pub fn encode_error(profile: &Profile, refusal: &Refusal) -> Reply {
    Reply::json(profile, refusal.status, encode::to_bytes(&error_value(profile, refusal)))
}

/// An error body where the status promises an answer.
pub fn error_inside(profile: &Profile) -> Reply {
    let refusal = Refusal::invalid("the model behind this provider failed").with_status(502);
    Reply { status: 200, ..encode_error(profile, &refusal) }
}

pub fn scripted_error(asked: &Asked<'_>, given: Option<u16>, body: &ErrorBody) -> Reply {
    let (profile, key) = (asked.profile, asked.request.key());
    let status = given.unwrap_or_else(|| body.usual_status());
    let refusal = Refusal::invalid(format!("a scripted error with status {status}")).with_status(status);
    match body {
        ErrorBody::Envelope => encode_error(profile, &refusal),
        ErrorBody::Text(text) => Reply::json(profile, status, Bytes::from(text.replace(KEY, key).into_bytes())),
        ErrorBody::Trouble(trouble) => {
            let is_array = profile.has(Quirk::ArrayErrors);
            let told = if is_array { trouble_words::in_array(*trouble) } else { trouble_words::in_envelope(*trouble) };
            Reply::json(profile, given.unwrap_or(told.status), encode::to_bytes(&told.body))
        }
        ErrorBody::Quota => encode_error(
            profile,
            &Refusal { message: "the quota of this account is used up".to_owned(), ..refusal }
                .with_code("insufficient_quota"),
        ),
        ErrorBody::Html => Reply {
            content_type: "text/html",
            ..Reply::json(profile, status, Bytes::from(foreign::page(status).into_bytes()))
        },
        ErrorBody::Array => Reply::json(profile, status, encode::to_bytes(&foreign::array_error(&refusal))),
        ErrorBody::Flat => Reply::json(profile, status, encode::to_bytes(&foreign::flat(&refusal))),
        ErrorBody::ListMessage => {
            let mut error = envelope(&refusal);
            error["error"]["message"] = foreign::list_message(&refusal);
            Reply::json(profile, status, encode::to_bytes(&error))
        }
        ErrorBody::ContextLength => encode_error(
            profile,
            &Refusal { message: "the prompt is longer than the model's context".to_owned(), ..refusal }
                .with_code("context_length_exceeded")
                .with_param("messages"),
        ),
        ErrorBody::ContentPolicy => encode_error(
            profile,
            &Refusal { message: "the prompt is against the provider's content policy".to_owned(), ..refusal }
                .with_code("content_policy_violation"),
        ),
        ErrorBody::LeakKey => {
            let message = format!("the API key {key} was revoked; the request carried `authorization: Bearer {key}`");
            encode_error(profile, &Refusal { message, ..refusal })
        }
        ErrorBody::RetryDelay(delay) => {
            Reply::json(profile, status, encode::to_bytes(&foreign::retry_delay(&refusal, delay)))
        }
        ErrorBody::RateLimit(wait) => {
            let mut reply = encode_error(profile, &refusal);
            for (name, value) in [("remaining", "0".to_owned()), ("reset", reset(*wait))] {
                reply.headers.push((format!("x-ratelimit-{name}-requests"), value));
            }
            reply
        }
    }
}

/// A wait as OpenAI's rate-limit headers have it: `12ms`, `1s`, `1.5s`, `6m0s`.
fn reset(wait: Duration) -> String {
    let (seconds, millis) = (wait.as_secs(), wait.subsec_millis());
    match (seconds, millis) {
        (0, millis) => format!("{millis}ms"),
        (60.., _) => format!("{}m{}s", seconds / 60, Duration::new(seconds % 60, wait.subsec_nanos()).as_secs_f64()),
        _ => format!("{}s", wait.as_secs_f64()),
    }
}

pub fn error_value(profile: &Profile, refusal: &Refusal) -> Value {
    if profile.has(Quirk::ArrayErrors) { foreign::array_error(refusal) } else { envelope(refusal) }
}

fn envelope(refusal: &Refusal) -> Value {
    let (kind, usual_code) = match refusal.status {
        401 => ("authentication_error", Some("invalid_api_key")),
        402 => ("billing_error", None),
        403 => ("permission_error", None),
        429 if refusal.code == Some("insufficient_quota") => ("insufficient_quota", None),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        500.. => ("server_error", Some("server_error")),
        _ => ("invalid_request_error", None),
    };
    json!({"error": {
        "message": refusal.message,
        "type": kind,
        "param": refusal.param,
        "code": refusal.code.or(usual_code),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_written_as_openai_writes_them() {
        for (millis, expected) in [(12, "12ms"), (1000, "1s"), (1500, "1.5s"), (360_000, "6m0s"), (61_250, "1m1.25s")] {
            assert_eq!(reset(Duration::from_millis(millis)), expected);
        }
    }
}
