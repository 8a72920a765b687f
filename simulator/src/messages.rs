//! The Messages dialect: from a request to a message, a stream of named events, or an error.
//!
//! Written from the documentation of Anthropic's Messages API, not from what the gateway sends, so that the gateway's
//! translation is checked by something that does not share its mistakes.

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::classifier::{self, Question};
use crate::profile::{Answers, Model, Profile};
use crate::reply::{Asked, Event, Piece, Refusal, Reply, ReplyBody};
use crate::said::{self, Said};
use crate::script::Fault;

mod betas;
mod cache;
mod content;
mod encode;
mod errors;
mod refusals;
mod request;
mod schemas;
mod signature;
mod turns;

pub use cache::PromptCache;
use cache::PromptUsage;
use encode::{Encoder, Thought};
pub use errors::{encode_error, error_inside, scripted_error};
use request::MessagesRequest;

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// Larger requests are a 413.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// What a model thinks takes so many tokens, unless the limit is tight.
const THINKING_TOKENS: usize = 8;

/// Fields that a request to count tokens does not have.
const ONLY_FOR_ANSWERS: &[&str] =
    &["max_tokens", "metadata", "service_tier", "stop_sequences", "stream", "temperature", "top_k", "top_p"];

/// A comment, and an event that no client knows.
const NOISE: Bytes = Bytes::from_static(
    b": keep-alive\n\nevent: something_new\ndata: {\"type\":\"something_new\",\"value\":{\"text\":\"to be passed over\"}}\n\n",
);

pub fn answer(asked: &Asked<'_>, prompts: &PromptCache) -> Reply {
    let answered = match &asked.profile.answers {
        Answers::Constant(text) => answer_constantly(asked, text),
        Answers::Varied => answer_request(asked, prompts),
    };
    answered.unwrap_or_else(|refusal| encode_error(asked, &refusal))
}

/// The few fields that decide the form of a constant answer.
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    model: String,
    #[serde(default)]
    stream: bool,
}

fn answer_constantly(asked: &Asked<'_>, text: &str) -> Result<Reply, Refusal> {
    let Asked { profile, request, call, step } = *asked;
    let form: Form = serde_json::from_slice(&request.body).map_err(|error| not_json(&error))?;
    let prompt = PromptUsage { plain: request.body.len().div_ceil(4), ..PromptUsage::default() };
    let encoder = Encoder { profile, model: &form.model, call, prompt, thinking: None };
    let said = if step.dictates() { said::dictated(step, text, None) } else { Said::text(text) };
    let said = said::reshape(said, &step.shape, |_| "{}".to_owned());
    Ok(shape(&encoder, form.stream, &said, asked))
}

fn answer_request(asked: &Asked<'_>, prompts: &PromptCache) -> Result<Reply, Refusal> {
    let Asked { profile, call, step, .. } = *asked;
    let body = &asked.request.body;
    let version = refusals::version(&asked.request.headers)?;
    if body.len() > MAX_BODY {
        return Err(Refusal::invalid("Request exceeds the maximum size").with_status(413));
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let (request, model) = examine(profile, version, &value)?;
    betas::check(asked, &value)?;
    let most = request.max_tokens();
    let thinking = request.thinks(&model).then(|| {
        let text = match request.shows_thinking(&model) {
            true => content::thought(profile, &request, call),
            false => String::new(),
        };
        let text = (!step.shape.redacted).then_some(text);
        let signature = signature::of(&profile.name, &request, text.as_deref());
        Thought { signature, text, tokens: THINKING_TOKENS.min(most / 2) }
    });
    let schema = request.wanted_schema();
    let said = if step.dictates() {
        said::dictated(step, &content::plain_text(profile, &request, call), request.prefill().as_deref())
    } else if let Some(question) = Question::read(schema.as_deref(), request.last_user_text()) {
        Said::text(&classifier::classify(&question, &step.shape))
    } else {
        content::compose(profile, &request, call)
    };
    let said = said::reshape(said, &step.shape, |name| content::arguments(profile, &request, call, name));
    let left = most - thinking.as_ref().map_or(0, |thought| thought.tokens);
    let said = said::limit(said, &request.stops(), Some(left));
    let encoder = Encoder { profile, model: &model.id, call, prompt: prompts.bill(&request), thinking };
    Ok(shape(&encoder, request.streams(), &said, asked))
}

/// Whether a provider would take this body under this version of the API; if not, its words.
///
/// The simulator refuses by the same rules; this is for those who have a request and no simulator.
pub fn judge(profile: &Profile, version: &str, body: &Value) -> Result<(), String> {
    examine(profile, version, body).map(|_| ()).map_err(|refusal| refusal.message)
}

/// The signature that [`Profile::anthropic`] gives what a model thinks about this request; nothing for what is no request.
pub fn sign_thought(body: &Value, thinking: &str) -> Option<String> {
    body.as_object().map(|fields| signature::of(Profile::ANTHROPIC, &MessagesRequest(fields), Some(thinking)))
}

/// The state that it gives what a model thinks about this request and does not tell.
pub fn sign_hidden_thought(body: &Value) -> Option<String> {
    body.as_object().map(|fields| signature::of(Profile::ANTHROPIC, &MessagesRequest(fields), None))
}

/// How many tokens a request has, which may be more than the model takes.
pub fn count_tokens(asked: &Asked<'_>) -> Reply {
    count(asked).unwrap_or_else(|refusal| encode_error(asked, &refusal))
}

fn count(asked: &Asked<'_>) -> Result<Reply, Refusal> {
    let version = refusals::version(&asked.request.headers)?;
    let mut value: Value = serde_json::from_slice(&asked.request.body).map_err(|error| not_json(&error))?;
    let given = ONLY_FOR_ANSWERS.iter().find(|name| value.get(name).is_some());
    if let Some(name) = given {
        return Err(Refusal::invalid(format!("{name}: Extra inputs are not permitted")));
    }
    // Of what is judged, only a limit on thinking depends on it.
    value["max_tokens"] = json!(u32::MAX);
    let (request, model) = form(asked.profile, &value)?;
    refusals::check(&asked.profile.name, &model, &request, version)?;
    betas::check(asked, &value)?;
    let tokens = cache::prompt_tokens(&request);
    Ok(Reply::json(asked.profile, 200, encode::to_bytes(&json!({"input_tokens": tokens}))))
}

fn examine<'a>(profile: &Profile, version: &str, body: &'a Value) -> Result<(MessagesRequest<'a>, Model), Refusal> {
    let (request, model) = form(profile, body)?;
    refusals::check_length(&model, &request)?;
    refusals::check(&profile.name, &model, &request, version)?;
    Ok((request, model))
}

/// A request whose form is right, and the model that it is for.
fn form<'a>(profile: &Profile, body: &'a Value) -> Result<(MessagesRequest<'a>, Model), Refusal> {
    refusals::check_form(body)?;
    let Value::Object(fields) = body else {
        return Err(Refusal::invalid("the body must be a JSON object"));
    };
    let request = MessagesRequest(fields);
    let model = find_model(profile, &request)?;
    Ok((request, model))
}

/// Encodes what is said, or what a script's fault makes of it.
fn shape(encoder: &Encoder<'_>, streams: bool, said: &Said, asked: &Asked<'_>) -> Reply {
    let fault = &asked.step.fault;
    let failure = match fault {
        Some(Fault::LeakEvent(_)) => {
            let message = format!("the key {} was refused behind this provider", asked.request.key());
            Refusal::invalid(message).with_status(500)
        }
        _ => Refusal::invalid("Overloaded").with_status(529),
    };
    if !streams {
        let body = match fault {
            Some(Fault::ErrorEvent(_) | Fault::LeakEvent(_)) => return encode_error(asked, &failure),
            Some(Fault::Garbage) => {
                Bytes::from_static(b"{\"id\": \"msg_garbage\", \"type\": \"message\", \"content\": [{\"ty")
            }
            _ => encoder.whole(said),
        };
        return Reply::json(asked.profile, 200, body);
    }
    let mut events = encoder.events(said);
    if *fault == Some(Fault::Garbage) {
        events.retain(|event| matches!(event.piece, Piece::Opening | Piece::End));
        let frame =
            Bytes::from_static(b"event: content_block_start\ndata: {\"type\": \"content_block_start\", \"ind\n\n");
        events.insert(1, Event { piece: Piece::Content, frame });
    }
    let error = encode::frame(&errors::envelope(asked, &failure));
    let body = ReplyBody::Events { events, error, noise: NOISE };
    Reply { content_type: EVENT_STREAM, body, ..Reply::json(asked.profile, 200, Bytes::new()) }
}

fn find_model(profile: &Profile, request: &MessagesRequest<'_>) -> Result<Model, Refusal> {
    let id = request.model().unwrap_or_default();
    if profile.models.is_empty() {
        return Ok(Model::plain(id));
    }
    let found = profile.models.iter().find(|model| model.id == id).cloned();
    found.ok_or_else(|| Refusal::invalid(format!("model: {id}")).with_status(404))
}

fn not_json(error: &serde_json::Error) -> Refusal {
    Refusal::invalid(format!("The request body is not valid JSON: {error}"))
}

pub fn list_models(asked: &Asked<'_>) -> Reply {
    let model = |model: &Model| {
        json!({
            "type": "model",
            "id": model.id,
            "display_name": model.id,
            "created_at": "2026-10-01T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": model.context_tokens,
            "max_tokens": model.claude.max_output,
        })
    };
    let models: Vec<Value> = asked.profile.models.iter().map(model).collect();
    let id = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
    let (first, last) = (id(models.first()), id(models.last()));
    Reply::json(
        asked.profile,
        200,
        encode::to_bytes(&json!({"data": models, "has_more": false, "first_id": first, "last_id": last})),
    )
}
