//! Cross-origin answers, for browsers that the policy admits (Fetch standard, §3.2).

use http::header::{self, HeaderMap, HeaderValue};

use crate::door::{answer_headers, headers};
use crate::policy::Policy;

/// What the SDKs of OpenAI and Anthropic send from a browser, besides the routing headers.
const FROM_SDKS: [&str; 17] = [
    "authorization",
    "content-type",
    "x-api-key",
    "openai-organization",
    "openai-project",
    "traceparent",
    "x-stainless-lang",
    "x-stainless-package-version",
    "x-stainless-os",
    "x-stainless-arch",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-retry-count",
    "x-stainless-timeout",
    "x-stainless-helper-method",
    "x-stainless-async",
    "x-stainless-read-timeout",
];

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
        let allowed: Vec<&str> = FROM_SDKS.iter().chain(&headers::ROUTING).copied().collect();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, list(&allowed));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
    headers
}

fn list(names: &[&str]) -> HeaderValue {
    HeaderValue::from_str(&names.join(", ")).expect("names of headers should fit into one")
}
