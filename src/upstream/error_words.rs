//! What a provider says when something went wrong, in whichever shape it says so; `meaning` says what it means.
//!
//! Known shapes: OpenAI's envelope, the same in an array (Gemini), a text beside a code (xAI), flat objects of many kinds, a
//! bare string, one event of a stream as the whole body, an error of another provider within one (OpenRouter); HTML has no
//! words. The message may be of any JSON type (Mercury and FastAPI send lists). Nothing here reaches a client unmasked.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::mask::keys::cut;
use crate::mask::words::MAX_TEXT_BYTES as MAX_SHOWN_BYTES;
use crate::upstream::delay;
use crate::wire::sse::Decoder;

/// One more than what is looked at, so that a text that was cut still shows that it was.
const MAX_TEXT_BYTES: usize = MAX_SHOWN_BYTES + 4;
/// The longest code or type that is looked at, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// The most reasons that are kept of one error.
const MAX_REASONS: usize = 8;
/// Where the words are, in objects of many kinds.
const MESSAGES: [&str; 12] = [
    "message",
    "Message",
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
/// How much of a body that is a stream is searched for an error, in bytes.
const MAX_STREAM_BYTES: usize = 64 * 1024;
/// What OpenRouter says where another provider's words say more.
const NO_WORDS_OF_ITS_OWN: &str = "Provider returned error";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A provider's error, unmasked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    pub message: Option<String>,
    pub code: Option<String>,
    pub kind: Option<String>,
    pub param: Option<String>,
    /// How long the provider asks to be left alone, in the body.
    pub retry_delay: Option<Duration>,
    /// What stands deeper; few errors have any.
    details: Option<Box<Details>>,
}

/// What stands deeper in an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    /// Google's `details[].reason`, Azure's `innererror.code`, names of an error within this one.
    reasons: Vec<String>,
    /// An intermediary's moderation lists what it found in the input (OpenRouter's `metadata.reasons`).
    is_flagged: bool,
}

/// Reads an error body; what cannot be read is an error without words.
pub fn parse(body: &[u8]) -> ProviderError {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => from_body(&value),
        Err(_) => from_events(body.trim_ascii_start()).unwrap_or_default(),
    }
}

/// What an array holds (Gemini), or the value itself.
fn first_of(value: &Value) -> &Value {
    match value {
        Value::Array(items) => items.iter().find(|item| !item.is_null()).unwrap_or(&Value::Null),
        other => other,
    }
}

fn from_body(body: &Value) -> ProviderError {
    let body = first_of(body);
    match (body.get("error"), body.get("detail")) {
        (Some(error @ Value::Object(_)), _) => from_value(error),
        (Some(Value::Array(errors)), _) if !errors.is_empty() => from_value(&errors[0]),
        // The code stands beside it (xAI).
        (Some(Value::String(text)), _) => from_value(body).with_message(text),
        (_, Some(detail @ Value::Object(_))) => from_value(detail),
        _ => from_value(body),
    }
}

/// The first error in a body that is a stream although it should be none.
fn from_events(body: &[u8]) -> Option<ProviderError> {
    if ![&b"data:"[..], b"event:", b"id:", b"retry:", b":"].iter().any(|field| body.starts_with(field)) {
        return None;
    }
    let mut decoder = Decoder::default();
    decoder.space().extend_from_slice(&body[..body.len().min(MAX_STREAM_BYTES)]);
    decoder.space().extend_from_slice(b"\n\n");
    decoder.end();
    while let Ok(Some(event)) = decoder.next_event() {
        let Some(data) = event.data() else { continue };
        if event.is_named_error() {
            return Some(parse_event(&data));
        }
        if let Some(error) = without_answer(&data) {
            return Some(error);
        }
    }
    None
}

/// Reads the data of an event that is an error, whatever it is.
pub fn parse_event(data: &[u8]) -> ProviderError {
    match std::str::from_utf8(data) {
        Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_err() => {
            ProviderError::default().with_message(text.trim())
        }
        Ok(_) | Err(_) => parse(data),
    }
}

/// Reads an object that is no answer, if it says that something went wrong: the envelope, or any of the fields in which
/// services say so without one.
pub fn without_answer(body: &[u8]) -> Option<ProviderError> {
    let value = serde_json::from_slice::<Value>(body).ok()?;
    let says_so = first_of(&value).as_object()?.iter().any(|(name, value)| is_complaint(name, value));
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
    if let Value::String(message) = error {
        return ProviderError::default().with_message(message);
    }
    let name = |names: &[&str], limit: usize| {
        let value = names.iter().find_map(|name| error.get(*name).filter(|value| !value.is_null()))?;
        Some(as_text(value, limit)).filter(|text| !text.trim().is_empty())
    };
    let metadata = error.get("metadata");
    let mut read = ProviderError {
        message: None,
        code: name(&["code", "error_code", "errorCode", "status_code"], MAX_NAME_BYTES),
        kind: name(&["type", "status", "error_type", "__type"], MAX_NAME_BYTES),
        param: name(&["param"], MAX_TEXT_BYTES),
        retry_delay: retry_delay(error),
        details: None,
    };
    let flags = metadata.and_then(|metadata| metadata.get("reasons")?.as_array());
    read.add(Details { reasons: reasons(error), is_flagged: flags.is_some_and(|flags| !flags.is_empty()) });
    if let Some(message) = MESSAGES.iter().find_map(|name| words(error.get(*name)?)) {
        read = read.with_message(&message);
    }
    match metadata.and_then(|metadata| metadata.get("raw")) {
        Some(Value::String(raw)) => read.with_inner(raw),
        Some(raw @ Value::Object(_)) => read.with_inner(&raw.to_string()),
        _ => read,
    }
}

/// What a value says: a text, or those of a list (FastAPI's have theirs in objects).
fn words(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(words).collect::<Vec<_>>().join("; "),
        Value::Object(_) => match (MESSAGES.iter().find_map(|name| words(value.get(*name)?)), value.get("loc")) {
            (Some(text), Some(Value::Array(place))) => {
                let place: Vec<String> = place.iter().filter_map(words).collect();
                format!("{}: {text}", place.join("."))
            }
            (Some(text), _) => text,
            (None, _) => value.to_string(),
        },
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

fn details(error: &Value) -> &[Value] {
    match error.get("details") {
        Some(Value::Array(details)) => details,
        Some(details @ Value::Object(_)) => std::slice::from_ref(details),
        _ => &[],
    }
}

fn reasons(error: &Value) -> Vec<String> {
    let of_detail = |detail: &Value| {
        let reason = detail.get("reason").or_else(|| detail.get("metadata")?.get("reason"))?;
        Some(cut(reason.as_str()?, MAX_NAME_BYTES).to_owned())
    };
    let inner = error.get("innererror").or_else(|| error.get("inner_error")).and_then(|inner| inner.get("code"));
    let inner = inner.and_then(Value::as_str).map(|code| cut(code, MAX_NAME_BYTES).to_owned());
    details(error).iter().filter_map(of_detail).chain(inner).take(MAX_REASONS).collect()
}

fn retry_delay(error: &Value) -> Option<Duration> {
    details(error).iter().find_map(|detail| delay::parse(detail.get("retryDelay")?.as_str()?))
}

/// A text longer than `limit` bytes loses its end.
fn as_text(value: &Value, limit: usize) -> String {
    match value.as_str() {
        Some(text) => cut(text, limit).to_owned(),
        None => cut(&value.to_string(), limit).to_owned(),
    }
}

impl ProviderError {
    /// The same with these words; if they are another error written as a text, with that one's.
    fn with_message(mut self, text: &str) -> Self {
        self.message = Some(cut(text, MAX_TEXT_BYTES).to_owned());
        self.retry_delay = self.retry_delay.or_else(|| delay::in_words(text));
        if text.trim_start().starts_with(['{', '[']) { self.with_inner(text) } else { self }
    }

    /// The same with what the error within it says: a provider's behind an intermediary.
    fn with_inner(mut self, text: &str) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            let says_nothing = self.message.as_deref().is_none_or(|message| message == NO_WORDS_OF_ITS_OWN);
            if says_nothing && !text.trim().is_empty() && !is_markup(text) {
                self.message = Some(cut(text, MAX_TEXT_BYTES).to_owned());
                self.retry_delay = self.retry_delay.or_else(|| delay::in_words(text));
            }
            return self;
        };
        let inner = from_body(&value);
        if inner.message.is_some() {
            let Details { reasons, is_flagged } = inner.details.map(|details| *details).unwrap_or_default();
            let reasons = [inner.code, inner.kind].into_iter().flatten().chain(reasons).collect();
            self.add(Details { reasons, is_flagged });
            self.message = inner.message;
            self.param = self.param.or(inner.param);
            self.retry_delay = self.retry_delay.or(inner.retry_delay);
        }
        self
    }

    fn add(&mut self, details: Details) {
        if details != Details::default() {
            let own = self.details.get_or_insert_default();
            own.reasons.extend(details.reasons);
            own.reasons.truncate(MAX_REASONS);
            own.is_flagged |= details.is_flagged;
        }
    }

    /// Names that stand deeper than its code and type.
    pub fn reasons(&self) -> &[String] {
        self.details.as_ref().map_or(&[], |details| &details.reasons)
    }

    /// Whether an intermediary's moderation says what it found in the input.
    pub fn is_flagged(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.is_flagged)
    }

    /// Whether it says no more than a status would: a balancer's page, or an empty body.
    pub fn is_wordless(&self) -> bool {
        let is_number = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        let says_nothing = self.message.as_deref().is_none_or(is_markup);
        says_nothing && [&self.code, &self.kind].into_iter().flatten().all(is_number) && self.reasons().is_empty()
    }

    /// The status that a numeric code names (OpenRouter).
    pub fn numeric_status(&self) -> Option<u16> {
        let names = [&self.code, &self.kind].into_iter().flatten();
        names.filter_map(|name| name.parse().ok()).find(|status| (400..600).contains(status))
    }
}

/// Whether a text is a page of HTML.
fn is_markup(text: &str) -> bool {
    let begins = |tag: &str| text.trim_start().get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    begins("<html") || begins("<!doctype")
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
            (r#"{"error":{"message":["a","b"]}}"#, Some("a; b"), None),
            (r#"{"detail":"fast api"}"#, Some("fast api"), None),
            (r#"{"errors":["one","two"]}"#, Some("one; two"), None),
            (r#"{"error_code":17,"error_msg":"Open api"}"#, Some("Open api"), Some("17")),
            (r#"{"error":null,"message":"flat"}"#, Some("flat"), None),
            (
                r#"{"error":"bare","code":"Client specified an invalid argument"}"#,
                Some("bare"),
                Some("Client specified an invalid argument"),
            ),
            (r#"{"error":true,"message":"flat"}"#, Some("flat"), None),
            (r#"{"error":[{"message":"m","code":"c"}]}"#, Some("m"), Some("c")),
            (
                r#"{"detail":[{"loc":["body","n"],"msg":"too large","input":9},{"msg":"x"}]}"#,
                Some("body.n: too large; x"),
                None,
            ),
            (r#"{"detail":{"error_type":"t","message":"m","code":"c"}}"#, Some("m"), Some("c")),
            (r#"{"error":{"message":{"text":1,"message":"deep"}}}"#, Some("deep"), None),
            (r#"{"error":{"message":"m","code":"429"}}"#, Some("m"), Some("429")),
            (r#"{"Message":"of AWS","__type":"ThrottlingException"}"#, Some("of AWS"), None),
            ("data: {\"error\":{\"message\":\"framed\",\"code\":\"c\"}}\n\n", Some("framed"), Some("c")),
            ("event: error\r\ndata: {\"error\":{\"message\":\"named\"}}", Some("named"), None),
            (
                ": hello\n\ndata: {\"choices\":[]}\n\ndata: {\"message\":\"late\"}\n\ndata: [DONE]\n\n",
                Some("late"),
                None,
            ),
            ("event: error\ndata: no JSON\n\n", Some("no JSON"), None),
            ("data: [DONE]\n\n", None, None),
            ("\u{feff}{\"error\":{\"message\":\"marked\"}}", Some("marked"), None),
            (r#"{"error":{"message":""}}"#, None, None),
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
    fn an_error_within_an_error_speaks_for_it() {
        let raw = |raw: &str| {
            let error =
                serde_json::json!({"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}});
            parse(serde_json::json!({ "error": error }).to_string().as_bytes())
        };
        let inner = raw(r#"{"error":{"message":"m","type":"t","code":"c","param":"p"}}"#);
        assert_eq!((inner.message.as_deref(), inner.code.as_deref()), (Some("m"), Some("400")));
        assert_eq!((inner.reasons().join(","), inner.param.as_deref()), ("c,t".to_owned(), Some("p")));
        assert_eq!(raw("plain words").message.as_deref(), Some("plain words"));
        assert_eq!(raw("<html>busy").message.as_deref(), Some("Provider returned error"));
        let written = parse(br#"{"error":{"message":"{\"error\":{\"message\":\"m\",\"code\":\"c\"}}"}}"#);
        assert_eq!((written.message.as_deref(), written.reasons().join(",")), (Some("m"), "c".to_owned()));
    }

    #[test]
    fn names_that_stand_deeper_are_read() {
        let google =
            parse(br#"[{"error":{"code":400,"message":"x","details":[{"x":1},{"reason":"API_KEY_INVALID"}]}}]"#);
        assert_eq!(google.reasons(), ["API_KEY_INVALID"]);
        let azure = parse(br#"{"error":{"message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#);
        assert_eq!(azure.reasons(), ["ResponsibleAIPolicyViolation"]);
        let flagged = parse(br#"{"error":{"message":"x","code":403,"metadata":{"reasons":["violence"]}}}"#);
        assert!(flagged.is_flagged() && !google.is_flagged());
    }

    #[test]
    fn pages_and_bare_numbers_have_no_words() {
        for (body, expected) in [
            ("", true),
            ("<html><h1>403 Forbidden</h1>", true),
            (r#"{"error":{"code":404}}"#, true),
            (r#"{"error":{"message":"<!DOCTYPE html><p>Forbidden"}}"#, true),
            (r#"{"error":{"message":"Forbidden"}}"#, false),
            (r#"{"error":{"type":"permission_error"}}"#, false),
        ] {
            assert_eq!(parse(body.as_bytes()).is_wordless(), expected, "{body}");
        }
    }
}
