//! Ways to move a key or a prompt that only the platform can show: static backends whose names promise too much.

use serde_json::{Value, json};
use tiergate_cli::gateway::{Gateway, GatewayOptions};
use tiergate_cli::wasm::{self, Guest};
use tiergate_simulator::{Profile, Simulator};

use crate::runtime::{FIRST, SECOND, client_entry, key, policy, secret, send};

/// Answers to whoever asks, with whatever key.
async fn anybody() -> Simulator {
    let addr = "127.0.0.1:0".parse().expect("an address");
    Simulator::start(Profile::generic("anybody"), addr).await.expect("it starts")
}

fn with_row(row: Value) -> Value {
    let mut policy = policy();
    policy["providers"]["first"].as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
    policy
}

/// How a request to the tier `small`, whose one candidate is the first provider, ends: status, code and attempts.
async fn ask(options: GatewayOptions, policy: Value) -> (u16, String, String) {
    let options = options.kv("policy", policy.to_string()).kv("client/app", client_entry("app", "{}").to_string());
    let gateway = Gateway::start(options).await.expect("the gateway should start");
    let body = json!({"messages": [{"role": "user", "content": "Hello"}]});
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/v1/chat/completions", gateway.url());
    let got = send(http.post(url).bearer_auth(key("app")).header("x-route-tier", "small").json(&body)).await;
    let code = if got.status == 200 { String::new() } else { got.code() };
    (got.status, code, got.header("x-route-attempts").to_owned())
}

#[tokio::test]
async fn the_name_of_a_static_backend_lets_nothing_through() {
    let wasm = wasm::guest(Guest::Edge).expect("the guest should build");
    let other = anybody().await;
    let url = format!("http://{}", other.addr());
    let options = || GatewayOptions::new(&wasm);
    // An entry for the port at which nobody speaks TLS, so that what goes its own way fails on this machine.
    let listed = format!("https://{}", other.addr());
    let key = secret(FIRST);
    let dynamic = format!("tiergate_https_127.0.0.1_{}_1000_15000_120-60-0", other.addr().port());
    let no_secret = (503, "no_secret".to_owned(), "first/one:no_secret".to_owned());
    let no_backend = (503, "no_backend".to_owned(), "first/one:no_backend".to_owned());

    for row in [
        json!({"base_url": "https://internal-admin/v1", "auth": "none"}),
        json!({"base_url": "https://internal-admin/v1"}),
        json!({"base_url": "https://internal-admin:8443/v1", "auth": "none"}),
    ] {
        let options = options().backend("internal-admin", &url).secret(SECOND, secret(SECOND));
        assert_eq!(ask(options, with_row(row.clone())).await, no_secret, "{row}");
    }

    let row = json!({"base_url": format!("{listed}/v1")});
    let misnamed = options().backend_named("127.0.0.1", "other.example", &url).place(&listed, "", Some(&key));
    let (status, code, attempts) = ask(misnamed, with_row(row.clone())).await;
    assert_eq!((status, code.as_str()), (502, "provider_error"), "{attempts}");

    let preempting = options().backend_named(dynamic, "127.0.0.1", &url).place(&listed, "", Some(&key));
    assert_eq!(ask(preempting, with_row(row.clone())).await, no_backend);

    assert_eq!(other.requests().len(), 0, "nothing may have reached the other server");

    // One that is for the host is used, or the cases above would show nothing.
    let meant = options().backend("127.0.0.1", &url).place(&listed, "", Some(&key));
    assert_eq!(ask(meant, with_row(row)).await, (200, String::new(), "first/one:200".to_owned()));
    assert_eq!(other.requests()[0].header("authorization"), Some(format!("Bearer {key}").as_str()));
}

#[tokio::test]
async fn a_marker_is_enough_for_a_provider_without_a_key() {
    let wasm = wasm::guest(Guest::Edge).expect("the guest should build");
    let open = anybody().await;
    let row = || with_row(json!({"auth": "none"}));
    let options = || GatewayOptions::new(&wasm).backend(FIRST, format!("http://{}", open.addr()));
    for (options, status) in [
        (options(), 503),
        (options().place(format!("https://{SECOND}"), "", None), 503),
        (options().secret(FIRST, ""), 200),
        (options().place(format!("https://{FIRST}/v1"), "", None), 200),
    ] {
        assert_eq!(ask(options, row()).await.0, status);
    }
    assert_eq!(open.requests().len(), 2);
    assert!(open.requests().iter().all(|request| request.header("authorization").is_none()));
}
