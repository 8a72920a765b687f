//! Bytes from outside, broken in every way that chance finds: nothing panics, and what goes on is well-formed.

use std::net::Ipv6Addr;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tiergate::admit::auth;
use tiergate::decide::classifier::{prompt, reply};
use tiergate::door;
use tiergate::door::answer::AnswerOptions;
use tiergate::door::delivery::Delivery;
use tiergate::door::headers;
use tiergate::policy::{self, BaseUrl, Candidate, Dialect, Effort, Entry, Policy, Quirk};
use tiergate::upstream::dialect::chat::{self, Mends};
use tiergate::upstream::dialect::tool_names::ToolNames;
use tiergate::upstream::dialect::{DecodeOptions, EncodeOptions, Heard, Recipient, Stream};
use tiergate::upstream::error_words;
use tiergate::upstream::keyring::places::Places;
use tiergate::wire::piece::{Piece, Said};
use tiergate::wire::sse::{Decoder, MAX_EVENT_BYTES};

/// Any JSON, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof![Just("user"), Just("developer"), Just("required"), Just("json_schema"), Just("text")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..6).prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}

/// A chunk with parts of calls, or what is near to one.
fn near_chunk() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![json!("run"), json!("ru"), json!("n"), json!("other"), json!(""), json!(7)]);
    let input =
        prop::sample::select(vec![json!(""), json!("{\"inp"), json!("ut\":\"a"), json!("\"}"), json!({}), json!(7)]);
    let function = prop_oneof![
        4 => (name, input).prop_map(|(name, input)| json!({"name": name, "arguments": input})),
        1 => any_json(),
    ];
    let index = prop::sample::select(vec![json!(0), json!(1), json!("x"), Value::Null]);
    let id = prop::sample::select(vec![json!("c"), json!("d"), json!(""), Value::Null]);
    let call = (index, id, function)
        .prop_map(|(index, id, function)| json!({"index": index, "id": id, "type": "function", "function": function}));
    let calls = prop_oneof![4 => prop::collection::vec(call, 0..3).prop_map(Value::from), 1 => any_json()];
    let delta = prop_oneof![4 => calls.prop_map(|calls| json!({"tool_calls": calls})), 1 => any_json()];
    let reason = prop::sample::select(vec![Value::Null, json!("stop"), json!("tool_calls"), json!(7)]);
    let choice = (0..2_u8, delta, reason)
        .prop_map(|(index, delta, reason)| json!({"index": index, "delta": delta, "finish_reason": reason}));
    prop::collection::vec(choice, 0..3).prop_map(|choices| json!({"choices": choices}))
}

/// Names that the code looks for, and others.
fn name() -> impl Strategy<Value = String> {
    let known = [
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "stream",
        "stream_options",
        "include_usage",
        "tools",
        "tool_choice",
        "response_format",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "stop",
        "temperature",
        "choices",
        "delta",
        "index",
        "finish_reason",
        "usage",
        "prompt_tokens",
        "error",
        "message",
        "code",
        "tier",
        "confidence",
    ];
    prop_oneof![8 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

/// A request that has at least the frame of one.
fn any_request() -> impl Strategy<Value = Value> {
    let turn = (prop::sample::select(&["system", "developer", "user", "assistant", "tool"][..]), any_json()).prop_map(
        |(role, content)| match content {
            Value::String(_) | Value::Null => json!({"role": role, "content": content}),
            other => json!({"role": role, "content": other.to_string(), "extra": other}),
        },
    );
    (prop::collection::vec(turn, 1..5), prop::collection::vec((name(), any_json()), 0..8)).prop_map(
        |(turns, fields)| {
            let mut request: Value = fields.into_iter().collect();
            request["messages"] = turns.into();
            request
        },
    )
}

/// A request to the Messages API, or what is near to one.
fn near_messages_request() -> impl Strategy<Value = Value> {
    let kinds = [
        "text",
        "image",
        "document",
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "tool_reference",
        "tool_addition",
        "tool_removal",
        "search_result",
        "server_tool_use",
        "hologram",
        "Text",
    ];
    let text = || {
        prop::sample::select(vec![
            json!("a"),
            json!("x-anthropic-billing-header: a"),
            json!("tgs1_a_b_c"),
            json!(""),
            json!(7),
        ])
    };
    let source = prop_oneof![
        4 => prop::sample::select(&["base64", "url", "file", "text", "content", "other"][..]).prop_map(|kind| json!({
            "type": kind, "media_type": "image/png", "data": "AA==", "url": "https://a.example/", "file_id": "f", "content": [{"type": "text", "text": "a"}],
        })),
        1 => any_json(),
    ];
    let tool = prop::sample::select(vec![
        json!({"type": "tool_reference", "name": "f"}),
        json!({"type": "tool_definition", "definition": {"name": "g"}}),
        json!({}),
    ]);
    let block = |content: BoxedStrategy<Value>| {
        (prop::sample::select(kinds.to_vec()), text(), source.clone(), tool.clone(), content, any_json()).prop_map(
            |(kind, text, source, tool, content, any)| {
                let mut block = json!({"type": kind, "text": text, "thinking": text, "signature": text, "data": text, "tool_name": text, "id": text, "name": text, "tool_use_id": text, "is_error": any});
                for (name, value) in [("source", source), ("tool", tool), ("content", content), ("input", any)] {
                    if !value.is_null() {
                        block[name] = value;
                    }
                }
                block
            },
        )
    };
    let leaf = prop_oneof![Just(Value::Null), Just(json!("a")), any_json()].boxed();
    let nested =
        prop_oneof![1 => leaf.clone(), 2 => prop::collection::vec(block(leaf), 0..3).prop_map(Value::from)].boxed();
    let content = prop_oneof![1 => text(), 4 => prop::collection::vec(block(nested), 0..4).prop_map(Value::from)];
    let role = prop::sample::select(&["user", "assistant", "system"][..]);
    let message = (role, content.clone(), any_json())
        .prop_map(|(role, content, config)| json!({"role": role, "content": content, "output_config": config}));
    let names =
        ["thinking", "output_config", "metadata", "tool_choice", "service_tier", "top_k", "max_tokens", "hologram"];
    let fields = prop::collection::vec((prop::sample::select(names.to_vec()), any_json()), 0..4);
    let tools = prop_oneof![
        Just(json!([{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}])),
        any_json()
    ];
    (prop::collection::vec(message, 1..4), content, tools, fields).prop_map(|(messages, system, tools, fields)| {
        let mut request: Value = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in [("messages", messages.into()), ("system", system), ("tools", tools)] {
            request[name] = value;
        }
        request
    })
}

/// Text that is nearly a base URL, or one.
fn near_url() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![
        6 => Just("https://"), 3 => Just("http://"), 1 => prop::sample::select(&["HTTPS://", "https:/", "https:\\\\", "//", "ftp://"][..]),
    ];
    let host = prop_oneof![
        4 => prop::sample::select(
            &["api.example", "localhost", "127.0.0.1", "127.1", "0x7f.1", "10.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[2001:DB8::1]", "a", "1", "xn--a", "A.example"][..]
        )
        .prop_map(str::to_owned),
        2 => "[a-zA-Z0-9.:_@%\\[\\]\\\\-]{0,12}",
        1 => ".{0,6}",
    ];
    let middle = prop_oneof![
        6 => Just(String::new()),
        1 => prop::sample::select(&[".", "@evil.example", ".evil.example", "__x", "%00", "\t", " ", "\\@evil.example"][..])
            .prop_map(str::to_owned),
    ];
    let port = prop_oneof![
        4 => Just(String::new()),
        2 => (0_u32..70_000).prop_map(|port| format!(":{port}")),
        1 => ":[0-9+ a]{0,5}",
    ];
    let path = prop_oneof![
        4 => prop::collection::vec(
            prop::sample::select(&["/v1", "/", "/..", "/.", "/%2e%2e", "/a;b", "/x@y", "/:z", "?q", "#f", "\\"][..]), 0..5
        ).prop_map(|parts| parts.concat()),
        1 => "[/a-zA-Z0-9.%?#;@:\\\\ ~=+,-]{0,12}",
    ];
    (scheme, host, middle, port, path)
        .prop_map(|(scheme, host, middle, port, path)| format!("{scheme}{host}{middle}{port}{path}"))
}

fn candidates(policy: &Policy) -> impl Iterator<Item = &Candidate> {
    policy.tiers.iter().flat_map(|tier| &tier.candidates).flat_map(|entry| match entry {
        Entry::One(candidate) => vec![candidate],
        Entry::Split(members) => members.iter().map(|member| &member.candidate).collect(),
    })
}

/// Feeds `bytes` to a decoder in parts of `size`, checking its bounds, and returns the data of the events.
fn events(bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for part in bytes.chunks(size.max(1)) {
        decoder.space().extend_from_slice(part);
        while let Ok(Some(event)) = decoder.next_event() {
            assert!(event.raw.len() <= MAX_EVENT_BYTES + size);
            found.extend(event.data().map(|data| data.into_owned()));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsers_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = door::chat::parse(&bytes);
        let _ = door::messages::parse(&bytes);
        let _ = policy::parse::parse(&bytes);
        let _ = auth::Client::parse("x", &bytes);
        let _ = chat::decode_answer(&bytes, &DecodeOptions::plain(Dialect::OpenaiChat, 0), &mut Vec::new());
        let _ = error_words::parse(&bytes);
        let _ = reply::parse(&policy::default_policy(), &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn parsers_take_any_json(value in any_json()) {
        let bytes = value.to_string().into_bytes();
        let _ = door::chat::parse(&bytes);
        let _ = door::messages::parse(&bytes);
        let _ = policy::parse::parse(&bytes);
        let _ = auth::Client::parse("x", &bytes);
        let _ = chat::decode_answer(&bytes, &DecodeOptions::plain(Dialect::OpenaiChat, 0), &mut Vec::new());
        let _ = error_words::parse(&bytes);
    }

    #[test]
    fn what_goes_to_a_provider_is_json_with_the_same_messages(request in any_request()) {
        let body = request.to_string();
        let Ok(parsed) = door::chat::parse(body.as_bytes()) else { return Ok(()) };
        let policy = policy::default_policy();
        let mut messages = request["messages"].clone();
        for message in messages.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            message.remove("extra");
            if message["content"].is_null() {
                message["content"] = json!("");
            }
        }
        for candidate in candidates(&policy) {
            let Ok(encoded) = chat::encode_request(&policy, candidate, &parsed, &EncodeOptions::default()) else { continue };
            let mut sent: Value = serde_json::from_slice(&encoded.body).expect("valid JSON");
            prop_assert_eq!(&sent["model"], &policy.model(candidate.model).id);
            if encoded.dropped.iter().any(|name| name == "messages") {
                prop_assert!(policy.provider_of(candidate.model).quirks.contains(&Quirk::EndsWithUser));
                let added = sent["messages"].as_array_mut().and_then(Vec::pop);
                prop_assert_eq!(added.map(|added| added["role"].clone()), Some(json!("user")));
            }
            prop_assert_eq!(&sent["messages"], &messages, "these providers know every role");
            let again = door::chat::parse(&encoded.body).expect("what is sent is itself a valid request");
            prop_assert_eq!(again.stream, parsed.stream);
        }
    }

    #[test]
    fn a_request_to_the_messages_api_becomes_a_chat_request_or_an_error(request in near_messages_request()) {
        let body = request.to_string();
        let Ok(parsed) = door::messages::parse(body.as_bytes()) else { return Ok(()) };
        let policy = policy::default_policy();
        let classifier = policy.classifier.clone().expect("the shipped policy has one");
        let question = prompt::question(&policy, &classifier, None, &parsed);
        prop_assert!(question.content().is_ok());
        for candidate in candidates(&policy) {
            let Ok(encoded) = chat::encode_request(&policy, candidate, &parsed, &EncodeOptions::default()) else { continue };
            let sent = String::from_utf8(encoded.body).expect("UTF-8");
            let again = door::chat::parse(sent.as_bytes()).expect("what is sent is itself a valid request");
            prop_assert!(again.content().is_ok(), "{}", sent);
        }
    }

    #[test]
    fn the_classifiers_question_quotes_any_text(text in ".{0,300}") {
        let policy = policy::default_policy();
        let classifier = policy.classifier.clone().expect("the shipped policy has one");
        let body = json!({"messages": [{"role": "user", "content": text}]}).to_string();
        let request = door::chat::parse(body.as_bytes()).expect("valid");
        let question = prompt::question(&policy, &classifier, Some(Effort::None), &request);
        let candidate = Candidate { model: classifier.model, effort: Some(Effort::None) };
        let encoded = chat::encode_request(&policy, &candidate, &question, &EncodeOptions::default()).expect("words for it");
        let question: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        prop_assert_eq!(question["messages"].as_array().map(Vec::len), Some(2));
        let data: Value = serde_json::from_str(question["messages"][1]["content"].as_str().expect("text")).expect("JSON");
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        prop_assert_eq!(data["last_user_message"].as_str(), Some(flat.as_str()));
    }

    #[test]
    fn events_do_not_depend_on_the_reads(bytes in "(data: ?[a-z{}:\"]{0,9}|: c|event: x|\u{FEFF}|ä)?(\r\n|\n|\r|)(\n|\r\n|\r|)", more in "(data: [a-z]{0,9}\n{1,2}){0,6}", size in 1_usize..9) {
        // A lone CR at the very end may yet become CRLF, so the input ends with a LF.
        let stream = format!("{bytes}{more}\n\n");
        prop_assert_eq!(events(stream.as_bytes(), size), events(stream.as_bytes(), usize::MAX / 2));
    }

    #[test]
    fn only_what_parses_is_passed_on(mended: bool, events in prop::collection::vec((any_json(), 0_usize..40), 0..8)) {
        let name = if mended { "a.b" } else { "a" };
        let request = json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"function": {"name": name}}]}).to_string();
        let request = door::chat::parse(request.as_bytes()).expect("valid");
        let quirks = if mended { vec![Quirk::ToolDeltaWithoutIndex, Quirk::FinishReasons, Quirk::ThinkingParts] } else { Vec::new() };
        let (mends, names) = (Mends::of(&quirks), ToolNames::of(&request, Dialect::OpenaiChat));
        let options = DecodeOptions { mends, names, ..DecodeOptions::plain(Dialect::OpenaiChat, 0) };
        let mut stream = Stream::new(&options).expect("a dialect that is built");
        let mut delivery = Delivery::stream(AnswerOptions::of(&request, false), None);
        for (value, cut) in events {
            let whole = value.to_string();
            let mut at = cut.min(whole.len());
            while !whole.is_char_boundary(at) {
                at -= 1;
            }
            for data in [&whole[..at], &whole] {
                let is_object = serde_json::from_str::<Value>(data).is_ok_and(|value| value.is_object());
                let mut out = Vec::new();
                let raw = format!("data: {data}\n\n");
                let mut decoder = Decoder::default();
                decoder.space().extend_from_slice(raw.as_bytes());
                let event = decoder.next_event().expect("a short event").expect("a whole event");
                let put_right = stream.data(&event);
                let mut pieces = Vec::new();
                let heard = stream.take(&put_right, &mut pieces);
                if heard == Ok(Heard::Pieces) {
                    let passed = stream.pass(&put_right);
                    let said = Said { dialect: Dialect::OpenaiChat, pieces: &pieces, came: passed.as_it_came() };
                    delivery.take(&said, &mut out);
                }
                // A chunk of nothing but usage is not what this client asked for.
                let passes = heard == Ok(Heard::Pieces) && !pieces.iter().any(|piece| matches!(piece, Piece::Usage { stands_alone: true, .. }));
                prop_assert!(is_object || !passes, "{}", data);
                prop_assert_eq!(!out.is_empty(), passes);
                prop_assert!(mended || out.is_empty() || out == raw.as_bytes(), "{}", data);
            }
        }
    }

    #[test]
    fn calls_in_another_form_are_read_in_any_stream(is_older: bool, events in prop::collection::vec(near_chunk(), 0..8)) {
        let tools = match is_older {
            true => json!({"functions": [{"name": "run"}]}),
            false => json!({"tools": [{"type": "custom", "custom": {"name": "run"}}]}),
        };
        let mut request = json!({"messages": [{"role": "user", "content": "x"}]});
        request.as_object_mut().expect("an object").extend(tools.as_object().expect("an object").clone());
        let request = request.to_string();
        let request = door::chat::parse(request.as_bytes()).expect("valid");
        let policy = policy::default_policy();
        let candidate = Candidate { model: policy.model_named("gemini-3.8-flash").expect("a model"), effort: None };
        let reading = DecodeOptions::of(&Recipient::of(&policy, &candidate), &request, Duration::ZERO);
        prop_assert!(reading.forms.differ());
        // With what is mended before, and without.
        for options in [reading.clone(), DecodeOptions { mends: Mends::default(), ..reading }] {
            let mut stream = Stream::new(&options).expect("a dialect that is built");
            for event in &events {
                let raw = format!("data: {event}\n\n");
                let mut decoder = Decoder::default();
                decoder.space().extend_from_slice(raw.as_bytes());
                let event = decoder.next_event().expect("a short event").expect("a whole event");
                let put_right = stream.data(&event);
                let passed = stream.pass(&put_right);
                let data = passed.as_it_came().expect("data").data;
                let value: Value = serde_json::from_slice(data).expect("JSON");
                if is_older {
                    let calls = value["choices"].as_array().into_iter().flatten().map(|choice| &choice["delta"]["tool_calls"]);
                    prop_assert!(calls.into_iter().all(|calls| !calls.is_array()), "{}", value);
                }
                _ = stream.take(&put_right, &mut Vec::new());
            }
            _ = stream.rest();
        }
    }

    #[test]
    fn a_base_url_has_one_reading(text in near_url()) {
        let Ok(url) = BaseUrl::parse(&text) else { return Ok(()) };
        prop_assert_eq!(BaseUrl::parse(&url.to_string()), Ok(url.clone()), "{}", text);
        let is_closed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".:-".contains(&byte);
        prop_assert!(!url.host.is_empty() && url.host.bytes().all(is_closed), "{}: {}", text, url.host);
        prop_assert!(url.tls || ["localhost", "::1"].contains(&url.host.as_str()) || url.host.starts_with("127."), "{}", text);
        // What browsers and most clients make of the same text.
        let Ok(other) = url::Url::parse(&text) else {
            // It does not take Punycode that stands for nothing.
            prop_assert!(url.host.contains("xn--"), "{}", text);
            return Ok(());
        };
        let host = other.host_str().unwrap_or_default().trim_matches(&['[', ']'][..]);
        let host = host.parse().map_or_else(|_| host.to_owned(), |address: Ipv6Addr| address.to_string());
        prop_assert_eq!(&host, &url.host, "{}", text);
        prop_assert_eq!(other.port_or_known_default(), Some(url.port), "{}", text);
        prop_assert_eq!(other.path().trim_end_matches('/'), &url.path, "{}", text);
        prop_assert!(other.username().is_empty() && other.password().is_none() && other.query().is_none(), "{}", text);
        let again = url::Url::parse(&format!("{url}/chat/completions")).expect("a URL");
        prop_assert_eq!(again.path(), format!("{}/chat/completions", url.path), "{}", text);
    }

    #[test]
    fn a_secret_goes_to_its_host_only(text in near_url(), secret in "(api\\.example|localhost|127\\.0\\.0\\.1|::1|a|[a-z.]{0,6})(_{0,3})[a-zA-Z.]{0,4}") {
        let document = json!({
            "version": "1", "default_tier": "t",
            "tiers": [{"name": "t", "description": "x", "candidates": [{"model": "m"}], "deadlines": {"first_token_ms": 1, "idle_ms": 1, "total_ms": 1}}],
            "models": {"m": {"provider": "p", "id": "m", "context": 1, "max_output": 1}},
            "providers": {"p": {"base_url": text, "dialect": "openai-chat", "secret": secret}},
        });
        let Ok(policy) = policy::parse::parse(document.to_string().as_bytes()) else { return Ok(()) };
        let host = &policy.providers[0].base_url.host;
        let own = secret == *host || secret.split_once("__").is_some_and(|(of, label)| of == host && !label.is_empty());
        prop_assert!(own, "{} at {}", secret, text);
    }

    #[test]
    fn a_fault_of_the_secret_stores_entry_shows_nothing_of_it(
        names in prop::collection::vec(prop_oneof![near_url(), Just("planted".to_owned()), "planted[a-z]{0,4}"], 0..4),
        value in any_json(),
        cut in 0_usize..400,
    ) {
        let value = json!({"planted": value, "": "planted"});
        let places: serde_json::Map<String, Value> = names.into_iter().map(|name| (name, value.clone())).collect();
        let text = Value::Object(places).to_string();
        let short: String = text.chars().take(cut).collect();
        for text in [&text, &short] {
            if let Err(fault) = Places::parse(text) {
                prop_assert!(!fault.contains("planted"), "{}", fault);
            }
        }
    }

    #[test]
    fn headers_take_any_text(value in "[ -~]{0,80}") {
        for name in ["x-route-tier", "x-route-tags", "x-route-timeout-ms", "x-route-cache", "authorization", "x-api-key"] {
            let mut map = http::HeaderMap::new();
            map.insert(http::HeaderName::from_static(name), value.parse().expect("visible ASCII"));
            let _ = headers::parse_route_headers(&map);
            let _ = auth::presented(&map);
        }
    }
}
