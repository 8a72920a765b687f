//! Schemas of tools whose root joins several (`anyOf`, `oneOf`, `allOf`), as one that does not, since the Messages API takes
//! none of these at the root.
//!
//! The properties of all branches stand in one schema; required is what every branch of a choice, or any of a sum, requires.
//! The rest is said in the description. Where even that cannot be done any object is allowed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::wire::json::{Field, field, object_fields, quoted, text};

/// What joins schemas.
const JOINTS: [&str; 3] = ["anyOf", "oneOf", "allOf"];
/// How deep branches may have branches.
const MAX_DEPTH: usize = 8;
/// How many steps merging may take for each byte of a schema; beyond it any object is allowed.
const STEPS_PER_BYTE: usize = 2 * MAX_DEPTH;
/// What taking over a required name costs of them.
const STEPS_PER_NAME: usize = 32;
/// Branches that are longer are not repeated in the description.
const MAX_DESCRIBED_BYTES: usize = 2_000;

/// Whether the root of a schema joins several.
pub fn is_joined(fields: &[Field<'_>]) -> bool {
    fields.iter().any(|field| JOINTS.contains(&field.name.as_ref()))
}

/// Whether a type is that of objects, perhaps among others.
pub fn is_object(kind: &RawValue) -> bool {
    match serde_json::from_str::<Vec<Cow<'_, str>>>(kind.get()) {
        Ok(kinds) => kinds.iter().any(|kind| kind == "object"),
        Err(_) => kind.get() == r#""object""#,
    }
}

/// A schema for one of these `fields`, of objects alone.
pub fn of_objects(fields: &[Field<'_>]) -> String {
    let rest = fields.iter().filter(|field| field.name != "type");
    let rest: String = rest.map(|Field { name, value }| format!(",{}:{value}", quoted(name))).collect();
    format!(r#"{{"type":"object"{rest}}}"#)
}

/// A schema without joints at its root, for one of these `fields`.
pub fn merged(fields: &[Field<'_>]) -> String {
    let mut merger = Merger::new(fields);
    let merged = match merger.add(fields, 0) {
        Some(()) => merger.merged,
        None => Merged::default(),
    };
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

/// Members of an object by their names; the first of each.
type Members<'a> = BTreeMap<String, &'a RawValue>;

fn members<'a>(fields: &[Field<'a>]) -> Members<'a> {
    let mut members = Members::new();
    for Field { name, value } in fields {
        members.entry(name.to_string()).or_insert(value);
    }
    members
}

/// What a schema and its branches have in all.
#[derive(Default)]
struct Merged<'a> {
    /// In the order of their finding.
    properties: Vec<Property<'a>>,
    positions: BTreeMap<Cow<'a, str>, usize>,
    required: BTreeSet<String>,
}

/// A property, with each schema that a branch has for it.
struct Property<'a> {
    name: Cow<'a, str>,
    schemas: Vec<&'a RawValue>,
    known: BTreeSet<&'a str>,
}

/// What has come of a reference.
enum Reference {
    /// It is being followed.
    Open,
    /// Its properties are taken in; it requires these.
    Merged(BTreeSet<String>),
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
    fn add_property(&mut self, name: Cow<'a, str>, schema: &'a RawValue) {
        let position = match self.positions.get(&name) {
            Some(position) => *position,
            None => {
                self.positions.insert(name.clone(), self.properties.len());
                self.properties.push(Property { name, schemas: Vec::new(), known: BTreeSet::new() });
                self.properties.len() - 1
            }
        };
        let property = &mut self.properties[position];
        if property.known.insert(schema.get()) {
            property.schemas.push(schema);
        }
    }
}

/// Merges a schema. What it takes grows as the schema does: each reference is followed once, and the steps are bounded.
struct Merger<'a> {
    root: Members<'a>,
    /// The definitions that references lead to, by what holds them.
    definitions: BTreeMap<String, Members<'a>>,
    references: BTreeMap<String, Reference>,
    /// How many bytes may still be read, and required names joined.
    budget: usize,
    merged: Merged<'a>,
}

impl<'a> Merger<'a> {
    fn new(fields: &[Field<'a>]) -> Self {
        let bytes: usize = fields.iter().map(|field| field.name.len() + field.value.get().len()).sum();
        Self {
            root: members(fields),
            definitions: BTreeMap::new(),
            references: BTreeMap::new(),
            // Without references a branch is read once for each that it stands in.
            budget: STEPS_PER_BYTE * bytes,
            merged: Merged::default(),
        }
    }

    /// Takes in a schema and its branches. Nothing if one of them is none of an object, or it takes too long.
    fn add(&mut self, fields: &[Field<'a>], depth: usize) -> Option<()> {
        if depth > MAX_DEPTH || field(fields, "type").is_some_and(|kind| !is_object(kind)) {
            return None;
        }
        if let Some(properties) = field(fields, "properties") {
            for Field { name, value } in object_fields(properties.get()).ok()? {
                self.merged.add_property(name, value);
            }
        }
        if let Some(required) = field(fields, "required") {
            self.merged.required.extend(serde_json::from_str::<Vec<String>>(required.get()).ok()?);
        }
        if let Some(reference) = field(fields, "$ref").filter(|_| depth > 0) {
            self.refer(&text(reference)?, depth)?;
        }
        for Field { name, value } in fields.iter().filter(|field| JOINTS.contains(&field.name.as_ref())) {
            let branches: Vec<&'a RawValue> = serde_json::from_str(value.get()).ok()?;
            let mut required_by_all: Option<BTreeSet<String>> = None;
            for branch in branches {
                let of_branch = self.required_by(branch, depth + 1)?;
                match &mut required_by_all {
                    None => required_by_all = Some(of_branch),
                    Some(required) if name == "allOf" => required.extend(of_branch),
                    Some(required) => required.retain(|name| of_branch.contains(name)),
                }
            }
            self.merged.required.extend(required_by_all.unwrap_or_default());
        }
        Some(())
    }

    /// Takes in a schema but what it requires, which is told.
    fn required_by(&mut self, schema: &'a RawValue, depth: usize) -> Option<BTreeSet<String>> {
        self.spend(schema.get().len())?;
        let outer = std::mem::take(&mut self.merged.required);
        let added = self.add(&object_fields(schema.get()).ok()?, depth);
        let required = std::mem::replace(&mut self.merged.required, outer);
        added.map(|()| required)
    }

    fn refer(&mut self, reference: &str, depth: usize) -> Option<()> {
        match self.references.get(reference) {
            Some(Reference::Open) => return None,
            Some(Reference::Merged(_)) => {}
            None => {
                self.references.insert(reference.to_owned(), Reference::Open);
                let schema = self.find(reference)?;
                let required = self.required_by(schema, depth + 1)?;
                self.references.insert(reference.to_owned(), Reference::Merged(required));
            }
        }
        if let Some(Reference::Merged(required)) = self.references.get(reference) {
            self.budget = self.budget.checked_sub(STEPS_PER_NAME * required.len())?;
            self.merged.required.extend(required.iter().cloned());
        }
        Some(())
    }

    /// A definition that is referred to.
    fn find(&mut self, reference: &str) -> Option<&'a RawValue> {
        let (holder, name) = reference.strip_prefix("#/")?.split_once('/')?;
        if !self.definitions.contains_key(holder) {
            let definitions = object_fields(self.root.get(holder)?.get()).ok()?;
            self.definitions.insert(holder.to_owned(), members(&definitions));
        }
        self.definitions.get(holder)?.get(name).copied()
    }

    fn spend(&mut self, steps: usize) -> Option<()> {
        self.budget = self.budget.checked_sub(steps)?;
        Some(())
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
            (
                r#"{"type":["null","object"],"anyOf":[{"type":["object","null"],"properties":{"a":{}}}]}"#,
                r#"{"type":"object","properties":{"a":{}}}"#,
            ),
            (r#"{"anyOf":[true]}"#, r#"{"type":"object","properties":{}}"#),
            (r##"{"allOf":[{"$ref":"#/$defs/missing"}]}"##, r#"{"type":"object","properties":{}}"#),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }

    #[test]
    fn each_reference_is_followed_once() {
        let refs = |name: &str| vec![format!(r##"{{"$ref":"#/$defs/{name}"}}"##); 40].join(",");
        let all = |name: &str| format!(r#"{{"allOf":[{}]}}"#, refs(name));
        let last = r#"{"properties":{"a":{}},"required":["a"]}"#;
        let definitions = format!(r#"{{"B":{},"C":{},"D":{last}}}"#, all("C"), all("D"));
        let schema = format!(r#"{{"$defs":{definitions},"allOf":[{}]}}"#, refs("B"));
        let fields = object_fields(&schema).expect("an object");
        let mut merger = Merger::new(&fields);
        let budget = merger.budget;
        assert_eq!(merger.add(&fields, 0), Some(()));
        assert!(budget - merger.budget <= 8 * schema.len(), "{}", budget - merger.budget);
        assert_eq!(merger.merged.required, BTreeSet::from(["a".to_owned()]));
        for schema in [
            r##"{"$defs":{"A":{"allOf":[{"$ref":"#/$defs/A"}]}},"allOf":[{"$ref":"#/$defs/A"}]}"##.to_owned(),
            format!(r##"{{"$defs":{{"A":{{"required":[{}0]}}}},"allOf":[{}]}}"##, "0,".repeat(100), refs("A")),
        ] {
            assert!(check(&schema).ends_with(r#""properties":{}}"#), "{schema}");
        }
    }

    #[test]
    fn a_schema_that_would_take_too_long_allows_any_object() {
        let names: Vec<String> = (0..2_000).map(|at| format!("\"{at}\"")).collect();
        let refs = vec![r##"{"$ref":"#/$defs/A"}"##; 2_000].join(",");
        let schema = format!(r#"{{"$defs":{{"A":{{"required":[{}]}}}},"allOf":[{refs}]}}"#, names.join(","));
        assert!(check(&schema).ends_with(r#""properties":{}}"#));
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
