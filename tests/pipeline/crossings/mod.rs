//! One table: what every door makes of every dialect, for each thing that an answer can say or that can happen to it.
//!
//! A row is a request and one neutral answer; a column is a door, a dialect and a form. The walk's stations write the answer in the
//! dialect, it takes the whole way of a request, and what the client gets is read by strict readers of its API and compared with
//! what the answer says. What went up, the headers and the log line are checked as well. A further door is a request and a reader,
//! a further dialect a station and a reader of requests: the compiler names the places.
//!
//! What clients get stands in files, which `clients` validates by the types of the official SDKs.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tiergate::policy::Dialect;
use tiergate::wire::door::Door;
use tiergate::wire::usage::Usage;

use crate::fake::Reply;
use crate::scenario::{FIRST, SECOND, Scenario};

#[allow(dead_code, reason = "the walk uses all of it")]
#[path = "../../golden/walk/answer.rs"]
mod answer;
mod ask;
mod chat;
#[allow(dead_code, reason = "the walk uses all of it")]
#[path = "../../golden/walk/dictionary.rs"]
mod dictionary;
mod files;
#[allow(dead_code, reason = "the walk uses all of it")]
#[path = "../../golden/walk/meaning.rs"]
mod meaning;
mod messages;
mod replies;
mod rows;
#[allow(dead_code, reason = "the walk uses all of it")]
#[path = "../../golden/walk/script.rs"]
mod script;
#[allow(dead_code, reason = "the walk uses all of it")]
#[path = "../../golden/walk/station.rs"]
mod station;
mod told;
#[path = "../../golden/messages/valid.rs"]
mod valid;

use files::Files;
use replies::Wired;
use rows::{Happening, Row, Thoughts, rows};
use told::Told;

const DOORS: [Door; 2] = [Door::Chat, Door::Messages];
const DIALECTS: [Dialect; 2] = [Dialect::OpenaiChat, Dialect::AnthropicMessages];
const FORMS: [Form; 3] = [Form::Streamed, Form::Whole, Form::Gathered];

/// Each place in a stream is one of the cuts, so far apart, of one run.
const CUT_EVERY: usize = 32;
/// Some places are the only cut of one, too. What reads a stream is tried with each place as the only cut in `tests/golden`.
const CUT_ONCE_EVERY: usize = 29;

/// How an answer goes from its provider to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a stream, all the way.
    Streamed,
    /// As one body, all the way.
    Whole,
    /// As a stream, of which the client gets one body.
    Gathered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub door: Door,
    pub dialect: Dialect,
    pub form: Form,
}

/// One place in the table.
struct Cell<'r> {
    row: &'r Row,
    column: Column,
    wired: Wired,
}

/// How the answer of a cell ends for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Served,
    /// By the next candidate.
    ServedByTheNext,
    /// An error ends what has been sent.
    Broken,
    /// There is an error, and no answer.
    Failed,
}

impl<'r> Cell<'r> {
    fn new(row: &'r Row, column: Column) -> Self {
        Self { row, column, wired: Wired::of(column, row) }
    }

    fn name(&self) -> String {
        format!("{} {:?}", self.row.name, self.column)
    }

    fn outcome(&self) -> Outcome {
        match self.row.happens {
            Happening::Serves => Outcome::Served,
            Happening::IsRejected => Outcome::Failed,
            Happening::BreaksOff | Happening::IsCut if self.column.form == Form::Streamed => Outcome::Broken,
            Happening::IsRefused | Happening::BeginsWithError | Happening::BreaksOff | Happening::IsCut => {
                Outcome::ServedByTheNext
            }
        }
    }

    fn request(&self) -> Value {
        ask::request(self.column.door, self.row.ask, self.column.form)
    }

    /// A gateway that has been asked nothing yet.
    fn scenario(&self) -> Scenario {
        let path = match self.column.door {
            Door::Chat => "/v1/chat/completions",
            Door::Messages => "/v1/messages",
        };
        let policy = replies::policy_of(self.column, self.row);
        Scenario::new().policy(policy).path(Method::POST, path).header("x-route-tier", "large").ask(self.request())
    }

    /// What the next candidate says, if it is asked.
    fn next(&self) -> Wired {
        match self.outcome() {
            Outcome::Failed => Wired::of(self.column, self.row),
            Outcome::Served | Outcome::ServedByTheNext | Outcome::Broken => {
                Wired::answer(self.column, &rows::of_the_next(), self.row.spelling)
            }
        }
    }

    fn check(&self, files: &mut Files) {
        // An overloaded provider is asked once more.
        let mut scenario = self.scenario();
        for _ in 0..2 {
            scenario = scenario.provider(FIRST, self.wired.reply());
        }
        let scenario = scenario.provider(SECOND, self.next().reply()).run();
        self.check_answer(&scenario);
        self.check_request(&scenario);
        self.check_records(&scenario);
        files.check(self.row, self.column, &scenario.text());
    }

    /// What the client reads is what the provider says.
    fn check_answer(&self, scenario: &Scenario) {
        let (name, text) = (self.name(), scenario.text());
        let Column { door, dialect, form } = self.column;
        let outcome = self.outcome();
        let is_stream = form == Form::Streamed && outcome != Outcome::Failed;
        let status = if outcome == Outcome::Failed { 400 } else { 200 };
        assert_eq!(scenario.status(), status, "{name}: {text}");
        let content_type = if is_stream { "text/event-stream" } else { "application/json" };
        assert!(scenario.response_header("content-type").starts_with(content_type), "{name}");
        assert_eq!(scenario.fake.answer.borrow().finished, outcome != Outcome::Broken, "{name}: a clean end");
        let step = match outcome {
            Outcome::Served => &self.row.step,
            Outcome::ServedByTheNext => &rows::of_the_next(),
            Outcome::Broken | Outcome::Failed => {
                let error = match (door, outcome == Outcome::Failed) {
                    (Door::Chat, true) => chat::read_error(&text),
                    (Door::Chat, false) => chat::read_broken(&text),
                    (Door::Messages, true) => messages::read_error(&text),
                    (Door::Messages, false) => messages::read_broken(&text),
                };
                error.unwrap_or_else(|fault| panic!("{name}: {fault}\n{text}"));
                return;
            }
        };
        let read = match (door, form) {
            (Door::Chat, Form::Streamed) => chat::read_stream(&text),
            (Door::Chat, Form::Whole | Form::Gathered) => chat::read_whole(&text),
            (Door::Messages, Form::Streamed) => messages::read_stream(&text),
            (Door::Messages, Form::Whole | Form::Gathered) => messages::read_whole(&text),
        };
        let read = read.unwrap_or_else(|fault| panic!("{name}: {fault}\n{text}"));
        let expected = Told::expected(step, dialect, door);
        let expected = match self.row.thoughts {
            // What passes between a client and a provider of its own API is theirs.
            Thoughts::KeptBack if dialect != door.dialect() => expected.without_thoughts(),
            Thoughts::KeptBack | Thoughts::Shown => expected,
        };
        assert_eq!(read, expected, "{name}\n{text}");
    }

    /// What went up says what the client said, and its provider takes it.
    fn check_request(&self, scenario: &Scenario) {
        let (name, sent) = (self.name(), scenario.sent_to(FIRST));
        let Column { door, dialect, form } = self.column;
        assert_eq!(replies::station(dialect).judge(&sent), Ok(()), "{name}: {sent}");
        assert_eq!(sent["stream"] == true, form != Form::Whole, "{name}: {sent}");
        let (told, heard) = (ask::heard(door.dialect(), &self.request()), ask::heard(dialect, &sent));
        assert_eq!(heard, told, "{name}: {sent}");
    }

    /// What the gateway says of it, to the client and in its log.
    fn check_records(&self, scenario: &Scenario) {
        let (name, log, outcome) = (self.name(), scenario.log(), self.outcome());
        let header = |name: &str| scenario.response_header(name);
        let (served, attempt) = match outcome {
            Outcome::Served | Outcome::Broken => (["first", "one"], "first/one:200"),
            Outcome::ServedByTheNext => (["second", "two"], "second/two:200"),
            Outcome::Failed => (["", ""], ":400"),
        };
        assert_eq!([header("x-route-provider"), header("x-route-model")], served, "{name}");
        assert_eq!([header("x-route-tier"), header("x-route-source")], ["large", "header"], "{name}");
        let attempts = header("x-route-attempts");
        assert!(attempts.ends_with(attempt), "{name}: {attempts}");
        let Column { door, dialect, form } = self.column;
        let dropped = ask::dropped(door, dialect, self.row.ask);
        assert_eq!(header("x-route-dropped"), dropped, "{name}");
        assert_eq!(log["dropped"][0].as_str().unwrap_or_default(), dropped, "{name}: {log}");
        assert_eq!((&log["door"], &log["stream"]), (&json!(door.as_str()), &json!(form == Form::Streamed)), "{name}");
        let counted = match outcome {
            Outcome::Served => self.row.step.usage,
            Outcome::ServedByTheNext => rows::of_the_next().usage,
            // Of a stream that broke at most the input has been counted.
            Outcome::Broken | Outcome::Failed => None,
        };
        assert_eq!(log["error.type"].is_string(), counted.is_none(), "{name}: {log}");
        let count = |name: &str| log[format!("gen_ai.usage.{name}")].as_u64();
        let logged = count("output_tokens").map(|output| Usage {
            input: count("input_tokens").unwrap_or_default(),
            cached_input: count("cache_read.input_tokens").unwrap_or_default(),
            cache_write: count("cache_creation.input_tokens").unwrap_or_default(),
            output,
            reasoning: count("reasoning.output_tokens").unwrap_or_default(),
        });
        assert_eq!(logged, counted, "{name}: {log}");
    }

    /// The client gets the same however the provider's bytes come.
    fn check_splits(&self) {
        let name = self.name();
        let run = |reply: Reply| {
            let scenario = self.scenario().provider(FIRST, reply.clone()).provider(FIRST, reply);
            scenario.provider(SECOND, self.next().reply()).run()
        };
        let mut scenario = run(self.wired.reply());
        // What breaks before the client has anything is served by the next candidate.
        let expected = [scenario.text(), run(self.wired.reply_cut(None)).text()];
        let length = self.wired.body.len();
        let many = (1..=CUT_EVERY).map(|first| (first..length).step_by(CUT_EVERY).collect::<Vec<_>>());
        let one = (1..length).step_by(CUT_ONCE_EVERY).map(|at| vec![at]);
        for cuts in many.chain(one) {
            let Scenario { fake, .. } = &scenario;
            // What is known of the candidates, what was noted, and the time are as at the first request.
            fake.offset.take();
            fake.cache.take();
            fake.offices.take();
            fake.providers.take();
            fake.sent.take();
            fake.log.take();
            for _ in 0..2 {
                scenario = scenario.provider(FIRST, self.wired.reply_cut(cuts.iter().copied()));
            }
            scenario = scenario.provider(SECOND, self.next().reply()).again_after(Duration::ZERO);
            assert!(expected.contains(&scenario.text()), "{name} cut at {cuts:?}: {}", scenario.text());
        }
    }
}

/// The cells of these doors and dialects.
fn each_cell(doors: &[Door], dialects: &[Dialect], mut check: impl FnMut(&Cell<'_>)) {
    for row in rows() {
        for door in doors.iter().copied().filter(|door| row.is_of(*door)) {
            for dialect in dialects.iter().copied() {
                for form in FORMS {
                    check(&Cell::new(&row, Column { door, dialect, form }));
                }
            }
        }
    }
}

#[test]
fn every_answer_crosses_from_every_dialect_through_every_door() {
    let mut files = Files::default();
    each_cell(&DOORS, &DIALECTS, |cell| cell.check(&mut files));
    files.finish();
}

fn check_splits(door: Door) {
    each_cell(&[door], &DIALECTS, |cell| {
        if cell.wired.is_stream {
            cell.check_splits();
        }
    });
}

#[test]
fn no_split_of_a_stream_changes_what_a_chat_client_gets() {
    check_splits(Door::Chat);
}

#[test]
fn no_split_of_a_stream_changes_what_a_client_of_the_messages_api_gets() {
    check_splits(Door::Messages);
}
