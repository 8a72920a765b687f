//! A small HTTP server through which the suite sets the simulators' scripts and reads what they, and the log, received.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tiergate_cli::log::LogLine;
use tiergate_simulator::{Recorded, Simulator};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

/// Of one world.
pub struct Control {
    simulators: BTreeMap<&'static str, Simulator>,
    log: watch::Receiver<Vec<Value>>,
}

type Answer<T> = Result<T, (StatusCode, String)>;

impl Control {
    /// Serves on a free port until the runtime ends; returns the base of its addresses.
    pub async fn start(
        simulators: BTreeMap<&'static str, Simulator>,
        lines: UnboundedReceiver<LogLine>,
    ) -> Result<String> {
        let control = Arc::new(Self { simulators, log: collect(lines) });
        let router = Router::new()
            .route("/simulators/{name}/script", put(set_script))
            .route("/simulators/{name}/requests", get(requests))
            .route("/simulators/{name}/gone", get(gone))
            .route("/simulators/{name}/gone/{count}", get(client_gone))
            .route("/log/{id}", get(log_line))
            .with_state(control);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(url)
    }

    fn simulator(&self, name: &str) -> Answer<&Simulator> {
        let simulator = self.simulators.get(name);
        simulator.ok_or_else(|| (StatusCode::NOT_FOUND, format!("there is no simulator `{name}`")))
    }
}

/// All lines of the gateway's log so far, as JSON.
fn collect(mut lines: UnboundedReceiver<LogLine>) -> watch::Receiver<Vec<Value>> {
    let (sender, log) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            let entry = match line.endpoint.as_str() {
                "tiergate" => serde_json::from_str(&line.text).unwrap_or(Value::String(line.text)),
                // A guest that writes anything else has panicked.
                _ => json!({"written_to": line.endpoint, "text": line.text}),
            };
            sender.send_modify(|entries| entries.push(entry));
        }
    });
    log
}

/// The body is the script; see docs/simulators.md.
async fn set_script(
    State(control): State<Arc<Control>>,
    Path(name): Path<String>,
    script: String,
) -> Answer<StatusCode> {
    let set = control.simulator(&name)?.script(&script);
    set.map(|()| StatusCode::NO_CONTENT).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

#[derive(Deserialize)]
struct Wanted {
    containing: String,
}

/// The requests whose body contains a text.
async fn requests(
    State(control): State<Arc<Control>>,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Answer<Json<Vec<Value>>> {
    let requests = control.simulator(&name)?.requests();
    let contains = |request: &&Recorded| String::from_utf8_lossy(&request.body).contains(&wanted.containing);
    let shown = requests.iter().filter(contains).map(|request| {
        let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let headers: BTreeMap<String, String> = request.headers.iter().map(header).collect();
        json!({"path": request.path, "headers": headers, "body": request.json()})
    });
    Ok(Json(shown.collect()))
}

/// How many clients went away before their answer was whole.
async fn gone(State(control): State<Arc<Control>>, Path(name): Path<String>) -> Answer<Json<u64>> {
    Ok(Json(control.simulator(&name)?.gone()))
}

/// Answers as soon as so many clients went away.
async fn client_gone(
    State(control): State<Arc<Control>>,
    Path((name, count)): Path<(String, u64)>,
) -> Answer<StatusCode> {
    control.simulator(&name)?.client_gone(count).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The log line of one request, as soon as it is written. The client decides how long that may take.
async fn log_line(State(control): State<Arc<Control>>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let mut log = control.log.clone();
    let is_wanted = |entry: &&Value| entry["id"] == id.as_str();
    let entries = log.wait_for(|entries| entries.iter().any(|entry| is_wanted(&entry))).await;
    let entries = entries.map_err(|error| (StatusCode::GONE, error.to_string()))?;
    Ok(Json(entries.iter().find(is_wanted).cloned().unwrap_or_default()))
}
