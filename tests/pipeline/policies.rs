//! Policy changes, bad policies, and stores that do not answer.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tiergate::admit::in_force::{CACHE_KEY, LAST_GOOD_KEY};
use tiergate::platform::ReadError;

use crate::fake::{Chunk, Event};
use crate::scenario::{FIRST, Scenario, answer, client, policy};

const SECOND_LONG: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// What happens to a scenario before its next request.
type Change = fn(Scenario) -> Scenario;

/// Longer than a policy may be used without asking again.
const LATER: Duration = Duration::from_secs(6);

fn small() -> Scenario {
    Scenario::new().header("x-route-tier", "small")
}

/// A scenario that looks at the policy only, which asks no provider.
fn health() -> Scenario {
    Scenario::new().path(Method::GET, "/healthz")
}

fn labelled(version: &str) -> Value {
    let mut policy = policy();
    policy["version"] = json!(version);
    policy
}

fn without_policy(scenario: Scenario) -> Scenario {
    scenario.fake.kv.borrow_mut().remove("policy");
    scenario
}

fn without_last_good(scenario: Scenario) -> Scenario {
    scenario.fake.kv.borrow_mut().remove(LAST_GOOD_KEY);
    scenario
}

fn last_good(scenario: &Scenario) -> Option<Value> {
    scenario.fake.stored(LAST_GOOD_KEY).map(|document| serde_json::from_slice(&document).expect("JSON"))
}

#[test]
fn a_change_holds_after_the_time_to_live() {
    let mut scenario = small();
    for _ in 0..3 {
        scenario = scenario.provider(FIRST, answer("hi"));
    }
    let scenario = scenario.run();
    assert_eq!(scenario.version(), "test.1");
    let scenario = scenario.policy(labelled("test.2")).again_after(Duration::from_secs(4));
    assert_eq!(scenario.version(), "test.1");
    let scenario = scenario.again_after(Duration::from_secs(2));
    assert_eq!(scenario.version(), "test.2");
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
        assert_eq!(scenario.version(), "test.1", "{fault}");
        assert_eq!(scenario.response_header("x-route-reason"), "policy_stale", "{fault}");

        // A new sandbox knows it from the POP's cache.
        let scenario = scenario.new_sandbox().again_after(Duration::ZERO);
        assert_eq!(scenario.version(), "test.1", "{fault}");

        // A new POP knows it from KV, where the bad one has not taken its place.
        let scenario = scenario.new_pop().provider(FIRST, answer("hi")).again_after(Duration::ZERO);
        assert_eq!(scenario.version(), "test.1", "{fault}");
        assert_eq!(scenario.fake.stored(LAST_GOOD_KEY), Some(policy().to_string().into_bytes()), "{fault}");

        let scenario = scenario.path(Method::GET, "/healthz").again_after(Duration::ZERO);
        let faults = scenario.json()["policy_faults"].to_string();
        assert!(faults.contains(&format!("{fault}:")), "{fault}: {faults}");
    }
}

#[test]
fn the_label_tells_documents_apart() {
    let document = policy().to_string();
    let digest: String = Sha256::digest(&document).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let label = format!("test.1@{digest}");
    let scenario = small().provider(FIRST, answer("hi")).run();
    assert_eq!(scenario.response_header("x-route-policy"), label);
    assert_eq!(scenario.log()["policy"], label);
    let scenario = scenario.path(Method::POST, "/v1/route").again_after(SECOND_LONG);
    assert_eq!(scenario.json()["policy"], label);
    let scenario = scenario.path(Method::GET, "/healthz").again_after(SECOND_LONG);
    assert_eq!(scenario.json()["policy"], label);
    // The POP's copy says the same to another sandbox, and a document that differs in a space has another label.
    let scenario = scenario.new_sandbox().again_after(SECOND_LONG);
    assert_eq!(scenario.json()["policy"], label);
    let scenario = scenario.kv("policy", format!("{document} ").as_bytes()).again_after(LATER);
    assert!(scenario.version() == "test.1" && scenario.response_header("x-route-policy") != label);
}

#[test]
fn without_a_policy_nobody_is_served() {
    let cases: [(&str, Change); 4] = [
        ("no policy", without_policy),
        ("a faulty one", |scenario| scenario.kv("policy", b"{}")),
        ("a store out of reach", |scenario| scenario.unreachable(&["policy", LAST_GOOD_KEY, "client/app"])),
        ("copies that are faulty", |scenario| {
            let mut foreign = policy();
            foreign["providers"]["first"]["secret"] = json!("second.example");
            let copy = format!(
                "{{\"format\":1,\"digest\":\"0\",\"generation\":9,\"confirmed_ms\":0,\"seen_ms\":1795348800000,\"kept\":true}}\n{foreign}"
            );
            let end = Duration::from_secs(u32::MAX.into());
            scenario.fake.cache.borrow_mut().insert(CACHE_KEY.to_owned(), (copy.into_bytes(), end));
            without_policy(scenario).kv(LAST_GOOD_KEY, foreign.to_string().as_bytes())
        }),
    ];
    for (name, change) in cases {
        for (method, path) in [
            (Method::POST, "/v1/chat/completions"),
            (Method::POST, "/v1/route"),
            (Method::GET, "/v1/models"),
            (Method::GET, "/v1/models/small"),
            (Method::OPTIONS, "/v1/chat/completions"),
        ] {
            let scenario = change(Scenario::new()).path(method, path).header("origin", "https://app.example").run();
            assert_eq!(
                (scenario.status(), scenario.error_code().as_str()),
                (503, "policy_unavailable"),
                "{name}: {path}"
            );
            let message = scenario.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains("fastly kv-store-entry create --store-id ID --key policy --value"), "{message}");
            assert_eq!(scenario.response_header("retry-after"), "5", "{name}: {path}");
            assert_eq!(scenario.response_header("x-should-retry"), "true", "{name}: {path}");
            assert_eq!(scenario.response_header("x-route-policy"), "", "{name}: {path}");
            assert_eq!(scenario.response_header("access-control-allow-origin"), "", "{name}: {path}");
            assert_eq!(scenario.log()["error.type"], "policy_unavailable", "{name}: {path}");
            assert!(scenario.asked().is_empty(), "{name}: {path}");
        }
        let health = change(health().client(client(json!({"may_inspect": true})))).run();
        assert_eq!(health.status(), 503, "{name}");
        assert_eq!((&health.json()["status"], &health.json()["policy"]), (&json!("no_policy"), &json!(null)), "{name}");
        if name != "a store out of reach" {
            assert_eq!(health.json()["policy_origin"], "none", "{name}");
            assert!(health.json()["policy_faults"].as_array().is_some_and(|faults| !faults.is_empty()), "{name}");
        }
        for (method, path, status) in [(Method::GET, "/v2", 404), (Method::GET, "/v1/chat/completions", 405)] {
            assert_eq!(change(Scenario::new()).path(method, path).run().status(), status, "{name}: {path}");
        }
    }
    // Once there is one, the sandbox that had none serves.
    let scenario = without_policy(small()).run().policy(policy()).provider(FIRST, answer("hi"));
    assert_eq!(scenario.again_after(Duration::ZERO).status(), 200);
}

#[test]
fn the_last_good_document_is_written_once_and_after_the_answer() {
    let scenario = small().provider(FIRST, answer("hi")).run();
    let events = scenario.fake.events.borrow().clone();
    let position = |event: Event| events.iter().position(|other| *other == event).expect("it should happen");
    assert!(position(Event::HeadSent) < position(Event::KvWritten(LAST_GOOD_KEY.to_owned())));
    assert!(position(Event::Logged) < position(Event::KvStarted(LAST_GOOD_KEY.to_owned())));
    assert_eq!(last_good(&scenario), Some(policy()));

    let mut scenario = scenario.path(Method::GET, "/healthz");
    for _ in 0..20 {
        scenario = scenario.new_sandbox().again_after(Duration::from_secs(20));
        for key in ["policy", LAST_GOOD_KEY] {
            assert_eq!(scenario.count(&Event::KvWritten(key.to_owned())), 0, "{key}");
        }
        assert_eq!(scenario.count(&Event::KvStarted(LAST_GOOD_KEY.to_owned())), 0);
        assert_eq!(scenario.count(&Event::CacheStored(CACHE_KEY.to_owned())), 0, "nothing is written per request");
    }
    // Ten minutes on, the POP's copy is renewed and the last good one looked at, not written.
    let scenario = scenario.new_sandbox().again_after(5 * MINUTE);
    assert_eq!(scenario.count(&Event::CacheStored(CACHE_KEY.to_owned())), 2);
    assert_eq!(scenario.count(&Event::KvStarted(LAST_GOOD_KEY.to_owned())), 1);
    assert_eq!(scenario.count(&Event::KvWritten(LAST_GOOD_KEY.to_owned())), 0);

    // In another POP too it is there already; a new document is written by the first that reads it.
    let scenario = scenario.new_pop().again_after(SECOND_LONG);
    assert_eq!(scenario.count(&Event::KvWritten(LAST_GOOD_KEY.to_owned())), 0);
    let scenario = scenario.policy(labelled("test.2")).new_pop().again_after(SECOND_LONG);
    assert_eq!(scenario.count(&Event::KvWritten(LAST_GOOD_KEY.to_owned())), 1);
    assert_eq!(last_good(&scenario), Some(labelled("test.2")));
}

#[test]
fn a_store_that_takes_no_writes_costs_no_answer() {
    let scenario = health();
    scenario.fake.kv_is_read_only.set(true);
    let scenario = scenario.run();
    assert_eq!((scenario.status(), last_good(&scenario)), (200, None));
    let scenario = scenario.new_sandbox().again_after(SECOND_LONG);
    assert_eq!(scenario.count(&Event::KvStarted(LAST_GOOD_KEY.to_owned())), 0, "one request in ten seconds tries");
    scenario.fake.kv_is_read_only.set(false);
    let scenario = scenario.new_sandbox().again_after(Duration::from_secs(10));
    assert_eq!(last_good(&scenario), Some(policy()));
}

#[test]
fn whatever_happens_to_the_policy_the_last_good_one_goes_on() {
    let happenings: [(&str, Change); 4] = [
        ("deleted", without_policy),
        ("faulty", |scenario| scenario.kv("policy", b"{}")),
        ("huge", |scenario| scenario.kv("policy", &vec![b' '; 2 << 20])),
        ("out of reach", |scenario| scenario.unreachable(&["policy"])),
    ];
    let sandboxes: [(&str, Change); 3] = [
        ("the same sandbox", |scenario| scenario),
        ("a new sandbox", Scenario::new_sandbox),
        ("a new POP", Scenario::new_pop),
    ];
    for (what, happen) in happenings {
        for (which, sandbox) in sandboxes {
            let scenario =
                small().provider(FIRST, answer("1")).provider(FIRST, answer("2")).provider(FIRST, answer("3"));
            let scenario = sandbox(happen(scenario.run())).again_after(LATER);
            assert_eq!((scenario.status(), scenario.version().as_str()), (200, "test.1"), "{what}, {which}");
            assert_eq!(scenario.response_header("x-route-reason"), "policy_stale", "{what}, {which}");
            assert_eq!(last_good(&scenario), Some(policy()), "{what}, {which}");
            // Once it is there again, so it is said.
            let scenario = scenario.policy(labelled("test.2")).again_after(LATER);
            assert_eq!(
                (scenario.version().as_str(), scenario.response_header("x-route-reason").as_str()),
                ("test.2", "")
            );
        }
    }
}

/// A policy that was rolled back comes back nowhere, whichever sandbox saw what.
#[test]
fn a_policy_that_was_rolled_back_stays_away() {
    let scenario = health().policy(labelled("old")).run();
    let old = |memory: &mut Scenario| std::mem::take(&mut memory.memory);
    let mut scenario = scenario.policy(labelled("idea")).again_after(LATER);
    assert_eq!(scenario.version(), "idea");
    let knows_the_idea = old(&mut scenario);
    let mut scenario = scenario.policy(labelled("old")).again_after(LATER);
    assert_eq!((scenario.version(), last_good(&scenario)), ("old".to_owned(), Some(labelled("old"))));
    let knows_the_old = old(&mut scenario);

    let mut scenario = without_policy(scenario).again_after(LATER);
    assert_eq!(scenario.version(), "old", "a new sandbox");
    scenario = scenario.kv("policy", b"{}");
    scenario.memory = knows_the_idea;
    let mut scenario = scenario.again_after(LATER);
    assert_eq!(scenario.version(), "old", "a sandbox that knew the idea only");
    scenario.memory = knows_the_old;
    let scenario = scenario.again_after(LATER);
    assert_eq!(scenario.version(), "old", "a sandbox that knew the old one");
    let scenario = scenario.new_pop().again_after(LATER);
    assert_eq!(scenario.version(), "old", "another POP");
    let scenario = scenario.again_after(3 * 60 * MINUTE);
    assert_eq!(
        (scenario.version().as_str(), scenario.response_header("x-route-reason").as_str()),
        ("old", "policy_stale")
    );
}

/// KV is eventually consistent: a reading may show what was there before.
#[test]
fn an_older_reading_takes_no_newer_copys_place() {
    let older = |scenario: Scenario| {
        scenario.fake.kv.borrow_mut().insert("policy".to_owned(), Ok(labelled("old").to_string().into_bytes()));
        scenario.fake.kv_facts.borrow_mut().insert("policy".to_owned(), (0, None));
        scenario
    };
    let scenario = health().policy(labelled("new")).run();
    let scenario = older(scenario).new_sandbox().again_after(SECOND_LONG);
    assert_eq!((scenario.version(), last_good(&scenario)), ("old".to_owned(), Some(labelled("new"))));
    let scenario = without_policy(scenario).new_sandbox().again_after(SECOND_LONG);
    assert_eq!(scenario.version(), "new", "the POP's copy is still the newer one");
    // In a POP without a copy too: what the other one has kept is newer.
    let scenario = older(scenario).new_pop().again_after(SECOND_LONG);
    assert_eq!((scenario.version(), last_good(&scenario)), ("old".to_owned(), Some(labelled("new"))));
    let scenario = without_policy(scenario).new_pop().again_after(SECOND_LONG);
    assert_eq!(scenario.version(), "new");
    // What is still there after a minute is no old reading, whatever its number says.
    let scenario = older(scenario).new_sandbox().again_after(2 * MINUTE);
    assert_eq!((scenario.version(), last_good(&scenario)), ("old".to_owned(), Some(labelled("old"))));
}

#[test]
fn what_another_pop_has_seen_counts_within_a_minute() {
    let scenario = health().policy(labelled("old")).run();
    let here = scenario.fake.cache.borrow().clone();
    let scenario = scenario.policy(labelled("new")).new_pop().again_after(SECOND_LONG);
    assert_eq!(last_good(&scenario), Some(labelled("new")));
    *scenario.fake.cache.borrow_mut() = here;
    let scenario = scenario.kv("policy", b"{}").new_sandbox().again_after(SECOND_LONG);
    assert_eq!(scenario.version(), "old", "this POP has not seen the new one");
    let scenario = scenario.new_sandbox().again_after(MINUTE);
    assert_eq!(scenario.version(), "new");
    let scenario = scenario.new_sandbox().again_after(SECOND_LONG);
    assert_eq!(
        (scenario.version(), scenario.count(&Event::KvStarted(LAST_GOOD_KEY.to_owned()))),
        ("new".to_owned(), 0)
    );
}

#[test]
fn a_copy_ends_an_hour_after_kv_held_it() {
    let scenario = health().run().unreachable(&["policy", LAST_GOOD_KEY, "client/app"]);
    let scenario = scenario.new_sandbox().again_after(59 * MINUTE);
    assert_eq!((scenario.status(), scenario.response_header("x-route-reason").as_str()), (200, "policy_stale"));
    let scenario = scenario.again_after(2 * MINUTE);
    assert_eq!(scenario.status(), 503, "the sandbox's own copy ends too");
    assert_eq!(scenario.new_sandbox().again_after(MINUTE).status(), 503);
    // As long as KV itself holds a good one, that goes on.
    let scenario = without_policy(health().run()).new_sandbox().again_after(24 * 60 * MINUTE);
    assert_eq!((scenario.status(), scenario.response_header("x-route-reason").as_str()), (200, "policy_stale"));
    assert_eq!(without_last_good(scenario).new_sandbox().again_after(61 * MINUTE).status(), 503);
}

#[test]
fn one_that_was_put_by_hand_is_used_and_replaced() {
    let scenario = without_policy(health()).kv(LAST_GOOD_KEY, labelled("by-hand").to_string().as_bytes()).run();
    assert_eq!(
        (scenario.version().as_str(), scenario.response_header("x-route-reason").as_str()),
        ("by-hand", "policy_stale")
    );
    let scenario = scenario.policy(labelled("next")).again_after(LATER);
    assert_eq!(last_good(&scenario), Some(labelled("next")));
    // One that claims to be of the future is not the newest for ever.
    scenario.fake.put(LAST_GOOD_KEY, labelled("by-hand").to_string().as_bytes());
    let facts = json!({"format": 1, "digest": "", "generation": u64::MAX, "confirmed_ms": u64::MAX, "seen_ms": 0, "kept": true});
    let generation = scenario.fake.kv_facts.borrow()[LAST_GOOD_KEY].0;
    scenario.fake.kv_facts.borrow_mut().insert(LAST_GOOD_KEY.to_owned(), (generation, Some(facts.to_string())));
    let scenario = scenario.policy(labelled("after")).again_after(LATER);
    assert_eq!(last_good(&scenario), Some(labelled("after")));
}

#[test]
fn a_store_that_hangs_is_out_of_reach_whatever_the_body_does() {
    let trickle = |bytes| Chunk { delay: SECOND_LONG, bytes };
    let ends: [(&str, Vec<Chunk>); 2] = [
        ("a whole body", vec![trickle(Ok(b"{}".to_vec()))]),
        ("one that trickles", (0..30).map(|_| trickle(Ok(b" ".to_vec()))).chain([trickle(Err(ReadError))]).collect()),
    ];
    for (name, body) in ends {
        let scenario = small().body_parts(body.clone());
        scenario.fake.kv_delay.set(MINUTE);
        let scenario = scenario.run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (503, "policy_unavailable"), "{name}");
        assert!(scenario.log()["duration_ms"]["total"].as_f64().unwrap() < 4_000.0, "{name}");

        let known = health().run().path(Method::POST, "/v1/chat/completions").body_parts(body);
        known.fake.kv_delay.set(MINUTE);
        known.fake.cache.borrow_mut().retain(|key, _| key == CACHE_KEY);
        let known = known.new_sandbox().again_after(SECOND_LONG);
        assert_eq!((known.status(), known.error_code().as_str()), (503, "auth_unavailable"), "{name}");
        assert!(known.log()["duration_ms"]["total"].as_f64().unwrap() < 4_000.0, "{name}");
    }
}

#[test]
fn health_shows_faults_only_to_those_who_may_see_them() {
    let health =
        |scenario: Scenario| scenario.path(Method::GET, "/healthz").run().kv("policy", b"{}").again_after(LATER);
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
    let health = |entry: Value| {
        Scenario::new().policy(open.clone()).client(client(entry)).path(Method::GET, "/healthz").run().json()
    };
    assert!(health(json!({})).get("policy_warnings").is_none());
    let warnings = health(json!({"may_inspect": true}))["policy_warnings"].clone();
    assert!(warnings[0].as_str().is_some_and(|warning| warning.starts_with("$.auth: ")), "{warnings}");
}
