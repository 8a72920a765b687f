//! OpenAI's Chat Completions.
//!
//! Going up, a request that came in this dialect almost passes: `request`, `below`, `history` and `tools` change only what the gateway owns,
//! or what provider and model would refuse, and forward the rest byte for byte; `build` puts a request that came in other words into this dialect's first.
//! Coming down, `chunk`, `delta` and `calls` read what a provider sends into pieces, once, and `decode` knows whether it is whole; a
//! door of the same dialect passes the bytes. Where a provider deviates so far that SDKs stumble, and its policy row says
//! so, `mend` rewrites what it sends before anybody reads it.

mod below;
mod build;
mod called_names;
mod calls;
mod chunk;
mod decode;
mod delta;
mod edit;
mod history;
mod mend;
mod messages;
mod request;
mod row;
mod short_ids;
mod tools;
mod wire;

pub use decode::{ChatStream, decode_answer};
pub use mend::{Mender, Mends};
pub use request::encode_request;

/// Below the provider's base URL.
pub const PATH: &str = "/chat/completions";
