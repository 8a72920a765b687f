//! One object of an answer, a chunk or a whole completion, read once into pieces.
//!
//! Fields may come in any order, so what a choice's or a call's pieces lack is put in when it ends. Providers deviate, so
//! everything is optional, and what nobody here knows is kept as it came.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::calls;
use crate::wire::json::JsonString;
use crate::wire::piece::{At, Finish, FinishReason, Holder, Opaque, Piece, Raw, ReasoningForm, is_reason};

/// What an object says beside its pieces.
#[derive(Default)]
pub struct Chunk<'a> {
    pub id: Option<JsonString<'a>>,
    pub model: Option<JsonString<'a>>,
    pub created: Option<u64>,
    pub usage: Option<&'a RawValue>,
    /// The error in place of an answer: of all of it, or of a choice (OpenRouter).
    pub error: Option<Value>,
    /// Whether it calls itself an error.
    pub is_error: bool,
    pub choices: usize,
    /// Choices that hold neither a delta nor a message.
    pub empty_choices: usize,
    pub says_something: bool,
    /// Whether a choice ended because something went wrong (OpenRouter, Mistral).
    pub has_failed: bool,
    /// Whether there is a field of which nobody here knows that it may stand around an answer.
    has_strange_field: bool,
    has_choices_field: bool,
}

impl Chunk<'_> {
    /// Whether it is one that a client may get although no choice stands in it: usage, or what Azure says of the prompt.
    pub fn is_around_an_answer(&self) -> bool {
        self.has_choices_field && !self.has_strange_field
    }
}

/// Reads `json` and appends its pieces to `pieces`.
pub fn read<'a>(json: &'a str, pieces: &mut Vec<Piece<'a>>) -> Result<Chunk<'a>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let chunk = ChunkReader { pieces }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(chunk)
}

/// The name of a field.
#[derive(Deserialize)]
pub struct FieldName<'a>(#[serde(borrow)] pub Cow<'a, str>);

struct ChunkReader<'p, 'a> {
    pieces: &'p mut Vec<Piece<'a>>,
}

impl<'a> DeserializeSeed<'a> for ChunkReader<'_, 'a> {
    type Value = Chunk<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Chunk<'a>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for ChunkReader<'_, 'a> {
    type Value = Chunk<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut fields: M) -> Result<Chunk<'a>, M::Error> {
        let mut chunk = Chunk::default();
        while let Some(FieldName(name)) = fields.next_key::<FieldName<'a>>()? {
            match name.as_ref() {
                "id" => chunk.id = JsonString::read_some(fields.next_value()?),
                "model" => chunk.model = JsonString::read_some(fields.next_value()?),
                "created" => chunk.created = number(fields.next_value()?),
                "choices" if chunk.has_choices_field => return Err(M::Error::duplicate_field("choices")),
                "choices" => {
                    chunk.has_choices_field = true;
                    fields.next_value_seed(ChoicesReader { chunk: &mut chunk, pieces: self.pieces })?;
                }
                "usage" => chunk.usage = fields.next_value()?,
                "error" => {
                    let error: Option<Value> = fields.next_value()?;
                    chunk.error = error.or(chunk.error);
                }
                "object" => {
                    let object: Option<&RawValue> = fields.next_value()?;
                    chunk.is_error = object.is_some_and(|object| object.get() == "\"error\"");
                }
                known @ ("service_tier" | "system_fingerprint" | "prompt_filter_results") => {
                    let value: Option<&RawValue> = fields.next_value()?;
                    self.pieces.extend(value.map(|value| beside(Cow::Owned(known.to_owned()), value)));
                }
                "obfuscation" => drop(fields.next_value::<IgnoredAny>()?),
                _ => {
                    chunk.has_strange_field = true;
                    let value: Option<&RawValue> = fields.next_value()?;
                    self.pieces.extend(value.map(|value| beside(name, value)));
                }
            }
        }
        Ok(chunk)
    }
}

fn number(raw: Option<&RawValue>) -> Option<u64> {
    raw?.get().parse().ok()
}

fn beside<'a>(name: Cow<'a, str>, value: &'a RawValue) -> Piece<'a> {
    Piece::Opaque(Opaque { choice: 0, holder: Holder::Answer, name, value: Raw(value), is_answer: false })
}

/// Reads the choices, or null for none.
struct ChoicesReader<'p, 'c, 'a> {
    chunk: &'c mut Chunk<'a>,
    pieces: &'p mut Vec<Piece<'a>>,
}

impl<'a> DeserializeSeed<'a> for ChoicesReader<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ChoicesReader<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of choices")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut choices: S) -> Result<(), S::Error> {
        while let Some(()) = choices.next_element_seed(ChoiceReader { chunk: self.chunk, pieces: self.pieces })? {
            self.chunk.choices += 1;
        }
        Ok(())
    }
}

struct ChoiceReader<'p, 'c, 'a> {
    chunk: &'c mut Chunk<'a>,
    pieces: &'p mut Vec<Piece<'a>>,
}

impl<'a> DeserializeSeed<'a> for ChoiceReader<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for ChoiceReader<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a choice")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut fields: M) -> Result<(), M::Error> {
        let first = self.pieces.len();
        let (mut index, mut finish, mut holds_some) = (None, None, false);
        while let Some(FieldName(name)) = fields.next_key::<FieldName<'a>>()? {
            match name.as_ref() {
                "index" => index = fields.next_value::<Option<u64>>()?,
                "delta" | "message" if holds_some => return Err(M::Error::duplicate_field("delta")),
                "delta" | "message" => holds_some = fields.next_value_seed(DeltaReader { pieces: self.pieces })?,
                "finish_reason" => finish = fields.next_value::<Option<&RawValue>>()?,
                "error" => {
                    let error: Option<Value> = fields.next_value()?;
                    self.chunk.error = self.chunk.error.take().or(error);
                }
                _ => {
                    let value: Option<&RawValue> = fields.next_value()?;
                    let opaque =
                        |value| Opaque { choice: 0, holder: Holder::Choice, name, value: Raw(value), is_answer: false };
                    self.pieces.extend(value.map(opaque).map(Piece::Opaque));
                }
            }
        }
        if let Some(raw) = finish {
            let word = JsonString::read(raw).ok_or_else(|| M::Error::custom("a reason to finish is a text"))?;
            let text = word.decode().ok_or_else(|| M::Error::custom("a reason to finish is a text"))?;
            self.chunk.has_failed |= text == "error";
            if is_reason(&text) {
                let reason = reason(&text);
                let finish = Finish { reason, word: word.clone(), stop_string: None, explanation: None };
                self.pieces.push(Piece::Finish { choice: 0, finish });
            }
        }
        self.chunk.empty_choices += usize::from(!holds_some);
        self.chunk.says_something |= self.pieces[first..].iter().any(Piece::says_something);
        if let Some(index) = index.filter(|index| *index != 0) {
            self.pieces[first..].iter_mut().for_each(|piece| piece.set_choice(index));
        }
        Ok(())
    }
}

fn reason(word: &str) -> FinishReason {
    match word {
        "stop" => FinishReason::Stop,
        "tool_calls" | "function_call" => FinishReason::Calls,
        "length" => FinishReason::Length,
        "content_filter" => FinishReason::Filtered,
        _ => FinishReason::Other,
    }
}

/// Reads a delta, or a message; says whether there is one.
struct DeltaReader<'p, 'a> {
    pieces: &'p mut Vec<Piece<'a>>,
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

    fn visit_map<M: MapAccess<'a>>(self, mut fields: M) -> Result<bool, M::Error> {
        /// The fields that carry an answer, of which each may come once.
        const FIELDS: [&str; 7] =
            ["content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio"];
        let at = At::default();
        let mut seen = [false; FIELDS.len()];
        while let Some(FieldName(name)) = fields.next_key::<FieldName<'a>>()? {
            let value: Option<&'a RawValue> = fields.next_value()?;
            if let Some(position) = FIELDS.iter().position(|known| *known == name)
                && std::mem::replace(&mut seen[position], true)
            {
                return Err(M::Error::duplicate_field(FIELDS[position]));
            }
            let Some(value) = value.filter(|value| !matches!(value.get(), "\"\"" | "[]" | "{}")) else { continue };
            let text = JsonString::read(value);
            match (name.as_ref(), text) {
                ("content", Some(text)) => self.pieces.push(Piece::Text { at, text }),
                ("refusal", Some(text)) => self.pieces.push(Piece::Refusal { at, text }),
                ("reasoning_content", Some(text)) => {
                    self.pieces.push(Piece::Reasoning { at, form: ReasoningForm::Text, text });
                }
                ("reasoning", Some(text)) => {
                    self.pieces.push(Piece::Reasoning { at, form: ReasoningForm::Alias, text });
                }
                ("tool_calls", _) if calls::read_calls(value, self.pieces) => {}
                ("function_call", _) if calls::read_legacy_call(value, self.pieces) => {}
                ("role", _) => {}
                _ => {
                    let is_answer = FIELDS.contains(&name.as_ref());
                    let opaque = Opaque { choice: 0, holder: Holder::Delta, name, value: Raw(value), is_answer };
                    self.pieces.push(Piece::Opaque(opaque));
                }
            }
        }
        Ok(true)
    }
}
