//! What a test found: every failure with its kind, case and words, told at the end in one panic.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::random;

/// How many failures of a kind are told in full.
const TOLD: usize = 5;
/// The longest text of one failure, in bytes.
const MAX_TEXT: usize = 700;

/// The findings and the figures of one test.
pub struct Report {
    test: &'static str,
    started: Instant,
    findings: Mutex<BTreeMap<String, Vec<String>>>,
    figures: Mutex<BTreeMap<String, u64>>,
}

impl Report {
    /// An empty report of a test.
    pub fn new(test: &'static str) -> Self {
        Self { test, started: Instant::now(), findings: Mutex::default(), figures: Mutex::default() }
    }

    /// Notes a failure of `kind` in `case`.
    pub fn finding(&self, kind: impl Into<String>, case: u64, what: impl Display) {
        let mut what = what.to_string();
        if what.len() > MAX_TEXT {
            what.truncate(what.floor_char_boundary(MAX_TEXT));
            what.push('…');
        }
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.entry(kind.into()).or_default().push(format!("case {case}: {what}"));
    }

    /// Adds to a figure of the test.
    pub fn count(&self, figure: impl Into<String>, more: u64) {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner).entry(figure.into()).or_default() += more;
    }

    /// Prints the figures, and fails if anything was found.
    pub fn finish(self) {
        let figures = self.figures.into_inner().unwrap_or_else(PoisonError::into_inner);
        let findings = self.findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        let figures: Vec<String> = figures.iter().map(|(figure, count)| format!("{figure} {count}")).collect();
        let (seed, seconds) = (random::seed(), self.started.elapsed().as_secs_f64());
        let title = format!("hostile {}, seed {seed}, {seconds:.1} s: {}", self.test, figures.join(", "));
        println!("{title}");
        if findings.is_empty() {
            return;
        }
        let mut text = title;
        for (kind, cases) in &findings {
            text.push_str(&format!("\n  {kind}: {} times", cases.len()));
            for case in cases.iter().take(TOLD) {
                text.push_str(&format!("\n    {case}"));
            }
        }
        panic!("{text}");
    }
}
