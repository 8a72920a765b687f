//! What the guests' log lines of one phase say.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::log::LogLine;

const ENDPOINT: &str = "tiergate";
/// How long a line may stay away after its stream has ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// The lines of one phase, added up.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    pub count: u64,
    pub vcpu_ms: u64,
    /// Of the requests that were decided as the row says.
    pub decide_ms: Vec<f64>,
    /// Requests that failed, were decided by something else than the row says, had a reason, or were left to the platform,
    /// and the first of them.
    pub astray: u64,
    pub first_astray: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    vcpu_ms: u64,
    source: Option<String>,
    #[serde(default)]
    reason: Vec<String>,
    #[serde(rename = "error.type")]
    error: Option<String>,
    #[serde(default)]
    duration_ms: Durations,
    #[serde(default)]
    handed_off: bool,
}

#[derive(Default, Deserialize)]
struct Durations {
    decide: Option<f64>,
}

/// Throws away what is there.
pub fn drain(lines: &mut UnboundedReceiver<LogLine>) {
    while lines.try_recv().is_ok() {}
}

/// Takes all lines, and waits for at least `expected` of them. Those of the gateway must say `source`.
pub async fn collect(lines: &mut UnboundedReceiver<LogLine>, expected: u64, source: Option<&str>) -> Lines {
    let mut sum = Lines::default();
    while sum.count < expected {
        match timeout(PATIENCE, lines.recv()).await {
            Ok(Some(line)) => sum.add(&line, source),
            Ok(None) | Err(_) => break,
        }
    }
    while let Ok(line) = lines.try_recv() {
        sum.add(&line, source);
    }
    sum
}

impl Lines {
    fn add(&mut self, line: &LogLine, source: Option<&str>) {
        if line.endpoint != ENDPOINT {
            return;
        }
        self.count += 1;
        let Ok(parsed) = serde_json::from_str::<Line>(&line.text) else {
            self.note_astray(format!("a log line that cannot be read: {}", line.text));
            return;
        };
        self.vcpu_ms += parsed.vcpu_ms;
        if parsed.source.as_deref() != source || parsed.error.is_some() || !parsed.reason.is_empty() {
            let came = parsed.source.unwrap_or_else(|| "nothing".to_owned());
            let why = parsed.error.into_iter().chain(parsed.reason).collect::<Vec<_>>().join(", ");
            self.note_astray(format!("decided by {came} ({why})"));
        } else if parsed.handed_off {
            self.note_astray("left to the platform".to_owned());
        } else if let Some(decide) = parsed.duration_ms.decide {
            self.decide_ms.push(decide);
        }
    }

    fn note_astray(&mut self, what: String) {
        self.astray += 1;
        self.first_astray.get_or_insert(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_added_up_and_strays_are_named() {
        let (sink, mut lines) = tokio::sync::mpsc::unbounded_channel();
        for (endpoint, text) in [
            ("tiergate", r#"{"vcpu_ms":2,"source":"classifier","duration_ms":{"decide":1.5,"total":3}}"#),
            ("stderr", "noise"),
            (
                "tiergate",
                r#"{"vcpu_ms":1,"source":"default","reason":["classifier_timeout"],"duration_ms":{"decide":9,"total":9}}"#,
            ),
        ] {
            let (endpoint, text) = (endpoint.to_owned(), text.to_owned());
            sink.send(LogLine { endpoint, text }).expect("the reader should be there");
        }
        let sum = collect(&mut lines, 2, Some("classifier")).await;
        assert_eq!((sum.count, sum.vcpu_ms, sum.astray), (2, 3, 1));
        assert_eq!(sum.decide_ms, [1.5]);
        assert_eq!(sum.first_astray.as_deref(), Some("decided by default (classifier_timeout)"));
    }
}
