//! Answers that are longer than one execution: the client gets one, whole and in order, and there is one log line.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tiergate_cli::gateway::GatewayOptions;
use tiergate_cli::wasm::Guest;
use tiergate_simulator::Simulator;

use crate::runtime::{FIRST, Got, Runtime, SECOND, Setting, Shared, THIRD, policy, send};

/// Hops are the same on every machine: an execution passes on so many events, whatever CPU time that takes.
const EVENTS: u64 = 1_500;
const WORDS: usize = 20_000;

static LONG: LazyLock<Shared> = LazyLock::new(|| {
    Shared::of(Setting {
        policy: || long_policy(json!({"events": EVENTS, "max_hops": 18, "cpu_ms": 10_000})),
        options: GatewayOptions::continues,
    })
});
/// The same with another service's cache on the other side.
static TWO: LazyLock<Shared> = LazyLock::new(|| {
    Shared::of(Setting {
        policy: || long_policy(json!({"events": EVENTS, "max_hops": 18, "cpu_ms": 10_000})),
        options: GatewayOptions::continues_in_a_second_service,
    })
});
/// Ten seconds are what two minutes are elsewhere.
static SLOW: LazyLock<Shared> = LazyLock::new(|| {
    Shared::of(Setting { policy: || long_policy(json!({"wall_s": 10})), options: GatewayOptions::continues })
});
static ALONE: LazyLock<Shared> = LazyLock::new(|| {
    Shared::of(Setting { policy: || long_policy(json!({"events": EVENTS})), options: |options| options })
});

/// The ways of a stream: as it comes, put right on its way, translated.
const WAYS: [&str; 3] = ["untouched", "mended", "translated"];

fn long_policy(platform: Value) -> Value {
    let mut policy = policy();
    policy["platform"] = platform;
    policy["limits"] = json!({"body_bytes": 1_000_000});
    let tier = |name: &str, model: &str, more: Value| {
        let mut tier = json!({
            "name": name, "description": format!("Work for {name}."), "candidates": [{"model": model}],
            "deadlines": {"connect_ms": 1000, "first_token_ms": 15_000, "idle_ms": 15_000, "total_ms": 600_000},
        });
        tier.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tier
    };
    policy["providers"] = json!({
        "first": {"base_url": format!("https://{FIRST}/v1"), "dialect": "openai-chat"},
        "second": {"base_url": format!("https://{SECOND}/v1"), "dialect": "openai-chat", "quirks": ["finish_reasons"]},
        "third": {"base_url": format!("https://{THIRD}"), "dialect": "anthropic-messages", "auth": "x-api-key"},
    });
    let model = |provider: &str, id: &str| {
        json!({"provider": provider, "id": id, "context": 1_000_000, "max_output": 100_000, "default_max_tokens": 100_000,
            "price": {"input": 1.0, "output": 2.0}})
    };
    policy["models"] = json!({
        "one": model("first", "first-model"), "two": model("second", "second-model"), "three": model("third", "claude-haiku-5-5"),
    });
    policy["tiers"] = json!([
        tier(WAYS[0], "one", json!({})),
        tier(WAYS[1], "two", json!({})),
        tier(WAYS[2], "three", json!({})),
        tier("held", "three", json!({"stream": "hold"})),
        tier("whole", "three", json!({"whole": "streamed"})),
    ]);
    policy["default_tier"] = json!(WAYS[0]);
    for part in ["classifier", "rules", "cors_origins"] {
        policy.as_object_mut().unwrap().remove(part);
    }
    policy
}

fn simulator<'r>(runtime: &'r Runtime, way: &str) -> &'r Simulator {
    match way {
        "untouched" => &runtime.first,
        "mended" => &runtime.second,
        _ => &runtime.third,
    }
}

/// As long as it takes.
fn patiently(request: RequestBuilder) -> RequestBuilder {
    request.timeout(Duration::from_secs(170))
}

/// The text of a stream, and whether it ended as a whole one.
fn content(got: &Got) -> (String, bool) {
    let mut text = String::new();
    let events = got.events();
    for chunk in events.iter().filter_map(|data| serde_json::from_str::<Value>(data).ok()) {
        assert_ne!(chunk["choices"], json!([]), "nobody asked for usage");
        text += chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    }
    (text, got.ended && events.last().is_some_and(|data| data == "[DONE]"))
}

#[test]
fn streams_of_twenty_thousand_events_arrive_whole_and_in_order() {
    LONG.run(Guest::Edge, async |runtime| {
        for way in WAYS {
            simulator(runtime, way).script(&format!("events={WORDS} gap=1ms")).unwrap();
        }
        let [one, two, three] = WAYS.map(|way| send(patiently(runtime.stream(way, "Hello"))));
        let (one, two, three) = tokio::join!(one, two, three);
        let mut lines = Vec::new();
        for got in [one, two, three] {
            let (text, is_whole) = content(&got);
            assert_eq!((got.status, is_whole), (200, true), "{}", got.text.len());
            let numbers: Vec<usize> =
                text.split("piece").filter_map(|part| part.split(' ').next()?.parse().ok()).collect();
            let first = numbers.first().copied().unwrap_or_default();
            let expected: Vec<usize> = (first..first + numbers.len()).collect();
            assert!(numbers.len() > 1_000 && numbers == expected, "{} in order", numbers.len());
            let events = got.events().iter().filter(|data| data.contains(r#""content":""#)).count();
            assert!((WORDS..WORDS + 2).contains(&events), "{events} events, perhaps with one that is empty");
            lines.push(runtime.log_line().await);
        }
        for line in lines {
            assert_eq!(line["continued"], (WORDS as u64) / EVENTS, "{line}");
            assert!(line["gen_ai.usage.output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{line}");
            assert!(line["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{line}");
            assert_eq!((&line["cost_estimated"], &line["error.type"]), (&Value::Null, &Value::Null), "{line}");
        }
        assert!(runtime.drain_log().is_empty(), "one line for each request");
    });
}

#[test]
fn a_long_stream_that_breaks_never_looks_whole() {
    LONG.run(Guest::Edge, async |runtime| {
        let faults = ["truncate", "error-event", "cut"];
        let script = faults.map(|fault| format!("if=\"to {fault}\" events={WORDS} {fault}=15000 gap=1ms")).join("; ");
        for way in WAYS {
            simulator(runtime, way).script(&script).unwrap();
        }
        let asked = faults.iter().flat_map(|fault| WAYS.map(|way| (fault, way)));
        let streams = asked.map(async |(fault, way)| {
            let got = send(patiently(runtime.stream(way, &format!("This is to {fault}.")))).await;
            let last = got.events().pop().unwrap_or_default();
            let is_whole = content(&got).1 || got.ended || got.text.contains("[DONE]");
            assert!(!is_whole && last.contains("stream_broken"), "{fault} {way}: {} {last}", got.ended);
        });
        join_all(streams).await;
        for _ in 0..faults.len() * WAYS.len() {
            let line = runtime.log_line().await;
            assert_eq!(line["error.type"], "stream_broken", "{line}");
            assert!(line["continued"].as_u64().is_some_and(|hops| hops >= 9), "{line}");
        }
        assert!(runtime.drain_log().is_empty(), "one line for each request");
    });
}

#[test]
fn a_second_service_goes_on() {
    TWO.run(Guest::Edge, async |runtime| {
        for way in WAYS {
            simulator(runtime, way).script("if=\"to cut\" events=5000 cut=4000 gap=1ms; events=5000 gap=1ms").unwrap();
        }
        runtime.third.script("if=\"to cut\" events=5000 cut=4000 gap=1ms; events=5000 gap=1ms *").unwrap();
        let streams = WAYS.map(async |way| {
            let (whole, cut) = tokio::join!(
                send(patiently(runtime.stream(way, "Hello"))),
                send(patiently(runtime.stream(way, "This is to cut.")))
            );
            assert!(content(&whole).1, "{way}");
            let last = cut.events().pop().unwrap_or_default();
            assert!(!cut.ended && last.contains("stream_broken"), "{way}: {last}");
        });
        let (_, whole) = tokio::join!(join_all(streams), send(patiently(runtime.chat("whole", "Hello"))));
        assert_eq!((whole.status, whole.answer().is_empty()), (200, false), "{}", whole.text);
        for _ in 0..2 * WAYS.len() + 1 {
            let line = runtime.log_line().await;
            let hops = if line["error.type"] == "stream_broken" { 2 } else { 3 };
            assert_eq!(line["continued"], hops, "{line}");
        }
        assert!(runtime.drain_log().is_empty(), "one line for each request");
    });
}

#[test]
fn a_client_that_leaves_late_closes_the_provider() {
    LONG.run(Guest::Edge, async |runtime| {
        let streams = WAYS.map(async |way| {
            simulator(runtime, way).script(&format!("events={WORDS} gap=1ms")).unwrap();
            let response = patiently(runtime.stream(way, "Hello")).send().await.expect("an answer");
            let mut parts = response.bytes_stream();
            let mut events = 0;
            while events < 10_000 {
                let part = parts.next().await.expect("more").expect("bytes");
                events += part.windows(2).filter(|pair| pair == b"\n\n").count();
            }
            drop(parts);
            let left = Instant::now();
            simulator(runtime, way).client_gone(1).await;
            assert!(left.elapsed() < Duration::from_secs(2), "{way}: {:?}", left.elapsed());
        });
        join_all(streams).await;
        for _ in WAYS {
            let line = runtime.log_line().await;
            // On a busy machine it is not always seen which of the two has gone.
            assert!(line["client_closed"] == true || line["error.type"] == "stream_broken", "{line}");
            assert!(line["continued"].as_u64().is_some_and(|hops| hops >= 6), "{line}");
        }
    });
}

#[test]
fn without_a_continuation_only_what_is_untouched_goes_on() {
    ALONE.run(Guest::Edge, async |runtime| {
        for (way, error, handed_off) in [
            ("untouched", Value::Null, json!(true)),
            ("mended", json!("stream_time_limit"), Value::Null),
            ("translated", json!("stream_time_limit"), Value::Null),
            ("held", json!("provider_timeout"), Value::Null),
        ] {
            simulator(runtime, way).script("events=5000 gap=1ms").unwrap();
            let got = send(patiently(runtime.stream(way, "Hello"))).await;
            let is_whole = got.status == 200 && content(&got).1;
            assert_eq!(is_whole, way == "untouched", "{way}");
            let line = runtime.log_line().await;
            assert_eq!((&line["error.type"], &line["handed_off"]), (&error, &handed_off), "{way}: {line}");
            // The gateway's own limits are nobody's fault.
            let again = send(runtime.stream(way, "Hello")).await;
            assert_eq!(again.status, 200, "{way}");
            assert_eq!(runtime.log_line().await["cooling"], Value::Null, "{way}");
        }
    });
}

#[test]
fn executions_end_and_the_answer_goes_on() {
    SLOW.run(Guest::Edge, async |runtime| {
        let script = "events=15 gap=2s";
        for way in WAYS {
            simulator(runtime, way).script(script).unwrap();
        }
        runtime.third.script(&format!("{script} x3")).unwrap();
        let streams =
            ["untouched", "mended", "translated", "held"].map(|way| send(patiently(runtime.stream(way, "Hello"))));
        let [one, two, three, held] = streams;
        let whole = send(patiently(runtime.chat("whole", "Hello")));
        let (one, two, three, held, whole) = tokio::join!(one, two, three, held, whole);
        for got in [one, two, three, held] {
            assert!(content(&got).1, "{}", got.text);
        }
        assert_eq!((whole.status, whole.header("x-route-provider")), (200, "third"), "{}", whole.text);
        assert!(!whole.answer().is_empty() && whole.json()["usage"]["completion_tokens"].is_u64(), "{}", whole.text);
        for _ in 0..5 {
            let line = runtime.log_line().await;
            assert!(line["continued"].as_u64().is_some_and(|hops| hops >= 3), "{line}");
            assert!(line["duration_ms"]["total"].as_f64().is_some_and(|total| total > 28_000.0), "{line}");
            assert_eq!(line["error.type"], Value::Null, "{line}");
        }
        assert!(runtime.drain_log().is_empty(), "one line for each request");
    });
}
