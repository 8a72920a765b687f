//! What the platform lets one execution use, as far as an answer may count on it.
//!
//! The limits are the policy's ([`PlatformLimits`]); what is kept of each for the end stands here and nowhere else. CPU time and
//! sends count over a sandbox's life, since nothing documents that a second request in it begins anew.

use std::time::Duration;

use crate::platform::Platform;
use crate::policy::PlatformLimits;

/// How long before its end an execution is done with everything.
const LAST: Duration = Duration::from_secs(1);
/// How long handing an answer on to another execution takes at most.
const HANDING_ON: Duration = Duration::from_secs(3);
/// The most candidates that one request asks.
const MOST_ATTEMPTS: u32 = 7;
/// The requests to backends that one request makes besides: the classifier's, and two with which its answer is handed on.
const OTHER_SENDS: u32 = 3;
/// The most tokens, each an event of its own, that an execution surely has the CPU time for.
const MOST_SURE_TOKENS: u64 = 1_000;
/// Of the CPU time of an execution, what a stream may have used before another execution goes on with it.
const CPU_OF_STREAM: u64 = 70;
/// Of the CPU time of an execution, what a sandbox may have used before its last request: the rest serves one more stream.
const CPU_BEFORE_LAST_REQUEST: u64 = 16;

/// Of the time of an execution, the part that a sandbox may have lived before its last request.
const MOST_AGE: u32 = 12;

/// What one execution may use for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// When the execution must be over, on [`Platform::elapsed`]'s clock.
    pub ends: Duration,
    /// Its sandbox's CPU time by then, in milliseconds.
    cpu_ms: u64,
    /// How many events of a stream it passes on.
    events: u32,
    /// How many candidates it may ask.
    pub attempts: u32,
    limits: PlatformLimits,
}

impl Allowance {
    /// What a request may use that comes to a sandbox of this age.
    pub fn new(limits: &PlatformLimits, sandbox_age: Duration) -> Self {
        let PlatformLimits { cpu_ms, wall, sends, events, max_hops: _ } = *limits;
        Self {
            ends: wall.saturating_sub(sandbox_age + LAST),
            cpu_ms: cpu_ms * CPU_OF_STREAM / 100,
            events: events.unwrap_or(u32::MAX),
            attempts: sends.saturating_sub(OTHER_SENDS).min(MOST_ATTEMPTS),
            limits: *limits,
        }
    }

    /// Whether another execution may go on with an answer after this one.
    pub fn has_hops(&self) -> bool {
        self.limits.max_hops > 0
    }

    /// What the next execution may use that goes on with an answer.
    pub fn of_next(&self) -> PlatformLimits {
        PlatformLimits { max_hops: self.limits.max_hops.saturating_sub(1), ..self.limits }
    }

    /// The same, if it must be over at `end` at the latest.
    pub fn until(self, end: Duration) -> Self {
        Self { ends: self.ends.min(end), ..self }
    }

    /// When another execution must begin to go on with an answer, so that there is time for that.
    pub fn hands_on_at(&self) -> Duration {
        self.ends.saturating_sub(HANDING_ON)
    }

    /// Whether a stream of so many tokens ends before this execution does, whatever they are.
    pub fn fits(&self, tokens: u64) -> bool {
        tokens <= MOST_SURE_TOKENS.min(u64::from(self.events) / 2)
    }

    /// Whether the execution has no CPU time left for a stream.
    pub fn is_cpu_spent<P: Platform>(&self, platform: &P) -> bool {
        platform.vcpu_ms() >= self.cpu_ms
    }

    /// Whether the execution has passed on as many events as it may.
    pub fn is_full(&self, events: u32) -> bool {
        events >= self.events
    }
}

/// What a sandbox has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Milliseconds.
    pub vcpu_ms: u64,
    /// Requests to backends.
    pub sends: u32,
    /// How long it has lived.
    pub age: Duration,
}

impl Used {
    /// Whether the sandbox can take another request, whatever that one needs.
    pub fn has_room(self, limits: &PlatformLimits) -> bool {
        let needs = MOST_ATTEMPTS + OTHER_SENDS;
        self.vcpu_ms <= limits.cpu_ms * CPU_BEFORE_LAST_REQUEST / 100
            && self.sends + needs <= limits.sends
            && self.age <= limits.wall / MOST_AGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_within_the_account_that_it_runs_on() {
        let paid = PlatformLimits::PAID;
        let trial = PlatformLimits { wall: Duration::from_secs(60), sends: 10, ..paid };
        for (name, limits, age, ends, attempts) in [
            ("paid", paid, 0, 119, 7),
            ("paid, in a sandbox that has served", paid, 4, 115, 7),
            ("trial", trial, 0, 59, 7),
            ("few sends", PlatformLimits { sends: 5, ..paid }, 0, 119, 2),
            ("a sandbox that is too old", trial, 70, 0, 7),
        ] {
            let allowance = Allowance::new(&limits, Duration::from_secs(age));
            assert_eq!((allowance.ends.as_secs(), allowance.attempts), (ends, attempts), "{name}");
            assert!(allowance.hands_on_at() <= allowance.ends, "{name}");
        }
    }

    #[test]
    fn a_sandbox_is_used_again_while_another_request_fits() {
        let paid = PlatformLimits::PAID;
        let trial = PlatformLimits { sends: 10, ..paid };
        for (limits, vcpu_ms, sends, age, expected) in [
            (paid, 0, 0, 0, true),
            (paid, 8, 22, 10, true),
            (paid, 9, 0, 0, false),
            (paid, 0, 23, 0, false),
            (paid, 0, 0, 11, false),
            (trial, 0, 0, 0, true),
            (trial, 0, 1, 0, false),
        ] {
            let used = Used { vcpu_ms, sends, age: Duration::from_secs(age) };
            assert_eq!(used.has_room(&limits), expected, "{used:?}");
        }
    }
}
