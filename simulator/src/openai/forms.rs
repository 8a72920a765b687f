//! The forms of tools, choices and calls that a provider with nothing but functions refuses.

use serde_json::Value;

use super::history::unknown_parameter;
use super::request::ChatRequest;
use crate::profile::{Profile, Quirk};
use crate::reply::Refusal;

pub fn check(profile: &Profile, request: &ChatRequest<'_>) -> Result<(), Refusal> {
    if profile.has(Quirk::ToolParameters) {
        let bare = |tool: &Value| tool["function"].is_object() && tool["function"]["parameters"].is_null();
        if let Some(at) = request.tools().iter().position(bare) {
            let refusal = Refusal::invalid("Field required").with_code("missing");
            return Err(refusal.with_param(format!("tools[{at}].function.parameters")));
        }
    }
    if !profile.has(Quirk::FunctionToolsOnly) {
        return check_results(request);
    }
    if let Some(name) = ["functions", "function_call"].into_iter().find(|name| request.field(name).is_some()) {
        return Err(unknown_parameter(name));
    }
    if let Some(at) = request.tools().iter().position(|tool| tool["type"] == "custom") {
        return Err(other_kind(&format!("tools[{at}].type")));
    }
    let choice = request.field("tool_choice").map(|choice| &choice["type"]);
    if choice.is_some_and(|kind| kind == "custom" || kind == "allowed_tools") {
        return Err(other_kind("tool_choice.type"));
    }
    request.messages().iter().enumerate().try_for_each(|(at, message)| check_message(message, at))
}

/// Results of the older form are no lists.
fn check_results(request: &ChatRequest<'_>) -> Result<(), Refusal> {
    let is_list = |message: &Value| message["role"] == "function" && message["content"].is_array();
    let Some(at) = request.messages().iter().position(is_list) else { return Ok(()) };
    let refusal = Refusal::invalid("a message with role `function` holds a string").with_code("invalid_type");
    Err(refusal.with_param(format!("messages[{at}].content")))
}

fn check_message(message: &Value, at: usize) -> Result<(), Refusal> {
    if message["role"] == "function" {
        return Err(other_kind(&format!("messages[{at}].role")));
    }
    if !message["function_call"].is_null() {
        return Err(unknown_parameter(&format!("messages[{at}].function_call")));
    }
    let mut calls = message["tool_calls"].as_array().into_iter().flatten();
    match calls.position(|call| call["type"] == "custom" || !call["custom"].is_null()) {
        Some(call) => Err(other_kind(&format!("messages[{at}].tool_calls[{call}].type"))),
        None => Ok(()),
    }
}

fn other_kind(param: &str) -> Refusal {
    Refusal::invalid(format!("`{param}` is not a kind that this provider knows"))
        .with_code("invalid_value")
        .with_param(param.to_owned())
}
