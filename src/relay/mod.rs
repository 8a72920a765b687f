//! Passes a stream on that has begun, repairs it where the tier says so, and never ends a broken one as if it were whole.
//!
//! What one read brought is written once. `[DONE]` and a clean end are sent only for a whole answer (design.md §7). A stream
//! that breaks is replayed or continued by another candidate; if that cannot be, the client gets one
//! `data: {"error":...}` event and an aborted transfer, which every SDK reports. Near the platform's limits the rest of a
//! stream that needs no translation is left to the platform.

pub mod keep_alive;

use std::rc::Rc;
use std::time::Duration;

use crate::admit::look_ups;
use crate::attempt::answer_stream::AnswerStream;
use crate::attempt::outcome::Outcome;
use crate::attempt::{self, Answer, Attempts, Committed, Meanwhile};
use crate::error::{Error, Kind};
use crate::platform::{ClientGone, Platform};
use crate::policy::{Candidate, Resume, StreamMode};
use crate::pop::health::Cooling;
use crate::record::{Record, Served};
use crate::upstream::stream::{AFTER_FINISH, Break, Progress};
use crate::wire::facts::AnswerFacts;
use crate::wire::sse::COMMENT;

/// Of the 50 ms of CPU time that an execution has.
const MAX_VCPU_MS: u64 = 35;
/// The CPU time is looked at once in so many reads, since looking takes some too.
const READS_PER_LOOK: u32 = 16;
/// How often a client that waits hears that somebody is there.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client may take nothing of its answer before it counts as gone.
pub const READER_PATIENCE: Duration = Duration::from_secs(30);
/// The least that a client gets for it, also at the end of its request's time.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// A stream under way.
pub struct Relay<P: Platform> {
    pub downstream: P::Downstream,
    pub answer: Box<AnswerStream<P>>,
    pub candidate: Candidate,
}

/// How a stream ended.
#[derive(Debug)]
pub struct Ended {
    pub result: Result<(), Failure>,
    pub bytes_sent: u64,
    /// What the stream told on its way; nothing of one that was handed over is known.
    pub told: AnswerFacts,
    pub handed_off: bool,
}

impl Ended {
    /// A stream of which nothing came.
    pub fn failed(result: Result<(), Failure>, bytes_sent: u64) -> Self {
        Self { result, bytes_sent, told: AnswerFacts::default(), handed_off: false }
    }
}

#[derive(Debug)]
pub enum Failure {
    ClientGone,
    Error(Error),
}

impl From<ClientGone> for Failure {
    fn from(_: ClientGone) -> Self {
        Failure::ClientGone
    }
}

/// How a relay that did not fail came to its end.
enum End {
    Whole,
    HandOver,
}

/// Who answers.
struct Source<P: Platform> {
    answer: Box<AnswerStream<P>>,
    candidate: Candidate,
}

/// The client's side.
struct Outgoing<'a, P: Platform> {
    platform: &'a P,
    downstream: P::Downstream,
    /// When the answer must have ended, on [`Platform::elapsed`]'s clock.
    total: Duration,
    bytes_sent: u64,
}

/// Sends all there is, and ends the answer.
pub fn run<P: Platform>(attempts: &mut Attempts<'_, P>, relay: Relay<P>, record: &mut Record) -> Ended {
    let platform = attempts.job.platform;
    let Relay { downstream, answer, candidate } = relay;
    let mut outgoing = Outgoing { platform, downstream, total: attempts.job.total, bytes_sent: 0 };
    let mut source = Source { answer, candidate };
    let result = pass_on(attempts, &mut source, &mut outgoing, record);
    let Source { mut answer, .. } = source;
    record.ignored_events += answer.provider.ignored;
    let told = std::mem::take(&mut answer.delivery.facts);
    let mut handed_off = false;
    let result = match result {
        Ok(End::Whole) => platform.finish(outgoing.downstream).map_err(Failure::from),
        Ok(End::HandOver) => {
            let (rest, body) = answer.provider.into_rest();
            let rest = platform.write(&mut outgoing.downstream, &rest, LAST_PATIENCE);
            let handed = rest.and_then(|()| platform.hand_over(outgoing.downstream, body));
            handed_off = handed.is_ok();
            handed.map_err(Failure::from)
        }
        Err(Failure::Error(error)) => {
            // The provider's connection is closed before the client is told.
            drop(answer);
            fail(platform, outgoing.downstream, error, &mut outgoing.bytes_sent)
        }
        Err(Failure::ClientGone) => Err(Failure::ClientGone),
    };
    Ended { result, bytes_sent: outgoing.bytes_sent, told, handed_off }
}

/// Tells the client that its answer is not whole: one error event, then an aborted transfer.
pub fn fail<P: Platform>(
    platform: &P,
    mut downstream: P::Downstream,
    error: Error,
    bytes_sent: &mut u64,
) -> Result<(), Failure> {
    let mut event = b"data: ".to_vec();
    event.extend_from_slice(&error.body());
    event.extend_from_slice(b"\n\n");
    platform.write(&mut downstream, &event, LAST_PATIENCE)?;
    *bytes_sent += event.len() as u64;
    platform.abort(downstream);
    Err(Failure::Error(error))
}

fn pass_on<P: Platform>(
    attempts: &mut Attempts<'_, P>,
    source: &mut Source<P>,
    outgoing: &mut Outgoing<'_, P>,
    record: &mut Record,
) -> Result<End, Failure> {
    let mut reads = 0;
    loop {
        let answer = &mut source.answer;
        outgoing.send(answer)?;
        if answer.progress == Progress::Ended {
            return Ok(End::Whole);
        }
        if attempts.job.tier.stream == StreamMode::Handoff {
            return Ok(End::HandOver);
        }
        reads += 1;
        let read = match wait(attempts, answer, reads) {
            Ready::Body => answer.read(outgoing.platform),
            Ready::Silence => answer.end(),
            Ready::Stalled => Err(Break::Stalled),
            Ready::Limit if attempts.job.may_hand_over && !answer.is_rewritten() => return Ok(End::HandOver),
            Ready::Limit => {
                let message = "The answer is longer than the time of this request, or the platform, allows.";
                return Err(Failure::Error(Error::new(Kind::StreamTimeLimit, message)));
            }
        };
        if let Err(broken) = read {
            outgoing.send(answer)?;
            let told = told_client(&broken);
            let repaired = repair(attempts, source, broken, outgoing, record)?;
            let Some(again) = repaired else { return Err(Failure::Error(told)) };
            record.ignored_events += std::mem::replace(source, again).answer.provider.ignored;
        }
    }
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

fn wait<P: Platform>(attempts: &Attempts<'_, P>, answer: &AnswerStream<P>, reads: u32) -> Ready {
    let job = attempts.job;
    let left = job.total.saturating_sub(job.platform.elapsed());
    let has_time = |limit| job.platform.wait_first(&[answer.provider.wait()], Some(limit)).is_some();
    if left.is_zero() || (reads.is_multiple_of(READS_PER_LOOK) && job.platform.vcpu_ms() >= MAX_VCPU_MS) {
        return Ready::Limit;
    }
    if answer.provider.is_finished() {
        return if has_time(AFTER_FINISH.min(left)) { Ready::Body } else { Ready::Silence };
    }
    let idle = job.tier.deadlines.idle;
    // Where the platform ends a body that stalls, waiting apart is needed only near the end of the total.
    let is_near = left <= idle;
    if (answer.provider.keeps_timeouts && !is_near) || has_time(idle.min(left)) {
        return Ready::Body;
    }
    if is_near { Ready::Limit } else { Ready::Stalled }
}

/// A stream that takes the place of a broken one; nothing if there is none.
fn repair<P: Platform>(
    attempts: &mut Attempts<'_, P>,
    source: &Source<P>,
    broken: Break,
    outgoing: &mut Outgoing<'_, P>,
    record: &mut Record,
) -> Result<Option<Source<P>>, Failure> {
    let job = attempts.job;
    let name = attempt::name(job.policy, &source.candidate);
    look_ups::update_pop(job.platform, attempts.memory, |pop, now| {
        pop.health.failed(&name, Cooling::Short, &job.policy.health, now);
    });
    if let Some(attempt) = record.attempts.last_mut() {
        attempt.outcome = Outcome::from(broken).label();
    }
    let Outgoing { downstream, platform, bytes_sent, .. } = outgoing;
    let Some(mut repair) = source.answer.delivery.repair().cloned() else { return Ok(None) };
    match job.tier.resume {
        Resume::Off => return Ok(None),
        Resume::Continue if !repair.text().is_empty() => {
            attempts.queue.retain(|candidate| job.policy.model(candidate.model).prefill.is_some());
            attempts.asking.begun = Some(Rc::from(repair.text()));
            repair.go_on();
        }
        Resume::Replay | Resume::Continue => repair.replay(),
    }
    attempts.repair = Some(repair);
    if attempts.queue.fresh().is_none() {
        return Ok(None);
    }
    let due = platform.elapsed() + KEEP_ALIVE;
    let mut comments = Comments { platform: *platform, downstream, due, bytes_sent };
    match attempts.run(record, &mut comments) {
        Ok(Committed { candidate, answer: Answer::Stream(answer), .. }) => {
            record.resumed += 1;
            record.served = Some(Served::of(job.policy, &candidate));
            Ok(Some(Source { answer, candidate }))
        }
        Ok(Committed { answer: Answer::Whole { .. }, .. }) | Err(attempt::Stop::Failed(_)) => Ok(None),
        Err(attempt::Stop::ClientGone) => Err(Failure::ClientGone),
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

impl<P: Platform> Outgoing<'_, P> {
    /// Writes what is held of an answer.
    fn send(&mut self, answer: &mut AnswerStream<P>) -> Result<(), Failure> {
        let held = &mut answer.held;
        if !held.is_empty() {
            let left = self.total.saturating_sub(self.platform.elapsed());
            self.platform.write(&mut self.downstream, held, left.clamp(LAST_PATIENCE, READER_PATIENCE))?;
            self.bytes_sent += held.len() as u64;
            held.clear();
        }
        if answer.delivery.has_differed() {
            let message = "The answer broke off, and its repetition by another provider is a different one.";
            return Err(Failure::Error(Error::new(Kind::StreamBroken, message)));
        }
        Ok(())
    }
}

/// Comments for a client that waits for a repair.
struct Comments<'a, P: Platform> {
    platform: &'a P,
    downstream: &'a mut P::Downstream,
    due: Duration,
    bytes_sent: &'a mut u64,
}

impl<P: Platform> Meanwhile for Comments<'_, P> {
    fn due(&self) -> Option<Duration> {
        Some(self.due)
    }

    fn tick(&mut self, _: &mut Record) -> Result<(), ClientGone> {
        self.due += KEEP_ALIVE;
        *self.bytes_sent += COMMENT.len() as u64;
        self.platform.write(self.downstream, COMMENT, READER_PATIENCE)
    }
}
