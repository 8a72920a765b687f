//! Schemas of tools whose root joins several (`anyOf`, `oneOf`, `allOf`), as one that does not, since the Messages API takes
//! none of these at the root.
//!
//! The properties of all branches stand in one schema; required is what every branch of a choice, or any of a sum, requires.
//! The rest is said in the description. Where even that cannot be done any object is allowed.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::wire::json::{Field, field, object_fields, quoted, text};

/// What joins schemas.
const JOINTS: [&str; 3] = ["anyOf", "oneOf", "allOf"];
/// How deep branches may have branches.
const MAX_DEPTH: usize = 8;
/// Branches that are longer are not repeated in the description.
const MAX_DESCRIBED_BYTES: usize = 2_000;

/// Whether the root of a schema joins several.
pub fn is_joined(fields: &[Field<'_>]) -> bool {
    fields.iter().any(|field| JOINTS.contains(&field.name.as_ref()))
}

/// A schema without joints at its root, for one of these `fields`.
pub fn merged(fields: &[Field<'_>]) -> String {
    let mut merged = Merged::default();
    let root = Root { fields };
    if merged.add(fields, root, 0).is_none() {
        merged = Merged::default();
    }
    let mut members = vec![r#""type":"object""#.to_owned()];
    for Field { name, value } in fields {
        let is_replaced = matches!(name.as_ref(), "type" | "properties" | "required" | "description");
        if !is_replaced && !JOINTS.contains(&name.as_ref()) {
            members.push(format!("{}:{value}", quoted(name)));
        }
    }
    let properties: Vec<String> = merged.properties.iter().map(Property::member).collect();
    members.push(format!(r#""properties":{{{}}}"#, properties.join(",")));
    if !merged.required.is_empty() {
        let required: Vec<String> = merged.required.iter().map(|name| quoted(name)).collect();
        members.push(format!(r#""required":[{}]"#, required.join(",")));
    }
    members.push(format!(r#""description":{}"#, quoted(&description(fields))));
    format!("{{{}}}", members.join(","))
}

fn description(fields: &[Field<'_>]) -> String {
    let own = field(fields, "description").and_then(text).unwrap_or_default();
    let joints = fields.iter().filter(|field| JOINTS.contains(&field.name.as_ref()));
    let told: Vec<String> = joints.map(|Field { name, value }| format!("{name}: {value}")).collect();
    let told = told.join(", ");
    let space = if own.is_empty() { "" } else { " " };
    match told.len() <= MAX_DESCRIBED_BYTES {
        true => format!("{own}{space}The input must also fit this JSON Schema: {told}"),
        false => own.into_owned(),
    }
}

/// The schema that references lead into.
#[derive(Clone, Copy)]
struct Root<'f, 'a> {
    fields: &'f [Field<'a>],
}

impl<'a> Root<'_, 'a> {
    /// A definition that is referred to.
    fn find(self, reference: &str) -> Option<&'a RawValue> {
        let (holder, name) = reference.strip_prefix("#/")?.split_once('/')?;
        let definitions = object_fields(field(self.fields, holder)?.get()).ok()?;
        field(&definitions, name)
    }
}

#[derive(Default)]
struct Merged<'a> {
    properties: Vec<Property<'a>>,
    required: BTreeSet<String>,
}

/// A property, with each schema that a branch has for it.
struct Property<'a> {
    name: Cow<'a, str>,
    schemas: Vec<&'a RawValue>,
}

impl Property<'_> {
    fn member(&self) -> String {
        let name = quoted(&self.name);
        match &self.schemas[..] {
            [only] => format!("{name}:{only}"),
            several => {
                let several: Vec<&str> = several.iter().map(|schema| schema.get()).collect();
                format!(r#"{name}:{{"anyOf":[{}]}}"#, several.join(","))
            }
        }
    }
}

impl<'a> Merged<'a> {
    /// Takes in a schema and its branches. Nothing if one of them is none of an object.
    fn add(&mut self, fields: &[Field<'a>], root: Root<'_, 'a>, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH || field(fields, "type").is_some_and(|kind| kind.get() != r#""object""#) {
            return None;
        }
        if let Some(properties) = field(fields, "properties") {
            for Field { name, value } in object_fields(properties.get()).ok()? {
                self.add_property(name, value);
            }
        }
        if let Some(required) = field(fields, "required") {
            self.required.extend(serde_json::from_str::<Vec<String>>(required.get()).ok()?);
        }
        if let Some(reference) = field(fields, "$ref").filter(|_| depth > 0) {
            let target = object_fields(root.find(&text(reference)?)?.get()).ok()?;
            self.add(&target, root, depth + 1)?;
        }
        for Field { name, value } in fields.iter().filter(|field| JOINTS.contains(&field.name.as_ref())) {
            let branches: Vec<&'a RawValue> = serde_json::from_str(value.get()).ok()?;
            let mut required_by_all: Option<BTreeSet<String>> = None;
            for branch in branches {
                let outer = std::mem::take(&mut self.required);
                let added = self.add(&object_fields(branch.get()).ok()?, root, depth + 1);
                let of_branch = std::mem::replace(&mut self.required, outer);
                added?;
                required_by_all = Some(match required_by_all {
                    None => of_branch,
                    Some(required) if name == "allOf" => required.union(&of_branch).cloned().collect(),
                    Some(required) => required.intersection(&of_branch).cloned().collect(),
                });
            }
            self.required.extend(required_by_all.unwrap_or_default());
        }
        Some(())
    }

    fn add_property(&mut self, name: Cow<'a, str>, schema: &'a RawValue) {
        match self.properties.iter_mut().find(|property| property.name == name) {
            Some(known) if known.schemas.iter().any(|known| known.get() == schema.get()) => {}
            Some(known) => known.schemas.push(schema),
            None => self.properties.push(Property { name, schemas: vec![schema] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The merged schema without its description.
    fn check(schema: &str) -> String {
        let merged = merged(&object_fields(schema).expect("an object"));
        let (schema, _) = merged.rsplit_once(r#","description":"#).expect("a description");
        format!("{schema}}}")
    }

    #[test]
    fn branches_are_merged_and_required_is_what_all_require() {
        for (schema, expected) in [
            (
                r#"{"type":"object","properties":{"id":{"type":"string"},"url":{"type":"string"}},"anyOf":[{"required":["id"]},{"required":["url"]}]}"#,
                r#"{"type":"object","properties":{"id":{"type":"string"},"url":{"type":"string"}}}"#,
            ),
            (
                r#"{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"a":{}},"required":["kind","a"]},{"properties":{"kind":{"const":"b"}},"required":["kind"]}]}"#,
                r#"{"type":"object","properties":{"kind":{"anyOf":[{"const":"a"},{"const":"b"}]},"a":{}},"required":["kind"]}"#,
            ),
            (
                r##"{"$defs":{"A":{"properties":{"a":{}},"required":["a"]}},"allOf":[{"$ref":"#/$defs/A"},{"required":["b"]}],"required":["c"],"additionalProperties":false}"##,
                r##"{"type":"object","$defs":{"A":{"properties":{"a":{}},"required":["a"]}},"additionalProperties":false,"properties":{"a":{}},"required":["a","b","c"]}"##,
            ),
            (r#"{"anyOf":[{"type":"string"},{"type":"object"}]}"#, r#"{"type":"object","properties":{}}"#),
            (r#"{"anyOf":[true]}"#, r#"{"type":"object","properties":{}}"#),
            (r##"{"allOf":[{"$ref":"#/$defs/missing"}]}"##, r#"{"type":"object","properties":{}}"#),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }

    #[test]
    fn the_rest_is_said_in_the_description() {
        let fields = object_fields(r#"{"description":"Finds.","anyOf":[{"required":["id"]}]}"#).expect("an object");
        assert_eq!(
            description(&fields),
            r#"Finds. The input must also fit this JSON Schema: anyOf: [{"required":["id"]}]"#
        );
        let long = format!(r#"{{"anyOf":["{}"]}}"#, "x".repeat(MAX_DESCRIBED_BYTES));
        assert_eq!(description(&object_fields(&long).expect("an object")), "");
    }
}
