//! A choice's delta, or its message, read into pieces.
//!
//! Every field but `role` that says something is a part of the answer; in a form that nobody here knows it is kept as it came.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::calls;
use crate::wire::json::{Borrowing, JsonString, fields_named, says_nothing, text};
use crate::wire::piece::{At, Opaque, OpaqueHolder, Piece, Raw, ReasoningForm};

/// The fields whose forms are known, in the order in which their pieces are told.
const KNOWN: [&str; 6] = ["reasoning_content", "reasoning", "content", "refusal", "function_call", "tool_calls"];
/// The place of `tool_calls` there.
const CALLS: usize = 5;
/// Fields of no known form that are what the client waits for, rather than words about it.
const MEDIA: [&str; 6] = ["audio", "image", "images", "video", "videos", "files"];

/// Reads a delta, or a message; says whether there is one.
pub struct DeltaReader<'p, 'a> {
    pub pieces: &'p mut Vec<Piece<'a>>,
}

/// Whether a piece is one that the answer is made of, so that no reason to finish was the last if this one follows it. What
/// is only about the answer (annotations, details, scores) may follow.
pub fn is_content(piece: &Piece<'_>) -> bool {
    match piece {
        Piece::Opaque(opaque) => opaque.is_answer && (KNOWN.contains(&&*opaque.name) || MEDIA.contains(&&*opaque.name)),
        Piece::Finish { .. } => false,
        Piece::Start(_)
        | Piece::Begin { .. }
        | Piece::Text { .. }
        | Piece::Refusal { .. }
        | Piece::Reasoning { .. }
        | Piece::Sealed { .. }
        | Piece::Input { .. }
        | Piece::End { .. }
        | Piece::Usage { .. }
        | Piece::Alive(_) => piece.says_something(),
    }
}

impl<'a> DeserializeSeed<'a> for DeltaReader<'_, 'a> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for DeltaReader<'_, 'a> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a delta")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    /// An empty object, as some languages write it.
    fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<bool, S::Error> {
        match items.next_element::<&RawValue>()? {
            None => Ok(true),
            Some(_) => Err(S::Error::custom("a delta is an object")),
        }
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut fields: M) -> Result<bool, M::Error> {
        let first = self.pieces.len();
        let mut known = [None; KNOWN.len()];
        while let Some(Borrowing(name)) = fields.next_key::<Borrowing<'a>>()? {
            let value: Option<&'a RawValue> = fields.next_value()?;
            match KNOWN.iter().position(|known| *known == name) {
                Some(position) => known[position] = value,
                None if name == "role" => {}
                None => self.keep(name, value, first),
            }
        }
        // Some name the same call in both forms (llama-cpp-python).
        let has_calls = known[CALLS].is_some_and(|calls| !says_nothing(calls));
        for (name, value) in KNOWN.into_iter().zip(known) {
            let is_void = |value: &RawValue| says_nothing(value) || (has_calls && name == "function_call");
            if let Some(value) = value.filter(|value| !is_void(value)) {
                self.read(name, value);
            }
        }
        Ok(true)
    }
}

impl<'a> DeltaReader<'_, 'a> {
    /// Reads a field that is known, if its value has a form that is known too.
    fn read(&mut self, name: &'static str, value: &'a RawValue) {
        let at = At::default();
        let reasoning = |form, text| Piece::Reasoning { at, form, text };
        let is_read = match (name, JsonString::read(value)) {
            ("tool_calls", _) => calls::read_calls(value, self.pieces),
            ("function_call", _) => calls::read_legacy_call(value, self.pieces),
            ("content", None) => read_parts(value, self.pieces),
            (_, None) => false,
            (name, Some(text)) => {
                self.pieces.push(match name {
                    "content" => Piece::Text { at, text },
                    "refusal" => Piece::Refusal { at, text },
                    "reasoning" => reasoning(ReasoningForm::Alias, text),
                    _ => reasoning(ReasoningForm::Text, text),
                });
                true
            }
        };
        if !is_read {
            self.pieces.push(opaque(name.into(), value));
        }
    }

    /// Keeps a field that nobody here knows; of one that comes twice, the last.
    fn keep(&mut self, name: Cow<'a, str>, value: Option<&'a RawValue>, first: usize) {
        let is_same = |piece: &Piece<'_>| matches!(piece, Piece::Opaque(opaque) if opaque.name == name);
        if let Some(position) = self.pieces[first..].iter().position(is_same) {
            self.pieces.remove(first + position);
        }
        let value = value.filter(|value| !says_nothing(value));
        self.pieces.extend(value.map(|value| opaque(name, value)));
    }
}

fn opaque<'a>(name: Cow<'a, str>, value: &'a RawValue) -> Piece<'a> {
    Piece::Opaque(Opaque { choice: 0, holder: OpaqueHolder::Delta, name, value: Raw(value), is_answer: true })
}

/// Reads content that is an array of texts and thoughts (Mistral's reasoning models); false, and nothing is read, if there is
/// another form among them.
fn read_parts<'a>(raw: &'a RawValue, pieces: &mut Vec<Piece<'a>>) -> bool {
    let Ok(parts) = serde_json::from_str::<Vec<&'a RawValue>>(raw.get()) else { return false };
    let first = pieces.len();
    let are_read = parts.into_iter().all(|part| read_part(part, pieces).is_some());
    if !are_read {
        pieces.truncate(first);
    }
    are_read
}

fn read_part<'a>(part: &'a RawValue, pieces: &mut Vec<Piece<'a>>) -> Option<()> {
    let at = At::default();
    let [kind, said, thinking] = fields_named(part.get(), &["type", "text", "thinking"]).ok()?;
    match text(kind?)?.as_ref() {
        "text" => {
            let text = JsonString::read(said?)?;
            pieces.extend((!text.is_empty()).then_some(Piece::Text { at, text }));
        }
        "thinking" => {
            let thoughts = match serde_json::from_str::<Vec<&'a RawValue>>(thinking?.get()) {
                Ok(parts) => parts.into_iter().map(thought).collect::<Option<Vec<_>>>()?,
                Err(_) => vec![JsonString::read(thinking?)?],
            };
            let thoughts = thoughts.into_iter().filter(|text| !text.is_empty());
            pieces.extend(thoughts.map(|text| Piece::Reasoning { at, form: ReasoningForm::Text, text }));
        }
        _ => return None,
    }
    Some(())
}

/// The text of a part of a thought.
fn thought(part: &RawValue) -> Option<JsonString<'_>> {
    let [said] = fields_named(part.get(), &["text"]).ok()?;
    JsonString::read(said?)
}
