//! The table of the differences that are known, each with its reason.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::difference::Difference;
use crate::oracle::Oracle;

/// What is translated.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Request,
    Answer,
    Stream,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Answer => "answer",
            Self::Stream => "stream",
        }
    }
}

/// A rule that explains differences. In patterns `*` stands for any text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the other translator does, or the gateway alone.
    pub rule: String,
    /// Names of packages.
    pub oracles: Vec<String>,
    pub kinds: Vec<Kind>,
    /// Patterns of the places that differ.
    pub paths: Vec<String>,
    /// Patterns of the names of cases; any, if there are none.
    #[serde(default)]
    pub cases: Vec<String>,
    /// A pattern of what the gateway says there, as JSON.
    pub ours: Option<String>,
    pub theirs: Option<String>,
    /// Why the gateway is right.
    pub why: String,
    /// Where that is written.
    pub source: String,
}

/// A difference and where it was found.
pub struct Found<'a> {
    pub oracle: Oracle,
    pub kind: Kind,
    pub case: &'a str,
    pub difference: &'a Difference,
}

/// What a rule names that can explain something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Oracle(String),
    Kind(Kind),
    Path(String),
    Case(String),
}

impl Rule {
    /// What of the rule explains `found`; nothing if it does not.
    pub fn explains(&self, found: &Found<'_>) -> Option<Vec<Part>> {
        let says = |pattern: &Option<String>, value: &Value| {
            pattern.as_ref().is_none_or(|pattern| matches(pattern, &value.to_string()))
        };
        let oracle = self.oracles.iter().find(|name| *name == found.oracle.name())?;
        let kind = self.kinds.iter().find(|kind| **kind == found.kind)?;
        let path = self.paths.iter().find(|pattern| matches(pattern, &found.difference.path))?;
        let case = self.cases.iter().find(|pattern| matches(pattern, found.case));
        let fits = (case.is_some() || self.cases.is_empty())
            && says(&self.ours, &found.difference.ours)
            && says(&self.theirs, &found.difference.theirs);
        let case = case.map(|case| Part::Case(case.clone()));
        let parts = [Part::Oracle(oracle.clone()), Part::Kind(*kind), Part::Path(path.clone())];
        fits.then(|| parts.into_iter().chain(case).collect())
    }

    /// All that must have explained something for the rule to stand as it does.
    pub fn parts(&self) -> Vec<Part> {
        let oracles = self.oracles.iter().cloned().map(Part::Oracle);
        let kinds = self.kinds.iter().copied().map(Part::Kind);
        let paths = self.paths.iter().cloned().map(Part::Path);
        oracles.chain(kinds).chain(paths).chain(self.cases.iter().cloned().map(Part::Case)).collect()
    }
}

/// The rules, of which the first that fits explains a difference.
pub struct Table {
    pub rules: Vec<Rule>,
}

impl Table {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let rules: Vec<Rule> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for rule in &rules {
            // Where all others differ nobody would see what else goes wrong.
            let narrow = !rule.cases.is_empty() || rule.ours.is_some() || rule.theirs.is_some();
            let left = rule.oracles.len() + 1 < Oracle::ALL.len();
            assert!(narrow || left, "{}: a rule for all should name cases, or what is said", rule.rule);
            assert!(!rule.why.is_empty() && !rule.source.is_empty(), "{}: a reason and a source", rule.rule);
        }
        Self { rules }
    }
}

/// Whether `text` is as `pattern` says.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|head| text.strip_prefix(head)) else { return false };
    let Some(tail) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let table = [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("calls[*].input", "calls[12].input", true),
            ("calls[*].input", "calls[12].name", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
