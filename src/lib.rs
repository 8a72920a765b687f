//! tiergate: an LLM gateway that runs as one Fastly Compute service.
//!
//! An application's OpenAI SDK sends a chat completion; the gateway decides which **tier** it needs, and the operator's
//! policy says which **candidates** (provider and model) may answer, in which order. Read [`pipeline`] first: it is the
//! whole flow, top to bottom.
//!
//! # Invariants
//! - The core is pure: it knows no Fastly type, clock, randomness, environment or printing. All of that stands behind
//!   [`platform::Platform`]; `edge` implements it and is the only module that uses the SDK.
//! - Nothing of a body leaves before its client is authenticated.
//! - A prompt goes only where the Secret Store has an entry for, or to loopback; a provider's key only where its entry says.
//!   It outlives no request, and nothing that is printed or answered holds a part of it.
//! - Before commit nothing of an answer has gone to the client, so any failure leaves the next candidate free to serve; after
//!   commit `[DONE]` and a clean end are sent only for a whole answer.
//! - Every request has one answer and one log line.
//! - Nobody is served but by a policy that the KV Store holds, or held last as a good one: none is compiled in.
//! - A provider is a row of the policy, never code.
//!
//! # Rooms, in reading order
//! A room may use those that are named before it, in this table; `door` and `upstream` do not know each other. Checked by
//! `tests/architecture`.
//!
//! | floor | rooms |
//! | --- | --- |
//! | forms | `secret`, `mask`, `policy`, `wire`, `error`, `platform`, `record`, `pop` |
//! | sides | `door`, `upstream` |
//! | steps | `admit`, `visit`, `decide`, `attempt`, `relay` |
//! | whole | `report`, `pipeline`, `edge` |
// What makes the core pure, as lints: clippy.toml says what is meant.
#![warn(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::iter_over_hash_type,
    clippy::print_stderr,
    clippy::print_stdout
)]

pub mod admit;
pub mod attempt;
pub mod decide;
pub mod door;
#[cfg(target_arch = "wasm32")]
pub mod edge;
pub mod error;
pub mod mask;
pub mod pipeline;
pub mod platform;
pub mod policy;
pub mod pop;
pub mod record;
pub mod relay;
pub mod report;
pub mod secret;
pub mod upstream;
pub mod visit;
pub mod wire;
