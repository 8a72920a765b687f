//! Which headers cross between client and provider, in either direction; nothing is copied because it was not forbidden.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::upstream::delay;

/// What a provider may see of the client's headers: a trace context, if it is one.
pub fn trace_context(client: &HeaderMap) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_static("traceparent");
    let mut values = client.get_all(&name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    is_traceparent(value.as_bytes()).then(|| (name, value.clone()))
}

/// Whether a value has the one form that version 00 of W3C's Trace Context has: 55 characters, no id of zeros.
fn is_traceparent(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = if value.len() == 55 { value.split(|byte| *byte == b'-').collect() } else { Vec::new() };
    let [b"00", trace, parent, flags] = parts[..] else { return false };
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |part: &[u8], length| part.len() == length && is_hex(part) && part.iter().any(|byte| *byte != b'0');
    is_id(trace, 32) && is_id(parent, 16) && flags.len() == 2 && is_hex(flags)
}

/// Those headers of an answer that say how its body is to be read, and how long a provider asks to be left alone.
const ABOUT_THE_ANSWER: [&str; 4] = ["content-encoding", "content-length", "retry-after", "retry-after-ms"];

/// In which another execution of the gateway shows that it goes on with an answer.
pub const CONTINUATION: &str = "x-tiergate-continuation";

/// Whether anything is done with a provider's header of this name, in small letters. The others are not even taken from the
/// platform: providers send two dozen.
pub fn is_read(name: &str) -> bool {
    ABOUT_THE_ANSWER.contains(&name)
        || REQUEST_IDS.contains(&name)
        || RATE_LIMITS.contains(&name)
        || name == CONTINUATION
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

/// What the client may see of a provider's headers: rate limits that are a count, a duration or a time.
pub fn rate_limits(provider: &HeaderMap) -> HeaderMap {
    let mut limits = HeaderMap::new();
    for name in provider.keys().filter(|name| RATE_LIMITS.contains(&name.as_str())) {
        if let Some(value) = provider.get(name).filter(|value| value.to_str().is_ok_and(is_limit)) {
            limits.insert(name.clone(), value.clone());
        }
    }
    limits
}

fn is_limit(value: &str) -> bool {
    let is_count =
        value.len() <= MAX_COUNT_DIGITS && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = value.len() <= MAX_LIMIT_BYTES;
    is_count || (is_short && (delay::parse(value).is_some() || humantime::parse_rfc3339(value).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn headers_are_read_that_matter() {
        for name in [
            "content-encoding",
            "content-length",
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-tokens",
            "anthropic-ratelimit-input-tokens-reset",
            "request-id",
            CONTINUATION,
        ] {
            assert!(is_read(name), "{name}");
        }
        for name in ["content-type", "set-cookie", "server", "openai-organization", "x-ratelimit-key"] {
            assert!(!is_read(name), "{name}");
        }
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
        let limits = map(&[
            ("x-ratelimit-remaining-tokens", "9"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-22T12:00:00Z"),
        ]);
        assert_eq!(rate_limits(&provider), limits);
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let client = map(&[
            ("traceparent", trace),
            ("tracestate", "a=b"),
            ("cookie", "a"),
            ("authorization", "Bearer x"),
            ("x-any", "1"),
        ]);
        let forwarded: HeaderMap = trace_context(&client).into_iter().collect();
        assert_eq!(forwarded, map(&[("traceparent", trace)]));
    }

    #[test]
    fn only_a_trace_context_passes_for_one() {
        let right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let forwarded = |client: &HeaderMap| trace_context(client).is_some();
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
}
