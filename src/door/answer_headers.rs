//! The headers of an answer: what was decided and tried, what a browser may read of it, and what an error asks for.
//!
//! Nothing is ever copied because it was not forbidden: the client gets what stands here and what
//! `upstream::headers` lets pass.

use std::fmt::Write;
use std::time::Duration;

use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};

use crate::error::{Error, Kind, Retry};
use crate::platform::ResponseHead;
use crate::record::Record;
use crate::wire::coding::READ_CODINGS;
use crate::wire::door::Door;

/// All headers that are the gateway's own, which browsers may read too. What is sent is tested against this list.
pub const SENT: [&str; 19] = [
    "x-route-id",
    "x-route-tier",
    "x-route-source",
    "x-route-reason",
    "x-route-confidence",
    "x-route-provider",
    "x-route-model",
    "x-route-attempts",
    "x-route-policy",
    "x-route-cache",
    "x-route-affinity",
    "x-route-dropped",
    "server-timing",
    "x-request-id",
    "request-id",
    "retry-after",
    "x-should-retry",
    "allow",
    "accept-encoding",
];

/// The head of an answer; `extra` are the headers that do not depend on what happened.
pub fn head(record: &Record, status: StatusCode, content_type: &'static str, extra: HeaderMap) -> ResponseHead {
    let mut headers = extra;
    headers.reserve(SENT.len());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    add_record(&mut headers, record);
    ResponseHead { status, headers }
}

/// Adds the headers that `record` fills (docs/headers.md); empty ones are left out.
fn add_record(headers: &mut HeaderMap, record: &Record) {
    let mut set = |name: &'static str, value: &str| {
        // Names and labels are checked where they enter, so a value that cannot stand in a header does not arise; if one
        // did, the answer is worth more than the header.
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(value)) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-route-id", &record.id);
    // Where SDKs look for it.
    set("x-request-id", &record.id);
    if record.door == Door::Messages {
        set("request-id", &record.id);
    }
    set("x-route-tier", record.tier.as_deref().unwrap_or_default());
    set("x-route-source", record.source.map_or("", |source| source.as_str()));
    let reasons: Vec<&str> = record.reasons.iter().map(|reason| reason.as_str()).collect();
    set("x-route-reason", &reasons.join(","));
    if let Some(confidence) = record.confidence {
        set("x-route-confidence", &format!("{confidence:.2}"));
    }
    if let Some(served) = &record.served {
        set("x-route-provider", &served.provider);
        set("x-route-model", &served.model);
    }
    // The head of a stream that has not begun says nothing of attempts, since there may be more.
    let is_early = record.stream && record.served.is_none() && record.status == StatusCode::OK.as_u16();
    let attempts = record.attempts.iter().filter(|_| !is_early);
    let attempts: Vec<String> = attempts.map(|attempt| format!("{}:{}", attempt.names, attempt.end)).collect();
    set("x-route-attempts", &attempts.join(","));
    set("x-route-policy", record.policy.as_deref().unwrap_or_default());
    set("x-route-dropped", &record.dropped.join(","));
    // What took how long would tell one refused key from another.
    if record.status != StatusCode::UNAUTHORIZED.as_u16() {
        set("server-timing", &server_timing(record));
    }
}

fn server_timing(record: &Record) -> String {
    let timings = &record.timings;
    let mut text = String::new();
    for (name, duration) in [
        ("auth", timings.auth),
        ("policy", timings.policy),
        ("decide", timings.decide),
        ("upstream", timings.upstream),
        ("total", timings.total),
    ] {
        if let Some(duration) = duration {
            let separator = if text.is_empty() { "" } else { ", " };
            let tenths = (duration.as_micros() + 50) / 100;
            write!(text, "{separator}{name};dur={}.{}", tenths / 10, tenths % 10)
                .expect("writing to a string should succeed");
        }
    }
    text
}

/// The longest `retry-after` that is sent: some SDKs ignore longer ones, or give up at them (docs/providers.md).
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The headers that belong to an error: what to do next, the methods of a 405, the codings of a 415 (RFC 9110, section
/// 15.5.16: without them it is about the content-type).
pub fn of_error(error: &Error, door: Door) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Kind::MethodNotAllowed(methods) = error.kind {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if error.kind == Kind::UnsupportedCoding {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(READ_CODINGS));
    }
    let should_retry = HeaderName::from_static("x-should-retry");
    match error.retry(door) {
        None => {}
        Some(Retry::Never) => {
            headers.insert(should_retry, HeaderValue::from_static("false"));
        }
        Some(Retry::After(delay)) => {
            let seconds = delay.min(MAX_RETRY_AFTER).as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(should_retry, HeaderValue::from_static("true"));
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{ModelId, parse};
    use crate::record::{AttemptEnd, AttemptRecord, DecisionSource, ModelNames, Reason};

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn headers_of(record: &Record) -> HeaderMap {
        let mut headers = HeaderMap::new();
        add_record(&mut headers, record);
        headers
    }

    #[test]
    fn a_record_shows_in_the_headers() {
        let names = |model: &str| ModelNames { provider: "openai".into(), model: model.into() };
        let policy =
            parse::parse(include_bytes!("../../policy/default.json")).expect("the shipped policy should parse");
        let attempt = |model: &str, status: StatusCode| AttemptRecord {
            names: names(model),
            end: AttemptEnd::Status(status),
            ..AttemptRecord::new(&policy, ModelId(0), Duration::ZERO)
        };
        let record = Record {
            id: "id1".into(),
            tier: Some("fast".into()),
            source: Some(DecisionSource::Classifier),
            reasons: vec![Reason::PolicyStale, Reason::NeedsVision],
            confidence: Some(0.934),
            attempts: vec![attempt("a", StatusCode::TOO_MANY_REQUESTS), attempt("b", StatusCode::OK)],
            served: Some(names("b")),
            timings: crate::record::Timings { decide: Some(Duration::from_micros(1250)), ..Default::default() },
            ..Record::default()
        };
        let headers = headers_of(&record);
        let expected = map(&[
            ("x-route-id", "id1"),
            ("x-request-id", "id1"),
            ("x-route-tier", "fast"),
            ("x-route-source", "classifier"),
            ("x-route-reason", "policy_stale,needs_vision"),
            ("x-route-confidence", "0.93"),
            ("x-route-provider", "openai"),
            ("x-route-model", "b"),
            ("x-route-attempts", "openai/a:429,openai/b:200"),
            ("server-timing", "decide;dur=1.3"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn browsers_may_read_all_that_is_sent() {
        let record = Record {
            policy: Some("label@1".into()),
            dropped: vec!["seed".into()],
            tier: Some("fast".into()),
            source: Some(DecisionSource::Default),
            reasons: vec![Reason::PolicyStale],
            confidence: Some(0.5),
            served: Some(ModelNames { provider: "p".into(), model: "m".into() }),
            attempts: Vec::new(),
            timings: crate::record::Timings { auth: Some(Duration::ZERO), ..Default::default() },
            id: "id1".into(),
            door: Door::Messages,
            ..Record::default()
        };
        let errors = [
            Error::new(Kind::RateLimited, "").with_retry(Retry::After(Duration::ZERO)),
            Error::new(Kind::MethodNotAllowed("GET"), ""),
            Error::new(Kind::UnsupportedCoding, ""),
        ];
        let of_errors = errors.iter().flat_map(|error| of_error(error, Door::Chat));
        let sent: HeaderMap = headers_of(&record).into_iter().chain(of_errors).filter_map(named).collect();
        let unlisted: Vec<_> = sent.keys().filter(|name| !SENT.contains(&name.as_str())).collect();
        assert!(unlisted.is_empty(), "{unlisted:?}");
        let unsent: Vec<_> = SENT.iter().filter(|name| !sent.contains_key(**name)).collect();
        // Attempts need a policy; the others are the contract's, and not sent yet.
        assert_eq!(unsent, [&"x-route-attempts", &"x-route-cache", &"x-route-affinity"]);
    }

    fn named((name, value): (Option<HeaderName>, HeaderValue)) -> Option<(HeaderName, HeaderValue)> {
        Some((name?, value))
    }

    #[test]
    fn retry_after_stays_sane() {
        for (retry, expected) in [
            (Retry::Never, map(&[("x-should-retry", "false")])),
            (Retry::After(Duration::ZERO), map(&[("x-should-retry", "true"), ("retry-after", "1")])),
            (Retry::After(Duration::from_millis(2100)), map(&[("x-should-retry", "true"), ("retry-after", "3")])),
            (Retry::After(Duration::from_secs(4000)), map(&[("x-should-retry", "true"), ("retry-after", "60")])),
        ] {
            let headers = of_error(&Error::new(Kind::RateLimited, "").with_retry(retry), Door::Chat);
            assert_eq!(headers, expected, "{retry:?}");
        }
    }
}
