//! A whole answer for a client of the Messages API, gathered from what its provider says piece by piece.
//!
//! What is held is values only, each text as it came, so that an answer can be gathered on elsewhere. The same pieces give the
//! same answer whether they come one by one or all at once.

use serde_json::value::RawValue;

use crate::door::answer::AnswerOptions;
use crate::door::messages::answer::blocks::{Blocks, Crossing, NewBlock, Part, Step};
use crate::door::messages::answer::{Envelope, write_usage};
use crate::wire::ask::Ask;
use crate::wire::call::input_object;
use crate::wire::carried::carried;
use crate::wire::containers::{elements, members_named};
use crate::wire::json::{JsonString, given, may_hold, quoted, says_nothing};
use crate::wire::piece::{Piece, Said};

/// About how many bytes a block takes that says nothing.
const BLOCK_BYTES: usize = 128;

/// In how many lists a document may stand: of messages, of blocks, and of those in a result.
const SOURCE_DEPTH: usize = 3;

/// What an answer has said so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    envelope: Envelope,
    blocks: Blocks,
    content: Vec<Block>,
    /// About how much is held.
    bytes: usize,
}

carried!(Gathered { envelope, blocks, content, bytes });

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

/// Whether a stream can bring all of the answer to `ask`: not what tools of the API's own find, nor whom a text cites, which
/// stand in blocks that are gathered by nobody.
pub fn can_gather(ask: &Ask<'_>) -> bool {
    let given = |name: &str| given(ask.field(name)).filter(|value| !says_nothing(value));
    let is_servers = |tool: &RawValue| {
        let kind = members_named(tool, &["type"]).and_then(|[kind]| kind);
        kind.is_some_and(|kind| !matches!(kind.get(), "null" | r#""custom""#))
    };
    let has_servers = given("tools").and_then(elements).is_some_and(|tools| tools.into_iter().any(is_servers));
    let has_others = ["mcp_servers", "container"].into_iter().any(|name| given(name).is_some());
    let has_sources = given("messages").is_some_and(|messages| asks_for_citations(messages, SOURCE_DEPTH));
    !(has_servers || has_others || has_sources)
}

/// Whether one of these messages or blocks, or what is in it, is to be cited: `citations` of what a model said are a list.
fn asks_for_citations(holders: &RawValue, depth: usize) -> bool {
    if depth == 0 || !may_hold(holders.get().as_bytes(), "\"citations\"") {
        return false;
    }
    elements(holders).unwrap_or_default().into_iter().any(|holder| {
        let Some([citations, content]) = members_named(holder, &["citations", "content"]) else { return false };
        let enabled =
            citations.and_then(|citations| members_named(citations, &["enabled"])).and_then(|[enabled]| enabled);
        enabled.is_some_and(|enabled| enabled.get() == "true")
            || content.is_some_and(|content| asks_for_citations(content, depth - 1))
    })
}

/// The body that the client gets for a whole answer of another dialect.
pub fn encode_answer(options: &AnswerOptions, said: &Said<'_>) -> Vec<u8> {
    let mut gathered = Gathered::default();
    gathered.take(options, said);
    let mut out = Vec::new();
    gathered.write(&mut out);
    out
}

impl Gathered {
    /// About how much is held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what an event, or a whole body, says.
    pub fn take(&mut self, options: &AnswerOptions, said: &Said<'_>) {
        let Self { envelope, blocks, content, bytes } = self;
        for piece in said.pieces {
            envelope.note(said.dialect, piece);
            if let Piece::Start(_) = piece {
                blocks.set_seed(envelope.seed());
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
