//! Whatever comes in, what goes out is well-formed and bounded, and nothing panics.

use std::sync::{LazyLock, Mutex};

use proptest::prelude::*;
use serde_json::{Value, json};
use tiergate::door::answer::AnswerOptions;
use tiergate::door::chat;
use tiergate::door::delivery::{self, Delivery};
use tiergate::policy::Dialect;
use tiergate::policy::parse::parse;
use tiergate::policy::{Candidate, Entry, Policy};
use tiergate::upstream::dialect::messages::{self, MessagesStream};
use tiergate::upstream::dialect::{DecodeOptions, EncodeOptions, Heard};
use tiergate::wire::piece::{self, Piece, Said, Weight};
use tiergate_simulator::description;
use tiergate_simulator::{Profile, judge_messages_request};

use crate::inverse::broken_rules;

/// A policy with one model of the Messages API, with `changes` to it.
pub fn policy_with(changes: Value) -> (Policy, Candidate) {
    let mut model = json!({
        "provider": "anthropic", "id": "claude-fable-5", "context": 200_000, "max_output": 64_000,
        "tools": true, "vision": true, "json_schema": true,
    });
    let changes = changes.as_object().cloned().unwrap_or_default();
    model.as_object_mut().expect("an object").extend(changes);
    let document = json!({
        "version": "1", "default_tier": "only",
        "tiers": [{
            "name": "only", "description": "Everything.", "candidates": [{"model": "claude"}],
            "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
        }],
        "models": {"claude": model},
        "providers": {"anthropic": {"base_url": "https://api.anthropic.com", "dialect": "anthropic-messages"}},
    });
    let policy = parse(document.to_string().as_bytes()).expect("a valid policy");
    let Entry::One(candidate) = policy.tiers[0].candidates[0].clone() else { panic!("one candidate") };
    (policy, candidate)
}

/// What a simulator of the API says to a request, which was written from the API's description too; nothing to one for a
/// model that it does not know.
pub fn judge(model: &str, upstream: &Value) -> Result<(), String> {
    static PROFILE: LazyLock<Mutex<Profile>> = LazyLock::new(|| Mutex::new(Profile::anthropic()));
    let profile = PROFILE.lock().expect("no test should have panicked here");
    if !profile.models.iter().any(|known| known.id == model) {
        return Ok(());
    }
    judge_messages_request(&profile, "2023-06-01", upstream)
}

/// Models of different kinds, as a policy describes them.
fn any_model() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"id": "claude-opus-5-5", "sampling": false, "forced_tools": false, "thinking_display": true}),
        json!({"id": "claude-fable-5", "sampling": false, "system_turns": true}),
        json!({"id": "claude-haiku-5-5", "sampling": false, "thinking": "optional"}),
        json!({"id": "claude-opus-4-8", "sampling": false, "thinking": "adaptive"}),
        json!({"id": "claude-opus-4-6", "thinking": "adaptive", "sampling_exclusive": true,
            "efforts": {"low": "low", "high": "high", "max": "max"}}),
        json!({"id": "claude-sonnet-4-5", "thinking": "budget", "prefill": "message", "json_schema": false}),
        json!({"id": "claude-haiku-4-5", "thinking": "none"}),
    ])
}

/// Text that is not blank.
pub fn text() -> impl Strategy<Value = String> {
    "(?s).{0,12}".prop_map(|text| if text.trim().is_empty() { "Hm.".to_owned() } else { text })
}

const NAMES: [&str; 58] = [
    "type",
    "role",
    "content",
    "text",
    "name",
    "id",
    "index",
    "input",
    "arguments",
    "function",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "functions",
    "tools",
    "tool_choice",
    "allowed_tools",
    "mode",
    "parameters",
    "strict",
    "description",
    "properties",
    "required",
    "additionalProperties",
    "anyOf",
    "allOf",
    "$ref",
    "$defs",
    "items",
    "response_format",
    "json_schema",
    "schema",
    "image_url",
    "url",
    "file",
    "file_data",
    "filename",
    "refusal",
    "reasoning_effort",
    "stop",
    "temperature",
    "top_p",
    "max_tokens",
    "n",
    "user",
    "message",
    "delta",
    "content_block",
    "partial_json",
    "thinking",
    "usage",
    "input_tokens",
    "output_tokens",
    "stop_reason",
    "stop_details",
    "explanation",
    "model",
    "error",
];

const WORDS: [&str; 36] = [
    "user",
    "assistant",
    "system",
    "tool",
    "function",
    "text",
    "image_url",
    "file",
    "auto",
    "required",
    "none",
    "json_schema",
    "json_object",
    "object",
    "string",
    "high",
    "refusal",
    "tool_use",
    "thinking",
    "end_turn",
    "max_tokens",
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "error",
    "text_delta",
    "input_json_delta",
    "thinking_delta",
    "allowed_tools",
    "{}",
    "#/$defs/a",
    "data:image/png;base64,AA==",
];

/// Any JSON of words and names that the translators look for.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => any::<u8>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        2 => ".{0,12}".prop_map(Value::from),
        6 => prop::sample::select(&WORDS[..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => object(inner),
        ]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(&NAMES[..]), value), 0..6)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// `base` with some of its fields replaced.
fn disturbed(base: Value) -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => Just(base.clone()),
        1 => object(any_json()).prop_map(move |changes| {
            let mut base = base.clone();
            if let (Value::Object(base), Value::Object(changes)) = (&mut base, changes) {
                base.extend(changes);
            }
            base
        }),
    ]
}

/// An event of a stream, right or wrong.
fn any_event() -> impl Strategy<Value = Value> {
    let usage = json!({"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 1});
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": usage}});
    let index = 0_u8..3;
    let tool = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
    prop_oneof![
        2 => disturbed(start),
        1 => (index.clone(), disturbed(json!({"type": "text", "text": ""}))).prop_map(|(index, block)| {
            json!({"type": "content_block_start", "index": index, "content_block": block})
        }),
        2 => (index.clone(), disturbed(tool)).prop_map(|(index, block)| {
            json!({"type": "content_block_start", "index": index, "content_block": block})
        }),
        2 => (index.clone(), text().prop_flat_map(|text| disturbed(json!({"type": "text_delta", "text": text}))))
            .prop_map(|(index, delta)| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        2 => (index.clone(), disturbed(json!({"type": "input_json_delta", "partial_json": "{\"a\":"})))
            .prop_map(|(index, delta)| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        2 => (index.clone(), disturbed(json!({"type": "thinking_delta", "thinking": "Hm."})))
            .prop_map(|(index, delta)| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        1 => index.prop_map(|index| json!({"type": "content_block_stop", "index": index})),
        1 => disturbed(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}})),
        1 => disturbed(json!({"type": "message_stop"})),
        1 => any_json(),
    ]
}

/// A request that has at least the frame of one.
fn any_request() -> impl Strategy<Value = Value> {
    let call = json!([{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]);
    let turn = prop_oneof![
        disturbed(json!({"role": "user", "content": "Hi"})),
        disturbed(json!({"role": "user", "content": [{"type": "text", "text": "Hi"}]})),
        disturbed(json!({"role": "system", "content": "Be brief."})),
        disturbed(json!({"role": "assistant", "content": "Hello."})),
        disturbed(json!({"role": "assistant", "content": null, "tool_calls": call})),
        disturbed(json!({"role": "tool", "tool_call_id": "call_1", "content": "22"})),
        disturbed(json!({"role": "assistant", "function_call": {"name": "f", "arguments": ""}})),
        disturbed(json!({"role": "function", "name": "f", "content": "22"})),
    ];
    let parameters = json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}});
    let tools = prop_oneof![
        Just(Value::Null),
        disturbed(json!({"name": "f", "parameters": parameters, "strict": true}))
            .prop_map(|function| json!([{"type": "function", "function": function}])),
        any_json(),
    ];
    let schema = any_json().prop_map(|schema| json!({"type": "json_schema", "json_schema": {"schema": schema}}));
    let format = prop_oneof![3 => Just(Value::Null), 1 => schema];
    (prop::collection::vec(turn, 1..7), object(any_json()), tools, format).prop_map(
        |(turns, mut request, tools, format)| {
            request["messages"] = turns.into();
            request["tools"] = tools;
            if !format.is_null() {
                request["response_format"] = format;
            }
            request
        },
    )
}

fn reading() -> DecodeOptions {
    DecodeOptions::plain(Dialect::AnthropicMessages, 1)
}

fn request() -> &'static [u8] {
    br#"{"messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true}}"#
}

/// The events in `out`, each a chunk that validates, or a comment.
fn chunks(out: &[u8]) -> Result<Vec<Value>, TestCaseError> {
    let text = std::str::from_utf8(out).expect("UTF-8");
    let mut chunks = Vec::new();
    for event in text.split_terminator("\n\n") {
        prop_assert!(!event.contains(['\n', '\r']), "{}", event);
        if let Some(data) = event.strip_prefix("data: ") {
            let chunk: Value = serde_json::from_str(data).expect("JSON");
            prop_assert_eq!(description::faults("CreateChatCompletionStreamResponse", &chunk), Vec::<String>::new());
            chunks.push(chunk);
        } else {
            prop_assert_eq!(event, ": ping");
        }
    }
    Ok(chunks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..256), json in "[{}\\[\\]\":,a-z0-9\\\\ ]{0,80}") {
        for bytes in [&bytes[..], json.as_bytes()] {
            let mut pieces = Vec::new();
            let _ = messages::decode_answer(bytes, &reading(), &mut pieces);
            let mut pieces = Vec::new();
            let heard = MessagesStream::new(&reading()).take(bytes, &mut pieces);
            prop_assert!(heard != Ok(Heard::End));
            prop_assert!(pieces.is_empty());
        }
    }

    #[test]
    fn streams_of_any_events_give_valid_chunks(events in prop::collection::vec(any_event(), 0..16), shown: bool, legacy: bool) {
        let legacy_request = br#"{"messages":[{"role":"user","content":"x"}],"functions":[{"name":"f"}]}"#;
        let request = chat::parse(if legacy { legacy_request } else { request() }).expect("valid");
        let mut stream = MessagesStream::new(&reading());
        let mut delivery = Delivery::stream(AnswerOptions::of(&request, shown), None);
        let (mut roles, mut finishes, mut calls) = (0, 0, Vec::new());
        let begun = json!({"type": "message_start", "message": {"id": "msg_0", "model": "m"}});
        for event in std::iter::once(begun).chain(events).map(Some).chain(std::iter::once(None)) {
            let data = event.map(|event| event.to_string()).unwrap_or_default();
            let mut out = Vec::new();
            let mut pieces = Vec::new();
            let weight = if data.is_empty() {
                delivery.end(&mut out);
                out.truncate(out.len() - b"data: [DONE]\n\n".len());
                Weight::Nothing
            } else {
                let Ok(heard) = stream.take(data.as_bytes(), &mut pieces) else { continue };
                let said = Said { dialect: Dialect::AnthropicMessages, pieces: &pieces, came: None };
                if heard == Heard::Pieces { delivery.take(&said, &mut out) } else { Weight::Nothing }
            };
            // A reason to finish is told at the end.
            let weight = match pieces.iter().any(|piece| piece.says_something() && !matches!(piece, Piece::Finish { .. })) {
                true => weight,
                false => Weight::Nothing,
            };
            // Names and usage are short here, and three blocks may be open.
            prop_assert!(out.len() <= 2 * data.len() + 2_000, "{}", data);
            let chunks = chunks(&out)?;
            prop_assert!(weight == Weight::Nothing || legacy || !chunks.is_empty());
            for delta in chunks.iter().filter_map(|chunk| chunk["choices"].get(0)) {
                roles += usize::from(delta["delta"].get("role").is_some());
                finishes += usize::from(delta["finish_reason"].is_string());
                for call in delta["delta"]["tool_calls"].as_array().into_iter().flatten() {
                    let index = call["index"].as_u64().expect("an index");
                    if call.get("id").is_some() {
                        calls.push(index);
                    }
                    prop_assert!((index as usize) < calls.len(), "a fragment comes after its call");
                }
            }
        }
        prop_assert_eq!(roles, 1);
        prop_assert_eq!(finishes, delivery.facts.finish_reasons.len());
        prop_assert!(finishes == 1 || !stream.is_finished());
        prop_assert_eq!(&calls, &(0..calls.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn answers_of_any_blocks_are_valid(
        blocks in prop::collection::vec(disturbed(json!({"type": "tool_use", "id": "a", "name": "b", "input": {"c": 1}})), 0..4),
        message in disturbed(json!({"id": "msg_1", "model": "m", "stop_reason": "refusal", "usage": {"input_tokens": 1}})),
    ) {
        let request = chat::parse(request()).expect("valid");
        let mut message = message;
        message["content"] = blocks.into();
        let message = message.to_string();
        let mut pieces = Vec::new();
        if messages::decode_answer(message.as_bytes(), &reading(), &mut pieces).is_ok() {
            let said = Said { dialect: Dialect::AnthropicMessages, pieces: &pieces, came: None };
            let body = delivery::encode_answer(&AnswerOptions::of(&request, true), &said, None).expect("a translation");
            let answer: Value = serde_json::from_slice(&body).expect("JSON");
            prop_assert_eq!(description::faults("CreateChatCompletionResponse", &answer), Vec::<String>::new());
            let content = &answer["choices"][0]["message"]["content"];
            let text = piece::text(&pieces);
            prop_assert_eq!(content.as_str().filter(|text| !text.is_empty()), text.as_deref().filter(|text| !text.is_empty()));
        }
    }

    #[test]
    fn requests_of_any_fields_keep_the_rules(request in any_request(), model in any_model()) {
        let mut model = model;
        model["prompt_cache_min"] = 1.into();
        let (policy, candidate) = policy_with(model);
        let body = request.to_string();
        let Ok(request) = chat::parse(body.as_bytes()) else { return Ok(()) };
        match messages::encode_request(&policy, &candidate, &request, &EncodeOptions::default()) {
            Ok(encoded) => {
                let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
                let can_prefill = policy.models[0].prefill.is_some();
                prop_assert_eq!(broken_rules(&upstream, can_prefill), Vec::<String>::new(), "{} -> {}", body, upstream);
                // What the client wrote into its own schemas is between it and the provider.
                let judged = judge(&policy.models[0].id, &upstream);
                let is_clients = |why: &String| {
                    ["JSON schema is invalid", "temperature", "top_p"].iter().any(|part| why.contains(part))
                };
                prop_assert!(judged.as_ref().err().is_none_or(is_clients), "{:?}: {} -> {}", judged, body, upstream);
                prop_assert!(upstream.to_string().matches("cache_control").count() <= 4 + body.matches("cache_control").count());
                prop_assert!(encoded.dropped.iter().all(|name| name.is_ascii() && name.len() <= 64));
                prop_assert!(encoded.body.len() <= 3 * body.len() + 2_000, "{}", body);
            }
            Err(error) => {
                prop_assert_eq!(error.kind.status().as_u16(), 400);
                prop_assert!(error.param.is_some());
            }
        }
    }
}
