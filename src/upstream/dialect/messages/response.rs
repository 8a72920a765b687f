//! A whole answer of the Messages API, as pieces.
//!
//! Blocks are told apart by their type, not their place; those of unknown types are passed over.

use serde_json::value::RawValue;

use super::answer::{self, Counts};
use super::events::Block;
use crate::upstream::dialect::{DecodeOptions, Defect};
use crate::upstream::error_words::{self, ProviderError};
use crate::wire::json::{JsonString, fields_named, given, says_nothing, text, without_mark};
use crate::wire::piece::{AnswerCall, AnswerItem, At, ItemEnd, Piece, ReasoningForm, Start};
use crate::wire::seal::SealKind;

/// Reads a whole answer.
pub fn decode_answer<'a>(body: &'a [u8], options: &DecodeOptions, pieces: &mut Vec<Piece<'a>>) -> Result<(), Defect> {
    let created = options.created;
    let body = without_mark(body);
    let names = ["type", "error", "id", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"];
    let message = std::str::from_utf8(body).ok().and_then(|json| fields_named(json, &names).ok());
    let [kind, error, id, model, content, stop_reason, stop_string, details, usage] =
        message.ok_or_else(|| match error_words::parse(body) {
            error if error == ProviderError::default() => Defect::Undecodable,
            error => Defect::Error(error),
        })?;
    let is_error = kind.and_then(text).is_some_and(|kind| error_words::is_error_name(&kind));
    if is_error || error.is_some_and(|error| content.is_none() || !says_nothing(error)) {
        return Err(Defect::Error(error_words::parse(body)));
    }
    let content = content.filter(|content| content.get().starts_with('[')).ok_or_else(|| defect(body))?;
    // What is no object may be a text.
    let blocks = Block::read_all(content).ok_or(Defect::Undecodable)?;
    let usage = Counts::read(usage).and_then(Counts::usage);
    let (id, model) = (answer::name(id), answer::name(model));
    pieces.push(Piece::Start(Start { id, model, created, usage: None }));
    let mut has_calls = false;
    for (item, block) in blocks.into_iter().enumerate() {
        has_calls |= block.kind == "tool_use";
        decode_block(At { choice: 0, item: item as u64 }, block, options, pieces)?;
    }
    // A whole message says why it ended; one that does not is a part of one.
    let says_why = |word: &JsonString<'_>| word.decode().is_some_and(|word| !error_words::is_error_name(&word));
    let word = answer::reason(stop_reason).filter(says_why).ok_or(Defect::Undecodable)?;
    let mut finish = answer::finish(word, has_calls);
    finish.stop_string = stop_string.and_then(JsonString::read);
    finish.explanation = answer::explanation(details);
    pieces.push(Piece::Finish { choice: 0, finish });
    pieces.extend(usage.map(|usage| Piece::Usage { usage: Some(usage), stands_alone: false, raw: None }));
    Ok(())
}

/// What a body is that is no message.
fn defect(body: &[u8]) -> Defect {
    error_words::without_answer(body).map_or(Defect::Undecodable, Defect::Error)
}

fn decode_block<'a>(
    at: At,
    block: Block<'a>,
    options: &DecodeOptions,
    pieces: &mut Vec<Piece<'a>>,
) -> Result<(), Defect> {
    let string = |raw: Option<&'a RawValue>| raw.and_then(JsonString::read).ok_or(Defect::Undecodable);
    let DecodeOptions { calls, names, sealer, .. } = options;
    let sealer = sealer.as_deref();
    match block.kind.as_ref() {
        "text" => {
            let text = given(block.text).map_or_else(|| Ok(JsonString::empty()), |text| string(Some(text)))?;
            pieces.extend([Piece::Begin { at, item: AnswerItem::Text }, Piece::Text { at, text }]);
        }
        "thinking" => {
            pieces.push(Piece::Begin { at, item: AnswerItem::Reasoning });
            let text = JsonString::read_some(block.thinking);
            let told = text.clone().map(|text| Piece::Reasoning { at, form: ReasoningForm::Text, text });
            pieces.extend(told);
            let text = text.unwrap_or(JsonString::empty());
            let sealed = answer::sealed(sealer, SealKind::Signature, text, block.signature);
            pieces.extend(sealed.map(|sealed| Piece::Sealed { at, sealed }));
        }
        "redacted_thinking" => {
            pieces.push(Piece::Begin { at, item: AnswerItem::Reasoning });
            let sealed = answer::sealed(sealer, SealKind::Redacted, JsonString::empty(), block.data);
            pieces.extend(sealed.map(|sealed| Piece::Sealed { at, sealed }));
        }
        "tool_use" => {
            let id = Some(string(block.id)?);
            let name = names.restore(string(block.name)?);
            let kind = calls.kind(&name);
            let call = AnswerCall { kind, id, name: Some(name), namespace: None };
            let input = given(block.input);
            // Relays that cannot parse it hand it on as a text.
            let written = input.and_then(text);
            let input = written.as_deref().unwrap_or(input.map_or("{}", RawValue::get));
            let fragment = match calls.reader(kind) {
                None => JsonString::encode(input),
                Some(mut reader) => JsonString::encode(&(reader.take(input) + &reader.end())),
            };
            pieces.extend([Piece::Begin { at, item: AnswerItem::Call(call) }, Piece::Input { at, fragment }]);
        }
        _ => return Ok(()),
    }
    pieces.push(Piece::End { at, end: ItemEnd::Complete });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Dialect;

    /// What `check` needs to know of an answer: its texts, and why it ended.
    fn read(body: &[u8]) -> Result<String, Defect> {
        let mut pieces = Vec::new();
        decode_answer(body, &DecodeOptions::plain(Dialect::AnthropicMessages, 7), &mut pieces)?;
        let shown = pieces.iter().filter_map(|piece| match piece {
            Piece::Text { text, .. } => Some(text.inside().to_owned()),
            Piece::Finish { finish, .. } => Some(format!("({})", finish.word.inside())),
            _ => None,
        });
        Ok(shown.collect())
    }

    #[test]
    fn an_answer_is_worth_more_than_what_is_not_needed_of_it() {
        let text = r#"[{"type":"text","text":"a\ud83d"}]"#;
        for (body, expected) in [
            (format!(r#"{{"content":{text},"stop_reason":"end_turn"}}"#), r"a\ud83d(end_turn)"),
            (format!("\u{FEFF}{{\"content\":{text},\"stop_reason\":\"end_turn\"}}"), r"a\ud83d(end_turn)"),
            (format!(r#"{{"content":[7],"content":{text},"stop_reason":"","stop_reason":"x"}}"#), r"a\ud83d(x)"),
            (
                format!(r#"{{"id":7,"type":7,"model":[],"usage":7,"error":{{}},"content":{text},"stop_reason":"x"}}"#),
                r"a\ud83d(x)",
            ),
            (r#"{"content":[{"type":"text"},{"type":"new"},{}],"stop_reason":"x"}"#.to_owned(), "(x)"),
        ] {
            assert_eq!(read(body.as_bytes()).as_deref(), Ok(expected), "{body}");
        }
    }

    #[test]
    fn what_may_have_been_a_text_or_has_no_end_cannot_be_read() {
        for body in [
            &br#"{"content":["a"],"stop_reason":"end_turn"}"#[..],
            br#"{"content":[{"type":"text","text":7}],"stop_reason":"end_turn"}"#,
            br#"{"content":"a","stop_reason":"end_turn"}"#,
            br#"{"content":[],"stop_reason":null}"#,
            br#"{"content":[],"stop_reason":" null"}"#,
            br#"{"content":[],"stop_reason":7}"#,
            b"{\"content\":[{\"type\":\"text\",\"text\":\"\xFF\"}],\"stop_reason\":\"end_turn\"}",
            b"{",
        ] {
            assert_eq!(read(body), Err(Defect::Undecodable), "{}", String::from_utf8_lossy(body));
        }
    }
}
