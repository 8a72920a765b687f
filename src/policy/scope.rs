//! The names that a document defines, taken from the bare tree before anything is read.

use std::collections::BTreeMap;

use super::fault::{Faults, Path, list_valid, quote};
use super::json::Node;

/// The names that a document defines.
pub struct Scope<'a> {
    pub tiers: Names<'a>,
    pub models: Names<'a>,
    pub providers: Names<'a>,
}

/// The names of one kind of definition, with their positions.
pub struct Names<'a> {
    /// What is named, for messages.
    kind: &'static str,
    listed: Vec<&'a str>,
    positions: BTreeMap<&'a str, usize>,
    /// Whether there are definitions and each has a readable name. If not, a name that is not found may be a faulty
    /// definition's, whose fault has been noted.
    complete: bool,
}

impl<'a> Scope<'a> {
    pub fn new(root: &'a Node) -> Self {
        let mut tiers = Names::new("tier");
        match root.get("tiers") {
            Some(Node::List(items)) if !items.is_empty() => {
                for (position, item) in items.iter().enumerate() {
                    tiers.define(item.get("name").and_then(Node::as_text), position);
                }
            }
            Some(_) | None => tiers.complete = false,
        }
        let keys = |kind, field| {
            let mut names = Names::new(kind);
            match root.get(field) {
                Some(Node::Object(entries)) if !entries.is_empty() => {
                    for (key, _) in entries {
                        // A repeated key defines nothing new, so positions are those of `Map`.
                        names.define(Some(&**key), names.positions.len());
                    }
                }
                Some(_) | None => names.complete = false,
            }
            names
        };
        Scope { tiers, models: keys("model", "models"), providers: keys("provider", "providers") }
    }
}

impl<'a> Names<'a> {
    fn new(kind: &'static str) -> Self {
        Names { kind, listed: Vec::new(), positions: BTreeMap::new(), complete: true }
    }

    fn define(&mut self, name: Option<&'a str>, position: usize) {
        match name {
            None => self.complete = false,
            Some(name) if self.positions.contains_key(name) => {}
            Some(name) => {
                self.listed.push(name);
                self.positions.insert(name, position);
            }
        }
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The position of a name that something refers to; notes a fault if nothing has it.
    pub fn find(&self, name: &str, path: &Path, faults: &mut Faults) -> Option<usize> {
        let position = self.position(name);
        if position.is_none() && self.complete {
            let valid = list_valid(self.listed.iter().copied());
            faults.note(path, format!("unknown {} {}; {valid}", self.kind, quote(name)));
        }
        position
    }
}
