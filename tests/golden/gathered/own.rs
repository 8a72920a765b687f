//! The message that a client gets of a stream of its own API, beside the one that the provider would have sent whole, and beside
//! what Anthropic's SDKs put together.

use std::rc::Rc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tiergate::door::answer::AnswerOptions;
use tiergate::door::messages::answer::gathered::Gathered;
use tiergate::policy::Dialect;
use tiergate::upstream::dialect::DecodeOptions;
use tiergate::upstream::sealer::{Sealer, Thought};
use tiergate::wire::carried;
use tiergate::wire::door::Door;
use tiergate::wire::seal::SealKind;

use super::properties::{any_object, any_value, names_are_unique, text_bytes};
use super::tables::{block, event};
use super::{gathered, read, tables};
use crate::case::{Case, Ways, cases};

fn ways(sealer: Option<Rc<Sealer>>) -> Ways {
    let Ways { options, .. } = tables::ways(Dialect::AnthropicMessages);
    let options = AnswerOptions { door: Door::Messages, shows_reasoning: false, ..options };
    Ways { reading: DecodeOptions { sealer, ..DecodeOptions::plain(Dialect::AnthropicMessages, 7) }, options }
}

/// What a client gets, however the stream is cut, and with what has been gathered written down and read again in between.
fn message(ways: &Ways, wire: &str) -> String {
    let of_parts = |parts: &[&[u8]]| gathered(ways, parts).unwrap_or_else(|| panic!("{wire}"));
    let whole = of_parts(&[wire.as_bytes()]);
    for at in 0..=wire.len() {
        let (head, tail) = wire.as_bytes().split_at(at);
        assert_eq!(of_parts(&[head, tail]), whole, "split at {at}: {wire}");
    }
    let (mut kept, mut carried, mut out) = (Gathered::default(), Gathered::default(), Vec::new());
    read(&ways.reading, &[wire.as_bytes()], |said| {
        kept.take(&ways.options, said);
        carried.take(&ways.options, said);
        carried = carried::read(&carried::write(&carried)).expect("what was written down");
    });
    assert_eq!(carried, kept);
    assert!(kept.bytes() >= wire.len() / 8, "what is held is counted: {}", kept.bytes());
    carried.write(&mut out);
    assert_eq!(out, whole);
    String::from_utf8(whole).expect("UTF-8")
}

/// What an SDK puts together: deltas by their types, what stands at the end over what stood at the beginning.
fn accumulated(wire: &str) -> Value {
    let (mut message, mut inputs) = (Value::Null, Vec::new());
    let put = |into: &mut Value, from: &Value, passed: &[&str]| {
        for (name, value) in from.as_object().into_iter().flatten() {
            let says_nothing = value.is_null() && !into[name].is_null();
            if !says_nothing && !passed.contains(&name.as_str()) {
                into[name] = value.clone();
            }
        }
    };
    for data in wire.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(data).expect("JSON");
        let index = event["index"].as_u64().unwrap_or_default() as usize;
        match event["type"].as_str() {
            Some("message_start") if message.is_null() => {
                message = event["message"].clone();
                if !message["content"].is_array() {
                    message["content"] = json!([]);
                }
            }
            Some("content_block_start") => {
                let mut block = event["content_block"].clone();
                if block["type"] == "thinking" && block["signature"].is_null() {
                    block["signature"] = json!("");
                }
                message["content"].as_array_mut().expect("blocks").push(block);
                inputs.push(String::new());
            }
            Some("content_block_delta") => {
                let (delta, block) = (&event["delta"], &mut message["content"][index]);
                let more = |block: &Value, name: &str| {
                    let known = block[name].as_str().unwrap_or_default();
                    json!(known.to_owned() + delta[name].as_str().unwrap_or_default())
                };
                match delta["type"].as_str() {
                    Some("text_delta") => block["text"] = more(block, "text"),
                    Some("thinking_delta") => block["thinking"] = more(block, "thinking"),
                    Some("input_json_delta") => inputs[index] += delta["partial_json"].as_str().unwrap_or_default(),
                    Some("citations_delta") => match block["citations"].as_array_mut() {
                        Some(citations) => citations.push(delta["citation"].clone()),
                        None => block["citations"] = json!([delta["citation"]]),
                    },
                    _ => put(block, delta, &["type"]),
                }
            }
            Some("message_delta") => {
                put(&mut message, &event["delta"], &[]);
                put(&mut message, &event, &["type", "delta", "usage"]);
                if !message["usage"].is_object() {
                    message["usage"] = json!({});
                }
                put(&mut message["usage"], &event["usage"], &[]);
            }
            _ => {}
        }
    }
    for (block, input) in message["content"].as_array_mut().into_iter().flatten().zip(inputs) {
        if !input.is_empty() {
            let cut = || json!({"__unparsedToolInput": {"raw": input, "len": input.len()}});
            block["input"] = serde_json::from_str(&input).unwrap_or_else(|_| cut());
        }
    }
    message
}

fn delta(kind: &str, name: &str, value: impl Into<Value>) -> Value {
    json!({"type": kind, name: value.into()})
}

/// A stream with these blocks, each with its deltas, and this end.
fn wire(start: &Value, blocks: &[(Value, Vec<Value>)], end: Value) -> String {
    let blocks: String =
        blocks.iter().zip(0..).map(|((begun, deltas), index)| block(index, begun.clone(), deltas)).collect();
    let start = event(json!({"type": "message_start", "message": start}));
    [start, event(json!({"type": "ping"})), blocks, event(end), event(json!({"type": "message_stop"}))].concat()
}

struct Shown {
    name: &'static str,
    blocks: Vec<(Value, Vec<Value>)>,
    end: Value,
    content: Value,
    /// What the message has beside, or otherwise.
    beside: Value,
}

fn ended(reason: &str) -> Value {
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}})
}

#[test]
fn a_stream_of_the_same_api_gives_the_message_that_its_provider_would_have_sent_whole() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let cited = |n: u64| json!({"type": "char_location", "cited_text": "c", "document_index": n, "start_char_index": 0, "new": {"a": [n]}});
    let found = json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "caller": {"type": "direct"},
        "content": [{"type": "web_search_result", "url": "https://a", "title": "A", "encrypted_content": "x\u{7f}", "page_age": null}]});
    let search = |input: Value| json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": input, "caller": {"type": "direct"}});
    let unknown = json!({"type": "hologram", "depth": 1.50, "layers": [1], "note": "a", "more": {"x": null}});
    for Shown { name, blocks, end, content, beside } in [
        Shown {
            name: "a search and texts that cite what it found",
            blocks: vec![
                (
                    search(json!({})),
                    vec![
                        delta("input_json_delta", "partial_json", ""),
                        delta("input_json_delta", "partial_json", "{\"query\": \"\\u00e4"),
                        delta("input_json_delta", "partial_json", "\"}"),
                    ],
                ),
                (found.clone(), vec![]),
                (
                    json!({"type": "text", "text": "", "citations": []}),
                    vec![
                        delta("text_delta", "text", "It "),
                        delta("citations_delta", "citation", cited(0)),
                        delta("text_delta", "text", "is."),
                        delta("citations_delta", "citation", cited(1)),
                    ],
                ),
                (
                    json!({"type": "text", "text": "", "citations": null}),
                    vec![delta("citations_delta", "citation", cited(2))],
                ),
                (text(""), vec![delta("text_delta", "text", "So."), delta("citations_delta", "citation", cited(3))]),
            ],
            end: json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                "usage": {"input_tokens": 90, "output_tokens": 9, "server_tool_use": {"web_search_requests": 1}}}),
            content: json!([
                search(json!({"query": "ä"})), found,
                {"type": "text", "text": "It is.", "citations": [cited(0), cited(1)]},
                {"type": "text", "text": "", "citations": [cited(2)]},
                {"type": "text", "text": "So.", "citations": [cited(3)]},
            ]),
            beside: json!({"stop_reason": "end_turn", "usage": {"input_tokens": 90, "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 9, "service_tier": "standard", "server_tool_use": {"web_search_requests": 1}}}),
        },
        Shown {
            name: "a summary in place of what came before, and edits of the context",
            blocks: vec![
                (
                    json!({"type": "compaction", "content": null, "encrypted_content": null}),
                    vec![
                        json!({"type": "compaction_delta", "content": "We did \"this\".", "encrypted_content": "abc"}),
                    ],
                ),
                (text(""), vec![delta("text_delta", "text", "Go on.")]),
            ],
            end: json!({"type": "message_delta", "delta": {"stop_reason": "compaction", "stop_sequence": null, "container": {"id": "c1", "expires_at": "x"}},
                "usage": {"output_tokens": 9, "iterations": [{"type": "compaction", "input_tokens": 5}, {"type": "message"}]},
                "context_management": {"applied_edits": [{"type": "clear_tool_uses_20250919", "cleared_tool_uses": 8}]},
                "input_transformations": [{"path": "messages.1", "reason": "model_binding_mismatch"}]}),
            content: json!([{"type": "compaction", "content": "We did \"this\".", "encrypted_content": "abc"}, text("Go on.")]),
            beside: json!({"stop_reason": "compaction", "container": {"id": "c1", "expires_at": "x"},
                "context_management": {"applied_edits": [{"type": "clear_tool_uses_20250919", "cleared_tool_uses": 8}]},
                "input_transformations": [{"path": "messages.1", "reason": "model_binding_mismatch"}],
                "usage": {"input_tokens": 12, "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0}, "output_tokens": 9,
                    "service_tier": "standard", "iterations": [{"type": "compaction", "input_tokens": 5}, {"type": "message"}]}}),
        },
        Shown {
            name: "a refusal with its category",
            blocks: vec![(text(""), vec![delta("text_delta", "text", "I")])],
            end: json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_sequence": null,
                "stop_details": {"type": "refusal", "category": "cyber", "explanation": null}}, "usage": {"output_tokens": 9}}),
            content: json!([text("I")]),
            beside: json!({"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "cyber", "explanation": null}}),
        },
        Shown {
            name: "calls, one of them without an input, and what nobody knows",
            blocks: vec![
                (
                    json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}, "caller": {"type": "code_execution_20260120", "tool_id": "s1"}}),
                    vec![delta("input_json_delta", "partial_json", "{\"a\":1.0}")],
                ),
                (json!({"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}), vec![]),
                (
                    unknown.clone(),
                    vec![
                        json!({"type": "hologram_delta", "layers": [2, 3], "depth": 2.5, "angle": "left", "note": null}),
                    ],
                ),
            ],
            end: ended("tool_use"),
            content: json!([
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1.0}, "caller": {"type": "code_execution_20260120", "tool_id": "s1"}},
                {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
                {"type": "hologram", "depth": 2.5, "layers": [1, 2, 3], "note": "a", "more": {"x": null}, "angle": "left"},
            ]),
            beside: json!({"stop_reason": "tool_use"}),
        },
        Shown {
            name: "nothing, and a word that nobody knows",
            blocks: vec![],
            end: ended("paused_by_moon"),
            content: json!([]),
            beside: json!({"stop_reason": "paused_by_moon"}),
        },
    ] {
        let start = json!({"model": "claude-x", "id": "gen-1", "type": "message", "role": "assistant", "content": [], "container": null,
            "stop_reason": null, "stop_sequence": null, "new_field": {"b": [1, {"c": "d"}]}, "diagnostics": null,
            "usage": {"input_tokens": 12, "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0}, "output_tokens": 1, "service_tier": "standard"}});
        let wire = wire(&start, &blocks, end);
        let got: Value = serde_json::from_str(&message(&ways(None), &wire)).expect("JSON");
        let mut expected = start;
        expected["content"] = content;
        expected["usage"]["output_tokens"] = 9.into();
        for (name, value) in beside.as_object().expect("an object") {
            expected[name] = value.clone();
        }
        assert_eq!(got, expected, "{name}");
        if !name.contains("nobody knows") {
            assert_eq!(got, accumulated(&wire), "{name}");
        }
    }
}

#[test]
fn values_stay_as_they_were_written() {
    let events = [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude-x","stop_reason":null,"stop_sequence":null,"usage":{ "input_tokens" : 1e1,"output_tokens":1},"x":[ 1.0 ]}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"","y":1.50}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\u00e4\ud83d"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ude00/"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let wire: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    let expected = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"\u00e4\ud83d\ude00/","y":1.50}],"model":"claude-x","stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1e1,"output_tokens":9},"x":[ 1.0 ]}"#;
    assert_eq!(message(&ways(None), &wire), expected);
}

#[test]
fn what_a_lesser_provider_leaves_out_or_says_twice_is_as_clients_need_it() {
    let text = |index: Value, text: &str| json!({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}});
    let begun = |index: Value| json!({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}});
    let start = json!({"type": "message_start", "message": {"id": "", "usage": null}});
    let stopped = |reason: Value, more: Value| json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": more}, "usage": {"output_tokens": 3}});
    let head = json!({"id": "msg_7", "type": "message", "role": "assistant", "model": "", "stop_reason": "end_turn", "stop_sequence": null});
    for (name, events, content, beside) in [
        (
            "no head to speak of",
            vec![start.clone(), begun(json!(0)), text(json!(0), "a"), stopped(json!("end_turn"), Value::Null)],
            json!([{"type": "text", "text": "a"}]),
            json!({"usage": {"input_tokens": 0, "output_tokens": 3}}),
        ),
        (
            "no numbers",
            vec![
                start.clone(),
                begun(Value::Null),
                text(Value::Null, "a"),
                begun(Value::Null),
                text(Value::Null, "b"),
                stopped(json!("end_turn"), Value::Null),
            ],
            json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            json!({"usage": {"input_tokens": 0, "output_tokens": 3}}),
        ),
        (
            "no beginning of a block",
            vec![start.clone(), text(json!(0), "a"), text(json!(0), "b"), stopped(json!("end_turn"), Value::Null)],
            json!([{"type": "text", "text": "ab"}]),
            json!({"usage": {"input_tokens": 0, "output_tokens": 3}}),
        ),
        (
            "a reason that was none, and counts of nothing behind it",
            vec![
                start.clone(),
                begun(json!(0)),
                text(json!(0), "a"),
                stopped(json!("stop_sequence"), json!("X")),
                text(json!(0), "b"),
                stopped(json!("end_turn"), Value::Null),
                json!({"type": "message_delta", "delta": {"stop_reason": ""}, "usage": {"output_tokens": 0}}),
            ],
            json!([{"type": "text", "text": "ab"}]),
            json!({"usage": {"input_tokens": 0, "output_tokens": 3}}),
        ),
    ] {
        let wire: String = events.into_iter().map(event).collect::<String>() + &event(json!({"type": "message_stop"}));
        let got: Value = serde_json::from_str(&message(&ways(None), &wire)).expect("JSON");
        let mut expected = head.clone();
        expected["content"] = content;
        expected.as_object_mut().expect("an object").extend(beside.as_object().cloned().unwrap_or_default());
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn states_of_thoughts_are_sealed_in_what_is_gathered() {
    let root = tiergate::secret::Secret::new("a-root-of-enough-characters".to_owned());
    let sealer = Rc::new(Sealer::of_origin(["d", "p", "m"], &[root]).expect("a root"));
    let token = |kind, text, state| sealer.seal(Thought { kind, text }, state).expect("a token");
    let blocks = [
        (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            vec![
                delta("thinking_delta", "thinking", "h"),
                delta("thinking_delta", "thinking", "m"),
                delta("signature_delta", "signature", "c2ln"),
            ],
        ),
        (json!({"type": "redacted_thinking", "data": "eA=="}), vec![]),
        (json!({"type": "text", "text": ""}), vec![delta("text_delta", "text", "c2ln")]),
    ];
    let start = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}});
    let wire = wire(&start, &blocks, ended("end_turn"));
    let content = |signature: &str, data: &str| json!([{"type": "thinking", "thinking": "hm", "signature": signature}, {"type": "redacted_thinking", "data": data}, {"type": "text", "text": "c2ln"}]);
    let got: Value = serde_json::from_str(&message(&ways(Some(Rc::clone(&sealer))), &wire)).expect("JSON");
    let (signature, data) = (token(SealKind::Signature, "hm", "c2ln"), token(SealKind::Redacted, "", "eA=="));
    assert_eq!(got["content"], content(&signature, &data));
    let unsigned = self::wire(&start, &[(json!({"type": "thinking", "thinking": "hm"}), vec![])], ended("end_turn"));
    let unsigned: Value = serde_json::from_str(&message(&ways(None), &unsigned)).expect("JSON");
    assert_eq!(unsigned["content"], json!([{"type": "thinking", "thinking": "hm", "signature": ""}]));
    let open: Value = serde_json::from_str(&message(&ways(None), &wire)).expect("JSON");
    assert_eq!(open["content"], content("c2ln", "eA=="), "as in a whole answer, where nothing is sealed");
}

#[test]
fn what_is_gathered_of_a_case_of_the_api_is_what_its_sdk_puts_together() {
    let mut whole_streams = 0;
    for path in cases("tests/golden/anthropic") {
        let case = Case::read(Dialect::AnthropicMessages, &path);
        let Some(events) = case.events() else { continue };
        if case.name == "stream-odd-fields" {
            // No SDK puts that together.
            continue;
        }
        let (ways, wire) = (ways(None), events.concat());
        let Some(body) = gathered(&ways, &[wire.as_bytes()]) else { continue };
        whole_streams += 1;
        let (got, expected): (Value, Value) = (serde_json::from_slice(&body).expect("JSON"), accumulated(&wire));
        assert_eq!(got["content"], expected["content"], "{}", case.name);
        assert_eq!(got["stop_reason"], expected["stop_reason"], "{}", case.name);
    }
    assert!(whole_streams > 10, "{whole_streams}");
}

#[test]
fn no_object_grows_without_an_end() {
    let many = |from: usize| (from..from + 1_500).map(|number| (format!("m{number}"), json!(1))).collect::<Value>();
    let mut start = json!({"id": "msg_1", "type": "message", "usage": {"input_tokens": 1}, "content": []});
    start.as_object_mut().expect("an object").extend(many(0).as_object().expect("an object").clone());
    let mut end = ended("end_turn");
    end["delta"].as_object_mut().expect("an object").extend(many(5_000).as_object().expect("an object").clone());
    let mut delta = many(0);
    delta["type"] = json!("hologram_delta");
    let wire = wire(&start, &[(json!({"type": "hologram"}), vec![delta.clone(), delta])], end);
    let got = gathered(&ways(None), &[wire.as_bytes()]).expect("a message");
    let got: Value = serde_json::from_slice(&got).expect("JSON");
    let members = |value: &Value| value.as_object().map_or(0, |object| object.len());
    assert!(
        members(&got) <= 1_010 && members(&got["content"][0]) <= 1_000,
        "{} {}",
        members(&got),
        members(&got["content"][0])
    );
    assert_eq!(got["stop_reason"], "end_turn");
}

/// An event of any content, most of them such as belong there.
fn any_event() -> impl Strategy<Value = Value> {
    const MESSAGE: &[&str] = &["id", "model", "usage", "content", "stop_reason", "container", "new"];
    const BLOCK: &[&str] = &["text", "thinking", "signature", "data", "citations", "content", "input", "index", "new"];
    const END: &[&str] = &["usage", "context_management", "content", "type", "new", "id"];
    const STOP: &[&str] = &["stop_reason", "stop_sequence", "stop_details", "container", "content", "usage", "new"];
    let kinds = ["text", "thinking", "redacted_thinking", "server_tool_use", "compaction", "hologram"];
    let deltas =
        ["text_delta", "thinking_delta", "signature_delta", "citations_delta", "compaction_delta", "hologram_delta"];
    let typed = |mut object: Value, name: &str, kind: &str| {
        object[name] = kind.into();
        object
    };
    prop_oneof![
        1 => any_object(MESSAGE).prop_map(|message| json!({"type": "message_start", "message": message})),
        3 => (0..3_u8, prop::sample::select(kinds.to_vec()), any_object(BLOCK)).prop_map(move |(index, kind, block)| {
            json!({"type": "content_block_start", "index": index, "content_block": typed(block, "type", kind)})
        }),
        6 => (0..3_u8, prop::sample::select(deltas.to_vec()), any_object(BLOCK)).prop_map(move |(index, kind, delta)| {
            json!({"type": "content_block_delta", "index": index, "delta": typed(delta, "type", kind)})
        }),
        2 => (0..3_u8, any_value()).prop_map(|(index, part)| {
            json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": part}})
        }),
        2 => (any_object(END), any_object(STOP)).prop_map(move |(event, delta)| {
            let mut event = typed(event, "type", "message_delta");
            event["delta"] = delta;
            event
        }),
        1 => any_value(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_gathered_of_any_events_of_the_api_is_well_formed(events in prop::collection::vec(any_event(), 0..8)) {
        let start = json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 1}}});
        let Ways { reading, options } = ways(None);
        let wire: String = std::iter::once(&start).chain(&events).map(|data| format!("data: {data}\n\n")).collect();
        let (mut gathered, mut carried) = (Gathered::default(), Gathered::default());
        read(&reading, &[wire.as_bytes()], |said| {
            gathered.take(&options, said);
            carried.take(&options, said);
            carried = carried::read(&carried::write(&carried)).expect("a state");
        });
        prop_assert_eq!(&carried, &gathered);
        let state: Value = serde_json::from_slice(&carried::write(&gathered)).expect("JSON");
        prop_assert!(text_bytes(&state) <= gathered.bytes() as u64 + 8, "all that is held is counted: {}", state);
        let mut body = Vec::new();
        gathered.write(&mut body);
        let text = std::str::from_utf8(&body).expect("UTF-8");
        let value: Value = serde_json::from_str(text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        prop_assert!(names_are_unique(text), "{}", text);
        prop_assert!(body.len() <= 2 * wire.len() + 300, "{}", text);
        prop_assert!(value["content"].is_array() && value["usage"].get("output_tokens").is_some(), "{}", text);
        prop_assert!(value["id"].is_string() && value["type"] == "message" && value["role"] == "assistant", "{}", text);
    }
}
