//! Well-formed requests, as bytes.

use serde_json::{Value, json};

use crate::world::client_key;

/// A chat completion in a tier; the classifier decides if that is empty.
pub fn chat(tier: &str, streams: bool, text: &str) -> Vec<u8> {
    chat_with(tier, streams, text, &json!({}))
}

/// A chat completion with more fields.
pub fn chat_with(tier: &str, streams: bool, text: &str, more: &Value) -> Vec<u8> {
    let mut body = json!({"model": "any", "stream": streams, "messages": [{"role": "user", "content": text}]});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let tier = if tier.is_empty() { String::new() } else { format!("x-route-tier: {tier}\r\n") };
    post("/v1/chat/completions", &tier, body.to_string().as_bytes())
}

/// A POST with header lines, each with its end.
pub fn post(target: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n{lines}\r\n",
        client_key(),
        body.len(),
    );
    [head.as_bytes(), body].concat()
}
