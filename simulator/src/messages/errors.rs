//! Errors in the form of the Messages API, and in the other forms that a script asks for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use serde_json::{Value, json};

use super::betas::NO_THREADS;
use super::encode;
use crate::foreign;
use crate::reply::{Asked, Refusal, Reply};
use crate::script::{ErrorBody, KEY};
use crate::trouble_words;

pub fn encode_error(asked: &Asked<'_>, refusal: &Refusal) -> Reply {
    Reply::json(asked.profile, refusal.status, encode::to_bytes(&envelope(asked, refusal)))
}

/// An error body where the status promises an answer.
pub fn error_inside(asked: &Asked<'_>) -> Reply {
    let refusal = Refusal::invalid("Overloaded").with_status(529);
    Reply { status: 200, ..encode_error(asked, &refusal) }
}

pub fn scripted_error(asked: &Asked<'_>, given: Option<u16>, body: &ErrorBody) -> Reply {
    let status = given.unwrap_or_else(|| body.usual_status());
    let message = match status {
        529 => "Overloaded".to_owned(),
        413 => "Request exceeds the maximum size".to_owned(),
        status => format!("a scripted error with status {status}"),
    };
    let refusal = Refusal::invalid(message).with_status(status);
    let with_message = |message: &str| encode_error(asked, &Refusal { message: message.to_owned(), ..refusal.clone() });
    match body {
        ErrorBody::Envelope => encode_error(asked, &refusal),
        ErrorBody::Text(text) => {
            Reply::json(asked.profile, status, Bytes::from(text.replace(KEY, asked.request.key()).into_bytes()))
        }
        ErrorBody::Trouble(trouble) => {
            let told = trouble_words::in_messages(*trouble, &asked.request_id());
            Reply::json(asked.profile, given.unwrap_or(told.status), encode::to_bytes(&told.body))
        }
        ErrorBody::Quota => with_message("This account has reached its monthly spend limit."),
        ErrorBody::Html => {
            let page = foreign::page(status);
            Reply { content_type: "text/html", ..Reply::json(asked.profile, status, Bytes::from(page.into_bytes())) }
        }
        ErrorBody::Array => Reply::json(asked.profile, status, encode::to_bytes(&json!([envelope(asked, &refusal)]))),
        ErrorBody::Flat => Reply::json(asked.profile, status, encode::to_bytes(&foreign::flat(&refusal))),
        ErrorBody::ListMessage => {
            let mut error = envelope(asked, &refusal);
            error["error"]["message"] = foreign::list_message(&refusal);
            Reply::json(asked.profile, status, encode::to_bytes(&error))
        }
        ErrorBody::ContextLength => with_message("prompt is too long: 1000001 tokens > 1000000 maximum"),
        ErrorBody::ContentPolicy => with_message("Output blocked by content filtering policy"),
        ErrorBody::LeakKey => {
            let key = asked.request.key();
            with_message(&format!("invalid x-api-key: {key} was revoked (`x-api-key: {key}`)"))
        }
        ErrorBody::RetryDelay(delay) => {
            Reply::json(asked.profile, status, encode::to_bytes(&foreign::retry_delay(&refusal, delay)))
        }
        ErrorBody::RateLimit(wait) => {
            let mut reply = encode_error(asked, &refusal);
            let reset = SystemTime::now() + *wait;
            for (name, value) in [("remaining", "0".to_owned()), ("reset", timestamp(reset))] {
                reply.headers.push((format!("anthropic-ratelimit-requests-{name}"), value));
            }
            reply
        }
    }
}

pub fn envelope(asked: &Asked<'_>, refusal: &Refusal) -> Value {
    let kind = match refusal.status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let mut error = json!({"type": kind, "message": refusal.message});
    if refusal.code == Some(NO_THREADS) {
        error["details"] = json!({"error_code": NO_THREADS, "unsupported": ["thread"]});
    }
    json!({"type": "error", "error": error, "request_id": asked.request_id()})
}

/// RFC 3339 in UTC, to the second, rounded up so that waiting until then is enough.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 1 March of the year 0 in eras of 400 years, where leap days come last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_391_999_001, "2026-11-23T00:00:00Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_millis(millis)), expected);
        }
    }
}
