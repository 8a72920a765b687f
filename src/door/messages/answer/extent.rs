//! How far a client has a message: what another stream needs to go on with it, whoever wrote what it has.

use crate::wire::carried::carried;
use crate::wire::json::{fields_named, text, whole};
use crate::wire::piece::{AsItCame, Piece, ReasoningForm, Said};

/// How far a client has a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extent {
    /// Whether the message has begun.
    pub has_start: bool,
    /// How many blocks have begun: the number of the next one.
    pub blocks: u64,
    /// The block that has begun and not ended, if it is no call.
    pub open: Option<OpenBlock>,
    /// Whether the client has why the message stopped.
    pub has_stop: bool,
    pub has_calls: bool,
    /// Whether the model has refused in words.
    pub has_refused: bool,
    /// Under which name thoughts come; what comes under another one is the same again.
    pub thoughts: Option<ReasoningForm>,
    /// Whether it has a block that nobody here knows, and nobody else can go on after.
    pub has_foreign: bool,
}

carried!(Extent { has_start, blocks, open, has_stop, has_calls, has_refused, thoughts, has_foreign });

/// A block that has begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenBlock {
    pub index: u64,
    pub kind: OpenKind,
    /// Which item of the answer it is; nothing where another stream goes on with it.
    pub item: Option<u64>,
}

carried!(OpenBlock { index, kind, item });

/// What may still come in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenKind {
    Text,
    Thinking,
    /// Nothing: a thought that has its state.
    Sealed,
}

carried!(OpenKind = Text | Thinking | Sealed);

impl Extent {
    /// Takes an event that goes out as it came.
    pub fn note_passed(&mut self, said: &Said<'_>, came: &AsItCame<'_>) {
        // What most events are: a fragment, of a block that has begun.
        if let [Piece::Text { .. } | Piece::Reasoning { .. } | Piece::Input { .. }] = said.pieces {
            return;
        }
        let names = ["type", "index", "content_block", "delta"];
        let event = std::str::from_utf8(came.data).ok().and_then(|json| fields_named(json, &names).ok());
        let Some([Some(kind), index, block, delta]) = event else { return };
        let kind_of = |object: Option<&serde_json::value::RawValue>| {
            let [kind] = fields_named(object?.get(), &["type"]).ok()?;
            Some(text(kind?)?.into_owned())
        };
        match text(kind).as_deref() {
            Some("message_start") => self.has_start = true,
            Some("content_block_start") => {
                let index = index.and_then(whole).unwrap_or(self.blocks);
                self.blocks = index + 1;
                let kind = match kind_of(block).as_deref() {
                    Some("text") => Some(OpenKind::Text),
                    Some("thinking") => Some(OpenKind::Thinking),
                    Some("redacted_thinking") => Some(OpenKind::Sealed),
                    Some("tool_use") => {
                        self.has_calls = true;
                        None
                    }
                    Some(_) | None => {
                        self.has_foreign = true;
                        None
                    }
                };
                self.open = kind.map(|kind| OpenBlock { index, kind, item: None });
            }
            Some("content_block_delta") if kind_of(delta).as_deref() == Some("signature_delta") => {
                if let Some(open) = &mut self.open {
                    open.kind = OpenKind::Sealed;
                }
            }
            Some("content_block_stop") => self.open = None,
            Some("message_delta") => self.has_stop = true,
            Some(_) | None => {}
        }
    }
}
