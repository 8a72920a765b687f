//! The parts of a schema that references may lead to, by the steps that lead there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::keywords::Keyword;
use super::{pointers, urls};
use crate::wire::json::decoded;
use crate::wire::walk::Walk;

/// The number of the whole schema among its parts.
pub const ROOT: usize = 0;
/// Its position among the resources.
const OUTERMOST: usize = 0;

/// The objects, arrays and flags of a schema, which must be valid JSON, each with a number.
pub struct Tree<'a> {
    parts: Vec<Part<'a>>,
    /// What stands in each part, by its name or position. Of a name that comes twice the last counts.
    inner: BTreeMap<(usize, Cow<'a, str>), usize>,
    /// By the position of the resource that each belongs to.
    anchors: BTreeMap<(usize, Cow<'a, str>), Anchor>,
    /// The schema itself, and those within it that have a URL of their own, outermost first.
    resources: Vec<Resource>,
    /// What each part stands in, and its name or position there, if there are several resources.
    holders: BTreeMap<usize, (usize, Cow<'a, str>)>,
}

struct Part<'a> {
    json: &'a str,
    start: usize,
    /// Whether merging the root changes it.
    is_merged: bool,
}

/// A schema to which references within it are relative.
struct Resource {
    part: usize,
    range: Range<usize>,
    /// Absolute, without a fragment.
    url: String,
}

/// What an anchor names.
#[derive(Clone, Copy)]
struct Anchor {
    part: usize,
    /// Whether dynamic references may lead here that name one of the same name.
    is_dynamic: bool,
}

/// Where a reference leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Target<'r> {
    /// To another document: its URL, with the fragment.
    Elsewhere(String),
    Nowhere,
    /// Into the schema, if anywhere, as a fragment that says how to go there from its root.
    Here(Cow<'r, str>),
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
        let (parts, inner, anchors) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut tree = Self { parts, inner, anchors, resources: Vec::new(), holders: BTreeMap::new() };
        let mut called = Called::default();
        tree.take(&mut Walk::new(schema), Value { kind: ValueKind::Schema, is_merged: false }, &mut called);
        tree.resources.push(Resource { part: ROOT, range: 0..schema.len(), url: urls::TOP.to_owned() });
        // What stands further inside is read later, but has a higher number.
        called.urls.sort_by_key(|(part, _)| *part);
        for (part, url) in called.urls {
            tree.add_resource(part, &url);
        }
        for (name, anchor) in called.anchors {
            let resource = tree.resource_at(tree.parts.get(anchor.part).map_or(0, |part| part.start));
            tree.anchors.insert((resource, name), anchor);
        }
        if tree.resources.len() > 1 {
            tree.holders = tree.inner.iter().map(|((holder, step), part)| (*part, (*holder, step.clone()))).collect();
        }
        tree
    }

    fn add_resource(&mut self, part: usize, url: &str) {
        let Some(Part { json, start, .. }) = self.parts.get(part) else { return };
        let base = self.resources.get(self.resource_at(*start)).map_or(urls::TOP, |resource| &resource.url);
        let url = urls::joined(base, url.trim_end_matches('#'));
        match self.resources.first_mut() {
            Some(root) if part == ROOT => root.url = url,
            Some(_) | None => self.resources.push(Resource { part, range: *start..start + json.len(), url }),
        }
    }

    /// The position of the innermost resource around a place in the schema.
    fn resource_at(&self, position: usize) -> usize {
        self.resources.iter().rposition(|resource| resource.range.contains(&position)).unwrap_or_default()
    }

    /// Takes in the value that comes next. Nothing for one that nothing can lead to.
    fn take(&mut self, walk: &mut Walk<'a>, value: Value, called: &mut Called<'a>) -> Option<usize> {
        let is_merged = value.is_merged;
        let first = walk.peek()?;
        let (number, start) = (self.parts.len(), walk.position());
        match first {
            b'{' | b'[' => self.parts.push(Part { json: "", start, is_merged }),
            b't' | b'f' => {
                self.parts.push(Part { json: walk.value(), start, is_merged });
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
                        called.take(number, &name, written);
                    }
                    continue;
                }
                let is_merged = is_merged || number == ROOT && pointers::is_merged(&name);
                let below = Value { kind: value.kind.below(&name), is_merged };
                if let Some(inner) = self.take(walk, below, called) {
                    self.inner.insert((number, name), inner);
                }
            }
        } else if walk.pass(b'[') {
            let mut position = 0;
            while walk.element() {
                if let Some(inner) = self.take(walk, value, called) {
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

    /// Whether a position is in a schema that has a URL of its own and is not the root.
    pub fn is_in_inner_resource(&self, position: usize) -> bool {
        self.resource_at(position) != OUTERMOST
    }

    /// Where a reference leads that stands at a position.
    pub fn resolve<'r>(&self, reference: &'r str, position: usize) -> Target<'r> {
        if self.resources.len() == 1 && reference.starts_with('#') {
            return Target::Here(reference.into());
        }
        let (address, fragment) = split(reference);
        let Some((at, resource)) = self.resource(address, position) else {
            let url = self.joined(address, position);
            let hash = if reference.contains('#') { "#" } else { "" };
            return Target::Elsewhere(format!("{}{hash}{fragment}", urls::written(&url)));
        };
        let name = pointers::unescaped(fragment);
        let is_pointer = name.is_empty() || name.starts_with('/');
        if resource.part == ROOT && (is_pointer || self.resources.len() == 1) {
            return Target::Here(format!("#{fragment}").into());
        }
        let anchored = self.anchors.get(&(at, Cow::Borrowed(name.as_str())));
        match anchored {
            _ if is_pointer => Target::Here(format!("{}{fragment}", self.pointer(resource.part)).into()),
            Some(anchor) => Target::Here(self.pointer(anchor.part).into()),
            None => Target::Nowhere,
        }
    }

    /// Where a dynamic reference leads: to the outermost schema on the way to it that has a dynamic anchor of the name of the one
    /// that it names. Where that is neither the root nor the only one, it leads nowhere, since without URLs nothing tells the way.
    pub fn resolve_dynamic<'r>(&self, reference: &'r str, position: usize) -> Target<'r> {
        let target = self.resolve(reference, position);
        let (address, fragment) = split(reference);
        let name = pointers::unescaped(fragment);
        let is_dynamic = |at: usize| {
            let anchor = self.anchors.get(&(at, Cow::Borrowed(name.as_str())));
            anchor.is_some_and(|anchor| anchor.is_dynamic)
        };
        let is_named = self.resource(address, position).is_some_and(|(at, _)| is_dynamic(at));
        match is_named && self.resources.len() > 1 {
            false => target,
            true if is_dynamic(OUTERMOST) => Target::Here(format!("#{fragment}").into()),
            true if (0..self.resources.len()).filter(|at| is_dynamic(*at)).count() == 1 => target,
            true => Target::Nowhere,
        }
    }

    /// The resource that a reference at a position is to, by its URL, and its own position.
    fn resource(&self, address: &str, position: usize) -> Option<(usize, &Resource)> {
        let at = match address.is_empty() {
            true => self.resource_at(position),
            false => {
                let url = self.joined(address, position);
                self.resources.iter().position(|resource| resource.url == url)?
            }
        };
        Some((at, self.resources.get(at)?))
    }

    /// What a URL is that stands at a position.
    fn joined(&self, address: &str, position: usize) -> String {
        let around = self.resources.get(self.resource_at(position));
        urls::joined(around.map_or(urls::TOP, |resource| &resource.url), address)
    }

    /// How to go to a part from the root, where there are several resources.
    fn pointer(&self, part: usize) -> String {
        let (mut steps, mut part) = (Vec::new(), part);
        while let Some((holder, step)) = self.holders.get(&part) {
            steps.push(step.clone().into_owned());
            part = *holder;
        }
        steps.reverse();
        if steps.is_empty() { "#".to_owned() } else { pointers::written(&steps) }
    }

    /// What a fragment leads to from the root.
    pub fn find(&self, fragment: &str) -> Option<usize> {
        match pointers::steps(fragment) {
            Some(steps) => steps.iter().try_fold(ROOT, |part, step| self.inner(part, step)),
            None => {
                let anchor = pointers::unescaped(fragment.strip_prefix('#')?);
                self.anchors.get(&(OUTERMOST, Cow::Owned(anchor))).map(|anchor| anchor.part)
            }
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

/// A reference without its fragment, and the fragment.
fn split(reference: &str) -> (&str, &str) {
    reference.split_once('#').unwrap_or((reference, ""))
}

/// How parts may be called.
#[derive(Default)]
struct Called<'a> {
    anchors: Vec<(Cow<'a, str>, Anchor)>,
    urls: Vec<(usize, Cow<'a, str>)>,
}

impl<'a> Called<'a> {
    /// Takes in a text of a schema.
    fn take(&mut self, part: usize, name: &str, written: &'a str) {
        let anchor = Anchor { part, is_dynamic: name == "$dynamicAnchor" };
        match (name, decoded(written)) {
            ("$anchor" | "$dynamicAnchor", Some(name)) => self.anchors.push((name, anchor)),
            // So did draft 6 name an anchor.
            ("$id", Some(url)) if url.starts_with('#') => self.anchors.push((url[1..].to_owned().into(), anchor)),
            ("$id", Some(url)) => self.urls.push((part, url)),
            (_, _) => {}
        }
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
            let found = match tree.resolve(reference, 0) {
                Target::Here(local) => tree.find(&local),
                Target::Elsewhere(_) | Target::Nowhere => None,
            };
            assert_eq!(found.map(|part| (part, tree.is_merged(part))), expected, "{reference}");
        }
    }

    #[test]
    fn a_reference_is_relative_to_the_url_around_it() {
        let schema = r##"{"$id":"https://x.y/s/t","$anchor":"a","$defs":{"A":{"properties":{"b":{"$ref":"!"}},"$anchor":"a","$id":"u","$defs":{"C":{"$id":"../v","items":{"$ref":"?"}}}},"D/E":{"$id":"/w"}}}"##;
        let tree = Tree::of(schema);
        let (outside, within, deepest) = (0, schema.find('!').expect("there"), schema.find('?').expect("there"));
        for (reference, position, expected) in [
            ("#/properties/b", within, "#/$defs/A/properties/b"),
            ("#", within, "#/$defs/A"),
            ("#", outside, "#"),
            ("#a", within, "#/$defs/A"),
            ("#a", outside, "#"),
            ("#a", deepest, "nowhere"),
            ("#/items", deepest, "#/$defs/A/$defs/C/items"),
            ("u", outside, "#/$defs/A"),
            ("u#a", deepest, "https://x.y/u#a"),
            ("s/u#a", deepest, "#/$defs/A"),
            ("https://x.y/v#", outside, "#/$defs/A/$defs/C"),
            ("../w", within, "#/$defs/D~1E"),
            ("t", within, "#"),
            ("t#/$defs", within, "#/$defs"),
            ("other", within, "https://x.y/s/other"),
            ("other?b#", deepest, "https://x.y/other?b#"),
        ] {
            let found = match tree.resolve(reference, position) {
                Target::Here(local) => local.into_owned(),
                Target::Elsewhere(url) => url,
                Target::Nowhere => "nowhere".to_owned(),
            };
            assert_eq!(found, expected, "{reference} at {position}");
        }
    }
}
