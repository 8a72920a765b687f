//! What models of the chat API think, in fields that their providers want back, as a client of the Messages API has it: in
//! tokens, each in a thought before what it led to.

use serde_json::{Value, json};
use tiergate::wire::seal::is_token;

use super::agent_walk::told_thought;
use super::script::Step;
use super::station::{Station, Thoughts};

/// What the Gemini API takes for calls that it has not made.
const ESCAPE: &str = "skip_thought_signature_validator";

/// What one token holds.
pub struct ChatState {
    pub station: &'static str,
    text: String,
    token: String,
    pub era: usize,
}

/// A token of an answer, with the text beside it.
pub struct Token {
    text: String,
    token: String,
}

/// The tokens of an answer.
pub fn of_answer(answered: &Value) -> impl Iterator<Item = Token> {
    let told = answered["content"].as_array().expect("blocks").iter().filter_map(told_thought);
    let tokens = told.filter(|(_, token)| is_token(token));
    tokens.map(|(text, token)| Token { text: text.to_owned(), token: token.to_owned() })
}

impl Token {
    /// The same as what a station has given, which it must be.
    pub fn of(self, station: &Station, step: &Step, era: usize) -> ChatState {
        let Self { text, token } = self;
        let given = fields(&token, &text);
        for (name, value) in &given {
            let is_thought = matches!(station.thoughts, Thoughts::Field(field) if field == name);
            let expected = match (is_thought, name.as_str()) {
                (true, _) => json!(step.thought),
                (false, "call_extra_content") => station.call_echoes["extra_content"].clone(),
                (false, _) => station.echoes[name].clone(),
            };
            assert_eq!(*value, expected, "{}: {name}", station.name);
        }
        ChatState { station: station.name, text, token, era }
    }
}

/// The fields in a token.
fn fields(token: &str, text: &str) -> Vec<(String, Value)> {
    let state = token.splitn(4, '_').last().expect("a state");
    let state: Value = serde_json::from_str(state).expect("JSON");
    let told = |(name, value): (&String, &Value)| match value {
        Value::Bool(true) => (name.clone(), json!(text)),
        value => (name.clone(), value.clone()),
    };
    state.as_object().expect("an object").iter().filter(|(name, _)| *name != "call_id").map(told).collect()
}

/// Checks that of what comes back just that goes up to a station which is its own, in its order.
pub fn check(own: &[&ChatState], upstream: &Value, sent: &Value) {
    let mut expected = Vec::new();
    for message in sent["messages"].as_array().expect("messages") {
        let blocks = message["content"].as_array().map_or(&[][..], Vec::as_slice);
        for (at, (text, token)) in blocks.iter().enumerate().filter_map(|(at, block)| Some((at, told_thought(block)?)))
        {
            let is_known = own.iter().any(|state| state.token == token && state.text == text);
            let leads_somewhere = blocks[at + 1..].iter().any(|block| {
                block["type"] == "tool_use" || block["text"].as_str().is_some_and(|text| !text.trim().is_empty())
            });
            if is_known && leads_somewhere {
                expected.extend(fields(token, text));
            }
        }
    }
    let mut went = Vec::new();
    for message in
        upstream["messages"].as_array().expect("messages").iter().filter(|message| message["role"] == "assistant")
    {
        for name in ["reasoning_content", "reasoning", "reasoning_details", "extra_content"] {
            went.extend(
                Some(&message[name]).filter(|value| !value.is_null()).map(|value| (name.to_owned(), value.clone())),
            );
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let extra =
                Some(&call["extra_content"]).filter(|extra| !extra.is_null() && !extra.to_string().contains(ESCAPE));
            went.extend(extra.map(|extra| ("call_extra_content".to_owned(), extra.clone())));
        }
    }
    assert_eq!(went, expected, "{upstream}\nfor {sent}");
}
