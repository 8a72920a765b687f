//! An answer that is gathered from a stream, beside the same answer as a whole body, and beside what a client of the stream
//! puts together; however the stream is cut, and with what has been gathered written down and read again in between.

use serde_json::{Value, json};
use tiergate::door::chat::answer::{AnswerOptions, CallShape};
use tiergate::door::chat::gathered::Gathered;
use tiergate::door::delivery::{self, Delivery};
use tiergate::policy::Dialect;
use tiergate::upstream::dialect::{self, DecodeOptions, Heard, Stream};
use tiergate::wire::piece::Said;
use tiergate::wire::sse::Decoder;
use tiergate_simulator::description;

use crate::case::{Case, FOLDERS, Ways, cases};

/// Reads a stream that came in these parts, and gives `tell` what it says; whether it became whole.
fn read(reading: &DecodeOptions, parts: &[&[u8]], mut tell: impl FnMut(&Said<'_>)) -> bool {
    let mut stream = Stream::new(reading).expect("the dialect should be built");
    let mut decoder = Decoder::default();
    for part in parts {
        decoder.space().extend_from_slice(part);
        while let Some(event) = decoder.next_event().expect("short events") {
            let data = stream.data(&event);
            let mut pieces = Vec::new();
            match stream.take(&data, &mut pieces) {
                Ok(Heard::Pieces) => {
                    tell(&Said { dialect: stream.dialect(), pieces: &pieces, came: data.as_it_came() });
                }
                Ok(Heard::Foreign) => {}
                Ok(Heard::End) => return stream.is_finished(),
                Err(_) => return false,
            }
        }
    }
    if let Some(rest) = stream.rest() {
        let mut pieces = Vec::new();
        stream.take(&rest, &mut pieces).expect("what was held back should be read");
        tell(&Said { dialect: reading.dialect, pieces: &pieces, came: rest.as_it_came() });
    }
    stream.is_finished()
}

/// The completion that a client gets of a stream; nothing if the stream does not become whole.
fn gathered(Ways { reading, options }: &Ways, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let (mut delivery, mut out) = (Delivery::whole(*options), Vec::new());
    let is_whole = read(reading, parts, |said| {
        delivery.take(said, &mut out);
    });
    assert!(out.is_empty(), "nothing goes out before the end");
    delivery.end(&mut out);
    is_whole.then_some(out)
}

fn whole(Ways { reading, options }: &Ways, body: &str) -> Value {
    let body = dialect::mend_answer(reading, body.as_bytes().to_vec());
    let pieces = dialect::decode_answer(reading, &body).expect("an answer");
    let said = Said { dialect: reading.dialect, pieces: &pieces, came: None };
    let encoded = delivery::encode_answer(options, &said).unwrap_or(body.clone());
    serde_json::from_slice(&encoded).expect("JSON")
}

/// What a client of the stream puts together, as official SDKs do it.
#[derive(Default)]
struct Accumulated {
    texts: [String; 4],
    details: Vec<Value>,
    /// Each call's id, name and input.
    calls: Vec<[String; 3]>,
    finish_reason: Value,
    usage: Value,
    id: Value,
}

const TEXTS: [&str; 4] = ["content", "refusal", "reasoning_content", "reasoning"];

impl Accumulated {
    fn of_stream(Ways { reading, options }: &Ways, wire: &[u8]) -> Self {
        let options = AnswerOptions { includes_usage: true, ..*options };
        let (mut delivery, mut out) = (Delivery::stream(options, None), Vec::new());
        read(reading, &[wire], |said| {
            delivery.take(said, &mut out);
        });
        delivery.end(&mut out);
        let mut accumulated = Self::default();
        for event in String::from_utf8(out).expect("UTF-8").split("\n\n") {
            if let Some(data) = event.strip_prefix("data: ").filter(|data| data.starts_with('{')) {
                accumulated.take(&serde_json::from_str(data).expect("JSON"));
            }
        }
        accumulated
    }

    fn take(&mut self, chunk: &Value) {
        let set = |slot: &mut Value, value: &Value| {
            if !value.is_null() && value != "" {
                slot.clone_from(value);
            }
        };
        set(&mut self.usage, &chunk["usage"]);
        if self.id.is_null() {
            set(&mut self.id, &chunk["id"]);
        }
        let choice = &chunk["choices"][0];
        set(&mut self.usage, &choice["usage"]);
        if choice["finish_reason"].as_str().is_some_and(|reason| reason.trim() != "null") {
            set(&mut self.finish_reason, &choice["finish_reason"]);
        }
        let delta = &choice["delta"];
        for (text, name) in self.texts.iter_mut().zip(TEXTS) {
            text.push_str(delta[name].as_str().unwrap_or_default());
        }
        self.details.extend(delta["reasoning_details"].as_array().cloned().unwrap_or_default());
        let newer = delta["tool_calls"].as_array().cloned().unwrap_or_default();
        let older = delta.get("function_call").map(|tool| json!({"index": 0, "function": tool}));
        for (place, part) in newer.into_iter().chain(older).enumerate() {
            let index = part["index"].as_u64().map_or(place, |index| index as usize);
            if self.calls.len() <= index {
                self.calls.resize(index + 1, Default::default());
            }
            let tool = if part["custom"].is_object() { &part["custom"] } else { &part["function"] };
            let input = tool["arguments"].as_str().or(tool["input"].as_str());
            let parts = [part["id"].as_str(), tool["name"].as_str(), input];
            for (slot, part) in self.calls[index].iter_mut().zip(parts) {
                slot.push_str(part.unwrap_or_default());
            }
        }
    }

    fn of_completion(completion: &Value) -> Self {
        let mut accumulated = Self::default();
        let choice = &completion["choices"][0];
        let chunk = json!({
            "id": completion["id"], "usage": completion["usage"],
            "choices": [{"delta": choice["message"], "finish_reason": choice["finish_reason"]}],
        });
        accumulated.take(&chunk);
        accumulated
    }

    fn shown(&self) -> Value {
        let Self { texts, details, calls, finish_reason, usage, id } = self;
        json!({"texts": texts, "details": details, "calls": calls, "finish": finish_reason, "usage": usage, "id": id})
    }
}

#[test]
fn what_is_gathered_of_a_case_is_what_a_client_of_its_stream_puts_together() {
    let mut whole_streams = 0;
    for (dialect, folder, _) in FOLDERS {
        for path in cases(folder) {
            let case = Case::read(dialect, &path);
            let Some(events) = case.events() else { continue };
            let (ways, wire) = (case.ways(), events.concat());
            let Some(body) = gathered(&ways, &[wire.as_bytes()]) else { continue };
            whole_streams += 1;
            for at in 0..=wire.len() {
                let (head, tail) = wire.as_bytes().split_at(at);
                assert_eq!(gathered(&ways, &[head, tail]).as_deref(), Some(&body[..]), "{} split at {at}", case.name);
            }
            let completion: Value = serde_json::from_slice(&body).expect("JSON");
            let mut read = Accumulated::of_completion(&completion);
            let expected = Accumulated::of_stream(&ways, wire.as_bytes());
            if expected.id.is_null() {
                assert!(read.id.take().as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{}", case.name);
            }
            assert_eq!(read.shown(), expected.shown(), "{}: {completion}", case.name);
            if dialect != Dialect::OpenaiChat {
                let faults = description::faults("CreateChatCompletionResponse", &completion);
                assert!(faults.is_empty(), "{}: {faults:?}", case.name);
            }
        }
    }
    assert!(whole_streams > 40, "most cases' streams should become whole: {whole_streams}");
}

#[test]
fn an_answer_is_gathered_on_from_what_was_written_down() {
    for (dialect, folder, _) in FOLDERS {
        for path in cases(folder) {
            let case = Case::read(dialect, &path);
            let Some(events) = case.events() else { continue };
            let (Ways { reading, options }, wire) = (case.ways(), events.concat());
            let (mut gathered, mut carried) = (Gathered::default(), Gathered::default());
            read(&reading, &[wire.as_bytes()], |said| {
                gathered.take(&options, said);
                carried.take(&options, said);
                let state = serde_json::to_string(&carried).expect("JSON");
                carried = serde_json::from_str(&state).expect("what was written down");
            });
            assert_eq!(carried, gathered, "{}", case.name);
        }
    }
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
    let expected =
        format!(r#"{{{HEAD},"object":"chat.completion","choices":[{choice}]{beside},"usage":{usage}}}"#);
    let value = |json: &[u8]| serde_json::from_slice::<Value>(json).expect("JSON");
    assert_eq!(value(&body), value(expected.as_bytes()), "{name}");
}

fn chat_wire(events: &[String]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

fn ways(dialect: Dialect) -> Ways {
    let options = AnswerOptions { includes_usage: false, calls: CallShape::ToolCalls, shows_reasoning: true };
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
            chat(&[r#"{"role":"assistant","content":"","refusal":null}"#, r#"{"content":"He\"\ud83d"}"#, r#"{"content":"\ude00\u00e4"}"#], "stop"),
            [r#"{"role":"assistant","content":"He\"😀ä","refusal":null}"#, NONE, "", "stop"],
        ),
        ("nothing", chat(&[r#"{"role":"assistant","content":""}"#], "length"), [r#"{"role":"assistant","content":"","refusal":null}"#, NONE, "", "length"]),
        (
            "refusal",
            chat(&[r#"{"refusal":"I can"}"#, r#"{"refusal":"not."}"#], "stop"),
            [r#"{"role":"assistant","content":null,"refusal":"I cannot."}"#, NONE, "", "stop"],
        ),
        (
            "reasoning under both names",
            chat(&[r#"{"reasoning_content":"h","reasoning":"H"}"#, r#"{"reasoning_content":"m","reasoning":"M"}"#, r#"{"content":"a"}"#], "stop"),
            [r#"{"role":"assistant","content":"a","refusal":null,"reasoning_content":"hm","reasoning":"HM"}"#, NONE, "", "stop"],
        ),
        (
            "details of the reasoning, in parts",
            chat(&[
                r#"{"reasoning_details":[{"type":"reasoning.text","text":"h","format":"f","index":0}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.text","text":"m","signature":null,"index":0},{"type":"reasoning.encrypted","data":"x","index":1}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.text","signature":"s","index":0}]}"#,
                r#"{"content":"a"}"#,
            ], "stop"),
            [
                r#"{"role":"assistant","content":"a","refusal":null,"reasoning_details":[{"type":"reasoning.text","text":"hm","format":"f","index":0,"signature":"s"},{"type":"reasoning.encrypted","data":"x","index":1}]}"#,
                NONE, "", "stop",
            ],
        ),
        (
            "calls in turns, and one of a custom tool",
            chat(&[
                r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
                r#"{"tool_calls":[{"index":1,"id":"b","type":"custom","custom":{"name":"g","input":"x"},"extra_content":{"google":{"thought_signature":"t"}}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}"#,
                r#"{"tool_calls":[{"index":1,"custom":{"input":"y"}},{"index":0,"function":{"arguments":"1}"}}]}"#,
            ], "tool_calls"),
            [
                r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"b","type":"custom","custom":{"name":"g","input":"xy"},"extra_content":{"google":{"thought_signature":"t"}}}]}"#,
                NONE, "", "tool_calls",
            ],
        ),
        (
            "calls that are named with every fragment, or not counted",
            chat(&[
                r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"}"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
            ], "tool_calls"),
            [
                r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
                NONE, "", "tool_calls",
            ],
        ),
        (
            "the older form of a call",
            chat(&[r#"{"function_call":{"name":"f","arguments":""}}"#, r#"{"function_call":{"arguments":"{}"}}"#], "function_call"),
            [r#"{"role":"assistant","content":null,"refusal":null,"function_call":{"name":"f","arguments":"{}"}}"#, NONE, "", "function_call"],
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
            ].concat(),
            [
                r#"{"role":"assistant","content":"aaa","refusal":null}"#,
                &format!(r#","logprobs":{{"content":[{},{},{}],"refusal":[{}]}}"#, token("a"), token("b"), token("c"), token("d")),
                "", "stop",
            ],
        ),
        (
            "annotations, and what nobody knows",
            chat(&[
                r#"{"content":"a","annotations":[{"type":"url_citation","n":1}],"mood":{"a":1},"score":1}"#,
                r#"{"annotations":[],"mood":{"b":2},"score":2}"#,
                r#"{"annotations":[{"type":"url_citation","n":2}]}"#,
            ], "stop"),
            [
                r#"{"role":"assistant","content":"a","refusal":null,"annotations":[{"type":"url_citation","n":1},{"type":"url_citation","n":2}],"mood":{"b":2},"score":2}"#,
                NONE, "", "stop",
            ],
        ),
        (
            "what stands beside the message and the choices",
            [
                vec![
                    chunk("", r#","prompt_filter_results":[{"prompt_index":0}]"#),
                    chunk(r#"{"index":0,"delta":{"content":"a"},"content_filter_results":{"hate":1},"token_ids":[1]}"#, r#","system_fingerprint":"fp_1","service_tier":"default","citations":["x"]"#),
                    chunk(r#"{"index":0,"delta":{"content":"b"},"content_filter_results":{"hate":2},"token_ids":[2,3]}"#, r#","system_fingerprint":"fp_2","obfuscation":"xyz","citations":["x","y"]"#),
                ],
                end("stop"),
            ].concat(),
            [
                r#"{"role":"assistant","content":"ab","refusal":null}"#,
                r#","logprobs":null,"content_filter_results":{"hate":2},"token_ids":[1,2,3]"#,
                r#","prompt_filter_results":[{"prompt_index":0}],"system_fingerprint":"fp_2","service_tier":"default","citations":["x","y"]"#,
                "stop",
            ],
        ),
        (
            "a content of parts",
            chat(&[r#"{"content":"see "}"#, r#"{"content":[{"type":"reference","reference_ids":[1]}]}"#, r#"{"content":"there"}"#], "stop"),
            [
                r#"{"role":"assistant","content":[{"type":"text","text":"see "},{"type":"reference","reference_ids":[1]},{"type":"text","text":"there"}],"refusal":null}"#,
                NONE, "", "stop",
            ],
        ),
        (
            "a reason to finish in every chunk",
            vec![
                chunk(r#"{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}"#, ""),
                chunk(r#"{"index":0,"delta":{"content":"b"},"finish_reason":"length"}"#, r#","usage":{"prompt_tokens":1,"completion_tokens":1}"#),
                end("length")[1].clone(),
            ],
            [r#"{"role":"assistant","content":"ab","refusal":null}"#, NONE, "", "length"],
        ),
    ] {
        check_chat(name, &events, whole);
    }
}
