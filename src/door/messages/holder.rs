//! Where a content stands, and where each of its blocks.

use crate::wire::ask::place::Place;

/// What a content is of.
#[derive(Clone, Copy, Debug)]
pub enum Holder {
    /// The system prompt.
    Body,
    Message(Place),
    /// A block of a message, such as a result.
    Block(Place),
}

impl Holder {
    pub fn content(self) -> Place {
        match self {
            Self::Body => Place::field("system"),
            Self::Message(place) => place.member("content"),
            Self::Block(place) => place.nested("content"),
        }
    }

    pub fn block(self, position: usize) -> Place {
        match self {
            Self::Body => Place::element("system", position),
            Self::Message(place) => place.member_element("content", position),
            Self::Block(place) => place.nested_element("content", position),
        }
    }
}
