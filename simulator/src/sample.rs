//! Fills a JSON schema with the simplest value that fits: for structured answers and for the arguments of tool calls.
//! Covers what the providers accept in a strict schema; patterns and formats are not looked at.

use serde_json::{Map, Value, json};

/// Recursive schemas end here, with `null` where the schema allows it.
const MAX_DEPTH: usize = 8;

/// `text` becomes the value of every free string.
pub fn fill(schema: &Value, text: &str) -> Value {
    let filled = fill_at(schema, schema, text, 0);
    if filled.is_null() && !schema.is_object() { json!({}) } else { filled }
}

fn fill_at(schema: &Value, root: &Value, text: &str, depth: usize) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return match target {
            Some(target) if depth < MAX_DEPTH => fill_at(target, root, text, depth + 1),
            _ => Value::Null,
        };
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        if let Some(options) = schema[word].as_array().filter(|options| !options.is_empty()) {
            let null = options.iter().find(|option| depth >= MAX_DEPTH / 2 && option["type"] == "null");
            return fill_at(null.unwrap_or(&options[0]), root, text, depth + 1);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => Value::String(string(schema, text)),
        Some("integer") => integer(schema),
        Some("number") => schema.get("minimum").filter(|n| n.is_number()).cloned().unwrap_or(json!(1.5)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => {
            let count = schema["minItems"].as_u64().unwrap_or(1).clamp(0, 16);
            (0..count).map(|_| fill_at(&schema["items"], root, text, depth + 1)).collect()
        }
        Some("object") => object(schema, root, text, depth),
        _ if schema["properties"].is_object() => object(schema, root, text, depth),
        _ => Value::Null,
    }
}

fn object(schema: &Value, root: &Value, text: &str, depth: usize) -> Value {
    let mut fields = Map::new();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let property = schema["properties"].get(name).unwrap_or(&Value::Null);
        fields.insert(name.to_owned(), fill_at(property, root, text, depth + 1));
    }
    Value::Object(fields)
}

fn string(schema: &Value, text: &str) -> String {
    let most = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let least = schema["minLength"].as_u64().and_then(|least| usize::try_from(least).ok()).unwrap_or(0).min(4096);
    let padding = least.saturating_sub(text.chars().count());
    text.chars().chain(std::iter::repeat_n('.', padding)).take(most).collect()
}

fn integer(schema: &Value) -> Value {
    let least = schema["minimum"].as_i64().unwrap_or(1);
    let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
    json!(least.max(1.min(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_schema_is_filled_to_fit() {
        let cases = [
            ("string", json!({"type": "string"}), json!("t")),
            ("short string", json!({"type": "string", "minLength": 3}), json!("t..")),
            ("integer", json!({"type": "integer", "minimum": 5}), json!(5)),
            ("number", json!({"type": "number", "minimum": 0}), json!(0)),
            ("boolean", json!({"type": "boolean"}), json!(true)),
            ("enum", json!({"enum": ["b", "a"]}), json!("b")),
            ("const", json!({"const": 7}), json!(7)),
            ("nullable", json!({"type": ["string", "null"]}), json!("t")),
            ("any of", json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}), json!(1)),
            ("array", json!({"type": "array", "items": {"type": "string"}, "minItems": 2}), json!(["t", "t"])),
            (
                "nested object",
                json!({"type": "object", "required": ["a"], "properties": {
                    "a": {"type": "object", "required": ["b"], "properties": {"b": {"$ref": "#/$defs/c"}}},
                    "optional": {"type": "string"},
                }, "$defs": {"c": {"type": "boolean"}}}),
                json!({"a": {"b": true}}),
            ),
            ("no schema", Value::Null, json!({})),
        ];
        for (name, schema, expected) in cases {
            assert_eq!(fill(&schema, "t"), expected, "{name}");
        }
    }

    #[test]
    fn a_recursive_schema_ends() {
        let schema = json!({
            "type": "object", "required": ["next"],
            "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        });
        let filled = fill(&schema, "t").to_string();
        assert!(filled.starts_with("{\"next\":{") && filled.contains("null"), "{filled}");
    }
}
