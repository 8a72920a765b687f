//! What a conversation is made of: a flat list of items in the order in which they were said, and their parts.
//!
//! Dialects that know messages with several of them group them again. A payload of a call is the text that the model wrote,
//! never parsed and written anew; texts stay the JSON that they came as.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Api;
use super::content::{Format, Tool};
use super::place::{Located, Place};
use crate::wire::call::CallKind;
use crate::wire::json::{Json, JsonString};
use crate::wire::seal::Sealed;

/// One thing that was said, called, found out or changed.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    pub place: Place,
    /// What its own API calls it.
    pub id: Option<JsonString<'a>>,
    /// Who of several speakers of this kind said it.
    pub name: Option<JsonString<'a>>,
    pub cache: Option<CacheMark>,
    pub kind: ItemKind<'a>,
}

/// What an item is.
#[derive(Clone, Debug)]
pub enum ItemKind<'a> {
    /// How the model is to behave.
    Instruction {
        level: Level,
        parts: Vec<Part<'a>>,
    },
    /// What the user said.
    User(Vec<Part<'a>>),
    /// What the model said.
    Text {
        phase: Option<JsonString<'a>>,
        parts: Vec<Part<'a>>,
    },
    Call(Call<'a>),
    Result(CallResult<'a>),
    Reasoning(Reasoning<'a>),
    /// Tools that exist from here on.
    ToolsAdded(Vec<Tool<'a>>),
    /// Tools that exist no longer.
    ToolsRemoved(Vec<Cow<'a, str>>),
    /// Settings that hold from here on.
    Config {
        effort: Option<JsonString<'a>>,
        format: Option<Format<'a>>,
    },
    /// What only the API that it is of understands.
    Opaque {
        api: Api,
        /// The API's word for its type.
        word: &'static str,
        raw: &'a RawValue,
    },
}

/// Where an instruction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Before the conversation.
    Top,
    /// Between its turns.
    Mid,
}

/// A mark of the client's that a provider's cache should keep the prompt up to here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheMark {
    /// Where that stands which is marked.
    pub place: Place,
    /// The client's name for the mark.
    pub name: &'static str,
    /// How long it should be kept, if the client says so.
    pub lifetime: Option<CacheLifetime>,
}

/// How long a provider's cache is to keep something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLifetime {
    FiveMinutes,
    Hour,
}

impl CacheMark {
    /// What is said of a mark that is left out, or carried in a weaker form.
    pub fn path(self) -> String {
        self.place.path_to(self.name)
    }
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub kind: CallKind,
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    /// The group of tools that the name belongs to.
    pub namespace: Option<Cow<'a, str>>,
    /// A function's arguments, which should be a JSON object, or a custom tool's input.
    pub payload: Located<Cow<'a, str>>,
    /// Which other call made it.
    pub caller: Option<&'a RawValue>,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct CallResult<'a> {
    pub kind: CallKind,
    /// The id of the call.
    pub id: Located<Cow<'a, str>>,
    pub parts: Vec<Part<'a>>,
    pub is_error: bool,
}

/// What the model thought before it said or called what follows.
#[derive(Clone, Debug)]
pub struct Reasoning<'a> {
    pub summary: Vec<JsonString<'a>>,
    pub text: Vec<JsonString<'a>>,
    pub sealed: Option<Sealed<'a>>,
    pub bound_to: Binding<'a>,
}

/// What sealed reasoning belongs to: it means nothing without that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding<'a> {
    Nothing,
    /// The turn that it stands in.
    Turn,
    /// The call of this id.
    Call(Cow<'a, str>),
}

/// One part of what is said.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    pub place: Place,
    /// The client's word for its type.
    pub word: &'static str,
    pub cache: Option<CacheMark>,
    pub kind: PartKind<'a>,
}

/// What a part is.
#[derive(Clone, Debug)]
pub enum PartKind<'a> {
    Text(JsonString<'a>),
    Refusal(JsonString<'a>),
    Image {
        source: MediaSource<'a>,
        detail: Option<Located<&'a RawValue>>,
    },
    File {
        source: MediaSource<'a>,
        name: Option<JsonString<'a>>,
    },
    Audio(&'a RawValue),
    /// Audio of an earlier answer, which only its provider has.
    EarlierAudio(&'a RawValue),
    Json(Json<'a>),
    /// What a model thought, which nobody needs but the one that thought it; what the client calls it.
    Thoughts(&'static str),
    /// What only the API that it is of understands.
    Opaque {
        api: Api,
        raw: &'a RawValue,
    },
}

/// Where the bytes of an image or a file are.
#[derive(Clone, Debug)]
pub enum MediaSource<'a> {
    /// The bytes are at an address, which may be a data URI.
    Url(Located<Cow<'a, str>>),
    /// The bytes are here, in base64.
    Data { media_type: Cow<'a, str>, data: Located<Cow<'a, str>> },
    /// The one provider that knows this id has them.
    Id(Located<JsonString<'a>>),
}

impl<'a> Item<'a> {
    pub fn new(place: Place, kind: ItemKind<'a>) -> Self {
        Self { place, id: None, name: None, cache: None, kind }
    }
}

impl<'a> Part<'a> {
    /// A part that is nothing but a text.
    pub fn text(place: Place, text: JsonString<'a>) -> Self {
        Self { place, word: "text", cache: None, kind: PartKind::Text(text) }
    }
}

/// The name of a tool for an API that has no groups.
pub fn qualified<'x>(namespace: Option<&str>, name: &'x str) -> Cow<'x, str> {
    match namespace {
        Some(namespace) => format!("{namespace}__{name}").into(),
        None => name.into(),
    }
}
