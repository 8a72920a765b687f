//! Who may use the gateway, and by which policy: the look-ups for it, and what is remembered of them.

pub mod auth;
pub mod client_cache;
pub mod in_force;
pub mod look_ups;
pub mod memory;
