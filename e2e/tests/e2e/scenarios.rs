//! What a client sees, from keys to broken streams.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tiergate_cli::wasm::Guest;

use crate::runtime::{CLASSIFIER, FIRST, Runtime, Shared, client_entry, key, policy, secret, send};

static REUSED: LazyLock<Shared> = LazyLock::new(Shared::new);
static SINGLE: LazyLock<Shared> = LazyLock::new(Shared::new);

/// Makes two tests of each scenario.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        mod reused {
            use super::{Guest, REUSED};
            $(#[test] fn $name() { REUSED.run(Guest::Edge, super::$name); })+
        }
        mod single {
            use super::{Guest, SINGLE};
            $(#[test] fn $name() { SINGLE.run(Guest::Single, super::$name); })+
        }
    };
}

pub(crate) use scenarios;

scenarios!(
    a_header_skips_the_classifier,
    the_classifier_decides,
    the_classifier_never_holds_up_a_request,
    keys_are_checked,
    bad_requests_are_refused,
    only_listed_headers_cross,
    failover_is_invisible,
    nobody_left_is_told_well,
    each_trouble_has_its_own_meaning,
    a_stream_passes_event_by_event,
    a_broken_stream_is_never_whole,
    a_client_that_leaves_is_noticed,
    a_policy_change_takes_effect,
    other_endpoints_answer,
    a_large_request_passes,
    requests_in_parallel_do_not_mix,
);

async fn a_header_skips_the_classifier(runtime: &Runtime) {
    let got = send(runtime.chat("small", "Hello")).await;
    assert!(got.answer().contains("first"), "{}", got.text);
    assert_eq!((got.header("x-route-tier"), got.header("x-route-source")), ("small", "header"));
    assert_eq!(got.header("x-route-provider"), "first");
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(runtime.classifier.received(), 0);
    let sent = &runtime.first.requests()[0];
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {}", secret(FIRST)).as_str()));
    assert_eq!(sent.header("host"), Some(FIRST));

    let log = runtime.log_line().await;
    assert_eq!(log["id"], got.header("x-route-id"));
    assert_eq!((&log["tier"], &log["source"], &log["client"]), (&json!("small"), &json!("header"), &json!("app")));
    assert_eq!(log["http.response.status_code"], 200);
    assert!(log["gen_ai.usage.input_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{log}");
    assert!(log["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{log}");
    assert_eq!(log["bytes"]["sent"], got.text.len());
    assert!(log["pop"].as_str().is_some_and(|pop| !pop.is_empty()));
    assert!(runtime.drain_log().is_empty(), "one request has one line");
}

async fn the_classifier_decides(runtime: &Runtime) {
    runtime.classifier.script("tier=small confidence=0.87").unwrap();
    let got = send(runtime.chat("", "Which tier?")).await;
    assert!(got.answer().contains("first"));
    assert_eq!((got.header("x-route-tier"), got.header("x-route-source")), ("small", "classifier"));
    assert_eq!(got.header("x-route-confidence"), "0.87");
    let asked = &runtime.classifier.requests()[0];
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {}", secret(CLASSIFIER)).as_str()));
    let log = runtime.log_line().await;
    assert_eq!((&log["source"], &log["classifier"]["model"]), (&json!("classifier"), &json!("judge")));
}

async fn the_classifier_never_holds_up_a_request(runtime: &Runtime) {
    for (script, reason) in [
        ("status=503", "classifier_error"),
        ("close", "classifier_error"),
        ("hang", "classifier_timeout"),
        ("delay=5s", "classifier_timeout"),
        ("nonsense", "classifier_invalid"),
        ("tier=huge", "classifier_invalid"),
        ("garbage", "classifier_invalid"),
        ("tier=small confidence=0.1", "low_confidence"),
    ] {
        runtime.classifier.script(script).unwrap();
        let got = send(runtime.chat("", "Hello")).await;
        assert_eq!(got.status, 200, "{script}: {}", got.text);
        assert_eq!(got.header("x-route-reason"), reason, "{script}");
        assert_eq!((got.header("x-route-tier"), got.header("x-route-source")), ("medium", "default"), "{script}");
        let decide = runtime.log_line().await["duration_ms"]["decide"].as_f64().expect("a duration");
        assert!(decide < 2_000.0, "{script} took {decide} ms, far beyond the deadline of 400");
    }
}

async fn keys_are_checked(runtime: &Runtime) {
    let absent = send(runtime.http.post(format!("{}/v1/chat/completions", runtime.gateway.url())).body("{}")).await;
    assert_eq!((absent.status, absent.code().as_str()), (401, "invalid_api_key"));
    for (authorization, refusal) in [
        (format!("Bearer {}x", key("app")), "wrong_key"),
        (format!("Bearer {}", key("stranger")), "unknown_client"),
        (format!("Bearer {}", key("gone")), "disabled"),
        ("Bearer tg_a/../b_0123456789abcdefghijklmnopqrstuvwxyz".to_owned(), "malformed_key"),
    ] {
        runtime.drain_log();
        let body = json!({"messages": [{"role": "user", "content": "x"}]});
        let url = format!("{}/v1/chat/completions", runtime.gateway.url());
        let got = send(runtime.http.post(url).header("authorization", authorization).json(&body)).await;
        assert_eq!((got.status, &got.text), (401, &absent.text), "{refusal}");
        assert_eq!(runtime.log_line().await["refusal"], refusal);
    }
    assert_eq!(runtime.first.received() + runtime.classifier.received(), 0, "nothing left");
}

async fn bad_requests_are_refused(runtime: &Runtime) {
    let raw = |body: Vec<u8>| {
        let url = format!("{}/v1/chat/completions", runtime.gateway.url());
        runtime.http.post(url).bearer_auth(key("app")).body(body)
    };
    let large = vec![b'x'; 1_000_001];
    for (name, request, status, code) in [
        ("not JSON", raw(b"nope".to_vec()), 400, "invalid_json"),
        ("invalid UTF-8", raw(b"{\"a\":\"\xFF\"}".to_vec()), 400, "invalid_json"),
        ("no messages", raw(b"{}".to_vec()), 400, "invalid_value"),
        ("too large", raw(large), 413, "body_too_large"),
        ("unknown tier", runtime.chat("huge", "x"), 400, "invalid_header"),
        ("unknown path", runtime.post("/v2/chat", &json!({})), 404, "unknown_path"),
        ("wrong method", runtime.get("/v1/chat/completions"), 405, "method_not_allowed"),
    ] {
        let got = send(request).await;
        assert_eq!(got.status, status, "{name}: {}", got.text);
        assert_eq!(got.code(), code, "{name}");
        assert!(!got.header("x-route-id").is_empty(), "{name}");
    }
    let method = send(runtime.get("/v1/chat/completions")).await;
    assert_eq!(method.header("allow"), "POST, OPTIONS");
    let url = format!("{}/v1/chat/completions", runtime.gateway.url());
    let body = json!({"messages": [{"role": "user", "content": "x"}]});
    let bounded = runtime.http.post(url).bearer_auth(key("small-only")).header("x-route-tier", "medium").json(&body);
    let got = send(bounded).await;
    assert_eq!((got.status, got.code().as_str()), (403, "tier_not_allowed"));
}

async fn only_listed_headers_cross(runtime: &Runtime) {
    let got = send(
        runtime
            .chat("small", "Hello")
            .header("cookie", "session=1")
            .header("openai-organization", "org")
            .header("x-stainless-lang", "python")
            .header("x-custom", "1")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    )
    .await;
    let known = [
        "content-type",
        "content-length",
        "accept",
        "accept-encoding",
        "user-agent",
        "authorization",
        "traceparent",
        "host",
    ];
    let requests = runtime.first.requests();
    for name in requests[0].headers.keys() {
        assert!(known.contains(&name.as_str()), "{name} reached the provider");
    }
    assert!(requests[0].header("traceparent").is_some());
    for name in got.headers.keys().map(|name| name.as_str()) {
        let listed = ["content-type", "content-length", "cache-control", "server-timing", "date", "x-request-id"];
        let passes = listed.contains(&name) || name.starts_with("x-route-") || name.starts_with("x-ratelimit-");
        assert!(passes, "{name} reached the client");
    }
    assert_eq!(got.header("x-request-id"), got.header("x-route-id"));
}

async fn failover_is_invisible(runtime: &Runtime) {
    for (script, outcome) in [
        ("status=503", "503"),
        ("status=429 retry-after=1", "429"),
        ("status=401", "401"),
        ("html", "502"),
        ("array", "503"),
        ("quota", "429"),
        ("error-200", "error_in_200"),
        ("empty", "undecodable"),
        ("garbage", "undecodable"),
        ("truncate=40", "undecodable"),
        ("status=200 type=text/html body=<h1>Welcome</h1>", "undecodable"),
        ("cut=20", "broken"),
        ("hang", "timeout"),
        ("stall=20", "timeout"),
    ] {
        let case = runtime.case("case");
        runtime.first.script(script).unwrap();
        let got = send(runtime.chat(&case.tier, "Hello")).await;
        assert!(got.answer().contains("second"), "{script}: {}", got.text);
        assert_eq!(got.header("x-route-attempts"), case.passed_on(outcome), "{script}");
        assert_eq!(got.header("x-route-provider"), "second", "{script}");
    }
    // A connection that was closed before the request came is not the candidate's failure: it is asked once more. The local
    // runtime tells a reset from no other failure to send.
    for (script, serves) in [("close", "first"), ("close x2", "second"), ("reset", "second")] {
        runtime.first.script(script).unwrap();
        let got = send(runtime.chat(&runtime.case("case").tier, "Hello")).await;
        assert!(got.answer().contains(serves), "{script}: {}", got.text);
    }
    let refused = send(runtime.chat("broken", "Hello")).await;
    assert!(refused.answer().contains("second"), "{}", refused.text);
    assert!(refused.header("x-route-attempts").starts_with("down/down:"), "{}", refused.header("x-route-attempts"));
    runtime.first.script("status=503").unwrap();
    let streamed = send(runtime.stream(&runtime.case("case").tier, "Hello")).await;
    assert_eq!(streamed.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(streamed.header("x-route-provider"), "second");
    runtime.first.script("first=5s").unwrap();
    let case = runtime.case("case");
    let late = send(runtime.stream(&case.tier, "Hello")).await;
    assert_eq!(late.header("x-route-attempts"), case.passed_on("timeout"));
}

async fn nobody_left_is_told_well(runtime: &Runtime) {
    let alone = || runtime.chat(&runtime.case("alone").tier, "Hello");
    runtime.first.script("status=429 retry-after=7").unwrap();
    let limited = send(alone()).await;
    assert_eq!((limited.status, limited.code().as_str()), (429, "rate_limit_exceeded"));
    assert_eq!((limited.header("retry-after"), limited.header("x-should-retry")), ("7", "true"));
    // The simulator prints a part of the key that it was given, or all of it, as real ones do.
    for script in ["status=401", "leak-key"] {
        runtime.first.script(script).unwrap();
        let auth = send(alone()).await;
        assert_eq!((auth.status, auth.code().as_str()), (502, "provider_auth"));
        assert_eq!(auth.header("x-should-retry"), "false");
    }
    for (script, code) in [
        ("status=400", "provider_rejected"),
        ("list-message", "provider_rejected"),
        ("content-policy", "content_policy_violation"),
        ("context-length", "context_length_exceeded"),
        ("status=400 body=\"{\\\"error\\\":{\\\"message\\\":\\\"no: <key>\\\"}}\"", "provider_rejected"),
    ] {
        runtime.first.script(script).unwrap();
        let rejected = send(alone()).await;
        assert_eq!((rejected.status, rejected.code().as_str()), (400, code), "{script}");
    }
    assert_eq!(runtime.first.received(), 8, "each was asked once");
}

async fn each_trouble_has_its_own_meaning(runtime: &Runtime) {
    let case = runtime.case("alone");
    for (trouble, status, code) in [
        ("account", 503, "provider_quota"),
        ("key", 502, "provider_auth"),
        ("region", 502, "provider_auth"),
        ("model", 502, "provider_not_found"),
        ("retired", 502, "provider_not_found"),
        ("context", 400, "context_length_exceeded"),
        ("above-rate", 429, "rate_limit_exceeded"),
        ("policy", 400, "content_policy_violation"),
        ("flagged", 400, "content_policy_violation"),
        ("unaffordable", 503, "provider_quota"),
        ("no-endpoint", 400, "provider_rejected"),
        ("refused", 400, "provider_rejected"),
        ("overload", 502, "provider_error"),
    ] {
        for script in [format!("error={trouble}"), format!("status=200 error={trouble}")] {
            runtime.first.script(&script).unwrap();
            let got = send(runtime.chat(&case.tier, "Hello")).await;
            assert_eq!((got.status, got.code().as_str()), (status, code), "{script}: {}", got.text);
        }
    }
    // It asks for 1.5 s, which are waited for.
    runtime.first.script("error=rate").unwrap();
    let got = send(runtime.chat(&runtime.case("alone").tier, "Hello")).await;
    assert!(got.answer().contains("first"), "{}", got.text);
}

async fn a_stream_passes_event_by_event(runtime: &Runtime) {
    runtime.first.script("events=3 gap=300ms").unwrap();
    let response = runtime.stream("small", "Hello").send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut arrivals = 0;
    let mut text = String::new();
    let mut parts = response.bytes_stream();
    while let Some(part) = parts.next().await {
        arrivals += 1;
        text.push_str(std::str::from_utf8(&part.expect("bytes")).expect("text"));
    }
    assert!(arrivals >= 3, "events that come apart should not be held together: {arrivals} arrivals of {text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(!text.contains("\"choices\":[]"), "usage was not asked for: {text}");
    let log = runtime.log_line().await;
    let cost = (log["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), &log["cost_estimated"]);
    assert_eq!(cost, (true, &json!(true)), "nothing goes on with long answers here: {log}");
    assert_eq!((&log["stream"], &log["bytes"]["sent"]), (&json!(true), &json!(text.len())));
    assert!(log["duration_ms"]["first_byte"].as_f64() < log["duration_ms"]["total"].as_f64());

    let body = json!({"stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Hello"}]});
    let asked = send(runtime.post("/v1/chat/completions", &body).header("x-route-tier", "small")).await;
    let events = asked.events();
    let usage: Value = serde_json::from_str(&events[events.len() - 2]).expect("JSON");
    assert!(usage["usage"]["total_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{usage}");
}

async fn a_broken_stream_is_never_whole(runtime: &Runtime) {
    for script in [
        "events=5 cut=2",
        "events=5 truncate=2",
        "events=5 stall=2",
        "events=5 error-event=2",
        "events=5 leak-event=2",
        "events=5 bad-event=2",
        "events=5 line=3000000",
        "no-finish",
    ] {
        runtime.first.script(script).unwrap();
        let got = send(runtime.stream(&runtime.case("alone").tier, "Hello")).await;
        assert_eq!(got.status, 200, "{script}");
        assert!(!got.ended, "{script}: the transfer should be aborted");
        let events = got.events();
        let error: Value = serde_json::from_str(events.last().expect("an event")).expect("JSON");
        assert_eq!(error["error"]["code"], "stream_broken", "{script}: {}", got.text);
        assert!(!got.text.contains("[DONE]"), "{script}");
        assert_eq!(runtime.log_line().await["error.type"], "stream_broken", "{script}");
    }
    for script in ["no-done", "events=5 text-event=2"] {
        runtime.first.script(script).unwrap();
        let got = send(runtime.stream(&runtime.case("alone").tier, "Hello")).await;
        assert!(got.ended && got.text.ends_with("data: [DONE]\n\n"), "{script}: {}", got.text);
        assert_eq!(runtime.log_line().await["error.type"], Value::Null, "{script}");
    }
}

async fn a_client_that_leaves_is_noticed(runtime: &Runtime) {
    runtime.first.script("events=2000 gap=20ms").unwrap();
    let response = runtime.stream("small", "Hello").send().await.expect("an answer");
    let id = response.headers()["x-route-id"].to_str().expect("an id").to_owned();
    let mut parts = response.bytes_stream();
    parts.next().await.expect("a first part").expect("bytes");
    drop(parts);
    runtime.first.client_gone(1).await;
    let line = runtime.log_line().await;
    assert_eq!((&line["id"], &line["client_closed"]), (&json!(id), &json!(true)), "{line}");
}

async fn a_policy_change_takes_effect(runtime: &Runtime) {
    async fn labelled(runtime: &Runtime, label: &str) {
        let patience = tokio::time::timeout(Duration::from_secs(15), async {
            while send(runtime.chat("small", "Hello")).await.header("x-route-policy").split('@').next() != Some(label) {
                tokio::task::yield_now().await;
            }
        });
        patience.await.unwrap_or_else(|_| panic!("the policy {label} should come into force"));
    }
    let kv = runtime.gateway.kv();
    let mut changed = policy();
    changed["version"] = json!("e2e.2");
    changed["tiers"][0]["candidates"] = json!([{"model": "two"}]);
    kv.put("policy", changed.to_string()).await.unwrap();
    labelled(runtime, "e2e.2").await;
    let got = send(runtime.chat("small", "Hello")).await;
    assert!(got.answer().contains("second"));

    kv.put("policy", "{\"version\": 7}").await.unwrap();
    let stale = tokio::time::timeout(Duration::from_secs(15), async {
        loop {
            let got = send(runtime.chat("small", "Hello")).await;
            assert_eq!(got.status, 200, "{}", got.text);
            assert!(got.header("x-route-policy").starts_with("e2e.2@"), "the last good policy stays in force");
            if got.header("x-route-reason") == "policy_stale" {
                return;
            }
        }
    });
    stale.await.expect("the bad document should be noticed");
    let url = format!("{}/healthz", runtime.gateway.url());
    let inspected = send(runtime.http.get(url).bearer_auth(key("pinner"))).await;
    assert!(inspected.json()["policy_faults"].to_string().contains("$.version"), "{}", inspected.text);

    kv.put("client/app", client_entry("app", "{\"disabled\":true}").to_string()).await.unwrap();
    let disabled = tokio::time::timeout(Duration::from_secs(15), async {
        while send(runtime.chat("small", "Hello")).await.status != 401 {}
    });
    disabled.await.expect("a disabled key should be refused");

    kv.put("client/app", client_entry("app", r#"{"tags":{"team":"search"}}"#).to_string()).await.unwrap();
    kv.put("policy", policy().to_string()).await.unwrap();
    labelled(runtime, "e2e.1").await;
}

async fn other_endpoints_answer(runtime: &Runtime) {
    let health = send(runtime.get("/healthz")).await;
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")));
    let models = send(runtime.get("/v1/models").bearer_auth(key("small-only"))).await;
    assert_eq!(models.json()["data"].as_array().map(Vec::len), Some(3));
    let body = json!({"messages": [{"role": "user", "content": "x"}]});
    runtime.classifier.script("tier=small confidence=0.9").unwrap();
    let route = send(runtime.post("/v1/route", &body)).await;
    assert_eq!((route.status, route.json()["tier"].as_str()), (200, Some("small")), "{}", route.text);
    assert_eq!(runtime.first.received() + runtime.second.received(), 0);
    let url = format!("{}/v1/chat/completions", runtime.gateway.url());
    let preflight = send(runtime.http.request(http::Method::OPTIONS, url).header("origin", "https://app.test")).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "https://app.test"));
}

async fn a_large_request_passes(runtime: &Runtime) {
    let text = "word ".repeat(60_000);
    let got = send(runtime.chat("small", &text)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert_eq!(runtime.first.requests()[0].json()["messages"][0]["content"], text);
    runtime.first.script("bytes=2000000").unwrap();
    let got = send(runtime.chat("small", "Hello")).await;
    assert!(got.answer().len() >= 2_000_000);
}

async fn requests_in_parallel_do_not_mix(runtime: &Runtime) {
    let ask = |number: usize| async move {
        let text = format!("question number {number} of many");
        let got = send(runtime.chat("small", &text)).await;
        assert!(got.answer().contains(&text), "{text}: {}", got.text);
        got.header("x-route-id").to_owned()
    };
    let mut ids = futures_util::future::join_all((0..40).map(ask)).await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 40, "every request has its own id");
    for _ in 0..40 {
        let line = runtime.log_line().await;
        assert!(ids.iter().any(|id| line["id"] == **id), "{line}");
    }
}
