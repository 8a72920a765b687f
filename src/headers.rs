//! Headers in and out: the names of the contract, and the allow-lists that keep everything else on its side.
//!
//! Nothing is ever copied because it was not forbidden: upstream gets what `dialect` builds and [`forward_upstream`]
//! adds, downstream gets what [`response_headers`] builds and [`forward_downstream`] adds (design.md §4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::delay;
use crate::error::{Error, Kind, Retry};
use crate::platform::ResponseHead;
use crate::record::Record;

pub const JSON: &str = "application/json";
pub const EVENT_STREAM: &str = "text/event-stream";

/// A client's routing headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteHeaders {
    pub tier: Option<String>,
    pub model: Option<String>,
    /// An affinity token; none is issued yet, so each one is foreign.
    pub affinity: Option<String>,
    pub timeout: Option<Duration>,
    pub tags: BTreeMap<String, String>,
}

/// The response headers that browsers may read.
pub const EXPOSED: &str = "x-route-id, x-route-tier, x-route-source, x-route-reason, x-route-confidence, \
    x-route-provider, x-route-model, x-route-attempts, x-route-policy, x-route-cache, x-route-affinity, x-route-dropped, \
    server-timing, x-request-id, retry-after, x-should-retry";

const MAX_TAGS: usize = 16;
const MAX_TAG_BYTES: usize = 128;
const MAX_SESSION_BYTES: usize = 256;
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 1..=120_000;

/// Reads the routing headers.
///
/// # Errors
/// [`Kind::InvalidHeader`] that names the header and its valid values. Names of tiers and models are checked later, by
/// the policy.
pub fn parse_route_headers(headers: &HeaderMap) -> Result<RouteHeaders, Error> {
    let cache = single(headers, "x-route-cache")?;
    if cache.is_some_and(|value| !matches!(value, "no-store" | "no-cache")) {
        return Err(invalid("x-route-cache", "one of: no-store, no-cache"));
    }
    if single(headers, "x-route-session")?.is_some_and(|session| session.len() > MAX_SESSION_BYTES) {
        return Err(invalid("x-route-session", "an id of 1 to 256 characters"));
    }
    let timeout = match single(headers, "x-route-timeout-ms")? {
        None => None,
        Some(value) => match value.parse() {
            Ok(milliseconds) if TIMEOUT_MS.contains(&milliseconds) => Some(Duration::from_millis(milliseconds)),
            _ => {
                return Err(invalid("x-route-timeout-ms", "a whole number of milliseconds from 1 to 120000"));
            }
        },
    };
    Ok(RouteHeaders {
        tier: single(headers, "x-route-tier")?.map(str::to_owned),
        model: single(headers, "x-route-model")?.map(str::to_owned),
        affinity: single(headers, "x-route-affinity")?.map(str::to_owned),
        timeout,
        tags: single(headers, "x-route-tags")?.map_or(Ok(BTreeMap::new()), parse_tags)?,
    })
}

fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    match first.to_str() {
        Ok(value) if values.next().is_none() && !value.trim().is_empty() => Ok(Some(value.trim())),
        _ => Err(invalid(name, "one value of visible ASCII characters")),
    }
}

fn parse_tags(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let expected = "up to 16 pairs such as team=search,job=nightly, names and values of up to 128 characters each";
    let tags: BTreeMap<String, String> = text
        .split(',')
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let fits = !name.is_empty() && name.len() <= MAX_TAG_BYTES && value.len() <= MAX_TAG_BYTES;
            fits.then(|| (name.to_owned(), value.to_owned()))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| invalid("x-route-tags", expected))?;
    if tags.len() > MAX_TAGS {
        return Err(invalid("x-route-tags", expected));
    }
    Ok(tags)
}

fn invalid(name: &str, expected: &str) -> Error {
    Error::new(Kind::InvalidHeader, format!("The header {name} must be {expected}."))
}

/// The length of the body, if the sender says it. Who has read that much need not wait for the end.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Copies what a provider may see of the client's headers.
pub fn forward_upstream(client: &HeaderMap, upstream: &mut HeaderMap) {
    let trace = HeaderName::from_static("traceparent");
    if let Some(value) = client.get(&trace) {
        upstream.insert(trace, value.clone());
    }
}

/// The names under which providers send their own name for a request.
const REQUEST_IDS: [&str; 4] = ["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"];
const MAX_REQUEST_ID_BYTES: usize = 128;

/// A provider's own name for a request. It is for the log only: a key may have the same shape.
pub fn request_id(provider: &HeaderMap) -> Option<String> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    REQUEST_IDS.iter().find_map(|name| {
        let id = provider.get(*name)?.to_str().ok()?;
        let fits = !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && id.bytes().all(is_id);
        fits.then(|| id.to_owned())
    })
}

/// The headers in which providers tell their rate limits: OpenAI's, and those of the Messages API.
const RATE_LIMITS: [&str; 18] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-limit",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
    "anthropic-ratelimit-input-tokens-limit",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
];
const MAX_LIMIT_BYTES: usize = 32;
/// More digits than any limit has.
const MAX_COUNT_DIGITS: usize = 12;

/// Copies what the client may see of a provider's headers: rate limits that are a count, a duration or a time.
pub fn forward_downstream(provider: &HeaderMap, downstream: &mut HeaderMap) {
    for name in RATE_LIMITS {
        let Some(value) = provider.get(name).filter(|value| value.to_str().is_ok_and(is_limit)) else { continue };
        downstream.insert(HeaderName::from_static(name), value.clone());
    }
}

fn is_limit(value: &str) -> bool {
    let is_count =
        value.len() <= MAX_COUNT_DIGITS && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = value.len() <= MAX_LIMIT_BYTES;
    is_count || (is_short && (delay::parse(value).is_some() || humantime::parse_rfc3339(value).is_ok()))
}

/// The head of an answer; `extra` are the headers that do not depend on what happened.
pub fn head(record: &Record, status: StatusCode, content_type: &'static str, extra: HeaderMap) -> ResponseHead {
    let mut headers = extra;
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response_headers(record, &mut headers);
    ResponseHead { status, headers }
}

/// The head of a stream that is sent `now`, with what is known by then.
pub fn stream_head(now: Duration, record: &mut Record, extra: &HeaderMap) -> ResponseHead {
    record.status = StatusCode::OK.as_u16();
    let head = head(record, StatusCode::OK, EVENT_STREAM, extra.clone());
    record.timings.first_byte = Some(now);
    head
}

/// The headers of design.md §4 that `record` fills; empty ones are left out.
pub fn response_headers(record: &Record, downstream: &mut HeaderMap) {
    let mut set = |name: &'static str, value: &str| {
        // Names and labels are checked where they enter, so a value that cannot stand in a header does not arise; if one
        // did, the answer is worth more than the header.
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(value)) {
            downstream.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-route-id", &record.id);
    // Where SDKs look for it.
    set("x-request-id", &record.id);
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
    let attempts: Vec<String> = record
        .attempts
        .iter()
        .map(|attempt| format!("{}/{}:{}", attempt.provider, attempt.model, attempt.outcome))
        .collect();
    set("x-route-attempts", &attempts.join(","));
    set("x-route-policy", record.policy.as_deref().unwrap_or_default());
    set("x-route-dropped", &record.dropped.join(","));
    set("server-timing", &server_timing(record));
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
            let milliseconds = duration.as_secs_f64() * 1e3;
            write!(text, "{separator}{name};dur={milliseconds:.1}").expect("writing to a string should succeed");
        }
    }
    text
}

/// The longest `retry-after` that is sent; SDKs ignore or balk at longer ones (api-facts.md §3).
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The headers that belong to an error: what to do next, and the methods of a 405.
pub fn error_headers(error: &Error, downstream: &mut HeaderMap) {
    if let Kind::MethodNotAllowed(methods) = error.kind {
        downstream.insert(http::header::ALLOW, HeaderValue::from_static(methods));
    }
    let should_retry = HeaderName::from_static("x-should-retry");
    match error.retry {
        None => {}
        Some(Retry::Never) => {
            downstream.insert(should_retry, HeaderValue::from_static("false"));
        }
        Some(Retry::After(delay)) => {
            let seconds = delay.min(MAX_RETRY_AFTER).as_secs_f64().ceil().max(1.0) as u64;
            downstream.insert(should_retry, HeaderValue::from_static("true"));
            downstream.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{AttemptRecord, Reason, Served, Source};

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn routing_headers_are_read_or_refused() {
        let headers = map(&[("x-route-tier", "fast"), ("x-route-timeout-ms", "2500"), ("x-route-tags", "a=1, b = 2")]);
        let parsed = parse_route_headers(&headers).expect("valid");
        assert_eq!(parsed.tier.as_deref(), Some("fast"));
        assert_eq!(parsed.timeout, Some(Duration::from_millis(2500)));
        assert_eq!(parsed.tags, BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]));
        for (name, value) in [
            ("x-route-tier", " "),
            ("x-route-cache", "never"),
            ("x-route-timeout-ms", "0"),
            ("x-route-timeout-ms", "soon"),
            ("x-route-timeout-ms", "120001"),
            ("x-route-tags", "a"),
            ("x-route-tags", "=1"),
        ] {
            let error = parse_route_headers(&map(&[(name, value)])).expect_err(value);
            assert!(error.message.contains(name), "{error:?}");
        }
        let mut twice = map(&[("x-route-tier", "fast")]);
        twice.append("x-route-tier", HeaderValue::from_static("quality"));
        assert!(parse_route_headers(&twice).is_err());
    }

    #[test]
    fn only_listed_headers_pass() {
        let provider = map(&[
            ("x-request-id", "r1"),
            ("x-ratelimit-remaining-tokens", "9"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-22T12:00:00Z"),
            ("x-ratelimit-limit-tokens", "sk-1"),
            ("x-ratelimit-limit-requests", "1234567890123"),
            ("x-ratelimit-key", "9"),
            ("anthropic-ratelimit-unified-status", "allowed"),
            ("set-cookie", "a=b"),
            ("server", "nginx"),
            ("openai-organization", "org"),
            ("retry-after", "3"),
        ]);
        let mut downstream = HeaderMap::new();
        forward_downstream(&provider, &mut downstream);
        let limits = map(&[
            ("x-ratelimit-remaining-tokens", "9"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-22T12:00:00Z"),
        ]);
        assert_eq!(downstream, limits);
        let client =
            map(&[("traceparent", "00-1-2-01"), ("cookie", "a"), ("authorization", "Bearer x"), ("x-any", "1")]);
        let mut upstream = HeaderMap::new();
        forward_upstream(&client, &mut upstream);
        assert_eq!(upstream, map(&[("traceparent", "00-1-2-01")]));
    }

    #[test]
    fn the_providers_name_for_a_request_is_one_of_few_shapes() {
        for (name, value, expected) in [
            ("x-request-id", "req_011CSHoEeqs5C35K2UUqR7Fy", Some("req_011CSHoEeqs5C35K2UUqR7Fy")),
            ("request-id", "r:1.2-3", Some("r:1.2-3")),
            ("x-request-id", "a b", None),
            ("x-request-id", "", None),
            ("x-request-id", &"r".repeat(129), None),
            ("x-any-id", "r1", None),
        ] {
            assert_eq!(request_id(&map(&[(name, value)])).as_deref(), expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_record_shows_in_the_headers() {
        let attempt = |model: &str, outcome: &str| AttemptRecord {
            provider: "openai".into(),
            model: model.into(),
            outcome: outcome.into(),
            ..AttemptRecord::default()
        };
        let record = Record {
            id: "id1".into(),
            tier: Some("fast".into()),
            source: Some(Source::Classifier),
            reasons: vec![Reason::PolicyStale, Reason::NeedsVision],
            confidence: Some(0.934),
            attempts: vec![attempt("a", "429"), attempt("b", "200")],
            served: Some(Served { provider: "openai".into(), model: "b".into() }),
            timings: crate::record::Timings { decide: Some(Duration::from_micros(1250)), ..Default::default() },
            ..Record::default()
        };
        let mut headers = HeaderMap::new();
        response_headers(&record, &mut headers);
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
            ("server-timing", "decide;dur=1.2"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn retry_after_stays_sane() {
        for (retry, expected) in [
            (Retry::Never, map(&[("x-should-retry", "false")])),
            (Retry::After(Duration::ZERO), map(&[("x-should-retry", "true"), ("retry-after", "1")])),
            (Retry::After(Duration::from_millis(2100)), map(&[("x-should-retry", "true"), ("retry-after", "3")])),
            (Retry::After(Duration::from_secs(4000)), map(&[("x-should-retry", "true"), ("retry-after", "60")])),
        ] {
            let mut headers = HeaderMap::new();
            error_headers(&Error::new(Kind::RateLimited, "").with_retry(retry), &mut headers);
            assert_eq!(headers, expected, "{retry:?}");
        }
    }
}
