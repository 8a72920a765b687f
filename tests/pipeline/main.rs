//! The whole pipeline on a fake platform: what comes out, what went where, and when.
#![allow(clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod accounting;
mod attempts;
mod bodies;
mod classifier;
mod clients;
mod continuation;
mod crossings;
mod deciding;
mod fake;
mod fake_timeouts;
mod gathered;
mod handing_on;
mod happenings;
mod health;
mod health_histories;
mod health_load;
mod health_world;
mod isolation;
mod keys;
mod meanings;
mod messages_door;
mod messages_told;
mod odd_answers;
mod paths;
mod policies;
mod provider_stream;
mod racing;
mod reliability;
mod repair;
mod requests;
mod scenario;
mod secret_reads;
mod streams;
mod thoughts;
mod tool_loop;
