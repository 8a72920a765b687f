//! Attempts beside each other: hedges, late candidates, held streams; and what a client hears while none has begun.

use std::time::Duration;

use serde_json::{Value, json};
use tiergate::platform::SendError;

use crate::fake::{Chunk, Event, Reply};
use crate::scenario::{FIRST, SECOND, Scenario, answer, chunk, json_reply, policy, stream};

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const HI: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const COMMENT: &str = ": keep-alive\n\n";
const THIRD: &str = "third.example";

/// The tier `large` with `change` in it, and a third provider that it may name.
fn large(change: Value) -> Scenario {
    let mut policy = policy();
    policy["tiers"][1].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    policy["providers"]["third"] = json!({"base_url": format!("https://{THIRD}/v1"), "dialect": "openai-chat"});
    let mut model = policy["models"]["two"].clone();
    model["provider"] = json!("third");
    policy["models"]["three"] = model;
    let scenario = Scenario::new().policy(policy).header("x-route-tier", "large");
    scenario.fake.secrets.borrow_mut().insert(THIRD.to_owned(), "sk-third".to_owned());
    scenario
}

fn streaming(change: Value) -> Scenario {
    large(change).ask(json!({"model": "x", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}))
}

fn three() -> Value {
    json!([{"model": "one"}, {"model": "two"}, {"model": "three"}])
}

fn starts(scenario: &Scenario) -> Vec<u128> {
    scenario.fake.sent.borrow().iter().map(|sent| sent.at.as_millis()).collect()
}

fn attempts(scenario: &Scenario) -> String {
    scenario.response_header("x-route-attempts")
}

/// A stream with what comes after so many milliseconds each, and its end.
fn timed(parts: &[(u64, &str)]) -> Reply {
    let part = |(delay, text): &(u64, &str)| Chunk {
        delay: Duration::from_millis(*delay),
        bytes: Ok(text.as_bytes().to_vec()),
    };
    let chunks = parts.iter().map(part).chain([chunk(STOP), chunk(DONE)]).collect();
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks }
}

fn rejected() -> Reply {
    json_reply(400, json!({"error": {"message": "no such field", "type": "invalid_request_error"}}))
}

#[test]
fn a_late_candidate_serves_if_the_next_one_fails() {
    for failing in [json_reply(503, json!({})), json_reply(401, json!({})), Reply::Fails(SendError::Connect)] {
        let scenario = streaming(json!({})).provider(FIRST, timed(&[(4_000, HI)])).provider(SECOND, failing).run();
        assert_eq!((scenario.status(), scenario.text()), (200, [HI, STOP, DONE].concat()));
        assert!(attempts(&scenario).ends_with("first/one:200"), "{}", attempts(&scenario));
        assert_eq!(starts(&scenario), [0, 2_000]);
    }
    let scenario =
        large(json!({})).provider(FIRST, answer("hi").after(5_000)).provider(SECOND, json_reply(503, json!({}))).run();
    assert_eq!(attempts(&scenario), "second/two:503,first/one:200", "whole answers too");
    assert_eq!(starts(&scenario), [0, 3_000]);
}

#[test]
fn whoever_only_lost_a_race_is_there_for_a_repair() {
    let tier = json!({"hedge_after_ms": 500, "resume": "replay"});
    let breaking = |delay| {
        let Reply::Answer { chunks, headers, .. } = timed(&[(delay, HI)]) else { panic!("an answer") };
        Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks: chunks[..1].to_vec() }
    };
    let scenario = streaming(tier)
        .provider(FIRST, breaking(700))
        .provider(SECOND, timed(&[(900, HI)]))
        .provider(SECOND, timed(&[(0, HI)]))
        .run();
    assert!(scenario.text().starts_with(HI) && scenario.text().ends_with(DONE), "{}", scenario.text());
    assert_eq!(
        (scenario.asked(), &scenario.log()["resumed"]),
        (vec![FIRST.into(), SECOND.into(), SECOND.into()], &json!(1))
    );
}

#[test]
fn what_refuses_a_hedge_does_not_end_the_first_attempt() {
    let filtered = json_reply(400, json!({"error": {"message": "x", "code": "content_policy_violation"}}));
    for refusal in [rejected(), filtered] {
        let scenario = streaming(json!({"hedge_after_ms": 500}))
            .provider(FIRST, timed(&[(1_000, HI)]))
            .provider(SECOND, refusal)
            .run();
        assert_eq!(attempts(&scenario), "second/two:400,first/one:200");
    }
}

#[test]
fn three_run_at_most_and_the_first_to_begin_wins() {
    let mut candidates = three();
    candidates.as_array_mut().unwrap().push(json!({"model": "one", "effort": "low"}));
    let tier = json!({"candidates": candidates,
        "deadlines": {"first_token_ms": 1_000, "idle_ms": 5_000, "total_ms": 9_000}});
    let scenario = streaming(tier)
        .provider(FIRST, Reply::Never)
        .provider(SECOND, timed(&[(4_000, HI)]))
        .provider(THIRD, timed(&[(6_000, HI)]))
        .run();
    assert_eq!(starts(&scenario), [0, 1_000, 2_000]);
    assert_eq!(attempts(&scenario), "first/one:timeout,third/three:timeout,second/two:200");
}

#[test]
fn a_held_answer_has_won_when_it_begins() {
    let slow = timed(&[(600, HI), (4_000, HI)]);
    let scenario = streaming(json!({"hedge_after_ms": 500, "stream": "hold"}))
        .provider(FIRST, slow)
        .provider(SECOND, timed(&[(1_000, HI), (5_000, HI)]))
        .run();
    assert_eq!(attempts(&scenario), "second/two:closed,first/one:200");
    let log = scenario.log();
    assert!(log["attempts"][0]["duration_ms"].as_f64().unwrap() <= 200.0, "closed as the other began: {log}");
}

#[test]
fn a_held_answer_that_takes_longer_than_the_client_waits_is_no_failure() {
    let parts: Vec<(u64, &str)> = vec![(400, HI); 6];
    let scenario = streaming(json!({"stream": "hold"})).header("x-route-timeout-ms", "1000");
    let scenario = scenario.provider(FIRST, timed(&parts)).run();
    assert_eq!((scenario.status(), attempts(&scenario).as_str()), (504, "first/one:out_of_time"));
    let scenario = scenario.without_header("x-route-timeout-ms").provider(FIRST, timed(&[(0, HI)]));
    let scenario = scenario.new_sandbox().again_after(Duration::from_secs(1));
    assert_eq!(attempts(&scenario), "first/one:200");
}

#[test]
fn a_comment_that_nobody_takes_is_waited_for_no_longer_than_the_request_lasts() {
    let deadlines = json!({"first_token_ms": 10_000, "idle_ms": 10_000, "total_ms": 20_000});
    let scenario = streaming(json!({"stream": "hold", "deadlines": deadlines, "candidates": [{"model": "one"}]}));
    scenario.fake.stops_reading_after.set(Some(0));
    let scenario = scenario.provider(FIRST, Reply::Never).run();
    assert_eq!(scenario.log()["client_closed"], true);
    assert_eq!(scenario.log()["duration_ms"]["total"], 20_000.0, "{}", scenario.log());
}

#[test]
fn signs_of_life_put_off_the_deadline_and_the_hedge() {
    let thinking: Vec<(u64, &str)> = [(400, COMMENT); 8].into_iter().chain([(400, HI)]).collect();
    let tier = json!({"hedge_after_ms": 1_000});
    let scenario = streaming(tier).provider(FIRST, timed(&thinking)).run();
    assert_eq!(attempts(&scenario), "first/one:200", "3.6 s, with a comment each 400 ms");

    let endless: Vec<(u64, &str)> = vec![(400, COMMENT); 30];
    let scenario = streaming(json!({})).provider(FIRST, timed(&endless)).provider(SECOND, stream(vec![HI, STOP, DONE]));
    let scenario = scenario.run();
    assert_eq!(attempts(&scenario), "first/one:timeout,second/two:200");
    assert_eq!(starts(&scenario), [0, 5_000], "half of the time is left to others");
}

#[test]
fn nothing_is_sent_when_no_time_is_left() {
    let mut policy = policy();
    policy["classifier"]["timeout_ms"] = json!(5_000);
    let scenario = Scenario::new()
        .policy(policy)
        .header("x-route-timeout-ms", "800")
        .provider(crate::scenario::CLASSIFIER, answer("x").after(4_000))
        .run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (504, "provider_timeout"));
    assert_eq!(scenario.asked(), [crate::scenario::CLASSIFIER], "the classifier's time is the client's");
    assert_eq!(scenario.log()["duration_ms"]["total"], 800.0);
    assert_eq!(scenario.response_header("x-should-retry"), "false");
}

#[test]
fn a_stale_connection_is_used_once_more_at_once() {
    let reset = || Reply::Fails(SendError::Reset);
    let scenario = large(json!({})).provider(FIRST, reset().after(900)).provider(FIRST, answer("hi")).run();
    assert_eq!((attempts(&scenario), starts(&scenario)), ("first/one:reset,first/one:200".to_owned(), vec![0, 900]));
    let scenario = scenario.provider(FIRST, reset()).provider(FIRST, reset()).provider(SECOND, answer("hi"));
    let scenario = scenario.again_after(Duration::from_millis(10));
    assert_eq!(attempts(&scenario), "first/one:reset,first/one:reset,second/two:200", "once");
}

#[test]
fn a_delay_is_waited_for_as_long_as_the_tier_says() {
    let limited = || json_reply(429, json!({"error": {"message": "slow"}})).with_header("retry-after", "2");
    let tier = json!({"wait_ms": 3_000});
    let scenario = large(tier).provider(FIRST, limited()).provider(FIRST, answer("hi")).run();
    assert_eq!(attempts(&scenario), "first/one:429,first/one:200");
    let scenario = large(json!({"wait_ms": 1_000})).provider(FIRST, limited()).provider(SECOND, answer("hi")).run();
    assert_eq!(attempts(&scenario), "first/one:429,second/two:200");
}

#[test]
fn a_stream_that_has_nothing_yet_gets_its_head_and_comments() {
    let deadlines = json!({"first_token_ms": 10_000, "idle_ms": 10_000, "total_ms": 100_000});
    let tier = json!({"deadlines": deadlines, "early_head_ms": 20_000});
    let scenario = streaming(tier.clone())
        .provider(FIRST, json_reply(503, json!({})))
        .provider(SECOND, timed(&[(0, HI)]).after(40_000))
        .run();
    assert_eq!(scenario.text(), [": keep-alive\n\n", ": keep-alive\n\n", HI, STOP, DONE].concat());
    assert_eq!(scenario.status(), 200);
    for unknown in ["x-route-provider", "x-route-model", "x-route-attempts"] {
        assert_eq!(scenario.response_header(unknown), "", "{unknown}");
    }
    assert_eq!(scenario.response_header("x-route-tier"), "large");
    assert_eq!(scenario.log()["duration_ms"]["first_byte"], 20_000.0);

    // Failover goes on behind the head, and a failure is an event.
    let failing = || json_reply(503, json!({"error": {"message": "busy"}})).after(25_000);
    let scenario = streaming(tier).provider(FIRST, failing()).provider(SECOND, failing()).run();
    assert_eq!(scenario.status(), 200);
    assert!(scenario.text().starts_with(": keep-alive\n\n"), "{}", scenario.text());
    assert!(scenario.text().contains("data: {\"error\":") && !scenario.text().contains("[DONE]"));
    assert!(!scenario.fake.answer.borrow().finished, "an aborted transfer");
    assert_eq!(scenario.log()["error.type"], "provider_error");

    let never = json!({"deadlines": deadlines, "early_head_ms": 0});
    let scenario = streaming(never).provider(FIRST, timed(&[(0, HI)]).after(60_000));
    let scenario = scenario.provider(SECOND, Reply::Never).run();
    assert!(scenario.text().starts_with(HI), "{}", scenario.text());
}

#[test]
fn a_whole_answer_gets_no_early_head() {
    let tier = json!({"early_head_ms": 1_000});
    let scenario = large(tier).provider(FIRST, answer("hi").after(2_500)).run();
    assert_eq!((scenario.status(), attempts(&scenario).as_str()), (200, "first/one:200"));
    assert_eq!(scenario.fake.events.borrow().iter().filter(|event| **event == Event::HeadSent).count(), 1);
}

#[test]
fn a_refusal_is_put_to_the_next_candidate_where_the_tier_says_so() {
    let refusal = "data: {\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"No.\"}}]}\n\n";
    let filtered = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\n";
    let next = || json!({"on_refusal": "next"});
    for said in [refusal, filtered] {
        let refusing = || stream(vec![ROLE, said, STOP, DONE]);
        let scenario = streaming(next()).provider(FIRST, refusing()).provider(SECOND, timed(&[(0, HI)])).run();
        assert_eq!(attempts(&scenario), "first/one:refused,second/two:200");
        assert!(!scenario.text().contains(said), "{}", scenario.text());
        let scenario = streaming(next()).provider(FIRST, refusing()).provider(SECOND, refusing()).run();
        assert_eq!(attempts(&scenario), "first/one:refused,second/two:200", "the last one's is the answer");
        assert!(scenario.text().contains(said), "{}", scenario.text());
        let scenario = streaming(json!({})).provider(FIRST, refusing()).run();
        assert_eq!(attempts(&scenario), "first/one:200", "without the tier's word");
        let late = stream(vec![ROLE, HI, said, STOP, DONE]);
        let scenario = streaming(next()).provider(FIRST, late).run();
        assert_eq!(attempts(&scenario), "first/one:200", "after text");
    }
    let body = |message: Value, finish: &str| {
        json_reply(200, json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}))
    };
    for refusing in [
        body(json!({"role": "assistant", "content": null, "refusal": "No."}), "stop"),
        body(json!({"role": "assistant", "content": ""}), "content_filter"),
    ] {
        let scenario = large(next()).provider(FIRST, refusing).provider(SECOND, answer("hi")).run();
        assert_eq!(attempts(&scenario), "first/one:refused,second/two:200");
    }
    let scenario = large(next()).provider(FIRST, body(json!({"refusal": "No."}), "stop"));
    let scenario = scenario.provider(SECOND, json_reply(503, json!({}))).run();
    assert_eq!(scenario.status(), 400, "{}", scenario.text());
}

/// A tier's `cooling` in the log of the next request, which the second candidate serves.
fn cooling_next(scenario: Scenario, after: Duration) -> (Value, Scenario) {
    let scenario = scenario.provider(SECOND, timed(&[(0, HI)])).new_sandbox().again_after(after);
    (scenario.log()["cooling"].clone(), scenario)
}

#[test]
fn a_candidate_that_always_loses_to_its_hedge_cools_down() {
    let second = Duration::from_secs(1);
    let hedged = || streaming(json!({"hedge_after_ms": 500})).provider(FIRST, Reply::Never);
    let scenario = hedged().provider(SECOND, timed(&[(200, HI)])).run();
    assert_eq!(attempts(&scenario), "first/one:abandoned,second/two:200");
    let (cooling, scenario) = cooling_next(scenario, second);
    assert_eq!(cooling, json!(["first/one"]));
    assert_eq!(attempts(&scenario), "second/two:200");

    // One that has sent its head in time, or shows that it works, may be thinking; one that is hardly slower is not late.
    for (first, pause) in [(timed(&[(5_000, HI)]), 200), (timed(&[(0, ROLE), (5_000, HI)]), 200), (Reply::Never, 600)] {
        let scenario = streaming(json!({"hedge_after_ms": 500})).provider(FIRST, first);
        let scenario = scenario.provider(SECOND, timed(&[(pause, HI)])).run();
        assert!(attempts(&scenario).ends_with("second/two:200"));
        let scenario = scenario.provider(FIRST, timed(&[(0, HI)])).new_sandbox().again_after(second);
        assert_eq!(attempts(&scenario), "first/one:200");
    }
}

#[test]
fn a_head_with_nothing_after_it_is_late_like_none() {
    let second = Duration::from_secs(1);
    for (first, cools) in [(timed(&[(9_000, HI)]), true), (timed(&[(0, ROLE), (9_000, HI)]), false)] {
        let scenario = streaming(json!({})).provider(FIRST, first).provider(SECOND, timed(&[(100, HI)])).run();
        assert_eq!(attempts(&scenario), "first/one:timeout,second/two:200");
        let scenario = scenario.provider(FIRST, timed(&[(0, HI)])).provider(SECOND, timed(&[(0, HI)]));
        let scenario = scenario.new_sandbox().again_after(second);
        assert_eq!(attempts(&scenario), if cools { "second/two:200" } else { "first/one:200" });
    }
}

#[test]
fn three_late_in_a_row_cool_a_candidate_down_if_another_was_in_time() {
    let late = |first: Reply, second: Option<Reply>| {
        let mut policy = policy();
        policy["health"]["failures"] = json!(3);
        let mut scenario = Scenario::new().policy(policy).header("x-route-tier", "large");
        for round in 0..3 {
            scenario = scenario.provider(FIRST, first.clone());
            scenario = second.iter().fold(scenario, |scenario, second| scenario.provider(SECOND, second.clone()));
            scenario = if round == 0 { scenario.run() } else { scenario.again_after(Duration::from_secs(1)) };
        }
        let scenario = scenario.provider(FIRST, answer("hi")).provider(SECOND, answer("hi"));
        scenario.new_sandbox().again_after(Duration::from_secs(1))
    };
    assert_eq!(attempts(&late(Reply::Never, Some(answer("hi")))), "second/two:200");
    assert_eq!(attempts(&late(Reply::Never, Some(Reply::Never))), "first/one:200", "nobody was in time");
    assert_eq!(attempts(&late(answer("hi").after(2_900), None)), "first/one:200", "within its time");
    assert_eq!(attempts(&late(answer("hi").after(3_500), Some(answer("hi").after(900)))), "first/one:200", "it won");
}

#[test]
fn nobody_pays_for_a_probe() {
    let failed = |first: Reply| {
        let scenario = streaming(json!({})).provider(FIRST, json_reply(503, json!({})));
        let scenario = scenario.provider(SECOND, timed(&[(0, HI)])).run();
        scenario.provider(FIRST, first).new_sandbox().provider(SECOND, timed(&[(100, HI)]))
    };
    let cooled = Duration::from_secs(5);
    // The probe hangs: the other serves at once, and the cool-down is twice as long.
    let scenario = failed(Reply::Never).again_after(cooled);
    assert_eq!(attempts(&scenario), "first/one:probing,second/two:200");
    assert_eq!(scenario.log()["duration_ms"]["first_byte"], 100.0);
    let (cooling, scenario) = cooling_next(scenario, Duration::from_secs(9));
    assert_eq!((cooling, attempts(&scenario).as_str()), (json!(["first/one"]), "second/two:200"));

    // The probe is slower but works to its end: it is heard of after the answer.
    let scenario = failed(timed(&[(900, HI)])).again_after(cooled);
    assert_eq!(attempts(&scenario), "first/one:probing,second/two:200");
    let scenario = scenario.provider(FIRST, timed(&[(0, HI)])).new_sandbox().again_after(Duration::from_secs(1));
    assert_eq!(attempts(&scenario), "first/one:200");

    // It begins, but breaks off.
    let mut breaking = timed(&[(900, HI)]);
    if let Reply::Answer { chunks, .. } = &mut breaking {
        chunks.truncate(1);
    }
    let scenario = failed(breaking).again_after(cooled);
    let (cooling, _) = cooling_next(scenario, Duration::from_secs(9));
    assert_eq!(cooling, json!(["first/one"]));

    // It is quicker: it serves, and what was started beside it is dropped.
    let scenario = failed(timed(&[(50, HI)])).again_after(cooled);
    assert_eq!(attempts(&scenario), "second/two:closed,first/one:200");
    let scenario = scenario.provider(FIRST, timed(&[(0, HI)])).new_sandbox().again_after(Duration::from_secs(1));
    assert_eq!(attempts(&scenario), "first/one:200");

    // It is refused for what it asks, so it is there.
    let scenario = failed(rejected()).again_after(cooled);
    assert_eq!(attempts(&scenario), "first/one:400,second/two:200");
    let scenario = scenario.provider(FIRST, timed(&[(0, HI)])).new_sandbox().again_after(Duration::from_secs(1));
    assert_eq!(attempts(&scenario), "first/one:200");
}

#[test]
fn a_probe_is_judged_by_what_came_while_the_client_got_its_answer() {
    let cooled = || {
        let scenario = streaming(json!({})).provider(FIRST, json_reply(503, json!({})));
        scenario.provider(SECOND, timed(&[(0, HI)])).run().new_sandbox()
    };
    // It works, and has long said all when somebody looks.
    let long = timed(&[(100, HI), (3_000, HI), (3_000, HI)]);
    let scenario = cooled().provider(FIRST, timed(&[(0, HI)]).after(900)).provider(SECOND, long);
    let scenario = scenario.again_after(Duration::from_secs(5));
    assert_eq!(attempts(&scenario), "first/one:probing,second/two:200");
    let scenario = scenario.provider(FIRST, timed(&[(0, HI)])).new_sandbox().again_after(Duration::from_secs(1));
    assert_eq!(attempts(&scenario), "first/one:200");

    // The client's time is over before the candidate's own.
    let scenario = cooled().header("x-route-timeout-ms", "1000").provider(FIRST, Reply::Never);
    let scenario = scenario.provider(SECOND, timed(&[(100, HI)])).again_after(Duration::from_secs(5));
    assert_eq!(attempts(&scenario), "first/one:probing,second/two:200");
    let scenario = scenario.provider(FIRST, timed(&[(0, HI)]));
    let (cooling, _) = cooling_next(scenario, Duration::from_secs(3));
    assert_eq!(cooling, json!(null), "the next probe is due");
}

#[test]
fn a_large_request_has_one_attempt_at_a_time() {
    let large = |first: Reply, second: Reply| {
        let scenario = streaming(json!({"hedge_after_ms": 500}));
        let mut policy: Value = serde_json::from_slice(&scenario.fake.stored("policy").unwrap()).unwrap();
        policy["limits"]["body_bytes"] = json!(16 << 20);
        for model in ["one", "two"] {
            policy["models"][model]["context"] = json!(100_000_000);
        }
        let message = json!({"role": "user", "content": "word ".repeat((8 << 20) / 5 + 1)});
        let scenario = scenario.policy(policy).ask(json!({"stream": true, "messages": [message]}));
        scenario.provider(FIRST, first).provider(SECOND, second).run()
    };
    let scenario = large(timed(&[(3_000, HI)]), timed(&[(1_500, HI)]));
    assert_eq!((attempts(&scenario).as_str(), starts(&scenario)), ("first/one:timeout,second/two:200", vec![0, 2_000]));
    assert_eq!(scenario.log()["duration_ms"]["first_byte"], 3_500.0, "the second took the place of the first");
    // A probe has no company either.
    let scenario = large(json_reply(503, json!({})), timed(&[(0, HI)])).provider(FIRST, timed(&[(500, HI)]));
    let scenario = scenario.new_sandbox().again_after(Duration::from_secs(5));
    assert_eq!(attempts(&scenario), "first/one:200");
}

#[test]
fn a_stale_connection_says_nothing_of_a_candidate_that_was_asked_beside_another() {
    let scenario = streaming(json!({"hedge_after_ms": 500})).provider(FIRST, timed(&[(1_000, HI)]));
    let scenario = scenario.provider(SECOND, Reply::Fails(SendError::Reset).after(100)).run();
    assert_eq!(attempts(&scenario), "second/two:reset,first/one:200");
    let scenario = scenario.provider(FIRST, timed(&[(0, HI)])).new_sandbox().again_after(Duration::from_secs(1));
    assert_eq!(scenario.log()["cooling"], json!(null));
}

#[test]
fn two_refusals_of_one_provider_are_one() {
    let tier = json!({"hedge_after_ms": 500,
        "candidates": [{"model": "one"}, {"model": "one", "effort": "low"}, {"model": "two"}]});
    let scenario = streaming(tier).provider(FIRST, rejected().after(1_000)).provider(FIRST, rejected().after(1_000));
    let scenario = scenario.provider(SECOND, timed(&[(0, HI)])).run();
    assert_eq!(attempts(&scenario), "first/one:400,first/one:400,second/two:200");
}

#[test]
fn a_probe_that_shows_nothing_is_followed_by_the_next() {
    let cooled = || {
        let scenario =
            large(json!({"candidates": [{"model": "one"}]})).provider(FIRST, json_reply(503, json!({}))).run();
        assert_eq!(scenario.status(), 502);
        scenario.new_sandbox()
    };
    let context = json_reply(400, json!({"error": {"message": "x", "code": "context_length_exceeded"}}));
    let scenario = cooled().provider(FIRST, context).again_after(Duration::from_secs(5));
    assert_eq!(scenario.status(), 400);
    let scenario = scenario.provider(FIRST, answer("hi")).new_sandbox().again_after(Duration::from_millis(10));
    assert_eq!((attempts(&scenario).as_str(), &scenario.log()["cooling"]), ("first/one:200", &Value::Null));

    // A stale connection is no probe, so the same request probes once more.
    let stale = || Reply::Fails(SendError::Reset);
    let scenario = cooled().provider(FIRST, stale()).provider(FIRST, answer("hi")).again_after(Duration::from_secs(5));
    assert_eq!(attempts(&scenario), "first/one:reset,first/one:200");
    let scenario = scenario.provider(FIRST, answer("hi")).new_sandbox().again_after(Duration::from_millis(10));
    assert_eq!((attempts(&scenario).as_str(), &scenario.log()["cooling"]), ("first/one:200", &Value::Null));
}

#[test]
fn a_refused_request_is_put_to_one_other_provider() {
    let refused = |words: &str| json_reply(400, json!({"error": {"message": words, "type": "invalid_request_error"}}));
    let tier = || json!({"candidates": three()});
    let scenario = large(tier()).provider(FIRST, refused("no such field")).provider(SECOND, answer("hi")).run();
    assert_eq!(attempts(&scenario), "first/one:400,second/two:200");
    let scenario = scenario.provider(FIRST, answer("hi")).new_sandbox().again_after(Duration::from_secs(1));
    assert_eq!(attempts(&scenario), "first/one:200", "nothing cools");
    for stream in [false, true] {
        let scenario = if stream { streaming(tier()) } else { large(tier()) };
        let scenario = scenario.provider(FIRST, refused("first words")).provider(SECOND, refused("other words")).run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (400, "provider_rejected"));
        assert!(scenario.text().contains("first words"), "{}", scenario.text());
        assert_eq!(scenario.asked(), [FIRST, SECOND], "two agree");
    }
    let scenario = large(tier())
        .provider(FIRST, refused("first words"))
        .provider(SECOND, json_reply(503, json!({})))
        .provider(THIRD, json_reply(503, json!({})))
        .run();
    assert_eq!((scenario.status(), scenario.asked().len()), (400, 3), "what is about the request is told");
}
