//! JSON pointers in the fragments of URLs, by which the parts of a schema refer to others (RFC 6901, section 6).

use super::keywords::JOINTS;
use super::property_names::{PropertyNames, key};
use super::tree::{ROOT, Tree};
use crate::wire::json::quoted;

/// What has become of the parts of a schema since the client referred to them.
#[derive(Clone, Copy, Default)]
pub struct Changes<'c> {
    pub names: Option<&'c PropertyNames>,
    /// The definition that holds what stood at the root.
    pub moved: Option<&'c str>,
}

/// The steps from the root to what a reference leads to; nothing if it leads elsewhere.
pub fn steps(reference: &str) -> Option<Vec<String>> {
    let fragment = unescaped(reference.strip_prefix('#')?);
    if fragment.is_empty() {
        return Some(Vec::new());
    }
    let steps = fragment.strip_prefix('/')?.split('/');
    Some(steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

/// Whether merging changes what stands under a name at the root.
pub fn is_merged(name: &str) -> bool {
    name == "properties" || JOINTS.contains(&name)
}

/// A reference to where the part of the schema is now; nothing if that is where it was. It must lead somewhere in the schema, of
/// which `tree` is, unless it is to be `moved`.
pub fn followed(reference: &str, tree: &Tree<'_>, changes: Changes<'_>) -> Option<String> {
    let mut steps = steps(reference)?;
    if let Some(definition) = changes.moved {
        steps.first().filter(|step| is_merged(step))?;
        steps.splice(0..0, ["$defs".to_owned(), definition.to_owned()]);
        return Some(written(&steps));
    }
    let (mut is_changed, mut next, mut part) = (false, Step::Word, ROOT);
    for step in &mut steps {
        let has = |word: &str| tree.inner(part, word);
        let becomes = match (next, step.as_str()) {
            (Step::Property, name) => changes.names.and_then(|names| names.written(&key(&quoted(name)))),
            (Step::Word, word @ ("items" | "additionalItems")) => {
                let is_former = has("items").is_some_and(|items| tree.json(items).starts_with('['));
                let today = if word == "items" { "prefixItems" } else { "items" };
                Some(today).filter(|_| is_former && has("prefixItems").is_none())
            }
            (Step::Word, "dependencies") => Some("dependentSchemas").filter(|_| has("dependentSchemas").is_none()),
            (Step::Word | Step::Name, _) => None,
        };
        next = match (next, step.as_str()) {
            (Step::Word, "properties" | "dependentSchemas" | "dependencies") => Step::Property,
            (Step::Word, "$defs" | "definitions" | "patternProperties") => Step::Name,
            // Positions in an array are no words either, and no names.
            (Step::Word | Step::Property | Step::Name, _) => Step::Word,
        };
        part = has(step)?;
        if let Some(becomes) = becomes {
            *step = becomes.to_owned();
            is_changed = true;
        }
    }
    is_changed.then(|| written(&steps))
}

/// What a step of a pointer is.
#[derive(Clone, Copy)]
enum Step {
    Word,
    /// The name of a property.
    Property,
    /// Any other name that the client gave.
    Name,
}

/// The reference that leads there by these steps.
pub fn written(steps: &[String]) -> String {
    let steps: Vec<String> = steps.iter().map(|step| escaped(&step.replace('~', "~0").replace('/', "~1"))).collect();
    format!("#/{}", steps.join("/"))
}

/// A text as it may stand in a fragment (RFC 3986, section 3.5).
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@?".contains(&byte) => written.push(byte.into()),
            byte => written.push_str(&format!("%{byte:02X}")),
        }
    }
    written
}

/// A part of a URL without its escapes.
pub fn unescaped(part: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (bytes, mut at) = (part.as_bytes(), 0);
    let mut read = Vec::with_capacity(bytes.len());
    while let Some(byte) = bytes.get(at) {
        let code = digit(bytes.get(at + 1)).zip(digit(bytes.get(at + 2))).filter(|_| *byte == b'%');
        let code = code.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        read.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_reference_is_read_step_by_step() {
        for (reference, expected) in [
            ("#", Some(vec![])),
            ("#/$defs/a~1b/~01", Some(vec!["$defs", "a/b", "~1"])),
            ("#/%24defs/a%20b/0", Some(vec!["$defs", "a b", "0"])),
            ("#/a%2Fb/100%", Some(vec!["a", "b", "100%"])),
            ("#anchor", None),
            ("https://example.com/schema#/a", None),
        ] {
            assert_eq!(
                steps(reference),
                expected.map(|steps| steps.into_iter().map(str::to_owned).collect()),
                "{reference}"
            );
        }
    }

    #[test]
    fn a_reference_follows_what_it_leads_to() {
        let odd = ["\"$end\"", "\"a/b\""];
        let names = PropertyNames::of(&odd, &BTreeSet::new()).expect("odd names");
        let [end, a_b] = ["$end", "a/b"].map(|name| names.written(name).expect("a name"));
        let renamed = Changes { names: Some(&names), moved: None };
        let moved = Changes { names: None, moved: Some("root") };
        let tree = Tree::of(
            r##"{"properties":{"$end":{},"plain":{},"items":{"items":[{}],"additionalItems":{},"type":"array"},"one":{"items":{"0":{}},"additionalItems":{}},
                "both":{"items":[{}],"prefixItems":[{}],"additionalItems":{}}},
            "$defs":{"$end":{"properties":{"properties":{"anyOf":[{"properties":{"a/b":{}}}]}}},"a":{}},
            "dependencies":{"$end":{"items":[{}]}}}"##,
        );
        for (reference, changes, expected) in [
            ("#/properties/%24end", renamed, Some(format!("#/properties/{end}"))),
            (
                "#/$defs/$end/properties/properties/anyOf/0/properties/a~1b",
                renamed,
                Some(format!("#/$defs/$end/properties/properties/anyOf/0/properties/{a_b}")),
            ),
            ("#/dependencies/$end/items/0", renamed, Some(format!("#/dependentSchemas/{end}/prefixItems/0"))),
            ("#/properties/plain", renamed, None),
            ("#/properties/items/items/0", Changes::default(), Some("#/properties/items/prefixItems/0".to_owned())),
            ("#/properties/items/additionalItems", Changes::default(), Some("#/properties/items/items".to_owned())),
            ("#/properties/one/items/0", Changes::default(), None),
            ("#/properties/one/additionalItems", Changes::default(), None),
            ("#/properties/both/additionalItems", Changes::default(), None),
            ("#/anyOf/0/properties/a~1b", moved, Some("#/$defs/root/anyOf/0/properties/a~1b".to_owned())),
            ("#/anyOf/0/properties/a%20b%25", moved, Some("#/$defs/root/anyOf/0/properties/a%20b%25".to_owned())),
            ("#/%61nyOf/0", moved, Some("#/$defs/root/anyOf/0".to_owned())),
            ("#/$defs/a", moved, None),
            ("#", moved, None),
            ("#anchor", moved, None),
        ] {
            assert_eq!(followed(reference, &tree, changes), expected, "{reference}");
        }
    }
}
