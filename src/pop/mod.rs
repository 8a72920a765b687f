//! What the sandboxes of a POP share through its cache.

pub mod breaker;
pub mod health;
pub mod hedge;
