//! What the simulator of the Messages dialect says when all is well.

use serde_json::{Value, json};
use tiergate_simulator::Profile;

use crate::{ask, send, start, start_scripted, stream};

/// A request with one user message; `more` adds to it or replaces its fields.
pub fn request(model: &str, message: &str, more: &Value) -> Value {
    let messages = json!([{"role": "user", "content": message}]);
    let mut request = json!({"model": model, "max_tokens": 4096, "messages": messages});
    for (name, value) in more.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    request
}

pub fn weather_tool() -> Value {
    json!([{"name": "get_weather", "description": "The weather", "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    }}])
}

/// The events of a stream: each name is the type that its data has as well.
pub fn events(stream: &str) -> Vec<Value> {
    let event = |event: &str| {
        let (name, data) = event.split_once("\ndata: ").unwrap_or_else(|| panic!("{event}"));
        let data: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {event}"));
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str(), "{event}");
        data
    };
    stream.split_terminator("\n\n").map(event).collect()
}

/// What a client makes of the events: the message as it would have come whole.
pub fn accumulate(events: &[Value]) -> Value {
    let mut message = Value::Null;
    let mut inputs: Vec<String> = Vec::new();
    for event in events {
        let index = usize::try_from(event["index"].as_u64().unwrap_or_default()).unwrap();
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                assert_eq!(message["content"].as_array().map(Vec::len), Some(index), "{event}");
                message["content"].as_array_mut().unwrap().push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let (block, delta) = (&mut message["content"][index], &event["delta"]);
                let add = |field: &mut Value, more: &Value| {
                    *field = json!(field.as_str().unwrap().to_owned() + more.as_str().unwrap());
                };
                match delta["type"].as_str().unwrap() {
                    "text_delta" => add(&mut block["text"], &delta["text"]),
                    "thinking_delta" => add(&mut block["thinking"], &delta["thinking"]),
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "input_json_delta" => inputs[index] += delta["partial_json"].as_str().unwrap(),
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" if !inputs[index].is_empty() => {
                message["content"][index]["input"] = serde_json::from_str(&inputs[index]).expect(&inputs[index]);
            }
            "message_delta" => {
                for part in ["delta", "usage"] {
                    let target = if part == "usage" { &mut message["usage"] } else { &mut message };
                    for (name, value) in event[part].as_object().unwrap() {
                        target[name] = value.clone();
                    }
                }
            }
            _ => {}
        }
    }
    message
}

fn types(message: &Value) -> Vec<&str> {
    message["content"].as_array().into_iter().flatten().filter_map(|block| block["type"].as_str()).collect()
}

/// The same request asked for whole and as a stream, which must come to the same but for the number of the call.
async fn both(profile: Profile, script: &str, request: &Value) -> (Value, Vec<Value>) {
    let simulator = start(profile).await;
    simulator.script(&format!("{script} x2")).unwrap();
    let (status, whole) = ask(&simulator, request).await;
    assert_eq!(status, 200, "{whole}");
    let mut streamed = request.clone();
    streamed["stream"] = json!(true);
    let (text, is_whole) = stream(&simulator, &streamed).await;
    assert!(is_whole && text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{text}");
    let events = events(&text);
    let plain = |message: &Value| {
        let text = message.to_string().replace("call 2", "call 1").replace("00000002", "00000001");
        let mut message: Value = serde_json::from_str(&text).unwrap();
        for block in message["content"].as_array_mut().into_iter().flatten() {
            // Depends on the number of the call where thinking is shown.
            block.as_object_mut().unwrap().remove("signature");
        }
        // The second prompt may read what the first has written.
        message["usage"] = json!(message["usage"]["output_tokens"]);
        message
    };
    assert_eq!(plain(&accumulate(&events)), plain(&whole), "{text}");
    (whole, events)
}

#[tokio::test]
async fn answers_differ_by_provider_model_and_call() {
    let simulator = start(Profile::anthropic()).await;
    for call in 1..=2 {
        let body = request("claude-opus-4-8", "good day", &json!({}));
        let response = send(&simulator, &body).await.unwrap();
        assert!(response.headers()["request-id"].to_str().unwrap().ends_with(&format!("_{call:08}")));
        assert_eq!(response.headers()["anthropic-ratelimit-requests-remaining"], "3999");
        let answer: Value = response.json().await.unwrap();
        let text = answer["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with(&format!("anthropic/claude-opus-4-8, call {call}: you said \"good day\"")), "{text}");
        assert_eq!((&answer["type"], &answer["role"]), (&json!("message"), &json!("assistant")));
        assert_eq!((&answer["stop_reason"], &answer["stop_sequence"]), (&json!("end_turn"), &Value::Null));
        assert!(answer["usage"]["input_tokens"].as_u64() > Some(0), "{answer}");
    }
}

#[tokio::test]
async fn a_stream_has_the_documented_events_in_their_order() {
    let (_, events) = both(Profile::anthropic(), "text=\"a b\"", &request("claude-opus-4-8", "hi", &json!({}))).await;
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds, expected);
    let start = &events[0]["message"];
    assert_eq!((&start["content"], &start["stop_reason"]), (&json!([]), &Value::Null));
    assert!(start["usage"]["output_tokens"] == 1 && start["usage"]["input_tokens"].as_u64() > Some(0));
    assert!(events[6]["usage"]["output_tokens"].is_u64(), "{}", events[6]);
}

#[tokio::test]
async fn models_think_as_they_do_and_show_it_as_asked() {
    let adaptive = |display: Value| json!({"thinking": {"type": "adaptive", "display": display}});
    let budget = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
    let off = json!({"thinking": {"type": "disabled"}});
    let cases = [
        ("claude-opus-5-5", json!({}), Some(false)),
        ("claude-opus-5-5", adaptive(json!("summarized")), Some(true)),
        ("claude-haiku-5-5", json!({}), Some(false)),
        ("claude-haiku-5-5", off.clone(), None),
        ("claude-opus-4-8", json!({}), None),
        ("claude-opus-4-8", adaptive(Value::Null), Some(false)),
        ("claude-sonnet-4-6", adaptive(Value::Null), Some(true)),
        ("claude-sonnet-4-5", budget, Some(true)),
        ("claude-sonnet-4-5", json!({}), None),
    ];
    for (model, more, shown) in cases {
        let (whole, _) = both(Profile::anthropic(), "ok", &request(model, "hi", &more)).await;
        let thinking = whole["usage"]["output_tokens_details"]["thinking_tokens"].as_u64();
        assert_eq!(
            types(&whole),
            if shown.is_some() { vec!["thinking", "text"] } else { vec!["text"] },
            "{model} {more}"
        );
        assert_eq!(thinking > Some(0), shown.is_some(), "{model} {more}");
        if let Some(shown) = shown {
            let block = &whole["content"][0];
            assert_eq!(block["thinking"] != "", shown, "{model} {more}");
            assert!(block["signature"].as_str().is_some_and(|signature| signature.len() > 20), "{block}");
        }
    }
}

#[tokio::test]
async fn tools_are_called_then_their_results_are_told() {
    let more = json!({"tools": weather_tool()});
    let body = request("claude-haiku-5-5", "use get_weather twice", &more);
    let (whole, events) = both(Profile::anthropic(), "ok", &body).await;
    assert_eq!(types(&whole), ["thinking", "tool_use", "tool_use"]);
    assert_eq!(whole["stop_reason"], "tool_use");
    assert!(whole["content"][1]["input"]["city"].is_string(), "{whole}");
    let pieces = events.iter().filter(|event| event["delta"]["type"] == "input_json_delta").count();
    assert!(pieces > 6, "the input comes in pieces: {pieces}");

    let simulator = start(Profile::anthropic()).await;
    let result = |id: &Value, content: Value| json!({"type": "tool_result", "tool_use_id": id, "content": content});
    let mut follow_up = body.clone();
    follow_up["messages"] = json!([
        {"role": "user", "content": "use get_weather twice"},
        {"role": "assistant", "content": whole["content"]},
        {"role": "user", "content": [
            result(&whole["content"][1]["id"], json!("rain all day")),
            result(&whole["content"][2]["id"], json!([{"type": "text", "text": "sun"}])),
        ]},
    ]);
    let (status, answer) = ask(&simulator, &follow_up).await;
    assert_eq!(status, 200, "{answer}");
    let text = answer["content"][1]["text"].as_str().unwrap();
    assert!(text.contains("rain all day") && text.contains("sun"), "{text}");
}

#[tokio::test]
async fn tools_are_called_when_the_request_forces_them_and_only_then() {
    let tool = json!({"type": "tool", "name": "get_weather"});
    let single = json!({"type": "auto", "disable_parallel_tool_use": true});
    let cases = [
        (json!({"type": "auto"}), "hello", 0),
        (json!({"type": "auto"}), "please get weather", 1),
        (json!({"type": "any"}), "hello", 1),
        (tool, "hello", 1),
        (json!({"type": "none"}), "get_weather", 0),
        (json!({"type": "auto"}), "get_weather twice", 2),
        (single, "get_weather twice", 1),
    ];
    for (choice, message, count) in cases {
        let body = request("claude-opus-4-8", message, &json!({"tools": weather_tool(), "tool_choice": choice}));
        let (whole, _) = both(Profile::anthropic(), "ok", &body).await;
        assert_eq!(types(&whole).iter().filter(|kind| **kind == "tool_use").count(), count, "{choice} {message}");
    }
}

#[tokio::test]
async fn calls_can_be_scripted_down_to_their_fragments() {
    let body = request("claude-opus-4-8", "hi", &json!({"tools": weather_tool()}));
    let deltas = |events: &[Value]| -> Vec<String> {
        let deltas = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str());
        deltas.map(str::to_owned).collect()
    };
    let cases = [
        ("call=get_weather arguments=\"{}\"", vec![""]),
        ("call=get_weather arguments=\"\"", vec![]),
        ("call=get_weather arguments=\"{\\\"a\\\":1}\" chunk=3", vec!["", "{\"a", "\":1", "}"]),
    ];
    for (script, expected) in cases {
        let (whole, events) = both(Profile::anthropic(), script, &body).await;
        assert_eq!(deltas(&events), expected, "{script}");
        assert_eq!((types(&whole), &whole["stop_reason"]), (vec!["tool_use"], &json!("tool_use")), "{script}");
    }
    let (whole, _) = both(Profile::anthropic(), "text=\"let me see\" call=get_weather", &body).await;
    assert_eq!(types(&whole), ["text", "tool_use"]);
}

#[tokio::test]
async fn structured_answers_fit_their_schema() {
    let schema = json!({
        "type": "object",
        "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}},
        "required": ["title", "tags"],
        "additionalProperties": false,
    });
    let format = json!({"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}}});
    let (whole, _) = both(Profile::anthropic(), "ok", &request("claude-opus-4-8", "hi", &format)).await;
    let content: Value = serde_json::from_str(whole["content"][0]["text"].as_str().unwrap()).unwrap();
    assert!(jsonschema::is_valid(&schema, &content), "{content}");
}

#[tokio::test]
async fn every_stop_reason_can_be_had() {
    let cases = [
        ("text=\"one two\"", json!({"stop_sequences": ["two"]}), "stop_sequence", "one "),
        ("text=\"one two three\"", json!({"max_tokens": 2}), "max_tokens", "one two "),
        ("refusal", json!({}), "refusal", ""),
        ("text=\"one \" refusal", json!({}), "refusal", "one "),
        ("finish=pause_turn text=a", json!({}), "pause_turn", "a"),
        ("finish=model_context_window_exceeded text=a", json!({}), "model_context_window_exceeded", "a"),
        ("text=a", json!({"max_tokens": 0}), "max_tokens", ""),
    ];
    for (script, more, reason, text) in cases {
        let (whole, _) = both(Profile::anthropic(), script, &request("claude-opus-4-8", "hi", &more)).await;
        assert_eq!(whole["stop_reason"], reason, "{script}");
        assert_eq!(whole["content"][0]["text"].as_str().unwrap_or_default(), text, "{script}");
        assert_eq!(whole["stop_sequence"], if reason == "stop_sequence" { json!("two") } else { Value::Null });
        assert_eq!(whole["stop_details"]["explanation"].is_string(), reason == "refusal", "{script}");
    }
}

#[tokio::test]
async fn marked_prompts_are_read_from_the_cache_the_second_time() {
    let simulator = start_scripted(Profile::anthropic(), "text=a *").await;
    let system = json!([{"type": "text", "text": "word ".repeat(2000), "cache_control": {"type": "ephemeral"}}]);
    let body = request("claude-opus-5-5", "hi", &json!({"system": system}));
    let (_, first) = ask(&simulator, &body).await;
    let (_, second) = ask(&simulator, &body).await;
    let usage = |answer: &Value, name: &str| answer["usage"][name].as_u64().unwrap();
    let written = usage(&first, "cache_creation_input_tokens");
    assert!(written > 2000 && usage(&first, "cache_read_input_tokens") == 0, "{first}");
    assert_eq!(first["usage"]["cache_creation"]["ephemeral_5m_input_tokens"], written);
    assert_eq!(usage(&second, "cache_read_input_tokens"), written);
    assert_eq!(usage(&second, "cache_creation_input_tokens"), 0);
    assert_eq!(usage(&first, "input_tokens"), usage(&second, "input_tokens"));
}

#[tokio::test]
async fn a_constant_answer_is_the_same_for_every_request() {
    let constant = Profile::anthropic().with_constant_answer("pong");
    let (whole, _) = both(constant, "ok", &json!({"model": "any", "anything": 1})).await;
    assert_eq!(whole["content"][0]["text"], "pong");
}
