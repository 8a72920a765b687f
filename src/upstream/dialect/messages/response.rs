//! A whole answer of the Messages API, as pieces.
//!
//! Blocks are told apart by their type, not their place; those of unknown types are passed over.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{self, Counts};
use crate::upstream::dialect::Defect;
use crate::upstream::error_words;
use crate::wire::call::CallKind;
use crate::wire::json::JsonString;
use crate::wire::json::{given, text};
use crate::wire::piece::{AnswerCall, AnswerItem, At, ItemEnd, Piece, ReasoningForm, Start, is_reason};
use crate::wire::seal::SealKind;
use crate::wire::usage::Usage;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

/// Reads a whole answer; `created` is Unix time.
pub fn decode_answer<'a>(body: &'a [u8], created: u64, pieces: &mut Vec<Piece<'a>>) -> Result<(), Defect> {
    let message = std::str::from_utf8(body).ok().and_then(|json| serde_json::from_str::<Message<'_>>(json).ok());
    let message = message.ok_or_else(|| defect(body))?;
    let is_error = given(message.r#type).and_then(text).is_some_and(|kind| error_words::is_error_name(&kind));
    if is_error || given(message.error).is_some() {
        return Err(Defect::Error(error_words::parse(body)));
    }
    let usage = Counts::read(message.usage).map(Usage::from);
    let (id, model) = (answer::name(message.id), answer::name(message.model));
    pieces.push(Piece::Start(Start { id, model, created, usage: None }));
    let mut has_calls = false;
    for (item, block) in message.content.into_iter().enumerate() {
        has_calls |= block.r#type == "tool_use";
        decode_block(At { choice: 0, item: item as u64 }, block, pieces)?;
    }
    let stop_reason = given(message.stop_reason).and_then(JsonString::read);
    // A whole message says why it ended; one that does not is a part of one.
    let says_why = |word: &JsonString<'_>| {
        word.decode().is_some_and(|word| is_reason(&word) && !error_words::is_error_name(&word))
    };
    let word = stop_reason.filter(says_why).ok_or(Defect::Undecodable)?;
    let mut finish = answer::finish(word, has_calls);
    finish.stop_string = message.stop_sequence.and_then(JsonString::read);
    finish.explanation = answer::explanation(message.stop_details);
    pieces.push(Piece::Finish { choice: 0, finish });
    pieces.extend(usage.map(|usage| Piece::Usage { usage, stands_alone: false, raw: None }));
    Ok(())
}

/// What a body is that is no message.
fn defect(body: &[u8]) -> Defect {
    error_words::without_answer(body).map_or(Defect::Undecodable, Defect::Error)
}

fn decode_block<'a>(at: At, block: Block<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Defect> {
    let string = |raw: Option<&'a RawValue>| raw.and_then(JsonString::read).ok_or(Defect::Undecodable);
    let seal = |kind, state| {
        let state = JsonString::read_some(state);
        state.map(|state| Piece::Sealed { at, sealed: answer::sealed(kind, state) })
    };
    match block.r#type.as_ref() {
        "text" => {
            let text = string(block.text)?;
            pieces.extend([Piece::Begin { at, item: AnswerItem::Text }, Piece::Text { at, text }]);
        }
        "thinking" => {
            pieces.push(Piece::Begin { at, item: AnswerItem::Reasoning });
            let text = JsonString::read_some(block.thinking);
            pieces.extend(text.map(|text| Piece::Reasoning { at, form: ReasoningForm::Text, text }));
            pieces.extend(seal(SealKind::Signature, block.signature));
        }
        "redacted_thinking" => {
            pieces.push(Piece::Begin { at, item: AnswerItem::Reasoning });
            pieces.extend(seal(SealKind::Redacted, block.data));
        }
        "tool_use" => {
            let id = Some(string(block.id)?);
            let call = AnswerCall { kind: CallKind::Function, id, name: Some(string(block.name)?), namespace: None };
            let fragment = JsonString::encode(given(block.input).map_or("{}", RawValue::get));
            pieces.extend([Piece::Begin { at, item: AnswerItem::Call(call) }, Piece::Input { at, fragment }]);
        }
        _ => return Ok(()),
    }
    pieces.push(Piece::End { at, end: ItemEnd::Complete });
    Ok(())
}
