//! Schemas of tools, right and wrong, at the Messages API: what goes up is taken there, and names of properties come back.

use std::borrow::Cow;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tiergate::door::chat;
use tiergate::upstream::dialect::messages;
use tiergate::upstream::dialect::{DecodeOptions, EncodeOptions, Recipient};
use tiergate::wire::ask::Ask;
use tiergate::wire::piece::Piece;

use crate::properties::{judge, policy_with};

/// Names of properties: plain ones, some that the API refuses, and what looks like something that stands for one of them.
const NAMES: [&str; 10] =
    ["a", "type", "properties", "$top", "a b", "", "größe", "Start_x0020_Date", "_x24_top", "_top_81bf98e409"];
const REFERENCES: [&str; 17] = [
    "#",
    "#/$defs/A%20b",
    "#/$defs/B~1c",
    "#/properties/$top",
    "#/properties/a",
    "#/anyOf/0",
    "#/allOf/0/properties/a%20b",
    "#/oneOf/1/items",
    "#/properties/a/additionalItems",
    "#/allOf/0/items/0",
    "#/dependencies/a",
    "#own",
    "https://example.com/schema#own",
    "https://example.com/schema#/anyOf/0",
    "inner",
    "inner#/properties/a%20b",
    "https://example.com/inner#own",
];

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

fn names() -> impl Strategy<Value = Value> {
    prop::collection::btree_set(name(), 0..3).prop_map(|names| json!(names))
}

/// A member whose value is of its kind, or says nothing.
fn plain_member() -> impl Strategy<Value = (&'static str, Value)> {
    prop_oneof![
        4 => prop::sample::select(vec![json!("object"), json!(["object", "null"]), json!(["string", null]), json!("string")])
            .prop_map(|kind| ("type", kind)),
        3 => names().prop_map(|names| ("required", names)),
        3 => prop::sample::select(&REFERENCES[..]).prop_map(|reference| ("$ref", reference.into())),
        1 => name().prop_map(|name| ("const", name.into())),
        1 => any::<bool>().prop_map(|flag| ("exclusiveMinimum", flag.into())),
        1 => any::<u8>().prop_map(|limit| ("minimum", limit.into())),
        1 => names().prop_map(|names| ("propertyNames", json!({"enum": names}))),
        1 => (name(), names()).prop_map(|(name, names)| ("dependentRequired", json!({name: names}))),
        1 => Just(("default", Value::Null)),
        1 => Just(("$anchor", json!("own"))),
        1 => Just(("$id", json!("inner"))),
        1 => name().prop_map(|name| ("discriminator", json!({"propertyName": name, "mapping": {"a b": "#/anyOf/0"}}))),
        1 => prop::sample::select(vec!["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"])
            .prop_map(|draft| ("$schema", draft.into())),
        1 => (name(), names()).prop_map(|(name, names)| ("dependencies", json!({name: names}))),
    ]
}

/// A member that is empty, null or wrong.
fn odd_member() -> impl Strategy<Value = (&'static str, Value)> {
    const WORDS: [&str; 17] = [
        "type",
        "required",
        "properties",
        "$ref",
        "items",
        "anyOf",
        "enum",
        "title",
        "minLength",
        "not",
        "$defs",
        "maximum",
        "multipleOf",
        "prefixItems",
        "dependentSchemas",
        "$anchor",
        "$schema",
    ];
    let value = prop_oneof![6 => Just(Value::Null), 3 => Just(json!([])), 1 => Just(json!(7)), 1 => Just(json!("a"))];
    (prop::sample::select(&WORDS[..]), value)
}

fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => prop::collection::vec(plain_member(), 0..4).prop_map(object),
        1 => (prop::collection::vec(plain_member(), 0..3), odd_member()).prop_map(|(mut members, odd)| {
            members.push(odd);
            object(members)
        }),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let named = prop::collection::btree_map(name(), inner.clone(), 0..4).prop_map(|named| json!(named)).boxed();
        let listed = prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from).boxed();
        let member = prop_oneof![
            4 => named.clone().prop_map(|named| ("properties", named)),
            1 => named.clone().prop_map(|named| ("patternProperties", named)),
            3 => (prop::sample::select(vec!["anyOf", "oneOf", "allOf"]), listed.clone()),
            1 => named.prop_map(|named| ("dependencies", named)),
            2 => (prop::sample::select(vec!["items", "prefixItems"]), listed),
            1 => (prop::sample::select(vec!["items", "additionalItems", "additionalProperties", "not", "if"]), inner.clone()),
            1 => (inner.clone(), inner).prop_map(|(one, other)| ("$defs", json!({"A b": one, "B/c": other}))),
            4 => plain_member(),
        ];
        prop::collection::vec(member, 1..5).prop_map(object)
    })
}

/// A schema with what most references lead to.
fn schema_of_a_tool() -> impl Strategy<Value = Value> {
    schema().prop_map(|mut schema| {
        if let Some(members) = schema.as_object_mut() {
            members.entry("$defs").or_insert_with(|| json!({"A b": {"required": ["a"]}, "B/c": true}));
            members.entry("$id").or_insert_with(|| "https://example.com/schema".into());
        }
        schema
    })
}

/// Whether a client's schema is none that a tool can have: of no object, or of another type.
fn is_none(schema: &Value) -> bool {
    let says_nothing = schema.is_null() || schema.as_array().is_some_and(Vec::is_empty);
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => Vec::from_iter(kind.as_str()),
    };
    let is_of_others = !kinds.contains(&"object") && kinds.iter().any(|kind| TYPES.contains(kind));
    !says_nothing && !schema.is_object() || is_of_others
}

/// The types that a schema may have, and no object.
const TYPES: [&str; 6] = ["string", "number", "integer", "boolean", "array", "null"];

fn object(members: Vec<(&'static str, Value)>) -> Value {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// JSON with such names at every depth.
fn input() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![name().prop_map(Value::from), any::<u8>().prop_map(Value::from)];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(|named| json!(named)),
        ]
    });
    prop::collection::btree_map(name(), value, 0..6).prop_map(|named| json!(named))
}

/// What the calls of an answer hold, as the client of `request` gets it.
fn told(recipient: &Recipient<'_>, request: &Ask<'_>, calls: &Value) -> Vec<String> {
    let answer = json!({"id": "m", "type": "message", "content": calls, "stop_reason": "tool_use"}).to_string();
    let reading = DecodeOptions::of(recipient, request, Duration::ZERO);
    let mut pieces = Vec::new();
    messages::decode_answer(answer.as_bytes(), &reading, &mut pieces).expect("an answer");
    let told = pieces.iter().filter_map(|piece| match piece {
        Piece::Input { fragment, .. } => fragment.decode().map(Cow::into_owned),
        _ => None,
    });
    told.collect()
}

#[test]
fn half_a_surrogate_pair_in_a_name_goes_up_as_another_name_and_comes_back() {
    let body = r#"{"messages": [{"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"\\uD83D\":1}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "y"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters":
            {"type": "object", "properties": {"\ud83d": {"type": "string"}}, "required": ["\ud83d"], "oneOf": [{"required": ["a"]}]}}}]}"#;
    let (policy, candidate) = policy_with(json!({}));
    let request = chat::parse(body.as_bytes()).expect("valid");
    let encoded = messages::encode_request(&policy, &candidate, &request, &EncodeOptions::default());
    let upstream: Value = serde_json::from_slice(&encoded.expect("a translation").body).expect("JSON");
    assert_eq!(judge(&policy.models[0].id, &upstream), Ok(()), "{upstream}");
    let schema = &upstream["tools"][0]["input_schema"];
    let names: Vec<&String> = schema["properties"].as_object().expect("properties").keys().collect();
    assert_eq!(json!([names[0], "a"]), schema["required"]);
    let calls = &upstream["messages"][1]["content"];
    assert_eq!(calls[0]["input"], json!({names[0]: 1}));
    assert_eq!(told(&Recipient::of(&policy, &candidate), &request, calls), [r#"{"\ud83d":1}"#]);
}

/// What goes up of the parameters of a tool, and what is named as left out.
pub fn translated(parameters: &Value) -> (Value, Vec<String>) {
    let function = json!({"name": "f", "parameters": parameters});
    let body =
        json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": function}]});
    let (policy, candidate) = policy_with(json!({}));
    let body = body.to_string();
    let request = chat::parse(body.as_bytes()).expect("valid");
    let encoded = messages::encode_request(&policy, &candidate, &request, &EncodeOptions::default());
    let encoded = encoded.expect("a translation");
    let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
    assert_eq!(judge(&policy.models[0].id, &upstream), Ok(()), "{parameters} -> {upstream}");
    (upstream["tools"][0]["input_schema"].clone(), encoded.dropped)
}

/// Each word of JSON Schema, with values that draft 2020-12 does not allow behind it.
fn wrong_members() -> Vec<(&'static str, Vec<Value>)> {
    let (text, number, flag, object, list) = (json!("a"), json!(7), json!(true), json!({}), json!([7]));
    let no_schema = vec![text.clone(), number.clone(), list.clone()];
    let no_text = vec![number.clone(), flag.clone(), object.clone(), list.clone()];
    let no_object = vec![text.clone(), number.clone(), flag.clone(), list.clone()];
    let no_list = vec![text.clone(), number.clone(), flag.clone(), object.clone()];
    let no_flag = vec![json!("true"), number.clone(), object.clone(), list.clone()];
    let no_number = vec![json!("3"), flag.clone(), object.clone(), list.clone()];
    let no_count = vec![json!(-1), json!(1.5), json!("3"), flag.clone(), object.clone(), list.clone()];
    let no_limit = vec![json!("3"), object.clone(), list.clone()];
    let mut members = vec![
        ("type", vec![json!("any"), json!("String"), json!(["text"]), number.clone(), object.clone()]),
        ("enum", vec![json!([]), text.clone(), number.clone(), object.clone()]),
        ("multipleOf", vec![json!(0), json!(0.0), json!(-2), json!("3"), flag.clone()]),
        ("$ref", vec![json!("#/$defs/none"), number.clone(), flag.clone(), object.clone()]),
        ("$anchor", vec![json!("a b"), json!("1"), number.clone(), flag.clone(), object.clone()]),
        ("$dynamicAnchor", vec![json!("a b"), number.clone(), flag.clone(), object.clone()]),
        ("$recursiveAnchor", vec![number.clone(), flag.clone(), object.clone()]),
        ("$id", vec![json!("#a b"), json!("a#b"), number.clone(), flag.clone(), object.clone()]),
    ];
    for (words, values) in [
        (&["required", "examples", "anyOf", "oneOf", "allOf", "prefixItems"][..], &no_list),
        (&["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"], &no_count),
        (&["minContains", "maxContains"], &no_count),
        (&["minimum", "maximum"], &no_number),
        (&["exclusiveMinimum", "exclusiveMaximum"], &no_limit),
        (&["title", "description", "format", "pattern", "$comment", "contentEncoding", "contentMediaType"], &no_text),
        (&["$dynamicRef", "$recursiveRef"], &no_text),
        (&["deprecated", "readOnly", "writeOnly", "uniqueItems"], &no_flag),
        (&["properties", "patternProperties", "$defs", "definitions"], &no_object),
        (&["dependentRequired", "dependentSchemas", "dependencies"], &no_object),
        (&["additionalProperties", "unevaluatedProperties", "propertyNames", "not", "if", "then", "else"], &no_schema),
        (&["contains", "unevaluatedItems", "contentSchema"], &no_schema),
    ] {
        members.extend(words.iter().map(|word| (*word, values.clone())));
    }
    members.push(("items", vec![text, number]));
    members
}

#[test]
fn a_word_with_a_value_of_the_wrong_kind_is_left_out_and_named() {
    for (word, values) in wrong_members() {
        for value in values {
            let schema = |property: Value| json!({"type": "object", "properties": {"a": property}, "required": ["a"]});
            let (left, dropped) = translated(&schema(json!({word: value, "default": 1})));
            assert_eq!(left, schema(json!({"default": 1})), "{word}: {value}");
            assert_eq!(dropped, ["tools.parameters"], "{word}: {value}");
        }
    }
}

#[test]
fn of_a_list_with_wrong_elements_the_right_ones_are_kept_where_no_more_is_refused() {
    for (wrong, right, is_named) in [
        (json!({"required": ["b", "c", "b"]}), json!({"required": ["b", "c"]}), false),
        (json!({"required": ["b", 7, null, {}]}), json!({"required": ["b"]}), true),
        (json!({"required": []}), json!({"required": []}), false),
        (json!({"type": ["string", "string"]}), json!({"type": ["string"]}), false),
        (json!({"type": ["string", 7]}), json!({"type": ["string"]}), true),
        // What the unknown word allows is not known.
        (json!({"type": ["string", "any"]}), json!({}), true),
        (json!({"type": []}), json!({}), false),
        (json!({"$vocabulary": {"https://example.com/words": true}}), json!({}), false),
        (
            json!({"dependentRequired": {"b": ["c", 7], "d": "c"}}),
            json!({"dependentRequired": {"b": ["c"], "d": []}}),
            true,
        ),
        (json!({"anyOf": [{"type": "string"}, "string"]}), json!({"anyOf": [{"type": "string"}, {}]}), true),
        (json!({"enum": [1, 1]}), json!({"enum": [1, 1]}), false),
        (json!({"examples": []}), json!({"examples": []}), false),
        (json!({"title": "T", "not": {"enum": []}}), json!({"title": "T"}), true),
    ] {
        let schema = |property: &Value| json!({"type": "object", "properties": {"a": property}});
        let (left, dropped) = translated(&schema(&wrong));
        assert_eq!((left, dropped.len()), (schema(&right), usize::from(is_named)), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_api_takes_every_schema_that_is_one(schema in schema_of_a_tool(), strict: bool) {
        let function = json!({"name": "f", "parameters": schema, "strict": strict});
        let body = json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": function}]});
        let (policy, candidate) = policy_with(json!({}));
        let body = body.to_string();
        let Ok(request) = chat::parse(body.as_bytes()) else { return Ok(()) };
        match messages::encode_request(&policy, &candidate, &request, &EncodeOptions::default()) {
            Ok(encoded) => {
                let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
                prop_assert_eq!(judge(&policy.models[0].id, &upstream), Ok(()), "{} -> {}", body, upstream);
                // What is in other documents is not at hand here.
                let fault = jsonschema::draft202012::new(&upstream["tools"][0]["input_schema"]).err().map(|fault| fault.to_string());
                let is_usable = fault.as_ref().is_none_or(|fault| fault.contains("example.com") || fault.contains("inner"));
                prop_assert!(is_usable, "{:?} {} -> {}", fault, body, upstream);
            }
            Err(error) => prop_assert!(is_none(&schema), "{:?} {}", error, body),
        }
    }

    #[test]
    fn names_of_properties_come_back_and_no_two_are_one(
        properties in prop::collection::btree_set(name(), 0..6),
        inputs in prop::collection::vec(input(), 1..3),
    ) {
        let schemas: Value = properties.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        let call = |(at, input): (usize, &Value)| json!({"id": format!("c{at}"), "type": "function",
            "function": {"name": "f", "arguments": input.to_string()}});
        let mut turns = vec![json!({"role": "user", "content": "x"})];
        turns.push(json!({"role": "assistant", "content": null, "tool_calls": inputs.iter().enumerate().map(call).collect::<Vec<_>>()}));
        turns.extend((0..inputs.len()).map(|at| json!({"role": "tool", "tool_call_id": format!("c{at}"), "content": "y"})));
        let function = json!({"name": "f", "parameters": {"type": "object", "properties": schemas}});
        let body = json!({"messages": turns, "tools": [{"type": "function", "function": function}]}).to_string();
        let (policy, candidate) = policy_with(json!({}));
        let request = chat::parse(body.as_bytes()).expect("valid");
        let encoded = messages::encode_request(&policy, &candidate, &request, &EncodeOptions::default());
        let encoded = encoded.expect("a translation");
        let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        prop_assert_eq!(judge(&policy.models[0].id, &upstream), Ok(()), "{} -> {}", body, upstream);
        let written = upstream["tools"][0]["input_schema"]["properties"].as_object().map_or(0, |written| written.len());
        prop_assert_eq!(written, properties.len());

        // The calls of the history, as if the model answered with them.
        let calls = upstream["messages"][1]["content"].clone();
        let told = told(&Recipient::of(&policy, &candidate), &request, &calls).iter().map(|input| serde_json::from_str(input).expect("JSON")).collect::<Vec<Value>>();
        prop_assert_eq!(told, inputs);
    }
}
