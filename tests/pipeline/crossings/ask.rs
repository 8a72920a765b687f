//! What clients ask, and what providers hear of it. Both are read by the same functions: a client's own API is a dialect, too.

use serde_json::{Value, json};
use tiergate::policy::Dialect;
use tiergate::wire::door::Door;

use super::Form;
use super::meaning::Meaning;
use super::rows::{Matter, STOP_STRING};

const IMAGE: &str = "iVBORw0KGgo=";
const FAILURE: &str = "There is no such place.";
const INSTRUCTION: &str = "Be brief.";
const QUESTION: &str = "How much is it?";
const LIMIT: u64 = 900;

/// A client's request.
pub fn request(door: Door, matter: Matter, form: Form) -> Value {
    let mut request = match door {
        Door::Chat => chat_request(matter),
        Door::Messages => messages_request(matter),
    };
    if form == Form::Streamed {
        request["stream"] = json!(true);
        if door == Door::Chat {
            request["stream_options"] = json!({"include_usage": true});
        }
    }
    request
}

/// What a request asks for beside what is said in it.
#[derive(Debug, PartialEq)]
pub struct Settings {
    choice: Choice,
    schema: Value,
    stop: Value,
    limit: Value,
    tools: Vec<Value>,
}

#[derive(Debug, PartialEq)]
enum Choice {
    Free,
    Some,
    One(String),
}

/// What a request in `dialect` says.
pub fn heard(dialect: Dialect, body: &Value) -> (Meaning, Settings) {
    match dialect {
        Dialect::OpenaiChat => {
            let messages = body["messages"].as_array().expect("messages");
            (Meaning::of_chat(messages).with_sorted_instructions(), chat_settings(body))
        }
        Dialect::AnthropicMessages => (Meaning::of_messages(body).with_sorted_instructions(), messages_settings(body)),
        Dialect::OpenaiResponses => panic!("no column of the table"),
    }
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"], "additionalProperties": false})
}

fn parameters() -> Value {
    json!({"type": "object", "properties": {"at": {"type": "integer"}}})
}

/// The tools of a request with their parameters, and the choice of them.
fn tools(matter: Matter) -> (Vec<(&'static str, Value)>, Choice) {
    let both = || vec![("look", parameters()), ("stop", json!({"type": "object", "properties": {}}))];
    match matter {
        Matter::Tools => (both(), Choice::Some),
        Matter::OneTool => (both(), Choice::One("stop".to_owned())),
        Matter::Results | Matter::Thought => (both(), Choice::Free),
        Matter::CustomTool | Matter::Nothing | Matter::Schema | Matter::StopString => (Vec::new(), Choice::Free),
    }
}

fn chat_request(matter: Matter) -> Value {
    let user = |content: Value| json!({"role": "user", "content": content});
    let mut messages = vec![json!({"role": "system", "content": INSTRUCTION}), user(json!(QUESTION))];
    let mut request = json!({"model": "any", "max_completion_tokens": LIMIT});
    let (tools, choice) = tools(matter);
    let tools: Vec<Value> = tools
        .into_iter()
        .map(|(name, parameters)| json!({"type": "function", "function": {"name": name, "parameters": parameters}}))
        .collect();
    if !tools.is_empty() {
        request["tools"] = json!(tools);
    }
    match choice {
        Choice::Free => {}
        Choice::Some => request["tool_choice"] = json!("required"),
        Choice::One(name) => request["tool_choice"] = json!({"type": "function", "function": {"name": name}}),
    }
    match matter {
        Matter::CustomTool => request["tools"] = json!([{"type": "custom", "custom": {"name": "run"}}]),
        Matter::Results => {
            let call = |id: &str, at: u64| {
                let function = json!({"name": "look", "arguments": format!("{{\"at\":{at}}}")});
                json!({"id": id, "type": "function", "function": function})
            };
            let result = |id: &str, content: &str| json!({"role": "tool", "tool_call_id": id, "content": content});
            let image = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{IMAGE}")}});
            messages.push(json!({"role": "assistant", "content": "I look.", "tool_calls": [call("call_1", 1), call("call_2", 2)]}));
            messages.extend([result("call_2", FAILURE), result("call_1", "A picture.")]);
            messages.push(user(json!([image, {"type": "text", "text": "Go on."}])));
        }
        Matter::Schema => {
            let format = json!({"name": "sum", "strict": true, "schema": schema()});
            request["response_format"] = json!({"type": "json_schema", "json_schema": format});
        }
        Matter::StopString => request["stop"] = json!([STOP_STRING]),
        Matter::Nothing | Matter::Tools | Matter::OneTool | Matter::Thought => {}
    }
    request["messages"] = json!(messages);
    request
}

fn messages_request(matter: Matter) -> Value {
    let user = |content: Value| json!({"role": "user", "content": content});
    let mut messages = vec![user(json!(QUESTION))];
    let mut request = json!({"model": "any", "max_tokens": LIMIT, "system": INSTRUCTION});
    let (tools, choice) = tools(matter);
    let tools: Vec<Value> = tools
        .into_iter()
        .map(|(name, parameters)| json!({"name": name, "description": "A tool.", "input_schema": parameters}))
        .collect();
    if !tools.is_empty() {
        request["tools"] = json!(tools);
    }
    match choice {
        Choice::Free => {}
        Choice::Some => request["tool_choice"] = json!({"type": "any"}),
        Choice::One(name) => request["tool_choice"] = json!({"type": "tool", "name": name}),
    }
    match matter {
        Matter::Results => {
            // What the client got comes back with every member.
            let call = |id: &str, at: u64| json!({"type": "tool_use", "id": id, "name": "look", "input": {"at": at}, "caller": {"type": "direct"}});
            let text = |text: &str| json!({"type": "text", "text": text, "citations": null});
            let image =
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}});
            let failed = json!({"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": FAILURE});
            let seen = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("A picture."), image]});
            let said = json!([text("I look."), call("toolu_1", 1), call("toolu_2", 2)]);
            messages.push(json!({"role": "assistant", "content": said}));
            messages.push(user(json!([failed, seen, text("Go on.")])));
        }
        Matter::Schema => {
            request["output_config"] = json!({"format": {"type": "json_schema", "schema": schema()}});
        }
        Matter::StopString => request["stop_sequences"] = json!([STOP_STRING]),
        Matter::CustomTool => panic!("the Messages API has no custom tools"),
        Matter::Nothing | Matter::Tools | Matter::OneTool | Matter::Thought => {}
    }
    request["messages"] = json!(messages);
    request
}

fn chat_settings(body: &Value) -> Settings {
    let choice = match &body["tool_choice"] {
        Value::Null => Choice::Free,
        Value::String(word) if word == "auto" => Choice::Free,
        Value::String(word) if word == "required" => Choice::Some,
        other => Choice::One(other["function"]["name"].as_str().unwrap_or_else(|| panic!("{other}")).to_owned()),
    };
    let limit = body.get("max_completion_tokens").unwrap_or(&body["max_tokens"]);
    let tools = body["tools"].as_array().into_iter().flatten().map(|tool| match &tool["custom"] {
        Value::Null => json!({"name": tool["function"]["name"], "parameters": tool["function"]["parameters"]}),
        custom => as_function(&custom["name"]),
    });
    Settings {
        choice,
        schema: body["response_format"]["json_schema"]["schema"].clone(),
        stop: body["stop"].clone(),
        limit: limit.clone(),
        tools: tools.collect(),
    }
}

/// A schema without the name that it has beside it in other APIs.
fn untitled(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.remove("title");
    }
    schema
}

/// What a tool that takes any text is for an API that has none.
fn as_function(name: &Value) -> Value {
    let input = json!({"type": "string"});
    json!({"name": name, "parameters": {"type": "object", "properties": {"input": input}, "required": ["input"]}})
}

fn messages_settings(body: &Value) -> Settings {
    let choice = match body["tool_choice"]["type"].as_str() {
        None | Some("auto") => Choice::Free,
        Some("any") => Choice::Some,
        Some(_) => Choice::One(body["tool_choice"]["name"].as_str().expect("a name").to_owned()),
    };
    let tools = body["tools"].as_array().into_iter().flatten();
    let tools = tools.map(|tool| json!({"name": tool["name"], "parameters": tool["input_schema"]}));
    Settings {
        choice,
        schema: untitled(&body["output_config"]["format"]["schema"]),
        stop: body["stop_sequences"].clone(),
        limit: body["max_tokens"].clone(),
        tools: tools.collect(),
    }
}

/// What of a request is named as left out where a provider of `dialect` serves: an image of a result stands behind it in the chat
/// API.
pub fn dropped(door: Door, dialect: Dialect, matter: Matter) -> &'static str {
    match (door, dialect, matter) {
        (Door::Messages, Dialect::OpenaiChat, Matter::Results) => "messages.content.image",
        _ => "",
    }
}
