//! The calls of earlier answers, as the API takes them: providers of other dialects, and models that make names up, give ids,
//! names and inputs that it refuses, and ids that they have given before. What stands for one follows from what stands before it, so it is
//! the same in every turn.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::upstream::dialect::messages::MAX_NAME_BYTES;
use crate::upstream::dialect::stand_ins::Form;
use crate::wire::call::input_object;
use crate::wire::containers::{elements, members_named};
use crate::wire::json::{Field, JsonString, field, quoted, text};

const NAMES: Form = Form { limit: MAX_NAME_BYTES, marks: b"_-" };
const IDS: Form = Form { limit: usize::MAX, marks: b"_-" };

/// A value, and what becomes of it, as JSON.
#[derive(Debug)]
pub struct Change<'x> {
    pub value: &'x RawValue,
    pub becomes: String,
}

/// The calls of a conversation up to a message.
#[derive(Default)]
pub struct Calls<'x> {
    /// Which message is the last answer.
    number: usize,
    used: BTreeSet<Cow<'x, str>>,
    /// The calls of the last turn of the model.
    waiting: Vec<Waiting<'x>>,
    /// Whether other ids stand for any of theirs.
    has_stand_ins: bool,
    /// Whether their results, or something else, have followed.
    is_answered: bool,
}

/// A call that waits for its result.
struct Waiting<'x> {
    /// As the client has it.
    id: Cow<'x, str>,
    /// What stands for it.
    stand_in: Option<String>,
}

/// Whether a conversation has calls. Quick, for those that have none.
pub fn may_hold_calls(json: &str) -> bool {
    memchr::memmem::find(json.as_bytes(), b"tool_use").is_some()
}

impl<'x> Calls<'x> {
    /// An answer comes, the message of this number.
    pub fn begin_answer(&mut self, number: usize) {
        self.number = number;
        if std::mem::take(&mut self.is_answered) {
            self.waiting.clear();
            self.has_stand_ins = false;
        }
    }

    /// Notes what changes in a block of that answer, which stands at `position` and has these fields.
    pub fn read_block(&mut self, block: &[Field<'x>], position: usize, changes: &mut Vec<Change<'x>>) {
        let [kind, id, name, input] = ["type", "id", "name", "input"].map(|name| field(block, name));
        let (Some(kind), Some(id), Some(name)) = (kind, id, name) else { return };
        if text(kind).as_deref() != Some("tool_use") {
            return;
        }
        if let Some(name_text) = text(name).filter(|name| name.is_empty() || !NAMES.takes(name.as_bytes())) {
            changes.push(Change { value: name, becomes: quoted(&NAMES.stand_in(&name_text, 0)) });
        }
        if let Some(value) = input.filter(|input| !input.get().starts_with('{')) {
            changes.push(Change { value, becomes: input_object(&JsonString::encode(value.get())) });
        }
        let Some(given) = text(id) else { return };
        let is_taken = !given.is_empty() && IDS.takes(given.as_bytes()) && !self.used.contains(&given);
        let stand_in = (!is_taken).then(|| self.stand_in(position));
        if let Some(stand_in) = &stand_in {
            self.has_stand_ins = true;
            changes.push(Change { value: id, becomes: quoted(stand_in) });
        }
        self.used.insert(stand_in.clone().map_or_else(|| given.clone(), Cow::Owned));
        self.waiting.push(Waiting { id: given, stand_in });
    }

    /// What changes in the content of a turn that may bring results.
    pub fn read_results(&mut self, content: &'x RawValue) -> Vec<Change<'x>> {
        self.is_answered = true;
        let mut changes = Vec::new();
        if !self.has_stand_ins {
            return changes;
        }
        for block in elements(content).unwrap_or_default() {
            let Some([Some(id)]) = members_named(block, &["tool_use_id"]) else { continue };
            let Some(given) = text(id) else { continue };
            let Some(position) = self.waiting.iter().position(|call| call.id == given) else { continue };
            if let Some(stand_in) = self.waiting.remove(position).stand_in {
                changes.push(Change { value: id, becomes: quoted(&stand_in) });
            }
        }
        changes
    }

    fn stand_in(&self, position: usize) -> String {
        let mut stand_in = format!("call_{}_{position}", self.number);
        while self.used.contains(stand_in.as_str()) {
            stand_in.push('_');
        }
        stand_in
    }
}
