//! The state of reasoning that providers of the chat API want back, over turns of a client of the Messages API: it goes down as
//! a token beside a thought, and up as it was, to the model that gave it and to no other.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tiergate::door::answer::AnswerOptions;
use tiergate::door::delivery::{self, Delivery};
use tiergate::door::messages;
use tiergate::policy::parse::parse;
use tiergate::policy::{Candidate, Policy};
use tiergate::secret::Secret;
use tiergate::upstream::dialect::state::DecoderState;
use tiergate::upstream::dialect::{self, DecodeOptions, EncodeOptions, Recipient, Stream};
use tiergate::upstream::sealer::Sealer;
use tiergate::wire::ask::Api;
use tiergate::wire::carried;
use tiergate::wire::piece::Said;
use tiergate::wire::sse::Decoder;

use super::tables::chat_stream;
use super::{Passing, deliver, valid};
use crate::case::Ways;

const ROOT: &str = "a-root-of-enough-characters";
const OWN: &str = "own";
/// Another model of the same provider.
const OTHER: &str = "other";
const SIGNATURE: &str = "c2lnbmF0dXJl";

/// One answer with calls of a provider, streamed and whole.
struct Answer {
    name: &'static str,
    row: Value,
    deltas: Vec<Value>,
    message: Value,
    /// What is thought, where it is shown.
    thought: &'static str,
    /// How many tokens there are.
    tokens: usize,
    /// What goes up of the message beside its content and calls.
    returned: Value,
    /// The `extra_content` of each call that goes up, to the model itself and to the other one.
    signed: [Value; 2],
}

fn call(index: usize, id: &str, extra: Value) -> Value {
    let mut call = json!({
        "index": index, "id": id, "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"},
    });
    if !extra.is_null() {
        call["extra_content"] = extra;
    }
    call
}

fn signed(signature: &str) -> Value {
    json!({"google": {"thought_signature": signature}})
}

fn google() -> Value {
    json!({
        "quirks": ["tool_delta_without_index", "thought_signatures"],
        "message_fields": ["extra_content"], "tool_fields": ["extra_content"],
    })
}

fn answers() -> Vec<Answer> {
    let escape = || signed("skip_thought_signature_validator");
    let deepseek = json!({"quirks": ["reasoning_with_calls"], "message_fields": ["reasoning_content"], "extra_fields": ["thinking"]});
    let router = json!({"message_fields": ["reasoning", "reasoning_content", "reasoning_details"]});
    let calls = || json!([call(0, "call_a", Value::Null), call(1, "call_b", Value::Null)]);
    let detail = |more: Value| {
        let mut entry =
            json!({"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1", "signature": null});
        entry.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        entry
    };
    let cipher = || json!({"type": "reasoning.encrypted", "data": "eA==", "id": "rs_1", "index": 1});
    let unsigned = || [json!([null, null]), json!([null, null])];
    let google_calls = |id: &str| json!([call(0, id, signed(SIGNATURE)), call(1, "b", Value::Null)]);
    let mut answers = vec![
        Answer {
            name: "a thought that must be passed back",
            row: deepseek.clone(),
            deltas: vec![
                json!({"role": "assistant", "content": "", "reasoning_content": "H\u{fc}m \""}),
                json!({"reasoning_content": "\u{1F600}"}),
                json!({"tool_calls": calls()}),
            ],
            message: json!({"content": "", "reasoning_content": "H\u{fc}m \"\u{1F600}", "tool_calls": calls()}),
            thought: "H\u{fc}m \"\u{1F600}",
            tokens: 1,
            returned: json!({"reasoning_content": "H\u{fc}m \"\u{1F600}"}),
            signed: unsigned(),
        },
        Answer {
            name: "a thought before a text and calls",
            row: deepseek,
            deltas: vec![
                json!({"reasoning_content": "Hm"}),
                json!({"content": "Let me "}),
                json!({"content": "see."}),
                json!({"tool_calls": calls()}),
            ],
            message: json!({"content": "Let me see.", "reasoning_content": "Hm", "tool_calls": calls()}),
            thought: "Hm",
            tokens: 1,
            returned: json!({"reasoning_content": "Hm"}),
            signed: unsigned(),
        },
        Answer {
            name: "details of a router beside the thought",
            row: router.clone(),
            deltas: vec![
                json!({"reasoning": "H", "reasoning_details": [detail(json!({"text": "H"}))]}),
                json!({"reasoning": "m", "reasoning_details": [detail(json!({"text": "m"}))]}),
                json!({"reasoning_details": [detail(json!({"signature": SIGNATURE})), cipher()]}),
                json!({"content": "So."}),
                json!({"tool_calls": calls()}),
            ],
            message: json!({
                "content": "So.", "reasoning": "Hm", "tool_calls": calls(),
                "reasoning_details": [detail(json!({"text": "Hm", "signature": SIGNATURE})), cipher()],
            }),
            thought: "Hm",
            tokens: 1,
            returned: json!({"reasoning_details": [detail(json!({"text": "Hm", "signature": SIGNATURE})), cipher()]}),
            signed: unsigned(),
        },
        Answer {
            name: "details alone",
            row: router,
            deltas: vec![json!({"reasoning_details": [cipher()]}), json!({"tool_calls": calls()})],
            message: json!({"content": null, "reasoning_details": [cipher()], "tool_calls": calls()}),
            thought: "",
            tokens: 1,
            returned: json!({"reasoning_details": [cipher()]}),
            signed: unsigned(),
        },
        Answer {
            name: "a text and a call that are both signed",
            row: google(),
            deltas: vec![
                json!({"content": "So.", "extra_content": signed("dGV4dA==")}),
                json!({"tool_calls": google_calls("function-call-1")}),
            ],
            message: json!({"content": "So.", "extra_content": signed("dGV4dA=="), "tool_calls": google_calls("function-call-1")}),
            thought: "",
            tokens: 2,
            returned: json!({"extra_content": signed("dGV4dA==")}),
            signed: [json!([signed(SIGNATURE), null]), json!([escape(), null])],
        },
    ];
    for (name, id) in [
        ("a signed call", "function-call-1"),
        ("a signed call with an id that clients get otherwise", "a.b"),
        ("a signed call without an id", ""),
    ] {
        answers.push(Answer {
            name,
            row: google(),
            deltas: vec![json!({"tool_calls": google_calls(id)})],
            message: json!({"content": null, "tool_calls": google_calls(id)}),
            thought: "",
            tokens: 1,
            returned: json!({}),
            signed: [json!([signed(SIGNATURE), null]), json!([escape(), null])],
        });
    }
    answers
}

/// A client's conversation with one provider.
struct Conversation {
    policy: Policy,
    root: Option<&'static str>,
}

impl Conversation {
    fn new(row: &Value, shows_reasoning: bool) -> Self {
        let mut provider = json!({
            "base_url": "https://api.example.com/v1", "dialect": "openai-chat", "show_reasoning": shows_reasoning,
        });
        provider.as_object_mut().expect("an object").extend(row.as_object().expect("an object").clone());
        let model =
            |id: &str| json!({"provider": "only", "id": id, "context": 200_000, "max_output": 64_000, "tools": true});
        let document = json!({
            "version": "1", "default_tier": "only",
            "tiers": [{
                "name": "only", "description": "Everything.", "candidates": [{"model": OWN}],
                "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
            }],
            "models": {OWN: model(OWN), OTHER: model(OTHER)},
            "providers": {"only": provider},
        });
        let policy = parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"));
        Self { policy, root: Some(ROOT) }
    }

    fn candidate(&self, model: &str) -> Candidate {
        Candidate { model: self.policy.model_named(model).expect("a model"), effort: None }
    }

    fn sealer(&self, candidate: &Candidate) -> Option<Rc<Sealer>> {
        Sealer::new(&self.policy, candidate.model, &[Secret::new(self.root?.to_owned())]).map(Rc::new)
    }

    /// How answers of the own model are read and written.
    fn ways(&self) -> Ways {
        let body = body(&json!([]));
        let ask = messages::parse(body.as_bytes()).expect("a valid request");
        let candidate = self.candidate(OWN);
        let recipient = Recipient::of(&self.policy, &candidate);
        let reading = DecodeOptions::of(&recipient, &ask, Duration::from_secs(7));
        let options = AnswerOptions::of(&ask, recipient.provider.show_reasoning);
        Ways { reading: DecodeOptions { sealer: self.sealer(&candidate), ..reading }, options }
    }

    /// What goes up to a model for the answer with this content and the results of its calls: the message, and what is left out.
    fn send(&self, model: &str, content: &Value) -> Sent {
        let candidate = self.candidate(model);
        let body = body(content);
        let ask = messages::parse(body.as_bytes()).expect("a valid request");
        let options = EncodeOptions { sealer: self.sealer(&candidate), ..EncodeOptions::default() };
        let encoded = dialect::encode_request(&self.policy, &candidate, &ask, &options).expect("a request");
        let request: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        assert!(!request.to_string().contains("tgs1_"), "a token went up: {request}");
        let message = request["messages"][1].as_object().expect("an answer").clone();
        Sent { message, request, dropped: encoded.dropped }
    }
}

struct Sent {
    message: Map<String, Value>,
    request: Value,
    dropped: Vec<String>,
}

impl Sent {
    /// What the message has beside content and calls.
    fn state(&self) -> Value {
        let known = ["role", "content", "tool_calls"];
        self.message
            .clone()
            .into_iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .collect::<Map<_, _>>()
            .into()
    }

    fn signatures(&self) -> Value {
        let calls = self.message["tool_calls"].as_array().expect("calls");
        calls.iter().map(|call| call["extra_content"].clone()).collect()
    }
}

/// A request with this answer, if it says anything, and the results of its calls.
fn body(content: &Value) -> String {
    let mut turns = vec![json!({"role": "user", "content": "Look."})];
    let blocks = content.as_array().expect("blocks");
    if !blocks.is_empty() {
        let results = blocks.iter().filter(|block| block["type"] == "tool_use");
        let results = results.map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "seen"}));
        let results: Vec<Value> = results.collect();
        turns.extend([json!({"role": "assistant", "content": content}), json!({"role": "user", "content": results})]);
    }
    let tools = json!([{"name": "look", "input_schema": {"type": "object"}}]);
    json!({"model": "auto", "max_tokens": 100, "tools": tools, "messages": turns}).to_string()
}

/// The content that a client gets of an answer: the same of a whole body, gathered, and of a stream at every split.
fn told(ways: &Ways, answer: &Answer) -> Value {
    let Ways { reading, options } = ways;
    let wire = chat_stream(&answer.deltas, "tool_calls").concat();
    let deliver = |delivery, parts: &[&[u8]]| deliver(ways, delivery, parts, Passing::Rewritten).expect("a stream");
    let streamed = deliver(Delivery::stream(*options, None), &[wire.as_bytes()]);
    for at in 0..=wire.len() {
        let (head, tail) = wire.as_bytes().split_at(at);
        assert_eq!(deliver(Delivery::stream(*options, None), &[head, tail]), streamed, "{} at {at}", answer.name);
    }
    let streamed = valid::message(&streamed).unwrap_or_else(|fault| panic!("{}: {fault}\n{streamed}", answer.name));
    let gathered: Value = serde_json::from_str(&deliver(Delivery::whole(*options), &[wire.as_bytes()])).expect("JSON");
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m",
        "choices": [{"index": 0, "message": answer.message, "finish_reason": "tool_calls"}],
    });
    let body = dialect::mend_answer(reading, body.to_string().into_bytes());
    let pieces = dialect::decode_answer(reading, &body).expect("an answer");
    let said = Said { dialect: reading.dialect, pieces: &pieces, came: None };
    let whole = delivery::encode_answer(options, &said, None).expect("a translation");
    let whole: Value = serde_json::from_slice(&whole).expect("JSON");
    assert_eq!(streamed["content"], gathered["content"], "{}, gathered", answer.name);
    assert_eq!(streamed["content"], whole["content"], "{}, whole", answer.name);
    whole["content"].clone()
}

/// The tokens in an answer.
fn tokens(content: &Value) -> Vec<&str> {
    let signatures = content.as_array().expect("blocks").iter().filter_map(|block| block["signature"].as_str());
    signatures.filter(|signature| signature.starts_with("tgs1_")).collect()
}

#[test]
fn what_a_provider_wants_back_comes_back_to_it_alone() {
    for (answer, shows) in answers().iter().flat_map(|answer| [(answer, true), (answer, false)]) {
        let name = format!("{}, shown: {shows}", answer.name);
        let conversation = Conversation::new(&answer.row, shows);
        let content = told(&conversation.ways(), answer);
        assert_eq!(tokens(&content).len(), answer.tokens, "{name}: {content}");
        let thoughts: String =
            content.as_array().expect("blocks").iter().filter_map(|block| block["thinking"].as_str()).collect();
        assert_eq!(thoughts, if shows { answer.thought } else { "" }, "{name}");
        let sent = conversation.send(OWN, &content);
        assert_eq!(sent.state(), answer.returned, "{name}: {:?}", sent.message);
        assert_eq!(sent.signatures(), answer.signed[0], "{name}");
        assert_eq!(sent.dropped, Vec::<String>::new(), "{name}");
        assert_eq!(sent.request["thinking"], Value::Null, "{name}: it may think on");
        assert_eq!(conversation.send(OWN, &content).request, sent.request, "{name}: the same prefix in every turn");

        let sent = conversation.send(OTHER, &content);
        assert_eq!((sent.state(), sent.signatures()), (json!({}), answer.signed[1].clone()), "{name}: another model's");
        assert!(sent.dropped.contains(&"messages.content.thinking".to_owned()), "{name}: {:?}", sent.dropped);
        let may_not_think = answer.row["quirks"] == json!(["reasoning_with_calls"]);
        assert_eq!(sent.request["thinking"]["type"] == "disabled", may_not_think, "{name}");
    }
}

#[test]
fn what_was_changed_or_has_no_secret_is_left_out() {
    for answer in answers() {
        let mut conversation = Conversation::new(&answer.row, true);
        let content = told(&conversation.ways(), &answer);
        let is_left_out = |conversation: &Conversation, content: &Value, what: &str| {
            let sent = conversation.send(OWN, content);
            let left = (sent.state(), sent.signatures());
            assert_eq!(left, (json!({}), answer.signed[1].clone()), "{}: {what}", answer.name);
        };
        let changed = |name: &str, change: fn(&str) -> String| {
            let mut content = content.clone();
            for block in content.as_array_mut().expect("blocks").iter_mut().filter(|block| block["type"] == "thinking")
            {
                block[name] = change(block[name].as_str().expect("a text")).into();
            }
            content
        };
        is_left_out(&conversation, &changed("thinking", |thought| format!("{thought}!")), "another thought");
        is_left_out(&conversation, &changed("signature", |token| format!("{token} ")), "another state");
        is_left_out(&conversation, &changed("signature", |token| token[..token.len() / 2].to_owned()), "half a token");
        is_left_out(&conversation, &changed("signature", |_| SIGNATURE.to_owned()), "somebody else's state");
        is_left_out(&conversation, &changed("signature", |_| "tgs1_x_y_{}".to_owned()), "a made-up token");
        conversation.root = None;
        is_left_out(&conversation, &content, "no secret");
        let content = told(&conversation.ways(), &answer);
        assert_eq!(tokens(&content), Vec::<&str>::new(), "{}: {content}", answer.name);
    }
}

#[test]
fn the_state_of_a_call_that_is_gone_goes_to_no_other() {
    let conversation = Conversation::new(&google(), false);
    for answer in answers().iter().filter(|answer| answer.name == "a signed call") {
        let mut content = told(&conversation.ways(), answer);
        content.as_array_mut().expect("blocks").retain(|block| block["id"] != "function-call-1");
        let sent = conversation.send(OWN, &content);
        assert_eq!(sent.signatures(), json!([signed("skip_thought_signature_validator")]));
        assert_eq!(sent.dropped, ["messages.content.thinking"]);
    }
}

#[test]
fn a_signature_that_comes_behind_the_beginning_of_its_call_is_kept() {
    let conversation = Conversation::new(&google(), false);
    let ways = conversation.ways();
    let calls = |id: &str| json!({"tool_calls": [call(0, id, Value::Null), call(1, "b", Value::Null)]});
    let late = json!({"tool_calls": [{"index": 0, "function": {"arguments": ""}, "extra_content": signed(SIGNATURE)}]});
    let escape = signed("skip_thought_signature_validator");
    for (what, deltas, signature, tokens) in [
        ("once", vec![calls("a"), late.clone()], signed(SIGNATURE), 1),
        ("with every part", vec![calls("a"), late.clone(), late.clone()], signed(SIGNATURE), 1),
        ("before a text", vec![calls("a"), late.clone(), json!({"content": "So."})], signed(SIGNATURE), 1),
        (
            "again",
            vec![json!({"tool_calls": [call(0, "a", signed(SIGNATURE)), call(1, "b", Value::Null)]}), late.clone()],
            signed(SIGNATURE),
            1,
        ),
        ("of a call that the gateway names", vec![calls(""), late.clone()], signed(SIGNATURE), 1),
        // Nobody would find a call again that has another name for the client.
        ("of a call of an odd id", vec![calls("a.b"), late.clone()], escape, 0),
    ] {
        let wire = chat_stream(&deltas, "tool_calls").concat();
        let stream = deliver(&ways, Delivery::stream(ways.options, None), &[wire.as_bytes()], Passing::Rewritten);
        let message = valid::message(&stream.expect("a stream")).unwrap_or_else(|fault| panic!("{what}: {fault}"));
        let sent = conversation.send(OWN, &message["content"]);
        assert_eq!(sent.signatures(), json!([signature, null]), "{what}: {message}");
        assert_eq!(self::tokens(&message["content"]).len(), tokens, "{what}: {message}");
        assert_eq!(sent.dropped, Vec::<String>::new(), "{what}");
    }
}

#[test]
fn an_answer_that_calls_nothing_ends_with_its_text() {
    let conversation = Conversation::new(&google(), false);
    let answer = Answer {
        name: "a signature behind the text",
        row: google(),
        deltas: vec![json!({"content": "So."}), json!({"content": "", "extra_content": signed(SIGNATURE)})],
        message: json!({"content": "So."}),
        thought: "",
        tokens: 0,
        returned: json!({}),
        signed: [json!([]), json!([])],
    };
    assert_eq!(told(&conversation.ways(), &answer), json!([{"type": "text", "text": "So.", "citations": null}]));
}

#[test]
fn a_client_of_the_chat_api_gets_the_fields_themselves() {
    let conversation = Conversation::new(&google(), true);
    let candidate = conversation.candidate(OWN);
    let recipient = Recipient::of(&conversation.policy, &candidate);
    assert!(dialect::seals_thoughts(&recipient, Api::Messages));
    assert!(!dialect::seals_thoughts(&recipient, Api::Chat));
}

#[test]
fn another_execution_goes_on_with_what_was_kept() {
    for answer in answers() {
        let conversation = Conversation::new(&answer.row, true);
        let Ways { reading, options } = conversation.ways();
        let events = chat_stream(&answer.deltas, "tool_calls");
        let read = |carries: bool| {
            let (mut stream, mut decoder) = (Stream::new(&reading).expect("a dialect"), Decoder::default());
            let (mut delivery, mut out) = (Delivery::stream(options, None), Vec::new());
            for event in &events {
                decoder.space().extend_from_slice(event.as_bytes());
                let event = decoder.next_event().expect("a short event").expect("a whole event");
                let (data, mut pieces) = (stream.data(&event), Vec::new());
                stream.take(&data, &mut pieces).expect("an event");
                delivery.take(&Said { dialect: stream.dialect(), pieces: &pieces, came: None }, &mut out);
                if carries {
                    let state: DecoderState = carried::read(&carried::write(&stream.into_state())).expect("a state");
                    stream = Stream::from_state(&reading, state).expect("a stream");
                }
            }
            delivery.end(&mut out);
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(read(true), read(false), "{}", answer.name);
    }
}
