//! The whole pipeline on a fake platform: what comes out, what went where, and when.
#![allow(clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod attempts;
mod classifier;
mod clients;
mod deciding;
mod fake;
mod isolation;
mod keys;
mod odd_answers;
mod policies;
mod provider_stream;
mod reliability;
mod repair;
mod requests;
mod scenario;
mod secret_reads;
mod streams;
