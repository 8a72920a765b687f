//! The classifier's circuit breaker: closed, open for a time after failures in a row, then one probe.
//!
//! It has the rules of a candidate's health under a name that no candidate has; it opens always for the same time.

use std::time::Duration;

use crate::platform::Platform;
use crate::policy::{Breaker, Classifier, HealthSettings};
use crate::pop::health::{self, Cooling, Extent, Found, Setback, Stage, Standing, Success};
use crate::pop::index::Index;

/// A candidate's name has a slash.
const NAME: &str = "classifier";

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// Also the one call that finds out whether it works again.
    Call(Found),
    Denied,
}

/// Asks the breaker, which is read only if anything in this POP has a state.
pub fn permit<P: Platform>(platform: &P, index: Index, classifier: &Classifier) -> Allowance {
    let found = look_up(platform, index);
    match found.standing {
        Standing::Healthy => Allowance::Call(found),
        Standing::ProbeDue if health::elect_probe(platform, NAME, found, classifier.timeout) => Allowance::Call(found),
        Standing::ProbeDue | Standing::Cooling => Allowance::Denied,
    }
}

/// Whether no call may be made but a probe.
pub fn is_open<P: Platform>(platform: &P, index: Index) -> bool {
    look_up(platform, index).standing == Standing::Cooling
}

/// A call that began at `began`, since 1970, has failed.
pub fn failed<P: Platform>(platform: &P, breaker: &Breaker, began: Duration) {
    let setback = Setback { cooling: Cooling::Failure, began, at: platform.unix_time(), stage: Stage::BeforeBegin };
    let settings = HealthSettings {
        failures: breaker.failures,
        cooldown: breaker.open,
        max_cooldown: breaker.open,
        auth_cooldown: breaker.open,
        hedge_share: 0.0,
    };
    health::failed(platform, NAME, setback, &settings);
}

/// A call that began at `began`, since 1970, was answered.
pub fn succeeded<P: Platform>(platform: &P, found: Found, began: Duration) {
    health::succeeded(platform, NAME, found, Success { began, extent: Extent::Whole });
}

fn look_up<P: Platform>(platform: &P, index: Index) -> Found {
    health::look_up(platform, index, &[NAME.to_owned()]).pop().unwrap_or_default()
}
