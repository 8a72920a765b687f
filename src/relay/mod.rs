//! Passes a stream on that has begun, repairs it where the tier says so, and never ends a broken one as if it were whole.
//!
//! What one read brought is written once. `[DONE]` and a clean end are sent only for a whole answer. A stream
//! that breaks is replayed or continued by another candidate; if that cannot be, the client gets one
//! `data: {"error":...}` event and an aborted transfer, which every SDK reports. Near the platform's limits the rest of a
//! stream that needs no translation is left to the platform.

use crate::attempt::answer_stream::AnswerStream;
use crate::attempt::engine::Attempts;
use crate::attempt::outcome::Outcome;
use crate::attempt::{Answer, Committed, Serving, Stop};
use crate::error::{Error, Kind};
use crate::platform::{ClientGone, Platform};
use crate::policy::{Resume, StreamMode};
use crate::pop::health::Stage;
use crate::upstream::stream::{Break, Progress};
use crate::visit::settle::Ending;
use crate::wire::facts::AnswerFacts;

/// The CPU time after which the rest of a stream is left to the platform. An execution has 50 ms.
const MAX_VCPU_MS: u64 = 35;
/// The CPU time is looked at once in so many reads, since looking takes some too.
const READS_PER_LOOK: u32 = 16;

/// How a stream ended.
#[derive(Debug)]
pub struct Relayed {
    /// Who sent its end.
    pub serving: Serving,
    /// What it told on its way; nothing of what was handed over is known.
    pub facts: AnswerFacts,
    pub ending: Ending,
}

/// How a relay that did not fail came to its end.
enum End {
    Whole,
    HandOver,
}

/// A relay under way.
struct Relay<'r, 'a, 'v, P: Platform> {
    attempts: &'r mut Attempts<'a, 'v, P>,
    /// Who answers.
    serving: Serving,
    answer: Box<AnswerStream<P>>,
}

/// Sends all there is, and ends the answer if it is whole.
pub fn run<P: Platform>(attempts: &mut Attempts<'_, '_, P>, serving: Serving, answer: Box<AnswerStream<P>>) -> Relayed {
    attempts.visit.stop_keep_alive();
    let mut relay = Relay { attempts, serving, answer };
    let result = relay.pass_on();
    relay.note_ignored();
    let Relay { attempts, serving, mut answer } = relay;
    let facts = std::mem::take(&mut answer.delivery.facts);
    let ended = match result {
        Ok(End::Whole) => attempts.visit.finish().map(|()| Ending::Streamed),
        Ok(End::HandOver) => {
            let (rest, body) = answer.provider.into_rest();
            attempts.visit.hand_over(&rest, body).map(|()| Ending::HandedOver)
        }
        // The provider's connection is closed before the client is told.
        Err(Stop::Failed(error)) => Ok(Ending::Failed(error)),
        Err(Stop::ClientGone) => Err(ClientGone),
    };
    Relayed { serving, facts, ending: ended.unwrap_or(Ending::ClientGone) }
}

enum Ready {
    /// The body may be read; reading waits no longer than between two of its bytes.
    Body,
    /// Everything has finished, and nothing more comes.
    Silence,
    Stalled,
    /// The request's time, or the platform's patience, is at its end.
    Limit,
}

impl<P: Platform> Relay<'_, '_, '_, P> {
    fn pass_on(&mut self) -> Result<End, Stop> {
        let job = self.attempts.job;
        let mut reads = 0;
        loop {
            self.send()?;
            if self.answer.progress == Progress::Ended {
                return Ok(End::Whole);
            }
            if job.tier.stream == StreamMode::Handoff && !self.answer.provider.is_coded() {
                return Ok(End::HandOver);
            }
            reads += 1;
            let read = match self.wait(reads) {
                Ready::Body => self.answer.read(job.platform),
                Ready::Silence => self.answer.end(),
                Ready::Stalled => Err(Break::Stalled),
                Ready::Limit if job.may_hand_over && !self.answer.is_rewritten() => return Ok(End::HandOver),
                Ready::Limit => {
                    let message = "The answer is longer than the time of this request, or the platform, allows.";
                    return Err(Stop::Failed(Error::new(Kind::StreamTimeLimit, message)));
                }
            };
            if let Err(broken) = read {
                self.send()?;
                let told = told_client(&broken);
                let Some(again) = self.repair(broken)? else { return Err(Stop::Failed(told)) };
                self.note_ignored();
                self.answer = again;
            }
        }
    }

    fn wait(&self, reads: u32) -> Ready {
        let (job, provider) = (self.attempts.job, &self.answer.provider);
        let left = job.total.saturating_sub(job.platform.elapsed());
        let has_time =
            |limit| provider.is_pending() || job.platform.wait_first(&[provider.wait()], Some(limit)).is_some();
        let idle = job.tier.deadlines.idle;
        let is_at_limit =
            left.is_zero() || (reads.is_multiple_of(READS_PER_LOOK) && job.platform.vcpu_ms() >= MAX_VCPU_MS);
        // Where nothing is missing but usage and the end marker, no limit makes the answer less whole.
        if let Some(patience) = provider.settles_in(idle) {
            let is_there = !is_at_limit && has_time(patience.min(left));
            return if is_there { Ready::Body } else { Ready::Silence };
        }
        if is_at_limit {
            return Ready::Limit;
        }
        // Where the platform ends a body that stalls, waiting apart is needed only near the end of the total.
        let is_near = left <= idle;
        if (provider.cut_after.is_some_and(|limit| limit <= idle) && !is_near) || has_time(idle.min(left)) {
            return Ready::Body;
        }
        if is_near { Ready::Limit } else { Ready::Stalled }
    }

    /// A stream that takes the place of the broken one; nothing if there is none. The client gets comments meanwhile.
    fn repair(&mut self, broken: Break) -> Result<Option<Box<AnswerStream<P>>>, Stop> {
        let job = self.attempts.job;
        let outcome = Outcome::from(broken);
        self.serving.witness.failed(job.platform, &outcome, Stage::AfterBegin);
        let meaning = outcome.meaning().map(|meaning| meaning.as_str().into());
        self.attempts.visit.note_broken(outcome.end(), meaning, self.answer.delivery.facts.tally);
        let Some(mut repair) = self.answer.delivery.repair().cloned() else { return Ok(None) };
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
            Err(Stop::ClientGone) => Err(Stop::ClientGone),
        }
    }

    /// Writes what is held of the answer.
    fn send(&mut self) -> Result<(), Stop> {
        let held = &mut self.answer.held;
        if !held.is_empty() {
            self.attempts.visit.write(held, self.attempts.job.total).map_err(|ClientGone| Stop::ClientGone)?;
            held.clear();
        }
        if self.answer.delivery.has_differed() {
            let message = "The answer broke off, and its repetition by another provider is a different one.";
            return Err(Stop::Failed(Error::new(Kind::StreamBroken, message)));
        }
        Ok(())
    }

    /// Counts the present stream's events that were no part of an answer.
    fn note_ignored(&mut self) {
        let ignored = std::mem::take(&mut self.answer.provider.ignored);
        self.attempts.visit.note(|record| record.ignored_events += ignored);
    }
}

fn told_client(broken: &Break) -> Error {
    let message = match broken {
        Break::Error(_) => "The provider reported an error in the middle of the answer.",
        Break::Cut => "The provider's answer broke off before it was whole.",
        Break::Stalled => "The provider's answer stalled before it was whole.",
        Break::EndedEarly => "The provider ended the answer before it was whole.",
        Break::Undecodable => "The provider sent a piece of the answer that cannot be read.",
        Break::TooLong => "The provider sent an event that is too long.",
    };
    Error::new(Kind::StreamBroken, message)
}
