//! Bodies of requests as clients send them: compressed, behind a byte order mark with half a surrogate pair in them, and with more
//! than text in them.

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use serde_json::{Value, json};

use crate::scenario::{FIRST, SECOND, Scenario, answer, client, gzip, policy};

const ASK: &str = r#"{"messages":[{"role":"user","content":"Hello"}]}"#;

fn small() -> Scenario {
    Scenario::new().header("x-route-tier", "small").provider(FIRST, answer("hi"))
}

#[test]
fn compressed_bodies_are_read_or_refused_with_a_word() {
    let coded = |coding: &str, body: &[u8]| small().header("content-encoding", coding).raw_body(body).run();
    for (coding, body) in [
        ("gzip", gzip(ASK.as_bytes())),
        ("X-GZIP", gzip(ASK.as_bytes())),
        ("deflate", compress_to_vec_zlib(ASK.as_bytes(), 6)),
        ("deflate", compress_to_vec(ASK.as_bytes(), 6)),
        ("identity", ASK.as_bytes().to_vec()),
        ("gzip", ASK.as_bytes().to_vec()),
    ] {
        let scenario = coded(coding, &body);
        assert_eq!(scenario.status(), 200, "{coding}: {}", scenario.text());
        assert_eq!(scenario.sent_to(FIRST)["messages"][0]["content"], "Hello");
        assert_eq!(scenario.log()["bytes"]["received"], body.len(), "as it came");
    }
    let cut = &gzip(ASK.as_bytes())[..30];
    let without_trailer = &gzip(ASK.as_bytes())[..gzip(ASK.as_bytes()).len() - 8];
    let changed = [without_trailer, &[0; 8]].concat();
    for (name, coding, body, status, code, words) in [
        ("another coding", "zstd", &b"\x28\xB5\x2F\xFD"[..], 415, "unsupported_content", "`zstd`; valid: one of gzip"),
        ("two codings", "gzip, br", b"x", 415, "unsupported_content", "`gzip, br`"),
        ("a bomb", "gzip", &gzip(&vec![b' '; 20 << 20]), 413, "body_too_large", "100000 bytes"),
        ("a part of one", "gzip", cut, 400, "invalid_json", "content-encoding"),
        ("without its checksum", "gzip", without_trailer, 400, "invalid_json", "content-encoding"),
        ("with another checksum", "gzip", &changed, 400, "invalid_json", "content-encoding"),
        ("damaged", "deflate", b"\xFF\xFF\xFF\xFF", 400, "invalid_json", "content-encoding"),
    ] {
        let scenario = coded(coding, body);
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (status, code), "{name}");
        assert!(scenario.text().contains(words), "{name}: {}", scenario.text());
        assert!(scenario.asked().is_empty(), "{name}");
        let readable = if status == 415 { "gzip, deflate" } else { "" };
        assert_eq!(scenario.response_header("accept-encoding"), readable, "{name}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_body() {
    let marked = |body: &[u8]| small().raw_body(&[b"\xEF\xBB\xBF", body].concat()).run();
    let scenario = marked(ASK.as_bytes());
    assert_eq!(scenario.status(), 200, "{}", scenario.text());
    assert!(scenario.fake.sent.borrow()[0].body.starts_with(b"{"));
    let bytes = marked(b"{\"a\":\"\xFF\"}");
    assert!(bytes.text().contains("see byte 9"), "{}", bytes.text());
}

#[test]
fn half_a_surrogate_pair_is_named_as_what_it_is() {
    const HALF: &str = r"\ud83d";
    let call = |members: &str| format!(r#"{{"role":"assistant","tool_calls":[{{"type":"function",{members}}}]}}"#);
    let messages = |more: &str| format!(r#"{{"messages":[{{"role":"user","content":"x"}},{more}]}}"#);
    let mut translated = policy();
    translated["providers"]["first"]["dialect"] = json!("anthropic-messages");
    translated["providers"]["first"]["base_url"] = json!(format!("https://{FIRST}"));
    translated["models"]["plain"]["tools"] = json!(true);
    for (body, place) in [
        (format!(r#"{{"model":"{HALF}","messages":[{{"role":"user","content":"x"}}]}}"#), "model"),
        (
            format!(
                r#"{{"tools":[{{"type":"function","function":{{"name":"{HALF}"}}}}],"messages":[{{"role":"user","content":"x"}}]}}"#
            ),
            "tools[0].function.name",
        ),
        (
            messages(&call(&format!(r#""id":"a","function":{{"name":"f{HALF}","arguments":"{{}}"}}"#))),
            "messages[1].tool_calls[0].function.name",
        ),
        (
            messages(&call(&format!(r#""id":"a","function":{{"name":"f","arguments":"{HALF}"}}"#))),
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            messages(&call(&format!(r#""id":"{HALF}","function":{{"name":"f","arguments":"{{}}"}}"#))),
            "messages[1].tool_calls[0].id",
        ),
        (messages(&format!(r#"{{"role":"tool","tool_call_id":"{HALF}","content":"x"}}"#)), "messages[1].tool_call_id"),
    ] {
        let scenario =
            Scenario::new().policy(translated.clone()).header("x-route-tier", "small").raw_body(body.as_bytes()).run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (400, "invalid_value"), "{body}");
        assert_eq!(scenario.json()["error"]["param"], place);
        assert!(scenario.text().contains("half of a surrogate pair"), "{}", scenario.text());
    }
    let name = small().raw_body(format!(r#"{{"{HALF}":1,"messages":[]}}"#).as_bytes()).run();
    assert_eq!((name.status(), name.error_code().as_str()), (400, "invalid_json"));
    assert!(name.text().contains("half of a surrogate pair"), "{}", name.text());
    // Below it, it is a field that nobody knows.
    let below = small()
        .raw_body(format!(r#"{{"messages":[{{"role":"user","content":"Hi","{HALF}":1,"foo":1}}]}}"#).as_bytes())
        .run();
    let messages = below.sent_to(FIRST)["messages"].clone();
    assert_eq!((below.status(), messages), (200, json!([{"role": "user", "content": "Hi"}])));
    assert!(below.response_header("x-route-dropped").contains("messages.foo"));
    // A text passes as it is to a provider of the same API.
    let text = small().raw_body(format!(r#"{{"messages":[{{"role":"user","content":"{HALF}"}}]}}"#).as_bytes()).run();
    assert_eq!(text.status(), 200, "{}", text.text());
}

/// `text` as Python's `json.dumps` writes it by default.
fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

#[test]
fn the_same_text_counts_the_same_however_it_is_written() {
    let text = "中\u{1F600}".repeat(400);
    let tools = |schema: &Value| json!([{"type": "function", "function": {"name": "f", "parameters": schema}}]);
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "description": text}}});
    let tight = tools(&schema).to_string();
    let wide = serde_json::to_string_pretty(&tools(&schema)).expect("JSON");
    let count = |body: String| {
        let pin = client(json!({"may_pin": true}));
        let scenario = Scenario::new().client(pin).header("x-route-model", "one").raw_body(body.as_bytes());
        let scenario = scenario.provider(FIRST, answer("hi")).run();
        assert_eq!(scenario.status(), 200, "{}", scenario.text());
        // What the plan is made by is what the classifier is told.
        tiergate::door::chat::parse(body.as_bytes()).expect("a request").features.input_tokens
    };
    let asked = |content: String| count(format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#));
    let plain = asked(format!("\"{text}\""));
    assert_eq!(plain, asked(format!("\"{}\"", escaped(&text))));
    assert_eq!(plain, asked(format!(r#"[{{"type":"text","text":"{}"}}]"#, escaped(&text))));
    assert_eq!(plain, asked(format!("[ {{\n\n    \"type\": \"text\",   \"text\": \"{text}\" }}\n\n ]")));
    let with_tools =
        |tools: &str| count(format!(r#"{{"messages":[{{"role":"user","content":"x"}}],"tools":{tools}}}"#));
    assert_eq!(with_tools(&tight), with_tools(&wide));
    assert_eq!(with_tools(&tight), with_tools(&tight.replace(&text, &escaped(&text))));
}

#[test]
fn files_audio_and_video_go_to_models_that_take_them() {
    let with = |flag: &str| {
        let mut policy = policy();
        policy["models"]["two"][flag] = json!(true);
        policy["providers"]["second"]["part_fields"] = json!(["video_url"]);
        policy["models"]["one"]["vision"] = json!(true);
        policy
    };
    let file = json!([{"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}}]);
    let audio = json!([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]);
    let video = json!([{"type": "video_url", "video_url": {"url": "https://a.example/v.mp4"}}]);
    let plain = json!("x");
    for (flag, reason, content, more) in [
        ("files", "needs_files", file, json!({})),
        ("audio", "needs_audio", audio, json!({})),
        ("video", "needs_video", video, json!({})),
        (
            "audio",
            "needs_audio",
            plain,
            json!({"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "wav"}}),
        ),
    ] {
        let mut body = json!({"messages": [{"role": "user", "content": content}]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let ask = |policy: Value| Scenario::new().policy(policy).header("x-route-tier", "large").ask(body.clone());
        let refused = ask(policy()).run();
        assert_eq!((refused.status(), refused.error_code().as_str()), (400, "no_capable_candidate"), "{reason}");
        assert!(refused.text().contains(reason), "{}", refused.text());
        let served = ask(with(flag)).provider(SECOND, answer("hi")).run();
        assert_eq!((served.status(), served.asked()), (200, vec![SECOND.to_owned()]), "{flag}: {}", served.text());
    }
}

#[test]
fn parts_of_types_that_nobody_knows_go_to_providers_that_list_them() {
    let part = |kind: &str| json!({"type": kind, "document_url": "https://a.example/d.pdf"});
    let thoughts = json!({"role": "assistant", "content": [
        {"type": "redacted_thinking", "data": "eA=="},
        {"type": "reasoning", "text": "hm"},
        {"type": "thinking", "thinking": "hm", "signature": "eA=="},
        {"type": "text", "text": "Hello"},
    ]});
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let listing = |names: Value| {
        let mut policy = policy();
        policy["providers"]["second"]["part_fields"] = names;
        policy["models"]["two"]["video"] = json!(true);
        policy
    };
    let ask = |names: Value, body: Value| {
        Scenario::new().policy(listing(names)).header("x-route-tier", "large").ask(body).provider(SECOND, answer("hi"))
    };
    for names in [json!(["document_url"]), json!(["*"])] {
        let served = ask(names, user(part("document_url"))).run();
        assert_eq!((served.status(), served.asked()), (200, vec![SECOND.to_owned()]), "{}", served.text());
        assert_eq!(served.sent_to(SECOND)["messages"][0]["content"][0], part("document_url"));
    }
    let foreign = json!({"type": "input_image", "image_url": "https://a.example/c.png"});
    let served = ask(json!(["input_image"]), user(foreign.clone())).run();
    assert_eq!(served.sent_to(SECOND)["messages"][0]["content"][0], foreign, "{}", served.text());
    for (names, body, param) in [
        (json!([]), user(part("document_url")), "messages[0].content[0].type"),
        (json!(["audio_url"]), user(part("document_url")), "messages[0].content[0].type"),
        (json!(["*"]), user(part("no type")), "messages[0].content[0].type"),
        (json!([]), user(json!({"type": "input_image", "image_url": "a"})), "messages[0].content[0].type"),
        (json!(["*"]), user(json!({"type": "text", "image_url": {"url": "a"}})), "messages[0].content[0].image_url"),
    ] {
        let refused = ask(names, body).run();
        assert_eq!((refused.status(), refused.json()["error"]["param"].as_str()), (400, Some(param)));
    }
    let film = user(json!({"type": "video_url", "video_url": {"url": "https://a.example/v.mp4"}}));
    let refused = ask(json!(["document_url"]), film).run();
    assert!(refused.text().contains("needs_video"), "a flag alone is not enough: {}", refused.text());
    let again = json!({"messages": [{"role": "user", "content": "Hi"}, thoughts, {"role": "user", "content": "Bye"}]});
    let served = Scenario::new().header("x-route-tier", "large").ask(again).provider(FIRST, answer("hi")).run();
    assert_eq!(served.status(), 200, "{}", served.text());
    let left = "messages.content.redacted_thinking,messages.content.reasoning,messages.content.thinking";
    assert_eq!(served.response_header("x-route-dropped").replace(' ', ""), left);
}
