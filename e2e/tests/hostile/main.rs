//! Hostile providers, clients and policies against the gateway's real Wasm in the local runtime, over real sockets.
//!
//! Whoever runs this looks for a key that can be read, an answer that looks whole and is not, a request that kills, and
//! memory that grows. Everything is drawn from one seed, so what failed fails again:
//!
//! ```text
//! cargo test -p tiergate-e2e --test hostile                  # the short form, a part of the test suite
//! TIERGATE_HOSTILE=long cargo test -p tiergate-e2e --test hostile -- --nocapture
//! TIERGATE_HOSTILE=0.1 cargo test -p tiergate-e2e --test hostile   # a tenth of the short form's counts
//! TIERGATE_HOSTILE_SEED=7 TIERGATE_HOSTILE_CASE=123 cargo test -p tiergate-e2e --test hostile keys
//! ```
//!
//! The figures of the last long run stand in docs/security.md.
#![allow(clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod answers;
mod client;
mod documented;
mod garble;
mod keys;
mod malformed;
mod oracle;
mod places;
mod planted;
mod policies;
mod provider;
mod random;
mod reply;
mod report;
mod requests;
mod scan;
mod soak;
mod two_keys;
mod world;
