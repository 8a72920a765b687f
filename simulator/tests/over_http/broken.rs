//! Answers that are broken inside, keys in error texts, and delays that a client must find: each seen from its side.

use serde_json::{Value, json};
use tiergate_simulator::Profile;

use crate::{KEY, ask, chunks, request, send, start, start_scripted, stream, streamed_text, weather_tool};

fn streamed() -> Value {
    request("gpt-6-sol", "hello", &json!({"stream": true}))
}

/// The data of each event, and whether it parses.
fn data(stream: &str) -> Vec<(&str, bool)> {
    let data = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.map(|data| (data, serde_json::from_str::<Value>(data).is_ok())).collect()
}

#[tokio::test]
async fn an_event_in_the_middle_can_be_broken_or_no_json() {
    let simulator = start(Profile::openai()).await;
    // The script, where the bad event stands, how it begins, how many events there are, and the text that is left.
    let cases = [
        ("text=\"a b c d\" bad-event=2", 3, "{\"choices\"", 7, "a b d"),
        ("text=\"a b\" bad-event=9", 3, "{\"choices\"", 6, "a b"),
        ("text=\"a b c d\" text-event=2", 3, "hello, not JSON", 8, "a b c d"),
        ("text=\"a b\" text-event=0", 1, "hello, not JSON", 6, "a b"),
    ];
    for (script, place, beginning, count, left) in cases {
        simulator.script(script).unwrap();
        let (text, whole) = stream(&simulator, &streamed()).await;
        let events = data(&text);
        let bad: Vec<usize> =
            (0..events.len()).filter(|index| !events[*index].1 && events[*index].0 != "[DONE]").collect();
        assert_eq!(bad, [place], "{script}: {text}");
        assert!(events[place].0.starts_with(beginning), "{script}: {text}");
        assert!(whole && events.len() == count && text.ends_with("data: [DONE]\n\n"), "{script}: {text}");
        let good: Vec<Value> = events.iter().filter_map(|(data, _)| serde_json::from_str(data).ok()).collect();
        assert_eq!(streamed_text(&good), left, "{script}");
        assert_eq!(good.last().unwrap()["choices"][0]["finish_reason"], "stop", "{script}");
    }
}

#[tokio::test]
async fn an_answer_can_end_in_order_but_too_early() {
    let simulator = start_scripted(Profile::openai(), "text=\"a b c\" truncate=2; truncate=25; bad-event=1").await;
    let (text, whole) = stream(&simulator, &streamed()).await;
    assert_eq!((streamed_text(&chunks(&text)).as_str(), whole), ("a b ", true));
    assert!(!text.contains("[DONE]") && !text.contains("\"stop\""), "{text}");

    for (name, is_length) in [("truncate", (|length| length == 25) as fn(u64) -> bool), ("half", |length| length > 25)]
    {
        let response = send(&simulator, &request("gpt-6-sol", "hello", &json!({}))).await.unwrap();
        let length = response.content_length().expect(name);
        let body = response.text().await.expect("the transfer should be whole");
        assert!(is_length(length) && body.len() as u64 == length, "{name}: {body}");
        assert!(body.starts_with('{') && serde_json::from_str::<Value>(&body).is_err(), "{name}: {body}");
    }
}

#[tokio::test]
async fn a_line_can_be_as_long_as_one_wants() {
    const BYTES: usize = 3_000_000;
    let simulator =
        start_scripted(Profile::openai(), &format!("text=\"a b\" line={BYTES}; line={BYTES}; line=3")).await;
    let (text, whole) = stream(&simulator, &streamed()).await;
    let (before, line) = text.rsplit_once("\n\n").expect(&text[..99]);
    assert!(whole && before.ends_with('}') && line.starts_with("data: {\""), "{before}");
    assert_eq!((streamed_text(&chunks(before)).as_str(), line.len()), ("a ", BYTES));

    for bytes in [BYTES, 3] {
        let body = send(&simulator, &request("gpt-6-sol", "hello", &json!({}))).await.unwrap().text().await.unwrap();
        assert!(body.len() == bytes && body.starts_with("{\"i"), "{bytes}: {}", body.len());
    }
    assert_eq!(simulator.gone(), 0);
}

#[tokio::test]
async fn errors_can_repeat_the_key() {
    let simulator = start(Profile::openai()).await;
    let whole = request("gpt-6-sol", "hello", &json!({}));
    let cases = [
        ("leak-key", &whole, 401),
        ("leak-key status=200", &whole, 200),
        ("body=\"<p>No: <key></p>\" status=403 type=text/html", &whole, 403),
        ("leak-event=1", &whole, 500),
        ("text=\"a b\" leak-event=1", &streamed(), 200),
    ];
    for (script, body, status) in cases {
        simulator.script(script).unwrap();
        let response = send(&simulator, body).await.unwrap();
        assert_eq!(response.status(), status, "{script}");
        let is_html = response.headers()["content-type"] == "text/html";
        assert_eq!(is_html, script.contains("type="), "{script}");
        let text = response.text().await.unwrap();
        assert!(text.contains(KEY), "{script}: {text}");
        assert_eq!(text.contains("\"error\""), !is_html, "{script}: {text}");
    }
}

#[tokio::test]
async fn delays_come_in_every_form_that_providers_have() {
    let simulator = start(Profile::openai()).await;
    let body = request("gpt-6-sol", "hello", &json!({}));
    let cases = [
        ("rate-limit=1s", [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s")]),
        ("rate-limit=250ms", [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "250ms")]),
        (
            "status=429 retry-after=3 header=\"retry-after-ms: 2500\"",
            [("retry-after", "3"), ("retry-after-ms", "2500")],
        ),
    ];
    for (script, headers) in cases {
        simulator.script(script).unwrap();
        let response = send(&simulator, &body).await.unwrap();
        assert_eq!(response.status(), 429, "{script}");
        for (name, value) in headers {
            assert_eq!(response.headers()[name], value, "{script}");
        }
        assert!(response.text().await.unwrap().contains("rate_limit_exceeded"), "{script}");
    }

    simulator.script("retry-delay=17s").unwrap();
    let (status, answer) = ask(&simulator, &body).await;
    let error = &answer[0]["error"];
    assert_eq!((status, &error["code"], &error["status"]), (429, &json!(429), &json!("RESOURCE_EXHAUSTED")));
    let delay = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"});
    assert!(error["details"].as_array().is_some_and(|details| details.contains(&delay)), "{answer}");
}

#[tokio::test]
async fn a_stream_can_break_within_a_tool_call() {
    let simulator = start(Profile::openai()).await;
    let more = json!({"tools": weather_tool(), "reasoning_effort": "none", "stream": true});
    let body = request("gpt-6-luna", "use get_weather", &more);
    for script in ["cut=3", "call=get_weather arguments=\"{\\\"city\\\": \\\"Rome\\\"}\" chunk=6 cut=3"] {
        simulator.script(script).unwrap();
        let (text, whole) = stream(&simulator, &body).await;
        assert!(!whole, "{script}: {text}");
        let chunks = chunks(&text);
        let calls = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]["function"]);
        let arguments: String = calls.filter_map(|function| function["arguments"].as_str()).collect();
        assert!(arguments.starts_with("{\"city\":") && !arguments.ends_with('}'), "{script}: {arguments}");
    }
}
