//! What simulators refuse, and in which words.

use serde_json::{Value, json};
use tiergate_simulator::Profile;
use tiergate_simulator::description::assert_valid;

use crate::{ask, request, start, url, weather_tool};

/// Sends a request that must be refused with this status, `param` and `code`.
async fn check_refused(profile: Profile, cases: &[(&str, Value, u16, Value, Value)]) {
    let simulator = start(profile).await;
    for (model, more, status, param, code) in cases {
        let (given, answer) = ask(&simulator, &request(model, "hello", more)).await;
        assert_eq!(given, *status, "{model} {more}: {answer}");
        assert_valid("ErrorResponse", &answer);
        assert_eq!(answer["error"]["type"], "invalid_request_error", "{model} {more}");
        assert_eq!((&answer["error"]["param"], &answer["error"]["code"]), (param, code), "{model} {more}");
    }
}

async fn check_taken(profile: Profile, cases: &[(&str, Value)]) {
    let simulator = start(profile).await;
    for (model, more) in cases {
        let (status, answer) = ask(&simulator, &request(model, "hello", more)).await;
        assert_eq!(status, 200, "{model} {more}: {answer}");
    }
}

#[tokio::test]
async fn openai_refuses_what_its_reasoning_models_do_not_take() {
    let unsupported = json!("unsupported_parameter");
    let value = json!("unsupported_value");
    let field = |name: &str, value: Value| json!({name: value});
    let tools = |effort: Value| json!({"tools": weather_tool(), "reasoning_effort": effort});
    let cases = [
        ("gpt-6-luna", tools(Value::Null), 400, json!("reasoning_effort"), Value::Null),
        ("gpt-6-luna", tools(json!("low")), 400, json!("reasoning_effort"), Value::Null),
        ("gpt-6.2-astra", tools(json!("none")), 400, json!("reasoning_effort"), value.clone()),
        ("gpt-6.1-sol", tools(json!("none")), 400, json!("reasoning_effort"), value.clone()),
        ("gpt-6.2-astra", tools(json!("low")), 400, json!("tools"), Value::Null),
        ("gpt-6-sol", field("reasoning_effort", json!("instant")), 400, json!("reasoning_effort"), value),
        ("gpt-6-sol", field("temperature", json!(0.2)), 400, json!("temperature"), unsupported.clone()),
        ("gpt-6-sol", field("top_p", json!(0.2)), 400, json!("top_p"), unsupported.clone()),
        ("gpt-6-sol", field("presence_penalty", json!(1)), 400, json!("presence_penalty"), unsupported.clone()),
        ("gpt-6-sol", field("logprobs", json!(true)), 400, json!("logprobs"), unsupported.clone()),
        ("gpt-6-sol", field("max_tokens", json!(9)), 400, json!("max_tokens"), unsupported),
        ("gpt-7", json!({}), 404, json!("model"), json!("model_not_found")),
        ("gpt-6-sol", json!({"messages": []}), 400, json!("messages"), Value::Null),
        ("gpt-6-sol", field("stream_options", json!({})), 400, json!("stream_options"), Value::Null),
    ];
    check_refused(Profile::openai(), &cases).await;
    check_taken(
        Profile::openai(),
        &[
            ("gpt-6-luna", tools(json!("none"))),
            ("gpt-6-luna", json!({"temperature": 1, "top_p": 1.0, "logprobs": false, "max_completion_tokens": 9})),
            ("gpt-6-luna", json!({"temperature": 0.2, "reasoning_effort": "none"})),
            ("gpt-6.2-astra", json!({"messages": [{"role": "developer", "content": "x"}]})),
        ],
    )
    .await;
}

#[tokio::test]
async fn openai_refuses_unknown_fields_at_every_depth() {
    let unknown = json!("unknown_parameter");
    let said = |message: Value| json!({"messages": [message]});
    let part = |part: Value| said(json!({"role": "user", "content": [part]}));
    let call = |call: Value| said(json!({"role": "assistant", "tool_calls": [call]}));
    let tool = |tool: Value| json!({"tools": [tool], "reasoning_effort": "none"});
    let cases = [
        (json!({"response_format": {"type": "json_object", "x": 1}}), "response_format.x"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"x": 1}, "x": 1}}}),
            "response_format.json_schema.x",
        ),
        (json!({"stream": true, "stream_options": {"x": 1}}), "stream_options.x"),
        (json!({"tool_choice": {"type": "function", "function": {"name": "f", "x": 1}}}), "tool_choice.function.x"),
        (
            json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{}, {"x": 1}]}}}),
            "tool_choice.allowed_tools.tools[1].x",
        ),
        (
            json!({"prediction": {"type": "content", "content": [{"type": "text", "text": "a", "x": 1}]}}),
            "prediction.content[0].x",
        ),
        (part(json!({"type": "image_url", "image_url": {"url": "a", "x": 1}})), "messages[0].content[0].image_url.x"),
        (part(json!({"type": "file", "file": {"file_id": "a", "x": 1}})), "messages[0].content[0].file.x"),
        (
            part(json!({"type": "input_audio", "input_audio": {"data": "a", "x": 1}})),
            "messages[0].content[0].input_audio.x",
        ),
        (said(json!({"role": "assistant", "audio": {"id": "a", "data": "b"}})), "messages[0].audio.data"),
        (
            call(json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}", "input": "b"}})),
            "messages[0].tool_calls[0].function.input",
        ),
        (tool(json!({"type": "function", "function": {"name": "f"}, "x": 1})), "tools[0].x"),
        (tool(json!({"type": "function", "function": {"name": "f", "x": 1}})), "tools[0].function.x"),
        (
            tool(
                json!({"type": "custom", "custom": {"name": "f", "format": {"type": "grammar", "grammar": {"x": 1}}}}),
            ),
            "tools[0].custom.format.grammar.x",
        ),
    ];
    let cases = cases.map(|(more, param)| ("gpt-6-sol", more, 400, json!(param), unknown.clone()));
    check_refused(Profile::openai(), &cases).await;
    let invalid = json!("invalid_value");
    let image = json!({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}});
    let result = said(json!({"role": "tool", "tool_call_id": "a", "content": [image]}));
    let made_up = call(json!({"id": "a", "type": "function", "function": {"name": "f.g", "arguments": "{}"}}));
    let cases = [
        ("gpt-6-sol", result, 400, json!("messages[0].content[0]"), invalid.clone()),
        ("gpt-6-sol", made_up, 400, json!("messages[0].tool_calls[0].function.name"), invalid),
    ];
    check_refused(Profile::openai(), &cases).await;
}

#[tokio::test]
async fn mercury_refuses_what_is_not_in_its_schema() {
    let unsupported = json!("unsupported_parameter");
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]);
    let role = |role: &str| json!({"messages": [{"role": role, "content": "x"}]});
    let mut cases = vec![
        ("mercury-2", role("developer"), 400, json!("messages[0].role"), json!("invalid_value")),
        ("mercury-2", json!({"stop": "x"}), 400, json!("stop"), Value::Null),
        ("mercury-2", json!({"reasoning_effort": "none"}), 400, json!("reasoning_effort"), json!("unsupported_value")),
        (
            "mercury-2",
            json!({"messages": [{"role": "user", "content": image}]}),
            400,
            json!("messages[0].content"),
            Value::Null,
        ),
    ];
    for name in ["top_p", "n", "seed", "frequency_penalty", "presence_penalty", "logprobs"] {
        cases.push(("mercury-2", json!({name: 1}), 400, json!(name), unsupported.clone()));
    }
    check_refused(Profile::inception(), &cases).await;
    check_taken(
        Profile::inception(),
        &[
            ("mercury-2", json!({"stop": ["x"], "reasoning_effort": "instant", "max_tokens": 5})),
            ("mercury-3", json!({"tools": weather_tool()})),
            ("mercury-2", role("user")),
        ],
    )
    .await;
}

#[tokio::test]
async fn names_of_tools_are_plain_wherever_they_stand() {
    let function = |name: &str| json!({"type": "function", "function": {"name": name}});
    let call = |name: &str| json!({"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}});
    let invalid = json!("invalid_value");
    let long = "x".repeat(65);
    let mut cases = Vec::new();
    for name in ["a.b", "a b", long.as_str()] {
        let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function(name)]}});
        for (more, param) in [
            (json!({"tools": [function("ok"), function(name)]}), "tools[1].function.name"),
            (json!({"tools": [{"type": "custom", "custom": {"name": name}}]}), "tools[0].custom.name"),
            (json!({"functions": [{"name": name}]}), "functions[0].name"),
            (json!({"tools": [function("ok")], "tool_choice": function(name)}), "tool_choice.function.name"),
            (
                json!({"tools": [function("ok")], "tool_choice": allowed}),
                "tool_choice.allowed_tools.tools[0].function.name",
            ),
            (
                json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call(name)]}]}),
                "messages[1].tool_calls[0].function.name",
            ),
            (json!({"messages": [{"role": "function", "name": name, "content": "x"}]}), "messages[0].name"),
        ] {
            cases.push(("any", more, 400, json!(param), invalid.clone()));
        }
    }
    check_refused(Profile { models: Vec::new(), ..Profile::openai() }, &cases[..]).await;
    let taken: Vec<_> = cases.iter().map(|(model, more, ..)| (*model, more.clone())).take(2).collect();
    check_taken(Profile::generic("any"), &taken).await;
}

#[tokio::test]
async fn a_prompt_over_the_context_overflows() {
    let simulator = start(Profile::openai().with_context_tokens(100)).await;
    let (status, answer) = ask(&simulator, &request("gpt-6-sol", &"word ".repeat(100), &json!({}))).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("context_length_exceeded")));
    assert_eq!(ask(&simulator, &request("gpt-6-sol", "word", &json!({}))).await.0, 200);
}

#[tokio::test]
async fn gemini_wraps_its_errors_in_an_array() {
    let simulator = start(Profile::google()).await;
    let system_only = request("gemini-3.8-flash", "", &json!({"messages": [{"role": "system", "content": "x"}]}));
    let (status, answer) = ask(&simulator, &system_only).await;
    assert_eq!((status, &answer[0]["error"]["code"]), (400, &json!(400)), "{answer}");
    assert_eq!(answer[0]["error"]["status"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn providers_with_functions_only_refuse_other_forms_of_tools() {
    let history = |message: Value| json!({"messages": [{"role": "user", "content": "x"}, message]});
    let call = json!({"id": "123456789", "type": "custom", "custom": {"name": "f", "input": "x"}});
    let profiles = [
        Profile::groq(),
        Profile::cerebras(),
        Profile::deepseek(),
        Profile::xai(),
        Profile::together(),
        Profile::fireworks(),
        Profile::vllm(),
        Profile::ollama(),
    ];
    for profile in profiles {
        let name = profile.name.clone();
        let simulator = start(profile).await;
        for more in [
            json!({"functions": [{"name": "f"}]}),
            json!({"function_call": "auto"}),
            history(json!({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}})),
            history(json!({"role": "function", "name": "f", "content": "x"})),
            history(json!({"role": "assistant", "content": "x", "reasoning_content": "x", "tool_calls": [call]})),
            json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
            json!({"tools": weather_tool(), "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}),
        ] {
            let (status, answer) = ask(&simulator, &request("m", "hello", &more)).await;
            assert_eq!(status, 400, "{name} {more}: {answer}");
        }
    }
    let bare = json!([{"type": "function", "function": {"name": "f"}}]);
    let missing = json!("tools[0].function.parameters");
    check_refused(Profile::mistral(), &[("m", json!({"tools": bare}), 400, missing, json!("missing"))]).await;
    let list = history(json!({"role": "function", "name": "f", "content": [{"type": "text", "text": "x"}]}));
    check_refused(Profile::azure(), &[("m", list, 400, json!("messages[1].content"), json!("invalid_type"))]).await;
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_partly_repeated() {
    let simulator = start(Profile::openai()).await;
    let client = reqwest::Client::new();
    let post = || client.post(url(&simulator, "/v1/chat/completions")).json(&request("gpt-6-sol", "hi", &json!({})));
    let response = post().bearer_auth("sk-wrong-abcdefghijklmnop").send().await.unwrap();
    assert_eq!(response.status(), 401);
    let answer: Value = response.json().await.unwrap();
    assert_valid("ErrorResponse", &answer);
    assert_eq!(answer["error"]["code"], "invalid_api_key");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("sk-wrong") && message.contains("mnop") && !message.contains("abcdefgh"), "{message}");
    assert_eq!(post().send().await.unwrap().status(), 401);
    assert_eq!(post().header("x-api-key", crate::KEY).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn any_base_path_is_served_and_others_are_not_found() {
    let simulator = start(Profile::google()).await;
    let client = reqwest::Client::new();
    let body = request("gemini-3.8-flash", "hi", &json!({}));
    let cases = [
        ("POST", "/v1beta/openai/chat/completions", 200),
        ("POST", "/v1/chat/completions", 200),
        ("POST", "/deep/base/path/chat/completions?x=1", 200),
        ("GET", "/v1beta/openai/models", 200),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/completions", 404),
    ];
    for (method, path, status) in cases {
        let response = client.request(method.parse().unwrap(), url(&simulator, path)).bearer_auth(crate::KEY);
        let response = response.json(&body).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
    }
    assert_eq!(simulator.requests()[2].path, "/deep/base/path/chat/completions?x=1");
}

#[tokio::test]
async fn requests_are_recorded_and_can_be_awaited() {
    let simulator = start(Profile::openai()).await;
    let next = simulator.next_request();
    let body = request("gpt-6-sol", "hi", &json!({}));
    let client = reqwest::Client::new();
    let sent =
        client.post(url(&simulator, "/v1/chat/completions")).header("x-stainless-lang", "rust").bearer_auth(crate::KEY);
    sent.json(&body).send().await.unwrap();
    let recorded = next.await;
    assert_eq!(recorded.header("x-stainless-lang"), Some("rust"));
    assert_eq!(recorded.json(), body);
    assert!(!format!("{recorded:?}").contains(crate::KEY));
    assert_eq!(simulator.received(), 1);
    simulator.clear();
    assert_eq!((simulator.received(), simulator.requests().len()), (0, 0));
    let (again, _) = tokio::join!(simulator.request(1), ask(&simulator, &body));
    assert_eq!(again.json(), body);
}
