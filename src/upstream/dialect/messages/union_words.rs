//! What the description of a tool's schema says of the branches that were merged ([`super::merger`]).

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::keywords::JOINTS;
use super::merger::Extent;
use crate::wire::containers::{elements, members};
use crate::wire::json::{Field, field, quoted, text};

/// Above it branches are told in short, and as many as fit.
const MAX_DESCRIBED_BYTES: usize = 2_000;
/// What is told of a branch in short, beside the values that tell it from others.
const TOLD: [&str; 3] = ["title", "$ref", "required"];
/// What gives a property its values.
const VALUES: [&str; 2] = ["const", "enum"];

/// The description of a schema that has these `fields`: its own, what it says of branches, and whether all that these describe
/// was merged.
pub fn description(fields: &[Field<'_>], merged: Extent) -> String {
    let mut description = own_and_branches(fields);
    if merged == Extent::Part {
        description.push_str(". Not all of what that describes is listed here.");
    }
    description
}

fn own_and_branches(fields: &[Field<'_>]) -> String {
    let own = field(fields, "description").and_then(text).unwrap_or_default();
    let space = if own.is_empty() { "" } else { " " };
    let joints = || fields.iter().filter(|field| JOINTS.contains(&field.name.as_ref()));
    let whole: Vec<String> = joints().map(|Field { name, value }| format!("{name}: {value}")).collect();
    let whole = whole.join(", ");
    if whole.len() <= MAX_DESCRIBED_BYTES {
        return format!("{own}{space}The input must also fit this JSON Schema: {whole}");
    }
    let mut room = MAX_DESCRIBED_BYTES;
    let told: Vec<String> =
        joints().map(|Field { name, value }| format!("{name}: {}", in_short(value, &mut room))).collect();
    format!("{own}{space}The input must also fit a JSON Schema of which this is a part: {}", told.join(", "))
}

/// As many branches as there is room for, in short.
fn in_short(branches: &RawValue, room: &mut usize) -> String {
    let branches = elements(branches).unwrap_or_default();
    let all = branches.len();
    let mut told = Vec::new();
    for branch in branches {
        let branch = branch_in_short(branch);
        if let Some(left) = room.checked_sub(branch.len() + 1) {
            *room = left;
            told.push(branch);
        }
    }
    let untold = match all - told.len() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    format!("[{}]{untold}", told.join(","))
}

/// What a branch requires, and which values tell it from others.
fn branch_in_short(branch: &RawValue) -> Cow<'_, str> {
    let Some(fields) = members(branch) else { return branch.get().into() };
    let mut told = Vec::new();
    for name in TOLD {
        told.extend(field(&fields, name).map(|value| format!("{}:{value}", quoted(name))));
    }
    let properties = field(&fields, "properties").and_then(members);
    let valued = properties.iter().flatten().filter_map(|Field { name, value }| {
        let property = members(value)?;
        let (word, value) = VALUES.iter().find_map(|word| Some((word, field(&property, word)?)))?;
        Some(format!(r#"{}:{{"{word}":{value}}}"#, quoted(name)))
    });
    let valued: Vec<String> = valued.collect();
    if !valued.is_empty() {
        told.push(format!(r#""properties":{{{}}}"#, valued.join(",")));
    }
    format!("{{{}}}", told.join(",")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::object_fields;

    fn check(schema: &str) -> String {
        description(&object_fields(schema).expect("an object"), Extent::Whole)
    }

    #[test]
    fn branches_are_said_as_they_are_where_that_is_short() {
        assert_eq!(
            check(r#"{"description":"Finds.","anyOf":[{"required":["id"]},null]}"#),
            r#"Finds. The input must also fit this JSON Schema: anyOf: [{"required":["id"]},null]"#
        );
    }

    #[test]
    fn that_not_all_was_merged_is_said() {
        let fields = object_fields(r#"{"allOf":[{}]}"#).expect("an object");
        assert_eq!(
            description(&fields, Extent::Part),
            "The input must also fit this JSON Schema: allOf: [{}]. Not all of what that describes is listed here."
        );
    }

    #[test]
    fn of_long_branches_is_said_what_tells_them_apart_and_as_many_as_fit() {
        let words = "x".repeat(MAX_DESCRIBED_BYTES);
        let branch = |kind: usize| {
            format!(
                r#"{{"description":"{words}","properties":{{"kind":{{"const":{kind}}},"text":{{"type":"string"}}}},"required":["kind"]}}"#
            )
        };
        assert_eq!(
            check(&format!(r##"{{"oneOf":[{},{},{{"$ref":"#/$defs/A"}}],"allOf":[true]}}"##, branch(1), branch(2))),
            concat!(
                "The input must also fit a JSON Schema of which this is a part: ",
                r#"oneOf: [{"required":["kind"],"properties":{"kind":{"const":1}}},"#,
                r##"{"required":["kind"],"properties":{"kind":{"const":2}}},{"$ref":"#/$defs/A"}], allOf: [true]"##
            )
        );
        let branches: Vec<String> = (0..100).map(branch).collect();
        let said = check(&format!(r#"{{"oneOf":[{}]}}"#, branches.join(",")));
        assert!(said.len() <= MAX_DESCRIBED_BYTES + 100 && said.ends_with("}}}] and 65 more"), "{said}");
    }
}
