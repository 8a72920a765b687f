//! Validates answers against OpenAI's published description where it lies beside the checkout.

use std::path::Path;
use std::sync::LazyLock;

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

pub fn assert_valid(name: &str, value: &Value) {
    let Some(description) = &*DESCRIPTION else { return };
    let schema = json!({
        "$ref": format!("#/components/schemas/{name}"),
        "components": description["components"],
    });
    let validator = jsonschema::validator_for(&schema).expect("the description should compile");
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{value} is no {name}: {errors:?}");
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
