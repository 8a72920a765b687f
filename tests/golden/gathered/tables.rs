//! The same answer as a stream and as a whole body, in both dialects.

use serde_json::{Value, json};
use tiergate::door::answer::{AnswerOptions, CallShape};
use tiergate::door::delivery;
use tiergate::policy::Dialect;
use tiergate::upstream::dialect::{self, DecodeOptions};
use tiergate::wire::door::Door;
use tiergate::wire::piece::Said;
use tiergate_simulator::description;

use super::gathered;
use crate::case::Ways;
use crate::thoughts::{Conversation, OPUS};

fn whole(Ways { reading, options }: &Ways, body: &str) -> Value {
    let body = dialect::mend_answer(reading, body.as_bytes().to_vec());
    let pieces = dialect::decode_answer(reading, &body).expect("an answer");
    let said = Said { dialect: reading.dialect, pieces: &pieces, came: None };
    let encoded = delivery::encode_answer(options, &said, None).unwrap_or(body.clone());
    serde_json::from_slice(&encoded).expect("JSON")
}

const HEAD: &str = r#""id":"c1","created":7,"model":"m""#;

/// A chunk with this choice, or with none, and what stands beside.
fn chunk(choice: &str, beside: &str) -> String {
    format!(r#"{{{HEAD},"object":"chat.completion.chunk","choices":[{choice}]{beside}}}"#)
}

fn deltas(deltas: &[&str]) -> Vec<String> {
    let choice = |delta: &&str| chunk(&format!(r#"{{"index":0,"delta":{delta},"finish_reason":null}}"#), "");
    deltas.iter().map(choice).collect()
}

fn end(reason: &str) -> Vec<String> {
    let usage = r#","usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"extra":{"a":1}}"#;
    vec![chunk(&format!(r#"{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}"#), ""), chunk("", usage)]
}

/// The same answer in the chat API, as events and as a body with this message, and what else stands in the choice and beside it.
fn check_chat(name: &str, events: &[String], [message, in_choice, beside, reason]: [&str; 4]) {
    let (ways, wire) = (ways(Dialect::OpenaiChat), chat_wire(events));
    let body = gathered(&ways, &[wire.as_bytes()]).unwrap_or_else(|| panic!("{name}: {wire}"));
    let usage = r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"extra":{"a":1}}"#;
    let choice = format!(r#"{{"index":0,"message":{message}{in_choice},"finish_reason":"{reason}"}}"#);
    let expected = format!(r#"{{{HEAD},"object":"chat.completion","choices":[{choice}]{beside},"usage":{usage}}}"#);
    let value = |json: &[u8]| serde_json::from_slice::<Value>(json).expect("JSON");
    assert_eq!(value(&body), value(expected.as_bytes()), "{name}");
}

pub fn chat_wire(events: &[String]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

pub fn ways(dialect: Dialect) -> Ways {
    let options =
        AnswerOptions { door: Door::Chat, includes_usage: false, calls: CallShape::ToolCalls, shows_reasoning: true };
    Ways { reading: DecodeOptions::plain(dialect, 7), options }
}

#[test]
fn a_chat_stream_gives_the_completion_that_its_provider_would_have_sent_whole() {
    const NONE: &str = r#","logprobs":null"#;
    let chat = |deltas_of: &[&str], reason: &str| [deltas(deltas_of), end(reason)].concat();
    let token = |token: &str| format!(r#"{{"token":"{token}","logprob":-0.5,"bytes":null,"top_logprobs":[]}}"#);
    let logprobs = |lists: &str| {
        chunk(&format!(r#"{{"index":0,"delta":{{"content":"a"}},"logprobs":{{{lists}}},"finish_reason":null}}"#), "")
    };
    for (name, events, whole) in [
        (
            "text",
            chat(
                &[
                    r#"{"role":"assistant","content":"","refusal":null}"#,
                    r#"{"content":"He\"\ud83d"}"#,
                    r#"{"content":"\ude00\u00e4"}"#,
                ],
                "stop",
            ),
            [r#"{"role":"assistant","content":"He\"😀ä","refusal":null}"#, NONE, "", "stop"],
        ),
        (
            "nothing",
            chat(&[r#"{"role":"assistant","content":""}"#], "length"),
            [r#"{"role":"assistant","content":"","refusal":null}"#, NONE, "", "length"],
        ),
        (
            "refusal",
            chat(&[r#"{"refusal":"I can"}"#, r#"{"refusal":"not."}"#], "stop"),
            [r#"{"role":"assistant","content":null,"refusal":"I cannot."}"#, NONE, "", "stop"],
        ),
        (
            "reasoning under both names",
            chat(
                &[
                    r#"{"reasoning_content":"h","reasoning":"H"}"#,
                    r#"{"reasoning_content":"m","reasoning":"M"}"#,
                    r#"{"content":"a"}"#,
                ],
                "stop",
            ),
            [
                r#"{"role":"assistant","content":"a","refusal":null,"reasoning_content":"hm","reasoning":"HM"}"#,
                NONE,
                "",
                "stop",
            ],
        ),
        (
            "details of the reasoning, in parts",
            chat(
                &[
                    r#"{"reasoning_details":[{"type":"reasoning.text","text":"h","format":"f","index":0}]}"#,
                    r#"{"reasoning_details":[{"type":"reasoning.text","text":"m","signature":null,"index":0},{"type":"reasoning.encrypted","data":"x","index":1}]}"#,
                    r#"{"reasoning_details":[{"type":"reasoning.text","signature":"s","index":0}]}"#,
                    r#"{"content":"a"}"#,
                ],
                "stop",
            ),
            [
                r#"{"role":"assistant","content":"a","refusal":null,"reasoning_details":[{"type":"reasoning.text","text":"hm","format":"f","index":0,"signature":"s"},{"type":"reasoning.encrypted","data":"x","index":1}]}"#,
                NONE,
                "",
                "stop",
            ],
        ),
        (
            "calls in turns, and one of a custom tool",
            chat(
                &[
                    r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
                    r#"{"tool_calls":[{"index":1,"id":"b","type":"custom","custom":{"name":"g","input":"x"},"extra_content":{"google":{"thought_signature":"t"}}}]}"#,
                    r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}"#,
                    r#"{"tool_calls":[{"index":1,"custom":{"input":"y"}},{"index":0,"function":{"arguments":"1}"}}]}"#,
                ],
                "tool_calls",
            ),
            [
                r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"b","type":"custom","custom":{"name":"g","input":"xy"},"extra_content":{"google":{"thought_signature":"t"}}}]}"#,
                NONE,
                "",
                "tool_calls",
            ],
        ),
        (
            "calls that are named with every fragment, or not counted",
            chat(
                &[
                    r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]}"#,
                    r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"}"}}]}"#,
                    r#"{"tool_calls":[{"index":0,"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
                ],
                "tool_calls",
            ),
            [
                r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
                NONE,
                "",
                "tool_calls",
            ],
        ),
        (
            "a name in fragments",
            chat(
                &[
                    r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_"}}]}"#,
                    r#"{"tool_calls":[{"index":0,"function":{"name":"weather","arguments":""}}]}"#,
                    r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
                ],
                "tool_calls",
            ),
            [
                r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"get_weather","arguments":"{}"}}]}"#,
                NONE,
                "",
                "tool_calls",
            ],
        ),
        (
            "the older form of a call",
            chat(
                &[r#"{"function_call":{"name":"f","arguments":""}}"#, r#"{"function_call":{"arguments":"{}"}}"#],
                "function_call",
            ),
            [
                r#"{"role":"assistant","content":null,"refusal":null,"function_call":{"name":"f","arguments":"{}"}}"#,
                NONE,
                "",
                "function_call",
            ],
        ),
        (
            "logprobs",
            [
                vec![
                    logprobs(&format!(r#""content":[{}],"refusal":null"#, token("a"))),
                    logprobs(&format!(r#""content":[{},{}],"refusal":[]"#, token("b"), token("c"))),
                    logprobs(&format!(r#""content":[],"refusal":[{}]"#, token("d"))),
                ],
                end("stop"),
            ]
            .concat(),
            [
                r#"{"role":"assistant","content":"aaa","refusal":null}"#,
                &format!(
                    r#","logprobs":{{"content":[{},{},{}],"refusal":[{}]}}"#,
                    token("a"),
                    token("b"),
                    token("c"),
                    token("d")
                ),
                "",
                "stop",
            ],
        ),
        (
            "annotations, and what nobody knows",
            chat(
                &[
                    r#"{"content":"a","annotations":[{"type":"url_citation","n":1}],"mood":{"a":1},"score":1}"#,
                    r#"{"annotations":[],"mood":{"b":2},"score":2}"#,
                    r#"{"annotations":[{"type":"url_citation","n":2}]}"#,
                ],
                "stop",
            ),
            [
                r#"{"role":"assistant","content":"a","refusal":null,"annotations":[{"type":"url_citation","n":1},{"type":"url_citation","n":2}],"mood":{"b":2},"score":2}"#,
                NONE,
                "",
                "stop",
            ],
        ),
        (
            "what stands beside the message and the choices",
            [
                vec![
                    chunk("", r#","prompt_filter_results":[{"prompt_index":0}]"#),
                    chunk(
                        r#"{"index":0,"delta":{"content":"a"},"content_filter_results":{"hate":1},"token_ids":[1]}"#,
                        r#","system_fingerprint":"fp_1","service_tier":"default","citations":["x"]"#,
                    ),
                    chunk(
                        r#"{"index":0,"delta":{"content":"b"},"content_filter_results":{"hate":2},"token_ids":[2,3]}"#,
                        r#","system_fingerprint":"fp_2","obfuscation":"xyz","citations":["x","y"]"#,
                    ),
                ],
                end("stop"),
            ]
            .concat(),
            [
                r#"{"role":"assistant","content":"ab","refusal":null}"#,
                r#","logprobs":null,"content_filter_results":{"hate":2},"token_ids":[1,2,3]"#,
                r#","prompt_filter_results":[{"prompt_index":0}],"system_fingerprint":"fp_2","service_tier":"default","citations":["x","y"]"#,
                "stop",
            ],
        ),
        (
            "a content of parts",
            chat(
                &[
                    r#"{"content":"see "}"#,
                    r#"{"content":[{"type":"reference","reference_ids":[1]}]}"#,
                    r#"{"content":"there"}"#,
                ],
                "stop",
            ),
            [
                r#"{"role":"assistant","content":[{"type":"text","text":"see "},{"type":"reference","reference_ids":[1]},{"type":"text","text":"there"}],"refusal":null}"#,
                NONE,
                "",
                "stop",
            ],
        ),
        (
            "a reason to finish in every chunk",
            vec![
                chunk(r#"{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}"#, ""),
                chunk(
                    r#"{"index":0,"delta":{"content":"b"},"finish_reason":"length"}"#,
                    r#","usage":{"prompt_tokens":1,"completion_tokens":1}"#,
                ),
                end("length")[1].clone(),
            ],
            [r#"{"role":"assistant","content":"ab","refusal":null}"#, NONE, "", "length"],
        ),
    ] {
        check_chat(name, &events, whole);
    }
}

/// An event of the Messages API.
pub fn event(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("a type"))
}

pub fn block(index: u64, block: Value, deltas: &[Value]) -> String {
    let begin = json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |delta: &Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let end = json!({"type": "content_block_stop", "index": index});
    std::iter::once(begin).chain(deltas.iter().map(delta)).chain([end]).map(event).collect()
}

#[test]
fn a_messages_stream_gives_the_completion_that_the_whole_message_gives() {
    let text = |part: &str| json!({"type": "text_delta", "text": part});
    let input = |part: &str| json!({"type": "input_json_delta", "partial_json": part});
    let thinks = |part: &str| json!({"type": "thinking_delta", "thinking": part});
    let tool = |id: &str, input: Value| json!({"type": "tool_use", "id": id, "name": "f", "input": input});
    let signed = json!({"type": "signature_delta", "signature": "EqQB"});
    for (name, blocks, content, stop_reason) in [
        (
            "text",
            vec![block(0, json!({"type": "text", "text": ""}), &[text("He\""), text("llo")])],
            json!([{"type": "text", "text": "He\"llo"}]),
            "end_turn",
        ),
        (
            "two texts",
            vec![
                block(0, json!({"type": "text", "text": "a"}), &[]),
                block(1, json!({"type": "text", "text": ""}), &[text("b")]),
            ],
            json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            "max_tokens",
        ),
        (
            "two calls",
            vec![
                block(0, json!({"type": "text", "text": ""}), &[text("Look.")]),
                block(1, tool("a", json!({})), &[input(""), input("{\"a\":"), input("1}")]),
                block(2, tool("b", json!({})), &[]),
            ],
            json!([{"type": "text", "text": "Look."}, tool("a", json!({"a": 1})), tool("b", json!({}))]),
            "tool_use",
        ),
        (
            "a text of nothing before a call",
            vec![block(0, json!({"type": "text", "text": ""}), &[]), block(1, tool("a", json!({})), &[])],
            json!([{"type": "text", "text": ""}, tool("a", json!({}))]),
            "tool_use",
        ),
        (
            "calls alone",
            vec![block(0, tool("a", json!({})), &[input("{}")])],
            json!([tool("a", json!({}))]),
            "tool_use",
        ),
        (
            "thoughts with their state",
            vec![
                block(
                    0,
                    json!({"type": "thinking", "thinking": "", "signature": ""}),
                    &[thinks("h"), thinks("m"), signed.clone()],
                ),
                block(1, json!({"type": "redacted_thinking", "data": "xyz"}), &[]),
                block(2, json!({"type": "text", "text": ""}), &[text("a")]),
            ],
            json!([
                {"type": "thinking", "thinking": "hm", "signature": "EqQB"}, {"type": "redacted_thinking", "data": "xyz"},
                {"type": "text", "text": "a"},
            ]),
            "end_turn",
        ),
        ("nothing", vec![], json!([]), "end_turn"),
        (
            "refusal",
            vec![block(0, json!({"type": "text", "text": ""}), &[text("I")])],
            json!([{"type": "text", "text": "I"}]),
            "refusal",
        ),
    ] {
        let mut ways = ways(Dialect::AnthropicMessages);
        ways.reading.sealer = Conversation::new(&json!({})).sealer_of(OPUS);
        let counts = json!({"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 4});
        let details = json!({"type": "refusal", "explanation": "No."});
        let delta = json!({"stop_reason": stop_reason, "stop_sequence": null, "stop_details": details});
        let start = json!({"type": "message_start", "message": {"id": "m1", "model": "m", "usage": {"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 1}}});
        let wire = [
            event(start),
            blocks.concat(),
            event(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 4}})),
            event(json!({"type": "message_stop"})),
        ]
        .concat();
        let body = json!({
            "id": "m1", "type": "message", "model": "m", "content": content, "stop_reason": stop_reason,
            "stop_details": details, "usage": counts,
        });
        let of_stream = gathered(&ways, &[wire.as_bytes()]).unwrap_or_else(|| panic!("{name}: {wire}"));
        let of_stream: Value = serde_json::from_slice(&of_stream).expect("JSON");
        assert_eq!(of_stream, whole(&ways, &body.to_string()), "{name}");
        assert_eq!(description::faults("CreateChatCompletionResponse", &of_stream), Vec::<String>::new(), "{name}");
    }
}
