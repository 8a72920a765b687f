//! The Chat Completions dialect: from a request body to a reply or an error in the provider's shape.

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::classifier::{self, Question};
use crate::profile::{Answers, Model, Profile, Quirk};
use crate::reply::{Asked, Event, Piece, Refusal, Reply, ReplyBody};
use crate::said::{self, Said};
use crate::script::Fault;

mod content;
mod encode;
mod errors;
mod forms;
mod history;
mod refusals;
mod request;

use encode::Encoder;
use errors::error_value;
pub use errors::{encode_error, error_inside, scripted_error};
use request::ChatRequest;

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

pub fn answer(asked: &Asked<'_>) -> Reply {
    let answered = match &asked.profile.answers {
        Answers::Constant(text) => answer_constantly(asked, text),
        Answers::Varied => answer_request(asked),
    };
    answered.unwrap_or_else(|refusal| encode_error(asked.profile, &refusal))
}

/// The few fields that decide the form of a constant answer.
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    model: String,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

fn answer_constantly(asked: &Asked<'_>, text: &str) -> Result<Reply, Refusal> {
    let Asked { profile, request, call, step } = *asked;
    let form: Form = serde_json::from_slice(&request.body).map_err(|error| not_json(&error))?;
    let encoder = Encoder {
        profile,
        model: &form.model,
        call,
        prompt_tokens: request.body.len().div_ceil(4),
        reasoning_tokens: 0,
        include_usage: form.stream_options.is_some_and(|options| options.include_usage),
        shows_thought: false,
        warning: None,
    };
    let said = if step.dictates() { said::dictated(step, text, None) } else { Said::text(text) };
    let said = said::reshape(said, &step.shape, |_| "{}".to_owned());
    Ok(shape(&encoder, form.stream, &[said], asked))
}

fn answer_request(asked: &Asked<'_>) -> Result<Reply, Refusal> {
    let Asked { profile, call, step, .. } = *asked;
    let body = &asked.request.body;
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let Value::Object(fields) = value else {
        return Err(Refusal::invalid("the body must be a JSON object"));
    };
    let request = ChatRequest(&fields);
    let model = examine(profile, &request, body.len())?;
    let schema = classifier::wanted_schema(request.output_schema(), &request.instructions());
    let question = Question::read(schema.as_deref(), request.last_user_text());
    if question.is_some() && profile.has(Quirk::Classifies) {
        classifier::check(&fields)?;
    }
    let reasoning = refusals::reasons(&model, &request);
    let cap = request.max_tokens(profile);
    let reasoning_tokens = if reasoning { cap.map_or(8, |cap| (cap / 2).min(8)) } else { 0 };
    let said = if step.dictates() {
        said::dictated(step, &content::plain_text(profile, &request, call), request.prefill(profile).as_deref())
    } else if let Some(question) = question {
        Said::text(&classifier::classify(&question, &step.shape))
    } else {
        content::compose(profile, &request, call)
    };
    let said = said::reshape(said, &step.shape, |name| content::arguments(profile, &request, call, name));
    let said = said::limit(said, &request.stops(), cap.map(|cap| cap - reasoning_tokens));
    let choices = vec![said; request.choices()];
    let encoder = Encoder {
        profile,
        model: &model.id,
        call,
        prompt_tokens: body.len().div_ceil(4),
        reasoning_tokens,
        include_usage: request.include_usage(),
        shows_thought: request.shows_thought(profile),
        warning: refusals::warning(&model, &request),
    };
    Ok(shape(&encoder, request.streams(), &choices, asked))
}

/// Whether a provider would take this body; if not, its words.
///
/// The simulator refuses by the same rules; this is for those who have a request and no simulator.
pub fn judge(profile: &Profile, body: &Value) -> Result<(), String> {
    let Value::Object(fields) = body else { return Err("the body must be a JSON object".to_owned()) };
    let length = body.to_string().len();
    examine(profile, &ChatRequest(fields), length).map(|_| ()).map_err(|refusal| refusal.message)
}

fn examine(profile: &Profile, request: &ChatRequest<'_>, length: usize) -> Result<Model, Refusal> {
    let model = find_model(profile, request)?;
    refusals::check(profile, &model, request, length)?;
    Ok(model)
}

/// Encodes what is said, or what a script's fault makes of it.
fn shape(encoder: &Encoder<'_>, streams: bool, choices: &[Said], asked: &Asked<'_>) -> Reply {
    let step = asked.step;
    let message = match step.fault {
        Some(Fault::LeakEvent(_)) => {
            format!("the model behind this provider refused the key {}", asked.request.key())
        }
        _ => "the model failed while it answered".to_owned(),
    };
    let server_error = Refusal::invalid(message).with_status(500);
    if !streams {
        let body = match &step.fault {
            Some(Fault::ErrorEvent(_) | Fault::LeakEvent(_)) => return encode_error(encoder.profile, &server_error),
            Some(Fault::Garbage) => Bytes::from_static(b"{\"id\": \"chatcmpl-garbage\", \"choices\": [{\"mess"),
            _ => encoder.whole(choices),
        };
        return Reply::json(encoder.profile, 200, body);
    }
    let mut events = encoder.events(choices);
    if step.fault == Some(Fault::Garbage) {
        events.retain(|event| event.piece == Piece::Opening);
        let frame = Bytes::from_static(b"data: {\"id\": \"chatcmpl-garbage\", \"choices\": [{\"del\n\n");
        events.push(Event { piece: Piece::Content, frame });
        events.push(Event { piece: Piece::End, frame: encode::DONE });
    }
    let error = encode::frame(&error_value(encoder.profile, &server_error));
    let noise = Bytes::from_static(b": keep-alive\n\nretry: 3000\n\n");
    Reply {
        content_type: EVENT_STREAM,
        body: ReplyBody::Events { events, error, noise },
        ..Reply::json(encoder.profile, 200, Bytes::new())
    }
}

fn find_model(profile: &Profile, request: &ChatRequest<'_>) -> Result<Model, Refusal> {
    let Some(id) = request.model() else {
        return Err(Refusal::invalid("`model` is required and must be a string").with_param("model"));
    };
    if profile.models.is_empty() {
        return Ok(Model::plain(id));
    }
    profile.models.iter().find(|model| model.id == id).cloned().ok_or_else(|| {
        Refusal::invalid(format!("there is no model `{id}` here"))
            .with_status(404)
            .with_code("model_not_found")
            .with_param("model")
    })
}

fn not_json(error: &serde_json::Error) -> Refusal {
    Refusal::invalid(format!("the body is not the JSON that was expected: {error}"))
}

pub fn list_models(profile: &Profile) -> Reply {
    let models: Vec<Value> = profile
        .models
        .iter()
        .map(|model| json!({"id": model.id, "object": "model", "created": 1_760_000_000, "owned_by": profile.name}))
        .collect();
    Reply::json(profile, 200, encode::to_bytes(&json!({"object": "list", "data": models})))
}
