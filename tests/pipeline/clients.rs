//! Who may ask: keys, client entries, and that nothing leaves before they are checked.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tiergate::platform::{ReadError, StoreError};

use crate::fake::{Chunk, Event};
use crate::scenario::{CLASSIFIER, FIRST, KEY, Scenario, answer, client, policy, verdict};

#[test]
fn every_refused_key_gets_the_same_401() {
    let wrong = format!("Bearer {}x", KEY);
    let malformed = "Bearer tg_../app_0123456789abcdefghijklmnopqrstuv";
    let other = "Bearer tg_other_0123456789abcdefghijklmnopqrstuv";
    let cases: [(&str, Scenario); 8] = [
        ("no_key", Scenario::new().without_header("authorization")),
        ("wrong_key", Scenario::new().header("authorization", &wrong)),
        ("malformed_key", Scenario::new().header("authorization", malformed)),
        ("malformed_key", Scenario::new().header("authorization", "Bearer sk-openai")),
        ("unknown_client", Scenario::new().header("authorization", other)),
        ("disabled", Scenario::new().client(client(json!({"disabled": true})))),
        ("expired", Scenario::new().client(client(json!({"expires": "2026-01-01T00:00:00Z"})))),
        ("invalid_client_entry", Scenario::new().kv("client/app", b"{\"name\": 7}")),
    ];
    let mut answers = Vec::new();
    for (refusal, scenario) in cases {
        let scenario = scenario.run();
        assert_eq!(scenario.status(), 401, "{refusal}");
        assert_eq!(scenario.error_code(), "invalid_api_key", "{refusal}");
        assert_eq!(scenario.log()["refusal"], refusal);
        assert!(scenario.asked().is_empty(), "{refusal}");
        let head = scenario.fake.answer.borrow().head.clone().expect("an answer");
        assert!(head.headers.get("server-timing").is_none(), "{refusal}: what took how long tells who is known");
        answers.push((head, scenario.text()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer for every failure, to the last header: {answers:?}");
}

#[test]
fn a_malformed_key_is_not_looked_up() {
    let scenario =
        Scenario::new().header("authorization", "Bearer tg_..%2fpolicy_0123456789abcdefghijklmnopqrstuv").run();
    assert_eq!(scenario.status(), 401);
    let looked_up =
        scenario.fake.events.borrow().iter().any(|event| matches!(event, Event::KvStarted(key) if key != "policy"));
    assert!(!looked_up);
}

#[test]
fn a_second_valid_key_and_x_api_key_work() {
    let scenario = Scenario::new()
        .without_header("authorization")
        .header("x-api-key", KEY)
        .provider(CLASSIFIER, verdict("small", 0.9))
        .provider(FIRST, answer("hi"))
        .run();
    assert_eq!(scenario.status(), 200, "{}", scenario.text());
    assert_eq!(scenario.log()["client"], "app");
    assert_eq!(scenario.log()["tags"], json!({"team": "search"}));
}

#[test]
fn without_kv_keys_cannot_be_checked() {
    let scenario = Scenario::new();
    for key in ["policy", "client/app"] {
        scenario.fake.kv.borrow_mut().insert(key.to_owned(), Err(StoreError));
    }
    let scenario = scenario.run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (503, "auth_unavailable"));
    assert_eq!(scenario.response_header("x-should-retry"), "true");
    assert!(scenario.response_header("x-route-reason").contains("policy_stale"));
}

#[test]
fn optional_auth_admits_the_keyless_but_still_checks_keys() {
    let mut open = policy();
    open["auth"] = json!("optional");
    let anonymous = Scenario::new()
        .policy(open.clone())
        .header("authorization", "Bearer unused")
        .header("x-route-tier", "small")
        .provider(FIRST, answer("hi"))
        .run();
    assert_eq!((anonymous.status(), anonymous.log()["client"].as_str()), (200, Some("anonymous")));
    let wrong = Scenario::new().policy(open).header("authorization", &format!("Bearer {KEY}x")).run();
    assert_eq!(wrong.status(), 401);
}

#[test]
fn nothing_of_a_body_leaves_before_its_client_is_known() {
    let part = |text: &str, delay| Chunk { delay: Duration::from_millis(delay), bytes: Ok(text.as_bytes().to_vec()) };
    let body = r#"{"messages":[{"role":"user","content":"x"}]}"#;
    let (head, tail) = body.split_at(10);
    let scenario = Scenario::new()
        .body_parts(vec![part(head, 1), part(tail, 2)])
        .provider(CLASSIFIER, verdict("small", 0.9))
        .provider(FIRST, answer("hi"));
    scenario.fake.kv_delay.set(Duration::from_millis(20));
    let scenario = scenario.run();
    assert_eq!(scenario.status(), 200);
    let sent_at = scenario.fake.sent.borrow()[0].at;
    assert_eq!(sent_at, Duration::from_millis(20), "look-ups and body overlap, and the first request waits for both");
    let events = scenario.fake.events.borrow();
    let both_started = events[..2].iter().all(|event| matches!(event, Event::KvStarted(_)));
    assert!(both_started, "both look-ups start before anything is waited for: {events:?}");
}

#[test]
fn an_entry_is_asked_for_again_when_it_is_old() {
    let scenario = Scenario::new().header("x-route-tier", "small");
    let scenario = scenario.provider(FIRST, answer("1")).provider(FIRST, answer("2")).run();
    let scenario = scenario.client(client(json!({"disabled": true}))).again_after(Duration::from_secs(1));
    assert_eq!(scenario.status(), 200, "within policy_ttl_s the entry is remembered");
    let scenario = scenario.again_after(Duration::from_secs(5));
    assert_eq!(scenario.status(), 401, "after it the change holds");
}

#[test]
fn clients_are_bounded_to_their_tiers() {
    let bounded = || Scenario::new().client(client(json!({"tiers": ["small"]})));
    let refused = bounded().header("x-route-tier", "large").run();
    assert_eq!((refused.status(), refused.error_code().as_str()), (403, "tier_not_allowed"));
    assert!(refused.json()["error"]["message"].as_str().unwrap().ends_with("It may use: small."));
    let clamped = bounded().provider(CLASSIFIER, verdict("large", 0.9)).provider(FIRST, answer("hi")).run();
    assert_eq!(clamped.response_header("x-route-tier"), "small");
    assert_eq!(clamped.response_header("x-route-reason"), "tier_bounded");
    let named = bounded()
        .ask(json!({"model": "large", "messages": [{"role": "user", "content": "x"}]}))
        .provider(FIRST, answer("hi"))
        .run();
    assert_eq!((named.status(), named.response_header("x-route-tier").as_str()), (200, "small"));
    let none = Scenario::new().client(client(json!({"tiers": ["gone"]}))).run();
    assert_eq!((none.status(), none.error_code().as_str()), (403, "no_allowed_candidate"));
}

#[test]
fn models_lists_what_the_client_may_use() {
    let list = |entry| {
        let scenario = Scenario::new().client(client(entry)).path(Method::GET, "/v1/models").run();
        assert_eq!(scenario.status(), 200);
        let models = scenario.json()["data"].as_array().unwrap().clone();
        models.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list(json!({})), ["small", "large"]);
    assert_eq!(list(json!({"tiers": ["large"]})), ["large"]);
    assert_eq!(list(json!({"may_pin": true})).len(), 6);
    assert_eq!(list(json!({"may_pin": true, "tiers": ["small"]})), ["small", "plain"]);
    let one = Scenario::new().path(Method::GET, "/models/small").run();
    assert_eq!((one.status(), one.json()["object"].as_str()), (200, Some("model")));
    let hidden = Scenario::new().path(Method::GET, "/v1/models/one").run();
    assert_eq!((hidden.status(), hidden.error_code().as_str()), (404, "model_not_found"));
}

#[test]
fn a_body_that_breaks_off_is_the_clients_fault() {
    let scenario = Scenario::new().body_parts(vec![Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }]).run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (400, "body_incomplete"));
}

#[test]
fn a_key_that_may_not_pin_learns_no_names() {
    let ask = |entry: serde_json::Value, name: &str| {
        let scenario = Scenario::new().client(client(entry)).header("x-route-model", name).run();
        (scenario.status(), scenario.text())
    };
    let refused = ask(json!({}), "one");
    assert_eq!(refused.0, 403);
    for name in ["zzz", "two", "judge"] {
        assert_eq!(ask(json!({}), name), refused, "{name}");
    }
    let (status, text) = ask(json!({"may_pin": true, "tiers": ["small"]}), "zzz");
    assert_eq!(status, 400);
    assert!(text.contains("valid for this key here: plain."), "{text}");
    let tier = Scenario::new().client(client(json!({"tiers": ["small"]}))).header("x-route-tier", "huge").run();
    assert_eq!(tier.status(), 400);
    assert!(tier.text().contains("valid for this key here: small."), "{}", tier.text());
}

#[test]
fn an_anonymous_client_is_narrowed_by_the_policy() {
    let open = |anonymous: serde_json::Value| {
        let mut open = policy();
        open["auth"] = json!("optional");
        if !anonymous.is_null() {
            open["anonymous"] = anonymous;
        }
        Scenario::new().policy(open).without_header("authorization")
    };
    let narrow = || open(json!({"tiers": ["small"]}));
    let refused = narrow().header("x-route-tier", "large").run();
    assert_eq!((refused.status(), refused.error_code().as_str()), (403, "tier_not_allowed"));
    let clamped = narrow().provider(CLASSIFIER, verdict("large", 0.9)).provider(FIRST, answer("hi")).run();
    assert_eq!((clamped.response_header("x-route-tier").as_str(), clamped.status()), ("small", 200));
    let models = narrow().path(Method::GET, "/v1/models").run();
    assert_eq!(models.json()["data"].as_array().map(Vec::len), Some(1));
    for anonymous in [json!(null), json!({})] {
        let wide = open(anonymous).header("x-route-tier", "large").provider(FIRST, answer("hi")).run();
        assert_eq!(wide.status(), 200);
    }
}

#[test]
fn the_operators_tag_wins() {
    let scenario = Scenario::new()
        .header("x-route-tags", "team=mine, job=nightly")
        .header("x-route-tier", "small")
        .provider(FIRST, answer("hi"))
        .run();
    assert_eq!(scenario.log()["tags"], json!({"team": "search", "job": "nightly"}));
}

#[test]
fn a_body_that_is_no_json_by_its_own_headers_is_not_read() {
    for (name, value, expected) in [
        ("content-type", "text/plain;charset=UTF-8", "application/json"),
        ("content-type", "application/x-www-form-urlencoded", "application/json"),
        ("content-type", "multipart/form-data; boundary=x", "application/json"),
        ("content-encoding", "gzip", "`gzip`"),
    ] {
        let scenario = Scenario::new().header(name, value).run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (415, "unsupported_content"), "{value}");
        assert!(scenario.text().contains(expected), "{}", scenario.text());
        assert!(scenario.asked().is_empty() && !scenario.fake.events.borrow().contains(&Event::BodyRead), "{value}");
        let stranger = Scenario::new().header(name, value).without_header("authorization").run();
        assert_eq!(stranger.status(), 401, "who asks matters first");
    }
    let plain = Scenario::new().header("content-type", "application/json").header("x-route-tier", "small");
    assert_eq!(plain.provider(FIRST, answer("hi")).run().status(), 200);
}
