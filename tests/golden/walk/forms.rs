//! Tools in every form that the API has, and their calls and results in the history, and what clients put into parts: no
//! provider refuses any.

use serde_json::{Value, json};
use tiergate::door::chat;
use tiergate::upstream::dialect::{self, EncodeOptions};

use super::World;
use super::fixed::ODD_NAME;

/// Requests with their names.
fn requests() -> Vec<(&'static str, Value)> {
    let parameters = json!({"type": "object", "properties": {"at": {"type": "integer"}}});
    let function = |name: &str| json!({"name": name, "parameters": parameters});
    let custom = |name: &str| json!({"type": "custom", "custom": {"name": name}});
    let grammar = json!({"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}});
    let exact = json!({"type": "custom", "custom": {"name": "exact", "description": "Takes a.", "format": grammar}});
    let tool = |name: &str| json!({"type": "function", "function": function(name)});
    let user = json!({"role": "user", "content": "Question"});
    let older = |name: &str, content: Value| {
        let call = json!({"name": name, "arguments": "{\"at\":1}"});
        [
            json!({"role": "assistant", "content": null, "function_call": call}),
            json!({"role": "function", "name": name, "content": content}),
        ]
    };
    let texts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
    let history: Vec<Value> = std::iter::once(user.clone())
        .chain(older("look", json!("seen")))
        .chain(older("look", texts))
        .chain(older(ODD_NAME, json!("seen")))
        .chain([user.clone()])
        .collect();
    let functions = json!([function("look"), function(ODD_NAME)]);
    let call =
        |id: &str, name: &str| json!({"id": id, "type": "custom", "custom": {"name": name, "input": "a \"b\"\n"}});
    let customs = json!([
        user,
        {"role": "assistant", "content": null, "tool_calls": [call("call_1", "run"), call("call_2", "exact")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
        {"role": "tool", "tool_call_id": "call_2", "content": "done"},
    ]);
    let tools = json!([custom("run"), exact, tool("look")]);
    let allowed = |mode: &str| {
        let tools =
            json!([{"type": "custom", "custom": {"name": "run"}}, {"type": "function", "function": {"name": "look"}}]);
        json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
    };
    let mark = json!({"mode": "explicit"});
    let marked = json!([
        {"role": "user", "content": [
            {"type": "text", "text": "a", "prompt_cache_breakpoint": mark},
            {"type": "text", "text": "b", "prompt_cache_breakpoint": null, "annotations": null},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": true, "signature": "s",
                "annotations": [1], "prompt_cache_breakpoint": mark},
            {"type": "text", "text": "c", "annotations": [1]},
        ]},
        user,
    ]);
    let options = json!({"mode": "explicit"});
    vec![
        ("parts with more than they are", json!({"messages": marked, "prompt_cache_options": options})),
        ("functions", json!({"messages": history, "functions": functions, "function_call": {"name": "look"}})),
        ("functions, any", json!({"messages": history, "functions": functions, "function_call": "auto"})),
        ("tools behind functions", json!({"messages": history, "tools": [tool("look"), tool(ODD_NAME)]})),
        (
            "custom tools",
            json!({"messages": customs, "tools": tools, "tool_choice": {"type": "custom", "custom": {"name": "run"}}}),
        ),
        ("some that are allowed", json!({"messages": customs, "tools": tools, "tool_choice": allowed("auto")})),
        (
            "some of which one is demanded",
            json!({"messages": customs, "tools": tools, "tool_choice": allowed("required")}),
        ),
        ("no parameters", json!({"messages": [user], "tools": [{"type": "function", "function": {"name": "look"}}]})),
        ("functions without parameters", json!({"messages": [user], "functions": [{"name": "look"}]})),
    ]
}

#[test]
fn tools_and_parts_in_every_form_are_refused_by_none() {
    let world = World::new();
    for station in &world.stations {
        for (name, request) in requests() {
            let body = request.to_string();
            let ask = chat::parse(body.as_bytes()).expect("a valid request");
            let candidate = world.candidate(station.name);
            let encoded = dialect::encode_request(&world.policy, &candidate, &ask, &EncodeOptions::default());
            let encoded = encoded.unwrap_or_else(|error| panic!("{}: {name}: {error:?}", station.name));
            let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
            assert_eq!(station.judge(&upstream), Ok(()), "{}: {name}: {upstream}", station.name);
        }
    }
}
