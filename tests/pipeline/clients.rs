//! Who may ask: keys, client entries, and that nothing leaves before they are checked.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tiergate::platform::ReadError;

use crate::fake::{Chunk, Event};
use crate::scenario::{CLASSIFIER, FIRST, KEY, Scenario, answer, client, policy, verdict};

#[test]
fn every_refused_key_gets_the_same_401() {
    let wrong = format!("Bearer {KEY}x");
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
        // Who it was is known of a key that is right, and of others what they claim.
        let (client, claimed) = match refusal {
            "disabled" | "expired" => (json!("app"), json!(null)),
            "wrong_key" | "invalid_client_entry" => (json!(null), json!("app")),
            "unknown_client" => (json!(null), json!("other")),
            _ => (json!(null), json!(null)),
        };
        let log = scenario.log();
        assert_eq!((&log["client"], &log["claimed_client"]), (&client, &claimed), "{refusal}");
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
    let of_the_policy = ["policy", "policy/last-good"];
    let is_other = |event: &Event| matches!(event, Event::KvStarted(key) if !of_the_policy.contains(&key.as_str()));
    assert!(!scenario.fake.events.borrow().iter().any(is_other));
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

/// One whose policy is known, while the client's entry is out of reach.
fn without_kv(scenario: Scenario) -> Scenario {
    scenario.unreachable(&["policy", "policy/last-good", "client/app", "client/other"])
}

#[test]
fn without_kv_keys_that_nobody_has_used_cannot_be_checked() {
    let scenario = Scenario::new().path(Method::GET, "/healthz").without_header("authorization").run();
    let scenario =
        scenario.path(Method::POST, "/v1/chat/completions").header("authorization", &format!("Bearer {KEY}"));
    let scenario = without_kv(scenario).new_sandbox().again_after(Duration::from_secs(1));
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (503, "auth_unavailable"));
    assert_eq!((&scenario.log()["client"], &scenario.log()["claimed_client"]), (&json!(null), &json!("app")));
    assert_eq!(scenario.response_header("x-should-retry"), "true");
    assert!(scenario.response_header("x-route-reason").contains("policy_stale"));
}

fn small() -> Scenario {
    Scenario::new().header("x-route-tier", "small").provider(FIRST, answer("1")).provider(FIRST, answer("2"))
}

const CACHED: &str = "tiergate/client/app";

#[test]
fn a_client_that_was_verified_in_the_pop_is_served_without_kv() {
    let scenario = without_kv(small().run()).new_sandbox().again_after(Duration::from_secs(290));
    assert_eq!((scenario.status(), scenario.log()["client"].as_str()), (200, Some("app")));
    assert_eq!(scenario.response_header("x-route-reason"), "policy_stale,client_stale");
    assert_eq!(scenario.log()["tags"], json!({"team": "search"}));
    // Only its own key will do, and nobody else's.
    for (key, status, code) in [
        (format!("Bearer {KEY}x"), 401, "invalid_api_key"),
        ("Bearer tg_other_0123456789abcdefghijklmnopqrstuv".to_owned(), 503, "auth_unavailable"),
    ] {
        let scenario = without_kv(small().run()).new_sandbox().header("authorization", &key);
        let scenario = scenario.again_after(Duration::from_secs(1));
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (status, code));
    }
    // Other POPs do not know it, and this one forgets it.
    let elsewhere = small().run();
    let policy = elsewhere.fake.cache.borrow()["tiergate/policy"].clone();
    let elsewhere = without_kv(elsewhere).new_pop();
    elsewhere.fake.cache.borrow_mut().insert("tiergate/policy".to_owned(), policy);
    assert_eq!(elsewhere.again_after(Duration::from_secs(1)).status(), 503);
    let later = without_kv(small().run()).new_sandbox().again_after(Duration::from_secs(301));
    assert_eq!((later.status(), later.error_code().as_str()), (503, "auth_unavailable"));
    // A cache that does not answer is not waited for.
    let scenario = without_kv(small().run());
    scenario.fake.cache_delay.set(Duration::from_secs(60));
    let scenario = scenario.again_after(Duration::from_secs(6));
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (503, "auth_unavailable"));
    assert!(scenario.log()["duration_ms"]["total"].as_f64().unwrap() < 4_000.0);
}

#[test]
fn what_a_cached_entry_says_still_holds() {
    // It expires ten seconds after the tests' clock begins.
    let scenario = small().client(client(json!({"expires": "2026-11-22T12:00:10Z"}))).run();
    assert_eq!(scenario.status(), 200);
    let scenario = without_kv(scenario).new_sandbox().again_after(Duration::from_secs(11));
    assert_eq!((scenario.status(), scenario.log()["refusal"].as_str()), (401, Some("expired")));
}

#[test]
fn what_kv_has_taken_back_is_not_served_from_the_cache_later() {
    let rotated = || {
        let mut entry = client(json!({}));
        entry["keys"] = json!([{"sha256": "0".repeat(64)}]);
        entry.to_string()
    };
    let changes: [(&str, &dyn Fn(Scenario) -> Scenario); 3] = [
        ("unknown_client", &|scenario| {
            scenario.fake.kv.borrow_mut().remove("client/app");
            scenario
        }),
        ("disabled", &|scenario| scenario.client(client(json!({"disabled": true})))),
        ("wrong_key", &|scenario| scenario.kv("client/app", rotated().as_bytes())),
    ];
    for (refusal, change) in changes {
        let scenario = change(small().run()).new_sandbox().again_after(Duration::from_secs(1));
        assert_eq!((scenario.status(), scenario.log()["refusal"].as_str()), (401, Some(refusal)), "at once");
        let scenario = without_kv(scenario).new_sandbox().again_after(Duration::from_secs(2));
        assert_ne!(scenario.status(), 200, "{refusal}");
        assert_eq!(scenario.asked().len(), 1, "{refusal}: only what was before");
    }
    // Somebody else's wrong key takes nothing away.
    let scenario = small().run().new_sandbox().header("authorization", &format!("Bearer {KEY}x"));
    let scenario = scenario.again_after(Duration::from_secs(1)).header("authorization", &format!("Bearer {KEY}"));
    assert_eq!(without_kv(scenario).new_sandbox().again_after(Duration::from_secs(2)).status(), 200);
}

#[test]
fn the_cache_of_clients_costs_a_healthy_request_nothing_before_its_answer() {
    let mut scenario = small().provider(FIRST, answer("3")).provider(FIRST, answer("4")).run();
    let events = scenario.fake.events.borrow().clone();
    let stored = events.iter().position(|event| *event == Event::CacheStored(CACHED.to_owned()));
    assert!(stored > events.iter().position(|event| *event == Event::HeadSent), "{events:?}");
    for (later, writes) in [(1, 0), (10, 0), (60, 1)] {
        scenario = scenario.again_after(Duration::from_secs(later));
        assert_eq!(scenario.count(&Event::CacheStarted(CACHED.to_owned())), 0);
        assert_eq!(scenario.count(&Event::CacheStored(CACHED.to_owned())), writes, "after {later} s");
    }
    // Nothing is kept of a client whose key was not verified.
    let refused = Scenario::new().header("authorization", &format!("Bearer {KEY}x")).run();
    assert!(refused.fake.cache.borrow().keys().all(|key| !key.starts_with("tiergate/client/")));
}

#[test]
fn a_client_that_is_not_there_is_asked_for_once_a_while() {
    let scenario = Scenario::new().header("authorization", "Bearer tg_other_0123456789abcdefghijklmnopqrstuv");
    let asked = |scenario: &Scenario| scenario.count(&Event::KvStarted("client/other".to_owned()));
    let scenario = scenario.run();
    assert_eq!((scenario.status(), asked(&scenario)), (401, 1));
    let scenario = scenario.again_after(Duration::from_secs(1));
    assert_eq!((scenario.status(), asked(&scenario)), (401, 0));
    let scenario = scenario.again_after(Duration::from_secs(5));
    assert_eq!((scenario.status(), asked(&scenario)), (401, 1));
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
    assert_eq!(list(json!({})), ["auto", "small", "large", "claude-auto"]);
    assert_eq!(list(json!({"tiers": ["large"]})), ["auto", "large", "claude-auto"]);
    assert_eq!(list(json!({"tiers": ["gone"]})), [""; 0]);
    assert_eq!(list(json!({"may_pin": true})).len(), 8);
    assert_eq!(list(json!({"may_pin": true, "tiers": ["small"]})), ["auto", "small", "plain", "claude-auto"]);
    let one = Scenario::new().path(Method::GET, "/models/small").run();
    assert_eq!((one.status(), one.json()["object"].as_str()), (200, Some("model")));
    let hidden = Scenario::new().path(Method::GET, "/v1/models/one").run();
    assert_eq!((hidden.status(), hidden.error_code().as_str()), (404, "model_not_found"));
}

#[test]
fn one_list_of_models_serves_both_families() {
    let scenario = Scenario::new().path(Method::GET, "/v1/models").header("anthropic-version", "2023-06-01").run();
    let list = scenario.json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(ids, ["auto", "small", "large", "claude-auto", "claude-small", "claude-large"]);
    assert_eq!((&list["first_id"], &list["last_id"]), (&json!("auto"), &json!("claude-large")));
    let expected = json!({"id": "auto", "object": "model", "created": 0, "owned_by": "tiergate", "type": "model",
        "display_name": "auto", "created_at": "1970-01-01T00:00:00Z", "lifecycle": "active"});
    assert_eq!((&list["data"][0], &list["has_more"]), (&expected, &json!(false)));
    let asked = Scenario::new()
        .ask(json!({"model": "claude-large", "messages": [{"role": "user", "content": "hi"}]}))
        .provider(FIRST, answer("hi"))
        .run();
    assert_eq!(
        (asked.response_header("x-route-tier"), asked.response_header("x-route-source")),
        ("large".into(), "model".into())
    );
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
    assert_eq!(models.json()["data"].as_array().map(Vec::len), Some(3));
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
        ("content-encoding", "zstd", "`zstd`"),
    ] {
        let scenario = Scenario::new().header(name, value).run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (415, "unsupported_content"), "{value}");
        assert!(scenario.text().contains(expected), "{}", scenario.text());
        // Of a 415 only this header tells whether it is about the coding.
        assert_eq!(scenario.response_header("accept-encoding").is_empty(), name == "content-type", "{value}");
        let was_read = scenario.fake.events.borrow().iter().any(|event| matches!(event, Event::BodyRead(_)));
        assert!(scenario.asked().is_empty() && !was_read, "{value}");
        let stranger = Scenario::new().header(name, value).without_header("authorization").run();
        assert_eq!(stranger.status(), 401, "who asks matters first");
    }
    let plain = Scenario::new().header("content-type", "application/json").header("x-route-tier", "small");
    assert_eq!(plain.provider(FIRST, answer("hi")).run().status(), 200);
}
