//! The gateway's own translator, as the pipeline uses it, for a model that can do whatever the API can.
//!
//! The row is the same for all cases: what rows change is for the golden cases.

use std::time::Duration;

use serde_json::{Value, json};
use tiergate::door::answer::AnswerOptions;
use tiergate::door::chat;
use tiergate::door::delivery::{self, Delivery};
use tiergate::policy::parse::parse;
use tiergate::policy::{Candidate, Dialect, Entry, Policy};
use tiergate::upstream::dialect::{self, CannotEncode, DecodeOptions, Defect, EncodeOptions, Heard, Recipient, Stream};
use tiergate::upstream::error_words::ProviderError;
use tiergate::wire::ask::Ask;
use tiergate::wire::door::Door;
use tiergate::wire::piece::Said;
use tiergate::wire::sse::Decoder;

use crate::case::Case;
use crate::outcome::{Outcome, Translated, events};

const CREATED: Duration = Duration::from_secs(1_790_000_000);

/// Translates all that a case has.
pub fn translate(case: &Case) -> Outcome {
    let policy = policy();
    let candidate = candidate(&policy);
    let recipient = Recipient::of(&policy, &candidate);
    let (asked, asked_as_stream) = (case.asked().to_string(), case.asked_as_stream().to_string());
    let (whole, streamed) = (read(&asked), read(&asked_as_stream));
    let options = |request: &Ask<'_>| {
        let answer = AnswerOptions::of(request, recipient.provider.show_reasoning);
        (DecodeOptions::of(&recipient, request, CREATED), answer)
    };
    let request = || encode(&policy, whole.as_ref().map_err(Clone::clone)?);
    let answer = |answer| {
        let (reading, writing) = options(whole.as_ref().map_err(Clone::clone)?);
        decode(&reading, writing, answer)
    };
    let stream = |wire: String| {
        let (reading, writing) = options(streamed.as_ref().map_err(Clone::clone)?);
        relay(&reading, writing, &wire)
    };
    Outcome {
        request: case.request.as_ref().map(|_| request()),
        answer: case.answer.as_ref().map(answer),
        stream: case.wire().map(stream),
    }
}

fn read(asked: &str) -> Result<Ask<'_>, String> {
    chat::parse(asked.as_bytes()).map_err(|error| text(error.body(Door::Chat, "")))
}

fn policy() -> Policy {
    let document = json!({
        "version": "1", "default_tier": "only",
        "tiers": [{
            "name": "only", "description": "Everything.", "candidates": [{"model": "model"}],
            "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
        }],
        "models": {"model": {
            "provider": "only", "id": "claude-fable-5", "context": 1_000_000, "max_output": 128_000,
            "tools": true, "vision": true, "files": true, "json_schema": true, "prefill": "message",
            "thinking": "adaptive",
        }},
        "providers": {"only": {
            "base_url": "https://api.anthropic.com", "auth": "x-api-key", "dialect": "anthropic-messages",
            "show_reasoning": true,
        }},
    });
    parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn candidate(policy: &Policy) -> Candidate {
    let Entry::One(candidate) = &policy.tiers[0].candidates[0] else { panic!("one candidate") };
    candidate.clone()
}

fn encode(policy: &Policy, request: &Ask<'_>) -> Translated {
    let options = EncodeOptions { counts_usage: true, ..EncodeOptions::default() };
    match dialect::encode_request(policy, &candidate(policy), request, &options) {
        Ok(encoded) => Ok(serde_json::from_slice(&encoded.body).expect("JSON")),
        Err(CannotEncode::Unfit(error)) => Err(text(error.body(Door::Chat, ""))),
        Err(CannotEncode::Unavailable(dialect)) => panic!("{dialect} should be built"),
    }
}

fn decode(reading: &DecodeOptions, options: AnswerOptions, answer: &Value) -> Translated {
    let came = dialect::mend_answer(reading, answer.to_string().into_bytes());
    let pieces = dialect::decode_answer(reading, &came).map_err(|defect| name(&defect))?;
    let said = Said { dialect: Dialect::AnthropicMessages, pieces: &pieces, came: None };
    let body = delivery::encode_answer(&options, &said, None).expect("an answer of another dialect");
    Ok(serde_json::from_slice(&body).expect("JSON"))
}

fn relay(reading: &DecodeOptions, options: AnswerOptions, wire: &str) -> Translated {
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    let mut stream = Stream::new(reading).expect("the dialect should be built");
    let mut delivery = Delivery::stream(options, None);
    decoder.space().extend_from_slice(wire.as_bytes());
    while let Some(event) = decoder.next_event().expect("short events") {
        let data = stream.data(&event);
        let mut pieces = Vec::new();
        match stream.take(&data, &mut pieces) {
            Ok(Heard::Pieces) => {
                let passed = stream.pass(&data);
                let came = passed.as_it_came();
                delivery.take(&Said { dialect: stream.dialect(), pieces: &pieces, came }, &mut out);
            }
            Ok(Heard::End) => {
                if stream.is_finished() {
                    delivery.end(&mut out);
                }
                break;
            }
            Ok(Heard::Foreign) => {}
            Err(defect) => return Err(name(&defect)),
        }
    }
    events(&text(out))
}

fn name(defect: &Defect) -> String {
    match defect {
        Defect::Undecodable => "undecodable".to_owned(),
        Defect::Cut => "cut".to_owned(),
        Defect::Error(ProviderError { message, .. }) => message.clone().unwrap_or_default(),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}
