//! Policy changes, bad policies, and stores that do not answer.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tiergate::memory::Memory;
use tiergate::platform::StoreError;

use crate::scenario::{FIRST, Scenario, answer, client, policy};

fn small() -> Scenario {
    Scenario::new().header("x-route-tier", "small")
}

fn labelled(version: &str) -> serde_json::Value {
    let mut policy = policy();
    policy["version"] = json!(version);
    policy
}

#[test]
fn a_change_holds_after_the_time_to_live() {
    let mut scenario = small();
    for _ in 0..3 {
        scenario = scenario.provider(FIRST, answer("hi"));
    }
    let scenario = scenario.run();
    assert_eq!(scenario.response_header("x-route-policy"), "test.1");
    let scenario = scenario.policy(labelled("test.2")).again_after(Duration::from_secs(4));
    assert_eq!(scenario.response_header("x-route-policy"), "test.1");
    let scenario = scenario.again_after(Duration::from_secs(2));
    assert_eq!(scenario.response_header("x-route-policy"), "test.2");
}

#[test]
fn a_bad_document_leaves_the_last_good_one_in_force() {
    let unknown_model = {
        let mut policy = policy();
        policy["tiers"][0]["candidates"] = json!([{"model": "ghost"}]);
        policy
    };
    let foreign_secret = {
        let mut policy = policy();
        policy["providers"]["first"]["secret"] = json!("second.example");
        policy
    };
    let empty_tier = {
        let mut policy = policy();
        policy["tiers"][0]["candidates"] = json!([]);
        policy
    };
    let unknown_field = {
        let mut policy = policy();
        policy["surprise"] = json!(1);
        policy
    };
    for (document, fault) in [
        (b"not JSON".to_vec(), "$"),
        (unknown_model.to_string().into_bytes(), "$.tiers[0].candidates[0].model"),
        (foreign_secret.to_string().into_bytes(), "$.providers.first.secret"),
        (empty_tier.to_string().into_bytes(), "$.tiers[0].candidates"),
        (unknown_field.to_string().into_bytes(), "$.surprise"),
    ] {
        let mut scenario = small().client(client(json!({"may_inspect": true})));
        for _ in 0..3 {
            scenario = scenario.provider(FIRST, answer("hi"));
        }
        let scenario = scenario.run().kv("policy", &document).again_after(Duration::from_secs(6));
        assert_eq!(scenario.status(), 200, "{fault}");
        assert_eq!(scenario.response_header("x-route-policy"), "test.1", "{fault}");
        assert_eq!(scenario.response_header("x-route-reason"), "policy_stale", "{fault}");

        // A new sandbox knows it from the POP's cache.
        let mut scenario = scenario;
        scenario.memory = Memory::default();
        let scenario = scenario.again_after(Duration::ZERO);
        assert_eq!(scenario.response_header("x-route-policy"), "test.1", "{fault}");

        let scenario = scenario.path(Method::GET, "/healthz").again_after(Duration::ZERO);
        let faults = scenario.json()["policy_faults"].to_string();
        assert!(faults.contains(&format!("{fault}:")), "{fault}: {faults}");
    }
}

#[test]
fn with_no_good_policy_at_all_the_compiled_one_serves() {
    let scenario = Scenario::new().kv("policy", b"{}").path(Method::GET, "/healthz").run();
    assert_eq!(scenario.json()["policy"], tiergate::policy::default_policy().version);
    let scenario = Scenario::new();
    scenario.fake.kv.borrow_mut().remove("policy");
    let scenario = scenario.path(Method::GET, "/healthz").run();
    assert_eq!(scenario.json()["policy"], tiergate::policy::default_policy().version);
    assert_eq!(scenario.response_header("x-route-reason"), "", "no policy is not a stale one");
}

#[test]
fn a_store_that_hangs_is_out_of_reach() {
    let scenario = small();
    scenario.fake.kv_delay.set(Duration::from_secs(60));
    let scenario = scenario.run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (503, "auth_unavailable"));
    assert!(scenario.log()["duration_ms"]["total"].as_f64().unwrap() < 4_000.0);
}

#[test]
fn a_known_client_survives_a_short_outage_of_the_policy() {
    let scenario = small().provider(FIRST, answer("hi")).provider(FIRST, answer("hi")).run();
    scenario.fake.kv.borrow_mut().insert("policy".to_owned(), Err(StoreError));
    let scenario = scenario.again_after(Duration::from_secs(6));
    assert_eq!((scenario.status(), scenario.response_header("x-route-reason").as_str()), (200, "policy_stale"));
    assert_eq!(scenario.response_header("x-route-policy"), "test.1");
}

#[test]
fn health_shows_faults_only_to_those_who_may_see_them() {
    let health = |scenario: Scenario| scenario.kv("policy", b"{}").path(Method::GET, "/healthz").run();
    let open = health(Scenario::new().without_header("authorization"));
    assert_eq!(open.status(), 200);
    assert!(open.json().get("policy_faults").is_none());
    assert!(health(Scenario::new()).json().get("policy_faults").is_none());
    let inspector = health(Scenario::new().client(client(json!({"may_inspect": true}))));
    assert!(inspector.json()["policy_faults"].as_array().is_some_and(|faults| !faults.is_empty()));
}

#[test]
fn a_refused_key_at_healthz_is_logged_and_changes_nothing() {
    let health = |scenario: Scenario| {
        let scenario = scenario.path(Method::GET, "/healthz").run();
        assert_eq!(scenario.status(), 200);
        scenario.log()["refusal"].as_str().map(str::to_owned)
    };
    let wrong = format!("Bearer {}x", crate::scenario::KEY);
    assert_eq!(health(Scenario::new().header("authorization", &wrong)).as_deref(), Some("wrong_key"));
    assert_eq!(health(Scenario::new().header("authorization", "Bearer sk-x")).as_deref(), Some("malformed_key"));
    assert_eq!(health(Scenario::new().without_header("authorization")), None, "none is asked for");
    assert_eq!(health(Scenario::new()), None);
}

#[test]
fn warnings_are_shown_to_those_who_may_see_them() {
    let mut open = policy();
    open["auth"] = json!("optional");
    let health = |entry: serde_json::Value| {
        Scenario::new().policy(open.clone()).client(client(entry)).path(Method::GET, "/healthz").run().json()
    };
    assert!(health(json!({})).get("policy_warnings").is_none());
    let warnings = health(json!({"may_inspect": true}))["policy_warnings"].clone();
    assert!(warnings[0].as_str().is_some_and(|warning| warning.starts_with("$.auth: ")), "{warnings}");
}
