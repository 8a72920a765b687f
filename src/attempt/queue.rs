//! Which candidate is asked next, and when: healthy ones in the policy's order, then those that cool down.
//!
//! Plain state over plain times (on the request's clock); `attempt` does the asking. A candidate is asked again only as the
//! tier's `retries` says, at most twice in [`CALM`], or once after the delay that it asked for if no other is healthy.

use std::time::Duration;

use crate::attempt::outcome::Verdict;
use crate::policy::Candidate;
use crate::pop::health::{Found, Standing};

/// The most requests to providers for one client request; with the classifier's call they stay below the platform's limit.
const MAX_SENDS: usize = 7;
/// The longest time that a client waits for a rate limit to pass.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The time in which a candidate is asked twice at most.
const CALM: Duration = Duration::from_millis(1_500);
/// The first back-off is between half of this and this; each further one is twice as long.
const BACK_OFF: Duration = Duration::from_millis(200);

/// The candidates of one request.
#[derive(Debug)]
pub struct Queue {
    slots: Vec<Slot>,
    sends_left: usize,
    /// The largest context, in tokens, that was too small; candidates must have a larger one.
    too_small: u64,
    /// Whether a delay that a candidate asked for has been waited for.
    waited: bool,
}

/// A candidate for the queue.
#[derive(Clone, Debug)]
pub struct Contender {
    pub candidate: Candidate,
    /// What the candidate may be used for now.
    pub standing: Standing,
    /// What the request has found of the candidate's health.
    pub found: Found,
    /// The candidate's context, in tokens.
    pub context: u64,
}

/// A candidate in the queue.
#[derive(Debug)]
struct Slot {
    candidate: Candidate,
    /// The candidate's context, in tokens.
    context: u64,
    standing: Standing,
    found: Found,
    /// When the candidate was asked, on the request's clock.
    starts: Vec<Duration>,
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
    /// A random number, for the jitter of back-offs.
    pub random: u64,
}

impl Queue {
    /// A queue of candidates that come in the policy's order.
    pub fn new(contenders: impl IntoIterator<Item = Contender>) -> Self {
        let mut slots: Vec<Slot> = contenders
            .into_iter()
            .map(|Contender { candidate, standing, found, context }| Slot {
                candidate,
                context,
                standing,
                found,
                starts: Vec::new(),
                due: Due::Fresh,
            })
            .collect();
        slots.sort_by_key(|slot| slot.standing == Standing::Cooling);
        Self { slots, sends_left: MAX_SENDS, too_small: 0, waited: false }
    }

    /// The candidate that is asked first.
    pub fn first(&self) -> Option<&Candidate> {
        self.slots.first().map(|slot| &slot.candidate)
    }

    /// All candidates, in the order in which they are asked.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.slots.iter().map(|slot| &slot.candidate)
    }

    /// The candidate at `place`.
    pub fn candidate(&self, place: usize) -> &Candidate {
        &self.slots[place].candidate
    }

    /// What the candidate at `place` may be used for.
    pub fn standing(&self, place: usize) -> Standing {
        self.slots[place].standing
    }

    /// What the request has found of the health of the candidate at `place`.
    pub fn found(&self, place: usize) -> Found {
        self.slots[place].found
    }

    /// Another request probes the candidate at `place`, so that for this one it comes last.
    pub fn hold_back(&mut self, place: usize) {
        self.slots[place].standing = Standing::Cooling;
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
        let may = |slot: &Slot| slot.due == Due::Fresh && slot.context > self.too_small;
        let is_first_choice = |slot: &Slot| may(slot) && slot.standing != Standing::Cooling;
        let place = self.slots.iter().position(is_first_choice).or_else(|| self.slots.iter().position(may));
        place.filter(|_| self.sends_left > 0)
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
        for slot in self.slots.iter_mut().filter(|slot| slot.due == Due::Fresh && !is_of_use(&slot.candidate)) {
            slot.due = Due::Done;
        }
    }

    /// An attempt at `place` failed. Says whether it will be repeated.
    pub fn failed(&mut self, place: usize, verdict: Verdict, limits: RetryLimits) -> bool {
        self.slots[place].due = Due::Done;
        let time = match verdict {
            Verdict::Next | Verdict::Elsewhere => None,
            Verdict::NextLarger => {
                self.too_small = self.too_small.max(self.slots[place].context);
                None
            }
            Verdict::GiveUp => {
                self.slots.iter_mut().for_each(|slot| slot.due = Due::Done);
                None
            }
            Verdict::Retry => self.retry_time(place, limits),
            Verdict::Wait(delay) => self.wait_time(place, delay, limits),
        };
        let Some(time) = time.filter(|time| *time < limits.total && self.sends_left > 0) else {
            return false;
        };
        self.slots[place].due = Due::At(time);
        true
    }

    fn retry_time(&self, place: usize, limits: RetryLimits) -> Option<Duration> {
        let slot = &self.slots[place];
        let retries = u32::try_from(slot.starts.len()).unwrap_or(u32::MAX).saturating_sub(1);
        // A probe asks once, and whoever cools down has failed often enough.
        if retries >= limits.retries || slot.standing != Standing::Healthy {
            return None;
        }
        let longest = BACK_OFF * 2_u32.pow(retries.min(8));
        Some((limits.now + jittered(longest, limits.random)).max(self.calm(place)))
    }

    fn wait_time(&mut self, place: usize, delay: Duration, limits: RetryLimits) -> Option<Duration> {
        let healthy =
            |slot: &Slot| slot.due == Due::Fresh && slot.context > self.too_small && slot.standing != Standing::Cooling;
        if self.waited || delay > MAX_WAIT || self.slots.iter().any(healthy) {
            return None;
        }
        self.waited = true;
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

/// Between half of `longest` and `longest`.
fn jittered(longest: Duration, random: u64) -> Duration {
    longest / 2 + longest.mul_f64((random % 1_000) as f64 / 2_000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::ModelId;

    const SECOND: Duration = Duration::from_secs(1);

    fn queue(candidates: &[(Standing, u64)]) -> Queue {
        Queue::new(candidates.iter().enumerate().map(|(place, (standing, context))| {
            let candidate = Candidate { model: ModelId(place), effort: None };
            Contender { candidate, standing: *standing, found: Found::default(), context: *context }
        }))
    }

    fn limits(now: Duration, retries: u32) -> RetryLimits {
        RetryLimits { now, total: 60 * SECOND, retries, random: 7 }
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

    proptest! {
        #[test]
        fn every_history_is_bounded(verdicts in proptest::collection::vec((0_u8..4, 0_u64..8_000, any::<u64>()), 40),
                                    retries in 0_u32..4, standings in proptest::collection::vec(0_u8..3, 1..8)) {
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
            for (verdict, milliseconds, random) in verdicts {
                match queue.next(now) {
                    Next::Nothing => break,
                    Next::SleepUntil(time) => {
                        prop_assert!(time > now && time < total);
                        prop_assert!(time - now <= MAX_WAIT + CALM);
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
                            _ => Verdict::NextLarger,
                        };
                        queue.failed(place, verdict, RetryLimits { now, total, retries, random });
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
