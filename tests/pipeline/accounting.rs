//! What attempts cost that did not serve, and how long each of them took.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::{Chunk, Reply};
use crate::scenario::{FIRST, SECOND, Scenario, chunk, json_reply, policy, reply, stream};

const STOP: &str = "data: {\"id\":\"b\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"id\":\"b\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
/// The length of [`PROMPT`] in tokens, as the gateway estimates it.
const PROMPT_TOKENS: f64 = 1_000.0;

fn text(text: &str) -> String {
    format!("data: {{\"id\":\"b\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

/// US dollars of so many tokens at the tests' prices.
fn price(input: f64, output: f64) -> f64 {
    (input * 1.0 + output * 2.0) / 1e6
}

fn asking(streams: bool, tier: Value) -> Scenario {
    let mut policy = policy();
    policy["tiers"][1].as_object_mut().unwrap().extend(tier.as_object().unwrap().clone());
    let prompt = "word ".repeat(800);
    let body = json!({"model": "x", "stream": streams, "messages": [{"role": "user", "content": prompt}]});
    Scenario::new().policy(policy).header("x-route-tier", "large").ask(body)
}

/// A stream that serves, whose parts come `gap` milliseconds after each other.
fn serving(gap: u64) -> Reply {
    paced(&[&text("Hello"), STOP, USAGE, DONE], gap)
}

fn paced(parts: &[&str], gap: u64) -> Reply {
    let part = |part: &&str| Chunk { delay: Duration::from_millis(gap), ..chunk(part) };
    let Reply::Answer { delay, status, headers, .. } = stream(Vec::new()) else {
        unreachable!("a stream is an answer")
    };
    Reply::Answer { delay, status, headers, chunks: parts.iter().map(part).collect() }
}

/// The estimates of the attempts, in order.
fn estimates(scenario: &Scenario) -> Vec<Option<f64>> {
    let log = scenario.log();
    let attempts = log["attempts"].as_array().expect("attempts").iter();
    attempts.map(|attempt| attempt["estimate_usd"].as_f64()).collect()
}

fn check(name: &str, scenario: &Scenario, expected: &[Option<f64>]) {
    let found = estimates(scenario);
    let is_near = |(found, expected): (&Option<f64>, &Option<f64>)| match (found, expected) {
        // An estimate of a prompt is a rough one.
        (Some(found), Some(expected)) => (found - expected).abs() <= expected * 0.05,
        (found, expected) => found == expected,
    };
    let agree = found.len() == expected.len() && found.iter().zip(expected).all(is_near);
    assert!(agree, "{name}: {found:?} is not {expected:?}: {}", scenario.log());
}

#[test]
fn an_attempt_that_nobody_billed_has_no_estimate() {
    for (name, failing) in [
        ("a status", json_reply(500, json!({}))),
        ("a connection", Reply::Fails(tiergate::platform::SendError::Connect)),
        ("an error in a 200", json_reply(200, json!({"error": {"message": "busy"}}))),
    ] {
        let scenario = asking(true, json!({})).provider(FIRST, failing).provider(SECOND, serving(0)).run();
        assert_eq!(scenario.status(), 200, "{name}");
        check(name, &scenario, &[None, None]);
    }
    let stale = Reply::Fails(tiergate::platform::SendError::Reset);
    let scenario = asking(true, json!({})).provider(FIRST, stale).provider(FIRST, serving(0)).run();
    check("a stale connection", &scenario, &[None, None]);
}

#[test]
fn what_may_be_billed_beside_the_answer_is_estimated_by_its_usage() {
    let served = price(100.0, 10.0);
    let cached = 40.0 * 0.5 / 1e6;
    let cases = [
        ("no head", asking(true, json!({})).provider(FIRST, Reply::Never)),
        ("no answer", asking(true, json!({})).provider(FIRST, reply(200, "text/html", vec!["<html>"]))),
        ("no whole answer", asking(false, json!({})).provider(FIRST, reply(200, "application/json", vec!["{"]))),
    ];
    for (name, scenario) in cases {
        let whole = name == "no whole answer";
        let scenario = scenario.provider(SECOND, if whole { crate::scenario::answer("hi") } else { serving(0) }).run();
        assert_eq!(scenario.status(), 200, "{name}");
        let served = if whole { served - cached } else { served };
        check(name, &scenario, &[Some(served), None]);
    }
}

#[test]
fn what_may_be_billed_without_an_answer_is_estimated_by_the_request() {
    let scenario = asking(true, json!({})).provider(FIRST, Reply::Never).provider(SECOND, Reply::Never).run();
    assert_eq!(scenario.status(), 504);
    let input = Some(price(PROMPT_TOKENS, 0.0));
    check("nobody", &scenario, &[input, input]);
    assert_eq!(
        (&scenario.log()["cost_usd"], &scenario.log()["gen_ai.usage.input_tokens"]),
        (&json!(null), &json!(null))
    );
}

#[test]
fn the_first_stream_of_a_repair_is_estimated_by_its_text() {
    let long = "abcd".repeat(500);
    let scenario = asking(true, json!({"resume": "replay"}))
        .provider(FIRST, stream(vec![&text(&long)]))
        .provider(SECOND, stream(vec![&text(&long), &text("!"), STOP, USAGE, DONE]))
        .run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:200");
    let outcomes = scenario.log()["attempts"].clone();
    assert_eq!((&outcomes[0]["outcome"], &outcomes[1]["outcome"]), (&json!("broken"), &json!("200")));
    check("replay", &scenario, &[Some(price(100.0, 500.0)), None]);
}

#[test]
fn an_answer_that_is_cut_is_estimated_by_its_text() {
    let long = "abcd".repeat(500);
    let estimate = Some(price(PROMPT_TOKENS, 500.0));
    let broken = asking(true, json!({})).provider(FIRST, stream(vec![&text(&long)])).run();
    assert_eq!(broken.log()["error.type"], "stream_broken");
    check("broken", &broken, &[estimate]);
    let left = asking(true, json!({})).provider(FIRST, paced(&[&text(&long), &text("!"), STOP, DONE], 10));
    left.fake.leaves_after.set(Some(1));
    let left = left.run();
    assert_eq!(left.log()["client_closed"], true);
    check("the client left", &left, &[estimate]);
    assert_eq!(left.log()["cost_usd"], json!(null));
    let counted = asking(true, json!({})).provider(FIRST, paced(&[&text(&long), STOP, USAGE, DONE], 10));
    counted.fake.leaves_after.set(Some(2));
    let counted = counted.run();
    assert_eq!(counted.log()["client_closed"], true);
    check("the client left after the usage", &counted, &[None]);
    assert_eq!(counted.log()["cost_usd"], price(100.0, 10.0));
}

#[test]
fn what_was_counted_of_an_answer_that_broke_is_billed_once() {
    let usage = r#","usage":{"prompt_tokens":100,"completion_tokens":10}}"#;
    let counted = text("Hello").replace("}\n\n", &format!("{usage}\n\n"));
    let broken = asking(true, json!({})).provider(FIRST, stream(vec![&counted])).run();
    assert_eq!(broken.log()["error.type"], "stream_broken");
    check("broken", &broken, &[Some(price(100.0, 10.0))]);
    assert_eq!(broken.log()["cost_usd"], json!(null));
    assert_eq!(broken.log()["gen_ai.usage.input_tokens"], 100);
}

#[test]
fn a_client_that_leaves_before_a_held_answer_leaves_a_bill() {
    let tier = json!({"stream": "hold", "deadlines": {
        "connect_ms": 1000, "first_token_ms": 60_000, "response_ms": 60_000, "idle_ms": 60_000, "total_ms": 100_000}});
    let scenario = asking(true, tier).provider(FIRST, Reply::Never);
    scenario.fake.leaves_after.set(Some(1));
    let scenario = scenario.run();
    assert_eq!(scenario.log()["client_closed"], true);
    check("held", &scenario, &[Some(price(PROMPT_TOKENS, 0.0))]);
}

#[test]
fn of_a_message_that_is_cut_only_the_input_is_known() {
    let mut policy = policy();
    policy["providers"]["first"]["dialect"] = json!("anthropic-messages");
    let body = json!({"model": "x", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let usage = json!({"input_tokens": 120, "output_tokens": 1});
    let parts = [
        event(json!({"type": "message_start", "message": {"id": "m", "model": "m", "usage": usage}})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        event(json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "abcd".repeat(50)}})),
    ];
    let scenario = Scenario::new().policy(policy).header("x-route-tier", "large").ask(body);
    let scenario = scenario.provider(FIRST, stream(parts.iter().map(String::as_str).collect())).run();
    let log = scenario.log();
    assert_eq!(log["error.type"], "stream_broken");
    let known = (&log["gen_ai.usage.input_tokens"], &log["gen_ai.usage.output_tokens"], &log["cost_usd"]);
    assert_eq!(known, (&json!(120), &json!(null), &json!(null)));
    check("a message", &scenario, &[Some(price(120.0, 50.0))]);
}

#[test]
fn what_a_message_does_not_count_as_output_is_unknown() {
    let mut policy = policy();
    policy["providers"]["first"]["dialect"] = json!("anthropic-messages");
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let input = json!({"input_tokens": 120});
    let text = json!({"type": "text", "text": "Hello"});
    let whole = json!({"id": "m", "type": "message", "content": [text], "stop_reason": "end_turn", "usage": input});
    let start = json!({"id": "m", "model": "m", "usage": {"input_tokens": 120, "output_tokens": 1}});
    let parts = [
        event(json!({"type": "message_start", "message": start})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": text})),
        event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": input})),
        event(json!({"type": "message_stop"})),
    ];
    for (streams, reply) in
        [(false, json_reply(200, whole)), (true, stream(parts.iter().map(String::as_str).collect()))]
    {
        let body = json!({"model": "x", "stream": streams, "messages": [{"role": "user", "content": "Hello"}]});
        let scenario = Scenario::new().policy(policy.clone()).header("x-route-tier", "large").ask(body);
        let log = scenario.provider(FIRST, reply).run().log();
        assert_eq!(log["http.response.status_code"], 200);
        assert_eq!((&log["gen_ai.usage.output_tokens"], &log["cost_estimated"]), (&json!(null), &json!(true)), "{log}");
    }
}

#[test]
fn an_attempt_lasts_to_the_end_of_its_stream() {
    let scenario = asking(true, json!({})).provider(FIRST, serving(300)).run();
    let attempt = scenario.log()["attempts"][0].clone();
    assert_eq!(attempt["duration_ms"], 1_200.0, "{attempt}");
    let broken = asking(true, json!({"resume": "replay"}))
        .provider(FIRST, paced(&[&text("Hello"), &text(" wor")], 300))
        .provider(SECOND, paced(&[&text("Hello world"), STOP, USAGE, DONE], 100))
        .run();
    let attempts = broken.log()["attempts"].clone();
    assert_eq!((&attempts[0]["duration_ms"], &attempts[1]["duration_ms"]), (&json!(600.0), &json!(400.0)));
}
