//! Which candidates have failed lately, in this POP: a failing one comes last for a cool-down that doubles, then one request
//! probes it.
//!
//! Plain state and plain rules; `pop` keeps them in the POP's cache. A read and a later write of the cache are
//! not one step, so two sandboxes may both probe, or one failure may be forgotten. Both are harmless.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::Platform;
use crate::policy::HealthSettings;

/// What follows from an outcome for the candidate's standing in this POP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cooling {
    /// It says nothing about the candidate.
    None,
    /// The candidate is there.
    Alive,
    /// It counts as a failure; as many in a row as the policy says are a cool-down, that doubles.
    Failure,
    /// At least as long as the provider asks.
    Asked(Duration),
    /// Nothing that passes by itself: a refused key, an exhausted quota, a model that is not there.
    Long,
}

/// A candidate's failure, for its standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setback {
    pub cooling: Cooling,
    /// When the attempt began, since 1970.
    pub began: Duration,
    /// When the candidate failed, since 1970.
    pub at: Duration,
    pub stage: Stage,
}

/// Whether an attempt had begun to answer when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    BeforeBegin,
    AfterBegin,
}

/// How far an attempt has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Begun,
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Success {
    pub began: Duration,
    pub extent: Extent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub standing: Standing,
}

pub fn failed<P: Platform>(platform: &P, name: &str, setback: Setback, settings: &HealthSettings) {
    super::update(platform, |pop, _| pop.health.failed(name, setback, settings));
}

pub fn succeeded<P: Platform>(platform: &P, name: &str, found: Found, _success: Success) {
    if found.standing != Standing::Healthy {
        super::update(platform, |pop, _| {
            pop.health.succeeded(name);
        });
    }
}

pub fn confirm<P: Platform>(_platform: &P, _name: &str, _success: Success) {}

pub fn elect_probe<P: Platform>(platform: &P, name: &str, _found: Found, lasts: Duration) -> bool {
    super::update(platform, |pop, now| {
        pop.health.probes(
            name,
            &HealthSettings {
                failures: 1,
                cooldown: lasts,
                max_cooldown: lasts,
                auth_cooldown: lasts,
                hedge_share: 0.0,
            },
            now,
        )
    });
    true
}

/// How long after a cool-down's end the failure still counts, so that the next one doubles it.
const MEMORY: Duration = Duration::from_secs(600);
/// More candidates than any policy has; the oldest are forgotten.
const MAX_CANDIDATES: usize = 200;

/// The candidates that are not healthy, by `provider/model`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Health(BTreeMap<String, CoolDown>);

/// A candidate that has failed. Times are since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoolDown {
    /// How many failures there were in a row.
    pub failures: u32,
    /// When its cool-down ends.
    pub until_ms: u64,
    /// Whether a request is finding out if it works again; the cool-down is the probe's time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probing: bool,
}

/// What a candidate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Healthy,
    /// Its cool-down has ended; whoever asks it first probes.
    ProbeDue,
    /// It comes last.
    Cooling,
}

impl Health {
    pub fn standing(&self, candidate: &str, now: Duration) -> Standing {
        match self.0.get(candidate) {
            None => Standing::Healthy,
            Some(state) if millis(now) < state.until_ms => Standing::Cooling,
            Some(_) => Standing::ProbeDue,
        }
    }

    /// Those that cool down, with when it ends.
    pub fn cooling(&self, now: Duration) -> impl Iterator<Item = (&str, &CoolDown)> {
        let now = millis(now);
        self.0.iter().filter(move |(_, state)| now < state.until_ms).map(|(name, state)| (name.as_str(), state))
    }

    /// A request goes to a candidate whose probe is due; until it is over the others keep away.
    pub fn probes(&mut self, candidate: &str, policy: &HealthSettings, now: Duration) {
        if let Some(state) = self.0.get_mut(candidate) {
            *state = CoolDown { until_ms: millis(now + policy.cooldown), probing: true, ..*state };
        }
    }

    /// An attempt failed. One that had begun before the cool-down did not know of it, so it does not double it.
    pub fn failed(&mut self, candidate: &str, setback: Setback, policy: &HealthSettings) {
        let Setback { cooling, at: now, .. } = setback;
        let known = self.0.get(candidate).copied();
        let again = known.is_some_and(|state| millis(now) < state.until_ms && !state.probing);
        let failures = match known {
            Some(state) if again => state.failures,
            Some(state) => state.failures.saturating_add(1),
            None => 1,
        };
        let doubled = policy.cooldown.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
        let cooldown = match cooling {
            Cooling::None | Cooling::Alive => return,
            Cooling::Failure => doubled.min(policy.max_cooldown),
            Cooling::Asked(delay) => doubled.max(delay).min(policy.max_cooldown),
            Cooling::Long => policy.auth_cooldown,
        };
        let until_ms = millis(now + cooldown).max(known.filter(|_| again).map_or(0, |state| state.until_ms));
        self.0.insert(candidate.to_owned(), CoolDown { failures, until_ms, probing: false });
        self.forget(now);
    }

    /// An attempt succeeded. Says whether that is news.
    pub fn succeeded(&mut self, candidate: &str) -> bool {
        self.0.remove(candidate).is_some()
    }

    fn forget(&mut self, now: Duration) {
        self.0.retain(|_, state| millis(now) < state.until_ms + millis(MEMORY));
        while self.0.len() > MAX_CANDIDATES {
            let oldest = self.0.iter().min_by_key(|(_, state)| state.until_ms).map(|(name, _)| name.clone());
            self.0.remove(&oldest.unwrap_or_default());
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: HealthSettings = HealthSettings {
        failures: 3,
        cooldown: Duration::from_secs(5),
        max_cooldown: Duration::from_secs(60),
        auth_cooldown: Duration::from_secs(300),
        hedge_share: 0.05,
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    /// Seconds from `now` until the candidate's cool-down ends.
    fn left(health: &Health, now: u64) -> u64 {
        health.0["c"].until_ms / 1000 - at(now).as_secs()
    }

    #[test]
    fn the_cooldown_doubles_with_each_failed_probe_and_ends_with_a_success() {
        let mut health = Health::default();
        let mut now = 0;
        for expected in [5, 10, 20, 40, 60, 60] {
            health.failed(
                "c",
                Setback { cooling: Cooling::Failure, began: at(now), at: at(now), stage: Stage::BeforeBegin },
                &POLICY,
            );
            assert_eq!(left(&health, now), expected);
            assert_eq!(health.standing("c", at(now + expected - 1)), Standing::Cooling);
            now += expected;
            assert_eq!(health.standing("c", at(now)), Standing::ProbeDue);
            health.probes("c", &POLICY, at(now));
            assert_eq!(health.standing("c", at(now + 1)), Standing::Cooling, "the others wait for the probe");
        }
        assert!(health.succeeded("c"));
        assert_eq!(health.standing("c", at(now)), Standing::Healthy);
        assert!(!health.succeeded("c"));
    }

    #[test]
    fn a_burst_of_failures_is_one_failure() {
        let mut health = Health::default();
        for _ in 0..50 {
            health.failed(
                "c",
                Setback { cooling: Cooling::Failure, began: at(0), at: at(0), stage: Stage::BeforeBegin },
                &POLICY,
            );
        }
        assert_eq!((left(&health, 0), health.0["c"].failures), (5, 1));
        health.failed(
            "c",
            Setback { cooling: Cooling::Long, began: at(1), at: at(1), stage: Stage::BeforeBegin },
            &POLICY,
        );
        assert_eq!(left(&health, 1), 300, "what lasts longer holds");
        health.failed(
            "c",
            Setback { cooling: Cooling::Failure, began: at(2), at: at(2), stage: Stage::BeforeBegin },
            &POLICY,
        );
        assert_eq!(left(&health, 1), 300);
    }

    #[test]
    fn a_provider_is_left_alone_as_long_as_it_asks() {
        for (asked, expected) in [(1, 5), (17, 17), (4_000, 60)] {
            let mut health = Health::default();
            health.failed(
                "c",
                Setback {
                    cooling: Cooling::Asked(Duration::from_secs(asked)),
                    began: at(0),
                    at: at(0),
                    stage: Stage::BeforeBegin,
                },
                &POLICY,
            );
            assert_eq!(left(&health, 0), expected);
        }
    }

    #[test]
    fn a_probe_that_never_ends_does_not_block_for_ever() {
        let mut health = Health::default();
        health.failed(
            "c",
            Setback { cooling: Cooling::Failure, began: at(0), at: at(0), stage: Stage::BeforeBegin },
            &POLICY,
        );
        health.probes("c", &POLICY, at(5));
        assert_eq!(health.standing("c", at(10)), Standing::ProbeDue);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut health = Health::default();
        health.failed(
            "c",
            Setback { cooling: Cooling::Failure, began: at(0), at: at(0), stage: Stage::BeforeBegin },
            &POLICY,
        );
        health.failed(
            "d",
            Setback { cooling: Cooling::Failure, began: at(700), at: at(700), stage: Stage::BeforeBegin },
            &POLICY,
        );
        assert_eq!(health.0.keys().collect::<Vec<_>>(), ["d"]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Failed(Cooling),
        Succeeded,
        Passed(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let cooling = prop_oneof![
            Just(Cooling::None),
            Just(Cooling::Failure),
            Just(Cooling::Long),
            any::<u64>().prop_map(|ms| Cooling::Asked(Duration::from_millis(ms % 90_000_000))),
        ];
        let step =
            prop_oneof![cooling.prop_map(Step::Failed), Just(Step::Succeeded), (0_u64..200).prop_map(Step::Passed)];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn no_history_keeps_a_candidate_away_longer_than_the_policy_says(steps in steps()) {
            let mut health = Health::default();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Failed(cooling) => {
                        if health.standing("c", at(now)) == Standing::ProbeDue {
                            health.probes("c", &POLICY, at(now));
                        }
                        health.failed("c", Setback { cooling, began: at(now), at: at(now), stage: Stage::BeforeBegin }, &POLICY);
                    }
                    Step::Succeeded => {
                        health.succeeded("c");
                        prop_assert_eq!(health.standing("c", at(now)), Standing::Healthy);
                    }
                    Step::Passed(seconds) => now += seconds,
                }
                prop_assert_ne!(health.standing("c", at(now) + POLICY.auth_cooldown), Standing::Cooling);
                let written = serde_json::to_string(&health).expect("JSON");
                prop_assert_eq!(&serde_json::from_str::<Health>(&written).expect("health"), &health);
            }
        }
    }
}
