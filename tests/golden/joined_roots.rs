//! Schemas of tools whose root joins several, as the Messages API gets them: no input is refused that the client's schema allows,
//! but one with a property that its branch does not speak of while another branch describes it.

use std::collections::BTreeSet;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tool_schemas::translated;

const JOINTS: [&str; 2] = ["anyOf", "oneOf"];
const NAMES: [&str; 3] = ["a", "b", "c"];

type Names = BTreeSet<String>;

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

fn schema_of_a_property() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => prop::sample::select(vec![
            json!({"type": "string"}),
            json!({"type": "integer"}),
            json!({"const": "x"}),
            json!({"const": "xyz"}),
            json!({"minLength": 2}),
            json!({"enum": ["x", 1]}),
        ]),
        1 => prop::sample::select(vec![json!({}), json!(true), json!(false), json!({"description": "D."})]),
    ]
}

fn named() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(name(), schema_of_a_property(), 1..3).prop_map(|named| json!(named))
}

fn plain_member() -> impl Strategy<Value = (&'static str, Value)> {
    let object = prop::collection::btree_map(name(), prop::sample::select(&["x", "xyz"][..]), 0..3);
    prop_oneof![
        8 => named().prop_map(|named| ("properties", named)),
        3 => prop::collection::btree_set(name(), 1..3).prop_map(|names| ("required", json!(names))),
        2 => Just(("additionalProperties", json!(false))),
        1 => schema_of_a_property().prop_map(|schema| ("additionalProperties", schema)),
        1 => schema_of_a_property().prop_map(|schema| ("patternProperties", json!({"^[ab]": schema}))),
        1 => prop::sample::select(vec![json!("object"), json!(["object", "null"]), json!("string")])
            .prop_map(|kind| ("type", kind)),
        1 => object.prop_map(|object| ("const", json!(object))),
        1 => any::<bool>().prop_map(|flag| ("unevaluatedProperties", flag.into())),
        1 => Just(("not", json!({"required": ["a", "b"]}))),
    ]
}

fn branch() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        12 => prop::collection::vec(plain_member(), 1..4).prop_map(object),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(json!({"$ref": "#/$defs/A"})),
        1 => Just(json!({"$ref": "#/$defs/B"})),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let member = prop_oneof![
            4 => joint(inner.clone().boxed()),
            1 => (name(), inner.clone()).prop_map(|(name, schema)| ("dependentSchemas", json!({name: schema}))),
            1 => inner.clone().prop_map(|schema| ("then", schema)),
            1 => inner.prop_map(|schema| ("else", schema)),
            1 => Just(("if", json!({"properties": {"a": {"type": "string"}}, "required": ["a"]}))),
            1 => Just(("$ref", json!("#/$defs/B"))),
            6 => plain_member(),
        ];
        prop::collection::vec(member, 1..5).prop_map(object)
    })
    .boxed()
}

fn joint(branch: BoxedStrategy<Value>) -> impl Strategy<Value = (&'static str, Value)> {
    (prop::sample::select(&["anyOf", "oneOf", "allOf"][..]), prop::collection::vec(branch, 1..4))
        .prop_map(|(joint, branches)| (joint, branches.into()))
}

fn object(members: Vec<(&'static str, Value)>) -> Value {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A root that joins several schemas; what they refer to refers to nothing of the root.
fn root() -> impl Strategy<Value = Value> {
    let of_definitions = || prop::collection::vec(plain_member(), 1..3).prop_map(object);
    let definitions = (of_definitions(), of_definitions())
        .prop_map(|(a, b)| json!({"A": {"allOf": [a, {"$ref": "#/$defs/B"}]}, "B": b}));
    root_of(branch(), definitions.boxed())
}

/// Such a root, of which what is referred to goes in circles.
fn root_of_circles() -> impl Strategy<Value = Value> {
    let joint = || joint(branch_of_circles()).prop_map(|(joint, branches)| json!({joint: branches}));
    // What fits more where less fits another is not what a circle can say.
    let is_plain = |schema: &Value| schema.get("oneOf").is_none();
    let definition = || joint().prop_filter("no choice of just one", is_plain);
    let definitions = (definition(), definition(), definition()).prop_map(|(a, b, c)| json!({"A": a, "B": b, "C": c}));
    root_of(branch_of_circles(), definitions.boxed())
}

fn root_of(branch: BoxedStrategy<Value>, definitions: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let members = prop::collection::vec(prop_oneof![2 => joint(branch.clone()), 1 => plain_member()], 0..3);
    (members, joint(branch), definitions).prop_map(|(mut members, joint, definitions)| {
        members.push(joint);
        let mut root = object(members);
        root["type"] = "object".into();
        root["$defs"] = definitions;
        root
    })
}

fn branch_of_circles() -> BoxedStrategy<Value> {
    let plain = || prop::collection::vec(plain_member(), 1..3).prop_map(object);
    let reference = || {
        let name = prop::sample::select(&["A", "B", "C"][..]);
        name.prop_map(|name| json!({"$ref": format!("#/$defs/{name}")}))
    };
    let both = (plain(), reference()).prop_map(|(mut branch, reference)| {
        branch["allOf"] = json!([reference]);
        branch
    });
    prop_oneof![2 => plain(), 2 => reference(), 1 => both].boxed()
}

/// The schema with what its references lead to in their place. Nothing fits because of what is being written already.
fn inlined(schema: &Value, definitions: &Value, open: &[&str]) -> Value {
    match schema {
        Value::Object(members) => {
            let mut schema: Value = members
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "$ref" | "$defs"))
                .map(|(name, value)| (name.clone(), inlined(value, definitions, open)))
                .collect();
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let target = match open.contains(&reference) {
                    true => false.into(),
                    false => {
                        let open = [open, &[reference]].concat();
                        inlined(&definitions[&reference["#/$defs/".len()..]], definitions, &open)
                    }
                };
                let mut all = schema["allOf"].as_array().cloned().unwrap_or_default();
                all.push(target);
                schema["allOf"] = all.into();
            }
            schema
        }
        Value::Array(values) => values.iter().map(|value| inlined(value, definitions, open)).collect(),
        value => value.clone(),
    }
}

/// The schemas that stand in a schema and speak of the same object.
fn parts(schema: &Value) -> Vec<&Value> {
    let listed = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|joint| schema[joint].as_array()).flatten();
    let conditional = ["then", "else"].into_iter().filter_map(|word| schema.get("if").and(schema.get(word)));
    let dependent = schema["dependentSchemas"].as_object().into_iter().flat_map(|named| named.values());
    listed.chain(conditional).chain(dependent).collect()
}

fn keys(object: &Value) -> Names {
    object.as_object().into_iter().flat_map(|members| members.keys().cloned()).collect()
}

/// The names of properties that a schema describes.
fn described(schema: &Value) -> Names {
    let mut names = keys(&schema["properties"]);
    parts(schema).into_iter().for_each(|part| names.extend(described(part)));
    names
}

/// Whether a schema itself speaks of a property.
fn mentions_itself(schema: &Value, name: &str) -> bool {
    let says_nothing = |others: &Value| others.is_boolean() || others == &json!({});
    schema["properties"].get(name).is_some()
        || schema["const"].get(name).is_some()
        || schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
        || schema.get("patternProperties").is_some()
        || schema.get("additionalProperties").is_some_and(|others| !says_nothing(others))
}

/// The names of properties that a schema itself describes, by what it says of all others also those that it does not list.
fn described_itself(schema: &Value) -> Names {
    let others = &schema["additionalProperties"];
    let describes_others = others.as_object().is_some_and(|others| !others.is_empty());
    match describes_others && schema.get("patternProperties").is_none() {
        true => NAMES.iter().map(|name| (*name).to_owned()).collect(),
        false => keys(&schema["properties"]),
    }
}

fn mentions(schema: &Value, name: &str) -> bool {
    mentions_itself(schema, name) || parts(schema).into_iter().any(|part| mentions(part, name))
}

/// The schema, closed in each branch of a choice to what the branch does not speak of while another one describes it, or one of
/// a choice around it. What is `bound` is described beside the choice, and `open` is described in another branch.
fn closed(schema: &Value, bound: &Names, open: &Names) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let bound: Names = bound.iter().cloned().chain(described_itself(schema)).collect();
    let open: Names = open.iter().filter(|name| !mentions_itself(schema, name)).cloned().collect();
    let mut written = schema.clone();
    let choice = |branches: &[&Value]| -> Vec<Value> {
        let mentioned = open.iter().filter(|name| branches.iter().any(|branch| mentions(branch, name)));
        let described = branches.iter().flat_map(|branch| described(branch));
        let names: Names = described.chain(mentioned.cloned()).filter(|name| !bound.contains(name)).collect();
        let close = |branch: &&Value| {
            let (spoken, unspoken): (Names, Names) = names.iter().cloned().partition(|name| mentions(branch, name));
            let inner = closed(branch, &bound, &spoken);
            let none: Value = unspoken.into_iter().map(|name| (name, Value::from(false))).collect();
            json!({"allOf": [inner, {"properties": none}]})
        };
        branches.iter().map(close).collect()
    };
    let mut all: Vec<Value> = Vec::new();
    for joint in JOINTS {
        if let Some(branches) = members.get(joint).and_then(Value::as_array) {
            written[joint] = choice(&branches.iter().collect::<Vec<_>>()).into();
        }
    }
    if let Some(parts) = members.get("allOf").and_then(Value::as_array) {
        all.extend(parts.iter().map(|part| closed(part, &bound, &open)));
    }
    let anything = json!({});
    if members.contains_key("if") {
        let branches = ["then", "else"].map(|word| members.get(word).unwrap_or(&anything));
        let branches = choice(&branches);
        (written["then"], written["else"]) = (branches[0].clone(), branches[1].clone());
    }
    for (name, schema) in members.get("dependentSchemas").and_then(Value::as_object).into_iter().flatten() {
        let branches = choice(&[schema, &anything]);
        all.push(json!({"if": {"required": [name]}, "then": branches[0], "else": branches[1]}));
    }
    if !all.is_empty() {
        written["allOf"] = all.into();
    }
    written
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).expect("a schema")
}

/// Objects with each of these names, and one that no schema has, and each of some values behind them or none.
fn inputs() -> Vec<Value> {
    let values = [None, Some(json!("x")), Some(json!("xyz")), Some(json!(1))];
    let mut inputs = vec![json!({})];
    for name in ["a", "b", "c", "z"] {
        let with = |input: &Value| {
            let each = |value: &Option<Value>| {
                let mut input = input.clone();
                value.iter().for_each(|value| input[name] = value.clone());
                input
            };
            values.iter().map(each).collect::<Vec<_>>()
        };
        inputs = inputs.iter().flat_map(with).collect();
    }
    inputs
}

#[test]
fn a_property_is_bound_as_far_as_every_branch_binds_it() {
    let (string, integer) = (json!({"type": "string"}), json!({"type": "integer"}));
    let with_a = json!({"properties": {"a": string}});
    for (what, schema, expected) in [
        (
            "properties beside branches stay as they are",
            json!({"properties": {"a": string, "b": integer}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"a": string, "b": integer}),
        ),
        (
            "a property of one branch is a hint where others do not speak of it",
            json!({"anyOf": [with_a, {"properties": {"b": integer}}, {}, true, null]}),
            json!({"a": string, "b": integer}),
        ),
        (
            "each branch may have a schema of its own",
            json!({"oneOf": [with_a, {"properties": {"a": integer}}, {"properties": {"b": integer}}]}),
            json!({"a": {"anyOf": [string, integer]}, "b": integer}),
        ),
        (
            "a branch that requires it lets it be anything",
            json!({"anyOf": [with_a, {"required": ["a"]}]}),
            json!({"a": {"anyOf": [string, {}]}}),
        ),
        (
            "so does one with a pattern",
            json!({"anyOf": [with_a, {"patternProperties": {"^[ab]": integer}}]}),
            json!({"a": {"anyOf": [string, {}]}}),
        ),
        (
            "and one with a value that has it",
            json!({"anyOf": [with_a, {"const": {"a": 1}}]}),
            json!({"a": {"anyOf": [string, {}]}}),
        ),
        (
            "what a branch says of all others holds of it",
            json!({"anyOf": [with_a, {"additionalProperties": integer}]}),
            json!({"a": {"anyOf": [string, integer]}}),
        ),
        (
            "what is said of all others beside the branches holds of what they describe",
            json!({"additionalProperties": integer, "required": ["b"], "anyOf": [{"properties": {"a": {"minimum": 1}, "b": string}}, {}]}),
            json!({"a": integer, "b": integer}),
        ),
        (
            "what is said of all others in one branch of a sum holds of what another one describes",
            json!({"allOf": [with_a, {"additionalProperties": {"minLength": 2}, "required": ["b"]}, {"properties": {"b": string}}]}),
            json!({"a": {"allOf": [string, {"minLength": 2}]}, "b": {"allOf": [{"minLength": 2}, string]}}),
        ),
        (
            "what is forbidden beside the branches is forbidden",
            json!({"properties": {"a": false, "b": string}, "anyOf": [{"properties": {"a": integer}}, {}], "allOf": [{"properties": {"b": false}}]}),
            json!({"a": false, "b": false}),
        ),
        (
            "a branch that forbids it says nothing of its values",
            json!({"properties": {"a": {"minLength": 2}}, "oneOf": [with_a, {"properties": {"b": integer}, "additionalProperties": false}, {"properties": {"a": false}}]}),
            json!({"a": {"allOf": [{"minLength": 2}, string]}, "b": integer}),
        ),
        (
            "what stands beside the branches counts alone where not every branch says more",
            json!({"properties": {"a": string}, "oneOf": [{"properties": {"a": {"const": "x"}}}, {"properties": {"b": integer}}]}),
            json!({"a": string, "b": integer}),
        ),
        (
            "and together with what every branch says",
            json!({"properties": {"a": string}, "oneOf": [{"properties": {"a": {"const": "x"}}}, {"properties": {"a": {"const": "y"}}}]}),
            json!({"a": {"allOf": [string, {"anyOf": [{"const": "x"}, {"const": "y"}]}]}}),
        ),
        (
            "what branches inherit they say together with their own",
            json!({
                "$defs": {
                    "Pet": {"properties": {"kind": string, "name": string}, "required": ["kind"]},
                    "Dog": {"allOf": [{"$ref": "#/$defs/Pet"}, {"properties": {"kind": {"const": "dog"}, "barks": integer}}]},
                    "Cat": {"allOf": [{"$ref": "#/$defs/Pet"}, {"properties": {"kind": {"const": "cat"}}}]},
                },
                "oneOf": [{"$ref": "#/$defs/Dog"}, {"$ref": "#/$defs/Cat"}],
            }),
            json!({
                "kind": {"anyOf": [{"allOf": [string, {"const": "dog"}]}, {"allOf": [string, {"const": "cat"}]}]},
                "name": string,
                "barks": integer,
            }),
        ),
        (
            "what holds under a condition is a hint",
            json!({"properties": {"a": string}, "allOf": [{"if": {"required": ["a"]}, "then": {"properties": {"a": {"const": "x"}, "b": integer}}}, {"dependentSchemas": {"a": {"properties": {"c": integer}}}}]}),
            json!({"a": string, "b": integer, "c": integer}),
        ),
        (
            "what no object fits is passed over",
            json!({"anyOf": [{"type": "string", "properties": {"a": integer}}, {"enum": [1]}, false, with_a]}),
            json!({"a": string}),
        ),
    ] {
        let mut root = schema;
        root["type"] = "object".into();
        assert_eq!(translated(&root).0["properties"], expected, "{what}");
    }
}

/// No input is refused that fits a root and is spoken of by the branches.
fn check(root: &Value) -> Result<(), TestCaseError> {
    let (merged, _) = translated(root);
    let whole = inlined(root, &root["$defs"], &[]);
    let (merged_schema, whole, closed) =
        (validator(&merged), validator(&whole), validator(&closed(&whole, &Names::new(), &Names::new())));
    for input in inputs().iter().filter(|input| whole.is_valid(input) && closed.is_valid(input)) {
        prop_assert!(merged_schema.is_valid(input), "{} {} -> {}", input, root, merged);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_input_that_the_branches_speak_of_still_fits(root in root()) {
        check(&root)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn circles_refuse_none_either(root in root_of_circles()) {
        check(&root)?;
    }
}
