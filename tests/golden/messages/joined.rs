//! Streams that break, and what takes their place: a client of the Messages API sees one message.

use serde_json::{Value, json};
use tiergate::door::delivery::Delivery;
use tiergate::door::repair::Repair;
use tiergate::policy::Dialect;

use super::tables::{chat_stream, ways};
use super::{Passing, deliver, valid};
use crate::case::Ways;

const TEXT: &str = "One two, three.";

/// A stream of the Messages API.
pub fn messages_stream(id: &str, blocks: &[(Value, Vec<Value>)], reason: &str) -> Vec<String> {
    let event = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a type"));
    let usage = json!({
        "input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
    });
    let mut events = vec![event(json!({
        "type": "message_start",
        "message": {
            "id": id, "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": usage,
        },
    }))];
    for (index, (block, deltas)) in blocks.iter().enumerate() {
        events.push(event(json!({"type": "content_block_start", "index": index, "content_block": block})));
        for delta in deltas {
            events.push(event(json!({"type": "content_block_delta", "index": index, "delta": delta})));
        }
        events.push(event(json!({"type": "content_block_stop", "index": index})));
    }
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    events.push(event(json!({"type": "message_delta", "delta": delta, "usage": usage})));
    events.push(event(json!({"type": "message_stop"})));
    events
}

/// An answer with a thought, a text and a call, as a provider of the dialect streams it.
fn stream(dialect: Dialect, id: &str) -> Vec<String> {
    let parts = TEXT.split_inclusive(' ');
    match dialect {
        Dialect::AnthropicMessages => {
            let thoughts = ["h", "m"].map(|thought| json!({"type": "thinking_delta", "thinking": thought}));
            let thinking = json!({"type": "thinking", "thinking": "", "signature": ""});
            let state = json!({"type": "signature_delta", "signature": "c2ln"});
            let texts = parts.map(|part| json!({"type": "text_delta", "text": part}));
            let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
            let inputs = ["{\"a\":", "1}"].map(|part| json!({"type": "input_json_delta", "partial_json": part}));
            let blocks = [
                (thinking, thoughts.into_iter().chain([state]).collect()),
                (json!({"type": "text", "text": ""}), texts.collect()),
                (call, inputs.to_vec()),
            ];
            messages_stream(id, &blocks, "tool_use")
        }
        Dialect::OpenaiChat | Dialect::OpenaiResponses => {
            let thoughts = ["h", "m"].map(|thought| json!({"reasoning_content": thought}));
            let call = |arguments: &str| {
                let function = json!({"name": "f", "arguments": arguments});
                json!({"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": function}]})
            };
            let texts = parts.map(|part| json!({"content": part}));
            let deltas: Vec<Value> = thoughts.into_iter().chain(texts).chain([call("{\"a\":"), call("1}")]).collect();
            chat_stream(&deltas, "tool_calls")
        }
    }
}

/// The part of an answer that a provider streams which was asked to go on after `text`.
fn rest(dialect: Dialect, text: &str) -> Vec<String> {
    let rest = &TEXT[text.len()..];
    let call = |arguments: &str| {
        let function = json!({"name": "f", "arguments": arguments});
        json!({"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": function}]})
    };
    match dialect {
        Dialect::AnthropicMessages => {
            let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
            let blocks = [
                (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": rest})]),
                (call, vec![json!({"type": "input_json_delta", "partial_json": "{\"a\":1}"})]),
            ];
            messages_stream("msg_b", &blocks, "tool_use")
        }
        Dialect::OpenaiChat | Dialect::OpenaiResponses => {
            chat_stream(&[json!({"content": rest}), call("{\"a\":1}")], "tool_calls")
        }
    }
}

/// What a client has when the stream breaks behind these events, and what is kept of it.
fn broken(Ways { reading, options }: &Ways, events: &[String]) -> (String, Option<Repair>) {
    let (mut delivery, mut out) = (Delivery::stream(*options, Some(Repair::default())), Vec::new());
    crate::gathered::read(reading, &[events.concat().as_bytes()], |said| {
        delivery.take(said, &mut out);
    });
    (String::from_utf8(out).expect("UTF-8"), delivery.repair())
}

const DIALECTS: [Dialect; 2] = [Dialect::AnthropicMessages, Dialect::OpenaiChat];

/// The texts and the calls of a message.
fn said(message: &Value) -> (String, Vec<&Value>) {
    let blocks = message["content"].as_array().expect("content");
    let texts = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    (texts, blocks.iter().filter(|block| block["type"] == "tool_use").collect())
}

#[test]
fn a_client_sees_one_message_wherever_a_stream_breaks() {
    for first in DIALECTS {
        let events = stream(first, "msg_a");
        let last = events
            .iter()
            .position(|event| event.contains("stop_reason\":\"") || event.contains("\"tool_calls\",\"index\":0}"));
        let last = last.expect("a reason to stop");
        for (second, at) in DIALECTS.into_iter().flat_map(|second| (0..=last).map(move |at| (second, at))) {
            let name = format!("{first}, then {second} behind {at} events");
            let (begun, repair) = broken(&ways(first), &events[..at]);
            valid::is_valid_so_far(&begun).unwrap_or_else(|fault| panic!("{name}: {fault}\n{begun}"));
            let repair = repair.unwrap_or_else(|| panic!("{name}: it can be repaired"));
            for goes_on in [false, true] {
                let mut repair = repair.clone();
                let wire = if goes_on && !repair.text().is_empty() {
                    repair.go_on();
                    rest(second, repair.text())
                } else {
                    repair.replay();
                    stream(second, "msg_b")
                };
                let ways = ways(second);
                let delivery = Delivery::stream(ways.options, Some(repair));
                assert!(delivery.rewrites(second), "{name}");
                let more = deliver(&ways, delivery, &[wire.concat().as_bytes()], Passing::AsItCame);
                let joined = begun.clone() + &more.unwrap_or_else(|| panic!("{name}: {wire:?}"));
                let message = valid::message(&joined).unwrap_or_else(|fault| panic!("{name}: {fault}\n{joined}"));
                let (text, calls) = said(&message);
                assert_eq!((text.as_str(), calls.len()), (TEXT, 1), "{name}: {joined}");
                let call = ["id", "name", "input"].map(|member| &calls[0][member]);
                assert_eq!(call, [&json!("toolu_1"), &json!("f"), &json!({"a": 1})], "{name}: {joined}");
                assert_eq!(message["stop_reason"], "tool_use", "{name}");
            }
        }
    }
}

#[test]
fn what_nobody_here_knows_keeps_its_place_and_nobody_goes_on_after_it() {
    let ways = ways(Dialect::AnthropicMessages);
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
    let input = json!({"type": "input_json_delta", "partial_json": "{}"});
    let unknown = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}});
    let text = (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": "a"})]);
    let state = json!({"type": "thinking", "thinking": "", "signature": ""});
    let state = (state, vec![json!({"type": "signature_delta", "signature": "c2ln"})]);
    let blocks = [text, (call, vec![input]), state, (unknown, Vec::new())];
    let events = messages_stream("msg_a", &blocks, "tool_use");
    let delivery = Delivery::stream(ways.options, Some(Repair::default()));
    let passed = deliver(&ways, delivery, &[events.concat().as_bytes()], Passing::AsItCame);
    assert_eq!(passed, Some(events.concat()), "calls are held, and nothing overtakes them");
    let place = events.iter().position(|event| event.contains("server_tool_use")).expect("the block");
    for (end, expected) in [(place, true), (place + 1, false), (events.len() - 2, false)] {
        assert_eq!(broken(&ways, &events[..end]).1.is_some(), expected, "{end}");
    }
}

#[test]
fn a_client_gets_the_names_of_events_that_a_provider_leaves_out() {
    let ways = ways(Dialect::AnthropicMessages);
    let events = stream(Dialect::AnthropicMessages, "msg_a");
    let unnamed: String = events.iter().map(|event| event.split_once('\n').expect("two lines").1).collect();
    let delivery = Delivery::stream(ways.options, None);
    assert_eq!(deliver(&ways, delivery, &[unnamed.as_bytes()], Passing::AsItCame), Some(events.concat()));
}
