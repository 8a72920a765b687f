//! Which kind of call a model makes, how it is named, and with what: in the calls of a request's conversation and in those of an
//! answer.

use crate::wire::carried::carried;
use crate::wire::json::{Json, JsonString};

/// What stands around an input that is no JSON object, as Claude Code has it.
const UNPARSED: &str = "__unparsedToolInput";

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

/// The input of a function as a JSON object, which the Messages API and its clients read: of one that is none, what came.
pub fn input_object(input: &JsonString<'_>) -> String {
    let text = input.decode();
    match text.as_deref().map(str::trim) {
        // Some models call what takes nothing so.
        Some("" | "null") => "{}".to_owned(),
        Some(text) if text.starts_with('{') && Json::borrow(text).is_some() => text.to_owned(),
        Some(_) | None => format!(r#"{{"{UNPARSED}":{{"raw":{},"len":{}}}}}"#, input.get(), input.text_bytes()),
    }
}
