//! What is translated: a client's request, a provider's answer, a provider's stream.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A case; what it lacks is not translated.
pub struct Case {
    /// Where it comes from and what it shows: `golden/answer-calls`.
    pub name: String,
    pub request: Option<Value>,
    pub answer: Option<Value>,
    /// The events of a stream; a string is a comment, or data that is no JSON.
    pub stream: Option<Vec<Value>>,
}

impl Case {
    /// The client's request, or one that could have led to the answer.
    pub fn asked(&self) -> Value {
        self.request.clone().unwrap_or_else(|| json!({"messages": [{"role": "user", "content": "Hi"}]}))
    }

    /// The same, from a client that wants a stream and its usage.
    pub fn asked_as_stream(&self) -> Value {
        let mut asked = self.asked();
        asked["stream"] = true.into();
        asked["stream_options"] = json!({"include_usage": true});
        asked
    }

    /// The stream as a provider sends it.
    pub fn wire(&self) -> Option<String> {
        Some(self.stream.as_ref()?.iter().map(on_the_wire).collect())
    }
}

fn on_the_wire(event: &Value) -> String {
    match event {
        Value::String(comment) if comment.starts_with(':') => format!("{comment}\n\n"),
        Value::String(data) => format!("data: {data}\n\n"),
        _ => format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("message")),
    }
}

/// The cases of a folder, by name. They are written as in `tests/golden/`, of which only what is given is read.
pub fn read_all(origin: &str, folder: &Path) -> Vec<Case> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| read(origin, path)).collect()
}

fn read(origin: &str, path: &Path) -> Case {
    let text = fs::read_to_string(path).expect("a readable case");
    let mut value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut take = |name: &str| Some(value[name].take()).filter(|value| !value.is_null());
    Case {
        name: format!("{origin}/{}", path.file_stem().expect("a name").to_string_lossy()),
        request: take("request").map(with_model),
        answer: take("upstream_answer").filter(Value::is_object),
        stream: take("upstream_stream").and_then(|events| events.as_array().cloned()),
    }
}

/// The golden cases leave out the model, which their policy names; others will not do without.
fn with_model(mut request: Value) -> Value {
    if request["model"].is_null() {
        request["model"] = "claude-fable-5".into();
    }
    request
}
