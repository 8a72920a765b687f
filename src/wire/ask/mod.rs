//! A client's request, in a form that belongs to no dialect.
//!
//! An [`Ask`] borrows the body. A door makes it, and a dialect puts it to a provider: the one of the same API sends the
//! client's own top-level fields on, every other one reads [`Content`], which is read when it is wanted.

pub mod content;
pub mod items;
pub mod place;
pub mod turns;
pub mod unread;

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::door::Door;
use super::json::{Field, field};
use super::transfer::Transfer;
use content::Content;
use place::RequestFault;
use turns::{OddPart, Turn};

/// A body that is longer leaves no room for a second one: no two attempts run at a time.
const LARGE_BODY_BYTES: usize = 8 << 20;

/// One request for an answer.
#[derive(Debug)]
pub struct Ask<'a> {
    pub api: Api,
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
    /// The length of the client's body.
    pub bytes: usize,
    pub neutral: Neutral<'a>,
}

/// The neutral content of a request. It is not kept once it was read, since only a dialect that translates wants it, and most
/// requests meet at most one.
#[derive(Debug)]
pub enum Neutral<'a> {
    /// Made with the request.
    Made(Box<Content<'a>>),
    /// Read in its fields and turns.
    Read(ReadContent),
}

/// What reads the neutral content of a door's requests.
pub type ReadContent = for<'x> fn(&'x Ask<'x>) -> Result<Content<'x>, RequestFault>;

/// The API in whose words the fields of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// OpenAI's Chat Completions.
    Chat,
    /// Anthropic's Messages.
    Messages,
    /// The gateway itself, which has neutral content and no fields.
    Gateway,
}

/// What a decision and the choice of a candidate need to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    pub has_tools: bool,
    /// The client demands a call.
    pub forced_tools: bool,
    pub has_images: bool,
    pub has_files: bool,
    /// Audio is given, or asked for.
    pub has_audio: bool,
    pub has_video: bool,
    /// Images, files, audio or video.
    pub has_media: bool,
    /// The answer is to follow a JSON schema.
    pub json_schema: bool,
    /// Estimated from what is said, not from how it is written.
    pub input_tokens: u64,
    /// What the client allows for the answer, if it says so.
    pub max_output: Option<u64>,
}

impl<'a> Ask<'a> {
    /// The neutral content.
    ///
    /// # Errors
    /// What is wrong in the parts of the request that its door does not check before.
    pub fn content(&self) -> Result<Cow<'_, Content<'_>>, RequestFault> {
        match &self.neutral {
            Neutral::Made(content) => Ok(Cow::Borrowed(content)),
            Neutral::Read(read) => read(self).map(Cow::Owned),
        }
    }

    /// The API that whoever asks is answered in.
    pub fn door(&self) -> Door {
        match self.api {
            Api::Messages => Door::Messages,
            Api::Chat | Api::Gateway => Door::Chat,
        }
    }

    /// The client's top-level field of this name.
    pub fn field(&self, name: &str) -> Option<&'a RawValue> {
        field(&self.fields, name)
    }

    /// How many choices are asked for.
    pub fn choices(&self) -> u32 {
        self.field("n").and_then(|value| value.get().parse().ok()).unwrap_or(1)
    }

    /// The parts of types that nobody here knows.
    pub fn odd_parts(&self) -> impl Iterator<Item = &OddPart<'a>> {
        self.turns.iter().flat_map(|turn| &turn.odd_parts)
    }

    /// In which form the client wants its answer.
    pub fn transfer(&self) -> Transfer {
        if self.stream { Transfer::Stream } else { Transfer::Whole }
    }

    /// Whether the body leaves no room for two encodings of it at a time.
    pub fn is_large(&self) -> bool {
        self.bytes > LARGE_BODY_BYTES
    }
}
