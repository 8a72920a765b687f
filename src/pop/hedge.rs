//! How many second requests a POP may start, so that an overload is not doubled: a bucket of tokens, filled by requests.
//!
//! Each streamed request that could be hedged adds `hedge_share` of a token, each hedge takes a whole one, so that hedges are at
//! most that share of requests. Requests are counted by sample, since every count is a write to the POP's cache.

use serde::{Deserialize, Serialize};

/// One request in so many is counted, for all of them.
const SAMPLE: u64 = 8;
/// What a quiet time may save up, in requests.
const MAX_SAVED_REQUESTS: f64 = 200.0;

/// The tokens of a POP. A new one has a single token, so that a rare hedge need not wait for traffic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bucket(f64);

impl Default for Bucket {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Bucket {
    /// Whether the request with this random number is one that is counted.
    pub fn counts(random: u64) -> bool {
        random.is_multiple_of(SAMPLE)
    }

    /// A request that was counted.
    pub fn add(&mut self, share: f64) {
        let most = (share * MAX_SAVED_REQUESTS).max(1.0);
        self.0 = (self.0 + share * SAMPLE as f64).min(most);
    }

    /// Takes a token for a hedge, if there is one.
    pub fn take(&mut self, share: f64) -> bool {
        if share >= 1.0 {
            return true;
        }
        let allowed = share > 0.0 && self.0 >= 1.0;
        if allowed {
            self.0 -= 1.0;
        }
        allowed
    }
}

/// Takes a token for a hedge, if the POP has one.
pub fn take<P: crate::platform::Platform>(platform: &P, share: f64) -> bool {
    let mut allowed = false;
    super::update(platform, |pop, _| allowed = pop.hedges.take(share));
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hedges_stay_within_their_share() {
        let share = 0.05;
        let mut bucket = Bucket::default();
        let mut hedges = 0;
        for request in 0..100_000_u64 {
            if Bucket::counts(request) {
                bucket.add(share);
            }
            // Everything is slow, so everybody wants one.
            hedges += u32::from(bucket.take(share));
        }
        assert!((4_900..=5_010).contains(&hedges), "{hedges} hedges for 100,000 requests");
    }

    #[test]
    fn without_a_share_there_is_no_hedge_and_a_quiet_time_saves_little() {
        assert!(!Bucket::default().take(0.0));
        let mut unbounded = Bucket::default();
        assert!((0..100).all(|_| unbounded.take(1.0)));
        assert!(Bucket::default().take(0.05), "a quiet POP may hedge at once");
        let mut bucket = Bucket::default();
        (0..10_000).for_each(|_| bucket.add(0.05));
        let burst = std::iter::repeat_with(|| bucket.take(0.05)).take_while(|taken| *taken).count();
        assert_eq!(burst, 10);
    }
}
