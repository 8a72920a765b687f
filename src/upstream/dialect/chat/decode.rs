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
    pieces.iter_mut().for_each(|piece| inputs.take(piece));
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
    fn note_choices(&mut self, pieces: &mut [Piece<'_>]) -> Result<(), Defect> {
        let mut says_more = false;
        for piece in pieces.iter_mut().filter(|piece| piece.says_something()) {
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
mod tests;
