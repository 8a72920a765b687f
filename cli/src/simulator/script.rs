//! The fault script: what a simulator does to the next requests, one step per request.
//!
//! A script is text such as `status=503 retry-after=2 x2; if=hello cut=3; gap=20ms *`: steps separated by `;`, each
//! a list of words, `xN` or `*` at the end saying how often it holds. The words are listed in `words` and in
//! `docs/simulators.md`. This module holds the parsed form, its `Display` and the queue that hands steps out;
//! reading the text is `parse`'s job, carrying a step out is `delivery`'s and the dialect's.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

mod fault;
mod parse;
mod words;

pub use fault::{ErrorBody, Fault, KEY};
pub use parse::ScriptError;
pub use words::WORDS;

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
    pub content_type: Option<String>,
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
    /// The text, and arguments of calls, in pieces of so many bytes.
    pub chunk: Option<usize>,
    /// A call of this tool, after the text where one is dictated.
    pub call: Option<String>,
    pub arguments: Option<String>,
    pub refusal: bool,
    /// The reason for the end, in the provider's word.
    pub finish: Option<String>,
    pub tier: Option<String>,
    pub confidence: Option<f64>,
    pub nonsense: bool,
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
            content_type: None,
            headers: Vec::new(),
            fault: None,
            shape: Shape::default(),
        }
    }
}

impl Step {
    /// The step dictates what is said, so neither tools nor a response format is looked at.
    pub fn dictates(&self) -> bool {
        self.shape.dictates_text()
            || self.shape.call.is_some()
            || self.shape.refusal
            || matches!(self.fault, Some(Fault::Huge(_)))
    }
}

impl Shape {
    /// The step dictates a text.
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
        if let Some(text) = &self.content_type {
            words.push(format!("type={}", value(text)));
        }
        words.extend(self.headers.iter().map(|(name, text)| format!("header={}", value(&format!("{name}: {text}")))));
        let Shape { text, bytes, events, chunk, call, arguments, refusal, finish, tier, confidence, nonsense } =
            &self.shape;
        words.extend(text.as_ref().map(|text| format!("text={}", value(text))));
        words.extend(bytes.map(|count| format!("bytes={count}")));
        words.extend(events.map(|count| format!("events={count}")));
        words.extend(chunk.map(|count| format!("chunk={count}")));
        words.extend(call.as_ref().map(|name| format!("call={}", value(name))));
        words.extend(arguments.as_ref().map(|text| format!("arguments={}", value(text))));
        words.extend(refusal.then(|| "refusal".to_owned()));
        words.extend(finish.as_ref().map(|word| format!("finish={}", value(word))));
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
            "cut=3; stall=0; error-event=2; huge=70000; truncate=12",
            "bad-event=1; text-event=2; leak-event=0; line=20000000",
            "leak-key; status=500 leak-key; status=403 body=\"no: <key>\"",
            "retry-delay=17s; retry-delay=0.5s; status=503 retry-delay=soon; rate-limit=1s; rate-limit=1500ms",
            "noise=2; refusal; text=no refusal; finish=model_length",
            "type=text/html; type=\"text/plain; charset=utf-8\" status=200",
            "text=\"a b\" chunk=3; call=get_weather arguments=\"{\\\"a\\\": 1}\"; call=f arguments=\"\"",
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
