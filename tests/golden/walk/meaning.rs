//! What a conversation says, whatever dialect it is in.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use tiergate::wire::seal::is_token;

use super::dictionary::Dictionary;
use super::script::{Call, FILES, Step};

/// What must arrive, in its order.
#[derive(Debug, Default, PartialEq)]
pub struct Meaning {
    system: Vec<String>,
    user: Vec<String>,
    assistant: Vec<String>,
    /// What was thought, where there is a state of it that its model takes back.
    thoughts: Vec<String>,
    calls: Vec<Called>,
    results: Vec<Found>,
    images: Vec<String>,
    files: Vec<String>,
    /// What of all that, but for instructions, thoughts and media, came after what.
    order: Vec<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    User,
    Assistant,
    Call,
    Result,
}

#[derive(Debug, PartialEq)]
pub struct Called {
    pub name: String,
    pub input: Value,
}

#[derive(Debug, PartialEq)]
struct Found {
    /// Which of all calls it belongs to.
    call: usize,
    has_failed: bool,
    texts: Vec<String>,
}

/// Stands for what was thought and is not told.
pub const HIDDEN: &str = "(hidden)";

/// Blocks that only the Messages API understands, or not even that, which say nothing here.
pub fn is_of_the_api(kind: &str) -> bool {
    ["server_tool_use", "web_search_tool_result", "a_block_of_tomorrow"].contains(&kind)
}

/// What the gateway says itself, where an API wants something to stand.
const NOTES: [&str; 5] = ["I see.", "It follows.", "Continue.", "Begin.", "(Nothing was said.)"];
/// What the gateway puts before what a failed call brought, where an API has no other way to say so.
const FAILED: &str = "The call failed:";

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

/// What is blank says nothing.
fn say(said: &mut Vec<String>, text: &Value) {
    let texts = text.as_str().unwrap_or_default().split("\n\n");
    said.extend(texts.filter(|text| !text.trim().is_empty() && !NOTES.contains(text)).map(str::to_owned));
}

/// Whether a message says anything, but for what was thought; an empty result does, too.
pub fn says_something(message: &Value) -> bool {
    let has_text = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    let holds = |part: &Value| has_text(&part["text"]) || part["type"] != "text";
    let content = &message["content"];
    message["role"] == "tool"
        || has_text(content)
        || content.as_array().is_some_and(|parts| parts.iter().any(holds))
        || has_text(&message["refusal"])
        || message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty())
}

pub fn is_instruction(message: &Value) -> bool {
    matches!(message["role"].as_str(), Some("system" | "developer"))
}

/// The states of thoughts that a message brings back.
pub fn tokens(message: &Value) -> impl Iterator<Item = &str> {
    let states = message["reasoning_details"].as_array().into_iter().flatten();
    states.filter_map(token_of)
}

/// The token in an entry of `reasoning_details`.
fn token_of(state: &Value) -> Option<&str> {
    state["signature"].as_str().or(state["data"].as_str()).filter(|token| is_token(token))
}

/// What was thought, as it stands in a [`Meaning`].
pub fn thought_of(step: &Step) -> Option<String> {
    step.thought.clone().map(|thought| if step.is_hidden { HIDDEN.to_owned() } else { thought })
}

impl Found {
    fn of_texts(call: usize, mut texts: Vec<String>) -> Self {
        let first = texts
            .first_mut()
            .and_then(|first| first.strip_prefix(FAILED))
            .map(|rest| rest.strip_prefix(' ').unwrap_or(rest).to_owned());
        let has_failed = first.is_some();
        if let Some(rest) = first {
            texts[0] = rest;
            texts.retain(|text| !text.trim().is_empty());
        }
        Self { call, has_failed, texts }
    }
}

impl Meaning {
    pub fn of_step(step: &Step) -> Self {
        let call = |call: &Call| Called { name: call.name.clone(), input: call.input() };
        let mut assistant = Vec::new();
        step.text.iter().chain(&step.refusal).for_each(|text| say(&mut assistant, &Value::from(text.as_str())));
        let thoughts = thought_of(step).into_iter().filter(|_| step.signature.is_some()).collect();
        let calls: Vec<Called> = step.calls.iter().map(call).collect();
        let order = assistant.iter().map(|_| Said::Assistant).chain(calls.iter().map(|_| Said::Call)).collect();
        Self { assistant, thoughts, calls, order, ..Self::default() }
    }

    /// The same with the thoughts that are one model's own, by their tokens; with none if it does not think.
    pub fn with_thoughts(self, thoughts: Vec<String>) -> Self {
        Self { thoughts, ..self }
    }

    /// The same with instructions in an order of their own, since some are moved to the top.
    pub fn with_sorted_instructions(mut self) -> Self {
        self.system.sort();
        self
    }

    /// The same with calls in the words of a station.
    pub fn in_words_of(self, dictionary: &Dictionary<'_>) -> Self {
        Self { calls: self.calls.into_iter().map(|call| dictionary.called(call)).collect(), ..self }
    }

    /// What went up, with one name for what is no tool there.
    pub fn with_known_names(self, dictionary: &Dictionary<'_>) -> Self {
        Self { calls: self.calls.into_iter().map(|call| dictionary.known(call)).collect(), ..self }
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
                meaning.files.extend(part["file"]["file_data"].as_str().map(said_in_file));
            }
            say(&mut said, &message["refusal"]);
            let states = message["reasoning_details"].as_array().into_iter().flatten();
            let sealed = states.filter(|state| token_of(state).is_some());
            meaning.thoughts.extend(sealed.map(|state| state["text"].as_str().unwrap_or(HIDDEN).to_owned()));
            let texts = said.len();
            match message["role"].as_str() {
                Some("user") => meaning.order.extend(vec![Said::User; texts]),
                Some("assistant") => meaning.order.extend(vec![Said::Assistant; texts]),
                Some("tool") => meaning.order.push(Said::Result),
                _ => {}
            }
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let [function, custom] = ["function", "custom"].map(|kind| &call[kind]);
                let called = match custom.is_object() {
                    true => Called { name: exact(&custom["name"]), input: custom["input"].clone() },
                    false => {
                        let arguments = function["arguments"].as_str().expect("arguments");
                        let call = Call::function(function["name"].as_str().expect("a name"), arguments);
                        Called { name: call.name.clone(), input: call.input() }
                    }
                };
                meaning.calls.push(called);
                meaning.order.push(Said::Call);
                ids.push(&call["id"]);
            }
            match message["role"].as_str().expect("a role") {
                "system" | "developer" => meaning.system.extend(said),
                "user" => meaning.user.extend(said),
                "tool" => {
                    let call = ids.iter().rposition(|id| *id == &message["tool_call_id"]);
                    let call = call.expect("a result should have its call");
                    meaning.results.push(Found::of_texts(call, said));
                }
                _ => meaning.assistant.extend(said),
            }
        }
        meaning
    }

    pub fn of_messages(body: &Value) -> Self {
        let mut meaning = Self::default();
        let mut ids: Vec<String> = Vec::new();
        blocks(&body["system"]).iter().for_each(|block| say(&mut meaning.system, &block["text"]));
        for message in body["messages"].as_array().expect("messages") {
            for block in blocks(&message["content"]).iter() {
                let (said, kind) = match message["role"].as_str() {
                    Some("system") => (&mut meaning.system, None),
                    Some("user") => (&mut meaning.user, Some(Said::User)),
                    _ => (&mut meaning.assistant, Some(Said::Assistant)),
                };
                match block["type"].as_str().expect("a type") {
                    "text" => {
                        let before = said.len();
                        say(said, &block["text"]);
                        meaning.order.extend(kind.into_iter().cycle().take(said.len() - before));
                    }
                    "thinking" if block["signature"] == "" => {}
                    "thinking" => meaning.thoughts.extend(block["thinking"].as_str().map(str::to_owned)),
                    "redacted_thinking" => meaning.thoughts.push(HIDDEN.to_owned()),
                    kind if is_of_the_api(kind) => {}
                    "image" => meaning.images.push(source(block)),
                    "document" => meaning.files.push(source(block)),
                    "tool_use" => {
                        ids.push(exact(&block["id"]));
                        meaning.order.push(Said::Call);
                        meaning.calls.push(Called { name: exact(&block["name"]), input: block["input"].clone() });
                    }
                    "tool_result" => {
                        let call = ids.iter().rposition(|id| block["tool_use_id"] == **id);
                        meaning.order.push(Said::Result);
                        let mut texts = Vec::new();
                        for inner in blocks(&block["content"]).iter() {
                            say(&mut texts, &inner["text"]);
                            match inner["type"].as_str() {
                                Some("image") => meaning.images.push(source(inner)),
                                Some("document") => meaning.files.push(source(inner)),
                                _ => {}
                            }
                        }
                        let (call, has_failed) =
                            (call.expect("a result should have its call"), block["is_error"] == true);
                        meaning.results.push(Found { call, has_failed, texts });
                    }
                    other => panic!("{other}"),
                }
            }
        }
        meaning
    }
}

/// The blocks of a content; a text is one.
fn blocks(content: &Value) -> Cow<'_, [Value]> {
    match content {
        Value::Array(blocks) => Cow::Borrowed(blocks),
        Value::String(text) => Cow::Owned(vec![json!({"type": "text", "text": text})]),
        _ => Cow::Borrowed(&[]),
    }
}

fn said_in_file(data: &str) -> String {
    let known = FILES.iter().find(|(known, _)| *known == data);
    known.map_or_else(|| data.to_owned(), |(_, said)| (*said).to_owned())
}

fn source(block: &Value) -> String {
    let text = |name: &str| block["source"][name].as_str().unwrap_or_default().to_owned();
    match block["source"]["type"].as_str() {
        Some("text") => text("data"),
        _ => format!("data:{};base64,{}", text("media_type"), text("data")),
    }
}

/// What messages of the assistant hold in a field that is no part of the published API, but for tokens of the gateway's.
pub fn held(messages: &[Value], field: &str) -> Vec<Value> {
    let value = |message: &Value| match &message[field] {
        Value::Array(items) => {
            let is_foreign =
                |item: &&Value| !["signature", "data"].iter().any(|name| item[*name].as_str().is_some_and(is_token));
            Some(Value::Array(items.iter().filter(is_foreign).cloned().collect()))
        }
        other => Some(other.clone()),
    };
    let says_something = |value: &Value| !value.is_null() && *value != "" && *value != Value::Array(Vec::new());
    messages.iter().filter_map(value).filter(says_something).collect()
}

/// What calls hold beside what they call, by the number of the call.
pub fn beside_calls(messages: &[Value], field: &str) -> BTreeMap<usize, Value> {
    let calls = messages.iter().flat_map(|message| message["tool_calls"].as_array().into_iter().flatten());
    let values = calls.enumerate().map(|(at, call)| (at, call[field].clone()));
    values.filter(|(_, value)| !value.is_null()).collect()
}
