//! The forms in which things travel: requests and the JSON they are made of, media types, and what a stream of server-sent
//! events is made of.

pub mod ask;
pub mod chat;
pub mod json;
pub mod media;
pub mod sse;
pub mod walk;
