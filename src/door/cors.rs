//! Cross-origin answers, for browsers that the policy admits (Fetch standard, §3.2).

use http::header::{self, HeaderMap, HeaderValue};

use crate::door::answer_headers::EXPOSED;
use crate::policy::Policy;

/// What OpenAI's SDKs send from a browser, and the routing headers (api-facts.md §3).
const ALLOWED: &str = "authorization, content-type, x-api-key, openai-organization, openai-project, traceparent, \
    x-stainless-lang, x-stainless-package-version, x-stainless-os, x-stainless-arch, x-stainless-runtime, \
    x-stainless-runtime-version, x-stainless-retry-count, x-stainless-timeout, x-stainless-helper-method, \
    x-stainless-async, x-stainless-read-timeout, x-route-tier, x-route-model, x-route-session, x-route-affinity, \
    x-route-cache, x-route-timeout-ms, x-route-tags";

/// The headers that every answer to this client carries; none if the policy does not admit its origin.
pub fn answer_headers(policy: &Policy, client: &HeaderMap, downstream: &mut HeaderMap) {
    let Some(origin) = client.get(header::ORIGIN) else {
        return;
    };
    let admitted =
        policy.cors_origins.iter().any(|admitted| admitted == "*" || admitted.as_bytes() == origin.as_bytes());
    if admitted {
        downstream.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        downstream.insert(header::VARY, HeaderValue::from_static("origin"));
        downstream.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// What a preflight is told besides.
pub fn preflight_headers(downstream: &mut HeaderMap) {
    if downstream.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        downstream.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        downstream.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED));
        downstream.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
}
