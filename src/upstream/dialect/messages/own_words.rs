//! What a schema itself says of the objects that fit it, as an [`Outline`]: not what it refers to, nor its branches.

use serde_json::value::RawValue;

use super::keywords::is_object;
use super::outline::Outline;
use super::view::View;
use crate::wire::containers::{elements, members};
use crate::wire::json::{Field, field, text};

/// What a schema that has these `fields` says itself. Counts the properties that are found.
pub fn outline<'a>(fields: &[Field<'a>], found: &mut usize) -> Outline<'a> {
    if field(fields, "type").is_some_and(|kind| !is_object(kind)) {
        return Outline::empty();
    }
    let mut outline = Outline::default();
    for Field { name, value } in named(fields, "properties") {
        outline.describe(name, &View::described(value.get(), *found));
        *found += 1;
    }
    let required = field(fields, "required").and_then(elements);
    required.into_iter().flatten().filter_map(text).for_each(|name| outline.require(name));
    outline.is_open |= field(fields, "unevaluatedProperties").is_some_and(|others| others.get() != "false");
    if let Some(values) = values(fields) {
        let objects: Vec<_> = values.into_iter().filter_map(members).collect();
        if objects.is_empty() {
            outline.and(&Outline::empty());
        }
        objects.into_iter().flatten().for_each(|Field { name, .. }| outline.mention(name));
    }
    let has_patterns = !named(fields, "patternProperties").is_empty();
    outline.describe_others(has_patterns, field(fields, "additionalProperties").map(RawValue::get));
    if ["$dynamicRef", "$recursiveRef"].into_iter().any(|word| field(fields, word).is_some()) {
        outline.and(&Outline::unread());
    }
    outline
}

/// The members of an object that stands under a word.
pub fn named<'a>(fields: &[Field<'a>], word: &str) -> Vec<Field<'a>> {
    field(fields, word).and_then(members).unwrap_or_default()
}

/// The values that a schema allows, if it lists them.
fn values<'a>(fields: &[Field<'a>]) -> Option<Vec<&'a RawValue>> {
    match field(fields, "const") {
        Some(value) => Some(vec![value]),
        None => field(fields, "enum").and_then(elements),
    }
}
