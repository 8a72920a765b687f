//! What the provider refuses of a conversation.

use serde_json::Value;

use super::request::ChatRequest;
use crate::profile::{Profile, Quirk};
use crate::reply::Refusal;

const ROLES: &[&str] = &["developer", "system", "user", "assistant", "tool", "function"];

pub fn check(profile: &Profile, request: &ChatRequest<'_>) -> Result<(), Refusal> {
    let messages = request.messages();
    if messages.is_empty() {
        return Err(Refusal::invalid("`messages` must be a list with at least one message").with_param("messages"));
    }
    for (index, message) in messages.iter().enumerate() {
        check_message(profile, message, index)?;
        check_calls(profile, message, index)?;
    }
    check_order(profile, messages)?;
    check_signatures(profile, messages)?;
    let last = messages.iter().rposition(|message| !matches!(role(message), "system" | "developer"));
    if profile.has(Quirk::NeedsUserTurn) && last.is_none() {
        return Err(Refusal::invalid("the contents are empty: there is no user turn").with_param("messages"));
    }
    if let Some(last) = last.filter(|last| profile.has(Quirk::NoPrefill) && role(&messages[*last]) == "assistant") {
        let refusal = Refusal::invalid("this provider does not go on with an assistant message");
        return Err(refusal.with_param(format!("messages[{last}]")));
    }
    let thinks = request.field("thinking").is_none_or(|thinking| thinking["type"] != "disabled");
    let bare = |message: &Value| !calls(message).is_empty() && is_empty(&message["reasoning_content"]);
    if profile.has(Quirk::ReasoningWithCalls) && thinks && messages.iter().any(bare) {
        return Err(Refusal::invalid("the reasoning_content of the thinking mode must be passed back to the API"));
    }
    Ok(())
}

fn check_message(profile: &Profile, message: &Value, index: usize) -> Result<(), Refusal> {
    let param = |part: &str| format!("messages[{index}].{part}");
    let role = role(message);
    if !ROLES.contains(&role) || (role == "developer" && profile.has(Quirk::NoDeveloperRole)) {
        let refusal = Refusal::invalid(format!("`{role}` is not a role this provider knows"));
        return Err(refusal.with_code("invalid_value").with_param(param("role")));
    }
    if let Some(name) = profile.known.messages.and_then(|known| unknown(message, known)) {
        return Err(unknown_parameter(&param(name)));
    }
    let is_strict = profile.known.messages.is_some();
    if is_strict && role == "assistant" && message["content"].is_null() && calls(message).is_empty() {
        let says_more = ["refusal", "audio", "function_call"].iter().any(|name| !message[*name].is_null());
        if !says_more {
            return Err(Refusal::invalid("`content` is required").with_param(param("content")));
        }
    }
    for (at, part) in message["content"].as_array().into_iter().flatten().enumerate() {
        let kind = part["type"].as_str().unwrap_or_default();
        if kind == "image_url" && profile.has(Quirk::NoImages) {
            return Err(Refusal::invalid("this model takes no images").with_param(param("content")));
        }
        let Some(known) = profile.known.parts else { continue };
        let own: Vec<&str> = known.iter().copied().chain(["type"]).collect();
        if role == "tool" && profile.known.results.is_some_and(|known| !known.contains(&kind)) {
            let refusal = Refusal::invalid(format!("a message with role `tool` holds text only, not `{kind}`"));
            return Err(refusal.with_code("invalid_value").with_param(param(&format!("content[{at}]"))));
        }
        if !known.contains(&kind) {
            return Err(unknown_parameter(&param(&format!("content[{at}].type"))));
        }
        if let Some(name) = unknown(part, &own) {
            return Err(unknown_parameter(&param(&format!("content[{at}].{name}"))));
        }
    }
    Ok(())
}

fn check_calls(profile: &Profile, message: &Value, index: usize) -> Result<(), Refusal> {
    let param = |part: &str| format!("messages[{index}].{part}");
    if profile.has(Quirk::NoEmptyLists) && message["tool_calls"].as_array().is_some_and(Vec::is_empty) {
        let refusal = Refusal::invalid("[] is too short: `tool_calls`").with_code("empty_array");
        return Err(refusal.with_param(param("tool_calls")));
    }
    let ids = calls(message).iter().enumerate().map(|(at, call)| (format!("tool_calls[{at}].id"), &call["id"]));
    let ids = ids.chain(message.get("tool_call_id").map(|id| ("tool_call_id".to_owned(), id)));
    for (place, id) in ids {
        let id = id.as_str().unwrap_or_default();
        if profile.has(Quirk::IdsOfForty) && id.chars().count() > 40 {
            let refusal = Refusal::invalid("string too long: an id has 40 characters at most");
            return Err(refusal.with_code("string_above_max_length").with_param(param(&place)));
        }
        if profile.has(Quirk::IdsOfNine) && !(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            return Err(Refusal::invalid("an id must be a-z, A-Z, 0-9, with a length of 9").with_param(param(&place)));
        }
    }
    let Some(known) = profile.known.calls else { return Ok(()) };
    for (at, call) in calls(message).iter().enumerate() {
        if let Some(name) = unknown(call, known) {
            return Err(unknown_parameter(&param(&format!("tool_calls[{at}].{name}"))));
        }
    }
    Ok(())
}

/// Whether a function may have this name.
pub fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

fn check_order(profile: &Profile, messages: &[Value]) -> Result<(), Refusal> {
    if profile.has(Quirk::NoUserAfterTool) {
        for pair in messages.windows(2) {
            let [before, behind] = [&pair[0], &pair[1]].map(role);
            let fits = match behind {
                "user" => before != "tool",
                "system" => before != "tool" && before != "assistant",
                _ => true,
            };
            if !fits {
                return Err(Refusal::invalid(format!("Unexpected role '{behind}' after role '{before}'")));
            }
        }
    }
    let ends_well = messages.last().is_none_or(|last| match role(last) {
        "assistant" => !profile.has(Quirk::PrefixedPrefill) || last["prefix"] == true,
        "system" => !profile.has(Quirk::NoUserAfterTool),
        _ => true,
    });
    if !ends_well {
        return Err(Refusal::invalid("Expected last role User or Tool (or Assistant with prefix True)"));
    }
    Ok(())
}

/// What was called in earlier turns is not looked at.
fn check_signatures(profile: &Profile, messages: &[Value]) -> Result<(), Refusal> {
    if !profile.has(Quirk::ThoughtSignatures) {
        return Ok(());
    }
    let present = messages.iter().rposition(|message| message["role"] == "user").map_or(0, |user| user + 1);
    let signed = |call: &Value| call["extra_content"]["google"]["thought_signature"].is_string();
    for (index, message) in messages.iter().enumerate().skip(present) {
        if calls(message).first().is_some_and(|call| !signed(call)) {
            let refusal = Refusal::invalid("Function call is missing a thought_signature in functionCall parts");
            return Err(refusal.with_param(format!("messages[{index}].tool_calls")));
        }
    }
    Ok(())
}

fn role(message: &Value) -> &str {
    message["role"].as_str().unwrap_or_default()
}

fn calls(message: &Value) -> &[Value] {
    message["tool_calls"].as_array().map_or(&[], Vec::as_slice)
}

fn is_empty(value: &Value) -> bool {
    value.as_str().is_none_or(str::is_empty)
}

/// The first field of an object that is not known.
pub fn unknown<'a>(object: &'a Value, known: &[&str]) -> Option<&'a str> {
    let names = object.as_object()?.keys().map(String::as_str);
    names.into_iter().find(|name| !known.contains(name))
}

pub fn unknown_parameter(param: &str) -> Refusal {
    Refusal::invalid(format!("Unknown parameter: '{param}'"))
        .with_code("unknown_parameter")
        .with_param(param.to_owned())
}
