//! The forms in which things travel: media types, and what a stream of server-sent events is made of.

pub mod media;
pub mod sse;
