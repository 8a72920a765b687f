//! Calls of a stream that are kept back while their names may go on, and which parts of calls are more of them.
//!
//! What is told keeps the order in which the calls of a choice began, as readers of streams count on it: a call whose name is
//! whole waits behind one whose name may go on, since the parts of parallel calls may come in turns.

use serde_json::Value;

use crate::upstream::dialect::custom_tools::CustomNames;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::wire::carried::carried;

/// What a call's name and input stand in, and what its input is called there.
pub const TOOLS: [(&str, &str); 2] = [("function", "arguments"), ("custom", "input")];

/// The most calls that are kept back at a time.
const MAX_HELD: usize = 1_024;
/// How much is kept back at a time, in bytes of JSON.
const MAX_HELD_BYTES: usize = 256 * 1024;
/// The longest input of a call that waits for the name of another. A name that is given to a provider has 64 bytes at most, so
/// where calls come in turns no other is far ahead of it.
pub const MAX_WAITING_BYTES: usize = 512;

/// The names that decide what becomes of a call.
#[derive(Debug)]
pub struct WatchedNames {
    /// Those that the client knows otherwise.
    pub tools: ToolNames,
    /// Those of tools whose calls are told in another form.
    pub custom: CustomNames,
}

impl WatchedNames {
    /// Whether a name that matters begins with `beginning`, or is it.
    fn begin_with(&self, beginning: &str) -> bool {
        self.tools.begin_with(beginning) || self.custom.contains(beginning) || self.custom.go_on_after(beginning)
    }

    /// Whether a name that matters begins with `beginning`, and does not end there.
    fn go_on_after(&self, beginning: &str) -> bool {
        self.tools.go_on_after(beginning) || self.custom.go_on_after(beginning)
    }
}

/// Where a part of a call stands in its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// In the older form, which has one call.
    Legacy,
    /// Among calls, under its number if it has one.
    Call(Option<u64>),
}

carried!(Slot = Legacy | Call(index));

impl Slot {
    /// Whether both are of one form, whose calls have an order.
    fn is_beside(self, other: Self) -> bool {
        (self == Self::Legacy) == (other == Self::Legacy)
    }

    /// Whether both may be the place of one call.
    fn may_be(self, other: Self) -> bool {
        match (self, other) {
            (Self::Call(Some(index)), Self::Call(Some(own))) => index == own,
            _ => self.is_beside(other),
        }
    }
}

/// A part of a call as it came.
#[derive(Debug)]
pub struct CallPart {
    pub choice: u64,
    pub slot: Slot,
    pub call: Value,
}

/// The calls that are kept back, those of each choice in their order.
#[derive(Debug, Default)]
pub struct HeldCalls {
    held: Vec<Held>,
}

carried!(HeldCalls { held });

/// A call that is kept back.
#[derive(Debug)]
struct Held {
    choice: u64,
    slot: Slot,
    call: Value,
    /// How many bytes of JSON its parts had.
    bytes: usize,
    /// Another call has begun in its place, so nothing more belongs to it.
    is_over: bool,
    /// Its name does not go on.
    is_settled: bool,
}

carried!(Held { choice, slot, call, bytes, is_over, is_settled });

impl HeldCalls {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes the next part of a call, and returns what is to be told now.
    pub fn take(&mut self, part: CallPart, names: &WatchedNames) -> Vec<Value> {
        let CallPart { choice, slot, call } = part;
        let bytes = call.to_string().len();
        let mut last = None;
        for (at, held) in self.held.iter_mut().enumerate() {
            if held.choice != choice || !held.slot.may_be(slot) {
                continue;
            }
            if !held.is_over && held.goes_on(slot, &call, names) {
                last = Some(at);
            } else {
                (held.is_over, held.is_settled) = (true, true);
            }
        }
        let at = match last {
            Some(at) => {
                join(&mut self.held[at].call, call);
                at
            }
            None => {
                let bytes = 0;
                self.held.push(Held { choice, slot, call, bytes, is_over: false, is_settled: false });
                self.held.len() - 1
            }
        };
        let held = &mut self.held[at];
        held.bytes += bytes;
        let (name, input_bytes) = (tool_name(&held.call), input_bytes(&held.call));
        held.is_settled = name.is_empty() || input_bytes > 0 || !names.go_on_after(name);
        let held_bytes: usize = self.held.iter().map(|held| held.bytes).sum();
        let waits_no_longer =
            input_bytes > MAX_WAITING_BYTES || self.held.len() > MAX_HELD || held_bytes > MAX_HELD_BYTES;
        let mut is_first = true;
        let mut position = 0;
        self.tell(|held| {
            position += 1;
            if held.choice != choice || !held.slot.is_beside(slot) {
                return false;
            }
            is_first &= held.is_settled || (waits_no_longer && position <= at + 1);
            is_first
        })
    }

    /// Whether anything is held of a choice.
    pub fn holds(&self, choice: u64) -> bool {
        self.choices().any(|held| held == choice)
    }

    /// The choice of each call that is held.
    pub fn choices(&self) -> impl Iterator<Item = u64> {
        self.held.iter().map(|held| held.choice)
    }

    /// All that is held of a choice in one form of calls, that of `slot`.
    pub fn take_all(&mut self, choice: u64, slot: Slot) -> Vec<Value> {
        self.tell(|held| held.choice == choice && held.slot.is_beside(slot))
    }

    /// Takes out what is to be told.
    fn tell(&mut self, mut is_meant: impl FnMut(&Held) -> bool) -> Vec<Value> {
        self.held.extract_if(.., |held| is_meant(held)).map(|held| held.call).collect()
    }
}

impl Held {
    /// Whether a part that stands there is more of this call. Some providers number no calls, or all alike, so one that says what
    /// a call begins with, id or type, and has a name that makes none with what came of this one, begins another; without a
    /// number so does one with another id.
    fn goes_on(&self, slot: Slot, part: &Value, names: &WatchedNames) -> bool {
        let (more, own) = (tool_name(part), tool_name(&self.call));
        let is_one_name = || more.is_empty() || names.begin_with(&format!("{own}{more}"));
        match (slot, self.slot) {
            (Slot::Legacy, Slot::Legacy) => true,
            (Slot::Call(Some(index)), Slot::Call(own)) => {
                Some(index) == own && (is_one_name() || !says(part, "id") && !says(part, "type"))
            }
            (Slot::Call(None), Slot::Call(_)) => {
                is_one_name() && (!says(part, "id") || part.get("id") == self.call.get("id"))
            }
            (Slot::Legacy, Slot::Call(_)) | (Slot::Call(_), Slot::Legacy) => false,
        }
    }
}

/// The name in a part of a call; empty if there is none.
fn tool_name(call: &Value) -> &str {
    let name = |(tool, _): (&str, _)| call.get(tool).and_then(|tool| tool.get("name")).and_then(Value::as_str);
    TOOLS.into_iter().find_map(name).unwrap_or_default()
}

fn input_bytes(call: &Value) -> usize {
    let bytes = |(tool, input): (&str, &str)| call.get(tool)?.get(input)?.as_str().map(str::len);
    TOOLS.into_iter().filter_map(bytes).sum()
}

fn says(call: &Value, name: &str) -> bool {
    call.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

/// Joins a part of a call to what came before it.
fn join(call: &mut Value, part: Value) {
    let (Some(call), Value::Object(part)) = (call.as_object_mut(), part) else { return };
    for (name, value) in part {
        match (call.get_mut(&name), value) {
            (Some(known @ Value::Object(_)), value @ Value::Object(_)) => join(known, value),
            (Some(Value::String(known)), Value::String(more)) => match name.as_str() {
                "name" | "arguments" | "input" => known.push_str(&more),
                _ if more.is_empty() => {}
                _ => *known = more,
            },
            (Some(_), Value::Null) => {}
            (_, value) => {
                call.insert(name, value);
            }
        }
    }
}
