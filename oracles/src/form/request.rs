//! What a request of the Messages API says.

use serde_json::{Value, json};

use super::{is_nothing, items, object, others};

const KNOWN: [&str; 15] = [
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_p",
    "cache_control",
];

/// The form of a request.
pub fn of(body: &Value) -> Value {
    let mut talk = Talk::default();
    for message in items(&body["messages"]) {
        talk.take(message);
    }
    let choice = &body["tool_choice"];
    object([
        ("limit", body["max_tokens"].clone()),
        ("stream", body["stream"].clone()),
        ("stop", body["stop_sequences"].clone()),
        ("temperature", body["temperature"].clone()),
        ("top_p", body["top_p"].clone()),
        ("user", body["metadata"]["user_id"].clone()),
        ("metadata", others(&body["metadata"], &["user_id"])),
        ("service_tier", body["service_tier"].clone()),
        ("thinking", thinking(&body["thinking"])),
        ("effort", body["output_config"]["effort"].clone()),
        ("format", body["output_config"]["format"].clone()),
        ("system", texts(&body["system"]).into()),
        ("turns", talk.turns.iter().map(|turn| turn.join(", ")).collect()),
        ("texts", talk.texts.into()),
        ("media", talk.media.into()),
        ("thoughts", talk.thoughts.into()),
        ("calls", talk.calls.into()),
        ("results", talk.results.into()),
        ("ids", talk.odd_ids.map_or(Value::Null, Value::from)),
        ("tools", tools(&body["tools"])),
        ("choice", if choice["type"] == "auto" { Value::Null } else { others(choice, &["disable_parallel_tool_use"]) }),
        ("serial", choice["disable_parallel_tool_use"].clone()),
        ("cache", marks(body).into()),
        ("others", others(body, &KNOWN)),
    ])
}

fn thinking(config: &Value) -> Value {
    if config["type"] == "disabled" { Value::Null } else { config.clone() }
}

/// Texts joined, however many blocks they stand in and whatever lines lie between them.
fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => lines(text),
        _ => lines(&items(content).iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")),
    }
}

fn lines(text: &str) -> String {
    text.split('\n').filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The conversation, taken apart.
#[derive(Default)]
struct Talk {
    /// Who says what kinds of things; the API joins turns of one speaker, and so does this.
    turns: Vec<Vec<String>>,
    texts: Vec<String>,
    media: Vec<Value>,
    thoughts: Vec<Value>,
    calls: Vec<Value>,
    results: Vec<Value>,
    ids: Vec<String>,
    /// What the API would say to the ids of calls and results.
    odd_ids: Option<&'static str>,
}

impl Talk {
    fn take(&mut self, message: &Value) {
        let speaker = message["role"].as_str().unwrap_or_default();
        let head = format!("{speaker}:");
        if self.turns.last().is_none_or(|turn| turn[0] != head) {
            self.turns.push(vec![head]);
        }
        match &message["content"] {
            Value::String(text) => self.text(text),
            content => items(content).iter().for_each(|block| self.block(block)),
        }
    }

    fn outline(&mut self, kind: &str) {
        self.turns.last_mut().expect("a turn should have begun").push(kind.to_owned());
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            self.outline("empty text");
        } else if self.turns.last().and_then(|turn| turn.last()).is_some_and(|kind| kind == "text") {
            let last = self.texts.last_mut().expect("a text should stand here");
            *last = lines(&format!("{last}\n{text}"));
        } else {
            self.outline("text");
            self.texts.push(lines(text));
        }
    }

    fn block(&mut self, block: &Value) {
        let kind = block["type"].as_str().unwrap_or_default();
        match kind {
            "text" => return self.text(block["text"].as_str().unwrap_or_default()),
            "image" | "document" => self.media.push(others(block, &["cache_control"])),
            "thinking" | "redacted_thinking" => self.thoughts.push(block.clone()),
            "tool_use" => {
                self.note_id(&block["id"]);
                let id = block["id"].as_str().unwrap_or_default().to_owned();
                if self.ids.contains(&id) {
                    self.odd_ids = Some("not unique");
                }
                self.ids.push(id);
                self.calls.push(json!({"name": block["name"], "input": block["input"]}));
            }
            "tool_result" => {
                self.note_id(&block["tool_use_id"]);
                let call = self.ids.iter().rposition(|id| block["tool_use_id"] == id.as_str());
                let media = items(&block["content"]).iter().filter(|part| part["type"] != "text");
                self.results.push(object([
                    ("call", call.map_or("none".into(), Into::into)),
                    ("text", texts(&block["content"]).into()),
                    ("media", media.map(|part| others(part, &["cache_control"])).collect()),
                    ("failed", block["is_error"].clone()),
                ]));
            }
            _ => {}
        }
        self.outline(kind);
    }

    fn note_id(&mut self, id: &Value) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !id.as_str().is_some_and(|id| !id.is_empty() && id.bytes().all(is_plain)) {
            self.odd_ids = Some("outside of the API's pattern");
        }
    }
}

fn tools(tools: &Value) -> Value {
    let tools = items(tools).iter().map(|tool| {
        let form = object([
            ("description", tool["description"].clone()),
            ("schema", tool["input_schema"].clone()),
            ("strict", tool["strict"].clone()),
            ("others", others(tool, &["name", "description", "input_schema", "strict", "cache_control", "type"])),
        ]);
        (tool["name"].as_str().unwrap_or_default().to_owned(), form)
    });
    Value::Object(tools.collect())
}

/// How many marks for the cache there are, at any depth.
fn marks(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(marks).sum(),
        Value::Object(fields) => {
            let own = u64::from(fields.get("cache_control").is_some_and(|mark| !is_nothing(mark)));
            own + fields.values().map(marks).sum::<u64>()
        }
        _ => 0,
    }
}
