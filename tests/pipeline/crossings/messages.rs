//! What a client of the Messages API reads in an answer, and what it relies on.

use serde_json::Value;
use tiergate::wire::usage::Usage;

use super::told::{Called, Stop, Thought, Told};
use super::valid;

/// # Errors
/// Where it is no message that every client reads.
pub fn read_whole(body: &str) -> Result<Told, String> {
    let message = serde_json::from_str(body).map_err(|error| error.to_string())?;
    valid::check_whole(&message)?;
    told(&message)
}

/// # Errors
/// Where it is no stream that every client reads.
pub fn read_stream(stream: &str) -> Result<Told, String> {
    told(&valid::message(stream)?)
}

/// The error that ends a stream.
///
/// # Errors
/// Where none does, or what stands before it is no beginning of a message.
pub fn read_broken(stream: &str) -> Result<Value, String> {
    let events = stream.strip_suffix("\n\n").ok_or("half an event")?;
    let (before, last) = events.rsplit_once("\n\n").ok_or("nothing before the error")?;
    valid::is_valid_so_far(before)?;
    if before.contains("event: message_delta\n") {
        return Err(format!("a whole message: {before}"));
    }
    let error = last.strip_prefix("event: error\ndata: ").ok_or_else(|| format!("no error: {last}"))?;
    read_error(error)
}

/// # Errors
/// Where it is no error that every client reads.
pub fn read_error(body: &str) -> Result<Value, String> {
    let error: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let has = |name: &str| error["error"][name].is_string();
    match error["type"] == "error" && has("type") && has("message") && error["request_id"].is_string() {
        true => Ok(error),
        false => Err(format!("no error: {error}")),
    }
}

fn told(message: &Value) -> Result<Told, String> {
    let word = message["stop_reason"].as_str().unwrap_or_default();
    let stop = match (word, &message["stop_sequence"]) {
        ("stop_sequence", Value::String(string)) => Stop::AtString(string.clone()),
        ("end_turn", Value::Null) => Stop::Said,
        ("tool_use", Value::Null) => Stop::Calls,
        ("max_tokens", Value::Null) => Stop::Length,
        ("model_context_window_exceeded", Value::Null) => Stop::Window,
        ("pause_turn", Value::Null) => Stop::Paused,
        ("refusal", Value::Null) => Stop::Refused,
        other => return Err(format!("why it stopped: {other:?}")),
    };
    let refusal = message["stop_details"]["explanation"].as_str().map(str::to_owned);
    let (thoughts, text, calls) = (Vec::new(), String::new(), Vec::new());
    let mut told = Told { thoughts, text, refusal, calls, stop, usage: usage(&message["usage"])? };
    for block in message["content"].as_array().ok_or("no content")? {
        let text = |name: &str| block[name].as_str().unwrap_or_default();
        match text("type") {
            "text" if !text("text").is_empty() => told.text += text("text"),
            "thinking" => {
                let has_state = !text("signature").is_empty();
                told.thoughts.push(Thought { text: text("thinking").to_owned(), has_state });
            }
            "redacted_thinking" => told.thoughts.push(Thought { text: String::new(), has_state: true }),
            "tool_use" => told.calls.push(Called { name: text("name").to_owned(), input: block["input"].clone() }),
            _ => return Err(format!("a block: {block}")),
        }
    }
    Ok(told)
}

fn usage(usage: &Value) -> Result<Usage, String> {
    let of = |name: &str| usage[name].as_u64().ok_or_else(|| format!("no {name}: {usage}"));
    let thinking = &usage["output_tokens_details"]["thinking_tokens"];
    let (cached_input, cache_write) = (of("cache_read_input_tokens")?, of("cache_creation_input_tokens")?);
    Ok(Usage {
        input: of("input_tokens")? + cached_input + cache_write,
        cached_input,
        cache_write,
        output: of("output_tokens")?,
        reasoning: thinking.as_u64().ok_or_else(|| format!("no thinking: {usage}"))?,
    })
}
