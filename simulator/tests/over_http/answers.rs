//! What simulators say when all is well.

use serde_json::{Value, json};
use tiergate_simulator::Profile;
use tiergate_simulator::description::assert_valid;

use crate::{KEY, ask, chunks, request, send, start, start_scripted, stream, streamed_text, url, weather_tool};

#[tokio::test]
async fn answers_differ_by_provider_model_and_call() {
    let simulator = start(Profile::openai()).await;
    let (status, first) = ask(&simulator, &request("gpt-6-luna", "good day", &json!({}))).await;
    assert_eq!(status, 200);
    assert_valid("CreateChatCompletionResponse", &first);
    let content = |answer: &Value| answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert!(content(&first).starts_with("openai/gpt-6-luna, call 1: you said \"good day\""), "{first}");
    assert_eq!(first["model"], "gpt-6-luna");
    assert_eq!(first["choices"][0]["finish_reason"], "stop");
    assert!(first["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64() > Some(0), "{first}");
    let (_, second) = ask(&simulator, &request("gpt-6-luna", "good day", &json!({}))).await;
    assert!(content(&second).starts_with("openai/gpt-6-luna, call 2"), "{second}");
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test]
async fn a_stream_says_the_same_in_the_usual_order() {
    let simulator = start(Profile::openai()).await;
    let body = request("gpt-6-sol", "hello", &json!({"stream": true, "stream_options": {"include_usage": true}}));
    let (text, whole) = stream(&simulator, &body).await;
    assert!(whole && text.ends_with("data: [DONE]\n\n"), "{text}");
    let chunks = chunks(&text);
    for chunk in &chunks {
        assert_valid("CreateChatCompletionStreamResponse", chunk);
        assert_eq!(chunk["id"], chunks[0]["id"]);
    }
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(streamed_text(&chunks).starts_with("openai/gpt-6-sol, call 1: you said \"hello\""), "{text}");
    let [.., closing, usage] = chunks.as_slice() else { panic!("{text}") };
    assert_eq!(closing["choices"][0]["finish_reason"], "stop");
    assert_eq!(closing["usage"], Value::Null);
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["total_tokens"].as_u64() > Some(0));
}

#[tokio::test]
async fn mistrals_reasoning_models_say_what_they_think_in_their_content() {
    let thought =
        json!({"type": "thinking", "thinking": [{"type": "text", "text": "What is asked is clear."}], "closed": true});
    for (model, more, thinks) in [
        ("magistral-medium-latest", json!({}), true),
        ("mistral-small-latest", json!({"reasoning_effort": "high"}), true),
        ("mistral-small-latest", json!({"reasoning_effort": "none"}), false),
        ("mistral-small-latest", json!({}), false),
    ] {
        let simulator = start(Profile::mistral()).await;
        let (status, answer) = ask(&simulator, &request(model, "hello", &more)).await;
        assert_eq!(status, 200, "{answer}");
        let content = &answer["choices"][0]["message"]["content"];
        let mut streamed = more.clone();
        streamed["stream"] = json!(true);
        let (text, _) = stream(&simulator, &request(model, "hello", &streamed)).await;
        let chunks = chunks(&text);
        let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["content"]).collect();
        if thinks {
            assert_eq!((&content[0], &content[1]["type"]), (&thought, &json!("text")), "{model} {more}");
            assert_eq!((&deltas[1][0], &deltas[2][0]["type"]), (&thought, &json!("text")), "{model} {more}");
        } else {
            assert!(content.is_string() && deltas[1].is_string(), "{model} {more}: {content}");
        }
    }
}

#[tokio::test]
async fn usage_is_streamed_only_when_asked_for() {
    let simulator = start(Profile::openai()).await;
    let (text, _) = stream(&simulator, &request("gpt-6-sol", "hello", &json!({"stream": true}))).await;
    assert!(!text.contains("\"usage\""), "{text}");
}

#[tokio::test]
async fn tools_are_called_then_their_result_is_told() {
    let simulator = start(Profile::openai()).await;
    let more = json!({"tools": weather_tool(), "reasoning_effort": "none"});
    let (_, answer) = ask(&simulator, &request("gpt-6-luna", "use get_weather twice", &more)).await;
    assert_valid("CreateChatCompletionResponse", &answer);
    let message = &answer["choices"][0]["message"];
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(message["content"], Value::Null);
    assert_eq!(message["tool_calls"].as_array().map(Vec::len), Some(2));
    let arguments: Value =
        serde_json::from_str(message["tool_calls"][0]["function"]["arguments"].as_str().unwrap()).unwrap();
    assert!(arguments["city"].is_string() && arguments["days"].is_i64(), "{arguments}");

    let mut follow_up = request("gpt-6-luna", "", &more);
    follow_up["messages"] = json!([
        {"role": "user", "content": "use get_weather"},
        message,
        {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain all day"},
    ]);
    let (_, answer) = ask(&simulator, &follow_up).await;
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(content.contains("rain all day"), "{content}");
}

#[tokio::test]
async fn tools_are_called_when_the_request_forces_them_and_only_then() {
    let simulator = start(Profile::generic("any")).await;
    let cases = [
        ("required", json!("required"), "hello", true),
        ("named", json!({"type": "function", "function": {"name": "get_weather"}}), "hello", true),
        ("auto", json!("auto"), "hello", false),
        ("auto, mentioned", json!("auto"), "please get weather", true),
        ("none, mentioned", json!("none"), "please get weather", false),
    ];
    for (name, choice, message, called) in cases {
        let body = request("m", message, &json!({"tools": weather_tool(), "tool_choice": choice}));
        let (_, answer) = ask(&simulator, &body).await;
        assert_eq!(answer["choices"][0]["message"]["tool_calls"].is_array(), called, "{name}: {answer}");
    }
}

#[tokio::test]
async fn tool_calls_stream_in_pieces_with_contiguous_indexes() {
    let simulator = start(Profile::openai()).await;
    let more = json!({"tools": weather_tool(), "reasoning_effort": "none", "stream": true});
    let (text, _) = stream(&simulator, &request("gpt-6-luna", "get_weather twice", &more)).await;
    let mut arguments = [String::new(), String::new()];
    let chunks = chunks(&text);
    for chunk in &chunks {
        assert_valid("CreateChatCompletionStreamResponse", chunk);
        for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            assert_eq!(call["id"].is_string(), arguments[index].is_empty() && call["function"]["name"].is_string());
            arguments[index] += call["function"]["arguments"].as_str().unwrap();
        }
    }
    for text in &arguments {
        let arguments: Value = serde_json::from_str(text).unwrap();
        assert!(arguments["city"].is_string(), "{text}");
    }
    assert!(chunks.len() > 6, "{text}");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn gemini_streams_a_whole_tool_call_without_index_and_wants_its_signature_back() {
    let simulator = start(Profile::google()).await;
    let more = json!({"tools": weather_tool(), "stream": true});
    let (text, _) = stream(&simulator, &request("gemini-3.8-flash", "get_weather", &more)).await;
    let chunks = chunks(&text);
    let call = &chunks[1]["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!((&call["index"], &call["id"]), (&Value::Null, &json!("")), "{text}");
    assert!(serde_json::from_str::<Value>(call["function"]["arguments"].as_str().unwrap()).is_ok());
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");

    let history = |call: Value| {
        let messages = json!([
            {"role": "user", "content": "get_weather"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "", "content": "rain"},
        ]);
        request("gemini-3.8-flash", "", &json!({"messages": messages}))
    };
    assert_eq!(ask(&simulator, &history(call.clone())).await.0, 200);
    let mut unsigned = call.clone();
    unsigned.as_object_mut().unwrap().remove("extra_content");
    assert_eq!(ask(&simulator, &history(unsigned)).await.0, 400);
}

#[tokio::test]
async fn structured_answers_fit_their_schema() {
    let simulator = start(Profile::openai()).await;
    let schema = json!({
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "scores": {"type": "array", "items": {"type": "number"}},
            "inner": {"type": "object", "properties": {"done": {"type": "boolean"}}, "required": ["done"],
                      "additionalProperties": false},
        },
        "required": ["title", "kind", "scores", "inner"],
        "additionalProperties": false,
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}});
    for (format, schema) in [(format, schema), (json!({"type": "json_object"}), json!({"type": "object"}))] {
        let (_, answer) = ask(&simulator, &request("gpt-6-sol", "hi", &json!({"response_format": format}))).await;
        let content: Value =
            serde_json::from_str(answer["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
        assert!(jsonschema::is_valid(&schema, &content), "{content}");
    }
}

#[tokio::test]
async fn stop_and_token_limit_and_choices_are_honoured() {
    let simulator = start(Profile::openai()).await;
    let more = json!({"stop": ["two"], "n": 2, "reasoning_effort": "none"});
    let (_, stopped) = ask(&simulator, &request("gpt-6-sol", "one two", &more)).await;
    assert_valid("CreateChatCompletionResponse", &stopped);
    assert_eq!(stopped["choices"].as_array().map(Vec::len), Some(2));
    assert_eq!(stopped["choices"][1]["index"], 1);
    assert_eq!(stopped["choices"][1]["finish_reason"], "stop");
    let text = stopped["choices"][1]["message"]["content"].as_str().unwrap();
    assert!(text.ends_with("you said \"one "), "{text}");

    let (_, cut) = ask(&simulator, &request("gpt-6-sol", "hi", &json!({"max_completion_tokens": 6}))).await;
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    assert_eq!(cut["usage"]["completion_tokens"], 6);
}

#[tokio::test]
async fn a_constant_answer_is_the_same_for_every_request() {
    let simulator = start(Profile::openai().with_constant_answer("pong")).await;
    for _ in 0..2 {
        let (status, answer) = ask(&simulator, &request("gpt-6-luna", "ping", &json!({"max_tokens": 3}))).await;
        assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("pong")));
        assert_valid("CreateChatCompletionResponse", &answer);
    }
    let (text, _) = stream(&simulator, &request("gpt-6-luna", "ping", &json!({"stream": true}))).await;
    assert_eq!(streamed_text(&chunks(&text)), "pong");
}

#[tokio::test]
async fn the_shape_of_an_answer_can_be_scripted() {
    let simulator =
        start_scripted(Profile::openai(), "events=5; bytes=1000 events=4; huge=5000; text=\"so it is\"; nonsense")
            .await;
    let body = request("gpt-6-sol", "hi", &json!({"stream": true}));
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (text, _) = stream(&simulator, &body).await;
        let chunks = chunks(&text);
        seen.push((chunks.len() - 2, streamed_text(&chunks)));
    }
    assert_eq!((seen[0].0, seen[1].0, seen[1].1.len()), (5, 4, 1000));
    assert_eq!((seen[2].0, seen[2].1.len()), (1, 5000));
    assert_eq!(seen[3], (3, "so it is".to_owned()));
    assert!(serde_json::from_str::<Value>(&seen[4].1).is_err(), "{}", seen[4].1);
}

#[tokio::test]
async fn mercury_replaces_a_temperature_out_of_range_and_says_so() {
    let simulator = start(Profile::inception()).await;
    let (status, answer) = ask(&simulator, &request("mercury-2", "hi", &json!({"temperature": 0.1}))).await;
    assert_eq!(status, 200);
    assert!(answer["warning"].is_string(), "{answer}");
    let (_, answer) = ask(&simulator, &request("mercury-2", "hi", &json!({"temperature": 0.6}))).await;
    assert_eq!(answer["warning"], Value::Null);
}

#[tokio::test]
async fn mercury_classifies_and_the_script_can_change_the_verdict() {
    let simulator = start_scripted(Profile::inception(), "ok; tier=other confidence=0.3; nonsense").await;
    let schema = json!({
        "type": "object",
        "properties": {"tier": {"type": "string", "enum": ["fast", "balanced", "quality", "reasoning"]},
                       "confidence": {"type": "number"}},
        "required": ["tier", "confidence"],
        "additionalProperties": false,
    });
    let more = json!({
        "reasoning_effort": "instant",
        "max_completion_tokens": 100,
        "response_format": {"type": "json_schema", "json_schema": {"name": "t", "strict": true, "schema": schema}},
    });
    let body = request("mercury-2", "Classify: \"prove that there is no largest prime\"", &more);
    let mut replies = Vec::new();
    for _ in 0..3 {
        let (_, answer) = ask(&simulator, &body).await;
        assert_valid("CreateChatCompletionResponse", &answer);
        let content = answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        replies.push(serde_json::from_str::<Value>(&content).ok());
    }
    assert_eq!(replies[0], Some(json!({"tier": "reasoning", "confidence": 0.93})));
    assert_eq!(replies[1], Some(json!({"tier": "other", "confidence": 0.3})));
    assert_eq!(replies[2], None);
    let mut wrong = body.clone();
    wrong["reasoning_effort"] = json!("low");
    assert_eq!(ask(&simulator, &wrong).await.0, 400);
}

#[tokio::test]
async fn models_are_listed_and_headers_that_must_not_pass_are_sent() {
    let simulator = start(Profile::openai()).await;
    let response = reqwest::Client::new().get(url(&simulator, "/v1/models")).bearer_auth(KEY).send().await.unwrap();
    let list: Value = response.json().await.unwrap();
    assert_valid("ListModelsResponse", &list);
    assert_eq!(list["data"][0]["id"], "gpt-6-luna");

    let response = send(&simulator, &request("gpt-6-sol", "hi", &json!({}))).await.unwrap();
    for name in ["x-request-id", "x-ratelimit-remaining-tokens", "set-cookie", "server", "openai-organization"] {
        assert!(response.headers().contains_key(name), "{name}");
    }
}
