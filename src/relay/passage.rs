//! An answer's way from its provider to its client, as far as this execution takes it.
//!
//! An event costs what reading, parsing and writing it cost and little else: the clock is read only as often as a stream that
//! falls silent could take it past a deadline, the CPU time at each 16th read, and what one read brought is written once.

use std::time::Duration;

use crate::attempt::answer_stream::AnswerStream;
use crate::attempt::exchange::MAX_ANSWER_BYTES;
use crate::attempt::{CommitAt, Job};
use crate::error::{BrokenBy, Error, Kind};
use crate::platform::allowance::Allowance;
use crate::platform::{ClientGone, Platform};
use crate::policy::StreamMode;
use crate::upstream::keyring::Continuation;
use crate::upstream::stream::{Break, Progress};
use crate::visit::Visit;
use crate::wire::carried::carried;
use crate::wire::transfer::Transfer;

/// The CPU time is looked at once in so many reads, since looking takes some too.
const READS_PER_LOOK: u32 = 16;

/// What an answer keeps to on its way; times on [`Platform::elapsed`]'s clock.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long may pass between two reads of a stream before its first piece, and after it.
    pub first_piece: Duration,
    pub idle: Duration,
    /// When the answer must have ended.
    pub total: Duration,
    pub allowance: Allowance,
    pub mode: Mode,
    /// Whether the client leaves it to the gateway how long the answer may take.
    pub is_patient: bool,
}

impl Terms {
    /// Until when a slow reader may be waited for.
    fn writes_until(&self) -> Duration {
        self.total.min(self.allowance.ends)
    }
}

/// When the client gets what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// At once.
    Guarded,
    /// When all has come; comments meanwhile.
    Held,
    /// At once, and after the first piece the platform sends the rest.
    HandedOff,
    /// When all has come, as one document, with its head.
    Whole,
}

carried!(Mode = Guarded | Held | HandedOff | Whole);

impl Mode {
    pub fn of<P: Platform>(job: &Job<'_, P>) -> Self {
        match (job.told, job.commit_at, job.tier.stream) {
            (Transfer::Whole, ..) => Mode::Whole,
            (Transfer::Stream, CommitAt::Whole, _) => Mode::Held,
            (Transfer::Stream, CommitAt::FirstPiece, StreamMode::Handoff) => Mode::HandedOff,
            (Transfer::Stream, CommitAt::FirstPiece, StreamMode::Guarded | StreamMode::Hold) => Mode::Guarded,
        }
    }

    /// Whether the client gets this now of an answer that has come so far.
    fn sends(self, progress: Progress) -> bool {
        match self {
            Mode::Guarded | Mode::HandedOff => true,
            Mode::Held => progress == Progress::Ended,
            Mode::Whole => false,
        }
    }
}

/// How an answer's way ended in this execution.
#[derive(Debug)]
pub enum End {
    /// The client has all of it.
    Whole,
    /// The rest is the platform's, as the tier says.
    HandOff,
    /// The execution, or the time for the answer, is at its end.
    Limit,
}

/// Why an answer goes no further.
#[derive(Debug)]
pub enum Interruption {
    Broken(Break),
    /// What the client is to be told.
    Failed(Error),
    ClientGone,
}

impl From<ClientGone> for Interruption {
    fn from(ClientGone: ClientGone) -> Self {
        Interruption::ClientGone
    }
}

/// An answer under way.
pub struct Passage<P: Platform> {
    pub terms: Terms,
    pub answer: Box<AnswerStream<P>>,
    /// How long nothing has come, where an execution ended while it waited.
    pub silence: Duration,
    /// Reads since the CPU time was looked at.
    reads: u32,
    /// Reads that may pass before the clock has to be read.
    timeless_reads: u32,
}

enum Ready {
    /// The body may be read; reading waits no longer than between two of its bytes.
    Body,
    /// Everything has finished, and nothing more comes.
    Silence,
    Stalled,
    Limit,
}

impl<P: Platform> Passage<P> {
    pub fn new(terms: Terms, answer: Box<AnswerStream<P>>) -> Self {
        Self { terms, answer, silence: Duration::ZERO, reads: 0, timeless_reads: 0 }
    }

    /// Another stream has taken the place of the one that broke.
    pub fn replace(&mut self, answer: Box<AnswerStream<P>>) {
        self.answer = answer;
        self.timeless_reads = 0;
    }

    /// Where another execution may go on with it.
    pub fn continuation(&self, visit: &Visit<'_, P>) -> Option<Continuation> {
        let Terms { total, allowance, .. } = &self.terms;
        let may_go_on = allowance.has_hops() && visit.platform.elapsed() < *total && !self.answer.provider.is_coded();
        if may_go_on { visit.keyring.continuation() } else { None }
    }

    /// Whether another execution may go on with it.
    fn goes_on(&self, visit: &Visit<'_, P>) -> bool {
        self.continuation(visit).is_some()
    }

    /// The execution ends, and nobody goes on: an answer that misses only its end marker is whole all the same.
    pub fn settle(&mut self, visit: &mut Visit<'_, P>) -> Result<End, Interruption> {
        if self.answer.provider.settles_in(self.terms.idle).is_none() {
            return Ok(End::Limit);
        }
        let ended = self.answer.end();
        self.send(visit)?;
        ended.map(|_| End::Whole).map_err(Interruption::Broken)
    }

    /// Whether the platform may send the rest: what it sends is what the provider sends.
    pub fn may_hand_over(&self) -> bool {
        self.terms.is_patient && self.terms.mode.sends(self.answer.progress) && !self.answer.is_rewritten()
    }

    /// Whether the client of a stream gets nothing for the time being but comments.
    pub fn is_waited_for(&self) -> bool {
        match self.terms.mode {
            Mode::Guarded | Mode::HandedOff => !self.answer.provider.has_begun(),
            Mode::Held => true,
            Mode::Whole => false,
        }
    }

    /// Sends what comes until the answer is whole, breaks, or this execution is at its end.
    pub fn pass_on(&mut self, visit: &mut Visit<'_, P>) -> Result<End, Interruption> {
        loop {
            self.send(visit)?;
            if self.answer.progress == Progress::Ended {
                return Ok(End::Whole);
            }
            let has_begun = self.answer.provider.has_begun();
            if self.terms.mode == Mode::HandedOff && has_begun && !self.answer.provider.is_coded() {
                return Ok(End::HandOff);
            }
            let read = match self.wait(visit)? {
                Ready::Body => self.answer.read(visit.platform),
                Ready::Silence => self.answer.end(),
                Ready::Stalled => Err(Break::Stalled),
                Ready::Limit => return Ok(End::Limit),
            };
            let is_too_long = self.terms.mode == Mode::Held && self.answer.held.len() > MAX_ANSWER_BYTES;
            let read = if is_too_long { Err(Break::TooLong) } else { read };
            if let Err(broken) = read {
                self.send(visit)?;
                return Err(Interruption::Broken(broken));
            }
        }
    }

    /// Writes what is there for the client, unless it is held back until all has come.
    fn send(&mut self, visit: &mut Visit<'_, P>) -> Result<(), Interruption> {
        let AnswerStream { held, progress, .. } = &mut *self.answer;
        if !held.is_empty() && self.terms.mode.sends(*progress) {
            visit.stop_keep_alive();
            visit.write(held, self.terms.writes_until())?;
            held.clear();
        }
        if self.answer.delivery.has_differed() {
            let message = "The answer broke off, and its repetition by another provider is a different one.";
            return Err(Interruption::Failed(Error::new(Kind::StreamBroken(BrokenBy::Provider), message)));
        }
        Ok(())
    }

    fn wait(&mut self, visit: &mut Visit<'_, P>) -> Result<Ready, Interruption> {
        let allowance = &self.terms.allowance;
        self.reads += 1;
        let looks_at_cpu = self.reads.is_multiple_of(READS_PER_LOOK);
        // With a body that has a coding nobody else goes on.
        let is_full = allowance.is_full(self.answer.provider.events) && !self.answer.provider.is_coded();
        let is_spent = is_full || (looks_at_cpu && allowance.is_cpu_spent(visit.platform));
        let settles_in = self.answer.provider.settles_in(self.terms.idle);
        if self.timeless_reads > 0 && !is_spent && settles_in.is_none() {
            self.timeless_reads -= 1;
            return Ok(Ready::Body);
        }
        let left = self.terms.total.min(allowance.hands_on_at()).saturating_sub(visit.platform.elapsed());
        let is_at_limit = is_spent || left.is_zero();
        // Where nothing is missing but usage and the end marker, no limit makes the answer less whole. Another execution may
        // still see them.
        if let Some(patience) = settles_in.filter(|_| !(is_at_limit && self.goes_on(visit))) {
            if !is_at_limit && self.has_read_within(patience.min(left), visit)? {
                return Ok(Ready::Body);
            }
            let is_early = left < patience && !is_at_limit && self.goes_on(visit);
            return Ok(if is_early { Ready::Limit } else { Ready::Silence });
        }
        if is_at_limit {
            return Ok(Ready::Limit);
        }
        let idle = match self.answer.provider.has_begun() {
            true => self.terms.idle,
            false => self.terms.idle.max(self.terms.first_piece),
        };
        // Where the platform ends a body that stalls, waiting apart is needed only near the end, and the clock only so often
        // that as many silences as there are reads do not come near it.
        let spare = left.saturating_sub(idle);
        if let Some(cut_after) = self.answer.provider.cut_after.filter(|limit| *limit <= idle && !spare.is_zero()) {
            self.timeless_reads = (spare.as_millis() / cut_after.as_millis().max(1)).min(u32::MAX.into()) as u32;
            return Ok(Ready::Body);
        }
        let silent = idle.saturating_sub(self.silence);
        if self.has_read_within(silent.min(left), visit)? {
            self.silence = Duration::ZERO;
            return Ok(Ready::Body);
        }
        self.silence += silent.min(left);
        Ok(if silent < left { Ready::Stalled } else { Ready::Limit })
    }

    /// Whether there is something to be read within `at_most`. The client gets its comments meanwhile.
    fn has_read_within(&self, at_most: Duration, visit: &mut Visit<'_, P>) -> Result<bool, Interruption> {
        let provider = &self.answer.provider;
        if provider.is_pending() {
            return Ok(true);
        }
        let mut left = at_most;
        while let Some(due) = visit.comment_due() {
            let now = visit.platform.elapsed();
            let comment_in = due.saturating_sub(now);
            if comment_in >= left {
                break;
            }
            if !comment_in.is_zero() && visit.platform.wait_first(&[provider.wait()], Some(comment_in)).is_some() {
                return Ok(true);
            }
            left -= comment_in;
            visit.send_comment(self.terms.writes_until())?;
        }
        Ok(visit.platform.wait_first(&[provider.wait()], Some(left)).is_some())
    }
}
