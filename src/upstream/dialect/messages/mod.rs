//! Anthropic's Messages API, translated both ways: OpenAI's Chat Completions is what the client speaks.
//!
//! Pure functions of bytes. Going up, `request` reads the client's fields, `turns` its messages and `tools` its tools, and
//! `wire` is what is sent; what a model takes is data of the policy, never its name. Coming down, `response` reads whole
//! answers and `stream` events, both into pieces, and `answer` is what they have in common. What cannot be carried is an error with its `param`;
//! what is left out, or carried in a weaker form, is named in [`Encoded::dropped`](super::Encoded).

mod answer;
mod cache;
mod limits;
mod parts;
mod reasoning;
mod request;
mod response;
mod schema;
mod stream;
mod tools;
mod turns;
mod wire;

pub use limits::reset_delay;
pub use request::encode_request;
pub use response::decode_answer;
pub use stream::MessagesStream;

/// Below the provider's base URL.
pub const PATH: &str = "/v1/messages";

/// What every request says beside its key. This version takes `x-api-key`, and sampling where the model does.
pub const HEADERS: &[(&str, &str)] = &[("anthropic-version", "2023-06-01")];
