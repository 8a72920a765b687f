//! Cross-origin answers, for browsers that the policy admits (Fetch standard, §3.2).

use http::header::{self, HeaderMap, HeaderValue};

use crate::door::{answer_headers, headers};
use crate::policy::Policy;

/// What SDKs send from a browser (OpenAI's, Anthropic's, Azure's, Vercel's, and what OpenRouter asks applications to send),
/// besides the routing headers and those of [`SDK_PREFIX`]. None but a `traceparent` goes to a provider.
const FROM_SDKS: [&str; 21] = [
    "authorization",
    "content-type",
    "x-api-key",
    "api-key",
    "user-agent",
    "openai-organization",
    "openai-project",
    "openai-beta",
    "anthropic-version",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "idempotency-key",
    "http-referer",
    "x-title",
    "x-client-request-id",
    "x-requested-with",
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "cache-control",
];

/// What the SDKs of OpenAI and Anthropic tell of themselves; every version of them has more of these, so all are admitted.
const SDK_PREFIX: &str = "x-stainless-";
/// The most headers beyond the list that one answer admits.
const MAX_ADDED: usize = 32;

/// The headers that every answer to this client carries; none if the policy does not admit its origin.
pub fn of_answer(policy: &Policy, client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(origin) = client.get(header::ORIGIN) else { return headers };
    let admitted =
        policy.cors_origins.iter().any(|admitted| admitted == "*" || admitted.as_bytes() == origin.as_bytes());
    if admitted {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, list(&answer_headers::SENT));
    }
    headers
}

/// The headers of the answer to a preflight.
pub fn of_preflight(policy: &Policy, client: &HeaderMap) -> HeaderMap {
    let mut headers = of_answer(policy, client);
    if !headers.is_empty() {
        let asked = client.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|asked| asked.to_str().ok());
        let asked = asked.unwrap_or_default().split(',').map(str::trim);
        let of_sdks = asked.filter(|name| is_of_sdk(name)).take(MAX_ADDED);
        let allowed: Vec<&str> = FROM_SDKS.into_iter().chain(headers::ROUTING).chain(of_sdks).collect();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, list(&allowed));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
    headers
}

fn is_of_sdk(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.starts_with(SDK_PREFIX) && name.bytes().all(is_plain)
}

fn list(names: &[&str]) -> HeaderValue {
    HeaderValue::from_str(&names.join(", ")).expect("names of headers should fit into one")
}
