//! A streamed answer of the Messages API, event by event, as pieces.
//!
//! Texts pass without being decoded. A call's input is its fragments; where none comes, the input that stood at its beginning
//! is one. Unknown events, blocks and deltas are passed over, and nothing is said after the reason to stop.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{self, BlockKind, Counts};
use crate::upstream::dialect::{DecodeOptions, Defect, Heard};
use crate::upstream::error_words;
use crate::wire::call::CallKind;
use crate::wire::json::JsonString;
use crate::wire::json::{given, text};
use crate::wire::piece::{
    Alive, AnswerCall, AnswerItem, At, FinishReason, ItemEnd, Piece, ReasoningForm, Start, is_reason,
};
use crate::wire::seal::SealKind;
use crate::wire::usage::Usage;

/// Blocks that have begun and not ended; the API has one at a time.
const MAX_OPEN_BLOCKS: usize = 64;
/// The most of a call's input that may come with its beginning, in bytes.
const MAX_INPUT_BYTES: usize = 64 * 1024;

/// What is known of a streamed answer so far.
#[derive(Debug)]
pub struct MessagesStream {
    created: u64,
    /// The message's id, once it has begun; nothing in it if it has none.
    begun: Option<Option<String>>,
    counts: Option<Counts>,
    open: Vec<OpenBlock>,
    has_calls: bool,
    finished: bool,
}

#[derive(Debug)]
struct OpenBlock {
    index: u64,
    kind: BlockKind,
    /// What a call's input is if no fragment of it comes.
    input: Option<String>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// A fragment of a block, as the API writes it: what most events are.
#[derive(Deserialize)]
struct Fragment<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    index: u64,
    #[serde(borrow)]
    delta: Delta<'a>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    partial_json: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct End<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_details: Option<&'a RawValue>,
}

/// What an event says that cannot be read, or that cannot be at its place.
struct Undecodable;

impl From<Undecodable> for Defect {
    fn from(_: Undecodable) -> Self {
        Defect::Undecodable
    }
}

impl MessagesStream {
    pub fn new(options: DecodeOptions) -> Self {
        Self {
            created: options.created,
            begun: None,
            counts: None,
            open: Vec::new(),
            has_calls: false,
            finished: false,
        }
    }

    /// Whether the reason why the answer ended has come.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes in the data of one event and appends its pieces to `pieces`.
    pub fn take<'a>(&mut self, data: &'a [u8], pieces: &mut Vec<Piece<'a>>) -> Result<Heard, Defect> {
        if !data.trim_ascii_start().starts_with(b"{") {
            return Ok(Heard::Foreign);
        }
        let json = std::str::from_utf8(data).map_err(|_| Defect::Undecodable)?;
        if let Ok(Fragment { r#type, index, delta, error: None }) = serde_json::from_str(json)
            && r#type == "content_block_delta"
        {
            self.delta(&delta, Some(index), pieces)?;
            return Ok(Heard::Pieces);
        }
        let event: Event<'_> = serde_json::from_str(json).map_err(|_| Defect::Undecodable)?;
        match event.r#type.as_ref() {
            _ if given(event.error).is_some() => return Err(Defect::Error(error_words::parse(data))),
            "content_block_delta" => self.delta(&read(event.delta)?, index(&event).ok(), pieces)?,
            "content_block_start" => self.begin_block(&event, pieces)?,
            "content_block_stop" => self.end_block(&event, pieces)?,
            "message_start" => self.begin(&event, pieces)?,
            "message_delta" => self.finish(&event, pieces)?,
            "message_stop" => return Ok(Heard::End),
            "ping" => pieces.push(Piece::Alive(Alive::Ping)),
            "" => {
                if let Some(error) = error_words::without_answer(data) {
                    return Err(Defect::Error(error));
                }
            }
            kind if error_words::is_error_name(kind) => return Err(Defect::Error(error_words::parse(data))),
            _ => {}
        }
        Ok(Heard::Pieces)
    }

    fn begin<'a>(&mut self, event: &Event<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        let message: Message<'a> = read(event.message)?;
        let id = answer::name(message.id);
        let name = id.as_ref().map(|id| id.get().to_owned());
        if let Some(known) = &self.begun {
            // Another message in the same stream is no part of this one.
            return if *known == name { Ok(()) } else { Err(Undecodable) };
        }
        self.begun = Some(name);
        self.count(message.usage);
        let usage = self.counts.map(Usage::from);
        pieces.push(Piece::Start(Start { id, model: answer::name(message.model), created: self.created, usage }));
        Ok(())
    }

    fn begin_block<'a>(&mut self, event: &Event<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        let block: Block<'a> = read(event.content_block)?;
        let index = index(event)?;
        self.open.retain(|open| open.index != index);
        if self.open.len() >= MAX_OPEN_BLOCKS {
            return Err(Undecodable);
        }
        let at = At { choice: 0, item: index };
        let (mut kind, mut input) = (BlockKind::Other, None);
        match block.r#type.as_ref() {
            "text" => {
                kind = BlockKind::Text;
                self.push(Piece::Begin { at, item: AnswerItem::Text }, pieces)?;
                self.text(at, block.text, pieces)?;
            }
            "thinking" => {
                kind = BlockKind::Thinking;
                self.push(Piece::Begin { at, item: AnswerItem::Reasoning }, pieces)?;
                self.thinking(at, block.thinking, pieces)?;
            }
            "redacted_thinking" => {
                kind = BlockKind::Thinking;
                self.push(Piece::Begin { at, item: AnswerItem::Reasoning }, pieces)?;
                self.push_all(seal(at, SealKind::Redacted, block.data), pieces)?;
            }
            "tool_use" => {
                kind = BlockKind::Call;
                input = Some(first_input(block.input)?);
                let id = Some(string(block.id)?);
                let call =
                    AnswerCall { kind: CallKind::Function, id, name: Some(string(block.name)?), namespace: None };
                self.push(Piece::Begin { at, item: AnswerItem::Call(call) }, pieces)?;
                self.has_calls = true;
            }
            _ => {}
        }
        self.open.push(OpenBlock { index, kind, input });
        Ok(())
    }

    fn delta<'a>(
        &mut self,
        delta: &Delta<'a>,
        index: Option<u64>,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), Undecodable> {
        // Which block a text is of is not needed to pass it on.
        let at = At { choice: 0, item: index.unwrap_or_default() };
        match delta.r#type.as_ref() {
            "text_delta" => {
                string(delta.text)?;
                self.text(at, delta.text, pieces)
            }
            "thinking_delta" => self.thinking(at, delta.thinking, pieces),
            "signature_delta" => self.push_all(seal(at, SealKind::Signature, delta.signature), pieces),
            "input_json_delta" => {
                let fragment = string(delta.partial_json)?;
                let index = index.ok_or(Undecodable)?;
                let open = self.open.iter_mut().find(|open| open.index == index).ok_or(Undecodable)?;
                if open.kind != BlockKind::Call || fragment.is_empty() {
                    return Ok(());
                }
                open.input = None;
                self.push(Piece::Input { at, fragment }, pieces)
            }
            _ => Ok(()),
        }
    }

    fn end_block<'a>(&mut self, event: &Event<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        let index = index(event)?;
        match self.open.iter().position(|open| open.index == index) {
            Some(position) => {
                let open = self.open.swap_remove(position);
                self.close(open, ItemEnd::Complete, pieces)
            }
            None => Ok(()),
        }
    }

    /// Ends a block. A call that was cut off must not look like a whole one.
    fn close<'a>(&self, block: OpenBlock, end: ItemEnd, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        let at = At { choice: 0, item: block.index };
        if block.kind == BlockKind::Other {
            return Ok(());
        }
        if let (Some(input), ItemEnd::Complete) = (block.input, end) {
            self.push(Piece::Input { at, fragment: JsonString::encode(&input) }, pieces)?;
        }
        self.push(Piece::End { at, end }, pieces)
    }

    fn finish<'a>(&mut self, event: &Event<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        if self.count(event.usage) {
            let usage = self.counts.map(Usage::from).unwrap_or_default();
            pieces.push(Piece::Usage { usage, stands_alone: false, raw: None });
        }
        let end: End<'a> = read(event.delta)?;
        let Some(stop_reason) = given(end.stop_reason).filter(|_| !self.finished) else {
            return Ok(());
        };
        let word = text(stop_reason).ok_or(Undecodable)?;
        if !is_reason(&word) {
            return Ok(());
        }
        if error_words::is_error_name(&word) {
            return Err(Undecodable);
        }
        let mut finish = answer::finish(JsonString::read(stop_reason).ok_or(Undecodable)?, self.has_calls);
        finish.stop_string = end.stop_sequence.and_then(JsonString::read);
        finish.explanation = answer::explanation(end.stop_details);
        let is_cut = matches!(finish.reason, FinishReason::Length | FinishReason::Window);
        let how = if is_cut { ItemEnd::Cut } else { ItemEnd::Complete };
        for open in std::mem::take(&mut self.open) {
            self.close(open, how, pieces)?;
        }
        self.push(Piece::Finish { choice: 0, finish }, pieces)?;
        self.finished = true;
        Ok(())
    }

    /// Text, unless there is none.
    fn text<'a>(&self, at: At, text: Option<&'a RawValue>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        match JsonString::read_some(text) {
            Some(text) => self.push(Piece::Text { at, text }, pieces),
            None => Ok(()),
        }
    }

    fn thinking<'a>(
        &self,
        at: At,
        thinking: Option<&'a RawValue>,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), Undecodable> {
        match JsonString::read_some(thinking) {
            Some(text) => self.push(Piece::Reasoning { at, form: ReasoningForm::Text, text }, pieces),
            None => self.push(Piece::Alive(Alive::Thinking), pieces),
        }
    }

    fn push_all<'a>(
        &self,
        some: impl IntoIterator<Item = Piece<'a>>,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), Undecodable> {
        some.into_iter().try_for_each(|piece| self.push(piece, pieces))
    }

    /// A piece of the answer; none before its beginning, and none after its end.
    fn push<'a>(&self, piece: Piece<'a>, pieces: &mut Vec<Piece<'a>>) -> Result<(), Undecodable> {
        if self.finished {
            return Ok(());
        }
        if self.begun.is_none() {
            return Err(Undecodable);
        }
        pieces.push(piece);
        Ok(())
    }

    /// Counts what can be read, and says whether there was any.
    fn count(&mut self, usage: Option<&RawValue>) -> bool {
        let later = Counts::read(usage);
        if let Some(later) = later {
            self.counts.get_or_insert_default().update(later);
        }
        later.is_some()
    }
}

fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<T, Undecodable> {
    serde_json::from_str(raw.ok_or(Undecodable)?.get()).map_err(|_| Undecodable)
}

/// The sealed state of a block, unless it is empty.
fn seal(at: At, kind: SealKind, state: Option<&RawValue>) -> Option<Piece<'_>> {
    JsonString::read_some(state).map(|state| Piece::Sealed { at, sealed: answer::sealed(kind, state) })
}

fn string(raw: Option<&RawValue>) -> Result<JsonString<'_>, Undecodable> {
    raw.and_then(JsonString::read).ok_or(Undecodable)
}

fn index(event: &Event<'_>) -> Result<u64, Undecodable> {
    event.index.and_then(|index| index.get().parse().ok()).ok_or(Undecodable)
}

/// The input that stands at a call's beginning; the API's own is always empty, and the fragments bring it.
fn first_input(raw: Option<&RawValue>) -> Result<String, Undecodable> {
    match given(raw).map(RawValue::get) {
        Some(input) if input.len() > MAX_INPUT_BYTES => Err(Undecodable),
        Some(input) if input.starts_with('{') => Ok(input.to_owned()),
        Some(_) | None => Ok("{}".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Dialect;
    use crate::upstream::dialect::chat::Mends;
    use crate::wire::piece::Finish;
    use crate::wire::seal::Sealed;

    /// The pieces of a stream, each as `check` sees it.
    fn decode(events: &[&str]) -> String {
        let options =
            DecodeOptions { dialect: Dialect::AnthropicMessages, created: 7, choices: 1, mends: Mends::default() };
        let mut stream = MessagesStream::new(options);
        let mut shown = Vec::new();
        for event in events {
            let mut pieces = Vec::new();
            stream.take(event.as_bytes(), &mut pieces).unwrap_or_else(|defect| panic!("{event}: {defect:?}"));
            shown.extend(pieces.iter().map(show));
        }
        shown.join(" ")
    }

    fn show(piece: &Piece<'_>) -> String {
        match piece {
            Piece::Start(Start { id, model, created, usage: _ }) => {
                let text = |text: &Option<JsonString<'_>>| {
                    text.as_ref().map_or("-".to_owned(), |text| text.inside().to_owned())
                };
                format!("start({},{},{created})", text(id), text(model))
            }
            Piece::Begin { at, item } => match item {
                AnswerItem::Text => format!("{}:text", at.item),
                AnswerItem::Reasoning => format!("{}:reasoning", at.item),
                AnswerItem::Call(call) => format!("{}:call({:?})", at.item, call.kind),
            },
            Piece::Text { at, text } | Piece::Refusal { at, text } | Piece::Reasoning { at, text, .. } => {
                format!("{}={}", at.item, text.inside())
            }
            Piece::Sealed { at, sealed: Sealed { kind, origin, state } } => {
                format!("{}:{kind:?}({},{})", at.item, origin.dialect.as_str(), state.inside())
            }
            Piece::Input { at, fragment } => format!("{}+{}", at.item, fragment.inside()),
            Piece::End { at, end } => format!("{}:{end:?}", at.item),
            Piece::Finish { finish: Finish { reason, word, stop_string, .. }, .. } => {
                format!("{reason:?}({},{:?})", word.inside(), stop_string.as_ref().map(JsonString::inside))
            }
            Piece::Usage { usage, .. } => format!("usage({})", usage.output),
            Piece::Alive(alive) => format!("{alive:?}"),
            Piece::Opaque(opaque) => opaque.name.clone().into_owned(),
        }
    }

    #[test]
    fn blocks_are_items_with_ends_and_sealed_states() {
        let start = r#"{"type":"message_start","message":{"id":"m1","model":"m","usage":{"output_tokens":1}}}"#;
        let delta = |delta: &str| format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#);
        let begin = |block: &str| format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#);
        let stop = r#"{"type":"content_block_stop","index":0}"#;
        let finish = |reason: &str| {
            format!(
                r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":"END"}},"usage":{{"output_tokens":9}}}}"#
            )
        };
        for (events, expected) in [
            (
                vec![
                    begin(r#"{"type":"thinking","thinking":""}"#),
                    delta(r#"{"type":"thinking_delta","thinking":"hm\n"}"#),
                    delta(r#"{"type":"signature_delta","signature":"c2ln"}"#),
                    stop.to_owned(),
                    begin(r#"{"type":"redacted_thinking","data":"eA=="}"#),
                    stop.to_owned(),
                    finish("pause_turn"),
                ],
                "0:reasoning Thinking 0=hm\\n 0:Signature(anthropic-messages,c2ln) 0:Complete 0:reasoning \
                 0:Redacted(anthropic-messages,eA==) 0:Complete usage(9) Paused(pause_turn,Some(\"END\"))",
            ),
            (
                vec![
                    r#"{"type":"ping"}"#.to_owned(),
                    begin(r#"{"type":"text","text":""}"#),
                    delta(r#"{"type":"text_delta","text":"Hi"}"#),
                    finish("stop_sequence"),
                ],
                "Ping 0:text 0=Hi usage(9) 0:Complete StopString(stop_sequence,Some(\"END\"))",
            ),
            (
                vec![begin(r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#), finish("max_tokens")],
                "0:call(Function) usage(9) 0:Cut Length(max_tokens,Some(\"END\"))",
            ),
            (
                vec![begin(r#"{"type":"tool_use","id":"t","name":"f","input":{"a":1}}"#), finish("tool_use")],
                "0:call(Function) usage(9) 0+{\\\"a\\\":1} 0:Complete Calls(tool_use,Some(\"END\"))",
            ),
        ] {
            let events: Vec<&str> = std::iter::once(start).chain(events.iter().map(String::as_str)).collect();
            assert_eq!(decode(&events), format!("start(m1,m,7) {expected}"));
        }
    }
}
