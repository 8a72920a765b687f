//! A whole answer of the Messages API as a chat completion.
//!
//! Blocks are told apart by their type, not their place; those of unknown types are passed over.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{self, CallShape, Counts, UsageFields, explanation, finish_reason};
use crate::record::Usage;
use crate::upstream::dialect::{AnswerFacts, Defect, Whole, is_reason};
use crate::upstream::error_words;
use crate::wire::ask::Ask;
use crate::wire::json::{given, is_text, text};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageFields>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u8,
    message: Answer<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Answer<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function<'a>>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: &'a RawValue,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a RawValue,
    arguments: &'a str,
}

/// Reads a whole answer: OpenAI's body for the client, and what the gateway reads of it. `created` is Unix time.
pub fn decode_answer(
    body: &[u8],
    request: &Ask<'_>,
    created: u64,
    show_reasoning: bool,
) -> Result<(Vec<u8>, Whole), Defect> {
    let message: Message<'_> = serde_json::from_slice(body).map_err(|_| defect(body))?;
    let is_error = given(message.r#type).and_then(text).is_some_and(|kind| error_words::is_error_name(&kind));
    if is_error || given(message.error).is_some() {
        return Err(Defect::Error(error_words::parse(body)));
    }
    let shape = CallShape::of(request);
    let (mut content, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    let mut has_text = false;
    for block in message.content {
        match block.r#type.as_ref() {
            "text" => {
                has_text = true;
                content.push_str(&block.text.and_then(text).ok_or(Defect::Undecodable)?);
            }
            "thinking" if show_reasoning => reasoning.extend(block.thinking.and_then(text)),
            "tool_use" => calls.push(tool_call(&block)?),
            _ => {}
        }
    }
    let stop_reason = given(message.stop_reason).and_then(text).unwrap_or_default();
    // A whole message says why it ended; one that does not is a part of one.
    if !is_reason(&stop_reason) || error_words::is_error_name(&stop_reason) {
        return Err(Defect::Undecodable);
    }
    let finish_reason = finish_reason(&stop_reason, !calls.is_empty(), shape);
    let refusal = match finish_reason {
        "content_filter" => explanation(message.stop_details),
        _ => None,
    };
    // A client that reads the content of an answer without calls expects text, if only an empty one.
    let is_text = has_text || (calls.is_empty() && refusal.is_none());
    let function_call = match shape {
        CallShape::FunctionCall => calls.drain(..).next().map(|call| call.function),
        CallShape::ToolCalls => None,
    };
    let usage = Counts::read(message.usage).map(Usage::from);
    let model = answer::name(message.model);
    let completion = Completion {
        id: answer::name(message.id).unwrap_or_else(|| answer::unknown_id(created)),
        object: "chat.completion",
        created,
        model: model.as_deref().unwrap_or_default(),
        choices: [Choice {
            index: 0,
            message: Answer {
                role: "assistant",
                content: is_text.then_some(content.as_str()),
                refusal,
                reasoning_content: &reasoning,
                tool_calls: calls,
                function_call,
            },
            logprobs: None,
            finish_reason,
        }],
        usage: usage.map(UsageFields::from),
    };
    let body = serde_json::to_vec(&completion).expect("strings and JSON should serialise");
    let mut told = AnswerFacts { usage, ..AnswerFacts::default() };
    told.note_finish_reason(finish_reason);
    if let Some(model) = &model {
        told.note_model(model);
    }
    Ok((body, Whole { told, content: is_text.then_some(content) }))
}

/// What a body is that is no message.
fn defect(body: &[u8]) -> Defect {
    error_words::without_answer(body).map_or(Defect::Undecodable, Defect::Error)
}

fn tool_call<'a>(block: &Block<'a>) -> Result<ToolCall<'a>, Defect> {
    let string = |raw: Option<&'a RawValue>| raw.filter(|raw| is_text(raw)).ok_or(Defect::Undecodable);
    let arguments = given(block.input).map_or("{}", RawValue::get);
    let function = Function { name: string(block.name)?, arguments };
    Ok(ToolCall { id: string(block.id)?, r#type: "function", function })
}
