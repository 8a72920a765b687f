//! What a provider sends: any bytes at all, and how it ends the connection. Good answers of both dialects are made here.

use serde_json::{Value, json};

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Chat,
    Messages,
}

/// How the connection ends after the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Close,
    Reset,
}

/// Bytes on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Written one by one.
    pub parts: Vec<Vec<u8>>,
    pub end: End,
}

impl Reply {
    /// A whole body with its length.
    pub fn whole(status: &str, lines: &[String], content_type: &str, body: &[u8]) -> Self {
        let length = format!("content-length: {}", body.len());
        let head = head(status, content_type, lines, &length);
        Self { parts: vec![[head.as_slice(), body].concat()], end: End::Close }
    }

    /// A whole body of JSON.
    pub fn json(status: &str, lines: &[String], body: &Value) -> Self {
        Self::whole(status, lines, "application/json", body.to_string().as_bytes())
    }

    /// A chunked stream, an event a chunk; `tail` follows, a proper end or less.
    pub fn stream(lines: &[String], events: &[impl AsRef<[u8]>], tail: &[u8]) -> Self {
        let mut parts = vec![head("200 OK", "text/event-stream", lines, "transfer-encoding: chunked")];
        parts.extend(events.iter().map(|event| chunk(event.as_ref())));
        parts.push(tail.to_vec());
        Self { parts, end: End::Close }
    }
}

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A head, up to the empty line; `framing` is the line that says how the body ends.
pub fn head(status: &str, content_type: &str, lines: &[String], framing: &str) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nconnection: close\r\n{framing}\r\n");
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A chunk of a chunked body; nothing for no bytes, since an empty chunk is the end.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The parts of an answer that a case may choose.
#[derive(Clone, Debug)]
pub struct Said {
    pub id: String,
    pub model: String,
    /// The answer's text, in the pieces of a stream.
    pub pieces: Vec<String>,
    pub reason: String,
}

impl Said {
    pub fn new(text: &str) -> Self {
        let pieces = text.split_inclusive(' ').map(str::to_owned).collect();
        Self { id: "answer-1".to_owned(), model: "model-1".to_owned(), pieces, reason: "stop".to_owned() }
    }

    /// The same, ended in the dialect's own word.
    pub fn in_dialect(mut self, dialect: Dialect) -> Self {
        if dialect == Dialect::Messages && self.reason == "stop" {
            self.reason = "end_turn".to_owned();
        }
        self
    }
}

/// A whole answer.
pub fn whole(dialect: Dialect, said: &Said) -> Value {
    let text = said.pieces.concat();
    match dialect {
        Dialect::Chat => json!({
            "id": said.id, "object": "chat.completion", "created": 1_700_000_000, "model": said.model,
            "choices": [{"index": 0, "finish_reason": said.reason, "logprobs": null,
                "message": {"role": "assistant", "content": text, "refusal": null}}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
        }),
        Dialect::Messages => json!({
            "id": said.id, "type": "message", "role": "assistant", "model": said.model,
            "content": [{"type": "text", "text": text}], "stop_reason": said.reason, "stop_sequence": null,
            "usage": {"input_tokens": 9, "output_tokens": 5},
        }),
    }
}

/// The events of a streamed answer, without `[DONE]`, each with its empty line.
pub fn events(dialect: Dialect, said: &Said) -> Vec<String> {
    match dialect {
        Dialect::Chat => {
            let chunk = |delta: Value, reason: Value| {
                let chunk = json!({
                    "id": said.id, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": said.model,
                    "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}],
                });
                format!("data: {chunk}\n\n")
            };
            let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
            events.extend(said.pieces.iter().map(|piece| chunk(json!({"content": piece}), Value::Null)));
            events.push(chunk(json!({}), json!(said.reason)));
            events
        }
        Dialect::Messages => {
            let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default());
            let mut events = vec![
                event(
                    json!({"type": "message_start", "message": {"id": said.id, "type": "message", "role": "assistant",
                    "model": said.model, "content": [], "stop_reason": null, "stop_sequence": null,
                    "usage": {"input_tokens": 9, "output_tokens": 1}}}),
                ),
                event(
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                ),
                event(json!({"type": "ping"})),
            ];
            events.extend(said.pieces.iter().map(|piece| {
                event(
                    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}),
                )
            }));
            events.push(event(json!({"type": "content_block_stop", "index": 0})));
            events.push(event(json!({"type": "message_delta", "usage": {"output_tokens": 5},
                "delta": {"stop_reason": said.reason, "stop_sequence": null}})));
            events.push(event(json!({"type": "message_stop"})));
            events
        }
    }
}

/// What ends a stream of the dialect after its events.
pub fn done(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => "data: [DONE]\n\n",
        Dialect::Messages => "",
    }
}

/// A good answer, streamed or whole.
pub fn good(dialect: Dialect, streams: bool, said: &Said) -> Reply {
    let said = said.clone().in_dialect(dialect);
    if !streams {
        return Reply::json("200 OK", &[], &whole(dialect, &said));
    }
    let mut events = events(dialect, &said);
    events.push(done(dialect).to_owned());
    Reply::stream(&[], &events, LAST_CHUNK)
}
