//! How often the Secret Store is read: the platform allows five reads, and may count them over a sandbox's life.

use std::time::Duration;

use serde_json::{Value, json};
use tiergate::policy::parse::parse;
use tiergate::upstream::keyring::{Keyring, Layout, StoreUse};

use crate::scenario::{CLASSIFIER, FIRST, SECOND, Scenario, answer, json_reply, policy, secret_of, verdict};

const LATER: Duration = Duration::from_millis(1);

/// An entry for all places of the test policy.
fn places() -> String {
    let place = |host: &&str| (format!("https://{host}"), Value::from(secret_of(host)));
    Value::Object([CLASSIFIER, FIRST, SECOND].iter().map(place).collect()).to_string()
}

/// The tier `large` with a provider at each of these hosts.
fn with_hosts(count: usize) -> Value {
    let mut policy = policy();
    policy["tiers"][1]["candidates"] = (0..count).map(|number| json!({"model": format!("m{number}")})).collect();
    for number in 0..count {
        let mut model = policy["models"]["one"].clone();
        model["provider"] = format!("p{number}").into();
        policy["models"][format!("m{number}")] = model;
        policy["providers"][format!("p{number}")] =
            json!({"base_url": format!("https://h{number}.example/v1"), "dialect": "openai-chat"});
    }
    policy
}

#[test]
fn one_read_serves_a_request_if_one_entry_has_all_places() {
    let busy = || json_reply(500, json!({"error": {"message": "busy"}}));
    let mut scenario = Scenario::new().secret("tiergate", &places());
    for request in 1..=5 {
        assert!(scenario.memory.has_room(0, Duration::ZERO), "request {request} should have room");
        scenario =
            scenario.provider(CLASSIFIER, verdict("large", 0.9)).provider(FIRST, busy()).provider(SECOND, answer("hi"));
        // Its cool-down is over by then.
        scenario = scenario.again_after(Duration::from_secs(200));
        assert_eq!(scenario.status(), 200, "{}", scenario.text());
        assert_eq!(*scenario.fake.secret_reads.borrow(), ["tiergate"], "request {request}");
    }
    assert_eq!(scenario.memory.secret_store.get(), StoreUse { reads: 5, layout: Some(Layout::Places) });
    assert!(!scenario.memory.has_room(0, Duration::ZERO), "a sixth request could need a sixth read");
}

#[test]
fn nothing_is_read_twice_in_a_request() {
    let busy = || json_reply(503, json!({"error": {"message": "busy"}}));
    let mut retrying = policy();
    retrying["tiers"][1]["retries"] = json!(2);
    // The classifier's provider serves too.
    retrying["models"]["two"]["provider"] = json!("classifier");
    let mut scenario = Scenario::new().policy(retrying).provider(CLASSIFIER, verdict("large", 0.9));
    for _ in 0..3 {
        scenario = scenario.provider(FIRST, busy());
    }
    let scenario = scenario.provider(CLASSIFIER, answer("hi")).run();
    assert_eq!(scenario.asked(), [CLASSIFIER, FIRST, FIRST, FIRST, CLASSIFIER]);
    assert_eq!(*scenario.fake.secret_reads.borrow(), ["tiergate", CLASSIFIER, FIRST]);
}

#[test]
fn a_sandbox_remembers_that_each_host_has_an_entry_but_no_key() {
    let single = || {
        let mut policy = policy();
        policy["classifier"] = Value::Null;
        policy.as_object_mut().unwrap().remove("classifier");
        policy["models"].as_object_mut().unwrap().remove("judge");
        policy["models"]["two"]["provider"] = json!("first");
        policy["providers"] = json!({"first": policy["providers"]["first"]});
        policy
    };
    let mut scenario = Scenario::new().policy(single()).header("x-route-tier", "large");
    for expected in [&["tiergate", FIRST][..], &[FIRST], &[FIRST], &[FIRST]] {
        assert!(scenario.memory.has_room(0, Duration::ZERO));
        scenario = scenario.provider(FIRST, answer("hi")).again_after(LATER);
        assert_eq!(*scenario.fake.secret_reads.borrow(), expected);
    }
    assert!(!scenario.memory.has_room(0, Duration::ZERO));

    // With three hosts a request may need three reads, so a second request has no room after one with three.
    let several = Scenario::new().provider(CLASSIFIER, verdict("large", 0.9)).provider(FIRST, answer("hi")).run();
    assert_eq!(*several.fake.secret_reads.borrow(), ["tiergate", CLASSIFIER, FIRST]);
    assert!(!several.memory.has_room(0, Duration::ZERO));
    let pinned = Scenario::new().header("x-route-tier", "large").provider(FIRST, answer("hi")).run();
    assert_eq!(pinned.memory.secret_store.get().reads, 2);
    assert!(pinned.memory.has_room(0, Duration::ZERO), "two and three are five");
}

#[test]
fn a_candidate_that_would_need_a_sixth_read_is_passed_over() {
    let busy = || json_reply(500, json!({"error": {"message": "busy"}}));
    let mut scenario = Scenario::new().policy(with_hosts(6)).header("x-route-tier", "large");
    for number in 0..6 {
        let host = format!("h{number}.example");
        scenario = scenario.secret(&host, "key").provider(&host, busy());
    }
    let scenario = scenario.run();
    let expected = "p0/m0:500,p1/m1:500,p2/m2:500,p3/m3:500,p4/m4:secret_limit,p5/m5:secret_limit";
    assert_eq!(scenario.response_header("x-route-attempts"), expected);
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (502, "provider_error"), "the last that was asked");
    assert_eq!(scenario.fake.secret_reads.borrow().len(), 5);

    let spent = Scenario::new().header("x-route-tier", "large");
    // As if the policy had grown since the sandbox took this request.
    let reads =
        |memory: &tiergate::admit::memory::Memory, layout| memory.secret_store.set(StoreUse { reads: 4, layout });
    reads(&spent.memory, Some(Layout::Places));
    let spent = spent.secret("tiergate", &places()).provider(FIRST, answer("hi")).run();
    assert_eq!((spent.status(), spent.memory.secret_store.get().reads), (200, 5));
}

#[test]
fn a_store_out_of_reach_is_asked_once() {
    let scenario = Scenario::new();
    scenario.fake.no_secret_store.set(true);
    let scenario = scenario.run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (503, "no_secret"));
    assert_eq!(*scenario.fake.secret_reads.borrow(), ["tiergate"]);
    assert_eq!(scenario.memory.secret_store.get(), StoreUse { reads: 1, layout: None });
}

#[test]
fn requests_that_ask_no_provider_read_nothing() {
    for path in ["/v1/models", "/healthz", "/v1/elsewhere"] {
        let scenario = Scenario::new().path(http::Method::GET, path).run();
        assert_eq!(scenario.memory.secret_store.get(), StoreUse::default(), "{path}");
    }
    let decision = Scenario::new().path(http::Method::POST, "/v1/route?classify=false").run();
    assert_eq!((decision.status(), decision.memory.secret_store.get().reads), (200, 0));
}

#[test]
fn all_keys_that_were_read_can_be_masked() {
    let policy = parse(policy().to_string().as_bytes()).expect("a valid policy");
    let read = |scenario: &Scenario| {
        let keyring = Keyring::new(&scenario.fake, StoreUse::default());
        for provider in policy.providers.iter().filter(|provider| provider.name != "classifier") {
            keyring.permit(provider, "/chat/completions").expect("it should have an entry");
        }
        let mut keys: Vec<String> = keyring.secrets().iter().map(|key| key.expose().clone()).collect();
        keys.sort();
        keys
    };
    assert_eq!(read(&Scenario::new()), [secret_of(FIRST), secret_of(SECOND)]);
    let all = [secret_of(CLASSIFIER), secret_of(FIRST), secret_of(SECOND)];
    assert_eq!(read(&Scenario::new().secret("tiergate", &places())), all);
}
