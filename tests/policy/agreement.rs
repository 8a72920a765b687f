//! The parser and the schema agree, on the shipped documents and on every small change to them.
//!
//! `UPDATE_EXPECT=1` rewrites `policy/policy.schema.json`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use tiergate::policy::schema::schema;

use crate::documents::{described, edit, edited, example, parse_value, paths, places, validator};

/// Below the package's folder, where cargo runs tests.
const SCHEMA_FILE: &str = "policy/policy.schema.json";

/// What the parser knows and a schema cannot say.
const RELATIONS: &[&str] = &[
    "unknown tier",
    "unknown model",
    "unknown provider",
    "also the name of a tier",
    "already the name of",
    "handoff needs",
    "which is not built",
    "less than cooldown_s",
    "longer than total_ms",
    "more than context",
    "more than max_output",
    "not a secret of",
    "not an id for the path",
    "the header that carries the key",
    "no country",
    "also among unsupported_fields",
    "only of a provider",
    "no request can do without it",
];

#[test]
fn no_change_to_a_document_panics_or_passes_unseen() {
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(0.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("zzz"),
        json!("Ä\u{0}"),
        json!([]),
        json!([null]),
        json!({}),
        json!({ "zzz": 1 }),
    ];
    let validator = validator();
    let document = example();
    let mut found = Vec::new();
    places(&document, String::new(), "$".to_owned(), &mut found);
    assert!(found.len() > 200, "the example should have many places, not {}", found.len());
    for (pointer, ..) in &found {
        for value in wrong.iter().map(Some).chain([None]) {
            let changed = edited(pointer, value);
            let case = format!("{pointer} = {value:?}");
            let valid = validator.is_valid(&changed);
            match parse_value(&changed) {
                Ok(_) => assert!(valid, "{case}: the parser takes what the schema refuses"),
                Err(faults) => {
                    let relation = |message: &str| RELATIONS.iter().any(|start| message.starts_with(start));
                    let explained = faults.0.iter().all(|fault| relation(&fault.message));
                    assert!(!valid || explained, "{case}: the schema takes what the parser refuses: {faults}");
                }
            }
        }
    }
}

#[test]
fn one_fault_leads_to_no_other() {
    let document = example();
    let schema = schema();
    let mut found = Vec::new();
    places(&document, String::new(), "$".to_owned(), &mut found);
    for (pointer, path, _) in &found {
        let result = parse_value(&edited(pointer, Some(&Value::Null)));
        assert_eq!(paths(&result), [path], "null at {pointer}: {result:?}");

        let Some((parent, key)) = pointer.rsplit_once('/') else {
            continue;
        };
        if described(&schema, parent)["required"].as_array().is_some_and(|names| names.contains(&json!(key))) {
            let result = parse_value(&edited(pointer, None));
            assert_eq!(paths(&result), [path], "without {pointer}: {result:?}");

            // A slip in a field's name is one fault too, not an unknown field and a missing one.
            if key.len() >= 4 {
                let mut changed = edited(pointer, None);
                edit(&mut changed, &format!("{pointer}x"), document.pointer(pointer));
                let result = parse_value(&changed);
                assert_eq!(paths(&result), [format!("{path}x")], "{pointer}x: {result:?}");
            }
        }
    }
}

#[test]
fn the_schema_and_the_reader_know_the_same_fields() {
    let schema = schema();
    let document = example();
    let mut found = Vec::new();
    places(&document, String::new(), "$".to_owned(), &mut found);
    let mut compared = BTreeSet::new();
    for (pointer, path, value) in found {
        // A way to send a key may be an object, or a word.
        let properties = described(&schema, &pointer)["properties"].as_object();
        let Some(properties) = properties.filter(|_| value.is_object()) else {
            continue;
        };
        let result = parse_value(&edited(&format!("{pointer}/zzz"), Some(&json!(1))));
        let faults = result.expect_err("an unknown field should be refused");
        let fault = faults.0.iter().find(|fault| fault.path == format!("{path}.zzz")).expect("a fault at the field");
        let (_, valid) = fault.message.split_once("valid: ").expect("a list of the valid fields");
        let known = valid.split(", ").collect::<BTreeSet<_>>();
        assert_eq!(known, properties.keys().map(String::as_str).collect(), "{pointer}");
        compared.insert(valid.to_owned());
    }
    let described_objects = 1 + schema["$defs"].as_object().map_or(0, |definitions| definitions.len());
    assert_eq!(compared.len(), described_objects, "the example should have an object of every kind");
}

#[test]
fn the_committed_schema_is_up_to_date() {
    let schema = schema();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(SCHEMA_FILE, format!("{schema:#}\n")).expect("the schema should be writable");
    }
    let committed = fs::read_to_string(SCHEMA_FILE).unwrap_or_default();
    let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
    assert!(committed == schema, "policy/policy.schema.json is out of date; run the tests with UPDATE_EXPECT=1");
}
