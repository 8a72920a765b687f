//! The parsed form of a script, and how it is written.

use std::fmt;
use std::time::Duration;

use super::fault::Fault;
use super::quote::{duration, value};

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
    /// A request of the Messages API that names this beta is refused.
    pub refused_beta: Option<String>,
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
    /// What a model of the Messages API thinks comes as `redacted_thinking`.
    pub redacted: bool,
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
            refused_beta: None,
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

    /// How it is written.
    fn words(&self) -> Vec<String> {
        let Self { text, bytes, events, chunk, call, arguments, .. } = self;
        let Self { refusal, redacted, finish, tier, confidence, nonsense, .. } = self;
        let mut words = Vec::new();
        words.extend(text.as_ref().map(|text| format!("text={}", value(text))));
        words.extend(bytes.map(|count| format!("bytes={count}")));
        words.extend(events.map(|count| format!("events={count}")));
        words.extend(chunk.map(|count| format!("chunk={count}")));
        words.extend(call.as_ref().map(|name| format!("call={}", value(name))));
        words.extend(arguments.as_ref().map(|text| format!("arguments={}", value(text))));
        words.extend(refusal.then(|| "refusal".to_owned()));
        words.extend(redacted.then(|| "redacted".to_owned()));
        words.extend(finish.as_ref().map(|word| format!("finish={}", value(word))));
        words.extend(tier.as_ref().map(|tier| format!("tier={}", value(tier))));
        words.extend(confidence.map(|number| format!("confidence={number}")));
        words.extend(nonsense.then(|| "nonsense".to_owned()));
        words
    }
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
        words.extend(self.refused_beta.as_ref().map(|beta| format!("refuse-beta={}", value(beta))));
        words.extend(self.shape.words());
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
