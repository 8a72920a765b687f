//! What an answer says, whatever dialect it came in.
//!
//! A dialect decodes an event, or a whole body, into pieces; a door encodes them for its client; what stands between (repair,
//! usage, facts for the log) works on pieces and decodes nothing again. Texts stay the JSON strings that they came as. An
//! error is no piece: whoever decodes returns it, since it ends the answer.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::policy::Dialect;
use crate::wire::call::CallKind;
use crate::wire::carried::carried;
use crate::wire::json::JsonString;
use crate::wire::seal::Sealed;
use crate::wire::usage::Usage;

/// One thing that an answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece<'a> {
    /// The answer begins, and says what it is.
    Start(Start<'a>),
    /// An item begins. Dialects without items (chat's text) leave it out for all but calls.
    Begin { at: At, item: AnswerItem<'a> },
    /// A part of the answer's text.
    Text { at: At, text: JsonString<'a> },
    /// A part of the words with which the model refuses.
    Refusal { at: At, text: JsonString<'a> },
    /// A part of what the model thinks.
    Reasoning { at: At, form: ReasoningForm, text: JsonString<'a> },
    /// Reasoning that only its origin can read.
    Sealed { at: At, sealed: Sealed<'a> },
    /// A fragment of a call's input.
    Input { at: At, fragment: JsonString<'a> },
    /// An item ends. Dialects without ends of items leave it out.
    End { at: At, end: ItemEnd },
    /// A choice has finished, unless more of it comes. Some servers say so in every chunk, so it may come again: the last one
    /// holds.
    Finish { choice: u64, finish: Finish<'a> },
    /// What has been counted so far, all of it.
    Usage {
        /// Nothing where it cannot be read.
        usage: Option<Usage>,
        /// Whether its event says nothing else, so that a client that did not ask for it need not get the event.
        stands_alone: bool,
        /// The dialect's own count, which may say more, for a client of the same dialect.
        raw: Option<Raw<'a>>,
    },
    /// The model works, but says nothing yet.
    Alive(Alive),
    /// What no one here knows.
    Opaque(Opaque<'a>),
}

/// Where a piece belongs: the choice, and which of the choice's items of its kind, as the dialect counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    pub choice: u64,
    pub item: u64,
}

carried!(At { choice, item });

/// What an answer says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start<'a> {
    pub id: Option<JsonString<'a>>,
    pub model: Option<JsonString<'a>>,
    /// Seconds since 1970.
    pub created: u64,
    /// What has been counted when it begins: the input.
    pub usage: Option<Usage>,
}

/// What an answer is made of: one text, one thought or one call.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerItem<'a> {
    Text,
    Reasoning,
    Call(AnswerCall<'a>),
}

/// The beginning of a call of a tool, as far as the provider has named it.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerCall<'a> {
    pub kind: CallKind,
    pub id: Option<JsonString<'a>>,
    pub name: Option<JsonString<'a>>,
    /// The group of tools that the name belongs to.
    pub namespace: Option<JsonString<'a>>,
}

/// What kind of words about the model's thinking these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningForm {
    /// What the model thinks: `reasoning_content`, `thinking`, `reasoning_text`.
    Text,
    /// What the model thinks under another name, `reasoning`; some providers send both.
    Alias,
    Summary,
}

carried!(ReasoningForm = Text | Alias | Summary);

/// How an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemEnd {
    /// The item is whole.
    Complete,
    /// The answer ended before it did.
    Cut,
}

/// Why a choice has finished.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish<'a> {
    pub reason: FinishReason,
    /// The provider's own word for it.
    pub word: JsonString<'a>,
    /// The stop string that was met.
    pub stop_string: Option<JsonString<'a>>,
    /// Why a refusal was one.
    pub explanation: Option<JsonString<'a>>,
}

carried!(Finish<'static> { reason, word, stop_string, explanation });

/// Why a choice has finished, in no dialect's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model has said all.
    Stop,
    /// The model waits for the results of its calls.
    Calls,
    /// The limit on the answer's tokens is reached.
    Length,
    /// The context window is full.
    Window,
    /// The provider, or the model, refuses to go on.
    Filtered,
    /// One of the client's stop strings was met.
    StopString,
    /// The model would go on if it were asked.
    Paused,
    /// A word that the dialect does not know.
    Other,
}

carried!(FinishReason = Stop | Calls | Length | Window | Filtered | StopString | Paused | Other);

/// What shows that somebody is there, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alive {
    /// A comment of the stream of events.
    Comment,
    /// An event that its dialect has for this.
    Ping,
    /// A thought that is not shown.
    Thinking,
}

/// A field that no one here knows, or in a form that no one here knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Opaque<'a> {
    pub choice: u64,
    pub holder: OpaqueHolder,
    pub name: Cow<'a, str>,
    pub value: Raw<'a>,
    /// Whether it is a part of the answer all the same (an image, audio), so that an answer begins with it.
    pub is_answer: bool,
}

/// Any JSON, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a>(pub &'a RawValue);

impl PartialEq for Raw<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// What holds a field that no one here knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpaqueHolder {
    /// The answer itself, beside its choices.
    Answer,
    /// A choice.
    Choice,
    /// The choice's delta, or its message.
    Delta,
    /// The call with this number.
    Call(u64),
}

/// What one event of a stream says, or a whole body.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub dialect: Dialect,
    pub pieces: &'a [Piece<'a>],
    /// For a client of the same dialect; nothing where nothing came (comments).
    pub came: Option<AsItCame<'a>>,
}

/// An event as it came, or a whole body.
#[derive(Clone, Copy, Debug)]
pub struct AsItCame<'a> {
    pub kind: Came,
    /// All of it, if it is as its dialect has events and nothing else: data, in the Messages API under the name that the data says.
    pub whole: Option<&'a [u8]>,
    pub data: &'a [u8],
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    Event,
    /// A whole body in place of a stream, which goes to nobody as an event.
    Body,
}

/// Whether a client sees any of an answer in what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Nothing,
    Answer,
}

impl Piece<'_> {
    /// Whether there is any of an answer in it.
    pub fn says_something(&self) -> bool {
        match self {
            Piece::Text { .. }
            | Piece::Refusal { .. }
            | Piece::Reasoning { .. }
            | Piece::Input { .. }
            | Piece::Finish { .. } => true,
            Piece::Begin { item, .. } => matches!(item, AnswerItem::Call(_)),
            Piece::Opaque(opaque) => opaque.is_answer,
            Piece::Start(_) | Piece::Sealed { .. } | Piece::End { .. } | Piece::Usage { .. } | Piece::Alive(_) => false,
        }
    }

    /// Whether it is a part of a call.
    pub fn is_of_a_call(&self) -> bool {
        match self {
            Piece::Begin { item, .. } => matches!(item, AnswerItem::Call(_)),
            Piece::Input { .. } => true,
            Piece::Opaque(opaque) => matches!(opaque.holder, OpaqueHolder::Call(_)),
            Piece::Start(_)
            | Piece::Text { .. }
            | Piece::Refusal { .. }
            | Piece::Reasoning { .. }
            | Piece::Sealed { .. }
            | Piece::End { .. }
            | Piece::Finish { .. }
            | Piece::Usage { .. }
            | Piece::Alive(_) => false,
        }
    }

    /// The choice that it belongs to, if to one.
    pub fn choice(&self) -> Option<u64> {
        match self {
            Piece::Begin { at, .. }
            | Piece::Text { at, .. }
            | Piece::Refusal { at, .. }
            | Piece::Reasoning { at, .. }
            | Piece::Sealed { at, .. }
            | Piece::Input { at, .. }
            | Piece::End { at, .. } => Some(at.choice),
            Piece::Finish { choice, .. } => Some(*choice),
            Piece::Opaque(opaque) => (opaque.holder != OpaqueHolder::Answer).then_some(opaque.choice),
            Piece::Start(_) | Piece::Usage { .. } | Piece::Alive(_) => None,
        }
    }

    /// Moves it to another choice.
    pub fn set_choice(&mut self, to: u64) {
        match self {
            Piece::Begin { at, .. }
            | Piece::Text { at, .. }
            | Piece::Refusal { at, .. }
            | Piece::Reasoning { at, .. }
            | Piece::Sealed { at, .. }
            | Piece::Input { at, .. }
            | Piece::End { at, .. } => at.choice = to,
            Piece::Finish { choice, .. } => *choice = to,
            Piece::Opaque(opaque) => opaque.choice = to,
            Piece::Start(_) | Piece::Usage { .. } | Piece::Alive(_) => {}
        }
    }
}

impl FinishReason {
    /// Whether an answer that ends for this reason may end within a call: its client is told that more would have come.
    pub fn may_cut(self) -> bool {
        match self {
            Self::Length | Self::Window | Self::Filtered | Self::StopString | Self::Paused => true,
            Self::Stop | Self::Calls | Self::Other => false,
        }
    }
}

impl Finish<'_> {
    /// The same, of its own.
    pub fn into_owned(self) -> Finish<'static> {
        Finish {
            reason: self.reason,
            word: self.word.into_owned(),
            stop_string: self.stop_string.map(JsonString::into_owned),
            explanation: self.explanation.map(JsonString::into_owned),
        }
    }
}

/// Empties a buffer of pieces, for those of another event.
pub fn recycle<'a>(mut pieces: Vec<Piece<'_>>) -> Vec<Piece<'a>> {
    pieces.clear();
    // Nothing is there to be moved; collecting in place keeps the allocation.
    pieces.into_iter().map_while(|_| None).collect()
}

/// The text of an answer's first choice; nothing if it has none, or none that can be read.
pub fn text<'p>(pieces: &'p [Piece<'_>]) -> Option<String> {
    let of_first = |piece: &'p Piece<'_>| match piece.choice() {
        Some(0) => {
            if let Piece::Text { text, .. } = piece {
                Some(text)
            } else {
                None
            }
        }
        Some(_) | None => None,
    };
    let mut texts = pieces.iter().filter_map(of_first).map(JsonString::decode);
    let first = texts.next()??.into_owned();
    texts.try_fold(first, |text, more| Some(text + &more?))
}

/// Whether a choice has finished with this: some servers send an empty reason, or the word null, in every chunk.
pub fn is_reason(finish_reason: &str) -> bool {
    let word = finish_reason.trim();
    !word.is_empty() && !word.eq_ignore_ascii_case("null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_reason_is_none() {
        for (word, expected) in
            [("stop", true), ("nullable", true), ("", false), (" \t", false), ("null", false), (" Null ", false)]
        {
            assert_eq!(is_reason(word), expected, "{word:?}");
        }
    }

    #[test]
    fn a_buffer_is_used_again() {
        let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(8);
        pieces.push(Piece::Alive(Alive::Ping));
        let before = pieces.as_ptr();
        let again = recycle(pieces);
        assert_eq!((again.len(), again.capacity(), again.as_ptr()), (0, 8, before.cast()));
    }
}
