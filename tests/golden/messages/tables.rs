//! What a client of the Messages API gets of answers of the chat API: as a stream, gathered from one, and of a whole body.

use std::rc::Rc;

use serde_json::{Value, json};
use tiergate::door::answer::{AnswerOptions, CallShape};
use tiergate::door::delivery::{self, Delivery};
use tiergate::policy::Dialect;
use tiergate::secret::Secret;
use tiergate::upstream::dialect::{self, DecodeOptions};
use tiergate::upstream::sealer::{Sealer, Thought};
use tiergate::wire::door::Door;
use tiergate::wire::piece::Said;
use tiergate::wire::seal::SealKind;

use super::joined::messages_stream;
use super::{Passing, deliver, valid};
use crate::case::Ways;

pub fn ways(dialect: Dialect) -> Ways {
    let options = AnswerOptions {
        door: Door::Messages,
        includes_usage: true,
        calls: CallShape::ToolCalls,
        shows_reasoning: true,
    };
    Ways { reading: DecodeOptions::plain(dialect, 7), options }
}

/// A stream of the chat API with these deltas, which ends for this reason.
pub fn chat_stream(deltas: &[Value], reason: &str) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-1", "created": 7, "model": "m", "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: &Value| json!([{"index": 0, "delta": delta, "finish_reason": null}]);
    let mut events: Vec<String> = deltas.iter().map(|delta| chunk(choice(delta), Value::Null)).collect();
    events.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": reason}]), Value::Null));
    events.push(chunk(json!([]), usage()));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 5},
    })
}

/// What a client gets of a whole answer.
fn whole(Ways { reading, options }: &Ways, body: &Value) -> Value {
    let body = body.to_string();
    let pieces = dialect::decode_answer(reading, body.as_bytes()).expect("an answer");
    let said = Said { dialect: reading.dialect, pieces: &pieces, came: None };
    serde_json::from_slice(&delivery::encode_answer(options, &said, None).expect("a translation")).expect("JSON")
}

struct Case {
    name: &'static str,
    deltas: Vec<Value>,
    /// The message of a whole answer.
    message: Value,
    finish_reason: &'static str,
    content: Value,
    stop_reason: &'static str,
}

#[test]
fn answers_of_the_chat_api_are_messages() {
    let call = |index: u64, id: &str, name: &str, arguments: &str| json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let more =
        |index: u64, arguments: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]});
    let text = |text: &str| json!({"type": "text", "text": text, "citations": null});
    let tool = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input, "caller": {"type": "direct"}});
    let thinking = |thought: &str| json!({"type": "thinking", "thinking": thought, "signature": ""});
    for case in [
        Case {
            name: "text",
            deltas: vec![
                json!({"role": "assistant", "content": ""}),
                json!({"content": "He\""}),
                json!({"content": "llo"}),
            ],
            message: json!({"role": "assistant", "content": "He\"llo"}),
            finish_reason: "stop",
            content: json!([text("He\"llo")]),
            stop_reason: "end_turn",
        },
        Case {
            name: "nothing, and a limit",
            deltas: vec![json!({"role": "assistant", "content": ""})],
            message: json!({"role": "assistant", "content": ""}),
            finish_reason: "length",
            content: json!([]),
            stop_reason: "max_tokens",
        },
        Case {
            name: "calls beside each other behind a thought and a text",
            deltas: vec![
                json!({"reasoning_content": "h"}),
                json!({"reasoning_content": "m"}),
                json!({"content": "Let me see."}),
                json!({"tool_calls": [call(0, "call_a", "f", "")]}),
                json!({"tool_calls": [call(1, "call_b", "g", "")]}),
                more(0, "{\"a\":"),
                more(1, "{\"b\":2}"),
                more(0, "1}"),
            ],
            message: json!({
                "role": "assistant", "content": "Let me see.", "reasoning_content": "hm",
                "tool_calls": [call(0, "call_a", "f", "{\"a\":1}"), call(1, "call_b", "g", "{\"b\":2}")],
            }),
            finish_reason: "tool_calls",
            content: json!([
                thinking("hm"),
                text("Let me see."),
                tool("call_a", "f", json!({"a": 1})),
                tool("call_b", "g", json!({"b": 2})),
            ]),
            stop_reason: "tool_use",
        },
        Case {
            name: "a call without an argument, at an end that says nothing of it",
            deltas: vec![json!({"tool_calls": [call(0, "call_a", "f", "")]})],
            message: json!({"role": "assistant", "content": null, "tool_calls": [call(0, "call_a", "f", "")]}),
            finish_reason: "stop",
            content: json!([tool("call_a", "f", json!({}))]),
            stop_reason: "tool_use",
        },
        Case {
            name: "an input that is no object",
            deltas: vec![json!({"tool_calls": [call(0, "call_a", "f", "{\"a\":")]})],
            message: json!({"role": "assistant", "content": null, "tool_calls": [call(0, "call_a", "f", "{\"a\":")]}),
            finish_reason: "length",
            content: json!([tool("call_a", "f", json!({"__unparsedToolInput": {"raw": "{\"a\":", "len": 5}}))]),
            stop_reason: "max_tokens",
        },
        Case {
            name: "a call that is named with every fragment",
            deltas: vec![
                json!({"tool_calls": [call(0, "call_a", "f", "{")]}),
                json!({"tool_calls": [call(0, "call_a", "f", "}")]}),
            ],
            message: json!({"role": "assistant", "content": null, "tool_calls": [call(0, "call_a", "f", "{}")]}),
            finish_reason: "tool_calls",
            content: json!([tool("call_a", "f", json!({}))]),
            stop_reason: "tool_use",
        },
        Case {
            name: "a custom tool",
            deltas: vec![
                json!({"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "g", "input": "x\"\n"}}]}),
                json!({"tool_calls": [{"index": 0, "custom": {"input": "\u{e4}"}}]}),
            ],
            message: json!({
                "role": "assistant", "content": null,
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "g", "input": "x\"\n\u{e4}"}}],
            }),
            finish_reason: "tool_calls",
            content: json!([tool("c", "g", json!({"input": "x\"\n\u{e4}"}))]),
            stop_reason: "tool_use",
        },
        Case {
            name: "a refusal",
            deltas: vec![json!({"refusal": "I can"}), json!({"refusal": "not."})],
            message: json!({"role": "assistant", "content": null, "refusal": "I cannot."}),
            finish_reason: "stop",
            content: json!([text("I cannot.")]),
            stop_reason: "refusal",
        },
        Case {
            name: "a filter",
            deltas: vec![json!({"content": "Well"})],
            message: json!({"role": "assistant", "content": "Well"}),
            finish_reason: "content_filter",
            content: json!([text("Well")]),
            stop_reason: "refusal",
        },
        Case {
            name: "a thought under two names",
            deltas: vec![
                json!({"reasoning": "h", "reasoning_content": "h"}),
                json!({"reasoning": "m", "reasoning_content": "m"}),
                json!({"content": "a"}),
            ],
            message: json!({"role": "assistant", "content": "a", "reasoning": "hm", "reasoning_content": "hm"}),
            finish_reason: "stop",
            content: json!([thinking("hm"), text("a")]),
            stop_reason: "end_turn",
        },
        Case {
            name: "a list of parts",
            deltas: vec![json!({"content": [
                {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "b"},
            ]})],
            message: json!({"role": "assistant", "content": [
                {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "b"},
            ]}),
            finish_reason: "stop",
            content: json!([text("ab")]),
            stop_reason: "end_turn",
        },
        Case {
            name: "a word that nobody knows",
            deltas: vec![json!({"content": "a"})],
            message: json!({"role": "assistant", "content": "a"}),
            finish_reason: "eos",
            content: json!([text("a")]),
            stop_reason: "end_turn",
        },
    ] {
        let Case { name, deltas, message, finish_reason, content, stop_reason } = case;
        let ways = ways(Dialect::OpenaiChat);
        let wire = chat_stream(&deltas, finish_reason).concat();
        let deliver =
            |delivery| deliver(&ways, delivery, &[wire.as_bytes()], Passing::AsItCame).expect("a whole stream");
        let streamed = deliver(Delivery::stream(ways.options, None));
        let gathered: Value = serde_json::from_str(&deliver(Delivery::whole(ways.options))).expect("JSON");
        let body = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m", "usage": usage(),
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        });
        let mut expected = json!({
            "id": "msg_chatcmpl-1", "type": "message", "role": "assistant", "model": "m", "content": content,
            "container": null, "diagnostics": null,
            "stop_reason": stop_reason, "stop_sequence": null, "stop_details": null,
            "usage": {
                "input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10,
                "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 5},
                "cache_creation": null, "inference_geo": null, "server_tool_use": null, "service_tier": null, "speed": null,
            },
        });
        if stop_reason == "refusal" {
            expected["stop_details"] = json!({"type": "refusal", "category": null, "explanation": null});
        }
        let read = valid::message(&streamed).unwrap_or_else(|fault| panic!("{name}: {fault}\n{streamed}"));
        assert_eq!(read, expected, "{name}, streamed");
        assert_eq!(gathered, expected, "{name}, gathered");
        assert_eq!(whole(&ways, &body), expected, "{name}, whole");
    }
}

#[test]
fn calls_have_ids_that_results_can_name() {
    let call = |index: u64, id: Value| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let ways = ways(Dialect::OpenaiChat);
    for ids in [
        [json!("a.b"), json!("a b")],
        [json!("same"), json!("same")],
        [Value::Null, Value::Null],
        [json!(""), json!("\u{e4}")],
    ] {
        let wire = chat_stream(&[call(0, ids[0].clone()), call(1, ids[1].clone())], "tool_calls").concat();
        let get = || deliver(&ways, Delivery::stream(ways.options, None), &[wire.as_bytes()], Passing::AsItCame);
        let streamed = get().expect("a stream");
        let message = valid::message(&streamed).unwrap_or_else(|fault| panic!("{ids:?}: {fault}\n{streamed}"));
        assert_eq!(message["content"].as_array().map(Vec::len), Some(2), "{ids:?}: {message}");
        assert_eq!(get().as_ref(), Some(&streamed), "the same answer has the same ids");
    }
}

#[test]
fn thoughts_that_are_not_shown_keep_the_client_waiting() {
    let mut ways = ways(Dialect::OpenaiChat);
    ways.options.shows_reasoning = false;
    let thoughts = std::iter::repeat_n(json!({"reasoning_content": "hm"}), 130);
    let deltas: Vec<Value> = thoughts.chain([json!({"content": "a"})]).collect();
    let wire = chat_stream(&deltas, "stop").concat();
    let delivery = Delivery::stream(ways.options, None);
    let streamed = deliver(&ways, delivery, &[wire.as_bytes()], Passing::AsItCame).expect("a stream");
    let message = valid::message(&streamed).expect("a valid stream");
    assert_eq!(message["content"], json!([{"type": "text", "text": "a", "citations": null}]));
    assert_eq!(streamed.matches("event: ping\n").count(), 3);
}

#[test]
fn an_answer_that_nobody_counted_has_used_nothing() {
    let ways = ways(Dialect::OpenaiChat);
    let events = chat_stream(&[json!({"content": "a"})], "stop");
    let wire: String = events.iter().filter(|event| !event.contains("prompt_tokens")).map(String::as_str).collect();
    let delivery = Delivery::stream(ways.options, None);
    let streamed = deliver(&ways, delivery, &[wire.as_bytes()], Passing::AsItCame).expect("a stream");
    assert_eq!(valid::message(&streamed).expect("a valid stream")["usage"]["output_tokens"], 0);
}

#[test]
fn a_thought_of_the_same_api_is_shown_with_its_state_whatever_the_policy_says() {
    let root = Secret::new("a-root-of-enough-characters".to_owned());
    let sealer = Sealer::of_origin(["anthropic-messages", "p", "m"], &[root]).expect("a root");
    let token = |kind, text, state| sealer.seal(Thought { kind, text }, state).expect("a token");
    let (signature, data) = (token(SealKind::Signature, "hm", "c2ln"), token(SealKind::Redacted, "", "eA=="));
    let hidden = token(SealKind::Signature, "", "c2lu");
    let mut ways = ways(Dialect::AnthropicMessages);
    ways.options.shows_reasoning = false;
    ways.reading.sealer = Some(Rc::new(sealer));
    let delta = |delta: Value| vec![delta];
    let state = |state: &str| json!({"type": "signature_delta", "signature": state});
    let thinking = json!({"type": "thinking", "thinking": "", "signature": ""});
    let thought = json!({"type": "thinking_delta", "thinking": "hm"});
    let blocks = [
        (thinking.clone(), vec![thought, state("c2ln")]),
        (json!({"type": "redacted_thinking", "data": "eA=="}), Vec::new()),
        (thinking, delta(state("c2lu"))),
        (json!({"type": "text", "text": ""}), delta(json!({"type": "text_delta", "text": "a"}))),
        (json!({"type": "text", "text": ""}), delta(json!({"type": "text_delta", "text": "b"}))),
        (json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}), Vec::new()),
    ];
    let wire = messages_stream("msg_1", &blocks, "tool_use").concat();
    let get = |delivery| deliver(&ways, delivery, &[wire.as_bytes()], Passing::Rewritten).expect("a whole stream");
    let message = valid::message(&get(Delivery::stream(ways.options, None))).expect("a valid stream");
    let gathered: Value = serde_json::from_str(&get(Delivery::whole(ways.options))).expect("JSON");
    let expected = json!([
        {"type": "thinking", "thinking": "hm", "signature": signature},
        {"type": "redacted_thinking", "data": data},
        {"type": "thinking", "thinking": "", "signature": hidden},
        {"type": "text", "text": "a", "citations": null},
        {"type": "text", "text": "b", "citations": null},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}, "caller": {"type": "direct"}},
    ]);
    assert_eq!((&message["content"], &gathered["content"]), (&expected, &expected));
    assert_eq!((&message["id"], &message["stop_reason"]), (&json!("msg_1"), &json!("tool_use")));
}

#[test]
fn a_stop_string_and_the_reason_of_a_refusal_are_told() {
    let ways = ways(Dialect::AnthropicMessages);
    for (delta, expected) in [
        (
            json!({"stop_reason": "stop_sequence", "stop_sequence": "END"}),
            json!({"stop_reason": "stop_sequence", "stop_sequence": "END"}),
        ),
        (
            json!({"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "no"}}),
            json!({
                "stop_reason": "refusal", "stop_sequence": null,
                "stop_details": {"type": "refusal", "category": null, "explanation": "no"},
            }),
        ),
        (json!({"stop_reason": "pause_turn"}), json!({"stop_reason": "pause_turn", "stop_sequence": null})),
        (json!({"stop_reason": "new_word"}), json!({"stop_reason": "new_word", "stop_sequence": null})),
        (
            json!({"stop_reason": "model_context_window_exceeded"}),
            json!({"stop_reason": "model_context_window_exceeded", "stop_sequence": null}),
        ),
    ] {
        let mut events = messages_stream("msg_1", &[], "end_turn");
        let place = events.iter().position(|event| event.starts_with("event: message_delta")).expect("an end");
        let event = json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 1}});
        events[place] = format!("event: message_delta\ndata: {event}\n\n");
        let wire = events.concat();
        let delivery = Delivery::stream(ways.options, None);
        let streamed = deliver(&ways, delivery, &[wire.as_bytes()], Passing::Rewritten).expect("a stream");
        let message = valid::message(&streamed).unwrap_or_else(|fault| panic!("{delta}: {fault}"));
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(&message[name], value, "{delta}");
        }
    }
}
