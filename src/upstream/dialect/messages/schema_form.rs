//! Schemas of tools in the form that the Messages API takes: JSON Schema of draft 2020-12, its properties' names as
//! [`super::property_names`] has them.
//!
//! What says nothing (a null, an empty array where an object or more of an array belongs) is left out, what an earlier draft says
//! otherwise is said as it is today, and what is of the wrong kind, or refers to nothing, is left out, so that the schema allows
//! more. Everything else stays as it is written, and a schema in which nothing changes is only looked at, once. What a root may be is the business of [`super::roots`].

use super::pointers::Changes;
use super::schema_walk::Walker;

/// How often a schema is gone through until nothing refers to what is left out of it.
const MAX_ROUNDS: usize = 4;

/// What a look at a schema finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look<'a> {
    /// The names of properties that the API may not take, as they are written.
    pub odd_names: Vec<&'a str>,
    /// Whether it goes up in another form, whatever the names of its properties are.
    pub is_rewritten: bool,
    /// Whether something refers to a part of the root that merging changes.
    pub leads_into_root: bool,
}

/// Looks at a schema, which must be valid JSON.
pub fn look(schema: &str) -> Look<'_> {
    let mut walker = Walker::new(schema, Changes::default());
    walker.root();
    let is_rewritten = !walker.edits.is_empty();
    Look { odd_names: walker.odd_names, is_rewritten, leads_into_root: walker.references.lead_into_root }
}

/// A schema as the API takes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Rewritten {
    pub schema: String,
    /// Whether it allows more than the client's.
    pub is_weaker: bool,
}

/// The schema as the API takes it; nothing if it takes it as it is.
pub fn rewritten(schema: &str, changes: Changes<'_>) -> Option<Rewritten> {
    let mut written: Option<Rewritten> = None;
    for round in 0..MAX_ROUNDS {
        let changes = if round == 0 { changes } else { Changes::default() };
        let mut walker = Walker::new(written.as_ref().map_or(schema, |written| &written.schema), changes);
        walker.root();
        if walker.edits.is_empty() {
            break;
        }
        let is_weaker = walker.is_weaker || written.as_ref().is_some_and(|written| written.is_weaker);
        // What has been left out may have been referred to.
        let is_last = !walker.references.are_any();
        written = Some(Rewritten { schema: walker.written(), is_weaker });
        if is_last {
            break;
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::upstream::dialect::messages::property_names::PropertyNames;

    fn check(schema: &str) -> String {
        match rewritten(schema, Changes::default()) {
            None => "as it is".to_owned(),
            Some(Rewritten { schema, is_weaker: false }) => schema,
            Some(Rewritten { schema, is_weaker: true }) => format!("weaker: {schema}"),
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
    fn what_is_of_the_wrong_kind_is_left_out() {
        for (schema, expected) in [
            (r#"{"properties":{"a":{"required":true,"type":"string"}}}"#, r#"{"properties":{"a":{"type":"string"}}}"#),
            (r#"{"properties":{"a":{"type":"any","examples":"x"}}}"#, r#"{"properties":{"a":{}}}"#),
            (r#"{"properties":[{}],"title":"T"}"#, r#"{"title":"T"}"#),
            (r#"{"properties":{"a":"string","b":7}}"#, r#"{"properties":{"a":{},"b":{}}}"#),
            (r#"{"required":["a",7]}"#, r#"{"required":["a"]}"#),
            (r#"{"required":[7,"a",true]}"#, r#"{"required":["a"]}"#),
            (r#"{"anyOf":[{},{"items":7},8]}"#, r#"{"anyOf":[{},{},{}]}"#),
            (r#"{"$defs":{"A":{"enum":{}}}}"#, r#"{"$defs":{"A":{}}}"#),
            (r#"{"title":"T","type":["string",7]}"#, r#"{"title":"T","type":["string"]}"#),
            (r#"{"type":["text"],"title":"T"}"#, r#"{"title":"T"}"#),
            (r#"{"minLength":-1,"maximum":"9","multipleOf":0,"description":7,"readOnly":"yes","$ref":{}}"#, "{}"),
            (r#"{"dependentRequired":{"a":[7],"b":{}}}"#, r#"{"dependentRequired":{"a":[],"b":[]}}"#),
            // Without what it denies nothing is denied, and what holds on a condition holds on no weaker one.
            (r#"{"title":"T","not":{"not":{"type":"any"}}}"#, r#"{"title":"T"}"#),
            (r##"{"if":{"$ref":"#/$defs/none"},"then":{"minLength":1}}"##, r#"{"then":{"minLength":1}}"#),
        ] {
            assert_eq!(check(schema), format!("weaker: {expected}"), "{schema}");
            assert!(look(schema).is_rewritten, "{schema}");
        }
        for (schema, expected) in [
            ("7", "as it is"),
            (r#"{"required":["a","b","a"],"type":["null",null]}"#, r#"{"required":["a","b"],"type":["null"]}"#),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_left_out() {
        for (schema, expected) in [
            (
                r##"{"properties":{"a":{"description":"D","$ref":"#/definitions/A"}}}"##,
                r#"weaker: {"properties":{"a":{"description":"D"}}}"#,
            ),
            (r##"{"$ref":"#anchor","$defs":{"A":[]}}"##, r#"weaker: {"$defs":{"A":{}}}"#),
            (r##"{"required":["a"],"items":{"$ref":"#/required"}}"##, r#"weaker: {"required":["a"],"items":{}}"#),
            // One of `oneOf` that allows more would fit beside the others.
            (r##"{"oneOf":[{"type":"string"},{"$ref":"#/none"}]}"##, r#"weaker: {"anyOf":[{"type":"string"},{}]}"#),
            (r#"{"oneOf":[null,{"type":"string"}]}"#, r#"weaker: {"anyOf":[{},{"type":"string"}]}"#),
            (
                r#"{"anyOf":[{"items":null}],"oneOf":[null,{"enum":null}],"items":[{},{"title":null}],"prefixItems":[{}]}"#,
                r#"weaker: {"anyOf":[{}],"oneOf":[{}],"items":{},"prefixItems":[{}]}"#,
            ),
            (
                r#"{"items":[{},{"title":null}],"prefixItems":[{"title":null}],"oneOf":[null,{"enum":null}],"anyOf":[{}]}"#,
                r#"weaker: {"items":{},"prefixItems":[{}],"oneOf":[{}],"anyOf":[{}]}"#,
            ),
            (r#"{"oneOf":[{"type":"string"},{"enum":null}]}"#, r#"{"oneOf":[{"type":"string"},{}]}"#),
            // It led to what is left out.
            (
                r##"{"properties":{"a":{"$ref":"#/not/items"}},"not":{"items":{},"type":"any"}}"##,
                r#"weaker: {"properties":{"a":{}}}"#,
            ),
            (
                r##"{"properties":{"a":{"$ref":"#/items/0"}},"items":[{}],"prefixItems":[{}]}"##,
                r#"weaker: {"properties":{"a":{}},"items":{},"prefixItems":[{}]}"#,
            ),
            (
                r##"{"$id":"https://x.y/s","$defs":{"A":{"$id":"#b"},"C":{"$anchor":"c"}},"allOf":[{"$ref":"#b"},{"$ref":"https://x.y/s#c"},{"$ref":"https://x.y/s"}]}"##,
                r##"{"$id":"https://x.y/s","$defs":{"A":{"$anchor":"b"},"C":{"$anchor":"c"}},"allOf":[{"$ref":"#b"},{"$ref":"#c"},{"$ref":"#"}]}"##,
            ),
            // What has a URL of its own is referred to by where it stands, as are the parts of it.
            (
                r##"{"$id":"https://x.y/s","$defs":{"A":{"$id":"a","$defs":{"B":{"$anchor":"b"}},"items":{"$ref":"#/$defs/B"},"not":{"$ref":"#b"}}},"properties":{"c":{"$ref":"a"},"d":{"$ref":"https://x.y/a#/items"},"e":{"$ref":"b"}}}"##,
                r##"{"$id":"https://x.y/s","$defs":{"A":{"$defs":{"B":{}},"items":{"$ref":"#/$defs/A/$defs/B"},"not":{"$ref":"#/$defs/A/$defs/B"}}},"properties":{"c":{"$ref":"#/$defs/A"},"d":{"$ref":"#/$defs/A/items"},"e":{"$ref":"b"}}}"##,
            ),
            (
                r##"{"$defs":{"A":{"$id":"a","items":{"$ref":"#/$defs/B"}}},"items":{"$ref":"a#b"}}"##,
                r##"weaker: {"$defs":{"A":{"items":{}}},"items":{}}"##,
            ),
            (
                r##"{"components":{"A":{}},"properties":{"$ref":{"$ref":"#/components/A"},"b":{"const":{"$ref":"#/x"}},"c":{"$ref":"https://x.y/s#/a"}}}"##,
                "as it is",
            ),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_without_a_url_of_its_own_says_what_it_said_with_it() {
        for (schema, expected) in [
            // Its references to other documents are relative to no other URL now.
            (
                r##"{"$id":"https://x.y/s","$defs":{"A":{"$id":"t/a","items":{"$ref":"c#d"},"not":{"$ref":"https://x.y/e"}}},"items":{"$ref":"c"}}"##,
                r##"{"$id":"https://x.y/s","$defs":{"A":{"items":{"$ref":"https://x.y/t/c#d"},"not":{"$ref":"https://x.y/e"}}},"items":{"$ref":"c"}}"##,
            ),
            (
                r##"{"$id":"https://x.y/s","$defs":{"A":{"$id":"https://z/t/a","items":{"$ref":"../s"},"not":{"$dynamicRef":"c#d"}}}}"##,
                r##"{"$id":"https://x.y/s","$defs":{"A":{"items":{"$ref":"https://z/s"},"not":{"$dynamicRef":"https://z/t/c#d"}}}}"##,
            ),
            (
                r##"{"$defs":{"A":{"$id":"t/a","items":{"$ref":"c#d"},"not":{"$ref":"/t/c"}}}}"##,
                r##"{"$defs":{"A":{"items":{"$ref":"/t/c#d"},"not":{"$ref":"/t/c"}}}}"##,
            ),
            (
                r##"{"$defs":{"A":{"$id":"t/a","items":{"$ref":"s"},"discriminator":{"propertyName":"k","mapping":{"b":"B","c":"c.json"}}},"B":{"$id":"s"}}}"##,
                r##"{"$defs":{"A":{"items":{"$ref":"/t/s"},"discriminator":{"propertyName":"k","mapping":{"b":"B","c":"/t/c.json"}}},"B":{}}}"##,
            ),
            // An anchor of the same name may stand around it.
            (
                r##"{"$anchor":"own","$defs":{"A":{"$id":"a","$anchor":"own","$defs":{"B":{"$id":"#b"}},"items":{"$ref":"#own"},"not":{"$ref":"#b"}}},"items":{"$ref":"#own"},"not":{"$ref":"a#own"}}"##,
                r##"{"$anchor":"own","$defs":{"A":{"$defs":{"B":{}},"items":{"$ref":"#/$defs/A"},"not":{"$ref":"#/$defs/A/$defs/B"}}},"items":{"$ref":"#"},"not":{"$ref":"#/$defs/A"}}"##,
            ),
            // A dynamic reference leads to the outermost anchor, which the root's always is.
            (
                r##"{"$dynamicAnchor":"own","$defs":{"A":{"$id":"a","$dynamicAnchor":"own","items":{"$dynamicRef":"#own"},"not":{"$ref":"#own"}}},"not":{"$dynamicRef":"a#own"}}"##,
                r##"{"$dynamicAnchor":"own","$defs":{"A":{"items":{"$dynamicRef":"#own"},"not":{"$ref":"#/$defs/A"}}},"not":{"$dynamicRef":"#own"}}"##,
            ),
            // Of one that is alone it is the one.
            (
                r##"{"$anchor":"own","$defs":{"A":{"$id":"a","$dynamicAnchor":"own","items":{"$dynamicRef":"#own"}}},"items":{"$dynamicRef":"a#own"}}"##,
                r##"{"$anchor":"own","$defs":{"A":{"items":{"$dynamicRef":"#/$defs/A"}}},"items":{"$dynamicRef":"#/$defs/A"}}"##,
            ),
            (
                r##"{"$dynamicAnchor":"own","$defs":{"A":{"$id":"a","$anchor":"own","items":{"$dynamicRef":"#own"}}}}"##,
                r##"{"$dynamicAnchor":"own","$defs":{"A":{"items":{"$dynamicRef":"#/$defs/A"}}}}"##,
            ),
            // Of several the way to it tells, which nothing tells without URLs.
            (
                r##"{"$defs":{"A":{"$id":"a","$dynamicAnchor":"own","items":{"$dynamicRef":"#own"}},"B":{"$id":"b","$dynamicAnchor":"own","$ref":"a"}}}"##,
                r##"weaker: {"$defs":{"A":{"items":{}},"B":{"$ref":"#/$defs/A"}}}"##,
            ),
            (r##"{"items":{"$dynamicRef":"#own"}}"##, r#"weaker: {"items":{}}"#),
            (r##"{"$dynamicAnchor":"own","items":{"$dynamicRef":"#own"}}"##, "as it is"),
        ] {
            assert_eq!(check(schema), expected, "{schema}");
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
            (
                r##"{"properties":{"a":{"items":[{}],"additionalItems":{}},"b":{"$ref":"#/properties/a/additionalItems"}}}"##,
                r##"{"properties":{"a":{"prefixItems":[{}],"items":{}},"b":{"$ref":"#/properties/a/items"}}}"##,
            ),
            (r#"{"$schema":"http://json-schema.org/draft-07/schema#","items":[{}]}"#, r#"{"prefixItems":[{}]}"#),
            (
                r#"{"prefixItems":[{}],"items":[{"items":[{}]},{"title":null}],"additionalItems":false,"title":"T"}"#,
                r#"weaker: {"prefixItems":[{}],"items":{},"additionalItems":false,"title":"T"}"#,
            ),
            (r#"{"prefixItems":[],"items":[{}]}"#, r#"{"prefixItems":[{}]}"#),
            (
                r#"{"dependencies":{"a":["b","b"],"c":{"required":["d"]}}}"#,
                r#"{"dependentSchemas":{"a":{"required":["b"]},"c":{"required":["d"]}}}"#,
            ),
            (
                r#"{"dependencies":{"a":{}},"dependentSchemas":{"a":["b"]}}"#,
                r#"{"dependencies":{"a":{}},"dependentSchemas":{"a":{"required":["b"]}}}"#,
            ),
            (
                r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","items":{},"additionalItems":false,"exclusiveMinimum":0}"#,
                "as it is",
            ),
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
                format!(r#"{{"dependentSchemas":{{"{a_b}":{{"required":["{top}"]}},"e f":{{"required":["{a_b}"]}}}}}}"#),
            ),
            (
                r#"{"propertyNames":{"anyOf":[{"enum":["a b",1]},{"const":"a b"}],"pattern":"a b"},"enum":["a b"]}"#.to_owned(),
                format!(r#"{{"propertyNames":{{"anyOf":[{{"enum":["{a_b}",1]}},{{"const":"{a_b}"}}],"pattern":"a b"}},"enum":["a b"]}}"#),
            ),
            (
                r##"{"discriminator":{"propertyName":"$top","mapping":{"a b":"#/properties/a%20b","c":"C","d":"#/components/D"}},"properties":{"a b":{"title":"A"},"discriminator":{"discriminator":"a b"}}}"##.to_owned(),
                format!(r##"{{"discriminator":{{"propertyName":"{top}","mapping":{{"a b":"#/properties/{a_b}","c":"C","d":"#/components/D"}}}},"properties":{{"{a_b}":{{"title":"A"}},"discriminator":{{"discriminator":"{a_b}"}}}}}}"##),
            ),
            (
                r##"{"$defs":{"A":{"$id":"a","properties":{"a b":{"title":"A"}}}},"items":{"$ref":"a#/properties/a%20b"}}"##.to_owned(),
                format!(r##"{{"$defs":{{"A":{{"properties":{{"{a_b}":{{"title":"A"}}}}}}}},"items":{{"$ref":"#/$defs/A/properties/{a_b}"}}}}"##),
            ),
            (
                r#"{"properties":{"\uD83D":{"type":"string"}},"required":["\ud83d"]}"#.to_owned(),
                format!(r#"{{"properties":{{"{half}":{{"type":"string"}}}},"required":["{half}"]}}"#),
            ),
        ] {
            let changes = Changes { names: Some(&names), moved: None };
            assert_eq!(rewritten(&schema, changes), Some(Rewritten { schema: expected, is_weaker: false }), "{schema}");
        }
    }

    #[test]
    fn a_look_tells_what_must_be_known_of_a_schema() {
        for (schema, odd, leads_into_root) in [
            (r##"{"properties":{"a":{"$ref":"#/$defs/d e"}},"required":["b c"],"$defs":{"d e":{}}}"##, vec![], false),
            (
                r##"{"items":{"properties":{"":{},"$a":{"$ref":"#/anyOf/0"}}},"default":{"$b":1},"anyOf":[{}]}"##,
                vec!["\"\"", "\"$a\""],
                true,
            ),
        ] {
            assert_eq!(look(schema), Look { odd_names: odd, is_rewritten: false, leads_into_root }, "{schema}");
        }
    }
}
