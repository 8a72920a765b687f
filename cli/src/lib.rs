//! The local tools around the gateway, as a library so that tests and the benchmark use the same parts.

/// `tiergate bench`.
pub mod bench;
/// The gateway's Wasm in the embedded local runtime, on a port.
pub mod gateway;
/// The KV Store of a running gateway.
pub mod kv;
/// What guests write to log endpoints.
pub mod log;
/// Providers and the classifier, simulated on loopback.
pub mod simulator;
/// Builds the guests.
pub mod wasm;
