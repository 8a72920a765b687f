//! Schemas of tools whose root joins several (`anyOf`, `oneOf`, `allOf`), as one that does not, since the Messages API takes
//! none of these at the root.
//!
//! The properties of all branches stand in one schema; required is what every branch of a choice, or any of a sum, requires
//! ([`super::merger`]). The rest is said in the description ([`super::union_words`]). What refers to a part of the root is led to
//! a definition that holds the root as it was.

use super::keywords::JOINTS;
use super::pointers::Changes;
use super::{merger, schema_form, union_words};
use crate::wire::containers::members;
use crate::wire::json::{Field, field, quoted};

/// What the definition is called that holds the root as it was.
const ROOT: &str = "root";
/// How much the properties may take, in bytes: so much of any schema, and so often its own length.
const ROOM_OF_ANY: usize = 64 * 1024;
const ROOM_PER_BYTE: usize = 4;
/// Definitions, which stay where they are.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// What names a part of a schema for references, as it is written.
const ANCHORS: [&str; 2] = [r#""$anchor""#, r#""$dynamicAnchor""#];

/// Whether the root of a schema joins several.
pub fn is_joined(fields: &[Field<'_>]) -> bool {
    fields.iter().any(|field| JOINTS.contains(&field.name.as_ref()))
}

/// A schema for one of these `fields`, of objects alone.
pub fn of_objects(fields: &[Field<'_>]) -> String {
    let rest = fields.iter().filter(|field| field.name != "type");
    let rest: String = rest.map(|Field { name, value }| format!(",{}:{value}", quoted(name))).collect();
    format!(r#"{{"type":"object"{rest}}}"#)
}

/// A schema without joints at its root, for `schema`, which must be valid JSON and has these `fields`.
pub fn merged(schema: &str, fields: &[Field<'_>]) -> String {
    let merged = merger::merged(schema, fields);
    let properties = merged.outline.properties(ROOM_OF_ANY + ROOM_PER_BYTE * schema.len());
    // An anchor stands once, so what is copied has none.
    let is_anchored = ANCHORS.iter().any(|word| properties.contains(word));
    let moved = (is_anchored || schema_form::look(schema).leads_into_root).then(|| unused_name(fields));
    let mut written = vec![r#""type":"object""#.to_owned()];
    if let Some(name) = &moved {
        written.push(format!(r#""$defs":{}"#, with_root(fields, name)));
    }
    for Field { name, value } in fields {
        let is_replaced = match name.as_ref() {
            "type" | "properties" | "required" | "description" => true,
            "$defs" => moved.is_some(),
            // What the branches describe counts no longer as described.
            "unevaluatedProperties" => merged.outline.is_open,
            name => JOINTS.contains(&name),
        };
        if !is_replaced {
            written.push(format!("{}:{value}", quoted(name)));
        }
    }
    written.push(format!(r#""properties":{properties}"#));
    if let Some(required) = merged.outline.required() {
        written.push(format!(r#""required":{required}"#));
    }
    let description = union_words::description(fields, merged.extent);
    written.push(format!(r#""description":{}"#, quoted(&description)));
    let merged = format!("{{{}}}", written.join(","));
    let Some(name) = &moved else { return merged };
    let changes = Changes { names: None, moved: Some(name) };
    schema_form::rewritten(&merged, changes).map_or(merged, |rewritten| rewritten.schema)
}

/// A name that no definition has.
fn unused_name(fields: &[Field<'_>]) -> String {
    let known = field(fields, "$defs").and_then(members).unwrap_or_default();
    let mut name = ROOT.to_owned();
    while known.iter().any(|definition| definition.name == name) {
        name.push('_');
    }
    name
}

/// The definitions, and the root as it was as one of them.
fn with_root(fields: &[Field<'_>], name: &str) -> String {
    let is_said_elsewhere = |name: &str| {
        DEFINITIONS.contains(&name) || matches!(name, "$schema" | "$id" | "$anchor" | "$dynamicAnchor" | "description")
    };
    let kept = fields.iter().filter(|field| !is_said_elsewhere(&field.name));
    let root: Vec<String> = kept.map(|Field { name, value }| format!("{}:{value}", quoted(name))).collect();
    let root = format!("{}:{{{}}}", quoted(name), root.join(","));
    let known = field(fields, "$defs").and_then(|known| known.get().strip_prefix('{')?.strip_suffix('}'));
    match known.map(str::trim) {
        None | Some("") => format!("{{{root}}}"),
        Some(known) => format!("{{{known},{root}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::object_fields;

    /// The merged schema without its description.
    fn check(schema: &str) -> String {
        let merged = merged(schema, &object_fields(schema).expect("an object"));
        let (schema, _) = merged.rsplit_once(r#","description":"#).expect("a description");
        format!("{schema}}}")
    }

    #[test]
    fn what_stands_beside_the_branches_stays() {
        for (schema, expected) in [
            (
                r##"{"$defs":{"A":{}},"allOf":[{"$ref":"#/$defs/A"},{"required":["b"]}],"title":"T","type":["object","null"],"additionalProperties":false}"##,
                r##"{"type":"object","$defs":{"A":{}},"title":"T","additionalProperties":false,"properties":{},"required":["b"]}"##,
            ),
            (r#"{"anyOf":[{"type":"string"},{"type":"object"}]}"#, r#"{"type":"object","properties":{}}"#),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }

    #[test]
    fn what_refers_to_a_part_of_the_root_still_leads_to_it() {
        for (schema, expected) in [
            (
                r##"{"title":"T","anyOf":[{"properties":{"home":{"type":"string"},"work":{"$ref":"#/anyOf/0/properties/home"}}}]}"##,
                r##"{"type":"object","$defs":{"root":{"title":"T","anyOf":[{"properties":{"home":{"type":"string"},"work":{"$ref":"#/$defs/root/anyOf/0/properties/home"}}}]}},"title":"T","properties":{"home":{"type":"string"},"work":{"$ref":"#/$defs/root/anyOf/0/properties/home"}}}"##,
            ),
            (
                r##"{"$defs":{"root":{"$ref":"#/oneOf/0"}},"oneOf":[{"properties":{"a":{"$ref":"#/$defs/root"}}}]}"##,
                r##"{"type":"object","$defs":{"root":{"$ref":"#/$defs/root_/oneOf/0"},"root_":{"oneOf":[{"properties":{"a":{"$ref":"#/$defs/root"}}}]}},"properties":{"a":{"$ref":"#/$defs/root"}}}"##,
            ),
            (
                r##"{"properties":{"a":{"items":{"$ref":"#"}}},"anyOf":[{"properties":{"a":{"$ref":"#/properties/a"}}}]}"##,
                r##"{"type":"object","$defs":{"root":{"properties":{"a":{"items":{"$ref":"#"}}},"anyOf":[{"properties":{"a":{"$ref":"#/$defs/root/properties/a"}}}]}},"properties":{"a":{"allOf":[{"items":{"$ref":"#"}},{"$ref":"#/$defs/root/properties/a"}]}}}"##,
            ),
            (
                r##"{"anyOf":[{"$anchor":"b","properties":{"a":{"$anchor":"c"},"d":{"$ref":"#b"}}}]}"##,
                r##"{"type":"object","$defs":{"root":{"anyOf":[{"$anchor":"b","properties":{"a":{"$anchor":"c"},"d":{"$ref":"#b"}}}]}},"properties":{"a":{},"d":{"$ref":"#b"}}}"##,
            ),
            (
                r##"{"$defs":{"A":{"properties":{"a":{"$anchor":"b","type":"string"},"c":{"$ref":"#b"}}}},"oneOf":[{"$ref":"#/$defs/A"}]}"##,
                r##"{"type":"object","$defs":{"A":{"properties":{"a":{"$anchor":"b","type":"string"},"c":{"$ref":"#b"}}},"root":{"oneOf":[{"$ref":"#/$defs/A"}]}},"properties":{"a":{"type":"string"},"c":{"$ref":"#b"}}}"##,
            ),
            (
                r##"{"$dynamicAnchor":"b","properties":{"a":{"$dynamicRef":"#b"}},"anyOf":[{"properties":{"d":{"$ref":"#/anyOf/0"}}}]}"##,
                r##"{"type":"object","$defs":{"root":{"properties":{"a":{"$dynamicRef":"#b"}},"anyOf":[{"properties":{"d":{"$ref":"#/$defs/root/anyOf/0"}}}]}},"$dynamicAnchor":"b","properties":{"a":{"$dynamicRef":"#b"},"d":{"$ref":"#/$defs/root/anyOf/0"}}}"##,
            ),
            (
                r##"{"$id":"https://x.y/s","anyOf":[{"properties":{"a":{"$ref":"https://x.y/s#/anyOf/0"}}}]}"##,
                r##"{"type":"object","$defs":{"root":{"anyOf":[{"properties":{"a":{"$ref":"#/$defs/root/anyOf/0"}}}]}},"$id":"https://x.y/s","properties":{"a":{"$ref":"#/$defs/root/anyOf/0"}}}"##,
            ),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }
}
