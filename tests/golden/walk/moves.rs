//! An application that keeps the conversation itself and moves from one API to the other in the midst of it: what was thought, and
//! the ids of calls, go along as they came.

use serde_json::{Value, json};
use tiergate::wire::seal::is_token;

use super::agent_walk::{self, AgentWalk};
use super::meaning::HIDDEN;
use super::script::{ChatClient, MessagesClient, Script};
use super::{Thought, Walk, World};

/// Walks in the chat API before the exchange of this number, and then in the Messages API.
pub fn to_messages(world: &World, script: &Script, at: usize) {
    let mut before = Walk::new(world, script, ChatClient::KeepsDetails);
    let mut behind = AgentWalk::new(world, script, MessagesClient::Echoes);
    for (number, exchange) in script.exchanges.iter().enumerate() {
        if number >= at {
            behind.step(exchange, number);
            continue;
        }
        before.ask(exchange);
        before.answer(exchange, number);
        behind.ask(exchange);
        behind.keep(as_blocks(&before.answered, number));
        behind.tagged = before.tagged.clone();
        behind.thoughts = before.thoughts.iter().map(|(token, thought)| thought.as_agents_have_it(token)).collect();
    }
}

/// The other way round.
pub fn to_chat(world: &World, script: &Script, at: usize) {
    let mut before = AgentWalk::new(world, script, MessagesClient::Echoes);
    let mut behind = Walk::new(world, script, ChatClient::KeepsDetails);
    for (number, exchange) in script.exchanges.iter().enumerate() {
        behind.ask(exchange);
        if number >= at {
            behind.answer(exchange, number);
            continue;
        }
        before.step(exchange, number);
        behind.keep(as_message(&before.answered));
        behind.tagged = before.tagged.clone();
        behind.thoughts = before.thoughts.iter().map(agent_walk::Thought::as_chats_have_it).collect();
    }
}

impl Thought {
    fn as_agents_have_it(&self, token: &str) -> agent_walk::Thought {
        let Self { station, text, state, era } = self.clone();
        let text = if text == HIDDEN { String::new() } else { text };
        agent_walk::Thought { station, text, state, token: token.to_owned(), era }
    }
}

impl agent_walk::Thought {
    fn as_chats_have_it(&self) -> (String, Thought) {
        let text = if self.text.is_empty() { HIDDEN } else { &self.text };
        let thought =
            Thought { station: self.station, text: text.to_owned(), state: self.state.clone(), era: self.era };
        (self.token.clone(), thought)
    }
}

/// A message of the assistant's in the chat API as one of the Messages API; `number` is the one of its answer.
fn as_blocks(message: &Value, number: usize) -> Value {
    let details = message["reasoning_details"].as_array().into_iter().flatten();
    let thought = |detail: &Value| match (detail["signature"].as_str(), detail["data"].as_str()) {
        (Some(token), _) if is_token(token) => {
            Some(json!({"type": "thinking", "thinking": detail["text"], "signature": token}))
        }
        (_, Some(token)) if is_token(token) => Some(json!({"type": "redacted_thinking", "data": token})),
        _ => None,
    };
    let mut blocks: Vec<Value> = details.filter_map(thought).collect();
    let texts = [&message["content"], &message["refusal"]].into_iter().filter_map(Value::as_str);
    blocks.extend(texts.filter(|text| !text.trim().is_empty()).map(|text| json!({"type": "text", "text": text})));
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    blocks.extend(calls.enumerate().map(|(at, call)| {
        let id = call["id"].as_str().filter(|id| !id.is_empty());
        let id = id.map_or_else(|| format!("moved_{number}_{at}"), str::to_owned);
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
        json!({"type": "tool_use", "id": id, "name": call["function"]["name"], "input": input})
    }));
    if blocks.is_empty() {
        blocks.push(json!({"type": "text", "text": "(no content)"}));
    }
    json!({"role": "assistant", "content": blocks})
}

/// A message of the assistant's in the Messages API as one of the chat API.
fn as_message(message: &Value) -> Value {
    let blocks = || message["content"].as_array().expect("blocks").iter();
    let detail = |block: &Value| match (block["signature"].as_str(), block["data"].as_str()) {
        (Some(token), _) if is_token(token) => {
            Some(json!({"type": "reasoning.text", "text": block["thinking"], "signature": token}))
        }
        (_, Some(token)) => Some(json!({"type": "reasoning.encrypted", "data": token})),
        _ => None,
    };
    let details: Vec<Value> = blocks().filter_map(detail).collect();
    let texts: Vec<&str> = blocks().filter_map(|block| block["text"].as_str()).collect();
    let calls = blocks().filter(|block| block["type"] == "tool_use").map(|block| {
        let function = json!({"name": block["name"], "arguments": block["input"].to_string()});
        json!({"id": block["id"], "type": "function", "function": function})
    });
    let calls: Vec<Value> = calls.collect();
    let mut kept = json!({"role": "assistant", "content": texts.join("\n\n")});
    for (name, list) in [("reasoning_details", details), ("tool_calls", calls)] {
        if !list.is_empty() {
            kept[name] = json!(list);
        }
    }
    kept
}
