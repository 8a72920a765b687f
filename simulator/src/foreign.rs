//! Error bodies in forms that are not the dialect's own: of proxies in front of it, older servers, other providers.

use serde_json::{Value, json};

use crate::reply::Refusal;

pub fn page(status: u16) -> String {
    format!("<html><head><title>{status}</title></head><body><h1>Bad Gateway</h1></body></html>\n")
}

/// The fields of the error at the top, as older vLLM sends them.
pub fn flat(refusal: &Refusal) -> Value {
    json!({
        "object": "error",
        "message": refusal.message,
        "type": "BadRequestError",
        "param": null,
        "code": refusal.status,
    })
}

/// A message that is a list, as validation layers send it.
pub fn list_message(refusal: &Refusal) -> Value {
    json!([refusal.message, {"loc": ["body", "messages"], "msg": "is wrong"}])
}

/// Google's form: an array, a numeric code and a status word, no `type` and no `param`.
pub fn array_error(refusal: &Refusal) -> Value {
    let word = match refusal.status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!([{"error": {"code": refusal.status, "message": refusal.message, "status": word}}])
}

/// Google's form with the details of a quota.
pub fn retry_delay(refusal: &Refusal, delay: &str) -> Value {
    let mut error = array_error(refusal);
    error[0]["error"]["details"] = json!([
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaMetric": "requests"}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]);
    error
}
