//! JSON Schemas in the subset that the Messages API's structured output takes.
//!
//! Every object is closed; limits on numbers, lengths, items and values, and patterns that are not simple, become words in the
//! description, where the model still reads them. What cannot be said at all without changing the meaning (recursion, objects
//! with free keys, several schemas at once) makes the schema unfit, and the caller asks in words instead; what it costs of the
//! limits on all schemas of a request is told. Order is kept, since models answer in the order of the properties.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::pointers;
use crate::wire::containers::{elements, found_valid, members};
use crate::wire::json::{Field, JsonString, field, quoted, text};

/// What a pattern may not hold that the API keeps: assertions, references back, word boundaries, classes by property.
const HARD_IN_PATTERNS: [&str; 7] = ["(?", r"\b", r"\B", r"\p", r"\P", r"\k", r"\c"];
const MAX_SCHEMA_DEPTH: usize = 32;
const MAX_DEFINITIONS: usize = 256;
/// What may be read of all schemas of a request, in bytes, those of an inner one counted at each level above it.
const MAX_READ_BYTES: usize = 4 << 20;
/// A constraint that is longer is left out, not described.
const MAX_DESCRIBED_BYTES: usize = 200;

/// String formats that the API takes.
const FORMATS: [&str; 9] = ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6"];

/// How much may still be read for the schemas of one request; what is too large is asked for in words.
#[derive(Debug)]
pub struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_READ_BYTES)
    }
}

/// What a client says of a schema beside it.
#[derive(Clone, Copy, Default)]
pub struct Heading<'a> {
    pub name: Option<&'a JsonString<'a>>,
    pub description: Option<&'a JsonString<'a>>,
}

/// A schema that the API takes.
#[derive(Debug)]
pub struct Sanitised {
    pub schema: Box<RawValue>,
    /// Whether it allows more, or less, than the client's.
    pub weakened: bool,
    /// Whether it has a title, so that the name of its heading has no place.
    pub is_renamed: bool,
    pub costs: Costs,
}

/// What a schema takes of the API's limits on all schemas of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Properties that are not required.
    pub optional: usize,
    /// What has several types.
    pub unions: usize,
}

impl Costs {
    pub fn plus(self, other: Costs) -> Costs {
        Costs {
            optional: self.optional.saturating_add(other.optional),
            unions: self.unions.saturating_add(other.unions),
        }
    }
}

/// The schema, which must be valid JSON, as the API takes it, with its heading as its title and before its own description; nothing if it cannot be said.
pub fn sanitise(schema: &str, heading: Heading<'_>, budget: &mut Budget) -> Option<Sanitised> {
    let mut writer = Writer { budget: std::mem::replace(budget, Budget(0)), ..Writer::default() };
    let written = writer.schema(found_valid(schema), 0, heading);
    budget.0 = writer.budget.0;
    written?;
    let costs = writer.costs()?;
    let schema = RawValue::from_string(writer.out).ok()?;
    Some(Sanitised { schema, weakened: writer.weakened, is_renamed: writer.is_renamed, costs })
}

#[derive(Default)]
struct Writer {
    out: String,
    weakened: bool,
    is_renamed: bool,
    budget: Budget,
    /// What stands outside of definitions.
    root: Region,
    definitions: Vec<Region>,
    /// The position of each definition, by what refers to it.
    positions: BTreeMap<String, usize>,
    /// The definition that is being written.
    current: Option<usize>,
}

/// The root or a definition: what it costs, and the definitions that it refers to.
#[derive(Default)]
struct Region {
    costs: Costs,
    references: Vec<String>,
}

/// An object of the schema that is being written.
#[derive(Clone, Copy)]
struct Object {
    /// Where its members begin, in what is written.
    begin: usize,
    depth: usize,
}

impl Writer {
    /// Writes one schema. Nothing if it cannot be said.
    fn schema(&mut self, schema: &RawValue, depth: usize, heading: Heading<'_>) -> Option<()> {
        if depth > MAX_SCHEMA_DEPTH {
            return None;
        }
        self.budget.0 = self.budget.0.checked_sub(schema.get().len())?;
        let fields = flattened(members(schema)?, &mut self.budget)?;
        let get = |name: &str| field(&fields, name);
        let own = get("description").and_then(text);
        let outer = heading.description.and_then(JsonString::decode).filter(|outer| Some(outer) != own.as_ref());
        let mut described: Option<String> = match (outer, own) {
            (Some(outer), Some(own)) => Some(format!("{outer} {own}")),
            (outer, own) => outer.or(own).map(Cow::into_owned),
        };
        let mut constraints = Vec::new();
        self.out.push('{');
        let object = Object { begin: self.out.len(), depth };
        for Field { name, value } in &fields {
            match name.as_ref() {
                "description" | "additionalProperties" => {}
                "$schema" | "$id" | "$comment" | "examples" | "deprecated" | "readOnly" | "writeOnly" => {}
                "enum" if !are_simple(value) => self.describe(name, value, &mut constraints),
                "const" if !is_simple(value) => self.describe(name, value, &mut constraints),
                "minItems" if matches!(value.get(), "0" | "1") => self.field(object, name, value.get()),
                "pattern" if text(value).is_some_and(|pattern| is_simple_pattern(&pattern)) => {
                    self.field(object, name, value.get());
                }
                "type" | "enum" | "const" | "title" | "default" | "required" => self.field(object, name, value.get()),
                "format"
                    if text(value).is_some_and(|format| FORMATS.contains(&format.as_ref()) || format == "uuid") =>
                {
                    self.field(object, name, value.get());
                }
                "properties" => self.named(object, name, value)?,
                "$defs" | "definitions" if depth == 0 => self.define(object, name, value)?,
                "items" => {
                    self.name(object, name);
                    self.schema(value, depth + 1, Heading::default())?;
                }
                "anyOf" | "oneOf" => self.alternatives(object, value)?,
                // Several schemas at once could not each be closed.
                "allOf" => return None,
                "$ref" => {
                    self.refer(&text(value)?)?;
                    self.field(object, name, value.get());
                }
                name => self.describe(name, value, &mut constraints),
            }
        }
        let is_union = ["type", "anyOf", "oneOf"].into_iter().filter_map(get).any(has_several);
        self.here().costs.unions += usize::from(is_union);
        if get("anyOf").is_some() && get("oneOf").is_some() {
            return None;
        }
        match (heading.name, get("title")) {
            (Some(name), None) => self.field(object, "title", name.get()),
            (Some(name), Some(title)) => self.is_renamed |= name.get() != title.get(),
            (None, _) => {}
        }
        self.close_object(object, &fields)?;
        if !constraints.is_empty() {
            let text = described.get_or_insert_default();
            let space = if text.is_empty() { "" } else { " " };
            text.push_str(&format!("{space}({})", constraints.join(", ")));
        }
        if let Some(described) = described {
            let described = quoted(&described);
            self.field(object, "description", &described);
        }
        self.out.push('}');
        Some(())
    }

    /// Notes a constraint that the API does not keep, to be told in words.
    fn describe(&mut self, name: &str, value: &RawValue, constraints: &mut Vec<String>) {
        self.weakened = true;
        if value.get().len() <= MAX_DESCRIBED_BYTES {
            constraints.push(format!("{name}: {value}"));
        }
    }

    /// Closes what may be an object, and counts its optional properties.
    fn close_object(&mut self, object: Object, fields: &[Field<'_>]) -> Option<()> {
        let get = |name: &str| field(fields, name);
        let kind = get("type").map_or("", RawValue::get);
        if !kind.contains("\"object\"") && get("properties").is_none() {
            return Some(());
        }
        let properties = match get("properties") {
            Some(properties) => members(properties)?,
            None => Vec::new(),
        };
        let others = get("additionalProperties").map(RawValue::get);
        if properties.is_empty() && others != Some("false") {
            return None;
        }
        self.weakened |= others.is_some_and(|others| others != "false");
        let required: BTreeSet<String> = match get("required") {
            Some(required) => serde_json::from_str(required.get()).ok()?,
            None => BTreeSet::new(),
        };
        self.here().costs.optional += properties.iter().filter(|field| !required.contains(field.name.as_ref())).count();
        self.field(object, "additionalProperties", "false");
        Some(())
    }

    /// Writes an object whose values are schemas.
    fn named(&mut self, object: Object, name: &str, value: &RawValue) -> Option<()> {
        self.name(object, name);
        self.out.push('{');
        let inside = Object { begin: self.out.len(), ..object };
        for Field { name, value } in members(value)? {
            self.name(inside, &name);
            self.schema(value, object.depth + 1, Heading::default())?;
        }
        self.out.push('}');
        Some(())
    }

    fn define(&mut self, object: Object, name: &str, value: &RawValue) -> Option<()> {
        self.name(object, name);
        self.out.push('{');
        let inside = Object { begin: self.out.len(), ..object };
        let fields = members(value)?;
        if self.definitions.len() + fields.len() > MAX_DEFINITIONS {
            return None;
        }
        for Field { name: definition, value } in fields {
            self.name(inside, &definition);
            let position = self.definitions.len();
            self.current = Some(position);
            self.definitions.push(Region::default());
            self.positions.entry(format!("#/{name}/{definition}")).or_insert(position);
            self.schema(value, 1, Heading::default())?;
        }
        self.current = None;
        self.out.push('}');
        Some(())
    }

    fn alternatives(&mut self, object: Object, value: &RawValue) -> Option<()> {
        self.name(object, "anyOf");
        self.out.push('[');
        let inside = self.out.len();
        for alternative in elements(value)? {
            if self.out.len() > inside {
                self.out.push(',');
            }
            self.schema(alternative, object.depth + 1, Heading::default())?;
        }
        self.out.push(']');
        Some(())
    }

    /// Notes a reference; only those to definitions can be followed.
    fn refer(&mut self, reference: &str) -> Option<()> {
        let [holder, name] = &pointers::steps(reference)?[..] else { return None };
        self.here().references.push(format!("#/{holder}/{name}"));
        Some(())
    }

    fn here(&mut self) -> &mut Region {
        match self.current {
            Some(definition) => &mut self.definitions[definition],
            None => &mut self.root,
        }
    }

    /// What the schema costs, definitions counted wherever they are referred to. Nothing if a definition leads to itself, or a
    /// reference to nothing.
    fn costs(&self) -> Option<Costs> {
        #[derive(Clone, Copy)]
        enum State {
            Unseen,
            Open,
            Counted(Costs),
        }
        fn count(writer: &Writer, region: &Region, states: &mut [State]) -> Option<Costs> {
            region.references.iter().try_fold(region.costs, |sum, reference| {
                let at = *writer.positions.get(reference)?;
                let counted = match states[at] {
                    State::Unseen => {
                        states[at] = State::Open;
                        let counted = count(writer, &writer.definitions[at], states)?;
                        states[at] = State::Counted(counted);
                        counted
                    }
                    State::Open => return None,
                    State::Counted(counted) => counted,
                };
                Some(sum.plus(counted))
            })
        }
        let mut states = vec![State::Unseen; self.definitions.len()];
        // Also those that nothing refers to must end.
        for part in &self.definitions {
            count(self, part, &mut states)?;
        }
        count(self, &self.root, &mut states)
    }

    fn name(&mut self, object: Object, name: &str) {
        if self.out.len() > object.begin {
            self.out.push(',');
        }
        self.out.push_str(&quoted(name));
        self.out.push(':');
    }

    fn field(&mut self, object: Object, name: &str, json: &str) {
        self.name(object, name);
        self.out.push_str(json);
    }
}

/// The members of a schema, with those of the only one in `allOf` in its place, as generators write it beside a reference.
/// Nothing if both say something of the same that is not the same, but a description.
fn flattened<'a>(mut fields: Vec<Field<'a>>, budget: &mut Budget) -> Option<Vec<Field<'a>>> {
    for _ in 0..MAX_SCHEMA_DEPTH {
        let Some(at) = fields.iter().position(|field| field.name == "allOf") else { return Some(fields) };
        let all = elements(fields[at].value)?;
        let [only] = all[..] else { return None };
        budget.0 = budget.0.checked_sub(only.get().len())?;
        let behind = fields.split_off(at + 1);
        fields.pop();
        let outer = fields.iter().chain(&behind).rev();
        let mut known: BTreeMap<_, _> = outer.map(|field| (field.name.to_string(), field.value)).collect();
        for inner in members(only)? {
            match known.get(inner.name.as_ref()) {
                Some(outer) if outer.get() == inner.value.get() || inner.name == "description" => {}
                Some(_) => return None,
                None => {
                    known.insert(inner.name.to_string(), inner.value);
                    fields.push(inner);
                }
            }
        }
        fields.extend(behind);
    }
    None
}

/// Whether a value is neither an object nor a list.
fn is_simple(value: &RawValue) -> bool {
    !value.get().starts_with(['{', '['])
}

/// Whether each of a list of values is simple.
fn are_simple(values: &RawValue) -> bool {
    elements(values).is_some_and(|values| values.iter().all(|value| is_simple(value)))
}

/// Whether the API keeps a pattern.
fn is_simple_pattern(pattern: &str) -> bool {
    /// The largest count of repetitions that counts as simple.
    const MAX_REPETITIONS: u32 = 100;
    let is_reference = |pair: &[u8]| matches!(pair, [b'\\', b'1'..=b'9']);
    let counts = pattern.split('{').skip(1).filter_map(|rest| rest.split(['}', ',']).next());
    pattern.is_ascii()
        && !HARD_IN_PATTERNS.iter().any(|part| pattern.contains(part))
        && !pattern.as_bytes().windows(2).any(is_reference)
        && !pattern.contains(",}")
        && counts.map(str::parse::<u32>).all(|count| count.is_ok_and(|count| count <= MAX_REPETITIONS))
}

/// Whether a JSON array has more than one element.
fn has_several(json: &RawValue) -> bool {
    elements(json).is_some_and(|values| values.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str) -> Option<(String, bool)> {
        sanitise(schema, Heading::default(), &mut Budget::default())
            .map(|sanitised| (sanitised.schema.get().to_owned(), sanitised.weakened))
    }

    #[test]
    fn what_the_api_takes_is_kept_in_order() {
        for (schema, expected, weakened) in [
            (
                r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"enum":[1,2]}},"required":["z","a"]}"#,
                r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"enum":[1,2]}},"required":["z","a"],"additionalProperties":false}"#,
                false,
            ),
            (
                r#"{"type":"integer","minimum":1,"maximum":5,"description":"Stars."}"#,
                r#"{"type":"integer","description":"Stars. (minimum: 1, maximum: 5)"}"#,
                true,
            ),
            (r#"{"type":"string","format":"date"}"#, r#"{"type":"string","format":"date"}"#, false),
            (r#"{"type":"string","format":"isbn"}"#, r#"{"type":"string","description":"(format: \"isbn\")"}"#, true),
            (
                r#"{"oneOf":[{"type":"string"},{"type":"null"}]}"#,
                r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
                false,
            ),
            (
                r##"{"$schema":"x","$defs":{"A":{"type":"string"}},"allOf":[{"$ref":"#/$defs/A"}]}"##,
                r##"{"$defs":{"A":{"type":"string"}},"$ref":"#/$defs/A"}"##,
                false,
            ),
            (
                r#"{"description":"Outer.","allOf":[{"type":"string","description":"Inner."}],"default":"x"}"#,
                r#"{"type":"string","default":"x","description":"Outer."}"#,
                false,
            ),
            (r#"{"enum":[{"a":1},{"a":2}]}"#, r#"{"description":"(enum: [{\"a\":1},{\"a\":2}])"}"#, true),
            (r#"{"const":[1]}"#, r#"{"description":"(const: [1])"}"#, true),
            (
                r#"{"type":"array","items":{"type":"string","pattern":"^[a-z]{2,3}$"},"minItems":1}"#,
                r#"{"type":"array","items":{"type":"string","pattern":"^[a-z]{2,3}$"},"minItems":1}"#,
                false,
            ),
            (
                r#"{"type":"array","items":{"type":"string","pattern":"(?=a)b"},"minItems":2}"#,
                r#"{"type":"array","items":{"type":"string","description":"(pattern: \"(?=a)b\")"},"description":"(minItems: 2)"}"#,
                true,
            ),
            (
                r#"{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":true}"#,
                r#"{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false}"#,
                true,
            ),
        ] {
            assert_eq!(check(schema), Some((expected.to_owned(), weakened)), "{schema}");
        }
    }

    #[test]
    fn what_is_read_of_all_schemas_is_bounded() {
        let text = "x".repeat(300_000);
        let deep = format!("{}{{\"const\":\"{text}\"}}{}", r#"{"items":"#.repeat(20), "}".repeat(20));
        assert_eq!(check(&deep), None, "twenty times 300 kB");
        let flat = format!("{{\"const\":\"{text}\"}}");
        let mut budget = Budget::default();
        let fitting = (0..20).filter(|_| sanitise(&flat, Heading::default(), &mut budget).is_some()).count();
        assert_eq!(fitting, MAX_READ_BYTES / flat.len());
        assert!(sanitise("{}", Heading::default(), &mut budget).is_some(), "what is small still fits");
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for schema in [
            r##"{"type":"object","properties":{"child":{"$ref":"#"}}}"##,
            r##"{"$defs":{"A":{"$ref":"#/$defs/B"},"B":{"$ref":"#/$defs/A"}},"$ref":"#/$defs/A"}"##,
            r##"{"$ref":"#/$defs/missing"}"##,
            r##"{"$ref":"https://example.com/schema"}"##,
            r#"{"type":"object"}"#,
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
            r#"{"allOf":[{"type":"string"},{"minLength":1}]}"#,
            r#"{"anyOf":[{}],"oneOf":[{}]}"#,
            r#"{"items":true}"#,
            r#"{"items":[{}]}"#,
            "7",
            r#"{"type":"integer","allOf":[{"type":"string"}]}"#,
            &(r#"{"items":"#.repeat(100) + "{}" + &"}".repeat(100)),
        ] {
            assert_eq!(check(schema), None, "{schema}");
        }
    }

    #[test]
    fn costs_count_definitions_wherever_they_are_referred_to() {
        for (schema, optional, unions) in [
            (r#"{"type":"object","properties":{"a":{"type":["string","null"]},"b":{}},"required":["a"]}"#, 1, 1),
            (r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#, 0, 1),
            (r#"{"anyOf":[{"type":"string"}]}"#, 0, 0),
            (
                r##"{"$defs":{"A":{"type":"object","properties":{"a":{}}}},"anyOf":[{"$ref":"#/$defs/A"},{"$ref":"#/$defs/A"}]}"##,
                2,
                1,
            ),
        ] {
            let costs = sanitise(schema, Heading::default(), &mut Budget::default()).map(|sanitised| sanitised.costs);
            assert_eq!(costs, Some(Costs { optional, unions }), "{schema}");
        }
    }
}
