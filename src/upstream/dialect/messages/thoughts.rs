//! What the model thought in earlier answers, as blocks of the Messages API.
//!
//! The API takes a thought only with its own signature, and only as it was told; of a thought that is not, or is another
//! model's, nothing goes up.

use super::wire::Block;
use crate::upstream::sealer::{Opened, Sealer, Thought};
use crate::wire::ask::items::Reasoning;
use crate::wire::json::Json;
use crate::wire::seal::SealKind;

/// The name under which the state of a thought is left out.
pub const FIELD: &str = "messages.reasoning_details";

/// What there is of a thought for this model.
pub enum Read<'x> {
    Block(Block<'x>),
    /// It is another model's, or nobody's.
    Foreign,
    /// It was this model's, and is not as it was.
    Altered,
}

/// Reads a thought.
pub fn read<'x>(sealer: Option<&Sealer>, reasoning: &'x Reasoning<'x>) -> Read<'x> {
    let (Some(sealer), Some(sealed)) = (sealer, &reasoning.sealed) else { return Read::Foreign };
    let Some(text) = sealed.text.decode() else { return Read::Altered };
    let state = match sealer.open(Thought { kind: sealed.kind, text: &text }, &sealed.token) {
        Opened::State(state) => Json::text(state),
        Opened::Foreign => return Read::Foreign,
        Opened::Altered => return Read::Altered,
    };
    Read::Block(match sealed.kind {
        SealKind::Signature => Block::Thinking { thinking: Json::Borrowed(sealed.text.raw()), signature: state },
        SealKind::Redacted => Block::RedactedThinking { data: state },
    })
}
