//! Tells the POP what one attempt shows of its candidate: before it begins, while it serves, and as a probe that lost its race.

use std::time::Duration;

use crate::attempt::outcome::{Outcome, judge};
use crate::platform::Platform;
use crate::policy::{HealthSettings, OnRefusal};
use crate::pop::health::{self, Cooling, Extent, Found, Setback, Stage, Success};
use crate::wire::carried::carried;

/// One attempt at a candidate, as the POP hears of it.
#[derive(Clone, Debug)]
pub struct Witness {
    pub health_name: String,
    /// What the POP knew of the candidate.
    pub found: Found,
    /// When the attempt began, since 1970.
    pub began: Duration,
    /// Whether it finds out if the candidate works again.
    pub is_probe: bool,
    pub settings: HealthSettings,
}

carried!(Witness { health_name, found, began, is_probe, settings });

impl Witness {
    /// The candidate has begun to answer, which is told where there is something that this ends.
    pub fn has_begun<P: Platform>(&self, platform: &P) {
        self.succeeded(platform, Extent::Begun);
    }

    /// The candidate's answer was whole.
    pub fn was_whole<P: Platform>(&self, platform: &P) {
        if self.found.is_clear() {
            let success = Success { began: self.began, extent: Extent::Whole };
            health::confirm(platform, &self.health_name, success);
        } else {
            self.succeeded(platform, Extent::Whole);
        }
    }

    /// The attempt has failed so, at this stage.
    pub fn failed<P: Platform>(&self, platform: &P, outcome: &Outcome, stage: Stage) {
        // What it says of the candidate is the same whatever the tier says of refusals.
        self.showed(platform, judge(outcome, OnRefusal::End).cooling, stage);
    }

    /// The attempt has ended and shows nothing of the candidate; if it was to, another one may.
    pub fn says_nothing<P: Platform>(&self, platform: &P) {
        if self.is_probe {
            health::release_probe(platform, &self.health_name);
        }
    }

    /// The candidate was late, which others were not.
    pub fn was_late<P: Platform>(&self, platform: &P) {
        self.showed(platform, Cooling::Failure, Stage::BeforeBegin);
    }

    fn showed<P: Platform>(&self, platform: &P, cooling: Cooling, stage: Stage) {
        match cooling {
            Cooling::None => self.says_nothing(platform),
            // A probe that is refused for what it asks has shown all that it could.
            Cooling::Alive => self.succeeded(platform, if self.is_probe { Extent::Whole } else { Extent::Begun }),
            Cooling::Failure | Cooling::Asked(_) | Cooling::Long => {
                let setback = Setback { cooling, began: self.began, at: platform.unix_time(), stage };
                health::failed(platform, &self.health_name, setback, &self.settings);
            }
        }
    }

    fn succeeded<P: Platform>(&self, platform: &P, extent: Extent) {
        let success = Success { began: self.began, extent };
        health::succeeded(platform, &self.health_name, self.found, success);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::default_policy;
    use crate::wire::carried;

    #[test]
    fn a_witness_says_the_same_elsewhere() {
        let witness = Witness {
            health_name: "a/b".to_owned(),
            found: Found::default(),
            began: Duration::from_millis(6),
            is_probe: true,
            settings: default_policy().health,
        };
        let read: Witness = carried::read(&carried::write(&witness)).expect("a witness");
        assert_eq!(format!("{read:?}"), format!("{witness:?}"));
    }
}
