//! The turns of a conversation, as far as a decision looks at them: who speaks, the texts, and how much there is.
//!
//! A text stays the JSON that the client sent, and is decoded only when somebody wants to read it.

use std::borrow::Cow;

use super::place::RequestFault;
use crate::wire::call_tag::is_tagged;
use crate::wire::walk::inside;

/// One turn of a conversation.
#[derive(Clone, Debug)]
pub struct Turn<'a> {
    pub role: Role,
    pub texts: Texts<'a>,
    pub form: Form,
    /// The turn as the client wrote it.
    pub raw: &'a str,
    pub media: MediaSeen,
    /// Its parts of types that nobody here knows, the first of each.
    pub odd_parts: Vec<OddPart<'a>>,
    /// The calls in it whose ids have the form of tagged ones.
    pub tagged: Vec<TaggedCall<'a>>,
    /// About how many tokens it has.
    pub tokens: u64,
}

/// A call whose id has the form of a tagged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaggedCall<'a> {
    /// As the client wrote it, which has no escapes.
    pub id: &'a str,
    pub side: CallSide,
}

/// Which side of a call its id stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallSide {
    Made,
    Answered,
}

impl<'a> TaggedCall<'a> {
    /// Nothing if the id, as JSON, has not the form of one with a tag.
    pub fn read(json: &'a str, side: CallSide) -> Option<Self> {
        let id = inside(json);
        is_tagged(id).then_some(Self { id, side })
    }
}

/// How much of a turn is only what everybody takes, in the form that the door's API has published for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Something else is there, or nothing.
    Other,
    /// Nothing but role, texts and media.
    Parts,
    /// Nothing but role and texts.
    Texts,
}

/// A part of a type that only the providers take that list it.
#[derive(Clone, Debug)]
pub struct OddPart<'a> {
    pub name: Cow<'a, str>,
    /// What is wrong with it where nobody takes it.
    pub fault: RequestFault,
}

/// What a turn holds that is no text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaSeen {
    pub images: bool,
    pub files: bool,
    pub audio: bool,
    pub video: bool,
    /// Something of which nobody knows the kind.
    pub other: bool,
    /// The name of an earlier answer's audio, which only its provider has.
    pub earlier_audio: bool,
}

/// Who speaks in a turn, in the words of the Chat Completions API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    Function,
}

impl Role {
    /// Whether the turn is what a call came to.
    pub fn is_of_results(self) -> bool {
        matches!(self, Self::Tool | Self::Function)
    }

    /// Whether the turn tells the model what to do.
    pub fn is_instruction(self) -> bool {
        matches!(self, Self::System | Self::Developer)
    }
}

/// The texts of a turn, as JSON strings.
#[derive(Clone, Debug)]
pub enum Texts<'a> {
    None,
    One(&'a str),
    Several(Vec<&'a str>),
}

const ROLES: [(&str, Role); 6] = [
    ("system", Role::System),
    ("developer", Role::Developer),
    ("user", Role::User),
    ("assistant", Role::Assistant),
    ("tool", Role::Tool),
    ("function", Role::Function),
];

impl Role {
    /// The API's word for it.
    pub fn as_str(self) -> &'static str {
        ROLES.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }

    /// The role that the API calls `name`.
    pub fn named(name: &str) -> Option<Self> {
        ROLES.iter().find(|(known, _)| *known == name).map(|(_, role)| *role)
    }

    /// The API's words for all roles.
    pub fn names() -> [&'static str; 6] {
        ROLES.map(|(name, _)| name)
    }
}

impl MediaSeen {
    /// Whether something that is no text is here.
    pub fn any(self) -> bool {
        let Self { images, files, audio, video, other, earlier_audio: _ } = self;
        images || files || audio || video || other
    }
}

impl<'a> Turn<'a> {
    /// A turn that nobody looks into.
    pub fn written(role: Role, raw: &'a str) -> Self {
        Self {
            role,
            texts: Texts::None,
            form: Form::Other,
            raw,
            media: MediaSeen::default(),
            odd_parts: Vec::new(),
            tagged: Vec::new(),
            tokens: 0,
        }
    }

    /// The texts, as JSON strings.
    pub fn texts(&self) -> impl DoubleEndedIterator<Item = &'a str> + Clone {
        let texts = match &self.texts {
            Texts::None => &[][..],
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Several(texts) => texts,
        };
        texts.iter().copied()
    }
}
