//! The fault script: what a simulator does to the next requests, one step per request.
//!
//! A script is text such as `status=503 retry-after=2 x2; if=hello cut=3; gap=20ms *`: steps separated by `;`, each
//! a list of words, `xN` or `*` at the end saying how often it holds. The words are listed in `words` and in
//! `docs/simulators.md`. `step` holds the parsed form and its `Display`, `parse` reads the text, and here is
//! the queue that hands steps out; carrying a step out is `delivery`'s and the dialect's.

use std::str::FromStr;
use std::sync::Arc;

mod fault;
mod parse;
mod quote;
mod step;
mod token;
mod trouble;
mod words;

pub use fault::{ErrorBody, Fault, KEY};
pub use step::{Script, Shape, Step, Times};
pub use token::ScriptError;
pub use trouble::Trouble;
pub use words::WORDS;

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
            "noise=2; refusal; text=no refusal; redacted; finish=model_length",
            "refuse-beta=context-management-2025-06-27",
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
