//! A circuit breaker as plain state: closed, open until a time, then one probe.
//!
//! The state lives in the POP's cache, where a read and a later write are not one step; two sandboxes may then both
//! probe, or count one failure for two. Both are harmless.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Breaker;

/// What is kept between calls. Times are since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerState {
    /// Failures in a row.
    failures: u32,
    open_until_ms: Option<u64>,
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    Call,
    /// The one call that finds out whether it works again; the state to keep meanwhile makes the others wait.
    Probe(BreakerState),
    Denied,
}

impl BreakerState {
    pub fn permit(self, breaker: &Breaker, now: Duration) -> Allowance {
        match self.open_until_ms {
            None => Allowance::Call,
            Some(until) if millis(now) < until => Allowance::Denied,
            Some(_) => Allowance::Probe(BreakerState { open_until_ms: Some(millis(now + breaker.open)), ..self }),
        }
    }

    pub fn is_open(self, now: Duration) -> bool {
        self.open_until_ms.is_some_and(|until| millis(now) < until)
    }

    /// The state after a call that failed.
    pub fn failed(self, breaker: &Breaker, now: Duration) -> BreakerState {
        let failures = self.failures.saturating_add(1);
        let open_until_ms = (failures >= breaker.failures).then(|| millis(now + breaker.open));
        BreakerState { failures, open_until_ms }
    }

    /// The state after a call that worked.
    pub fn succeeded(self) -> BreakerState {
        BreakerState::default()
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKER: Breaker = Breaker { failures: 3, open: Duration::from_secs(30) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_a_probe() {
        let mut state = BreakerState::default();
        for _ in 0..2 {
            state = state.failed(&BREAKER, at(0));
            assert_eq!(state.permit(&BREAKER, at(0)), Allowance::Call);
        }
        state = state.failed(&BREAKER, at(0));
        assert_eq!(state.permit(&BREAKER, at(29)), Allowance::Denied);
        let Allowance::Probe(meanwhile) = state.permit(&BREAKER, at(30)) else { panic!("a probe should be due") };
        assert_eq!(meanwhile.permit(&BREAKER, at(31)), Allowance::Denied, "the others wait for the probe");
        assert_eq!(
            meanwhile.failed(&BREAKER, at(31)).permit(&BREAKER, at(60)),
            Allowance::Denied,
            "a failed probe reopens"
        );
        assert_eq!(meanwhile.succeeded().permit(&BREAKER, at(31)), Allowance::Call);
    }

    #[test]
    fn a_success_starts_the_count_anew() {
        let state = BreakerState::default().failed(&BREAKER, at(0)).failed(&BREAKER, at(0)).succeeded();
        assert_eq!(state.failed(&BREAKER, at(1)).permit(&BREAKER, at(1)), Allowance::Call);
    }
}
