//! OpenAI's published description of its API, where it lies beside the checkout.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::wasm;

/// The description with `nullable` turned into what JSON Schema has for it.
static DESCRIPTION: LazyLock<Option<Value>> = LazyLock::new(|| {
    let beside = |directory: &Path| directory.join("shared/openapi/openai-subset.json");
    let file = wasm::root().ancestors().map(beside).find(|file| file.exists())?;
    let text = std::fs::read_to_string(file).expect("the description should be readable");
    let mut description = serde_json::from_str(&text).expect("the description should be JSON");
    convert_nullable(&mut description);
    Some(description)
});

static VALIDATORS: LazyLock<Mutex<HashMap<String, Validator>>> = LazyLock::new(Mutex::default);

/// What is wrong with `value` as a `name` of the description; nothing where there is no description.
pub fn faults(name: &str, value: &Value) -> Vec<String> {
    let Some(description) = &*DESCRIPTION else { return Vec::new() };
    let mut validators = VALIDATORS.lock().expect("no test should have panicked here");
    let validator = validators.entry(name.to_owned()).or_insert_with(|| {
        let schema = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": description["components"],
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
