//! What the Messages API takes of JSON Schema: for the input of any tool, and where an answer or the input of a strict tool must
//! fit one; there some limits hold for all schemas of a request together.

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
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];
/// What joins schemas, which may not stand at the root of a tool's.
const JOINTS: &[&str] = &["oneOf", "allOf", "anyOf"];
/// What a grammar cannot say of a pattern: assertions, references back, word boundaries, classes by property.
const HARD_IN_PATTERNS: &[&str] =
    &["(?", "\\b", "\\B", "\\p", "\\P", "\\k", "\\1", "\\2", "\\3", "\\4", "\\5", "\\6", "\\7", "\\8", "\\9"];
const MAX_PROPERTY_CHARS: usize = 64;
/// Tools with `strict`, properties that may be left out, and those of several types, in all schemas of a request.
const MAX_STRICT_TOOLS: usize = 20;
const MAX_OPTIONAL: usize = 24;
const MAX_UNIONS: usize = 16;
/// References followed one within the other before a schema counts as recursive.
const MAX_DEPTH: usize = 64;

/// A schema that is none of this draft, whatever it says of itself, is refused before anything else.
pub fn check_form(schema: &Value, place: &str) -> Result<(), Refusal> {
    let refuse = |problem: String| {
        let message = "JSON schema is invalid. It must match JSON Schema draft 2020-12";
        Err(Refusal::invalid(format!("{place}: {message}: {problem}")))
    };
    if let Err(error) = jsonschema::draft202012::meta::validate(schema) {
        return refuse(error.to_string());
    }
    match dangling(schema, schema) {
        Some(reference) => refuse(format!("`$ref` {reference} leads nowhere")),
        None => Ok(()),
    }
}

/// The first reference, at any depth, that leads to nothing in the schema. Those to other documents may lead anywhere.
fn dangling<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a str> {
    let own = schema["$ref"].as_str().filter(|reference| is_dangling(root, reference));
    own.or_else(|| inner(schema).into_iter().find_map(|schema| dangling(root, schema)))
}

fn is_dangling(root: &Value, reference: &str) -> bool {
    reference.starts_with('#') && target(root, reference).is_none()
}

/// What a reference leads to in the same schema.
fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    match unescaped(reference.strip_prefix('#')?) {
        pointer if pointer.is_empty() || pointer.starts_with('/') => root.pointer(&pointer),
        anchor => anchored(root, &anchor),
    }
}

fn anchored<'a>(schema: &'a Value, anchor: &str) -> Option<&'a Value> {
    match schema["$anchor"] == anchor {
        true => Some(schema),
        false => inner(schema).into_iter().find_map(|schema| anchored(schema, anchor)),
    }
}

/// A fragment of a URL without its escapes.
fn unescaped(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Refuses the schema of a tool's input that the API takes of no tool, strict or not.
pub fn check_input(schema: &Value, place: &str) -> Result<(), Refusal> {
    check_form(schema, place)?;
    let refuse = |problem: &str| Err(Refusal::invalid(format!("{place}: {problem}")));
    if JOINTS.iter().any(|name| schema.get(name).is_some()) {
        return refuse("input_schema does not support oneOf, allOf, or anyOf at the top level");
    }
    match has_odd_name(schema) {
        true => refuse("Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"),
        false => Ok(()),
    }
}

/// Whether a property, at any depth, has a name that the API does not take.
fn has_odd_name(schema: &Value) -> bool {
    let is_plain = |name: &str| {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        (1..=MAX_PROPERTY_CHARS).contains(&name.len()) && name.bytes().all(is_known)
    };
    let names = schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys());
    names.into_iter().any(|name| !is_plain(name)) || inner(schema).into_iter().any(has_odd_name)
}

/// The schemas within a schema.
fn inner(schema: &Value) -> Vec<&Value> {
    const ONE: &[&str] = &[
        "items",
        "contains",
        "additionalProperties",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contentSchema",
        "propertyNames",
        "not",
        "if",
        "then",
        "else",
    ];
    const LISTED: &[&str] = &["anyOf", "allOf", "oneOf", "prefixItems"];
    const NAMED: &[&str] =
        &["properties", "$defs", "definitions", "patternProperties", "dependentSchemas", "dependencies"];
    let one = ONE.iter().map(|word| &schema[*word]);
    let listed = LISTED.iter().filter_map(|word| schema[*word].as_array()).flatten();
    let named = NAMED.iter().filter_map(|word| schema[*word].as_object()).flat_map(|schemas| schemas.values());
    one.chain(listed).chain(named).filter(|schema| schema.is_object()).collect()
}

/// How much of the limits on a request's strict schemas is taken.
#[derive(Default)]
pub struct StrictSchemas {
    tools: usize,
    optional: usize,
    unions: usize,
}

impl StrictSchemas {
    /// Refuses a schema that does not compile into the provider's grammar, and counts it.
    pub fn take(&mut self, schema: &Value, place: &str) -> Result<(), Refusal> {
        check_form(schema, place)?;
        let mut walk = Walk { root: schema, open: Vec::new(), optional: 0, unions: 0 };
        walk.visit(schema, 0).map_err(|problem| Refusal::invalid(format!("{place}: {problem}")))?;
        self.optional += walk.optional;
        self.unions += walk.unions;
        Ok(())
    }

    pub fn take_tool(&mut self, schema: &Value, place: &str) -> Result<(), Refusal> {
        self.tools += 1;
        self.take(schema, place)
    }

    /// Refuses what is too much in all.
    pub fn check(&self) -> Result<(), Refusal> {
        for (count, most, what) in [
            (self.tools, MAX_STRICT_TOOLS, "strict tools"),
            (self.optional, MAX_OPTIONAL, "optional parameters"),
            (self.unions, MAX_UNIONS, "parameters with union types"),
        ] {
            if count > most {
                let problem = format!("Too many {what}: {count}, and the most in all strict schemas is {most}");
                return Err(Refusal::invalid(format!("Schema is too complex. {problem}.")));
            }
        }
        Ok(())
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// The references that are being followed.
    open: Vec<&'a str>,
    optional: usize,
    unions: usize,
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
        if schema["minItems"].as_u64().is_some_and(|least| least > 1) {
            return Err("For 'array' type, `minItems` values other than 0 or 1 are not supported".to_owned());
        }
        if schema["pattern"].as_str().is_some_and(|pattern| HARD_IN_PATTERNS.iter().any(|part| pattern.contains(part)))
        {
            return Err("the regular expression in `pattern` is not supported".to_owned());
        }
        let listed = schema["enum"].as_array().into_iter().flatten();
        if listed.chain(fields.get("const")).any(|value| value.is_object() || value.is_array()) {
            return Err("`enum` and `const` take strings, numbers, booleans and null only".to_owned());
        }
        let several =
            ["anyOf", "oneOf", "type"].into_iter().any(|word| schema[word].as_array().is_some_and(|of| of.len() > 1));
        self.unions += usize::from(several);
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
        let target = target(self.root, reference).ok_or_else(|| format!("`$ref` {reference} leads nowhere"))?;
        self.open.push(reference);
        self.visit(target, depth + 1)?;
        self.open.pop();
        Ok(())
    }
}
