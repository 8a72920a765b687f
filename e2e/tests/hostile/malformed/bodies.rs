//! Bodies of requests that no client should send, each with its name.

use serde_json::json;

use crate::client::Sending;
use crate::garble::{break_bytes, break_value};
use crate::malformed::PATIENCE;
use crate::random::Random;
use crate::requests::{chat_with, post};

/// Any byte of a good request is another one.
pub fn broken_bytes(random: &mut Random) -> (String, Vec<u8>) {
    let mut bytes = chat_with("plain-c1", random.once_in(2), "Hello there", &json!({"temperature": 0.5}));
    let names: Vec<String> = (0..=random.below(3)).map(|_| break_bytes(&mut bytes, random)).collect();
    (names.join(", "), bytes)
}

/// A request with everything in it, of which something is wrong.
pub fn broken_json(random: &mut Random) -> (String, Vec<u8>) {
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
pub fn raw_json(random: &mut Random) -> (String, Vec<u8>) {
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
pub fn large(number: u64, random: &mut Random) -> (String, Sending) {
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
