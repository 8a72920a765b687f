//! References of a schema, as they are to be written where it goes up in the form that the API takes ([`super::schema_form`]):
//! they lead to where their targets are then, and no longer count from the URLs of schemas inside, which are left out.

use std::borrow::Cow;

use super::pointers::{self, Changes};
use super::tree::{Target, Tree};

pub struct References<'a, 'c> {
    schema: &'a str,
    changes: Changes<'c>,
    /// What they may lead to, as soon as there is one.
    tree: Option<Tree<'a>>,
    /// Whether one leads to a part of the root that merging changes.
    pub lead_into_root: bool,
}

impl<'a, 'c> References<'a, 'c> {
    pub fn new(schema: &'a str, changes: Changes<'c>) -> Self {
        Self { schema, changes, tree: None, lead_into_root: false }
    }

    /// Whether what they may lead to has been asked for.
    pub fn are_any(&self) -> bool {
        self.tree.is_some()
    }

    /// Whether anchors at a position name something for no reference any more: what is in a schema with a URL of its own is
    /// referred to by pointers.
    pub fn are_by_pointers(&mut self, position: usize) -> bool {
        self.tree().is_in_inner_resource(position)
    }

    /// A reference that stands at a position, as it is to be written; nothing if it leads nowhere.
    pub fn written(&mut self, reference: &str, position: usize) -> Option<String> {
        let target = self.tree().resolve(reference, position);
        self.led(target, reference)
    }

    /// As [`References::written`], of a dynamic one.
    pub fn written_dynamic(&mut self, reference: &str, position: usize) -> Option<String> {
        let target = self.tree().resolve_dynamic(reference, position);
        self.led(target, reference)
    }

    fn led(&mut self, target: Target<'_>, reference: &str) -> Option<String> {
        let changes = self.changes;
        let tree = self.tree();
        let local = match target {
            // Where it leads there from the root, too, it stays.
            Target::Elsewhere(url) if tree.resolve(reference, 0) == Target::Elsewhere(url.clone()) => {
                return Some(reference.to_owned());
            }
            Target::Elsewhere(url) => return Some(url),
            Target::Nowhere => return None,
            Target::Here(local) => local,
        };
        let followed = pointers::followed(&local, tree, changes).map_or(local.clone(), Cow::Owned);
        // What the root held is already where it is to be found.
        let part = tree.find(if changes.moved.is_some() { &followed } else { &local });
        let part = part.filter(|part| !tree.json(*part).starts_with('['))?;
        let is_merged = tree.is_merged(part);
        self.lead_into_root |= is_merged;
        Some(followed.into_owned())
    }

    fn tree(&mut self) -> &Tree<'a> {
        self.tree.get_or_insert_with(|| Tree::of(self.schema))
    }
}
