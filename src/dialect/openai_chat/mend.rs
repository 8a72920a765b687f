//! Answers of providers that deviate so far that OpenAI's SDKs stumble, put right. Only for providers whose policy row says so,
//! since every event has to be written anew.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::policy::Quirk;

/// What is to be put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mends {
    /// Tool calls may lack index and id, and their answer ends with `stop` (Gemini's compatibility layer).
    tool_calls: bool,
    /// `model_length` is `length`, `error` is an error (Mistral).
    finish_reasons: bool,
}

/// What is known of the calls of a stream, by choice.
#[derive(Debug, Default)]
pub struct Calls(HashMap<u64, Vec<String>>);

impl Mends {
    pub fn of(quirks: &[Quirk]) -> Self {
        Self {
            tool_calls: quirks.contains(&Quirk::ToolDeltaWithoutIndex),
            finish_reasons: quirks.contains(&Quirk::FinishReasons),
        }
    }

    /// Whether anything is.
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// A whole answer, put right; what is no JSON stays as it is.
    pub fn answer(self, body: Vec<u8>) -> Vec<u8> {
        self.rewrite(&body, "message", &mut Calls::default()).unwrap_or(body)
    }

    /// One chunk of a stream, put right.
    pub fn chunk(self, data: &[u8], calls: &mut Calls) -> Option<Vec<u8>> {
        self.rewrite(data, "delta", calls)
    }

    fn rewrite(self, json: &[u8], holder: &str, calls: &mut Calls) -> Option<Vec<u8>> {
        let mut value: Value = serde_json::from_slice(json).ok()?;
        for choice in value.get_mut("choices")?.as_array_mut()? {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or_default();
            let known = calls.0.entry(index).or_default();
            if let (true, Some(Value::Array(parts))) = (self.tool_calls, choice.get_mut(holder)?.get_mut("tool_calls"))
            {
                parts.iter_mut().for_each(|part| number(part, holder, known));
            }
            let reason = choice.get("finish_reason").and_then(Value::as_str);
            let right = match reason {
                Some("stop") if self.tool_calls && !known.is_empty() => Some("tool_calls"),
                Some("model_length") if self.finish_reasons => Some("length"),
                _ => None,
            };
            if let Some(right) = right {
                choice["finish_reason"] = right.into();
            }
        }
        serde_json::to_vec(&value).ok()
    }
}

/// Gives a call its index and id. Without an index a part with a name begins a call, any other belongs to the last one.
fn number(part: &mut Value, holder: &str, known: &mut Vec<String>) {
    let Some(call) = part.as_object_mut() else { return };
    let id = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    let names = call.get("function").and_then(|function| function.get("name")).is_some_and(|name| !name.is_null());
    let given = call.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
    let same = id.as_ref().and_then(|id| known.iter().position(|known| known == id));
    let ordinal = match given.or(same) {
        Some(ordinal) => ordinal.min(known.len()),
        None if names || known.is_empty() => known.len(),
        None => known.len() - 1,
    };
    if ordinal == known.len() {
        let id = id.unwrap_or_else(|| format!("call_{ordinal}"));
        call.insert("id".to_owned(), json!(id));
        call.entry("type").or_insert(json!("function"));
        known.push(id);
    } else if id.is_none() {
        // An empty id would be joined to the one that was sent.
        call.remove("id");
    }
    if holder == "delta" {
        call.insert("index".to_owned(), json!(ordinal));
    }
}
