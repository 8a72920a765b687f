//! What whoever speaks Anthropic's Messages API gets besides answers: errors that it acts on, and paths of its own.

use http::Method;
use serde_json::{Value, json};

use crate::fake::Reply;
use crate::scenario::{FIRST, SECOND, Scenario, answer, client, json_reply, policy, stream};

/// A request of the Messages API for the tier `small`, whose first candidate speaks another one.
fn asking() -> Scenario {
    let body = json!({"model": "small", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]});
    Scenario::new().path(Method::POST, "/v1/messages").ask(body)
}

/// Status, type and message of an error in Anthropic's envelope, and what it says of another try.
fn told(scenario: &Scenario) -> (u16, String, String, String) {
    let error = scenario.json();
    assert_eq!(error["type"], "error", "{error}");
    assert_eq!(error["request_id"], scenario.response_header("request-id"), "{error}");
    let text = |name: &str| error["error"][name].as_str().unwrap_or_default().to_owned();
    (scenario.status(), text("type"), text("message"), scenario.response_header("x-should-retry"))
}

fn refusal(status: u16, message: &str) -> Reply {
    json_reply(status, json!({"error": {"message": message, "type": "invalid_request_error"}}))
}

#[test]
fn errors_are_told_as_agents_act_on_them() {
    let unknown = told(&Scenario::new().path(Method::POST, "/v1/messages/batches").run());
    assert_eq!((unknown.0, unknown.1.as_str()), (404, "not_found_error"));
    assert!(unknown.2.contains("use POST /v1/messages"), "{}", unknown.2);
    let stranger = told(&asking().header("authorization", "Bearer tg_nobody_0123456789abcdefghijklmnopqrstuv").run());
    assert_eq!((stranger.0, stranger.1.as_str(), stranger.3.as_str()), (401, "authentication_error", "false"));
    let long = told(&asking().provider(FIRST, refusal(400, "This model's maximum context length is 8 tokens.")).run());
    assert_eq!((long.0, long.1.as_str()), (400, "invalid_request_error"));
    assert!(long.2.contains("maximum context length"), "{}", long.2);
    let broken = told(&asking().header("x-route-tier", "nowhere").run());
    assert_eq!((broken.0, broken.1.as_str()), (400, "invalid_request_error"));
}

#[test]
fn a_conversation_is_too_long_by_the_models_that_it_may_have() {
    let bounded = || asking().client(client(json!({"tiers": ["small"], "may_pin": true})));
    for (letters, expected) in [
        (10_000, "prompt is too long: 2504 tokens > 2000 maximum"),
        (7_000, "input length and `max_tokens` exceed context limit: 1754 + 500 > 2000"),
    ] {
        let messages = json!([{"role": "user", "content": "a".repeat(letters)}]);
        for model in ["small", "plain"] {
            let body = json!({"model": model, "max_tokens": 500, "messages": messages});
            let (status, _, message, _) = told(&bounded().ask(body).run());
            assert_eq!((status, message.as_str()), (400, expected), "{model}");
        }
    }
}

#[test]
fn a_greeting_needs_no_key() {
    for method in [Method::HEAD, Method::GET] {
        let scenario = Scenario::new().without_header("authorization").path(method, "/api/hello").run();
        assert_eq!(scenario.status(), 200);
    }
    assert_eq!(Scenario::new().path(Method::POST, "/api/hello").run().status(), 405);
}

#[test]
fn a_decision_is_shown_for_either_api() {
    let body = json!({"model": "large", "max_tokens": 100, "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]});
    let scenario =
        Scenario::new().path(Method::POST, "/v1/route").header("anthropic-version", "2023-06-01").ask(body).run();
    assert_eq!((scenario.status(), scenario.json()["tier"].as_str()), (200, Some("large")), "{}", scenario.text());
    assert_eq!(scenario.log()["door"], "messages");
}

#[test]
fn tokens_are_counted_or_estimated() {
    let asking = || asking().path(Method::POST, "/v1/messages/count_tokens");
    let estimated = asking().run();
    assert_eq!(estimated.status(), 200, "{}", estimated.text());
    assert!(estimated.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{}", estimated.text());
    assert!(estimated.asked().is_empty(), "nobody of another API is asked");
    let mut policy = policy();
    policy["providers"]["first"]["dialect"] = json!("anthropic-messages");
    let counted = asking().policy(policy.clone()).provider(FIRST, json_reply(200, json!({"input_tokens": 4711}))).run();
    assert_eq!(counted.json(), json!({"input_tokens": 4711}));
    assert_eq!(counted.sent_to(FIRST)["max_tokens"], Value::Null);
    let refused = asking().policy(policy).provider(FIRST, json_reply(404, json!({}))).run();
    assert_eq!(refused.json(), estimated.json());
}

#[test]
fn a_long_answer_is_asked_for_as_a_stream() {
    for (max_tokens, streams) in [(64_000, true), (4_096, false)] {
        let body =
            json!({"model": "small", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "Hello"}]});
        let reply = if streams {
            stream(vec![
                "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n",
                "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
            ])
        } else {
            answer("hi")
        };
        let scenario = asking().ask(body).provider(FIRST, reply).run();
        assert_eq!(
            scenario.json()["content"],
            json!([{"type": "text", "text": "hi", "citations": null}]),
            "{}",
            scenario.text()
        );
        assert_eq!(scenario.sent_to(FIRST)["stream"] == json!(true), streams, "{}", scenario.sent_to(FIRST));
    }
}

#[test]
fn an_answer_of_another_api_is_a_message() {
    let scenario = asking().provider(FIRST, answer("hi")).run();
    let message = scenario.json();
    assert_eq!((scenario.status(), &message["type"], &message["role"]), (200, &json!("message"), &json!("assistant")));
    assert_eq!(message["content"], json!([{"type": "text", "text": "hi", "citations": null}]), "{message}");
    assert_eq!(message["stop_reason"], "end_turn", "{message}");
    assert_eq!(scenario.log()["door"], "messages");
    let broken = {
        let body = json!({"model": "small", "max_tokens": 100, "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
        let half = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}\n\n";
        asking().ask(body).provider(FIRST, stream(vec![half])).run()
    };
    let text = broken.text();
    let last = text.rsplit("\n\n").nth(1).unwrap_or_default();
    assert!(last.starts_with("event: error\ndata: {\"type\":\"error\""), "{text}");
    assert!(!broken.fake.answer.borrow().finished);
}

/// A chunk of a stream of the chat API with a call of this input, and the one that says why it ended.
fn call_chunk(arguments: &str) -> String {
    let function = json!({"name": "Read", "arguments": arguments});
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": function});
    chunk(json!([{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null}]))
}

fn chunk(choices: Value) -> String {
    format!("data: {}\n\n", json!({"id": "c", "model": "m", "choices": choices}))
}

fn end_chunk(reason: &str) -> String {
    chunk(json!([{"index": 0, "delta": {}, "finish_reason": reason}])) + "data: [DONE]\n\n"
}

/// A stream of the Messages API with one call, whose block closes or not: its beginning, and the rest.
fn call_events(input: &str, closes: &str, reason: &str) -> [String; 2] {
    let usage = json!({"input_tokens": 3, "output_tokens": 1});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage});
    let block = json!({"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}});
    let events = [
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": input}}),
        json!({"type": closes, "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ];
    let events = events.map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    [events[..2].concat(), events[2..].concat()]
}

/// The scenarios of clients of each API, who want a stream or a whole answer, and of each dialect of the first candidate.
fn calling(is_messages: bool, dialect: &str, streams: bool) -> Scenario {
    let mut policy = policy();
    policy["providers"]["first"]["dialect"] = json!(dialect);
    let body = json!({"model": "large", "max_tokens": 100, "stream": streams,
        "messages": [{"role": "user", "content": "Hello"}]});
    let path = if is_messages { "/v1/messages" } else { "/v1/chat/completions" };
    Scenario::new().path(Method::POST, path).policy(policy).ask(body)
}

const OTHER: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"other\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// The same call, as the first candidate streams it.
fn called(dialect: &str, input: &str, reason: &str) -> Reply {
    let parts = match (dialect, reason) {
        ("openai-chat", reason) => [call_chunk(input), end_chunk(reason)],
        (_, "length") => call_events(input, "content_block_stop", "max_tokens"),
        (_, _) => call_events(input, "content_block_stop", "tool_use"),
    };
    stream(parts.iter().map(String::as_str).collect())
}

#[test]
fn a_call_that_is_cut_off_is_no_whole_answer() {
    for (is_messages, dialect) in
        [true, false].into_iter().flat_map(|door| ["openai-chat", "anthropic-messages"].map(|dialect| (door, dialect)))
    {
        for (input, reason, is_whole) in [
            (r#"{"path":"a"#, "tool_calls", false),
            (r#"{"path":"a"#, "stop", false),
            (r#"{"path":["a""#, "eos", false),
            (r#"{"path":"a"#, "length", true),
            (r#"{"path":"a"}"#, "tool_calls", true),
            (r#"{"path":"a",}"#, "tool_calls", true),
            (r"{'path': 'a", "tool_calls", true),
            ("not JSON {", "tool_calls", true),
        ] {
            let name = format!("{input} {reason} from {dialect} to the Messages API: {is_messages}");
            let scenario = calling(is_messages, dialect, true).provider(FIRST, called(dialect, input, reason)).run();
            let text = scenario.text();
            let end = if is_messages { "event: message_stop\n" } else { "data: [DONE]\n\n" };
            assert_eq!(text.contains(end), is_whole, "{name}: {text}");
            assert_eq!(text.contains("stream_broken"), !is_whole && !is_messages, "{name}: {text}");
            assert_eq!(text.contains("event: error\n"), !is_whole && is_messages, "{name}: {text}");
            assert_eq!(scenario.fake.answer.borrow().finished, is_whole, "{name}");
            assert!(is_whole || !text.contains("\"stop_reason\":\"tool_use\""), "{name}: {text}");
        }
        for closes in ["ping", "content_block_stop"] {
            let [begin, rest] = call_events(r#"{"path":"a"#, closes, "tool_use");
            let calling = || calling(is_messages, "anthropic-messages", true);
            let scenario = calling().provider(FIRST, stream(vec![&begin, &rest])).run();
            assert!(!scenario.fake.answer.borrow().finished, "{closes}: {}", scenario.text());
            // What has not begun can be asked of the next.
            let both = stream(vec![&format!("{begin}{rest}")]);
            let scenario = calling().provider(FIRST, both).provider(SECOND, stream(vec![OTHER])).run();
            assert_eq!(scenario.response_header("x-route-attempts"), "first/one:broken,second/two:200", "{closes}");
        }
    }
}

#[test]
fn a_whole_answer_with_a_call_that_is_cut_off_is_asked_of_the_next() {
    for (is_messages, form) in
        [true, false].into_iter().flat_map(|door| ["tool_calls", "function_call", "custom"].map(|form| (door, form)))
    {
        for (arguments, reason, is_whole) in [
            (r#"{"path":"a"#, "tool_calls", false),
            (r#"{"path":"a"#, "stop", false),
            (r#"{"path":"a"#, "length", true),
            (r#"{"path":"a"}"#, "stop", true),
            ("{'path': \"it's", "stop", true),
            ("", "stop", true),
        ] {
            let function = json!({"name": "Read", "arguments": arguments});
            let message = match form {
                "function_call" => json!({"role": "assistant", "content": null, "function_call": function}),
                "custom" => json!({"role": "assistant", "content": null, "tool_calls":
                    [{"id": "c", "type": "custom", "custom": {"name": "Read", "input": arguments}}]}),
                _ => json!({"role": "assistant", "content": null, "tool_calls":
                    [{"id": "c", "type": "function", "function": function}]}),
            };
            let body = json!({"id": "c", "model": "m", "choices":
                [{"index": 0, "message": message, "finish_reason": reason}]});
            let scenario = calling(is_messages, "openai-chat", false)
                .provider(FIRST, json_reply(200, body))
                .provider(SECOND, answer("other"))
                .run();
            let attempts = scenario.response_header("x-route-attempts");
            let expected =
                if is_whole || form == "custom" { "first/one:200" } else { "first/one:broken,second/two:200" };
            assert_eq!(attempts, expected, "{form} {arguments} {reason}: {}", scenario.text());
        }
    }
}

#[test]
fn a_call_without_a_name_gets_one_that_histories_take() {
    let chunk = r#"data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"arguments":"{}"}}]}}]}

"#;
    let body = json!({"model": "small", "max_tokens": 100, "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let scenario = asking().ask(body).provider(FIRST, stream(vec![chunk, &end_chunk("tool_calls")])).run();
    assert!(scenario.text().contains(r#""name":"nameless""#), "{}", scenario.text());
}

#[test]
fn a_stop_string_may_cut_a_call() {
    let body = json!({"model": "small", "max_tokens": 100, "stream": true, "stop_sequences": ["}"],
        "messages": [{"role": "user", "content": "Hello"}]});
    let reply = stream(vec![&call_chunk(r#"{"path":"a"#), &end_chunk("stop")]);
    let scenario = asking().ask(body).provider(FIRST, reply).run();
    assert!(scenario.fake.answer.borrow().finished, "{}", scenario.text());
    assert!(scenario.text().contains(r#""stop_reason":"stop_sequence""#), "{}", scenario.text());
}
