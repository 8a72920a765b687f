//! The client's side: where requests are for, what their headers and bodies say, and what answers are made of
//! for them.

pub mod answer;
pub mod answer_headers;
mod body;
mod bounds;
pub mod call_tags;
pub mod channel;
pub mod chat;
pub mod cors;
pub mod delivery;
pub mod encoder;
mod estimate;
mod fields;
pub mod gathered;
pub mod headers;
mod marks;
mod media;
mod members;
pub mod messages;
pub mod page;
pub mod repair;
pub mod route;
pub mod seam;
mod unserved;
pub mod upload;
