//! The entries of verified clients in the POP's cache, for when the KV Store is out of reach.
//!
//! An entry comes in only after a key was verified against it, as KV held it, and is used only where KV does not answer:
//! what KV says holds at once. It holds hashes of keys, like the store. Nothing here is waited for on a request that goes
//! well: entries are written after the answer, and read only after KV has failed.

use std::time::Duration;

use crate::platform::{self, Platform};

/// How long after it was read from KV an entry may be used.
pub const VALID: Duration = Duration::from_secs(300);
/// A sandbox writes a client's entry again only after this.
pub const RENEW: Duration = Duration::from_secs(60);
/// KV has been waited for already.
const TIMEOUT: Duration = Duration::from_millis(250);
/// How long an empty value takes the place of an entry: nothing can be deleted from the cache, so an entry is overwritten.
const GONE: Duration = Duration::from_secs(1);

/// The entry with which the client `id` was verified in this POP.
pub fn find<P: Platform>(platform: &P, id: &str) -> Option<Vec<u8>> {
    platform::read_cache(platform, &key(id), TIMEOUT).filter(|entry| !entry.is_empty())
}

/// Keeps the entry of a client whose key was verified against it.
pub fn keep<P: Platform>(platform: &P, id: &str, entry: &[u8]) {
    platform.store_cache(&key(id), entry, VALID);
}

/// Takes out what KV does not hold any more, for a client whose key was refused; `entry` is what KV holds, if anything.
pub fn forget<P: Platform>(platform: &P, id: &str, entry: Option<&[u8]>) {
    if find(platform, id).is_some_and(|cached| Some(cached.as_slice()) != entry) {
        platform.store_cache(&key(id), b"", GONE);
    }
}

fn key(id: &str) -> String {
    format!("tiergate/client/{id}")
}
