//! Heads of requests that no client should send, each with its name.

use crate::places::CODINGS;
use crate::planted;
use crate::random::Random;
use crate::requests::post;
use crate::world::client_key;

/// Methods, targets and versions of all kinds.
pub fn request_line(random: &mut Random) -> (String, Vec<u8>) {
    let long = "x".repeat(1 << random.below(17));
    let methods = [
        "GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT", "PRI", "get", "", "G T", "GET\0", &long,
    ];
    let absolute = format!("http://localhost/{long}");
    let query = format!("/v1/chat/completions?{long}");
    let targets = [
        "*",
        "/",
        "",
        "//",
        "/v1",
        "/v1/models",
        "/v1/route",
        "/healthz",
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/../healthz",
        "/%00",
        "/%zz",
        "/v1/\u{e4}",
        "/\u{0}",
        "/a b",
        "http://",
        "http://localhost:99999/v1/models",
        "http://user:word@localhost/v1/models",
        "https://sk.test/v1/models",
        "localhost:80",
        "?",
        "#",
        "/?#",
        "/v1/models#x",
        "/v1/models?x=%ff",
        "http://256.1.1.1/",
        "http://[::1/",
        "/\u{202e}",
        &absolute,
        &query,
    ];
    let versions =
        ["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "http/1.1", "HTTP/1.1 x", "", "HTTP/9999999"];
    let method = *random.pick(&methods);
    let target = *random.pick(&targets);
    let version = if random.once_in(3) { *random.pick(&versions) } else { "HTTP/1.1" };
    let end = *random.pick(&["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n\r\n"]);
    let key = client_key();
    let bytes = format!(
        "{method} {target} {version}{end}host: localhost\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    );
    (format!("request line {method:.40} {target:.60} {version}"), bytes.into_bytes())
}

/// Hosts that no name server knows, or none, or several.
pub fn host(random: &mut Random) -> (String, Vec<u8>) {
    let long = "h".repeat(1 << random.below(15));
    let hosts = [
        "localhost:99999",
        "256.1.1.1",
        "1.2.3.4.5",
        "xn--",
        "xn--a",
        "",
        " ",
        "localhost:",
        "localhost:-1",
        "localhost:abc",
        ":80",
        "[::1]",
        "[::1",
        "[zz]",
        "user@localhost",
        "a b",
        "localhost, sk.test",
        "\u{e4}.test",
        "%zz",
        "%41.test",
        "..",
        ".",
        "a..b",
        "localhost/x",
        "localhost?x",
        "localhost#x",
        "http://localhost",
        "0x7f.1",
        "127.1",
        "4294967296",
        "-",
        "_",
        "sk.test",
        "localhost:65536",
        "localhost:00080",
        "\0",
        "\u{200b}",
        "a\\b",
        "<>",
        "^",
        "|",
        "1.2.3.256",
        "999",
        "xn--zz--",
        &long,
    ];
    let host = *random.pick(&hosts);
    let lines = match random.below(6) {
        0 => String::new(),
        1 => format!("host: localhost\r\nhost: {host}\r\n"),
        2 => format!("host: {host}\r\nhost: localhost\r\n"),
        _ => format!("host: {host}\r\n"),
    };
    let key = client_key();
    let target = *random.pick(&["/v1/models", "/healthz", "/nothing", "*", "/v1/chat/completions"]);
    let method = *random.pick(&["GET", "OPTIONS", "POST", "HEAD"]);
    let version = if random.once_in(5) { "HTTP/1.0" } else { "HTTP/1.1" };
    let body = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
    let bytes = format!(
        "{method} {target} {version}\r\n{lines}authorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    (format!("{method} {target} with {lines:.60?}"), bytes.into_bytes())
}

/// Too many headers, too long ones, and lines that are none.
pub fn headers(random: &mut Random) -> (String, Vec<u8>) {
    let (name, lines) = match random.below(10) {
        0 => ("300 headers", (0..300).map(|number| format!("x-{number}: {number}\r\n")).collect()),
        1 => ("a header of 60 KB", format!("x-long: {}\r\n", "y".repeat(60_000))),
        2 => ("a header of 1 MB", format!("x-long: {}\r\n", "y".repeat(1_000_000))),
        3 => ("a long traceparent", format!("traceparent: 00-{}-01\r\n", "a".repeat(30_000))),
        4 => ("folded lines", "x-a: b\r\n c\r\n\td\r\n".to_owned()),
        5 => ("a name with a space", "x a: b\r\n".to_owned()),
        6 => ("a line without a colon", "nothing\r\n".to_owned()),
        7 => ("a value that is not text", "x-route-tier: \u{1}\u{7f}\r\nx-route-session: \u{e4}\r\n".to_owned()),
        8 => ("expect", "expect: 100-continue\r\n".to_owned()),
        _ => (
            "other content types",
            format!(
                "content-type: {}\r\n",
                random.pick(&["text/plain", "multipart/form-data", "", "\u{e4}", "application/json; charset=utf-16"])
            ),
        ),
    };
    (name.to_owned(), post("/v1/chat/completions", &lines, br#"{"messages":[{"role":"user","content":"Hi"}]}"#))
}

/// Lengths and chunks that do not agree with the body.
pub fn framing(random: &mut Random) -> (String, Vec<u8>) {
    let framing = *random.pick(&[
        "content-length: -1",
        "content-length: 99999999999999999999",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 5",
        "content-length: 0x10",
        "content-length: ",
        "content-length: 1e3",
        "content-length: 10\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: x",
        "transfer-encoding: identity",
        "content-encoding: gzip\r\ncontent-length: 5",
        "content-length: 33554433",
        "content-length: 3",
    ]);
    let body = *random.pick(&[
        "zz\r\nabc\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\n",
        "5\r\nhel",
        "-1\r\n",
        "5;ext=\"\r\nhello\r\n0\r\nx: y\r\n\r\n",
        "0\r\n\r\n",
        "",
        "\r\n\r\n",
        "{}",
        "2\r\n{}\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "00000000000000000000002\r\n{}\r\n0\r\n\r\n",
    ]);
    let key = client_key();
    let bytes = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n{framing}\r\nx-route-timeout-ms: 1000\r\nconnection: close\r\n\r\n{body}"
    );
    (format!("{framing:?} with {body:?}"), bytes.into_bytes())
}

/// Routing headers with any values.
pub fn routing(random: &mut Random) -> (String, Vec<u8>) {
    let names = [
        "x-route-tier",
        "x-route-model",
        "x-route-timeout-ms",
        "x-route-tags",
        "x-route-session",
        "x-route-affinity",
        "x-route-cache",
        "traceparent",
        "accept",
        "origin",
        "x-route-id",
    ];
    let long = "v".repeat(1 << random.below(14));
    let values = [
        "",
        " ",
        "plain-c0",
        "nothing",
        "0",
        "-1",
        "1",
        "99999999999999999999",
        "a=b",
        "a=b,a=c",
        "=",
        ",,,",
        "no-store",
        "*",
        "\u{7f}",
        "00-0-0-00",
        "1.5",
        "a\tb",
        &long,
    ];
    let lines: String =
        (0..=random.below(3)).map(|_| format!("{}: {}\r\n", random.pick(&names), random.pick(&values))).collect();
    let target =
        *random.pick(&["/v1/chat/completions", "/v1/route", "/v1/route?classify=false", "/v1/models", "/healthz"]);
    (
        format!("{lines:.80?} to {target}"),
        post(target, &lines, br#"{"model":"x","messages":[{"role":"user","content":"Hi"}]}"#),
    )
}

/// Keys that are none, among them the providers' own.
pub fn credentials(random: &mut Random) -> (String, Vec<u8>) {
    let long = format!("Bearer tg_{}_{}", "a".repeat(1 << random.below(12)), "b".repeat(64));
    let planted = planted::all().nth(random.below(12)).map_or("", |(_, key)| key);
    let planted = format!("Bearer {}", crate::places::code(planted, *random.pick(CODINGS), random));
    let planted: String = planted.chars().filter(|character| !character.is_control()).collect();
    let values = [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "bearer tg_app_short",
        "Bearer tg__",
        "Bearer tg_app_",
        "Bearer tg_../policy_0123456789abcdefghijklmnopqrstuvwxyz",
        "Bearer tg_app_0123456789abcdefghijklmnopqrstuvwxyZ",
        "Bearer tg_nobody_0123456789abcdefghijklmnopqrstuvwxyz",
        "Bearer \u{e4}",
        "Bearer a b c",
        &long,
        &planted,
    ];
    let value = *random.pick(&values);
    let name = *random.pick(&["authorization", "x-api-key", "api-key", "proxy-authorization", "cookie"]);
    let twice = if random.once_in(4) { format!("{name}: {value}\r\n") } else { String::new() };
    let bytes = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{name}: {value}\r\n{twice}connection: close\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    (format!("{name}: {value:.60}"), bytes.into_bytes())
}
