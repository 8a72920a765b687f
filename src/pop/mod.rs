//! What the sandboxes of a POP share through its cache: which candidates have failed, the classifier's breaker, and how many
//! hedges may run.
//!
//! A read and a later write of the cache are not one step, so of two changes at the same moment one may be lost. Each part says
//! why that is harmless.

pub mod breaker;
pub mod health;
pub mod hedge;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::Platform;

/// The Core Cache key of the shared state.
pub const KEY: &str = "tiergate/pop";
const TTL: Duration = Duration::from_secs(3600);

/// The shared state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pop {
    /// The classifier's.
    pub breaker: breaker::BreakerState,
    /// The candidates'.
    pub health: health::Health,
    pub hedges: hedge::Bucket,
}

impl Pop {
    /// What the cache held; what cannot be read is no state, since another version may have written it.
    pub fn decode(stored: Option<Vec<u8>>) -> Self {
        stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}

/// Changes the shared state, keeps it, and says what it is now; `change` also gets the time since 1970.
///
/// The present state is read first, which waits for the cache, so this is for what is rare.
pub fn update<P: Platform>(platform: &P, change: impl FnOnce(&mut Pop, Duration)) -> Pop {
    let stored = platform.start_cache(KEY).and_then(|lookup| platform.finish_cache(lookup));
    let mut state = Pop::decode(stored.ok().flatten());
    let before = state.clone();
    change(&mut state, platform.unix_time());
    if state != before {
        let bytes = serde_json::to_vec(&state).expect("numbers and names should serialise");
        platform.store_cache(KEY, &bytes, TTL);
    }
    state
}
