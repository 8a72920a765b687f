//! Anthropic's Messages API, both ways, as pure functions.
//!
//! Going up, `request` puts the neutral content of a request into the API's words: `turns` its items, `parts` their parts (with `base64`),
//! `tools` its tools, `schema_form` (with `schema_walk`, `schema_members`, `keywords`, `references`, `tree`, `pointers`, `urls` and `property_names`), `roots` (with
//! `merger`, `outline`, `view`, `own_words` and `union_words`), `schema` and `strict` their schemas, `reasoning` effort and thinking, `thoughts` what was
//! thought before, `user` who asks, `cache` the marks; `wire` is what is sent, and `calls` says how what comes back is to be read, with `renamer`. What a model
//! takes is data of the policy, never its name. A request that came in these words passes almost as it is, through `native`. Coming down, `response` reads whole answers and `stream` events, both into
//! pieces; `events` is how their parts are read, and `answer` what they have in common. What cannot be carried is an error with
//! its `param`; what is left out, or carried in a weaker form, is named in [`Encoded::dropped`](super::Encoded).

mod answer;
mod base64;
mod cache;
mod calls;
mod events;
mod keywords;
mod limits;
mod merger;
mod native;
mod outline;
mod own_words;
mod parts;
mod pointers;
mod property_names;
mod reasoning;
mod references;
mod renamer;
mod request;
mod response;
mod roots;
mod row;
mod schema;
mod schema_form;
mod schema_members;
mod schema_walk;
mod stream;
mod strict;
mod thoughts;
mod tools;
mod tree;
mod turns;
mod union_words;
mod urls;
mod user;
mod view;
mod wire;

pub use calls::Reading;
pub use limits::reset_delay;
pub use native::{PassedEvent, encode_count, forward_headers, read_count, seal_answer};
pub use request::encode_request;
pub use response::decode_answer;
pub use stream::{MessagesState, MessagesStream};

/// The longest name that a tool may have, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// Below the provider's base URL.
pub const PATH: &str = "/v1/messages";

/// Below the provider's base URL, where it counts the tokens of a prompt.
pub const COUNT_PATH: &str = "/v1/messages/count_tokens";

/// What every request says beside its key. This version takes `x-api-key`, and sampling where the model does.
pub const HEADERS: &[(&str, &str)] = &[("anthropic-version", "2023-06-01")];
