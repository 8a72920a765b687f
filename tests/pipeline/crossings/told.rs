//! What an answer says, in no API's words: what a provider means by it, and what its client is to read in it.

use serde_json::{Value, json};
use tiergate::policy::Dialect;
use tiergate::wire::door::Door;
use tiergate::wire::usage::Usage;

use super::script::{Call, CallKind, Ending, Step};

#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub thoughts: Vec<Thought>,
    pub text: String,
    /// Where the API has a place of its own for it.
    pub refusal: Option<String>,
    pub calls: Vec<Called>,
    pub stop: Stop,
    pub usage: Usage,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Thought {
    /// Empty where it is hidden.
    pub text: String,
    pub has_state: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Called {
    pub name: String,
    pub input: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    Said,
    Calls,
    Length,
    Window,
    AtString(String),
    Paused,
    Refused,
}

impl Told {
    /// What a client of `door` is to read where a provider of `dialect` says this.
    pub fn expected(step: &Step, dialect: Dialect, door: Door) -> Self {
        Self::of_provider(step, dialect).for_client(door)
    }

    /// The same for a client that sees no words of what was thought; what keeps the state of a thought without words, it gets.
    pub fn without_thoughts(mut self) -> Self {
        self.thoughts.retain(|thought| thought.has_state && thought.text.is_empty());
        self
    }

    /// What a provider can say of it.
    fn of_provider(step: &Step, dialect: Dialect) -> Self {
        let stop = match step.ending {
            Ending::Said if step.calls.is_empty() => Stop::Said,
            Ending::Said => Stop::Calls,
            Ending::Length => Stop::Length,
            Ending::Window => Stop::Window,
            Ending::StopString(string) => Stop::AtString(string.to_owned()),
            Ending::Paused => Stop::Paused,
            Ending::Filtered => Stop::Refused,
        };
        let told = Self {
            thoughts: Vec::new(),
            text: step.text.clone().unwrap_or_default(),
            refusal: step.refusal.clone(),
            calls: step.calls.iter().map(Called::of).collect(),
            stop,
            usage: step.usage.unwrap_or_default(),
        };
        let thought = |text: &str, has_state| Thought { text: text.to_owned(), has_state };
        match dialect {
            Dialect::OpenaiChat => {
                let shown = step.thought.as_deref().filter(|text| !text.is_empty());
                Self { thoughts: shown.map(|text| thought(text, false)).into_iter().collect(), ..told.in_chat_words() }
            }
            Dialect::AnthropicMessages => {
                let stop = if told.refusal.is_some() { Stop::Refused } else { told.stop };
                let thoughts = step.thought.as_deref().into_iter().chain(step.redacted.as_ref().map(|_| ""));
                Self { thoughts: thoughts.map(|text| thought(text, true)).collect(), stop, ..told }
            }
            Dialect::OpenaiResponses => panic!("no column of the table"),
        }
    }

    fn for_client(self, door: Door) -> Self {
        match door {
            Door::Chat => self.in_chat_words(),
            // A refusal that a model words itself is a text.
            Door::Messages => match (self.stop, self.refusal) {
                (Stop::Said, Some(refusal)) => {
                    Self { text: self.text + &refusal, refusal: None, stop: Stop::Refused, ..self }
                }
                (stop, refusal) => Self { stop, refusal, ..self },
            },
        }
    }

    /// The chat API knows fewer reasons to stop.
    fn in_chat_words(self) -> Self {
        let stop = match self.stop {
            Stop::AtString(_) | Stop::Paused => Stop::Said,
            Stop::Window => Stop::Length,
            stop @ (Stop::Said | Stop::Calls | Stop::Length | Stop::Refused) => stop,
        };
        Self { stop, ..self }
    }
}

impl Called {
    fn of(call: &Call) -> Self {
        Self { name: call.name.clone(), input: call.input() }
    }
}

/// A call as a model of `dialect` makes it: what takes any text is a function with one text where there is nothing else.
pub fn as_called(call: &Call, dialect: Dialect) -> Call {
    match (dialect, call.kind) {
        (Dialect::OpenaiChat, _) | (_, CallKind::Function) => call.clone(),
        (Dialect::AnthropicMessages | Dialect::OpenaiResponses, CallKind::Custom) => {
            Call::function(&call.name, json!({"input": call.payload}).to_string())
        }
    }
}
