//! State of a model's reasoning that only its maker can read: an answer brings it, and later requests bring it back.

use std::borrow::Cow;

use crate::policy::Dialect;
use crate::wire::json::JsonString;

/// State of the reasoning, and who can read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed<'a> {
    pub kind: SealKind,
    pub origin: SealOrigin<'a>,
    pub state: JsonString<'a>,
}

/// Where a sealed state comes from, and only there it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealOrigin<'a> {
    pub dialect: Dialect,
    /// The policy's name of the model; nothing until somebody who knows the policy sets it.
    pub route: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// Anthropic's `signature` of a thought that can be read.
    Signature,
    /// Anthropic's `redacted_thinking`, in place of a text.
    Redacted,
    /// `encrypted_content` of OpenAI's Responses API.
    Encrypted,
    /// Gemini's `thought_signature`.
    Thought,
}
