//! Candidates of the Messages API behind an OpenAI client, and failover from one dialect to the other.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use tiergate_cli::wasm::Guest;

use crate::reliability::content;
use crate::runtime::{Case, Got, Runtime, Shared, policy, send};
use crate::scenarios::scenarios;

static REUSED: LazyLock<Shared> = LazyLock::new(Shared::new);
static SINGLE: LazyLock<Shared> = LazyLock::new(Shared::new);

scenarios!(
    an_openai_client_gets_a_message,
    a_message_is_streamed_as_chunks,
    tools_cross_in_both_directions,
    failover_crosses_dialects,
    a_broken_message_is_never_whole,
    errors_of_the_messages_api_are_the_clients_terms,
    a_request_without_words_in_the_dialect_goes_elsewhere,
    a_claude_model_classifies,
);

fn request(stream: bool, more: Value) -> Value {
    let mut body = json!({"stream": stream, "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Ask get_weather about Rome."}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn ask(runtime: &Runtime, case: &Case, body: &Value) -> Got {
    send(runtime.post("/v1/chat/completions", body).header("x-route-tier", &case.tier)).await
}

fn tools() -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]})
}

/// Name and arguments of the first call, whole or from chunks.
fn call(got: &Got, stream: bool) -> (String, Value) {
    let calls: Vec<Value> = if stream {
        let chunks = got.events().into_iter().filter_map(|data| serde_json::from_str::<Value>(&data).ok());
        chunks
            .map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0].clone())
            .filter(|call| !call.is_null())
            .collect()
    } else {
        vec![got.json()["choices"][0]["message"]["tool_calls"][0].clone()]
    };
    let name = calls.iter().find_map(|call| call["function"]["name"].as_str()).expect("a name").to_owned();
    let arguments: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    (name, serde_json::from_str(&arguments).unwrap_or_else(|error| panic!("{error}: {}", got.text)))
}

async fn an_openai_client_gets_a_message(runtime: &Runtime) {
    let case = runtime.case("from-messages");
    let body = request(false, json!({"max_completion_tokens": 300, "temperature": 0.2, "seed": 7}));
    let got = ask(runtime, &case, &body).await;
    assert!(!got.answer().is_empty(), "{}", got.text);
    assert_eq!(got.header("x-route-attempts"), format!("{}:200", case.first));
    let mut dropped: Vec<&str> = got.header("x-route-dropped").split(',').collect();
    dropped.sort_unstable();
    assert_eq!(dropped, ["seed", "temperature"]);
    let answer = got.json();
    assert_eq!(
        (&answer["object"], &answer["choices"][0]["finish_reason"]),
        (&json!("chat.completion"), &json!("stop"))
    );
    assert!(answer["usage"]["total_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{answer}");
    assert_eq!(got.header("x-request-id"), got.header("x-route-id"));

    let requests = runtime.third.requests();
    let sent = &requests[0];
    assert_eq!((sent.path.as_str(), sent.header("anthropic-version")), ("/v1/messages", Some("2023-06-01")));
    assert!(sent.header("x-api-key").is_some() && sent.header("authorization").is_none());
    assert_eq!(sent.json()["max_tokens"], 300);
    let log = runtime.log_line().await;
    assert!(log["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{log}");
}

async fn a_message_is_streamed_as_chunks(runtime: &Runtime) {
    runtime.third.script("events=20 noise=3").unwrap();
    let case = runtime.case("from-messages");
    let got = ask(runtime, &case, &request(true, json!({"stream_options": {"include_usage": true}}))).await;
    let (text, whole) = content(&got);
    assert!(whole && text.contains("piece20"), "{}", got.text);
    let events = got.events();
    let usage: Value = serde_json::from_str(&events[events.len() - 2]).expect("JSON");
    assert!(usage["usage"]["completion_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{usage}");
    assert!(!got.text.contains("event:"), "names of events are not of the client's dialect");
    let log = runtime.log_line().await;
    assert_eq!(log["gen_ai.response.finish_reasons"], json!(["stop"]));
}

async fn tools_cross_in_both_directions(runtime: &Runtime) {
    for stream in [false, true] {
        runtime.third.script("call=get_weather arguments=\"{\\\"city\\\": \\\"Rome\\\"}\" chunk=5").unwrap();
        let case = runtime.case("from-messages");
        let got = ask(runtime, &case, &request(stream, tools())).await;
        assert_eq!(call(&got, stream), ("get_weather".to_owned(), json!({"city": "Rome"})), "{}", got.text);
        assert!(got.text.contains("\"tool_calls\""), "{}", got.text);

        // The call goes back with its result.
        let id = if stream {
            let events = got.events();
            let calls = events.iter().filter_map(|data| serde_json::from_str::<Value>(data).ok());
            let mut ids = calls
                .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["id"].as_str().map(str::to_owned));
            ids.next().expect("an id")
        } else {
            got.json()["choices"][0]["message"]["tool_calls"][0]["id"].as_str().expect("an id").to_owned()
        };
        let mut body = request(stream, tools());
        let messages = body["messages"].as_array_mut().expect("messages");
        let function = json!({"name": "get_weather", "arguments": "{\"city\": \"Rome\"}"});
        messages.push(json!({"role": "assistant", "content": null,
            "tool_calls": [{"id": id, "type": "function", "function": function}]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": "21 degrees"}));
        let got = ask(runtime, &case, &body).await;
        assert_eq!(got.status, 200, "{}", got.text);
        assert!(!stream || content(&got).1);
    }
}

async fn failover_crosses_dialects(runtime: &Runtime) {
    for stream in [false, true] {
        for tools in [json!({}), tools()] {
            for (kind, faults) in [
                ("to-messages", ["status=503", "close x2", "error-200", "cut=0"]),
                ("from-messages", ["status=529", "close x2", "quota", "cut=0"]),
            ] {
                let fault = faults[usize::from(stream) * 2 + usize::from(tools["tools"].is_array())];
                let case = runtime.case(kind);
                let failing = if kind == "to-messages" { &runtime.first } else { &runtime.third };
                failing.script(fault).unwrap();
                let got = ask(runtime, &case, &request(stream, tools.clone())).await;
                assert_eq!(got.status, 200, "{kind} {fault}: {}", got.text);
                assert!(got.header("x-route-attempts").ends_with(&format!("{}:200", case.second)), "{kind} {fault}");
                assert!(!stream || content(&got).1, "{kind} {fault}: {}", got.text);
                if tools["tools"].is_array() {
                    assert_eq!(call(&got, stream).0, "get_weather", "{kind} {fault}");
                }
            }
        }
    }
}

async fn a_broken_message_is_never_whole(runtime: &Runtime) {
    for script in
        ["events=5 cut=2", "events=5 error-event=2", "events=5 leak-event=2", "events=5 bad-event=2", "no-finish"]
    {
        runtime.third.script(script).unwrap();
        let case = runtime.case("from-messages");
        let got = ask(runtime, &case, &request(true, json!({}))).await;
        assert_eq!(got.status, 200, "{script}");
        assert!(!content(&got).1, "{script}: {}", got.text);
        assert!(got.text.contains("\"code\":\"stream_broken\""), "{script}: {}", got.text);
    }
    runtime.third.script("no-done").unwrap();
    let got = ask(runtime, &runtime.case("from-messages"), &request(true, json!({}))).await;
    assert!(content(&got).1, "{}", got.text);
}

async fn errors_of_the_messages_api_are_the_clients_terms(runtime: &Runtime) {
    for (script, outcome) in [
        ("status=529", "529"),
        ("status=401", "401"),
        ("quota", "429"),
        ("rate-limit=1s", "429"),
        ("error=account", "400"),
        ("error=refused", "400"),
    ] {
        let case = runtime.case("from-messages");
        runtime.third.script(script).unwrap();
        let got = ask(runtime, &case, &request(false, json!({}))).await;
        assert_eq!(got.header("x-route-attempts"), case.passed_on(outcome), "{script}: {}", got.text);
    }
    let case = runtime.case("from-messages");
    runtime.third.script("error=policy").unwrap();
    let got = ask(runtime, &case, &request(false, json!({}))).await;
    assert_eq!((got.status, got.code().as_str()), (400, "content_policy_violation"), "{}", got.text);
}

async fn a_request_without_words_in_the_dialect_goes_elsewhere(runtime: &Runtime) {
    let case = runtime.case("from-messages");
    let got = ask(runtime, &case, &request(false, json!({"n": 2}))).await;
    assert_eq!(got.header("x-route-attempts"), case.passed_on("unfit"), "{}", got.text);
    assert_eq!(runtime.third.received(), 0);
}

async fn a_claude_model_classifies(runtime: &Runtime) {
    async fn in_force(runtime: &Runtime, policy: &Value) {
        runtime.gateway.kv().put("policy", policy.to_string()).await.unwrap();
        let label = policy["version"].as_str();
        let patience = tokio::time::timeout(Duration::from_secs(15), async {
            while send(runtime.chat("small", "Hello")).await.header("x-route-policy").split('@').next() != label {
                tokio::task::yield_now().await;
            }
        });
        patience.await.expect("the policy should come into force");
    }
    let mut asking_claude = policy();
    asking_claude["version"] = json!("e2e.claude");
    asking_claude["classifier"]["model"] = json!("claude-judge");
    asking_claude["classifier"]["timeout_ms"] = json!(5_000);
    in_force(runtime, &asking_claude).await;
    runtime.drain_log();

    runtime.third.script("tier=small confidence=0.87").unwrap();
    let got = send(runtime.chat("", "Prove that there are infinitely many primes.")).await;
    assert_eq!((got.header("x-route-tier"), got.header("x-route-source")), ("small", "classifier"), "{}", got.text);
    assert_eq!(got.header("x-route-confidence"), "0.87");
    let requests = runtime.third.requests();
    assert_eq!(requests[0].path, "/v1/messages");
    let asked = requests[0].json();
    assert_eq!(asked["thinking"]["type"], "disabled", "{asked}");
    assert!(asked["output_config"]["format"]["schema"]["properties"]["tier"]["enum"].is_array(), "{asked}");
    let log = runtime.log_line().await;
    assert_eq!(
        (&log["classifier"]["provider"], &log["classifier"]["model"]),
        (&json!("third"), &json!("claude-judge"))
    );

    in_force(runtime, &policy()).await;
}
