//! Keeps the state of the reasoning in an answer for a client whose API has one place for it: beside a thought.
//!
//! A token is told before the text or the call that it led to, with all that has come until then. What comes later is told
//! only where the answer calls tools, whose results bring it back: some clients take the last block of an answer for all of it.
//! The state of a call that has begun is told behind it, and finds it by its id.

use std::rc::Rc;

use super::states::{CallState, StateField, StateFields, StateWriter, is_signature};
use crate::upstream::dialect::DecodeOptions;
use crate::upstream::sealer::{Sealer, Thought};
use crate::wire::call::is_common_id;
use crate::wire::carried::carried;
use crate::wire::containers::{elements, found_valid, members};
use crate::wire::joined::JoinedDetails;
use crate::wire::json::JsonString;
use crate::wire::piece::{AnswerCall, AnswerItem, At, Opaque, OpaqueHolder, Piece, ReasoningForm};
use crate::wire::seal::{SealKind, Sealed};

/// The most that is kept for one token, in bytes; of more there is none.
const MAX_KEPT_BYTES: usize = 1 << 20;
/// Calls whose states find them.
const MAX_KNOWN_CALLS: usize = 1_024;

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
    /// The states of calls that had begun before.
    late: Vec<LateState>,
    is_too_long: bool,
    calls: Vec<KnownCall>,
}

carried!(KeptState { form, thought, details, extra, late, is_too_long, calls });

/// The state of a call, as JSON.
#[derive(Debug)]
struct LateState {
    id: String,
    extra: String,
}

carried!(LateState { id, extra });

/// A call that has begun.
#[derive(Debug)]
struct KnownCall {
    item: u64,
    /// As its provider names it, if no other call has the same.
    id: Option<String>,
    has_state: bool,
}

carried!(KnownCall { item, id, has_state });

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
            let tokens = match piece {
                _ if !is_of_the_answer => Vec::new(),
                Piece::Reasoning { form, text, .. } => {
                    self.keep_thought(*form, text);
                    Vec::new()
                }
                Piece::Opaque(opaque) => self.keep_opaque(opaque),
                Piece::Begin { at, item: AnswerItem::Call(call) } => {
                    let begun = self.begin_call(*at, call);
                    let extra = begun.and_then(|_| self.extra_of_call(*at, &pieces[position + 1..]));
                    if let (Some(known), Some(_)) = (begun.and_then(|known| self.kept.calls.get_mut(known)), extra) {
                        known.has_state = true;
                    }
                    let id = begun.and_then(|known| self.kept.calls.get(known)?.id.clone());
                    self.tokens(extra.map(|extra| CallState { id: id.map(Into::into), extra }).as_ref())
                }
                Piece::Text { text, .. } | Piece::Refusal { text, .. } if text.is_empty() => Vec::new(),
                Piece::Text { .. } | Piece::Refusal { .. } | Piece::Input { .. } => self.tokens(None),
                Piece::Finish { .. } if !self.kept.calls.is_empty() => self.tokens(None),
                Piece::Begin { item: AnswerItem::Text | AnswerItem::Reasoning, .. }
                | Piece::Start(_)
                | Piece::Sealed { .. }
                | Piece::End { .. }
                | Piece::Finish { .. }
                | Piece::Usage { .. }
                | Piece::Alive(_) => Vec::new(),
            };
            let told = tokens.len();
            pieces.splice(position..position, tokens);
            position += told + 1;
        }
    }

    /// Notes that a call begins, and where; nothing if it is one that has, since some providers name a call with every part.
    fn begin_call(&mut self, at: At, call: &AnswerCall<'_>) -> Option<usize> {
        let id = call.id.as_ref().and_then(JsonString::decode).filter(|id| !id.is_empty());
        let calls = &mut self.kept.calls;
        let is_other = |known: &KnownCall| {
            let ids = known.id.as_deref().zip(id.as_deref());
            call.name.is_some() && ids.is_some_and(|(known, given)| known != given)
        };
        let known = calls.iter_mut().rev().find(|known| known.item == at.item);
        if let Some(known) = known.filter(|known| !is_other(known)) {
            known.id = known.id.take().or_else(|| id.map(Into::into));
            return None;
        }
        if calls.len() >= MAX_KNOWN_CALLS {
            return None;
        }
        let is_taken = calls.iter().any(|known| id.is_some() && known.id.as_deref() == id.as_deref());
        let id = id.filter(|_| !is_taken).map(Into::into);
        calls.push(KnownCall { item: at.item, id, has_state: false });
        Some(calls.len() - 1)
    }

    fn keep_thought(&mut self, form: ReasoningForm, text: &JsonString<'_>) {
        if *self.kept.form.get_or_insert(form) != form || self.kept.is_too_long {
            return;
        }
        self.kept.thought.push_str(text.inside());
        self.bound();
    }

    /// Keeps the state in a field that nobody else here knows; one with texts follows all that was thought before it.
    fn keep_opaque(&mut self, opaque: &Opaque<'_>) -> Vec<Piece<'static>> {
        let is_field = |field: StateField| opaque.holder == OpaqueHolder::Delta && opaque.name == field.name();
        if is_field(StateField::Details) && self.fields.take(StateField::Details) {
            let entries = elements(opaque.value.0).unwrap_or_default();
            entries.into_iter().filter_map(members).for_each(|entry| self.kept.details.join(&entry));
            self.bound();
        } else if is_field(StateField::Extra) && self.fields.take(StateField::Extra) && is_signature(opaque.value.0) {
            self.kept.extra = Some(opaque.value.0.get().to_owned());
            self.bound();
        } else if opaque.holder == OpaqueHolder::Delta && opaque.name == "content" {
            return self.tokens(None);
        } else if let OpaqueHolder::Call(item) = opaque.holder
            && self.is_extra_of_call(opaque)
        {
            self.keep_late(item, opaque);
        }
        Vec::new()
    }

    /// Keeps the state of a call that has begun without one. Where it has no id of its provider's that clients get too, nothing
    /// would find it again.
    fn keep_late(&mut self, item: u64, opaque: &Opaque<'_>) {
        let known = self.kept.calls.iter_mut().rev().find(|known| known.item == item && !known.has_state);
        let Some(known) = known else { return };
        if let Some(id) = known.id.clone().filter(|id| is_common_id(id)) {
            known.has_state = true;
            self.kept.late.push(LateState { id, extra: opaque.value.0.get().to_owned() });
            self.bound();
        }
    }

    fn is_extra_of_call(&self, opaque: &Opaque<'_>) -> bool {
        let field = StateField::CallExtra;
        opaque.name == field.name() && self.fields.take(field) && is_signature(opaque.value.0)
    }

    /// The signature of a call in the pieces of its event that follow it.
    fn extra_of_call<'p>(&self, at: At, following: &'p [Piece<'_>]) -> Option<&'p serde_json::value::RawValue> {
        following.iter().find_map(|piece| match piece {
            Piece::Opaque(opaque) if opaque.choice == at.choice && opaque.holder == OpaqueHolder::Call(at.item) => {
                Some(opaque.value.0).filter(|_| self.is_extra_of_call(opaque))
            }
            _ => None,
        })
    }

    fn bound(&mut self) {
        let KeptState { thought, details, extra, late, is_too_long, .. } = &mut self.kept;
        let late_bytes: usize = late.iter().map(|late| late.id.len() + late.extra.len()).sum();
        let bytes = thought.len() + details.bytes() + extra.as_ref().map_or(0, String::len) + late_bytes;
        if bytes > MAX_KEPT_BYTES {
            *is_too_long = true;
            thought.clear();
            *details = JoinedDetails::default();
            *extra = None;
            late.clear();
        }
    }

    /// The tokens of what has been kept since the last ones, and of the state of a call that begins.
    fn tokens(&mut self, call: Option<&CallState<'_>>) -> Vec<Piece<'static>> {
        let late = std::mem::take(&mut self.kept.late);
        let late = late.iter().filter_map(|LateState { id, extra }| {
            self.token(Some(&CallState { id: Some(id.into()), extra: found_valid(extra) }))
        });
        let mut tokens: Vec<Piece<'static>> = late.collect();
        tokens.extend(self.token(call));
        tokens
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
