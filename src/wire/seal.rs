//! State of a model's reasoning that means something to its maker only: an answer brings it, and later requests bring it back.
//!
//! Clients get it as a token that only the providers' side makes and opens; nobody between knows what it holds.

use std::borrow::Cow;

use crate::wire::json::JsonString;

/// What every token of this gateway begins with, and no provider's state does.
pub const TOKEN_PREFIX: &str = "tgs1_";

/// State of the reasoning, as a client keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed<'a> {
    pub kind: SealKind,
    /// What was thought, as far as it is told; the token is good for no other text.
    pub text: JsonString<'a>,
    pub token: Cow<'a, str>,
}

/// What a sealed state is at its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// State beside a thought, whose text may be hidden: Anthropic's `signature`, and what providers of the chat API have in
    /// fields of a message or a call.
    Signature,
    /// Anthropic's `redacted_thinking`, in place of a text.
    Redacted,
}

/// Whether a state is one of this gateway's tokens, and so for no provider.
pub fn is_token(state: &str) -> bool {
    state.starts_with(TOKEN_PREFIX)
}
