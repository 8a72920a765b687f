//! Which candidate is asked next, and when: those that are not cooling down in the policy's order, then those that are.
//!
//! Plain state over plain times (on the request's clock); `engine` does the asking. A candidate is asked again only as the
//! tier's `retries` says, at most twice in [`CALM`], or once after the delay that it asked for, or once at once where the
//! connection had been closed before the request came. One that has refused the request is followed by one more, of another
//! provider.

use std::time::Duration;

use crate::attempt::outcome::Verdict;
use crate::policy::{Candidate, ProviderId};
use crate::pop::health::{Found, Standing};

/// The longest time that a client waits for a rate limit to pass if nobody else could answer.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The time in which a candidate is asked twice at most.
const CALM: Duration = Duration::from_millis(1_500);
/// The first back-off is between half of this and this; each further one is twice as long.
const BACK_OFF: Duration = Duration::from_millis(200);
/// How many providers must refuse a request so that it is the request's fault.
const REFUSALS: usize = 2;

/// The candidates of one request, in the policy's order.
#[derive(Debug)]
pub struct Queue {
    slots: Vec<Slot>,
    sends_left: usize,
    /// The largest context, in tokens, that was too small; candidates must have a larger one.
    too_small: u64,
    /// The providers that have refused the request.
    refused_by: Vec<ProviderId>,
    /// Whether a delay that a candidate asked for has been waited for.
    waited: bool,
}

/// A candidate for the queue.
#[derive(Clone, Debug)]
pub struct Contender {
    pub candidate: Candidate,
    pub provider: ProviderId,
    /// What the POP knew of it.
    pub found: Found,
    /// What the candidate may be used for now.
    pub standing: Standing,
    /// The candidate's context, in tokens.
    pub context: u64,
}

/// A candidate in the queue.
#[derive(Debug)]
struct Slot {
    contender: Contender,
    /// When the candidate was asked, on the request's clock.
    starts: Vec<Duration>,
    /// Whether a connection to it had been closed before the request came.
    was_stale: bool,
    /// Whether this request was elected to probe the candidate.
    is_elected: bool,
    due: Due,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Fresh,
    /// Once more, at this time.
    At(Duration),
    Done,
}

/// What the queue says is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask the candidate at this place.
    Ask(usize),
    /// Nothing before this time.
    SleepUntil(Duration),
    /// No candidate is left.
    Nothing,
}

/// What limits a further attempt on the same candidate.
#[derive(Clone, Copy, Debug)]
pub struct RetryLimits {
    pub now: Duration,
    /// When the answer must have ended.
    pub total: Duration,
    /// How often the tier allows a candidate to be asked again.
    pub retries: u32,
    /// The longest delay that is waited for although others could answer.
    pub wait: Duration,
    /// A random number, for the jitter of back-offs.
    pub random: u64,
}

impl Queue {
    /// A queue of candidates that come in the policy's order, for so many requests to providers.
    pub fn new(contenders: impl IntoIterator<Item = Contender>, sends: u32) -> Self {
        let slot =
            |contender| Slot { contender, starts: Vec::new(), was_stale: false, is_elected: false, due: Due::Fresh };
        Self {
            slots: contenders.into_iter().map(slot).collect(),
            sends_left: sends as usize,
            too_small: 0,
            refused_by: Vec::new(),
            waited: false,
        }
    }

    /// All candidates, in the order in which they are asked.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        let standing = |is_cooling: bool| self.slots.iter().filter(move |slot| slot.is_cooling() == is_cooling);
        standing(false).chain(standing(true)).map(|slot| &slot.contender.candidate)
    }

    /// The candidate at `place`.
    pub fn candidate(&self, place: usize) -> &Candidate {
        &self.slots[place].contender.candidate
    }

    /// What the candidate at `place` may be used for.
    pub fn standing(&self, place: usize) -> Standing {
        self.slots[place].contender.standing
    }

    /// What the POP knew of the candidate at `place`.
    pub fn found(&self, place: usize) -> Found {
        self.slots[place].contender.found
    }

    /// This request was elected to probe the candidate at `place`.
    pub fn elected(&mut self, place: usize) {
        self.slots[place].is_elected = true;
    }

    /// Whether this request was elected to probe the candidate at `place`.
    pub fn is_elected(&self, place: usize) -> bool {
        self.slots[place].is_elected
    }

    /// Another request is probing the candidate at `place`, so for this one it is still cooling down.
    pub fn leave_to_another(&mut self, place: usize) {
        self.slots[place].contender.standing = Standing::Cooling;
    }

    /// What is to be done at `now`.
    pub fn next(&self, now: Duration) -> Next {
        if self.sends_left == 0 {
            return Next::Nothing;
        }
        let again = self.slots.iter().enumerate().find_map(|(place, slot)| match slot.due {
            Due::At(time) => Some((place, time)),
            Due::Fresh | Due::Done => None,
        });
        match again {
            Some((_, time)) if time > now => Next::SleepUntil(time),
            Some((place, _)) => Next::Ask(place),
            None => self.fresh().map_or(Next::Nothing, Next::Ask),
        }
    }

    /// The first candidate that was not asked yet and may be.
    pub fn fresh(&self) -> Option<usize> {
        self.fresh_ready().or_else(|| self.find(|slot| slot.is_cooling()))
    }

    /// The first candidate that was not asked yet, may be, and is healthy.
    pub fn fresh_healthy(&self) -> Option<usize> {
        self.find(|slot| slot.contender.standing == Standing::Healthy)
    }

    fn fresh_ready(&self) -> Option<usize> {
        self.find(|slot| !slot.is_cooling())
    }

    fn find(&self, wanted: impl Fn(&Slot) -> bool) -> Option<usize> {
        self.slots.iter().position(|slot| self.is_fresh(slot) && wanted(slot)).filter(|_| self.sends_left > 0)
    }

    fn is_fresh(&self, slot: &Slot) -> bool {
        slot.due == Due::Fresh
            && slot.contender.context > self.too_small
            && !self.refused_by.contains(&slot.contender.provider)
    }

    fn fresh_count(&self) -> usize {
        self.slots.iter().filter(|slot| self.is_fresh(slot)).count()
    }

    /// The candidate at `place` is being asked.
    pub fn asked(&mut self, place: usize, now: Duration) {
        self.slots[place].starts.push(now);
        self.slots[place].due = Due::Done;
        self.sends_left = self.sends_left.saturating_sub(1);
    }

    /// The candidate at `place` was given up for another one that began before it, which says nothing of it: it may be asked
    /// again, should that one break.
    pub fn lost(&mut self, place: usize) {
        self.slots[place].due = Due::Fresh;
    }

    /// The candidate at `place` will not be asked (again).
    pub fn passed_over(&mut self, place: usize) {
        self.slots[place].due = Due::Done;
    }

    /// Passes over the candidates that were not asked yet and are not of use.
    pub fn retain(&mut self, is_of_use: impl Fn(&Candidate) -> bool) {
        let is_useless = |slot: &&mut Slot| slot.due == Due::Fresh && !is_of_use(&slot.contender.candidate);
        for slot in self.slots.iter_mut().filter(is_useless) {
            slot.due = Due::Done;
        }
    }

    /// The connection to the candidate at `place` had been closed before the request came. Says whether that is to be believed:
    /// once.
    pub fn note_stale(&mut self, place: usize) -> bool {
        !std::mem::replace(&mut self.slots[place].was_stale, true)
    }

    /// The candidate at `place` is asked once more, now. Says whether it will be.
    pub fn resend(&mut self, place: usize, now: Duration) -> bool {
        // One send is kept for each candidate that was not asked yet.
        let has_sends = self.sends_left > self.fresh_count();
        if has_sends {
            self.slots[place].due = Due::At(now);
        }
        has_sends
    }

    /// An attempt at `place` failed. Says whether it will be repeated.
    pub fn failed(&mut self, place: usize, verdict: Verdict, limits: RetryLimits) -> bool {
        self.slots[place].due = Due::Done;
        let time = match verdict {
            Verdict::Next => None,
            Verdict::NextLarger => {
                self.too_small = self.too_small.max(self.slots[place].contender.context);
                None
            }
            Verdict::Elsewhere => {
                let provider = self.slots[place].contender.provider;
                if !self.refused_by.contains(&provider) {
                    self.refused_by.push(provider);
                }
                if self.refused_by.len() >= REFUSALS {
                    self.give_up();
                }
                None
            }
            Verdict::GiveUp => {
                self.give_up();
                None
            }
            Verdict::Retry => self.retry_time(place, limits),
            Verdict::Wait(delay) => self.wait_time(place, delay, limits),
        };
        // One send is kept for each candidate that was not asked yet.
        let has_sends = self.sends_left > self.fresh_count();
        let Some(time) = time.filter(|time| *time < limits.total && has_sends) else {
            return false;
        };
        self.waited |= matches!(verdict, Verdict::Wait(_));
        self.slots[place].due = Due::At(time);
        true
    }

    fn give_up(&mut self) {
        self.sends_left = 0;
    }

    fn retry_time(&self, place: usize, limits: RetryLimits) -> Option<Duration> {
        let slot = &self.slots[place];
        let repeated = slot.starts.len().saturating_sub(1 + usize::from(slot.was_stale));
        let retries = u32::try_from(repeated).unwrap_or(u32::MAX);
        // A probe asks once, and whoever cools down has failed often enough, while there is somebody else.
        let is_doubtful = slot.contender.standing != Standing::Healthy && self.fresh().is_some();
        if retries >= limits.retries || is_doubtful {
            return None;
        }
        let longest = BACK_OFF * 2_u32.pow(retries.min(8));
        Some((limits.now + jittered(longest, limits.random)).max(self.calm(place)))
    }

    fn wait_time(&self, place: usize, delay: Duration, limits: RetryLimits) -> Option<Duration> {
        let longest = if self.fresh_ready().is_some() { limits.wait } else { limits.wait.max(MAX_WAIT) };
        if self.waited || delay > longest {
            return None;
        }
        // Not all who were told the same delay should come back at once.
        let time = limits.now + delay + jittered(BACK_OFF, limits.random);
        Some(time.max(self.calm(place)))
    }

    /// When a further attempt no longer hammers.
    fn calm(&self, place: usize) -> Duration {
        let starts = &self.slots[place].starts;
        let last_but_one = starts.len().checked_sub(2).map(|position| starts[position]);
        last_but_one.map_or(Duration::ZERO, |start| start + CALM)
    }
}

impl Slot {
    fn is_cooling(&self) -> bool {
        self.contender.standing == Standing::Cooling
    }
}

/// Between half of `longest` and `longest`.
fn jittered(longest: Duration, random: u64) -> Duration {
    longest / 2 + longest.mul_f64((random % 1_000) as f64 / 2_000.0)
}

#[cfg(test)]
mod tests;
