//! The gateway's Wasm in the real local runtime, over TCP, with simulated providers: what crosses a boundary.
//!
//! Every scenario runs twice: with sandboxes that serve many requests, and with one request per sandbox.

mod dialects;
mod isolation;
mod reliability;
mod runtime;
mod scenarios;
mod shell;
mod slow;
