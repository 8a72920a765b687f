//! Streams that are held, handed over, replayed and continued.

use std::time::Duration;

use serde_json::{Value, json};
use tiergate::platform::ReadError;

use crate::fake::{Chunk, Event, Reply};
use crate::scenario::{FIRST, SECOND, Scenario, chunk, json_reply, policy, stream};

const STOP: &str = "data: {\"id\":\"b\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"b\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn role(id: &str) -> String {
    format!(
        "data: {{\"id\":\"{id}\",\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}}}}]}}\n\n"
    )
}

fn text(id: &str, text: &str) -> String {
    format!("data: {{\"id\":\"{id}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

fn call(id: &str, arguments: &str) -> String {
    let call = json!([{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}]);
    let choice = json!({"index": 0, "delta": {"tool_calls": call}});
    format!("data: {}\n\n", json!({"id": id, "choices": [choice]}))
}

fn asking(tier: Value, model_two: Value) -> Scenario {
    let mut policy = policy();
    policy["tiers"][1].as_object_mut().unwrap().extend(tier.as_object().unwrap().clone());
    policy["models"]["two"].as_object_mut().unwrap().extend(model_two.as_object().unwrap().clone());
    let body = json!({"model": "x", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    Scenario::new().policy(policy).header("x-route-tier", "large").ask(body)
}

fn events(parts: &[String]) -> Reply {
    stream(parts.iter().map(String::as_str).collect())
}

/// All content that a client has, and whether its answer is whole.
fn content(scenario: &Scenario) -> (String, bool) {
    let body = scenario.text();
    let data = body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let chunks = data.map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
    let text = chunks.map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned());
    let ended = body.ends_with(DONE);
    assert_eq!(ended, scenario.fake.answer.borrow().finished, "an end marker and a clean end belong together");
    (text.collect(), ended)
}

#[test]
fn a_replay_goes_on_where_the_first_stream_broke() {
    for broken in [
        events(&[role("a"), text("a", "Hello wo")]),
        events(&[role("a"), text("a", "Hello wo"), "data: {\"error\":{\"message\":\"overloaded\"}}\n\n".into()]),
        events(&[role("a"), text("a", "Hello wo"), "data: {\"choices\":[{\"del\n\n".into()]),
        events(&[role("a"), text("a", "Hello wo"), DONE.into()]),
        // A call that is cut off.
        events(&[role("a"), text("a", "Hello wo"), call("a", "{\"x\":"), STOP.into(), DONE.into()]),
    ] {
        let scenario = asking(json!({"resume": "replay"}), json!({}))
            .provider(FIRST, broken)
            .provider(
                SECOND,
                events(&[role("b"), text("b", "Hello"), text("b", " world!"), STOP.into(), USAGE.into(), DONE.into()]),
            )
            .run();
        assert_eq!(content(&scenario), ("Hello world!".into(), true));
        assert_eq!(scenario.text().matches("assistant").count(), 1);
        assert!(!scenario.text().contains("\"b\""), "one identity: {}", scenario.text());
        let log = scenario.log();
        assert_eq!((&log["resumed"], &log["model"]), (&json!(1), &json!("two")));
        assert_eq!((&log["gen_ai.usage.input_tokens"], &log["attempts"][1]["outcome"]), (&json!(9), &json!("200")));
    }
}

#[test]
fn the_usage_after_a_repair_is_the_providers_own() {
    let own =
        json!({"prompt_tokens": 9, "completion_tokens": 2, "cost": 0.5, "prompt_tokens_details": {"audio_tokens": 1}});
    let usage = format!("data: {}\n\n", json!({"id": "b", "choices": [], "usage": own}));
    let body = json!({
        "model": "x", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Hello"}],
    });
    let scenario = asking(json!({"resume": "replay"}), json!({}))
        .ask(body)
        .provider(FIRST, events(&[role("a"), text("a", "Hello wo")]))
        .provider(SECOND, events(&[role("b"), text("b", "Hello world!"), STOP.into(), usage, DONE.into()]))
        .run();
    assert_eq!(content(&scenario), ("Hello world!".into(), true));
    assert!(scenario.text().contains(&format!("\"usage\":{own}")), "{}", scenario.text());
    assert_eq!(scenario.log()["gen_ai.usage.input_tokens"], 9);
}

#[test]
fn a_replay_that_differs_ends_with_an_error() {
    let scenario = asking(json!({"resume": "replay"}), json!({}))
        .provider(FIRST, events(&[role("a"), text("a", "Hello")]))
        .provider(SECOND, events(&[role("b"), text("b", "Good day"), STOP.into(), DONE.into()]))
        .run();
    assert_eq!(content(&scenario), ("Hello".into(), false));
    assert_eq!(scenario.log()["error.type"], "stream_broken");
}

#[test]
fn without_another_candidate_a_broken_stream_is_an_error() {
    let scenario = asking(json!({"resume": "replay"}), json!({}))
        .provider(FIRST, events(&[role("a"), text("a", "Hello")]))
        .provider(SECOND, json_reply(503, json!({})))
        .run();
    assert_eq!(content(&scenario), ("Hello".into(), false));
    assert_eq!(scenario.log()["attempts"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_stream_that_broke_in_a_tool_call_delivers_the_call_once() {
    let finish = STOP.replace("stop", "tool_calls");
    let scenario = asking(json!({"resume": "replay"}), json!({}))
        .provider(FIRST, events(&[role("a"), text("a", "Look: "), call("a", "{\"x\""), call("a", ":")]))
        .provider(SECOND, events(&[role("b"), text("b", "Look: "), call("b", "{}"), finish, DONE.into()]))
        .run();
    assert_eq!(content(&scenario), ("Look: ".into(), true));
    assert_eq!(scenario.text().matches("\"c1\"").count(), 1, "{}", scenario.text());
}

#[test]
fn a_continuation_is_asked_for_with_what_was_delivered() {
    for (prefill, expected) in [
        ("message", json!({"role": "assistant", "content": "Hello \"wo"})),
        ("prefix", json!({"role": "assistant", "content": "Hello \"wo", "prefix": true})),
    ] {
        let scenario = asking(json!({"resume": "continue"}), json!({"prefill": prefill}))
            .provider(FIRST, events(&[role("a"), text("a", "Hello \\\"wo")]))
            .provider(SECOND, events(&[role("b"), text("b", "rld!"), STOP.into(), DONE.into()]))
            .run();
        assert_eq!(content(&scenario), ("Hello \"world!".into(), true));
        let messages = scenario.sent_to(SECOND)["messages"].clone();
        assert_eq!(messages.as_array().and_then(|messages| messages.last()), Some(&expected));
    }
    let scenario = asking(json!({"resume": "continue"}), json!({}))
        .provider(FIRST, events(&[role("a"), text("a", "Hello")]))
        .run();
    assert_eq!(content(&scenario), ("Hello".into(), false), "no model that can go on");
}

#[test]
fn a_client_that_waits_for_a_repair_hears_of_it() {
    let slow = json!({"resume": "replay", "deadlines": {"connect_ms": 1000, "first_token_ms": 40000, "idle_ms": 5000,
        "total_ms": 90000}});
    let late = events(&[role("b"), text("b", "Hello!"), STOP.into(), DONE.into()]).after(35_000);
    let scenario =
        asking(slow, json!({})).provider(FIRST, events(&[role("a"), text("a", "Hello")])).provider(SECOND, late).run();
    assert_eq!(content(&scenario), ("Hello!".into(), true));
    assert_eq!(scenario.text().matches(": keep-alive\n\n").count(), 2);
}

#[test]
fn a_held_stream_can_fail_over_at_any_point() {
    let scenario = asking(json!({"stream": "hold"}), json!({}))
        .provider(FIRST, events(&[role("a"), text("a", "Hel"), text("a", "lo")]))
        .provider(SECOND, events(&[role("b"), text("b", "Good day"), STOP.into(), USAGE.into(), DONE.into()]))
        .run();
    assert_eq!(content(&scenario), ("Good day".into(), true));
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:broken,second/two:200");
    assert_eq!(scenario.fake.answer.borrow().writes, 1);
    assert_eq!(scenario.log()["gen_ai.usage.input_tokens"], 9);
}

#[test]
fn a_held_stream_keeps_its_client_waiting_with_comments() {
    let mut chunks = vec![chunk(&role("a"))];
    for word in ["one ", "two ", "three ", "four"] {
        chunks.push(Chunk { delay: Duration::from_secs(9), bytes: Ok(text("a", word).into()) });
    }
    chunks.extend([chunk(STOP), chunk(DONE)]);
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    let reply = Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks };
    let patient = json!({"stream": "hold", "deadlines": {"connect_ms": 1000, "first_token_ms": 20000, "idle_ms": 10000,
        "total_ms": 90000}});
    let scenario = asking(patient.clone(), json!({})).provider(FIRST, reply.clone()).run();
    assert_eq!(content(&scenario), ("one two three four".into(), true));
    assert_eq!(scenario.text().matches(": keep-alive\n\n").count(), 2, "after 15 s and 30 s of 36");
    assert!(scenario.text().starts_with(": keep-alive\n\n"));

    let scenario = asking(patient, json!({})).provider(FIRST, reply);
    scenario.fake.leaves_after.set(Some(1));
    let scenario = scenario.run();
    assert_eq!((&scenario.log()["client_closed"], scenario.asked().len()), (&json!(true), 1));
}

#[test]
fn a_held_stream_that_fails_is_an_error_with_its_own_status_or_an_event() {
    let cut = || events(&[role("a"), text("a", "Hel")]);
    let scenario = asking(json!({"stream": "hold"}), json!({})).provider(FIRST, cut()).provider(SECOND, cut()).run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (502, "provider_error"));
    let patient = json!({"stream": "hold", "deadlines": {"connect_ms": 1000, "first_token_ms": 20000, "idle_ms": 10000,
        "total_ms": 90000}});
    let scenario = asking(patient, json!({})).provider(FIRST, Reply::Never).provider(SECOND, cut()).run();
    assert_eq!(scenario.status(), 200, "the head went out with the first comment");
    let (text, ended) = content(&scenario);
    assert_eq!((text.as_str(), ended), ("", false));
    assert!(scenario.text().contains("\"code\":\"provider_error\""), "{}", scenario.text());
    assert_eq!(scenario.log()["error.type"], "provider_error");
}

#[test]
fn a_handed_over_stream_passes_as_it_comes() {
    let parts = [role("a"), text("a", "Hel"), text("a", "lo"), STOP.into(), DONE.into()];
    let scenario = asking(json!({"stream": "handoff"}), json!({})).provider(FIRST, events(&parts)).run();
    assert_eq!(scenario.text(), parts.concat());
    assert_eq!(scenario.log()["handed_off"], true);
    assert!(scenario.sent_to(FIRST).get("stream_options").is_none(), "a usage chunk could not be taken out");
    let events = scenario.fake.events.borrow();
    let at = |event: &Event| events.iter().position(|seen| seen == event);
    assert!(at(&Event::Written) < at(&Event::HandedOver) && at(&Event::HandedOver) < at(&Event::Logged));
}

#[test]
fn a_handed_over_stream_fails_over_before_its_first_piece() {
    let broken = Reply::Answer {
        delay: Duration::ZERO,
        status: 200,
        headers: vec![("content-type", "text/event-stream".to_owned())],
        chunks: vec![chunk(&role("a")), Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }],
    };
    let scenario = asking(json!({"stream": "handoff"}), json!({}))
        .provider(FIRST, broken)
        .provider(SECOND, events(&[text("b", "Hi"), STOP.into(), DONE.into()]))
        .run();
    assert_eq!(content(&scenario), ("Hi".into(), true));
}

#[test]
fn what_is_no_json_is_left_out_and_counted() {
    let foreign = "data: hello there\n\n".to_owned();
    let scenario = asking(json!({}), json!({}))
        .provider(FIRST, events(&[role("a"), foreign.clone(), text("a", "Hi"), foreign, STOP.into(), DONE.into()]))
        .run();
    assert_eq!(content(&scenario), ("Hi".into(), true));
    assert_eq!(scenario.log()["ignored_events"], 2);
}

#[test]
fn an_event_that_does_not_parse_is_a_break() {
    let malformed = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}}\n\n".to_owned();
    let scenario = asking(json!({}), json!({}))
        .provider(FIRST, events(&[role("a"), text("a", "Hel"), malformed, STOP.into(), DONE.into()]))
        .run();
    assert_eq!(content(&scenario), ("Hel".into(), false));
}

#[test]
fn a_continuation_does_not_double_the_white_space_that_its_provider_was_not_shown() {
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let message = |words: &str| {
        let delta = json!({"type": "text_delta", "text": words});
        let block = json!({"type": "text", "text": ""});
        events(&[
            event(json!({"type": "message_start", "message": {"id": "m", "model": "m"}})),
            event(json!({"type": "content_block_start", "index": 0, "content_block": block})),
            event(json!({"type": "content_block_delta", "index": 0, "delta": delta})),
            event(json!({"type": "content_block_stop", "index": 0})),
            event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})),
            event(json!({"type": "message_stop"})),
        ])
    };
    let chat = |words: &str| events(&[role("b"), text("b", words), STOP.into(), DONE.into()]);
    for (dialect, delivered, shown, continuation, expected) in [
        ("anthropic-messages", "Hello ", "Hello", message(" world"), "Hello world"),
        ("anthropic-messages", "Hello ", "Hello", message("world"), "Hello world"),
        ("anthropic-messages", "Hello", "Hello", message(" world"), "Hello world"),
        ("anthropic-messages", " ", "Hi", message(" Hello"), " Hello"),
        ("openai-chat", "Hello ", "Hello ", chat("world"), "Hello world"),
        ("openai-chat", "Hello ", "Hello ", chat(" world"), "Hello  world"),
    ] {
        let mut policy = policy();
        policy["tiers"][1]["resume"] = json!("continue");
        policy["models"]["two"]["prefill"] = json!("message");
        policy["providers"]["second"]["dialect"] = json!(dialect);
        let scenario = asking(json!({}), json!({}))
            .policy(policy)
            .ask(json!({"model": "x", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}))
            .provider(FIRST, events(&[role("a"), text("a", delivered)]))
            .provider(SECOND, continuation)
            .run();
        assert_eq!(content(&scenario), (expected.into(), true), "{dialect} {delivered:?}");
        let last = scenario.sent_to(SECOND)["messages"].as_array().expect("messages").last().cloned().expect("one");
        let sent = last["content"].as_str().or(last["content"][0]["text"].as_str()).expect("a text");
        assert_eq!(sent, shown, "{dialect} {delivered:?}");
    }
}
