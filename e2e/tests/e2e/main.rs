//! The gateway's Wasm in the real local runtime, over TCP, with simulated providers: what crosses a boundary.
//!
//! Every scenario runs twice: with sandboxes that serve many requests, and with one request per sandbox.
#![allow(clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod dialects;
mod herd;
mod isolation;
mod long;
mod messages;
mod reliability;
mod runtime;
mod scenarios;
mod shell;
mod slow;
