//! What an answer says: a text, tool calls, or JSON that fits the asked-for schema. Nothing here knows the wire form.

use serde_json::Value;

use super::request::{ChatRequest, text_of};
use crate::simulator::profile::Profile;
use crate::simulator::sample;
use crate::simulator::script::{Fault, Step};

/// How much of a message an answer repeats.
const QUOTED_CHARS: usize = 160;

#[derive(Clone, Debug)]
pub struct Said {
    /// The text as it is streamed, piece by piece; empty when tools are called.
    pub pieces: Vec<String>,
    pub calls: Vec<Call>,
    pub finish_reason: &'static str,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    pub arguments: String,
}

impl Said {
    pub fn text(text: String) -> Self {
        Self { pieces: words(&text), calls: Vec::new(), finish_reason: "stop" }
    }

    fn calls(calls: Vec<Call>) -> Self {
        Self { pieces: Vec::new(), calls, finish_reason: "tool_calls" }
    }
}

/// The answer that the script dictates; `usual` fills what it leaves open.
pub fn dictated(step: &Step, usual: &str) -> Said {
    let shape = &step.shape;
    if let Some(Fault::Huge(bytes)) = step.fault {
        return Said { pieces: vec!["x".repeat(bytes)], ..Said::text(String::new()) };
    }
    if shape.nonsense {
        return Said::text("Hm, hard to say: that looks like a matter of taste to me.".to_owned());
    }
    let text = match (&shape.text, shape.bytes, shape.events) {
        (Some(text), _, _) => text.clone(),
        (None, Some(bytes), _) => "lorem ipsum ".chars().cycle().take(bytes).collect(),
        (None, None, Some(events)) => (1..=events).map(|number| format!("piece{number} ")).collect(),
        (None, None, None) => usual.to_owned(),
    };
    let pieces = match shape.events {
        Some(events) => equal_pieces(&text, events),
        None => words(&text),
    };
    Said { pieces, ..Said::text(String::new()) }
}

/// The answer to a request that nothing is scripted for.
pub fn compose(profile: &Profile, request: &ChatRequest<'_>, call: u64) -> Said {
    let after_tool = request.messages().last().is_some_and(|message| message["role"] == "tool");
    let calls = if after_tool { Vec::new() } else { tool_calls(profile, request, call) };
    if !calls.is_empty() {
        return Said::calls(calls);
    }
    let format = request.field("response_format").map_or(&Value::Null, |format| format);
    match format["type"].as_str() {
        Some("json_schema") => {
            let mark = mark(profile, request, call);
            Said::text(sample::fill(&format["json_schema"]["schema"], &mark).to_string())
        }
        Some("json_object") => {
            Said::text(serde_json::json!({"answer": plain_text(profile, request, call)}).to_string())
        }
        _ => Said::text(plain_text(profile, request, call)),
    }
}

/// Who answers, for which time, and what it heard: no two providers or calls say the same.
pub fn plain_text(profile: &Profile, request: &ChatRequest<'_>, call: u64) -> String {
    let mark = mark(profile, request, call);
    match request.messages().last() {
        Some(message) if message["role"] == "tool" => {
            format!("{mark}: the tool gave \"{}\" and that settles it.", quote(&text_of(&message["content"])))
        }
        _ => format!("{mark}: you said \"{}\" and this is the answer to it.", quote(&request.last_user_text())),
    }
}

/// Applies `stop` and the token limit.
pub fn limit(mut said: Said, request: &ChatRequest<'_>, max_tokens: Option<usize>) -> Said {
    let text = said.pieces.concat();
    let stop = request.stops().into_iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop)).min();
    let most = max_tokens.map(|tokens| text.floor_char_boundary(tokens.saturating_mul(4)));
    let end = stop.unwrap_or(text.len()).min(most.unwrap_or(text.len()));
    if end == text.len() {
        return said;
    }
    if stop != Some(end) {
        said.finish_reason = "length";
    }
    let mut left = end;
    said.pieces.retain_mut(|piece| {
        piece.truncate(left);
        left -= piece.len();
        !piece.is_empty()
    });
    said
}

fn mark(profile: &Profile, request: &ChatRequest<'_>, call: u64) -> String {
    format!("{}/{}, call {call}", profile.name, request.model().unwrap_or_default())
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// Exactly `count` pieces, as equal as characters allow; the last ones are empty if there are too few characters.
fn equal_pieces(text: &str, count: usize) -> Vec<String> {
    let mut rest = text;
    (0..count)
        .map(|index| {
            let left = count - index;
            let end = if left == 1 { rest.len() } else { rest.ceil_char_boundary(rest.len().div_ceil(left)) };
            let (piece, after) = rest.split_at(end);
            rest = after;
            piece.to_owned()
        })
        .collect()
}

/// The calls this request asks for: those forced by `tool_choice`, else the tools that the last user message names.
/// The word "twice" doubles the first.
fn tool_calls(profile: &Profile, request: &ChatRequest<'_>, call: u64) -> Vec<Call> {
    let functions: Vec<&Value> =
        request.tools().iter().filter(|tool| tool["type"] == "function").map(|tool| &tool["function"]).collect();
    let named = |name: &Value| functions.iter().copied().find(|function| function["name"] == *name);
    let message = request.last_user_text().to_lowercase();
    let mentioned: Vec<&Value> = functions.iter().copied().filter(|function| mentions(&message, function)).collect();
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
    let mark = mark(profile, request, call);
    let calls = chosen.into_iter().map(|function| Call {
        name: function["name"].as_str().unwrap_or_default().to_owned(),
        arguments: sample::fill(&function["parameters"], &mark).to_string(),
    });
    calls.collect()
}

fn mentions(message: &str, function: &Value) -> bool {
    let name = function["name"].as_str().unwrap_or_default().to_lowercase();
    !name.is_empty() && (message.contains(&name) || message.contains(&name.replace('_', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pieces_keep_the_text_and_the_count() {
        for (text, count) in [("abcdefg", 3), ("äöü", 2), ("ab", 5), ("", 2), ("word", 1)] {
            let pieces = equal_pieces(text, count);
            assert_eq!(pieces.len(), count, "{text}");
            assert_eq!(pieces.concat(), text, "{text}");
        }
    }
}
