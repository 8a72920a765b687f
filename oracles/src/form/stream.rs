//! What the chunks of a Chat Completions stream say together, as SDKs put them together.

use serde_json::{Map, Value, json};

use super::{answer, is_nothing, items, object};

/// The form of a stream: that of the answer that it gives, and how it ends.
pub fn of(chunks: &Value) -> Value {
    let mut joined = Joined::default();
    items(chunks).iter().for_each(|chunk| joined.take(chunk));
    let ended = items(chunks).last().is_some_and(|chunk| chunk == "[DONE]");
    let mut form = answer::of(&joined.answer());
    if let Value::Object(fields) = &mut form {
        fields.insert("end".to_owned(), if ended { "marked".into() } else { "none".into() });
        fields.extend(object([("faults", joined.faults.into())]).as_object().cloned().unwrap_or_default());
    }
    form
}

#[derive(Default)]
struct Joined {
    head: Map<String, Value>,
    message: Map<String, Value>,
    calls: Vec<Value>,
    finish: Value,
    usage: Value,
    /// What SDKs would stumble over.
    faults: Vec<String>,
}

impl Joined {
    fn take(&mut self, chunk: &Value) {
        for name in ["id", "model", "error"] {
            if !is_nothing(&chunk[name]) {
                self.head.entry(name).or_insert_with(|| chunk[name].clone());
            }
        }
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].clone();
        }
        for choice in items(&chunk["choices"]) {
            let delta = &choice["delta"];
            if !self.finish.is_null() && delta.as_object().is_some_and(|delta| !delta.values().all(is_nothing)) {
                self.fault("content behind the reason to finish");
            }
            for (name, value) in delta.as_object().into_iter().flatten() {
                match name.as_str() {
                    "tool_calls" => items(value).iter().for_each(|call| self.call(call)),
                    "function_call" => self.function(value),
                    _ => append(self.message.entry(name.clone()).or_insert(Value::Null), value),
                }
            }
            if !choice["finish_reason"].is_null() {
                if !self.finish.is_null() {
                    self.fault("more than one reason to finish");
                }
                self.finish = choice["finish_reason"].clone();
            }
        }
    }

    fn fault(&mut self, fault: &str) {
        if !self.faults.iter().any(|known| known == fault) {
            self.faults.push(fault.to_owned());
        }
    }

    /// SDKs put calls where their index says, and take an absent one for 0.
    fn call(&mut self, delta: &Value) {
        let index = delta["index"].as_u64().unwrap_or(0);
        let place = match self.calls.iter().position(|call| call["index"] == index) {
            Some(place) => place,
            None => {
                if index != self.calls.len() as u64 {
                    self.fault("indexes of calls do not count from 0");
                }
                self.calls.push(json!({"index": index}));
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[place];
        for name in ["id", "type"] {
            if !is_nothing(&delta[name]) {
                call[name] = delta[name].clone();
            }
        }
        for kind in ["function", "custom"] {
            for (name, value) in delta[kind].as_object().into_iter().flatten() {
                append(&mut call[kind][name], value);
            }
        }
    }

    fn function(&mut self, delta: &Value) {
        let call = self.message.entry("function_call").or_insert_with(|| json!({}));
        for (name, value) in delta.as_object().into_iter().flatten() {
            append(&mut call[name], value);
        }
    }

    fn answer(&self) -> Value {
        let mut message = self.message.clone();
        message.insert("tool_calls".to_owned(), self.calls.clone().into());
        let mut answer = self.head.clone();
        answer.insert("choices".to_owned(), json!([{"message": message, "finish_reason": self.finish}]));
        answer.insert("usage".to_owned(), self.usage.clone());
        answer.into()
    }
}

fn append(to: &mut Value, value: &Value) {
    match (&mut *to, value) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) => text.push_str(more),
        _ => *to = value.clone(),
    }
}
