//! The forms in which things travel: media types, what a stream of server-sent events is made of, and what an answer says.

pub mod facts;
pub mod media;
pub mod piece;
pub mod quoted;
pub mod sse;
