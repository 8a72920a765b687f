//! OpenAI's Chat Completions.
//!
//! Going up, a request that came in this dialect almost passes: `request` changes only what the gateway owns or the model
//! needs, and forwards the rest byte for byte; `build` puts a request that came in other words into this dialect's first.
//! Coming down, bytes pass as they are; `answer` reads just enough to know whether an answer has begun, is whole and what it
//! cost. Where a provider deviates so far that SDKs stumble, and its policy row says so, `mend` rewrites what it sends.

mod answer;
mod build;
mod mend;
mod messages;
mod request;
mod short_ids;
mod wire;

pub use answer::{Stream, decode_answer};
pub use mend::Mends;
pub use request::encode_request;

/// Below the provider's base URL.
pub const PATH: &str = "/chat/completions";
