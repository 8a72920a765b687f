//! Which candidates have failed lately, in this POP: as many failures in a row as the policy says are a cool-down, in which the
//! candidate comes last; at its end one request probes.
//!
//! [`state`] has the rules; here they are kept in the POP's cache, one key for each candidate. Of two changes at the same
//! moment one may be lost: then a failure is not counted, a cool-down starts with the next failure, or a candidate that works
//! is probed once more.

mod state;

use std::time::Duration;

use crate::platform::Platform;
use crate::policy::HealthSettings;
use crate::pop::health::state::State;
use crate::pop::index::{self, Index};
use crate::pop::{decode, millis, read, read_together, write};
use crate::wire::carried::carried;

/// How long a sandbox may not know of a change.
const STALENESS: Duration = Duration::from_secs(2);
/// Of the requests that knew of no failure, one in so many looks again once it has served, for all of them.
const SAMPLE: u64 = 4;

/// What follows from an outcome for the candidate's standing in this POP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cooling {
    /// It says nothing about the candidate.
    None,
    /// The candidate is there, which ends a row of failures as a beginning does.
    Alive,
    /// It counts as a failure; as many in a row as the policy says are a cool-down, that doubles.
    Failure,
    /// At least as long as the provider asks.
    Asked(Duration),
    /// Nothing that passes by itself: a refused key, an exhausted quota, a model that is not there.
    Long,
}

/// What a candidate may be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    #[default]
    Healthy,
    /// Its cool-down has ended; whoever is elected probes, for the others it is as before.
    ProbeDue,
    /// It comes last.
    Cooling,
}

carried!(Standing = Healthy | ProbeDue | Cooling);

/// What a request found of a candidate when it planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub standing: Standing,
    state: Option<State>,
}

carried!(Found { standing, state });

/// An attempt that failed. Times are since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setback {
    pub cooling: Cooling,
    /// When the attempt began.
    pub began: Duration,
    /// When it failed.
    pub at: Duration,
    pub stage: Stage,
}

/// Whether an attempt failed before or after its first piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    BeforeBegin,
    AfterBegin,
}

/// An attempt that brought an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Success {
    /// When the attempt began, since 1970.
    pub began: Duration,
    pub extent: Extent,
}

/// How much of an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Its first piece.
    Begun,
    /// All of it.
    Whole,
}

/// A candidate's state, for those who may inspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Failures in a row.
    pub failures: u32,
    pub standing: Standing,
    /// What is left of the cool-down, or of the probe's time.
    pub left: Duration,
    pub is_probed: bool,
}

impl Found {
    /// Whether there was nothing that a success would end. Then a whole answer is told to [`confirm`], else to [`succeeded`].
    pub fn is_clear(&self) -> bool {
        self.state.is_none_or(|state| state.is_clear())
    }

    /// What there is to be told of the candidate at `now`.
    pub fn inspect(&self, now: Duration) -> Option<Inspected> {
        let state = self.state.filter(|state| !state.is_clear())?;
        let until = Duration::from_millis(state.cooldown.map_or(0, |cooldown| cooldown.until_ms));
        Some(Inspected {
            failures: state.failures,
            standing: self.standing,
            left: until.saturating_sub(now),
            is_probed: state.is_probed(now),
        })
    }
}

/// What this POP knows of the candidates, in their order. Nothing is read where the index says that none has a state. What
/// does not come in time counts as healthy.
pub fn look_up<P: Platform>(platform: &P, index: Index, names: &[String]) -> Vec<Found> {
    if !index.has_states(platform.unix_time()) {
        return vec![Found::default(); names.len()];
    }
    let mut keys: Vec<String> = names.iter().map(|name| key(name)).collect();
    keys.sort_unstable();
    keys.dedup();
    let answers = read_together(platform, &keys);
    let now = platform.unix_time();
    let found: Vec<Found> = answers
        .into_iter()
        .map(|answer| match answer.ok().flatten() {
            None => Found::default(),
            stored => {
                let state: State = decode(stored);
                Found { standing: state.standing(now), state: Some(state) }
            }
        })
        .collect();
    names.iter().map(|name| keys.binary_search(&key(name)).map_or_else(|_| Found::default(), |at| found[at])).collect()
}

/// An attempt failed, as its outcome's [`Cooling`] says.
pub fn failed<P: Platform>(platform: &P, name: &str, setback: Setback, settings: &HealthSettings) {
    match setback.cooling {
        Cooling::None => {}
        Cooling::Alive => end(platform, name, Success { began: setback.began, extent: Extent::Begun }),
        Cooling::Failure | Cooling::Asked(_) | Cooling::Long => {
            change(platform, name, |state| state.failed(setback, settings));
        }
    }
}

/// An attempt brought an answer, which ends what the request had found; where that is nothing, nothing is read.
pub fn succeeded<P: Platform>(platform: &P, name: &str, found: Found, success: Success) {
    if !found.is_clear() {
        change(platform, name, |state| state.succeeded(success, platform.unix_time()));
    }
}

/// An attempt brought a whole answer, and the request had found nothing that it would end. Many may be under way when a row of failures begins,
/// none of which knows of it, and few failures among them would look like a row; so some look again.
pub fn confirm<P: Platform>(platform: &P, name: &str, success: Success) {
    // The last residue, so that a random number of 0 says no.
    if platform.random() % SAMPLE == SAMPLE - 1 {
        end(platform, name, success);
    }
}

/// Whether this request is the one that probes a candidate whose cool-down has ended. It has `lasts` for that; for all others
/// the candidate cools meanwhile. If it comes to nothing the next probe is due.
pub fn elect_probe<P: Platform>(platform: &P, name: &str, found: Found, lasts: Duration) -> bool {
    let cooldown = found.state.and_then(|state| state.cooldown).filter(|_| found.standing == Standing::ProbeDue);
    let Some(ended) = cooldown else { return false };
    // The name says which cool-down is ended, so that nobody is elected by an old copy of the state.
    let office = format!("tiergate/probe/{name}/{}", ended.until_ms);
    if !platform.elect(&office, lasts + STALENESS) {
        return false;
    }
    let Ok(state) = read::<P, State>(platform, &key(name)) else { return false };
    let is_same = state.cooldown == Some(ended);
    if is_same {
        keep(platform, name, state.probed(platform.unix_time(), lasts));
    }
    is_same
}

/// The probe that this request was elected for has shown nothing, so the next one is due.
pub fn release_probe<P: Platform>(platform: &P, name: &str) {
    change(platform, name, |state| state.released(platform.unix_time()));
}

fn key(name: &str) -> String {
    format!("{}/{name}", index::KEY)
}

/// Ends what a success ends, of which the request does not know whether it is there.
fn end<P: Platform>(platform: &P, name: &str, success: Success) {
    if index::read(platform).is_ok_and(|index| index.has_states(platform.unix_time())) {
        change(platform, name, |state| state.succeeded(success, platform.unix_time()));
    }
}

/// Changes a state that could be read.
fn change<P: Platform>(platform: &P, name: &str, change: impl FnOnce(State) -> State) {
    let Ok(before) = read::<P, State>(platform, &key(name)) else { return };
    let state = change(before);
    if state != before {
        keep(platform, name, state);
    } else if state.cooldown.is_some() {
        // Another one may have shortened the index.
        index::extend(platform, state.end_ms(platform.unix_time()));
    }
}

/// Writes a state, and then sees to it that the index says so.
fn keep<P: Platform>(platform: &P, name: &str, state: State) {
    let now = platform.unix_time();
    let end_ms = state.end_ms(now);
    write(platform, &key(name), &state, Duration::from_millis(end_ms.saturating_sub(millis(now))));
    index::extend(platform, end_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::health::state::CoolDown;
    use crate::wire::carried;

    #[test]
    fn what_was_found_is_known_elsewhere() {
        let cooldown = Some(CoolDown { until_ms: 9, number: 2, is_probe: true });
        let state = State { failures: 3, broke: true, changed_ms: u64::MAX, cooldown };
        for standing in [Standing::Healthy, Standing::ProbeDue, Standing::Cooling] {
            for state in [None, Some(State::default()), Some(state)] {
                let found = Found { standing, state };
                assert_eq!(carried::read(&carried::write(&found)), Some(found));
            }
        }
    }
}
