//! Until when any candidate, or the classifier's breaker, has a state in this POP. While none has, this is all that a request
//! reads of the providers' health.
//!
//! The index is only ever extended. Of two extensions at the same moment the longer one may be lost; then a state is not seen
//! to its end, until the next failure of the same candidate extends the index again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::{Platform, StoreError};
use crate::pop::{decode, millis, write};

/// The Core Cache key of the index.
pub const KEY: &str = "tiergate/health";
/// The index is extended in such steps, so that not each change of a state writes it.
const STEP_MS: u64 = 10_000;
/// How often an extension is written again that another one has shortened.
const TRIES: usize = 3;

/// Until when there may be a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Index {
    until_ms: u64,
}

impl Index {
    pub fn decode(stored: Option<Vec<u8>>) -> Self {
        decode(stored)
    }

    /// Whether any candidate, or the breaker, may have a state at `now`, the time since 1970.
    pub fn has_states(self, now: Duration) -> bool {
        millis(now) < self.until_ms
    }
}

/// Reads the index.
pub fn read<P: Platform>(platform: &P) -> Result<Index, StoreError> {
    super::read(platform, KEY)
}

/// Sees to it that the index lasts as long as a state that has been written.
pub fn extend<P: Platform>(platform: &P, until_ms: u64) {
    // Another one may have read before this is written, and write after it, so it is looked at again.
    for _ in 0..TRIES {
        if !read(platform).is_ok_and(|index| index.until_ms < until_ms) {
            return;
        }
        let extended = Index { until_ms: until_ms.div_ceil(STEP_MS).saturating_mul(STEP_MS) };
        let life = Duration::from_millis(extended.until_ms).saturating_sub(platform.unix_time());
        write(platform, KEY, &extended, life);
    }
}
