//! The fault script: what a simulator does to the next requests, one step per request.
//!
//! A script is text such as `status=503 retry-after=2 x2; if=hello cut=3; gap=20ms *`: steps separated by `;`, each
//! a list of words, `xN` or `*` at the end saying how often it holds. The words are listed in `WORDS` and in
//! `docs/simulators.md`. This module holds the parsed form, its `Display` and the queue that hands steps out;
//! reading the text is `parse`'s job, carrying a step out is `delivery`'s and the dialect's.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

mod parse;

pub use parse::{ScriptError, WORDS};

/// A whole script. The default one has no steps: every request gets a normal answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    pub steps: Vec<Step>,
}

/// What happens to one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub times: Times,
    /// The step concerns only requests whose body contains this text.
    pub only_if: Option<String>,
    /// Wait before the head.
    pub delay: Option<Duration>,
    /// Wait between the head (and the role chunk) and the first piece of the answer.
    pub first: Option<Duration>,
    /// Wait between the events of a stream.
    pub gap: Option<Duration>,
    pub retry_after: Option<String>,
    /// Further response headers, name and value.
    pub headers: Vec<(String, String)>,
    pub fault: Option<Fault>,
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Count(u32),
    Forever,
}

/// What the answer says instead of what the simulator would have said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    pub text: Option<String>,
    pub bytes: Option<usize>,
    pub events: Option<usize>,
    pub tier: Option<String>,
    pub confidence: Option<f64>,
    pub nonsense: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    Close,
    Reset,
    Hang,
    Empty,
    Garbage,
    /// An error body under status 200.
    ErrorInside,
    Huge(usize),
    Cut(usize),
    Stall(usize),
    ErrorEvent(usize),
    NoDone,
    NoFinish,
    /// An error answer; without a status the body's usual one holds.
    Error {
        status: Option<u16>,
        body: ErrorBody,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorBody {
    /// The provider's own envelope for the status.
    Envelope,
    Text(String),
    Quota,
    Html,
    Array,
    Flat,
    ListMessage,
    ContextLength,
    ContentPolicy,
}

impl ErrorBody {
    /// The words that name a ready body, with the status each has when the step gives none.
    pub const NAMED: &[(&str, ErrorBody, u16)] = &[
        ("quota", ErrorBody::Quota, 429),
        ("html", ErrorBody::Html, 502),
        ("array", ErrorBody::Array, 503),
        ("flat", ErrorBody::Flat, 400),
        ("list-message", ErrorBody::ListMessage, 400),
        ("context-length", ErrorBody::ContextLength, 400),
        ("content-policy", ErrorBody::ContentPolicy, 400),
    ];

    pub fn usual_status(&self) -> u16 {
        Self::NAMED.iter().find(|(_, body, _)| body == self).map_or(200, |(_, _, status)| *status)
    }
}

impl Default for Step {
    fn default() -> Self {
        Self {
            times: Times::Count(1),
            only_if: None,
            delay: None,
            first: None,
            gap: None,
            retry_after: None,
            headers: Vec::new(),
            fault: None,
            shape: Shape::default(),
        }
    }
}

impl Shape {
    /// The step dictates the text, so neither tools nor a response format is looked at.
    pub fn dictates_text(&self) -> bool {
        self.text.is_some() || self.bytes.is_some() || self.events.is_some() || self.nonsense
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        parse::parse(text)
    }
}

/// Steps still to be handed out.
#[derive(Default)]
pub struct Queue {
    steps: Vec<(Times, Arc<Step>)>,
}

impl From<Script> for Queue {
    fn from(script: Script) -> Self {
        Self { steps: script.steps.into_iter().map(|step| (step.times, Arc::new(step))).collect() }
    }
}

impl Queue {
    /// The first step that concerns this body, counted as used. Steps whose `if` does not hold stay where they are.
    pub fn take(&mut self, body: &[u8]) -> Option<Arc<Step>> {
        let position = self.steps.iter().position(|(_, step)| match &step.only_if {
            Some(text) => contains(body, text.as_bytes()),
            None => true,
        })?;
        let (left, step) = &mut self.steps[position];
        let step = Arc::clone(step);
        if let Times::Count(count) = left {
            *count -= 1;
            if *count == 0 {
                self.steps.remove(position);
            }
        }
        Some(step)
    }
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    part.is_empty() || body.windows(part.len()).any(|window| window == part)
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        if let Some(text) = &self.only_if {
            words.push(format!("if={}", value(text)));
        }
        for (name, wait) in [("delay", self.delay), ("first", self.first), ("gap", self.gap)] {
            if let Some(wait) = wait {
                words.push(format!("{name}={}", duration(wait)));
            }
        }
        if let Some(fault) = &self.fault {
            words.push(fault.to_string());
        }
        if let Some(text) = &self.retry_after {
            words.push(format!("retry-after={}", value(text)));
        }
        words.extend(self.headers.iter().map(|(name, text)| format!("header={}", value(&format!("{name}: {text}")))));
        let Shape { text, bytes, events, tier, confidence, nonsense } = &self.shape;
        words.extend(text.as_ref().map(|text| format!("text={}", value(text))));
        words.extend(bytes.map(|count| format!("bytes={count}")));
        words.extend(events.map(|count| format!("events={count}")));
        words.extend(tier.as_ref().map(|tier| format!("tier={}", value(tier))));
        words.extend(confidence.map(|number| format!("confidence={number}")));
        words.extend(nonsense.then(|| "nonsense".to_owned()));
        if words.iter().all(|word| word.starts_with("if=")) {
            words.push("ok".to_owned());
        }
        match self.times {
            Times::Count(1) => {}
            Times::Count(count) => words.push(format!("x{count}")),
            Times::Forever => words.push("*".to_owned()),
        }
        f.write_str(&words.join(" "))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Close => f.write_str("close"),
            Fault::Reset => f.write_str("reset"),
            Fault::Hang => f.write_str("hang"),
            Fault::Empty => f.write_str("empty"),
            Fault::Garbage => f.write_str("garbage"),
            Fault::ErrorInside => f.write_str("error-200"),
            Fault::Huge(count) => write!(f, "huge={count}"),
            Fault::Cut(count) => write!(f, "cut={count}"),
            Fault::Stall(count) => write!(f, "stall={count}"),
            Fault::ErrorEvent(count) => write!(f, "error-event={count}"),
            Fault::NoDone => f.write_str("no-done"),
            Fault::NoFinish => f.write_str("no-finish"),
            Fault::Error { status, body } => {
                let status = status.map(|status| format!("status={status}"));
                let body = match body {
                    ErrorBody::Envelope => None,
                    ErrorBody::Text(text) => Some(format!("body={}", value(text))),
                    named => ErrorBody::NAMED
                        .iter()
                        .find(|(_, body, _)| body == named)
                        .map(|(name, _, _)| (*name).to_owned()),
                };
                f.write_str(&status.into_iter().chain(body).collect::<Vec<_>>().join(" "))
            }
        }
    }
}

fn duration(wait: Duration) -> String {
    let millis = wait.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

/// The value as the parser reads it back: bare where that is safe, else quoted.
fn value(text: &str) -> String {
    let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:,+".contains(c));
    if bare {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_reads_back_as_it_is_written() {
        let scripts = [
            "",
            "ok",
            "ok x3",
            "status=503 retry-after=2 x2; ok",
            "delay=500ms first=2s gap=100ms",
            "status=500 body=\"a \\\"b\\\"\\n; c\\\\d\"",
            "body=plain",
            "quota; html; status=504 html; array; flat; list-message; context-length; content-policy",
            "close; reset; hang; empty; garbage; error-200; no-done; no-finish",
            "cut=3; stall=0; error-event=2; huge=70000",
            "header=\"x-should-retry: false\" header=\"a: b\"",
            "text=\"hello there\" gap=5ms *",
            "bytes=100000 events=50",
            "tier=reasoning confidence=0.3; nonsense",
            "if=\"the question\" status=429 *; if=other ok; ok *",
        ];
        for text in scripts {
            let script: Script = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            let written = script.to_string();
            assert_eq!(written.parse::<Script>().as_ref(), Ok(&script), "{text} was written as {written}");
        }
    }

    #[test]
    fn steps_are_used_once_each_then_nothing_is_scripted() {
        let mut queue = Queue::from("status=503 x2; close".parse::<Script>().unwrap());
        let faults: Vec<_> = (0..4).map(|_| queue.take(b"x").and_then(|step| step.fault.clone())).collect();
        let unavailable = Some(Fault::Error { status: Some(503), body: ErrorBody::Envelope });
        assert_eq!(faults, [unavailable.clone(), unavailable, Some(Fault::Close), None]);
    }

    #[test]
    fn a_step_for_ever_is_never_used_up() {
        let mut queue = Queue::from("ok; hang *".parse::<Script>().unwrap());
        assert_eq!(queue.take(b"").unwrap().fault, None);
        for _ in 0..5 {
            assert_eq!(queue.take(b"").unwrap().fault, Some(Fault::Hang));
        }
    }

    #[test]
    fn a_conditional_step_waits_for_its_request() {
        let mut queue = Queue::from("if=apple close; reset".parse::<Script>().unwrap());
        assert_eq!(queue.take(b"a pear").unwrap().fault, Some(Fault::Reset));
        assert!(queue.take(b"a pear").is_none());
        assert_eq!(queue.take(b"an apple").unwrap().fault, Some(Fault::Close));
        assert!(queue.take(b"an apple").is_none());
    }
}
