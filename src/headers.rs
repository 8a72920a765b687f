//! Headers in and out: the names of the contract, and the allow-lists that keep everything else on its side.
//!
//! Nothing is ever copied because it was not forbidden: upstream gets what `dialect` builds and [`forward_upstream`]
//! adds, downstream gets what [`response_headers`] builds and [`forward_downstream`] adds (design.md §4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::delay;
use crate::error::{Error, Kind, Retry};
use crate::keys::without_known_shapes;
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
/// Of a client's own word in a message.
const MAX_SHOWN_BYTES: usize = 64;
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

/// Checks that a body is what the gateway reads, by the headers that describe it.
///
/// Browsers send forms and plain text to any host without asking first, so nothing but JSON passes for JSON.
///
/// # Errors
/// [`Kind::UnsupportedContent`] that says what is expected.
pub fn check_content(headers: &HeaderMap) -> Result<(), Error> {
    let unsupported = |message: String| Err(Error::new(Kind::UnsupportedContent, message));
    let codings = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
    let mut codings = codings.flat_map(|value| value.split(',')).map(str::trim);
    if let Some(coding) = codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")) {
        let coding = without_known_shapes(coding, MAX_SHOWN_BYTES);
        return unsupported(format!("The body comes with the content-encoding `{coding}`; valid: none, or identity."));
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter().map(|value| value.to_str().unwrap_or_default());
    match (types.next(), types.next()) {
        (None, _) => Ok(()),
        (Some(given), None) if is_json(given) => Ok(()),
        (Some(given), _) => {
            let given = without_known_shapes(given, MAX_SHOWN_BYTES);
            unsupported(format!(
                "The body comes with the content-type `{given}`; valid: {JSON} (curl -d sends another one unless it is told: \
                 -H 'content-type: {JSON}')."
            ))
        }
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    match essence.split_once('/') {
        Some(("application", "json")) => true,
        Some((kind, subtype)) => plain(kind) && subtype.strip_suffix("+json").is_some_and(plain),
        None => false,
    }
}

/// Copies what a provider may see of the client's headers: a trace context, if it is one.
pub fn forward_upstream(client: &HeaderMap, upstream: &mut HeaderMap) {
    let trace = HeaderName::from_static("traceparent");
    let mut values = client.get_all(&trace).iter();
    if let (Some(value), None) = (values.next(), values.next())
        && is_traceparent(value.as_bytes())
    {
        upstream.insert(trace, value.clone());
    }
}

/// Whether a value has the one form that version 00 of W3C's Trace Context has: 55 characters, no id of zeros.
fn is_traceparent(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = if value.len() == 55 { value.split(|byte| *byte == b'-').collect() } else { Vec::new() };
    let [b"00", trace, parent, flags] = parts[..] else { return false };
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |part: &[u8], length| part.len() == length && is_hex(part) && part.iter().any(|byte| *byte != b'0');
    is_id(trace, 32) && is_id(parent, 16) && flags.len() == 2 && is_hex(flags)
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
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let client = map(&[
            ("traceparent", trace),
            ("tracestate", "a=b"),
            ("cookie", "a"),
            ("authorization", "Bearer x"),
            ("x-any", "1"),
        ]);
        let mut upstream = HeaderMap::new();
        forward_upstream(&client, &mut upstream);
        assert_eq!(upstream, map(&[("traceparent", trace)]));
    }

    #[test]
    fn only_a_trace_context_passes_for_one() {
        let right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let forwarded = |client: &HeaderMap| {
            let mut upstream = HeaderMap::new();
            forward_upstream(client, &mut upstream);
            !upstream.is_empty()
        };
        assert!(forwarded(&map(&[("traceparent", right)])));
        let long = format!("{right}{}", "-x".repeat(15_000));
        for wrong in [
            "",
            "00-1-2-01",
            long.as_str(),
            &right.to_ascii_uppercase(),
            &right.replacen("00", "01", 1),
            &right.replacen("00", "ff", 1),
            &right.replace('-', "_"),
            &right.replace("-01", "-zz"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00-0af7651916cd43dd-8448eb211c80319c-b7ad6b716920333101",
        ] {
            assert!(!forwarded(&map(&[("traceparent", wrong)])), "{wrong}");
        }
        let mut twice = map(&[("traceparent", right)]);
        twice.append("traceparent", HeaderValue::from_static("x"));
        assert!(!forwarded(&twice), "which of them holds is not ours to say");
    }

    #[test]
    fn only_json_passes_for_json() {
        for (given, expected) in [
            (&[][..], true),
            (&[("content-type", "application/json")], true),
            (&[("content-type", "Application/JSON; charset=utf-8")], true),
            (&[("content-type", "application/problem+json ;v=1")], true),
            (&[("content-type", "application/json"), ("content-encoding", "identity")], true),
            (&[("content-type", "")], false),
            (&[("content-type", "text/plain")], false),
            (&[("content-type", "text/plain; a=+json")], false),
            (&[("content-type", "text/plain, application/json")], false),
            (&[("content-type", "text/plain,a/b+json")], false),
            (&[("content-type", "application/x-www-form-urlencoded")], false),
            (&[("content-type", "multipart/form-data; boundary=application/json")], false),
            (&[("content-type", "application/jsonl")], false),
            (&[("content-type", "json")], false),
            (&[("content-type", "application/+json")], false),
            (&[("content-type", "application/json"), ("content-type", "text/plain")], false),
            (&[("content-encoding", "gzip")], false),
            (&[("content-encoding", "identity, br")], false),
            (&[("content-encoding", "identity"), ("content-encoding", "deflate")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let result = check_content(&headers);
            assert_eq!(result.is_ok(), expected, "{given:?}");
            let names_it =
                |error: Error| error.message.contains("application/json") || error.message.contains("identity");
            assert!(result.err().is_none_or(names_it), "{given:?}");
        }
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
