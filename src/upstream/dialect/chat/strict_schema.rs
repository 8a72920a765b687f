//! Whether OpenAI takes a schema with `strict: true`, which only a part of JSON Schema may have.
//!
//! What its guide on structured outputs does not list counts as refused: a request without `strict` is answered, and one with a
//! schema beyond the part is not. A schema is not made to fit, since what is optional to the client would be demanded.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::wire::containers::{elements, members};
use crate::wire::json::{Field, field, text};

/// How many objects and arrays may hold each other.
const MAX_DEPTH: usize = 10;
/// How many properties all objects may have, and how many values all enumerations.
const MAX_PROPERTIES: usize = 5_000;
const MAX_VALUES: usize = 1_000;
/// The formats of texts that are known.
const FORMATS: [&str; 9] = ["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"];
/// Where schemas may stand that others refer to.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// Whether a schema may be sent with `strict: true`.
pub fn takes(schema: &RawValue) -> bool {
    let Some(fields) = members(schema) else { return false };
    let names = DEFINITIONS.map(|name| {
        let defined = field(&fields, name).and_then(members).unwrap_or_default();
        defined.into_iter().map(|defined| defined.name.into_owned()).collect()
    });
    let mut reader = Reader { names, properties: 0, values: 0 };
    let is_object = field(&fields, "type").is_some_and(|kind| kind.get() == r#""object""#);
    is_object && reader.takes(schema, Place { depth: 0, is_root: true })
}

struct Reader {
    /// Of the definitions in each of the places for them.
    names: [BTreeSet<String>; 2],
    properties: usize,
    values: usize,
}

#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    is_root: bool,
}

impl Place {
    fn inside(self) -> Self {
        Self { depth: self.depth + 1, is_root: false }
    }
}

impl Reader {
    fn takes(&mut self, schema: &RawValue, place: Place) -> bool {
        let Some(fields) = members(schema).filter(|fields| has_each_once(fields)) else { return false };
        if place.depth > MAX_DEPTH {
            return false;
        }
        if let Some(reference) = field(&fields, "$ref") {
            return fields.len() == 1 && self.leads_somewhere(reference);
        }
        let kinds = field(&fields, "type").map(kinds).unwrap_or_default();
        let is_typed = !kinds.is_empty() || field(&fields, "anyOf").is_some();
        let is = |kind: &str| kinds.iter().any(|known| known == kind);
        is_typed
            && (!is("array") || field(&fields, "items").is_some())
            && (!is("object") || is_closed(&fields))
            && fields.iter().all(|field| self.takes_keyword(field, place))
    }

    fn takes_keyword(&mut self, keyword: &Field<'_>, place: Place) -> bool {
        let value = keyword.value;
        match keyword.name.as_ref() {
            "type" | "title" | "description" | "const" | "required" | "additionalProperties" => true,
            "pattern" | "multipleOf" | "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => true,
            "minItems" | "maxItems" => true,
            "$schema" => place.is_root,
            "format" => text(value).is_some_and(|format| FORMATS.contains(&format.as_ref())),
            "enum" => {
                let values = elements(value).unwrap_or_default().len();
                self.values += values;
                values > 0 && self.values <= MAX_VALUES
            }
            "anyOf" => {
                let branches = elements(value).unwrap_or_default();
                !place.is_root
                    && !branches.is_empty()
                    && branches.into_iter().all(|branch| self.takes(branch, place.inside()))
            }
            "items" => self.takes(value, place.inside()),
            "properties" => {
                let properties = members(value).unwrap_or_default();
                self.properties += properties.len();
                self.properties <= MAX_PROPERTIES
                    && properties.iter().all(|property| self.takes(property.value, place.inside()))
            }
            name if place.is_root && DEFINITIONS.contains(&name) => {
                let defined = members(value).unwrap_or_default();
                defined.iter().all(|defined| self.takes(defined.value, place.inside()))
            }
            _ => false,
        }
    }

    fn leads_somewhere(&self, reference: &RawValue) -> bool {
        let Some(reference) = text(reference) else { return false };
        let leads_to = |(place, names): (&&str, &BTreeSet<String>)| {
            let name = reference.strip_prefix("#/").and_then(|path| path.strip_prefix(*place)?.strip_prefix('/'));
            name.is_some_and(|name| names.contains(name))
        };
        reference == "#" || DEFINITIONS.iter().zip(&self.names).any(leads_to)
    }
}

fn has_each_once(fields: &[Field<'_>]) -> bool {
    let names: BTreeSet<&str> = fields.iter().map(|field| field.name.as_ref()).collect();
    names.len() == fields.len()
}

/// The types that a schema names; none where it names anything else.
fn kinds(kind: &RawValue) -> Vec<String> {
    let known = |kind: &str| matches!(kind, "string" | "number" | "boolean" | "integer" | "object" | "array" | "null");
    let named = |kind: &RawValue| text(kind).filter(|kind| known(kind)).map(String::from);
    let several = || elements(kind)?.into_iter().map(named).collect::<Option<Vec<_>>>();
    named(kind).map(|kind| vec![kind]).or_else(several).unwrap_or_default()
}

/// Whether an object's properties are all there are, and each is required.
fn is_closed(fields: &[Field<'_>]) -> bool {
    let closes = field(fields, "additionalProperties").is_some_and(|more| more.get() == "false");
    let Some(properties) = field(fields, "properties").and_then(members) else { return false };
    let required = field(fields, "required").and_then(elements).unwrap_or_default();
    let required: BTreeSet<_> = required.into_iter().filter_map(text).collect();
    let names: BTreeSet<_> = properties.into_iter().map(|property| property.name).collect();
    closes && required == names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Json;

    #[test]
    fn only_what_openai_lists_goes_up_strict() {
        let of = |property: &str| {
            format!(
                r#"{{"type":"object","properties":{{"a":{property}}},"required":["a"],"additionalProperties":false}}"#
            )
        };
        let nested = |levels: usize| (0..levels).fold(of(r#"{"type":"string"}"#), |inside, _| of(&inside));
        for (schema, expected) in [
            (of(r#"{"type":"string","description":"d","enum":["x","y"]}"#), true),
            (of(r#"{"type":["integer","null"],"minimum":1}"#), true),
            (of(r#"{"type":"array","items":{"type":"number"},"minItems":1}"#), true),
            (of(r#"{"anyOf":[{"type":"string","format":"date"},{"type":"null"}]}"#), true),
            (of(r##"{"$ref":"#"}"##), true),
            (r#"{"type":"object","properties":{},"additionalProperties":false}"#.to_owned(), true),
            (
                r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"required":["a"],"additionalProperties":false,"$defs":{"b":{"type":"string"}}}"##.to_owned(),
                true,
            ),
            (nested(8), true),
            (nested(11), false),
            (r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}"#.to_owned(), false),
            (r#"{"type":"object","properties":{},"required":["a"],"additionalProperties":false}"#.to_owned(), false),
            (r#"{"type":"object","properties":{}}"#.to_owned(), false),
            (r#"{"type":"object","additionalProperties":false}"#.to_owned(), false),
            (r#"{"anyOf":[{"type":"string"}]}"#.to_owned(), false),
            (r#"{"type":"string"}"#.to_owned(), false),
            ("[]".to_owned(), false),
            (of("{}"), false),
            (of("true"), false),
            (of(r#"{"enum":["x"]}"#), false),
            (of(r#"{"type":"array"}"#), false),
            (of(r#"{"type":"string","minLength":1}"#), false),
            (of(r#"{"type":"string","format":"uri"}"#), false),
            (of(r#"{"type":"string","default":"x"}"#), false),
            (of(r#"{"type":"string","type":"number"}"#), false),
            (of(r#"{"type":"any"}"#), false),
            (of(r#"{"oneOf":[{"type":"string"}]}"#), false),
            (of(r##"{"$ref":"#/$defs/gone"}"##), false),
            (of(r##"{"$ref":"#","description":"d"}"##), false),
        ] {
            let json = Json::borrow(&schema).expect("JSON");
            assert_eq!(takes(json.raw()), expected, "{schema}");
        }
    }
}
