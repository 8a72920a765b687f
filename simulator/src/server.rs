//! Connections and routes. Connections are served one by one rather than by `axum::serve`, since some faults end the
//! connection itself: a handler asks for that through its connection's `Hangup`.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, Method, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::delivery;
use crate::journal::{Journal, Presence, Recorded};
use crate::messages::{self, PromptCache};
use crate::openai;
use crate::profile::{Dialect, Profile, Quirk};
use crate::reply::{Asked, Refusal, Reply};
use crate::script::{Fault, Queue, Step};

/// How long answers under way may go on once the simulator is stopped.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Larger request bodies get a 413.
const MAX_BODY: usize = 64 * 1024 * 1024;

pub struct State {
    pub profile: Profile,
    pub journal: Journal,
    queue: Mutex<Queue>,
    calls: AtomicU64,
    prompts: PromptCache,
}

impl State {
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            journal: Journal::new(),
            queue: Mutex::default(),
            calls: AtomicU64::new(0),
            prompts: PromptCache::default(),
        }
    }

    pub fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of this lock should panic")
    }
}

/// How a connection ends when a fault says so.
#[derive(Clone, Copy)]
enum Hangup {
    Close,
    Reset,
}

pub async fn serve(listener: TcpListener, state: Arc<State>, mut stopped: watch::Receiver<()>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error here concerns one connection that is gone already.
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(serve_connection(stream, Arc::clone(&state), stopped.clone()));
                }
            }
            _ = stopped.changed() => return,
        }
    }
}

async fn serve_connection(stream: TcpStream, state: Arc<State>, mut stopped: watch::Receiver<()>) {
    // Without this, the small writes of a stream would wait for acknowledgements.
    let _ = stream.set_nodelay(true);
    let (hangup, mut hangups) = mpsc::channel(1);
    let service = service_fn(move |request: Request<Incoming>| {
        let (state, hangup) = (Arc::clone(&state), hangup.clone());
        async move { Ok::<_, Infallible>(respond(request, &state, hangup).await) }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = &mut connection => {}
        Some(hangup) = hangups.recv() => {
            let stream = connection.into_parts().io.into_inner();
            if matches!(hangup, Hangup::Reset) {
                // Closing with this set sends RST; where it cannot be set, the client sees an ordinary close.
                let _ = stream.set_zero_linger();
            }
        }
        _ = stopped.changed() => {
            let mut connection = pin!(connection);
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(STOP_GRACE, connection).await;
        }
    }
}

async fn respond(request: Request<Incoming>, state: &State, hangup: mpsc::Sender<Hangup>) -> Response {
    let presence = state.journal.presence();
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(Body::new(body), MAX_BODY).await;
    for name in [header::AUTHORIZATION, HeaderName::from_static("x-api-key"), HeaderName::from_static("api-key")] {
        if let Some(key) = parts.headers.get_mut(name) {
            key.set_sensitive(true);
        }
    }
    let recorded = Recorded {
        method: parts.method,
        path: parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string),
        headers: parts.headers,
        body: body.as_ref().cloned().unwrap_or_default(),
    };
    state.journal.record(recorded.clone());
    let step = Step::default();
    let asked = Asked { profile: &state.profile, request: &recorded, call: 0, step: &step };
    if body.is_err() {
        let refusal = Refusal::invalid("the request body is too large").with_status(413);
        return delivery::play(refuse(&asked, &refusal), &step, presence);
    }
    let chat = match state.profile.dialect {
        Dialect::OpenAiChat => "/chat/completions",
        Dialect::AnthropicMessages => "/messages",
    };
    let is_messages = state.profile.dialect == Dialect::AnthropicMessages;
    match (recorded.method.clone(), parts.uri.path()) {
        (Method::POST, path) if path.ends_with(chat) => complete(recorded, state, hangup, presence).await,
        (Method::GET, path) if path.ends_with("/models") => {
            let list: fn(&Asked<'_>) -> Reply = match state.profile.dialect {
                Dialect::OpenAiChat => |asked: &Asked<'_>| openai::list_models(asked.profile),
                Dialect::AnthropicMessages => messages::list_models,
            };
            delivery::play(unscripted(&asked, list), &step, presence)
        }
        (Method::POST, path) if is_messages && path.ends_with("/messages/count_tokens") => {
            delivery::play(unscripted(&asked, messages::count_tokens), &step, presence)
        }
        // Clients warm their connection up with it, before they have a key to show.
        (Method::HEAD, "/api/hello") if is_messages => {
            delivery::play(Reply::json(&state.profile, 200, Bytes::new()), &step, presence)
        }
        (method, path) => {
            let known = path.ends_with(chat) || path.ends_with("/models");
            let refusal = Refusal::invalid(format!("{method} {path} is not something this server answers"))
                .with_status(if known { 405 } else { 404 });
            delivery::play(refuse(&asked, &refusal), &step, presence)
        }
    }
}

async fn complete(request: Recorded, state: &State, hangup: mpsc::Sender<Hangup>, mut presence: Presence) -> Response {
    let call = state.calls.fetch_add(1, Ordering::Relaxed) + 1;
    let step = state.queue().take(&request.body).unwrap_or_default();
    if let Some(delay) = step.delay {
        tokio::time::sleep(delay).await;
    }
    let ending = match &step.fault {
        Some(Fault::Close) => Some(Hangup::Close),
        Some(Fault::Reset) => Some(Hangup::Reset),
        _ => None,
    };
    if let Some(ending) = ending {
        presence.served();
        // The connection's task drops this call when it hears of the ending.
        let _ = hangup.send(ending).await;
        return std::future::pending().await;
    }
    if step.fault == Some(Fault::Hang) {
        return std::future::pending().await;
    }
    let asked = Asked { profile: &state.profile, request: &request, call, step: &step };
    delivery::play(reply_to(&asked, state), &step, presence)
}

/// An error before anybody looks at what is asked.
fn refuse(asked: &Asked<'_>, refusal: &Refusal) -> Reply {
    let mut reply = encode_error(asked, refusal);
    reply.headers.push(request_id(asked));
    reply
}

/// What no script is about, for those who have the key.
fn unscripted(asked: &Asked<'_>, reply: impl Fn(&Asked<'_>) -> Reply) -> Reply {
    let mut reply = match check_key(asked.profile, asked.request) {
        Ok(()) => reply(asked),
        Err(refusal) => encode_error(asked, &refusal),
    };
    reply.headers.push(request_id(asked));
    reply
}

/// The header that names a request.
fn request_id(asked: &Asked<'_>) -> (String, String) {
    let name = match asked.profile.dialect {
        Dialect::OpenAiChat => "x-request-id",
        Dialect::AnthropicMessages => "request-id",
    };
    (name.to_owned(), asked.request_id())
}

fn reply_to(asked: &Asked<'_>, state: &State) -> Reply {
    let dialect = asked.profile.dialect;
    let mut reply = match &asked.step.fault {
        Some(Fault::Error { status, body }) => match dialect {
            Dialect::OpenAiChat => openai::scripted_error(asked, *status, body),
            Dialect::AnthropicMessages => messages::scripted_error(asked, *status, body),
        },
        Some(Fault::ErrorInside) => match dialect {
            Dialect::OpenAiChat => openai::error_inside(asked.profile),
            Dialect::AnthropicMessages => messages::error_inside(asked),
        },
        _ => match check_key(asked.profile, asked.request) {
            Err(refusal) => encode_error(asked, &refusal),
            Ok(()) => match dialect {
                Dialect::OpenAiChat => openai::answer(asked),
                Dialect::AnthropicMessages => messages::answer(asked, &state.prompts),
            },
        },
    };
    reply.headers.push(request_id(asked));
    reply
}

fn encode_error(asked: &Asked<'_>, refusal: &Refusal) -> Reply {
    match asked.profile.dialect {
        Dialect::OpenAiChat => openai::encode_error(asked.profile, refusal),
        Dialect::AnthropicMessages => messages::encode_error(asked, refusal),
    }
}

/// Real providers repeat part of a wrong key in their error, so this does too: the gateway must not pass it on.
fn check_key(profile: &Profile, request: &Recorded) -> Result<(), Refusal> {
    let Some(expected) = &profile.key else { return Ok(()) };
    let given = match profile.dialect {
        Dialect::OpenAiChat if profile.has(Quirk::ApiKeyHeader) => Some(request.key()),
        Dialect::OpenAiChat => request.bearer(),
        Dialect::AnthropicMessages => Some(request.key()),
    };
    let given = given.unwrap_or_default();
    if given == expected {
        return Ok(());
    }
    let message = if given.is_empty() {
        match profile.dialect {
            Dialect::OpenAiChat => {
                "no API key was given: it belongs into the authorization header, after the word Bearer".to_owned()
            }
            Dialect::AnthropicMessages => "x-api-key header is required".to_owned(),
        }
    } else {
        let head: String = given.chars().take(8).collect();
        let tail: String = given.chars().skip(8).skip(given.chars().count().saturating_sub(12)).collect();
        format!("the API key {head}****{tail} is not a valid one")
    };
    Err(Refusal::invalid(message).with_status(401).with_code("invalid_api_key"))
}
