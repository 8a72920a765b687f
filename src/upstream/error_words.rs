//! What a provider says when it refuses, in whichever shape it says so.
//!
//! Known shapes: OpenAI's envelope, the same in an array (Gemini), flat objects of many kinds, a bare string, HTML. The
//! message may be of any JSON type (Mercury has sent a list). Nothing here reaches a client unmasked.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::mask::keys::cut;
use crate::mask::words::MAX_TEXT_BYTES as MAX_SHOWN_BYTES;
use crate::upstream::delay;

/// One more than what is looked at, so that a text that was cut still shows that it was.
const MAX_TEXT_BYTES: usize = MAX_SHOWN_BYTES + 4;
/// The longest code or type that is looked at, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// Where the words are, in objects of many kinds.
const MESSAGES: [&str; 11] = [
    "message",
    "detail",
    "error_message",
    "errorMessage",
    "error_msg",
    "error_description",
    "msg",
    "errors",
    "description",
    "title",
    "reason",
];

/// A provider's error, unmasked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    pub message: Option<String>,
    pub code: Option<String>,
    pub kind: Option<String>,
    pub param: Option<String>,
    /// Gemini's `RetryInfo.retryDelay`.
    pub retry_delay: Option<Duration>,
}

/// Reads an error body; what cannot be read is an error without words.
pub fn parse(body: &[u8]) -> ProviderError {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return ProviderError::default();
    };
    let value = match &value {
        Value::Array(items) => items.first().unwrap_or(&Value::Null),
        other => other,
    };
    from_value(value.get("error").filter(|error| !error.is_null()).unwrap_or(value))
}

/// Reads the data of an event that is an error, whatever it is.
pub fn parse_event(data: &[u8]) -> ProviderError {
    match std::str::from_utf8(data) {
        Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_err() => {
            ProviderError { message: Some(cut(text.trim(), MAX_TEXT_BYTES).to_owned()), ..ProviderError::default() }
        }
        Ok(_) | Err(_) => parse(data),
    }
}

/// Reads an object that is no answer, if it says that something went wrong: the envelope, or any of the fields in which
/// services say so without one.
pub fn without_answer(body: &[u8]) -> Option<ProviderError> {
    let value = serde_json::from_slice::<Value>(body).ok()?;
    let says_so = value.as_object()?.iter().any(|(name, value)| is_complaint(name, value));
    says_so.then(|| parse(body))
}

/// Fields that an answer does not have; `code` and `status` may also say that all is well.
fn is_complaint(name: &str, value: &Value) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let is_empty = match value {
        Value::Null => true,
        Value::Bool(said) => !said,
        Value::Number(number) => matches!(number.as_u64(), Some(0 | 200)),
        Value::String(text) => {
            let fine = ["", "0", "200", "ok", "success", "completed", "inprogress", "processing", "queued", "running"];
            fine.contains(&text.to_ascii_lowercase().replace('_', "").as_str())
        }
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    };
    match name.as_str() {
        "success" | "ok" => *value == Value::Bool(false),
        "type" | "object" | "event" => value.as_str().is_some_and(is_error_name),
        "message" | "messages" | "msg" | "detail" | "details" | "description" | "title" | "reason" | "code"
        | "status" | "statuscode" | "fault" | "faultstring" => !is_empty,
        name => (name.starts_with("err") || name.ends_with("err") || is_error_name(name)) && !is_empty,
    }
}

/// Whether a type or a name is one of an error.
pub fn is_error_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["error", "exception", "fail"].iter().any(|word| name.contains(word))
}

/// Reads the value of an `error` field, or an object that is an error itself.
pub fn from_value(error: &Value) -> ProviderError {
    let text = |names: &[&str], limit: usize| {
        let value = names.iter().find_map(|name| error.get(*name).filter(|value| !value.is_null()))?;
        Some(as_text(value, limit))
    };
    if let Value::String(message) = error {
        return ProviderError { message: Some(cut(message, MAX_TEXT_BYTES).to_owned()), ..ProviderError::default() };
    }
    ProviderError {
        message: text(&MESSAGES, MAX_TEXT_BYTES),
        code: text(&["code", "error_code", "errorCode", "status_code"], MAX_NAME_BYTES),
        kind: text(&["type", "status", "error_type"], MAX_NAME_BYTES),
        param: text(&["param"], MAX_TEXT_BYTES),
        retry_delay: retry_delay(error),
    }
}

fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    details.iter().find_map(|detail| delay::parse(detail.get("retryDelay")?.as_str()?))
}

/// A text longer than `limit` bytes loses its end.
fn as_text(value: &Value, limit: usize) -> String {
    match value.as_str() {
        Some(text) => cut(text, limit).to_owned(),
        None => cut(&value.to_string(), limit).to_owned(),
    }
}

impl ProviderError {
    /// Whether the request was too long for the model.
    pub fn is_context_length(&self) -> bool {
        let says = |text: &Option<String>, parts: &[&str]| {
            text.as_ref().is_some_and(|text| {
                let text = text.to_ascii_lowercase();
                parts.iter().any(|part| text.contains(part))
            })
        };
        says(&self.code, &["context_length"])
            || says(&self.kind, &["context_length"])
            || says(
                &self.message,
                &["context length", "context window", "context limit", "prompt is too long", "maximum context"],
            )
    }

    /// Whether it is about what the text says, not about who sends it.
    pub fn is_content_policy(&self) -> bool {
        const WORDS: [&str; 6] =
            ["content_policy", "content policy", "content_filter", "content management", "moderation", "flagged"];
        let texts = [&self.code, &self.kind, &self.message].into_iter().flatten();
        texts.map(|text| text.to_ascii_lowercase()).any(|text| WORDS.iter().any(|word| text.contains(word)))
    }

    /// The status that the error would have had, had it not come in a 200: its numeric code (OpenRouter), or its type.
    pub fn implied_status(&self) -> Option<u16> {
        if self.is_context_length() {
            return Some(400);
        }
        let code = self.code.as_ref().and_then(|code| code.parse().ok()).filter(|code| (400..600).contains(code));
        code.or_else(|| match self.kind.as_deref()? {
            "invalid_request_error" => Some(400),
            "authentication_error" => Some(401),
            "billing_error" => Some(402),
            "permission_error" => Some(403),
            "not_found_error" => Some(404),
            "request_too_large" => Some(413),
            "rate_limit_error" => Some(429),
            "overloaded_error" => Some(529),
            _ => None,
        })
    }

    /// Whether an account has used up what it paid for, so that waiting will not help.
    pub fn is_quota(&self) -> bool {
        let named = [&self.code, &self.kind].into_iter().flatten();
        let mut named = named.map(|text| text == "insufficient_quota" || text == "billing_error");
        // Anthropic has no name of its own for it.
        named.any(|known| known) || self.message.as_ref().is_some_and(|text| text.contains("spend limit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_read() {
        for (body, message, code) in [
            (r#"{"error":{"message":"m","type":"t","param":null,"code":"c"}}"#, Some("m"), Some("c")),
            (r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#, Some("m"), Some("429")),
            (r#"{"object":"error","message":"flat","code":400}"#, Some("flat"), Some("400")),
            (r#"{"error":"bare"}"#, Some("bare"), None),
            (r#"{"error":{"message":["a","b"]}}"#, Some(r#"["a","b"]"#), None),
            (r#"{"detail":"fast api"}"#, Some("fast api"), None),
            (r#"{"errors":["one","two"]}"#, Some(r#"["one","two"]"#), None),
            (r#"{"error_code":17,"error_msg":"Open api"}"#, Some("Open api"), Some("17")),
            (r#"{"error":null,"message":"flat"}"#, Some("flat"), None),
            ("<html>", None, None),
            ("[]", None, None),
            ("7", None, None),
            ("", None, None),
        ] {
            let error = parse(body.as_bytes());
            assert_eq!((error.message.as_deref(), error.code.as_deref()), (message, code), "{body}");
        }
    }

    #[test]
    fn an_object_without_an_answer_is_an_error_if_it_says_so() {
        for (body, expected) in [
            (r#"{"error":{"message":"m"}}"#, true),
            (r#"{"message":"m","code":"c"}"#, true),
            (r#"{"detail":[{"msg":"m"}]}"#, true),
            (r#"{"errors":["m"]}"#, true),
            (r#"{"error_code":7}"#, true),
            (r#"{"errorMessage":"m"}"#, true),
            (r#"{"errMsg":"m"}"#, true),
            (r#"{"code":1004,"success":false}"#, true),
            (r#"{"success":false}"#, true),
            (r#"{"type":"overloaded_error"}"#, true),
            (r#"{"object":"error"}"#, true),
            (r#"{"status":503}"#, true),
            (r#"{"failure":"m"}"#, true),
            (r#"{"title":"Bad","instance":"/x"}"#, true),
            (r#"{"id":"c1","object":"chat.completion.chunk","choices":[],"error":null}"#, false),
            (r#"{"usage":{"prompt_tokens":1},"choices":[]}"#, false),
            (r#"{"type":"ping"}"#, false),
            (r#"{"status":"ok","code":200,"message":""}"#, false),
            (r#"{"status":"in_progress"}"#, false),
            (r#"{}"#, false),
            ("7", false),
            ("no JSON", false),
        ] {
            assert_eq!(without_answer(body.as_bytes()).is_some(), expected, "{body}");
        }
    }

    #[test]
    fn a_delay_in_the_body_is_read() {
        let body = r#"[{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.QuotaFailure"},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"17.5s"}]}}]"#;
        assert_eq!(parse(body.as_bytes()).retry_delay, Some(Duration::from_millis(17_500)));
    }

    #[test]
    fn long_contexts_and_used_up_quotas_are_told_apart() {
        let context = parse(br#"{"error":{"message":"x","code":"context_length_exceeded"}}"#);
        assert!(context.is_context_length() && !context.is_quota());
        let quota = parse(br#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#);
        assert!(quota.is_quota() && !quota.is_context_length());
        let spent =
            br#"{"type":"error","error":{"type":"rate_limit_error","message":"The monthly spend limit is reached."}}"#;
        assert!(parse(spent).is_quota());
    }

    #[test]
    fn errors_of_the_messages_api_are_read() {
        for (kind, message, context_length, quota) in [
            ("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", true, false),
            ("invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 2", true, false),
            ("invalid_request_error", "messages: at least one message is required", false, false),
            // It is about bytes, and its status says so.
            ("request_too_large", "Request exceeds the maximum size", false, false),
            ("billing_error", "Your credit balance is too low", false, true),
            ("rate_limit_error", "This request would exceed your rate limit", false, false),
            ("overloaded_error", "Overloaded", false, false),
            ("api_error", "Internal server error", false, false),
        ] {
            let body =
                serde_json::json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"});
            let error = parse(body.to_string().as_bytes());
            assert_eq!((error.kind.as_deref(), error.message.as_deref()), (Some(kind), Some(message)));
            assert_eq!((error.is_context_length(), error.is_quota()), (context_length, quota), "{message}");
        }
    }
}
