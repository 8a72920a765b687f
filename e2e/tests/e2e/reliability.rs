//! Providers that fail in every way, over real sockets: retries, cool-downs, hedges, repairs, and a soak.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::runtime::{Case, Runtime, Shared, key, send};
use crate::scenarios::scenarios;
use tiergate_cli::wasm::Guest;

static REUSED: LazyLock<Shared> = LazyLock::new(Shared::new);
static SINGLE: LazyLock<Shared> = LazyLock::new(Shared::new);

scenarios!(
    a_passing_failure_is_retried,
    a_failed_candidate_comes_last_and_comes_back,
    a_delay_that_fits_is_waited_for,
    a_slow_candidate_is_hedged,
    a_broken_stream_is_replayed,
    a_replay_that_differs_is_an_error,
    a_call_that_broke_off_is_delivered_once,
    a_held_stream_survives_a_cut,
    a_handed_over_stream_passes_on,
    a_client_that_leaves_stops_everything,
    a_hang_costs_its_deadline_once,
    a_soak_leaves_everything_whole_or_an_error,
);

/// The text of a stream's deltas, and whether it is whole: an end marker and a clean end, or neither.
pub fn content(got: &crate::runtime::Got) -> (String, bool) {
    let events = got.events();
    let chunks = events.iter().filter(|data| *data != "[DONE]");
    let text = chunks.map(|data| {
        let chunk: Value = serde_json::from_str(data).expect("JSON");
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    });
    let text = text.collect();
    let done = events.last().is_some_and(|data| data == "[DONE]");
    assert_eq!(done, got.ended, "{}", got.text);
    (text, done)
}

async fn a_passing_failure_is_retried(runtime: &Runtime) {
    for script in ["status=503", "status=529", "close", "cut=20", "rate-limit=100ms"] {
        let case = runtime.case("retry");
        runtime.first.script(script).unwrap();
        let before = runtime.first.received();
        let got = send(runtime.chat(&case.tier, "Hello")).await;
        if script == "rate-limit=100ms" {
            assert!(got.answer().contains("second"), "who asks for a delay is not asked again: {}", got.text);
        } else {
            assert!(got.answer().contains("first"), "{script}: {}", got.header("x-route-attempts"));
            assert_eq!(runtime.first.received() - before, 2, "{script}");
        }
    }
    let case = runtime.case("retry");
    runtime.first.script("quota x2").unwrap();
    let before = runtime.first.received();
    assert!(send(runtime.chat(&case.tier, "Hello")).await.answer().contains("second"));
    assert_eq!(runtime.first.received() - before, 1, "a quota that is used up does not come back");
}

async fn a_failed_candidate_comes_last_and_comes_back(runtime: &Runtime) {
    let case = runtime.case("case");
    runtime.first.script("status=503").unwrap();
    let got = send(runtime.chat(&case.tier, "Hello")).await;
    assert_eq!(got.header("x-route-attempts"), case.passed_on("503"));
    // Six requests and more, so that another sandbox is among them.
    let started = Instant::now();
    for _ in 0..8 {
        let got = send(runtime.chat(&case.tier, "Hello")).await;
        if started.elapsed() < Duration::from_millis(900) {
            assert_eq!(got.header("x-route-attempts"), format!("{}:200", case.second));
            assert_eq!(got.header("x-route-reason"), "candidate_cooling");
        }
    }
    let url = format!("{}/healthz", runtime.gateway.url());
    let health = send(runtime.http.get(url).bearer_auth(key("pinner"))).await.json();
    let cooling = health["cooling"].as_array().expect("a list");
    let named = cooling.iter().any(|entry| entry["candidate"] == case.first.as_str());
    assert!(named || started.elapsed() > Duration::from_millis(900), "{health}");
    let back = tokio::time::timeout(Duration::from_secs(10), async {
        while send(runtime.chat(&case.tier, "Hello")).await.header("x-route-attempts") != format!("{}:200", case.first)
        {
        }
    });
    back.await.expect("the first candidate should serve again soon after its cool-down");
}

async fn a_delay_that_fits_is_waited_for(runtime: &Runtime) {
    let case = runtime.case("alone");
    runtime.first.script("retry-delay=1s").unwrap();
    let started = Instant::now();
    let got = send(runtime.chat(&case.tier, "Hello")).await;
    assert_eq!(got.header("x-route-attempts"), format!("{0}:429,{0}:200", case.first));
    assert!(started.elapsed() >= Duration::from_secs(1));
    runtime.first.script("retry-delay=17s").unwrap();
    let got = send(runtime.chat(&runtime.case("alone").tier, "Hello")).await;
    assert_eq!((got.status, got.header("retry-after")), (429, "17"));
}

async fn a_slow_candidate_is_hedged(runtime: &Runtime) {
    let case = runtime.case("hedge");
    runtime.first.script("first=900ms").unwrap();
    let got = send(runtime.stream(&case.tier, "Hello")).await;
    assert_eq!(got.header("x-route-attempts"), format!("{}:closed,{}:200", case.first, case.second));
    assert!(content(&got).1);
    let log = runtime.log_line().await;
    assert_eq!((&log["attempts"][1]["hedge"], log["attempts"][0]["estimate_usd"].is_f64()), (&json!(true), true));
    runtime.first.client_gone(1).await;

    let case = runtime.case("hedge");
    runtime.first.script("delay=900ms").unwrap();
    let got = send(runtime.stream(&case.tier, "Hello")).await;
    assert_eq!(got.header("x-route-attempts"), format!("{}:abandoned,{}:200", case.first, case.second));
}

async fn a_broken_stream_is_replayed(runtime: &Runtime) {
    let text = "one two three four five six";
    for fault in ["cut=3", "bad-event=3", "error-event=3", "stall=3", "truncate=3"] {
        let case = runtime.case("replay");
        runtime.first.script(&format!("text=\"{text}\" chunk=4 {fault}")).unwrap();
        runtime.second.script(&format!("text=\"{text}\" chunk=7")).unwrap();
        let got = send(runtime.stream(&case.tier, "Hello")).await;
        assert_eq!(content(&got), (text.to_owned(), true), "{fault}: {}", got.text);
        let log = runtime.log_line().await;
        assert_eq!((&log["resumed"], &log["gen_ai.provider.name"]), (&json!(1), &json!("second")), "{fault}");
        assert!(log["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{log}");
    }
}

async fn a_replay_that_differs_is_an_error(runtime: &Runtime) {
    let case = runtime.case("replay");
    runtime.first.script("text=\"one two three\" chunk=4 cut=2").unwrap();
    runtime.second.script("text=\"one too many\" chunk=4").unwrap();
    let got = send(runtime.stream(&case.tier, "Hello")).await;
    let (text, whole) = content(&got);
    assert!(!whole && "one two three".starts_with(&text), "{}", got.text);
    assert_eq!(runtime.log_line().await["error.type"], "stream_broken");
}

async fn a_call_that_broke_off_is_delivered_once(runtime: &Runtime) {
    let case = runtime.case("replay");
    let call = "text=\"Let me look.\" call=get_weather arguments=\"{\\\"city\\\": \\\"Rome\\\"}\" chunk=5";
    runtime.first.script(&format!("{call} cut=5")).unwrap();
    runtime.second.script(call).unwrap();
    let tool = json!({"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}});
    let body = json!({"stream": true, "messages": [{"role": "user", "content": "Weather?"}], "tools": [tool]});
    let got = send(runtime.post("/v1/chat/completions", &body).header("x-route-tier", &case.tier)).await;
    assert!(content(&got).1, "{}", got.text);
    let arguments: String = got
        .events()
        .iter()
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|chunk| {
            let call = &chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
            call.as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(arguments, "{\"city\": \"Rome\"}", "{}", got.text);
}

async fn a_held_stream_survives_a_cut(runtime: &Runtime) {
    let case = runtime.case("hold");
    runtime.first.script("events=5 cut=3").unwrap();
    let got = send(runtime.stream(&case.tier, "Hello")).await;
    assert_eq!(got.header("x-route-attempts"), case.passed_on("broken"));
    assert!(content(&got).1);
    let case = runtime.case("hold");
    runtime.first.script("events=5 cut=3").unwrap();
    runtime.second.script("events=5 cut=3").unwrap();
    let got = send(runtime.stream(&case.tier, "Hello")).await;
    assert_eq!((got.status, got.code().as_str()), (502, "provider_error"));
}

async fn a_handed_over_stream_passes_on(runtime: &Runtime) {
    let case = runtime.case("handoff");
    runtime.first.script("events=20 gap=50ms").unwrap();
    let got = send(runtime.stream(&case.tier, "Hello")).await;
    assert!(content(&got).1);
    assert_eq!(runtime.log_line().await["handed_off"], true);
}

async fn a_client_that_leaves_stops_everything(runtime: &Runtime) {
    let case = runtime.case("replay");
    runtime.first.script("events=2000 gap=20ms").unwrap();
    let response = runtime.stream(&case.tier, "Hello").send().await.expect("an answer");
    let mut parts = response.bytes_stream();
    parts.next().await.expect("a first part").expect("bytes");
    drop(parts);
    runtime.first.client_gone(1).await;
    let log = runtime.log_line().await;
    assert_eq!((&log["client_closed"], log["attempts"].as_array().map(Vec::len)), (&json!(true), Some(1)));
    assert_eq!(runtime.second.received(), 0);
}

async fn a_hang_costs_its_deadline_once(runtime: &Runtime) {
    let case = runtime.case("case");
    runtime.first.script("hang *").unwrap();
    let started = Instant::now();
    let got = send(runtime.stream(&case.tier, "Hello")).await;
    assert_eq!(got.header("x-route-attempts"), case.passed_on("timeout"));
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(runtime.first.received(), 1);
    let got = send(runtime.stream(&case.tier, "Hello")).await;
    let probing = started.elapsed() > Duration::from_millis(1_900);
    assert!(probing || got.header("x-route-attempts") == format!("{}:200", case.second), "{}", got.text);
}

/// Words of the fault script for the soak; some leave the answer whole.
const FAULTS: [&str; 20] = [
    "ok",
    "ok",
    "ok",
    "ok",
    "status=503",
    "status=500",
    "rate-limit=50ms",
    "close",
    "reset",
    "cut=2",
    "stall=2",
    "truncate=3",
    "bad-event=1",
    "error-event=2",
    "text-event=1",
    "no-done",
    "no-finish",
    "garbage",
    "leak-event=1",
    "first=50ms",
];

async fn a_soak_leaves_everything_whole_or_an_error(runtime: &Runtime) {
    const REQUESTS: usize = 1_000;
    const AT_ONCE: usize = 32;
    let mut random = 88_172_645_463_325_252_u64;
    let mut draw = |below: usize| {
        // xorshift: the same faults in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for simulator in [&runtime.first, &runtime.second] {
        let steps: Vec<&str> = (0..REQUESTS * 3).map(|_| FAULTS[draw(FAULTS.len())]).collect();
        simulator.script(&steps.join("; ")).unwrap();
    }
    let cases: Vec<Case> = ["retry", "hedge", "hold", "replay", "case", "alone"]
        .into_iter()
        .flat_map(|kind| [runtime.case(kind), runtime.case(kind)])
        .collect();
    let requests: Vec<(bool, &str)> =
        (0..REQUESTS).map(|_| (draw(3) > 0, cases[draw(cases.len())].tier.as_str())).collect();
    let ask = async |(stream, tier): (bool, &str)| {
        let got = send(if stream { runtime.stream(tier, "Hello") } else { runtime.chat(tier, "Hello") }).await;
        match got.status {
            200 if stream => content(&got).1,
            200 => !got.answer().is_empty(),
            status => {
                assert!([429, 502, 503, 504].contains(&status), "{status}: {}", got.text);
                assert!(!got.code().is_empty() && !got.header("x-should-retry").is_empty(), "{}", got.text);
                false
            }
        }
    };
    let results: Vec<bool> = futures_util::stream::iter(requests).map(ask).buffer_unordered(AT_ONCE).collect().await;
    let whole = results.iter().filter(|whole| **whole).count();
    assert!(whole > REQUESTS / 2, "most should be served although half of all attempts fail: {whole} of {REQUESTS}");
    for _ in 0..REQUESTS {
        runtime.log_line().await;
    }
    assert!(runtime.drain_log().is_empty(), "one line for each request");

    for simulator in [&runtime.first, &runtime.second] {
        simulator.script("").unwrap();
    }
    assert!(!send(runtime.chat("small", "Hello")).await.answer().is_empty(), "the gateway is well");
}
