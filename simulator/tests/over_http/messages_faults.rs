//! The faults of the script language in the Messages dialect.

use serde_json::{Value, json};
use tiergate_simulator::Profile;

use crate::messages::{accumulate, events, request, weather_tool};
use crate::{KEY, ask, send, start, stream};

fn body(more: &Value) -> Value {
    request("claude-opus-4-8", "hello", more)
}

#[tokio::test]
async fn scripted_errors_have_the_envelope_of_the_dialect() {
    let simulator = start(Profile::anthropic()).await;
    let cases = [
        ("status=401", 401, "authentication_error"),
        ("status=402", 402, "billing_error"),
        ("status=403", 403, "permission_error"),
        ("status=404", 404, "not_found_error"),
        ("status=413", 413, "request_too_large"),
        ("status=429", 429, "rate_limit_error"),
        ("quota", 429, "rate_limit_error"),
        ("status=500", 500, "api_error"),
        ("status=504", 504, "timeout_error"),
        ("status=529", 529, "overloaded_error"),
        ("context-length", 400, "invalid_request_error"),
        ("content-policy", 400, "invalid_request_error"),
        ("error=account", 400, "invalid_request_error"),
        ("error=region", 403, "forbidden"),
        ("status=200 error=overload", 200, "overloaded_error"),
        ("leak-key", 401, "authentication_error"),
        ("error-200", 200, "overloaded_error"),
        ("error-event=1", 529, "overloaded_error"),
    ];
    for (script, status, kind) in cases {
        simulator.script(&format!("{script} retry-after=7")).unwrap();
        let response = send(&simulator, &body(&json!({}))).await.unwrap();
        assert_eq!(response.status(), status, "{script}");
        assert_eq!(response.headers()["retry-after"], "7", "{script}");
        let id = response.headers()["request-id"].to_str().unwrap().to_owned();
        let answer: Value = response.json().await.unwrap();
        assert_eq!((&answer["type"], &answer["error"]["type"]), (&json!("error"), &json!(kind)), "{script}: {answer}");
        assert_eq!(answer["request_id"], id, "{script}");
        assert_eq!(answer["error"]["message"].as_str().unwrap().contains(KEY), script == "leak-key", "{script}");
    }
}

#[tokio::test]
async fn foreign_errors_come_in_their_own_form() {
    let simulator = start(Profile::anthropic()).await;
    type Fits = fn(&Value) -> bool;
    let cases: [(&str, u16, Fits); 4] = [
        ("array", 503, |error| error[0]["type"] == "error"),
        ("flat", 400, |error| error["object"] == "error"),
        ("list-message", 400, |error| error["error"]["message"].is_array()),
        ("retry-delay=17s", 429, |error| error[0]["error"]["details"][1]["retryDelay"] == "17s"),
    ];
    for (script, status, fits) in cases {
        simulator.script(script).unwrap();
        let (given, error) = ask(&simulator, &body(&json!({}))).await;
        assert!(given == status && fits(&error), "{script}: {given} {error}");
    }
    simulator.script("html; rate-limit=30s").unwrap();
    let page = send(&simulator, &body(&json!({}))).await.unwrap();
    assert_eq!((page.status().as_u16(), &page.headers()["content-type"]), (502, &"text/html".parse().unwrap()));
    let limited = send(&simulator, &body(&json!({}))).await.unwrap();
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["anthropic-ratelimit-requests-remaining"]),
        (429, &"0".parse().unwrap())
    );
    let reset = limited.headers()["anthropic-ratelimit-requests-reset"].to_str().unwrap();
    assert!(reset.len() == 20 && reset.ends_with('Z') && !limited.headers().contains_key("retry-after"), "{reset}");
}

#[tokio::test]
async fn a_stream_breaks_where_the_script_says() {
    let simulator = start(Profile::anthropic()).await;
    // The script, the text before the break, whether the transfer ends in order, the last event, and what is missing.
    let cases = [
        ("cut=2", "a b ", false, "content_block_delta", "message_delta"),
        ("cut=0", "", false, "message_start", "content_block_delta"),
        ("cut=9", "a b c", false, "content_block_stop", "message_delta"),
        ("truncate=1", "a ", true, "content_block_delta", "message_delta"),
        ("error-event=1", "a ", true, "error", "message_delta"),
        ("leak-event=1", "a ", true, "error", "message_delta"),
        ("no-done", "a b c", true, "message_delta", "message_stop"),
        ("no-finish", "a b c", true, "message_stop", "message_delta"),
        ("noise=1", "a b c", true, "message_stop", "nothing"),
    ];
    for (script, text, is_whole, last, missing) in cases {
        simulator.script(&format!("text=\"a b c\" {script}")).unwrap();
        let (raw, whole) = stream(&simulator, &body(&json!({"stream": true}))).await;
        let events = events(&raw.replace(": keep-alive\n\n", ""));
        let said = accumulate(&events)["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        assert_eq!((said.as_str(), whole), (text, is_whole), "{script}: {raw}");
        assert_eq!(events.last().unwrap()["type"], last, "{script}: {raw}");
        assert!(!raw.contains(missing), "{script}: {raw}");
        assert_eq!(raw.contains(KEY), script.starts_with("leak"), "{script}: {raw}");
        assert_eq!(raw.contains("event: something_new"), script.starts_with("noise"), "{script}: {raw}");
        if script == "error-event=1" {
            assert_eq!(events.last().unwrap()["error"]["type"], "overloaded_error", "{raw}");
        }
    }
}

#[tokio::test]
async fn a_stream_can_break_within_a_tool_call() {
    let simulator = start(Profile::anthropic()).await;
    simulator.script("cut=3").unwrap();
    let (raw, whole) = stream(
        &simulator,
        &request("claude-opus-4-8", "get_weather", &json!({"tools": weather_tool(), "stream": true})),
    )
    .await;
    let events = events(&raw);
    let input: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert!(!whole && input.starts_with("{\"city\":") && !input.ends_with('}'), "{raw}");
}

#[tokio::test]
async fn an_event_in_the_middle_can_be_broken() {
    let simulator = start(Profile::anthropic()).await;
    for (script, left) in [("bad-event=1", "a c"), ("text-event=1", "a b c"), ("garbage", "")] {
        simulator.script(&format!("text=\"a b c\" {script}")).unwrap();
        let (raw, whole) = stream(&simulator, &body(&json!({"stream": true}))).await;
        let is_good = |event: &&str| {
            event.split_once("data: ").is_some_and(|(_, data)| serde_json::from_str::<Value>(data).is_ok())
        };
        let (good, bad): (Vec<&str>, Vec<&str>) = raw.split_terminator("\n\n").partition(is_good);
        assert!(whole && bad.len() == 1 && raw.contains("message_stop"), "{script}: {raw}");
        assert_eq!(bad[0].contains("data: {\""), script != "text-event=1", "{script}: {raw}");
        let said = accumulate(&events(&(good.join("\n\n") + "\n\n")))["content"][0]["text"].clone();
        assert_eq!(said.as_str().unwrap_or_default(), left, "{script}: {raw}");
    }
}

#[tokio::test]
async fn a_whole_answer_can_be_cut_or_no_json() {
    let simulator = start(Profile::anthropic()).await;
    simulator.script("truncate=30; garbage; empty; line=50").unwrap();
    for length in [Some(30), None, Some(0), Some(50)] {
        let text = send(&simulator, &body(&json!({}))).await.unwrap().text().await.unwrap();
        assert!(
            serde_json::from_str::<Value>(&text).is_err() && length.is_none_or(|length| text.len() == length),
            "{text}"
        );
    }
}
