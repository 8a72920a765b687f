//! A stand-in for the part of Fastly's KV API that the official command line uses, on a running gateway's store.
//!
//! It lets `fastly kv-store-entry ...` change what the local gateway reads. It serves one store, whose id and name are
//! both `tiergate`. Every call but the command line's first needs the token of this run, and none may come from a web
//! page of another site or under a name that is not this machine's.
//! API: <https://www.fastly.com/documentation/reference/api/services/resources/kv-store-item/>

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;
use tiergate_guests::kv::{ListOptions, PutMode, PutOptions, STORE};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::kv::{KvError, KvHandle};
use crate::kv_token::KvToken;
use crate::loopback;

/// Fastly's own limit of a value.
const MAX_BODY_BYTES: usize = 25 * 1024 * 1024;
const TOKEN: HeaderName = HeaderName::from_static("fastly-key");
const GENERATION: HeaderName = HeaderName::from_static("generation");
const IF_GENERATION: HeaderName = HeaderName::from_static("if-generation-match");
const METADATA: HeaderName = HeaderName::from_static("metadata");
const TTL: HeaderName = HeaderName::from_static("time_to_live_sec");
/// The stand-in's one store has always been there.
const CREATED_AT: &str = "2026-01-01T00:00:00Z";

/// A running stand-in. It stops when it is dropped.
pub struct KvApi {
    addr: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
}

/// What somebody wanted to write through the API, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvWrite {
    /// The key; nothing for a batch of several.
    pub key: Option<String>,
    pub status: StatusCode,
}

/// Is told of every write; one that nobody hears is made all the same.
pub type Watcher = Option<UnboundedSender<KvWrite>>;

impl KvApi {
    pub fn start_on(listener: TcpListener, kv: KvHandle, token: KvToken, watcher: Watcher) -> std::io::Result<Self> {
        let addr = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let server = tokio::spawn(axum::serve(listener, routes(kv, addr, token, watcher)).into_future());
        Ok(Self { addr, server })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for KvApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn routes(kv: KvHandle, addr: SocketAddr, token: KvToken, watcher: Watcher) -> Router {
    let store = Router::new()
        .route("/resources/stores/kv", get(list_stores))
        .route("/resources/stores/kv/{store}", get(describe_store))
        .route("/resources/stores/kv/{store}/keys", get(list_keys))
        .route("/resources/stores/kv/{store}/keys/{key}", get(get_value).put(put_value).delete(delete_value))
        .route("/resources/stores/kv/{store}/batch", put(put_batch))
        .fallback(|uri: Uri| async move { problem(StatusCode::NOT_FOUND, &format!("no such path: {}", uri.path())) })
        .layer(middleware::from_fn_with_state(Arc::new(token), require_token))
        .layer(middleware::from_fn_with_state(watcher, tell_writes))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(kv);
    Router::new()
        // The command line asks for this before anything else, for a sign-on that it then does not need.
        .route("/realms/fastly/.well-known/openid-configuration", get(move || openid_configuration(addr)))
        .merge(store)
        .layer(middleware::from_fn(require_this_machine))
}

async fn require_this_machine(request: Request, next: Next) -> Response {
    match refuse_strangers(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn refuse_strangers(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let all = |name| headers.get_all(name).iter().map(header::HeaderValue::as_bytes);
    if !loopback::is_for_this_machine(all(header::HOST), uri.authority().map(|authority| authority.as_str())) {
        return Err(Problem { status: StatusCode::MISDIRECTED_REQUEST, detail: loopback::NOT_LOCAL.to_owned() });
    }
    if !all(header::ORIGIN).all(loopback::is_origin_of_this_machine) {
        return Err(Problem { status: StatusCode::FORBIDDEN, detail: loopback::FOREIGN_PAGE.to_owned() });
    }
    Ok(())
}

async fn openid_configuration(addr: SocketAddr) -> Response {
    let realm = format!("http://{addr}/realms/fastly");
    Json(json!({
        "issuer": realm,
        "authorization_endpoint": format!("{realm}/protocol/openid-connect/auth"),
        "token_endpoint": format!("{realm}/protocol/openid-connect/token"),
        "jwks_uri": format!("{realm}/protocol/openid-connect/certs"),
    }))
    .into_response()
}

async fn require_token(State(token): State<Arc<KvToken>>, request: Request, next: Next) -> Response {
    let mut given = request.headers().get_all(TOKEN).iter();
    match (given.next(), given.next()) {
        (Some(one), None) if token.is(one.as_bytes()) => next.run(request).await,
        (None, _) => problem(StatusCode::UNAUTHORIZED, "the header Fastly-Key is missing"),
        _ => problem(StatusCode::UNAUTHORIZED, "the token is not the one that this run of `tiergate dev` printed"),
    }
}

/// Tells the watcher of a write once it has been made, or refused.
async fn tell_writes(
    State(watcher): State<Watcher>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let is_write = [Method::PUT, Method::DELETE].contains(request.method());
    let key = parameters.ok().and_then(|parameters| {
        let mut parameters = parameters.iter();
        parameters.find(|(name, _)| *name == "key").map(|(_, key)| key.to_owned())
    });
    let response = next.run(request).await;
    if let (Some(watcher), true) = (watcher, is_write) {
        let _ = watcher.send(KvWrite { key, status: response.status() });
    }
    response
}

async fn list_stores() -> Response {
    Json(json!({ "data": [store_document()], "meta": { "limit": 100 } })).into_response()
}

async fn describe_store(Path(store): Path<String>) -> Result<Response, Problem> {
    check_store(&store)?;
    Ok(Json(store_document()).into_response())
}

fn store_document() -> serde_json::Value {
    json!({ "id": STORE, "name": STORE, "created_at": CREATED_AT, "updated_at": CREATED_AT })
}

#[derive(Deserialize)]
struct ListQuery {
    prefix: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

async fn list_keys(
    State(kv): State<KvHandle>,
    Path(store): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    check_store(&store)?;
    let limit = query.limit.unwrap_or(100);
    let options = ListOptions { prefix: query.prefix.clone(), cursor: query.cursor, limit: Some(limit) };
    let page = kv.list(options).await?;
    let mut meta = json!({ "limit": limit });
    if let Some(prefix) = query.prefix {
        meta["prefix"] = prefix.into();
    }
    if let Some(cursor) = page.next_cursor {
        meta["next_cursor"] = cursor.into();
    }
    Ok(Json(json!({ "data": page.keys, "meta": meta })).into_response())
}

async fn get_value(
    State(kv): State<KvHandle>,
    Path((store, key)): Path<(String, String)>,
) -> Result<Response, Problem> {
    check_store(&store)?;
    let found = kv.get(&key).await?.ok_or_else(|| no_key(&key))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
    headers.insert(GENERATION, found.info.generation.into());
    if let Some(metadata) = found.info.metadata.and_then(|text| text.parse().ok()) {
        headers.insert(METADATA, metadata);
    }
    Ok((headers, found.value).into_response())
}

#[derive(Deserialize)]
struct PutQuery {
    #[serde(default)]
    add: bool,
    #[serde(default)]
    append: bool,
    #[serde(default)]
    prepend: bool,
}

async fn put_value(
    State(kv): State<KvHandle>,
    Path((store, key)): Path<(String, String)>,
    Query(query): Query<PutQuery>,
    (headers, value): (HeaderMap, Bytes),
) -> Result<StatusCode, Problem> {
    check_store(&store)?;
    let mode = match (query.add, query.append, query.prepend) {
        (false, false, false) => PutMode::Overwrite,
        (true, false, false) => PutMode::Add,
        (false, true, false) => PutMode::Append,
        (false, false, true) => PutMode::Prepend,
        _ => return Err(bad_request("only one of `add`, `append` and `prepend` is possible")),
    };
    let options = PutOptions {
        mode,
        metadata: text_header(&headers, &METADATA)?,
        ttl_s: number_header(&headers, &TTL)?,
        if_generation: number_header(&headers, &IF_GENERATION)?,
    };
    kv.put_with(&key, value, options).await?;
    Ok(StatusCode::OK)
}

async fn delete_value(
    State(kv): State<KvHandle>,
    Path((store, key)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    check_store(&store)?;
    if kv.delete(&key).await? { Ok(StatusCode::NO_CONTENT) } else { Err(no_key(&key)) }
}

/// One line of a batch; the value is in Base64.
#[derive(Deserialize)]
struct BatchLine {
    key: String,
    value: String,
    metadata: Option<String>,
    time_to_live_sec: Option<u64>,
}

/// Takes all lines or, if one cannot be read, none.
async fn put_batch(State(kv): State<KvHandle>, Path(store): Path<String>, body: Bytes) -> Result<StatusCode, Problem> {
    check_store(&store)?;
    let mut entries = Vec::new();
    for (index, text) in body.split(|&byte| byte == b'\n').enumerate().filter(|(_, text)| !text.is_empty()) {
        let refuse = |error: &dyn std::fmt::Display| bad_request(&format!("line {}: {error}", index + 1));
        let line: BatchLine = serde_json::from_slice(text).map_err(|error| refuse(&error))?;
        let value = BASE64_STANDARD.decode(&line.value).map_err(|error| refuse(&error))?;
        entries.push((line, value));
    }
    for (line, value) in entries {
        let options = PutOptions { metadata: line.metadata, ttl_s: line.time_to_live_sec, ..PutOptions::default() };
        kv.put_with(&line.key, value, options).await?;
    }
    Ok(StatusCode::OK)
}

fn text_header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Problem> {
    let text = |value: &header::HeaderValue| value.to_str().map(str::to_owned);
    headers.get(name).map(text).transpose().map_err(|_| bad_request(&format!("the header {name} is not text")))
}

fn number_header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let number = |text: String| text.parse().map_err(|_| bad_request(&format!("the header {name} is not a number")));
    text_header(headers, name)?.map(number).transpose()
}

/// An answer in the shape of Fastly's errors.
struct Problem {
    status: StatusCode,
    detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        problem(self.status, &self.detail)
    }
}

impl From<KvError> for Problem {
    fn from(error: KvError) -> Self {
        let status = match &error {
            KvError::Refused { status, .. } => StatusCode::from_u16(*status).ok(),
            KvError::Runtime(_) => None,
        };
        Self { status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), detail: error.to_string() }
    }
}

fn check_store(store: &str) -> Result<(), Problem> {
    if store == STORE {
        Ok(())
    } else {
        let detail = format!("no KV Store has the id `{store}`; the local one is `{STORE}`");
        Err(Problem { status: StatusCode::NOT_FOUND, detail })
    }
}

fn no_key(key: &str) -> Problem {
    Problem { status: StatusCode::NOT_FOUND, detail: format!("no such key: `{key}`") }
}

fn bad_request(detail: &str) -> Problem {
    Problem { status: StatusCode::BAD_REQUEST, detail: detail.to_owned() }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "title": title, "detail": detail, "status": status.as_u16() });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
