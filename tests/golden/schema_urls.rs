//! Schemas of tools whose parts have URLs and anchors of their own: as the Messages API gets them, they mean the same without.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tool_schemas::translated;

const REFERENCES: [&str; 19] = [
    "#",
    "#own",
    "#/$defs/Inner",
    "#/$defs/A/$defs/Inner",
    "#/properties/a",
    "a",
    "a#own",
    "a#/$defs/Inner",
    "a#/properties/b",
    "b/",
    "b/#own",
    "/s/a",
    "../c",
    "../c#/$defs/Inner",
    "c#own",
    "https://example.com/s/a",
    "https://example.org/d",
    "https://example.org/d#/$defs/Inner",
    "root#/$defs/B",
];

const ANCHORS: [&str; 2] = ["$anchor", "$dynamicAnchor"];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => prop::sample::select(&["#own", "a#own", "b/#own"][..]).prop_map(|reference| json!({"$dynamicRef": reference})),
        3 => prop::sample::select(&REFERENCES[..]).prop_map(|reference| json!({"$ref": reference})),
        2 => prop::sample::select(vec![json!({"type": "string"}), json!({"type": "integer"}), json!({"const": "x"})]),
    ]
}

/// A schema that may have one of these URLs, with one in it that may have one of its own.
fn resource(urls: &'static [&'static str], inner: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let called =
        |urls| (prop::option::of(prop::sample::select(urls)), prop::option::of(prop::sample::select(&ANCHORS[..])));
    (called(urls), called(inner), leaf(), leaf(), leaf()).prop_map(|(outer, inner, inside, a, b)| {
        let with = |mut schema: Value, (url, anchor): (Option<&str>, Option<&str>)| {
            url.into_iter().for_each(|url| schema["$id"] = url.into());
            anchor.into_iter().for_each(|anchor| schema[anchor] = "own".into());
            schema
        };
        with(json!({"$defs": {"Inner": with(inside, inner)}, "properties": {"a": a, "b": b}}), outer)
    })
}

/// How many parts of a schema are called `own`, but those of schemas inside that have URLs of their own, if it is so called in
/// none of these more than once.
fn anchors(schema: &Value) -> Option<usize> {
    let Value::Object(members) = schema else { return Some(0) };
    let mut count = ANCHORS.iter().filter(|word| schema[**word].is_string()).count();
    for member in members.values() {
        let inner = anchors(member)?;
        count += if member["$id"].is_string() { 0 } else { inner };
    }
    (count <= 1).then_some(count)
}

/// Whether something may refer to a dynamic anchor as to a plain one, which the validator takes for a dynamic reference.
fn refers_plainly_to_dynamic_anchors(schema: &Value) -> bool {
    let json = schema.to_string();
    let mut references = json.split(r#""$ref":""#).skip(1).filter_map(|rest| rest.split('"').next());
    json.contains("$dynamicAnchor") && references.any(|reference| reference.ends_with("#own"))
}

fn inputs() -> impl Iterator<Item = Value> {
    let values = || [json!("x"), json!(1), json!({"a": "y"}), json!({"b": {"a": 1}}), json!({})];
    values().into_iter().flat_map(move |a| values().map(|b| json!({"a": a, "b": b})))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn references_by_urls_lead_to_the_same(
        a in resource(&["a", "a#", "b/", "/s/a"], &["x/a", "b/a"]),
        b in resource(&["../c", "https://example.org/d"], &["/x", "y"]),
        properties in (leaf(), leaf()),
        anchor in prop::option::of(prop::sample::select(&ANCHORS[..])),
        has_url: bool,
    ) {
        let properties = json!({"a": properties.0, "b": properties.1});
        let mut schema = json!({"type": "object", "$defs": {"A": a, "B": b}, "properties": properties});
        anchor.into_iter().for_each(|anchor| schema[anchor] = "own".into());
        if has_url {
            schema["$id"] = "https://example.com/s/root".into();
        }
        if anchors(&schema).is_none() || refers_plainly_to_dynamic_anchors(&schema) {
            return Ok(());
        }
        // Most refer to what is not there.
        let Ok(whole) = jsonschema::draft202012::new(&schema) else { return Ok(()) };
        let (written, dropped) = translated(&schema);
        let of_api = jsonschema::draft202012::new(&written);
        prop_assert!(of_api.is_ok(), "{} -> {}", schema, written);
        prop_assert!(anchors(&written).is_some(), "{} -> {}", schema, written);
        for input in inputs().filter(|_| dropped.is_empty()) {
            let fits = of_api.as_ref().is_ok_and(|of_api| of_api.is_valid(&input));
            prop_assert_eq!(whole.is_valid(&input), fits, "{} {} -> {}", input, schema, written);
        }
    }
}
