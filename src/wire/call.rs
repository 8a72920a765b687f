//! Which kind of call a model makes, and how calls are named: in a request's conversation and in an answer.

use crate::wire::carried::carried;

/// How the input of a call is formed, and in which shape the Chat Completions API writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Its input is a JSON object.
    Function,
    /// Its input is a text of any form.
    Custom,
    /// OpenAI's older `function_call`, of which a message has one: its input is that of a function.
    Legacy,
}

carried!(CallKind = Function | Custom | Legacy);

/// The longest id of a call or a message that clients get, in bytes: it stands in every request that follows.
pub const MAX_ID_BYTES: usize = 128;

/// Whether an id is one that each API takes as it is, and clients get so.
pub fn is_common_id(id: &str) -> bool {
    let is_common = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(is_common)
}
