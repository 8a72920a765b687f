//! What the Wasm shell does when things outside the pipeline go wrong: panics, no stores, no backends.

use serde_json::{Value, json};
use tiergate_cli::gateway::{Gateway, GatewayOptions};
use tiergate_cli::log::LogLine;
use tiergate_cli::wasm::{self, Guest};
use tiergate_simulator::{Profile, Simulator};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::runtime::{FIRST, SECOND, client_entry, key, policy, secret, send};

async fn start(
    guest: Guest,
    change: impl FnOnce(GatewayOptions) -> GatewayOptions,
) -> (Gateway, UnboundedReceiver<LogLine>) {
    let (sink, log) = unbounded_channel();
    let options = GatewayOptions::new(wasm::guest(guest).expect("the guest should build")).log(sink);
    (Gateway::start(change(options)).await.expect("the gateway should start"), log)
}

async fn second_provider() -> Simulator {
    let addr = "127.0.0.1:0".parse().expect("an address");
    Simulator::start(Profile::generic("second").with_key(&secret(SECOND)), addr).await.expect("it starts")
}

/// The policy and the client, and of all providers the second only.
fn with_second(options: GatewayOptions, second: &Simulator) -> GatewayOptions {
    options
        .kv("policy", policy().to_string())
        .kv("client/app", client_entry("app", "{}").to_string())
        .secret(SECOND, secret(SECOND))
        .backend(SECOND, format!("http://{}", second.addr()))
}

async fn tiergate_line(log: &mut UnboundedReceiver<LogLine>) -> Value {
    loop {
        let line = log.recv().await.expect("the log should go on");
        assert!(!line.text.contains("must not be printed"), "{line:?}");
        if line.endpoint == "tiergate" {
            return serde_json::from_str(&line.text).expect("JSON");
        }
    }
}

fn ask(gateway: &Gateway, tier: &str) -> reqwest::RequestBuilder {
    let body = json!({"messages": [{"role": "user", "content": "Hello"}]});
    let url = format!("{}/v1/chat/completions", gateway.url());
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    http.post(url).bearer_auth(key("app")).header("x-route-tier", tier).json(&body)
}

#[tokio::test]
async fn a_panic_is_answered_and_logged() {
    let (gateway, mut log) = start(Guest::Panicking, |options| options).await;
    for _ in 0..2 {
        let got = send(ask(&gateway, "small")).await;
        assert_eq!((got.status, got.code().as_str()), (500, "internal_error"), "{}", got.text);
        assert!(!got.text.contains("must not be printed"));
        let line = tiergate_line(&mut log).await;
        assert_eq!((&line["error.type"], &line["id"]), (&json!("internal_error"), &json!(got.header("x-route-id"))));
        assert_eq!(line["http.response.status_code"], 500);
    }
}

#[tokio::test]
async fn a_panic_before_anything_is_known_is_answered_and_logged() {
    let (gateway, mut log) = start(Guest::PanickingEarly, |options| options).await;
    let got = send(ask(&gateway, "small")).await;
    assert_eq!((got.status, got.code().as_str()), (500, "internal_error"), "{}", got.text);
    assert!(!got.text.contains("must not be printed"));
    let line = tiergate_line(&mut log).await;
    assert_eq!((&line["error.type"], &line["id"]), (&json!("internal_error"), &json!(got.header("x-route-id"))));
}

/// The answer to a request that is sent as it stands, up to the end of the connection.
async fn exchange(gateway: &Gateway, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(gateway.addr()).await.expect("the gateway should listen");
    socket.write_all(request.as_bytes()).await.expect("the gateway should read");
    let mut answer = Vec::new();
    // The runtime may close the connection as it likes; what came before counts.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn odd_hosts_and_targets_are_answered_like_others() {
    let (gateway, mut log) = start(Guest::Edge, |options| options.kv("policy", policy().to_string())).await;
    let mut refused = Vec::new();
    for host in ["localhost:99999", "256.1.1.1", "1.2.3.4.5", "xn--", "[::1", "a..b", "%zz", "user@host", "ü.test", ""]
    {
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = exchange(&gateway, &request).await;
        // What is no host at all the runtime refuses before the gateway sees it.
        if answer.is_empty() {
            assert!(log.try_recv().is_err(), "{host}");
            refused.push(host);
            continue;
        }
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-route-id"), "{host}: {answer}");
        assert_eq!(tiergate_line(&mut log).await["url.path"], "/healthz", "{host}");
    }
    assert_eq!(refused, ["[::1", "%zz", "ü.test", ""]);
    let answer = exchange(&gateway, "OPTIONS * HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("unknown_path"), "{answer}");
    assert_eq!(tiergate_line(&mut log).await["http.response.status_code"], 404);
}

#[tokio::test]
async fn heads_of_any_size_are_read_to_their_end() {
    // More names, and a longer value, than a first buffer holds; what matters stands behind them.
    let names = || (0..60).map(|number| format!("x-filler-with-a-long-name-{number}"));
    let long = "v".repeat(9_000);
    let second = second_provider().await;
    let fillers: String = names().map(|name| format!("header=\"{name}: {number}\" ", number = name.len())).collect();
    let script = format!(r#"{fillers} header="x-long: {long}" header="anthropic-ratelimit-tokens-limit: 77" *"#);
    second.script(&script).expect("a script");
    let (gateway, mut log) = start(Guest::Edge, |options| with_second(options, &second)).await;
    let with_fillers =
        |request| names().fold(request, |request: reqwest::RequestBuilder, name| request.header(name, "1"));
    let tags = format!("long={}", "t".repeat(100));
    let request = with_fillers(ask(&gateway, "medium")).header("x-long", &long).header("x-route-tags", &tags);
    let got = send(request).await;
    assert_eq!((got.status, got.header("anthropic-ratelimit-tokens-limit")), (200, "77"), "{}", got.text);
    assert_eq!(tiergate_line(&mut log).await["tags"]["long"], "t".repeat(100));
    // Every value of a header counts.
    let got = send(with_fillers(ask(&gateway, "medium")).header("x-route-tier", "medium")).await;
    assert_eq!((got.status, got.code().as_str()), (400, "invalid_header"), "{}", got.text);
}

#[tokio::test]
async fn a_panic_in_mid_stream_is_logged_and_aborts() {
    let (gateway, mut log) = start(Guest::Panicking, |options| options).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    // The host drops what it has not sent when the sandbox dies, so the head may be lost with it.
    if let Ok(response) = http.get(format!("{}/stream", gateway.url())).send().await {
        assert_eq!(response.status().as_u16(), 200);
        assert!(response.bytes().await.is_err(), "the client should see that the answer is not whole");
    }
    assert_eq!(tiergate_line(&mut log).await["error.type"], "internal_error");
}

#[tokio::test]
async fn without_a_kv_store_there_is_no_policy() {
    let (gateway, mut log) = start(Guest::Edge, GatewayOptions::without_kv).await;
    let got = send(ask(&gateway, "fast")).await;
    assert_eq!((got.status, got.code().as_str()), (503, "policy_unavailable"), "{}", got.text);
    assert_eq!(tiergate_line(&mut log).await["error.type"], "policy_unavailable");
}

#[tokio::test]
async fn no_policy_is_compiled_in() {
    let second = second_provider().await;
    for guest in [Guest::Edge, Guest::Single] {
        let (gateway, mut log) = start(guest, |options| with_second(options, &second)).await;
        let kv = gateway.kv();
        kv.delete("policy").await.expect("the store should answer");
        let got = send(ask(&gateway, "medium")).await;
        assert_eq!((got.status, got.code().as_str()), (503, "policy_unavailable"), "{}", got.text);
        assert!(got.text.contains("fastly kv-store-entry create"), "{}", got.text);
        assert_eq!(tiergate_line(&mut log).await["error.type"], "policy_unavailable");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let health = send(http.get(format!("{}/healthz", gateway.url()))).await;
        assert_eq!((health.status, health.json()["status"].as_str()), (503, Some("no_policy")));

        kv.put("policy", policy().to_string()).await.expect("the store should answer");
        let got = send(ask(&gateway, "medium")).await;
        assert_eq!((got.status, got.header("x-route-reason")), (200, ""), "{}", got.text);
    }
    // What the store holds as the last good one is as good as a copy.
    let change = |options: GatewayOptions| {
        let client = client_entry("app", "{}").to_string();
        options.kv("policy/last-good", policy().to_string()).kv("client/app", client)
    };
    let (gateway, _log) = start(Guest::Edge, change).await;
    let got = send(ask(&gateway, "small")).await;
    assert_eq!((got.code().as_str(), got.header("x-route-reason")), ("no_secret", "policy_stale"), "{}", got.text);
}

#[tokio::test]
async fn the_last_good_policy_is_written_once_and_goes_on() {
    let second = second_provider().await;
    // Each request has a sandbox of its own, so nothing is known but from the stores.
    let (gateway, _log) = start(Guest::Single, |options| with_second(options, &second)).await;
    let kv = gateway.kv();
    let asked = futures_util::future::join_all((0..20).map(|_| send(ask(&gateway, "medium")))).await;
    assert!(asked.iter().all(|got| got.status == 200 && got.header("x-route-reason").is_empty()));
    let written = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            if let Some(stored) = kv.get("policy/last-good").await.expect("the store should answer") {
                return stored;
            }
        }
    });
    let written = written.await.expect("it should be written after an answer");
    assert_eq!(written.value, policy().to_string().into_bytes());

    for (name, value) in [("faulty", Some("{}")), ("deleted", None)] {
        match value {
            Some(value) => kv.put("policy", value).await.expect("the store should answer"),
            None => drop(kv.delete("policy").await.expect("the store should answer")),
        }
        for _ in 0..3 {
            let got = send(ask(&gateway, "medium")).await;
            assert_eq!((got.status, got.header("x-route-reason")), (200, "policy_stale"), "{name}: {}", got.text);
            assert!(got.header("x-route-policy").starts_with("e2e.1@"), "{name}");
        }
    }
    let after = kv.get("policy/last-good").await.expect("the store should answer").expect("a value");
    assert_eq!(after, written, "nothing but a good policy is written, and that once");
}

#[tokio::test]
async fn without_secrets_the_log_names_the_missing_entry() {
    let change = |options: GatewayOptions| {
        options.kv("policy", policy().to_string()).kv("client/app", client_entry("app", "{}").to_string())
    };
    let (gateway, mut log) = start(Guest::Edge, change).await;
    let got = send(ask(&gateway, "small")).await;
    assert_eq!((got.status, got.code().as_str()), (503, "no_secret"), "{}", got.text);
    assert!(!got.text.contains(FIRST), "which entries there are is no client's business: {}", got.text);
    assert_eq!(tiergate_line(&mut log).await["attempts"][0]["missing_entry"], FIRST);
}

#[tokio::test]
async fn a_missing_secret_is_passed_over_and_the_classifiers_means_default() {
    let second = second_provider().await;
    let (gateway, _log) = start(Guest::Edge, |options| with_second(options, &second)).await;
    let got = send(ask(&gateway, "medium")).await;
    assert_eq!(got.header("x-route-attempts"), "first/mild:no_secret,second/two:200", "{}", got.text);
    let body = json!({"messages": [{"role": "user", "content": "Hello"}]});
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/v1/chat/completions", gateway.url());
    let unclassified = send(http.post(url).bearer_auth(key("app")).json(&body)).await;
    assert_eq!(unclassified.header("x-route-reason"), "classifier_no_secret", "{}", unclassified.text);
}

#[tokio::test]
async fn a_provider_on_loopback_needs_no_static_backend() {
    let addr = "127.0.0.1:0".parse().expect("an address");
    let own = Simulator::start(Profile::generic("own"), addr).await.expect("it starts");
    let mut local = policy();
    local["providers"]["first"] =
        json!({"base_url": format!("http://{}/v1", own.addr()), "dialect": "openai-chat", "auth": "none"});
    let change = |options: GatewayOptions| {
        options.kv("policy", local.to_string()).kv("client/app", client_entry("app", "{}").to_string())
    };
    let (gateway, _log) = start(Guest::Edge, change).await;
    for _ in 0..3 {
        let got = send(ask(&gateway, "small")).await;
        assert!(got.answer().contains("own"), "{}", got.text);
    }
    assert!(own.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_rule_sees_the_clients_country() {
    let second = second_provider().await;
    let change = |options: GatewayOptions| {
        let here = "127.0.0.1".parse().expect("an address");
        with_second(options, &second).secret(FIRST, secret(FIRST)).country(here, "DK")
    };
    let (gateway, _log) = start(Guest::Edge, change).await;
    let got = send(ask(&gateway, "medium")).await;
    assert_eq!(got.header("x-route-attempts"), "second/two:200", "{}", got.text);
}
