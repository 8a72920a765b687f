//! `llm-dialect`, which goes through a canonical form: requests, answers and streams.
//!
//! It has no writer of whole Chat Completions answers of its own; what it reads in an answer is put into its canonical one.

use llm_dialect::canonical::ChatResponse;
use llm_dialect::dialect::anthropic::deframe::AnthropicDeframer;
use llm_dialect::dialect::anthropic::{req_out, resp_in};
use llm_dialect::dialect::openai_chat::req;
use llm_dialect::dialect::openai_chat::stream::OpenAiFramer;
use llm_dialect::items::ContentItem;
use serde_json::{Value, json};

use crate::case::Case;
use crate::oracle::Translator;
use crate::outcome::{Translated, events};

pub const TRANSLATOR: Translator = Translator { request, answer, stream };

fn request(body: &Value) -> Translated {
    let items = req::from_openai_chat(body).map_err(|error| error.to_string())?;
    req_out::to_anthropic(&items).map_err(|error| error.to_string())
}

fn answer(body: &Value) -> Translated {
    let reply = resp_in::parse_response(body).map_err(|error| error.to_string())?;
    let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    for item in &reply.message.items {
        match item {
            ContentItem::Text { text: said } => text.push_str(said),
            ContentItem::Thinking { text: thought, .. } => reasoning.push_str(thought),
            ContentItem::ToolCall { id, name, arguments } => calls.push(json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()},
            })),
            ContentItem::ToolResult { .. } | ContentItem::Refusal { .. } => return Err(format!("{item:?}")),
        }
    }
    let model = body["model"].as_str().unwrap_or_default();
    let calls = (!calls.is_empty()).then(|| calls.into());
    let mut response = ChatResponse::full(model, text, calls, reply.finish_reason, reply.usage);
    response.id = body["id"].as_str().unwrap_or_default().to_owned();
    response.choices[0].message.reasoning_content = Some(reasoning).filter(|reasoning| !reasoning.is_empty());
    serde_json::to_value(response).map_err(|error| error.to_string())
}

fn stream(case: &Case) -> Translated {
    let mut deframer = AnthropicDeframer::new();
    // It leaves both names to whoever embeds it.
    let (mut id, mut model) = (String::new(), String::new());
    for message in case.stream.iter().flatten().map(|event| &event["message"]) {
        id.push_str(message["id"].as_str().unwrap_or_default());
        model.push_str(message["model"].as_str().unwrap_or_default());
    }
    let mut framer = OpenAiFramer::new(id, model, 0, true);
    let mut out = String::new();
    for event in case.stream.iter().flatten().filter(|event| event.is_object()) {
        let name = event["type"].as_str().unwrap_or_default();
        let taken = deframer.push(name, &event.to_string()).map_err(|error| error.to_string())?;
        if let Some(chunk) = taken.chunk {
            out.push_str(&framer.frame_chunk(&chunk).concat());
        }
    }
    deframer.finalize().map_err(|error| error.to_string())?;
    out.push_str(&framer.finish().concat());
    events(&out)
}
