//! One event's chunk for a chat client, written piece by piece.

use std::borrow::Cow;

use crate::door::answer::AnswerOptions;
use crate::door::chat::reasoning;
use crate::wire::call::CallKind;
use crate::wire::joined::write_member;
use crate::wire::json::JsonString;
use crate::wire::piece::{AnswerCall, Finish, FinishReason, Opaque, OpaqueHolder, Piece, Said};
use crate::wire::seal::Sealed;

/// Writes chunks with a choice's delta in each. A second chunk is begun where a field would come twice.
pub struct ChunkWriter<'w> {
    pub options: &'w AnswerOptions,
    /// What every chunk begins with.
    pub prefix: &'w str,
    pub said: &'w Said<'w>,
    pub out: &'w mut Vec<u8>,
    pub state: ChunkState,
}

/// How far the event's chunks are written.
#[derive(Default)]
pub struct ChunkState {
    open: Option<Delta>,
    /// Whether a chunk has been closed, and with it the fields that nobody here knows.
    has_closed: bool,
}

/// A delta under way.
struct Delta {
    choice: u64,
    /// The fields that it has, a bit for each.
    fields: u8,
}

/// The fields of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaField {
    Content,
    Refusal,
    ReasoningContent,
    Reasoning,
    ReasoningDetails,
    ToolCalls,
    FunctionCall,
    Opaque,
}

impl DeltaField {
    /// What stands before the value; of a field that nobody here knows, the name is its own.
    fn name(self) -> &'static str {
        match self {
            DeltaField::Content => "\"content\":",
            DeltaField::Refusal => "\"refusal\":",
            DeltaField::ReasoningContent => "\"reasoning_content\":",
            DeltaField::Reasoning => "\"reasoning\":",
            DeltaField::ReasoningDetails => "\"reasoning_details\":",
            DeltaField::ToolCalls => "\"tool_calls\":",
            DeltaField::FunctionCall => "\"function_call\":",
            DeltaField::Opaque => "",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A part of a call: its beginning, a fragment of its input, or both.
#[derive(Default)]
pub struct CallPart<'w> {
    pub ordinal: u64,
    pub begins: Option<&'w AnswerCall<'w>>,
    /// Its id, as JSON, where it begins and has one.
    pub id: Option<Cow<'w, str>>,
    pub fragment: Option<&'w JsonString<'w>>,
    pub opaque: Vec<&'w Opaque<'w>>,
}

impl<'w> ChunkWriter<'w> {
    /// A text of a delta, as JSON.
    pub fn text(&mut self, choice: u64, field: DeltaField, text: &JsonString<'_>) {
        self.begin_field(choice, field);
        self.write(text.get());
    }

    /// The state of a thought, the `index`th of its choice.
    pub fn state(&mut self, choice: u64, index: u64, sealed: &Sealed<'_>) {
        self.begin_field(choice, DeltaField::ReasoningDetails);
        self.write("[");
        reasoning::write(sealed, index, self.out);
        self.write("]");
    }

    pub fn opaque(&mut self, opaque: &Opaque<'_>) {
        self.begin_field(opaque.choice, DeltaField::Opaque);
        write_member(&opaque.name, opaque.value.0.get(), self.out);
    }

    /// Parts of calls in the newer shape.
    pub fn tool_calls(&mut self, choice: u64, kind: CallKind, part: &CallPart<'_>) {
        self.begin_field(choice, DeltaField::ToolCalls);
        self.write("[");
        self.write_call(kind, part);
        self.write("]");
    }

    /// The only call in the older shape.
    pub fn function_call(&mut self, choice: u64, part: &CallPart<'_>) {
        self.begin_field(choice, DeltaField::FunctionCall);
        self.write_tool(part, "arguments");
    }

    /// Writes what stands in the choice beside its delta, if there is any.
    pub fn keep_beside(&mut self, choice: u64) {
        let is_beside = |opaque: &Opaque<'_>| opaque.holder == OpaqueHolder::Choice && opaque.choice == choice;
        if self.opaque_fields().any(is_beside) {
            self.open(choice);
        }
    }

    /// The reason to finish stands apart from what it ends, as OpenAI sends it.
    pub fn finish(&mut self, choice: u64, finish: &Finish<'_>) {
        match &finish.explanation {
            Some(why) if finish.reason == FinishReason::Filtered => self.text(choice, DeltaField::Refusal, why),
            Some(_) | None => self.open(choice),
        }
        let word = self.options.finish_word(self.said.dialect, finish);
        self.end_choice(Some(&word));
        self.end_chunk();
    }

    /// Ends the chunk under way, if there is one.
    pub fn close(&mut self) {
        if self.state.open.is_some() {
            self.end_choice(None);
            self.end_chunk();
        }
    }

    fn open(&mut self, choice: u64) {
        match &self.state.open {
            Some(delta) if delta.choice == choice => return,
            Some(_) => self.close(),
            None => {}
        }
        self.write(self.prefix);
        match choice {
            0 => self.write(r#"{"index":0,"delta":{"#),
            _ => self.write(&format!(r#"{{"index":{choice},"delta":{{"#)),
        }
        self.state.open = Some(Delta { choice, fields: 0 });
    }

    fn begin_field(&mut self, choice: u64, field: DeltaField) {
        let is_taken = |delta: &Delta| field != DeltaField::Opaque && delta.fields & field.bit() != 0;
        if self.state.open.as_ref().is_some_and(is_taken) {
            self.close();
        }
        self.open(choice);
        let is_first = self.state.open.as_ref().is_none_or(|delta| delta.fields == 0);
        if let Some(delta) = &mut self.state.open {
            delta.fields |= field.bit();
        }
        if !is_first {
            self.write(",");
        }
        self.write(field.name());
    }

    fn write_call(&mut self, kind: CallKind, part: &CallPart<'_>) {
        let (name, input) = match kind {
            CallKind::Custom => ("custom", "input"),
            CallKind::Function | CallKind::Legacy => ("function", "arguments"),
        };
        match part.ordinal {
            0 => self.write(r#"{"index":0"#),
            ordinal => self.write(&format!(r#"{{"index":{ordinal}"#)),
        }
        if part.begins.is_some() {
            if let Some(id) = &part.id {
                self.write(r#","id":"#);
                self.write(id);
            }
            self.write(r#","type":""#);
            self.write(name);
            self.write("\"");
        }
        if part.begins.is_some() || part.fragment.is_some() {
            self.write(",\"");
            self.write(name);
            self.write("\":");
            self.write_tool(part, input);
        }
        for opaque in &part.opaque {
            self.write(",");
            write_member(&opaque.name, opaque.value.0.get(), self.out);
        }
        self.write("}");
    }

    fn write_tool(&mut self, part: &CallPart<'_>, input: &str) {
        self.write("{");
        if let Some(name) = part.begins.and_then(|call| call.name.as_ref()) {
            self.write(r#""name":"#);
            self.write(name.get());
            self.write(",");
        }
        self.write("\"");
        self.write(input);
        self.write("\":");
        self.write(part.fragment.map_or("\"\"", JsonString::get));
        self.write("}");
    }

    fn end_choice(&mut self, finish_reason: Option<&str>) {
        let choice = self.state.open.take().map(|delta| delta.choice).unwrap_or_default();
        let is_own = |opaque: &&Opaque<'_>| opaque.holder == OpaqueHolder::Choice && opaque.choice == choice;
        let own: Vec<_> = self.opaque_fields().filter(is_own).collect();
        let (probabilities, others): (Vec<_>, Vec<_>) = own.into_iter().partition(|opaque| opaque.name == "logprobs");
        self.write(r#"},"logprobs":"#);
        self.write(probabilities.first().map_or("null", |opaque| opaque.value.0.get()));
        for opaque in others {
            self.write(",");
            write_member(&opaque.name, opaque.value.0.get(), self.out);
        }
        match finish_reason {
            Some(reason) => {
                self.write(r#","finish_reason":"#);
                self.write(JsonString::encode(reason).get());
                self.write("}");
            }
            None => self.write(r#","finish_reason":null}"#),
        }
    }

    fn end_chunk(&mut self) {
        self.write("]");
        let beside: Vec<_> = self.opaque_fields().filter(|opaque| opaque.holder == OpaqueHolder::Answer).collect();
        for opaque in beside {
            self.write(",");
            write_member(&opaque.name, opaque.value.0.get(), self.out);
        }
        self.write(if self.options.includes_usage { ",\"usage\":null}\n\n" } else { "}\n\n" });
        self.state.has_closed = true;
    }

    /// What nobody here knows of the event, for its first chunk.
    fn opaque_fields(&self) -> impl Iterator<Item = &'w Opaque<'w>> + use<'w> {
        let pieces = if self.state.has_closed { &[] } else { self.said.pieces };
        pieces.iter().filter_map(|piece| if let Piece::Opaque(opaque) = piece { Some(opaque) } else { None })
    }

    fn write(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}
