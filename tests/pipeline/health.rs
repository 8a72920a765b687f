//! What a POP keeps of its providers' health, where, and when it is read; the rules themselves are tested beside them.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tiergate::platform::Platform;
use tiergate::policy::{Breaker, HealthSettings, parse};
use tiergate::pop::breaker::{self, Allowance};
use tiergate::pop::health::{self, Cooling, Extent, Found, Setback, Stage, Standing, Success};
use tiergate::pop::index;

use crate::fake::{Event, Fake, Reply};
use crate::scenario::{CLASSIFIER, FIRST, SECOND, Scenario, answer, client, json_reply, policy, stream, verdict};

const ONE: &str = "first/one";
const INDEX: &str = "tiergate/health";
const STATE: &str = "tiergate/health/first/one";
const OTHER_STATE: &str = "tiergate/health/second/two";
const BREAKER: &str = "tiergate/health/classifier";
const HEDGES: &str = "tiergate/hedges";

const SETTINGS: HealthSettings = HealthSettings {
    failures: 1,
    cooldown: Duration::from_secs(5),
    max_cooldown: Duration::from_secs(60),
    auth_cooldown: Duration::from_secs(300),
    hedge_share: 0.05,
};

fn with_health(settings: Value) -> Scenario {
    let mut policy = policy();
    policy["health"] = settings;
    Scenario::new().policy(policy).header("x-route-tier", "large")
}

fn large() -> Scenario {
    Scenario::new().header("x-route-tier", "large")
}

fn busy() -> Reply {
    json_reply(503, json!({"error": {"message": "busy"}}))
}

/// The keys that were read of the POP's cache, but for the policy's copy.
fn reads(scenario: &Scenario) -> Vec<String> {
    let key = |event: &Event| match event {
        Event::CacheStarted(key) if key != "tiergate/policy" => Some(key.clone()),
        _ => None,
    };
    scenario.fake.events.borrow().iter().filter_map(key).collect()
}

/// The keys that were written that are about providers, each once.
fn writes(scenario: &Scenario) -> Vec<String> {
    let key = |event: &Event| match event {
        Event::CacheStored(key) if key.starts_with(INDEX) || key == HEDGES => Some(key.clone()),
        _ => None,
    };
    let mut keys: Vec<String> = scenario.fake.events.borrow().iter().filter_map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn second(scenario: Scenario, later: Duration) -> Scenario {
    scenario.provider(SECOND, answer("hi")).new_sandbox().again_after(later)
}

/// An attempt that fails as soon as it is made.
fn setback(fake: &Fake, cooling: Cooling) -> Setback {
    let now = fake.unix_time();
    Setback { cooling, began: now, at: now, stage: Stage::BeforeBegin }
}

fn found(fake: &Fake) -> Found {
    let index = index::read(fake).expect("a cache");
    health::look_up(fake, index, &[ONE.to_owned()])[0]
}

/// Whether there is anything that a success would end.
fn has_row(fake: &Fake) -> bool {
    found(fake).inspect(fake.unix_time()).is_some()
}

fn whole(fake: &Fake) -> Success {
    Success { began: fake.unix_time(), extent: Extent::Whole }
}

#[test]
fn a_healthy_request_costs_one_look_up() {
    let scenario = large().provider(FIRST, answer("hi")).run();
    assert_eq!(reads(&scenario), [INDEX]);
    assert_eq!(writes(&scenario), [""; 0]);
    let scenario = scenario.provider(FIRST, answer("hi")).again_after(Duration::from_millis(900));
    assert_eq!(reads(&scenario), [""; 0], "the sandbox knows it for a second");
    let scenario = scenario.provider(FIRST, answer("hi")).again_after(Duration::from_millis(100));
    assert_eq!(reads(&scenario), [INDEX]);
    let classified = Scenario::new().provider(CLASSIFIER, verdict("large", 0.9)).provider(FIRST, answer("hi")).run();
    assert_eq!(reads(&classified), [INDEX], "nor is the breaker read");
}

#[test]
fn where_anything_has_a_state_the_candidates_of_the_plan_are_read_together() {
    let scenario = large().provider(FIRST, busy()).provider(SECOND, answer("hi")).run();
    assert_eq!(writes(&scenario), [INDEX, STATE]);
    scenario.fake.cache_delay.set(Duration::from_millis(100));
    let scenario = second(scenario, Duration::from_secs(1));
    assert_eq!(reads(&scenario), [INDEX, STATE, OTHER_STATE]);
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");
    let sent = scenario.fake.sent.borrow().last().map(|sent| sent.at);
    assert_eq!(sent, Some(Duration::from_millis(200)), "one wait for the look-ups, one for both candidates");
    assert_eq!(writes(&scenario), [""; 0], "the second one had nothing to end");

    // With the classifier, its breaker, and the guessed plan's candidates while it is asked; the same plan is not read twice.
    let scenario = scenario.without_header("x-route-tier").provider(CLASSIFIER, verdict("large", 0.9));
    let scenario = second(scenario, Duration::from_secs(1));
    assert_eq!(reads(&scenario), [INDEX, BREAKER, STATE, OTHER_STATE]);
}

#[test]
fn what_cannot_be_read_counts_as_healthy_and_is_not_written_back() {
    let cooling = || large().provider(FIRST, busy()).provider(SECOND, answer("hi")).run();
    for unreadable in [STATE, INDEX] {
        let scenario = cooling();
        let before = scenario.fake.cache.borrow().get(unreadable).cloned();
        scenario.fake.unreadable.borrow_mut().push(unreadable.to_owned());
        let scenario = scenario.provider(FIRST, busy());
        let scenario = second(scenario, Duration::from_secs(1));
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:503,second/two:200", "{unreadable}");
        assert_eq!(scenario.fake.cache.borrow().get(unreadable).cloned(), before, "{unreadable}");
        scenario.fake.unreadable.take();
        let scenario = second(scenario, Duration::from_secs(1));
        assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200", "{unreadable}: it still cools");
    }
    let scenario = cooling();
    scenario.fake.cache_delay.set(Duration::from_millis(300));
    let scenario = scenario.provider(FIRST, answer("hi")).new_sandbox().again_after(Duration::from_secs(1));
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:200", "what comes late is not waited for");
    assert_eq!(writes(&scenario), [""; 0]);
}

#[test]
fn hedges_and_the_breaker_that_cannot_be_read_are_left_as_they_are() {
    let mut hedging = policy();
    hedging["tiers"][1]["hedge_after_ms"] = json!(500);
    let hi = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    let ask = json!({"stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let scenario = large().policy(hedging).ask(ask).provider(FIRST, stream(vec![hi, "data: [DONE]\n\n"])).run();
    assert_eq!(writes(&scenario), [HEDGES], "counting a request rewrites nobody's health");
    scenario.fake.unreadable.borrow_mut().push(HEDGES.to_owned());
    let slow = stream(vec![hi, "data: [DONE]\n\n"]).after(1_000);
    let scenario = scenario.provider(FIRST, slow).again_after(Duration::from_secs(1));
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:200", "nor is there a hedge");
    assert_eq!(writes(&scenario), [""; 0]);

    let failing = || Scenario::new().provider(CLASSIFIER, busy()).provider(FIRST, answer("hi"));
    let scenario = failing().run();
    assert_eq!(writes(&scenario), [INDEX, BREAKER]);
    scenario.fake.unreadable.borrow_mut().push(BREAKER.to_owned());
    let scenario = scenario.provider(CLASSIFIER, verdict("large", 0.9)).provider(FIRST, answer("hi"));
    let scenario = scenario.again_after(Duration::from_secs(1));
    assert_eq!((scenario.response_header("x-route-source").as_str(), writes(&scenario)), ("classifier", vec![]));
}

#[test]
fn an_auth_cooldown_of_hours_holds() {
    let refused = || json_reply(401, json!({}));
    let mut scenario = with_health(json!({"auth_cooldown_s": 7200})).provider(FIRST, refused());
    scenario = scenario.provider(SECOND, answer("hi")).run();
    for later in [3_600, 3_590] {
        scenario = second(scenario, Duration::from_secs(later));
        assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");
    }
    scenario = second(scenario.provider(FIRST, refused()), Duration::from_secs(20));
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:401,second/two:200", "the probe");
    scenario = second(scenario, Duration::from_secs(7_190));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");
}

#[test]
fn three_failures_in_a_row_are_a_cooldown() {
    let failing = |scenario: Scenario| second(scenario.provider(FIRST, busy()), Duration::from_millis(500));
    let serving = |scenario: Scenario| {
        scenario.provider(FIRST, answer("hi")).new_sandbox().again_after(Duration::from_millis(500))
    };
    let scenario = with_health(json!({})).provider(FIRST, busy()).provider(SECOND, answer("hi")).run();
    let scenario = serving(failing(scenario));
    assert_eq!(writes(&scenario), [STATE], "the success has ended the row");
    let scenario = failing(failing(scenario));
    let scenario = scenario
        .client(client(json!({"may_inspect": true})))
        .path(Method::GET, "/healthz")
        .again_after(Duration::from_secs(5));
    assert_eq!(scenario.json()["failing"], json!([{"candidate": ONE, "failures": 2, "probe_due": false}]));
    assert_eq!(scenario.json()["cooling"], json!([]));
    let scenario = failing(scenario.path(Method::POST, "/v1/chat/completions"));
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:503,second/two:200", "the third");
    let scenario = second(scenario, Duration::from_secs(1));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");
}

#[test]
fn a_success_writes_only_where_there_is_something_to_end() {
    let scenario = with_health(json!({})).provider(FIRST, busy()).provider(SECOND, answer("hi")).run();
    let mut scenario = scenario.provider(FIRST, answer("hi")).again_after(Duration::from_secs(2));
    assert!(writes(&scenario).contains(&STATE.to_owned()));
    for _ in 0..3 {
        scenario = scenario.provider(FIRST, answer("hi")).again_after(Duration::from_secs(2));
        assert_eq!(writes(&scenario), [""; 0]);
    }
}

#[test]
fn of_the_requests_that_knew_of_nothing_some_look_again() {
    let fake = Fake::default();
    health::confirm(&fake, ONE, whole(&fake));
    assert_eq!(fake.events.take(), [], "this random number does not");
    fake.random.set(3);
    health::confirm(&fake, ONE, whole(&fake));
    assert_eq!(fake.events.take(), [Event::CacheStarted(INDEX.to_owned())], "there is nothing");

    let row = HealthSettings { failures: 3, ..SETTINGS };
    let before = whole(&fake);
    fake.sleep(Duration::from_secs(1));
    health::failed(&fake, ONE, setback(&fake, Cooling::Failure), &row);
    assert!(has_row(&fake));
    health::confirm(&fake, ONE, before);
    assert!(!has_row(&fake), "an answer that began before the row ends it");

    health::failed(&fake, ONE, setback(&fake, Cooling::Failure), &SETTINGS);
    health::confirm(&fake, ONE, before);
    assert_eq!(found(&fake).standing, Standing::Cooling, "but no cool-down");
}

#[test]
fn what_is_there_ends_a_row_and_what_says_nothing_reads_nothing() {
    let row = HealthSettings { failures: 3, ..SETTINGS };
    let fake = Fake::default();
    health::failed(&fake, ONE, setback(&fake, Cooling::None), &row);
    assert_eq!(fake.events.take(), []);
    health::failed(&fake, ONE, setback(&fake, Cooling::Alive), &row);
    assert_eq!(fake.events.take(), [Event::CacheStarted(INDEX.to_owned())]);
    health::failed(&fake, ONE, setback(&fake, Cooling::Failure), &row);
    health::failed(&fake, ONE, setback(&fake, Cooling::Alive), &row);
    assert!(!has_row(&fake));
}

#[test]
fn one_request_probes() {
    let fake = Fake::default();
    let lasts = Duration::from_secs(15);
    health::failed(&fake, ONE, setback(&fake, Cooling::Failure), &SETTINGS);
    assert!(!health::elect_probe(&fake, ONE, found(&fake), lasts), "its cool-down has not ended");
    fake.sleep(Duration::from_secs(5));
    let due = found(&fake);
    assert_eq!(due.standing, Standing::ProbeDue);
    let elected: Vec<bool> = (0..3).map(|_| health::elect_probe(&fake, ONE, due, lasts)).collect();
    assert_eq!(elected, [true, false, false]);
    assert_eq!(found(&fake).standing, Standing::Cooling, "for the others");

    // It never comes back; nobody is elected by the old copy, even when nobody holds the office any more.
    fake.sleep(Duration::from_secs(20));
    assert!(!health::elect_probe(&fake, ONE, due, lasts));
    let next = found(&fake);
    assert_eq!(next.standing, Standing::ProbeDue);
    assert!(health::elect_probe(&fake, ONE, next, lasts));
    let success = whole(&fake);
    fake.sleep(Duration::from_secs(40));
    health::succeeded(&fake, ONE, next, success);
    assert_eq!(found(&fake).standing, Standing::Healthy, "a long answer may come after the probe's time");
}

#[test]
fn a_probe_without_a_state_that_can_be_read_is_none() {
    let fake = Fake::default();
    health::failed(&fake, ONE, setback(&fake, Cooling::Failure), &SETTINGS);
    fake.sleep(Duration::from_secs(5));
    let due = found(&fake);
    fake.unreadable.borrow_mut().push(STATE.to_owned());
    fake.events.take();
    assert!(!health::elect_probe(&fake, ONE, due, Duration::from_secs(1)));
    assert_eq!(fake.events.take(), [Event::CacheStarted(STATE.to_owned())]);
}

#[test]
fn a_shortened_index_is_mended_by_the_next_failure() {
    let fake = Fake::default();
    health::failed(&fake, ONE, setback(&fake, Cooling::Long), &SETTINGS);
    let end = |fake: &Fake| fake.cache.borrow().get(INDEX).map(|(_, end)| *end);
    let before = end(&fake);
    fake.store_cache(INDEX, b"0", Duration::from_secs(1));
    health::failed(&fake, ONE, setback(&fake, Cooling::Failure), &SETTINGS);
    assert_eq!(end(&fake), before);
}

#[test]
fn the_breaker_lets_one_call_probe_and_hears_of_no_old_one() {
    let policy = parse::parse(policy().to_string().as_bytes()).expect("a policy");
    let classifier = policy.classifier.as_ref().expect("a classifier");
    let fake = Fake::default();
    let permit = |fake: &Fake| breaker::permit(fake, index::read(fake).expect("a cache"), classifier);
    let began = fake.unix_time();
    for _ in 0..3 {
        assert!(matches!(permit(&fake), Allowance::Call(_)));
        breaker::failed(&fake, &classifier.breaker, began);
    }
    assert_eq!(permit(&fake), Allowance::Denied);
    fake.sleep(Duration::from_secs(30));
    let Allowance::Call(found) = permit(&fake) else { panic!("a probe is due") };
    assert_eq!(permit(&fake), Allowance::Denied, "one at a time");
    breaker::failed(&fake, &classifier.breaker, began);
    let probe = fake.unix_time();
    fake.sleep(Duration::from_millis(100));
    breaker::succeeded(&fake, found, probe);
    breaker::failed(&fake, &Breaker { failures: 1, ..classifier.breaker }, began);
    assert!(matches!(permit(&fake), Allowance::Call(_)), "what began before the probe says nothing after it");
}

#[test]
fn the_sandbox_that_saw_a_failure_knows_of_it_at_once() {
    let scenario = large().provider(FIRST, busy()).provider(SECOND, answer("hi")).run();
    let scenario = scenario.provider(SECOND, answer("hi")).again_after(Duration::from_millis(10));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");
}

#[test]
fn who_is_not_elected_asks_the_others_first() {
    let due = || {
        let scenario = large().provider(FIRST, busy()).provider(SECOND, answer("hi")).run();
        let fake = &scenario.fake;
        let state: Value = serde_json::from_slice(&fake.cache.borrow()[STATE].0).unwrap();
        let office = format!("tiergate/probe/{ONE}/{}", state["cooldown"]["until_ms"]);
        fake.offices.borrow_mut().insert(office, fake.unix_time() + Duration::from_secs(60));
        scenario
    };
    let scenario = second(due(), Duration::from_secs(6));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200");
    let scenario = due().provider(SECOND, busy()).provider(FIRST, answer("hi"));
    let scenario = scenario.new_sandbox().again_after(Duration::from_secs(6));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:503,first/one:200", "a last resort");
    assert!(!has_row(&scenario.fake), "which has served, so that no probe is needed");
}

#[test]
fn a_probe_that_begins_and_breaks_doubles_the_cooldown() {
    let hi = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let ask = json!({"stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let breaks = || stream(vec![hi]);
    let mut scenario = large().ask(ask).provider(FIRST, breaks()).run();
    for cooldown in [5, 10, 20] {
        scenario = scenario.provider(SECOND, stream(vec![hi, end])).new_sandbox();
        scenario = scenario.again_after(Duration::from_secs(cooldown - 1));
        assert_eq!(scenario.response_header("x-route-attempts"), "second/two:200", "{cooldown}");
        let probing = scenario.provider(FIRST, breaks()).provider(SECOND, stream(vec![hi, end]).after(9));
        scenario = probing.new_sandbox().again_after(Duration::from_secs(1));
        assert_eq!(scenario.log()["attempts"][1]["outcome"], "broken", "{cooldown}");
    }
    scenario = scenario.provider(FIRST, stream(vec![hi, end])).provider(SECOND, stream(vec![hi, end]).after(9));
    scenario = scenario.new_sandbox().again_after(Duration::from_secs(40));
    assert_eq!(scenario.response_header("x-route-attempts"), "second/two:abandoned,first/one:200");
    assert!(!has_row(&scenario.fake), "a whole answer ends it");
}
