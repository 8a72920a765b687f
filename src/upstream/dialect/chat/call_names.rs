//! The names of calls in what a provider answers, as the client knows its tools.
//!
//! Only for requests that have tools with names which the API does not take ([`ToolNames`]): what has such a name is written anew. A
//! stream may bring a name in fragments; what has come of it is kept back until it is known whether it is whole. So is a reason
//! to finish that came with such a part: it may be one of many, since some servers send one in every chunk, and clients count on
//! nothing behind the first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::decode::is_end;
use super::held_calls::{CallPart, HeldCalls, Slot, TOOLS, WatchedNames};
use crate::upstream::dialect::custom_tools::CustomNames;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::wire::carried::carried;
use crate::wire::chat::MAX_CHOICES;
use crate::wire::halves;
use crate::wire::json::may_hold;
use crate::wire::piece::is_reason;

/// Where the older form has its one call.
const LEGACY: &str = "function_call";

/// What stands around the choices of every chunk of an answer.
const AROUND: [&str; 4] = ["id", "object", "created", "model"];

/// Puts the names of a stream's calls right, event by event.
#[derive(Debug)]
pub struct CallNames {
    names: WatchedNames,
    held: HeldCalls,
    /// The last reason to finish of each choice in which more may follow.
    reasons: BTreeMap<u64, Value>,
    /// More of a choice has come behind one of these.
    went_on: bool,
    /// What stood around the choices of the last chunk after which something was kept back.
    around: Map<String, Value>,
}

/// What [`CallNames`] keep back.
#[derive(Debug)]
pub struct KeptBack {
    held: HeldCalls,
    reasons: BTreeMap<u64, Value>,
    went_on: bool,
    around: Map<String, Value>,
}

carried!(KeptBack { held, reasons, went_on, around });

/// Puts the names of calls in a whole answer right; says whether any has changed.
pub fn restore_answer(names: &ToolNames, answer: &mut Value) -> bool {
    let mut is_changed = false;
    for choice in answer.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(message) = choice.get_mut("message").and_then(Value::as_object_mut) else { continue };
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            is_changed |= restore_call(names, call);
        }
        is_changed |= message.get_mut(LEGACY).is_some_and(|call| restore_name(names, call));
    }
    is_changed
}

fn restore_call(names: &ToolNames, call: &mut Value) -> bool {
    TOOLS.map(|(tool, _)| call.get_mut(tool).is_some_and(|tool| restore_name(names, tool))).contains(&true)
}

fn restore_name(names: &ToolNames, tool: &mut Value) -> bool {
    let Some(name) = tool.get_mut("name") else { return false };
    let known = name.as_str().and_then(|name| names.restored(name));
    known.map(|known| *name = known.into()).is_some()
}

impl CallNames {
    pub fn new(tools: ToolNames, custom: CustomNames) -> Self {
        let names = WatchedNames { tools, custom };
        Self { names, held: HeldCalls::default(), reasons: BTreeMap::new(), went_on: false, around: Map::new() }
    }

    pub fn into_state(self) -> KeptBack {
        let Self { names: _, held, reasons, went_on, around } = self;
        KeptBack { held, reasons, went_on, around }
    }

    /// The same names, where so much is kept back.
    pub fn go_on(self, kept: KeptBack) -> Self {
        let KeptBack { held, reasons, went_on, around } = kept;
        Self { names: self.names, held, reasons, went_on, around }
    }

    /// The choices whose reason to finish is kept back.
    pub fn kept_reasons(&self) -> impl Iterator<Item = u64> {
        self.reasons.keys().copied()
    }

    /// Whether a choice has gone on after a reason to finish that was kept back.
    pub fn went_on(&self) -> bool {
        self.went_on
    }

    /// Whether anything is kept back.
    fn keeps_any(&self) -> bool {
        !self.held.is_empty() || !self.reasons.is_empty()
    }

    /// Whether an event may hold something to put right. What is kept back needs all of them.
    fn concerns(&self, data: &[u8]) -> bool {
        self.keeps_any()
            || may_hold(data, "\"name\"")
            || !self.names.custom.is_empty() && may_hold(data, "\"tool_calls\"")
    }

    /// The data of an event with the names of calls put right; nothing if it may pass as it came.
    pub fn chunk(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        if !self.concerns(data) {
            return None;
        }
        if is_end(data) {
            return self.rest();
        }
        let mut chunk: Value = halves::value(data)?;
        let choices = chunk.get_mut("choices")?.as_array_mut()?;
        let mut is_changed = false;
        for (position, choice) in choices.iter_mut().enumerate() {
            let number = choice.get("index").and_then(Value::as_u64).unwrap_or(position as u64);
            let Some(choice) = choice.as_object_mut() else { continue };
            is_changed |= self.choice(number, choice);
        }
        if choices.is_empty() {
            choices.extend(self.end_choices(self.kept_reasons().collect()));
            is_changed |= !choices.is_empty();
        }
        let data = is_changed.then(|| serde_json::to_vec(&chunk).ok()).flatten();
        if let (true, Value::Object(around)) = (self.keeps_any(), chunk) {
            self.around = around.into_iter().filter(|(name, _)| AROUND.contains(&name.as_str())).collect();
        }
        data
    }

    /// What is kept back where the stream ends, in a chunk of its own; nothing if nothing is.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        if !self.keeps_any() {
            return None;
        }
        let numbers = self.kept_reasons().chain(self.held.choices()).collect();
        let choices = self.end_choices(numbers);
        self.around.insert("choices".to_owned(), Value::Array(choices));
        serde_json::to_vec(&self.around).ok()
    }

    /// What is kept back of these choices, each with its reason to finish if one came.
    fn end_choices(&mut self, numbers: BTreeSet<u64>) -> Vec<Value> {
        let end = |number: u64| {
            let mut choice = Map::from_iter([("index".to_owned(), number.into()), ("delta".to_owned(), json!({}))]);
            // Where none came nothing more will.
            self.reasons.entry(number).or_default();
            self.choice(number, &mut choice);
            Value::Object(choice)
        };
        numbers.into_iter().map(end).collect()
    }

    /// Puts the calls of a choice right; says whether anything has changed.
    fn choice(&mut self, number: u64, choice: &mut Map<String, Value>) -> bool {
        let reason = choice.get("finish_reason").filter(|reason| reason.as_str().is_some_and(is_reason)).cloned();
        let (mut delta, is_there) = match choice.get_mut("delta") {
            Some(Value::Object(delta)) => (std::mem::take(delta), true),
            Some(Value::Null) | None => (Map::new(), false),
            Some(_) => return false,
        };
        let legacy = delta.get_mut(LEGACY).filter(|call| call.is_object()).map(Value::take);
        let calls = delta.get_mut("tool_calls").filter(|calls| calls.is_array()).map(Value::take);
        let came = (legacy.clone(), calls.clone());
        // The one call of the older form is told as one of the newer.
        let legacy = legacy.map(|call| (Slot::Legacy, json!({ "function": call })));
        let calls = calls.and_then(|calls| if let Value::Array(calls) = calls { Some(calls) } else { None });
        let slot = |call: &Value| Slot::Call(call.get("index").and_then(Value::as_u64));
        let parts: Vec<(Slot, Value)> =
            legacy.into_iter().chain(calls.into_iter().flatten().map(|call| (slot(&call), call))).collect();
        let (mut only, mut told, mut is_changed) = (None, Vec::new(), false);
        if parts.is_empty() {
            let earlier = self.reasons.remove(&number);
            if reason.is_some() || earlier.is_some() {
                only = self.held.take_all(number, Slot::Legacy).pop();
                told = self.held.take_all(number, Slot::Call(None));
            }
            if let (None, Some(earlier)) = (reason, earlier) {
                choice.insert("finish_reason".to_owned(), earlier);
                is_changed = true;
            }
        } else {
            self.went_on |= self.reasons.contains_key(&number);
            for (slot, call) in parts {
                let taken = self.held.take(CallPart { choice: number, slot, call }, &self.names);
                match slot {
                    Slot::Legacy => only = taken.into_iter().next(),
                    Slot::Call(_) => told.extend(taken),
                }
            }
            if let Some(reason) = reason {
                is_changed |= self.keep_reason(number, reason, choice);
            }
        }
        told.iter_mut().chain(&mut only).for_each(|call| _ = restore_call(&self.names.tools, call));
        let only = only.as_mut().and_then(|call| call.get_mut("function")).map(Value::take);
        let told = (!told.is_empty()).then_some(Value::Array(told));
        is_changed |= (&only, &told) != (&came.0, &came.1);
        for (name, now, before) in [(LEGACY, only, came.0), ("tool_calls", told, came.1)] {
            match now {
                Some(now) => {
                    delta.insert(name.to_owned(), now);
                }
                None if before.is_some() => {
                    delta.remove(name);
                }
                None => {}
            }
        }
        if is_there || !delta.is_empty() {
            choice.insert("delta".to_owned(), Value::Object(delta));
        }
        is_changed
    }

    /// Keeps back the reason to finish that came with parts of a choice's calls, where something of these is still to be told:
    /// what is held here, or of a custom tool's text by who reads that behind. Says whether it has.
    fn keep_reason(&mut self, number: u64, reason: Value, choice: &mut Map<String, Value>) -> bool {
        let is_last = !self.held.holds(number) && self.names.custom.is_empty();
        let has_room = (self.reasons.len() as u64) < MAX_CHOICES || self.reasons.contains_key(&number);
        if is_last || !has_room {
            self.reasons.remove(&number);
            return false;
        }
        self.reasons.insert(number, reason);
        choice.insert("finish_reason".to_owned(), Value::Null);
        true
    }
}

#[cfg(test)]
mod tests;
