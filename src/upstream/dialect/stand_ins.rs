//! Names that stand for those which an API does not take: of tools, and of their properties.
//!
//! What stands for a name follows from the name, so it is the same in every request of a conversation: its beginning, and a part
//! of its hash. Which name one stands for is known from the request alone, and nothing else is taken for one.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::wire::carried::Carried;

/// How many digits of a name's hash stand behind its beginning.
const HASH_DIGITS: usize = 10;

/// The names that an API takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The longest, in bytes.
    pub limit: usize,
    /// What they may hold beside letters and digits.
    pub marks: &'static [u8],
}

impl Form {
    /// Whether a name holds nothing else and is not too long. The empty name is no exception.
    pub fn takes(self, name: &[u8]) -> bool {
        name.len() <= self.limit && name.iter().all(|byte| self.takes_byte(*byte))
    }

    fn takes_byte(self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || self.marks.contains(&byte)
    }

    /// What stands for a name; another one in each round.
    pub fn stand_in(self, name: &str, round: u32) -> String {
        let plain = |c: char| if c.is_ascii() && self.takes_byte(c as u8) { c } else { '_' };
        let mut stand_in: String = name.chars().take(self.limit - HASH_DIGITS - 1).map(plain).collect();
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        if round > 0 {
            hash.update(round.to_be_bytes());
        }
        stand_in.push('_');
        for byte in hash.finalize().iter().take(HASH_DIGITS / 2) {
            stand_in.push_str(&format!("{byte:02x}"));
        }
        stand_in
    }
}

/// The names of a request for which others stand, and those.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StandIns {
    /// By the names that they stand for.
    stand_ins: BTreeMap<String, String>,
    /// By what stands for them.
    names: BTreeMap<String, String>,
}

impl StandIns {
    /// Finds what stands for a name, which is nothing that is taken and stands for no other.
    pub fn add(&mut self, name: &str, form: Form, is_taken: impl Fn(&str) -> bool) {
        if self.stand_ins.contains_key(name) {
            return;
        }
        let mut rounds = (0..).map(|round| form.stand_in(name, round));
        let free = rounds.find(|stand_in| !is_taken(stand_in) && !self.names.contains_key(stand_in));
        if let Some(stand_in) = free {
            self.names.insert(stand_in.clone(), name.to_owned());
            self.stand_ins.insert(name.to_owned(), stand_in);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What stands for a name; nothing if it stands for itself.
    pub fn written(&self, name: &str) -> Option<&str> {
        self.stand_ins.get(name).map(String::as_str)
    }

    /// The name that one stands for; nothing if it stands for itself.
    pub fn restored(&self, stand_in: &str) -> Option<&str> {
        self.names.get(stand_in).map(String::as_str)
    }

    /// Whether one of those that stand for others begins with `beginning`, and does not end there.
    pub fn go_on_after(&self, beginning: &str) -> bool {
        let behind = (Bound::Excluded(beginning), Bound::Unbounded);
        self.names.range::<str, _>(behind).next().is_some_and(|(stand_in, _)| stand_in.starts_with(beginning))
    }
}

/// Each with the name that it stands for.
impl Carried for StandIns {
    fn to_json(&self) -> Value {
        let Self { stand_ins: _, names } = self;
        names.to_json()
    }

    fn from_json(json: Value) -> Option<Self> {
        let names = BTreeMap::<String, String>::from_json(json)?;
        let mut stand_ins = BTreeMap::new();
        for (stand_in, name) in &names {
            stand_ins.insert(name.clone(), stand_in.clone());
        }
        Some(Self { stand_ins, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form { limit: 64, marks: b"_-" };

    #[test]
    fn no_two_names_have_one_that_stands_for_both() {
        let first = FORM.stand_in("a.b", 0);
        let mut names = StandIns::default();
        names.add("a.b", FORM, |name| name == first);
        names.add("a.b", FORM, |_| false);
        names.add("größe", FORM, |_| false);
        let written = names.written("a.b").expect("a name");
        assert_eq!(written, FORM.stand_in("a.b", 1));
        assert_eq!((names.restored(&first), names.restored(written)), (None, Some("a.b")));
        for name in ["a.b", "größe"] {
            let written = names.written(name).expect("a name");
            assert!(FORM.takes(written.as_bytes()), "{written}");
            assert_eq!(names.restored(written), Some(name));
        }
    }

    #[test]
    fn a_name_that_goes_on_is_told_from_one_that_ends() {
        let mut names = StandIns::default();
        for name in ["a.b", "a.c", "b.c"] {
            names.add(name, FORM, |_| false);
        }
        let whole = names.written("a.b").expect("a name").to_owned();
        for (beginning, expected) in
            [("", true), ("a", true), ("a_b_", true), ("a_d", false), ("c", false), (&whole, false)]
        {
            assert_eq!(names.go_on_after(beginning), expected, "{beginning}");
        }
    }
}
