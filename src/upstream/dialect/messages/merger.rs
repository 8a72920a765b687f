//! What schemas that are joined have in all ([`super::outline`]), found by going through their branches.
//!
//! A branch that says nothing of objects (null, true, a reference that leads nowhere or back to itself) adds nothing and requires
//! nothing; one that no object fits is passed over. What several refer to is read once, unless it leads back to what is being read
//! around it: then it says less than it does elsewhere. Of a schema only so much is read; a branch beyond that may allow anything,
//! and whether something is left out is said.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::value::RawValue;

use super::keywords::JOINTS;
use super::outline::Outline;
use super::own_words::{self, named};
use super::tree::{ROOT, Target, Tree};
use crate::wire::containers::{elements, found_valid, members};
use crate::wire::json::{self, Field, field, text};

/// How many branches of a schema are read, and references passed that only lead on to others.
const MAX_VISITS: usize = 1_000;
/// How deep branches may have branches, which is as deep as they may stand in a request. What only refers to another branch is not
/// counted.
const MAX_LEVELS: usize = json::MAX_DEPTH;
/// How many bytes may be read for each of a schema.
const READ_PER_BYTE: usize = 16;
/// How many more may be read of any schema.
const READ_OF_ANY: usize = 2 << 20;
/// What each part of an outline costs of them that is taken over into another.
const BYTES_PER_WEIGHT: usize = 8;
/// What may stand beside a reference and says nothing that counts.
const REMARKS: [&str; 6] = ["title", "description", "$comment", "default", "deprecated", "examples"];

/// What the root of a schema, which must be valid JSON and has these `fields`, and its branches have in all.
pub fn merged<'a>(schema: &'a str, fields: &[Field<'a>]) -> Merged<'a> {
    let mut merger = Merger::new(schema);
    let outline = merger.root(fields);
    let extent = if merger.gaps == 0 { Extent::Whole } else { Extent::Part };
    Merged { outline, extent }
}

pub struct Merged<'a> {
    pub outline: Outline<'a>,
    pub extent: Extent,
}

/// How much of what branches say is in an outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// Some were not read, or what they say was too much to be taken over.
    Part,
}

struct Merger<'a> {
    schema: &'a str,
    /// What references may lead to, as soon as there is one.
    tree: Option<Tree<'a>>,
    /// The parts that are being read, each within the one before.
    open: Vec<usize>,
    /// The position among these of the first that a reference has led back to, but for the root, which leads nowhere from
    /// everywhere.
    met: Option<usize>,
    /// The parts that have been read, and say the same from wherever they are referred to.
    known: BTreeMap<usize, Known<'a>>,
    visits: usize,
    /// How many bytes may still be read.
    bytes: usize,
    /// How often less was found than there is.
    gaps: usize,
    /// How many properties have been found.
    found: usize,
}

/// What a branch says, and how much that is.
struct Finding<'a> {
    outline: Outline<'a>,
    weight: usize,
}

impl<'a> Finding<'a> {
    fn of(outline: Outline<'a>) -> Rc<Self> {
        let weight = outline.weight();
        Rc::new(Self { outline, weight })
    }

    /// What it costs to take it over into an outline.
    fn bytes_within(&self, outline: &Outline<'a>) -> usize {
        BYTES_PER_WEIGHT * self.weight + self.outline.repeated_bytes(outline)
    }
}

/// What is known of a part.
struct Known<'a> {
    finding: Rc<Finding<'a>>,
    level: usize,
    /// Whether nothing of it was left out.
    is_whole: bool,
}

impl<'a> Merger<'a> {
    fn new(schema: &'a str) -> Self {
        let bytes = READ_OF_ANY + READ_PER_BYTE * schema.len();
        let (open, known) = (vec![ROOT], BTreeMap::new());
        Self { schema, tree: None, open, met: None, known, visits: 0, bytes, gaps: 0, found: 0 }
    }

    /// What the root refers to, or says under a condition, it goes on saying.
    fn root(&mut self, fields: &[Field<'a>]) -> Outline<'a> {
        let mut outline = own_words::outline(fields, &mut self.found);
        outline.is_open = false;
        self.add_joints(&mut outline, fields, 0);
        outline
    }

    /// What a branch says, with all that it refers to.
    fn outline(&mut self, fields: &[Field<'a>], level: usize) -> Outline<'a> {
        let mut outline = own_words::outline(fields, &mut self.found);
        if let Some(reference) = field(fields, "$ref").and_then(text) {
            let followed = self.refer(&reference, level);
            self.add(&mut outline, &followed);
        }
        self.add_conditions(&mut outline, fields, level);
        self.add_joints(&mut outline, fields, level);
        outline
    }

    fn add_joints(&mut self, outline: &mut Outline<'a>, fields: &[Field<'a>], level: usize) {
        for Field { name, value } in fields.iter().filter(|field| JOINTS.contains(&field.name.as_ref())) {
            let branches = elements(value).unwrap_or_default();
            let mut findings: Vec<Rc<Finding<'a>>> = Vec::with_capacity(branches.len());
            for branch in branches {
                let finding = self.branch(branch, level + 1);
                // Branches may refer to the same.
                if !findings.iter().any(|known| Rc::ptr_eq(known, &finding)) {
                    findings.push(finding);
                }
            }
            match name.as_ref() {
                "allOf" => findings.iter().for_each(|finding| self.add(outline, finding)),
                _ if findings.is_empty() => {}
                _ => self.add_choice(outline, &findings),
            }
        }
    }

    /// What holds under a condition may hold.
    fn add_conditions(&mut self, outline: &mut Outline<'a>, fields: &[Field<'a>], level: usize) {
        let anything = Finding::of(Outline::default());
        if field(fields, "if").is_some() {
            outline.is_open = true;
            let branches = ["then", "else"].map(|word| match field(fields, word) {
                Some(schema) => self.branch(schema, level + 1),
                None => Rc::clone(&anything),
            });
            self.add_choice(outline, &branches);
        }
        for Field { value, .. } in named(fields, "dependentSchemas") {
            outline.is_open = true;
            let branches = [self.branch(value, level + 1), Rc::clone(&anything)];
            self.add_choice(outline, &branches);
        }
    }

    fn branch(&mut self, schema: &'a RawValue, level: usize) -> Rc<Finding<'a>> {
        self.visits += 1;
        if level > MAX_LEVELS || self.visits > MAX_VISITS || !self.spend(schema.get().len()) {
            return self.leave_out();
        }
        let fields = members(schema);
        match fields.as_deref().and_then(next_reference) {
            Some(reference) => self.refer(&reference, level),
            None => self.read(schema, fields.as_deref(), level),
        }
    }

    /// What a schema says that has these `fields`, if it is an object.
    fn read(&mut self, schema: &RawValue, fields: Option<&[Field<'a>]>, level: usize) -> Rc<Finding<'a>> {
        Finding::of(match fields {
            Some(fields) => self.outline(fields, level),
            None if schema.get() == "false" => Outline::empty(),
            None => Outline::default(),
        })
    }

    /// What a reference leads to, also over others.
    fn refer(&mut self, reference: &str, level: usize) -> Rc<Finding<'a>> {
        let (mut reference, mut passed) = (reference.to_owned(), BTreeSet::new());
        loop {
            let tree = self.tree.get_or_insert_with(|| Tree::of(self.schema));
            // No schema within this one has a URL of its own any more, so it does not matter where the reference stands.
            let target = match tree.resolve(&reference, 0) {
                Target::Here(local) => tree.find(&local),
                Target::Elsewhere(_) | Target::Nowhere => None,
            };
            let Some(part) = target else { return Finding::of(Outline::elsewhere()) };
            let schema = found_valid(tree.json(part));
            if let Some(position) = self.open.iter().position(|open| *open == part) {
                if part != ROOT {
                    self.met = first(self.met, Some(position));
                }
                return Finding::of(Outline::default());
            }
            if !passed.insert(part) {
                return Finding::of(Outline::default());
            }
            // What is too deep here may not be too deep elsewhere.
            if let Some(known) = self.known.get(&part).filter(|known| known.is_whole || known.level <= level) {
                self.gaps += usize::from(!known.is_whole);
                return Rc::clone(&known.finding);
            }
            if level >= MAX_LEVELS || !self.spend(schema.get().len()) {
                return self.leave_out();
            }
            let fields = members(schema);
            let Some(next) = fields.as_deref().and_then(next_reference) else {
                return self.read_part(part, |merger| merger.read(schema, fields.as_deref(), level + 1), level);
            };
            self.visits += 1;
            if self.visits > MAX_VISITS {
                return self.leave_out();
            }
            reference = next;
        }
    }

    /// Reads a part, and notes what it says. Where it leads back to one that is being read, it says less than it does elsewhere.
    fn read_part(
        &mut self,
        part: usize,
        read: impl FnOnce(&mut Self) -> Rc<Finding<'a>>,
        level: usize,
    ) -> Rc<Finding<'a>> {
        let (gaps, met) = (self.gaps, self.met.take());
        let position = self.open.len();
        self.open.push(part);
        let finding = read(self);
        self.open.pop();
        let met_before = self.met.filter(|met| *met < position);
        if met_before.is_none() {
            let is_whole = gaps == self.gaps;
            self.known.insert(part, Known { finding: Rc::clone(&finding), level, is_whole });
        }
        self.met = first(met, met_before);
        finding
    }

    fn add(&mut self, outline: &mut Outline<'a>, finding: &Finding<'a>) {
        match self.spend(finding.bytes_within(outline)) {
            true => outline.and(&finding.outline),
            false => outline.and(&self.leave_out().outline),
        }
    }

    fn add_choice(&mut self, outline: &mut Outline<'a>, findings: &[Rc<Finding<'a>>]) {
        let bytes = findings.iter().map(|finding| finding.bytes_within(outline)).sum();
        match self.spend(bytes) {
            true => outline.and(&Outline::any(findings.iter().map(|finding| &finding.outline))),
            false => outline.and(&self.leave_out().outline),
        }
    }

    fn leave_out(&mut self) -> Rc<Finding<'a>> {
        self.gaps += 1;
        Finding::of(Outline::unread())
    }

    /// Whether so many bytes may be read.
    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(self.bytes);
        left.is_some()
    }
}

/// What a schema refers to that does nothing else.
fn next_reference(fields: &[Field<'_>]) -> Option<String> {
    let is_plain = fields.iter().all(|field| field.name == "$ref" || REMARKS.contains(&field.name.as_ref()));
    field(fields, "$ref").filter(|_| is_plain).and_then(text).map(Cow::into_owned)
}

/// The lower of two positions, of which there may be none.
fn first(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::object_fields;

    fn check(schema: &str) -> String {
        let merged = merged(schema, &object_fields(schema).expect("an object"));
        format!("{} {}", merged.outline.properties(usize::MAX), merged.outline.required().unwrap_or_default())
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
        let mut merger = Merger::new(&schema);
        merger.root(&object_fields(&schema).expect("an object"));
        assert_eq!((merger.visits, merger.gaps), (120, 0));
        assert_eq!(check(&schema), r#"{"a":{}} ["a"]"#);
        let circle = r##"{"$defs":{"A":{"allOf":[{"$ref":"#/$defs/A"}],"properties":{"a":{}}}},"allOf":[{"$ref":"#/$defs/A"}]}"##;
        assert_eq!(check(circle), r#"{"a":{}} "#);
        let circle = r##"{"$defs":{"A":{"$ref":"#/$defs/B"},"B":{"$ref":"#/$defs/A"}},"anyOf":[{"$ref":"#/$defs/A"},{"required":["a"]}]}"##;
        assert_eq!(check(circle), "{} ");
    }

    #[test]
    fn a_circle_says_the_same_wherever_it_is_entered() {
        let a = r##"{"anyOf":[{"properties":{"a":{"type":"string"}}},{"$ref":"#/$defs/B"}]}"##;
        let b = r##"{"anyOf":[{"properties":{"a":{"type":"number"}}},{"$ref":"#/$defs/A"}]}"##;
        let check = |branches: &str| check(&format!(r##"{{"$defs":{{"A":{a},"B":{b}}},"anyOf":[{branches}]}}"##));
        let one = r##"{"allOf":[{"$ref":"#/$defs/A"}],"properties":{"a":{"const":1}}}"##;
        let (to_a, to_b) = (r##"{"$ref":"#/$defs/A"}"##, r##"{"$ref":"#/$defs/B"}"##);
        for (branches, expected) in [
            (to_a.to_owned(), r#"{"a":{"anyOf":[{"type":"string"},{"type":"number"}]}} "#),
            (to_b.to_owned(), r#"{"a":{"anyOf":[{"type":"number"},{"type":"string"}]}} "#),
            (format!("{one},{to_b}"), r#"{"a":{"anyOf":[{"const":1},{"type":"number"},{"type":"string"}]}} "#),
            (format!("{to_b},{one}"), r#"{"a":{"anyOf":[{"type":"number"},{"type":"string"},{"const":1}]}} "#),
        ] {
            assert_eq!(check(&branches), expected, "{branches}");
        }
    }

    /// A schema that holds what is asked for, as deep as its form makes it.
    fn deep(count: usize, form: fn(usize) -> String) -> String {
        let definitions: Vec<String> = (0..count).map(form).collect();
        format!(
            r##"{{"$defs":{{{},"D{count}":{{"properties":{{"a":{{"type":"string"}}}},"required":["a"]}}}},"allOf":[{{"$ref":"#/$defs/D0"}}]}}"##,
            definitions.join(",")
        )
    }

    #[test]
    fn properties_are_found_however_deep_they_stand() {
        let plain = |at: usize| format!(r##""D{at}":{{"title":"T","$ref":"#/$defs/D{}"}}"##, at + 1);
        let joined = |at: usize| format!(r##""D{at}":{{"anyOf":[{{"$ref":"#/$defs/D{}"}}]}}"##, at + 1);
        let beside = |at: usize| format!(r##""D{at}":{{"required":[],"$ref":"#/$defs/D{}"}}"##, at + 1);
        let twice = |at: usize| {
            format!(r##""D{at}":{{"allOf":[{{"$ref":"#/$defs/D{0}"}},{{"$ref":"#/$defs/D{0}"}}]}}"##, at + 1)
        };
        let a = r#"{"a":{"type":"string"}} ["a"]"#;
        for (schema, expected, extent) in [
            (deep(1, plain), a, Extent::Whole),
            (deep(9, plain), a, Extent::Whole),
            (deep(998, plain), a, Extent::Whole),
            (deep(1_000, plain), "{} ", Extent::Part),
            (deep(9, joined), a, Extent::Whole),
            (deep(60, joined), a, Extent::Whole),
            (deep(70, joined), "{} ", Extent::Part),
            (deep(120, beside), a, Extent::Whole),
            (deep(130, beside), "{} ", Extent::Part),
            (deep(60, twice), a, Extent::Whole),
        ] {
            let merged = merged(&schema, &object_fields(&schema).expect("an object"));
            assert_eq!((check(&schema).as_str(), merged.extent), (expected, extent), "{schema}");
        }
    }

    #[test]
    fn what_was_too_deep_at_first_is_followed_again_where_it_is_not() {
        let deep = (0..MAX_LEVELS - 1)
            .fold(r##"{"$ref":"#/$defs/A"}"##.to_owned(), |inner, _| format!(r#"{{"anyOf":[{inner}]}}"#));
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
    fn what_would_take_too_long_may_be_anything() {
        let branches: Vec<String> = (0..1_200)
            .map(|at| format!(r#"{{"properties":{{"p{at}":{{"const":{at}}},"a":{{"const":{at}}}}},"required":["a"]}}"#))
            .collect();
        let schema = format!(r#"{{"oneOf":[{}]}}"#, branches.join(","));
        let merged = merged(&schema, &object_fields(&schema).expect("an object"));
        assert_eq!((merged.extent, merged.outline.required()), (Extent::Part, None));
        let properties = merged.outline.properties(usize::MAX);
        assert!(
            properties.contains(r#""p999":{"anyOf":[{"const":999},{}]}"#) && !properties.contains("p1000"),
            "{properties}"
        );
        assert!(properties.contains(r#"{"const":999},{}]},"p1":"#), "{properties}");

        let names: Vec<String> = (0..2_000).map(|at| format!("\"{at}\"")).collect();
        let refs = vec![r##"{"$ref":"#/$defs/A","minProperties":1}"##; 900].join(",");
        let schema = format!(
            r#"{{"$defs":{{"A":{{"required":[{}]}}}},"allOf":[{refs}],"properties":{{"a":{{}}}}}}"#,
            names.join(",")
        );
        let merged = super::merged(&schema, &object_fields(&schema).expect("an object"));
        assert_eq!(merged.outline.properties(usize::MAX), r#"{"a":{}}"#);
        assert_eq!(merged.extent, Extent::Part);
    }
}
