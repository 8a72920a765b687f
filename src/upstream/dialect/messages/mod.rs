//! Anthropic's Messages API, both ways, as pure functions.
//!
//! Going up, `request` puts the neutral content of a request into the API's words: `turns` its items, `parts` their parts,
//! `tools` its tools, `schema` its schemas, `reasoning` effort and thinking, `cache` the marks; `wire` is what is sent. What a
//! model takes is data of the policy, never its name. Coming down, `response` reads whole answers and `stream` events, both
//! into pieces; `events` is how their parts are read, and `answer` what they have in common. What cannot be carried is an error with its `param`; what is left
//! out, or carried in a weaker form, is named in [`Encoded::dropped`](super::Encoded).

mod answer;
mod cache;
mod events;
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
