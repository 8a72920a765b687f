//! What a request may hold only with the name of a beta in `anthropic-beta`, and betas that a script refuses.

use axum::http::HeaderMap;
use serde_json::Value;

use crate::reply::{Asked, Refusal};

/// Names without their dates.
const CONTEXT_MANAGEMENT: &[&str] = &["context-management-"];
const BLOCK_BINDING: &[&str] = &["thinking-binding-controls-"];
const DISPLAY_UPDATES: &[&str] = &["thinking-display-updates-"];
const TURN_CONFIG: &[&str] = &["per-turn-control-", "mid-conversation-output-config-"];
const TOOL_CHANGES: &[&str] = &["mid-conversation-tool-changes-"];
const THREADS: &[&str] = &["message-threads-"];

/// The code of an error that makes clients go on without a conversation that the server holds.
pub const NO_THREADS: &str = "thread_unsupported_request";

pub fn check(asked: &Asked<'_>, body: &Value) -> Result<(), Refusal> {
    let headers = &asked.request.headers;
    if let Some(beta) = asked.step.refused_beta.as_deref().filter(|beta| named(headers).any(|named| named == *beta)) {
        return Err(Refusal::invalid(format!(
            "Unexpected value(s) `{beta}` for the `anthropic-beta` header. Please consult our documentation at \
             platform.claude.com/docs or try again without the header."
        )));
    }
    for (place, betas) in places(body) {
        if !named(headers).any(|named| betas.iter().any(|beta| named.starts_with(beta))) {
            return Err(Refusal::invalid(format!("{place}: Extra inputs are not permitted")));
        }
    }
    match &body["thread"] {
        Value::Null => Ok(()),
        // No conversation is held here, as behind the API where a request cannot be held.
        _ => Err(Refusal::invalid("thread: this request cannot be held in a thread").with_code(NO_THREADS)),
    }
}

/// The values of all headers of that name, which are lists.
fn named(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all("anthropic-beta").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Each place of the body that needs a beta, with the names of those that take it.
fn places(body: &Value) -> Vec<(String, &'static [&'static str])> {
    let mut places = Vec::new();
    if !body["context_management"].is_null() {
        places.push(("context_management".to_owned(), CONTEXT_MANAGEMENT));
    }
    if !body["thinking"]["block_binding"].is_null() {
        places.push(("thinking.block_binding".to_owned(), BLOCK_BINDING));
    }
    if body["thinking"]["display"] == "updates" {
        places.push(("thinking.display".to_owned(), DISPLAY_UPDATES));
    }
    if !body["thread"].is_null() {
        places.push(("thread".to_owned(), THREADS));
    }
    for (at, message) in body["messages"].as_array().into_iter().flatten().enumerate() {
        if !message["output_config"].is_null() {
            places.push((format!("messages.{at}.output_config"), TURN_CONFIG));
        }
        let blocks = message["content"].as_array().into_iter().flatten().enumerate();
        let changes = blocks.filter(|(_, block)| block["type"] == "tool_addition" || block["type"] == "tool_removal");
        places.extend(changes.map(|(nth, _)| (format!("messages.{at}.content.{nth}"), TOOL_CHANGES)));
    }
    places
}
