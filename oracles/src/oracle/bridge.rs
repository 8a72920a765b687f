//! `llm-bridge-core`: requests with plain messages, answers and streams.

use std::collections::HashMap;

use llm_bridge_core::model::{ApiFormat, StreamState, TransformError, TransformRequest, TransformResponse};
use llm_bridge_core::{stream as streams, transform};
use serde_json::Value;

use crate::case::Case;
use crate::oracle::Translator;
use crate::outcome::{Translated, events};

pub const TRANSLATOR: Translator = Translator { request, answer, stream };

fn carrying(path: &str, body: &Value) -> TransformRequest {
    TransformRequest { headers: HashMap::new(), path: path.to_owned(), body: body.to_string().into() }
}

fn body(transformed: Result<TransformResponse, TransformError>) -> Translated {
    let response = transformed.map_err(|error| error.to_string())?;
    serde_json::from_slice(&response.body).map_err(|error| error.to_string())
}

fn request(request: &Value) -> Translated {
    body(transform::openai_to_anthropic(&carrying("/v1/chat/completions", request)))
}

fn answer(answer: &Value) -> Translated {
    body(transform::anthropic_response_to_openai_response(&carrying("/v1/messages", answer)))
}

fn stream(case: &Case) -> Translated {
    let (wire, mut state) = (case.wire().unwrap_or_default(), StreamState::default());
    let format = ApiFormat::AnthropicMessages;
    let out = streams::transform_stream_to_openai_sse(wire.as_bytes(), format, &mut state);
    events(&String::from_utf8_lossy(&out.map_err(|error| error.to_string())?))
}
