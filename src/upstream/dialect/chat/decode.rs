//! What providers of this dialect answer, decoded into pieces, and whether it is whole.

use serde::Deserialize;
use serde_json::Value;

use super::chunk::{self, Chunk};
use crate::upstream::dialect::{DecodeOptions, Defect, Heard};
use crate::upstream::error_words::{self, ProviderError};
use crate::wire::piece::{Piece, Raw, Start};
use crate::wire::usage::Usage;

#[derive(Deserialize)]
struct ProviderUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<ProviderInputDetails>,
    #[serde(default)]
    completion_tokens_details: Option<ProviderOutputDetails>,
}

#[derive(Deserialize)]
struct ProviderInputDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct ProviderOutputDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl From<ProviderUsage> for Usage {
    fn from(fields: ProviderUsage) -> Self {
        let input = fields.prompt_tokens_details;
        Usage {
            input: fields.prompt_tokens.unwrap_or_default(),
            cached_input: input.as_ref().and_then(|details| details.cached_tokens).unwrap_or_default(),
            cache_write: input.as_ref().and_then(|details| details.cache_write_tokens).unwrap_or_default(),
            output: fields.completion_tokens.unwrap_or_default(),
            reasoning: fields
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or_default(),
        }
    }
}

/// The error in place of an answer: of all of it, of a choice, or, without an envelope, `whole` itself.
fn error(chunk: &Chunk<'_>, whole: &[u8]) -> Option<ProviderError> {
    match &chunk.error {
        // A bare text has its code beside it (xAI).
        Some(Value::String(_)) if chunk.choices == 0 => Some(error_words::parse(whole)),
        Some(error) => Some(error_words::from_value(error)),
        None if chunk.is_error => Some(error_words::parse(whole)),
        None if !chunk.says_something => error_words::without_answer(whole),
        None => None,
    }
}

/// The usage, as far as it can be read: an answer is worth more than its count.
fn usage(chunk: &Chunk<'_>) -> Option<Usage> {
    serde_json::from_str::<Option<ProviderUsage>>(chunk.usage?.get()).ok().flatten().map(Usage::from)
}

/// Reads a whole answer.
pub fn decode_answer<'a>(body: &'a [u8], created: u64, pieces: &mut Vec<Piece<'a>>) -> Result<(), Defect> {
    let read = std::str::from_utf8(body).ok().and_then(|json| chunk::read(json, pieces).ok());
    let chunk = read.ok_or_else(|| match error_words::parse(body) {
        error if error == ProviderError::default() => Defect::Undecodable,
        error => Defect::Error(error),
    })?;
    if let Some(error) = error(&chunk, body) {
        return Err(Defect::Error(error));
    }
    if chunk.choices == 0 || chunk.empty_choices > 0 {
        return Err(Defect::Undecodable);
    }
    if chunk.has_failed {
        return Err(Defect::Error(ProviderError::default()));
    }
    let usage = usage(&chunk);
    let start = Start { id: chunk.id, model: chunk.model, created: chunk.created.unwrap_or(created), usage: None };
    pieces.insert(0, Piece::Start(start));
    pieces.extend(usage.map(|usage| Piece::Usage { usage, stands_alone: false, raw: chunk.usage.map(Raw) }));
    Ok(())
}

/// What is known of a streamed answer so far.
#[derive(Debug)]
pub struct ChatStream {
    /// How many choices must finish.
    expected_choices: u32,
    created: u64,
    /// Whether the answer's id and model have been told.
    introduced: bool,
    /// The choices that have said something, and those that have finished, a bit for each.
    begun: u128,
    finished: u128,
}

impl ChatStream {
    pub fn new(options: DecodeOptions) -> Self {
        Self {
            expected_choices: options.choices.max(1),
            created: options.created,
            introduced: false,
            begun: 0,
            finished: 0,
        }
    }

    /// Takes the data of one event and appends its pieces to `pieces`.
    pub fn take<'a>(&mut self, data: &'a [u8], pieces: &mut Vec<Piece<'a>>) -> Result<Heard, Defect> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(Heard::End);
        }
        if !data.trim_ascii_start().starts_with(b"{") {
            // An error may come in an array (Gemini).
            let error = error_words::parse(data);
            return if error == ProviderError::default() { Ok(Heard::Foreign) } else { Err(Defect::Error(error)) };
        }
        let read = std::str::from_utf8(data).ok().and_then(|json| chunk::read(json, pieces).ok());
        let chunk = read.ok_or(Defect::Undecodable)?;
        if let Some(error) = error(&chunk, data) {
            return Err(Defect::Error(error));
        }
        if chunk.has_failed {
            return Err(Defect::Error(ProviderError::default()));
        }
        let usage = usage(&chunk);
        let stands_alone = chunk.choices == 0;
        if stands_alone && usage.is_none() && !chunk.is_around_an_answer() {
            return Ok(Heard::Foreign);
        }
        pieces.extend(usage.map(|usage| Piece::Usage { usage, stands_alone, raw: chunk.usage.map(Raw) }));
        self.note_choices(pieces);
        if !self.introduced {
            // Azure's first chunk, which is about the prompt, names no model.
            self.introduced = chunk.model.is_some();
            let created = chunk.created.unwrap_or(self.created);
            pieces.insert(0, Piece::Start(Start { id: chunk.id, model: chunk.model, created, usage: None }));
        }
        Ok(Heard::Pieces)
    }

    /// Notes which choices have begun and finished. A reason that comes again is left out.
    fn note_choices(&mut self, pieces: &mut Vec<Piece<'_>>) {
        let mut repeated = 0;
        for piece in pieces.iter().filter(|piece| piece.says_something()) {
            let place = bit(piece.choice());
            if !matches!(piece, Piece::Finish { .. }) {
                self.begun |= place;
                // What follows a finish was not the end.
                self.finished &= !place;
            } else if self.finished & place != 0 {
                repeated |= place;
            } else {
                self.finished |= place;
            }
        }
        if repeated != 0 {
            pieces.retain(|piece| !matches!(piece, Piece::Finish { choice, .. } if bit(Some(*choice)) & repeated != 0));
        }
    }

    /// Whether every choice has its finish_reason: as many as were asked for, and each that said something.
    pub fn is_finished(&self) -> bool {
        self.finished.count_ones() >= self.expected_choices && self.begun & !self.finished == 0
    }
}

fn bit(choice: Option<u64>) -> u128 {
    let place = choice.and_then(|choice| u32::try_from(choice).ok());
    place.and_then(|place| 1_u128.checked_shl(place)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Dialect;
    use crate::upstream::dialect::chat::Mends;
    use crate::wire::call::CallKind;
    use crate::wire::json::JsonString;
    use crate::wire::piece::{AnswerItem, At, FinishReason, Holder, ReasoningForm};

    fn take(data: &str) -> Result<Vec<Piece<'_>>, Defect> {
        let options = DecodeOptions { dialect: Dialect::OpenaiChat, created: 7, choices: 1, mends: Mends::default() };
        let mut pieces = Vec::new();
        ChatStream::new(options).take(data.as_bytes(), &mut pieces).map(|_| pieces)
    }

    #[test]
    fn fields_are_read_in_any_order() {
        let data = r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"c","index":4}],
            "content":"a\u00e4","reasoning":"r"},"finish_reason":"stop","index":2}],"created":3,"id":"x"}"#;
        let pieces = take(data).expect("an answer");
        assert!(matches!(&pieces[0], Piece::Start(start) if start.created == 3 && start.model.is_none()));
        let at = At { choice: 2, item: 4 };
        assert!(
            matches!(&pieces[1], Piece::Begin { at: of, item: AnswerItem::Call(call) } if *of == at && call.kind == CallKind::Function)
        );
        assert_eq!(pieces[2], Piece::Input { at, fragment: JsonString::encode("{}") });
        assert!(matches!(&pieces[3], Piece::Text { at, text } if at.choice == 2 && text.get() == r#""a\u00e4""#));
        assert!(matches!(&pieces[4], Piece::Reasoning { form: ReasoningForm::Alias, .. }));
        assert!(matches!(&pieces[5], Piece::Finish { choice: 2, finish } if finish.reason == FinishReason::Stop));
        assert_eq!(pieces.len(), 6);
    }

    #[test]
    fn what_has_another_form_is_a_part_of_the_answer_that_nobody_here_knows() {
        for (delta, place, is_answer) in [
            (r#"{"content":[{"type":"thinking"}]}"#, Some(Holder::Delta), true),
            (r#"{"tool_calls":["x"]}"#, Some(Holder::Delta), true),
            (r#"{"function_call":7}"#, Some(Holder::Delta), true),
            (r#"{"audio":{"data":"eA=="}}"#, Some(Holder::Delta), true),
            (r#"{"annotations":[1]}"#, Some(Holder::Delta), false),
            (r#"{"annotations":null,"content":"","tool_calls":[],"role":"assistant"}"#, None, false),
        ] {
            let data = format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
            let pieces = take(&data).expect(delta);
            let opaque =
                pieces.iter().find_map(|piece| if let Piece::Opaque(opaque) = piece { Some(opaque) } else { None });
            assert_eq!(opaque.map(|opaque| opaque.holder), place, "{delta}");
            assert_eq!(opaque.is_some_and(|opaque| opaque.is_answer), is_answer, "{delta}");
        }
    }

    #[test]
    fn what_comes_twice_or_is_no_delta_cannot_be_read() {
        for data in [
            r#"{"choices":[],"choices":[]}"#,
            r#"{"choices":[{"delta":{"content":"a","content":"b"}}]}"#,
            r#"{"choices":[{"delta":{},"delta":{}}]}"#,
            r#"{"choices":[{"delta":7}]}"#,
            r#"{"choices":{}}"#,
            r#"{"choices":[{"delta":{},"finish_reason":7}]}"#,
            r#"{"choices":[]} x"#,
        ] {
            assert_eq!(take(data), Err(Defect::Undecodable), "{data}");
        }
    }

    #[test]
    fn what_cannot_be_counted_costs_no_answer() {
        let pieces =
            take(r#"{"id":7,"model":null,"created":"x","usage":"many","choices":[{"delta":{"content":"a"}}]}"#);
        let pieces = pieces.expect("an answer");
        assert!(matches!(&pieces[0], Piece::Start(start) if start.id.is_none() && start.created == 7));
        assert_eq!(pieces.len(), 2);
    }
}
