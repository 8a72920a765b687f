//! A stream for a chat client: pieces in, chunks out.
//!
//! What a provider of the same dialect sends goes out as it came, unless it takes the place of a stream that broke. Otherwise
//! an event gives one chunk or none, but for what cannot stand in one. Role, id and name of a call are sent once, and calls are
//! counted from 0 in each choice. Texts pass from JSON to JSON. The reason to finish is written at the end, since a provider
//! may give one in every chunk, and a client takes the first for the last.

use std::rc::Rc;

use crate::door::answer::{AnswerOptions, CallShape};
use crate::door::chat::answer::{ClientUsage, DIALECT, is_unasked, unknown_id};
use crate::door::chat::chunk::{CallPart, ChunkState, ChunkWriter, DeltaField};
use crate::door::chat::ids;
use crate::policy::Dialect;
use crate::wire::call::CallKind;
use crate::wire::call_tag::CallTagger;
use crate::wire::carried::carried;
use crate::wire::json::JsonString;
use crate::wire::piece::{Alive, AnswerItem, At, Finish, OpaqueHolder, Piece, ReasoningForm, Said, Start};
use crate::wire::sse::{self, Event};
use crate::wire::usage::Usage;

const DONE: &[u8] = b"data: [DONE]\n\n";
/// Calls whose fragments find them.
const MAX_KNOWN_CALLS: usize = 1_024;

/// What all chunks of one answer carry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// As JSON.
    pub id: Option<String>,
    pub created: Option<u64>,
}

carried!(Identity { id, created });

/// Writes one answer's chunks.
#[derive(Debug)]
pub struct Encoder {
    options: AnswerOptions,
    identity: Identity,
    /// What every chunk begins with, once the answer has begun.
    prefix: Option<String>,
    /// Whether the client has the role.
    has_role: bool,
    /// Whether what comes in the client's own dialect goes out as it came.
    passes: bool,
    calls: Vec<KnownCall>,
    /// How many thoughts the client has the state of.
    states: u64,
    /// The reason to finish of each choice that has one, for the end.
    finishes: Vec<HeldFinish>,
    /// What is to be told at the end, and the same in the words of a provider of the client's own dialect.
    usage: Option<Usage>,
    own_usage: Option<String>,
    /// What says in an id whose call it is; made anew where the answer goes on elsewhere.
    pub tagger: Option<Rc<CallTagger>>,
}

carried!(Encoder {
    options, identity, prefix, has_role, passes, calls, states, finishes, usage, own_usage
} without { tagger });

#[derive(Clone, Copy, Debug)]
struct KnownCall {
    at: At,
    kind: CallKind,
    /// Which of its choice's calls it is.
    ordinal: u64,
}

carried!(KnownCall { at, kind, ordinal });

/// Why a choice has finished, as far as is known.
#[derive(Debug)]
struct HeldFinish {
    choice: u64,
    dialect: Dialect,
    finish: Finish<'static>,
}

carried!(HeldFinish { choice, dialect, finish });

/// A call, and whether the client hears of it for the first time.
struct Begun {
    call: KnownCall,
    is_new: bool,
}

impl Encoder {
    pub fn new(options: AnswerOptions) -> Self {
        Self {
            options,
            identity: Identity::default(),
            prefix: None,
            has_role: false,
            passes: true,
            calls: Vec::new(),
            states: 0,
            finishes: Vec::new(),
            usage: None,
            own_usage: None,
            tagger: None,
        }
    }

    /// For a stream that takes the place of one that broke, under the identity that the client knows.
    pub fn resumed(options: AnswerOptions, identity: Identity) -> Self {
        Self { identity, has_role: true, passes: false, ..Self::new(options) }
    }

    pub fn options(&self) -> &AnswerOptions {
        &self.options
    }

    /// The identity that the client knows.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether what comes in `dialect` goes out as it came.
    pub fn passes(&self, dialect: Dialect) -> bool {
        self.passes && dialect == DIALECT
    }

    /// Appends what the client gets for one event to `out`.
    pub fn encode(&mut self, said: &Said<'_>, out: &mut Vec<u8>) {
        match said.came.filter(|_| self.passes(said.dialect)) {
            Some(_) if is_unasked(&self.options, said) => {}
            Some(came) => {
                self.identify(said.pieces);
                match came.whole {
                    Some(whole) => out.extend_from_slice(whole),
                    None => Event::write(came.data, out),
                }
            }
            None => self.encode_pieces(said, out),
        }
    }

    /// The answer is whole.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.write_finishes(out);
        if let (true, Some(usage)) = (self.options.includes_usage, self.usage) {
            out.extend_from_slice(self.prefix().as_bytes());
            out.extend_from_slice(br#"],"usage":"#);
            match &self.own_usage {
                Some(own) => out.extend_from_slice(own.as_bytes()),
                None => ClientUsage::write(usage, out),
            }
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(DONE);
    }

    /// Keeps the identity of an answer that goes out as it came, for another one that may take its place.
    fn identify(&mut self, pieces: &[Piece<'_>]) {
        for piece in pieces {
            let Piece::Start(start) = piece else { continue };
            let Identity { id, created } = &mut self.identity;
            *id = id.take().or_else(|| start.id.as_ref().map(|id| id.get().to_owned()));
            *created = created.or(Some(start.created));
        }
    }

    fn encode_pieces(&mut self, said: &Said<'_>, out: &mut Vec<u8>) {
        for piece in said.pieces.iter().filter(|piece| piece.choice().is_none()) {
            self.note(piece, out);
        }
        if !said.pieces.iter().any(|piece| piece.choice().is_some()) {
            return;
        }
        let (prefix, options) = (std::mem::take(self.prefix()), self.options);
        let mut chunk = ChunkWriter { options: &options, prefix: &prefix, said, out, state: ChunkState::default() };
        let mut rest = said.pieces;
        while let Some((piece, after)) = rest.split_first() {
            rest = after;
            match piece {
                Piece::Text { at, text } => chunk.text(at.choice, DeltaField::Content, text),
                Piece::Refusal { at, text } => chunk.text(at.choice, DeltaField::Refusal, text),
                Piece::Reasoning { at, form, text } => {
                    if options.shows(said.dialect, piece) {
                        chunk.text(at.choice, reasoning_field(*form), text);
                    }
                }
                Piece::Sealed { at, .. } => {
                    if let Some(sealed) = options.state(said.dialect, piece) {
                        chunk.state(at.choice, self.states, sealed);
                        self.states += 1;
                    }
                }
                Piece::Begin { at, item: AnswerItem::Call(call) } => {
                    let known = self.begin_call(*at, call.kind, said.dialect);
                    let begins = known.is_new.then_some(call);
                    let id = begins.and_then(|call| call.id.as_ref());
                    let id = id.map(|id| ids::told(id, self.tagger.as_deref()));
                    let part = CallPart { begins, id, ..CallPart::default() };
                    rest = write_call(&mut chunk, known.call, part, rest);
                }
                Piece::Input { at, fragment } => {
                    let call = self.call(*at);
                    let part = CallPart { fragment: Some(fragment), ..CallPart::default() };
                    rest = write_call(&mut chunk, call, part, rest);
                }
                Piece::Opaque(opaque) if opaque.holder == OpaqueHolder::Delta && said.dialect == DIALECT => {
                    chunk.opaque(opaque);
                }
                Piece::Finish { choice, finish } => {
                    chunk.keep_beside(*choice);
                    self.hold_finish(HeldFinish {
                        choice: *choice,
                        dialect: said.dialect,
                        finish: finish.clone().into_owned(),
                    });
                }
                // The dialect has no place for them, or they stand beside what another piece brings.
                Piece::Begin { item: AnswerItem::Text | AnswerItem::Reasoning, .. }
                | Piece::End { .. }
                | Piece::Opaque(_)
                | Piece::Start(_)
                | Piece::Usage { .. }
                | Piece::Alive(_) => {}
            }
        }
        chunk.close();
        self.prefix = Some(prefix);
    }

    fn hold_finish(&mut self, held: HeldFinish) {
        self.finishes.retain(|earlier| earlier.choice != held.choice);
        self.finishes.push(held);
    }

    fn write_finishes(&mut self, out: &mut Vec<u8>) {
        let finishes = std::mem::take(&mut self.finishes);
        let (prefix, options) = (std::mem::take(self.prefix()), self.options);
        for HeldFinish { choice, dialect, finish } in finishes {
            let said = &Said { dialect, pieces: &[], came: None };
            let mut chunk = ChunkWriter { options: &options, prefix: &prefix, said, out, state: ChunkState::default() };
            chunk.finish(choice, &finish);
        }
        self.prefix = Some(prefix);
    }

    /// Notes what is no choice's.
    fn note(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Start(start) => self.start(start, out),
            Piece::Usage { usage, raw, .. } => {
                if usage.is_some() {
                    self.usage = *usage;
                    self.own_usage = raw.map(|raw| raw.0.get().to_owned());
                }
            }
            Piece::Alive(Alive::Ping) => out.extend_from_slice(b": ping\n\n"),
            Piece::Alive(Alive::Comment) => out.extend_from_slice(sse::COMMENT),
            Piece::Alive(Alive::Thinking)
            | Piece::Begin { .. }
            | Piece::Text { .. }
            | Piece::Refusal { .. }
            | Piece::Reasoning { .. }
            | Piece::Sealed { .. }
            | Piece::Input { .. }
            | Piece::End { .. }
            | Piece::Finish { .. }
            | Piece::Opaque(_) => {}
        }
    }

    /// The answer begins: the role goes out at once.
    fn start(&mut self, start: &Start<'_>, out: &mut Vec<u8>) {
        let created = self.identity.created.unwrap_or(start.created);
        let id = self.identity.id.clone().or_else(|| start.id.as_ref().map(|id| id.get().to_owned()));
        let id = id.unwrap_or_else(|| unknown_id(created));
        let model = start.model.as_ref().map_or("\"\"", JsonString::get);
        self.identity = Identity { id: Some(id), created: Some(created) };
        self.prefix = Some(prefix(&self.identity, model));
        if !std::mem::replace(&mut self.has_role, true) {
            out.extend_from_slice(self.prefix().as_bytes());
            out.extend_from_slice(br#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"#);
            let end = if self.options.includes_usage {
                r#""finish_reason":null}],"usage":null}"#
            } else {
                r#""finish_reason":null}]}"#
            };
            out.extend_from_slice(end.as_bytes());
            out.extend_from_slice(b"\n\n");
        }
    }

    /// What every chunk begins with; of an answer that has not begun, with what is known.
    fn prefix(&mut self) -> &mut String {
        self.prefix.get_or_insert_with(|| prefix(&self.identity, "\"\""))
    }

    /// A call begins, unless its provider names it with every fragment.
    fn begin_call(&mut self, at: At, kind: CallKind, dialect: Dialect) -> Begun {
        let known = self.calls.iter().rev().find(|call| call.at == at && dialect == DIALECT);
        if let Some(call) = known {
            return Begun { call: *call, is_new: false };
        }
        let last = self.calls.iter().rev().find(|call| call.at.choice == at.choice);
        let call = KnownCall { at, kind, ordinal: last.map_or(0, |last| last.ordinal + 1) };
        if self.calls.len() >= MAX_KNOWN_CALLS {
            self.calls.remove(0);
        }
        self.calls.push(call);
        Begun { call, is_new: true }
    }

    /// The call that a fragment belongs to, even if nobody has seen it begin.
    fn call(&mut self, at: At) -> KnownCall {
        match self.calls.iter().rev().find(|call| call.at == at) {
            Some(call) => *call,
            None => self.begin_call(at, CallKind::Function, DIALECT).call,
        }
    }
}

/// Writes a part of a call, with what follows it in `rest`; gives what is left.
fn write_call<'r>(
    chunk: &mut ChunkWriter<'_>,
    call: KnownCall,
    mut part: CallPart<'r>,
    mut rest: &'r [Piece<'r>],
) -> &'r [Piece<'r>] {
    part.ordinal = call.ordinal;
    if let (None, Some((Piece::Input { at, fragment }, after))) = (part.fragment, rest.split_first())
        && *at == call.at
    {
        part.fragment = Some(fragment);
        rest = after;
    }
    while let Some((Piece::Opaque(opaque), after)) = rest.split_first() {
        if opaque.holder != OpaqueHolder::Call(call.at.item) {
            break;
        }
        part.opaque.push(opaque);
        rest = after;
    }
    let is_legacy = call.kind == CallKind::Legacy || chunk.options.calls == CallShape::FunctionCall;
    match (is_legacy, call.ordinal) {
        (false, _) => chunk.tool_calls(call.at.choice, call.kind, &part),
        (true, 0) => chunk.function_call(call.at.choice, &part),
        // The older shape has one call.
        (true, _) => {}
    }
    rest
}

fn reasoning_field(form: ReasoningForm) -> DeltaField {
    match form {
        ReasoningForm::Text | ReasoningForm::Summary => DeltaField::ReasoningContent,
        ReasoningForm::Alias => DeltaField::Reasoning,
    }
}

fn prefix(identity: &Identity, model: &str) -> String {
    let created = identity.created.unwrap_or_default();
    let id = identity.id.clone().unwrap_or_else(|| unknown_id(created));
    format!(r#"data: {{"id":{id},"object":"chat.completion.chunk","created":{created},"model":{model},"choices":["#)
}
