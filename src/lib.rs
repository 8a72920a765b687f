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
//! - Before commit nothing has gone to the client, so any failure leaves the next candidate free to serve; after commit
//!   `[DONE]` and a clean end are sent only for a whole answer.
//! - Every request has one answer and one log line.
//! - Nobody is served but by a policy that the KV Store holds, or held last as a good one: none is compiled in.
//! - A provider is a row of the policy, never code.
//!
//! # Modules, in reading order; each may use those above it in this table, checked by `tests/architecture.rs`
//! | layer | modules |
//! | --- | --- |
//! | 0 | `secret`, `sse`, `delay`, `policy`, `words` |
//! | 1 | `platform`, `error`, `hedge`, `keys` |
//! | 2 | `record`, `chat`, `auth`, `keyring`, `upload` |
//! | 3 | `headers`, `log`, `route` |
//! | 4 | `dialect`, `cors` |
//! | 5 | `classify`, `outcome`, `incoming`, `splice` |
//! | 6 | `health`, `decide`, `in_force`, `client_cache` |
//! | 7 | `memory`, `plan`, `queue` |
//! | 8 | `intake` |
//! | 9 | `attempt`, `report` |
//! | 10 | `relay`, `blame` |
//! | 11 | `waiting` |
//! | 12 | `pipeline` |
//! | 13 | `edge` |
#![deny(unsafe_code)]

pub mod attempt;
pub mod auth;
pub mod blame;
pub mod chat;
pub mod classify;
pub mod client_cache;
pub mod cors;
pub mod decide;
pub mod delay;
pub mod dialect;
#[cfg(target_arch = "wasm32")]
pub mod edge;
pub mod error;
pub mod headers;
pub mod health;
pub mod hedge;
pub mod in_force;
pub mod incoming;
pub mod intake;
pub mod keyring;
pub mod keys;
pub mod log;
pub mod memory;
pub mod outcome;
pub mod pipeline;
pub mod plan;
pub mod platform;
pub mod policy;
pub mod queue;
pub mod record;
pub mod relay;
pub mod report;
pub mod route;
pub mod secret;
pub mod splice;
pub mod sse;
pub mod upload;
pub mod waiting;
pub mod words;
