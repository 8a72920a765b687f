//! One object of an answer, a chunk or a whole completion, read once into pieces.
//!
//! Fields may come in any order, so what a choice's or a call's pieces lack is put in when it ends. Providers deviate, so
//! everything is optional, a field that comes twice is what it was last, what cannot be read and is not needed is absent, and
//! what nobody here knows is kept as it came.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeBounds;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::delta::DeltaReader;
use crate::wire::json::{Borrowing, JsonString, whole};
use crate::wire::piece::{Finish, FinishReason, Opaque, OpaqueHolder, Piece, Raw, is_reason};

/// What is read: of a choice that has both a delta and a message, clients look at one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A chunk of a stream.
    Chunk,
    /// A whole answer.
    Answer,
}

/// What an object says beside its pieces.
#[derive(Default)]
pub struct Chunk<'a> {
    pub id: Option<JsonString<'a>>,
    pub model: Option<JsonString<'a>>,
    pub created: Option<u64>,
    pub usage: Option<&'a RawValue>,
    /// The error in place of an answer.
    pub error: Option<&'a RawValue>,
    /// Whether it calls itself an error.
    pub is_error: bool,
    pub choices: Choices<'a>,
    /// Whether there is a field of which nobody here knows that it may stand around an answer.
    has_strange_field: bool,
    has_choices_field: bool,
}

/// What the choices of an object say beside their pieces.
#[derive(Default)]
pub struct Choices<'a> {
    pub count: usize,
    /// Choices that hold neither a delta nor a message.
    pub empty: usize,
    pub say_something: bool,
    /// Whether one ended because something went wrong (OpenRouter, Mistral).
    pub have_failed: bool,
    /// The error in place of one (OpenRouter).
    pub error: Option<&'a RawValue>,
    /// Usage that stands in one.
    pub usage: Option<&'a RawValue>,
}

impl Chunk<'_> {
    /// Whether it is one that a client may get although no choice stands in it: usage, or what Azure says of the prompt.
    pub fn is_around_an_answer(&self) -> bool {
        self.has_choices_field && !self.has_strange_field
    }
}

/// Reads `json` and appends its pieces to `pieces`.
pub fn read<'a>(json: &'a str, form: Form, pieces: &mut Vec<Piece<'a>>) -> Result<Chunk<'a>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let chunk = ChunkReader { form, pieces }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(chunk)
}

struct ChunkReader<'p, 'a> {
    form: Form,
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
        let first = self.pieces.len();
        let mut chunk = Chunk::default();
        while let Some(Borrowing(name)) = fields.next_key::<Borrowing<'a>>()? {
            match name.as_ref() {
                "id" => chunk.id = JsonString::read_some(fields.next_value()?),
                "model" => chunk.model = JsonString::read_some(fields.next_value()?),
                "created" => chunk.created = fields.next_value::<Option<&RawValue>>()?.and_then(whole),
                "choices" => {
                    if std::mem::replace(&mut chunk.has_choices_field, true) {
                        remove(self.pieces, first.., |piece| piece.choice().is_some());
                    }
                    chunk.choices = fields.next_value_seed(ChoicesReader { form: self.form, pieces: self.pieces })?;
                }
                "usage" => chunk.usage = fields.next_value()?,
                "error" => chunk.error = fields.next_value()?,
                "object" => {
                    let object: Option<&RawValue> = fields.next_value()?;
                    chunk.is_error = object.is_some_and(|object| object.get() == "\"error\"");
                }
                "service_tier" | "system_fingerprint" | "prompt_filter_results" => {
                    let value: Option<&RawValue> = fields.next_value()?;
                    self.pieces.extend(value.map(|value| beside(name, value)));
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

/// Removes the pieces of `range` of which `is_void` says so.
fn remove(pieces: &mut Vec<Piece<'_>>, range: impl RangeBounds<usize>, is_void: impl Fn(&Piece<'_>) -> bool) {
    pieces.extract_if(range, |piece| is_void(piece)).for_each(drop);
}

fn beside<'a>(name: Cow<'a, str>, value: &'a RawValue) -> Piece<'a> {
    Piece::Opaque(Opaque { choice: 0, holder: OpaqueHolder::Answer, name, value: Raw(value), is_answer: false })
}

/// Reads the choices, or null for none.
struct ChoicesReader<'p, 'a> {
    form: Form,
    pieces: &'p mut Vec<Piece<'a>>,
}

impl<'a> DeserializeSeed<'a> for ChoicesReader<'_, 'a> {
    type Value = Choices<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Choices<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ChoicesReader<'_, 'a> {
    type Value = Choices<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of choices")
    }

    fn visit_unit<E: Error>(self) -> Result<Choices<'a>, E> {
        Ok(Choices::default())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<Choices<'a>, S::Error> {
        let mut choices = Choices::default();
        while let Some(()) =
            items.next_element_seed(ChoiceReader { form: self.form, choices: &mut choices, pieces: self.pieces })?
        {
            choices.count += 1;
        }
        Ok(choices)
    }
}

struct ChoiceReader<'p, 'c, 'a> {
    form: Form,
    choices: &'c mut Choices<'a>,
    pieces: &'p mut Vec<Piece<'a>>,
}

/// What a choice has been read from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadFrom {
    Nothing,
    /// The field that clients do not look at.
    Other,
    Own,
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
        let own = if self.form == Form::Chunk { "delta" } else { "message" };
        let first = self.pieces.len();
        let (mut index, mut finish, mut read_from) = (None, None, ReadFrom::Nothing);
        while let Some(Borrowing(name)) = fields.next_key::<Borrowing<'a>>()? {
            match name.as_ref() {
                "index" => index = fields.next_value::<Option<&RawValue>>()?.and_then(whole),
                "delta" | "message" if name != own && read_from == ReadFrom::Own => {
                    let IgnoredAny = fields.next_value()?;
                }
                "delta" | "message" => {
                    let mark = self.pieces.len();
                    let is_there = fields.next_value_seed(DeltaReader { pieces: self.pieces })?;
                    let from = if name == own { ReadFrom::Own } else { ReadFrom::Other };
                    // One that is null takes the place of none but its like.
                    if is_there || from == read_from {
                        let is_of_the_earlier = |piece: &Piece<'_>| !matches!(piece, Piece::Opaque(opaque) if opaque.holder == OpaqueHolder::Choice);
                        remove(self.pieces, first..mark, is_of_the_earlier);
                        read_from = if is_there { from } else { ReadFrom::Nothing };
                    }
                }
                "finish_reason" => finish = fields.next_value::<Option<&RawValue>>()?,
                "error" => self.choices.error = fields.next_value::<Option<&RawValue>>()?.or(self.choices.error),
                "usage" => self.choices.usage = fields.next_value()?,
                _ => {
                    let value: Option<&RawValue> = fields.next_value()?;
                    let opaque = |value| Opaque {
                        choice: 0,
                        holder: OpaqueHolder::Choice,
                        name,
                        value: Raw(value),
                        is_answer: false,
                    };
                    self.pieces.extend(value.map(opaque).map(Piece::Opaque));
                }
            }
        }
        if let Some(word) = finish.and_then(JsonString::read)
            && let Some(text) = word.decode()
            && is_reason(&text)
        {
            self.choices.have_failed |= is_failure(&text);
            let reason = reason(&text);
            let finish = Finish { reason, word: word.clone(), stop_string: None, explanation: None };
            self.pieces.push(Piece::Finish { choice: 0, finish });
        }
        self.choices.empty += usize::from(read_from == ReadFrom::Nothing);
        self.choices.say_something |= self.pieces[first..].iter().any(Piece::says_something);
        // Without a number it is the one of its place.
        let index = index.unwrap_or(self.choices.count as u64);
        if index != 0 {
            self.pieces[first..].iter_mut().for_each(|piece| piece.set_choice(index));
        }
        Ok(())
    }
}

/// Whether a reason says that the provider has broken off: some have a word for an error of their own, for too few resources
/// (DeepSeek), for a request that was given up (vLLM, SGLang), and for a call that the model wrote wrongly (Gemini).
fn is_failure(word: &str) -> bool {
    const WORDS: [&str; 5] = ["error", "insufficient_system_resource", "abort", "aborted", "malformed_function_call"];
    WORDS.iter().any(|failure| word.eq_ignore_ascii_case(failure))
}

/// What a word means, also one of other APIs, which relays hand on.
fn reason(word: &str) -> FinishReason {
    let word = word.to_ascii_lowercase();
    match word.as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" => FinishReason::Stop,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::Calls,
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "stop_sequence" => FinishReason::StopString,
        "content_filter" | "safety" | "recitation" | "blocklist" | "prohibited_content" | "spii" | "refusal" => {
            FinishReason::Filtered
        }
        word if word.starts_with("content_filter") => FinishReason::Filtered,
        _ => FinishReason::Other,
    }
}
