//! The rules of a conversation: who speaks first and last, that each tool call is answered where it must be, and that
//! thinking comes back as it was given.

use std::borrow::Cow;

use serde_json::Value;

use super::request::{MessagesRequest, NEWEST_VERSION, Turn};
use crate::profile::{Model, Thinking};
use crate::reply::Refusal;

type Placed<'a> = (usize, usize, Cow<'a, Value>);

pub fn check(model: &Model, request: &MessagesRequest<'_>, version: &str) -> Result<(), Refusal> {
    check_contents(request)?;
    let turns = request.turns();
    for turn in &turns {
        check_blocks(turn, version)?;
    }
    if turns.iter().any(|turn| turn.role == "system") && !model.claude.system_turns {
        let message = format!("messages: role 'system' is not supported by `{}`; use the top-level `system`", model.id);
        return Err(Refusal::invalid(message));
    }
    if turns.first().is_some_and(|turn| turn.role != "user") {
        return Err(Refusal::invalid("messages: first message must use the \"user\" role"));
    }
    check_system(&turns)?;
    check_calls(&turns)?;
    check_thinking(model, request, &turns)?;
    check_prefill(model, request)
}

/// No content is empty but that of an assistant message at the end, and of a system message that only sets what holds from there on.
fn check_contents(request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let last = request.messages().len() - 1;
    for (at, message) in request.messages().iter().enumerate() {
        let content = &message["content"];
        let is_empty = content.as_array().is_some_and(Vec::is_empty)
            || content.as_str().is_some_and(|text| text.trim().is_empty());
        let may_be_empty = match message["role"].as_str() {
            Some("assistant") => at == last,
            Some("system") => message["output_config"].is_object(),
            _ => false,
        };
        if is_empty && !may_be_empty {
            return Err(Refusal::invalid(format!(
                "messages.{at}: all messages must have non-empty content except for the optional final assistant message"
            )));
        }
    }
    Ok(())
}

/// What the newest version takes no longer.
fn check_blocks(turn: &Turn<'_>, version: &str) -> Result<(), Refusal> {
    for (at, nth, block) in turn.blocks.iter().filter(|_| version == NEWEST_VERSION) {
        let problem = match turn.role {
            "assistant" if block["type"] == "document" => "document blocks are not permitted in assistant turns",
            "user" if block["type"] == "text" && !block["citations"].is_null() => "citations are not permitted here",
            _ => continue,
        };
        return Err(Refusal::invalid(format!("messages.{at}.content.{nth}: {problem} in {version}")));
    }
    Ok(())
}

/// A system message stands behind a user turn, and at the end or before an answer.
fn check_system(turns: &[Turn<'_>]) -> Result<(), Refusal> {
    for (index, turn) in turns.iter().enumerate().filter(|(_, turn)| turn.role == "system") {
        let follows_user = index.checked_sub(1).is_some_and(|before| turns[before].role == "user");
        let is_followed_well = turns.get(index + 1).is_none_or(|next| next.role == "assistant");
        if !follows_user || !is_followed_well {
            let at = turn.blocks.first().map_or(0, |(at, ..)| *at);
            return Err(Refusal::invalid(format!(
                "messages.{at}: a `system` message must follow a user message, and be the last or precede an assistant message"
            )));
        }
    }
    Ok(())
}

/// The results that answer the calls of a turn stand at the very beginning of the next one.
fn check_calls(turns: &[Turn<'_>]) -> Result<(), Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    for (index, turn) in turns.iter().enumerate() {
        let calls: Vec<&Placed<'_>> = of_type(turn, "tool_use").collect();
        for (at, nth, call) in calls.iter().copied() {
            let id = call["id"].as_str().unwrap_or_default();
            if seen.contains(&id) {
                return Err(Refusal::invalid(format!("messages.{at}.content.{nth}: `tool_use` ids must be unique")));
            }
            seen.push(id);
        }
        let results: Vec<&Placed<'_>> =
            turns.get(index + 1).map(|next| of_type(next, "tool_result").collect()).unwrap_or_default();
        let unanswered: Vec<&str> = calls
            .iter()
            .filter(|(.., call)| !results.iter().any(|(.., result)| result["tool_use_id"] == call["id"]))
            .filter_map(|(.., call)| call["id"].as_str())
            .collect();
        if let (Some((at, ..)), false) = (calls.last(), unanswered.is_empty()) {
            return Err(Refusal::invalid(format!(
                "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
                 `tool_use` block must have a corresponding `tool_result` block in the next message.",
                unanswered.join(", ")
            )));
        }
        check_results(turn, index.checked_sub(1).and_then(|before| turns.get(before)))?;
    }
    Ok(())
}

fn check_results(turn: &Turn<'_>, before: Option<&Turn<'_>>) -> Result<(), Refusal> {
    let results: Vec<&Placed<'_>> = of_type(turn, "tool_result").collect();
    for (number, (at, nth, result)) in results.iter().enumerate() {
        let id = &result["tool_use_id"];
        let refuse = |problem: String| Err(Refusal::invalid(format!("messages.{at}.content.{nth}: {problem}")));
        if !before.is_some_and(|before| of_type(before, "tool_use").any(|(.., call)| call["id"] == *id)) {
            return refuse(format!(
                "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a \
                 corresponding `tool_use` block in the previous message."
            ));
        }
        if results[..number].iter().any(|(.., other)| other["tool_use_id"] == *id) {
            return refuse(format!(
                "each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
            ));
        }
        if turn.blocks[number].2["type"] != "tool_result" {
            return refuse("`tool_result` blocks must come first in their message".to_owned());
        }
    }
    Ok(())
}

fn check_thinking(model: &Model, request: &MessagesRequest<'_>, turns: &[Turn<'_>]) -> Result<(), Refusal> {
    for turn in turns {
        let last = turn.blocks.last().filter(|(.., block)| turn.role == "assistant" && block["type"] == "thinking");
        if let Some((at, ..)) = last {
            let message = format!("messages.{at}: The final block in an assistant message cannot be `thinking`.");
            return Err(Refusal::invalid(message));
        }
    }
    let last = turns.iter().rfind(|turn| turn.role == "assistant");
    let thought = last.and_then(|turn| of_type(turn, "thinking").chain(of_type(turn, "redacted_thinking")).next());
    if let (Some((at, nth, _)), false) = (thought, request.thinks(model)) {
        return Err(Refusal::invalid(format!(
            "messages.{at}.content.{nth}.type: When thinking is disabled, an `assistant` message in the final position cannot \
             contain `thinking`. To use thinking blocks, enable `thinking` in your request."
        )));
    }
    // In a loop of tools, manual thinking wants the blocks back that came before the call.
    let [.., calling, answering] = turns else { return Ok(()) };
    let is_loop = of_type(answering, "tool_result").next().is_some();
    let first = calling.blocks.first().map_or(&Value::Null, |(.., block)| &block["type"]);
    let is_manual = request.thinking() == Some("enabled") && model.claude.thinking != Thinking::Any;
    if is_manual && is_loop && *first != "thinking" && *first != "redacted_thinking" {
        let at = calling.blocks.first().map_or(0, |(at, ..)| *at);
        return Err(Refusal::invalid(format!(
            "messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found {first}. When `thinking` is \
             enabled, a final `assistant` message must start with a thinking block."
        )));
    }
    Ok(())
}

fn check_prefill(model: &Model, request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let Some(prefill) = request.prefill() else {
        return Ok(());
    };
    if !model.claude.prefill || request.thinking() == Some("enabled") {
        let problem = "does not support assistant message prefill. The conversation must end with a user message.";
        return Err(Refusal::invalid(format!("messages: `{}` {problem}", model.id)));
    }
    if request.output_schema().is_some() {
        return Err(Refusal::invalid("output_config.format: is incompatible with assistant message prefill"));
    }
    if prefill.ends_with(char::is_whitespace) {
        return Err(Refusal::invalid("messages: final assistant content cannot end with trailing whitespace"));
    }
    Ok(())
}

fn of_type<'a>(turn: &'a Turn<'a>, kind: &'a str) -> impl Iterator<Item = &'a Placed<'a>> {
    turn.blocks.iter().filter(move |(.., block)| block["type"] == kind)
}
