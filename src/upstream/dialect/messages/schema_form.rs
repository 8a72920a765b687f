//! Schemas of tools in the form that the Messages API takes: JSON Schema of draft 2020-12, its properties' names as
//! [`super::property_names`] has them.
//!
//! What says nothing (a null, an empty array where an object or more of an array belongs) is left out, what an earlier draft says
//! otherwise is said as it is today, and what is wrong is a fault with its place. Everything else stays as it is written, and a
//! schema in which nothing changes is only looked at, once. What a root may be is the business of [`super::roots`].

use super::pointers::Changes;
use super::schema_walk::{Edit, Fault, Walker};

/// What a look at a schema finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look<'a> {
    /// The names of properties that the API may not take, as they are written.
    pub odd_names: Vec<&'a str>,
    /// Whether it goes up in another form, or in none, whatever the names of its properties are.
    pub is_rewritten: bool,
    /// Whether something refers to a part of the root that merging changes.
    pub leads_into_root: bool,
}

/// Looks at a schema, which must be valid JSON.
pub fn look(schema: &str) -> Look<'_> {
    let mut walker = Walker::new(schema, Changes::default());
    let is_wrong = walker.root().is_err();
    let is_rewritten = is_wrong || !walker.edits.is_empty();
    Look { odd_names: walker.odd_names, is_rewritten, leads_into_root: walker.leads_into_root }
}

/// The schema as the API takes it; nothing if it takes it as it is.
///
/// # Errors
/// The place of what is no schema.
pub fn rewritten(schema: &str, changes: Changes<'_>) -> Result<Option<String>, Fault> {
    let mut walker = Walker::new(schema, changes);
    walker.root()?;
    let mut edits = walker.edits;
    if edits.is_empty() {
        return Ok(None);
    }
    // What stands before a part is often known only behind it.
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut written = String::with_capacity(schema.len() + schema.len() / 4);
    let mut at = 0;
    for Edit { range, text } in edits {
        written.push_str(schema.get(at..range.start).unwrap_or_default());
        written.push_str(&text);
        at = range.end;
    }
    written.push_str(schema.get(at..).unwrap_or_default());
    Ok(Some(written))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::upstream::dialect::messages::property_names::PropertyNames;

    fn check(schema: &str) -> String {
        match rewritten(schema, Changes::default()) {
            Ok(written) => written.unwrap_or_else(|| "as it is".to_owned()),
            Err(fault) => format!("{} {}", fault.path(), fault.message()),
        }
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        for (schema, expected) in [
            (r#"{"properties":null}"#, "{}"),
            (r#"{"properties":[] , "required": null,"type" : "object"}"#, r#"{ "type" : "object"}"#),
            (r#"{"type":"object","required":null,"enum":null}"#, r#"{"type":"object"}"#),
            (
                r#"{"properties":{"a":{"title":null,"items":{"enum":null,"type":"string"}},"b":null}}"#,
                r#"{"properties":{"a":{"items":{"type":"string"}},"b":{}}}"#,
            ),
            (r#"{"anyOf":[],"allOf":[null,{"type":null}]}"#, r#"{"allOf":[{},{}]}"#),
            (r#"{"$defs":{"A":{"$ref":null,"minLength":null,"items":null}}}"#, r#"{"$defs":{"A":{}}}"#),
            (r#"{"not":{"additionalProperties":null}}"#, r#"{"not":{}}"#),
            ("[]", "{}"),
            (r#"{"const":null,"default":null,"enum":[null],"x-own":null,"properties":{"required":{}}}"#, "as it is"),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (schema, expected) in [
            (r#"{"properties":[{}]}"#, ".properties must be an object"),
            (r#"{"properties":{"a":{"required":"b"}}}"#, ".properties.a.required must be an array of names"),
            (r#"{"required":["a",7]}"#, ".required[1] must be a string"),
            (r#"{"anyOf":[{},{"items":7}]}"#, ".anyOf[1].items must be a JSON Schema: an object, `true` or `false`"),
            (r#"{"$defs":{"A":{"enum":{}}}}"#, ".$defs.A.enum must be an array"),
            (r#"{"type":"text"}"#, ".type must be a type that JSON Schema has, or an array of such"),
            (r#"{"type":["string",7]}"#, ".type[1] must be a type that JSON Schema has, or an array of such"),
            (r#"{"minLength":-1}"#, ".minLength must be a whole number that is not negative"),
            (r#"{"maximum":"9"}"#, ".maximum must be a number"),
            (r#"{"description":7}"#, ".description must be a string"),
            (r#"{"readOnly":"yes"}"#, ".readOnly must be `true` or `false`"),
            (r#"{"$ref":{}}"#, ".$ref must be a string"),
            (r#"{"dependentRequired":{"a":[7]}}"#, ".dependentRequired.a[0] must be a string"),
            ("7", " must be a JSON Schema: an object, `true` or `false`"),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
            assert!(look(schema).is_rewritten, "{schema}");
        }
    }

    #[test]
    fn what_an_earlier_draft_says_is_said_as_it_is_today() {
        for (schema, expected) in [
            (
                r#"{"additionalItems":false,"items":[{"type":"string"},{"type":["string",null]}]}"#,
                r#"{"items":false,"prefixItems":[{"type":"string"},{"type":["string","null"]}]}"#,
            ),
            (r#"{"items":[],"additionalItems":{}}"#, r#"{"items":{}}"#),
            (r#"{"minimum":0,"exclusiveMinimum":true,"type":"number"}"#, r#"{"exclusiveMinimum":0,"type":"number"}"#),
            (r#"{"exclusiveMaximum":false,"maximum":9}"#, r#"{"maximum":9}"#),
            (
                r##"{"properties":{"a":{"items":[{}]},"b":{"$ref":"#/properties/a/items/0"}}}"##,
                r##"{"properties":{"a":{"prefixItems":[{}]},"b":{"$ref":"#/properties/a/prefixItems/0"}}}"##,
            ),
            (r#"{"items":{},"additionalItems":false,"exclusiveMinimum":0}"#, "as it is"),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }

    #[test]
    fn properties_are_renamed_wherever_a_schema_names_them() {
        let odd = ["\"$top\"", "\"a b\"", r#""\ud83d""#];
        let names = PropertyNames::of(&odd, &BTreeSet::new()).expect("odd names");
        let [top, a_b, half] = ["$top", "a b", r"\ud83d"].map(|name| names.written(name).expect("a name"));
        for (schema, expected) in [
            (
                r##"{"properties":{"$top":{"const":{"a b":1}},"c":{"items":{"properties":{"a b":{}}}}},"required":["$top"],"$defs":{"a b":{}},"dependentRequired":{"$top":["a b","c"]}}"##.to_owned(),
                format!(r##"{{"properties":{{"{top}":{{"title":"$top","const":{{"a b":1}}}},"c":{{"items":{{"properties":{{"{a_b}":{{"title":"a b"}}}}}}}}}},"required":["{top}"],"$defs":{{"a b":{{}}}},"dependentRequired":{{"{top}":["{a_b}","c"]}}}}"##),
            ),
            (
                r##"{"properties":{"$top":{"title":"Most","$ref":"#/properties/a%20b"},"a b":{"title":null}}}"##.to_owned(),
                format!(r##"{{"properties":{{"{top}":{{"title":"Most","$ref":"#/properties/{a_b}"}},"{a_b}":{{"title":"a b"}}}}}}"##),
            ),
            (
                r#"{"patternProperties":{"a b":{"properties":{"a b":true}}},"properties":{"properties":{"type":"string"}}}"#.to_owned(),
                format!(r#"{{"patternProperties":{{"a b":{{"properties":{{"{a_b}":true}}}}}},"properties":{{"properties":{{"type":"string"}}}}}}"#),
            ),
            (
                r#"{"dependencies":{"a b":["$top"],"e f":{"required":["a b"]}}}"#.to_owned(),
                format!(r#"{{"dependencies":{{"{a_b}":["{top}"],"e f":{{"required":["{a_b}"]}}}}}}"#),
            ),
            (
                r#"{"propertyNames":{"anyOf":[{"enum":["a b",1]},{"const":"a b"}],"pattern":"a b"},"enum":["a b"]}"#.to_owned(),
                format!(r#"{{"propertyNames":{{"anyOf":[{{"enum":["{a_b}",1]}},{{"const":"{a_b}"}}],"pattern":"a b"}},"enum":["a b"]}}"#),
            ),
            (
                r#"{"properties":{"\uD83D":{"type":"string"}},"required":["\ud83d"]}"#.to_owned(),
                format!(r#"{{"properties":{{"{half}":{{"type":"string"}}}},"required":["{half}"]}}"#),
            ),
        ] {
            let changes = Changes { names: Some(&names), moved: None };
            assert_eq!(rewritten(&schema, changes), Ok(Some(expected)), "{schema}");
        }
    }

    #[test]
    fn a_look_tells_what_must_be_known_of_a_schema() {
        for (schema, odd, leads_into_root) in [
            (r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"required":["b c"],"$defs":{"d e":{}}}"##, vec![], false),
            (
                r##"{"items":{"properties":{"":{},"$a":{"$ref":"#/anyOf/0"}}},"default":{"$b":1}}"##,
                vec!["\"\"", "\"$a\""],
                true,
            ),
        ] {
            assert_eq!(look(schema), Look { odd_names: odd, is_rewritten: false, leads_into_root }, "{schema}");
        }
    }
}
