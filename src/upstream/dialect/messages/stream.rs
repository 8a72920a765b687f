//! A streamed answer of the Messages API, event by event, as chunks of a chat completion.
//!
//! One event gives one chunk or none, except the last: with the usage chunk, if the client asked for it, the stream is
//! over. Role, id and name of a call are sent once, and calls are counted from 0, whatever the blocks between them. Text
//! passes from JSON to JSON without being decoded. Unknown events, blocks and deltas are passed over.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{self, CallShape, Counts, UsageFields, explanation, finish_reason};
use crate::record::Usage;
use crate::upstream::dialect::{AnswerFacts, Meaning, is_reason};
use crate::upstream::error_words;
use crate::wire::ask::Ask;
use crate::wire::json::{given, is_text, text};

/// Blocks that have begun and not ended; the API has one at a time.
const MAX_OPEN_BLOCKS: usize = 64;
/// As much of a call's input as may come with its beginning.
const MAX_INPUT_BYTES: usize = 64 * 1024;

/// What is known of a streamed answer so far, and how its chunks begin and end.
#[derive(Debug)]
pub struct Stream {
    created: u64,
    show_reasoning: bool,
    include_usage: bool,
    shape: CallShape,
    /// What every chunk begins with, once the message has begun.
    prefix: Option<String>,
    counts: Option<Counts>,
    open: Vec<OpenBlock>,
    calls: u64,
    pub told: AnswerFacts,
}

#[derive(Debug)]
struct OpenBlock {
    index: u64,
    kind: BlockKind,
}

#[derive(Debug)]
enum BlockKind {
    Call {
        ordinal: u64,
        /// What its arguments are if no fragment of them comes.
        input: Option<String>,
    },
    /// Of no interest: its fragments are not those of a call.
    Other,
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
    partial_json: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct End<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_details: Option<&'a RawValue>,
}

/// What an event says that cannot be read, or that cannot be at its place.
struct Undecodable;

impl Stream {
    /// `created` is Unix time, the same in every chunk. Without `show_reasoning` thinking is passed over.
    pub fn new(request: &Ask<'_>, created: u64, show_reasoning: bool) -> Self {
        Self {
            created,
            show_reasoning,
            include_usage: request.include_usage,
            shape: CallShape::of(request),
            prefix: None,
            counts: None,
            open: Vec::new(),
            calls: 0,
            told: AnswerFacts::default(),
        }
    }

    /// Whether the reason why the answer ended has come.
    pub fn is_finished(&self) -> bool {
        !self.told.finish_reasons.is_empty()
    }

    /// Takes in the data of one event and appends to `out` what the client gets for it: chunks, each a whole event, or a
    /// comment. `[DONE]` is the caller's.
    pub fn take(&mut self, data: &[u8], out: &mut Vec<u8>) -> Meaning {
        if !data.trim_ascii_start().starts_with(b"{") {
            return Meaning::Foreign;
        }
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
            return Meaning::Undecodable;
        };
        let before = out.len();
        let meaning = match event.r#type.as_ref() {
            _ if given(event.error).is_some() => Ok(Meaning::Error(error_words::parse(data))),
            "content_block_delta" => self.delta(&event, out),
            "content_block_start" => self.begin_block(&event, out),
            "content_block_stop" => self.end_block(&event, out),
            "message_start" => self.begin(&event, out),
            "message_delta" => self.finish(&event, out),
            "message_stop" => self.end(out),
            "ping" => {
                out.extend_from_slice(b": ping\n\n");
                Ok(Meaning::Preamble)
            }
            "" => Ok(error_words::without_answer(data).map_or(Meaning::Preamble, Meaning::Error)),
            kind if error_words::is_error_name(kind) => Ok(Meaning::Error(error_words::parse(data))),
            _ => Ok(Meaning::Preamble),
        };
        meaning.unwrap_or_else(|Undecodable| {
            out.truncate(before);
            Meaning::Undecodable
        })
    }

    fn begin(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        let message: Message<'_> = read(event.message)?;
        let model = answer::name(message.model);
        if let Some(model) = &model {
            self.told.note_model(model);
        }
        let id = answer::name(message.id).unwrap_or_else(|| answer::unknown_id(self.created));
        let begin = format!(r#"data: {{"id":{},"object":"chat.completion.chunk","created":"#, quoted(&id));
        if let Some(prefix) = &self.prefix {
            // Another message in the same stream is no part of this one.
            return if prefix.starts_with(&begin) { Ok(Meaning::Preamble) } else { Err(Undecodable) };
        }
        let name = quoted(model.as_deref().unwrap_or_default());
        self.prefix = Some(format!(r#"{begin}{},"model":{name},"choices":["#, self.created));
        self.count(message.usage);
        self.chunk(out, br#""role":"assistant","content":"""#, None)?;
        Ok(Meaning::Preamble)
    }

    fn begin_block(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        let block: Block<'_> = read(event.content_block)?;
        let index = index(event)?;
        self.open.retain(|open| open.index != index);
        if self.open.len() >= MAX_OPEN_BLOCKS {
            return Err(Undecodable);
        }
        let mut kind = BlockKind::Other;
        let meaning = match block.r#type.as_ref() {
            "text" => self.text(b"\"content\":", block.text, out)?,
            "thinking" => self.thinking(block.thinking, out)?,
            "tool_use" => {
                let ordinal = self.calls;
                kind = BlockKind::Call { ordinal, input: Some(first_input(block.input)?) };
                let meaning = self.begin_call(ordinal, &block, out)?;
                self.calls += 1;
                meaning
            }
            _ => Meaning::Preamble,
        };
        self.open.push(OpenBlock { index, kind });
        Ok(meaning)
    }

    fn begin_call(&mut self, ordinal: u64, block: &Block<'_>, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        let (id, name) = (string(block.id)?, string(block.name)?);
        match self.shape {
            CallShape::ToolCalls => {
                let call = format!(
                    r#""tool_calls":[{{"index":{ordinal},"id":{id},"type":"function","function":{{"name":{name},"arguments":""}}}}]"#
                );
                self.piece(out, call.as_bytes())
            }
            CallShape::FunctionCall if ordinal == 0 => {
                let call = format!(r#""function_call":{{"name":{name},"arguments":""}}"#);
                self.piece(out, call.as_bytes())
            }
            CallShape::FunctionCall => Ok(Meaning::Preamble),
        }
    }

    fn delta(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        let delta: Delta<'_> = read(event.delta)?;
        match delta.r#type.as_ref() {
            "text_delta" => {
                string(delta.text)?;
                self.text(b"\"content\":", delta.text, out)
            }
            "thinking_delta" => self.thinking(delta.thinking, out),
            "input_json_delta" => {
                let fragment = string(delta.partial_json)?;
                let index = index(event)?;
                let open = self.open.iter_mut().find(|open| open.index == index).ok_or(Undecodable)?;
                let BlockKind::Call { ordinal, input } = &mut open.kind else { return Ok(Meaning::Preamble) };
                if fragment == "\"\"" {
                    return Ok(Meaning::Preamble);
                }
                *input = None;
                let ordinal = *ordinal;
                self.arguments(ordinal, fragment, out)
            }
            _ => Ok(Meaning::Preamble),
        }
    }

    fn end_block(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        let index = index(event)?;
        let Some(position) = self.open.iter().position(|open| open.index == index) else {
            return Ok(Meaning::Preamble);
        };
        match self.open.swap_remove(position).kind {
            BlockKind::Call { ordinal, input: Some(input) } => self.arguments(ordinal, &quoted(&input), out),
            BlockKind::Call { ordinal: _, input: None } | BlockKind::Other => Ok(Meaning::Preamble),
        }
    }

    fn finish(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        self.count(event.usage);
        let end: End<'_> = read(event.delta)?;
        let Some(stop_reason) = given(end.stop_reason).filter(|_| !self.is_finished()) else {
            return Ok(Meaning::Preamble);
        };
        let stop_reason = text(stop_reason).ok_or(Undecodable)?;
        if !is_reason(&stop_reason) {
            return Ok(Meaning::Preamble);
        }
        if error_words::is_error_name(&stop_reason) {
            return Err(Undecodable);
        }
        let reason = finish_reason(&stop_reason, self.calls > 0, self.shape);
        for open in std::mem::take(&mut self.open) {
            // A call that was cut off must not look like a whole one.
            if let (BlockKind::Call { ordinal, input: Some(input) }, true) = (open.kind, reason != "length") {
                self.arguments(ordinal, &quoted(&input), out)?;
            }
        }
        let refusal = match reason {
            "content_filter" => explanation(end.stop_details).map(|why| format!(r#""refusal":{why}"#)),
            _ => None,
        };
        self.chunk(out, refusal.unwrap_or_default().as_bytes(), Some(reason))?;
        self.told.note_finish_reason(reason);
        Ok(Meaning::Piece)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        if let (true, true, Some(usage)) = (self.include_usage, self.is_finished(), self.told.usage) {
            let prefix = self.prefix.as_ref().ok_or(Undecodable)?;
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(br#"],"usage":"#);
            serde_json::to_writer(&mut *out, &UsageFields::from(usage)).expect("numbers should serialise");
            out.extend_from_slice(b"}\n\n");
        }
        Ok(Meaning::End)
    }

    /// Text under `name`, as JSON, unless there is none.
    fn text(&mut self, name: &[u8], text: Option<&RawValue>, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        match text.filter(|text| is_text(text) && text.get() != "\"\"") {
            Some(text) => self.piece(out, &[name, text.get().as_bytes()].concat()),
            None => Ok(Meaning::Preamble),
        }
    }

    fn thinking(&mut self, thinking: Option<&RawValue>, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        match self.show_reasoning {
            true => self.text(b"\"reasoning_content\":", thinking, out),
            false => Ok(Meaning::Preamble),
        }
    }

    /// A fragment of a call's arguments, as a JSON string.
    fn arguments(&mut self, ordinal: u64, fragment: &str, out: &mut Vec<u8>) -> Result<Meaning, Undecodable> {
        match self.shape {
            CallShape::ToolCalls => {
                let call = format!(r#""tool_calls":[{{"index":{ordinal},"function":{{"arguments":{fragment}}}}}]"#);
                self.piece(out, call.as_bytes())
            }
            CallShape::FunctionCall if ordinal == 0 => {
                self.piece(out, format!(r#""function_call":{{"arguments":{fragment}}}"#).as_bytes())
            }
            CallShape::FunctionCall => Ok(Meaning::Preamble),
        }
    }

    /// A chunk with a piece of the answer; none after its end.
    fn piece(&mut self, out: &mut Vec<u8>, delta: &[u8]) -> Result<Meaning, Undecodable> {
        if self.is_finished() {
            return Ok(Meaning::Preamble);
        }
        self.chunk(out, delta, None)?;
        Ok(Meaning::Piece)
    }

    fn chunk(&self, out: &mut Vec<u8>, delta: &[u8], finish_reason: Option<&str>) -> Result<(), Undecodable> {
        let prefix = self.prefix.as_ref().ok_or(Undecodable)?;
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(br#"{"index":0,"delta":{"#);
        out.extend_from_slice(delta);
        out.extend_from_slice(br#"},"logprobs":null,"finish_reason":"#);
        match finish_reason {
            Some(reason) => out.extend_from_slice(quoted(reason).as_bytes()),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(if self.include_usage { br#"}],"usage":null}"# } else { b"}]}" });
        out.extend_from_slice(b"\n\n");
        Ok(())
    }

    fn count(&mut self, usage: Option<&RawValue>) {
        if let Some(later) = Counts::read(usage) {
            let counts = self.counts.get_or_insert_default();
            counts.update(later);
            self.told.usage = Some(Usage::from(*counts));
        }
    }
}

fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<T, Undecodable> {
    serde_json::from_str(raw.ok_or(Undecodable)?.get()).map_err(|_| Undecodable)
}

/// A JSON string, with its quotes.
fn string(raw: Option<&RawValue>) -> Result<&str, Undecodable> {
    raw.filter(|raw| is_text(raw)).map(RawValue::get).ok_or(Undecodable)
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

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string should serialise")
}
