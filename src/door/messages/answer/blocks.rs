//! The pieces of an answer as the blocks of a message: which begin, what comes in them, and which end.
//!
//! Blocks are numbered in the order in which they begin. Text and thoughts are one block as long as nothing else comes between;
//! calls that run beside each other are open beside each other, until they end or the answer does. A stream and a whole answer
//! are made of the same steps, so that they say the same.

use std::borrow::Cow;

use crate::door::answer::AnswerOptions;
use crate::door::messages::answer::call_input::CallInput;
use crate::door::messages::answer::extent::{Extent, OpenBlock, OpenKind};
use crate::door::messages::answer::ids::CallIds;
use crate::policy::Dialect;
use crate::wire::call::CallKind;
use crate::wire::carried::carried;
use crate::wire::containers::{elements, members_named};
use crate::wire::halves::HeldHalf;
use crate::wire::json::JsonString;
use crate::wire::piece::{AnswerCall, AnswerItem, At, Opaque, OpaqueHolder, Piece, ReasoningForm};
use crate::wire::seal::{SealKind, Sealed};

/// Calls whose fragments find them.
const MAX_KNOWN_CALLS: usize = 1_024;
/// The longest part of an input that waits for the name of its call, as JSON.
const MAX_EARLY_BYTES: usize = 64 * 1024;
/// What a call is called that has no name: the client tells the model that there is no such tool, and takes the call up into its
/// history, where the API wants a name.
const NAMELESS: &str = "nameless";

/// One step of a message.
#[derive(Debug)]
pub enum Step<'s> {
    Begin { index: u64, block: NewBlock<'s> },
    Part { index: u64, part: Part<'s> },
    End { index: u64 },
}

/// A block that begins.
#[derive(Debug)]
pub enum NewBlock<'s> {
    Text,
    Thinking,
    /// A thought that may not be told, with its state.
    Redacted(&'s str),
    Call {
        id: &'s str,
        /// As JSON.
        name: &'s str,
    },
}

/// What comes in a block that has begun.
#[derive(Debug)]
pub enum Part<'s> {
    Text(&'s JsonString<'s>),
    Thinking(&'s JsonString<'s>),
    /// The state of a thought.
    Signature(&'s str),
    /// A fragment of a call's input, as a JSON string.
    Input(&'s str),
}

/// What takes the steps of a message.
pub type Sink<'a> = &'a mut dyn FnMut(Step<'_>);

/// From which dialect an answer comes, and what its client wants.
#[derive(Clone, Copy)]
pub struct Crossing<'a> {
    pub options: &'a AnswerOptions,
    pub dialect: Dialect,
}

/// A call as it is named when it begins.
struct Named<'p> {
    at: At,
    call: &'p AnswerCall<'p>,
    dialect: Dialect,
}

/// Which call a part of one means.
#[derive(Clone, Copy)]
enum Meant {
    /// The one that is waited with, at this position.
    Pending(usize),
    /// The one of the block with this number.
    Begun(u64),
    Another,
}

/// The blocks of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blocks {
    pub extent: Extent,
    /// Of the open text or thought.
    half: HeldHalf,
    calls: Vec<CallBlock>,
    /// The number of the block of the call that was named last, if it had begun before.
    named: Option<u64>,
    /// Calls that may not have all of their names yet, in their order.
    pending: Vec<PendingCall>,
    /// What ids of calls are made of.
    pub ids: CallIds,
}

carried!(Blocks { extent, half, calls, named, pending, ids });

/// A call that has begun.
#[derive(Clone, Debug, PartialEq)]
struct CallBlock {
    at: At,
    index: u64,
    /// As its provider has it.
    came_id: Option<String>,
    id: String,
    /// The inside of a JSON string.
    name: String,
    input: CallInput,
    has_input: bool,
    is_open: bool,
}

carried!(CallBlock { at, index, came_id, id, name, input, has_input, is_open });

#[derive(Clone, Debug, PartialEq)]
struct PendingCall {
    at: At,
    kind: CallKind,
    id: Option<String>,
    /// The insides of JSON strings. What comes of the input before a name waits for one.
    name: String,
    input: String,
}

carried!(PendingCall { at, kind, id, name, input });

impl Blocks {
    /// The blocks of a message of which the client has so much.
    pub fn resumed(extent: Extent) -> Self {
        Self { extent, ..Self::default() }
    }

    /// Takes a piece of an answer; a message is the first choice alone.
    pub fn take(&mut self, crossing: Crossing<'_>, piece: &Piece<'_>, sink: Sink<'_>) {
        let Crossing { options, dialect } = crossing;
        if piece.choice() != Some(0) {
            return;
        }
        match piece {
            Piece::Text { at, text } => self.text(*at, text, sink),
            Piece::Refusal { at, text } => {
                self.extent.has_refused |= !text.is_empty();
                self.text(*at, text, sink);
            }
            Piece::Reasoning { at, form, text } => {
                if options.shows(dialect, piece) && self.is_first_telling(*form) && !text.is_empty() {
                    self.in_block(OpenKind::Thinking, *at, sink);
                    self.tell(text, sink);
                }
            }
            Piece::Sealed { at, .. } => {
                if let Some(sealed) = options.state(dialect, piece) {
                    self.seal(*at, sealed, sink);
                }
            }
            Piece::Begin { at, item: AnswerItem::Call(call) } => {
                self.begin_call(&Named { at: *at, call, dialect }, sink);
            }
            Piece::Input { at, fragment } => self.input(*at, fragment, sink),
            Piece::End { at, .. } => self.end_item(*at, sink),
            Piece::Opaque(opaque) => self.parts(opaque, sink),
            // What has no text has no block.
            Piece::Begin { item: AnswerItem::Text | AnswerItem::Reasoning, .. }
            | Piece::Finish { .. }
            | Piece::Start(_)
            | Piece::Usage { .. }
            | Piece::Alive(_) => {}
        }
    }

    /// The texts of a content that is a list of more; a message has no place for anything else that nobody here knows.
    fn parts(&mut self, opaque: &Opaque<'_>, sink: Sink<'_>) {
        if opaque.holder != OpaqueHolder::Delta || opaque.name != "content" {
            return;
        }
        for part in elements(opaque.value.0).unwrap_or_default() {
            if let Some([Some(kind), Some(text)]) = members_named(part, &["type", "text"])
                && let (r#""text""#, Some(text)) = (kind.get(), JsonString::read(text))
            {
                self.text(At::default(), &text, sink);
            }
        }
    }

    /// Ends all blocks, in their order.
    pub fn end(&mut self, sink: Sink<'_>) {
        self.begin_pending(sink);
        self.end_open(sink);
        for position in 0..self.calls.len() {
            self.end_call(position, sink);
        }
    }

    fn text(&mut self, at: At, text: &JsonString<'_>, sink: Sink<'_>) {
        if !text.is_empty() {
            self.in_block(OpenKind::Text, at, sink);
            self.tell(text, sink);
        }
    }

    /// Tells a part of the open text or thought, in which no half of a pair stands alone.
    fn tell(&mut self, text: &JsonString<'_>, sink: Sink<'_>) {
        let Some(OpenBlock { index, kind, .. }) = self.extent.open else { return };
        match self.half.take(text.inside()) {
            Cow::Borrowed(_) => sink(Step::Part { index, part: kind.part(text) }),
            Cow::Owned(inside) if inside.is_empty() => {}
            Cow::Owned(inside) => sink(Step::Part { index, part: kind.part(&JsonString::join(&inside)) }),
        }
    }

    /// Tells what stands for a half that has no other, where the text or thought goes no further.
    fn end_half(&mut self, sink: Sink<'_>) {
        let Some(OpenBlock { index, kind, .. }) = self.extent.open else { return };
        if let Some(half) = self.half.end() {
            sink(Step::Part { index, part: kind.part(&JsonString::join(half)) });
        }
    }

    /// Whether thoughts come under this name; some providers tell them under two.
    fn is_first_telling(&mut self, form: ReasoningForm) -> bool {
        *self.extent.thoughts.get_or_insert(form) == form
    }

    /// The number of the open block of a kind, which begins if another one is open, or none.
    fn in_block(&mut self, kind: OpenKind, at: At, sink: Sink<'_>) -> u64 {
        self.begin_pending(sink);
        if let Some(open) = self.extent.open.filter(|open| open.kind == kind) {
            return open.index;
        }
        self.end_open(sink);
        let index = self.next_index();
        self.extent.open = Some(OpenBlock { index, kind, item: Some(at.item) });
        let block = if kind == OpenKind::Text { NewBlock::Text } else { NewBlock::Thinking };
        sink(Step::Begin { index, block });
        index
    }

    /// The state of a thought, which is the last that comes of it.
    fn seal(&mut self, at: At, sealed: &Sealed<'_>, sink: Sink<'_>) {
        match sealed.kind {
            SealKind::Signature => {
                let index = self.in_block(OpenKind::Thinking, at, sink);
                self.end_half(sink);
                sink(Step::Part { index, part: Part::Signature(&sealed.token) });
                self.extent.open = Some(OpenBlock { index, kind: OpenKind::Sealed, item: Some(at.item) });
            }
            SealKind::Redacted => {
                self.begin_pending(sink);
                self.end_open(sink);
                let index = self.next_index();
                self.extent.open = Some(OpenBlock { index, kind: OpenKind::Sealed, item: Some(at.item) });
                sink(Step::Begin { index, block: NewBlock::Redacted(&sealed.token) });
            }
        }
        self.end_open(sink);
    }

    fn begin_call(&mut self, named: &Named<'_>, sink: Sink<'_>) {
        let Named { at, call, dialect } = *named;
        let id = call.id.as_ref().and_then(JsonString::decode).filter(|id| !id.is_empty());
        let meant = match dialect {
            Dialect::OpenaiChat => self.meant(at, id.as_deref(), call.name.as_ref()),
            Dialect::AnthropicMessages | Dialect::OpenaiResponses => Meant::Another,
        };
        match meant {
            Meant::Pending(position) => {
                if let Some(pending) = self.pending.get_mut(position) {
                    pending.name_as(id, call.name.as_ref());
                }
                // No name is that long.
                if self.pending_bytes() > MAX_EARLY_BYTES {
                    self.begin_pending(sink);
                }
                return;
            }
            Meant::Begun(index) => {
                self.begin_pending_at(at, sink);
                self.named = Some(index);
                return;
            }
            Meant::Another => {}
        }
        // Where another call has the place, nothing more comes of the one that had it.
        if self.pending.len() >= MAX_KNOWN_CALLS || self.pending.iter().any(|pending| pending.at == at) {
            self.begin_pending(sink);
        }
        let mut pending = PendingCall::new(at, call.kind);
        pending.name_as(id, call.name.as_ref());
        self.pending.push(pending);
    }

    /// Which call a part means that has this id and name, at a place where there may be several: some providers name a call with
    /// every fragment of it, some give each fragment an id, and some do not count their calls.
    fn meant(&self, at: At, id: Option<&str>, name: Option<&JsonString<'_>>) -> Meant {
        let is_other =
            |known: Option<&str>| name.is_some() && known.zip(id).is_some_and(|(known, given)| known != given);
        let is_there = |known: &&CallBlock| known.at == at && known.is_open;
        let begun = || self.calls.iter().rev().filter(is_there);
        let of_its_id = id.and_then(|_| begun().find(|known| known.came_id.as_deref() == id));
        let pending = self.pending_at(at).and_then(|position| Some((position, self.pending.get(position)?)));
        let latest = match pending {
            Some((position, pending)) if pending.id.as_deref() == id => return Meant::Pending(position),
            Some((position, pending)) if of_its_id.is_none() && !is_other(pending.id.as_deref()) => {
                return Meant::Pending(position);
            }
            Some(_) => None,
            None => begun().next(),
        };
        // A name is whole once there is input.
        let has_other_name = |known: &CallBlock| {
            let is_named = known.has_input && !known.name.is_empty();
            is_named && name.is_some_and(|name| known.name != name.inside())
        };
        let known = of_its_id.or(latest).filter(|known| !is_other(known.came_id.as_deref()) && !has_other_name(known));
        known.map_or(Meant::Another, |known| Meant::Begun(known.index))
    }

    /// What is held of calls that are waited with.
    fn pending_bytes(&self) -> usize {
        self.pending.iter().map(|pending| pending.name.len() + pending.input.len()).sum()
    }

    fn pending_at(&self, at: At) -> Option<usize> {
        self.pending.iter().rposition(|pending| pending.at == at)
    }

    /// The calls that were waited with for all of their names begin.
    fn begin_pending(&mut self, sink: Sink<'_>) {
        std::mem::take(&mut self.pending).into_iter().for_each(|pending| self.begin(pending, sink));
    }

    /// The call at a place begins, if it was waited with, and those before it.
    fn begin_pending_at(&mut self, at: At, sink: Sink<'_>) {
        if let Some(position) = self.pending_at(at) {
            let rest = self.pending.split_off(position + 1);
            self.begin_pending(sink);
            self.pending = rest;
        }
    }

    fn begin(&mut self, pending: PendingCall, sink: Sink<'_>) {
        let PendingCall { at, kind, id: came_id, mut name, input } = pending;
        if name.is_empty() {
            NAMELESS.clone_into(&mut name);
        }
        self.end_open(sink);
        if self.calls.len() >= MAX_KNOWN_CALLS {
            self.end_call(0, sink);
            self.calls.remove(0);
        }
        let index = self.next_index();
        let is_taken = |id: &str| self.calls.iter().any(|known| known.id == id);
        let id = self.ids.make(came_id.as_deref(), index, is_taken);
        sink(Step::Begin { index, block: NewBlock::Call { id: &id, name: &format!("\"{name}\"") } });
        self.extent.has_calls = true;
        let mut call =
            CallBlock { at, index, came_id, id, name, input: CallInput::new(kind), has_input: false, is_open: true };
        if !input.is_empty() {
            call.take(&JsonString::join(&input), sink);
        }
        self.calls.push(call);
        self.named = None;
    }

    fn input(&mut self, at: At, fragment: &JsonString<'_>, sink: Sink<'_>) {
        if fragment.is_empty() {
            return;
        }
        let is_known = |call: &CallBlock| call.at == at && call.is_open;
        if self.pending_at(at).is_none() && !self.calls.iter().any(is_known) {
            // Nobody has seen it begin.
            self.begin_pending(sink);
            self.pending.push(PendingCall::new(at, CallKind::Function));
        }
        let held = self.pending_bytes();
        let pending = self.pending_at(at).and_then(|position| self.pending.get_mut(position));
        if let Some(pending) = pending.filter(|pending| pending.name.is_empty())
            && held + fragment.inside().len() <= MAX_EARLY_BYTES
        {
            pending.input.push_str(fragment.inside());
            return;
        }
        self.begin_pending_at(at, sink);
        let of_its_name = self.calls.iter().rposition(|call| is_known(call) && self.named == Some(call.index));
        let position = of_its_name.or_else(|| self.calls.iter().rposition(is_known));
        if let Some(call) = position.and_then(|position| self.calls.get_mut(position)) {
            call.take(fragment, sink);
        }
    }

    fn end_item(&mut self, at: At, sink: Sink<'_>) {
        self.begin_pending_at(at, sink);
        if self.extent.open.is_some_and(|open| open.item == Some(at.item)) {
            self.end_open(sink);
        }
        if let Some(position) = self.calls.iter().rposition(|call| call.at == at) {
            self.end_call(position, sink);
        }
    }

    fn end_open(&mut self, sink: Sink<'_>) {
        self.end_half(sink);
        let Some(OpenBlock { index, kind, .. }) = self.extent.open.take() else { return };
        if kind == OpenKind::Thinking {
            // Some clients send back no thought without one, and some providers miss those.
            sink(Step::Part { index, part: Part::Signature("") });
        }
        sink(Step::End { index });
    }

    fn end_call(&mut self, position: usize, sink: Sink<'_>) {
        let Some(call) = self.calls.get_mut(position).filter(|call| call.is_open) else { return };
        call.is_open = false;
        let index = call.index;
        if let Some(rest) = call.input.end() {
            sink(Step::Part { index, part: Part::Input(&rest) });
        }
        sink(Step::End { index });
    }

    fn next_index(&mut self) -> u64 {
        self.extent.blocks += 1;
        self.extent.blocks - 1
    }
}

impl OpenKind {
    /// A part of such a block.
    fn part<'s>(self, text: &'s JsonString<'s>) -> Part<'s> {
        match self {
            OpenKind::Text => Part::Text(text),
            OpenKind::Thinking | OpenKind::Sealed => Part::Thinking(text),
        }
    }
}

impl CallBlock {
    /// Takes a part of its input.
    fn take(&mut self, part: &JsonString<'_>, sink: Sink<'_>) {
        self.has_input = true;
        if let Some(told) = self.input.take(part) {
            sink(Step::Part { index: self.index, part: Part::Input(&told) });
        }
    }
}

impl PendingCall {
    fn new(at: At, kind: CallKind) -> Self {
        Self { at, kind, id: None, name: String::new(), input: String::new() }
    }

    /// Takes what a part says of its id and name. A name may come in fragments; the same one again says nothing new.
    fn name_as(&mut self, id: Option<Cow<'_, str>>, name: Option<&JsonString<'_>>) {
        self.id = self.id.take().or_else(|| id.map(Cow::into_owned));
        if let Some(more) = name.map(JsonString::inside).filter(|more| self.name != *more) {
            self.name.push_str(more);
        }
    }
}
