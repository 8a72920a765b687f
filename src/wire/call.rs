//! Which kind of call a model makes, how it is named, and with what: in the calls of a request's conversation and in those of an
//! answer.

use crate::wire::carried::carried;
use crate::wire::json::{Json, JsonString};

/// What stands before and behind the text of an input that is no JSON object, as Claude Code has it.
const UNPARSED_BEGINNING: &str = r#"{"__unparsedToolInput":{"raw":""#;
const UNPARSED_LENGTH: &str = r#"","len":"#;
const UNPARSED_END: &str = "}}";

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
    match text.as_deref().map(without_blanks) {
        // Some models call what takes nothing so.
        Some("" | "null") => "{}".to_owned(),
        Some(text) if text.starts_with('{') && Json::borrow(text).is_some() => text.to_owned(),
        Some(_) | None => unparsed_beginning(input.inside()) + &unparsed_end(input.text_bytes()),
    }
}

/// A text without the white space around it that JSON has.
pub fn without_blanks(text: &str) -> &str {
    text.trim_matches([' ', '\n', '\r', '\t'])
}

/// What stands for an input that is no JSON object, up to this part of its text, which is the inside of a JSON string.
pub fn unparsed_beginning(inside: &str) -> String {
    format!("{UNPARSED_BEGINNING}{inside}")
}

/// What stands behind such a text, which has so many bytes.
pub fn unparsed_end(bytes: usize) -> String {
    format!("{UNPARSED_LENGTH}{bytes}{UNPARSED_END}")
}
