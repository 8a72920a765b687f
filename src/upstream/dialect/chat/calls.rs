//! The calls in a delta or a message, read into pieces.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::call::CallKind;
use crate::wire::json::{Borrowing, JsonString, fields_named, whole};
use crate::wire::piece::{AnswerCall, AnswerItem, At, Opaque, OpaqueHolder, Piece, Raw};

/// A function with its arguments, or a custom tool with its input.
#[derive(Default)]
struct Tool<'a> {
    name: Option<&'a RawValue>,
    arguments: Option<&'a RawValue>,
}

impl<'a> Tool<'a> {
    /// Nothing if it is no object.
    fn read(raw: &'a RawValue) -> Option<Self> {
        let [name, arguments, input] = fields_named(raw.get(), &["name", "arguments", "input"]).ok()?;
        Some(Self { name, arguments: arguments.or(input) })
    }
}

/// Reads `tool_calls`; false, and nothing is read, if they have another form.
pub fn read_calls<'a>(raw: &'a RawValue, pieces: &mut Vec<Piece<'a>>) -> bool {
    let first = pieces.len();
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let read = CallsReader { pieces }.deserialize(&mut deserializer).is_ok();
    if !read {
        pieces.truncate(first);
    }
    read
}

/// Reads `function_call`; false, and nothing is read, if it has another form.
pub fn read_legacy_call<'a>(raw: &'a RawValue, pieces: &mut Vec<Piece<'a>>) -> bool {
    let Some(tool) = Tool::read(raw) else { return false };
    push(CallFields { kind: Some(CallKind::Legacy), tool, ..CallFields::default() }, pieces);
    true
}

struct CallsReader<'p, 'a> {
    pieces: &'p mut Vec<Piece<'a>>,
}

impl<'a> DeserializeSeed<'a> for CallsReader<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for CallsReader<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of calls")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut calls: S) -> Result<(), S::Error> {
        let mut place = 0;
        while let Some(()) = calls.next_element_seed(CallReader { place, pieces: self.pieces })? {
            place += 1;
        }
        Ok(())
    }
}

#[derive(Default)]
struct CallFields<'a> {
    item: u64,
    kind: Option<CallKind>,
    id: Option<JsonString<'a>>,
    tool: Tool<'a>,
}

struct CallReader<'p, 'a> {
    /// The call's place in the array; whole answers have no other number.
    place: u64,
    pieces: &'p mut Vec<Piece<'a>>,
}

impl<'a> DeserializeSeed<'a> for CallReader<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for CallReader<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a call")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut fields: M) -> Result<(), M::Error> {
        let mut call = CallFields { item: self.place, ..CallFields::default() };
        // What nobody knows of a call comes after it, wherever it stood.
        let mut unknown: Vec<(Cow<'a, str>, &'a RawValue)> = Vec::new();
        while let Some(Borrowing(name)) = fields.next_key::<Borrowing<'a>>()? {
            match name.as_ref() {
                "index" => {
                    let index: Option<&RawValue> = fields.next_value()?;
                    call.item = index.and_then(whole).unwrap_or(self.place);
                }
                "id" => call.id = JsonString::read_some(fields.next_value()?),
                // What stands under another name, or is no object, is no tool.
                "function" => call.tool = tool(fields.next_value()?).unwrap_or(call.tool),
                "custom" => {
                    if let Some(custom) = tool(fields.next_value()?) {
                        call.tool = custom;
                        call.kind = Some(CallKind::Custom);
                    }
                }
                "type" => {
                    let kind: Option<&RawValue> = fields.next_value()?;
                    if kind.is_some_and(|kind| kind.get() == "\"custom\"") {
                        call.kind = Some(CallKind::Custom);
                    }
                }
                _ => {
                    let value: Option<&RawValue> = fields.next_value()?;
                    unknown.extend(value.map(|value| (name, value)));
                }
            }
        }
        let holder = OpaqueHolder::Call(call.item);
        push(call, self.pieces);
        self.pieces.extend(unknown.into_iter().map(|(name, value)| {
            Piece::Opaque(Opaque { choice: 0, holder, name, value: Raw(value), is_answer: false })
        }));
        Ok(())
    }
}

fn tool(raw: Option<&RawValue>) -> Option<Tool<'_>> {
    raw.and_then(Tool::read)
}

/// A call that names itself begins; another goes on, if only with nothing.
fn push<'a>(call: CallFields<'a>, pieces: &mut Vec<Piece<'a>>) {
    let CallFields { item, kind, id, tool } = call;
    let at = At { choice: 0, item };
    let name = JsonString::read_some(tool.name);
    let begins = id.is_some() || name.is_some();
    if begins {
        let call = AnswerCall { kind: kind.unwrap_or(CallKind::Function), id, name, namespace: None };
        pieces.push(Piece::Begin { at, item: AnswerItem::Call(call) });
    }
    // Some send an object where the API has a text.
    let fragment = tool.arguments.map(|raw| JsonString::read(raw).unwrap_or_else(|| JsonString::encode(raw.get())));
    let fragment = fragment.unwrap_or(JsonString::empty());
    if !begins || !fragment.is_empty() {
        pieces.push(Piece::Input { at, fragment });
    }
}
