//! A client's request, in a form that belongs to no dialect.
//!
//! An [`Ask`] borrows the body. A door makes it, and a dialect puts it to a provider: the one of the same API sends the
//! client's own top-level fields on.

pub mod turns;

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::json::Field;
use turns::Turn;

/// A body that is longer leaves no room for a second one: no two attempts run at a time.
const LARGE_BODY_BYTES: usize = 8 << 20;

/// One request for an answer.
#[derive(Debug)]
pub struct Ask<'a> {
    pub origin: Origin,
    /// Every top-level field, in the client's order, each once.
    pub fields: Vec<Field<'a>>,
    /// What the client named; empty if it named nothing.
    pub model: Cow<'a, str>,
    pub turns: Vec<Turn<'a>>,
    pub stream: bool,
    /// Whether the client asked for the usage chunk of a stream.
    pub include_usage: bool,
    /// Whether calls of tools are the chat API's older `function_call`, in what the client sends and in what it expects.
    pub legacy_calls: bool,
    pub features: Features,
    /// The body's length.
    pub bytes: usize,
}

/// Whose words the fields of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// OpenAI's Chat Completions.
    Chat,
}

/// What a decision and the choice of a candidate need to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    pub has_tools: bool,
    /// The client demands a call.
    pub forced_tools: bool,
    pub has_images: bool,
    /// Images, files, audio or video.
    pub has_media: bool,
    /// The answer is to follow a JSON schema.
    pub json_schema: bool,
    /// Estimated from bytes.
    pub input_tokens: u64,
    /// What the client allows for the answer, if it says so.
    pub max_output: Option<u64>,
}

impl<'a> Ask<'a> {
    /// The same request with the beginning of its answer, as another candidate gave it, for its last message: `turn` is
    /// that message of the assistant, as JSON.
    pub fn with_begun<'b>(&'b self, turn: &'b str) -> Ask<'b> {
        use turns::{Role, Texts};
        let texts = Texts::None;
        let last = Turn { role: Role::Assistant, texts, raw: turn, has_images: false, has_media: false, tokens: 0 };
        let mut turns: Vec<Turn<'b>> = self.turns.clone();
        turns.push(last);
        let fields = self.fields.clone();
        Ask { fields, model: self.model.clone(), turns, ..*self }
    }

    pub fn field(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value)
    }

    /// Whether the body leaves no room for two encodings of it at a time.
    pub fn is_large(&self) -> bool {
        self.bytes > LARGE_BODY_BYTES
    }
}
