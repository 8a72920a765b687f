//! The gateway's translation of a whole answer, told as a stream: both must say the same of cases that have both.

use serde_json::{Value, json};

use crate::case::Case;
use crate::gateway;
use crate::outcome::Outcome;

/// Nothing but the stream, where a case has the same answer whole.
pub fn translate(case: &Case) -> Outcome {
    let has_both = case.answer.is_some() && case.stream.is_some();
    let answer = has_both.then(|| gateway::translate(case).answer).flatten();
    Outcome { stream: answer.map(|answer| answer.map(|body| chunks(&body))), ..Outcome::default() }
}

/// One chunk with all of it, and the end marker.
fn chunks(body: &Value) -> Value {
    let mut chunk = body.clone();
    for choice in chunk["choices"].as_array_mut().into_iter().flatten() {
        let mut delta = choice["message"].take();
        for (index, call) in delta["tool_calls"].as_array_mut().into_iter().flatten().enumerate() {
            call["index"] = index.into();
        }
        choice["delta"] = delta;
    }
    json!([chunk, "[DONE]"])
}
