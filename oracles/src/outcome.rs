//! What becomes of a case.

use serde_json::Value;

/// What a translator makes of something, or why it does not.
pub type Translated = Result<Value, String>;

/// What a translator makes of a case. A stream is an array of its chunks, with the end marker as a string.
#[derive(Default)]
pub struct Outcome {
    pub request: Option<Translated>,
    pub answer: Option<Translated>,
    pub stream: Option<Translated>,
}

/// The data of a Chat Completions stream; the end marker is a string.
pub fn events(wire: &str) -> Translated {
    let data = wire.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    let events = data.map(|data| match data {
        "[DONE]" => Ok(Value::from(data)),
        _ => serde_json::from_str(data).map_err(|error| format!("no JSON in its stream: {error}")),
    });
    events.collect::<Result<Vec<Value>, String>>().map(Value::from)
}
