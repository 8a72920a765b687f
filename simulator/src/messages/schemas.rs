//! What the Messages API takes of JSON Schema where an answer or the input of a strict tool must fit one.

use serde_json::Value;

use crate::reply::Refusal;

/// Limits that the provider's grammar cannot keep.
const REFUSED: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];
/// Properties that may be left out, in all of a schema.
const MAX_OPTIONAL: usize = 24;
/// References followed one within the other before a schema counts as recursive.
const MAX_DEPTH: usize = 64;

/// A schema that is none is refused before anything else.
pub fn check_form(schema: &Value, place: &str) -> Result<(), Refusal> {
    jsonschema::meta::validate(schema)
        .map_err(|error| Refusal::invalid(format!("{place}: JSON schema is invalid: {error}")))
}

/// Refuses what does not compile into the provider's grammar.
pub fn check(schema: &Value, place: &str) -> Result<(), Refusal> {
    check_form(schema, place)?;
    let mut walk = Walk { root: schema, open: Vec::new(), optional: 0 };
    walk.visit(schema, 0).map_err(|problem| Refusal::invalid(format!("{place}: {problem}")))?;
    if walk.optional > MAX_OPTIONAL {
        let problem = format!("{} optional properties, and the most is {MAX_OPTIONAL}", walk.optional);
        return Err(Refusal::invalid(format!("{place}: the schema is too complex: {problem}")));
    }
    Ok(())
}

struct Walk<'a> {
    root: &'a Value,
    /// The references that are being followed.
    open: Vec<&'a str>,
    optional: usize,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, schema: &'a Value, depth: usize) -> Result<(), String> {
        let Some(fields) = schema.as_object() else {
            return Ok(());
        };
        if depth > MAX_DEPTH {
            return Err("the schema is nested too deeply".to_owned());
        }
        if let Some(name) = REFUSED.iter().find(|name| fields.contains_key(**name)) {
            return Err(format!("`{name}` is not supported"));
        }
        let is_object = schema["type"] == "object"
            || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "object"))
            || fields.contains_key("properties");
        if is_object && schema["additionalProperties"] != false {
            return Err("for 'object' type, `additionalProperties` must be explicitly set to false".to_owned());
        }
        if let Some(reference) = schema["$ref"].as_str() {
            self.follow(reference, depth)?;
        }
        if let Some(properties) = schema["properties"].as_object() {
            let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
            self.optional += properties.keys().filter(|name| !required.iter().any(|one| one == name.as_str())).count();
            for property in properties.values() {
                self.visit(property, depth + 1)?;
            }
        }
        for word in ["anyOf", "allOf", "oneOf", "prefixItems"] {
            for option in schema[word].as_array().into_iter().flatten() {
                self.visit(option, depth + 1)?;
            }
        }
        self.visit(&schema["items"], depth + 1)
    }

    fn follow(&mut self, reference: &'a str, depth: usize) -> Result<(), String> {
        if self.open.contains(&reference) {
            return Err(format!("recursive schemas are not supported: {reference}"));
        }
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let target = target.ok_or_else(|| format!("`$ref` {reference} leads nowhere"))?;
        self.open.push(reference);
        self.visit(target, depth + 1)?;
        self.open.pop();
        Ok(())
    }
}
