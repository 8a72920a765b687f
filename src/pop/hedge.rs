//! How many second requests a POP may start, so that an overload is not doubled: a bucket of tokens, filled by requests.
//!
//! Each streamed request that could be hedged adds `hedge_share` of a token, each hedge takes a whole one, so that hedges are at
//! most that share of requests. Requests are counted by sample, since every count is a write to the POP's cache.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::Platform;
use crate::pop::{read, write};

/// The Core Cache key of the bucket.
const KEY: &str = "tiergate/hedges";
/// How long the tokens of a quiet POP are kept.
const TTL: Duration = Duration::from_secs(3600);
/// One request in so many is counted, for all of them.
const SAMPLE: u64 = 8;
/// What a quiet time may save up, in requests.
const MAX_SAVED_REQUESTS: f64 = 200.0;

/// Counts a request that could be hedged, if its random number says so. Of two counts at once one may be lost.
pub fn count<P: Platform>(platform: &P, share: f64) {
    if !platform.random().is_multiple_of(SAMPLE) {
        return;
    }
    if let Ok(bucket) = read::<P, Bucket>(platform, KEY) {
        keep(platform, bucket, bucket.add(share));
    }
}

/// Takes a token for a hedge, if there is one; without a word from the cache there is none.
pub fn take<P: Platform>(platform: &P, share: f64) -> bool {
    if share >= 1.0 {
        return true;
    }
    let Ok(bucket) = read::<P, Bucket>(platform, KEY) else { return false };
    let taken = bucket.take(share);
    if let Some(left) = taken {
        keep(platform, bucket, left);
    }
    taken.is_some()
}

fn keep<P: Platform>(platform: &P, before: Bucket, after: Bucket) {
    if after != before {
        write(platform, KEY, &after, TTL);
    }
}

/// The tokens of a POP. A new one has a single token, so that a rare hedge need not wait for traffic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Bucket(f64);

impl Default for Bucket {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Bucket {
    /// The tokens once a request was counted.
    fn add(self, share: f64) -> Self {
        let most = (share * MAX_SAVED_REQUESTS).max(1.0);
        Self((self.0 + share * SAMPLE as f64).min(most))
    }

    /// What is left once a token for a hedge was taken, if there is one.
    fn take(self, share: f64) -> Option<Self> {
        (share > 0.0 && self.0 >= 1.0).then_some(Self(self.0 - 1.0))
    }
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
            if request.is_multiple_of(SAMPLE) {
                bucket = bucket.add(share);
            }
            // Everything is slow, so everybody wants one.
            if let Some(left) = bucket.take(share) {
                bucket = left;
                hedges += 1;
            }
        }
        assert!((4_900..=5_010).contains(&hedges), "{hedges} hedges for 100,000 requests");
    }

    #[test]
    fn without_a_share_there_is_no_hedge_and_a_quiet_time_saves_little() {
        assert_eq!(Bucket::default().take(0.0), None);
        assert!(Bucket::default().take(0.05).is_some(), "a quiet POP may hedge at once");
        let rested = (0..10_000).fold(Bucket::default(), |bucket, _| bucket.add(0.05));
        let burst = std::iter::successors(Some(rested), |bucket| bucket.take(0.05)).skip(1).count();
        assert_eq!(burst, 10);
    }
}
