//! Signatures of thinking blocks: by one a simulator knows a block that it gave, that nobody changed it since, which model
//! thought it, for which organisation, and after which conversation.
//!
//! A signature is Base64 of words: the model, hashes of the text, of what the model was asked, and of the thought before, and
//! a hash of these with a secret of the organisation's.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::request::{MessagesRequest, blocks_of, is_deferred};
use crate::profile::Model;
use crate::reply::Refusal;

const BEGINNING: &str = "simulated thinking";

/// How the block begins in which Claude Code says who it is: where it comes first, no model sees it.
const ATTRIBUTION: &str = "x-anthropic-billing-header:";

/// What `redacted_thinking` hides: no text of a `thinking` block has this.
const REDACTED: &str = "\u{0}redacted";

/// The signature of what a model of an organisation thinks about a request; without a text, of what is redacted.
pub fn of(organisation: &str, request: &MessagesRequest<'_>, thinking: Option<&str>) -> String {
    let messages = request.messages();
    let model = request.model().unwrap_or_default();
    let previous = thoughts(messages).filter_map(|thought| Signature::read(organisation, thought.block));
    let previous = previous.filter(|signature| signature.model == model).last();
    let previous = previous.map_or_else(String::new, |signature| signature.hash());
    let (text, prefix) = (hash(&thinking.unwrap_or(REDACTED)), prefix(request, messages.len()));
    let signature = Signature { model: model.to_owned(), text, prefix, previous };
    let Signature { model, text, prefix, previous } = &signature;
    let seal = signature.seal(organisation);
    STANDARD.encode(format!("{BEGINNING}|{model}|{text}|{prefix}|{previous}|{seal}"))
}

/// Each thought that comes back is one that was given, as it was given, and stands where it was thought.
pub fn check(organisation: &str, model: &Model, request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let drops = request.field("thinking").map(|thinking| &thinking["block_binding"]["prefix_mismatch_behavior"]);
    let drops = drops.is_some_and(|behavior| behavior == "drop_block");
    let mut before: Option<String> = None;
    for thought in thoughts(request.messages()) {
        let refuse = |problem: &str| Err(Refusal::invalid(format!("{}: {problem}", thought.place)));
        let is_redacted = thought.block["type"] == "redacted_thinking";
        let Some(signature) = Signature::read(organisation, thought.block) else {
            return refuse(match is_redacted {
                true => "Invalid `data` in `redacted_thinking` block",
                false => "Invalid `signature` in `thinking` block",
            });
        };
        if signature.model != model.id && !model.id.is_empty() {
            // Another model's is passed over.
            continue;
        }
        let text = if is_redacted { Some(REDACTED) } else { thought.block["thinking"].as_str() };
        if signature.text != hash(&text.unwrap_or_default()) {
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

/// A block of a request that holds what was thought, be it hidden.
struct Thought<'a> {
    message: usize,
    place: String,
    block: &'a Value,
}

fn thoughts(messages: &[Value]) -> impl Iterator<Item = Thought<'_>> {
    messages.iter().enumerate().flat_map(|(message, value)| {
        let blocks = value["content"].as_array().into_iter().flatten().enumerate();
        let thoughts = blocks.filter(|(_, block)| is_thought(block));
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
    /// One that this organisation's models gave.
    fn read(organisation: &str, block: &Value) -> Option<Self> {
        let written = block["signature"].as_str().or_else(|| block["data"].as_str())?;
        let words = String::from_utf8(STANDARD.decode(written).ok()?).ok()?;
        let [beginning, model, text, prefix, previous, seal] = words.split('|').collect::<Vec<_>>()[..] else {
            return None;
        };
        let [model, text, prefix, previous] = [model, text, prefix, previous].map(str::to_owned);
        let signature = Self { model, text, prefix, previous };
        (beginning == BEGINNING && signature.seal(organisation) == seal).then_some(signature)
    }

    fn seal(&self, organisation: &str) -> String {
        hash(&(BEGINNING, organisation, self.hash()))
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
        blocks.iter().filter(|block| !is_thought(block)).map(|block| plain(block)).collect::<Vec<_>>()
    };
    let system = request.field("system").map(|system| {
        let mut blocks = blocks_of(system);
        if blocks.first().is_some_and(|block| block["text"].as_str().is_some_and(|text| text.starts_with(ATTRIBUTION)))
        {
            blocks.remove(0);
        }
        plain_all(blocks)
    });
    let tools: Vec<Value> = request.tools().iter().filter(|tool| !is_deferred(tool)).map(plain).collect();
    let said = request.messages().iter().take(messages);
    let said: Vec<Value> =
        said.map(|message| json!([message["role"], plain_all(blocks_of(&message["content"]))])).collect();
    hash(&json!([system, tools, said]).to_string())
}

fn is_thought(block: &Value) -> bool {
    block["type"] == "thinking" || block["type"] == "redacted_thinking"
}

fn hash(value: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
