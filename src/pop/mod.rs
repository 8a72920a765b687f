//! What the sandboxes of a POP share through its cache: which candidates have failed, the classifier's breaker, and how many
//! hedges may run. Each stands under a key of its own, so that no change undoes another one's; [`index`] says whether there
//! is anything to be read.
//!
//! A read and a later write of the cache are not one step, so of two changes of one key at the same moment one may be lost.
//! Each part says why that is harmless. Nothing is written after a read that failed.

pub mod breaker;
pub mod health;
pub mod hedge;
pub mod index;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::platform::{Platform, StoreError, Wait};

/// How long the cache is waited for, in all, for what is read together.
const READ_TIMEOUT: Duration = Duration::from_millis(250);

/// What the cache holds under these keys, in their order. All look-ups are under way at once and have one deadline.
fn read_together<P: Platform>(platform: &P, keys: &[String]) -> Vec<Result<Option<Vec<u8>>, StoreError>> {
    let deadline = platform.elapsed() + READ_TIMEOUT;
    let mut answers = vec![Err(StoreError); keys.len()];
    let started = keys.iter().enumerate().map(|(place, key)| (place, platform.start_cache(key)));
    let (mut places, mut lookups): (Vec<usize>, Vec<P::CacheLookup>) =
        started.filter_map(|(place, lookup)| Some((place, lookup.ok()?))).unzip();
    while !lookups.is_empty() {
        let waits: Vec<_> = lookups.iter().map(Wait::Cache).collect();
        let ready = platform.wait_first(&waits, Some(deadline.saturating_sub(platform.elapsed())));
        drop(waits);
        let Some(position) = ready else { break };
        answers[places.swap_remove(position)] = platform.finish_cache(lookups.swap_remove(position));
    }
    answers
}

/// What the cache holds under `key`, or its default.
fn read<P: Platform, T: DeserializeOwned + Default>(platform: &P, key: &str) -> Result<T, StoreError> {
    read_together(platform, &[key.to_owned()]).pop().unwrap_or(Err(StoreError)).map(decode)
}

/// What cannot be read is nothing, since another version may have written it.
fn decode<T: DeserializeOwned + Default>(stored: Option<Vec<u8>>) -> T {
    stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write<P: Platform>(platform: &P, key: &str, value: &impl Serialize, life: Duration) {
    let bytes = serde_json::to_vec(value).expect("numbers should serialise");
    platform.store_cache(key, &bytes, life);
}

/// Whole milliseconds since 1970.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
