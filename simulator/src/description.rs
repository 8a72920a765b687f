//! OpenAI's published description of its API, against which tests check answers: `openapi/`, which names its source.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

/// The description with `nullable` turned into what JSON Schema has for it.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../openapi/openai-subset.json");
    let mut description = serde_json::from_str(text).expect("the description should be JSON");
    convert_nullable(&mut description);
    description
});

static VALIDATORS: LazyLock<Mutex<HashMap<String, Validator>>> = LazyLock::new(Mutex::default);

/// What is wrong with `value` as a `name` of the description.
///
/// # Panics
/// If the description has no such name.
pub fn faults(name: &str, value: &Value) -> Vec<String> {
    let mut validators = VALIDATORS.lock().expect("no test should have panicked here");
    let validator = validators.entry(name.to_owned()).or_insert_with(|| {
        let schema = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": DESCRIPTION["components"],
        });
        jsonschema::validator_for(&schema).expect("the description should compile")
    });
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Panics with what is wrong, if anything is.
pub fn assert_valid(name: &str, value: &Value) {
    let faults = faults(name, value);
    assert!(faults.is_empty(), "{value} is no {name}: {faults:?}");
}

fn convert_nullable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(convert_nullable);
            if fields.remove("nullable") == Some(Value::Bool(true)) {
                let schema = Value::Object(std::mem::take(fields));
                fields.insert("anyOf".to_owned(), json!([schema, {"type": "null"}]));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(convert_nullable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
