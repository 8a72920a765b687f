//! Requests and answers of a client that speaks this API itself: they pass byte for byte, but for what the gateway owns.
//!
//! Going up, `request` writes the client's own fields, in their order; `reasoning` decides what becomes of thinking and effort,
//! `history` of the conversation, whose messages `message` opens, `thoughts` of the state in it, `calls` of ids and names that the API refuses, `fields` takes out what the rows of provider and model refuse,
//! `choice` puts in words what a model cannot be forced to, `marks` marks the prompt for the cache, and `headers` says which of the client's go with it. Coming down, `answer` puts the gateway's tokens in place of states. What changes in JSON is
//! put in place by `patch`, so that whatever stands before it stays as it came: a provider's cache knows it again.

mod answer;
mod calls;
mod choice;
mod fields;
mod headers;
mod history;
mod marks;
mod message;
mod patch;
mod reasoning;
mod request;
mod thoughts;

pub use answer::{PassedEvent, StateSeen, seal_answer};
pub use fields::{pruned, takes};
pub use headers::forward_headers;
pub use patch::place_in;
pub use request::{encode_count, encode_request, read_count};
