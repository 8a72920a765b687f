//! The forms in which things travel: requests and the JSON they are made of, what an answer says, media types, and what a
//! stream of server-sent events is made of.

pub mod ask;
pub mod call;
pub mod call_tag;
pub mod carried;
pub mod chat;
pub mod coding;
pub mod containers;
pub mod door;
pub mod facts;
pub mod field_type;
pub mod halves;
pub mod input_seen;
pub mod joined;
pub mod json;
pub mod mac;
pub mod media;
pub mod part_types;
pub mod piece;
pub mod seal;
pub mod sse;
pub mod transfer;
pub mod usage;
pub mod walk;
