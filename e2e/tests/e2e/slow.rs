//! Clients that send or take slowly, or leave while nothing comes.

use std::sync::LazyLock;

use futures_util::StreamExt;
use serde_json::json;
use tiergate_cli::wasm::Guest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::runtime::{Runtime, Shared, key};
use crate::scenarios::scenarios;

static REUSED: LazyLock<Shared> = LazyLock::new(Shared::new);
static SINGLE: LazyLock<Shared> = LazyLock::new(Shared::new);

scenarios!(
    a_body_that_stops_arriving_is_not_waited_for,
    a_reader_that_stops_is_not_waited_for,
    a_client_that_has_left_is_handed_nothing,
);

/// A chat completion as it stands in the connection, but for the end of its body. In chunks, since the local runtime takes in
/// a body of known length before the gateway sees the request.
fn begun(tier: &str, stream: bool, timeout_ms: u64) -> (String, String) {
    let body = json!({"stream": stream, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let (key, (begin, end)) = (key("app"), body.split_at(10));
    let begun = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\nx-route-tier: {tier}\r\n\
         x-route-timeout-ms: {timeout_ms}\r\nconnection: close\r\n\r\n{:x}\r\n{begin}\r\n",
        begin.len()
    );
    (begun, format!("{:x}\r\n{end}\r\n0\r\n\r\n", end.len()))
}

async fn a_body_that_stops_arriving_is_not_waited_for(runtime: &Runtime) {
    let (begun, _) = begun("small", false, 1_500);
    let mut socket = TcpStream::connect(runtime.gateway.addr()).await.expect("the gateway should listen");
    socket.write_all(begun.as_bytes()).await.expect("a part of the request should go out");
    // The runtime keeps the connection for the rest of the body, so the answer's end is its last bracket.
    let mut answer = Vec::new();
    while !answer.ends_with(b"}}") {
        assert_ne!(socket.read_buf(&mut answer).await.expect("an answer should come"), 0, "{answer:?}");
    }
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{answer}");
    assert_eq!(runtime.first.received(), 0);
    let line = runtime.log_line().await;
    assert_eq!((&line["error.type"], &line["http.response.status_code"]), (&json!("body_timeout"), &json!(408)));
}

async fn a_reader_that_stops_is_not_waited_for(runtime: &Runtime) {
    let case = runtime.case("alone");
    // More than the sockets toward the client take. What the provider's side takes does not matter, since it never ends.
    runtime.first.script("bytes=12000000 chunk=50000 stall=200").unwrap();
    let (begun, end) = begun(&case.tier, true, 6_000);
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut socket = socket.connect(runtime.gateway.addr()).await.expect("the gateway should listen");
    socket.write_all(format!("{begun}{end}").as_bytes()).await.expect("the request should go out");
    let mut begin = [0; 15];
    socket.read_exact(&mut begin).await.expect("the answer should begin");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    // Nothing more is read. The provider's connection is closed, and the sandbox is free.
    runtime.first.client_gone(1).await;
    let line = runtime.log_line().await;
    // On a busy machine the CPU time may be over before the buffers between are full.
    let is_gone = line["client_closed"] == true;
    assert!(is_gone || line["error.type"] == "stream_time_limit", "{line}");
    // What is left in the buffers is not the end of an answer.
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
}

async fn a_client_that_has_left_is_handed_nothing(runtime: &Runtime) {
    let case = runtime.case("short");
    runtime.first.script("events=2 stall=1").unwrap();
    let response = runtime.stream(&case.tier, "Hello").send().await.expect("an answer");
    let mut parts = response.bytes_stream();
    parts.next().await.expect("a first part").expect("bytes");
    drop(parts);
    // At the tier's total the rest is left to the platform, which finds nobody.
    let line = runtime.log_line().await;
    assert_eq!((&line["client_closed"], &line["handed_off"]), (&json!(true), &json!(null)), "{line}");
    assert_eq!(line["error.type"], json!(null), "{line}");
}
