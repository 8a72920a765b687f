//! The events of a stream of the Messages API, and what stands in them, as fields that are not yet read.
//!
//! A field that comes twice is what it was last, and what is not of its type is absent.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::json::{fields_named, items_named, text, whole};

/// An event of any kind.
pub struct Event<'a> {
    /// Nothing in it if there is none.
    pub kind: Cow<'a, str>,
    pub index: Option<u64>,
    pub message: Option<&'a RawValue>,
    pub content_block: Option<&'a RawValue>,
    pub delta: Option<&'a RawValue>,
    pub usage: Option<&'a RawValue>,
    pub error: Option<&'a RawValue>,
}

/// A fragment of a block, as the API writes it: what most events are. It is read in one go.
#[derive(Deserialize)]
pub struct Fragment<'a> {
    #[serde(borrow)]
    pub r#type: Cow<'a, str>,
    pub index: u64,
    #[serde(borrow)]
    pub delta: Delta<'a>,
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct Delta<'a> {
    #[serde(borrow, default)]
    pub r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    pub text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub partial_json: Option<&'a RawValue>,
}

/// A block of a whole answer, or the beginning of one of a stream.
pub struct Block<'a> {
    /// Nothing in it if there is none.
    pub kind: Cow<'a, str>,
    pub text: Option<&'a RawValue>,
    pub thinking: Option<&'a RawValue>,
    pub signature: Option<&'a RawValue>,
    pub data: Option<&'a RawValue>,
    pub id: Option<&'a RawValue>,
    pub name: Option<&'a RawValue>,
    pub input: Option<&'a RawValue>,
}

/// The fields of a block.
const BLOCK: [&str; 8] = ["type", "text", "thinking", "signature", "data", "id", "name", "input"];

impl<'a> Event<'a> {
    /// Nothing if it is no JSON object.
    pub fn read(json: &'a str) -> Option<Self> {
        let names = ["type", "index", "message", "content_block", "delta", "usage", "error"];
        let [kind, index, message, content_block, delta, usage, error] = fields_named(json, &names).ok()?;
        let index = index.and_then(whole);
        Some(Self { kind: word(kind), index, message, content_block, delta, usage, error })
    }
}

impl<'a> Delta<'a> {
    /// Nothing if it is no JSON object.
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        let names = ["type", "text", "thinking", "signature", "partial_json"];
        let [kind, text, thinking, signature, partial_json] = fields_named(raw.get(), &names).ok()?;
        Some(Self { r#type: word(kind), text, thinking, signature, partial_json })
    }
}

impl<'a> Block<'a> {
    /// Nothing if it is no JSON object.
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        fields_named(raw.get(), &BLOCK).ok().map(Self::of)
    }

    /// The blocks of an array of them; nothing if it is none.
    pub fn read_all(raw: &'a RawValue) -> Option<Vec<Self>> {
        let blocks = items_named(raw.get(), &BLOCK).ok()?;
        Some(blocks.into_iter().map(Self::of).collect())
    }

    fn of([kind, text, thinking, signature, data, id, name, input]: [Option<&'a RawValue>; 8]) -> Self {
        Self { kind: word(kind), text, thinking, signature, data, id, name, input }
    }
}

fn word(raw: Option<&RawValue>) -> Cow<'_, str> {
    raw.and_then(text).unwrap_or_default()
}
