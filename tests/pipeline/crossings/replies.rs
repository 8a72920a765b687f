//! What the providers of the table answer, on the wire, and what the policy says of them.

use std::time::Duration;

use serde_json::{Value, json};
use tiergate::policy::Dialect;

use super::rows::{self, Happening, Matter, Row};
use super::script::{Cuts, Spelling, Step, Wire};
use super::station::{Station, Thoughts, stations};
use super::told::as_called;
use super::{Column, Form};
use crate::fake::{Chunk, Reply};
use crate::scenario::{policy, reply};

/// How texts are cut into the pieces of a stream.
const PIECES: [usize; 3] = [3, 1, 5];

/// The provider of a dialect, which says all that its API has a place for.
pub fn station(dialect: Dialect) -> Station {
    let named = |name: &str| stations().into_iter().find(|station| station.name == name).expect("a station");
    match dialect {
        Dialect::OpenaiChat => {
            let mut station = named("openai");
            station.thoughts = Thoughts::Field("reasoning_content");
            station.echoes = json!({"refusal": null});
            station
        }
        Dialect::AnthropicMessages => named("anthropic"),
        Dialect::OpenaiResponses => panic!("no column of the table"),
    }
}

/// The test policy with both providers of the column's dialect.
pub fn policy_of(column: Column, row: &Row) -> Value {
    let mut policy = policy();
    let form = if column.form == Form::Gathered { "streamed" } else { "asked" };
    policy["tiers"][1]["whole"] = json!(form);
    let shows = row.thoughts == rows::Thoughts::Shown;
    let (provider, model) = match column.dialect {
        Dialect::OpenaiChat => (json!({"show_reasoning": shows}), json!({})),
        Dialect::AnthropicMessages => {
            let model = match row.ask {
                Matter::Thought => json!({"id": "claude-opus-5-5", "thinking": "always", "thinking_display": true,
                    "sampling": false, "forced_tools": false}),
                _ => json!({"id": "claude-sonnet-4-6"}),
            };
            (json!({"dialect": "anthropic-messages", "auth": "x-api-key", "show_reasoning": shows}), model)
        }
        Dialect::OpenaiResponses => panic!("no column of the table"),
    };
    let all = json!({"tools": true, "vision": true, "json_schema": true, "forced_tools": true, "sampling": true});
    for (place, more) in [("providers", &provider), ("models", &all), ("models", &model)] {
        let names = if place == "providers" { ["first", "second"] } else { ["one", "two"] };
        for name in names {
            let row = policy[place][name].as_object_mut().expect("a row");
            row.extend(more.as_object().expect("an object").clone());
        }
    }
    policy
}

/// What a provider sends.
pub struct Wired {
    status: u16,
    pub body: String,
    pub is_stream: bool,
    /// Where it pauses, if it does, so that what came before is on its way to the client.
    pauses_at: Option<usize>,
}

impl Wired {
    pub fn of(column: Column, row: &Row) -> Self {
        let answer = Self::answer(column, &row.step, row.spelling);
        match row.happens {
            Happening::Serves => answer,
            Happening::IsRefused => {
                Self { status: 503, body: error(column.dialect).to_string(), is_stream: false, ..answer }
            }
            Happening::IsRejected => {
                Self { status: 400, body: rejection(column.dialect).to_string(), is_stream: false, ..answer }
            }
            // The body of an answer that is no stream is whole, or no answer.
            Happening::BeginsWithError | Happening::BreaksOff if !answer.is_stream => {
                Self { body: error(column.dialect).to_string(), ..answer }
            }
            Happening::IsCut if !answer.is_stream => {
                Self { body: answer.body[..answer.body.len() / 2].to_owned(), ..answer }
            }
            Happening::BeginsWithError => Self { body: error_event(column.dialect), ..answer },
            Happening::BreaksOff => {
                let begun = begun(&answer.body);
                let pauses_at = Some(begun.len());
                Self { body: begun + &error_event(column.dialect), pauses_at, ..answer }
            }
            Happening::IsCut => Self { body: begun(&answer.body), ..answer },
        }
    }

    /// A whole answer that says this.
    pub fn answer(column: Column, step: &Step, spelling: Spelling) -> Self {
        let wire = Wire { form: super::script::Form::Streamed, cuts: Cuts(PIECES.to_vec()), spelling };
        let calls = step.calls.iter().map(|call| as_called(call, column.dialect)).collect();
        let (step, station) = (Step { calls, ..step.clone() }, station(column.dialect));
        let is_stream = column.form != Form::Whole;
        let body = if is_stream { station.stream(&step, 1, &wire) } else { station.whole(&step, 1, &wire) };
        Self { status: 200, body, is_stream, pauses_at: None }
    }

    pub fn reply(&self) -> Reply {
        self.reply_cut(self.pauses_at)
    }

    /// The reply with its body cut at these places, one behind the other: a character may be in two parts.
    pub fn reply_cut(&self, places: impl IntoIterator<Item = usize>) -> Reply {
        let mut begin = 0;
        let ends = places.into_iter().chain([self.body.len()]);
        let parts = ends.map(|end| &self.body.as_bytes()[std::mem::replace(&mut begin, end)..end]);
        let chunks = parts.map(|part| Chunk { delay: Duration::ZERO, bytes: Ok(part.to_vec()) }).collect();
        let content_type = if self.is_stream { "text/event-stream" } else { "application/json" };
        match reply(self.status, content_type, Vec::new()) {
            Reply::Answer { delay, status, headers, .. } => Reply::Answer { delay, status, headers, chunks },
            other => other,
        }
    }
}

/// A stream without its last events, of which the first would be the last that says something.
fn begun(stream: &str) -> String {
    let events: Vec<&str> = stream.split_inclusive("\n\n").collect();
    events[..events.len() - 3].concat()
}

fn error(dialect: Dialect) -> Value {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => {
            json!({"error": {"message": "The server is overloaded.", "type": "server_error", "param": null, "code": null}})
        }
        Dialect::AnthropicMessages => {
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": null})
        }
    }
}

fn rejection(dialect: Dialect) -> Value {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => {
            let message = "This model's maximum context length is 8 tokens. However, you requested 9 tokens.";
            json!({"error": {"message": message, "type": "invalid_request_error", "param": "messages",
                "code": "context_length_exceeded"}})
        }
        Dialect::AnthropicMessages => {
            let error = json!({"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"});
            json!({"type": "error", "error": error, "request_id": null})
        }
    }
}

fn error_event(dialect: Dialect) -> String {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => format!("data: {}\n\n", error(dialect)),
        Dialect::AnthropicMessages => format!("event: error\ndata: {}\n\n", error(dialect)),
    }
}
