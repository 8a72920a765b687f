//! A request of the Messages API read back: what it breaks of the API's rules, and which chat completion it stands for.
//!
//! Written from the API's description, apart from the translator, so that one does not hide the other's slips.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The rules of the API that `request` breaks.
pub fn broken_rules(request: &Value, can_prefill: bool) -> Vec<String> {
    let mut broken = Vec::new();
    let mut check = |holds: bool, rule: &str| {
        if !holds {
            broken.push(rule.to_owned());
        }
    };
    check(request["max_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "max_tokens is at least 1");
    check(request["model"].as_str().is_some_and(|model| !model.is_empty()), "a model is named");
    let tools: Vec<&str> = array(request, "tools").iter().filter_map(|tool| tool["name"].as_str()).collect();
    for tool in array(request, "tools") {
        check(
            tool["input_schema"]["type"].is_string() || tool["input_schema"]["type"].is_array(),
            "schemas have types",
        );
    }
    if let Some(choice) = request.get("tool_choice") {
        check(!tools.is_empty(), "a choice has tools");
        let named = choice["type"] != "tool" || choice["name"].as_str().is_some_and(|name| tools.contains(&name));
        check(named, "a chosen tool is there");
        check(["auto", "any", "tool", "none"].map(Value::from).contains(&choice["type"]), "a choice is known");
    }
    let stops = array(request, "stop_sequences");
    check(stops.iter().all(|stop| stop.as_str().is_some_and(|stop| !stop.trim().is_empty())), "no stop is blank");
    for block in array(request, "system") {
        check(is_text(block), "system is text that is not blank");
    }

    let messages = array(request, "messages");
    check(messages.first().is_some_and(|message| message["role"] == "user"), "the first turn is the user's");
    check(
        can_prefill || messages.last().is_some_and(|last| last["role"] != "assistant"),
        "the last turn is no prefill",
    );
    let (mut ids, mut pending, mut last) = (BTreeSet::new(), BTreeSet::new(), "");
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        check(["user", "assistant", "system"].contains(&role), "roles are known");
        check(role != last, "speakers alternate");
        last = role;
        let blocks = array(message, "content");
        check(!blocks.is_empty(), "no turn is empty");
        let mut results_are_over = false;
        for block in blocks {
            match (block["type"].as_str().unwrap_or_default(), role) {
                ("text", _) => check(is_text(block), "no text is blank"),
                ("image" | "document", "user") => check(block["source"]["type"].is_string(), "media have sources"),
                ("tool_use", "assistant") => {
                    let id = block["id"].as_str().unwrap_or_default().to_owned();
                    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    check(!id.is_empty() && id.chars().all(is_plain), "ids have their characters");
                    check(block["input"].is_object(), "inputs are objects");
                    check(!tools.is_empty(), "calls have tools");
                    check(ids.insert(id.clone()), "ids are not repeated");
                    pending.insert(id);
                }
                ("tool_result", "user") => {
                    check(!results_are_over, "results come first");
                    check(
                        pending.remove(block["tool_use_id"].as_str().unwrap_or_default()),
                        "results have their calls",
                    );
                    for part in array(block, "content") {
                        check(part["type"] != "text" || is_text(part), "no text of a result is blank");
                    }
                }
                (kind, role) => check(false, &format!("no {kind} in a turn of {role}")),
            }
            results_are_over |= block["type"] != "tool_result";
        }
        check(role != "user" || pending.is_empty(), "calls have their results in the next turn");
    }
    check(pending.is_empty(), "calls have their results");
    broken
}

fn is_text(block: &Value) -> bool {
    block["type"] == "text" && block["text"].as_str().is_some_and(|text| !text.trim().is_empty())
}

fn array<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// The chat completion that `request` stands for.
pub fn invert(request: &Value) -> Value {
    let mut chat = Map::new();
    let mut messages: Vec<Value> =
        array(request, "system").iter().map(|block| json!({"role": "system", "content": block["text"]})).collect();
    for message in array(request, "messages") {
        if message["role"] == "assistant" {
            messages.push(invert_answer(array(message, "content")));
            continue;
        }
        let (results, others): (Vec<&Value>, Vec<&Value>) =
            array(message, "content").iter().partition(|block| block["type"] == "tool_result");
        messages.extend(results.into_iter().map(|block| {
            let content: Vec<Value> = array(block, "content").iter().map(invert_part).collect();
            json!({"role": "tool", "tool_call_id": block["tool_use_id"], "content": content})
        }));
        if !others.is_empty() {
            let content: Vec<Value> = others.into_iter().map(invert_part).collect();
            messages.push(json!({"role": "user", "content": content}));
        }
    }
    chat.insert("messages".into(), messages.into());
    chat.insert("max_completion_tokens".into(), request["max_tokens"].clone());
    let names = [("stop", "/stop_sequences"), ("temperature", "/temperature"), ("stream", "/stream")];
    let more = [("safety_identifier", "/metadata/user_id"), ("reasoning_effort", "/output_config/effort")];
    for (name, pointer) in names.into_iter().chain(more) {
        if let Some(value) = request.pointer(pointer) {
            chat.insert(name.into(), value.clone());
        }
    }
    if let Some(schema) = request.pointer("/output_config/format/schema") {
        let mut schema = schema.clone();
        let name = schema.as_object_mut().and_then(|schema| schema.remove("title")).unwrap_or("answer".into());
        let format = json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema}});
        chat.insert("response_format".into(), format);
    }
    let tools: Vec<Value> = array(request, "tools")
        .iter()
        .map(|tool| {
            let mut function = json!({"name": tool["name"], "parameters": tool["input_schema"]});
            if let Some(description) = tool.get("description") {
                function["description"] = description.clone();
            }
            json!({"type": "function", "function": function})
        })
        .collect();
    if !tools.is_empty() {
        chat.insert("tools".into(), tools.into());
    }
    if let Some(choice) = request.get("tool_choice") {
        let inverted = match choice["type"].as_str().unwrap_or_default() {
            "any" => json!("required"),
            "tool" => json!({"type": "function", "function": {"name": choice["name"]}}),
            same => json!(same),
        };
        chat.insert("tool_choice".into(), inverted);
        if choice["disable_parallel_tool_use"] == true {
            chat.insert("parallel_tool_calls".into(), false.into());
        }
    }
    Value::Object(chat)
}

fn invert_answer(blocks: &[Value]) -> Value {
    let text: Vec<Value> = blocks.iter().filter(|block| block["type"] == "text").map(invert_part).collect();
    let calls: Vec<Value> = blocks
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| {
            let function = json!({"name": block["name"], "arguments": block["input"].to_string()});
            json!({"id": block["id"], "type": "function", "function": function})
        })
        .collect();
    match (text.is_empty(), calls.is_empty()) {
        (_, true) => json!({"role": "assistant", "content": text}),
        (true, false) => json!({"role": "assistant", "content": null, "tool_calls": calls}),
        (false, false) => json!({"role": "assistant", "content": text, "tool_calls": calls}),
    }
}

fn invert_part(block: &Value) -> Value {
    let source = &block["source"];
    let uri = || {
        let text = |name: &str| source[name].as_str().unwrap_or_default();
        format!("data:{};base64,{}", text("media_type"), text("data"))
    };
    match (block["type"].as_str().unwrap_or_default(), source["type"].as_str()) {
        ("image", Some("url")) => json!({"type": "image_url", "image_url": {"url": source["url"]}}),
        ("image", _) => json!({"type": "image_url", "image_url": {"url": uri()}}),
        ("document", _) => json!({"type": "file", "file": {"file_data": uri(), "filename": block["title"]}}),
        (_, _) => json!({"type": "text", "text": block["text"]}),
    }
}
