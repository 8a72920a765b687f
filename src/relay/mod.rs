//! Passes a stream on that has begun, repairs it where the tier says so, and never ends a broken one as if it were whole.
//!
//! `[DONE]` and a clean end are sent only for a whole answer. A stream
//! that breaks is replayed or continued by another candidate; if that cannot be, the client gets one
//! `data: {"error":...}` event and an aborted transfer, which every SDK reports. At the end of what an execution may use, another
//! one goes on (`hand_on`, `hop`, and `frame` for what goes between the two); where none can, the rest of a stream that needs no
//! translation is left to the platform. `passage` is what all executions do with an answer.

pub mod frame;
mod hand_on;
pub mod hop;
mod passage;

use http::StatusCode;

use crate::attempt::answer_stream::AnswerStream;
use crate::attempt::engine::Attempts;
use crate::attempt::outcome::Outcome;
use crate::attempt::witness::Witness;
use crate::attempt::{Answer, Committed, Job, Serving, Stop};
use crate::error::{BrokenBy, Error, Kind};
use crate::platform::{ClientGone, Platform};
use crate::policy::Resume;
use crate::pop::health::Stage;
use crate::relay::hand_on::{HandedOn, hand_on};
use crate::relay::passage::{End, Interruption, Mode, Passage, Terms};
use crate::upstream::meaning::{self, Meaning};
use crate::upstream::stream::Break;
use crate::visit::Visit;
use crate::visit::settle::Ending;
use crate::wire::facts::AnswerFacts;

/// How a stream ended.
#[derive(Debug)]
pub struct Relayed {
    /// Who sent its end.
    pub serving: Serving,
    /// What it told on its way; nothing of what was handed over is known.
    pub facts: AnswerFacts,
    pub ending: Ending,
}

/// A relay under way, in the execution in which the answer has begun.
struct Relay<'r, 'a, 'v, P: Platform> {
    attempts: &'r mut Attempts<'a, 'v, P>,
    /// Who answers.
    serving: Serving,
    passage: Passage<P>,
}

/// Sends all there is, and ends the answer if it is whole.
pub fn run<P: Platform>(attempts: &mut Attempts<'_, '_, P>, serving: Serving, answer: Box<AnswerStream<P>>) -> Relayed {
    let passage = Passage::new(terms(attempts.job), answer);
    let mut relay = Relay { attempts, serving, passage };
    let result = relay.pass_on();
    let Relay { attempts, serving, passage } = relay;
    let (facts, ending) = conclude(attempts.visit, passage, result, &serving.witness);
    Relayed { serving, facts, ending }
}

fn terms<P: Platform>(job: &Job<'_, P>) -> Terms {
    Terms {
        first_piece: job.tier.deadlines.first_token,
        idle: job.tier.deadlines.idle,
        total: job.total,
        allowance: job.allowance,
        mode: Mode::of(job),
        // A client that asked for less time wants an end, not a longer answer.
        is_patient: job.is_patient,
    }
}

/// Ends the client's answer as it came to its end in this execution, but for an error, which is told where all requests end.
fn conclude<P: Platform>(
    visit: &mut Visit<'_, P>,
    mut passage: Passage<P>,
    result: Result<End, Interruption>,
    witness: &Witness,
) -> (AnswerFacts, Ending) {
    note_ignored(visit, &mut passage.answer);
    let continuation = if matches!(result, Ok(End::Limit)) { passage.continuation(visit) } else { None };
    match continuation {
        Some(continuation) => match hand_on(visit, passage, witness, &continuation) {
            HandedOn::Taken => (AnswerFacts::default(), Ending::Elsewhere),
            HandedOn::Refused(mut passage) => {
                let result = passage.settle(visit);
                end(visit, passage, result)
            }
            HandedOn::Lost(facts) => (facts, Ending::Failed(told_client(&Break::Cut))),
        },
        None => end(visit, passage, result),
    }
}

/// Ends an answer with which no other execution goes on.
fn end<P: Platform>(
    visit: &mut Visit<'_, P>,
    mut passage: Passage<P>,
    result: Result<End, Interruption>,
) -> (AnswerFacts, Ending) {
    let facts = std::mem::take(&mut passage.answer.delivery.facts);
    let ended = match result {
        Ok(End::Whole) if passage.terms.mode == Mode::Whole => Ok(Ending::Answer(StatusCode::OK, passage.answer.held)),
        Ok(End::Whole) => visit.finish().map(|()| Ending::Streamed),
        Ok(End::HandOff) => hand_over(visit, *passage.answer),
        Ok(End::Limit) if passage.may_hand_over() => hand_over(visit, *passage.answer),
        Ok(End::Limit) => {
            let message = "The answer is longer than the time of this request, or the platform, allows.";
            Ok(Ending::Failed(Error::new(Kind::StreamTimeLimit, message)))
        }
        // The provider's connection is closed before the client is told.
        Err(Interruption::Broken(broken)) => Ok(Ending::Failed(told_client(&broken))),
        Err(Interruption::Failed(error)) => Ok(Ending::Failed(error)),
        Err(Interruption::ClientGone) => Err(ClientGone),
    };
    (facts, ended.unwrap_or(Ending::ClientGone))
}

/// Notes that an answer has broken, and lets `witness` tell the POP.
fn note_broken<P: Platform>(visit: &mut Visit<'_, P>, witness: Option<&Witness>, broken: &Break, passage: &Passage<P>) {
    let outcome = Outcome::from(broken.clone());
    let stage = if passage.answer.provider.has_begun() { Stage::AfterBegin } else { Stage::BeforeBegin };
    if let Some(witness) = witness {
        witness.failed(visit.platform, &outcome, stage);
    }
    let meaning = outcome.meaning().map(|meaning| meaning.as_str().into());
    visit.note_broken(outcome.end(), meaning, passage.answer.delivery.facts.tally);
}

fn hand_over<P: Platform>(visit: &mut Visit<'_, P>, answer: AnswerStream<P>) -> Result<Ending, ClientGone> {
    let (rest, body) = answer.provider.into_rest();
    visit.hand_over(&rest, body).map(|()| Ending::HandedOver)
}

/// Counts a stream's events that were no part of an answer.
fn note_ignored<P: Platform>(visit: &mut Visit<'_, P>, answer: &mut AnswerStream<P>) {
    let ignored = std::mem::take(&mut answer.provider.ignored);
    visit.note(|record| record.ignored_events += ignored);
}

impl<P: Platform> Relay<'_, '_, '_, P> {
    fn pass_on(&mut self) -> Result<End, Interruption> {
        loop {
            match self.passage.pass_on(self.attempts.visit) {
                Err(Interruption::Broken(broken)) => {
                    let Some(again) = self.repair(&broken)? else { return Err(Interruption::Broken(broken)) };
                    note_ignored(self.attempts.visit, &mut self.passage.answer);
                    self.passage.replace(again);
                }
                other => return other,
            }
        }
    }

    /// A stream that takes the place of the broken one; nothing if there is none. The client gets comments meanwhile.
    fn repair(&mut self, broken: &Break) -> Result<Option<Box<AnswerStream<P>>>, Interruption> {
        let job = self.attempts.job;
        note_broken(self.attempts.visit, Some(&self.serving.witness), broken, &self.passage);
        let Some(mut repair) = self.passage.answer.delivery.repair() else { return Ok(None) };
        match job.tier.resume {
            Resume::Off => return Ok(None),
            Resume::Continue if !repair.text().is_empty() => {
                self.attempts.continue_after(repair.text());
                repair.go_on();
            }
            Resume::Replay | Resume::Continue => repair.replay(),
        }
        if !self.attempts.has_fresh() {
            return Ok(None);
        }
        self.attempts.visit.keep_alive();
        self.attempts.join(repair);
        let again = self.attempts.run();
        self.attempts.visit.stop_keep_alive();
        match again {
            Ok(Committed { serving, answer: Answer::Stream(answer) }) => {
                self.attempts.visit.note(|record| record.resumed += 1);
                self.serving = serving;
                Ok(Some(answer))
            }
            Ok(Committed { answer: Answer::Whole { .. }, .. }) | Err(Stop::Failed(_)) => Ok(None),
            Err(Stop::ClientGone) => Err(Interruption::ClientGone),
        }
    }
}

fn told_client(broken: &Break) -> Error {
    let by = match broken {
        Break::Error(error) => match meaning::find(None, error) {
            Meaning::Overload => BrokenBy::Overload,
            Meaning::RateLimit | Meaning::AboveRate => BrokenBy::RateLimit,
            _ => BrokenBy::Provider,
        },
        Break::Stalled => BrokenBy::Silence,
        Break::Cut | Break::EndedEarly | Break::Undecodable | Break::TooLong => BrokenBy::Provider,
    };
    let message = match broken {
        Break::Error(_) => "The provider reported an error in the middle of the answer.",
        Break::Cut => "The provider's answer broke off before it was whole.",
        Break::Stalled => "The provider's answer stalled before it was whole.",
        Break::EndedEarly => "The provider ended the answer before it was whole.",
        Break::Undecodable => "The provider sent a piece of the answer that cannot be read.",
        Break::TooLong => "The provider sent an event that is too long.",
    };
    Error::new(Kind::StreamBroken(by), message)
}
