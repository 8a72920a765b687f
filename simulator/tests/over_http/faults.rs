//! Each fault of the script language, seen from the client's side.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tiergate_simulator::Profile;

use crate::{ask, chunks, request, send, start, start_scripted, stream, streamed_text};

fn body(more: &Value) -> Value {
    request("gpt-6-sol", "hello", more)
}

#[tokio::test]
async fn scripted_errors_have_their_status_body_and_headers() {
    type Fits = fn(&str) -> bool;
    let cases: [(&str, u16, Fits); 13] = [
        ("status=503", 503, |text| text.contains("\"server_error\"")),
        ("status=429", 429, |text| text.contains("\"rate_limit_exceeded\"")),
        ("status=500 body=\"a b\"", 500, |text| text == "a b"),
        ("quota", 429, |text| text.contains("\"insufficient_quota\"")),
        ("html", 502, |text| text.starts_with("<html>")),
        ("array", 503, |text| text.starts_with("[{\"error\"")),
        ("flat", 400, |text| text.contains("\"object\":\"error\"") && !text.contains("\"error\":{")),
        ("list-message", 400, |text| text.contains("\"message\":[")),
        ("context-length", 400, |text| text.contains("\"context_length_exceeded\"")),
        ("error=account", 429, |text| text.contains("\"insufficient_quota\"")),
        ("error=flagged", 403, |text| text.contains("\"reasons\":[\"violence\"]")),
        ("status=200 error=rate", 200, |text| text.contains("try again in 1.5s")),
        ("error-200", 200, |text| text.starts_with("{\"error\"")),
    ];
    let simulator = start(Profile::openai()).await;
    for (script, status, fits) in cases {
        simulator.script(&format!("{script} retry-after=7 header=\"x-should-retry: false\"")).unwrap();
        let response = send(&simulator, &body(&json!({}))).await.unwrap();
        assert_eq!(response.status(), status, "{script}");
        assert_eq!(response.headers()["retry-after"], "7", "{script}");
        assert_eq!(response.headers()["x-should-retry"], "false", "{script}");
        let text = response.text().await.unwrap();
        assert!(fits(&text), "{script}: {text}");
        assert_eq!(ask(&simulator, &body(&json!({}))).await.0, 200, "after {script}");
    }
}

#[tokio::test]
async fn connections_end_without_an_answer() {
    let simulator = start_scripted(Profile::openai(), "close; reset").await;
    for fault in ["close", "reset"] {
        let error = send(&simulator, &body(&json!({}))).await.expect_err(fault);
        let text = format!("{error:?}");
        assert_eq!(text.contains("ConnectionReset"), fault == "reset", "{fault}: {text}");
    }
    assert_eq!(ask(&simulator, &body(&json!({}))).await.0, 200);
    assert_eq!(simulator.gone(), 0, "it was the simulator that ended these");
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed() {
    let simulator = start_scripted(Profile::openai(), "hang; stall=2; stall=10; delay=30s").await;
    for (count, more) in [json!({}), json!({"stream": true}), json!({}), json!({"stream": true})].iter().enumerate() {
        let before = simulator.gone();
        let request = body(more);
        // The client waits only until the simulator has its request, then drops its connection.
        tokio::select! {
            _ = stream(&simulator, &request) => panic!("no whole answer should come"),
            _ = simulator.request(count as u64 + 1) => {}
        }
        simulator.client_gone(before + 1).await;
    }
    assert_eq!(simulator.gone(), 4);
    assert_eq!(ask(&simulator, &body(&json!({}))).await.0, 200);
    assert_eq!(simulator.gone(), 4);
}

#[tokio::test]
async fn a_stream_breaks_where_the_script_says() {
    let simulator = start(Profile::openai()).await;
    // The script, the text before the break, whether the transfer ends in order, and what stands in it or not.
    let cases = [
        ("text=\"a b c d\" cut=2", "a b ", false, "", "[DONE]"),
        ("text=\"a b c d\" cut=0", "", false, "assistant", "finish_reason\":\"stop"),
        ("text=\"a b\" cut=9", "a b", false, "", "finish_reason\":\"stop"),
        ("text=\"a b c d\" error-event=3", "a b c ", true, "{\"error\":{", "[DONE]"),
        ("text=\"a b\" no-done", "a b", true, "finish_reason\":\"stop", "[DONE]"),
        ("text=\"a b\" no-finish", "a b", true, "[DONE]", "finish_reason\":\"stop"),
        ("text=\"a b\" gap=1ms first=1ms", "a b", true, "[DONE]", "nothing"),
    ];
    for (script, expected, in_order, present, absent) in cases {
        simulator.script(script).unwrap();
        let (text, whole) = stream(&simulator, &body(&json!({"stream": true}))).await;
        assert_eq!(streamed_text(&chunks(&text)), expected, "{script}");
        assert_eq!(whole, in_order, "{script}");
        assert!(text.contains(present) && !text.contains(absent), "{script}: {text}");
    }
    assert_eq!(simulator.gone(), 0);
}

#[tokio::test]
async fn a_stalled_stream_has_sent_what_came_before() {
    let simulator = start_scripted(Profile::openai(), "text=\"a b c d\" stall=2").await;
    let mut response = send(&simulator, &body(&json!({"stream": true}))).await.unwrap();
    let mut text = String::new();
    while !text.contains("\"b \"") {
        text += std::str::from_utf8(&response.chunk().await.unwrap().expect("the stream should not end")).unwrap();
    }
    assert!(!text.contains("\"c \""), "{text}");
    drop(response);
    simulator.client_gone(1).await;
}

#[tokio::test]
async fn a_whole_answer_breaks_after_so_many_bytes() {
    let simulator = start_scripted(Profile::openai(), "cut=10; cut=0; error-event=1; empty; garbage").await;
    for bytes in [10, 0] {
        let mut response = send(&simulator, &body(&json!({}))).await.unwrap();
        assert!(response.content_length() > Some(bytes));
        let mut received = 0;
        let error = loop {
            match response.chunk().await {
                Ok(Some(part)) => received += part.len() as u64,
                Ok(None) => panic!("the answer should not end in order"),
                Err(error) => break error,
            }
        };
        assert_eq!(received, bytes, "{error:?}");
    }
    assert_eq!(ask(&simulator, &body(&json!({}))).await.0, 500);
    assert_eq!(send(&simulator, &body(&json!({}))).await.unwrap().text().await.unwrap(), "");
    let garbage = send(&simulator, &body(&json!({}))).await.unwrap().text().await.unwrap();
    assert!(!garbage.is_empty() && serde_json::from_str::<Value>(&garbage).is_err(), "{garbage}");
}

#[tokio::test]
async fn garbage_and_empty_streams_keep_their_content_type() {
    let simulator = start_scripted(Profile::openai(), "garbage; empty").await;
    for (name, fits) in [("garbage", "[{\"del\n\ndata: [DONE]\n\n"), ("empty", "")] {
        let response = send(&simulator, &body(&json!({"stream": true}))).await.unwrap();
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"), "{name}");
        let text = response.text().await.unwrap();
        assert!(text.ends_with(fits) && text.is_empty() == fits.is_empty(), "{name}: {text}");
    }
}

#[tokio::test]
async fn waits_are_where_the_script_puts_them() {
    // Long beside what a busy machine takes for a head, since one of the checks is an upper bound.
    let wait = Duration::from_millis(400);
    let simulator = start_scripted(Profile::openai(), "delay=400ms; first=400ms; first=400ms; gap=100ms text=a").await;
    let start = Instant::now();
    let response = send(&simulator, &body(&json!({}))).await.unwrap();
    assert!(start.elapsed() >= wait, "the head came after {:?}", start.elapsed());
    drop(response);

    for more in [json!({"stream": true}), json!({})] {
        let start = Instant::now();
        let mut response = send(&simulator, &body(&more)).await.unwrap();
        let head = start.elapsed();
        while response.chunk().await.unwrap().is_some() {}
        assert!(head < wait && start.elapsed() >= wait, "{more}: head {head:?}, end {:?}", start.elapsed());
    }

    let start = Instant::now();
    let (text, whole) = stream(&simulator, &body(&json!({"stream": true}))).await;
    // Role, text, finish and end marker have three gaps between them.
    assert!(whole && start.elapsed() >= Duration::from_millis(300), "{text}");
}

#[tokio::test]
async fn a_step_can_wait_for_its_request() {
    let simulator = start_scripted(Profile::openai(), "if=apple status=503 *; if=pear status=429").await;
    let status = async |message: &str| ask(&simulator, &request("gpt-6-sol", message, &json!({}))).await.0;
    assert_eq!(status("plum").await, 200);
    assert_eq!(status("apple").await, 503);
    assert_eq!(status("pear").await, 429);
    assert_eq!(status("pear").await, 200);
    assert_eq!(status("apple").await, 503);
    simulator.script("").unwrap();
    assert_eq!(status("apple").await, 200);
    assert!(simulator.script("statu=1").is_err());
}

#[tokio::test]
async fn a_dropped_simulator_stops_listening() {
    let simulator = start(Profile::openai()).await;
    assert_eq!(ask(&simulator, &body(&json!({}))).await.0, 200);
    let addr = simulator.addr();
    drop(simulator);
    // The listener is closed by its task; connections are refused from then on.
    while tokio::net::TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
