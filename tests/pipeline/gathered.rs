//! Whole answers that are gathered from a stream (`whole: streamed`): what the provider is asked, what the client gets, and what
//! holds for them that holds for streams.

use std::time::Duration;

use http::header::ACCEPT;
use serde_json::{Value, json};
use tiergate::platform::ReadError;

use crate::fake::{Chunk, Event, Reply};
use crate::scenario::{FIRST, SECOND, Scenario, answer, chunk, json_reply, policy, reply, stream};

const ROLE: &str = "data: {\"id\":\"c1\",\"created\":1,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const HEL: &str = "data: {\"id\":\"c1\",\"created\":1,\"model\":\"m-1\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n";
const LO: &str = "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n\n";
const STOP: &str = "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const COMMENT: &str = ": keep-alive\n\n";

/// A request for a whole answer with `more` in it, in the tier `large`, whose policy says so and has `change` in it.
fn asking(change: Value, more: Value) -> Scenario {
    let mut policy = policy();
    let tier = policy["tiers"][1].as_object_mut().unwrap();
    tier.insert("whole".to_owned(), json!("streamed"));
    tier.extend(change.as_object().unwrap().clone());
    let mut body = json!({"model": "x", "messages": [{"role": "user", "content": "Hello"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Scenario::new().policy(policy).header("x-route-tier", "large").ask(body)
}

fn whole(change: Value) -> Scenario {
    asking(change, json!({}))
}

fn serving() -> Reply {
    stream(vec![ROLE, HEL, LO, STOP, USAGE, DONE])
}

/// A stream with what comes after so many milliseconds each.
fn timed(parts: &[(u64, &str)]) -> Reply {
    let part = |(delay, text): &(u64, &str)| Chunk { delay: Duration::from_millis(*delay), ..chunk(text) };
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks: parts.iter().map(part).collect() }
}

fn attempts(scenario: &Scenario) -> String {
    scenario.response_header("x-route-attempts")
}

fn starts(scenario: &Scenario) -> Vec<u128> {
    scenario.fake.sent.borrow().iter().map(|sent| sent.at.as_millis()).collect()
}

/// The text of the completion that the client got, all at once.
fn text(scenario: &Scenario) -> String {
    assert_eq!((scenario.status(), scenario.response_header("content-type").as_str()), (200, "application/json"));
    scenario.json()["choices"][0]["message"]["content"].as_str().expect("a text").to_owned()
}

/// In which form the last provider that was asked is to answer.
fn asked_for(scenario: &Scenario) -> &'static str {
    let sent = scenario.fake.sent.borrow();
    let last = sent.last().expect("a request");
    let body: Value = serde_json::from_slice(&last.body).expect("JSON");
    match (last.headers[ACCEPT].to_str(), body["stream"] == true, body.get("stream_options").is_some()) {
        (Ok("text/event-stream"), true, true) => "a stream with its usage",
        (Ok("text/event-stream"), true, false) => "a stream",
        (Ok("application/json"), false, false) => "a whole answer",
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_client_gets_one_completion_of_what_its_provider_streams() {
    let scenario = whole(json!({})).provider(FIRST, serving()).run();
    assert_eq!(asked_for(&scenario), "a stream with its usage");
    assert_eq!(text(&scenario), "Hello");
    let message = json!({"role": "assistant", "content": "Hello", "refusal": null});
    let expected = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m-1", "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    });
    assert_eq!(scenario.json(), expected);
    assert_eq!(scenario.count(&Event::Written), 0, "one answer, not a stream");
    let headers = ["x-route-provider", "x-route-model", "x-route-tier"].map(|name| scenario.response_header(name));
    assert_eq!(headers, ["first", "one", "large"]);
    assert!(scenario.response_header("server-timing").contains("total"));
    let log = scenario.log();
    assert_eq!((&log["stream"], &log["http.response.status_code"]), (&json!(false), &json!(200)));
    assert_eq!((&log["gen_ai.usage.input_tokens"], &log["gen_ai.usage.output_tokens"]), (&json!(9), &json!(2)));
    assert_eq!(log["gen_ai.response.finish_reasons"], json!(["stop"]));
    assert_eq!((&log["gen_ai.response.model"], &log["cost_usd"]), (&json!("m-1"), &json!((9.0 + 2.0 * 2.0) / 1e6)));
    assert!(log["attempts"][0]["first_piece_ms"].is_number(), "{log}");
}

#[test]
fn a_client_that_streams_and_a_tier_that_does_not_say_so_are_served_as_ever() {
    let scenario = asking(json!({}), json!({"stream": true})).provider(FIRST, serving()).run();
    assert_eq!(scenario.text(), [ROLE, HEL, LO, STOP, DONE].concat());
    let scenario = whole(json!({"whole": "asked"})).provider(FIRST, answer("Hello")).run();
    assert_eq!((asked_for(&scenario), text(&scenario).as_str()), ("a whole answer", "Hello"));
}

#[test]
fn usage_is_counted_whatever_else_is_said_of_streams() {
    for (change, more) in [
        (json!({"stream": "handoff"}), json!({"stream": false})),
        (json!({"stream": "hold", "resume": "replay"}), json!({"stream": null})),
        (json!({}), json!({"stream_options": {"include_usage": false}})),
        (json!({}), json!({"stream_options": null, "stream": false})),
    ] {
        let scenario = asking(change.clone(), more.clone()).provider(FIRST, serving()).run();
        assert_eq!((asked_for(&scenario), text(&scenario).as_str()), ("a stream with its usage", "Hello"), "{change}");
        assert_eq!(scenario.json()["usage"]["total_tokens"], 11, "{more}");
        assert_eq!(scenario.sent_to(FIRST)["stream_options"]["include_usage"], true, "{more}");
        assert_eq!(scenario.log()["handed_off"], Value::Null);
    }
}

#[test]
fn what_no_stream_can_carry_is_asked_for_as_a_whole() {
    let voice = json!({"voice": "alloy", "format": "wav"});
    for (more, expected) in [
        (json!({"n": 2}), "a whole answer"),
        (json!({"n": 1}), "a stream with its usage"),
        (json!({"n": null}), "a stream with its usage"),
        (json!({"audio": null, "modalities": ["text"], "metadata": {}}), "a stream with its usage"),
        (json!({"modalities": ["text", "audio"]}), "a whole answer"),
        (json!({"modalities": ["text", "image"]}), "a whole answer"),
        (json!({"audio": voice}), "a whole answer"),
        (json!({"metadata": {"a": "b"}}), "a whole answer"),
        (json!({"logprobs": true, "web_search_options": {}, "service_tier": "flex"}), "a stream with its usage"),
    ] {
        let mut policy = policy();
        policy["tiers"][1]["whole"] = json!("streamed");
        policy["models"]["one"]["audio"] = json!(true);
        let reply = if expected == "a whole answer" { answer("Hello") } else { serving() };
        let scenario = asking(json!({}), more.clone()).policy(policy).provider(FIRST, reply).run();
        assert_eq!((asked_for(&scenario), text(&scenario).as_str()), (expected, "Hello"), "{more}");
    }
}

#[test]
fn a_break_at_any_place_lets_the_next_candidate_serve() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n";
    let broken = Chunk { delay: Duration::ZERO, bytes: Err(ReadError) };
    let long = LO.replace("lo", &"lo".repeat(500_000));
    let breaking = |last: Chunk| {
        let headers = vec![("content-type", "text/event-stream".to_owned())];
        Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks: vec![chunk(ROLE), chunk(HEL), last] }
    };
    for (outcome, failing) in [
        ("broken", stream(vec![ROLE, HEL])),
        ("broken", stream(vec![ROLE, HEL, DONE])),
        ("broken", breaking(broken)),
        ("timeout", timed(&[(0, HEL), (5_500, LO)])),
        ("error_in_200", stream(vec![ROLE, HEL, LO, error])),
        ("undecodable", stream(vec![HEL, "data: {\"choices\":[{\n\n"])),
        ("undecodable", reply(200, "text/html", vec!["<html>"])),
        ("too_large", stream([vec![ROLE], vec![&long; 5], vec![STOP, DONE]].concat())),
    ] {
        let scenario = whole(json!({})).provider(FIRST, failing).provider(SECOND, serving()).run();
        assert_eq!(text(&scenario), "Hello", "{outcome}");
        assert_eq!(attempts(&scenario), format!("first/one:{outcome},second/two:200"));
        assert_eq!(scenario.count(&Event::Written), 0, "no comment either: {outcome}");
    }
}

#[test]
fn what_is_gathered_is_bounded_as_a_whole_and_not_by_event() {
    let long = LO.replace("lo", &"lo".repeat(500_000));
    let scenario = whole(json!({})).provider(FIRST, stream([vec![&*long; 4], vec![STOP, DONE]].concat())).run();
    assert_eq!((attempts(&scenario).as_str(), text(&scenario).len()), ("first/one:200", 4_000_000));
    let one = LO.replace("lo", &"lo".repeat(2_500_000));
    let scenario =
        whole(json!({"candidates": [{"model": "one"}]})).provider(FIRST, stream(vec![&one, STOP, DONE])).run();
    assert_eq!((scenario.status(), attempts(&scenario).as_str()), (502, "first/one:too_large"));
    // What is the same in every chunk is held once.
    let beside = HEL.replace("fp_1", &"f".repeat(100_000));
    let scenario = whole(json!({})).provider(FIRST, stream([vec![&*beside; 100], vec![STOP, DONE]].concat())).run();
    assert_eq!((attempts(&scenario).as_str(), text(&scenario).len()), ("first/one:200", 300));
}

#[test]
fn the_first_piece_has_its_deadline_and_the_answer_has_none_but_the_last() {
    let late = timed(&[(2_500, HEL), (0, STOP), (0, DONE)]);
    let scenario = whole(json!({})).provider(FIRST, late).provider(SECOND, serving()).run();
    assert_eq!((attempts(&scenario).as_str(), text(&scenario).as_str()), ("first/one:timeout,second/two:200", "Hello"));
    assert_eq!(starts(&scenario), [0, 2_000], "beside the late one");

    let working: Vec<(u64, &str)> =
        [(1_500, COMMENT); 2].into_iter().chain([(1_500, HEL), (0, STOP), (0, DONE)]).collect();
    let scenario = whole(json!({})).provider(FIRST, timed(&working)).run();
    assert_eq!(
        (attempts(&scenario).as_str(), text(&scenario).as_str()),
        ("first/one:200", "Hel"),
        "it shows that it works"
    );

    let long: Vec<(u64, &str)> =
        [(0, ROLE)].into_iter().chain([(1_000, LO); 8]).chain([(0, STOP), (0, DONE)]).collect();
    let scenario = whole(json!({})).provider(FIRST, timed(&long)).run();
    assert_eq!((attempts(&scenario).as_str(), text(&scenario).len()), ("first/one:200", 16), "longer than response_ms");
    let log = scenario.log();
    assert_eq!(log["attempts"][0]["first_piece_ms"], 1_000.0);

    let endless: Vec<(u64, &str)> = vec![(1_000, LO); 20];
    let scenario = whole(json!({"candidates": [{"model": "one"}]})).provider(FIRST, timed(&endless)).run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (504, "provider_timeout"));
    assert_eq!(attempts(&scenario), "first/one:out_of_time");
}

#[test]
fn the_first_to_begin_wins_and_the_other_is_there_should_it_break() {
    let slow = || timed(&[(1_900, HEL), (0, LO), (0, STOP), (0, DONE)]);
    let scenario = whole(json!({"hedge_after_ms": 500})).provider(FIRST, slow()).provider(SECOND, serving()).run();
    assert_eq!((attempts(&scenario).as_str(), text(&scenario).as_str()), ("first/one:closed,second/two:200", "Hello"));
    assert_eq!(starts(&scenario), [0, 500]);
    let breaking = timed(&[(0, HEL), (100, LO)]);
    let scenario = whole(json!({"hedge_after_ms": 500}))
        .provider(FIRST, slow())
        .provider(SECOND, breaking)
        .provider(FIRST, serving())
        .run();
    assert_eq!(attempts(&scenario), "first/one:closed,second/two:broken,first/one:200");
    assert_eq!(text(&scenario), "Hello");
}

#[test]
fn a_whole_answer_in_place_of_the_stream_is_the_answer() {
    let scenario = whole(json!({})).provider(FIRST, answer("Hello")).run();
    assert_eq!((asked_for(&scenario), text(&scenario).as_str()), ("a stream with its usage", "Hello"));
    let body = scenario.json();
    assert_eq!(
        (&body["surprise"], &body["usage"]["prompt_tokens_details"]),
        (&json!({"kept": true}), &json!({"cached_tokens": 40}))
    );
    assert_eq!(scenario.log()["gen_ai.usage.input_tokens"], 100);
    let refused = json_reply(400, json!({"error": {"message": "no such field", "type": "invalid_request_error"}}));
    let scenario = whole(json!({"candidates": [{"model": "one"}]})).provider(FIRST, refused).run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (400, "provider_rejected"));
}

#[test]
fn a_refusal_is_put_to_the_next_candidate_where_the_tier_says_so() {
    let refusal = "data: {\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"No.\"}}]}\n\n";
    let refusing = || stream(vec![ROLE, refusal, STOP, DONE]);
    let next = json!({"on_refusal": "next"});
    let scenario = whole(next.clone()).provider(FIRST, refusing()).provider(SECOND, serving()).run();
    assert_eq!((attempts(&scenario).as_str(), text(&scenario).as_str()), ("first/one:refused,second/two:200", "Hello"));
    let scenario = whole(next).provider(FIRST, refusing()).provider(SECOND, refusing()).run();
    let message = &scenario.json()["choices"][0]["message"];
    assert_eq!((&message["content"], &message["refusal"]), (&Value::Null, &json!("No.")));
}

#[test]
fn what_is_no_part_of_the_answer_is_counted() {
    let scenario =
        whole(json!({})).provider(FIRST, stream(vec!["data: hello\n\n", HEL, "data: x\n\n", STOP, DONE])).run();
    assert_eq!((text(&scenario).as_str(), &scenario.log()["ignored_events"]), ("Hel", &json!(2)));
}

#[test]
fn a_provider_of_another_dialect_is_asked_for_a_stream_too() {
    let mut policy = policy();
    policy["tiers"][1]["whole"] = json!("streamed");
    let provider = json!({"dialect": "anthropic-messages", "auth": "x-api-key"});
    policy["providers"]["first"].as_object_mut().unwrap().extend(provider.as_object().unwrap().clone());
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let usage = json!({"input_tokens": 9, "output_tokens": 1});
    let events = [
        json!({"type": "message_start", "message": {"id": "m1", "model": "m", "usage": usage}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let events: Vec<String> = events.into_iter().map(event).collect();
    let parts = events.iter().map(String::as_str).collect();
    let scenario = asking(json!({}), json!({})).policy(policy).provider(FIRST, stream(parts)).run();
    assert_eq!((asked_for(&scenario), text(&scenario).as_str()), ("a stream", "Hello"));
    let body = scenario.json();
    let said = (&body["id"], &body["choices"][0]["finish_reason"], &body["usage"]["completion_tokens"]);
    assert_eq!(said, (&json!("m1"), &json!("stop"), &json!(2)));
}
