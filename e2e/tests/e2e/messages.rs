//! Clients of Anthropic's Messages API in front of candidates of both dialects.

use std::sync::LazyLock;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tiergate_cli::wasm::Guest;
use tiergate_simulator::Simulator;

use crate::runtime::{Case, Got, Runtime, Shared, send};
use crate::scenarios::scenarios;

static REUSED: LazyLock<Shared> = LazyLock::new(Shared::new);
static SINGLE: LazyLock<Shared> = LazyLock::new(Shared::new);

scenarios!(
    a_message_comes_from_either_dialect,
    calls_and_results_cross_in_both_directions,
    failover_crosses_dialects_for_messages,
    a_broken_answer_ends_with_an_error_event,
    tokens_are_counted,
    errors_are_in_the_envelope_of_the_api,
    a_client_that_leaves_frees_the_provider,
);

/// The kinds of cases: a candidate of chat, and one of the Messages API, is first.
const KINDS: [&str; 2] = ["to-messages", "from-messages"];

fn first<'r>(runtime: &'r Runtime, kind: &str) -> &'r Simulator {
    if kind == "to-messages" { &runtime.first } else { &runtime.third }
}

fn body(stream: bool, more: Value) -> Value {
    let mut body = json!({"model": "any", "max_tokens": 500, "stream": stream, "system": "Be brief.",
        "messages": [{"role": "user", "content": "Ask get_weather about Rome."}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({"tools": [{"name": "get_weather", "description": "The weather.", "input_schema": schema}]})
}

fn post(runtime: &Runtime, case: &Case, body: &Value) -> RequestBuilder {
    let request = runtime.post("/v1/messages?beta=true", body);
    request.header("anthropic-version", "2023-06-01").header("x-route-tier", &case.tier)
}

/// The message that a client has in the end, and whether it is whole.
fn message(got: &Got, stream: bool) -> (Value, bool) {
    if !stream {
        return (got.json(), got.ended);
    }
    let events: Vec<(String, Value)> = got
        .text
        .split("\n\n")
        .filter_map(|event| {
            let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
            Some((name.to_owned(), serde_json::from_str(data).expect("JSON")))
        })
        .collect();
    let mut message = events
        .iter()
        .find(|(name, _)| name == "message_start")
        .map_or(json!({}), |(_, event)| event["message"].clone());
    for (name, event) in &events {
        assert_eq!(event["type"], name.as_str(), "{event}");
        let index = event["index"].as_u64().unwrap_or_default() as usize;
        match name.as_str() {
            "content_block_start" => {
                let blocks = message["content"].as_array_mut().expect("blocks");
                assert_eq!(blocks.len(), index, "{}", got.text);
                blocks.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let block = &mut message["content"][index];
                let mut add = |field: &str, more: &Value| {
                    let known = block[field].as_str().unwrap_or_default().to_owned();
                    block[field] = json!(known + more.as_str().expect("text"));
                };
                match event["delta"]["type"].as_str() {
                    Some("text_delta") => add("text", &event["delta"]["text"]),
                    Some("input_json_delta") => add("partial", &event["delta"]["partial_json"]),
                    _ => {}
                }
            }
            "content_block_stop" => {
                let block = &mut message["content"][index];
                if let Some(partial) = block["partial"].as_str() {
                    block["input"] = serde_json::from_str(partial).expect("an input");
                    block.as_object_mut().unwrap().remove("partial");
                }
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["usage"]["output_tokens"] = event["usage"]["output_tokens"].clone();
            }
            _ => {}
        }
    }
    (message, got.ended && events.last().is_some_and(|(name, _)| name == "message_stop"))
}

async fn a_message_comes_from_either_dialect(runtime: &Runtime) {
    for kind in KINDS {
        for stream in [false, true] {
            first(runtime, kind).script("events=20 noise=3").unwrap();
            let case = runtime.case(kind);
            let got = send(post(runtime, &case, &body(stream, json!({})))).await;
            assert_eq!((got.status, got.header("request-id")), (200, got.header("x-route-id")), "{kind}: {}", got.text);
            let (message, is_whole) = message(&got, stream);
            assert!(is_whole, "{kind} {stream}: {}", got.text);
            let blocks = message["content"].as_array().expect("blocks");
            let text = blocks.iter().find_map(|block| block["text"].as_str()).unwrap_or_default();
            assert!(text.contains("piece20"), "{message}");
            assert_eq!(message["stop_reason"], "end_turn", "{message}");
            assert!(message["usage"]["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{message}");
            let log = runtime.log_line().await;
            assert_eq!((&log["door"], &log["error.type"]), (&json!("messages"), &Value::Null), "{log}");
            assert!(log["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{log}");
        }
    }
}

async fn calls_and_results_cross_in_both_directions(runtime: &Runtime) {
    for kind in KINDS {
        for stream in [false, true] {
            let script = "call=get_weather arguments=\"{\\\"city\\\": \\\"Rome\\\"}\" chunk=5";
            first(runtime, kind).script(script).unwrap();
            let case = runtime.case(kind);
            let got = send(post(runtime, &case, &body(stream, tools()))).await;
            let (answer, is_whole) = message(&got, stream);
            assert!(is_whole && answer["stop_reason"] == "tool_use", "{kind}: {}", got.text);
            let blocks = answer["content"].as_array().expect("blocks");
            let call = blocks.iter().find(|block| block["type"] == "tool_use").expect("a call");
            assert_eq!((&call["name"], &call["input"]), (&json!("get_weather"), &json!({"city": "Rome"})), "{kind}");
            let mut asked = body(stream, tools());
            asked["messages"].as_array_mut().unwrap().extend([
                json!({"role": "assistant", "content": answer["content"]}),
                json!({"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": call["id"], "content": "21 degrees"}, {"type": "text", "text": "Well?"}]}),
            ]);
            let got = send(post(runtime, &case, &asked)).await;
            assert!(got.status == 200 && message(&got, stream).1, "{kind}: {}", got.text);
        }
    }
}

async fn failover_crosses_dialects_for_messages(runtime: &Runtime) {
    for (kind, faults) in [("to-messages", ["status=503", "cut=0"]), ("from-messages", ["status=529", "cut=0"])] {
        for stream in [false, true] {
            let fault = faults[usize::from(stream)];
            first(runtime, kind).script(fault).unwrap();
            let case = runtime.case(kind);
            let got = send(post(runtime, &case, &body(stream, tools()))).await;
            assert!(
                got.header("x-route-attempts").ends_with(&format!("{}:200", case.second)),
                "{kind} {fault}: {}",
                got.text
            );
            assert!(message(&got, stream).1, "{kind} {fault}: {}", got.text);
        }
    }
}

async fn a_broken_answer_ends_with_an_error_event(runtime: &Runtime) {
    for kind in KINDS {
        for script in ["events=5 cut=2", "events=5 error-event=2", "events=5 bad-event=2", "no-finish"] {
            first(runtime, kind).script(script).unwrap();
            let got = send(post(runtime, &runtime.case(kind), &body(true, json!({})))).await;
            let last = got.text.trim_end().rsplit("\n\n").next().unwrap_or_default();
            assert!(last.starts_with("event: error\ndata: {\"type\":\"error\","), "{kind} {script}: {}", got.text);
            assert!(!message(&got, true).1 && !got.ended, "{kind} {script}");
        }
    }
}

async fn tokens_are_counted(runtime: &Runtime) {
    for kind in KINDS {
        let case = runtime.case(kind);
        let mut asked = body(false, tools());
        asked.as_object_mut().unwrap().remove("max_tokens");
        let request = runtime.post("/v1/messages/count_tokens?beta=true", &asked);
        let got = send(request.header("x-route-tier", &case.tier)).await;
        assert_eq!(got.status, 200, "{kind}: {}", got.text);
        assert!(got.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{kind}: {}", got.text);
    }
    assert_eq!(
        runtime.third.requests().last().map(|request| request.path.clone()).as_deref(),
        Some("/v1/messages/count_tokens")
    );
}

async fn errors_are_in_the_envelope_of_the_api(runtime: &Runtime) {
    let case = runtime.case("alone");
    runtime.first.script("error=context").unwrap();
    let got = send(post(runtime, &case, &body(true, json!({})))).await;
    assert_eq!((got.status, &got.json()["type"]), (400, &json!("error")), "{}", got.text);
    let refused = send(runtime.post("/v1/messages", &json!({"messages": "hi"}))).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    let hello = runtime.get("/api/hello").send().await.expect("an answer");
    assert_eq!(hello.status(), 200);
}

async fn a_client_that_leaves_frees_the_provider(runtime: &Runtime) {
    for kind in KINDS {
        first(runtime, kind).script("events=500 gap=20ms").unwrap();
        let response = post(runtime, &runtime.case(kind), &body(true, json!({}))).send().await.expect("an answer");
        let mut parts = response.bytes_stream();
        futures_util::StreamExt::next(&mut parts).await.expect("more").expect("bytes");
        drop(parts);
        first(runtime, kind).client_gone(1).await;
    }
}
