//! Conversations in which a model thinks, calls tools and thinks on: what it thought goes to the client as tokens, comes
//! back with the history, and goes up as it was, to that model only. Each request is judged by the simulator, whose
//! signatures hold for one model, one text and one conversation.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tiergate::door::answer::AnswerOptions;
use tiergate::door::chat;
use tiergate::door::delivery::{self, Delivery};
use tiergate::policy::parse::parse;
use tiergate::policy::{Candidate, Effort, Policy};
use tiergate::secret::Secret;
use tiergate::upstream::dialect::{self, DecodeOptions, EncodeOptions, Recipient, Stream};
use tiergate::upstream::sealer::Sealer;
use tiergate::wire::piece::Said;
use tiergate::wire::sse::Decoder;
use tiergate_simulator::sign_thought;

use crate::properties::judge;

pub const OPUS: &str = "claude-opus-5-5";
const OLDER: &str = "claude-opus-4-8";
const BUDGET: &str = "claude-sonnet-4-5";
const ROUTER: &str = "router-model";
const BETA: &str = "thinking-binding-controls-2026-08-01";
const STATE_FIELD: &str = "messages.reasoning_details";

/// A client's conversation, with the gateway and the providers behind it.
pub struct Conversation {
    policy: Policy,
    root: &'static str,
    messages: Vec<Value>,
    tools: Value,
    streams: bool,
}

/// What went up.
struct Sent {
    body: Value,
    dropped: Vec<String>,
}

/// What a model answers.
struct Answer<'a> {
    thought: &'a str,
    content: Value,
}

fn text(thought: &'static str, text: &str) -> Answer<'static> {
    Answer { thought, content: json!({"type": "text", "text": text}) }
}

fn call(thought: &'static str, id: &str) -> Answer<'static> {
    Answer { thought, content: json!({"type": "tool_use", "id": id, "name": "look", "input": {"at": 1}}) }
}

fn policy(provider: &Value) -> Policy {
    let model = |id: &str, more: Value| {
        let mut model = json!({
            "provider": "anthropic", "id": id, "context": 200_000, "max_output": 64_000, "tools": true, "json_schema": true,
            "sampling": false,
        });
        model.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        model
    };
    let mut anthropic = json!({
        "base_url": "https://api.anthropic.com", "auth": "x-api-key", "dialect": "anthropic-messages", "show_reasoning": true,
    });
    anthropic.as_object_mut().expect("an object").extend(provider.as_object().expect("an object").clone());
    let router = json!({"base_url": "https://router.example/v1", "dialect": "openai-chat", "message_fields": ["reasoning_details"]});
    let document = json!({
        "version": "1", "default_tier": "only",
        "tiers": [{
            "name": "only", "description": "Everything.", "candidates": [{"model": OPUS}],
            "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
        }],
        "models": {
            OPUS: model(OPUS, json!({"thinking": "always", "thinking_display": true, "forced_tools": false})),
            OLDER: model(OLDER, json!({"thinking": "adaptive", "thinking_display": true})),
            BUDGET: model(BUDGET, json!({"thinking": "budget", "sampling": true})),
            ROUTER: model(ROUTER, json!({"provider": "router"})),
        },
        "providers": {"anthropic": anthropic, "router": router},
    });
    parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"))
}

impl Conversation {
    pub fn new(provider: &Value) -> Self {
        let tools = json!([{"type": "function", "function": {
            "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}},
        }}]);
        let messages = vec![json!({"role": "system", "content": "Be brief."})];
        Self { policy: policy(provider), root: "a-root-of-enough-characters", messages, tools, streams: false }
    }

    fn user(&mut self, text: &str) {
        self.messages.push(json!({"role": "user", "content": text}));
    }

    fn result(&mut self, id: &str) {
        self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": "seen"}));
    }

    fn sealer(&self, candidate: &Candidate) -> Option<Rc<Sealer>> {
        Sealer::new(&self.policy, candidate.model, &[Secret::new(self.root.to_owned())]).map(Rc::new)
    }

    /// What seals the thoughts of `model`.
    pub fn sealer_of(&self, model: &str) -> Option<Rc<Sealer>> {
        self.sealer(&Candidate { model: self.policy.model_named(model).expect("a model"), effort: None })
    }

    fn body(&self) -> String {
        json!({"messages": self.messages, "tools": self.tools, "stream": self.streams}).to_string()
    }

    /// What goes up to `model` now.
    fn send(&self, model: &str, effort: Option<Effort>) -> Sent {
        let candidate = Candidate { model: self.policy.model_named(model).expect("a model"), effort };
        let body = self.body();
        let ask = chat::parse(body.as_bytes()).expect("a valid request");
        let options = EncodeOptions { sealer: self.sealer(&candidate), ..EncodeOptions::default() };
        let encoded = dialect::encode_request(&self.policy, &candidate, &ask, &options);
        let encoded = encoded.unwrap_or_else(|error| panic!("{model}: {error:?}"));
        let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        assert!(!upstream.to_string().contains("tgs1_"), "a token went up: {upstream}");
        Sent { body: upstream, dropped: encoded.dropped }
    }

    /// One step of the conversation: what the client gets joins its history.
    fn step(&mut self, model: &str, answer: &Answer<'_>) -> Sent {
        let candidate = Candidate { model: self.policy.model_named(model).expect("a model"), effort: None };
        let sent = self.send(model, Some(Effort::High));
        assert_eq!(judge(model, &sent.body), Ok(()), "{model}: {}", sent.body);
        let signature = sign_thought(&sent.body, answer.thought).expect("a request");
        let block = json!({"type": "thinking", "thinking": answer.thought, "signature": signature});
        let body = self.body();
        let ask = chat::parse(body.as_bytes()).expect("a valid request");
        let provider = self.policy.provider_of(candidate.model);
        let decode = DecodeOptions {
            sealer: self.sealer(&candidate),
            ..DecodeOptions::of(&Recipient::of(&self.policy, &candidate), &ask, Duration::from_secs(7))
        };
        let encode = AnswerOptions::of(&ask, provider.show_reasoning);
        let message = match self.streams {
            false => whole(&decode, encode, &[block, answer.content.clone()]),
            true => streamed(&decode, encode, &[block, answer.content.clone()]),
        };
        self.messages.push(message);
        sent
    }
}

fn stop_reason(blocks: &[Value]) -> &'static str {
    if blocks.iter().any(|block| block["type"] == "tool_use") { "tool_use" } else { "end_turn" }
}

/// The message that a client gets of a whole answer.
fn whole(decode: &DecodeOptions, encode: AnswerOptions, blocks: &[Value]) -> Value {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks,
        "stop_reason": stop_reason(blocks), "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    let body = answer.to_string();
    let pieces = dialect::decode_answer(decode, body.as_bytes()).expect("an answer");
    let said = Said { dialect: decode.dialect, pieces: &pieces, came: None };
    let body = delivery::encode_answer(&encode, &said, None).expect("a translation");
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    answer["choices"][0]["message"].clone()
}

/// The message that a client gathers from a stream.
fn streamed(decode: &DecodeOptions, encode: AnswerOptions, blocks: &[Value]) -> Value {
    let mut events = vec![json!({"type": "message_start", "message": {"id": "msg_1", "model": "m"}})];
    for (index, block) in blocks.iter().enumerate() {
        let delta = |delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let (start, deltas) = match block["type"].as_str().expect("a type") {
            "thinking" => {
                let texts = block["thinking"].as_str().expect("a text").split_inclusive(' ');
                let texts = texts.map(|text| json!({"type": "thinking_delta", "thinking": text}));
                let signature = json!({"type": "signature_delta", "signature": block["signature"]});
                (json!({"type": "thinking", "thinking": "", "signature": ""}), texts.chain([signature]).collect())
            }
            "text" => (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": block["text"]})]),
            _ => {
                let input = json!({"type": "input_json_delta", "partial_json": block["input"].to_string()});
                (json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}), vec![input])
            }
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(blocks)}}));
    let (mut stream, mut out) = (Stream::new(decode).expect("a dialect"), Vec::new());
    let (mut delivery, mut decoder) = (Delivery::stream(encode, None), Decoder::default());
    for event in events {
        decoder.space().extend_from_slice(format!("data: {event}\n\n").as_bytes());
        let event = decoder.next_event().expect("a short event").expect("a whole event");
        let (data, mut pieces) = (stream.data(&event), Vec::new());
        stream.take(&data, &mut pieces).expect("an event");
        delivery.take(
            &Said { dialect: stream.dialect(), pieces: &pieces, came: stream.pass(&data).as_it_came() },
            &mut out,
        );
    }
    let out = String::from_utf8(out).expect("UTF-8");
    let mut message = json!({"role": "assistant", "content": ""});
    let mut add = |name: &str, part: &Value| {
        let text = format!("{}{}", message[name].as_str().unwrap_or_default(), part.as_str().unwrap_or_default());
        match part {
            Value::Array(entries) if name == "tool_calls" && !message[name].is_null() => {
                let known = &mut message[name][0]["function"]["arguments"];
                let more = entries[0]["function"]["arguments"].as_str().unwrap_or_default();
                *known = json!(format!("{}{more}", known.as_str().unwrap_or_default()));
            }
            Value::Array(entries) => {
                let known = message[name].as_array().cloned().unwrap_or_default();
                message[name] = json!([known, entries.clone()].concat());
            }
            _ => message[name] = json!(text),
        }
    };
    for chunk in out.split_terminator("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
        let chunk: Value = serde_json::from_str(chunk).expect("JSON");
        let delta = chunk["choices"][0]["delta"].as_object().expect("a delta");
        delta.iter().filter(|(name, _)| *name != "role").for_each(|(name, part)| add(name, part));
    }
    message
}

/// The thoughts in what went up, message by message, each with where it stands in its message.
fn thoughts(sent: &Sent) -> Vec<String> {
    let messages = sent.body["messages"].as_array().expect("messages").iter();
    let blocks = messages.flat_map(|message| message["content"].as_array().into_iter().flatten().enumerate());
    let thoughts = blocks.filter(|(_, block)| block["type"] == "thinking");
    thoughts.map(|(at, block)| format!("{at}:{}", block["thinking"].as_str().expect("a text"))).collect()
}

/// Two turns of a user, each with a call, in which the model thinks at every step.
fn conversation(model: &str, mut conversation: Conversation) -> Conversation {
    conversation.user("Look.");
    conversation.step(model, &call("Which one? \u{1F600}", "toolu_1"));
    conversation.result("toolu_1");
    conversation.step(model, &text("So that is it.", "There."));
    conversation.user("And now?");
    conversation.step(model, &call("", "toolu_2"));
    conversation.result("toolu_2");
    conversation
}

#[test]
fn loops_of_tools_keep_what_was_thought() {
    for model in [OPUS, OLDER, BUDGET] {
        for streams in [false, true] {
            let begun = Conversation { streams, ..Conversation::new(&json!({})) };
            let mut conversation = conversation(model, begun);
            let sent = conversation.step(model, &text("Done?", "Yes."));
            assert_eq!(thoughts(&sent), ["0:Which one? \u{1F600}", "0:So that is it.", "0:"], "{model} {streams}");
            // An SDK leaves in a call where it stood in its stream.
            let expected: &[&str] = if streams { &["messages.tool_calls.index"] } else { &[] };
            assert_eq!(sent.dropped, expected, "{model} {streams}");
            let again = conversation.send(model, Some(Effort::High)).body;
            assert_eq!(again, conversation.send(model, Some(Effort::High)).body, "the same bytes each time");
            let details = |message: &Value| message["reasoning_details"].as_array().map_or(0, Vec::len);
            assert_eq!(conversation.messages.iter().map(details).sum::<usize>(), 4, "{:?}", conversation.messages);
            assert_eq!(conversation.messages[2]["reasoning_content"], json!("Which one? \u{1F600}"));
        }
    }
}

/// What a client, or another gateway, may make of a history.
#[test]
fn what_is_not_as_it_was_told_is_left_out_and_refused_by_nobody() {
    type Change = fn(&mut Vec<Value>);
    let cases: [(&str, Change, &[&str], bool); 10] = [
        ("nothing", |_| {}, &["0:Which one? \u{1F600}", "0:So that is it.", "0:"], false),
        ("the last text", |messages| messages[6]["reasoning_details"][0]["text"] = json!("hm"), &[], true),
        // What was before it would not be followed by what followed it.
        ("a text between", |messages| messages[4]["reasoning_details"][0]["text"] = json!("hm"), &["0:"], true),
        (
            "the first one is gone",
            |messages| drop(messages[2].as_object_mut().unwrap().remove("reasoning_details")),
            &["0:So that is it.", "0:"],
            false,
        ),
        (
            "a state",
            |messages| {
                let token = messages[6]["reasoning_details"][0]["signature"].as_str().unwrap().to_owned();
                messages[6]["reasoning_details"][0]["signature"] = json!(token[..token.len() - 4]);
            },
            &[],
            true,
        ),
        (
            "half a token",
            |messages| {
                let token = messages[6]["reasoning_details"][0]["signature"].as_str().unwrap().to_owned();
                messages[6]["reasoning_details"][0]["signature"] = json!(token[..30]);
            },
            &[],
            true,
        ),
        (
            "no signature",
            |messages| drop(messages[2]["reasoning_details"][0].as_object_mut().unwrap().remove("signature")),
            &["0:So that is it.", "0:"],
            true,
        ),
        (
            "another provider's",
            |messages| messages[2]["reasoning_details"][0]["signature"] = json!("EqQB"),
            &["0:So that is it.", "0:"],
            true,
        ),
        (
            "no state at all",
            |messages| {
                for message in messages {
                    message.as_object_mut().unwrap().remove("reasoning_details");
                }
            },
            &[],
            false,
        ),
        (
            "not even a list",
            |messages| messages[2]["reasoning_details"] = json!("hm"),
            &["0:So that is it.", "0:"],
            true,
        ),
    ];
    for model in [OPUS, OLDER, BUDGET] {
        for (name, change, expected, is_named) in &cases {
            let mut conversation = conversation(model, Conversation::new(&json!({})));
            change(&mut conversation.messages);
            let sent = conversation.send(model, Some(Effort::High));
            assert_eq!(judge(model, &sent.body), Ok(()), "{name}: {}", sent.body);
            // Within a budget the model does not think where its last thought is missing.
            let is_off = model == BUDGET && expected.last() != Some(&"0:");
            assert_eq!(thoughts(&sent), if is_off { &[] } else { *expected }, "{model}: {name}");
            let dropped = sent.dropped.iter().any(|dropped| dropped == STATE_FIELD);
            assert_eq!(dropped, *is_named, "{model}: {name}: {:?}", sent.dropped);
        }
    }
}

#[test]
fn a_thought_goes_to_no_other_model() {
    let conversation = conversation(OPUS, Conversation::new(&json!({})));
    for model in [OLDER, BUDGET, ROUTER] {
        let sent = conversation.send(model, Some(Effort::High));
        assert_eq!(judge(model, &sent.body), Ok(()), "{model}: {}", sent.body);
        assert!(!sent.body.to_string().contains("Which one?"), "{model}: {}", sent.body);
        assert!(sent.dropped.iter().any(|dropped| dropped == STATE_FIELD), "{model}: {:?}", sent.dropped);
    }
    let other_root = Conversation { root: "another-root-of-enough-characters", ..conversation };
    let sent = other_root.send(OPUS, None);
    assert_eq!(judge(OPUS, &sent.body), Ok(()));
    assert_eq!(thoughts(&sent), Vec::<String>::new());
}

/// A conversation that another model goes on with, and then the first one again.
#[test]
fn what_others_thought_between_breaks_nothing() {
    let mut conversation = conversation(OPUS, Conversation::new(&json!({})));
    conversation.step(OLDER, &text("I am another.", "Here."));
    conversation.user("Back.");
    let sent = conversation.step(OPUS, &text("Me again.", "Hello."));
    assert_eq!(thoughts(&sent), ["0:Which one? \u{1F600}", "0:So that is it.", "0:"]);
    conversation.user("Go on.");
    let sent = conversation.step(OPUS, &text("Yes.", "Yes."));
    assert_eq!(thoughts(&sent).last().map(String::as_str), Some("0:Me again."));
}

#[test]
fn other_gateways_state_goes_to_who_takes_it() {
    let mut conversation = conversation(OPUS, Conversation::new(&json!({})));
    let foreign = json!({"type": "reasoning.text", "text": "hm", "signature": "EqQB", "format": "anthropic-claude-v1", "index": 1});
    conversation.messages[2]["reasoning_details"].as_array_mut().expect("entries").push(foreign.clone());
    let sent = conversation.send(ROUTER, None);
    assert_eq!(sent.body["messages"][2]["reasoning_details"], json!([foreign]));
    assert_eq!(sent.body["messages"][4].get("reasoning_details"), None);
}

/// The API refuses thoughts behind another conversation, unless its beta is asked to pass over them.
#[test]
fn a_client_may_change_its_tools() {
    let with_beta = json!({"headers": {"anthropic-beta": format!("other-2026-01-01, {BETA}")}});
    for (provider, is_taken) in [(with_beta, true), (json!({"headers": {"anthropic-beta": "other-2026-01-01"}}), false)]
    {
        let mut conversation = conversation(OPUS, Conversation::new(&provider));
        conversation.tools[0]["function"]["description"] = json!("Looks.");
        let sent = conversation.send(OPUS, None);
        assert_eq!(judge(OPUS, &sent.body).is_ok(), is_taken, "{}", sent.body);
        let behavior = &sent.body["thinking"]["block_binding"]["prefix_mismatch_behavior"];
        assert_eq!(*behavior, if is_taken { json!("drop_block") } else { Value::Null });
    }
}

#[test]
fn a_thought_that_may_not_be_shown_leaves_no_state() {
    let mut hidden = Conversation::new(&json!({"show_reasoning": false}));
    hidden.user("Look.");
    hidden.step(OPUS, &text("A secret.", "There."));
    assert_eq!(hidden.messages[2].get("reasoning_details"), None);
    hidden.user("And?");
    hidden.step(OPUS, &text("", "There."));
    let details = &hidden.messages[4]["reasoning_details"];
    assert_eq!((&details[0]["text"], details[0]["signature"].is_string()), (&json!(""), true), "{details}");
    let mut without_secret = Conversation { root: "short", ..Conversation::new(&json!({})) };
    without_secret.user("Look.");
    without_secret.step(OPUS, &text("A thought.", "There."));
    let message = &without_secret.messages[2];
    assert_eq!((message.get("reasoning_details"), &message["reasoning_content"]), (None, &json!("A thought.")));
}
