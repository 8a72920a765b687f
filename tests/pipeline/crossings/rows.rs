//! The rows of the table: what is asked, what the first provider's answer says, and what happens to it.

use tiergate::wire::door::Door;
use tiergate::wire::usage::Usage;

use super::script::{Call, CallKind, Ending, Fragments, Spelling, Step};

pub struct Row {
    pub name: &'static str,
    pub ask: Matter,
    pub step: Step,
    pub spelling: Spelling,
    pub happens: Happening,
    pub thoughts: Thoughts,
}

/// Whether clients of another API see what a model thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoughts {
    Shown,
    KeptBack,
}

/// What a request is about, beside its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    Nothing,
    /// Two tools, of which one must be called.
    Tools,
    /// Two tools, of which this one must be called.
    OneTool,
    /// One that takes any text.
    CustomTool,
    /// What two calls brought: one an image, one a failure.
    Results,
    /// An answer in a form.
    Schema,
    /// A model that thinks.
    Thought,
    /// A string at which the answer ends.
    StopString,
}

/// What becomes of the first provider's answer. Where it is no answer, the next one serves if that can still be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    Serves,
    /// It has an error's status.
    IsRefused,
    /// It is an error, with the status of an answer.
    BeginsWithError,
    /// An error ends it.
    BreaksOff,
    /// It ends without an end.
    IsCut,
    /// All providers find the request too long.
    IsRejected,
}

impl Row {
    /// Whether clients of this API can ask so.
    pub fn is_of(&self, door: Door) -> bool {
        match door {
            Door::Chat => true,
            Door::Messages => self.ask != Matter::CustomTool,
        }
    }
}

/// The string at which answers end.
pub const STOP_STRING: &str = "###";
/// Texts whose characters have up to four bytes, or several code points, and what JSON escapes.
const UNICODE: &str = "Zo\u{eb} \u{1f469}\u{200d}\u{1f467} \u{1d54f} says \"ja\"\\n\n\u{2028}e\u{301}.";

/// What the next provider says.
pub fn of_the_next() -> Step {
    Step { usage: Some(usage(0)), ..said("The next one serves.") }
}

pub fn rows() -> Vec<Row> {
    let row = |name: &'static str, ask: Matter, step: Step| {
        let step = Step { usage: Some(usage(0)), ..step };
        Row { name, ask, step, spelling: Spelling::Utf8, happens: Happening::Serves, thoughts: Thoughts::Shown }
    };
    let plain = |name: &'static str, step: Step| row(name, Matter::Nothing, step);
    let happening = |name: &'static str, happens: Happening| Row { happens, ..plain(name, said("Not all of it.")) };
    let ending = |ending: Ending| Step { ending, ..said("So far.") };
    let look = |at: usize| Call::function("look", format!("{{\"at\":{at}}}"));
    let calls = |calls: Vec<Call>| Step { calls, ..Step::default() };
    let thought = Step { thought: Some("Let me see: \u{1f469}.".to_owned()), signature: state(), ..said("Four.") };
    let hidden = Step {
        thought: Some(String::new()),
        signature: state(),
        redacted: Some("EmwKAhgB".to_owned()),
        ..said("Four.")
    };
    let thinking = |name: &'static str, step: Step| {
        let row = row(name, Matter::Thought, step);
        Row { step: Step { usage: Some(usage(15)), ..row.step }, ..row }
    };
    let custom = Call { name: "run".to_owned(), kind: CallKind::Custom, payload: format!("echo {UNICODE}") };
    vec![
        plain("text", said("Hello, world.")),
        plain("unicode", said(UNICODE)),
        Row { spelling: Spelling::Ascii, ..plain("unicode-escaped", said(UNICODE)) },
        plain("empty", Step::default()),
        row(
            "tools",
            Matter::Tools,
            Step { calls: vec![look(1), Call::function("stop", "{}"), look(2)], ..said("I look.") },
        ),
        row("tools-in-turns", Matter::Tools, Step { fragments: Fragments::InTurns, ..calls(vec![look(1), look(22)]) }),
        row("tool-without-input", Matter::OneTool, calls(vec![Call::function("stop", "")])),
        row(
            "tool-with-unicode",
            Matter::OneTool,
            calls(vec![Call::function("stop", serde_json::json!({"why": UNICODE}).to_string())]),
        ),
        row("custom-tool", Matter::CustomTool, calls(vec![custom])),
        row("results", Matter::Results, said("One was found.")),
        row("schema", Matter::Schema, said("{\"sum\":4}")),
        thinking("thought", thought.clone()),
        thinking("thought-before-calls", Step { text: None, calls: vec![look(1)], ..thought.clone() }),
        thinking("thought-hidden", hidden.clone()),
        Row { thoughts: Thoughts::KeptBack, ..thinking("thought-kept-back", thought) },
        Row { thoughts: Thoughts::KeptBack, ..thinking("thought-hidden-and-kept-back", hidden) },
        plain("refusal", Step { refusal: Some("I cannot help with that.".to_owned()), ..Step::default() }),
        plain("filtered", ending(Ending::Filtered)),
        plain("length", ending(Ending::Length)),
        plain("window", ending(Ending::Window)),
        plain("paused", ending(Ending::Paused)),
        row("stop-string", Matter::StopString, ending(Ending::StopString(STOP_STRING))),
        happening("refused-before-commit", Happening::IsRefused),
        happening("error-before-commit", Happening::BeginsWithError),
        happening("error-after-commit", Happening::BreaksOff),
        happening("cut-after-commit", Happening::IsCut),
        happening("rejected", Happening::IsRejected),
    ]
}

fn said(text: &str) -> Step {
    Step { text: Some(text.to_owned()), ..Step::default() }
}

fn state() -> Option<String> {
    Some("EqQBCkYIBxgCKkBt".to_owned())
}

fn usage(reasoning: u64) -> Usage {
    Usage { input: 100, cached_input: 40, cache_write: 10, output: 20, reasoning }
}
