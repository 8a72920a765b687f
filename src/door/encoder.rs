//! A stream for a client: pieces in, the events of its API out.

use std::rc::Rc;

use crate::door::answer::AnswerOptions;
use crate::door::chat::chunks::{self, Identity};
use crate::door::messages::answer::events;
use crate::door::messages::answer::extent::Extent;
use crate::policy::Dialect;
use crate::wire::call_tag::CallTagger;
use crate::wire::carried::carried;
use crate::wire::door::Door;
use crate::wire::piece::Said;

/// Writes one answer's stream.
#[derive(Debug)]
pub enum Encoder {
    Chat(chunks::Encoder),
    Messages(Box<events::Encoder>),
}

carried!(Encoder = Chat(encoder) | Messages(encoder));

/// What a stream that takes the place of one that broke needs to know of it: how far its client has the answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Resumption {
    Chat(Identity),
    Messages(Extent),
}

impl Encoder {
    pub fn new(options: AnswerOptions) -> Self {
        match options.door {
            Door::Chat => Encoder::Chat(chunks::Encoder::new(options)),
            Door::Messages => Encoder::Messages(Box::new(events::Encoder::new(options))),
        }
    }

    /// For a stream that takes the place of one that broke; without `from` nothing is known of that.
    pub fn resumed(options: AnswerOptions, from: Option<&Resumption>) -> Self {
        match options.door {
            Door::Chat => {
                let identity = match from {
                    Some(Resumption::Chat(identity)) => identity.clone(),
                    Some(Resumption::Messages(_)) | None => Identity::default(),
                };
                Encoder::Chat(chunks::Encoder::resumed(options, identity))
            }
            Door::Messages => {
                let extent = match from {
                    Some(Resumption::Messages(extent)) => extent.clone(),
                    Some(Resumption::Chat(_)) | None => Extent::default(),
                };
                Encoder::Messages(Box::new(events::Encoder::resumed(options, extent)))
            }
        }
    }

    /// What tags the calls of the answer from here on.
    pub fn set_tagger(&mut self, tagger: Option<Rc<CallTagger>>) {
        match self {
            Encoder::Chat(encoder) => encoder.tagger = tagger,
            Encoder::Messages(encoder) => encoder.set_tagger(tagger),
        }
    }

    /// What another stream needs to take the place of this one.
    pub fn resumption(&self) -> Resumption {
        match self {
            Encoder::Chat(encoder) => Resumption::Chat(encoder.identity().clone()),
            Encoder::Messages(encoder) => Resumption::Messages(encoder.extent().clone()),
        }
    }

    pub fn options(&self) -> &AnswerOptions {
        match self {
            Encoder::Chat(encoder) => encoder.options(),
            Encoder::Messages(encoder) => encoder.options(),
        }
    }

    /// Whether what comes in `dialect` goes out as it came.
    pub fn passes(&self, dialect: Dialect) -> bool {
        match self {
            Encoder::Chat(encoder) => encoder.passes(dialect),
            Encoder::Messages(encoder) => encoder.passes(dialect),
        }
    }

    /// Whether another stream could go on where this one is.
    pub fn is_resumable(&self) -> bool {
        match self {
            Encoder::Chat(_) => true,
            Encoder::Messages(encoder) => encoder.is_resumable(),
        }
    }

    /// Appends what the client gets for one event to `out`.
    pub fn encode(&mut self, said: &Said<'_>, out: &mut Vec<u8>) {
        match self {
            Encoder::Chat(encoder) => encoder.encode(said, out),
            Encoder::Messages(encoder) => encoder.encode(said, out),
        }
    }

    /// The answer is whole.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        match self {
            Encoder::Chat(encoder) => encoder.end(out),
            Encoder::Messages(encoder) => encoder.end(out),
        }
    }
}
