//! A streamed answer of the Messages API, event by event, as pieces.
//!
//! Texts pass without being decoded. A call's input is its fragments; where none comes, the input that stood at its beginning
//! is one. Unknown events, blocks and deltas are passed over. What follows a reason to stop shows that it was none.

mod state;

use std::rc::Rc;

use serde_json::value::RawValue;

use super::answer::{self, BlockKind, Counts};
use super::calls::{InputReader, Reading};
use super::events::{Block, Delta, Event, Fragment};
use super::native::{StateSeen, place_in};
use crate::mask::keys::without_known_shapes;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::upstream::dialect::{DecodeOptions, Defect, EndOfAnswer, Heard};
use crate::upstream::error_words;
use crate::upstream::sealer::Sealer;
use crate::wire::input_seen::InputSeen;
use crate::wire::json::{JsonString, fields_named, given, says_nothing};
use crate::wire::piece::{Alive, AnswerCall, AnswerItem, At, FinishReason, ItemEnd, Piece, ReasoningForm, Start};
use crate::wire::seal::{SealKind, Sealed};
use crate::wire::usage::Usage;

pub use state::MessagesState;

/// Blocks that have begun and not ended; the API has one at a time.
const MAX_OPEN_BLOCKS: usize = 64;
/// The most of a call's input that may come with its beginning, in bytes.
const MAX_INPUT_BYTES: usize = 64 * 1024;
/// The longest thought that is kept for its seal, in bytes.
const MAX_THOUGHT_BYTES: usize = 1 << 20;

/// What is known of a streamed answer so far.
#[derive(Debug)]
pub struct MessagesStream {
    created: u64,
    calls: Reading,
    sealer: Option<Rc<Sealer>>,
    names: ToolNames,
    /// The message's id, once it has begun; nothing in it if it has none.
    begun: Option<Option<String>>,
    counts: Option<Counts>,
    open: Vec<OpenBlock>,
    /// How many blocks have begun.
    blocks: u64,
    has_calls: bool,
    /// Whether a call has ended within its input.
    has_cut_call: bool,
    finished: bool,
    end: EndOfAnswer,
    /// The state in the last event, if its client is to get a token instead.
    seen: Option<StateSeen>,
    /// Whether the last event is none of the answer and shows what looks like a key.
    is_withheld: bool,
}

/// A block that has begun and not ended, read by `R`.
#[derive(Debug)]
struct OpenBlock<R = InputReader> {
    index: u64,
    kind: BlockKind,
    /// What a call's input is if no fragment of it comes.
    input: Option<String>,
    /// How far a call's input has come.
    seen: InputSeen,
    /// What reads a call's input, where it is not told as it comes.
    reader: Option<R>,
    /// What a thought says, as the inside of a JSON string, if it can be sealed.
    thought: Option<String>,
    /// Its state.
    state: Option<Box<RawValue>>,
}

/// What an event says that cannot be read, or that cannot be at its place.
struct Undecodable;

impl From<Undecodable> for Defect {
    fn from(_: Undecodable) -> Self {
        Defect::Undecodable
    }
}

impl MessagesStream {
    pub fn new(options: &DecodeOptions) -> Self {
        Self {
            created: options.created,
            calls: options.calls.clone(),
            sealer: options.sealer.clone(),
            names: options.names.clone(),
            begun: None,
            counts: None,
            open: Vec::new(),
            blocks: 0,
            has_calls: false,
            has_cut_call: false,
            finished: false,
            end: EndOfAnswer::default(),
            seen: None,
            is_withheld: false,
        }
    }

    /// Whether states become tokens.
    pub fn seals(&self) -> bool {
        self.sealer.is_some()
    }

    /// The state in the event that was taken last.
    pub fn take_seen(&mut self) -> Option<StateSeen> {
        self.seen.take()
    }

    /// Whether nobody gets the event that was taken last.
    pub fn is_withheld(&self) -> bool {
        self.is_withheld
    }

    /// Whether the reason why the answer ended has come.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// How surely what was said last is the end; see [`EndOfAnswer`].
    pub fn end(&self) -> EndOfAnswer {
        self.end
    }

    /// Takes in the data of one event and appends its pieces to `pieces`.
    pub fn take<'a>(&mut self, data: &'a [u8], pieces: &mut Vec<Piece<'a>>) -> Result<Heard, Defect> {
        (self.seen, self.is_withheld) = (None, false);
        if !data.trim_ascii_start().starts_with(b"{") {
            return Ok(Heard::Foreign);
        }
        let json = std::str::from_utf8(data).map_err(|_| Defect::Undecodable)?;
        if let Ok(Fragment { r#type, index, delta, error: None }) = serde_json::from_str(json)
            && r#type == "content_block_delta"
        {
            self.delta(&delta, Some(index), pieces)?;
            self.seen = self.see(json, delta.signature, Some(index));
            return Ok(Heard::Pieces);
        }
        let event = Event::read(json).ok_or(Defect::Undecodable)?;
        let is_error = event.error.is_some_and(|error| !says_nothing(error));
        match event.kind.as_ref() {
            _ if is_error => return Err(Defect::Error(error_words::parse(data))),
            "content_block_delta" => {
                if let Some(delta) = event.delta {
                    let delta = Delta::read(delta).ok_or(Undecodable)?;
                    self.delta(&delta, event.index, pieces)?;
                    self.seen = self.see(json, delta.signature, event.index);
                }
            }
            "content_block_start" => {
                self.begin_block(&event, pieces)?;
                if self.open.last().is_some_and(|open| open.state.is_some()) {
                    let block = event.content_block.and_then(Block::read);
                    let state =
                        block.and_then(|block| if block.kind == "thinking" { block.signature } else { block.data });
                    self.seen = self.see(json, state, None);
                }
            }
            "content_block_stop" => self.end_block(&event, pieces)?,
            "message_start" => self.begin(&event, pieces)?,
            "message_delta" => self.finish(&event, pieces)?,
            "message_stop" => return Ok(Heard::End),
            "ping" => {
                self.is_withheld = shows_a_key(json);
                pieces.push(Piece::Alive(Alive::Ping));
            }
            "" => {
                if let Some(error) = error_words::without_answer(data) {
                    return Err(Defect::Error(error));
                }
            }
            kind if error_words::is_error_name(kind) => return Err(Defect::Error(error_words::parse(data))),
            _ => self.is_withheld = shows_a_key(json),
        }
        Ok(Heard::Pieces)
    }

    fn begin<'a>(&mut self, event: &Event<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        let message = event.message.ok_or(Undecodable)?;
        let [id, model, usage] = fields_named(message.get(), &["id", "model", "usage"]).map_err(|_| Undecodable)?;
        let id = answer::name(id);
        let name = id.as_ref().map(|id| id.get().to_owned());
        if let Some(known) = &self.begun {
            // Another message in the same stream is no part of this one.
            return if *known == name { Ok(()) } else { Err(Undecodable) };
        }
        self.begun = Some(name);
        self.counts = Counts::read(usage).map(Counts::at_start);
        let usage = self.counts.map(Usage::from);
        pieces.push(Piece::Start(Start { id, model: answer::name(model), created: self.created, usage }));
        Ok(())
    }

    fn begin_block<'a>(&mut self, event: &Event<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        let Some(block) = event.content_block else { return Ok(()) };
        let block = Block::read(block).ok_or(Undecodable)?;
        // Without a number it is the one of its place.
        let index = event.index.unwrap_or(self.blocks);
        self.blocks += 1;
        self.has_cut_call |= self.open.extract_if(.., |open| open.index == index).any(|open| open.seen.is_open());
        if self.open.len() >= MAX_OPEN_BLOCKS {
            return Err(Undecodable);
        }
        let at = At { choice: 0, item: index };
        let (mut kind, mut input, mut reader, mut state) = (BlockKind::Other, None, None, None);
        match block.kind.as_ref() {
            "text" => {
                kind = BlockKind::Text;
                self.push(Piece::Begin { at, item: AnswerItem::Text }, pieces)?;
                self.text(at, block.text, pieces)?;
            }
            "thinking" => {
                kind = BlockKind::Thinking;
                self.push(Piece::Begin { at, item: AnswerItem::Reasoning }, pieces)?;
                state = block.signature;
            }
            "redacted_thinking" => {
                kind = BlockKind::Redacted;
                self.push(Piece::Begin { at, item: AnswerItem::Reasoning }, pieces)?;
                state = block.data;
            }
            "tool_use" => {
                kind = BlockKind::Call;
                input = Some(first_input(block.input)?);
                let id = Some(string(block.id)?);
                let name = self.names.restore(string(block.name)?);
                let kind = self.calls.kind(&name);
                reader = self.calls.reader(kind);
                let call = AnswerCall { kind, id, name: Some(name), namespace: None };
                self.push(Piece::Begin { at, item: AnswerItem::Call(call) }, pieces)?;
                self.has_calls = true;
            }
            _ => {}
        }
        let seals = self.sealer.is_some() && matches!(kind, BlockKind::Thinking | BlockKind::Redacted);
        let state = state.filter(|_| seals).map(ToOwned::to_owned);
        let (seen, thought) = (InputSeen::default(), seals.then(String::new));
        self.open.push(OpenBlock { index, kind, input, seen, reader, thought, state });
        match kind {
            BlockKind::Thinking => self.thinking(at, block.thinking, pieces),
            BlockKind::Redacted | BlockKind::Text | BlockKind::Call | BlockKind::Other => Ok(()),
        }
    }

    fn delta<'a>(
        &mut self,
        delta: &Delta<'a>,
        index: Option<u64>,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), Undecodable> {
        // A fragment without a number is one of the block that began last.
        let index = index.or_else(|| self.open.last().map(|open| open.index));
        // Which block a text is of is not needed to pass it on.
        let at = At { choice: 0, item: index.unwrap_or_default() };
        match delta.r#type.as_ref() {
            "text_delta" => self.text(at, delta.text, pieces),
            "thinking_delta" => self.thinking(at, delta.thinking, pieces),
            "signature_delta" => {
                let thought = self.open.iter_mut().find(|open| open.index == at.item && open.thought.is_some());
                if let Some(open) = thought {
                    open.state = delta.signature.map(ToOwned::to_owned);
                }
                Ok(())
            }
            "input_json_delta" => {
                let Some(fragment) = given(delta.partial_json) else { return Ok(()) };
                let fragment = string(Some(fragment))?;
                let index = index.ok_or(Undecodable)?;
                let open = self.open.iter_mut().find(|open| open.index == index).ok_or(Undecodable)?;
                if open.kind != BlockKind::Call || fragment.is_empty() {
                    return Ok(());
                }
                open.input = None;
                open.seen.take(&fragment);
                let fragment = match &mut open.reader {
                    None => fragment,
                    Some(reader) => JsonString::encode(&reader.take(&fragment.decode().ok_or(Undecodable)?)),
                };
                self.push_all((!fragment.is_empty()).then_some(Piece::Input { at, fragment }), pieces)
            }
            _ => Ok(()),
        }
    }

    fn end_block<'a>(&mut self, event: &Event<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        let is_meant = |open: &OpenBlock| event.index.is_none_or(|index| open.index == index);
        match self.open.iter().rposition(is_meant) {
            Some(position) => {
                let open = self.open.remove(position);
                self.has_cut_call |= open.seen.is_open();
                self.close(open, ItemEnd::Complete, pieces)
            }
            None => Ok(()),
        }
    }

    /// Ends a block. A call that was cut off must not look like a whole one.
    fn close<'a>(&mut self, block: OpenBlock, end: ItemEnd, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        let at = At { choice: 0, item: block.index };
        if block.kind == BlockKind::Other {
            return Ok(());
        }
        if end == ItemEnd::Complete {
            let sealed = self.seal(&block);
            self.push_all(sealed.map(|sealed| Piece::Sealed { at, sealed }), pieces)?;
        }
        let whole = block.input.filter(|_| end == ItemEnd::Complete).unwrap_or_default();
        let rest = match block.reader {
            None => whole,
            Some(mut reader) => reader.take(&whole) + &reader.end(),
        };
        if !rest.is_empty() {
            self.push(Piece::Input { at, fragment: JsonString::encode(&rest) }, pieces)?;
        }
        self.push(Piece::End { at, end }, pieces)
    }

    fn finish<'a>(&mut self, event: &Event<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Defect> {
        if let Some(later) = Counts::read(event.usage) {
            let counts = self.counts.get_or_insert_default();
            counts.update(later);
            pieces.push(Piece::Usage { usage: counts.usage(), stands_alone: false, raw: None });
        }
        let Some(delta) = event.delta else { return Ok(()) };
        let names = ["stop_reason", "stop_sequence", "stop_details"];
        let [reason, stop_string, details] = fields_named(delta.get(), &names).map_err(|_| Undecodable)?;
        let Some(word) = answer::reason(reason) else { return Ok(()) };
        if word.decode().is_some_and(|word| error_words::is_error_name(&word)) {
            return Err(Defect::Undecodable);
        }
        let mut finish = answer::finish(word, self.has_calls);
        finish.stop_string = stop_string.and_then(JsonString::read);
        finish.explanation = answer::explanation(details);
        self.has_cut_call |= self.open.iter().any(|open| open.seen.is_open());
        if self.has_cut_call && !finish.reason.may_cut() {
            return Err(Defect::Cut);
        }
        let is_cut = matches!(finish.reason, FinishReason::Length | FinishReason::Window);
        let how = if is_cut { ItemEnd::Cut } else { ItemEnd::Complete };
        for open in std::mem::take(&mut self.open) {
            self.close(open, how, pieces)?;
        }
        self.push(Piece::Finish { choice: 0, finish }, pieces)?;
        self.finished = true;
        self.end.note_finish(false);
        Ok(())
    }

    /// Text, unless there is none.
    fn text<'a>(&mut self, at: At, text: Option<&'a RawValue>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        let Some(text) = given(text) else { return Ok(()) };
        match string(Some(text))? {
            text if text.is_empty() => Ok(()),
            text => self.push(Piece::Text { at, text }, pieces),
        }
    }

    fn thinking<'a>(
        &mut self,
        at: At,
        thinking: Option<&'a RawValue>,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), Undecodable> {
        let Some(text) = JsonString::read_some(thinking) else {
            return self.push(Piece::Alive(Alive::Thinking), pieces);
        };
        if let Some(open) = self.open.iter_mut().find(|open| open.index == at.item)
            && let Some(thought) = &mut open.thought
        {
            thought.push_str(text.inside());
            open.thought = open.thought.take().filter(|thought| thought.len() <= MAX_THOUGHT_BYTES);
        }
        self.push(Piece::Reasoning { at, form: ReasoningForm::Text, text }, pieces)
    }

    /// A state in the event `json`, of the block with this number or the last one, and its token.
    fn see(&self, json: &str, state: Option<&RawValue>, index: Option<u64>) -> Option<StateSeen> {
        let state = state.filter(|state| self.seals() && JsonString::read_some(Some(state)).is_some())?;
        let block = self.open.iter().rfind(|open| index.is_none_or(|index| open.index == index));
        let sealed = block.and_then(|block| self.seal(block));
        let token = sealed.map_or_else(String::new, |sealed| sealed.token.into_owned());
        Some(StateSeen { place: place_in(json, state), token })
    }

    /// A whole thought with its state, as the client gets it.
    fn seal(&self, block: &OpenBlock) -> Option<Sealed<'static>> {
        let kind = match block.kind {
            BlockKind::Thinking => SealKind::Signature,
            BlockKind::Redacted => SealKind::Redacted,
            BlockKind::Text | BlockKind::Call | BlockKind::Other => return None,
        };
        let text = JsonString::join(block.thought.as_deref()?);
        answer::sealed(self.sealer.as_deref(), kind, text, block.state.as_deref())
    }

    fn push_all<'a>(
        &mut self,
        some: impl IntoIterator<Item = Piece<'a>>,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), Undecodable> {
        some.into_iter().try_for_each(|piece| self.push(piece, pieces))
    }

    /// A piece of the answer; none before its beginning.
    fn push<'a>(&mut self, piece: Piece<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        if self.begun.is_none() {
            return Err(Undecodable);
        }
        if piece.says_something() && !matches!(piece, Piece::Finish { .. }) {
            self.end.note_content(self.finished);
            self.finished = false;
        }
        pieces.push(piece);
        Ok(())
    }
}

fn string(raw: Option<&RawValue>) -> Result<JsonString<'_>, Undecodable> {
    raw.and_then(JsonString::read).ok_or(Undecodable)
}

/// The input that stands at a call's beginning; the API's own is always empty, and the fragments bring it.
fn first_input(raw: Option<&RawValue>) -> Result<String, Undecodable> {
    match given(raw).map(RawValue::get) {
        Some(input) if input.len() > MAX_INPUT_BYTES => Err(Undecodable),
        Some(input) if input.starts_with('{') => Ok(input.to_owned()),
        Some(_) | None => Ok("{}".to_owned()),
    }
}

/// Whether an event that says nothing of an answer has something in it that looks like a key, as a provider may print the one
/// that it got.
fn shows_a_key(json: &str) -> bool {
    without_known_shapes(json, json.len()) != json
}

#[cfg(test)]
mod tests;
