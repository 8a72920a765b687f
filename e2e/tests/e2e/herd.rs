//! Many clients at once while a provider hangs, and what a client hears that waits for long: on gateways of their own, whose
//! policy has the health of the default.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tiergate_cli::gateway::{Gateway, GatewayOptions};
use tiergate_cli::wasm::{self, Guest};
use tiergate_simulator::{Profile, Simulator};

use crate::reliability::content;
use crate::runtime::{FIRST, Got, SECOND, client_entry, key, secret, send};

struct World {
    gateway: Gateway,
    first: Simulator,
    second: Simulator,
    http: reqwest::Client,
}

impl World {
    /// Two candidates in a tier that says `more`.
    async fn start(health: Value, more: Value) -> Self {
        let [first, second] = ["first", "second"].map(|name| {
            let key = secret(&format!("{name}.test"));
            Simulator::start(Profile::generic(name).with_key(&key), "127.0.0.1:0".parse().expect("an address"))
        });
        let (first, second) = (first.await.expect("a simulator"), second.await.expect("a simulator"));
        let mut tier = json!({
            "name": "both", "description": "x", "candidates": [{"model": "a"}, {"model": "b"}],
            "deadlines": {"first_token_ms": 500, "response_ms": 500, "idle_ms": 2000, "total_ms": 15000},
        });
        tier.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let model = |provider: &str| json!({"provider": provider, "id": "m", "context": 100_000, "max_output": 1_000});
        let provider = |host: &str| json!({"base_url": format!("https://{host}/v1"), "dialect": "openai-chat"});
        let policy = json!({
            "version": "herd", "default_tier": "both", "health": health, "tiers": [tier],
            "models": {"a": model("first"), "b": model("second")},
            "providers": {"first": provider(FIRST), "second": provider(SECOND)},
        });
        let mut options = GatewayOptions::new(wasm::guest(Guest::Edge).expect("the guest should build"))
            .kv("policy", policy.to_string())
            .kv("client/app", client_entry("app", "{}").to_string());
        for (host, simulator) in [(FIRST, &first), (SECOND, &second)] {
            options = options.secret(host, secret(host)).backend(host, format!("http://{}", simulator.addr()));
        }
        let gateway = Gateway::start(options).await.expect("the gateway should start");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { gateway, first, second, http }
    }

    async fn ask(&self, stream: bool) -> Got {
        let body = json!({"stream": stream, "messages": [{"role": "user", "content": "Hello"}]});
        let url = format!("{}/v1/chat/completions", self.gateway.url());
        send(self.http.post(url).bearer_auth(key("app")).json(&body)).await
    }
}

#[tokio::test]
async fn three_failures_in_a_row_cool_a_candidate_down_and_two_do_not() {
    let world = World::start(json!({"cooldown_s": 60}), json!({})).await;
    world.first.script("status=503 x2; ok; status=503 x3").unwrap();
    for (request, attempts) in [
        "first/a:503,second/b:200",
        "first/a:503,second/b:200",
        "first/a:200",
        "first/a:503,second/b:200",
        "first/a:503,second/b:200",
        "first/a:503,second/b:200",
        "second/b:200",
    ]
    .into_iter()
    .enumerate()
    {
        let got = world.ask(false).await;
        assert_eq!(got.header("x-route-attempts"), attempts, "request {request}");
    }
}

#[tokio::test]
async fn a_herd_leaves_a_hanging_candidate_alone_but_for_one_probe_each_cooldown() {
    const CONNECTIONS: usize = 50;
    let world = World::start(json!({"cooldown_s": 1, "max_cooldown_s": 1}), json!({})).await;
    world.first.script("hang *").unwrap();
    let herd = async |requests: usize| {
        let asking = (0..requests).map(|_| world.ask(true));
        futures_util::future::join_all(asking).await
    };
    for got in herd(CONNECTIONS).await {
        assert!(content(&got).1, "{}", got.text);
        assert_eq!(got.header("x-route-attempts"), "first/a:timeout,second/b:200");
    }
    // The first cool-down has begun; a sandbox may not know of it for a second.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        herd(1).await;
    }
    let (counted, before) = (Instant::now(), world.first.received());
    let mut requests = 0;
    while world.first.received() < before + 3 {
        for got in herd(CONNECTIONS).await {
            assert!(content(&got).1, "{}", got.text);
            requests += 1;
        }
    }
    // Each probe takes its half second at least, and begins a cool-down of one.
    let probes = world.first.received() - before;
    let periods = counted.elapsed().as_secs_f64() / 1.5;
    assert!(probes as f64 <= periods.ceil() + 1.0, "{probes} probes in {periods} periods and {requests} requests");
}

#[tokio::test]
async fn nobody_waits_for_a_probe_that_hangs() {
    let world = World::start(json!({"failures": 1, "cooldown_s": 1}), json!({})).await;
    world.first.script("status=503; hang").unwrap();
    world.ask(true).await;
    let probing = loop {
        let got = world.ask(true).await;
        if world.first.received() == 2 {
            break got;
        }
    };
    assert_eq!(probing.header("x-route-attempts"), "first/a:probing,second/b:200");
    assert!(content(&probing).1);
}

#[tokio::test]
async fn a_stream_that_waits_gets_its_head_and_then_its_answer_or_an_error() {
    let tier = json!({"early_head_ms": 300, "deadlines": {"first_token_ms": 3000, "idle_ms": 3000, "total_ms": 9000}});
    let world = World::start(json!({}), tier).await;
    world.first.script("delay=900ms; status=500 delay=900ms").unwrap();
    world.second.script("status=500").unwrap();
    let got = world.ask(true).await;
    assert!(got.text.starts_with(": keep-alive\n\n"), "{}", got.text);
    assert_eq!((got.header("x-route-provider"), got.header("x-route-attempts")), ("", ""));
    assert!(content(&got).1, "{}", got.text);

    let failed = world.ask(true).await;
    assert_eq!(failed.status, 200);
    assert!(failed.text.contains("\"code\":\"provider_error\"") && !failed.ended, "{}", failed.text);
    assert!(!failed.text.contains("[DONE]"), "{}", failed.text);
}
