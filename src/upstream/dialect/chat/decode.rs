//! What providers of this dialect answer, decoded into pieces, and whether it is whole.

use serde_json::Value;
use serde_json::value::RawValue;

use super::call_inputs::{CallInputs, bit};
use super::chunk::{self, Chunk, Form};
use super::delta::is_content;
use crate::upstream::dialect::{DecodeOptions, Defect, EndOfAnswer, Heard};
use crate::upstream::error_words::{self, ProviderError};
use crate::wire::carried::carried;
use crate::wire::json::{fields_named, says_nothing, whole, without_mark};
use crate::wire::piece::{Piece, Raw, Start};
use crate::wire::usage::Usage;

/// The usage, as far as it can be read: an answer is worth more than its count. What was put out is unknown unless the
/// provider says it, and then it is all that is not input: some leave the reasoning out of it (xAI, Gemini).
fn usage<'a>(chunk: &Chunk<'a>) -> Option<Counted<'a>> {
    let usages = [chunk.usage, chunk.choices.usage].into_iter().flatten();
    let mut counted = usages.map(|raw| Counted { usage: read_usage(raw), raw: Raw(raw) });
    let first = counted.next()?;
    Some(if first.usage.is_some() { first } else { counted.next().unwrap_or(first) })
}

/// Usage, and how the provider wrote it.
struct Counted<'a> {
    usage: Option<Usage>,
    raw: Raw<'a>,
}

fn read_usage(raw: &RawValue) -> Option<Usage> {
    let [input, output, total, input_details, output_details, cached, cache_hit] = fields_named(
        raw.get(),
        &[
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
            "cached_tokens",
            "prompt_cache_hit_tokens",
        ],
    )
    .ok()?;
    let count = |raw: Option<&RawValue>| raw.and_then(whole);
    let [cached_input, cache_write] = details(input_details, &["cached_tokens", "cache_write_tokens"]);
    let [reasoning] = details(output_details, &["reasoning_tokens"]);
    let input = count(input)?;
    let rest = count(total).and_then(|total| total.checked_sub(input));
    Some(Usage {
        input,
        // Kimi and DeepSeek say it beside the details.
        cached_input: [cached_input, count(cached), count(cache_hit)].into_iter().flatten().max().unwrap_or_default(),
        cache_write: cache_write.unwrap_or_default(),
        output: count(output).max(rest)?,
        reasoning: reasoning.unwrap_or_default(),
    })
}

fn details<const N: usize>(raw: Option<&RawValue>, names: &[&str; N]) -> [Option<u64>; N] {
    let fields = raw.and_then(|raw| fields_named(raw.get(), names).ok());
    fields.unwrap_or([None; N]).map(|count| count.and_then(whole))
}

/// The error in place of an answer: of all of it, of a choice, or, without an envelope, `data` itself. One that says nothing
/// is none beside choices.
fn error(chunk: &Chunk<'_>, data: &[u8]) -> Option<ProviderError> {
    let has_choices = chunk.choices.count > 0 || chunk.is_around_an_answer();
    let is_error = |error: &&RawValue| !has_choices || !(says_nothing(error) || error.get() == "0");
    match [chunk.error, chunk.choices.error].into_iter().flatten().find(is_error) {
        // A bare text has its code beside it (xAI).
        Some(error) if error.get().starts_with('"') && chunk.choices.count == 0 => Some(error_words::parse(data)),
        Some(error) => Some(serde_json::from_str(error.get()).map_or_else(
            // Half a character, say.
            |_| ProviderError::default(),
            |error: Value| error_words::from_value(&error),
        )),
        None if chunk.is_error => Some(error_words::parse(data)),
        None if !chunk.choices.say_something => error_words::without_answer(data),
        None => None,
    }
}

/// Reads a whole answer.
pub fn decode_answer<'a>(body: &'a [u8], options: &DecodeOptions, pieces: &mut Vec<Piece<'a>>) -> Result<(), Defect> {
    let body = without_mark(body);
    let read = std::str::from_utf8(body).ok().and_then(|json| chunk::read(json, Form::Answer, pieces).ok());
    let chunk = read.ok_or_else(|| match error_words::parse(body) {
        error if error == ProviderError::default() => Defect::Undecodable,
        error => Defect::Error(error),
    })?;
    if let Some(error) = error(&chunk, body) {
        return Err(Defect::Error(error));
    }
    if chunk.choices.count == 0 || chunk.choices.empty > 0 {
        return Err(Defect::Undecodable);
    }
    if chunk.choices.have_failed {
        return Err(Defect::Error(ProviderError::default()));
    }
    if !chunk.choices.say_something {
        return Err(Defect::Undecodable);
    }
    let mut inputs = CallInputs::new(options);
    pieces.iter().for_each(|piece| inputs.take(piece));
    if inputs.cut() != 0 {
        return Err(Defect::Cut);
    }
    let usage = usage(&chunk);
    let created = chunk.created.unwrap_or(options.created);
    let start = Start { id: chunk.id, model: chunk.model, created, usage: None };
    pieces.insert(0, Piece::Start(start));
    pieces.extend(usage.map(|Counted { usage, raw }| Piece::Usage { usage, stands_alone: false, raw: Some(raw) }));
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
    inputs: CallInputs,
    end: EndOfAnswer,
}

carried!(ChatStream { expected_choices, created, introduced, begun, finished, inputs, end });

impl ChatStream {
    pub fn new(options: &DecodeOptions) -> Self {
        Self {
            expected_choices: options.choices.max(1),
            created: options.created,
            introduced: false,
            begun: 0,
            finished: 0,
            inputs: CallInputs::new(options),
            end: EndOfAnswer::default(),
        }
    }

    /// Takes the data of one event and appends its pieces to `pieces`.
    pub fn take<'a>(&mut self, data: &'a [u8], pieces: &mut Vec<Piece<'a>>) -> Result<Heard, Defect> {
        if is_end(data) {
            self.note_end();
            return Ok(Heard::End);
        }
        if !data.trim_ascii_start().starts_with(b"{") {
            // An error may come in an array (Gemini).
            let error = error_words::parse(data);
            return if error == ProviderError::default() { Ok(Heard::Foreign) } else { Err(Defect::Error(error)) };
        }
        let read = std::str::from_utf8(data).ok().and_then(|json| chunk::read(json, Form::Chunk, pieces).ok());
        let chunk = read.ok_or(Defect::Undecodable)?;
        if let Some(error) = error(&chunk, data) {
            return Err(Defect::Error(error));
        }
        if chunk.choices.have_failed {
            return Err(Defect::Error(ProviderError::default()));
        }
        let usage = usage(&chunk);
        let stands_alone = chunk.choices.count == 0;
        let is_counted = usage.as_ref().is_some_and(|counted| counted.usage.is_some());
        if stands_alone && !is_counted && !chunk.is_around_an_answer() {
            return Ok(Heard::Foreign);
        }
        pieces.extend(usage.map(|Counted { usage, raw }| Piece::Usage { usage, stands_alone, raw: Some(raw) }));
        self.note_choices(pieces)?;
        if !self.introduced {
            // Azure's first chunk, which is about the prompt, names no model.
            self.introduced = chunk.model.is_some();
            let created = chunk.created.unwrap_or(self.created);
            pieces.insert(0, Piece::Start(Start { id: chunk.id, model: chunk.model, created, usage: None }));
        }
        Ok(Heard::Pieces)
    }

    /// The end marker has come: a provider that takes no notice of `n` has said all that it will.
    pub fn note_end(&mut self) {
        self.expected_choices = 1;
    }

    /// Notes which choices have begun and finished. What one says after its end shows that it was none.
    ///
    /// # Errors
    /// Where a choice has surely finished within a call: with a reason of its own, and none before it was followed by more.
    fn note_choices(&mut self, pieces: &[Piece<'_>]) -> Result<(), Defect> {
        let mut says_more = false;
        for piece in pieces.iter().filter(|piece| piece.says_something()) {
            let place = piece.choice().map(bit).unwrap_or_default();
            self.inputs.take(piece);
            if let Piece::Finish { .. } = piece {
                self.finished |= place;
                self.end.note_finish(says_more);
                if !says_more && !self.end.went_on && self.inputs.cut() & place != 0 {
                    return Err(Defect::Cut);
                }
            } else {
                self.begun |= place;
            }
            if is_content(piece) {
                self.end.note_content(self.finished & place != 0);
                self.finished &= !place;
                says_more = true;
            }
        }
        Ok(())
    }

    /// How surely what was said last is the end; see [`EndOfAnswer`].
    pub fn end(&self) -> EndOfAnswer {
        self.end
    }

    /// Whether every choice has its finish_reason: as many as were asked for, and each that said something. Those of `kept` have
    /// one that is not told yet. One that cuts off a call which should be whole is none.
    pub fn is_finished(&self, kept: impl Iterator<Item = u64>) -> bool {
        let finished = kept.fold(self.finished, |finished, choice| finished | bit(choice));
        let has_all = finished.count_ones() >= self.expected_choices && self.begun & !finished == 0;
        has_all && self.finished & self.inputs.cut() == 0
    }
}

/// Whether the data of an event is the end marker.
pub fn is_end(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Dialect;
    use crate::wire::call::CallKind;
    use crate::wire::json::JsonString;
    use crate::wire::piece::{AnswerItem, At, FinishReason, ReasoningForm};

    fn options() -> DecodeOptions {
        DecodeOptions::plain(Dialect::OpenaiChat, 7)
    }

    fn take(data: &str) -> Result<Vec<Piece<'_>>, Defect> {
        let mut pieces = Vec::new();
        ChatStream::new(&options()).take(data.as_bytes(), &mut pieces).map(|_| pieces)
    }

    #[test]
    fn fields_are_read_in_any_order() {
        let data = r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"c","index":4}],
            "content":"a\u00e4","reasoning":"r"},"finish_reason":"stop","index":2}],"created":3,"id":"x"}"#;
        let pieces = take(data).expect("an answer");
        assert!(matches!(&pieces[0], Piece::Start(start) if start.created == 3 && start.model.is_none()));
        let at = At { choice: 2, item: 4 };
        assert!(matches!(&pieces[1], Piece::Reasoning { form: ReasoningForm::Alias, .. }));
        assert!(matches!(&pieces[2], Piece::Text { at, text } if at.choice == 2 && text.get() == r#""a\u00e4""#));
        assert!(
            matches!(&pieces[3], Piece::Begin { at: of, item: AnswerItem::Call(call) } if *of == at && call.kind == CallKind::Function)
        );
        assert_eq!(pieces[4], Piece::Input { at, fragment: JsonString::encode("{}") });
        assert!(matches!(&pieces[5], Piece::Finish { choice: 2, finish } if finish.reason == FinishReason::Stop));
        assert_eq!(pieces.len(), 6);
    }

    /// The pieces that an answer is made of, each as a word and its text.
    fn said(pieces: &[Piece<'_>]) -> String {
        let shown = pieces.iter().filter_map(|piece| match piece {
            Piece::Text { at, text } => Some(format!("{}={}", at.choice, text.inside())),
            Piece::Reasoning { text, .. } => Some(format!("thinks={}", text.inside())),
            Piece::Input { fragment, .. } => Some(format!("input={}", fragment.inside())),
            Piece::Begin { item: AnswerItem::Call(call), .. } => {
                Some(format!("call={}", call.name.as_ref().map_or("", JsonString::inside)))
            }
            Piece::Finish { choice, finish } => Some(format!("{choice}:{}", finish.word.inside())),
            Piece::Opaque(opaque) if opaque.is_answer => Some(format!("{}?", opaque.name)),
            _ => None,
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_field_of_a_delta_that_says_something_is_a_piece_of_the_answer() {
        for (delta, expected) in [
            (r#"{"content":[{"type":"thinking"}]}"#, "content?"),
            (r#"{"content":[{"type":"image_url"},{"type":"text","text":"a"}]}"#, "content?"),
            (r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":""}]}"#, "0=a"),
            (r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}"#, "thinks=hm"),
            (r#"{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"a"}]}"#, "thinks=hm 0=a"),
            (r#"{"content":[{"type":"thinking","thinking":[],"closed":true}]}"#, ""),
            (r#"{"tool_calls":["x"]}"#, "tool_calls?"),
            (r#"{"function_call":7}"#, "function_call?"),
            (r#"{"audio":{"data":"eA=="}}"#, "audio?"),
            (r#"{"role":"assistant","content":"","images":[{"url":"x"}]}"#, "images?"),
            (r#"{"reasoning_details":[{"type":"x"}]}"#, "reasoning_details?"),
            (r#"{"annotations":[1]}"#, "annotations?"),
            (r#"{"never_heard_of":1,"never_heard_of":"x"}"#, "never_heard_of?"),
            (r#"{"never_heard_of":1,"never_heard_of":null}"#, ""),
            (r#"{"annotations":null,"content":"","tool_calls":[],"images":[ ],"audio":{},"role":"assistant"}"#, ""),
            (r#"{"role":7}"#, ""),
            ("[]", ""),
        ] {
            let data = format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
            assert_eq!(said(&take(&data).expect(delta)), expected, "{delta}");
        }
    }

    #[test]
    fn choices_that_a_provider_does_not_make_are_not_waited_for_once_it_says_that_it_is_done() {
        let options = DecodeOptions { choices: 2, ..options() };
        let one = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
        let half = r#"{"choices":[{"index":1,"delta":{"content":"b"}}]}"#;
        for (events, expected) in [(&[one][..], true), (&[one, half], false), (&[], false)] {
            let mut stream = ChatStream::new(&options);
            for event in events {
                stream.take(event.as_bytes(), &mut Vec::new()).expect("an event");
            }
            assert!(!stream.is_finished(std::iter::empty()), "the second choice may still come: {events:?}");
            assert_eq!(stream.take(b"[DONE]", &mut Vec::new()), Ok(Heard::End));
            assert_eq!(stream.is_finished(std::iter::empty()), expected, "{events:?}");
        }
    }

    #[test]
    fn what_is_no_delta_cannot_be_read() {
        for data in [
            r#"{"choices":[{"delta":7}]}"#,
            r#"{"choices":[{"delta":[7]}]}"#,
            r#"{"choices":["text"]}"#,
            r#"{"choices":{}}"#,
            r#"{"choices":[]} x"#,
            r#"{"choices":["#,
        ] {
            assert_eq!(take(data), Err(Defect::Undecodable), "{data}");
        }
        for data in [&b"{\"choices\":[{\"delta\":{\"content\":\"\xFF\"}}]}"[..], b"{\"\xC3\":1}"] {
            let mut pieces = Vec::new();
            assert_eq!(decode_answer(data, &options(), &mut pieces), Err(Defect::Undecodable));
        }
    }

    /// Also read from an object in place of the delta, as a whole answer has it.
    #[test]
    fn what_comes_twice_is_what_it_was_last() {
        for (choice, expected) in [
            (r#"{"delta":{"content":"a","content":"b"}}"#, "0=b"),
            (r#"{"delta":{"reasoning_content":"h","content":"a","reasoning_content":null}}"#, "0=a"),
            (r#"{"delta":{"content":"a"},"delta":{"content":"b"}}"#, "0=b"),
            (r#"{"delta":{"content":"a"},"message":{"content":"b"}}"#, "0=a"),
            (r#"{"message":{"content":"b"},"delta":{"content":"a"}}"#, "0=a"),
            (r#"{"message":{"content":"b"},"delta":null}"#, "0=b"),
            (r#"{"delta":{"content":"a"},"message":null}"#, "0=a"),
            (r#"{"delta":{"content":"a"},"finish_reason":"stop","finish_reason":null}"#, "0=a"),
            (r#"{"index":1,"delta":{"content":"a"},"index":2}"#, "2=a"),
            (
                r#"{"delta":{"tool_calls":[{"index":3,"index":0,"id":"c","function":{"name":"f","name":"g","arguments":"1","arguments":"2"}}]}}"#,
                "call=g input=2",
            ),
        ] {
            for data in [
                format!(r#"{{"choices":[{choice}]}}"#),
                format!(r#"{{"choices":[{{"delta":{{"content":"x"}}}}],"choices":[{choice}]}}"#),
            ] {
                assert_eq!(said(&take(&data).expect(&data)), expected, "{data}");
            }
        }
    }

    #[test]
    fn what_is_not_needed_and_cannot_be_read_is_absent() {
        for (choice, expected) in [
            (r#"{"index":"0","delta":{"content":"a"}}"#, "0=a"),
            (r#"{"index":"2","delta":{"content":"a"}}"#, "2=a"),
            (r#"{"index":0.0,"delta":{"content":"a"}}"#, "0=a"),
            (r#"{"index":-1,"delta":{"content":"a"}}"#, "0=a"),
            (r#"{"index":{},"delta":{"content":"a"}},{"delta":{"content":"b"}}"#, "0=a 1=b"),
            (r#"{"delta":{"content":"\ud83d"}}"#, "0=\\ud83d"),
            (r#"{"delta":{"content":"a"},"finish_reason":""}"#, "0=a"),
            (r#"{"delta":{"content":"a"},"finish_reason":"null"}"#, "0=a"),
            (r#"{"delta":{"content":"a"},"finish_reason":" \n"}"#, "0=a"),
            (r#"{"delta":{"content":"a"},"finish_reason":false}"#, "0=a"),
            (r#"{"delta":{"content":"a"},"finish_reason":7}"#, "0=a"),
            (r#"{"delta":{"content":"a"},"finish_reason":{}}"#, "0=a"),
            (r#"{"delta":{"content":"a"},"finish_reason":"stop"}"#, "0=a 0:stop"),
            (r#"{"delta":{"content":"a"},"error":{}}"#, "0=a"),
            (
                r#"{"delta":{"tool_calls":[{"index":"1","id":7,"function":{"name":"f","arguments":"{}"}}]}}"#,
                "call=f input={}",
            ),
        ] {
            let around = r#""id":7,"model":7,"created":"x","object":7,"error":"","usage":"many""#;
            for data in
                [format!(r#"{{{around},"choices":[{choice}]}}"#), format!(r#"{{"choices":[{choice}],{around}}}"#)]
            {
                let pieces = take(&data).expect(&data);
                assert!(matches!(&pieces[0], Piece::Start(start) if start.id.is_none() && start.created == 7));
                assert_eq!(said(&pieces), expected, "{data}");
                let body = data.replace("\"delta\"", "\"message\"");
                let mut whole = Vec::new();
                decode_answer(body.as_bytes(), &options(), &mut whole).expect(&body);
                assert_eq!(said(&whole), expected, "{body}");
            }
        }
    }

    #[test]
    fn an_error_that_says_nothing_is_none_beside_choices() {
        const ROLE: &str = r#"{"delta":{"role":"assistant","content":""}}"#;
        for error in [r#""""#, "{}", "[]", "false", "0", "null"] {
            for data in [
                format!(r#"{{"choices":[{ROLE}],"error":{error}}}"#),
                format!(r#"{{"choices":[{{"delta":{{"role":"assistant","content":""}},"error":{error}}}]}}"#),
                format!(r#"{{"choices":[],"usage":{{"prompt_tokens":9,"completion_tokens":2}},"error":{error}}}"#),
            ] {
                assert_eq!(said(&take(&data).expect(&data)), "", "{data}");
            }
        }
        for data in [r#"{"error":""}"#, r#"{"choices":null,"error":{"message":"busy"}}"#] {
            assert!(matches!(take(data), Err(Defect::Error(_))), "{data}");
        }
    }

    #[test]
    fn usage_is_what_can_be_counted() {
        let read = |usage: &str| {
            let raw: &RawValue = serde_json::from_str(usage).expect("JSON");
            read_usage(raw).map(|usage| {
                let Usage { input, cached_input, output, reasoning, .. } = usage;
                [input, cached_input, output, reasoning]
            })
        };
        for (usage, expected) in [
            (r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}"#, Some([9, 0, 2, 0])),
            (r#"{"prompt_tokens":5.0,"completion_tokens":"2"}"#, Some([5, 0, 2, 0])),
            (r#"{"prompt_tokens":1,"prompt_tokens":9,"completion_tokens":2}"#, Some([9, 0, 2, 0])),
            // Reasoning beside the completion.
            (
                r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":111,"completion_tokens_details":{"reasoning_tokens":100}}"#,
                Some([9, 0, 102, 100]),
            ),
            (r#"{"prompt_tokens":9,"total_tokens":11}"#, Some([9, 0, 2, 0])),
            (r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":0}"#, Some([9, 0, 2, 0])),
            (r#"{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":4}"#, Some([9, 4, 2, 0])),
            (r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_cache_hit_tokens":3}"#, Some([9, 3, 2, 0])),
            (
                r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":7,"completion_tokens_details":[]}"#,
                Some([9, 0, 2, 0]),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":-1}}"#,
                Some([9, 0, 2, 0]),
            ),
            // Unknown is not 0.
            (r#"{"prompt_tokens":1151,"completion_tokens":-35,"total_tokens":1116}"#, None),
            (r#"{"prompt_tokens":9,"completion_tokens":18446744073709551616}"#, None),
            (r#"{"prompt_tokens":{},"completion_tokens":2}"#, None),
            ("{}", None),
            ("7", None),
            (r#""""#, None),
        ] {
            assert_eq!(read(usage), expected, "{usage}");
        }
        let data = r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":2}}],"usage":null}"#;
        let pieces = take(data).expect("an answer");
        let is_told = |piece: &Piece<'_>| matches!(piece, Piece::Usage { usage, stands_alone: false, .. } if usage.is_some_and(|usage| usage.output == 2));
        assert!(pieces.iter().any(is_told), "usage in a choice");
    }

    #[test]
    fn what_follows_a_reason_to_finish_shows_that_it_was_none() {
        const TEXT: &str = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
        const BOTH: &str = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
        const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        const IMAGE: &str = r#"{"choices":[{"delta":{"images":[1]}}]}"#;
        const ABOUT: &str = r#"{"choices":[{"delta":{"annotations":[1]}}]}"#;
        const EMPTY: &str = r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":""}]}"#;
        let settled = |stood_alone, went_on| Some(EndOfAnswer { stood_alone, went_on });
        for (events, expected) in [
            (vec![TEXT, EMPTY], None),
            (vec![TEXT, STOP], settled(true, false)),
            (vec![TEXT, STOP, STOP, EMPTY, ABOUT], settled(true, false)),
            (vec![BOTH], settled(false, false)),
            (vec![BOTH, TEXT], None),
            (vec![BOTH, IMAGE], None),
            (vec![BOTH, BOTH], settled(false, true)),
            (vec![BOTH, BOTH, STOP], settled(true, true)),
        ] {
            let mut stream = ChatStream::new(&options());
            for event in &events {
                stream.take(event.as_bytes(), &mut Vec::new()).expect("a chunk");
            }
            assert_eq!(stream.is_finished(std::iter::empty()).then(|| stream.end()), expected, "{events:?}");
        }
    }
}
