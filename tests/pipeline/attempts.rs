//! Failover, and what the client is told when nobody answers.

use std::time::Duration;

use serde_json::json;
use tiergate::platform::{ReadError, SendError};

use crate::fake::{Chunk, Reply};
use crate::scenario::{FIRST, SECOND, Scenario, answer, json_reply, policy, reply, secret_of};

fn large() -> Scenario {
    Scenario::new().header("x-route-tier", "large")
}

#[test]
fn the_next_candidate_serves_when_the_first_fails() {
    let error = |status| json_reply(status, json!({"error": {"message": "x"}}));
    let broken = Reply::Answer {
        delay: Duration::ZERO,
        status: 200,
        headers: vec![("content-type", "application/json".to_owned())],
        chunks: vec![Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }],
    };
    let cases: Vec<(&str, Reply)> = vec![
        ("dns", Reply::Fails(SendError::Dns)),
        ("connect", Reply::Fails(SendError::Connect)),
        ("tls", Reply::Fails(SendError::Tls)),
        ("reset", Reply::Fails(SendError::Reset).after(1_000)),
        ("timeout", Reply::Never),
        ("408", error(408)),
        ("429", error(429)),
        ("500", error(500)),
        ("503", error(503)),
        ("529", error(529)),
        ("401", error(401)),
        ("402", error(402)),
        ("403", error(403)),
        ("404", error(404)),
        ("302", error(302)),
        ("error_in_200", error(200)),
        ("undecodable", reply(200, "application/json", vec!["{\"choices\": ["])),
        ("undecodable", reply(200, "text/html", vec!["<html>busy</html>"])),
        ("undecodable", reply(200, "application/json", vec![""])),
        ("undecodable", json_reply(200, json!({"choices": []}))),
        ("broken", broken),
    ];
    for (outcome, failing) in cases {
        let scenario = large().provider(FIRST, failing).provider(SECOND, answer("hi")).run();
        assert_eq!(scenario.status(), 200, "{outcome}: {}", scenario.text());
        let expected = format!("first/one:{outcome},second/two:200");
        assert_eq!(scenario.response_header("x-route-attempts"), expected);
        assert_eq!(scenario.response_header("x-route-model"), "two");
        let log = scenario.log();
        assert_eq!((&log["model"], &log["attempts"][0]["outcome"]), (&json!("two"), &json!(outcome)));
        assert_eq!(log["gen_ai.usage.input_tokens"], 100, "only the served answer is counted");
    }
}

#[test]
fn a_refused_request_is_tried_elsewhere_and_told_in_the_providers_words() {
    let body = json!({"error": {"message": format!("`top_k` is not known; key {} noted", secret_of(FIRST)), "param": "top_k"}});
    for status in [400, 422] {
        let refused = json_reply(status, body.clone());
        let served = large().provider(FIRST, refused.clone()).provider(SECOND, answer("hi")).run();
        assert_eq!(served.response_header("x-route-attempts"), format!("first/one:{status},second/two:200"));
        let scenario = large().provider(FIRST, refused.clone()).provider(SECOND, refused).run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (status, "provider_rejected"));
        let error = scenario.json();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("`top_k` is not known; key [masked] noted"), "{message}");
        assert_eq!(error["error"]["param"], "top_k");
        assert_eq!(scenario.response_header("x-should-retry"), "");
    }
}

#[test]
fn too_long_a_context_goes_to_a_larger_one_only() {
    let too_long = || json_reply(400, json!({"error": {"message": "too long", "code": "context_length_exceeded"}}));
    let same = large().provider(FIRST, too_long()).run();
    assert_eq!((same.status(), same.error_code().as_str()), (400, "context_length_exceeded"), "the other is no larger");
    let mut larger = policy();
    larger["models"]["two"]["context"] = json!(200_000);
    let scenario = large().policy(larger).provider(FIRST, too_long()).provider(SECOND, answer("hi")).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:400,second/two:200");
}

#[test]
fn a_missing_secret_is_passed_over_and_named_if_nothing_is_left() {
    let scenario = large().provider(SECOND, answer("hi"));
    scenario.fake.secrets.borrow_mut().remove(FIRST);
    let scenario = scenario.run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:no_secret,second/two:200");

    let scenario = large();
    scenario.fake.secrets.borrow_mut().clear();
    let scenario = scenario.run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (503, "no_secret"));
    assert!(!scenario.text().contains("first.example"), "which entry is the operator's business: {}", scenario.text());
    let log = scenario.log();
    let entries = [&log["attempts"][0]["missing_entry"], &log["attempts"][1]["missing_entry"]];
    assert_eq!(entries, ["first.example", "second.example"], "it is in the log");
    assert_eq!(scenario.response_header("x-should-retry"), "false");
}

#[test]
fn a_dialect_that_is_not_built_is_passed_over() {
    let mut other = policy();
    other["providers"]["first"]["dialect"] = json!("openai-responses");
    let scenario = large().policy(other).provider(SECOND, answer("hi")).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:dialect_unavailable,second/two:200");
}

#[test]
fn a_service_without_backends_says_so() {
    let scenario = large();
    scenario.fake.no_backends.set(true);
    let scenario = scenario.run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (503, "no_backend"));
    assert!(scenario.text().contains("fastly backend create"), "{}", scenario.text());
}

#[test]
fn the_last_failure_is_told_in_the_clients_terms() {
    let error = |status: u16, retry_after: &str| {
        json_reply(status, json!({"error": {"message": format!("your key {}", secret_of(SECOND))}}))
            .with_header("retry-after", retry_after)
    };
    for (status, told, code, retry) in [
        (429, 429, "rate_limit_exceeded", "7"),
        (503, 502, "provider_error", "7"),
        (401, 502, "provider_auth", ""),
        (404, 502, "provider_not_found", ""),
        (402, 503, "provider_quota", ""),
    ] {
        let scenario = large().provider(FIRST, error(401, "3")).provider(SECOND, error(status, "7")).run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (told, code), "{status}");
        assert_eq!(scenario.response_header("retry-after"), retry, "{status}");
        let should = if retry.is_empty() { "false" } else { "true" };
        assert_eq!(scenario.response_header("x-should-retry"), should, "{status}");
        assert_eq!(scenario.log()["error.type"], code);
    }
}

#[test]
fn a_whole_answer_has_its_deadline_and_the_last_candidate_what_is_left() {
    let scenario = large().provider(FIRST, Reply::Never).provider(SECOND, answer("hi").after(6_900)).run();
    assert_eq!(scenario.status(), 200, "3 s for the first, up to the total of 10 s for the last");
    assert_eq!(scenario.fake.sent.borrow()[1].at, Duration::from_secs(3));
    let late = large().provider(FIRST, Reply::Never).provider(SECOND, answer("hi").after(7_001)).run();
    assert_eq!((late.status(), late.error_code().as_str()), (504, "provider_timeout"));
}

#[test]
fn the_client_may_ask_for_less_time() {
    let scenario = large().header("x-route-timeout-ms", "1000").provider(FIRST, answer("hi").after(1_001)).run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (504, "provider_timeout"));
}

#[test]
fn an_answer_is_logged_before_it_is_sent() {
    use crate::fake::Event;
    let scenario = large().provider(FIRST, answer("hi")).run();
    let events = scenario.fake.events.borrow();
    let at = |event: &Event| events.iter().position(|seen| seen == event).expect("it should happen");
    assert!(at(&Event::Logged) < at(&Event::HeadSent));
}

#[test]
fn usage_and_cost_are_logged() {
    let log = large().header("x-route-tags", "job=nightly").provider(FIRST, answer("hi")).run().log();
    assert_eq!(log["gen_ai.usage.cache_read.input_tokens"], 40);
    let cost = log["cost_usd"].as_f64().unwrap();
    assert!((cost - (60.0 * 1.0 + 40.0 * 0.5 + 10.0 * 2.0) / 1e6).abs() < 1e-12, "{cost}");
    assert_eq!(log["gen_ai.response.model"], "upstream-name");
    assert_eq!(log["gen_ai.request.model"], "gpt-4o");
    assert_eq!(log["tags"], json!({"team": "search", "job": "nightly"}));
    assert_eq!(log["http.response.status_code"], 200);
    assert_eq!(log["pop"], "TST");
}

#[test]
fn an_endless_answer_is_cut_off() {
    let part = "x".repeat(32 * 1024);
    let parts = vec![part.as_str(); 16 * 32 + 1];
    let scenario = large().provider(FIRST, reply(200, "application/json", parts)).provider(SECOND, answer("hi")).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:too_large,second/two:200");
}

#[test]
fn the_message_names_the_provider_whose_failure_it_tells() {
    let message = |scenario: Scenario| {
        let scenario = scenario.header("x-route-tier", "large").run();
        scenario.json()["error"]["message"].as_str().expect("a message").to_owned()
    };
    let without = |hosts: &[&str]| {
        let scenario = Scenario::new();
        scenario.fake.secrets.borrow_mut().retain(|host, _| !hosts.contains(&host.as_str()));
        scenario
    };
    let busy = || json_reply(503, json!({}));
    for (scenario, expected) in [
        (without(&[FIRST, SECOND]), "No candidate could answer; first may get nothing: "),
        (without(&[FIRST]).provider(SECOND, busy()), "No candidate could answer; second answered 503"),
        (without(&[SECOND]).provider(FIRST, busy()), "No candidate could answer; first answered 503"),
    ] {
        let message = message(scenario);
        assert!(message.starts_with(expected), "{message} should begin with {expected}");
        assert!(!message.contains(".example"), "which entry is missing is for the log: {message}");
    }
}
