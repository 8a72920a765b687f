//! What is kept of a candidate that has failed lately, and the rules by which it changes. Plain state and plain times.
//!
//! Failures in a row start a cool-down. At its end one request probes: it succeeds when its answer is whole, which ends
//! everything, or fails, which starts a cool-down twice as long. Attempts overlap, and each is told of after others that began
//! later; so one that began before the last change says nothing about what came after it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::HealthSettings;
use crate::pop::health::{Cooling, Extent, Setback, Stage, Standing, Success};
use crate::pop::millis;
use crate::wire::carried::carried;

/// How long after a cool-down's end it is remembered, so that the next one is twice as long.
const COOLDOWN_MEMORY: Duration = Duration::from_secs(600);
/// How long a row of failures, or its end, is remembered: as long as an attempt may last that does not know of it.
const ROW_MEMORY: Duration = Duration::from_secs(120);

/// A candidate that has failed. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The failures in the present row.
    pub failures: u32,
    /// Whether one of them broke an answer off that had begun, so that a beginning no longer shows that it works.
    pub broke: bool,
    /// When a row was ended, a cool-down started or a probe fell due; an attempt that began before is about the time before.
    pub changed_ms: u64,
    pub cooldown: Option<CoolDown>,
}

carried!(State { failures, broke, changed_ms, cooldown });

/// A cool-down, or the time of the probe that follows it; kept after its end, until a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoolDown {
    pub until_ms: u64,
    /// Which one it is, of those that no success came between; from 1.
    pub number: u32,
    /// Whether a request is finding out if the candidate works again.
    pub is_probe: bool,
}

carried!(CoolDown { until_ms, number, is_probe });

impl State {
    pub fn standing(&self, now: Duration) -> Standing {
        match self.cooldown {
            None => Standing::Healthy,
            Some(cooldown) if millis(now) < cooldown.until_ms => Standing::Cooling,
            Some(_) => Standing::ProbeDue,
        }
    }

    /// Whether there is anything that a success would end.
    pub fn is_clear(&self) -> bool {
        self.failures == 0
    }

    /// Whether the candidate is being probed at `now`.
    pub fn is_probed(&self, now: Duration) -> bool {
        self.cooldown.is_some_and(|cooldown| cooldown.is_probe && millis(now) < cooldown.until_ms)
    }

    /// When the state may be forgotten, if it was changed at `now`.
    pub fn end_ms(&self, now: Duration) -> u64 {
        match self.cooldown {
            Some(cooldown) => cooldown.until_ms.saturating_add(millis(COOLDOWN_MEMORY)),
            None => millis(now + ROW_MEMORY),
        }
    }

    /// The state after an attempt that failed.
    pub fn failed(self, setback: Setback, settings: &HealthSettings) -> State {
        let Setback { cooling, began, at, stage } = setback;
        let length = match cooling {
            Cooling::None => return self,
            // It is there, which is as much as a beginning shows.
            Cooling::Alive => return self.succeeded(Success { began, extent: Extent::Begun }, at),
            Cooling::Failure => Duration::ZERO,
            Cooling::Asked(delay) => delay.max(settings.cooldown).min(settings.max_cooldown),
            Cooling::Long => settings.auth_cooldown,
        };
        let counts_from = match self.cooldown {
            // A last resort fails while everybody knows that it does; but what lasts longer holds.
            Some(running) if !running.is_probe && millis(at) < running.until_ms => {
                let until_ms = running.until_ms.max(millis(at + length));
                return State { cooldown: Some(CoolDown { until_ms, ..running }), ..self };
            }
            Some(ended) if !ended.is_probe => ended.until_ms,
            _ => self.changed_ms,
        };
        if millis(began) < counts_from {
            return self;
        }
        let failures = self.failures.saturating_add(1);
        let broke = self.broke || stage == Stage::AfterBegin;
        let is_row = self.cooldown.is_none() && cooling == Cooling::Failure;
        if is_row && failures < settings.failures {
            return State { failures, broke, ..self };
        }
        let number = self.cooldown.map_or(0, |cooldown| cooldown.number).saturating_add(1);
        let length = if cooling == Cooling::Failure { doubled(number, settings) } else { length };
        let cooldown = CoolDown { until_ms: millis(at + length), number, is_probe: false };
        State { failures, broke, changed_ms: millis(at), cooldown: Some(cooldown) }
    }

    /// The state after an attempt that succeeded, at `now`. A beginning ends a row in which nothing broke after it began; all
    /// else takes an answer that was whole, of an attempt that began after the cool-down did.
    pub fn succeeded(self, success: Success, now: Duration) -> State {
        let ends = match self.cooldown {
            _ if self.is_clear() => false,
            Some(_) => success.extent == Extent::Whole && millis(success.began) >= self.changed_ms,
            None => success.extent == Extent::Whole || !self.broke,
        };
        if ends { State { changed_ms: millis(now), ..State::default() } } else { self }
    }

    /// The state after a probe that has shown nothing, at `now`.
    pub fn released(self, now: Duration) -> State {
        let release = |cooldown: CoolDown| match cooldown.is_probe {
            true => CoolDown { until_ms: cooldown.until_ms.min(millis(now)), ..cooldown },
            false => cooldown,
        };
        State { cooldown: self.cooldown.map(release), ..self }
    }

    /// The state while a request probes, which may last until `now + lasts`.
    pub fn probed(self, now: Duration, lasts: Duration) -> State {
        let Some(ended) = self.cooldown else { return self };
        // A probe that has come to nothing may still succeed, so the next one leaves the time of the change.
        let changed_ms = if ended.is_probe { self.changed_ms } else { ended.until_ms };
        let cooldown = CoolDown { until_ms: millis(now + lasts), is_probe: true, ..ended };
        State { changed_ms, cooldown: Some(cooldown), ..self }
    }
}

/// The length of this cool-down in a row.
fn doubled(number: u32, settings: &HealthSettings) -> Duration {
    let factor = 1_u32.checked_shl(number.saturating_sub(1)).unwrap_or(u32::MAX);
    settings.cooldown.saturating_mul(factor).min(settings.max_cooldown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: HealthSettings = HealthSettings {
        failures: 3,
        cooldown: Duration::from_secs(5),
        max_cooldown: Duration::from_secs(60),
        auth_cooldown: Duration::from_secs(300),
        hedge_share: 0.05,
    };
    const AT_ONCE: HealthSettings = HealthSettings { failures: 1, ..SETTINGS };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    /// An attempt that failed before it began to answer, as soon as it was made.
    fn setback(cooling: Cooling, now: u64) -> Setback {
        Setback { cooling, began: at(now), at: at(now), stage: Stage::BeforeBegin }
    }

    /// The state after failures at these times, each of an attempt that began then.
    fn after_failures(times: &[u64]) -> State {
        times.iter().fold(State::default(), |state, now| state.failed(setback(Cooling::Failure, *now), &SETTINGS))
    }

    fn begun(began: u64) -> Success {
        Success { began: at(began), extent: Extent::Begun }
    }

    fn whole(began: u64) -> Success {
        Success { began: at(began), extent: Extent::Whole }
    }

    /// Seconds from `now` until the cool-down ends.
    fn left(state: State, now: u64) -> u64 {
        state.cooldown.expect("a cool-down").until_ms / 1000 - at(now).as_secs()
    }

    #[test]
    fn as_many_failures_in_a_row_as_the_policy_says_are_a_cooldown() {
        assert_eq!(after_failures(&[0, 1]).standing(at(1)), Standing::Healthy);
        let cooling = after_failures(&[0, 1, 2]);
        assert_eq!((cooling.standing(at(2)), left(cooling, 2)), (Standing::Cooling, 5));
        assert_eq!(cooling.standing(at(7)), Standing::ProbeDue);
        let at_once = State::default().failed(setback(Cooling::Failure, 0), &AT_ONCE);
        assert_eq!(left(at_once, 0), 5);
    }

    #[test]
    fn a_success_ends_a_row() {
        let again = Setback { stage: Stage::AfterBegin, ..setback(Cooling::Failure, 1) };
        for (name, row, success, ends) in [
            ("a beginning", after_failures(&[0, 1]), begun(2), true),
            ("a whole answer", after_failures(&[0, 1]), whole(2), true),
            ("an answer that began before the row", after_failures(&[5, 6]), whole(2), true),
            ("a beginning after a break", after_failures(&[0]).failed(again, &SETTINGS), begun(2), false),
            ("a whole answer after a break", after_failures(&[0]).failed(again, &SETTINGS), whole(2), true),
        ] {
            let after = row.succeeded(success, at(9));
            assert_eq!(after.is_clear(), ends, "{name}");
            assert!(ends || after == row, "{name}");
            let more = after.failed(setback(Cooling::Failure, 10), &SETTINGS);
            assert_eq!(more.standing(at(10)) == Standing::Healthy, ends, "{name}: {more:?}");
        }
    }

    #[test]
    fn an_attempt_that_began_before_the_last_change_does_not_count() {
        let old = |began: u64, now: u64| Setback { began: at(began), ..setback(Cooling::Failure, now) };
        let cleared = after_failures(&[0, 1]).succeeded(begun(2), at(3));
        assert_eq!(cleared.failed(old(2, 4), &AT_ONCE), cleared, "the row was ended meanwhile");
        assert_ne!(cleared.failed(old(3, 4), &AT_ONCE), cleared);
        let cooling = after_failures(&[0, 0, 0]);
        for (name, began, now) in [
            ("before it and during it", 0, 1),
            ("a last resort during it", 1, 4),
            ("a last resort that fails after it", 4, 9),
            ("before it, long after", 0, 99),
        ] {
            assert_eq!(cooling.failed(old(began, now), &SETTINGS), cooling, "{name}");
        }
        assert_eq!(left(cooling.failed(old(5, 9), &SETTINGS), 9), 10, "it began after the cool-down and failed");
    }

    #[test]
    fn what_lasts_longer_holds() {
        let cooling = after_failures(&[0, 0, 0]);
        let long = cooling.failed(setback(Cooling::Long, 1), &SETTINGS);
        assert_eq!((left(long, 1), long.cooldown.map(|cooldown| cooldown.number)), (300, Some(1)));
        let asked = |seconds| setback(Cooling::Asked(Duration::from_secs(seconds)), 2);
        assert_eq!(long.failed(asked(10), &SETTINGS), long);
        assert_eq!(left(cooling.failed(asked(40), &SETTINGS), 2), 40);
        assert_eq!(left(State::default().failed(setback(Cooling::Long, 0), &SETTINGS), 0), 300, "at once");
    }

    #[test]
    fn a_provider_is_left_alone_as_long_as_it_asks() {
        for (asked, expected) in [(1, 5), (17, 17), (4_000, 60)] {
            let asked = setback(Cooling::Asked(Duration::from_secs(asked)), 0);
            assert_eq!(left(State::default().failed(asked, &SETTINGS), 0), expected);
        }
    }

    #[test]
    fn the_cooldown_doubles_with_each_failed_probe_and_ends_with_a_whole_answer() {
        let mut state = after_failures(&[0, 0, 0]);
        let mut now = 0;
        for expected in [5, 10, 20, 40, 60, 60] {
            assert_eq!(left(state, now), expected);
            now += expected;
            assert_eq!(state.standing(at(now)), Standing::ProbeDue);
            state = state.probed(at(now), Duration::from_secs(15));
            assert_eq!(state.standing(at(now + 14)), Standing::Cooling, "the others wait for the probe");
            assert_eq!(state.succeeded(begun(now), at(now + 1)), state, "a beginning is no success");
            // It begins, then breaks.
            state = state.failed(Setback { stage: Stage::AfterBegin, ..setback(Cooling::Failure, now) }, &SETTINGS);
        }
        now += 60;
        let probed = state.probed(at(now), Duration::from_secs(15));
        assert_eq!(probed.failed(setback(Cooling::None, now), &SETTINGS), probed);
        assert_eq!(probed.failed(setback(Cooling::Alive, now), &SETTINGS), probed);
        let works = probed.succeeded(whole(now), at(now + 3));
        assert_eq!((works.is_clear(), works.cooldown), (true, None));
        assert_eq!(
            works.failed(setback(Cooling::Failure, now + 4), &SETTINGS).standing(at(now + 4)),
            Standing::Healthy
        );
    }

    #[test]
    fn a_probe_that_never_ends_makes_the_next_one_due_and_may_still_succeed() {
        let probed = after_failures(&[0, 0, 0]).probed(at(6), Duration::from_secs(15));
        assert_eq!(probed.standing(at(21)), Standing::ProbeDue);
        let again = probed.probed(at(22), Duration::from_secs(15));
        assert_eq!((left(again, 22), again.cooldown.map(|cooldown| cooldown.number)), (15, Some(1)));
        assert!(again.succeeded(whole(6), at(30)).is_clear(), "the first one's answer was long");
        assert!(again.succeeded(whole(22), at(30)).is_clear());
    }

    #[test]
    fn a_last_resort_that_works_ends_a_cooldown_and_an_older_attempt_does_not() {
        let cooling = after_failures(&[1, 1, 1]);
        assert!(cooling.succeeded(whole(2), at(3)).is_clear());
        assert_eq!(cooling.succeeded(whole(0), at(3)), cooling);
        assert_eq!(cooling.succeeded(begun(2), at(3)), cooling);
    }

    #[test]
    fn a_state_is_kept_as_long_as_it_matters() {
        for (name, state, expected) in [
            ("a row", after_failures(&[0]), 120),
            ("a row's end", after_failures(&[0]).succeeded(begun(0), at(0)), 120),
            ("a cool-down", after_failures(&[0, 0, 0]), 605),
            ("a long one", State::default().failed(setback(Cooling::Long, 0), &SETTINGS), 900),
        ] {
            assert_eq!(state.end_ms(at(0)) / 1000 - at(0).as_secs(), expected, "{name}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Failed { cooling: Cooling, ago: u64, stage: Stage },
        Succeeded { ago: u64, extent: Extent },
        Probed { lasts: u64 },
        Passed(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let cooling = prop_oneof![
            Just(Cooling::None),
            Just(Cooling::Alive),
            Just(Cooling::Failure),
            Just(Cooling::Long),
            any::<u64>().prop_map(|ms| Cooling::Asked(Duration::from_millis(ms % 90_000_000))),
        ];
        let stage = prop_oneof![Just(Stage::BeforeBegin), Just(Stage::AfterBegin)];
        let extent = prop_oneof![Just(Extent::Begun), Just(Extent::Whole)];
        let step = prop_oneof![
            (cooling, 0_u64..30, stage).prop_map(|(cooling, ago, stage)| Step::Failed { cooling, ago, stage }),
            (0_u64..30, extent).prop_map(|(ago, extent)| Step::Succeeded { ago, extent }),
            (0_u64..60).prop_map(|lasts| Step::Probed { lasts }),
            (0_u64..200).prop_map(Step::Passed),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn no_history_keeps_a_candidate_away_longer_than_the_policy_says(steps in steps()) {
            let mut state = State::default();
            let mut now = 100;
            for step in steps {
                let before = state;
                match step {
                    Step::Failed { cooling, ago, stage } => {
                        let setback = Setback { began: at(now - ago), stage, ..setback(cooling, now) };
                        state = state.failed(setback, &SETTINGS);
                        if matches!(cooling, Cooling::None | Cooling::Alive) {
                            prop_assert_eq!(state.cooldown, before.cooldown, "it never starts one");
                            prop_assert!(state.failures <= before.failures);
                        }
                    }
                    Step::Succeeded { ago, extent } => {
                        state = state.succeeded(Success { began: at(now - ago), extent }, at(now));
                        prop_assert!(state == before || state.is_clear());
                    }
                    Step::Probed { lasts } if state.standing(at(now)) == Standing::ProbeDue => {
                        state = state.probed(at(now), Duration::from_secs(lasts));
                    }
                    Step::Probed { .. } => {}
                    Step::Passed(seconds) => now += seconds,
                }
                prop_assert_eq!(state.failures == 0, state.is_clear());
                prop_assert!(state.cooldown.is_none() || !state.is_clear());
                prop_assert_ne!(state.standing(at(now) + SETTINGS.auth_cooldown), Standing::Cooling);
                let written = serde_json::to_string(&state).expect("JSON");
                prop_assert_eq!(serde_json::from_str::<State>(&written).expect("a state"), state);
            }
        }
    }
}
