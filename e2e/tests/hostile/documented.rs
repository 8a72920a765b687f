//! The errors that docs/headers.md promises: no other may come.

use std::collections::BTreeSet;
use std::sync::LazyLock;

const HEADERS: &str = include_str!("../../../docs/headers.md");

/// What the page says.
pub static DOCUMENTED: LazyLock<Documented> = LazyLock::new(|| Documented::read(HEADERS));

/// Pairs of a status and a code.
pub struct Documented(BTreeSet<(u16, String)>);

impl Documented {
    /// Reads the table of error codes: a line has statuses in its first cell and codes in back-quotes in its second.
    fn read(page: &str) -> Self {
        let table = page.split("## Error codes").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
        let mut pairs = BTreeSet::new();
        for line in table.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, statuses, codes, ..] = cells[..] else { continue };
            for status in statuses.split(',').filter_map(|status| status.trim().parse().ok()) {
                let codes = codes.split('`').skip(1).step_by(2);
                pairs.extend(codes.map(|code| (status, code.to_owned())));
            }
        }
        Self(pairs)
    }

    /// Whether a status may come with a code.
    pub fn has(&self, status: u16, code: &str) -> bool {
        self.0.iter().any(|(known, name)| *known == status && name == code)
    }

    /// Whether a status may come at all.
    pub fn has_status(&self, status: u16) -> bool {
        self.0.iter().any(|(known, _)| *known == status)
    }

    /// Whether a code may come at all.
    pub fn has_code(&self, code: &str) -> bool {
        self.0.iter().any(|(_, name)| name == code)
    }
}

#[test]
fn the_documented_errors_are_read() {
    assert!(
        DOCUMENTED.has(400, "invalid_json")
            && DOCUMENTED.has(503, "no_secret")
            && DOCUMENTED.has(413, "body_too_large")
    );
    assert!(DOCUMENTED.has_code("stream_broken") && !DOCUMENTED.has(502, "no_secret") && !DOCUMENTED.has_status(505));
}
