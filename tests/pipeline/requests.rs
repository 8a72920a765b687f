//! Bad requests, and what passes through to a provider.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tiergate::platform::ReadError;

use crate::fake::{Chunk, Event};
use crate::scenario::{FIRST, KEY, SECOND, Scenario, answer, chunk, json_reply, policy, stream};

#[test]
fn bad_requests_say_what_would_be_valid() {
    let body = |text: &[u8]| Scenario::new().raw_body(text);
    let header = |name, value: &str| Scenario::new().header(name, value);
    let big = vec![b' '; 100_001];
    let cases: Vec<(&str, Scenario, u16, &str)> = vec![
        ("not JSON", body(b"{nonsense"), 400, "invalid_json"),
        ("not an object", body(b"[1]"), 400, "invalid_json"),
        ("invalid UTF-8", body(b"{\"a\": \"\xFF\"}"), 400, "invalid_json"),
        ("no messages", body(b"{}"), 400, "invalid_value"),
        ("wrong type", body(br#"{"messages":[{"role":"user"}],"stream":1}"#), 400, "invalid_value"),
        ("unknown role", body(br#"{"messages":[{"role":"robot","content":"x"}]}"#), 400, "invalid_value"),
        ("too large", body(&big), 413, "body_too_large"),
        ("announced too large", body(b"{}").header("content-length", "100001"), 413, "body_too_large"),
        ("unknown tier", header("x-route-tier", "huge"), 400, "invalid_header"),
        ("unknown model without right", header("x-route-model", "huge"), 403, "pin_not_allowed"),
        ("pin without right", header("x-route-model", "one"), 403, "pin_not_allowed"),
        ("bad timeout", header("x-route-timeout-ms", "soon"), 400, "invalid_header"),
        ("bad cache", header("x-route-cache", "yes"), 400, "invalid_header"),
        ("bad tags", header("x-route-tags", "novalue"), 400, "invalid_header"),
        ("unknown path", Scenario::new().path(Method::POST, "/v1/embeddings"), 404, "unknown_path"),
        ("wrong method", Scenario::new().path(Method::GET, "/v1/chat/completions"), 405, "method_not_allowed"),
    ];
    for (name, scenario, status, code) in cases {
        let scenario = scenario.run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (status, code), "{name}: {}", scenario.text());
        assert!(scenario.asked().is_empty(), "{name}");
        assert_eq!(scenario.log()["error.type"], code, "{name}");
        assert_eq!(scenario.response_header("x-route-id"), "request-1", "{name}");
    }
    let tier = Scenario::new().header("x-route-tier", "huge").run();
    assert!(tier.json()["error"]["message"].as_str().unwrap().contains("small, large"));
    let method = Scenario::new().path(Method::PUT, "/v1/models").run();
    assert_eq!(method.response_header("allow"), "GET, OPTIONS");
}

#[test]
fn a_request_no_candidate_can_carry_is_refused_with_the_reason() {
    let mut blind = policy();
    blind["models"]["one"]["vision"] = json!(false);
    let image = json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]);
    let scenario = Scenario::new()
        .policy(blind)
        .header("x-route-tier", "small")
        .ask(json!({"messages": [{"role": "user", "content": image}]}))
        .run();
    assert_eq!((scenario.status(), scenario.error_code().as_str()), (400, "no_capable_candidate"));
    assert!(scenario.text().contains("needs_vision"), "{}", scenario.text());
}

#[test]
fn published_fields_pass_through_in_their_order() {
    let body = r#"{"model":"x","prediction":{"content":[1.50,2e3]},"messages":[ {"role":"user","content":"ü \u00fc"} ],"temperature":0.2}"#;
    let scenario =
        Scenario::new().header("x-route-tier", "small").raw_body(body.as_bytes()).provider(FIRST, answer("hi")).run();
    assert_eq!(scenario.status(), 200);
    let sent = scenario.fake.sent.borrow();
    let expected = r#"{"prediction":{"content":[1.50,2e3]},"messages":[ {"role":"user","content":"ü \u00fc"} ],"temperature":0.2,"model":"first-upstream"}"#;
    assert_eq!(String::from_utf8_lossy(&sent[0].body), expected);
    assert_eq!(sent[0].url, "https://first.example/v1/chat/completions");
    assert_eq!(scenario.json()["surprise"], json!({"kept": true}), "unknown fields of the answer pass too");
}

#[test]
fn a_provider_gets_no_field_that_it_was_not_meant_to_get() {
    let unknown = json!({
        "models": ["other/model"], "provider": {"order": ["other"]}, "route": "fallback", "transforms": [], "plugins": [{}],
        "top_k": 5, "random_seed": null, "stream\n": true, "x\r\ninjected: 1": 1,
    });
    let ask = |extra: serde_json::Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "x"}], "store": true, "seed": 7});
        body.as_object_mut().unwrap().extend(unknown.as_object().unwrap().clone());
        let mut policy = policy();
        policy["providers"]["first"]["extra_fields"] = extra;
        Scenario::new().policy(policy).header("x-route-tier", "small").ask(body).provider(FIRST, answer("hi")).run()
    };
    let keys = |scenario: &Scenario| {
        let sent = scenario.sent_to(FIRST);
        sent.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    let plain = ask(json!([]));
    assert_eq!(keys(&plain), ["messages", "model", "seed", "store"]);
    assert_eq!(plain.response_header("x-route-dropped"), "models,plugins,provider,route,other,top_k,transforms");
    assert_eq!(plain.log()["dropped"].as_array().map(Vec::len), Some(7));
    let one = ask(json!(["top_k"]));
    assert_eq!(keys(&one), ["messages", "model", "seed", "store", "top_k"]);
    let any = ask(json!(["*"]));
    assert_eq!(any.response_header("x-route-dropped"), "other", "what is no plain name never passes");
    assert_eq!(any.sent_to(FIRST)["models"], json!(["other/model"]));
}

#[test]
fn what_a_client_makes_up_is_named_within_bounds() {
    let fields: serde_json::Map<_, _> = (0..500).map(|at| (format!("{}_{at}", "f".repeat(40)), json!(1))).collect();
    let mut body = json!({"messages": [{"role": "user", "content": "x"}]});
    body.as_object_mut().unwrap().extend(fields);
    let scenario = Scenario::new().header("x-route-tier", "small").ask(body).provider(FIRST, answer("hi")).run();
    let dropped = scenario.response_header("x-route-dropped");
    assert_eq!(dropped.split(',').count(), 33);
    assert!(dropped.ends_with(",other"), "{dropped}");
}

#[test]
fn a_field_in_another_case_is_refused() {
    for (field, right) in
        [("Stream", "stream"), ("Max_tokens", "max_tokens"), ("\u{17f}tore", "store"), ("MODEL", "model")]
    {
        let mut any = policy();
        any["providers"]["first"]["extra_fields"] = json!(["*"]);
        let body = json!({"messages": [{"role": "user", "content": "x"}], field: true});
        let scenario = Scenario::new().policy(any).header("x-route-tier", "small").ask(body).run();
        assert_eq!((scenario.status(), scenario.json()["error"]["param"].as_str()), (400, Some(field)));
        let message = scenario.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.ends_with(&format!("valid: `{right}`.")), "{message}");
    }
}

#[test]
fn a_bound_is_a_400_that_names_it_and_sends_nothing() {
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let ask = |fields: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],{fields}}}"#);
        Scenario::new().header("x-route-tier", "small").raw_body(body.as_bytes()).run()
    };
    let many: Vec<String> = (0..512).map(|at| format!("\"f{at}\":1")).collect();
    for (fields, message, param) in [
        (format!(r#""metadata":{nested}"#), "128 levels", None),
        (format!(r#""tools":[{{"function":{{"parameters":{nested}}}}}]"#), "128 levels", Some("tools")),
        (format!(r#""response_format":{{"json_schema":{nested}}}"#), "128 levels", Some("response_format")),
        (format!(r#""x":1,"messages":[{{"role":"user","content":[{nested}]}}]"#), "128 levels", Some("messages")),
        (many.join(","), "512 fields", None),
        (format!(r#""functions":[{}{{}}]"#, "{},".repeat(1_024)), "1024 tools", Some("functions")),
    ] {
        let scenario = ask(&fields);
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (400, "invalid_value"), "{message}");
        assert!(scenario.text().contains(message), "{}", scenario.text());
        assert_eq!(scenario.json()["error"]["param"].as_str(), param, "{message}");
    }
}

#[test]
fn null_hides_no_limit() {
    let ask = |model: &str, fields: serde_json::Value| {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let host = if model == "two" { SECOND } else { FIRST };
        let client = crate::scenario::client(json!({"may_pin": true}));
        Scenario::new().client(client).ask(body).provider(host, answer("hi")).run()
    };
    let renamed = ask("two", json!({"max_tokens": 50, "max_completion_tokens": null}));
    assert_eq!(renamed.sent_to(SECOND)["max_completion_tokens"], 50);
    let raw = String::from_utf8(renamed.fake.sent.borrow()[0].body.clone()).unwrap();
    assert_eq!(raw.matches("max_completion_tokens").count(), 1, "{raw}");
    let null = ask("two", json!({"max_tokens": null}));
    assert!(null.sent_to(SECOND).get("max_completion_tokens").is_none());
    let kept = ask("one", json!({"max_tokens": 50, "max_completion_tokens": null}));
    assert_eq!(kept.sent_to(FIRST)["max_tokens"], 50);
}

#[test]
fn no_spelling_hides_tools_or_media_from_a_rule() {
    let bound = |when: serde_json::Value| {
        let mut policy = policy();
        policy["rules"] = json!([{"name": "r", "when": when, "then": {"providers": ["second"]}}]);
        for flag in ["vision", "files", "audio"] {
            policy["models"]["two"][flag] = json!(true);
        }
        policy["classifier"] = serde_json::Value::Null;
        policy.as_object_mut().unwrap().remove("classifier");
        policy
    };
    let asked = |policy: serde_json::Value, body: serde_json::Value| {
        let scenario = Scenario::new().policy(policy).header("x-route-tier", "large").ask(body);
        let scenario = scenario.provider(SECOND, answer("hi")).run();
        assert_eq!(scenario.status(), 200, "{}", scenario.text());
        scenario.asked()
    };
    let user = json!([{"role": "user", "content": "x"}]);
    for tools in [json!(null), json!([])] {
        let body = json!({"messages": user, "tools": tools, "functions": [{"name": "f"}]});
        assert_eq!(asked(bound(json!({"has_tools": true})), body), [SECOND]);
    }
    for part in [
        json!({"type": "file", "file": {"file_data": "data:image/png;base64,AA=="}}),
        json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}),
    ] {
        let messages = json!([{"role": "user", "content": [part]}]);
        assert_eq!(asked(bound(json!({"has_images": true})), json!({"messages": messages})), [SECOND], "{part}");
    }
    let messages = json!([{"role": "user", "content": "x", "images": ["AA=="]}]);
    assert_eq!(asked(bound(json!({"has_images": true})), json!({"messages": messages})), [SECOND]);
}

#[test]
fn a_reasoning_model_is_spared_what_it_refuses() {
    let scenario = Scenario::new()
        .client(crate::scenario::client(json!({"may_pin": true})))
        .ask(json!({"model": "two", "messages": [{"role": "user", "content": "x"}], "temperature": 0.2, "top_p": 1,
            "max_tokens": 5000, "logprobs": null}))
        .provider(SECOND, answer("hi"))
        .run();
    let sent = scenario.sent_to(SECOND);
    assert_eq!(sent["max_completion_tokens"], 1000, "clamped to what the model can do");
    for gone in ["temperature", "top_p", "max_tokens", "logprobs"] {
        assert!(sent.get(gone).is_none(), "{gone}");
    }
    assert_eq!(scenario.response_header("x-route-dropped"), "max_completion_tokens,temperature,top_p");
    assert_eq!(scenario.response_header("x-route-source"), "model");
}

#[test]
fn quirks_of_a_provider_are_respected() {
    let mut quirky = policy();
    quirky["providers"]["first"]["quirks"] = json!(["no_developer_role", "stop_array"]);
    quirky["models"]["one"]["tools_effort"] = json!("none");
    let scenario = Scenario::new()
        .policy(quirky)
        .header("x-route-tier", "large")
        .ask(json!({
            "messages": [{"name": "a", "role": "developer", "content": "d"}, {"role": "user", "content": "x"}],
            "stop": "END", "tools": [{"type": "function", "function": {"name": "f"}}], "reasoning_effort": "high",
        }))
        .provider(FIRST, answer("hi"))
        .run();
    let sent = scenario.sent_to(FIRST);
    assert_eq!(sent["messages"][0], json!({"role": "system", "name": "a", "content": "d"}));
    assert_eq!(sent["messages"][1], json!({"role": "user", "content": "x"}));
    assert_eq!(sent["stop"], json!(["END"]));
    assert_eq!(sent["reasoning_effort"], "none");
}

#[test]
fn only_listed_headers_reach_a_provider() {
    // `Scenario::run` scans every request's headers; these are what a client may try.
    let scenario = Scenario::new()
        .header("x-route-tier", "small")
        .header("cookie", "a=b")
        .header("openai-organization", "org")
        .header("x-stainless-lang", "python")
        .header("x-forwarded-for", "1.2.3.4")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .provider(FIRST, answer("hi"))
        .run();
    let sent = scenario.fake.sent.borrow();
    assert_eq!(sent[0].headers["authorization"], format!("Bearer {}", crate::scenario::secret_of(FIRST)));
    assert!(sent[0].headers.contains_key("traceparent"));
}

#[test]
fn a_row_says_the_path_the_query_and_the_header_of_the_key() {
    let mut policy = policy();
    let row = policy["providers"]["first"].as_object_mut().unwrap();
    row.extend(
        json!({
            "base_url": format!("https://{FIRST}"),
            "auth": {"header": "x-goog-api-key", "prefix": "Key "},
            "path": "/openai/deployments/{model}/chat/completions",
            "query": {"api-version": "2026-10-01", "for": "a b&c"},
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    policy["models"]["one"]["id"] = json!("team/gpt-6:1");
    let scenario = Scenario::new().policy(policy).header("x-route-tier", "large").provider(FIRST, answer("hi")).run();
    assert_eq!(scenario.status(), 200);
    let sent = scenario.fake.sent.borrow();
    let path = "openai/deployments/team%2Fgpt-6%3A1/chat/completions?api-version=2026-10-01&for=a%20b%26c";
    assert_eq!(sent[0].url, format!("https://{FIRST}/{path}"));
    assert_eq!(sent[0].headers["x-goog-api-key"], format!("Key {}", crate::scenario::secret_of(FIRST)));
    assert!(!sent[0].headers.contains_key("authorization"));
}

/// Whole and streamed, in both dialects: the engine reads answers with the names that it sent.
#[test]
fn a_tool_with_a_name_that_the_provider_refuses_is_called_by_its_own() {
    let tools = json!([{"type": "function", "function": {"name": "files.read"}}]);
    let ask = |stream: bool| {
        let messages = json!([{"role": "user", "content": "Hello"}]);
        Scenario::new()
            .header("x-route-tier", "large")
            .ask(json!({"model": "x", "stream": stream, "messages": messages, "tools": tools}))
    };
    let name_sent = |scenario: &Scenario| {
        let tool = &scenario.sent_to(FIRST)["tools"][0];
        tool["function"]["name"].as_str().or(tool["name"].as_str()).unwrap().to_owned()
    };
    let stand_in = name_sent(&ask(false).provider(FIRST, answer("hi")).run());
    assert!(stand_in.starts_with("files_read_"), "{stand_in}");
    let call = json!({"index": 0, "id": "c", "type": "function", "function": {"name": stand_in, "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let whole = json!({"id": "a", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]});
    let chunk = json!({"id": "a", "choices": [{"index": 0, "finish_reason": null, "delta": {"tool_calls": [call]}}]});
    let end = json!({"id": "a", "choices": [{"index": 0, "finish_reason": "tool_calls", "delta": {}}]});
    let events = [chunk, end].map(|event| format!("data: {event}\n\n"));
    let mut messages_policy = policy();
    messages_policy["providers"]["first"]["dialect"] = json!("anthropic-messages");
    let block = json!({"type": "tool_use", "id": "c", "name": stand_in, "input": {}});
    let of_messages = json!({"type": "message", "id": "m", "content": [block], "stop_reason": "tool_use"});
    for scenario in [
        ask(false).provider(FIRST, json_reply(200, whole)),
        ask(true).provider(FIRST, stream(vec![&events[0], &events[1], "data: [DONE]\n\n"])),
        ask(false).policy(messages_policy).provider(FIRST, json_reply(200, of_messages)),
    ] {
        let scenario = scenario.run();
        assert_eq!((scenario.status(), name_sent(&scenario)), (200, stand_in.clone()), "{}", scenario.text());
        let text = scenario.text();
        assert!(text.contains(r#""name":"files.read""#) && !text.contains(&stand_in), "{text}");
    }
}

#[test]
fn browsers_of_listed_origins_are_answered() {
    let preflight = |origin: &str| {
        Scenario::new()
            .without_header("authorization")
            .path(Method::OPTIONS, "/v1/chat/completions")
            .header("origin", origin)
            .run()
    };
    let listed = preflight("https://app.example");
    assert_eq!(listed.status(), 204);
    assert_eq!(listed.response_header("access-control-allow-origin"), "https://app.example");
    assert!(listed.response_header("access-control-allow-headers").contains("x-route-tier"));
    let stranger = preflight("https://evil.example");
    assert_eq!(stranger.response_header("access-control-allow-origin"), "");
    assert_eq!(stranger.response_header("access-control-allow-headers"), "");
    let refused = Scenario::new().without_header("authorization").header("origin", "https://app.example").run();
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.response_header("access-control-allow-origin"),
        "https://app.example",
        "errors are readable too"
    );
}

#[test]
fn a_key_that_a_client_puts_in_the_wrong_place_is_not_logged() {
    let check = |scenario: Scenario| assert!(!scenario.log().to_string().contains(&KEY[8..]), "{}", scenario.log());
    check(Scenario::new().path(Method::GET, &format!("/{KEY}")).run());
    check(Scenario::new().path(Method::GET, &format!("/v1/models/{KEY}")).run());
    check(Scenario::new().header("x-route-tier", KEY).run());
    check(
        Scenario::new()
            .header("x-route-tier", "small")
            .header("x-route-tags", &format!("k={KEY}"))
            .provider(FIRST, answer("hi"))
            .run(),
    );
    let body = json!({"model": KEY, "messages": [{"role": "user", "content": "Hello"}]});
    check(Scenario::new().header("x-route-tier", "small").ask(body).provider(FIRST, answer("hi")).run());
}

/// A body of which each of these parts comes so many milliseconds after the one before it.
fn trickle(parts: &[(&str, u64)]) -> Vec<Chunk> {
    let part = |(text, delay): &(&str, u64)| Chunk { delay: Duration::from_millis(*delay), ..chunk(text) };
    parts.iter().map(part).collect()
}

#[test]
fn a_body_that_trickles_gets_the_requests_own_time_and_no_more() {
    let whole = r#"{"messages":[{"role":"user","content":"Hello"}]}"#;
    let (begin, end) = whole.split_at(20);
    let slow = |delay| Scenario::new().body_parts(trickle(&[(begin, 0), (end, delay)]));
    for (name, scenario, answered, ended_at) in [
        ("in time", slow(9_000).header("x-route-tier", "small"), true, 9_000),
        ("the tier's time", slow(11_000).header("x-route-tier", "small"), false, 10_000),
        ("the longest time of any tier", slow(11_000), false, 10_000),
        ("the client's own time", slow(3_000).header("x-route-timeout-ms", "2000"), false, 2_000),
        (
            "one byte after the other",
            {
                let parts = [&[("{", 0)], vec![(" ", 900); 100].as_slice()].concat();
                Scenario::new().body_parts(trickle(&parts))
            },
            false,
            10_000,
        ),
    ] {
        let scenario = scenario.provider(FIRST, answer("Hi")).run();
        let total = scenario.log()["duration_ms"]["total"].as_f64().expect("a time");
        assert!((total - f64::from(ended_at)).abs() < 1.0, "{name}: ended after {total} ms");
        if answered {
            assert_eq!(scenario.status(), 200, "{name}");
        } else {
            assert_eq!((scenario.status(), scenario.error_code().as_str()), (408, "body_timeout"), "{name}");
            assert!(scenario.asked().is_empty(), "{name}");
        }
    }
}

#[test]
fn nothing_large_is_read_for_a_client_that_is_not_known() {
    for length in [64 * 1024, 40_000] {
        let parts = vec![chunk(&"x".repeat(length)); 40];
        let scenario = Scenario::new().header("authorization", "Bearer tg_who_0123456789abcdefghijklmnopqrstuv");
        let scenario = scenario.body_parts(parts).header("content-length", "2621440");
        scenario.fake.kv_delay.set(Duration::from_millis(100));
        let scenario = scenario.run();
        assert_eq!(scenario.status(), 401);
        let events = scenario.fake.events.borrow();
        let read: usize = events.iter().map(|event| if let Event::BodyRead(bytes) = event { *bytes } else { 0 }).sum();
        assert_eq!(read, 64 * 1024, "so much may come in beside the look-ups, however it is cut");
    }
}

#[test]
fn a_body_that_breaks_off_is_told_to_known_clients_only() {
    let broken = |key: &str| {
        let parts = vec![chunk("{"), Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }];
        Scenario::new().header("authorization", &format!("Bearer {key}")).body_parts(parts).run()
    };
    assert_eq!((broken(KEY).status(), broken(KEY).error_code().as_str()), (400, "body_incomplete"));
    assert_eq!(broken("tg_who_0123456789abcdefghijklmnopqrstuv").status(), 401);
    // The local runtime hides the break of a body that is waited for, so what was announced is compared.
    let short = Scenario::new().raw_body(b"{}").header("content-length", "3").run();
    assert_eq!((short.status(), short.error_code().as_str()), (400, "body_incomplete"));
}

#[test]
fn what_a_client_writes_is_bounded_in_the_log() {
    let method = Method::from_bytes("X".repeat(60_000).as_bytes()).expect("a token is a method");
    let scenario = Scenario::new().path(method, &format!("/v1/{}", "p".repeat(60_000))).run();
    assert_eq!(scenario.status(), 404);
    let line = scenario.log();
    let length = |field: &str| line[field].as_str().expect("text").len();
    assert!(length("http.request.method") < 40 && length("url.path") < 1_010, "{line}");
    let sent = Method::from_bytes(b"tg_app_0123456789abcdef").expect("a token is a method");
    assert_eq!(Scenario::new().path(sent, "/v1/models").run().log()["http.request.method"], "[masked]");
}
