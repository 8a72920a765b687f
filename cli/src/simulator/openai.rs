//! The Chat Completions dialect: from a request body to a reply or an error in the provider's shape.

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::classifier;
use super::profile::{Answers, Model, Profile, Quirk};
use super::reply::{Event, Piece, Refusal, Reply, ReplyBody};
use super::script::{ErrorBody, Fault, Step};

mod content;
mod encode;
mod refusals;
mod request;

use content::Said;
use encode::Encoder;
use request::ChatRequest;

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

pub fn answer(profile: &Profile, body: &[u8], call: u64, step: &Step) -> Reply {
    let answered = match &profile.answers {
        Answers::Constant(text) => answer_constantly(profile, body, call, step, text),
        Answers::Varied => answer_request(profile, body, call, step),
    };
    answered.unwrap_or_else(|refusal| encode_error(profile, &refusal))
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

fn answer_constantly(profile: &Profile, body: &[u8], call: u64, step: &Step, text: &str) -> Result<Reply, Refusal> {
    let form: Form = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let encoder = Encoder {
        profile,
        model: &form.model,
        call,
        prompt_tokens: body.len().div_ceil(4),
        reasoning_tokens: 0,
        include_usage: form.stream_options.is_some_and(|options| options.include_usage),
        warning: None,
    };
    let said = match step.shape.dictates_text() || matches!(step.fault, Some(Fault::Huge(_))) {
        true => content::dictated(step, text),
        false => Said::text(text.to_owned()),
    };
    Ok(shape(&encoder, form.stream, &[said], step))
}

fn answer_request(profile: &Profile, body: &[u8], call: u64, step: &Step) -> Result<Reply, Refusal> {
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let Value::Object(fields) = value else {
        return Err(Refusal::invalid("the body must be a JSON object"));
    };
    let request = ChatRequest(&fields);
    let model = find_model(profile, &request)?;
    refusals::check(profile, &model, &request, body.len())?;
    let classification = profile.has(Quirk::Classifies) && classifier::is_classification(&fields);
    if classification {
        classifier::check(&fields)?;
    }
    let reasoning = refusals::reasons(&model, &request);
    let cap = request.max_tokens();
    let reasoning_tokens = if reasoning { cap.map_or(8, |cap| (cap / 2).min(8)) } else { 0 };
    let said = if step.shape.dictates_text() || matches!(step.fault, Some(Fault::Huge(_))) {
        content::dictated(step, &content::plain_text(profile, &request, call))
    } else if classification {
        Said::text(classifier::classify(&fields, &step.shape))
    } else {
        content::compose(profile, &request, call)
    };
    let said = content::limit(said, &request, cap.map(|cap| cap - reasoning_tokens));
    let choices = vec![said; request.choices()];
    let encoder = Encoder {
        profile,
        model: &model.id,
        call,
        prompt_tokens: body.len().div_ceil(4),
        reasoning_tokens,
        include_usage: request.include_usage(),
        warning: refusals::warning(&model, &request),
    };
    Ok(shape(&encoder, request.streams(), &choices, step))
}

/// Encodes what is said, or what a script's fault makes of it.
fn shape(encoder: &Encoder<'_>, streams: bool, choices: &[Said], step: &Step) -> Reply {
    let server_error = Refusal::invalid("the model failed while it answered").with_status(500);
    if !streams {
        let body = match &step.fault {
            Some(Fault::ErrorEvent(_)) => return encode_error(encoder.profile, &server_error),
            Some(Fault::Garbage) => Bytes::from_static(b"{\"id\": \"chatcmpl-garbage\", \"choices\": [{\"mess"),
            _ => encoder.whole(choices),
        };
        return reply(encoder.profile, 200, JSON, body);
    }
    let mut events = encoder.events(choices);
    if step.fault == Some(Fault::Garbage) {
        events.retain(|event| event.piece == Piece::Opening);
        let frame = Bytes::from_static(b"data: {\"id\": \"chatcmpl-garbage\", \"choices\": [{\"del\n\n");
        events.push(Event { piece: Piece::Content, frame });
        events.push(Event { piece: Piece::End, frame: encode::DONE });
    }
    let error = encode::frame(&error_value(encoder.profile, &server_error));
    Reply { body: ReplyBody::Events { events, error }, ..reply(encoder.profile, 200, EVENT_STREAM, Bytes::new()) }
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
    reply(profile, 200, JSON, encode::to_bytes(&json!({"object": "list", "data": models})))
}

pub fn encode_error(profile: &Profile, refusal: &Refusal) -> Reply {
    reply(profile, refusal.status, JSON, encode::to_bytes(&error_value(profile, refusal)))
}

/// An error body where the status promises an answer.
pub fn error_inside(profile: &Profile) -> Reply {
    let refusal = Refusal::invalid("the model behind this provider failed").with_status(502);
    Reply { status: 200, ..encode_error(profile, &refusal) }
}

pub fn scripted_error(profile: &Profile, status: Option<u16>, body: &ErrorBody) -> Reply {
    let status = status.unwrap_or_else(|| body.usual_status());
    let refusal = Refusal::invalid(format!("a scripted error with status {status}")).with_status(status);
    match body {
        ErrorBody::Envelope => encode_error(profile, &refusal),
        ErrorBody::Text(text) => reply(profile, status, JSON, Bytes::from(text.clone().into_bytes())),
        ErrorBody::Quota => encode_error(
            profile,
            &Refusal { message: "the quota of this account is used up".to_owned(), ..refusal }
                .with_code("insufficient_quota"),
        ),
        ErrorBody::Html => {
            let page = format!("<html><head><title>{status}</title></head><body><h1>Bad Gateway</h1></body></html>\n");
            reply(profile, status, "text/html", Bytes::from(page.into_bytes()))
        }
        ErrorBody::Array => reply(profile, status, JSON, encode::to_bytes(&array_error(&refusal))),
        ErrorBody::Flat => {
            let flat = json!({
                "object": "error", "message": refusal.message, "type": "BadRequestError", "param": null, "code": status,
            });
            reply(profile, status, JSON, encode::to_bytes(&flat))
        }
        ErrorBody::ListMessage => {
            let mut error = envelope(&refusal);
            error["error"]["message"] = json!([refusal.message, {"loc": ["body", "messages"], "msg": "is wrong"}]);
            reply(profile, status, JSON, encode::to_bytes(&error))
        }
        ErrorBody::ContextLength => encode_error(
            profile,
            &Refusal { message: "the prompt is longer than the model's context".to_owned(), ..refusal }
                .with_code("context_length_exceeded")
                .with_param("messages"),
        ),
        ErrorBody::ContentPolicy => encode_error(
            profile,
            &Refusal { message: "the prompt is against the provider's content policy".to_owned(), ..refusal }
                .with_code("content_policy_violation"),
        ),
    }
}

fn error_value(profile: &Profile, refusal: &Refusal) -> Value {
    if profile.has(Quirk::ArrayErrors) { array_error(refusal) } else { envelope(refusal) }
}

fn envelope(refusal: &Refusal) -> Value {
    let (kind, usual_code) = match refusal.status {
        401 => ("authentication_error", Some("invalid_api_key")),
        402 => ("billing_error", None),
        403 => ("permission_error", None),
        429 if refusal.code == Some("insufficient_quota") => ("insufficient_quota", None),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        500.. => ("server_error", Some("server_error")),
        _ => ("invalid_request_error", None),
    };
    json!({"error": {
        "message": refusal.message,
        "type": kind,
        "param": refusal.param,
        "code": refusal.code.or(usual_code),
    }})
}

/// Google's form: an array, a numeric code and a status word, no `type` and no `param`.
fn array_error(refusal: &Refusal) -> Value {
    let word = match refusal.status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!([{"error": {"code": refusal.status, "message": refusal.message, "status": word}}])
}

fn reply(profile: &Profile, status: u16, content_type: &'static str, body: Bytes) -> Reply {
    let headers = profile.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply { status, content_type, headers, body: ReplyBody::Whole(body) }
}

/// The request's fields as other modules of the simulator see them.
type Fields = Map<String, Value>;
