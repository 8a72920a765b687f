//! No request kills: whatever bytes come, the answer is a documented one, there is a line for it, and the gateway lives.

use std::time::Duration;

use serde_json::json;

use crate::client::{Sending, Step, send};
use crate::garble::{break_bytes, break_value};
use crate::places::CODINGS;
use crate::planted;
use crate::provider::mark;
use crate::random::{Random, cases};
use crate::reply::{Said, good};
use crate::requests::{chat_with, post};
use crate::world::{AT_ONCE, GRACE, STAGE, Stage, TOTAL, all, client_key};

/// Of so many cases one is large and one is slow.
const RARELY: u64 = 125;
/// How long a client waits that wants to see a deadline missed.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn no_request_kills() {
    STAGE.run("malformed", async |stage, report| {
        let cases = cases(1_000, 20_000);
        for some in cases.chunks(500) {
            let answers = all(some, 2 * AT_ONCE, async |case| {
                let (name, sending) = draw(stage, case);
                let mut got = send(stage.world.addr(), &sending).await;
                stage.provider.forget(case);
                // The name stands before the answer, so that a finding tells it.
                got.raw.splice(0..0, format!("[{name}] ").into_bytes());
                (case, got)
            });
            let answers = answers.await;
            report.count(
                "answered by the guest",
                answers.iter().filter(|(_, got)| got.route_id().is_some()).count() as u64,
            );
            stage.world.check(&answers, report).await;
            stage.world.is_well(some[0], report).await;
        }
    });
}

fn draw(stage: &Stage, case: u64) -> (String, Sending) {
    let mut random = Random::new("malformed", case);
    match case % RARELY {
        7 => return large(case / RARELY, &mut random),
        8 => return slow(stage, case, &mut random),
        _ => {}
    }
    let (name, bytes) = match random.below(12) {
        0 => request_line(&mut random),
        1 | 2 => host(&mut random),
        3 => headers(&mut random),
        4 => framing(&mut random),
        5 => routing(&mut random),
        6 => credentials(&mut random),
        7 => broken_bytes(&mut random),
        8 => raw_json(&mut random),
        _ => broken_json(&mut random),
    };
    let mut sending = Sending::new(bytes, PATIENCE);
    sending.is_head = matches!(&sending.steps[0], Step::Bytes(bytes) if bytes.starts_with(b"HEAD "));
    match random.below(12) {
        0 => {
            let Step::Bytes(bytes) = &mut sending.steps[0] else { return (name, sending) };
            let at = random.below(bytes.len());
            let rest = bytes.split_off(at);
            sending.steps.extend([Step::Pause(Duration::from_millis(20)), Step::Bytes(rest)]);
        }
        1 => sending.steps.push(Step::Shut),
        2 => {
            let Step::Bytes(bytes) = &mut sending.steps[0] else { return (name, sending) };
            bytes.truncate(random.below(bytes.len()));
            sending.steps.push(Step::Shut);
        }
        3 => sending.leaves_after = Some(random.below(300)),
        _ => {}
    }
    (name, sending)
}

fn request_line(random: &mut Random) -> (String, Vec<u8>) {
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
    (format!("request line {:.40} {:.60} {version}", method, target), bytes.into_bytes())
}

fn host(random: &mut Random) -> (String, Vec<u8>) {
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

fn headers(random: &mut Random) -> (String, Vec<u8>) {
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

fn framing(random: &mut Random) -> (String, Vec<u8>) {
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

fn routing(random: &mut Random) -> (String, Vec<u8>) {
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

fn credentials(random: &mut Random) -> (String, Vec<u8>) {
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

/// Any byte of a good request is another one.
fn broken_bytes(random: &mut Random) -> (String, Vec<u8>) {
    let mut bytes = chat_with("plain-c1", random.once_in(2), "Hello there", &json!({"temperature": 0.5}));
    let names: Vec<String> = (0..=random.below(3)).map(|_| break_bytes(&mut bytes, random)).collect();
    (names.join(", "), bytes)
}

fn broken_json(random: &mut Random) -> (String, Vec<u8>) {
    let mut body = json!({
        "model": "any", "stream": random.once_in(2), "n": 1, "temperature": 0.5, "max_tokens": 50, "stop": ["x"], "user": "me",
        "stream_options": {"include_usage": true}, "metadata": {"a": "b"}, "tool_choice": "auto", "parallel_tool_calls": true,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}}},
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
            {"role": "user", "content": "And now?"},
        ],
    });
    let names: Vec<String> = (0..=random.below(4)).map(|_| break_value(&mut body, random)).collect();
    let tier = *random.pick(&["plain-c1", "plain-m1", "retry-c2", ""]);
    let lines = if tier.is_empty() { String::new() } else { format!("x-route-tier: {tier}\r\n") };
    (names.join(", "), post("/v1/chat/completions", &lines, body.to_string().as_bytes()))
}

/// Bodies that no JSON library would write.
fn raw_json(random: &mut Random) -> (String, Vec<u8>) {
    let depth = 1 << random.below(16);
    let bodies = [
        format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
        format!(r#"{{"messages":{}{}}}"#, r#"[{"content":"#.repeat(depth), "}]".repeat(depth)),
        format!(r#"{{"tools":{}1{}}}"#, r#"{"a":"#.repeat(depth), "}".repeat(depth)),
        r#"{"messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"b"}]}"#.to_owned(),
        r#"{"messages":[{"role":"user","content":"\ud800"}]}"#.to_owned(),
        r#"{"messages":[{"role":"user","content":"\u0000"}],"\ud800":1}"#.to_owned(),
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\0b\"}]}".to_owned(),
        r#"{"messages":[{"role":"user","content":"a"}],"max_tokens":1e999,"seed":-1e400,"n":99999999999999999999999}"#
            .to_owned(),
        r#"{"messages":[{"role":"user","content":"a"}],"n":128,"stream":true}"#.to_owned(),
        "\u{FEFF}{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}".to_owned(),
        r#"{"messages":[{"role":"user","content":"a"}]} {"again":1}"#.to_owned(),
        r#"{'messages':[]}"#.to_owned(),
        "null".to_owned(),
        "\"text\"".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        String::new(),
        "NaN".to_owned(),
        format!(
            r#"{{"messages":[{{"role":"user","content":"a"}}],"Stream":true,"MAX_TOKENS":1,{:?}:1}}"#,
            "k".repeat(5000)
        ),
        format!(r#"{{"messages":[{{"role":"user","content":"a","name":{:?}}}]}}"#, "n".repeat(70_000)),
    ];
    let body = random.pick(&bodies);
    let target = *random.pick(&["/v1/chat/completions", "/v1/chat/completions", "/v1/route"]);
    let tier = *random.pick(&["x-route-tier: plain-c1\r\n", "x-route-tier: plain-m1\r\n", ""]);
    (format!("body {body:.60}"), post(target, tier, body.as_bytes()))
}

/// Bodies near the limit, made to cost much; each kind once in so many large ones.
fn large(number: u64, random: &mut Random) -> (String, Sending) {
    const SIZE: usize = 9_500_000;
    let user = |content: &str| format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#);
    let many = |item: &dyn Fn(usize) -> String, count: usize| (0..count).map(item).collect::<Vec<_>>().join(",");
    let (name, body) = match number % 8 {
        0 => (
            "130,000 top-level fields",
            format!(
                r#"{{"messages":[{{"role":"user","content":"a"}}],{}}}"#,
                many(&|at| format!("\"k{at}\":{at}"), 130_000)
            ),
        ),
        1 => ("tiny parts", user(&format!("[{}]", many(&|_| r#"{"type":"text","text":"a"}"#.to_owned(), SIZE / 27)))),
        2 => ("one long text", user(&format!("\"{}\"", "a ".repeat(SIZE / 2)))),
        3 => (
            "one image",
            user(&format!(
                r#"[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]"#,
                "A".repeat(SIZE)
            )),
        ),
        4 => (
            "many messages",
            format!(r#"{{"messages":[{}]}}"#, many(&|_| r#"{"role":"user","content":"a"}"#.to_owned(), SIZE / 30)),
        ),
        5 => (
            "a large schema",
            format!(
                r#"{{"messages":[{{"role":"user","content":"a"}}],"response_format":{{"type":"json_schema","json_schema":{{"name":"a","strict":true,"schema":{{"type":"object","properties":{{{}}}}}}}}}}}"#,
                many(&|at| format!(r#""p{at}":{{"type":"string"}}"#), 150_000)
            ),
        ),
        6 => (
            "many tools",
            format!(
                r#"{{"messages":[{{"role":"user","content":"a"}}],"tools":[{}]}}"#,
                many(
                    &|at| format!(
                        r#"{{"type":"function","function":{{"name":"f{at}","parameters":{{"type":"object"}}}}}}"#
                    ),
                    60_000
                )
            ),
        ),
        _ => ("escapes", user(&format!("\"{}\"", "\\u0041".repeat(SIZE / 6)))),
    };
    let tier = *random.pick(&["plain-c1", "plain-m1"]);
    let bytes = post("/v1/chat/completions", &format!("x-route-tier: {tier}\r\n"), body.as_bytes());
    (format!("{name} to {tier}"), Sending::new(bytes, PATIENCE))
}

/// Clients that take their time.
fn slow(stage: &Stage, case: u64, random: &mut Random) -> (String, Sending) {
    let whole = chat_with("plain-c1", false, "Hello", &json!({}));
    let (head, body) = whole.split_at(whole.len() - 20);
    let mut sending = Sending::new(Vec::new(), PATIENCE);
    let name = match case / RARELY % 4 {
        0 => {
            sending.steps = vec![Step::Bytes(head.to_vec()), Step::Pause(PATIENCE)];
            "a body whose end stays away"
        }
        1 => {
            let head = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
                client_key()
            );
            sending.steps = vec![Step::Bytes(head.into_bytes())];
            for _ in 0..PATIENCE.as_millis() / 250 {
                sending.steps.extend([Step::Bytes(b"1\r\n \r\n".to_vec()), Step::Pause(Duration::from_millis(250))]);
            }
            "a chunked body that trickles"
        }
        2 => {
            sending.steps = vec![Step::Bytes(head.to_vec())];
            for byte in body {
                sending.steps.extend([
                    Step::Pause(Duration::from_millis(10 + random.below(40) as u64)),
                    Step::Bytes(vec![*byte]),
                ]);
            }
            "a body whose end comes slowly"
        }
        _ => {
            // More than the sockets between take, so that somebody has to wait for the client.
            let said = Said::new(&"word ".repeat(8).repeat(1_000));
            stage.provider.plan(case, move |asked| good(asked.dialect, asked.streams, &said));
            let request = chat_with("plain-m1", true, &format!("{}please", mark(case)), &json!({}));
            sending.steps = vec![Step::Bytes(request)];
            sending.reads_after = TOTAL + GRACE;
            "a client that does not read"
        }
    };
    (name.to_owned(), sending)
}
