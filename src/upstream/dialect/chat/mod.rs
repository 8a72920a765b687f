//! OpenAI's Chat Completions: the client's own dialect, so almost everything passes through.
//!
//! Going up, `request` changes only what the gateway owns or the model needs; unknown fields are forwarded byte for byte.
//! Coming down, `chunk` and `calls` read what a provider sends into pieces, once, and `decode` knows whether it is whole; a
//! door of the same dialect passes the bytes. Where a provider deviates so far that SDKs stumble, and its policy row says
//! so, `mend` rewrites what it sends before anybody reads it.

mod calls;
mod chunk;
mod decode;
mod mend;
mod request;
mod short_ids;

pub use decode::{Stream, decode_answer};
pub use mend::{Mender, Mends};
pub use request::encode_request;

/// Below the provider's base URL.
pub const PATH: &str = "/chat/completions";
