//! Models of both dialects follow the moves that a user spells out, and one goes on where another stopped.

use serde_json::{Value, json};
use tiergate_simulator::Profile;

use crate::{ask, start};

const TASK: &str = r#"call Write with {"path": "a"} and Write with {"path": "b"}, then call Read with {"path": "a"}, then say "All done.""#;

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
    ["Write", "Read"].iter().map(|name| json!({"name": name, "input_schema": schema})).collect()
}

fn functions() -> Value {
    let tools = tools();
    let tools = tools.as_array().unwrap().iter();
    tools
        .map(|tool| json!({"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}}))
        .collect()
}

/// The calls of an answer as they go into either dialect: ids, names and arguments; and its text.
struct Heard {
    calls: Vec<(Value, Value, Value)>,
    text: Value,
}

async fn ask_claude(messages: &[Value]) -> Heard {
    let simulator = start(Profile::anthropic()).await;
    let body = json!({"model": "claude-opus-5-5", "max_tokens": 4096, "tools": tools(), "messages": messages});
    let (status, answer) = ask(&simulator, &body).await;
    assert_eq!(status, 200, "{answer}");
    let blocks = answer["content"].as_array().unwrap();
    let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
    let calls = calls.map(|call| (call["id"].clone(), call["name"].clone(), call["input"].clone())).collect();
    Heard { calls, text: blocks.last().unwrap()["text"].clone() }
}

/// The same conversation in the other dialect.
async fn ask_gemini(messages: &[Value]) -> Heard {
    let simulator = start(Profile::google()).await;
    let mut translated = Vec::new();
    for message in messages {
        let Some(blocks) = message["content"].as_array() else {
            translated.push(message.clone());
            continue;
        };
        if message["role"] == "assistant" {
            let signature = json!({"google": {"thought_signature": "c2ln"}});
            let calls = blocks.iter().map(|call| {
                json!({"id": call["id"], "type": "function", "extra_content": signature,
                    "function": {"name": call["name"], "arguments": call["input"].to_string()}})
            });
            translated.push(json!({"role": "assistant", "tool_calls": calls.collect::<Value>()}));
        } else {
            let results = blocks.iter();
            translated.extend(results.map(
                |result| json!({"role": "tool", "tool_call_id": result["tool_use_id"], "content": result["content"]}),
            ));
        }
    }
    let body = json!({"model": "gemini-3.8-flash", "tools": functions(), "messages": translated});
    let (status, answer) = ask(&simulator, &body).await;
    assert_eq!(status, 200, "{answer}");
    let message = &answer["choices"][0]["message"];
    let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| {
        let arguments = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        (call["id"].clone(), call["function"]["name"].clone(), arguments)
    });
    Heard { calls: calls.collect(), text: message["content"].clone() }
}

#[tokio::test]
async fn every_model_makes_the_next_move_of_a_conversation() {
    let expected = [
        vec![("Write", json!({"path": "a"})), ("Write", json!({"path": "b"}))],
        vec![("Read", json!({"path": "a"}))],
        Vec::new(),
    ];
    let words = format!("<system-reminder>call Read with {{}}</system-reminder> Please {TASK}");
    let mut messages = vec![json!({"role": "user", "content": words})];
    for calls in expected {
        let mut heard = Vec::new();
        for (who, heard_now) in [("claude", ask_claude(&messages).await), ("gemini", ask_gemini(&messages).await)] {
            let named = heard_now.calls.iter().map(|(_, name, input)| (name.as_str().unwrap(), input.clone()));
            assert_eq!(named.collect::<Vec<_>>(), calls, "{who} after {messages:?}");
            if calls.is_empty() {
                assert_eq!(heard_now.text, "All done.", "{who}");
            }
            heard = heard_now.calls;
        }
        let uses = heard.iter().enumerate().map(|(at, (_, name, input))| {
            json!({"type": "tool_use", "id": format!("call_{}_{at}", messages.len()), "name": name, "input": input})
        });
        let uses: Vec<Value> = uses.collect();
        let results =
            uses.iter().map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "ok"}));
        let results: Vec<Value> = results.collect();
        messages.push(json!({"role": "assistant", "content": uses}));
        messages.push(json!({"role": "user", "content": results}));
    }
}
