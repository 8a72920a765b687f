//! What a client calls its tools and their properties, in the words of the request that a station got: tools have their
//! places in common, properties their descriptions.

use serde_json::{Value, json};
use tiergate_simulator::Dialect;

use super::meaning::{Called, plain};
use super::script::{Call, CallKind, Tool, ToolKind};

pub struct Dictionary<'s> {
    entries: Vec<Entry<'s>>,
}

struct Entry<'s> {
    tool: &'s Tool,
    /// What it is at the station, its name and its schema, which a custom tool lacks.
    kind: CallKind,
    name: String,
    schema: Value,
}

impl<'s> Dictionary<'s> {
    pub fn of(tools: &'s [Tool], dialect: Dialect, upstream: &Value) -> Self {
        let known = upstream["tools"].as_array().expect("tools");
        assert_eq!(known.len(), tools.len(), "no tool is lost: {upstream}");
        let entry = |(tool, known): (&'s Tool, &Value)| {
            let (kind, holder, schema) = match (dialect, &tool.kind) {
                (Dialect::OpenAiChat, ToolKind::Custom) if known["custom"].is_object() => {
                    (CallKind::Custom, &known["custom"], "")
                }
                (Dialect::OpenAiChat, _) => (CallKind::Function, &known["function"], "parameters"),
                (Dialect::AnthropicMessages, _) => (CallKind::Function, known, "input_schema"),
            };
            let name = holder["name"].as_str().expect("a name").to_owned();
            Entry { tool, kind, name, schema: holder[schema].clone() }
        };
        Self { entries: tools.iter().zip(known).map(entry).collect() }
    }

    /// A call as the model of the station makes it.
    pub fn call(&self, call: &Call) -> Call {
        let Some(entry) = self.entries.iter().find(|entry| entry.tool.name == call.name) else { return call.clone() };
        let payload = match (&entry.tool.kind, entry.kind) {
            (ToolKind::Function { parameters, .. }, _) => renamed(&call.input(), parameters, &entry.schema).to_string(),
            (ToolKind::Custom, CallKind::Function) => json!({"input": call.payload}).to_string(),
            (ToolKind::Custom, CallKind::Custom) => call.payload.clone(),
        };
        Call { name: entry.name.clone(), kind: entry.kind, payload }
    }

    /// A call of the history as it stands at the station. What is no tool has any name there that the API takes.
    pub fn called(&self, called: Called) -> Called {
        let Some(entry) = self.entries.iter().find(|entry| entry.tool.name == called.name) else {
            return Called { name: plain(&called.name), ..called };
        };
        let input = match (&entry.tool.kind, entry.kind) {
            (ToolKind::Function { parameters, .. }, _) => renamed(&called.input, parameters, &entry.schema),
            (ToolKind::Custom, CallKind::Function) => json!({"input": called.input}),
            (ToolKind::Custom, CallKind::Custom) => called.input,
        };
        Called { name: entry.name.clone(), input }
    }

    /// A call that went up, with the same name for what is no tool.
    pub fn known(&self, called: Called) -> Called {
        match self.entries.iter().any(|entry| entry.name == called.name) {
            true => called,
            false => Called { name: plain(&called.name), ..called },
        }
    }
}

fn renamed(value: &Value, ours: &Value, theirs: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let member = |(name, value): (&String, &Value)| {
        let our = &ours["properties"][name];
        let all = theirs["properties"].as_object().into_iter().flatten();
        let mut same = all.filter(|(_, their)| !our.is_null() && their["description"] == our["description"]);
        match same.next() {
            Some((their_name, their)) => (their_name.clone(), renamed(value, our, their)),
            None => (name.clone(), value.clone()),
        }
    };
    Value::Object(members.iter().map(member).collect())
}
