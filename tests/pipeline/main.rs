//! The whole pipeline on a fake platform: what comes out, what went where, and when.

mod attempts;
mod classifier;
mod clients;
mod deciding;
mod fake;
mod isolation;
mod keys;
mod policies;
mod reliability;
mod repair;
mod requests;
mod scenario;
mod secret_reads;
mod streams;
