//! What schemas that are joined have in all: the properties of all branches, and the names that an object cannot do without.
//!
//! A branch that says nothing of objects (null, true, a reference that leads nowhere or back to itself) adds nothing and requires
//! nothing; one that no object fits is passed over. What merging takes grows as the schema does: each reference is followed
//! once for each depth at most, and the steps are bounded; beyond them any object is allowed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::keywords::{JOINTS, is_object};
use super::tree::{ROOT, Target, Tree};
use crate::wire::json::{Field, field, object_fields, quoted, text};

/// How deep branches may have branches.
const MAX_BRANCH_DEPTH: usize = 8;
/// How many steps merging may take for each byte of a schema.
const STEPS_PER_BYTE: usize = 2 * MAX_BRANCH_DEPTH;
/// What taking over a required name costs of them.
const STEPS_PER_NAME: usize = 32;

/// What the root of a schema, which has these `fields`, and its branches have in all.
pub fn merged<'a>(schema: &'a str, fields: &[Field<'a>]) -> Merged<'a> {
    let mut merger = Merger::new(schema);
    match merger.add(fields, Branch::ROOT) {
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

/// A property, with each schema that a branch has for it, and the role of that branch.
struct Property<'a> {
    name: Cow<'a, str>,
    schemas: Vec<(Role, &'a RawValue)>,
    known: BTreeSet<(Role, &'a str)>,
}

/// Whether what a branch says always holds, or only where that branch is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Always,
    Choice,
}

impl Property<'_> {
    fn member(&self) -> String {
        let of = |role: Role| self.schemas.iter().filter(move |(one, _)| *one == role).map(|(_, schema)| schema.get());
        let mut always: Vec<Cow<'_, str>> = of(Role::Always).map(Cow::Borrowed).collect();
        let choice: Vec<Cow<'_, str>> = of(Role::Choice).map(Cow::Borrowed).collect();
        // One of the choices that always holds leaves nothing to choose.
        if !choice.is_empty() && !choice.iter().any(|schema| self.known.contains(&(Role::Always, schema))) {
            always.push(joined("anyOf", choice));
        }
        format!("{}:{}", quoted(&self.name), joined("allOf", always))
    }
}

/// Schemas, of which there is at least one, as one.
fn joined<'s>(joint: &str, mut schemas: Vec<Cow<'s, str>>) -> Cow<'s, str> {
    match schemas.len() {
        1 => schemas.remove(0),
        _ => format!(r#"{{"{joint}":[{}]}}"#, schemas.join(",")).into(),
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

    fn add_property(&mut self, Field { name, value }: Field<'a>, role: Role) {
        let position = match self.positions.get(&name) {
            Some(position) => *position,
            None => {
                self.positions.insert(name.clone(), self.properties.len());
                self.properties.push(Property { name, schemas: Vec::new(), known: BTreeSet::new() });
                self.properties.len() - 1
            }
        };
        let property = &mut self.properties[position];
        if property.known.insert((role, value.get())) {
            property.schemas.push((role, value));
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

/// Where a branch stands.
#[derive(Clone, Copy)]
struct Branch {
    depth: usize,
    role: Role,
}

impl Branch {
    const ROOT: Self = Self { depth: 0, role: Role::Always };

    fn below(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

/// What has come of a reference.
enum Reference {
    /// It is being followed.
    Open,
    Merged(Followed),
}

/// What has been followed: its properties are taken in.
struct Followed {
    required: Required,
    depth: usize,
    /// Whether nothing of it was too deep.
    is_whole: bool,
}

struct Merger<'a> {
    schema: &'a str,
    /// What references may lead to, as soon as there is one.
    tree: Option<Tree<'a>>,
    references: BTreeMap<(usize, Role), Reference>,
    /// How many bytes may still be read, steps followed, and required names joined.
    budget: usize,
    /// Whether something that has been read since it was last cleared was too deep.
    is_cut: bool,
    /// The properties; what is required is told.
    merged: Merged<'a>,
}

impl<'a> Merger<'a> {
    fn new(schema: &'a str) -> Self {
        Self {
            schema,
            tree: None,
            references: BTreeMap::from([((ROOT, Role::Always), Reference::Open)]),
            // Without references a branch is read once for each that it stands in.
            budget: STEPS_PER_BYTE * schema.len(),
            is_cut: false,
            merged: Merged::default(),
        }
    }

    /// Takes in the properties of a schema and its branches.
    fn add(&mut self, fields: &[Field<'a>], branch: Branch) -> Result<Required, TooLong> {
        if field(fields, "type").is_some_and(|kind| !is_object(kind)) {
            return Ok(Required::NoObject);
        }
        let properties = field(fields, "properties").and_then(|properties| object_fields(properties.get()).ok());
        for property in properties.into_iter().flatten() {
            self.merged.add_property(property, branch.role);
        }
        let names = field(fields, "required").and_then(|required| serde_json::from_str(required.get()).ok());
        let mut required = Required::Names(names.unwrap_or_default());
        // What the root itself refers to, it goes on referring to.
        if let Some(reference) = field(fields, "$ref").filter(|_| branch.depth > 0).and_then(text) {
            required = required.and(self.refer(&reference, branch)?);
        }
        for Field { name, value } in fields.iter().filter(|field| JOINTS.contains(&field.name.as_ref())) {
            let role = if name == "allOf" { branch.role } else { Role::Choice };
            let branches: Vec<&'a RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            let mut of_branches: Option<Required> = None;
            for inner in branches {
                let of_branch = self.add_branch(inner.get(), Branch { role, ..branch.below() })?;
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

    fn add_branch(&mut self, schema: &'a str, branch: Branch) -> Result<Required, TooLong> {
        self.spend(schema.len())?;
        match object_fields(schema) {
            Ok(fields) if branch.depth <= MAX_BRANCH_DEPTH => self.add(&fields, branch),
            Ok(_) => {
                self.is_cut = true;
                Ok(Required::NOTHING)
            }
            Err(_) if schema == "false" => Ok(Required::NoObject),
            Err(_) => Ok(Required::NOTHING),
        }
    }

    fn refer(&mut self, reference: &str, branch: Branch) -> Result<Required, TooLong> {
        self.spend(reference.len())?;
        let tree = self.tree.get_or_insert_with(|| Tree::of(self.schema));
        let Target::Here(local) = tree.resolve(reference, 0) else { return Ok(Required::NOTHING) };
        let Some(part) = tree.find(&local) else { return Ok(Required::NOTHING) };
        let (schema, key) = (tree.json(part), (part, branch.role));
        match self.references.get(&key) {
            Some(Reference::Open) => return Ok(Required::NOTHING),
            // What is too deep here may not be too deep elsewhere.
            Some(Reference::Merged(followed)) if followed.is_whole || followed.depth <= branch.depth => {
                let (required, is_whole) = (followed.required.clone(), followed.is_whole);
                self.is_cut |= !is_whole;
                if let Required::Names(names) = &required {
                    self.spend(STEPS_PER_NAME * names.len())?;
                }
                return Ok(required);
            }
            Some(Reference::Merged(_)) | None => {}
        }
        self.references.insert(key, Reference::Open);
        let was_cut = std::mem::take(&mut self.is_cut);
        let required = self.add_branch(schema, branch.below())?;
        let followed = Followed { required: required.clone(), depth: branch.depth, is_whole: !self.is_cut };
        self.references.insert(key, Reference::Merged(followed));
        self.is_cut |= was_cut;
        Ok(required)
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
        let merged = merged(schema, &object_fields(schema).expect("an object"));
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
        let mut merger = Merger::new(&schema);
        let budget = merger.budget;
        assert_eq!(merger.add(&fields, Branch::ROOT), Ok(Required::Names(BTreeSet::from(["a".to_owned()]))));
        assert!(budget - merger.budget <= 8 * schema.len(), "{}", budget - merger.budget);
        let name = "a".repeat(400);
        let step = format!("{{\"{name}\":{{\"{name}\":{{\"x\":{{\"required\":[\"a\"]}}}}}}}}");
        let reference = format!(r##"{{"$ref":"#/$defs/{name}/{name}/x"}}"##);
        let schema = format!(r#"{{"$defs":{step},"allOf":[{}]}}"#, vec![reference; 100].join(","));
        let fields = object_fields(&schema).expect("an object");
        let mut merger = Merger::new(&schema);
        let budget = merger.budget;
        assert_eq!(merger.add(&fields, Branch::ROOT), Ok(Required::Names(BTreeSet::from(["a".to_owned()]))));
        assert!(budget - merger.budget <= 4 * schema.len(), "{}", budget - merger.budget);
        let circle = r##"{"$defs":{"A":{"allOf":[{"$ref":"#/$defs/A"}],"properties":{"a":{}}}},"allOf":[{"$ref":"#/$defs/A"}]}"##;
        assert_eq!(check(circle), r#"{"a":{}} "#);
    }

    #[test]
    fn what_was_too_deep_at_first_is_followed_again_where_it_is_not() {
        let deep = (0..6).fold(r##"{"$ref":"#/$defs/A"}"##.to_owned(), |inner, _| format!(r#"{{"anyOf":[{inner}]}}"#));
        let a = r#"{"allOf":[{"properties":{"x":{}},"required":["x"]}]}"#;
        let schema = format!(r##"{{"$defs":{{"A":{a}}},"allOf":[{deep},{{"$ref":"#/$defs/A"}}]}}"##);
        assert_eq!(check(&schema), r#"{"x":{}} ["x"]"#);
    }

    #[test]
    fn what_always_holds_is_no_choice() {
        for (schema, expected) in [
            (
                r#"{"allOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"a":{"minLength":3}}}]}"#,
                r#"{"a":{"allOf":[{"type":"string"},{"minLength":3}]}} "#,
            ),
            (
                r#"{"properties":{"a":{"type":"string"}},"oneOf":[{"properties":{"a":{"const":"x"}}},{"properties":{"a":{"const":"y"}}}]}"#,
                r#"{"a":{"allOf":[{"type":"string"},{"anyOf":[{"const":"x"},{"const":"y"}]}]}} "#,
            ),
            (
                r#"{"properties":{"a":{}},"anyOf":[{"properties":{"a":{}}},{"properties":{"a":{"const":1}}}]}"#,
                r#"{"a":{}} "#,
            ),
            (
                r##"{"$defs":{"A":{"properties":{"a":{"const":1}}}},"anyOf":[{"$ref":"#/$defs/A"},{"allOf":[{"properties":{"a":{"const":2}}}]}],"allOf":[{"$ref":"#/$defs/A"}]}"##,
                r#"{"a":{"const":1}} "#,
            ),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_would_take_too_long_allows_any_object() {
        let names: Vec<String> = (0..2_000).map(|at| format!("\"{at}\"")).collect();
        let refs = vec![r##"{"$ref":"#/$defs/A"}"##; 2_000].join(",");
        let schema = format!(r#"{{"$defs":{{"A":{{"required":[{}]}}}},"allOf":[{refs}]}}"#, names.join(","));
        assert_eq!(check(&schema), "{} ");
    }
}
