//! Small Wasm guests that the local tools run beside the gateway, and what both sides say to each other.
//!
//! Nothing of this is deployed. `kv-store` reads and writes the KV Store of a running gateway; `probe` shows what the
//! embedded runtime gives to a guest, for the runtime's own tests. `single`, `panicking` and `panicking-early` are the gateway
//! under conditions that its own build cannot be put into. `translate` times the translation between dialects, for the benchmark.

pub mod agent;
pub mod kv;
pub mod translation;
