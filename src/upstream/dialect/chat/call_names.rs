//! The names of calls in what a provider answers, as the client knows its tools.
//!
//! Only for requests that have tools with names which the API does not take ([`ToolNames`]): what has such a name is written anew. A
//! stream may bring a name in fragments; what has come of it is kept back until it is known whether it is whole.

use memchr::memmem;
use serde_json::{Map, Value};

use crate::upstream::dialect::tool_names::ToolNames;

/// The most calls that are kept back at a time.
const MAX_HELD: usize = 64;
/// What a call's name and input stand in, and what its input is called there.
const TOOLS: [(&str, &str); 2] = [("function", "arguments"), ("custom", "input")];

/// Puts the names of a stream's calls right, event by event.
#[derive(Debug)]
pub struct CallNames {
    names: ToolNames,
    held: Vec<Held>,
}

/// A call whose name may go on.
#[derive(Debug)]
struct Held {
    choice: u64,
    /// Its number; nothing where it has none.
    index: Option<u64>,
    call: Value,
}

/// A whole answer with the names of calls put right; nothing if it may pass as it came.
pub fn restore_answer(names: &ToolNames, body: &[u8]) -> Option<Vec<u8>> {
    if !names.are_in(body) {
        return None;
    }
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    for choice in answer.get_mut("choices")?.as_array_mut()? {
        let Some(message) = choice.get_mut("message").and_then(Value::as_object_mut) else { continue };
        let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
        calls.into_iter().flatten().for_each(|call| restore_call(names, call));
        if let Some(call) = message.get_mut("function_call") {
            restore_name(names, call);
        }
    }
    serde_json::to_vec(&answer).ok()
}

fn restore_call(names: &ToolNames, call: &mut Value) {
    for (tool, _) in TOOLS {
        if let Some(tool) = call.get_mut(tool) {
            restore_name(names, tool);
        }
    }
}

fn restore_name(names: &ToolNames, tool: &mut Value) {
    if let Some(name) = tool.get_mut("name")
        && let Some(known) = name.as_str().and_then(|name| names.restored(name))
    {
        *name = known.into();
    }
}

impl CallNames {
    pub fn new(names: ToolNames) -> Self {
        Self { names, held: Vec::new() }
    }

    /// The data of an event with the names of calls put right; nothing if it may pass as it came.
    pub fn chunk(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        if self.held.is_empty() && memmem::find(data, br#""name""#).is_none() {
            return None;
        }
        let mut chunk: Value = serde_json::from_slice(data).ok()?;
        let mut is_changed = false;
        for (position, choice) in chunk.get_mut("choices")?.as_array_mut()?.iter_mut().enumerate() {
            let number = choice.get("index").and_then(Value::as_u64).unwrap_or(position as u64);
            let is_over = choice.get("finish_reason").is_some_and(Value::is_string);
            let Some(choice) = choice.as_object_mut() else { continue };
            is_changed |= self.choice(number, is_over, choice);
        }
        is_changed.then(|| serde_json::to_vec(&chunk).ok()).flatten()
    }

    /// Puts the calls of a choice right; says whether anything has changed.
    fn choice(&mut self, number: u64, is_over: bool, choice: &mut Map<String, Value>) -> bool {
        let delta = choice.get_mut("delta").and_then(Value::as_object_mut);
        let mut is_changed = false;
        let mut told = Vec::new();
        if let Some(delta) = delta {
            if let Some(call) = delta.get_mut("function_call") {
                let before = call.clone();
                restore_name(&self.names, call);
                is_changed |= before != *call;
            }
            if let Some(Value::Array(parts)) = delta.remove("tool_calls") {
                let came = parts.clone();
                for part in parts {
                    let index = part.get("index").and_then(Value::as_u64);
                    self.release(number, index, &mut told);
                    told.extend(self.part(number, index, part));
                }
                is_changed |= told != came;
            }
        }
        if is_over {
            let before = told.len();
            self.release_all(number, &mut told);
            is_changed |= told.len() > before;
        }
        if !told.is_empty() {
            let delta = choice.entry("delta").or_insert_with(|| Value::Object(Map::new()));
            if let Some(delta) = delta.as_object_mut() {
                delta.insert("tool_calls".to_owned(), Value::Array(told));
            }
        }
        is_changed
    }

    /// A part of a call, unless its name may go on.
    fn part(&mut self, choice: u64, index: Option<u64>, part: Value) -> Option<Value> {
        let is_same = |held: &Held| held.choice == choice && (index.is_none() || held.index == index);
        let mut call = match self.held.iter().position(is_same) {
            Some(position) => {
                let mut held = self.held.remove(position).call;
                join(&mut held, part);
                held
            }
            None => part,
        };
        let may_go_on = TOOLS.into_iter().any(|(tool, input)| {
            let inside = |name: &str| call.get(tool).and_then(|tool| tool.get(name)).and_then(Value::as_str);
            let name = inside("name").unwrap_or_default();
            !name.is_empty() && inside(input).unwrap_or_default().is_empty() && self.names.go_on_after(name)
        });
        if may_go_on && self.held.len() < MAX_HELD {
            self.held.push(Held { choice, index, call });
            return None;
        }
        restore_call(&self.names, &mut call);
        Some(call)
    }

    /// Tells what is held of other calls of the choice, since another one has begun.
    fn release(&mut self, choice: u64, index: Option<u64>, told: &mut Vec<Value>) {
        if index.is_some() {
            self.tell(|held| held.choice == choice && held.index != index, told);
        }
    }

    fn release_all(&mut self, choice: u64, told: &mut Vec<Value>) {
        self.tell(|held| held.choice == choice, told);
    }

    fn tell(&mut self, is_told: impl Fn(&Held) -> bool, told: &mut Vec<Value>) {
        for mut held in self.held.extract_if(.., |held| is_told(held)) {
            restore_call(&self.names, &mut held.call);
            told.push(held.call);
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Dialect;

    fn names() -> ToolNames {
        let tools = r#"[{"function":{"name":"a.b"}},{"function":{"name":"a.b.c"}},{"custom":{"name":"d e"}},{"function":{"name":"plain"}}]"#;
        let tools = serde_json::from_str(tools).expect("JSON");
        ToolNames::of_fields([Some(tools), None], Dialect::OpenaiChat)
    }

    /// The calls that a client of the stream gets: name and input of each, by index.
    fn told(events: &[Value]) -> Vec<String> {
        let mut names = CallNames::new(names());
        let mut calls: Vec<String> = Vec::new();
        for event in events {
            let data = event.to_string().into_bytes();
            let data = names.chunk(&data).unwrap_or(data);
            let event: Value = serde_json::from_slice(&data).expect("JSON");
            for part in event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let index = usize::try_from(part["index"].as_u64().expect("an index")).expect("small");
                assert!(index <= calls.len(), "calls begin in order: {event}");
                if index == calls.len() {
                    assert!(part["id"].is_string() && part["function"]["name"].is_string(), "{event}");
                    calls.push(String::new());
                }
                for name in ["name", "arguments"] {
                    calls[index].push_str(part["function"][name].as_str().unwrap_or_default());
                }
            }
        }
        assert!(names.held.is_empty(), "nothing is kept back at the end");
        calls
    }

    fn event(delta: Value, finish_reason: Value) -> Value {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})
    }

    fn part(index: usize, function: Value) -> Value {
        let mut part = json!({"index": index, "function": function});
        if part["function"]["name"].is_string() {
            part["id"] = json!(format!("call_{index}"));
        }
        event(json!({"tool_calls": [part]}), Value::Null)
    }

    #[test]
    fn names_come_back_wherever_a_stream_splits_them() {
        let end = event(json!({}), json!("tool_calls"));
        for name in ["a.b", "a.b.c", "plain"] {
            let sent = names().write(name.into()).into_owned();
            for first in 0..=sent.len() {
                for second in first..=sent.len() {
                    let parts = [&sent[..first], &sent[first..second], &sent[second..]];
                    let mut events: Vec<Value> =
                        parts.iter().map(|name| part(0, json!({"name": name, "arguments": ""}))).collect();
                    events.push(part(0, json!({"arguments": "{\"a\":"})));
                    events.push(part(0, json!({"arguments": "1}"})));
                    events.push(end.clone());
                    assert_eq!(told(&events), [format!("{name}{{\"a\":1}}")], "{parts:?}");
                }
            }
        }
    }

    #[test]
    fn calls_whose_name_may_go_on_are_told_when_another_begins_or_the_choice_ends() {
        let sent = |name: &'static str| names().write(name.into()).into_owned();
        let whole = |index, name| part(index, json!({"name": sent(name), "arguments": ""}));
        let end = event(json!({}), json!("tool_calls"));
        assert_eq!(told(&[whole(0, "a.b"), whole(1, "a.b.c"), end.clone()]), ["a.b", "a.b.c"]);
        let beginning = |index| part(index, json!({"name": "a_b", "arguments": ""}));
        assert_eq!(told(&[beginning(0), beginning(1), end.clone()]), ["a_b", "a_b"]);
        let both = json!({"tool_calls": [
            {"index": 0, "id": "c", "function": {"name": sent("a.b"), "arguments": "{}"}},
            {"index": 1, "id": "d", "function": {"name": "a_", "arguments": ""}},
        ]});
        assert_eq!(told(&[event(both, json!("stop"))]), ["a.b{}", "a_"]);
    }

    #[test]
    fn what_has_no_other_name_passes_as_it_came() {
        let mut names = CallNames::new(names());
        for data in [
            r#"{"choices":[{"index":0,"delta":{"content":"a_b"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"plain","arguments":""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"name\""}}]}}]}"#,
            "[DONE]",
            r#"{"error":{"name":"a_b"}}"#,
        ] {
            assert_eq!(names.chunk(data.as_bytes()), None, "{data}");
        }
    }

    #[test]
    fn names_in_whole_answers_come_back_in_every_form_of_a_call() {
        let names = names();
        let sent = |name: &'static str| names.write(name.into()).into_owned();
        let body = |first: &str, second: &str, third: &str| {
            json!({"choices": [{"message": {"content": null, "function_call": {"name": first, "arguments": "{}"}, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": second, "arguments": "{}"}},
                {"id": "d", "type": "custom", "custom": {"name": third, "input": "x"}},
            ]}}]})
        };
        let came = body(&sent("a.b"), &sent("a.b.c"), &sent("d e")).to_string();
        let restored = restore_answer(&names, came.as_bytes()).expect("another body");
        let restored: Value = serde_json::from_slice(&restored).expect("JSON");
        assert_eq!(restored, body("a.b", "a.b.c", "d e"));
        assert_eq!(restore_answer(&names, body("x", "y", "z").to_string().as_bytes()), None);
    }
}
