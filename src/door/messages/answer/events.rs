//! A stream for a client of the Messages API: pieces in, events out, each with its name.
//!
//! What a provider of the same dialect sends goes out as it came, unless it takes the place of a stream that broke. The message
//! begins with its first block, since no client can do without its model. Why it stopped is written at the end, since a provider
//! may give a reason in every event.

use std::rc::Rc;

use crate::door::answer::AnswerOptions;
use crate::door::messages::answer::blocks::{Blocks, Crossing, NewBlock, Part, Step};
use crate::door::messages::answer::extent::Extent;
use crate::door::messages::answer::{DIALECT, Envelope, write_last_usage, write_usage};
use crate::policy::Dialect;
use crate::wire::call_tag::CallTagger;
use crate::wire::carried::carried;
use crate::wire::json::{fields_named, quoted, text};
use crate::wire::piece::{Alive, AsItCame, Piece, Said};
use crate::wire::sse::{Event, PING};
use crate::wire::usage::Usage;

/// A client gets one ping for so many thoughts that it does not see.
const THOUGHTS_PER_PING: u32 = 64;

/// Writes one message's events.
#[derive(Debug)]
pub struct Encoder {
    options: AnswerOptions,
    envelope: Envelope,
    blocks: Blocks,
    /// Whether what comes in the client's own dialect goes out as it came.
    passes: bool,
    /// How many thoughts the client has not seen.
    unseen: u32,
}

carried!(Encoder { options, envelope, blocks, passes, unseen });

impl Encoder {
    pub fn new(options: AnswerOptions) -> Self {
        Self { options, envelope: Envelope::default(), blocks: Blocks::default(), passes: true, unseen: 0 }
    }

    /// For a stream that takes the place of one of which the client has so much.
    pub fn resumed(options: AnswerOptions, extent: Extent) -> Self {
        Self { blocks: Blocks::resumed(extent), passes: false, ..Self::new(options) }
    }

    /// What tags the calls of the message from here on.
    pub fn set_tagger(&mut self, tagger: Option<Rc<CallTagger>>) {
        self.blocks.ids.tagger = tagger;
    }

    pub fn options(&self) -> &AnswerOptions {
        &self.options
    }

    /// How far the client has the message.
    pub fn extent(&self) -> &Extent {
        &self.blocks.extent
    }

    /// Whether another stream could go on with the message.
    pub fn is_resumable(&self) -> bool {
        !self.blocks.extent.has_foreign
    }

    /// Whether what comes in `dialect` goes out as it came.
    pub fn passes(&self, dialect: Dialect) -> bool {
        self.passes && dialect == DIALECT
    }

    /// Appends what the client gets for one event to `out`.
    pub fn encode(&mut self, said: &Said<'_>, out: &mut Vec<u8>) {
        match said.came.filter(|_| self.passes(said.dialect)) {
            Some(came) => {
                self.blocks.extent.note_passed(said, &came);
                pass(&came, out);
            }
            None => self.encode_pieces(said, out),
        }
    }

    /// The answer is whole.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let Self { envelope, blocks, .. } = self;
        if !blocks.extent.has_stop {
            let mut writer = Writer { envelope, has_start: blocks.extent.has_start, out };
            blocks.end(&mut |step| writer.write(&step));
            writer.start();
            blocks.extent.has_start = true;
            blocks.extent.has_stop = true;
            out.extend_from_slice(
                b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"container\":null,",
            );
            envelope.write_stop(&blocks.extent, out);
            out.extend_from_slice(b"},\"usage\":");
            write_last_usage(envelope.usage(), out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }

    fn encode_pieces(&mut self, said: &Said<'_>, out: &mut Vec<u8>) {
        for piece in said.pieces {
            self.envelope.note(said.dialect, piece);
            match piece {
                Piece::Start(_) => self.blocks.ids.seed = self.envelope.seed(),
                Piece::Alive(Alive::Ping | Alive::Comment) => out.extend_from_slice(PING),
                Piece::Alive(Alive::Thinking) => self.note_unseen(out),
                Piece::Reasoning { .. } if !self.options.shows(said.dialect, piece) => self.note_unseen(out),
                Piece::Begin { .. }
                | Piece::Text { .. }
                | Piece::Refusal { .. }
                | Piece::Reasoning { .. }
                | Piece::Sealed { .. }
                | Piece::Input { .. }
                | Piece::End { .. }
                | Piece::Opaque(_) => self.encode_piece(said.dialect, piece, out),
                Piece::Finish { .. } | Piece::Usage { .. } => {}
            }
        }
    }

    fn encode_piece(&mut self, dialect: Dialect, piece: &Piece<'_>, out: &mut Vec<u8>) {
        let Self { options, envelope, blocks, .. } = self;
        let mut writer = Writer { envelope, has_start: blocks.extent.has_start, out };
        blocks.take(Crossing { options, dialect }, piece, &mut |step| writer.write(&step));
        blocks.extent.has_start = writer.has_start;
    }

    /// The model thinks, and the client sees nothing of it.
    fn note_unseen(&mut self, out: &mut Vec<u8>) {
        if self.unseen.is_multiple_of(THOUGHTS_PER_PING) {
            out.extend_from_slice(PING);
        }
        self.unseen = self.unseen.wrapping_add(1);
    }
}

/// Appends an event as it came, with its name if it has none: clients of the API go by that.
fn pass(came: &AsItCame<'_>, out: &mut Vec<u8>) {
    match came.whole.filter(|whole| whole.starts_with(b"event:")) {
        Some(whole) => out.extend_from_slice(whole),
        None => {
            let kind = std::str::from_utf8(came.data).ok().and_then(|json| fields_named(json, &["type"]).ok());
            let kind = kind.and_then(|[kind]| text(kind?)).filter(|kind| !kind.contains(['\n', '\r']));
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(kind.as_deref().unwrap_or("message").as_bytes());
            out.push(b'\n');
            Event::write(came.data, out);
        }
    }
}

/// Writes the steps of a message as events.
struct Writer<'w> {
    envelope: &'w Envelope,
    /// Whether the message has begun.
    has_start: bool,
    out: &'w mut Vec<u8>,
}

impl Writer<'_> {
    fn start(&mut self) {
        if std::mem::replace(&mut self.has_start, true) {
            return;
        }
        self.out.extend_from_slice(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
        self.envelope.write_head(self.out);
        self.out.extend_from_slice(br#"],"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":"#);
        let usage = self.envelope.usage_at_start.unwrap_or_default();
        // Nothing of the answer has been counted yet.
        write_usage(Usage { output: 0, reasoning: 0, ..usage }, self.out);
        self.out.extend_from_slice(b"}}\n\n");
    }

    fn write(&mut self, step: &Step<'_>) {
        self.start();
        match step {
            Step::Begin { index, block } => {
                self.begin("content_block_start", *index);
                self.put(",\"content_block\":");
                match block {
                    NewBlock::Text => self.put(r#"{"type":"text","text":"","citations":null}"#),
                    NewBlock::Thinking => self.put(r#"{"type":"thinking","thinking":"","signature":""}"#),
                    NewBlock::Redacted(state) => {
                        self.put(&format!(r#"{{"type":"redacted_thinking","data":{}}}"#, quoted(state)));
                    }
                    NewBlock::Call { id, name } => {
                        self.put(&format!(r#"{{"type":"tool_use","id":"{id}","name":{name},"input":{{}},"caller":{{"type":"direct"}}}}"#));
                    }
                }
            }
            Step::Part { index, part } => {
                self.begin("content_block_delta", *index);
                match part {
                    Part::Text(text) => self.delta(r#"text_delta","text":"#, text.get()),
                    Part::Thinking(text) => self.delta(r#"thinking_delta","thinking":"#, text.get()),
                    Part::Signature(state) => self.delta(r#"signature_delta","signature":"#, &quoted(state)),
                    Part::Input(fragment) => self.delta(r#"input_json_delta","partial_json":"#, fragment),
                }
            }
            Step::End { index } => self.begin("content_block_stop", *index),
        }
        self.put("}\n\n");
    }

    fn begin(&mut self, kind: &str, index: u64) {
        self.put(&format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"index\":{index}"));
    }

    /// A part of a block, under its type and name.
    fn delta(&mut self, kind: &str, value: &str) {
        self.put(",\"delta\":{\"type\":\"");
        self.put(kind);
        self.put(value);
        self.put("}");
    }

    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}
