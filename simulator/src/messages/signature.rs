//! Signatures of thinking blocks: by one a simulator knows a block that it gave, that nobody changed it since, which model
//! thought it, and after which conversation.
//!
//! A signature is Base64 of words: the model, and hashes of the text, of what the model was asked, and of the thought before.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::request::{MessagesRequest, blocks_of};
use crate::profile::Model;
use crate::reply::Refusal;

const BEGINNING: &str = "simulated thinking";

/// The signature of what a model thinks about a request.
pub fn of(request: &MessagesRequest<'_>, thinking: &str) -> String {
    let messages = request.messages();
    let model = request.model().unwrap_or_default();
    let previous = thoughts(messages).filter_map(|thought| Signature::read(thought.block));
    let previous = previous.filter(|signature| signature.model == model).last();
    let previous = previous.map_or_else(String::new, |signature| signature.hash());
    let (text, prefix) = (hash(&thinking), prefix(request, messages.len()));
    STANDARD.encode(format!("{BEGINNING}|{model}|{text}|{prefix}|{previous}"))
}

/// Each thought that comes back is one that was given, as it was given, and stands where it was thought.
pub fn check(model: &Model, request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let drops = request.field("thinking").map(|thinking| &thinking["block_binding"]["prefix_mismatch_behavior"]);
    let drops = drops.is_some_and(|behavior| behavior == "drop_block");
    let mut before: Option<String> = None;
    for thought in thoughts(request.messages()) {
        let refuse = |problem: &str| Err(Refusal::invalid(format!("{}: {problem}", thought.place)));
        let Some(signature) = Signature::read(thought.block) else {
            return refuse("Invalid `signature` in `thinking` block");
        };
        if signature.model != model.id && !model.id.is_empty() {
            // Another model's is passed over.
            continue;
        }
        if signature.text != hash(&thought.block["thinking"].as_str().unwrap_or_default()) {
            return refuse("`thinking` or `redacted_thinking` blocks in an assistant message cannot be modified");
        }
        let is_moved = signature.prefix != prefix(request, thought.message);
        let is_chained = before.as_ref().is_none_or(|before| *before == signature.previous);
        if model.claude.binds_thinking && !drops && (is_moved || !is_chained) {
            return refuse("this `thinking` block is bound to a different conversation");
        }
        before = Some(signature.hash());
    }
    Ok(())
}

/// A thinking block of a request.
struct Thought<'a> {
    message: usize,
    place: String,
    block: &'a Value,
}

fn thoughts(messages: &[Value]) -> impl Iterator<Item = Thought<'_>> {
    messages.iter().enumerate().flat_map(|(message, value)| {
        let blocks = value["content"].as_array().into_iter().flatten().enumerate();
        let thoughts = blocks.filter(|(_, block)| block["type"] == "thinking");
        thoughts.map(move |(nth, block)| Thought { message, place: format!("messages.{message}.content.{nth}"), block })
    })
}

struct Signature {
    model: String,
    text: String,
    prefix: String,
    previous: String,
}

impl Signature {
    fn read(block: &Value) -> Option<Self> {
        let bytes = STANDARD.decode(block["signature"].as_str()?).ok()?;
        let words = String::from_utf8(bytes).ok()?;
        let [beginning, model, text, prefix, previous] = words.split('|').collect::<Vec<_>>()[..] else { return None };
        let [model, text, prefix, previous] = [model, text, prefix, previous].map(str::to_owned);
        (beginning == BEGINNING).then_some(Self { model, text, prefix, previous })
    }

    fn hash(&self) -> String {
        hash(&(&self.model, &self.text, &self.prefix, &self.previous))
    }
}

/// What a model is asked with these many messages, but for thoughts and marks.
fn prefix(request: &MessagesRequest<'_>, messages: usize) -> String {
    let plain = |block: &Value| {
        let mut block = block.clone();
        if let Value::Object(members) = &mut block {
            members.remove("cache_control");
        }
        block
    };
    let plain_all = |blocks: Vec<std::borrow::Cow<'_, Value>>| {
        let is_thought = |block: &Value| block["type"] == "thinking" || block["type"] == "redacted_thinking";
        blocks.iter().filter(|block| !is_thought(block)).map(|block| plain(block)).collect::<Vec<_>>()
    };
    let system = request.field("system").map(|system| plain_all(blocks_of(system)));
    let tools: Vec<Value> = request.tools().iter().map(plain).collect();
    let said = request.messages().iter().take(messages);
    let said: Vec<Value> =
        said.map(|message| json!([message["role"], plain_all(blocks_of(&message["content"]))])).collect();
    hash(&json!([system, tools, said]).to_string())
}

fn hash(value: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
