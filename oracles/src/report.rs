//! What was compared, what differed, and what of it the table explains.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::case::Case;
use crate::difference::{Difference, between};
use crate::form;
use crate::oracle::Oracle;
use crate::outcome::{Outcome, Translated};
use crate::table::{Found, Kind, Part, Table};

/// How many unexplained differences are shown where not all are asked for.
const SHOWN: usize = 60;

/// How much of what is not explained is shown.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    All,
    Some,
}

#[derive(Default)]
struct Count {
    compared: usize,
    same: usize,
    differences: usize,
}

/// The outcome of a run.
pub struct Report<'a> {
    table: &'a Table,
    cases: usize,
    counts: Vec<(Oracle, Kind, Count)>,
    /// For each rule how many differences it explains, and what of it has explained any.
    uses: Vec<(usize, Vec<Part>)>,
    unexplained: Vec<String>,
}

impl<'a> Report<'a> {
    pub fn new(table: &'a Table, cases: usize) -> Self {
        let uses = table.rules.iter().map(|_| (0, Vec::new())).collect();
        Self { table, cases, counts: Vec::new(), uses, unexplained: Vec::new() }
    }

    /// Compares what the gateway and another make of a case, in this order.
    pub fn compare(&mut self, oracle: Oracle, case: &Case, [ours, theirs]: [&Outcome; 2]) {
        let kinds = [
            (Kind::Request, &ours.request, &theirs.request),
            (Kind::Answer, &ours.answer, &theirs.answer),
            (Kind::Stream, &ours.stream, &theirs.stream),
        ];
        for (kind, ours, theirs) in kinds {
            let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
            let differences = differences(kind, ours, theirs);
            self.count(oracle, kind, differences.len());
            for difference in &differences {
                self.note(&Found { oracle, kind, case: &case.name, difference });
            }
        }
    }

    fn count(&mut self, oracle: Oracle, kind: Kind, differences: usize) {
        let known = |(by, of, _): &(Oracle, Kind, Count)| *by == oracle && *of == kind;
        let place = self.counts.iter().position(known).unwrap_or_else(|| {
            self.counts.push((oracle, kind, Count::default()));
            self.counts.len() - 1
        });
        let count = &mut self.counts[place].2;
        count.compared += 1;
        count.same += usize::from(differences == 0);
        count.differences += differences;
    }

    fn note(&mut self, found: &Found<'_>) {
        let explained = self.table.rules.iter().enumerate().find_map(|(at, rule)| Some((at, rule.explains(found)?)));
        match explained {
            Some((at, parts)) => {
                let (count, used) = &mut self.uses[at];
                *count += 1;
                used.extend(parts.into_iter().filter(|part| !used.contains(part)).collect::<Vec<_>>());
            }
            None => {
                let Found { oracle, kind, case, difference: Difference { path, ours, theirs } } = found;
                let place = format!("{} {} {case}: {path}", oracle.name(), kind.as_str());
                self.unexplained.push(format!("{place}\n    ours:   {ours}\n    theirs: {theirs}"));
            }
        }
    }

    /// Rules, or parts of them, that explain nothing.
    fn idle(&self) -> Vec<String> {
        let mut idle = Vec::new();
        for (rule, (_, used)) in self.table.rules.iter().zip(&self.uses) {
            let parts = rule.parts().into_iter().filter(|part| !used.contains(part));
            idle.extend(parts.map(|part| format!("{}: {part:?}", rule.rule)));
        }
        idle
    }

    /// Whether all is explained and every entry of the table explains something.
    pub fn is_clean(&self) -> bool {
        self.unexplained.is_empty() && self.idle().is_empty()
    }

    /// The report, for people.
    pub fn text(&self, shown: Shown) -> String {
        let mut text = format!("{} cases\n", self.cases);
        for (oracle, kind, Count { compared, same, differences }) in &self.counts {
            let name = format!("{} {}s", oracle.name(), kind.as_str());
            let _ = writeln!(text, "{name:32} {compared:4} compared, {same:4} the same, {differences:5} differences");
        }
        let _ = writeln!(text, "\nexplained by differences.json:");
        for (rule, (count, _)) in self.table.rules.iter().zip(&self.uses) {
            let _ = writeln!(text, "{count:6}  {}", rule.rule);
        }
        let idle = self.idle();
        if !idle.is_empty() {
            let _ = writeln!(text, "\nin differences.json, but without any effect:\n  {}", idle.join("\n  "));
        }
        if !self.unexplained.is_empty() {
            let all = self.unexplained.len();
            let shown = match shown {
                Shown::All => all,
                Shown::Some => all.min(SHOWN),
            };
            let _ = writeln!(text, "\n{all} differences without a reason:\n{}", self.unexplained[..shown].join("\n"));
        }
        text
    }
}

fn differences(kind: Kind, ours: &Translated, theirs: &Translated) -> Vec<Difference> {
    let form = match kind {
        Kind::Request => form::request::of,
        Kind::Answer => form::answer::of,
        Kind::Stream => form::stream::of,
    };
    let refused = |words: &str| -> Value { json!(words) };
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => between(&form(ours), &form(theirs)),
        (Err(_), Err(_)) => Vec::new(),
        (Err(words), Ok(_)) => {
            vec![Difference { path: "refused".to_owned(), ours: refused(words), theirs: Value::Null }]
        }
        (Ok(_), Err(words)) => {
            vec![Difference { path: "refused".to_owned(), ours: Value::Null, theirs: refused(words) }]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Rule;

    fn case() -> Case {
        Case { name: "own/one".to_owned(), request: Some(json!({})), answer: None, stream: None }
    }

    fn asked(limit: u64) -> Outcome {
        Outcome { request: Some(Ok(json!({"max_tokens": limit}))), ..Outcome::default() }
    }

    fn table(paths: &[&str]) -> Table {
        let rule: Rule = serde_json::from_value(json!({
            "rule": "another limit", "oracles": ["llm-protocol"], "kinds": ["request"], "paths": paths,
            "why": "It is.", "source": "docs/oracles.md",
        }))
        .expect("a rule");
        Table { rules: vec![rule] }
    }

    #[test]
    fn what_nobody_explains_and_what_explains_nothing_fail() {
        let none = Table { rules: Vec::new() };
        let runs = [
            ("the same", &none, [1, 1], true),
            ("without a reason", &none, [1, 2], false),
            ("with a reason", &table(&["limit"]), [1, 2], true),
            ("a rule without effect", &table(&["limit"]), [1, 1], false),
            ("a path without effect", &table(&["limit", "stop"]), [1, 2], false),
            ("a rule for another place", &table(&["stop"]), [1, 2], false),
        ];
        for (name, table, [ours, theirs], clean) in runs {
            let mut report = Report::new(table, 1);
            report.compare(Oracle::Protocol, &case(), [&asked(ours), &asked(theirs)]);
            assert_eq!(report.is_clean(), clean, "{name}: {}", report.text(Shown::All));
        }
    }

    #[test]
    fn a_refusal_is_a_difference_unless_both_refuse() {
        let refused = || Outcome { request: Some(Err("no".to_owned())), ..Outcome::default() };
        for (both, clean) in [([refused(), refused()], true), ([asked(1), refused()], false)] {
            let none = Table { rules: Vec::new() };
            let mut report = Report::new(&none, 1);
            report.compare(Oracle::Bridge, &case(), [&both[0], &both[1]]);
            assert_eq!(report.is_clean(), clean, "{}", report.text(Shown::All));
        }
    }
}
