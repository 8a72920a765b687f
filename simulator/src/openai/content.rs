//! What a request is answered with: a text, tool calls, or JSON that fits the asked-for schema.

use serde_json::Value;

use super::request::ChatRequest;
use crate::profile::Profile;
use crate::said::{Call, Said};
use crate::sample;
use crate::task;

/// How much of a message an answer repeats.
const QUOTED_CHARS: usize = 160;

/// The answer to a request that nothing is scripted for.
pub fn compose(profile: &Profile, request: &ChatRequest<'_>, call: u64) -> Said {
    let has_tool = |name: &str| request.tools().iter().any(|tool| tool["function"]["name"] == name);
    let is_free = request.field("tool_choice").is_none_or(|choice| choice == "auto");
    if let Some(said) = is_free.then(|| task::next(&request.history(), &request.last_user_text(), has_tool)).flatten() {
        return said;
    }
    let calls = match request.last_result() {
        Some(_) => Vec::new(),
        None => tool_calls(profile, request, call),
    };
    if !calls.is_empty() {
        return Said::calls(calls);
    }
    let format = request.field("response_format").map_or(&Value::Null, |format| format);
    match format["type"].as_str() {
        Some("json_schema") => {
            let mark = mark(profile, request, call);
            Said::text(&sample::fill(&format["json_schema"]["schema"], &mark).to_string())
        }
        Some("json_object") => {
            Said::text(&serde_json::json!({"answer": plain_text(profile, request, call)}).to_string())
        }
        _ => Said::text(&plain_text(profile, request, call)),
    }
}

/// Who answers, for which time, and what it heard: no two providers or calls say the same.
pub fn plain_text(profile: &Profile, request: &ChatRequest<'_>, call: u64) -> String {
    let mark = mark(profile, request, call);
    match request.last_result() {
        Some(result) => format!("{mark}: the tool gave \"{}\" and that settles it.", quote(&result)),
        None => format!("{mark}: you said \"{}\" and this is the answer to it.", quote(&request.last_user_text())),
    }
}

fn mark(profile: &Profile, request: &ChatRequest<'_>, call: u64) -> String {
    format!("{}/{}, call {call}", profile.name, request.model().unwrap_or_default())
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}

/// The calls this request asks for: those forced by `tool_choice`, else the tools that the last user message names.
/// The word "twice" doubles the first.
fn tool_calls(profile: &Profile, request: &ChatRequest<'_>, call: u64) -> Vec<Call> {
    let functions: Vec<&Value> =
        request.tools().iter().filter(|tool| tool["type"] == "function").map(|tool| &tool["function"]).collect();
    let named = |name: &Value| functions.iter().copied().find(|function| function["name"] == *name);
    let message = request.last_user_text().to_lowercase();
    let is_asked = task::is_asked(&request.history());
    let mentioned: Vec<&Value> =
        functions.iter().copied().filter(|function| is_asked && mentions(&message, function)).collect();
    let forced = |mode: &str| match (mode, mentioned.is_empty()) {
        ("none", _) => Vec::new(),
        ("required", true) => functions.first().copied().into_iter().collect(),
        _ => mentioned.clone(),
    };
    let mut chosen = match request.field("tool_choice") {
        None => forced("auto"),
        Some(Value::String(mode)) => forced(mode),
        Some(choice) if choice["type"] == "function" => named(&choice["function"]["name"]).into_iter().collect(),
        Some(choice) => {
            let allowed = &choice["allowed_tools"];
            let first = allowed["tools"].get(0).and_then(|tool| named(&tool["function"]["name"]));
            if allowed["mode"] == "required" { first.into_iter().collect() } else { mentioned.clone() }
        }
    };
    if let Some(first) = chosen.first().copied().filter(|_| message.contains("twice")) {
        chosen.insert(0, first);
    }
    if request.field("parallel_tool_calls") == Some(&Value::Bool(false)) {
        chosen.truncate(1);
    }
    let names = chosen.into_iter().map(|function| function["name"].as_str().unwrap_or_default());
    names.map(|name| Call::new(name, &arguments(profile, request, call, name))).collect()
}

/// Arguments that fit the parameters of a tool of the request; none for a tool that it does not have.
pub fn arguments(profile: &Profile, request: &ChatRequest<'_>, call: u64, name: &str) -> String {
    let function = request.tools().iter().map(|tool| &tool["function"]).find(|function| function["name"] == name);
    let parameters = function.map_or(&Value::Null, |function| &function["parameters"]);
    sample::fill(parameters, &mark(profile, request, call)).to_string()
}

fn mentions(message: &str, function: &Value) -> bool {
    task::mentions(message, function["name"].as_str().unwrap_or_default())
}
