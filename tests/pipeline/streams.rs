//! Streamed answers: held until they begin, passed on at once, never ended as whole when they are not.

use std::time::Duration;

use serde_json::{Value, json};
use tiergate::platform::ReadError;

use crate::fake::{Chunk, Event, Reply};
use crate::scenario::{FIRST, SECOND, Scenario, chunk, policy, reply, stream};

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const HEL: &str = "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const LO: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn streaming() -> Scenario {
    asking(json!({}))
}

fn asking(more: Value) -> Scenario {
    let mut body = json!({"model": "x", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Scenario::new().header("x-route-tier", "large").ask(body)
}

fn chunks(parts: Vec<Chunk>) -> Reply {
    let headers = vec![("content-type", "text/event-stream; charset=utf-8".to_owned())];
    Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks: parts }
}

/// The stream broke after commit: one error event, no end marker, an aborted transfer.
fn check_broken(scenario: &Scenario, sent_before: &str, code: &str) {
    let text = scenario.text();
    let rest = text.strip_prefix(sent_before).unwrap_or_else(|| panic!("{text:?} should begin with {sent_before:?}"));
    let event = rest.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("one event");
    let error: Value = serde_json::from_str(event).expect("JSON");
    assert_eq!(error["error"]["code"], code);
    assert!(!scenario.fake.answer.borrow().finished, "the transfer should be aborted");
    assert_eq!(scenario.log()["error.type"], code);
    assert_eq!(scenario.status(), 200);
}

#[test]
fn a_stream_passes_through_and_its_usage_is_logged() {
    let scenario = streaming().provider(FIRST, stream(vec![ROLE, HEL, LO, STOP, USAGE, DONE])).run();
    assert_eq!(scenario.text(), [ROLE, HEL, LO, STOP, DONE].concat(), "the usage chunk was not asked for");
    assert!(scenario.fake.answer.borrow().finished);
    assert_eq!(scenario.response_header("content-type"), "text/event-stream");
    assert_eq!(scenario.sent_to(FIRST)["stream_options"], json!({"include_usage": true}));
    let log = scenario.log();
    assert_eq!((&log["gen_ai.usage.input_tokens"], &log["stream"]), (&json!(9), &json!(true)));
    assert_eq!(log["gen_ai.response.finish_reasons"], json!(["stop"]));
    assert_eq!(log["gen_ai.response.model"], "m-1");
}

#[test]
fn usage_is_sent_to_whom_asked_for_it() {
    let scenario = asking(json!({"stream_options": {"include_usage": true, "include_obfuscation": false}}))
        .provider(FIRST, stream(vec![ROLE, HEL, STOP, USAGE, DONE]))
        .run();
    assert_eq!(scenario.text(), [ROLE, HEL, STOP, USAGE, DONE].concat());
    let options = &scenario.sent_to(FIRST)["stream_options"];
    assert_eq!(options, &json!({"include_usage": true, "include_obfuscation": false}));
}

#[test]
fn nothing_is_sent_before_the_first_piece() {
    let scenario = streaming()
        .provider(FIRST, chunks(vec![chunk(ROLE), Chunk { delay: Duration::from_secs(3), bytes: Ok(HEL.into()) }]))
        .provider(SECOND, stream(vec![ROLE, LO, STOP, DONE]))
        .run();
    assert_eq!(scenario.text(), [ROLE, LO, STOP, DONE].concat(), "2 s without a first piece: the next candidate");
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:timeout,second/two:200");
}

#[test]
fn the_last_candidate_is_not_cut_by_the_first_token_deadline() {
    let slow = chunks(vec![
        chunk(ROLE),
        Chunk { delay: Duration::from_secs(7), bytes: Ok([HEL, STOP, DONE].concat().into()) },
    ]);
    let mut patient = policy();
    patient["tiers"][1]["deadlines"]["idle_ms"] = json!(10_000);
    let scenario = streaming().policy(patient).provider(FIRST, Reply::Never).provider(SECOND, slow).run();
    assert_eq!(scenario.status(), 200);
    assert!(scenario.fake.answer.borrow().finished);
}

#[test]
fn a_stream_that_fails_before_its_first_piece_is_replaced() {
    let error = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
    let cases: Vec<(&str, Reply)> = vec![
        ("error_in_200", stream(vec![ROLE, error])),
        ("error_in_200", reply(200, "application/json", vec![r#"{"error":{"message":"x"}}"#])),
        ("undecodable", reply(200, "text/html", vec!["<html>"])),
        ("undecodable", stream(vec![ROLE, "data: {\"choices\": [\n\n"])),
        ("broken", stream(vec![ROLE])),
        ("broken", stream(vec![ROLE, DONE])),
        ("broken", chunks(vec![chunk(ROLE), Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }])),
        ("too_large", stream(vec![ROLE; 1000])),
    ];
    for (outcome, failing) in cases {
        let scenario = streaming().provider(FIRST, failing).provider(SECOND, stream(vec![ROLE, LO, STOP, DONE])).run();
        assert_eq!(scenario.text(), [ROLE, LO, STOP, DONE].concat(), "{outcome}");
        assert_eq!(scenario.response_header("x-route-attempts"), format!("first/one:{outcome},second/two:200"));
    }
}

#[test]
fn a_large_first_event_is_no_preamble() {
    let large = HEL.replace("Hel", &"Hel".repeat(50_000));
    let scenario = streaming().provider(FIRST, stream(vec![ROLE, &large, STOP, DONE])).run();
    assert_eq!(scenario.text(), [ROLE, &large, STOP, DONE].concat());
}

#[test]
fn a_stream_of_no_choices_does_not_count_as_finished() {
    let scenario = asking(json!({"n": 0})).provider(FIRST, stream(vec![ROLE, HEL, DONE])).run();
    check_broken(&scenario, &[ROLE, HEL].concat(), "stream_broken");
}

#[test]
fn a_reason_that_came_with_text_makes_no_broken_body_whole() {
    let with_reason = HEL.replace("\"finish_reason\":null", "\"finish_reason\":\"stop\"");
    assert_ne!(with_reason, HEL);
    let broken = Chunk { delay: Duration::ZERO, bytes: Err(ReadError) };
    for (parts, is_whole) in [
        (vec![chunk(ROLE), chunk(&with_reason), broken.clone()], false),
        (vec![chunk(ROLE), chunk(HEL), chunk(with_reason.trim_end()), broken.clone()], false),
        (vec![chunk(ROLE), chunk(&with_reason)], true),
        (vec![chunk(ROLE), chunk(&with_reason), chunk(DONE), broken.clone()], true),
        (vec![chunk(ROLE), chunk(HEL), chunk(STOP), broken], true),
    ] {
        let scenario = streaming().provider(FIRST, chunks(parts)).run();
        assert_eq!(scenario.fake.answer.borrow().finished, is_whole, "{}", scenario.text());
        assert_eq!(scenario.text().contains("[DONE]"), is_whole, "{}", scenario.text());
    }
}

#[test]
fn what_arrives_together_is_written_together() {
    let joined = [ROLE, HEL, LO].concat();
    let scenario = streaming().provider(FIRST, stream(vec![&joined, &[STOP, DONE].concat()])).run();
    assert_eq!(scenario.text(), [ROLE, HEL, LO, STOP, DONE].concat());
    assert_eq!(scenario.fake.answer.borrow().writes, 2, "one write for each read");
}

#[test]
fn a_stream_is_the_same_wherever_its_reads_end() {
    let whole = [": comment\n\n", ROLE, HEL, LO, STOP, USAGE, DONE].concat();
    let expected = [ROLE, HEL, LO, STOP, DONE].concat();
    for at in 1..whole.len() {
        let (head, tail) = whole.split_at(at);
        let scenario = streaming().provider(FIRST, stream(vec![head, tail])).run();
        assert_eq!(scenario.text(), expected, "split at {at}");
        assert!(scenario.fake.answer.borrow().finished, "split at {at}");
    }
}

#[test]
fn a_stream_cut_anywhere_is_never_ended_as_whole() {
    let whole = [ROLE, HEL, LO, STOP].concat();
    let finished = whole.len() - STOP.len()
        + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}".len();
    for at in ROLE.len() + HEL.len()..whole.len() {
        for end in [None, Some(Chunk { delay: Duration::ZERO, bytes: Err(ReadError) })] {
            let parts = [chunk(&whole[..at])].into_iter().chain(end).collect();
            let scenario = streaming().provider(FIRST, chunks(parts)).run();
            let text = scenario.text();
            if at >= finished {
                assert!(text.ends_with(DONE), "cut at {at}: the finish_reason had arrived whole");
            } else {
                assert!(!text.contains("[DONE]"), "cut at {at}: {text}");
                assert!(text.contains("\"code\":\"stream_broken\""), "cut at {at}: {text}");
                assert!(!scenario.fake.answer.borrow().finished, "cut at {at}");
            }
        }
    }
}

#[test]
fn done_without_a_finish_reason_is_a_break() {
    let scenario = streaming().provider(FIRST, stream(vec![ROLE, HEL, DONE])).run();
    check_broken(&scenario, &[ROLE, HEL].concat(), "stream_broken");
    let cut = asking(json!({"n": 2})).provider(FIRST, stream(vec![ROLE, HEL, STOP])).run();
    check_broken(&cut, &[ROLE, HEL, STOP].concat(), "stream_broken");
    // A provider that makes one choice whatever is asked has said all of it.
    let one = asking(json!({"n": 2})).provider(FIRST, stream(vec![ROLE, HEL, STOP, DONE])).run();
    assert_eq!(one.text(), [ROLE, HEL, STOP, DONE].concat());
    assert!(one.fake.answer.borrow().finished);
}

#[test]
fn a_missing_end_marker_after_the_finish_reason_is_added() {
    let scenario = streaming().provider(FIRST, stream(vec![ROLE, HEL, STOP])).run();
    assert_eq!(scenario.text(), [ROLE, HEL, STOP, DONE].concat());
    assert!(scenario.fake.answer.borrow().finished);
    let silent = chunks(vec![chunk(ROLE), chunk(HEL), chunk(STOP), Chunk { delay: Duration::MAX, bytes: Ok(vec![]) }]);
    let scenario = streaming().provider(FIRST, silent).run();
    assert_eq!(scenario.text(), [ROLE, HEL, STOP, DONE].concat(), "also if the connection stays open");
}

#[test]
fn an_error_in_mid_stream_is_told_and_masked() {
    let error = format!("data: {{\"error\":{{\"message\":\"key {} failed\"}}}}\n\n", crate::scenario::secret_of(FIRST));
    let scenario = streaming().provider(FIRST, stream(vec![ROLE, HEL, &error])).run();
    check_broken(&scenario, &[ROLE, HEL].concat(), "stream_broken");
}

#[test]
fn what_is_no_event_of_the_dialect_goes_no_further() {
    let scenario = streaming()
        .provider(FIRST, stream(vec![ROLE, HEL, ": keep-alive\n\n", "data: ping\n\n", STOP, "data: [DONE] \n\n"]))
        .run();
    assert_eq!(scenario.status(), 200);
    assert!(!scenario.text().contains("data: ping"));
    assert!(scenario.text().contains(": keep-alive\n\n"), "comments are for every SDK to ignore");
    let cut = streaming().provider(FIRST, stream(vec![ROLE, HEL, "data: {\"choices\":[{\"delta\n\n"])).run();
    check_broken(&cut, &[ROLE, HEL].concat(), "stream_broken");
}

#[test]
fn a_stream_that_outlasts_its_time_is_left_to_the_platform() {
    let slow = |text: &str| Chunk { delay: Duration::from_secs(4), bytes: Ok(text.into()) };
    let parts = || chunks(vec![chunk(ROLE), chunk(HEL), slow(LO), slow(LO), slow(STOP), chunk(USAGE), chunk(DONE)]);
    let scenario = streaming().provider(FIRST, parts()).run();
    assert_eq!(scenario.text(), [ROLE, HEL, LO, LO, STOP, USAGE, DONE].concat(), "the rest passes as it comes");
    assert!(scenario.fake.answer.borrow().finished);
    let log = scenario.log();
    assert_eq!((&log["handed_off"], &log["cost_estimated"]), (&json!(true), &json!(true)), "{log}");
    assert!(log["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "by what was seen until then: {log}");
    assert_eq!(scenario.log()["duration_ms"]["total"], 10_000.0);

    let scenario = streaming().header("x-route-timeout-ms", "10000").provider(FIRST, parts()).run();
    check_broken(&scenario, &[ROLE, HEL, LO, LO].concat(), "stream_time_limit");
}

#[test]
fn a_stream_that_used_up_its_cpu_time_is_left_to_the_platform() {
    let many = vec![LO; 40];
    let parts = [vec![ROLE, HEL], many, vec![STOP, DONE]].concat();
    let scenario = streaming().provider(FIRST, stream(parts.clone()));
    scenario.fake.vcpu_ms.set(35);
    let scenario = scenario.run();
    assert_eq!((scenario.text(), &scenario.log()["handed_off"]), (parts.concat(), &json!(true)));
    assert!(scenario.fake.events.borrow().contains(&Event::HandedOver));
}

#[test]
fn an_event_that_is_cut_in_two_survives_the_hand_over() {
    let (head, rest) = LO.split_at(20);
    let (middle, rest) = rest.split_at(20);
    let (more, tail) = rest.split_at(20);
    let slow = |text: &str| Chunk { delay: Duration::from_secs(4), bytes: Ok(text.into()) };
    let parts =
        vec![chunk(ROLE), chunk(HEL), chunk(head), slow(middle), slow(more), slow(tail), chunk(STOP), chunk(DONE)];
    let scenario = streaming().provider(FIRST, chunks(parts)).run();
    assert_eq!(scenario.text(), [ROLE, HEL, LO, STOP, DONE].concat());
    assert_eq!(scenario.log()["handed_off"], true);
}

#[test]
fn a_stream_that_stalls_is_broken_also_where_the_platform_does_not_see_to_it() {
    let late = Chunk { delay: Duration::from_secs(60), bytes: Ok(LO.into()) };
    for is_static in [true, false] {
        let parts = vec![chunk(ROLE), chunk(HEL), late.clone()];
        let scenario = streaming().provider(FIRST, chunks(parts));
        scenario.fake.has_static_backends.set(is_static);
        let scenario = scenario.run();
        check_broken(&scenario, &[ROLE, HEL].concat(), "stream_broken");
        let log = scenario.log();
        assert_eq!(log["duration_ms"]["total"], 5_000.0, "static: {is_static}");
        if is_static {
            assert_eq!(log["attempts"][0]["outcome"], "timeout");
        }
    }
}

#[test]
fn a_client_that_leaves_ends_the_relay() {
    let scenario = streaming().provider(FIRST, stream(vec![ROLE, HEL, LO, STOP, DONE]));
    scenario.fake.leaves_after.set(Some(1));
    let scenario = scenario.run();
    assert_eq!(scenario.log()["client_closed"], true);
    let events = scenario.fake.events.borrow();
    let after: Vec<&Event> = events.iter().rev().take_while(|event| **event != Event::Written).collect();
    let goes_on = |event: &&Event| matches!(event, Event::BodyRead(_) | Event::Sent(_));
    assert!(!after.iter().any(goes_on), "nothing is read after the write that failed: {after:?}");
    assert_eq!(after.iter().filter(|event| ***event == Event::Logged).count(), 1);
}

#[test]
fn an_event_without_end_is_refused_before_it_fills_the_memory() {
    let part = "x".repeat(32 * 1024);
    let mut parts = vec![ROLE, HEL, "data: {\"a\":\""];
    parts.extend(vec![part.as_str(); 1280]);
    let scenario = streaming().provider(FIRST, stream(parts)).run();
    check_broken(&scenario, &[ROLE, HEL].concat(), "stream_broken");
    let reads = scenario.fake.events.borrow().iter().filter(|event| matches!(event, Event::BodyRead(_))).count();
    assert!(reads < 530, "of 40 MB a little more than 16 MiB should be read, not {reads} times 32 KiB");
}

#[test]
fn a_client_that_stops_reading_ends_the_relay_after_a_while() {
    let scenario = streaming().provider(FIRST, stream(vec![ROLE, HEL, LO, STOP, DONE]));
    scenario.fake.stops_reading_after.set(Some(1));
    let scenario = scenario.run();
    assert_eq!(scenario.log()["client_closed"], true);
    // The tier has ten seconds for the whole answer.
    assert_eq!(scenario.log()["duration_ms"]["total"], 10_000.0);
    assert!(!scenario.fake.answer.borrow().finished);
}

#[test]
fn an_empty_reason_finishes_nothing() {
    for reason in ["\"\"", "\" \"", "\"null\""] {
        let saying = |text: &str| {
            let delta = format!("{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{reason}}}");
            format!("data: {{\"choices\":[{delta}]}}\n\n")
        };
        let (one, two) = (saying("One "), saying("two"));
        let whole = streaming().provider(FIRST, stream(vec![&one, &two, STOP, DONE])).run();
        assert_eq!(whole.text(), [&one, &two, STOP, DONE].concat(), "{reason}");
        assert_eq!(whole.log()["gen_ai.response.finish_reasons"], json!(["stop"]), "{reason}");
        let ended = streaming().provider(FIRST, stream(vec![&one, DONE])).run();
        check_broken(&ended, &one, "stream_broken");
        let cut = streaming().provider(FIRST, stream(vec![&one, &two])).run();
        check_broken(&cut, &[one, two].concat(), "stream_broken");
    }
}

#[test]
fn every_choice_that_spoke_has_to_finish() {
    let other = HEL.replace("\"index\":0", "\"index\":1");
    let scenario = streaming().provider(FIRST, stream(vec![HEL, &other, STOP, DONE])).run();
    check_broken(&scenario, &[HEL, &other, STOP].concat(), "stream_broken");
}

#[test]
fn what_follows_a_finish_and_what_failed_are_no_end() {
    let failed = STOP.replace("\"stop\"", "\"error\"");
    let complaint =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"}}],\"message\":\"No.\",\"code\":\"x\"}\n\n";
    let unended = "data: {\"error\":{\"message\":\"No.\"}}";
    for (name, parts, sent) in [
        ("more text, then a cut", vec![HEL, STOP, LO], [HEL, STOP, LO].concat()),
        ("a reason that says error", vec![HEL, &failed, DONE], HEL.to_owned()),
        ("a complaint beside a choice that says nothing", vec![HEL, complaint, STOP, DONE], HEL.to_owned()),
        ("an error that lost its empty line", vec![HEL, STOP, unended], [HEL, STOP].concat()),
        (
            "a broken event in lines that end with CR",
            vec![HEL, STOP, "data: {\"choices\":[{\r\r"],
            [HEL, STOP].concat(),
        ),
    ] {
        let scenario = streaming().provider(FIRST, stream(parts)).run();
        assert!(scenario.text().starts_with(&sent), "{name}: {}", scenario.text());
        check_broken(&scenario, &sent, "stream_broken");
    }
}

/// A policy whose first provider speaks the Messages API.
fn messages() -> Value {
    let mut policy = policy();
    policy["providers"]["first"]["dialect"] = json!("anthropic-messages");
    policy
}

#[test]
fn a_message_that_failed_or_did_not_end_is_no_answer() {
    let message = |more: Value| {
        let mut message = json!({"id": "m1", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "part"}], "stop_reason": "end_turn"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        crate::scenario::json_reply(200, message)
    };
    let ask = |reply| {
        let body = json!({"messages": [{"role": "user", "content": "Hello"}]});
        let scenario = Scenario::new().policy(messages()).header("x-route-tier", "large").ask(body);
        scenario.provider(FIRST, reply).provider(SECOND, crate::scenario::answer("second")).run()
    };
    assert!(ask(message(json!({}))).text().contains("part"));
    for more in [
        json!({"stop_reason": null}),
        json!({"stop_reason": "error"}),
        json!({"error": {"type": "overloaded_error", "message": "No."}}),
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "No."}, "content": []}),
    ] {
        let scenario = ask(message(more.clone()));
        assert!(scenario.text().contains("second"), "{more}: {}", scenario.text());
    }
}

#[test]
fn a_message_stream_that_failed_is_no_answer() {
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let start = |id: &str| event(json!({"type": "message_start", "message": {"id": id, "model": "m"}}));
    let block =
        event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "part"}}));
    let end = |more: Value| {
        let mut end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}});
        end.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event(end)
    };
    let stop = event(json!({"type": "message_stop"}));
    let run = |parts: Vec<String>| {
        let parts = parts.iter().map(String::as_str).collect();
        streaming().policy(messages()).provider(FIRST, stream(parts)).run()
    };
    let whole = run(vec![start("m1"), start("m1"), block.clone(), end(json!({})), stop.clone()]);
    assert!(whole.text().ends_with(DONE), "{}", whole.text());
    for broken in [
        vec![start("m1"), block.clone(), end(json!({"error": {"message": "No."}})), stop.clone()],
        vec![start("m1"), block.clone(), end(json!({"delta": {"stop_reason": "error"}})), stop.clone()],
        vec![start("m1"), block.clone(), start("m2"), end(json!({})), stop.clone()],
    ] {
        let scenario = run(broken);
        assert_eq!(scenario.log()["error.type"], "stream_broken", "{}", scenario.text());
        assert!(!scenario.text().contains("[DONE]") && !scenario.fake.answer.borrow().finished);
    }
}
