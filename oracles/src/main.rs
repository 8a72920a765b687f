//! Puts the same requests, answers and streams through the gateway's translator and through others that know nothing of it,
//! and tells where they differ.
//!
//! Each difference is a fault of the gateway or stands, with a reason, in `differences.json`. One that does not ends the run
//! with an error, and so does an entry that explains nothing any more. The page is `docs/oracles.md`.

mod case;
mod difference;
mod form;
mod gateway;
mod made;
mod oracle;
mod outcome;
mod report;
mod table;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use crate::oracle::Oracle;
use crate::report::{Report, Shown};
use crate::table::Table;

/// How many requests and answers are made up, beside those that people wrote.
const MADE: u64 = 300;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases = case::read_all("golden", &root.join("../tests/golden/anthropic"));
    cases.extend(case::read_all("own", &root.join("cases")));
    cases.extend((0..MADE).map(made::case));
    let table = Table::read(&root.join("differences.json"));
    let ours: Vec<_> = cases.iter().map(gateway::translate).collect();
    let mut report = Report::new(&table, cases.len());
    for oracle in Oracle::ALL {
        let theirs = oracle.translate(&cases);
        assert_eq!(theirs.len(), cases.len(), "{}: one outcome for each case", oracle.name());
        for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&theirs) {
            report.compare(oracle, case, [ours, theirs]);
        }
    }
    let shown = if env::args().any(|argument| argument == "--all") { Shown::All } else { Shown::Some };
    print!("{}", report.text(shown));
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
