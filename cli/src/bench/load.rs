//! One phase of load: `rlt` drives workers, each with a connection of its own, that send one request over and over.
//!
//! The generator's figures come from the report that it writes; what it cannot know, the times of a stream's events, the
//! workers record themselves.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper_util::rt::TokioIo;
use rlt::cli::BenchCli;
use rlt::{BenchSuite, IterInfo, IterReport, Status};
use serde::Deserialize;
use tiergate::wire::sse;
use tiergate_simulator::now_ns;
use tokio::net::TcpStream;

const PATH: &str = "/chat/completions";

/// One request, ready to be sent any number of times.
#[derive(Debug)]
pub struct Shot {
    authority: String,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    answer: Expected,
}

/// What a good answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// At least this many bytes.
    Whole(usize),
    /// This many events with the time of their sending, and the end marker.
    Stream(u64),
}

/// What a phase has shown.
#[derive(Clone, Debug)]
pub struct Load {
    pub requests: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub requests_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub events: Events,
}

/// Times of streamed events, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Events {
    /// From the request to the first event.
    pub first: Histogram<u64>,
    /// From an event's sending to its receipt.
    pub delay: Histogram<u64>,
}

impl Events {
    fn new() -> Self {
        let significant_digits = 3;
        let histogram = Histogram::new(significant_digits).expect("three digits should be possible");
        Self { first: histogram.clone(), delay: histogram }
    }

    fn add(&mut self, other: &Self) {
        let fits = "a histogram that grows should take any value";
        self.first.add(&other.first).expect(fits);
        self.delay.add(&other.delay).expect(fits);
    }
}

impl Shot {
    /// `base` is a plain HTTP address such as `http://127.0.0.1:7676/v1`.
    pub fn new(base: &str, mut headers: HeaderMap, body: Bytes, answer: Expected) -> Result<Self> {
        let url: hyper::Uri = base.parse().with_context(|| format!("`{base}` is not a URL"))?;
        ensure!(url.scheme_str() == Some("http"), "`{base}` does not begin with http://");
        let host = url.host().with_context(|| format!("`{base}` has no host"))?;
        let authority = format!("{host}:{}", url.port_u16().unwrap_or(80));
        headers.insert(HOST, authority.parse()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self { path: format!("{}{PATH}", url.path().trim_end_matches('/')), authority, headers, body, answer })
    }

    /// The same below `base`, at another path than that of chat completions.
    pub fn at(mut self, path: &str) -> Self {
        self.path = self.path.replacen(PATH, path, 1);
        self
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .with_context(|| format!("cannot connect to {}", self.authority))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How a connection ends shows in the answer that it ends in.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends the request once; the number of bytes of a good answer.
    async fn fire(&self, connection: &mut Option<SendRequest<Full<Bytes>>>, events: &mut Events) -> Result<u64> {
        let sender = match connection {
            Some(sender) if !sender.is_closed() => sender,
            _ => connection.insert(self.connect().await?),
        };
        sender.ready().await?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.path.parse()?;
        *request.headers_mut() = self.headers.clone();
        let started = Instant::now();
        let response = sender.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let text = body.collect().await?.to_bytes();
            bail!("{status}: {}", String::from_utf8_lossy(&text[..text.len().min(400)]));
        }
        match self.answer {
            Expected::Whole(least) => read_whole(&mut body, least).await,
            Expected::Stream(expected) => read_stream(&mut body, expected, started, events).await,
        }
    }
}

async fn read_whole(body: &mut Incoming, least: usize) -> Result<u64> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    ensure!(length >= least, "the answer has only {length} bytes");
    Ok(length as u64)
}

/// What is looked at of an event: a chunk of chat, or an event of the Messages API.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(alias = "text")]
    content: Option<String>,
}

async fn read_stream(body: &mut Incoming, expected: u64, started: Instant, events: &mut Events) -> Result<u64> {
    let mut decoder = sse::Decoder::default();
    let (mut length, mut stamped, mut done) = (0, 0, false);
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let frame = frame?;
        let received_ns = now_ns();
        let Some(bytes) = frame.data_ref() else { continue };
        length += bytes.len() as u64;
        decoder.space().extend_from_slice(bytes);
        while let Some(event) = decoder.next_event()? {
            let Some(data) = event.data() else { continue };
            if &data[..] == b"[DONE]" {
                done = true;
                continue;
            }
            let chunk: Option<Chunk> = serde_json::from_slice(&data).ok();
            done |= chunk.as_ref().is_some_and(|chunk| chunk.r#type.as_deref() == Some("message_stop"));
            let Some(sent_ns) = chunk.and_then(sent_at) else { continue };
            stamped += 1;
            if stamped == 1 {
                events.first.record(nanoseconds(started.elapsed()))?;
            }
            events.delay.record(received_ns.saturating_sub(sent_ns))?;
        }
    }
    ensure!(done, "the stream ended without its end marker");
    ensure!(stamped == expected, "the stream had {stamped} events instead of {expected}");
    Ok(length)
}

fn sent_at(chunk: Chunk) -> Option<u64> {
    let delta = chunk.choices.into_iter().next().map(|choice| choice.delta).or(chunk.delta)?;
    delta.content?.trim().parse().ok()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[derive(Clone)]
struct Suite {
    shot: Arc<Shot>,
    events: Arc<Mutex<Events>>,
}

struct Worker {
    connection: Option<SendRequest<Full<Bytes>>>,
    events: Events,
}

#[async_trait]
impl BenchSuite for Suite {
    type WorkerState = Worker;

    async fn state(&self, _: u32) -> Result<Worker> {
        Ok(Worker { connection: Some(self.shot.connect().await?), events: Events::new() })
    }

    async fn bench(&mut self, worker: &mut Worker, _: &IterInfo) -> Result<IterReport> {
        let started = Instant::now();
        let fired = self.shot.fire(&mut worker.connection, &mut worker.events).await;
        let duration = started.elapsed();
        if fired.is_err() {
            worker.connection = None;
        }
        Ok(IterReport { duration, status: Status::success(200), bytes: fired?, items: 1 })
    }

    async fn teardown(self, worker: Worker, _: IterInfo) -> Result<()> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.add(&worker.events);
        Ok(())
    }
}

/// The parts of the generator's report that are used.
#[derive(Deserialize)]
struct Report {
    summary: Summary,
    latency: Option<Latency>,
    errors: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Summary {
    iters: Iterations,
}

#[derive(Deserialize)]
struct Iterations {
    total: u64,
    rate: f64,
}

#[derive(Deserialize)]
struct Latency {
    /// In seconds.
    percentiles: Percentiles,
}

#[derive(Deserialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
}

/// Sends `shot` `requests` times on `connections` at once, each answer followed by the next request.
///
/// Never for a time: the generator would cut the requests that are under way at its end, and gateways log those as well.
pub async fn run(shot: &Arc<Shot>, connections: u32, requests: u64) -> Result<Load> {
    let suite = Suite { shot: Arc::clone(shot), events: Arc::new(Mutex::new(Events::new())) };
    let events = Arc::clone(&suite.events);
    // The generator has no other entry than that of its command line, and no other result than the report it writes.
    let report = tempfile::NamedTempFile::new()?;
    let mut words: Vec<OsString> = ["rlt", "--quiet", "--output", "json", "--output-file"].map(OsString::from).into();
    words.push(report.path().into());
    words.extend(["--concurrency".into(), connections.to_string().into()]);
    words.extend(["--iterations".into(), requests.to_string().into()]);
    rlt::cli::run(<BenchCli as clap::Parser>::try_parse_from(words)?, suite).await?;

    let Report { summary, latency, errors } =
        serde_json::from_slice(&std::fs::read(report.path())?).context("the load generator's report cannot be read")?;
    let first_error = errors.keys().next().cloned();
    let Some(Latency { percentiles }) = latency else {
        match first_error {
            Some(error) => bail!("no request succeeded: {error}"),
            None => bail!("no request was sent"),
        }
    };
    let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Load {
        requests: summary.iters.total,
        errors: errors.values().sum(),
        first_error,
        requests_per_second: summary.iters.rate,
        p50_ms: percentiles.p50 * 1e3,
        p99_ms: percentiles.p99 * 1e3,
        events: mem::replace(&mut events, Events::new()),
    })
}
