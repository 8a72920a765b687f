//! The names of calls in what a provider answers, as the client knows its tools.
//!
//! Only for requests that have tools with names which the API does not take ([`ToolNames`]): what has such a name is written anew. A
//! stream may bring a name in fragments; what has come of it is kept back until it is known whether it is whole.

use memchr::memmem;
use serde_json::{Map, Value, json};

use super::held_calls::{CallPart, HeldCalls, Slot, TOOLS, WatchedNames};
use crate::upstream::dialect::custom_tools::CustomNames;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::wire::halves;
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
    /// What stood around the choices of the last chunk after which something was held.
    around: Map<String, Value>,
}

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
        Self { names: WatchedNames { tools, custom }, held: HeldCalls::default(), around: Map::new() }
    }

    /// The data of an event with the names of calls put right; nothing if it may pass as it came.
    pub fn chunk(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        if self.held.is_empty() && memmem::find(data, br#""name""#).is_none() {
            return None;
        }
        if data.trim_ascii() == b"[DONE]" {
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
            self.end_choices(choices);
            is_changed |= !choices.is_empty();
        }
        let data = is_changed.then(|| serde_json::to_vec(&chunk).ok()).flatten();
        if let (false, Value::Object(around)) = (self.held.is_empty(), chunk) {
            self.around = around.into_iter().filter(|(name, _)| AROUND.contains(&name.as_str())).collect();
        }
        data
    }

    /// What is held where the stream ends, in a chunk of its own; nothing if nothing is.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        if self.held.is_empty() {
            return None;
        }
        self.held.end();
        let mut choices = Vec::new();
        self.end_choices(&mut choices);
        self.around.insert("choices".to_owned(), Value::Array(choices));
        serde_json::to_vec(&self.around).ok()
    }

    /// Tells what is held of choices that have a reason to finish, in choices without anything else.
    fn end_choices(&mut self, choices: &mut Vec<Value>) {
        while let Some(number) = self.held.finished_choice() {
            let mut choice = Map::from_iter([("index".to_owned(), number.into()), ("delta".to_owned(), json!({}))]);
            self.choice(number, &mut choice);
            choices.push(Value::Object(choice));
        }
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
        let (mut only, mut told) = (None, Vec::new());
        if parts.is_empty() {
            // A name that came with a reason may go on in spite of it: some servers send one in every chunk.
            let earlier = self.held.reason(number).cloned();
            if reason.is_some() || earlier.is_some() {
                only = self.held.take_all(number, Slot::Legacy).pop();
                told = self.held.take_all(number, Slot::Call(None));
            }
            if let (None, Some(earlier)) = (reason, earlier) {
                choice.insert("finish_reason".to_owned(), earlier);
            }
        } else {
            for (slot, call) in parts {
                let taken = self.held.take(CallPart { choice: number, slot, call }, &self.names);
                match slot {
                    Slot::Legacy => only = taken.into_iter().next(),
                    Slot::Call(_) => told.extend(taken),
                }
            }
            self.held.note_reason(number, reason.as_ref());
        }
        told.iter_mut().chain(&mut only).for_each(|call| _ = restore_call(&self.names.tools, call));
        let only = only.as_mut().and_then(|call| call.get_mut("function")).map(Value::take);
        let told = (!told.is_empty()).then_some(Value::Array(told));
        let is_changed = (&only, &told) != (&came.0, &came.1);
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
}

#[cfg(test)]
mod tests;
