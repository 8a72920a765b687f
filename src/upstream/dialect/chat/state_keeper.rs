//! Keeps the state of the reasoning in an answer for a client whose API has one place for it: beside a thought.
//!
//! A token is told before the text or the call that it led to, with all that has come until then. What comes later is told
//! only where the answer calls tools, whose results bring it back: some clients take the last block of an answer for all of it.

use std::rc::Rc;

use super::states::{CallState, StateField, StateFields, StateWriter, is_signature};
use crate::upstream::dialect::DecodeOptions;
use crate::upstream::sealer::{Sealer, Thought};
use crate::wire::carried::carried;
use crate::wire::containers::{elements, members};
use crate::wire::joined::JoinedDetails;
use crate::wire::json::JsonString;
use crate::wire::piece::{AnswerItem, At, Opaque, OpaqueHolder, Piece, ReasoningForm};
use crate::wire::seal::{SealKind, Sealed};

/// The most that is kept for one token, in bytes; of more there is none.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// Keeps the state of one answer.
#[derive(Debug)]
pub struct StateKeeper {
    sealer: Rc<Sealer>,
    fields: StateFields,
    kept: KeptState,
}

/// What is kept of an answer so far.
#[derive(Debug, Default)]
pub struct KeptState {
    /// Under which name thoughts come; what comes under another one is the same again.
    form: Option<ReasoningForm>,
    /// What has been thought since the last token, as the inside of a JSON string.
    thought: String,
    details: JoinedDetails,
    /// As JSON.
    extra: Option<String>,
    is_too_long: bool,
    has_calls: bool,
}

carried!(KeptState { form, thought, details, extra, is_too_long, has_calls });

impl StateKeeper {
    /// Nothing where nothing is to be kept, or there is nothing to seal it with.
    pub fn new(options: &DecodeOptions) -> Option<Self> {
        let sealer = options.sealer.clone().filter(|_| !options.states.is_empty())?;
        Some(Self { sealer, fields: options.states.clone(), kept: KeptState::default() })
    }

    pub fn into_kept(self) -> KeptState {
        self.kept
    }

    /// Goes on with what another keeper kept.
    pub fn go_on(self, kept: KeptState) -> Self {
        Self { kept, ..self }
    }

    /// Takes the pieces of an event, or of a whole answer, and puts tokens between them.
    pub fn take(&mut self, pieces: &mut Vec<Piece<'_>>) {
        let mut position = 0;
        while let Some(piece) = pieces.get(position) {
            let is_of_the_answer = piece.choice() == Some(0);
            let token = match piece {
                _ if !is_of_the_answer => None,
                Piece::Reasoning { form, text, .. } => {
                    self.keep_thought(*form, text);
                    None
                }
                Piece::Opaque(opaque) => self.keep_opaque(opaque),
                Piece::Begin { at, item: AnswerItem::Call(call) } => {
                    self.kept.has_calls = true;
                    let extra = self.extra_of_call(*at, &pieces[position + 1..]);
                    let id = call.id.as_ref().and_then(JsonString::decode);
                    self.token(extra.map(|extra| CallState { id, extra }).as_ref())
                }
                Piece::Text { text, .. } | Piece::Refusal { text, .. } if text.is_empty() => None,
                Piece::Text { .. } | Piece::Refusal { .. } | Piece::Input { .. } => self.token(None),
                Piece::Finish { .. } if self.kept.has_calls => self.token(None),
                Piece::Begin { item: AnswerItem::Text | AnswerItem::Reasoning, .. }
                | Piece::Start(_)
                | Piece::Sealed { .. }
                | Piece::End { .. }
                | Piece::Finish { .. }
                | Piece::Usage { .. }
                | Piece::Alive(_) => None,
            };
            if let Some(token) = token {
                pieces.insert(position, token);
                position += 1;
            }
            position += 1;
        }
    }

    fn keep_thought(&mut self, form: ReasoningForm, text: &JsonString<'_>) {
        if *self.kept.form.get_or_insert(form) != form || self.kept.is_too_long {
            return;
        }
        self.kept.thought.push_str(text.inside());
        self.bound();
    }

    /// Keeps the state in a field that nobody else here knows; one with texts follows all that was thought before it.
    fn keep_opaque(&mut self, opaque: &Opaque<'_>) -> Option<Piece<'static>> {
        let is_field = |field: StateField| opaque.holder == OpaqueHolder::Delta && opaque.name == field.name();
        if is_field(StateField::Details) && self.fields.take(StateField::Details) {
            let entries = elements(opaque.value.0).unwrap_or_default();
            entries.into_iter().filter_map(members).for_each(|entry| self.kept.details.join(&entry));
            self.bound();
        } else if is_field(StateField::Extra) && self.fields.take(StateField::Extra) && is_signature(opaque.value.0) {
            self.kept.extra = Some(opaque.value.0.get().to_owned());
            self.bound();
        } else if opaque.holder == OpaqueHolder::Delta && opaque.name == "content" {
            return self.token(None);
        }
        None
    }

    /// The signature of a call in the pieces of its event that follow it.
    fn extra_of_call<'p>(&self, at: At, following: &'p [Piece<'_>]) -> Option<&'p serde_json::value::RawValue> {
        if !self.fields.take(StateField::CallExtra) {
            return None;
        }
        following.iter().find_map(|piece| match piece {
            Piece::Opaque(opaque) if opaque.choice == at.choice && opaque.holder == OpaqueHolder::Call(at.item) => {
                let is_extra = opaque.name == StateField::CallExtra.name();
                Some(opaque.value.0).filter(|extra| is_extra && is_signature(extra))
            }
            _ => None,
        })
    }

    fn bound(&mut self) {
        let KeptState { thought, details, extra, is_too_long, .. } = &mut self.kept;
        let bytes = thought.len() + details.bytes() + extra.as_ref().map_or(0, String::len);
        if bytes > MAX_KEPT_BYTES {
            *is_too_long = true;
            thought.clear();
            *details = JoinedDetails::default();
            *extra = None;
        }
    }

    /// The token of what has been kept since the last one, and of the state of a call.
    fn token(&mut self, call: Option<&CallState<'_>>) -> Option<Piece<'static>> {
        let thought = std::mem::take(&mut self.kept.thought);
        let details = std::mem::take(&mut self.kept.details);
        let extra = self.kept.extra.take();
        if std::mem::take(&mut self.kept.is_too_long) {
            return None;
        }
        let mut state = StateWriter::default();
        let field = self.kept.form.map(StateField::from).filter(|field| self.fields.take(*field));
        if !details.is_empty() {
            let mut json = Vec::new();
            details.write(&mut json);
            state.put(StateField::Details, &String::from_utf8(json).ok()?);
        } else if let Some(field) = field.filter(|_| !thought.is_empty()) {
            match self.fields.are_thoughts_shown {
                true => state.put_told(field),
                false => state.put(field, &format!("\"{thought}\"")),
            }
        }
        if let Some(extra) = &extra {
            state.put(StateField::Extra, extra);
        }
        if let Some(call) = call {
            state.put_call(call);
        }
        let text = if self.fields.are_thoughts_shown { JsonString::join(&thought) } else { JsonString::empty() };
        let token = {
            let thought = Thought { kind: SealKind::Signature, text: &text.decode()? };
            self.sealer.seal(thought, &state.finish()?)?
        };
        let sealed = Sealed { kind: SealKind::Signature, text, token: token.into() };
        Some(Piece::Sealed { at: At::default(), sealed })
    }
}
