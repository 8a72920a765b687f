//! What a client of the Messages API sends: its requests, and what it keeps of answers.

use serde_json::{Value, json};
use tiergate::wire::seal::is_token;

use super::script::{Content, Exchange, FILES, Form, MessagesClient, Part, Script, Speaker, Tool, ToolKind};

/// What Claude Code writes before its system prompt; it says nothing to a model.
const ATTRIBUTION: &str = "x-anthropic-billing-header: cc_version=2.1.332;";
/// How many ways there are to change a thought, beside leaving it as it is.
const WAYS: usize = 7;

/// The client's request for an answer to these messages.
pub fn request(script: &Script, exchange: &Exchange, messages: &[Value]) -> Value {
    let mark = json!({"type": "ephemeral"});
    let mut system = vec![json!({"type": "text", "text": ATTRIBUTION})];
    let opening = script.opening.iter().flat_map(|spoken| blocks(&spoken.content));
    system.extend(opening);
    let mut tools: Vec<Value> = script.tools.iter().map(tool).collect();
    let mut messages = messages.to_vec();
    // A mark that moves on with the conversation, and two that stay.
    let last = messages.last_mut().and_then(|last| last["content"].as_array_mut()).and_then(|blocks| blocks.last_mut());
    for block in [system.last_mut(), tools.last_mut(), last].into_iter().flatten() {
        block["cache_control"] = mark.clone();
    }
    let mut request = json!({
        "model": "auto", "max_tokens": 4000, "system": system, "messages": messages, "tools": tools,
        "tool_choice": {"type": "auto"}, "metadata": {"user_id": "someone"},
    });
    match exchange.effort {
        Some("none") => request["thinking"] = json!({"type": "disabled"}),
        Some("low") => request["thinking"] = json!({"type": "enabled", "budget_tokens": 2000}),
        Some(effort) => {
            request["thinking"] = json!({"type": "adaptive"});
            request["output_config"] = json!({"effort": effort});
        }
        None => {}
    }
    if exchange.wire.form == Form::Streamed {
        request["stream"] = json!(true);
    }
    request
}

/// The turns that stand before an answer: the results of the last one's calls and what is said, then what the system says.
pub fn turns(exchange: &Exchange, answered: &Value) -> Vec<Value> {
    let calls: Vec<&Value> =
        answered["content"].as_array().into_iter().flatten().filter(|block| is(block, "tool_use")).collect();
    let result = |(number, (call, content)): (usize, (&&Value, &Content))| {
        let mut result = json!({"type": "tool_result", "tool_use_id": call["id"]});
        match content {
            Content::Text(text) => result["content"] = json!(text),
            Content::Parts(_) => result["content"] = json!(blocks(content)),
        }
        if number % 3 == 1 {
            result["is_error"] = json!(true);
        }
        result
    };
    let mut said: Vec<Value> = calls.iter().zip(exchange.results.iter().cycle()).enumerate().map(result).collect();
    assert_eq!(said.len(), calls.len(), "each call should have its result");
    let first = exchange.first_result % said.len().max(1);
    said.rotate_left(first);
    let (above, users): (Vec<_>, Vec<_>) =
        exchange.spoken.iter().partition(|spoken| matches!(spoken.speaker, Speaker::System | Speaker::Developer));
    said.extend(users.into_iter().flat_map(|spoken| blocks(&spoken.content)));
    if said.is_empty() {
        said.push(json!({"type": "text", "text": "Go on."}));
    }
    let mut turns = vec![json!({"role": "user", "content": said})];
    let above = above.into_iter().flat_map(|spoken| blocks(&spoken.content));
    turns.extend(above.map(|block| json!({"role": "system", "content": [block]})));
    turns.extend(exchange.begun.iter().map(|text| json!({"role": "assistant", "content": text})));
    turns
}

/// What a client can know of an answer beside what it got.
pub struct Known<'k> {
    pub station: &'k str,
    /// The number of its first thought in the conversation.
    pub thought: usize,
    /// What the provider gave with its thought.
    pub state: Option<&'k str>,
    /// Another gateway's token for the same, and one of another model's.
    pub foreign: [Option<String>; 2],
}

impl MessagesClient {
    /// Whether it knows this station's model from elsewhere.
    pub fn unseals(self, station: &str) -> bool {
        matches!(self, Self::Unseals(known) if known == station)
    }

    /// What the client keeps of an answer; of one that says nothing most keep a word, as Claude Code does, since the API takes no
    /// empty message.
    pub fn keep(self, answered: &Value, known: &Known<'_>) -> Value {
        let mut number = known.thought;
        let mut content = answered["content"].as_array().expect("blocks").clone();
        match self {
            Self::Echoes => {}
            Self::Cleans => content.retain(|block| {
                let is_blank = is(block, "text") && block["text"].as_str().is_none_or(|text| text.trim().is_empty());
                !is_blank && (!is(block, "thinking") || block["signature"] != "")
            }),
            Self::DropsThoughts => {
                content.retain(|block| !is(block, "thinking") && !is(block, "redacted_thinking"));
            }
            Self::Forges(seed) => content.iter_mut().enumerate().for_each(|(at, block)| forge(block, seed + at, known)),
            Self::Unseals(station) => {
                let state = known.state.filter(|_| station == known.station);
                if let (Some(state), Some((name, block))) = (state, content.first_mut().and_then(state_of)) {
                    block[name] = json!(state);
                }
            }
            Self::Searches => {
                let at = number % (content.len() + 1);
                content.splice(at..at, searches(number));
            }
            Self::Tampers(first) => {
                for block in content.iter_mut().filter(|block| is(block, "thinking")) {
                    tamper(block, first + number);
                    number += 1;
                }
            }
        }
        if content.is_empty() && self != Self::Echoes {
            content.push(json!({"type": "text", "text": "(no content)"}));
        }
        json!({"role": "assistant", "content": content})
    }
}

/// Changes a thought in the way of this number, or leaves it as it is.
fn tamper(block: &mut Value, number: usize) {
    let Some(token) = block["signature"].as_str().filter(|token| is_token(token)).map(str::to_owned) else { return };
    match number % (2 * WAYS) {
        0 => block["thinking"] = json!("Something else."),
        1 => block["signature"] = json!(token[..token.len() - 2]),
        2 => block["signature"] = json!(token[..40]),
        3 => block["signature"] = json!(token[..12]),
        4 => block["signature"] = json!("EqQBCkYIBxgCKkA="),
        5 => block["signature"] = json!(token.replacen(['0', '1', '2', '3'], "f", 40)),
        6 => block["signature"] = json!(""),
        _ => {}
    }
}

/// The member in which a block keeps a state, if it has one.
fn state_of(block: &mut Value) -> Option<(&'static str, &mut Value)> {
    let name = match block["type"].as_str()? {
        "thinking" => "signature",
        "redacted_thinking" => "data",
        _ => return None,
    };
    block[name].as_str().is_some_and(is_token).then_some((name, block))
}

/// Changes one letter of the token or of the id in a block, or has another token there.
fn forge(block: &mut Value, seed: usize, known: &Known<'_>) {
    if let Some((name, block)) = state_of(block) {
        let token = block[name].as_str().expect("a token").to_owned();
        block[name] = match (seed % 4, &known.foreign) {
            (0, [Some(foreign), _]) | (1, [_, Some(foreign)]) => json!(foreign),
            (0..=2, _) => json!(flipped(&token, seed)),
            _ => return,
        };
    } else if is(block, "tool_use") && !seed.is_multiple_of(3) {
        block["id"] = json!(flipped(block["id"].as_str().expect("an id"), seed));
    }
}

/// A text with another letter at one place.
pub fn flipped(text: &str, seed: usize) -> String {
    let at = (seed * 7) % text.chars().count();
    let flip = |(position, letter): (usize, char)| match letter {
        letter if position != at => letter,
        'x' => 'y',
        _ => 'x',
    };
    text.chars().enumerate().map(flip).collect()
}

/// What a tool of the provider's own was asked and has found, and something that nobody knows.
fn searches(number: usize) -> Vec<Value> {
    let id = format!("srvtoolu_{number}");
    let found =
        json!([{"type": "web_search_result", "url": "https://a.example/", "title": "A", "encrypted_content": "Eo8BC"}]);
    vec![
        json!({"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": "x"}}),
        json!({"type": "web_search_tool_result", "tool_use_id": id, "content": found}),
        json!({"type": "a_block_of_tomorrow", "says": [number]}),
    ]
}

fn is(block: &Value, kind: &str) -> bool {
    block["type"] == kind
}

fn tool(tool: &Tool) -> Value {
    match &tool.kind {
        ToolKind::Function { parameters, strict } => {
            let mut written = json!({"name": tool.name, "description": "A tool.", "input_schema": parameters});
            if let Some(strict) = strict {
                written["strict"] = json!(strict);
            }
            written
        }
        ToolKind::Custom => panic!("the Messages API has no custom tools"),
    }
}

/// The blocks of a content, without blank texts, which the API refuses.
fn blocks(content: &Content) -> Vec<Value> {
    let text = |text: &str| (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text}));
    let source = |kind: &str, media: &str, data: &str| json!({"type": kind, "source": {"type": "base64", "media_type": media, "data": data}});
    let block = |part: &Part| match part {
        Part::Text(said) => text(said),
        Part::Image(number) => Some(source("image", "image/png", &format!("{number:04}"))),
        Part::File(at) => {
            let (media, data) =
                FILES[*at].0.strip_prefix("data:").and_then(|uri| uri.split_once(";base64,")).expect("a URI");
            (media == "application/pdf").then(|| source("document", media, data))
        }
    };
    match content {
        Content::Text(said) => text(said).into_iter().collect(),
        Content::Parts(parts) => parts.iter().filter_map(block).collect(),
    }
}
