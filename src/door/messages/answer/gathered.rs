//! A whole answer for a client of the Messages API, gathered from what its provider says piece by piece.
//!
//! What is held is values only, each text as it came, so that an answer can be gathered on elsewhere. The same pieces give the
//! same answer whether they come one by one or all at once. Of a provider of the same API what came is gathered, and not its
//! pieces, which say less.

use std::rc::Rc;

use crate::door::answer::AnswerOptions;
use crate::door::messages::answer::blocks::{Blocks, Crossing, NewBlock, Part, Step};
use crate::door::messages::answer::own_message::OwnMessage;
use crate::door::messages::answer::{DIALECT, Envelope, write_usage};
use crate::wire::call::input_object;
use crate::wire::call_tag::CallTagger;
use crate::wire::carried::carried;
use crate::wire::json::{JsonString, quoted};
use crate::wire::piece::{Came, Piece, Said};

/// About how many bytes a block takes that says nothing.
const BLOCK_BYTES: usize = 128;

/// What an answer has said so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Gathered {
    Pieces(Box<OfPieces>),
    /// The events of a provider of the same API; `created` is when the message was made.
    Own {
        message: Box<OwnMessage>,
        created: u64,
    },
    /// The whole body that such a provider sent in place of events.
    Body(String),
}

carried!(Gathered = Pieces(pieces) | Own { message, created } | Body(body));

impl Default for Gathered {
    fn default() -> Self {
        Gathered::Pieces(Box::default())
    }
}

/// An answer of another dialect, or one whose events are not as they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OfPieces {
    envelope: Envelope,
    blocks: Blocks,
    content: Vec<Block>,
    /// About how much is held.
    bytes: usize,
}

carried!(OfPieces { envelope, blocks, content, bytes });

/// What has come of one block. Texts, and inputs, are the insides of JSON strings.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    Text(String),
    Thinking {
        thought: String,
        state: String,
    },
    Redacted(String),
    Call {
        id: String,
        /// As JSON.
        name: String,
        input: String,
    },
}

carried!(Block = Text(text) | Thinking { thought, state } | Redacted(state) | Call { id, name, input });

impl Gathered {
    /// What tags the calls of the message from here on.
    pub fn set_tagger(&mut self, tagger: Option<Rc<CallTagger>>) {
        match self {
            Gathered::Pieces(pieces) => pieces.blocks.ids.tagger = tagger,
            // These go out with the ids that they came with.
            Gathered::Own { .. } | Gathered::Body(_) => {}
        }
    }

    /// About how much is held.
    pub fn bytes(&self) -> usize {
        match self {
            Gathered::Pieces(pieces) => pieces.bytes,
            Gathered::Own { message, .. } => message.bytes(),
            Gathered::Body(body) => body.len(),
        }
    }

    /// Takes what an event, or a whole body, says.
    pub fn take(&mut self, options: &AnswerOptions, said: &Said<'_>) {
        let came = said.came.filter(|_| said.dialect == DIALECT);
        match (came.map(|came| (came.kind, came.data)), &mut *self) {
            (Some((Came::Body, data)), _) => *self = Gathered::Body(String::from_utf8_lossy(data).into_owned()),
            (Some((Came::Event, data)), Gathered::Own { message, created }) => {
                note_time(created, said);
                message.take(data);
            }
            (Some((Came::Event, data)), Gathered::Pieces(pieces)) if pieces.is_empty() => {
                let (mut message, mut created) = (Box::new(OwnMessage::default()), 0);
                note_time(&mut created, said);
                message.take(data);
                *self = Gathered::Own { message, created };
            }
            (_, Gathered::Pieces(pieces)) => pieces.take(options, said),
            // Comments have no data, and nothing comes behind a body.
            (None, Gathered::Own { .. }) | (_, Gathered::Body(_)) => {}
        }
    }

    /// Appends the body that the client gets to `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Gathered::Pieces(pieces) => pieces.write(out),
            Gathered::Own { message, created } => message.write(created, out),
            Gathered::Body(body) => out.extend_from_slice(body.as_bytes()),
        }
    }
}

/// Notes when the message was made.
fn note_time(created: &mut u64, said: &Said<'_>) {
    for piece in said.pieces {
        if let Piece::Start(start) = piece {
            *created = start.created;
        }
    }
}

impl OfPieces {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes what an event, or a whole body, says.
    pub fn take(&mut self, options: &AnswerOptions, said: &Said<'_>) {
        let Self { envelope, blocks, content, bytes } = self;
        for piece in said.pieces {
            envelope.note(said.dialect, piece);
            if let Piece::Start(_) = piece {
                blocks.ids.seed = envelope.seed();
            }
            blocks
                .take(Crossing { options, dialect: said.dialect }, piece, &mut |step| *bytes += gather(content, &step));
        }
    }

    /// Appends the body that the client gets to `out`.
    pub fn write(mut self, out: &mut Vec<u8>) {
        let content = &mut self.content;
        self.blocks.end(&mut |step| {
            gather(content, &step);
        });
        self.envelope.write_head(out);
        for (position, block) in self.content.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            block.write(out);
        }
        out.extend_from_slice(b"],");
        self.envelope.write_stop(&self.blocks.extent, out);
        out.extend_from_slice(b",\"usage\":");
        write_usage(self.envelope.usage(), out);
        out.push(b'}');
    }
}

/// Takes a step of a message, and says how many bytes that adds.
fn gather(content: &mut Vec<Block>, step: &Step<'_>) -> usize {
    match step {
        Step::Begin { block, .. } => {
            content.push(match block {
                NewBlock::Text => Block::Text(String::new()),
                NewBlock::Thinking => Block::Thinking { thought: String::new(), state: String::new() },
                NewBlock::Redacted(state) => Block::Redacted((*state).to_owned()),
                NewBlock::Call { id, name } => {
                    Block::Call { id: (*id).to_owned(), name: (*name).to_owned(), input: String::new() }
                }
            });
            BLOCK_BYTES
        }
        Step::Part { index, part } => {
            // Blocks are numbered from 0, without gaps.
            let block = usize::try_from(*index).ok().and_then(|index| content.get_mut(index));
            let (slot, more) = match (block, part) {
                (Some(Block::Text(slot)), Part::Text(text)) => (slot, text.inside()),
                (Some(Block::Thinking { thought, .. }), Part::Thinking(text)) => (thought, text.inside()),
                (Some(Block::Thinking { state, .. }), Part::Signature(token)) => (state, *token),
                (Some(Block::Call { input, .. }), Part::Input(fragment)) => (input, &fragment[1..fragment.len() - 1]),
                _ => return 0,
            };
            slot.push_str(more);
            more.len()
        }
        Step::End { .. } => 0,
    }
}

impl Block {
    fn write(&self, out: &mut Vec<u8>) {
        let json = match self {
            Block::Text(text) => format!(r#"{{"type":"text","text":"{text}","citations":null}}"#),
            Block::Thinking { thought, state } => {
                format!(r#"{{"type":"thinking","thinking":"{thought}","signature":{}}}"#, quoted(state))
            }
            Block::Redacted(state) => format!(r#"{{"type":"redacted_thinking","data":{}}}"#, quoted(state)),
            Block::Call { id, name, input } => {
                format!(
                    r#"{{"type":"tool_use","id":"{id}","name":{name},"input":{},"caller":{{"type":"direct"}}}}"#,
                    input_object(&JsonString::join(input))
                )
            }
        };
        out.extend_from_slice(json.as_bytes());
    }
}
