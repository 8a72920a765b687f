//! Who may use the gateway, and by which policy: everything between a request's head and its parsed body.

pub mod auth;
pub mod client_cache;
pub mod in_force;
pub mod look_ups;
pub mod memory;
