//! A whole answer for a client, gathered from what its provider says piece by piece.

use std::rc::Rc;

use crate::door::answer::AnswerOptions;
use crate::door::chat::{completion, gathered as chat};
use crate::door::messages::answer::gathered as messages;
use crate::wire::call_tag::CallTagger;
use crate::wire::carried::carried;
use crate::wire::door::Door;
use crate::wire::piece::Said;

/// The most that is gathered of one answer, in bytes.
pub const MAX_GATHERED_BYTES: usize = 4 << 20;

/// What an answer has said so far, as its client's API has it.
#[derive(Debug)]
pub enum Gathered {
    Chat(Box<chat::Gathered>),
    Messages(Box<messages::Gathered>),
}

carried!(Gathered = Chat(gathered) | Messages(gathered));

impl Gathered {
    pub fn new(door: Door) -> Self {
        match door {
            Door::Chat => Gathered::Chat(Box::default()),
            Door::Messages => Gathered::Messages(Box::default()),
        }
    }

    /// What tags the calls of the answer from here on.
    pub fn set_tagger(&mut self, tagger: Option<Rc<CallTagger>>) {
        match self {
            Gathered::Chat(gathered) => gathered.tagger = tagger,
            Gathered::Messages(gathered) => gathered.set_tagger(tagger),
        }
    }

    /// Takes what an event, or a whole body, says.
    pub fn take(&mut self, options: &AnswerOptions, said: &Said<'_>) {
        match self {
            Gathered::Chat(gathered) => gathered.take(options, said),
            Gathered::Messages(gathered) => gathered.take(options, said),
        }
    }

    /// Whether more has come than is held of an answer.
    pub fn is_too_large(&self) -> bool {
        let bytes = match self {
            Gathered::Chat(gathered) => gathered.bytes(),
            Gathered::Messages(gathered) => gathered.bytes(),
        };
        bytes > MAX_GATHERED_BYTES
    }

    /// Appends the body that the client gets to `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Gathered::Chat(gathered) => completion::write(*gathered, out),
            Gathered::Messages(gathered) => gathered.write(out),
        }
    }
}
