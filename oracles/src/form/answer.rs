//! What a whole answer of Chat Completions says.

use serde_json::Value;

use super::{items, object, others, parsed};

/// The form of an answer.
pub fn of(body: &Value) -> Value {
    let choices = items(&body["choices"]);
    let choice = choices.first().unwrap_or(&Value::Null);
    let message = &choice["message"];
    object([
        ("id", body["id"].clone()),
        ("model", body["model"].clone()),
        ("choices", if choices.len() == 1 { Value::Null } else { choices.len().into() }),
        ("text", text(&message["content"])),
        ("refusal", message["refusal"].clone()),
        ("reasoning", message["reasoning_content"].clone()),
        ("calls", items(&message["tool_calls"]).iter().map(call).collect()),
        ("function", function(&message["function_call"])),
        ("finish", choice["finish_reason"].clone()),
        ("usage", usage(&body["usage"])),
        ("message", others(message, &MESSAGE)),
        ("error", body["error"].clone()),
    ])
}

const MESSAGE: [&str; 6] = ["role", "content", "refusal", "reasoning_content", "tool_calls", "function_call"];

fn text(content: &Value) -> Value {
    match content {
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>().into(),
        _ => content.clone(),
    }
}

fn call(call: &Value) -> Value {
    let kind = call["type"].as_str().unwrap_or("function");
    object([
        ("id", call["id"].clone()),
        ("custom", (kind == "custom").into()),
        ("name", call[kind]["name"].clone()),
        ("arguments", parsed(&call[kind]["arguments"])),
        ("input", call[kind]["input"].clone()),
    ])
}

fn function(call: &Value) -> Value {
    object([("name", call["name"].clone()), ("arguments", parsed(&call["arguments"]))])
}

/// The counts; none is the same as zero.
fn usage(usage: &Value) -> Value {
    let count = |value: &Value| if *value == 0 { Value::Null } else { value.clone() };
    let (input, output) = (&usage["prompt_tokens_details"], &usage["completion_tokens_details"]);
    object([
        ("input", count(&usage["prompt_tokens"])),
        ("output", count(&usage["completion_tokens"])),
        ("total", count(&usage["total_tokens"])),
        ("cached", count(&input["cached_tokens"])),
        ("cache_write", count(&input["cache_write_tokens"])),
        ("reasoning", count(&output["reasoning_tokens"])),
    ])
}
