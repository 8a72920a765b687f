//! What a chat completion means is the same after it went to the Messages API's form and back.

use proptest::prelude::*;
use serde_json::{Value, json};
use tiergate::door::chat;
use tiergate::upstream::dialect::{EncodeOptions, messages};

use crate::inverse::{broken_rules, invert};
use crate::properties::{policy_with, text};

/// What a chat completion means, whichever way it is written: speakers with what they say, blank text left out,
/// messages of one speaker joined, calls by their number instead of their id, and the other fields by their newer names.
fn meaning(chat: &Value) -> Value {
    let (mut system, mut turns) = (Vec::new(), Vec::<(String, Vec<Value>)>::new());
    let (mut calls, mut numbers) = (0, std::collections::HashMap::new());
    for message in chat["messages"].as_array().into_iter().flatten() {
        let role = message["role"].as_str().unwrap_or_default();
        let mut said = parts(&message["content"]);
        match role {
            "system" | "developer" => {
                system.append(&mut said);
                continue;
            }
            "tool" => {
                let number = numbers[message["tool_call_id"].as_str().unwrap_or_default()];
                said = vec![json!({"result": number, "content": said})];
            }
            _ => {}
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            numbers.insert(call["id"].as_str().unwrap_or_default().to_owned(), calls);
            let function = &call["function"];
            let arguments: Value =
                serde_json::from_str(function["arguments"].as_str().unwrap_or_default()).unwrap_or(json!({}));
            said.push(json!({"call": calls, "name": function["name"], "arguments": arguments}));
            calls += 1;
        }
        let speaker = if role == "assistant" { "assistant" } else { "user" };
        match turns.last_mut() {
            Some((last, turn)) if last == speaker => turn.append(&mut said),
            _ if said.is_empty() => {}
            _ => turns.push((speaker.to_owned(), said)),
        }
    }
    let stop = match &chat["stop"] {
        Value::String(stop) => json!([stop]),
        other => other.clone(),
    };
    let tools: Vec<Value> =
        chat["tools"].as_array().into_iter().flatten().map(|tool| tool["function"].clone()).collect();
    json!({
        "system": system,
        "turns": turns,
        "limit": chat["max_completion_tokens"].as_u64().or(chat["max_tokens"].as_u64()),
        "stop": stop,
        "temperature": chat["temperature"],
        "effort": chat["reasoning_effort"],
        "user": chat.get("safety_identifier").unwrap_or(&chat["user"]),
        "schema": chat["response_format"]["json_schema"]["schema"],
        "tools": tools,
        "choice": chat["tool_choice"].as_str().filter(|choice| *choice != "auto").map_or_else(
            || chat["tool_choice"]["function"]["name"].clone(), Value::from),
        "one_call": chat["parallel_tool_calls"] == false && chat["tool_choice"] != "none",
        "stream": chat["stream"] == true,
    })
}

/// What a message's content says, in order.
fn parts(content: &Value) -> Vec<Value> {
    let parts = match content {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        other => other.as_array().cloned().unwrap_or_default(),
    };
    let is_blank = |part: &Value| part["text"].as_str().is_some_and(|text| text.trim().is_empty());
    parts.into_iter().filter(|part| !is_blank(part)).collect()
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![4 => text(), 1 => Just(String::new())]
}

fn user_content() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        3 => words().prop_map(|text| json!({"type": "text", "text": text})),
        1 => Just(json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})),
        1 => "([A-Za-z0-9+/]{4}){1,3}([A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?".prop_map(|data| {
            json!({"type": "image_url", "image_url": {"url": format!("data:image/webp;base64,{data}")}})
        }),
        1 => "([A-Za-z0-9+/]{4}){1,3}([A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?".prop_map(|data| {
            let file = json!({"file_data": format!("data:application/pdf;base64,{data}"), "filename": "a.pdf"});
            json!({"type": "file", "file": file})
        }),
    ];
    prop_oneof![words().prop_map(Value::from), prop::collection::vec(part, 0..4).prop_map(Value::from)]
}

fn arguments() -> impl Strategy<Value = String> {
    let value =
        prop_oneof![any::<i32>().prop_map(Value::from), text().prop_map(Value::from), Just(json!([null, {"a": 1}]))];
    prop_oneof![
        Just(String::new()),
        prop::collection::btree_map("[a-z]{1,5}", value, 0..3).prop_map(|fields| json!(fields).to_string()),
        Just("{ \"spaced\" : [ 1 , 2 ] }".to_owned()),
    ]
}

/// An answer, with the results of its calls, or what the user says.
fn exchange() -> impl Strategy<Value = Vec<Value>> {
    let call = (prop::sample::select(&["get_weather", "get_time"][..]), arguments(), words());
    let calls = (words(), prop::collection::vec(call, 1..4), any::<bool>()).prop_map(|(said, calls, reversed)| {
        let function = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
        let called: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(at, (name, arguments, _))| {
                json!({"id": format!("call {at}"), "type": "function", "function": function(name, arguments)})
            })
            .collect();
        let mut results: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(at, (.., result))| json!({"role": "tool", "tool_call_id": format!("call {at}"), "content": result}))
            .collect();
        if reversed {
            results.reverse();
        }
        let mut messages = vec![json!({"role": "assistant", "content": said, "tool_calls": called})];
        messages.append(&mut results);
        messages
    });
    prop_oneof![
        3 => user_content().prop_map(|content| vec![json!({"role": "user", "content": content})]),
        2 => words().prop_map(|content| vec![json!({"role": "assistant", "content": content})]),
        2 => calls,
    ]
}

fn chat() -> impl Strategy<Value = Value> {
    let system = prop::collection::vec((prop::sample::select(&["system", "developer"][..]), words()), 0..3);
    let choice = prop::sample::select(vec![
        Value::Null,
        json!("auto"),
        json!("none"),
        json!("required"),
        json!({"type": "function", "function": {"name": "get_time"}}),
    ]);
    let fields = (
        prop::option::of(1_u64..64_000),
        prop::option::of(prop_oneof![
            text().prop_map(Value::from),
            prop::collection::vec(text(), 1..4).prop_map(Value::from)
        ]),
        prop::option::of(prop::sample::select(&["low", "medium", "high", "xhigh", "max"][..])),
        prop::option::of(0_u8..=10),
        choice,
        any::<[bool; 5]>(),
    );
    (system, prop::collection::vec(exchange(), 0..6), fields).prop_map(|(system, exchanges, fields)| {
        let (limit, stop, effort, temperature, choice, [parallel, schema, stream, older, user]) = fields;
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let mut messages: Vec<Value> =
            system.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
        // The API wants the user first and last, which has cases of its own.
        messages.push(json!({"role": "user", "content": "First."}));
        messages.extend(exchanges.into_iter().flatten());
        messages.push(json!({"role": "user", "content": "Last."}));
        let mut chat = json!({
            "messages": messages,
            "stream": stream,
            "tools": [
                {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": parameters}},
                {"type": "function", "function": {"name": "get_time", "parameters": parameters}},
            ],
            "tool_choice": choice,
            "parallel_tool_calls": parallel,
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                chat[name] = value;
            }
        };
        set(if older { "max_tokens" } else { "max_completion_tokens" }, Some(json!(limit.unwrap_or(16_384))));
        set("stop", stop);
        set("reasoning_effort", effort.map(Value::from));
        set("temperature", temperature.map(|tenths| json!(f64::from(tenths) / 10.0)));
        set(if older { "user" } else { "safety_identifier" }, user.then(|| json!("u-1")));
        let closed = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}},
            "required": ["z", "a"], "additionalProperties": false});
        let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": closed}});
        set("response_format", schema.then_some(format));
        chat
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_means_the_same_there_and_back(chat in chat()) {
        let (policy, candidate) = policy_with(json!({"sampling": true}));
        let body = chat.to_string();
        let request = chat::parse(body.as_bytes()).expect("a valid request");
        let encoded = messages::encode_request(&policy, &candidate, &request, &EncodeOptions::default()).expect("all of it is supported");
        let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        prop_assert_eq!(broken_rules(&upstream, false), Vec::<String>::new(), "{}", upstream);
        prop_assert_eq!(&encoded.dropped, &Vec::<String>::new());
        prop_assert_eq!(meaning(&invert(&upstream)), meaning(&chat), "{}", upstream);
    }
}
