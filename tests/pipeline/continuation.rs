//! Answers with which other executions go on: the client sees one, and there is one log line.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tiergate::admit::memory::Memory;
use tiergate::platform::{Platform, ReadError};
use tiergate::relay::frame::{FrameKeys, HEAD_BYTES, Load};
use tiergate::secret::Secret;

use crate::fake::{Chunk, Event, PublishedEnd, Reply};
use crate::scenario::{CONTINUATION, FIRST, SECOND, Scenario, chunk, json_reply, policy, stream};

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":50,\"total_tokens\":150}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const SECONDS: fn(u64) -> Duration = Duration::from_secs;

fn word(number: usize) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"w{number} \"}},\"finish_reason\":null}}]}}\n\n"
    )
}

fn words(count: usize) -> Vec<String> {
    (0..count).map(word).collect()
}

/// The test policy in which an execution passes on ten events, with this tier's changes.
fn long(change: Value) -> Value {
    let mut policy = policy();
    policy["platform"] = json!({"events": 10});
    policy["tiers"][1].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    policy["tiers"][1]["deadlines"]["total_ms"] = json!(1_800_000);
    policy
}

fn asking(policy: Value, streams: bool) -> Scenario {
    let body = json!({"model": "x", "stream": streams, "messages": [{"role": "user", "content": "Hello"}]});
    Scenario::new().policy(policy).continues().header("x-route-tier", "large").ask(body)
}

fn answer(chunks: Vec<Chunk>) -> Reply {
    let headers = vec![("content-type", "text/event-stream".to_owned()), ("x-request-id", "upstream-1".to_owned())];
    Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks }
}

/// Each part as a read of its own, `gap` after the one before.
fn apart(parts: &[&str], gap: Duration) -> Reply {
    answer(parts.iter().map(|text| Chunk { delay: gap, bytes: Ok(text.as_bytes().to_vec()) }).collect())
}

fn long_answer(count: usize) -> (Vec<String>, String) {
    let mut parts = vec![ROLE.to_owned()];
    parts.extend(words(count));
    parts.extend([STOP, USAGE, DONE].map(str::to_owned));
    let expected = parts.iter().filter(|part| *part != USAGE).cloned().collect();
    (parts, expected)
}

fn texts(parts: &[String]) -> Vec<&str> {
    parts.iter().map(String::as_str).collect()
}

#[test]
fn a_stream_goes_on_in_other_executions_and_is_counted_to_its_end() {
    let (parts, expected) = long_answer(60);
    let scenario = asking(long(json!({})), true).provider(FIRST, apart(&texts(&parts), Duration::ZERO)).run();
    assert_eq!(scenario.text(), expected);
    assert!(scenario.fake.answer.borrow().finished);
    let log = scenario.log();
    assert_eq!(log["continued"], 6, "{log}");
    assert_eq!((&log["gen_ai.usage.input_tokens"], &log["cost_usd"]), (&json!(100), &json!(2e-4)));
    assert_eq!(
        (&log["id"], &log["url.path"], &log["error.type"]),
        (&json!("request-1"), &json!("/v1/chat/completions"), &Value::Null)
    );
    assert_eq!(
        (&log["attempts"][0]["outcome"], &log["attempts"][0]["request_id"]),
        (&json!("200"), &json!("upstream-1"))
    );
    assert_eq!(log["gen_ai.response.finish_reasons"], json!(["stop"]));
    assert_eq!(log["bytes"]["sent"], expected.len());
    assert_eq!(scenario.fake.handed.borrow().len(), 6);
    assert_eq!(scenario.count(&Event::Logged), 1, "by the last execution");
    let mut ends = scenario.fake.ends();
    assert_eq!(ends.pop(), Some(Some(PublishedEnd::Finished)), "the last execution says that the answer is whole");
    assert!(ends.iter().all(|end| *end == Some(PublishedEnd::LeftToAnother)), "{ends:?}");
}

#[test]
fn a_break_that_takes_the_way_to_the_client_along_is_told_behind_the_answer() {
    let (parts, _) = long_answer(40);
    let cut = Chunk { delay: Duration::ZERO, bytes: Err(ReadError) };
    let chunks = parts[..30].iter().map(|part| chunk(part)).chain([cut]).collect();
    let scenario = asking(long(json!({})), true).provider(FIRST, answer(chunks));
    scenario.fake.elsewhere.breaks_both_ways.set(true);
    let scenario = scenario.run();
    let log = scenario.log();
    assert_eq!((&log["error.type"], &log["client_closed"]), (&json!("stream_broken"), &json!(true)), "{log}");
    assert_eq!(log["attempts"][0]["outcome"], "broken");
    let published = scenario.fake.published.borrow();
    let last = published.values().next_back().expect("the end of the last execution");
    let told = String::from_utf8_lossy(&last.bytes);
    assert!(told.starts_with("data: {\"error\"") && told.contains("stream_broken"), "{told}");
    assert_eq!(last.end, Some(PublishedEnd::Aborted));
    assert!(scenario.fake.cache.borrow().keys().all(|key| !key.contains("health")), "nobody knows whose fault it was");
}

#[test]
fn a_way_that_breaks_before_the_word_to_go_on_is_told_and_logged_once() {
    let (parts, _) = long_answer(40);
    let scenario = asking(long(json!({})), true).provider(FIRST, apart(&texts(&parts), Duration::ZERO));
    scenario.fake.elsewhere.loses_go.set(true);
    let scenario = scenario.run();
    let log = scenario.log();
    assert_eq!((&log["error.type"], &log["continued"]), (&json!("stream_broken"), &json!(1)), "{log}");
    let text = scenario.text();
    assert!(text.contains("stream_broken") && !text.contains("[DONE]"), "{text}");
    assert!(scenario.fake.cache.borrow().keys().all(|key| !key.contains("health")), "the provider has done nothing");
    assert!(!scenario.fake.answer.borrow().finished, "the transfer should be aborted");
    assert_eq!(scenario.fake.log.borrow().len(), 1, "{:?}", scenario.fake.log.borrow());
}

#[test]
fn another_service_sees_to_the_end_in_its_own_cache() {
    let (parts, expected) = long_answer(40);
    for streams in [true, false] {
        let policy = long(if streams { json!({}) } else { json!({"whole": "streamed"}) });
        let scenario = asking(policy, streams).provider(FIRST, apart(&texts(&parts), Duration::ZERO));
        scenario.fake.elsewhere.caches_apart.set(true);
        let scenario = scenario.run();
        let log = scenario.log();
        assert_eq!((&log["error.type"], &log["continued"]), (&Value::Null, &json!(4)), "{log}");
        assert_eq!(scenario.fake.elsewhere.given_up.get(), 4);
        assert!(!streams || scenario.text() == expected, "{}", scenario.text());
    }
}

#[test]
fn an_answer_is_given_up_once() {
    let scenario = Scenario::new().continues();
    let keys = scenario.fake.frame_keys();
    let now = scenario.fake.unix_time();
    let (taken, unknown, kept) = ([7; 16], [8; 16], [9; 16]);
    let key = |prefix: &str, nonce: [u8; 16]| prefix.to_owned() + &format!("{:02x}", nonce[0]).repeat(16);
    for nonce in [taken, kept] {
        scenario.fake.publish(&key("continuation-end/", nonce), SECONDS(10));
    }
    scenario.fake.elect(&key("continuation-given-up/", kept), SECONDS(30));
    scenario.fake.elsewhere.caches_apart.set(true);
    let mut heads = 0;
    for (name, held, status) in [
        ("taken", &taken[..], 200),
        ("a second time", &taken, 404),
        ("unknown", &unknown, 404),
        ("kept", &kept, 404),
        ("no nonce", &taken[..9], 404),
    ] {
        heads += 1;
        let head = keys.head(now, [heads; 16], Load { state: b"", held }).expect("a head");
        let answer = answer_at_continuation(&scenario, &[&head[..], held].concat());
        assert_eq!((answer.0, answer.1), (status, status == 200), "{name}: {}", answer.2);
    }
}

#[test]
fn time_goes_on_over_executions() {
    // Each execution has 119 seconds, of which three are kept for handing on.
    let (parts, expected) = long_answer(10);
    let slow = |part: &String| if part == USAGE || part == DONE { Duration::ZERO } else { SECONDS(50) };
    let reply =
        || answer(parts.iter().map(|part| Chunk { delay: slow(part), bytes: Ok(part.clone().into()) }).collect());
    let mut policy = long(json!({}));
    policy["platform"] = json!({});
    policy["tiers"][1]["deadlines"] = json!({"first_token_ms": 60_000, "idle_ms": 60_000, "total_ms": 1_800_000});
    let asking = |timeout: &str| {
        let scenario = asking(policy.clone(), true).provider(FIRST, reply());
        if timeout.is_empty() { scenario.run() } else { scenario.header("x-route-timeout-ms", timeout).run() }
    };
    let scenario = asking("");
    let log = scenario.log();
    assert_eq!(scenario.text().replace(": keep-alive\n\n", ""), expected);
    let durations = (&log["duration_ms"]["total"], &log["attempts"][0]["duration_ms"]);
    assert_eq!(durations, (&json!(600_000.0), &json!(600_000.0)), "{log}");
    assert_eq!(log["duration_ms"]["first_byte"], 45_000.0, "the head goes out before the answer");
    assert!(log["continued"].as_u64().is_some_and(|hops| hops >= 5), "{log}");
    // What the client allows holds over all of them.
    let scenario = asking("410000");
    assert!(scenario.text().contains("stream_time_limit"), "{}", scenario.text());
    assert_eq!(scenario.log()["duration_ms"]["total"], 410_000.0, "{}", scenario.log());
    assert!(!scenario.fake.answer.borrow().finished);
}

#[test]
fn what_breaks_in_a_later_execution_is_told_there() {
    let (parts, _) = long_answer(40);
    let cut = |end: Chunk| {
        let chunks = parts[..30].iter().map(|part| chunk(part)).chain([end]).collect();
        asking(long(json!({"resume": "replay"})), true).provider(FIRST, answer(chunks)).run()
    };
    let before: String = parts[..30].concat();
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    for (name, end) in [
        ("a cut", Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }),
        ("a stall", Chunk { delay: SECONDS(6), bytes: Ok(DONE.into()) }),
        ("an early end", chunk(DONE)),
        ("an error", chunk(error)),
        ("no JSON", chunk("data: {\"choices\n\n")),
    ] {
        let scenario = cut(end);
        let text = scenario.text();
        let told = text.strip_prefix(&before).unwrap_or_else(|| panic!("{name}: {text}"));
        let told = told.trim_start_matches(": keep-alive\n\n");
        assert!(told.starts_with("data: {\"error\"") && told.contains("stream_broken"), "{name}: {told}");
        assert!(!scenario.fake.answer.borrow().finished, "{name}: the transfer should be aborted");
        let log = scenario.log();
        assert_eq!((&log["error.type"], &log["continued"]), (&json!("stream_broken"), &json!(3)), "{name}: {log}");
        assert_eq!(log["cost_usd"], Value::Null, "{name}");
        assert!(log["attempts"][0]["estimate_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{name}: {log}");
    }
}

#[test]
fn a_client_that_leaves_is_noticed_in_a_later_execution() {
    let (parts, _) = long_answer(60);
    let scenario = asking(long(json!({})), true).provider(FIRST, apart(&texts(&parts), Duration::ZERO));
    scenario.fake.leaves_after.set(Some(35));
    let scenario = scenario.run();
    let log = scenario.log();
    assert_eq!((&log["client_closed"], &log["continued"]), (&json!(true), &json!(3)), "{log}");
}

#[test]
fn hops_are_bounded() {
    let (parts, expected) = long_answer(60);
    let mut policy = long(json!({}));
    policy["platform"]["max_hops"] = json!(2);
    // What needs no translation is left to the platform then.
    let scenario = asking(policy, true).provider(FIRST, apart(&texts(&parts), Duration::ZERO)).run();
    let log = scenario.log();
    assert_eq!(
        (&log["continued"], &log["handed_off"], &log["cost_estimated"]),
        (&json!(2), &json!(true), &json!(true)),
        "{log}"
    );
    assert_eq!(scenario.text().replace(USAGE, ""), expected);
}

#[test]
fn where_nobody_takes_it_an_answer_goes_on_as_without() {
    let (parts, _) = long_answer(60);
    let refusals = [
        ("404", json_reply(404, json!({}))),
        ("200 of somebody else", stream(vec!["data: x\n\n"])),
        ("no answer", Reply::Never),
        ("no connection", Reply::Fails(tiergate::platform::SendError::Connect)),
    ];
    for (name, refusal) in refusals {
        let scenario = asking(long(json!({})), true)
            .provider(FIRST, apart(&texts(&parts), Duration::ZERO))
            .provider(CONTINUATION, refusal)
            .run();
        let log = scenario.log();
        assert_eq!((&log["handed_off"], &log["continued"]), (&json!(true), &Value::Null), "{name}: {log}");
        assert_eq!(scenario.text(), parts.concat(), "{name}");
        let again = scenario.provider(FIRST, apart(&texts(&parts), Duration::ZERO)).again_after(SECONDS(1));
        assert_eq!((&again.log()["cooling"], &again.log()["model"]), (&Value::Null, &json!("one")), "{name}");
    }
}

#[test]
fn without_a_continuation_no_unasked_usage_reaches_a_client() {
    let mut policy = long(json!({}));
    let (parts, _) = long_answer(60);
    for (name, most, asks, counted) in
        [("long", 1_000, false, false), ("asked for", 1_000, true, true), ("short enough", 5, false, true)]
    {
        policy["models"]["one"]["max_output"] = json!(most);
        let mut body = json!({"model": "x", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
        if asks {
            body["stream_options"] = json!({"include_usage": true});
        }
        let sent: Vec<&str> = texts(&parts).into_iter().filter(|part| counted || *part != USAGE).collect();
        let scenario = Scenario::new().policy(policy.clone()).header("x-route-tier", "large").ask(body);
        let scenario = scenario.provider(FIRST, apart(&sent, Duration::ZERO)).run();
        let options = &scenario.sent_to(FIRST)["stream_options"];
        assert_eq!(*options, if counted { json!({"include_usage": true}) } else { Value::Null }, "{name}");
        assert_eq!(scenario.log()["handed_off"], true, "{name}");
        assert_eq!(scenario.log()["cost_estimated"], true, "{name}");
    }
}

#[test]
fn an_answer_that_is_held_is_held_over_executions() {
    let (parts, expected) = long_answer(40);
    let scenario = asking(long(json!({"stream": "hold"})), true);
    let scenario = scenario.provider(FIRST, apart(&texts(&parts), SECONDS(1))).run();
    let text = scenario.text();
    assert_eq!(text.replace(": keep-alive\n\n", ""), expected);
    assert!(text.starts_with(": keep-alive"), "the client hears that somebody is there: {text}");
    assert_eq!(text.matches(": keep-alive").count(), 2, "once in 15 seconds");
    assert!(scenario.log()["continued"].as_u64().is_some_and(|hops| hops > 2));
}

#[test]
fn a_whole_answer_is_gathered_over_executions() {
    let (parts, _) = long_answer(40);
    let gathered = |reply: Reply| asking(long(json!({"whole": "streamed"})), false).provider(FIRST, reply).run();
    let scenario = gathered(apart(&texts(&parts), SECONDS(1)));
    let text: String = (0..40).map(|number| format!("w{number} ")).collect();
    assert_eq!((scenario.status(), &scenario.json()["choices"][0]["message"]["content"]), (200, &json!(text)));
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:200");
    assert_eq!(scenario.response_header("content-type"), "application/json");
    let log = scenario.log();
    assert_eq!((&log["stream"], &log["gen_ai.usage.output_tokens"]), (&json!(false), &json!(50)));
    // A moment is waited in each execution for a refusal, while the provider's answer comes.
    assert!(log["duration_ms"]["total"].as_f64().is_some_and(|total| (42_000.0..45_000.0).contains(&total)), "{log}");
    // What breaks has a status like any other error.
    let cut: Vec<&str> = texts(&parts)[..30].to_vec();
    let scenario = gathered(apart(&cut, SECONDS(1)));
    assert_eq!((scenario.status(), scenario.error_code()), (502, "stream_broken".to_owned()));
}

#[test]
fn a_model_that_thinks_for_long_before_its_first_word_goes_on_elsewhere() {
    let thought = ": thinking\n\n";
    let mut parts = vec![thought; 30];
    let (rest, expected) = long_answer(20);
    parts.extend(texts(&rest));
    let scenario = asking(long(json!({})), true).provider(FIRST, apart(&parts, Duration::ZERO)).run();
    assert_eq!(scenario.text().replace(": keep-alive\n\n", ""), expected);
    assert_eq!(scenario.log()["attempts"].as_array().map(Vec::len), Some(1));
}

#[test]
fn probes_that_are_handed_on_are_told_of_where_they_end() {
    let (parts, _) = long_answer(30);
    let broken = || json_reply(503, json!({"error": {"message": "busy"}}));
    let scenario =
        asking(long(json!({})), true).provider(FIRST, broken()).provider(SECOND, apart(&texts(&parts), Duration::ZERO));
    let scenario = scenario.run();
    assert_eq!(scenario.log()["model"], "two");
    // The first one's cool-down is over, and this request probes it beside the second.
    let scenario = scenario.provider(FIRST, apart(&texts(&parts), Duration::ZERO)).provider(SECOND, Reply::Never);
    let scenario = scenario.again_after(SECONDS(30));
    assert_eq!(
        (&scenario.log()["model"], &scenario.log()["continued"]),
        (&json!("one"), &json!(3)),
        "{}",
        scenario.log()
    );
    let scenario = scenario.provider(FIRST, apart(&texts(&parts), Duration::ZERO)).again_after(SECONDS(1));
    assert_eq!((&scenario.log()["model"], &scenario.log()["cooling"]), (&json!("one"), &Value::Null));
}

/// What somebody at the continuation's address answers.
fn answer_at_continuation(scenario: &Scenario, bytes: &[u8]) -> (u16, bool, String) {
    let fake = &scenario.fake;
    fake.next_request(Duration::ZERO);
    fake.hop(vec![Chunk { delay: Duration::ZERO, bytes: Ok(bytes.to_vec()) }], &Memory::default());
    let answer = fake.answer.borrow();
    let head = answer.head.as_ref().expect("an answer");
    let shows_key = head.headers.contains_key("x-tiergate-continuation");
    (head.status.as_u16(), shows_key, String::from_utf8(answer.body.clone()).expect("text"))
}

#[test]
fn what_the_gateway_did_not_send_gets_nothing() {
    let (parts, _) = long_answer(15);
    let scenario = asking(long(json!({})), true).provider(FIRST, apart(&texts(&parts), Duration::ZERO)).run();
    let sent = scenario.fake.handed.borrow()[0].beginning.clone();
    let keys = scenario.fake.frame_keys();
    let now = scenario.fake.unix_time();
    let unknown = answer_at_continuation(&scenario, b"");
    assert_eq!((unknown.0, unknown.1), (404, false));

    let (announced, _) = keys.open(sent.first_chunk().expect("a head"), now).expect("the gateway's own head");
    let state = sent[HEAD_BYTES..HEAD_BYTES + announced.state].to_vec();
    let mut nonce = [0; 16];
    let mut with_head = |state: &[u8], now: Duration| {
        nonce[0] += 1;
        let head = keys.head(now, nonce, Load { state, held: b"" }).expect("a head");
        [&head[..], state].concat()
    };
    let (good, early, late) =
        (with_head(&state, now), with_head(&state, now + SECONDS(11)), with_head(&state, now - SECONDS(11)));
    let other_build = with_head(b"{}", now);
    let cut = with_head(&state, now)[..HEAD_BYTES + state.len() - 1].to_vec();
    let mut changed = with_head(&state, now);
    changed[HEAD_BYTES + 20] ^= 1;
    let mut forged = with_head(&state, now);
    forged[40] ^= 1;
    let foreign = {
        let root = Secret::new("another-root-0123456789abcdefghijklmnop".to_owned());
        let head = FrameKeys::new(&[root]).head(now, [99; 16], Load { state: &state, held: b"" }).expect("a head");
        [&head[..], &state].concat()
    };
    for (name, bytes) in [
        ("a second time", &sent[..]),
        ("no head", b"hello"),
        ("half a head", &good[..60]),
        ("another key", &foreign),
        ("another nonce", &forged),
        ("from the past", &late),
        ("from the future", &early),
        ("a state of another build", &other_build),
        ("a cut state", &cut),
        ("a changed state", &changed),
    ] {
        assert_eq!(answer_at_continuation(&scenario, bytes), unknown, "{name}");
    }
    let logged = scenario.fake.log.borrow().len();
    let taken = answer_at_continuation(&scenario, &good);
    assert_eq!((taken.0, taken.1), (200, true), "the same with a head of its own is taken: {}", taken.2);
    assert_eq!(scenario.fake.log.borrow().len(), logged, "whoever is not told to go on does nothing");
    assert_eq!(answer_at_continuation(&scenario, &good), unknown, "once");
    // Other methods, and other paths near it, are no different.
    for (method, path) in [(Method::GET, "/.tiergate/continuation"), (Method::POST, "/v1/.tiergate/continuation")] {
        scenario.fake.next_request(Duration::ZERO);
        let scenario = Scenario::new().continues().path(method, path).run();
        assert_eq!((scenario.status(), scenario.text()), (404, unknown.2.clone()), "{path}");
    }
}

#[test]
fn whoever_sends_nothing_more_is_not_waited_for() {
    let scenario = Scenario::new().continues();
    let late = Chunk { delay: SECONDS(60), bytes: Ok(vec![b'x'; HEAD_BYTES]) };
    scenario.fake.hop(vec![late], &Memory::default());
    assert_eq!((scenario.status(), scenario.fake.clock.get()), (404, SECONDS(5)));
    assert!(scenario.fake.secret_reads.borrow().is_empty(), "no secret is read for it");
}

#[test]
fn silence_counts_over_executions() {
    let (parts, _) = long_answer(40);
    let mut policy = long(json!({}));
    policy["platform"] = json!({"wall_s": 10});
    policy["tiers"][1]["deadlines"] = json!({"first_token_ms": 5_000, "idle_ms": 15_000, "total_ms": 1_800_000});
    let late = Chunk { delay: SECONDS(300), bytes: Ok(DONE.into()) };
    let chunks = parts[..5].iter().map(|part| chunk(part)).chain([late]).collect();
    let scenario = asking(policy, true).provider(FIRST, answer(chunks)).run();
    let log = scenario.log();
    assert_eq!((&log["error.type"], &log["continued"]), (&json!("stream_broken"), &json!(2)), "{log}");
    assert!(log["duration_ms"]["total"].as_f64().is_some_and(|total| (15_000.0..16_500.0).contains(&total)), "{log}");
}

#[test]
fn usage_that_comes_after_an_executions_end_is_seen() {
    let mut policy = long(json!({}));
    policy["platform"] = json!({"wall_s": 10});
    let usage = Chunk { delay: Duration::from_millis(1_500), bytes: Ok(USAGE.into()) };
    let stop = Chunk { delay: SECONDS(4), bytes: Ok(STOP.into()) };
    let first = Chunk { delay: SECONDS(1), bytes: Ok(word(0).into()) };
    let scenario = asking(policy, true).provider(FIRST, answer(vec![first, stop, usage, chunk(DONE)])).run();
    let log = scenario.log();
    assert_eq!((&log["continued"], &log["gen_ai.usage.output_tokens"]), (&json!(1), &json!(50)), "{log}");
}

#[test]
fn an_early_end_of_a_whole_answer_counts_against_its_provider() {
    let (parts, _) = long_answer(40);
    let asking = || asking(long(json!({"whole": "streamed"})), false);
    for (name, end, outcome) in [
        ("an end", None, "broken"),
        ("a break, which may be the client's", Some(Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }), "broken"),
    ] {
        let counts = end.is_none();
        let chunks = parts[..30].iter().map(|part| chunk(part)).chain(end).collect();
        let scenario = asking().provider(FIRST, answer(chunks)).run();
        assert_eq!((scenario.status(), &scenario.log()["attempts"][0]["outcome"]), (502, &json!(outcome)), "{name}");
        let whole = || apart(&texts(&parts), Duration::ZERO);
        let next = scenario.provider(FIRST, whole()).provider(SECOND, whole()).again_after(SECONDS(1));
        assert_eq!(next.log()["model"], if counts { "two" } else { "one" }, "{name}");
    }
}

#[test]
fn cpu_time_makes_another_execution_go_on() {
    let (parts, expected) = long_answer(60);
    let mut policy = long(json!({}));
    policy["platform"] = json!({});
    let scenario = asking(policy, true).provider(FIRST, apart(&texts(&parts), Duration::ZERO));
    scenario.fake.vcpu_ms.set(35);
    let scenario = scenario.run();
    assert_eq!((scenario.text(), &scenario.log()["continued"]), (expected, &json!(4)), "{}", scenario.log());
}

#[test]
fn no_provider_may_be_where_answers_go_on() {
    let mut policy = long(json!({}));
    policy["providers"]["first"]["base_url"] = json!(format!("https://{CONTINUATION}:8443/v1"));
    let (parts, _) = long_answer(5);
    let scenario = asking(policy, true).provider(SECOND, apart(&texts(&parts), Duration::ZERO)).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:no_secret,second/two:200");
}
