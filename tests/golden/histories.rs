//! One conversation of an agent, walked through every order of the providers that docs/policy.md has rows for: whoever
//! answered before, the next one's simulator refuses nothing, and nothing of meaning is lost.

use std::fs;

use serde_json::{Value, json};
use tiergate::door::chat;
use tiergate::policy::parse::parse;
use tiergate::policy::{Candidate, Entry, Policy};
use tiergate::upstream::dialect::{self, EncodeOptions};
use tiergate_simulator::{Model, Profile, judge_chat_request};

/// A provider of the walk, with what its answers leave in a history.
struct Station {
    name: &'static str,
    /// What is checked is the history, so any model goes.
    profile: Profile,
    /// What stands beside an answer's content.
    echoes: Value,
    /// What stands beside a call.
    call_echoes: Value,
    id: &'static str,
}

fn station(name: &'static str, profile: Profile) -> Station {
    let models = Vec::<Model>::new();
    let profile = Profile { models, ..profile };
    Station { name, profile, echoes: json!({}), call_echoes: json!({}), id: "call_" }
}

fn stations() -> Vec<Station> {
    let sdk = json!({"refusal": null, "audio": null, "function_call": null, "annotations": []});
    let thought = json!({"reasoning_content": "Let me think.", "tool_calls_are_next": null});
    let detail =
        json!({"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}]});
    let signed = json!({"extra_content": {"google": {"thought_signature": "EjQKMg=="}}, "index": 0});
    vec![
        Station { echoes: sdk, ..station("openai", Profile::openai()) },
        Station { call_echoes: signed, id: "function-call-", ..station("google", Profile::google()) },
        Station { echoes: json!({"name": "mercury"}), ..station("inception", Profile::inception()) },
        Station { echoes: json!({"prefix": false}), id: "", ..station("mistral", Profile::mistral()) },
        Station { echoes: json!({"reasoning": "hm"}), ..station("groq", Profile::groq()) },
        Station { echoes: thought, call_echoes: json!({"index": 1}), ..station("deepseek", Profile::deepseek()) },
        station("xai", Profile::xai()),
        station("together", Profile::together()),
        station("fireworks", Profile::fireworks()),
        Station { echoes: json!({"tool_calls": []}), ..station("cerebras", Profile::cerebras()) },
        station("azure", Profile::azure()),
        Station { echoes: detail, ..station("openrouter", Profile::openrouter()) },
        Station { id: "chatcmpl-tool-0123456789abcdef0123456789", ..station("vllm", Profile::vllm()) },
        station("ollama", Profile::ollama()),
    ]
}

/// The rows that docs/policy.md offers, each with one model.
fn policy(stations: &[Station]) -> Policy {
    let text = fs::read_to_string("docs/policy.md").expect("docs/policy.md");
    let rows = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut rows = rows.filter_map(|json| serde_json::from_str::<Value>(&json.replace("RESOURCE", "resource")).ok());
    let rows = rows.find(|rows| rows.get("mistral").is_some()).expect("rows of providers");
    let models: serde_json::Map<String, Value> = stations
        .iter()
        .map(|Station { name, .. }| {
            let model = json!({"provider": name, "id": "m", "context": 1_000_000, "max_output": 1_000, "tools": true, "vision": true});
            (format!("{name}-model"), model)
        })
        .collect();
    let candidates: Vec<Value> = models.keys().map(|name| json!({"model": name})).collect();
    let document = json!({
        "version": "1", "default_tier": "only",
        "tiers": [{
            "name": "only", "description": "Everything.", "candidates": candidates,
            "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
        }],
        "models": models,
        "providers": rows,
    });
    parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The name of a tool that most providers refuse.
const ODD_NAME: &str = "files.look/at";

fn with(mut object: Value, more: &Value) -> Value {
    let more = more.as_object().expect("an object").clone();
    let object_fields = object.as_object_mut().expect("an object");
    for (name, value) in more {
        object_fields.entry(name).or_insert(value);
    }
    object
}

/// A call as a provider makes it.
fn call(station: &Station, number: usize) -> Value {
    let id = format!("{}{number:09}", station.id);
    let name = if number.is_multiple_of(2) { "look" } else { ODD_NAME };
    let call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{\"at\":1}"}});
    with(call, &station.call_echoes)
}

/// One turn of the user and what a provider makes of it: parallel calls, their results, a further step, a text; at times
/// there is an image, a refusal, or a question behind the results.
fn turn(station: &Station, number: usize) -> Vec<Value> {
    let user = match number % 3 {
        0 => json!(format!("Question {number}")),
        _ => json!([{"type": "text", "text": format!("Question {number}")}, {"type": "text", "text": "Look."}]),
    };
    let mut messages = vec![json!({"role": "user", "content": user})];
    let calls = [call(station, 10 * number), call(station, 10 * number + 1)];
    let last = call(station, 10 * number + 2);
    let answer = |content: Value, calls: &[&Value]| {
        // Reasoning models of Mistral say what they think in their content.
        let thought = json!({"type": "thinking", "thinking": [{"type": "text", "text": "Let me think."}]});
        let content = match (&content, station.name) {
            (Value::String(text), "mistral") => json!([thought, {"type": "text", "text": text}]),
            _ => content,
        };
        let mut message = json!({"role": "assistant", "content": content});
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        with(message, &station.echoes)
    };
    let result =
        |call: &Value| json!({"role": "tool", "tool_call_id": call["id"], "content": format!("Result {}", call["id"])});
    messages.push(answer(Value::Null, &[&calls[0], &calls[1]]));
    messages.extend(calls.iter().map(result));
    messages.push(answer(json!(format!("Step {number}")), &[&last]));
    messages.push(result(&last));
    match number % 4 {
        0 => messages.push(answer(json!(format!("Answer {number}")), &[])),
        1 => messages.push(with(json!({"refusal": format!("Refusal {number}")}), &answer(Value::Null, &[]))),
        2 => messages.push(answer(json!([{"type": "text", "text": format!("Answer {number}")}]), &[])),
        // The user breaks in.
        _ => {}
    }
    messages
}

/// What must arrive, whoever it is sent to.
fn meaning(messages: &[Value]) -> Vec<String> {
    let mut said = Vec::new();
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default().replace("developer", "system");
        let mut say = |text: &str| {
            if !text.is_empty() && text != "I see." {
                said.push(format!("{role}: {text}"));
            }
        };
        match &message["content"] {
            Value::String(text) => say(text),
            Value::Array(parts) => {
                parts
                    .iter()
                    .for_each(|part| say(part["text"].as_str().or(part["refusal"].as_str()).unwrap_or_default()));
            }
            _ => {}
        }
        say(message["refusal"].as_str().unwrap_or_default());
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let name = call["function"]["name"].as_str().expect("a name");
            let name = if name.starts_with("files_look_at_") { ODD_NAME } else { name };
            say(&format!("{name} {}", call["function"]["arguments"]));
        }
    }
    said
}

/// Which result belongs to which call, by their order.
fn pairs(messages: &[Value]) -> Vec<usize> {
    let calls: Vec<&Value> =
        messages.iter().flat_map(|message| message["tool_calls"].as_array().into_iter().flatten()).collect();
    let results = messages.iter().filter(|message| message["role"] == "tool");
    let of = |result: &Value| calls.iter().position(|call| call["id"] == result["tool_call_id"]);
    results.map(|result| of(result).expect("a result should have its call")).collect()
}

fn candidate(policy: &Policy, name: &str) -> Candidate {
    let id = policy.model_named(&format!("{name}-model")).expect("a model");
    let fits = |entry: &&Entry| matches!(entry, Entry::One(candidate) if candidate.model == id);
    let Some(Entry::One(candidate)) = policy.tiers[0].candidates.iter().find(fits) else { panic!("{name}") };
    candidate.clone()
}

/// What goes up to a station, checked.
fn send(policy: &Policy, station: &Station, messages: &[Value]) {
    let tool = |name: &str| {
        let parameters = json!({"type": "object", "properties": {"at": {"type": "integer"}}});
        let tool = json!({"type": "function", "function": {"name": name, "parameters": parameters}});
        with(tool, &json!({"cache_control": {"type": "ephemeral"}}))
    };
    let request = json!({
        "messages": messages, "tools": [tool("look"), tool(ODD_NAME)], "tool_choice": "auto",
        "store": true, "metadata": {"a": "b"}, "seed": 7, "user": null, "presence_penalty": 0.5, "max_completion_tokens": 100,
        "stream_options": null, "top_k": 3,
    });
    let body = request.to_string();
    let ask = chat::parse(body.as_bytes()).expect("a valid request");
    let encoded = dialect::encode_request(policy, &candidate(policy, station.name), &ask, &EncodeOptions::default());
    let encoded = encoded.unwrap_or_else(|error| panic!("{}: {error:?}", station.name));
    let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
    assert_eq!(judge_chat_request(&station.profile, &upstream), Ok(()), "{}: {upstream}", station.name);
    let sent = upstream["messages"].as_array().expect("messages");
    assert_eq!(meaning(sent), meaning(messages), "{}", station.name);
    assert_eq!(pairs(sent), pairs(messages), "{}", station.name);
}

/// At every point of a conversation at which a provider is asked: at the beginning of a turn and between its steps.
#[test]
fn whoever_answered_before_the_next_provider_takes_the_history() {
    let stations = stations();
    let policy = policy(&stations);
    let begin = json!({"role": "developer", "content": "Be brief.", "name": "operator"});
    let leaves_traces = |station: &&Station| {
        station.id != "call_" || [&station.echoes, &station.call_echoes].into_iter().any(|echoes| *echoes != json!({}))
    };
    let makers: Vec<&Station> = stations.iter().filter(leaves_traces).collect();
    for first in &makers {
        for second in &makers {
            let mut messages = vec![begin.clone()];
            for (number, made_by) in [first, second, first, second].into_iter().enumerate() {
                for message in turn(made_by, number) {
                    let is_asked = message["role"] == "assistant";
                    if is_asked {
                        stations.iter().for_each(|asked| send(&policy, asked, &messages));
                    }
                    messages.push(message);
                }
            }
        }
    }
}
