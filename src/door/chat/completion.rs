//! A whole answer for a chat client: what was gathered in, a chat completion out. Texts pass from JSON to JSON.

use crate::door::chat::answer::unknown_id;
use crate::door::chat::gathered::{Gathered, GatheredCall, GatheredChoice, GatheredFinish};
use crate::door::chat::reasoning;
use crate::wire::call::CallKind;
use crate::wire::joined::write_member;
use crate::wire::json::JsonString;

/// The fields of a message that have their place here; one that came in a form that nobody knows stands in it as it came.
const READ: [&str; 6] = ["content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call"];

/// Appends the body that the client gets to `out`.
pub fn write(gathered: Gathered, out: &mut Vec<u8>) {
    let Gathered { id, model, created, choices, usage, fields, .. } = gathered;
    let created = created.unwrap_or_default();
    let id = id.unwrap_or_else(|| unknown_id(created));
    let model = model.as_deref().unwrap_or("\"\"");
    let head = format!(r#"{{"id":{id},"object":"chat.completion","created":{created},"model":{model},"choices":["#);
    out.extend_from_slice(head.as_bytes());
    let mut is_first = true;
    for mut choice in choices {
        // One that has not finished has said nothing.
        let Some(finish) = choice.finish.take() else { continue };
        if !std::mem::replace(&mut is_first, false) {
            out.push(b',');
        }
        write_choice(choice, &finish, out);
    }
    out.push(b']');
    if let Some(usage) = usage {
        write_field("usage", &usage, out);
    }
    fields.iter().for_each(|(name, value)| write_field(name, value, out));
    out.push(b'}');
}

fn write_choice(mut choice: GatheredChoice, finish: &GatheredFinish, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(r#"{{"index":{},"message":{{"role":"assistant""#, choice.number).as_bytes());
    write_message(&mut choice, finish, out);
    out.extend_from_slice(br#"},"logprobs":"#);
    match choice.fields.get("logprobs").filter(|_| choice.logprobs.is_empty()) {
        Some(other) => out.extend_from_slice(other.as_bytes()),
        None => write_logprobs(&choice, out),
    }
    let others = choice.fields.iter().filter(|(name, _)| *name != "logprobs");
    others.for_each(|(name, value)| write_field(name, value, out));
    write_field("finish_reason", JsonString::encode(&finish.word).get(), out);
    out.push(b'}');
}

fn write_message(choice: &mut GatheredChoice, finish: &GatheredFinish, out: &mut Vec<u8>) {
    write_content(choice, finish, out);
    let other = |name: &str| choice.message_fields.get(name);
    let why = finish.explanation.as_deref();
    match &choice.refusal {
        Some(refusal) => write_text("refusal", refusal, out),
        None => write_field("refusal", why.or(other("refusal")).unwrap_or("null"), out),
    }
    for (name, text) in [("reasoning_content", &choice.reasoning), ("reasoning", &choice.reasoning_alias)] {
        match (text.as_deref().filter(|text| !text.is_empty()), other(name)) {
            (Some(text), _) => write_text(name, text, out),
            (None, Some(other)) => write_field(name, other, out),
            (None, None) => {}
        }
    }
    if !choice.details.is_empty() {
        write_name(reasoning::FIELD, out);
        choice.details.write(out);
    }
    write_calls(choice, out);
    let is_read = |name: &str| READ.contains(&name) || (name == reasoning::FIELD && !choice.details.is_empty());
    let others = choice.message_fields.iter().filter(|(name, _)| !is_read(name));
    others.for_each(|(name, value)| write_field(name, value, out));
}

fn write_content(choice: &mut GatheredChoice, finish: &GatheredFinish, out: &mut Vec<u8>) {
    if !choice.parts.is_empty() {
        choice.end_text();
        return write_field("content", &format!("[{}]", choice.parts.join(",")), out);
    }
    let is_refused = choice.refusal.is_some() || finish.explanation.is_some();
    match &choice.text {
        Some(text) => write_text("content", text, out),
        // A client that reads the content of an answer without calls expects text, if only an empty one.
        None if choice.calls.is_empty() && !is_refused => write_text("content", "", out),
        None => write_field("content", "null", out),
    }
}

/// The calls in both shapes: of the older one a message has one.
fn write_calls(choice: &GatheredChoice, out: &mut Vec<u8>) {
    let (older, newer): (Vec<_>, Vec<_>) = choice.calls.iter().partition(|call| call.kind == CallKind::Legacy);
    for (position, call) in newer.iter().enumerate() {
        match position {
            0 => out.extend_from_slice(br#","tool_calls":["#),
            _ => out.push(b','),
        }
        write_call(call, out);
    }
    match (newer.is_empty(), choice.message_fields.get("tool_calls")) {
        (false, _) => out.push(b']'),
        (true, Some(other)) => write_field("tool_calls", other, out),
        (true, None) => {}
    }
    match (older.first(), choice.message_fields.get("function_call")) {
        (Some(call), _) => {
            write_name("function_call", out);
            write_tool(call, out);
        }
        (None, Some(other)) => write_field("function_call", other, out),
        (None, None) => {}
    }
}

fn write_call(call: &GatheredCall, out: &mut Vec<u8>) {
    let kind = if call.kind == CallKind::Custom { "custom" } else { "function" };
    let id = call.id.as_deref().unwrap_or("null");
    out.extend_from_slice(format!(r#"{{"id":{id},"type":"{kind}","{kind}":"#).as_bytes());
    write_tool(call, out);
    call.fields.iter().for_each(|(name, value)| write_field(name, value, out));
    out.push(b'}');
}

fn write_tool(call: &GatheredCall, out: &mut Vec<u8>) {
    let input = if call.kind == CallKind::Custom { "input" } else { "arguments" };
    let name = call.name.as_deref().unwrap_or("\"\"");
    out.extend_from_slice(format!(r#"{{"name":{name}"#).as_bytes());
    write_text(input, &call.input, out);
    out.push(b'}');
}

/// The lists that OpenAI's API names are there if any is.
fn write_logprobs(choice: &GatheredChoice, out: &mut Vec<u8>) {
    if choice.logprobs.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    out.push(b'{');
    choice.logprobs.write(out);
    for name in ["content", "refusal"].into_iter().filter(|name| choice.logprobs.get(name).is_none()) {
        write_field(name, "null", out);
    }
    out.push(b'}');
}

/// Appends a member that others stand before.
fn write_field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_member(name, value, out);
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
}

/// Appends a text, whose JSON has this inside.
fn write_text(name: &str, inside: &str, out: &mut Vec<u8>) {
    write_name(name, out);
    out.push(b'"');
    out.extend_from_slice(inside.as_bytes());
    out.push(b'"');
}
