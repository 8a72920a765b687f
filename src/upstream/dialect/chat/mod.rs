//! OpenAI's Chat Completions.
//!
//! Going up, a request that came in this dialect almost passes: `request`, `below`, `history` (with `parts` and `message_content`) and `tools` change only what the gateway owns,
//! or what provider and model would refuse, and forward the rest byte for byte; `build` puts a request that came in other words into this dialect's first,
//! with what `returned_states` finds in its tokens.
//! Coming down, `chunk`, `delta` and `calls` read what a provider sends into pieces, once, and `decode` knows whether it is whole, with `call_inputs` also whether a call is; a
//! door of the same dialect passes the bytes. Where a provider deviates so far that SDKs stumble, and its policy row says
//! so, `mend` rewrites what it sends before anybody reads it, `call_names`, with `held_calls`, puts back the names that tools have for the client, and
//! `call_forms` the form of calls that it knows. For a client of another API `state_keeper` seals what the provider wants back
//! (`states`).

mod below;
mod build;
mod call_forms;
mod call_inputs;
mod call_names;
mod calls;
mod chunk;
mod client_names;
mod custom_form;
mod decode;
mod delta;
mod held_calls;
mod history;
mod mend;
mod message_content;
mod messages;
mod older_form;
mod open_calls;
mod parts;
mod request;
mod returned_states;
mod row;
mod short_ids;
mod state_keeper;
mod states;
mod strict_schema;
mod thinking_parts;
mod tools;
mod wire;

pub use call_forms::CallForms;
pub use decode::{ChatStream, decode_answer, is_end};
pub use mend::{Mender, MenderState, Mends, mend_answer};
pub use request::encode_request;
pub use state_keeper::{KeptState, StateKeeper};
pub use states::StateFields;

/// The longest name that a tool may have, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Below the provider's base URL.
pub const PATH: &str = "/chat/completions";
