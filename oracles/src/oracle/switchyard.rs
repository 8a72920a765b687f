//! `switchyard-translation`: requests, answers and streams.

use serde_json::Value;
use switchyard_translation::{
    PreservationPolicy, StreamTranslationState, TranslationEngine, TranslationPolicy, WireFormat,
};

use crate::case::Case;
use crate::oracle::Translator;
use crate::outcome::Translated;

pub const TRANSLATOR: Translator = Translator { request, answer, stream };

const CHAT: WireFormat = WireFormat::OpenAiChat;
const MESSAGES: WireFormat = WireFormat::AnthropicMessages;

fn policy() -> TranslationPolicy {
    TranslationPolicy { preservation: PreservationPolicy::Disabled, ..TranslationPolicy::default() }
}

fn request(body: &Value) -> Translated {
    let translated = TranslationEngine::default().translate_request(CHAT, MESSAGES, body, &policy());
    translated.map(|output| output.body).map_err(|error| error.to_string())
}

fn answer(body: &Value) -> Translated {
    let translated = TranslationEngine::default().translate_response(MESSAGES, CHAT, body, &policy());
    translated.map(|output| output.body).map_err(|error| error.to_string())
}

fn stream(case: &Case) -> Translated {
    let engine = TranslationEngine::default();
    let mut state = StreamTranslationState::new(MESSAGES, CHAT);
    let mut chunks = Vec::new();
    for event in case.stream.iter().flatten().filter(|event| event.is_object()) {
        let translated = engine.translate_event(&mut state, MESSAGES, CHAT, event);
        chunks.extend(translated.map_err(|error| error.to_string())?);
    }
    chunks.extend(engine.finish_stream(&mut state, CHAT).map_err(|error| error.to_string())?);
    // It leaves the end marker to the server that embeds it.
    chunks.push("[DONE]".into());
    Ok(chunks.into())
}
