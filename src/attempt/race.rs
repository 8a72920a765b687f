//! The attempts at one request that are under way beside each other: the first to begin wins.
//!
//! A hedge, a candidate that is started because another is late, and one that keeps a probe company are all the same: another
//! attempt beside those that run. An attempt is dropped only for one that began, since the platform cannot cancel it anyway.

use std::time::Duration;

use crate::attempt::Failure;
use crate::attempt::exchange::Exchange;
use crate::attempt::outcome::FailureWeight;
use crate::platform::Platform;
use crate::record::AttemptEnd;
use crate::wire::transfer::Transfer;

/// The most attempts that run at a time.
const MOST: usize = 3;

/// The attempts of one run, and what those that are over have come to.
pub struct Race<P: Platform> {
    pub active: Vec<Attempt<P>>,
    /// The failure that says most so far.
    pub failure: Option<Failure>,
    /// When each candidate that failed last is expected back, on the request's clock, by its place.
    pub back: Vec<(usize, Duration)>,
    /// When the run began, on the request's clock.
    pub started: Duration,
}

/// An attempt under way.
pub struct Attempt<P: Platform> {
    pub launch: Launch,
    pub exchange: Exchange<P>,
    /// Fields of the request that the candidate's dialect could not carry.
    pub dropped: Vec<String>,
}

/// The start of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// The candidate's place in the queue.
    pub place: usize,
    /// On the request's clock.
    pub started: Duration,
    /// Since 1970.
    pub began: Duration,
    pub occasion: Occasion,
    /// Whether it finds out if a candidate works again.
    pub is_probe: bool,
}

/// Why an attempt was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Its turn had come.
    Turn,
    /// Those that run have taken longer than the tier's `hedge_after_ms`.
    Hedge,
    /// Those that run are late.
    Late,
    /// A probe runs, which nobody should have to wait for.
    Company,
}

impl<P: Platform> Race<P> {
    /// The stream with which another execution may go on best: one that has begun, else the one that showed life last.
    pub fn liveliest(&self) -> Option<usize> {
        let lively = self.active.iter().enumerate().filter(|(_, attempt)| attempt.exchange.can_be_left());
        let rank = |attempt: &Attempt<P>| (attempt.exchange.has_begun(), attempt.exchange.heard_at());
        lively.max_by_key(|(_, attempt)| rank(attempt)).map(|(position, _)| position)
    }

    pub fn new(now: Duration) -> Self {
        Self { active: Vec::with_capacity(MOST), failure: None, back: Vec::new(), started: now }
    }

    pub fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.active.len() < MOST
    }

    /// Whether all that run are late.
    pub fn is_late(&self, now: Duration) -> bool {
        self.active.iter().all(|attempt| attempt.exchange.late_at().is_some_and(|late| late <= now))
    }

    /// Whether a probe runs, and nothing beside it, that may still win.
    pub fn is_lone_probe(&self) -> bool {
        matches!(&self.active[..], [only] if only.launch.is_probe && only.exchange.late_at().is_some())
    }

    /// When a hedge is due: as long after the last sign of life of a single attempt as `after` says.
    pub fn hedge_at(&self, after: Duration) -> Option<Duration> {
        match &self.active[..] {
            [only] if only.exchange.late_at().is_some() => {
                let since = if only.exchange.has_head() { only.exchange.heard_at() } else { only.launch.started };
                Some(since + after)
            }
            _ => None,
        }
    }

    /// An attempt that has to do with what has come.
    pub fn ended(&self, now: Duration) -> Option<usize> {
        self.active.iter().position(|attempt| attempt.exchange.ends_at().is_some_and(|end| end <= now))
    }

    /// The next time at which something is to be done about an attempt, later than `now`.
    pub fn wakes_at(&self, now: Duration) -> Option<Duration> {
        let times = |attempt: &Attempt<P>| [attempt.exchange.late_at(), attempt.exchange.ends_at()];
        self.active.iter().flat_map(times).flatten().filter(|time| *time > now).min()
    }

    /// Waits for the first attempt of which something comes.
    pub fn wait(&self, platform: &P, at_most: Duration) -> Option<usize> {
        if let Some(pending) = self.active.iter().position(|attempt| attempt.exchange.is_pending()) {
            return Some(pending);
        }
        // One that is over waits for nothing, but is taken out at once, so that positions are those of the attempts.
        let waits: Vec<_> = self.active.iter().filter_map(|attempt| attempt.exchange.wait()).collect();
        platform.wait_first(&waits, Some(at_most))
    }

    /// Keeps the failure that the client is told: the first that is about its request, else the last that came from a
    /// provider, else the first.
    pub fn keep_failure(&mut self, failure: Failure) {
        let weight = failure.outcome.weight();
        let kept = self.failure.as_ref().map(|failure| failure.outcome.weight());
        if kept.is_none_or(|kept| kept < weight || (kept == weight && weight == FailureWeight::Provider)) {
            self.failure = Some(failure);
        }
    }

    /// When the first of those that failed is expected back, from `now`.
    pub fn back_in(&self, now: Duration) -> Option<Duration> {
        self.back.iter().map(|(_, back)| back.saturating_sub(now)).min()
    }
}

/// The one that won: when it was started, and when it won, on the request's clock.
#[derive(Clone, Copy, Debug)]
pub struct Win {
    pub started: Duration,
    pub at: Duration,
}

impl<P: Platform> Attempt<P> {
    /// How it ends if it is given up: a connection whose head has arrived is closed, another cannot be.
    pub fn given_up(&self) -> AttemptEnd {
        if self.exchange.has_head() { AttemptEnd::Closed } else { AttemptEnd::Abandoned }
    }

    /// Whether losing to `win` shows that the candidate did not answer in time.
    ///
    /// Of a stream: nothing at all has come of it for twice as long as the other one needed that was started later; if its head
    /// has, also for as long as the tier allows. Whatever comes after the head shows that the model may be thinking. Of an
    /// answer that comes whole: it is later than the tier allows, and the other one was not.
    pub fn was_late(&self, win: Win, own_time: Duration) -> bool {
        let (taken, needed) = (win.at - self.launch.started, win.at - win.started);
        match self.exchange.asked() {
            Transfer::Whole => taken >= own_time && needed < own_time,
            Transfer::Stream => {
                let is_patient = !self.exchange.has_head() || taken >= own_time;
                self.launch.started < win.started && self.exchange.is_silent() && is_patient && taken >= needed * 2
            }
        }
    }
}
