//! Who is asked next after which outcomes.

use proptest::prelude::*;

use super::*;
use crate::policy::{ModelId, ProviderId};

const SECOND: Duration = Duration::from_secs(1);
/// How many candidates are asked at most.
const SENDS: usize = 7;

fn queue(candidates: &[(Standing, u64)]) -> Queue {
    let contenders = candidates.iter().enumerate().map(|(place, (standing, context))| {
        let candidate = Candidate { model: ModelId(place), effort: None };
        Contender {
            candidate,
            provider: ProviderId(place / 2),
            found: Found::default(),
            standing: *standing,
            context: *context,
        }
    });
    Queue::new(contenders, SENDS as u32)
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
fn nobody_is_asked_again_once_a_request_is_given_up() {
    let mut two = queue(&[(Standing::Healthy, 9), (Standing::Healthy, 9), (Standing::Healthy, 9)]);
    two.asked(0, SECOND);
    two.asked(1, SECOND);
    assert!(!two.failed(0, Verdict::GiveUp, limits(SECOND, 1)));
    assert!(!two.failed(1, Verdict::Retry, limits(SECOND, 1)));
    assert_eq!((two.fresh(), two.next(SECOND)), (None, Next::Nothing));
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

#[test]
fn retries_leave_a_send_for_everybody() {
    let mut queue = queue(&[(Standing::Healthy, 9), (Standing::Healthy, 9), (Standing::Healthy, 9)]);
    let mut asked = Vec::new();
    let mut now = SECOND;
    loop {
        match queue.next(now) {
            Next::Nothing => break,
            Next::SleepUntil(time) => now = time,
            Next::Ask(place) => {
                asked.push(place);
                queue.asked(place, now);
                queue.failed(place, Verdict::Retry, limits(now, 3));
            }
        }
    }
    assert_eq!((asked.len(), asked.last()), (SENDS, Some(&2)), "{asked:?}");
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
        prop_assert!(sends <= SENDS);
        for starts in starts {
            prop_assert!(starts.windows(3).all(|three| three[2] - three[0] >= CALM));
        }
    }
}
