//! Writes what is said as a message or as the named events of a stream.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::cache::PromptUsage;
use crate::profile::Profile;
use crate::reply::{Event, Piece};
use crate::said::{Call, Ending, REFUSAL, Said};

pub struct Encoder<'a> {
    pub profile: &'a Profile,
    pub model: &'a str,
    pub call: u64,
    pub prompt: PromptUsage,
    pub thinking: Option<Thought>,
}

/// What the model thought before it spoke.
pub struct Thought {
    /// Empty where it is not to be seen, missing where it is redacted.
    pub text: Option<String>,
    pub signature: String,
    pub tokens: usize,
}

impl Encoder<'_> {
    pub fn whole(&self, said: &Said) -> Bytes {
        let mut content = Vec::new();
        if let Some(thought) = &self.thinking {
            content.push(match &thought.text {
                Some(text) => json!({"type": "thinking", "thinking": text, "signature": thought.signature}),
                None => json!({"type": "redacted_thinking", "data": thought.signature}),
            });
        }
        let text = said.pieces.concat();
        if !text.is_empty() {
            content.push(json!({"type": "text", "text": text, "citations": null}));
        }
        for (number, call) in said.calls.iter().enumerate() {
            let mut block = self.tool_use(number, call);
            let input = serde_json::from_str(&call.arguments()).ok().filter(Value::is_object);
            // What breaks off at the token limit cannot be shown as an object.
            block["input"] = input.unwrap_or_else(|| json!({}));
            content.push(block);
        }
        let mut message = self.message(content);
        merge(&mut message, stop(said));
        message["usage"] = self.start_usage();
        merge(&mut message["usage"], self.final_usage(said));
        to_bytes(&message)
    }

    pub fn events(&self, said: &Said) -> Vec<Event> {
        let mut events = Vec::new();
        let mut message = self.message(Vec::new());
        merge(&mut message, json!({"stop_reason": null, "stop_sequence": null}));
        message["usage"] = self.start_usage();
        push(&mut events, Piece::Opening, json!({"type": "message_start", "message": message}));
        let mut blocks = Blocks { events, count: 0 };
        if let Some(Thought { text, signature, .. }) = &self.thinking {
            let block = match text {
                Some(_) => json!({"type": "thinking", "thinking": "", "signature": ""}),
                None => json!({"type": "redacted_thinking", "data": signature}),
            };
            let texts = text.iter().flat_map(|text| text.split_inclusive(' '));
            let texts = texts.map(|text| (Piece::Content, json!({"type": "thinking_delta", "thinking": text})));
            let signature = json!({"type": "signature_delta", "signature": signature});
            let signature = text.as_ref().map(|_| (Piece::Frame, signature));
            blocks.add(Piece::Frame, block, texts.chain(signature));
        }
        if !said.pieces.is_empty() {
            let deltas = said.pieces.iter().map(|text| (Piece::Content, json!({"type": "text_delta", "text": text})));
            blocks.add(Piece::Frame, json!({"type": "text", "text": "", "citations": null}), deltas);
        }
        for (number, call) in said.calls.iter().enumerate() {
            blocks.add(Piece::Content, self.tool_use(number, call), input_deltas(call));
        }
        let mut events = blocks.events;
        let delta = json!({"type": "message_delta", "delta": stop(said), "usage": self.final_usage(said)});
        push(&mut events, Piece::Closing, delta);
        push(&mut events, Piece::End, json!({"type": "message_stop"}));
        events
    }

    fn message(&self, content: Vec<Value>) -> Value {
        json!({
            "id": format!("msg_{}_{:08}", self.profile.name, self.call),
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
        })
    }

    fn tool_use(&self, number: usize, call: &Call) -> Value {
        let id = format!("toolu_{}_{:08}_{number}", self.profile.name, self.call);
        json!({"type": "tool_use", "id": id, "name": call.name, "input": {}})
    }

    /// What is known before anything is said.
    fn start_usage(&self) -> Value {
        let PromptUsage { plain, read, written_5m, written_1h } = self.prompt;
        json!({
            "input_tokens": plain,
            "cache_creation_input_tokens": written_5m + written_1h,
            "cache_read_input_tokens": read,
            "cache_creation": {"ephemeral_5m_input_tokens": written_5m, "ephemeral_1h_input_tokens": written_1h},
            "output_tokens": 1,
            "service_tier": "standard",
        })
    }

    /// Cumulative: these take the place of what was known before.
    fn final_usage(&self, said: &Said) -> Value {
        let PromptUsage { plain, read, written_5m, written_1h } = self.prompt;
        let thinking = self.thinking.as_ref().map_or(0, |thought| thought.tokens);
        json!({
            "input_tokens": plain,
            "cache_creation_input_tokens": written_5m + written_1h,
            "cache_read_input_tokens": read,
            "output_tokens": said.bytes().div_ceil(4) + thinking,
            "output_tokens_details": {"thinking_tokens": thinking},
        })
    }
}

/// The blocks of a stream, each whole before the next begins.
struct Blocks {
    events: Vec<Event>,
    count: usize,
}

impl Blocks {
    fn add(&mut self, opening: Piece, block: Value, deltas: impl Iterator<Item = (Piece, Value)>) {
        let (index, events) = (self.count, &mut self.events);
        push(events, opening, json!({"type": "content_block_start", "index": index, "content_block": block}));
        if index == 0 {
            push(events, Piece::Frame, json!({"type": "ping"}));
        }
        for (piece, delta) in deltas {
            push(events, piece, json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        push(events, Piece::Frame, json!({"type": "content_block_stop", "index": index}));
        self.count += 1;
    }
}

/// The input in pieces, after an empty one; of an input without fields only the empty one.
fn input_deltas(call: &Call) -> impl Iterator<Item = (Piece, Value)> {
    let delta = |text: &str| json!({"type": "input_json_delta", "partial_json": text});
    let empty = (!call.pieces.is_empty()).then(|| (Piece::Frame, delta("")));
    let pieces = call.pieces.iter().filter(|_| call.arguments() != "{}");
    empty.into_iter().chain(pieces.map(move |piece| (Piece::Content, delta(piece))))
}

fn stop(said: &Said) -> Value {
    let reason = match &said.ending {
        Ending::Whole => "end_turn",
        Ending::Stopped(_) => "stop_sequence",
        Ending::Limit => "max_tokens",
        Ending::Calls => "tool_use",
        Ending::Refused => "refusal",
        Ending::Named(name) => name,
    };
    let mut stop = json!({"stop_reason": reason, "stop_sequence": null});
    if let Ending::Stopped(sequence) = &said.ending {
        stop["stop_sequence"] = json!(sequence);
    }
    if said.ending == Ending::Refused {
        stop["stop_details"] = json!({"type": "refusal", "category": "cyber", "explanation": REFUSAL});
    }
    stop
}

fn merge(into: &mut Value, from: Value) {
    for (name, value) in from.as_object().into_iter().flatten() {
        into[name] = value.clone();
    }
}

fn push(events: &mut Vec<Event>, piece: Piece, data: Value) {
    events.push(Event { piece, frame: frame(&data) });
}

pub fn to_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string().into_bytes())
}

/// The type names the event and stands in its data as well.
pub fn frame(data: &Value) -> Bytes {
    Bytes::from(format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default()).into_bytes())
}
