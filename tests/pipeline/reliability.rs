//! Retries, delays, deadlines, health and hedging: what keeps a provider's trouble from the client.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tiergate::admit::memory::Memory;
use tiergate::platform::SendError;

use crate::fake::{Chunk, Reply};
use crate::scenario::{FIRST, SECOND, Scenario, answer, chunk, client, json_reply, policy, reply, secret_of, stream};

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const HI: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// The tier `large` with `change` in it.
fn large(change: Value) -> Scenario {
    let mut policy = policy();
    policy["tiers"][1].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    Scenario::new().policy(policy).header("x-route-tier", "large")
}

fn streaming(change: Value) -> Scenario {
    large(change).ask(json!({"model": "x", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}))
}

fn busy() -> Reply {
    json_reply(503, json!({"error": {"message": "busy"}}))
}

fn limited(after: &str) -> Reply {
    json_reply(429, json!({"error": {"message": "slow down"}})).with_header("retry-after", after)
}

fn starts(scenario: &Scenario) -> Vec<u128> {
    scenario.fake.sent.borrow().iter().map(|sent| sent.at.as_millis()).collect()
}

/// A stream whose first piece comes after `milliseconds`.
fn slow_stream(milliseconds: u64) -> Reply {
    let first = Chunk { delay: Duration::from_millis(milliseconds), bytes: Ok(HI.into()) };
    let chunks = vec![chunk(ROLE), first, chunk(STOP), chunk(USAGE), chunk(DONE)];
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks }
}

#[test]
fn a_passing_failure_is_retried_once_and_soon() {
    for failure in [busy(), Reply::Fails(SendError::Connect), Reply::Fails(SendError::Tls)] {
        let scenario = large(json!({"retries": 1})).provider(FIRST, failure).provider(FIRST, answer("hi")).run();
        assert_eq!(scenario.status(), 200);
        assert_eq!(scenario.asked(), [FIRST, FIRST]);
        assert!((100..=200).contains(&starts(&scenario)[1]), "{:?}", starts(&scenario));
        assert_eq!(scenario.log()["cooling"], Value::Null);
    }
}

#[test]
fn after_its_retries_the_next_candidate_serves() {
    let scenario = large(json!({"retries": 1}))
        .provider(FIRST, busy())
        .provider(FIRST, busy())
        .provider(SECOND, answer("hi"))
        .run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:503,first/one:503,second/two:200");
    assert!(scenario.log()["duration_ms"]["total"].as_f64().unwrap() < 1_000.0);
}

#[test]
fn many_retries_do_not_hammer() {
    let mut scenario = large(json!({"retries": 3, "candidates": [{"model": "one"}]}));
    for _ in 0..3 {
        scenario = scenario.provider(FIRST, busy());
    }
    let scenario = scenario.provider(FIRST, answer("hi")).run();
    let starts = starts(&scenario);
    assert_eq!(starts.len(), 4);
    assert!(starts.windows(3).all(|three| three[2] - three[0] >= 1_500), "{starts:?}");
}

#[test]
fn what_cannot_pass_is_not_retried() {
    let quota = json!({"error": {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}});
    let leak = json!({"error": {"message": format!("Incorrect API key provided: {}", secret_of(FIRST))}});
    for failure in [json_reply(429, quota), json_reply(401, leak), json_reply(403, json!({})), Reply::Never] {
        let scenario = large(json!({"retries": 3})).provider(FIRST, failure).provider(SECOND, answer("hi")).run();
        assert_eq!(scenario.asked(), [FIRST, SECOND]);
        assert_eq!(scenario.status(), 200);
    }
}

#[test]
fn a_rate_limit_goes_to_the_next_candidate_and_waits_if_there_is_none() {
    let scenario = large(json!({"retries": 1})).provider(FIRST, limited("2")).provider(SECOND, answer("hi")).run();
    assert_eq!((scenario.asked(), starts(&scenario)[1]), (vec![FIRST.into(), SECOND.into()], 0));

    let scenario = large(json!({})).provider(FIRST, limited("1")).provider(SECOND, limited("2"));
    let scenario = scenario.provider(SECOND, answer("hi")).run();
    assert_eq!(scenario.asked(), [FIRST, SECOND, SECOND], "the last one is waited for");
    assert!((2_000..2_300).contains(&starts(&scenario)[2]), "{:?}", starts(&scenario));

    let gemini = json!([{"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}]}}]);
    let only = json!({"candidates": [{"model": "one"}]});
    let scenario = large(only.clone()).provider(FIRST, json_reply(429, gemini)).provider(FIRST, answer("hi")).run();
    assert!((1_500..1_800).contains(&starts(&scenario)[1]), "{:?}", starts(&scenario));

    let scenario = large(only).provider(FIRST, limited("30")).run();
    assert_eq!((scenario.status(), scenario.asked().len()), (429, 1), "nobody waits that long");
    assert_eq!(scenario.response_header("retry-after"), "30");
    assert_eq!(scenario.response_header("x-should-retry"), "true");
}

#[test]
fn the_soonest_return_is_told_and_none_that_is_far() {
    let scenario = large(json!({})).provider(FIRST, limited("20")).provider(SECOND, limited("4000")).run();
    assert_eq!(scenario.response_header("retry-after"), "20");
    let scenario = large(json!({})).provider(FIRST, limited("3000")).provider(SECOND, limited("4000")).run();
    assert_eq!(scenario.response_header("x-should-retry"), "false");
    assert_eq!(scenario.response_header("retry-after"), "");
}

#[test]
fn a_delay_that_was_waited_for_does_not_shorten_what_is_told() {
    let only = json!({"candidates": [{"model": "one"}]});
    let scenario = large(only).provider(FIRST, limited("3")).provider(FIRST, limited("4")).run();
    assert_eq!((scenario.status(), scenario.response_header("retry-after").as_str()), (429, "4"));
}

#[test]
fn a_clients_own_time_limit_says_nothing_about_a_candidate() {
    for stream in [false, true] {
        let body = json!({"stream": stream, "messages": [{"role": "user", "content": "Hello"}]});
        let scenario =
            large(json!({})).ask(body).header("x-route-timeout-ms", "20").provider(FIRST, Reply::Never).run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (504, "provider_timeout"));
        assert_eq!(scenario.response_header("x-should-retry"), "false");
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:out_of_time");
        let body = json!({"messages": [{"role": "user", "content": "Hello"}]});
        let scenario = scenario.ask(body).without_header("x-route-timeout-ms").provider(FIRST, answer("hi"));
        let scenario = scenario.again_after(Duration::from_millis(10));
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:200");
    }
}

#[test]
fn a_failed_candidate_comes_last_until_its_probe() {
    let scenario = large(json!({})).provider(FIRST, busy()).provider(SECOND, answer("hi")).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:503,second/two:200");

    // Another sandbox learns it from the POP's cache.
    let mut scenario = scenario.provider(SECOND, answer("hi"));
    scenario.memory = Memory::default();
    let scenario = scenario.again_after(Duration::from_secs(1));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");
    assert_eq!(scenario.response_header("x-route-reason"), "candidate_cooling");
    assert_eq!(scenario.log()["cooling"], json!(["first/one"]));

    // The probe fails, so the cool-down is twice as long.
    let scenario = scenario.provider(FIRST, busy()).provider(SECOND, answer("hi")).again_after(Duration::from_secs(5));
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:503,second/two:200");
    let scenario = scenario.provider(SECOND, answer("hi")).again_after(Duration::from_secs(9));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");

    // The next probe works, and the first candidate serves again.
    let scenario = scenario.provider(FIRST, answer("hi")).provider(SECOND, answer("hi"));
    let scenario = scenario.again_after(Duration::from_secs(2));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:abandoned,first/one:200");
    let scenario = scenario.provider(FIRST, answer("hi")).again_after(Duration::from_millis(10));
    assert_eq!(scenario.response_header("x-route-reason"), "");
}

#[test]
fn nobody_is_removed() {
    let scenario = large(json!({})).provider(FIRST, busy()).provider(SECOND, busy()).run();
    assert_eq!((scenario.status(), scenario.response_header("retry-after").as_str()), (502, "5"));
    let scenario = scenario.provider(FIRST, busy()).provider(SECOND, answer("hi")).again_after(Duration::from_secs(1));
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:503,second/two:200");
}

#[test]
fn a_refused_key_cools_down_longer_and_health_shows_it() {
    let refused = json_reply(401, json!({"error": {"message": "no"}}));
    let scenario = large(json!({})).provider(FIRST, refused).provider(SECOND, answer("hi")).run();
    let scenario = scenario.provider(SECOND, answer("hi")).again_after(Duration::from_secs(250));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");
    let scenario = scenario
        .client(client(json!({"may_inspect": true})))
        .path(Method::GET, "/healthz")
        .again_after(Duration::from_secs(10));
    assert_eq!(
        scenario.json()["cooling"],
        json!([{"candidate": "first/one", "failures": 1, "cooling_s": 40, "probing": false}])
    );
    assert_eq!(scenario.json()["classifier"], "closed");
}

#[test]
fn a_rejected_request_says_nothing_about_the_candidate() {
    let rejected = || json_reply(400, json!({"error": {"message": "no such field"}}));
    let both = |scenario: Scenario| scenario.provider(FIRST, rejected()).provider(SECOND, rejected());
    let scenario = both(large(json!({}))).run();
    let scenario = both(scenario).again_after(Duration::from_millis(10));
    assert_eq!(scenario.asked(), [FIRST, SECOND, FIRST, SECOND]);
    assert_eq!(scenario.log()["cooling"], Value::Null);
}

#[test]
fn a_stream_that_broke_counts_against_its_candidate() {
    let scenario = streaming(json!({})).provider(FIRST, stream(vec![ROLE, HI])).run();
    assert_eq!(scenario.log()["attempts"][0]["outcome"], "broken");
    let scenario = scenario.provider(SECOND, stream(vec![HI, STOP, DONE])).again_after(Duration::from_secs(1));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");
}

#[test]
fn an_error_in_a_stream_is_judged_as_what_it_says() {
    let event = |code: &str| format!("data: {{\"error\":{{\"message\":\"no\",\"code\":\"{code}\"}}}}\n\n");
    for (code, after_s, serves) in [
        ("insufficient_quota", 250, "second/two:200"),
        ("server_error", 1, "second/two:200"),
        ("server_error", 250, "second/two:abandoned,first/one:200"),
        ("context_length_exceeded", 1, "first/one:200"),
    ] {
        let error = event(code);
        let scenario = streaming(json!({})).provider(FIRST, stream(vec![ROLE, HI, &error])).run();
        assert_eq!(scenario.log()["error.type"], "stream_broken", "{code}");
        let again = || stream(vec![HI, STOP, DONE]);
        let scenario = scenario.provider(FIRST, again()).provider(SECOND, again());
        let scenario = scenario.again_after(Duration::from_secs(after_s));
        assert_eq!(scenario.response_header("x-route-attempts"), serves, "{code} after {after_s} s");
    }
}

#[test]
fn a_deadline_does_not_cut_for_a_candidate_that_cannot_be_asked() {
    let deadlines = json!({
        "connect_ms": 1000, "first_token_ms": 2000, "response_ms": 3000, "idle_ms": 9000, "total_ms": 10000});
    let scenario = streaming(json!({"deadlines": deadlines})).provider(FIRST, slow_stream(6_000));
    scenario.fake.secrets.borrow_mut().remove(SECOND);
    let scenario = scenario.run();
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:no_secret,first/one:200");
}

#[test]
fn an_error_whose_body_hangs_is_judged_by_its_status() {
    let mut hanging = busy();
    if let Reply::Answer { chunks, .. } = &mut hanging {
        chunks.insert(0, Chunk { delay: Duration::from_secs(60), bytes: Ok(Vec::new()) });
    }
    let scenario = large(json!({})).provider(FIRST, hanging).provider(SECOND, answer("hi")).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:503,second/two:200");
    assert_eq!(starts(&scenario)[1], 2_000);
}

#[test]
fn an_error_inside_a_200_is_judged_as_what_it_says() {
    let inside = |error: Value| json_reply(200, json!({"error": error}));
    let bad = inside(json!({"message": "bad", "code": 400}));
    let rejected = large(json!({})).provider(FIRST, bad.clone()).provider(SECOND, bad).run();
    assert_eq!((rejected.status(), rejected.asked().len()), (400, 2));
    let auth = inside(json!({"message": "no", "type": "authentication_error"}));
    let scenario = large(json!({"retries": 1})).provider(FIRST, auth).provider(SECOND, answer("hi")).run();
    assert_eq!(scenario.asked(), [FIRST, SECOND]);
}

#[test]
fn a_slow_first_piece_is_hedged_and_the_loser_closed() {
    let scenario = streaming(json!({"hedge_after_ms": 500}))
        .provider(FIRST, slow_stream(1_900))
        .provider(SECOND, slow_stream(100))
        .run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:closed,second/two:200");
    assert_eq!(starts(&scenario), [0, 500]);
    let log = scenario.log();
    assert_eq!((&log["attempts"][0]["hedge"], &log["attempts"][1]["hedge"]), (&Value::Null, &json!(true)));
    assert_eq!(log["model"], "two");
    let cost = (100.0 * 1.0 + 10.0 * 2.0) / 1e6;
    assert_eq!(log["cost_usd"], cost, "the loser's cost is no part of it");
    assert_eq!(log["attempts"][0]["estimate_usd"], cost);
}

#[test]
fn the_first_candidate_may_still_win() {
    let scenario = streaming(json!({"hedge_after_ms": 500}))
        .provider(FIRST, slow_stream(600))
        .provider(SECOND, slow_stream(1_000).after(50))
        .run();
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:closed,first/one:200");
    let scenario = streaming(json!({"hedge_after_ms": 500}))
        .provider(FIRST, slow_stream(600))
        .provider(SECOND, Reply::Never)
        .run();
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:abandoned,first/one:200");
}

#[test]
fn a_hedge_takes_over_when_the_first_fails_or_misses_its_deadline() {
    let failing = busy().after(700);
    let scenario = streaming(json!({"hedge_after_ms": 500, "retries": 3}))
        .provider(FIRST, failing)
        .provider(SECOND, slow_stream(900))
        .run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:503,second/two:200");
    let scenario = streaming(json!({"hedge_after_ms": 500}))
        .provider(FIRST, Reply::Never)
        .provider(SECOND, slow_stream(5_000))
        .run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:timeout,second/two:200");
}

#[test]
fn hedges_keep_to_their_share() {
    // The bucket has one token, and this random number counts no request.
    let hedged = |scenario: &Scenario| scenario.response_header("x-route-attempts").contains("two");
    let asking = || streaming(json!({"hedge_after_ms": 500}));
    let mut scenario = asking();
    scenario.fake.random.set(1);
    scenario = scenario.provider(FIRST, slow_stream(600)).provider(SECOND, slow_stream(9_000)).run();
    assert!(hedged(&scenario));
    scenario = scenario.provider(FIRST, slow_stream(600)).again_after(Duration::from_secs(1));
    assert!(!hedged(&scenario), "the token is spent");

    let mut none = policy();
    none["health"] = json!({"hedge_share": 0});
    none["tiers"][1]["hedge_after_ms"] = json!(500);
    let scenario = asking().policy(none).provider(FIRST, slow_stream(600)).run();
    assert!(!hedged(&scenario));
}

#[test]
fn whole_answers_and_cooling_candidates_are_not_hedged() {
    let scenario = large(json!({"hedge_after_ms": 500})).provider(FIRST, answer("hi").after(2_000)).run();
    assert_eq!(scenario.asked(), [FIRST]);
    let scenario = streaming(json!({"hedge_after_ms": 500}))
        .provider(FIRST, slow_stream(10))
        .provider(SECOND, busy())
        .header("x-route-tier", "large")
        .run();
    assert_eq!(scenario.asked(), [FIRST], "it was quick enough");
}

#[test]
fn a_request_for_a_stream_that_gets_a_page_is_sent_elsewhere() {
    let page = reply(200, "text/html", vec!["<html>"]);
    let scenario = streaming(json!({})).provider(FIRST, page).provider(SECOND, slow_stream(0)).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:undecodable,second/two:200");
}

#[test]
fn a_large_request_is_not_hedged() {
    let long = "word ".repeat((8 << 20) / 5 + 1);
    let body = |text: &str| json!({"messages": [{"role": "user", "content": text}], "stream": true});
    let asking = |text: &str| {
        let mut policy = policy();
        policy["limits"]["body_bytes"] = json!(16 << 20);
        policy["tiers"][1]["hedge_after_ms"] = json!(500);
        for model in ["one", "two"] {
            policy["models"][model]["context"] = json!(100_000_000);
        }
        Scenario::new().policy(policy).header("x-route-tier", "large").ask(body(text))
    };
    let hedged = asking("short").provider(FIRST, slow_stream(3_000)).provider(SECOND, slow_stream(100)).run();
    assert_eq!((hedged.asked(), starts(&hedged)[1]), (vec![FIRST.into(), SECOND.into()], 500));
    let one = asking(&long).provider(FIRST, slow_stream(3_000)).provider(SECOND, slow_stream(100)).run();
    assert_eq!(one.response_header("x-route-attempts"), "first/one:timeout,second/two:200");
    assert_eq!(starts(&one)[1], 2_000, "not hedged, but another begins when the first is late");
    let mut only = policy();
    only["limits"]["body_bytes"] = json!(16 << 20);
    only["tiers"][1]["candidates"] = json!([{"model": "one"}]);
    only["models"]["one"]["context"] = json!(100_000_000);
    let last = Scenario::new()
        .policy(only)
        .header("x-route-tier", "large")
        .ask(body(&long))
        .provider(FIRST, slow_stream(3_000))
        .run();
    assert_eq!(last.response_header("x-route-attempts"), "first/one:200", "the last candidate is not cut");
}

#[test]
fn what_one_client_sends_cools_no_candidate_for_others() {
    for status in [414, 431] {
        let scenario = large(json!({"retries": 1}))
            .header("traceparent", &"0".repeat(30_000))
            .provider(FIRST, json_reply(status, json!({})))
            .provider(SECOND, answer("hi"))
            .provider(FIRST, answer("hi"))
            .run();
        assert_eq!(scenario.asked(), [FIRST, SECOND], "{status}");
        assert!(scenario.fake.sent.borrow().iter().all(|sent| !sent.headers.contains_key("traceparent")));
        let scenario = scenario.without_header("traceparent").again_after(Duration::from_millis(10));
        assert_eq!(scenario.asked(), [FIRST, SECOND, FIRST], "{status}");
        assert_eq!(scenario.response_header("x-route-reason"), "");
    }
}
