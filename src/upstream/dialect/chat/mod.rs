//! OpenAI's Chat Completions: the client's own dialect, so almost everything passes through.
//!
//! Going up, `request` changes only what the gateway owns or the model needs; unknown fields are forwarded byte for byte.
//! Coming down, bytes pass as they are; `answer` reads just enough to know whether an answer has begun, is whole and what it
//! cost. Where a provider deviates so far that SDKs stumble, and its policy row says so, `mend` rewrites what it sends.

mod answer;
mod mend;
mod request;
mod short_ids;

pub use answer::{Stream, decode_answer};
pub use mend::Mends;
pub use request::encode_request;

/// Below the provider's base URL.
pub const PATH: &str = "/chat/completions";
