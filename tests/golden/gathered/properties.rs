//! Whatever a stream says, what is gathered of it is one well-formed and bounded completion.

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tiergate::door::chat::completion;
use tiergate::door::chat::gathered::Gathered;
use tiergate::policy::Dialect;
use tiergate::wire::carried;
use tiergate::wire::json::object_fields;

use super::read;
use super::tables::{chat_wire, ways};
use crate::case::Ways;

/// A value of any form that a field may have.
pub fn any_value() -> impl Strategy<Value = Value> {
    let text = ".{0,4}".prop_map(Value::from);
    let leaf = prop_oneof![4 => text, 1 => any::<u8>().prop_map(Value::from), 1 => Just(Value::Null)];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = prop::sample::select(&["content", "refusal", "index", "type", "text", "data", "name", "a"][..]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// An object with some of `names`, each with any value.
pub fn any_object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(names), any_value()), 0..4)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn any_chunk() -> impl Strategy<Value = Value> {
    const DELTA: &[&str] = &[
        "content",
        "refusal",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
        "function_call",
        "annotations",
        "audio",
        "mood",
        "tool_calls",
    ];
    let tool = any_object(&["name", "arguments", "input"]);
    let call = (
        0..2_u8,
        prop::sample::select(vec![json!("a"), json!("b"), Value::Null]),
        tool,
        any_object(&["type", "extra"]),
    )
        .prop_map(|(index, id, tool, more)| {
            let mut call = json!({"index": index, "id": id, "function": tool});
            call.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            call
        });
    let delta = (any_object(DELTA), prop::collection::vec(call, 0..3)).prop_map(|(mut delta, calls)| {
        if !calls.is_empty() {
            delta["tool_calls"] = calls.into();
        }
        delta
    });
    let choice =
        (0..2_u8, delta, any_object(&["logprobs", "scores"]), prop::sample::select(vec![Value::Null, json!("stop")]))
            .prop_map(|(index, delta, more, reason)| {
                let mut choice = json!({"index": index, "delta": delta, "finish_reason": reason});
                choice.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
                choice
            });
    (prop::collection::vec(choice, 0..3), any_object(&["id", "model", "created", "usage", "service_tier", "citations"]))
        .prop_map(|(choices, mut chunk)| {
            chunk["choices"] = choices.into();
            chunk
        })
}

/// Whether no object in `json` has two members of one name.
pub fn names_are_unique(json: &str) -> bool {
    if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(json) {
        return elements.into_iter().all(|element| names_are_unique(element.get()));
    }
    let Ok(fields) = object_fields(json) else { return true };
    let is_first = |position: usize| fields[..position].iter().all(|field| field.name != fields[position].name);
    (0..fields.len()).all(is_first) && fields.iter().all(|field| names_are_unique(field.value.get()))
}

/// How long all texts in `state` are.
pub fn text_bytes(state: &Value) -> u64 {
    match state {
        Value::String(text) => text.len() as u64,
        Value::Array(elements) => elements.iter().map(text_bytes).sum(),
        Value::Object(fields) => fields.values().map(text_bytes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_gathered_of_any_chunks_is_well_formed(chunks in prop::collection::vec(any_chunk(), 0..8)) {
        let Ways { reading, options } = ways(Dialect::OpenaiChat);
        let chunks: Vec<String> = chunks.iter().map(Value::to_string).collect();
        let wire = chat_wire(&chunks);
        let (mut gathered, mut carried) = (Gathered::default(), Gathered::default());
        read(&reading, &[wire.as_bytes()], |said| {
            gathered.take(&options, said);
            carried.take(&options, said);
            carried = carried::read(&carried::write(&carried)).expect("a state");
        });
        prop_assert_eq!(&carried, &gathered);
        let state: Value = serde_json::from_slice(&carried::write(&gathered)).expect("JSON");
        prop_assert!(text_bytes(&state) <= state["bytes"].as_u64().expect("a count"), "all that is held is counted: {}", state);
        let mut body = Vec::new();
        completion::write(gathered, &mut body);
        let text = std::str::from_utf8(&body).expect("UTF-8");
        let value: Value = serde_json::from_str(text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        prop_assert!(names_are_unique(text), "{}", text);
        prop_assert!(body.len() <= 2 * wire.len() + 200, "{}", text);
        for choice in value["choices"].as_array().expect("choices") {
            prop_assert!(choice["finish_reason"].is_string() && choice["message"]["role"] == "assistant", "{}", text);
        }
    }
}
