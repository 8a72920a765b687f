//! Drives simulators over HTTP with a real client.
#![allow(clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tiergate_simulator::{Dialect, Profile, Simulator};

mod answers;
mod broken;
mod continuing;
mod faults;
mod messages;
mod messages_betas;
mod messages_counts;
mod messages_faults;
mod messages_refusals;
mod messages_thoughts;
mod refusals;
mod tasks;

const KEY: &str = "sk-simulated-0123456789";

async fn start(profile: Profile) -> Simulator {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Simulator::start(profile.with_key(KEY), loopback).await.expect("a free port should be bound")
}

async fn start_scripted(profile: Profile, script: &str) -> Simulator {
    let simulator = start(profile).await;
    simulator.script(script).unwrap_or_else(|error| panic!("{script}: {error}"));
    simulator
}

fn url(simulator: &Simulator, path: &str) -> String {
    format!("http://{}{path}", simulator.addr())
}

async fn send(simulator: &Simulator, body: &Value) -> reqwest::Result<reqwest::Response> {
    let path = match simulator.profile().dialect {
        Dialect::OpenAiChat => "/v1/chat/completions",
        Dialect::AnthropicMessages => "/v1/messages",
    };
    let request = reqwest::Client::new().post(url(simulator, path)).bearer_auth(KEY);
    // Chat Completions does not know this header and does not mind it.
    request.header("anthropic-version", "2023-06-01").json(body).send().await
}

/// Status and body of an answer that comes whole.
async fn ask(simulator: &Simulator, body: &Value) -> (u16, Value) {
    let response = send(simulator, body).await.expect("an answer should come");
    let status = response.status().as_u16();
    let text = response.text().await.expect("the body should be whole");
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// The text of a streamed answer as far as it came, and whether it ended in order.
async fn stream(simulator: &Simulator, body: &Value) -> (String, bool) {
    let mut response = send(simulator, body).await.expect("a head should come");
    let mut text = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => text.extend_from_slice(&bytes),
            Ok(None) => return (String::from_utf8(text).expect("events should be UTF-8"), true),
            Err(_) => return (String::from_utf8(text).expect("events should be UTF-8"), false),
        }
    }
}

/// The JSON of each `data` line; the end marker is left out.
fn chunks(stream: &str) -> Vec<Value> {
    let data = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).expect(data)).collect()
}

fn streamed_text(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

/// A request with one user message; `more` adds to it or replaces its fields.
fn request(model: &str, message: &str, more: &Value) -> Value {
    let mut request = json!({"model": model, "messages": [{"role": "user", "content": message}]});
    for (name, value) in more.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    request
}

fn weather_tool() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "days"],
    }}}])
}
