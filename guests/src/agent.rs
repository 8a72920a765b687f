//! Requests of an agent, as large as one is at its beginning and late in its work: many tools, calls and their results.

use serde_json::{Value, json};

pub const TOOLS: usize = 60;
/// An agent's body at its beginning, and late in its work.
pub const KILOBYTES: [usize; 2] = [31, 400];

const WORDS: &str = "Read the configuration, compare it with what the service reports, and say what differs and why.";

fn tool(number: usize) -> Value {
    json!({"type": "function", "function": {
        "name": format!("tool_{number}"),
        "description": "Reads a part of a file of the workspace, with its line numbers.",
        "parameters": {"type": "object", "additionalProperties": false, "required": ["path"], "properties": {
            "path": {"type": "string", "description": "Absolute, or relative to the workspace."},
            "from": {"type": "integer", "minimum": 1},
            "mode": {"type": "string", "enum": ["text", "hex"]},
        }},
    }})
}

/// One step of the agent: what it says, two calls, and what they give.
fn step(number: usize) -> [Value; 3] {
    let id = |at: usize| format!("call_{number}_{at}");
    let call = |at: usize| {
        let arguments = format!(r#"{{"path":"src/part_{number}/{at}.rs","from":1}}"#);
        let name = format!("tool_{}", (number + at) % TOOLS);
        json!({"id": id(at), "type": "function", "function": {"name": name, "arguments": arguments}})
    };
    let result = |at: usize| {
        let lines: String = (1..20).map(|line| format!("{line}\tlet value_{line} = \"{WORDS}\";\n")).collect();
        json!({"role": "tool", "tool_call_id": id(at), "content": lines})
    };
    [json!({"role": "assistant", "content": WORDS, "tool_calls": [call(0), call(1)]}), result(0), result(1)]
}

/// The same in the words of the Messages API.
pub fn messages_request(bytes: usize) -> Value {
    let asked = request(bytes);
    let text = |value: &Value| json!([{"type": "text", "text": value}]);
    let (mut system, mut messages) = (Value::Null, Vec::<Value>::new());
    for message in asked["messages"].as_array().into_iter().flatten() {
        let content = &message["content"];
        match message["role"].as_str() {
            Some("system") => system = text(content),
            Some("tool") => {
                let result = json!({"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": content});
                match messages.last_mut().filter(|last| last["role"] == "user") {
                    Some(last) => last["content"].as_array_mut().expect("blocks").push(result),
                    None => messages.push(json!({"role": "user", "content": [result]})),
                }
            }
            Some("assistant") => {
                let mut blocks = text(content);
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let function = &call["function"];
                    let input: Value =
                        serde_json::from_str(function["arguments"].as_str().unwrap_or_default()).unwrap_or_default();
                    let block = json!({"type": "tool_use", "id": call["id"], "name": function["name"], "input": input});
                    blocks.as_array_mut().expect("blocks").push(block);
                }
                messages.push(json!({"role": "assistant", "content": blocks}));
            }
            _ => messages.push(json!({"role": "user", "content": text(content)})),
        }
    }
    let tool = |tool: &Value| {
        let function = &tool["function"];
        json!({"name": function["name"], "description": function["description"], "input_schema": function["parameters"]})
    };
    let tools: Vec<Value> = asked["tools"].as_array().into_iter().flatten().map(tool).collect();
    json!({"model": "auto", "max_tokens": 2000, "stream": true, "system": system, "tools": tools, "messages": messages})
}

/// A request for a stream of about `bytes` bytes.
pub fn request(bytes: usize) -> Value {
    let tools: Vec<Value> = (0..TOOLS).map(tool).collect();
    let mut messages =
        vec![json!({"role": "system", "content": WORDS.repeat(4)}), json!({"role": "user", "content": WORDS})];
    let mut request = json!({"model": "auto", "tools": tools, "stream": true, "max_completion_tokens": 2000});
    let mut length = request.to_string().len();
    for number in 0.. {
        if length >= bytes {
            break;
        }
        let step = step(number);
        length += step.iter().map(|message| message.to_string().len() + 1).sum::<usize>();
        messages.extend(step);
    }
    request["messages"] = json!(messages);
    request
}
