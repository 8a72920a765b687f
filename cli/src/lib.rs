//! The local tools around the gateway, as a library so that tests and the benchmark use the same parts.
//!
//! # Rooms, in reading order
//! A room may use those that are named before it, in this table. Checked by `tests/architecture`.
//!
//! | floor | rooms |
//! | --- | --- |
//! | forms | `log`, `loopback`, `client_key`, `kv_token` |
//! | runtime | `wasm`, `engine`, `kv`, `gateway`, `kv_api` |
//! | commands | `simulate`, `dev`, `bench` |

/// `tiergate bench`.
pub mod bench;
/// Client keys and their KV entries.
pub mod client_key;
/// `tiergate dev`.
pub mod dev;
/// A guest in the embedded local runtime.
mod engine;
/// The gateway's Wasm in the embedded local runtime, on a port.
pub mod gateway;
/// The KV Store of a running gateway.
pub mod kv;
/// A stand-in for the part of Fastly's KV API that the official command line uses.
pub mod kv_api;
/// The token that the stand-in for the KV API wants.
pub mod kv_token;
/// What guests write to log endpoints.
pub mod log;
/// Which requests were meant for this machine.
pub mod loopback;
/// `tiergate simulate`.
pub mod simulate;
/// Builds the guests.
pub mod wasm;
