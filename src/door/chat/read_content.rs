//! What a look at a message's content finds: parts, texts, and how much there is.

use std::borrow::Cow;

use crate::door::estimate::Size;
use crate::door::media::{Payload, holds_media};
use crate::wire::ask::turns::{Form, Texts};
use crate::wire::part_types::{Holds, Media, PartType};
use crate::wire::walk::Counted;

/// One part of a message's content.
#[derive(Clone, Debug)]
pub struct ReadPart<'a> {
    pub of: Type<'a>,
    /// Its text, a JSON string.
    pub text: Option<Counted<'a>>,
    /// What it says in another field, or in its text where it says nothing else, as JSON; all of it, if nobody knows its type.
    pub said: &'a str,
    /// What it holds that is no text.
    pub payload: Payload<'a>,
    pub form: Form,
}

/// The type of a part.
#[derive(Clone, Debug)]
pub enum Type<'a> {
    Known(&'static PartType),
    /// One that only the providers take that list it.
    Odd(Cow<'a, str>),
}

/// A message's content.
pub enum ReadContent<'a> {
    None,
    Text(Counted<'a>),
    Parts(Vec<ReadPart<'a>>),
}

impl ReadPart<'_> {
    /// What it holds, if anybody knows.
    pub fn holds(&self) -> Option<Holds> {
        match self.of {
            Type::Known(known) => Some(known.holds),
            Type::Odd(_) => None,
        }
    }
}

impl<'a> ReadContent<'a> {
    pub fn parts(&self) -> &[ReadPart<'a>] {
        match self {
            ReadContent::None | ReadContent::Text(_) => &[],
            ReadContent::Parts(parts) => parts,
        }
    }

    pub fn texts(&self) -> Texts<'a> {
        match self {
            ReadContent::None => Texts::None,
            ReadContent::Text(text) => Texts::One(text.json),
            ReadContent::Parts(parts) => {
                Texts::Several(parts.iter().filter_map(|part| Some(part.text?.json)).collect())
            }
        }
    }

    pub fn form(&self) -> Form {
        match self {
            ReadContent::None => Form::Other,
            ReadContent::Text(_) => Form::Texts,
            ReadContent::Parts(parts) => parts.iter().map(|part| part.form).min().unwrap_or(Form::Other),
        }
    }

    pub fn add_to(&self, size: &mut Size) {
        match self {
            ReadContent::None => {}
            ReadContent::Text(text) => size.add_text(text.text_bytes),
            ReadContent::Parts(parts) => parts.iter().for_each(|part| match part.holds() {
                Some(Holds::Media(kind)) => size.add_media(kind, &part.payload),
                Some(Holds::Text) => size.add_text(part.text.map_or(0, |text| text.text_bytes)),
                None if holds_media(part.said) => size.add_media(Media::File, &Payload::default()),
                Some(Holds::Refusal | Holds::Thoughts) | None => size.add_json(part.said),
            }),
        }
    }
}
