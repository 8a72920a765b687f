//! What is compared: what a translation says, in whatever way it says it.
//!
//! Everything here is an object whose fields stand for one aspect each, so that one difference hides no other. What is absent,
//! null, empty or at its default is the same.

pub mod answer;
pub mod request;
pub mod stream;

use serde_json::{Map, Value};

/// An object of the fields that say something.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().filter(|(_, value)| !is_nothing(value));
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// The names and values of an object's fields that say something, but those that are `known`.
fn others(object: &Value, known: &[&str]) -> Value {
    let fields = object.as_object().into_iter().flatten();
    let others = fields.filter(|(name, value)| !known.contains(&name.as_str()) && !is_nothing(value));
    Value::Object(others.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Arguments as JSON where they are such, since white space and escapes say nothing.
fn parsed(arguments: &Value) -> Value {
    match arguments {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| arguments.clone()),
        _ => arguments.clone(),
    }
}
