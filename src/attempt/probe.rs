//! A probe that lost its race: it goes on to its own end after the client has its answer, so that a candidate which is slower
//! than another, but works, is found to work.

use std::time::Duration;

use crate::attempt::exchange::Exchange;
use crate::attempt::outcome::judge;
use crate::platform::Platform;
use crate::policy::{HealthSettings, OnRefusal};
use crate::pop::health::{self, Cooling, Extent, Found, Setback, Stage, Success};

/// The CPU time, in milliseconds, after which a probe is not looked at any more. An execution has 50.
const MAX_VCPU_MS: u64 = 35;

/// What is needed to say what came of a probe.
pub struct Probe {
    pub health_name: String,
    pub found: Found,
    /// When the attempt began, since 1970.
    pub began: Duration,
    pub settings: HealthSettings,
    /// When the request's time is over, on its clock.
    pub total: Duration,
}

impl Probe {
    /// Follows `exchange` to its end, and tells the POP. One that has not begun in its own time has failed if not even its head
    /// has come; of others nothing is known then, nor where the request's time ends before.
    pub fn finish<P: Platform>(self, platform: &P, mut exchange: Exchange<P>) {
        exchange.complete();
        loop {
            let until = exchange.ends_at().or(exchange.late_at()).unwrap_or(self.total).min(self.total);
            let left = until.saturating_sub(platform.elapsed());
            let Some(wait) = exchange.wait() else { return };
            // What came while the client got its answer is there, however late it is now.
            if platform.wait_first(&[wait], Some(left)).is_none() {
                let now = platform.elapsed();
                if now < until {
                    continue;
                }
                if !exchange.has_head() && exchange.late_at().is_some_and(|late| late <= now) {
                    self.failed(platform, Cooling::Failure, Stage::BeforeBegin);
                }
                return;
            }
            let stage = if exchange.has_begun() { Stage::AfterBegin } else { Stage::BeforeBegin };
            match exchange.advance(platform) {
                Some(Ok(_)) => return self.succeeded(platform),
                Some(Err(outcome)) => return self.failed(platform, judge(&outcome, OnRefusal::End).cooling, stage),
                // What can be seen of it was good.
                None if platform.vcpu_ms() >= MAX_VCPU_MS && exchange.has_begun() => return self.succeeded(platform),
                None if platform.vcpu_ms() >= MAX_VCPU_MS => return,
                None => {}
            }
        }
    }

    fn succeeded<P: Platform>(&self, platform: &P) {
        let success = Success { began: self.began, extent: Extent::Whole };
        health::succeeded(platform, &self.health_name, self.found, success);
    }

    fn failed<P: Platform>(&self, platform: &P, cooling: Cooling, stage: Stage) {
        match cooling {
            Cooling::None => {}
            Cooling::Alive => self.succeeded(platform),
            Cooling::Failure | Cooling::Asked(_) | Cooling::Long => {
                let setback = Setback { cooling, began: self.began, at: platform.unix_time(), stage };
                health::failed(platform, &self.health_name, setback, &self.settings);
            }
        }
    }
}
