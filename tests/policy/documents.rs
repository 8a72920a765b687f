//! Documents for these tests, and ways to change them one place at a time.

use jsonschema::Validator;
use serde_json::Value;
use tiergate::policy::Policy;
use tiergate::policy::fault::Faults;
use tiergate::policy::parse::parse;
use tiergate::policy::schema::schema;

pub const EXAMPLE: &str = include_str!("../../policy/examples/all-parts.json");
pub const SHIPPED: &str = include_str!("../../policy/default.json");

/// The smallest document with every optional part left out.
pub const SMALLEST: &str = r#"{
  "version": "1", "default_tier": "only",
  "tiers": [{
    "name": "only", "description": "Everything.", "candidates": [{ "model": "m" }],
    "deadlines": { "first_token_ms": 100, "idle_ms": 100, "total_ms": 600 }
  }],
  "models": { "m": { "provider": "p", "id": "m-1", "context": 1000, "max_output": 100, "price": { "input": 2, "output": 4 } } },
  "providers": { "p": { "base_url": "https://llm.example:8443/v1/", "dialect": "openai-chat" } }
}"#;

pub fn example() -> Value {
    serde_json::from_str(EXAMPLE).expect("the example should be JSON")
}

pub fn parse_value(document: &Value) -> Result<Policy, Faults> {
    parse(document.to_string().as_bytes())
}

pub fn paths(result: &Result<Policy, Faults>) -> Vec<&str> {
    match result {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0.iter().map(|fault| fault.path.as_str()).collect(),
    }
}

pub fn validator() -> Validator {
    jsonschema::validator_for(&schema()).expect("the schema should be one")
}

/// Puts a value at a JSON pointer, or removes what is there. The pointer's parent must exist.
pub fn edit(document: &mut Value, pointer: &str, value: Option<&Value>) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        *document = value.cloned().unwrap_or(Value::Null);
        return;
    };
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} should have a parent"));
    match (parent, value) {
        (Value::Object(entries), Some(value)) => drop(entries.insert(unescape(key), value.clone())),
        (Value::Object(entries), None) => drop(entries.remove(&unescape(key))),
        (Value::Array(items), Some(value)) => items[key.parse::<usize>().expect("an index")] = value.clone(),
        (Value::Array(items), None) => drop(items.remove(key.parse().expect("an index"))),
        (_, _) => panic!("{pointer} should be inside an object or an array"),
    }
}

pub fn edited(pointer: &str, value: Option<&Value>) -> Value {
    let mut document = example();
    edit(&mut document, pointer, value);
    document
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

/// Every place of a value, as a pointer, as the path that faults show, and as the value there.
pub fn places<'a>(value: &'a Value, pointer: String, path: String, found: &mut Vec<(String, String, &'a Value)>) {
    found.push((pointer.clone(), path.clone(), value));
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
                let step = if plain { format!(".{key}") } else { format!("[{key:?}]") };
                places(value, format!("{pointer}/{key}"), format!("{path}{step}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, format!("{pointer}/{index}"), format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// The part of the schema that describes the value at a pointer.
pub fn described<'a>(schema: &'a Value, pointer: &str) -> &'a Value {
    let resolve = |part: &'a Value| {
        // Of several forms the one that is an object has parts.
        let forms = part["anyOf"].as_array().into_iter().flatten();
        let part = forms.into_iter().find(|form| form["$ref"].is_string()).unwrap_or(part);
        match part["$ref"].as_str() {
            Some(reference) => schema.pointer(&reference[1..]).expect("a reference should resolve"),
            None => part,
        }
    };
    pointer.split('/').skip(1).fold(schema, |part, key| {
        let part = resolve(part);
        let next = part["properties"].get(key).or(part.get("items")).or(part.get("additionalProperties"));
        resolve(next.unwrap_or_else(|| panic!("{pointer} should be described")))
    })
}
