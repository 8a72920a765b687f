//! What a valid stream of the Messages API is, and the message that its client puts together.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A block that has begun.
struct Block {
    content: Value,
    /// The fragments of a call's input.
    input: String,
    is_open: bool,
    has_state: bool,
}

/// A message as far as it has come.
#[derive(Default)]
struct Message {
    head: Option<Value>,
    blocks: BTreeMap<u64, Block>,
    stop: Option<Value>,
    has_ended: bool,
}

/// The message that a client of a stream has at its end.
///
/// # Errors
/// Where the stream is none that every client reads.
pub fn message(stream: &str) -> Result<Value, String> {
    let mut message = Message::default();
    take_all(&mut message, stream)?;
    if !message.has_ended {
        return Err("no message_stop".to_owned());
    }
    message.whole()
}

/// Whether a stream is a valid one as far as it goes.
pub fn is_valid_so_far(stream: &str) -> Result<(), String> {
    take_all(&mut Message::default(), stream)
}

fn take_all(message: &mut Message, stream: &str) -> Result<(), String> {
    for event in stream.split_terminator("\n\n") {
        let parts = event.strip_prefix("event: ").and_then(|event| event.split_once("\ndata: "));
        let (name, data) = parts.ok_or_else(|| format!("no name, or no data: {event:?}"))?;
        let data: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
        expect(data["type"] == name, name, &data)?;
        expect(!message.has_ended, "behind the end", &data)?;
        message.take(name, &data).map_err(|fault| format!("{fault}: {data}"))?;
    }
    Ok(())
}

fn expect(holds: bool, fault: &str, data: &Value) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{fault}: {data}")) }
}

fn check_usage(usage: &Value) -> Result<(), String> {
    let names = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    let is_whole = names.iter().all(|name| usage[name].is_u64());
    expect(is_whole, "usage", usage)
}

fn check_id(id: &Value) -> Result<(), String> {
    let is_valid = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    expect(id.as_str().is_some_and(|id| !id.is_empty() && is_valid(id)), "an id", id)
}

/// Whether a whole message has what every client reads.
pub fn check_whole(message: &Value) -> Result<(), String> {
    check_head(message)?;
    check_usage(&message["usage"])?;
    expect(message["stop_reason"].is_string() && message.get("stop_sequence").is_some(), "why it stopped", message)?;
    let is_refusal = message["stop_reason"] == "refusal";
    expect(message["stop_details"].is_object() == is_refusal, "details of a refusal", message)?;
    expect(message.get("stop_details").is_some(), "no word on details", message)?;
    let blocks = message["content"].as_array().ok_or("no content")?;
    let mut ids = Vec::new();
    for block in blocks {
        let has = |names: &[&str]| names.iter().all(|name| block[name].is_string());
        let is_whole = match block["type"].as_str() {
            Some("text") => has(&["text"]),
            Some("thinking") => has(&["thinking", "signature"]),
            Some("redacted_thinking") => has(&["data"]),
            Some("tool_use") => {
                check_id(&block["id"])?;
                expect(!ids.contains(&&block["id"]), "an id twice", block)?;
                ids.push(&block["id"]);
                has(&["id", "name"]) && block["input"].is_object()
            }
            _ => false,
        };
        expect(is_whole, "a block", block)?;
    }
    Ok(())
}

fn check_head(message: &Value) -> Result<(), String> {
    check_id(&message["id"])?;
    let id = message["id"].as_str().unwrap_or_default();
    let is_one = message["type"] == "message" && message["role"] == "assistant" && message["model"].is_string();
    expect(is_one && id.starts_with("msg_"), "no message", message)
}

impl Message {
    fn take(&mut self, name: &str, data: &Value) -> Result<(), String> {
        match name {
            "ping" => return Ok(()),
            "message_start" => {
                let head = &data["message"];
                expect(self.head.is_none(), "a second start", head)?;
                check_head(head)?;
                check_usage(&head["usage"])?;
                let is_empty = head["content"] == json!([]) && head["stop_reason"].is_null();
                expect(is_empty && head.get("stop_sequence").is_some(), "not empty", head)?;
                self.head = Some(head.clone());
                return Ok(());
            }
            _ => expect(self.head.is_some(), "before the start", data)?,
        }
        expect(self.stop.is_none() || name == "message_stop", "behind the reason to stop", data)?;
        match name {
            "content_block_start" => self.begin(data),
            "content_block_delta" => self.delta(data),
            "content_block_stop" => {
                let block = self.open(data)?;
                block.is_open = false;
                Ok(())
            }
            "message_delta" => {
                expect(!self.blocks.values().any(|block| block.is_open), "an open block", data)?;
                check_usage(&data["usage"])?;
                let delta = &data["delta"];
                expect(delta["stop_reason"].is_string() && delta.get("stop_sequence").is_some(), "no reason", data)?;
                self.stop = Some(data.clone());
                Ok(())
            }
            "message_stop" => {
                expect(self.stop.is_some(), "no reason to stop", data)?;
                self.has_ended = true;
                Ok(())
            }
            _ => Err("an unknown event".to_owned()),
        }
    }

    fn begin(&mut self, data: &Value) -> Result<(), String> {
        let content = data["content_block"].clone();
        expect(data["index"] == self.blocks.len(), "a gap", data)?;
        let is_call = content["type"] == "tool_use";
        let is_beside = |block: &Block| block.is_open && block.content["type"] != "tool_use";
        expect(!self.blocks.values().any(is_beside), "beside a text", data)?;
        let is_empty = match content["type"].as_str() {
            Some("text") => content["text"] == "",
            Some("thinking") => content["thinking"] == "" && content["signature"] == "",
            Some("redacted_thinking") => content["data"].is_string(),
            Some("tool_use") => content["input"] == json!({}) && content["name"].is_string(),
            _ => false,
        };
        expect(is_empty, "a block", data)?;
        if is_call {
            check_id(&content["id"])?;
        }
        let block = Block { content, input: String::new(), is_open: true, has_state: false };
        self.blocks.insert(self.blocks.len() as u64, block);
        Ok(())
    }

    fn open(&mut self, data: &Value) -> Result<&mut Block, String> {
        let block = data["index"].as_u64().and_then(|index| self.blocks.get_mut(&index));
        block.filter(|block| block.is_open).ok_or_else(|| format!("no open block: {data}"))
    }

    fn delta(&mut self, data: &Value) -> Result<(), String> {
        let block = self.open(data)?;
        expect(!block.has_state, "behind a state", data)?;
        let delta = &data["delta"];
        let kind = block.content["type"].as_str().unwrap_or_default().to_owned();
        let field = match (kind.as_str(), delta["type"].as_str().unwrap_or_default()) {
            ("text", "text_delta") => "text",
            ("thinking", "thinking_delta") => "thinking",
            ("thinking", "signature_delta") => {
                block.has_state = true;
                "signature"
            }
            ("tool_use", "input_json_delta") => {
                block.input += delta["partial_json"].as_str().ok_or("no fragment")?;
                return Ok(());
            }
            _ => return Err("a delta of another block".to_owned()),
        };
        let more = delta[field].as_str().ok_or("no text")?;
        let known = block.content[field].as_str().unwrap_or_default().to_owned();
        block.content[field] = (known + more).into();
        Ok(())
    }

    fn whole(self) -> Result<Value, String> {
        let (Some(Value::Object(mut message)), Some(stop)) = (self.head, self.stop) else {
            return Err("no message".to_owned());
        };
        let contents = self.blocks.into_values().map(|block| {
            let mut content = block.content;
            if content["type"] == "tool_use" {
                content["input"] = input(&block.input);
            }
            content
        });
        message.insert("content".to_owned(), contents.collect());
        let Value::Object(delta) = stop["delta"].clone() else { return Err("no delta".to_owned()) };
        message.extend(delta);
        let mut usage = message.remove("usage").unwrap_or_default();
        let later = stop["usage"].as_object().cloned().unwrap_or_else(Map::new);
        usage.as_object_mut().ok_or("no usage")?.extend(later);
        message.insert("usage".to_owned(), usage);
        let message = Value::Object(message);
        check_whole(&message)?;
        Ok(message)
    }
}

/// What Claude Code makes of the fragments of an input.
fn input(fragments: &str) -> Value {
    match serde_json::from_str(fragments.trim()) {
        Ok(Value::Object(object)) => Value::Object(object),
        Ok(Value::Null) => json!({}),
        _ if fragments.trim().is_empty() => json!({}),
        _ => json!({"__unparsedToolInput": {"raw": fragments, "len": fragments.len()}}),
    }
}
