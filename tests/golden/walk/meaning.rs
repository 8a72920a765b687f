//! What a conversation says, whatever dialect it is in.

use serde_json::Value;
use tiergate::wire::seal::is_token;

use super::answer::{Step, THOUGHT};

/// What must arrive, in its order.
#[derive(Debug, Default, PartialEq)]
pub struct Meaning {
    system: Vec<String>,
    user: Vec<String>,
    assistant: Vec<String>,
    /// What was thought, where there is a state of it that the model takes back.
    thoughts: Vec<String>,
    calls: Vec<Called>,
    results: Vec<Found>,
    images: Vec<String>,
}

#[derive(Debug, PartialEq)]
struct Called {
    name: String,
    arguments: Value,
}

#[derive(Debug, PartialEq)]
struct Found {
    /// Which of all calls it belongs to.
    call: usize,
    texts: Vec<String>,
}

/// What the gateway says itself, where an API wants something to stand.
const NOTES: [&str; 4] = ["I see.", "It follows.", "Continue.", "Begin."];

/// A name of a tool in the characters that every API takes, without the part of its hash that tells it from others.
pub fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    match name.rsplit_once('_') {
        Some((beginning, hash)) if hash.len() == 10 && hash.chars().all(|c| c.is_ascii_hexdigit()) => beginning.into(),
        Some(_) | None => name,
    }
}

fn exact(name: &Value) -> String {
    name.as_str().expect("a name").to_owned()
}

fn say(said: &mut Vec<String>, text: &Value) {
    let texts = text.as_str().unwrap_or_default().split("\n\n");
    said.extend(texts.filter(|text| !text.is_empty() && !NOTES.contains(text)).map(str::to_owned));
}

impl Meaning {
    pub fn of_step(step: &Step) -> Self {
        let call = |(name, arguments): &(String, String)| Called {
            name: name.clone(),
            arguments: serde_json::from_str(arguments).expect("JSON"),
        };
        let assistant = step.text.iter().chain(&step.refusal).cloned().collect();
        let thoughts = step.signature.iter().map(|_| THOUGHT.to_owned()).collect();
        Self { assistant, thoughts, calls: step.calls.iter().map(call).collect(), ..Self::default() }
    }

    /// The same for a model that did not think it.
    pub fn without_thoughts(self) -> Self {
        Self { thoughts: Vec::new(), ..self }
    }

    /// The same with other names of what is called.
    pub fn with_names(mut self, name: impl Fn(&str) -> String) -> Self {
        self.calls.iter_mut().for_each(|call| call.name = name(&call.name));
        self
    }

    pub fn of_chat(messages: &[Value]) -> Self {
        let mut meaning = Self::default();
        let mut ids: Vec<&Value> = Vec::new();
        for message in messages {
            let mut said = Vec::new();
            say(&mut said, &message["content"]);
            for part in message["content"].as_array().into_iter().flatten() {
                say(&mut said, &part["text"]);
                say(&mut said, &part["refusal"]);
                meaning.images.extend(part["image_url"]["url"].as_str().map(str::to_owned));
            }
            say(&mut said, &message["refusal"]);
            let states = message["reasoning_details"].as_array().into_iter().flatten();
            let sealed = states.filter(|state| state["signature"].as_str().is_some_and(is_token));
            meaning.thoughts.extend(sealed.filter_map(|state| state["text"].as_str().map(str::to_owned)));
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let function = &call["function"];
                let arguments = function["arguments"].as_str().expect("arguments");
                let arguments = serde_json::from_str(arguments).expect("JSON");
                meaning.calls.push(Called { name: exact(&function["name"]), arguments });
                ids.push(&call["id"]);
            }
            match message["role"].as_str().expect("a role") {
                "system" | "developer" => meaning.system.extend(said),
                "user" => meaning.user.extend(said),
                "tool" => {
                    let call = ids.iter().rposition(|id| *id == &message["tool_call_id"]);
                    meaning.results.push(Found { call: call.expect("a result should have its call"), texts: said });
                }
                _ => meaning.assistant.extend(said),
            }
        }
        meaning
    }

    pub fn of_messages(body: &Value) -> Self {
        let mut meaning = Self::default();
        let mut ids: Vec<&Value> = Vec::new();
        body["system"].as_array().into_iter().flatten().for_each(|block| say(&mut meaning.system, &block["text"]));
        for message in body["messages"].as_array().expect("messages") {
            for block in message["content"].as_array().expect("blocks") {
                let said = match message["role"].as_str() {
                    Some("system") => &mut meaning.system,
                    Some("user") => &mut meaning.user,
                    _ => &mut meaning.assistant,
                };
                match block["type"].as_str().expect("a type") {
                    "text" => say(said, &block["text"]),
                    "thinking" => meaning.thoughts.extend(block["thinking"].as_str().map(str::to_owned)),
                    "image" => meaning.images.push(image(block)),
                    "tool_use" => {
                        ids.push(&block["id"]);
                        meaning.calls.push(Called { name: exact(&block["name"]), arguments: block["input"].clone() });
                    }
                    "tool_result" => {
                        let call = ids.iter().rposition(|id| *id == &block["tool_use_id"]);
                        let mut texts = Vec::new();
                        for inner in block["content"].as_array().into_iter().flatten() {
                            say(&mut texts, &inner["text"]);
                            meaning.images.extend((inner["type"] == "image").then(|| image(inner)));
                        }
                        meaning.results.push(Found { call: call.expect("a result should have its call"), texts });
                    }
                    other => panic!("{other}"),
                }
            }
        }
        meaning
    }
}

fn image(block: &Value) -> String {
    let text = |name: &str| block["source"][name].as_str().unwrap_or_default().to_owned();
    format!("data:{};base64,{}", text("media_type"), text("data"))
}
