//! The embedded runtime shows a guest what the options say, and lets the KV Store change while the guest serves.

use anyhow::Result;
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use tiergate_cli::gateway::{Gateway, GatewayOptions};
use tiergate_cli::kv::KvError;
use tiergate_cli::log::LogLine;
use tiergate_cli::wasm::{self, Guest};
use tiergate_guests::kv::{ListOptions, PutMode, PutOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::unbounded_channel;

fn probe() -> Result<GatewayOptions> {
    Ok(GatewayOptions::new(wasm::guest(Guest::Probe)?))
}

/// What the probe answers: the status and the body.
async fn ask(gateway: &Gateway, path: &str) -> Result<(u16, String)> {
    let response = reqwest::get(format!("{}{path}", gateway.url())).await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[tokio::test]
async fn a_guest_sees_what_the_options_say() -> Result<()> {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let upstream_url = format!("http://{}", upstream.local_addr()?);
    let echo_host = |headers: HeaderMap| async move { headers["host"].to_str().unwrap_or_default().to_owned() };
    tokio::spawn(axum::serve(upstream, Router::new().route("/hello", get(echo_host))).into_future());

    let options = probe()?
        .kv("policy", "{\"version\":\"1\"}")
        .kv("client/dev", "dev's entry")
        .secret("api.example.com", "made-up")
        .backend("api.example.com", upstream_url)
        .country("127.0.0.1".parse()?, "DE");
    let gateway = Gateway::start(options).await?;
    for (path, status, body) in [
        ("/kv/policy", 200, "{\"version\":\"1\"}"),
        ("/kv/client/dev", 200, "dev's entry"),
        ("/kv/absent", 404, ""),
        ("/secret/api.example.com", 200, "made-up"),
        ("/secret/other.example.com", 404, ""),
        ("/backend/api.example.com", 200, "api.example.com"),
        ("/country/", 200, "DE"),
    ] {
        assert_eq!(ask(&gateway, path).await?, (status, body.to_owned()), "{path}");
    }
    let (status, _) = ask(&gateway, "/backend/other.example.com").await?;
    assert_eq!(status, 502, "a host without a backend");
    gateway.stop().await;
    Ok(())
}

/// What is answered to these bytes: the first line, and the whole text.
async fn answer_to(gateway: &Gateway, request: &str) -> Result<(String, String)> {
    let mut connection = tokio::net::TcpStream::connect(gateway.addr()).await?;
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Ok((answer.lines().next().unwrap_or_default().to_owned(), answer))
}

#[tokio::test]
async fn a_service_may_be_for_this_machine_only() -> Result<()> {
    let gateway = Gateway::start(probe()?.kv("policy", "the policy").loopback_hosts_only()).await?;
    for (target, hosts, is_answered) in [
        ("/kv/policy", &["localhost"][..], true),
        ("/kv/policy", &["127.0.0.1:7676"], true),
        ("/kv/policy", &["[::1]:7676"], true),
        ("http://localhost/kv/policy", &["localhost"], true),
        ("/kv/policy", &["evil.example"], false),
        ("/kv/policy", &["localhost.evil.example:7676"], false),
        ("/kv/policy", &["localhost:99999"], false),
        ("/kv/policy", &[""], false),
        ("/kv/policy", &[], false),
        ("/kv/policy", &["localhost", "evil.example"], false),
        ("/kv/policy", &["evil.example", "localhost"], false),
        ("http://evil.example/kv/policy", &["localhost"], false),
        ("http://localhost/kv/policy", &["evil.example"], false),
    ] {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let request = format!("GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let (status, answer) = answer_to(&gateway, &request).await?;
        let expected = if is_answered { "HTTP/1.1 200 OK" } else { "HTTP/1.1 421 Misdirected Request" };
        assert_eq!((status.as_str(), answer.contains("the policy")), (expected, is_answered), "{request}");
        assert_eq!(answer.contains("answers only requests whose Host is localhost"), !is_answered, "{answer}");
    }
    let (status, _) = answer_to(&gateway, "GET /kv/policy HTTP/1.0\r\n\r\n").await?;
    assert_eq!(status, "HTTP/1.0 421 Misdirected Request");
    Ok(())
}

#[tokio::test]
async fn a_service_hears_any_name_unless_it_is_told_otherwise() -> Result<()> {
    let gateway = Gateway::start(probe()?.kv("policy", "the policy")).await?;
    let request = "GET /kv/policy HTTP/1.1\r\nHost: llm.example.com\r\nConnection: close\r\n\r\n";
    assert_eq!(answer_to(&gateway, request).await?.0, "HTTP/1.1 200 OK");
    Ok(())
}

#[tokio::test]
async fn a_service_can_lack_its_kv_store() -> Result<()> {
    let gateway = Gateway::start(probe()?.without_kv()).await?;
    assert_eq!(ask(&gateway, "/kv/policy").await?, (503, "KV Store \"tiergate\" not found".to_owned()));
    Ok(())
}

#[tokio::test]
async fn log_lines_and_standard_error_arrive_in_order() -> Result<()> {
    let (sink, mut lines) = unbounded_channel();
    let gateway = Gateway::start(probe()?.log(sink)).await?;
    ask(&gateway, "/log/first").await?;
    ask(&gateway, "/stderr/second").await?;
    for (endpoint, text) in [("tiergate", "first"), ("stderr", "second")] {
        let expected = LogLine { endpoint: endpoint.to_owned(), text: text.to_owned() };
        assert_eq!(lines.recv().await, Some(expected));
    }
    Ok(())
}

#[tokio::test]
async fn a_stopped_service_lets_go_of_its_port() -> Result<()> {
    let gateway = Gateway::start(probe()?).await?;
    let addr = gateway.addr();
    assert!(Gateway::start(probe()?.addr(addr)).await.is_err(), "the port is in use");
    gateway.stop().await;
    let again = Gateway::start(probe()?.addr(addr)).await?;
    assert_eq!(ask(&again, "/country/").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn values_change_while_the_guest_serves() -> Result<()> {
    let gateway = Gateway::start(probe()?.kv("policy", "old")).await?;
    assert_eq!(ask(&gateway, "/kv/policy").await?.1, "old");

    let kv = gateway.kv();
    kv.put("policy", "new").await?;
    assert_eq!(ask(&gateway, "/kv/policy").await?.1, "new");

    let found = kv.get("policy").await?.expect("the value should be there");
    assert_eq!(found.value, b"new");
    assert!(kv.delete("policy").await?);
    assert!(!kv.delete("policy").await?, "it is gone already");
    assert_eq!(kv.get("policy").await?, None);
    assert_eq!(ask(&gateway, "/kv/policy").await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn values_may_be_any_bytes() -> Result<()> {
    let bytes = [0xff, 0x00, b'\n', 0xfe];
    let gateway = Gateway::start(probe()?.kv("first", bytes)).await?;
    let kv = gateway.kv();
    kv.put("second", bytes).await?;
    for key in ["first", "second"] {
        let found = kv.get(key).await?.expect("the value should be there");
        assert_eq!(found.value, bytes, "{key}");
    }
    Ok(())
}

#[tokio::test]
async fn writes_can_depend_on_what_is_there() -> Result<()> {
    let gateway = Gateway::start(probe()?.kv("key", "b")).await?;
    let kv = gateway.kv();
    let with_mode = |mode| PutOptions { mode, ..PutOptions::default() };
    kv.put_with("key", "a", with_mode(PutMode::Prepend)).await?;
    kv.put_with("key", "c", with_mode(PutMode::Append)).await?;
    let added = kv.put_with("key", "d", with_mode(PutMode::Add)).await;
    assert!(matches!(added, Err(KvError::Refused { status: 412, .. })), "{added:?}");

    let found = kv.get("key").await?.expect("the value should be there");
    assert_eq!(found.value, b"abc");
    let if_generation = |generation| PutOptions {
        if_generation: Some(generation),
        metadata: Some("by hand".to_owned()),
        ..PutOptions::default()
    };
    let stale = kv.put_with("key", "e", if_generation(found.info.generation + 1)).await;
    assert!(matches!(stale, Err(KvError::Refused { status: 412, .. })), "{stale:?}");
    kv.put_with("key", "e", if_generation(found.info.generation)).await?;
    let found = kv.get("key").await?.expect("the value should be there");
    assert_eq!((found.value.as_slice(), found.info.metadata.as_deref()), (&b"e"[..], Some("by hand")));

    let refused = kv.put("a#b", "f").await;
    assert!(matches!(refused, Err(KvError::Refused { status: 400, .. })), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn keys_are_listed_by_prefix_and_page() -> Result<()> {
    let gateway =
        Gateway::start(probe()?.kv("client/b", "").kv("policy", "").kv("client/a", "").kv("client/c", "")).await?;
    let kv = gateway.kv();
    let options = ListOptions { prefix: Some("client/".to_owned()), limit: Some(2), cursor: None };
    let first = kv.list(options.clone()).await?;
    assert_eq!(first.keys, ["client/a", "client/b"]);
    assert!(first.next_cursor.is_some());
    let second = kv.list(ListOptions { cursor: first.next_cursor, ..options }).await?;
    assert_eq!(second.keys, ["client/c"]);
    assert_eq!(second.next_cursor, None);
    Ok(())
}
