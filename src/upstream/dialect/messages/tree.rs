//! The parts of a schema that references may lead to, by the steps that lead there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::keywords::Keyword;
use super::pointers;
use crate::wire::json::decoded;
use crate::wire::walk::Walk;

/// The number of the whole schema among its parts.
pub const ROOT: usize = 0;

/// The objects, arrays and flags of a schema, which must be valid JSON, each with a number.
pub struct Tree<'a> {
    parts: Vec<Part<'a>>,
    /// What stands in each part, by its name or position. Of a name that comes twice the last counts.
    inner: BTreeMap<(usize, Cow<'a, str>), usize>,
    anchors: BTreeMap<Cow<'a, str>, usize>,
    /// The URL that the schema gives itself.
    url: Option<Cow<'a, str>>,
}

struct Part<'a> {
    json: &'a str,
    /// Whether merging the root changes it.
    is_merged: bool,
}

/// What is taken in.
#[derive(Clone, Copy)]
struct Value {
    kind: ValueKind,
    is_merged: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    /// A schema, or several in an array.
    Schema,
    /// Schemas by names.
    Named,
    /// What is no schema, and has no anchors.
    Other,
}

impl ValueKind {
    /// What stands under a name in such a value.
    fn below(self, name: &str) -> Self {
        match (self, Keyword::of(name)) {
            (Self::Named, _) => Self::Schema,
            // Where it is one today it has another name.
            (Self::Schema, Keyword::Schema) if name == "additionalItems" => Self::Other,
            (Self::Schema, Keyword::Properties | Keyword::Definitions | Keyword::Dependencies) => Self::Named,
            (
                Self::Schema,
                Keyword::Schema | Keyword::Condition | Keyword::NameSchema | Keyword::Items | Keyword::Schemas,
            ) => Self::Schema,
            (Self::Schema | Self::Other, _) => Self::Other,
        }
    }
}

impl<'a> Tree<'a> {
    pub fn of(schema: &'a str) -> Self {
        let mut tree = Self { parts: Vec::new(), inner: BTreeMap::new(), anchors: BTreeMap::new(), url: None };
        tree.take(&mut Walk::new(schema), Value { kind: ValueKind::Schema, is_merged: false });
        tree
    }

    /// Takes in the value that comes next. Nothing for one that nothing can lead to.
    fn take(&mut self, walk: &mut Walk<'a>, value: Value) -> Option<usize> {
        let is_merged = value.is_merged;
        let first = walk.peek()?;
        let (number, start) = (self.parts.len(), walk.position());
        match first {
            b'{' | b'[' => self.parts.push(Part { json: "", is_merged }),
            b't' | b'f' => {
                self.parts.push(Part { json: walk.value(), is_merged });
                return Some(number);
            }
            _ => {
                walk.value();
                return None;
            }
        }
        if walk.pass(b'{') {
            while let Some(written) = walk.name() {
                let name = decoded(written).unwrap_or(Cow::Borrowed(written));
                if walk.peek() == Some(b'"') {
                    let written = walk.value();
                    if value.kind == ValueKind::Schema {
                        self.take_text(number, &name, written);
                    }
                    continue;
                }
                let is_merged = is_merged || number == ROOT && pointers::is_merged(&name);
                if let Some(inner) = self.take(walk, Value { kind: value.kind.below(&name), is_merged }) {
                    self.inner.insert((number, name), inner);
                }
            }
        } else if walk.pass(b'[') {
            let mut position = 0;
            while walk.element() {
                if let Some(inner) = self.take(walk, value) {
                    self.inner.insert((number, position.to_string().into()), inner);
                }
                position += 1;
            }
        }
        if let Some(part) = self.parts.get_mut(number) {
            part.json = walk.since(start);
        }
        Some(number)
    }

    /// Takes in how a part may be called.
    fn take_text(&mut self, number: usize, name: &str, written: &'a str) {
        let is_url = match name {
            "$anchor" | "$dynamicAnchor" => false,
            "$id" => true,
            _ => return,
        };
        match decoded(written) {
            Some(anchor) if !is_url => {
                self.anchors.insert(anchor, number);
            }
            // So did draft 6 name an anchor.
            Some(url) if url.starts_with('#') => {
                self.anchors.insert(url[1..].to_owned().into(), number);
            }
            Some(url) if number == ROOT => self.url = Some(url),
            Some(_) | None => {}
        }
    }

    /// A reference without the URL of the schema itself.
    pub fn local<'r>(&self, reference: &'r str) -> Cow<'r, str> {
        let url = self.url.as_deref().map(|url| url.trim_end_matches('#')).filter(|url| !url.is_empty());
        match url.and_then(|url| reference.strip_prefix(url)) {
            Some("") => "#".into(),
            Some(fragment) if fragment.starts_with('#') => fragment.into(),
            Some(_) | None => reference.into(),
        }
    }

    /// What a reference without a URL leads to.
    pub fn find(&self, reference: &str) -> Option<usize> {
        match pointers::steps(reference) {
            Some(steps) => steps.iter().try_fold(ROOT, |part, step| self.inner(part, step)),
            None => self.anchors.get(pointers::unescaped(reference.strip_prefix('#')?).as_str()).copied(),
        }
    }

    /// What stands in a part under a name, or at a position.
    pub fn inner(&self, part: usize, step: &str) -> Option<usize> {
        self.inner.get(&(part, Cow::Borrowed(step))).copied()
    }

    pub fn json(&self, part: usize) -> &'a str {
        self.parts.get(part).map_or("", |part| part.json)
    }

    /// Whether a part is one that merging the root changes.
    pub fn is_merged(&self, part: usize) -> bool {
        self.parts.get(part).is_some_and(|part| part.is_merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reference_leads_to_is_found() {
        let tree = Tree::of(
            r##"{"$id":"https://x.y/s#","a/b":[1,{"~":true}],"anyOf":[{"$anchor":"b"},{"$id":"#c"}],"d":1,"d":{"last":{}},"e":"f","const":{"$anchor":"g"},"properties":{"not":{"$anchor":"h"}}}"##,
        );
        for (reference, expected) in [
            ("#", Some((ROOT, false))),
            ("#/a~1b/1/~0", Some((3, false))),
            ("#/anyOf/0", Some((5, true))),
            ("#b", Some((5, true))),
            ("#c", Some((6, true))),
            ("https://x.y/s#b", Some((5, true))),
            ("https://x.y/s", Some((ROOT, false))),
            ("#/d/last", Some((8, false))),
            ("#/a~1b/0", None),
            ("#/e", None),
            ("#e", None),
            ("#g", None),
            ("#h", Some((11, true))),
            ("https://x.y/s2", None),
        ] {
            let found = tree.find(&tree.local(reference));
            assert_eq!(found.map(|part| (part, tree.is_merged(part))), expected, "{reference}");
        }
    }
}
