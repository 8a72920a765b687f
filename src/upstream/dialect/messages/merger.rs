//! What schemas that are joined have in all: the properties of all branches, and the names that an object cannot do without.
//!
//! A branch that says nothing of objects (null, true, a reference that leads nowhere or back to itself) adds nothing and requires
//! nothing; one that no object fits is passed over. What merging takes grows as the schema does: each reference is followed
//! once, and the steps are bounded; beyond them any object is allowed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::pointers::{self, JOINTS};
use super::roots::is_object;
use crate::wire::json::{Field, field, object_fields, quoted, text};

/// How deep branches may have branches.
const MAX_DEPTH: usize = 8;
/// How many steps merging may take for each byte of a schema.
const STEPS_PER_BYTE: usize = 2 * MAX_DEPTH;
/// What taking over a required name costs of them.
const STEPS_PER_NAME: usize = 32;

/// What the root of a schema, which has these `fields`, and its branches have in all.
pub fn merged<'a>(fields: &[Field<'a>]) -> Merged<'a> {
    let mut merger = Merger::new(fields);
    match merger.add(fields, 0) {
        Ok(Required::Names(required)) => Merged { required, ..merger.merged },
        Ok(Required::NoObject) => merger.merged,
        Err(TooLong) => Merged::default(),
    }
}

#[derive(Default)]
pub struct Merged<'a> {
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
    /// The schemas of all properties, as JSON.
    pub fn properties(&self) -> String {
        let properties: Vec<String> = self.properties.iter().map(Property::member).collect();
        format!("{{{}}}", properties.join(","))
    }

    /// The names that are required, as JSON, if there are any.
    pub fn required(&self) -> Option<String> {
        let required: Vec<String> = self.required.iter().map(|name| quoted(name)).collect();
        (!required.is_empty()).then(|| format!("[{}]", required.join(",")))
    }

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

/// What a schema requires.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Required {
    Names(BTreeSet<String>),
    /// No object fits it.
    NoObject,
}

impl Required {
    const NOTHING: Self = Self::Names(BTreeSet::new());

    /// What both require.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Names(mut names), Self::Names(others)) => {
                names.extend(others);
                Self::Names(names)
            }
            (_, Self::NoObject) | (Self::NoObject, _) => Self::NoObject,
        }
    }

    /// What either requires.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Names(mut names), Self::Names(others)) => {
                names.retain(|name| others.contains(name));
                Self::Names(names)
            }
            (Self::NoObject, only) | (only, Self::NoObject) => only,
        }
    }
}

/// Merging would take too many steps.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

/// What has come of a reference.
enum Reference {
    /// It is being followed.
    Open,
    /// Its properties are taken in; it requires this.
    Merged(Required),
}

/// What pointers lead through.
enum Holder<'a> {
    Object(BTreeMap<Cow<'a, str>, &'a RawValue>),
    Array(Vec<&'a RawValue>),
}

impl<'a> Holder<'a> {
    /// Of a name that comes twice the last counts.
    fn object(fields: impl IntoIterator<Item = Field<'a>>) -> Self {
        Self::Object(fields.into_iter().map(|Field { name, value }| (name, value)).collect())
    }

    fn read(json: &'a RawValue) -> Option<Self> {
        match object_fields(json.get()) {
            Ok(fields) => Some(Self::object(fields)),
            Err(_) => serde_json::from_str(json.get()).ok().map(Self::Array),
        }
    }

    fn get(&self, step: &str) -> Option<&'a RawValue> {
        match self {
            Self::Object(members) => members.get(step).copied(),
            Self::Array(elements) => elements.get(step.parse::<usize>().ok()?).copied(),
        }
    }
}

struct Merger<'a> {
    /// What pointers have led through, by the steps to it.
    holders: BTreeMap<Vec<String>, Option<Holder<'a>>>,
    references: BTreeMap<Vec<String>, Reference>,
    /// How many bytes may still be read, and required names joined.
    budget: usize,
    /// The properties; what is required is told.
    merged: Merged<'a>,
}

impl<'a> Merger<'a> {
    fn new(fields: &[Field<'a>]) -> Self {
        let bytes: usize = fields.iter().map(|field| field.name.len() + field.value.get().len()).sum();
        Self {
            holders: BTreeMap::from([(Vec::new(), Some(Holder::object(fields.iter().cloned())))]),
            references: BTreeMap::from([(Vec::new(), Reference::Open)]),
            // Without references a branch is read once for each that it stands in.
            budget: STEPS_PER_BYTE * bytes,
            merged: Merged::default(),
        }
    }

    /// Takes in the properties of a schema and its branches.
    fn add(&mut self, fields: &[Field<'a>], depth: usize) -> Result<Required, TooLong> {
        if field(fields, "type").is_some_and(|kind| !is_object(kind)) {
            return Ok(Required::NoObject);
        }
        let properties = field(fields, "properties").and_then(|properties| object_fields(properties.get()).ok());
        for Field { name, value } in properties.into_iter().flatten() {
            self.merged.add_property(name, value);
        }
        let names = field(fields, "required").and_then(|required| serde_json::from_str(required.get()).ok());
        let mut required = Required::Names(names.unwrap_or_default());
        // What the root itself refers to, it goes on referring to.
        if let Some(reference) = field(fields, "$ref").filter(|_| depth > 0).and_then(text) {
            required = required.and(self.refer(&reference, depth)?);
        }
        for Field { name, value } in fields.iter().filter(|field| JOINTS.contains(&field.name.as_ref())) {
            let branches: Vec<&'a RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            let mut of_branches: Option<Required> = None;
            for branch in branches {
                let of_branch = self.add_branch(branch, depth + 1)?;
                of_branches = Some(match of_branches {
                    None => of_branch,
                    Some(known) if name == "allOf" => known.and(of_branch),
                    Some(known) => known.or(of_branch),
                });
            }
            required = required.and(of_branches.unwrap_or(Required::NOTHING));
        }
        Ok(required)
    }

    fn add_branch(&mut self, schema: &'a RawValue, depth: usize) -> Result<Required, TooLong> {
        self.spend(schema.get().len())?;
        match object_fields(schema.get()) {
            Ok(fields) if depth <= MAX_DEPTH => self.add(&fields, depth),
            Err(_) if schema.get() == "false" => Ok(Required::NoObject),
            Ok(_) | Err(_) => Ok(Required::NOTHING),
        }
    }

    fn refer(&mut self, reference: &str, depth: usize) -> Result<Required, TooLong> {
        // What is too deep here may not be too deep elsewhere.
        let Some(steps) = pointers::steps(reference).filter(|_| depth < MAX_DEPTH) else {
            return Ok(Required::NOTHING);
        };
        match self.references.get(&steps) {
            Some(Reference::Open) => return Ok(Required::NOTHING),
            Some(Reference::Merged(required)) => {
                let required = required.clone();
                if let Required::Names(names) = &required {
                    self.spend(STEPS_PER_NAME * names.len())?;
                }
                return Ok(required);
            }
            None => {}
        }
        let Some(schema) = self.find(&steps)? else { return Ok(Required::NOTHING) };
        self.references.insert(steps.clone(), Reference::Open);
        let required = self.add_branch(schema, depth + 1)?;
        self.references.insert(steps, Reference::Merged(required.clone()));
        Ok(required)
    }

    /// What a pointer leads to.
    fn find(&mut self, steps: &[String]) -> Result<Option<&'a RawValue>, TooLong> {
        let mut found: Option<&'a RawValue> = None;
        for (at, step) in steps.iter().enumerate() {
            let holder = &steps[..at];
            if let Some(json) = found.filter(|_| !self.holders.contains_key(holder)) {
                self.spend(json.get().len())?;
                self.holders.insert(holder.to_vec(), Holder::read(json));
            }
            let inner = self.holders.get(holder).and_then(Option::as_ref).and_then(|holder| holder.get(step));
            let Some(inner) = inner else { return Ok(None) };
            found = Some(inner);
        }
        Ok(found)
    }

    fn spend(&mut self, steps: usize) -> Result<(), TooLong> {
        self.budget = self.budget.checked_sub(steps).ok_or(TooLong)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str) -> String {
        let merged = merged(&object_fields(schema).expect("an object"));
        format!("{} {}", merged.properties(), merged.required().unwrap_or_default())
    }

    #[test]
    fn required_is_what_all_branches_of_a_choice_require_or_any_of_a_sum() {
        for (schema, expected) in [
            (
                r#"{"properties":{"id":{},"url":{}},"anyOf":[{"required":["id"]},{"required":["url"]}]}"#,
                r#"{"id":{},"url":{}} "#,
            ),
            (
                r#"{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"a":{}},"required":["kind","a"]},{"properties":{"kind":{"const":"b"}},"required":["kind"]}]}"#,
                r#"{"kind":{"anyOf":[{"const":"a"},{"const":"b"}]},"a":{}} ["kind"]"#,
            ),
            (
                r##"{"$defs":{"A":{"properties":{"a":{}},"required":["a"]}},"allOf":[{"$ref":"#/$defs/A"},{"required":["b"]}],"required":["c"]}"##,
                r#"{"a":{}} ["a","b","c"]"#,
            ),
            (
                r#"{"type":["null","object"],"anyOf":[{"type":["object","null"],"properties":{"a":{}}}]}"#,
                r#"{"a":{}} "#,
            ),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_branch_that_says_nothing_of_objects_leaves_the_others_as_they_are() {
        const A: &str = r#"{"properties":{"a":{}},"required":["a"]}"#;
        for (branch, choice, sum) in [
            ("null", "", r#"["a"]"#),
            ("true", "", r#"["a"]"#),
            ("{}", "", r#"["a"]"#),
            (r##"{"$ref":"#/$defs/missing"}"##, "", r#"["a"]"#),
            (r##"{"$ref":"#"}"##, "", r#"["a"]"#),
            (r#"{"$ref":"https://example.com/schema"}"#, "", r#"["a"]"#),
            (r#"{"$ref":7}"#, "", r#"["a"]"#),
            (r#"{"properties":7,"required":7}"#, "", r#"["a"]"#),
            // No object fits these.
            ("false", r#"["a"]"#, ""),
            (r#"{"type":"string"}"#, r#"["a"]"#, ""),
        ] {
            for (joint, required) in [("anyOf", choice), ("oneOf", choice), ("allOf", sum)] {
                for branches in [format!("{branch},{A}"), format!("{A},{branch}")] {
                    let schema = format!(r#"{{"{joint}":[{branches}]}}"#);
                    assert_eq!(check(&schema), format!(r#"{{"a":{{}}}} {required}"#), "{schema}");
                }
            }
        }
    }

    #[test]
    fn a_reference_may_be_any_pointer() {
        for reference in
            ["#/$defs/A", "#/%24defs/A", "#/definitions/a~1b~0c/deep%20er/0", "#/properties/home/anyOf/1", "#/$defs/By"]
        {
            let schema = format!(
                r##"{{"$defs":{{"A":{{"required":["x"]}},"By":{{"$ref":"#/$defs/A"}}}},
                "definitions":{{"a/b~c":{{"deep er":[{{"required":["x"]}}]}}}},
                "properties":{{"home":{{"anyOf":[{{}},{{"required":["x"]}}]}}}},
                "allOf":[{{"$ref":"{reference}"}}]}}"##
            );
            assert!(check(&schema).ends_with(r#" ["x"]"#), "{reference}: {}", check(&schema));
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
        assert_eq!(merger.add(&fields, 0), Ok(Required::Names(BTreeSet::from(["a".to_owned()]))));
        assert!(budget - merger.budget <= 8 * schema.len(), "{}", budget - merger.budget);
        let circle = r##"{"$defs":{"A":{"allOf":[{"$ref":"#/$defs/A"}],"properties":{"a":{}}}},"allOf":[{"$ref":"#/$defs/A"}]}"##;
        assert_eq!(check(circle), r#"{"a":{}} "#);
    }

    #[test]
    fn a_schema_that_would_take_too_long_allows_any_object() {
        let names: Vec<String> = (0..2_000).map(|at| format!("\"{at}\"")).collect();
        let refs = vec![r##"{"$ref":"#/$defs/A"}"##; 2_000].join(",");
        let schema = format!(r#"{{"$defs":{{"A":{{"required":[{}]}}}},"allOf":[{refs}]}}"#, names.join(","));
        assert_eq!(check(&schema), "{} ");
    }
}
