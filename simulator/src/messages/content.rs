//! What a request is answered with: a text, tool calls, or JSON that fits the asked-for schema; and what is thought first.

use serde_json::Value;

use super::request::MessagesRequest;
use crate::profile::Profile;
use crate::said::{Call, Said};
use crate::sample;
use crate::task;

/// How much of a message an answer repeats.
const QUOTED_CHARS: usize = 160;

/// The answer to a request that nothing is scripted for.
pub fn compose(profile: &Profile, request: &MessagesRequest<'_>, call: u64) -> Said {
    let has_tool = |name: &str| request.tools().iter().any(|tool| tool["name"] == name);
    let is_free = matches!(request.choice(), None | Some("auto"));
    if let Some(said) = is_free.then(|| task::next(&request.history(), &request.last_user_text(), has_tool)).flatten() {
        return said;
    }
    let calls = tool_calls(profile, request, call);
    if !calls.is_empty() {
        return Said::calls(calls);
    }
    match request.wanted_schema() {
        Some(schema) => Said::text(&sample::fill(&schema, &mark(profile, request, call)).to_string()),
        None => Said::text(&plain_text(profile, request, call)),
    }
}

/// Who answers, for which time, and what it heard: no two providers or calls say the same.
pub fn plain_text(profile: &Profile, request: &MessagesRequest<'_>, call: u64) -> String {
    let mark = mark(profile, request, call);
    let results: Vec<String> = request.last_results().collect();
    if results.is_empty() {
        return format!("{mark}: you said \"{}\" and this is the answer to it.", quote(&request.last_user_text()));
    }
    format!("{mark}: the tool gave \"{}\" and that settles it.", quote(&results.join("\" and \"")))
}

pub fn thought(profile: &Profile, request: &MessagesRequest<'_>, call: u64) -> String {
    format!("{}: let me think about \"{}\".", mark(profile, request, call), quote(&request.last_user_text()))
}

/// Arguments that fit the input of a tool of the request; none for a tool that it does not have.
pub fn arguments(profile: &Profile, request: &MessagesRequest<'_>, call: u64, name: &str) -> String {
    let tool = request.tools().iter().find(|tool| tool["name"] == name);
    let schema = tool.map_or(&Value::Null, |tool| &tool["input_schema"]);
    sample::fill(schema, &mark(profile, request, call)).to_string()
}

/// The calls this request asks for: those forced by `tool_choice`, else the tools that the last user message names, unless
/// something has been said or done about it. The word "twice" doubles the first.
fn tool_calls(profile: &Profile, request: &MessagesRequest<'_>, call: u64) -> Vec<Call> {
    let message = request.last_user_text().to_lowercase();
    let names: Vec<&str> = request.tools().iter().filter_map(|tool| tool["name"].as_str()).collect();
    let is_asked = task::is_asked(&request.history());
    let mentioned: Vec<&str> =
        names.iter().copied().filter(|name| is_asked && task::mentions(&message, name)).collect();
    let mut chosen = match request.choice() {
        Some("none") => Vec::new(),
        Some("tool") => request.field("tool_choice").and_then(|choice| choice["name"].as_str()).into_iter().collect(),
        Some("any") if mentioned.is_empty() => names.first().copied().into_iter().collect(),
        _ => mentioned,
    };
    if let Some(first) = chosen.first().copied().filter(|_| message.contains("twice")) {
        chosen.insert(0, first);
    }
    if request.field("tool_choice").is_some_and(|choice| choice["disable_parallel_tool_use"] == true) {
        chosen.truncate(1);
    }
    chosen.into_iter().map(|name| Call::new(name, &arguments(profile, request, call, name))).collect()
}

fn mark(profile: &Profile, request: &MessagesRequest<'_>, call: u64) -> String {
    format!("{}/{}, call {call}", profile.name, request.model().unwrap_or_default())
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}
