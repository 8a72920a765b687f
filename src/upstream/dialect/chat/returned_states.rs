//! The state of the model's own reasoning on its way back into the messages and calls that it led to.
//!
//! A client has it beside a thought; here it stands in fields of the answer's message, or of a call. The first call behind it
//! whose id is the one that its provider gave gets a call's state; one that got another id for the client is the next call.

use serde_json::value::RawValue;

use super::states::{CallState, State};
use super::wire::MessageState;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::call::is_common_id;
use crate::wire::json::{Json, JsonString};
use crate::wire::walk::inside;

/// States that are in no message yet.
#[derive(Default)]
pub struct ReturnedStates<'x> {
    /// Of messages.
    states: Vec<Returned<State<'x>>>,
    /// Of calls.
    calls: Vec<Returned<CallState<'x>>>,
}

struct Returned<T> {
    origin: Origin,
    state: T,
}

/// Where a state came from.
pub struct Origin {
    /// Which of the client's messages it stood in.
    pub answer: usize,
    /// What is said of it if it goes no further.
    pub path: String,
}

impl<'x> ReturnedStates<'x> {
    /// Takes what was in a token. What an earlier answer left has lost the message that it led to.
    pub fn push(&mut self, mut state: State<'x>, origin: Origin, dropped: &mut Dropped) {
        self.states
            .extract_if(.., |left| left.origin.answer != origin.answer)
            .for_each(|left| dropped.note(&left.origin.path));
        self.calls
            .extract_if(.., |left| left.origin.answer != origin.answer)
            .for_each(|left| dropped.note(&left.origin.path));
        if let Some(state) = state.call.take() {
            let Origin { answer, ref path } = origin;
            self.calls.push(Returned { origin: Origin { answer, path: path.clone() }, state });
        }
        if !state.is_empty() {
            self.states.push(Returned { origin, state });
        }
    }

    /// What is left belongs to nothing that goes up.
    pub fn end(self, dropped: &mut Dropped) {
        let states = self.states.into_iter().map(|left| left.origin);
        states.chain(self.calls.into_iter().map(|left| left.origin)).for_each(|origin| dropped.note(&origin.path));
    }

    /// Puts the states of an answer into its message, behind what is there.
    pub fn join_message(&mut self, answer: usize, message: &mut MessageState<'x>) {
        for Returned { state, .. } in self.states.extract_if(.., |returned| returned.origin.answer == answer) {
            let State { reasoning_content, reasoning, details, extra, call: _ } = state;
            join_text(&mut message.reasoning_content, reasoning_content);
            join_text(&mut message.reasoning, reasoning);
            join_list(&mut message.reasoning_details, details);
            message.extra_content = extra.or(message.extra_content);
        }
    }

    /// Whether a state waits for its call.
    pub fn has_any_of_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The state of a call of this id that stands before it.
    pub fn take_behind_call(&mut self, answer: usize, id: &str) -> Option<&'x RawValue> {
        let is_of = |returned: &Returned<CallState<'x>>| {
            returned.origin.answer == answer && returned.state.id.as_deref() == Some(id)
        };
        let position = self.calls.iter().position(is_of)?;
        Some(self.calls.remove(position).state.extra)
    }

    /// The state of a call of this id that stands behind it.
    pub fn take_of_call(&mut self, answer: usize, id: &str) -> Option<&'x RawValue> {
        let is_of = |returned: &Returned<CallState<'x>>| {
            let known = returned.state.id.as_deref().filter(|id| is_common_id(id));
            returned.origin.answer == answer && known.is_none_or(|known| known == id)
        };
        let position = self.calls.iter().position(is_of)?;
        Some(self.calls.remove(position).state.extra)
    }
}

/// Appends the inside of a JSON string to a text.
fn join_text(text: &mut Option<Json<'_>>, more: Option<&str>) {
    if let Some(more) = more {
        let known = text.as_ref().map_or("", |text| inside(text.get()));
        *text = Some(JsonString::join(&format!("{known}{more}")).into());
    }
}

/// Appends the items of a list to a list.
fn join_list<'x>(list: &mut Option<Json<'x>>, more: Option<&'x RawValue>) {
    let Some(more) = more else { return };
    let joined = list.as_ref().and_then(|list| {
        let (known, more) = (list.get().strip_suffix(']')?, more.get().strip_prefix('[')?);
        Json::parse(format!("{known},{more}"))
    });
    *list = Some(joined.unwrap_or(Json::Borrowed(more)));
}
