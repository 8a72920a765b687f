//! The local tools around the gateway, as a library so that tests and the benchmark use the same parts.

/// `tiergate bench`.
pub mod bench;
/// Client keys and their KV entries.
pub mod client_key;
/// OpenAI's description of its API, for tests.
pub mod description;
/// `tiergate dev`.
pub mod dev;
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
/// Providers and the classifier, simulated on loopback.
pub mod simulator;
/// Builds the guests.
pub mod wasm;
