//! What providers say of their troubles, with the statuses that they use: OpenAI's envelope (with the words of OpenAI, Groq
//! and OpenRouter), Google's array, and the Messages API's. The texts are our own where the wording is not what is known.

use serde_json::{Value, json};

use crate::script::Trouble;

/// An error answer.
pub struct TroubleAnswer {
    pub status: u16,
    pub body: Value,
}

fn answer(status: u16, body: Value) -> TroubleAnswer {
    TroubleAnswer { status, body }
}

/// In OpenAI's envelope.
pub fn in_envelope(trouble: Trouble) -> TroubleAnswer {
    let error = |status: u16, code: &str, message: &str| {
        let kind = if code == "insufficient_quota" { code } else { "invalid_request_error" };
        answer(status, json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
    };
    match trouble {
        Trouble::Account => error(429, "insufficient_quota", "You exceeded your current quota, see plan and billing."),
        Trouble::Key => error(401, "invalid_api_key", "Incorrect API key provided: si**ed."),
        Trouble::Region => {
            error(403, "unsupported_country_region_territory", "Country, region, or territory not supported")
        }
        Trouble::Model => error(404, "model_not_found", "The model `simulated` does not exist or is not yours."),
        Trouble::Retired => error(400, "model_decommissioned", "The model `simulated` has been decommissioned."),
        Trouble::Context => error(
            400,
            "context_length_exceeded",
            "This model's maximum context length is 8192 tokens. However, your messages have 9001 tokens.",
        ),
        Trouble::Rate => {
            let message = "Rate limit reached on requests per min (RPM): Limit 3, Used 3. Please try again in 1.5s.";
            error(429, "rate_limit_exceeded", message)
        }
        Trouble::AboveRate => error(
            413,
            "rate_limit_exceeded",
            "Request too large for model `simulated` on tokens per minute (TPM): Limit 6000, Requested 7000.",
        ),
        Trouble::Policy => error(400, "content_policy_violation", "This request is against our content policy."),
        Trouble::Flagged => answer(
            403,
            json!({"error": {"message": "Your input was flagged for \"violence\".", "code": 403, "metadata":
                {"reasons": ["violence"], "flagged_input": "...", "provider_name": "Simulated"}}}),
        ),
        Trouble::Unaffordable => numbered(402, UNAFFORDABLE),
        Trouble::NoEndpoint => numbered(404, NO_ENDPOINT),
        Trouble::Refused => answer(
            400,
            json!({"error": {"message": "Unsupported value: 'temperature' does not support 0.2 with this model.",
                "type": "invalid_request_error", "param": "temperature", "code": "unsupported_value"}}),
        ),
        Trouble::Overload => error(503, "server_is_overloaded", "The server is overloaded, please come back later."),
    }
}

const UNAFFORDABLE: &str = "This request requires more credits, or fewer max_tokens. You requested up to 7900 tokens, but can only afford 900.";
const NO_ENDPOINT: &str = "No endpoints found that support tool use.";

/// As OpenRouter has it: the status again as the code.
fn numbered(status: u16, message: &str) -> TroubleAnswer {
    answer(status, json!({"error": {"message": message, "code": status}}))
}

/// In Google's array.
pub fn in_array(trouble: Trouble) -> TroubleAnswer {
    let error = |status: u16, word: &str, message: &str, details: Value| {
        let mut error = json!({"code": status, "message": message, "status": word});
        if !details.is_null() {
            error["details"] = details;
        }
        answer(status, json!([{ "error": error }]))
    };
    let none = || Value::Null;
    match trouble {
        Trouble::Account => error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", none()),
        Trouble::Key => {
            let details = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
            error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", details)
        }
        Trouble::Region => error(400, "FAILED_PRECONDITION", "User location is not supported for the API use.", none()),
        Trouble::Model => error(404, "NOT_FOUND", "models/simulated is not found for API version v1main.", none()),
        Trouble::Retired => error(404, "NOT_FOUND", "This model models/simulated is no longer available.", none()),
        Trouble::Context => error(
            400,
            "INVALID_ARGUMENT",
            "The input token count (9001) exceeds the maximum number of tokens allowed (8192).",
            none(),
        ),
        Trouble::Rate | Trouble::AboveRate => {
            let details = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}]);
            error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.", details)
        }
        Trouble::Policy | Trouble::Flagged => {
            error(400, "INVALID_ARGUMENT", "The prompt is against our usage policies.", none())
        }
        Trouble::Unaffordable => error(402, "FAILED_PRECONDITION", UNAFFORDABLE, none()),
        Trouble::NoEndpoint => error(404, "NOT_FOUND", NO_ENDPOINT, none()),
        Trouble::Refused => error(400, "INVALID_ARGUMENT", "Unknown name \"seed\": no such field.", none()),
        Trouble::Overload => error(503, "UNAVAILABLE", "The model is overloaded.", none()),
    }
}

/// In the Messages API's envelope.
pub fn in_messages(trouble: Trouble, request_id: &str) -> TroubleAnswer {
    let (status, kind, message) = match trouble {
        Trouble::Account => {
            (400, "invalid_request_error", "Your credit balance is too low to access the API. Please purchase credits.")
        }
        Trouble::Key => (401, "authentication_error", "invalid x-api-key"),
        Trouble::Region => (403, "forbidden", "Request not allowed"),
        Trouble::Model => (404, "not_found_error", "model: simulated"),
        Trouble::Retired => (404, "not_found_error", "model: simulated, retired"),
        Trouble::Context => (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        Trouble::Rate => (429, "rate_limit_error", "This request would exceed your rate limit. Try again in 1.5s."),
        Trouble::AboveRate => (413, "rate_limit_error", "This request alone exceeds the rate limit."),
        Trouble::Policy => (400, "invalid_request_error", "Output blocked by content filtering policy"),
        Trouble::Flagged => (403, "permission_error", "Your input was flagged for \"violence\"."),
        Trouble::Unaffordable => (402, "billing_error", UNAFFORDABLE),
        Trouble::NoEndpoint => (404, "not_found_error", NO_ENDPOINT),
        Trouble::Refused => (400, "invalid_request_error", "temperature: Input should be less than or equal to 1"),
        Trouble::Overload => (529, "overloaded_error", "Overloaded"),
    };
    answer(status, json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}))
}
