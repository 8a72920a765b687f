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

/// The most requests to providers for one client request; with the classifier's call they stay below the platform's limit.
const MAX_SENDS: usize = 7;
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
    /// A queue of candidates that come in the policy's order.
    pub fn new(contenders: impl IntoIterator<Item = Contender>) -> Self {
        let slot = |contender| Slot { contender, starts: Vec::new(), was_stale: false, due: Due::Fresh };
        Self {
            slots: contenders.into_iter().map(slot).collect(),
            sends_left: MAX_SENDS,
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
        let may = |slot: &Slot| {
            slot.due == Due::Fresh
                && slot.contender.context > self.too_small
                && !self.refused_by.contains(&slot.contender.provider)
                && wanted(slot)
        };
        self.slots.iter().position(may).filter(|_| self.sends_left > 0)
    }

    /// The candidate at `place` is being asked.
    pub fn asked(&mut self, place: usize, now: Duration) {
        self.slots[place].starts.push(now);
        self.slots[place].due = Due::Done;
        self.sends_left = self.sends_left.saturating_sub(1);
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
        if self.sends_left > 0 {
            self.slots[place].due = Due::At(now);
        }
        self.sends_left > 0
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
        let Some(time) = time.filter(|time| *time < limits.total && self.sends_left > 0) else {
            return false;
        };
        self.waited |= matches!(verdict, Verdict::Wait(_));
        self.slots[place].due = Due::At(time);
        true
    }

    fn give_up(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.due = Due::Done);
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{ModelId, ProviderId};

    const SECOND: Duration = Duration::from_secs(1);

    fn queue(candidates: &[(Standing, u64)]) -> Queue {
        Queue::new(candidates.iter().enumerate().map(|(place, (standing, context))| {
            let candidate = Candidate { model: ModelId(place), effort: None };
            Contender {
                candidate,
                provider: ProviderId(place / 2),
                found: Found::default(),
                standing: *standing,
                context: *context,
            }
        }))
    }

    fn limits(now: Duration, retries: u32) -> RetryLimits {
        RetryLimits { now, total: 60 * SECOND, retries, wait: Duration::ZERO, random: 7 }
    }

    #[test]
    fn healthy_candidates_come_first_in_their_order() {
        use Standing::{Cooling, Healthy, ProbeDue};
        let mut queue = queue(&[(Cooling, 9), (Healthy, 9), (ProbeDue, 9), (Cooling, 9)]);
        let mut order = Vec::new();
        while let Next::Ask(place) = queue.next(SECOND) {
            order.push(queue.candidate(place).model.0);
            queue.asked(place, SECOND);
            assert!(!queue.failed(place, Verdict::Next, limits(SECOND, 3)));
        }
        assert_eq!(order, [1, 2, 0, 3], "nobody is removed");
    }

    #[test]
    fn a_retry_comes_before_the_next_and_never_hammers() {
        let mut queue = queue(&[(Standing::Healthy, 9), (Standing::Healthy, 9)]);
        let mut now = SECOND;
        let mut starts = Vec::new();
        loop {
            match queue.next(now) {
                Next::SleepUntil(time) => now = time,
                Next::Ask(0) => {
                    starts.push(now);
                    queue.asked(0, now);
                    queue.failed(0, Verdict::Retry, limits(now, 3));
                }
                other => {
                    assert_eq!(other, Next::Ask(1));
                    break;
                }
            }
        }
        assert_eq!(starts.len(), 4, "one attempt and three retries");
        assert!(starts[1] - starts[0] <= BACK_OFF, "the first retry is quick");
        assert!(starts.windows(3).all(|three| three[2] - three[0] >= CALM), "{starts:?}");
    }

    #[test]
    fn a_delay_is_waited_for_once_and_only_if_nobody_else_is_healthy() {
        let wait = Verdict::Wait(2 * SECOND);
        let mut two = queue(&[(Standing::Healthy, 9), (Standing::Healthy, 9)]);
        two.asked(0, SECOND);
        assert!(!two.failed(0, wait, limits(SECOND, 0)));
        assert_eq!(two.next(SECOND), Next::Ask(1));
        two.asked(1, SECOND);
        assert!(two.failed(1, wait, limits(SECOND, 0)), "the other has failed");
        let Next::SleepUntil(time) = two.next(SECOND) else { panic!("it should wait") };
        assert!((3 * SECOND..3 * SECOND + BACK_OFF).contains(&time), "{time:?}");
        two.asked(1, time);
        assert!(!two.failed(1, wait, limits(time, 0)), "once");
        assert_eq!(two.next(time), Next::Nothing);

        let mut one = queue(&[(Standing::Healthy, 9), (Standing::Cooling, 9)]);
        one.asked(0, SECOND);
        assert!(!one.failed(0, Verdict::Wait(6 * SECOND), limits(SECOND, 0)), "too long");
        let mut late = queue(&[(Standing::Healthy, 9)]);
        late.asked(0, 59 * SECOND);
        assert!(!late.failed(0, wait, limits(59 * SECOND, 0)), "it does not fit what is left");
    }

    #[test]
    fn only_a_larger_context_helps_and_a_rejection_ends_it() {
        let mut larger = queue(&[(Standing::Healthy, 5), (Standing::Healthy, 5), (Standing::Healthy, 6)]);
        larger.asked(0, SECOND);
        larger.failed(0, Verdict::NextLarger, limits(SECOND, 3));
        assert_eq!(larger.next(SECOND), Next::Ask(2));
        let mut rejected = queue(&[(Standing::Healthy, 5), (Standing::Healthy, 5)]);
        rejected.asked(0, SECOND);
        rejected.failed(0, Verdict::GiveUp, limits(SECOND, 3));
        assert_eq!(rejected.next(SECOND), Next::Nothing);
    }

    #[test]
    fn a_refused_request_is_put_once_more_and_to_another_provider() {
        let refuse = |queue: &mut Queue, place| {
            assert_eq!(queue.next(SECOND), Next::Ask(place));
            queue.asked(place, SECOND);
            assert!(!queue.failed(place, Verdict::Elsewhere, limits(SECOND, 3)));
        };
        // Places 0 and 1 are one provider's, 2 and 3 another's, 4 a third one's.
        let mut two = queue(&[(Standing::Healthy, 9); 5]);
        refuse(&mut two, 0);
        refuse(&mut two, 2);
        assert_eq!(two.next(SECOND), Next::Nothing, "two have said so");

        let mut busy = queue(&[(Standing::Healthy, 9); 5]);
        refuse(&mut busy, 0);
        busy.asked(2, SECOND);
        busy.failed(2, Verdict::Next, limits(SECOND, 0));
        busy.asked(3, SECOND);
        busy.failed(3, Verdict::Next, limits(SECOND, 0));
        refuse(&mut busy, 4);
        assert_eq!(busy.next(SECOND), Next::Nothing);
        let mut same = queue(&[(Standing::Healthy, 9); 2]);
        refuse(&mut same, 0);
        assert_eq!(same.next(SECOND), Next::Nothing, "the same provider would say the same");
    }

    #[test]
    fn whoever_cools_down_is_asked_again_only_if_nobody_else_is_left() {
        let mut both = queue(&[(Standing::Cooling, 9), (Standing::Cooling, 9)]);
        both.asked(0, SECOND);
        assert!(!both.failed(0, Verdict::Retry, limits(SECOND, 1)));
        both.asked(1, SECOND);
        assert!(both.failed(1, Verdict::Retry, limits(SECOND, 1)));
    }

    #[test]
    fn a_stale_connection_costs_no_retry() {
        let mut only = queue(&[(Standing::Healthy, 9)]);
        only.asked(0, SECOND);
        assert!(only.note_stale(0) && only.resend(0, SECOND));
        assert_eq!(only.next(SECOND), Next::Ask(0));
        only.asked(0, SECOND);
        assert!(!only.note_stale(0), "once");
        assert!(only.failed(0, Verdict::Retry, limits(SECOND, 1)));
    }

    #[test]
    fn a_delay_that_does_not_fit_leaves_the_wait_to_another() {
        let mut two = queue(&[(Standing::Healthy, 9), (Standing::Healthy, 9)]);
        two.asked(0, SECOND);
        two.asked(1, SECOND);
        let late = RetryLimits { total: 4 * SECOND, ..limits(SECOND, 0) };
        assert!(!two.failed(0, Verdict::Wait(4 * SECOND), late));
        assert!(two.failed(1, Verdict::Wait(SECOND), late));
    }

    #[test]
    fn the_policy_may_have_a_delay_waited_for_although_others_are_there() {
        let waits = RetryLimits { wait: 8 * SECOND, ..limits(SECOND, 0) };
        for (delay, expected) in [(8, true), (9, false)] {
            let mut two = queue(&[(Standing::Healthy, 9), (Standing::Healthy, 9)]);
            two.asked(0, SECOND);
            assert_eq!(two.failed(0, Verdict::Wait(delay * SECOND), waits), expected);
        }
    }

    proptest! {
        #[test]
        fn every_history_is_bounded(verdicts in proptest::collection::vec((0_u8..5, 0_u64..8_000, any::<u64>()), 40),
                                    retries in 0_u32..4, wait in 0_u64..9_000, standings in proptest::collection::vec(0_u8..3, 1..8)) {
            let standings: Vec<(Standing, u64)> = standings.iter().map(|standing| match standing {
                0 => (Standing::Healthy, 9),
                1 => (Standing::ProbeDue, 9),
                _ => (Standing::Cooling, 9),
            }).collect();
            let mut queue = queue(&standings);
            let mut now = Duration::ZERO;
            let mut starts = vec![Vec::new(); standings.len()];
            let mut sends = 0;
            let total = Duration::from_secs(20);
            let wait = Duration::from_millis(wait);
            for (verdict, milliseconds, random) in verdicts {
                match queue.next(now) {
                    Next::Nothing => break,
                    Next::SleepUntil(time) => {
                        prop_assert!(time > now && time < total);
                        prop_assert!(time - now <= MAX_WAIT.max(wait) + CALM);
                        now = time;
                    }
                    Next::Ask(place) => {
                        queue.asked(place, now);
                        starts[place].push(now);
                        sends += 1;
                        let delay = Duration::from_millis(milliseconds);
                        now += Duration::from_millis(milliseconds / 100);
                        let verdict = match verdict {
                            0 => Verdict::Retry,
                            1 => Verdict::Wait(delay),
                            2 => Verdict::Next,
                            3 => Verdict::Elsewhere,
                            _ => Verdict::NextLarger,
                        };
                        queue.failed(place, verdict, RetryLimits { now, total, retries, wait, random });
                    }
                }
            }
            prop_assert!(sends <= MAX_SENDS);
            for starts in starts {
                prop_assert!(starts.windows(3).all(|three| three[2] - three[0] >= CALM));
            }
        }
    }
}
