//! Which kind of call a model makes: in the calls of a request's conversation and in those of an answer.

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
