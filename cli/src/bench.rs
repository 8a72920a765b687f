//! `tiergate bench`: the gateway against the smallest proxy there is, and against the upstream alone, in one run.
//!
//! Each row is measured once per round and number of connections, rounds after each other, so that whatever else the
//! machine does meets all rows alike. docs/benchmark.md says what is measured, and what is not.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tiergate_guests::translation::Row;

mod figures;
mod lines;
mod load;
mod meter;
mod outage;
mod rig;
mod rows;
mod table;
mod translate;

pub use figures::{DecideFigures, EventFigures, Figures, GuestFigures, Ratios};
pub use outage::Outage;
pub use rows::Kind;

use figures::{Phase, median};
use rig::{Rig, Service, Upstream};
use rows::Answerer;

/// Whole answers of a row, at least, before it is measured.
const WARM_UP: u64 = 200;

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// The gateway against the null proxy
    #[default]
    Overhead,
    /// A first candidate that fails against the second listed first; only --rounds, --body-bytes and --json apply
    Outage,
    /// The translation between dialects alone, timed inside Wasm; only --rounds and --json apply
    Translate,
}

#[derive(Args, Clone, Debug)]
pub struct BenchOptions {
    #[arg(long, value_enum, default_value_t)]
    pub scenario: Scenario,
    /// Seconds for each row, number of connections and round, about: as many requests as the round before lets expect
    #[arg(long, default_value = "5")]
    pub seconds: NonZeroU64,
    /// Requests for each row, number of connections and round, instead of seconds; a stream counts as one per event
    #[arg(long, conflicts_with = "seconds")]
    pub requests: Option<NonZeroU64>,
    #[arg(long, default_value = "3")]
    pub rounds: NonZeroU32,
    /// Numbers of connections, each sending its next request when it has its answer
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pub connections: Vec<NonZeroU32>,
    /// Measures these rows only
    #[arg(long, value_name = "ROWS", value_delimiter = ',')]
    pub only: Vec<String>,
    /// A further OpenAI-compatible gateway, whose upstream should be that of --upstream-addr; may be repeated
    #[arg(long, value_name = "NAME=URL", value_parser = parse_target)]
    pub target: Vec<Target>,
    /// A header for the requests to a target; may be repeated
    #[arg(long, value_name = "NAME:HEADER=VALUE", value_parser = parse_target_header)]
    pub target_header: Vec<TargetHeader>,
    /// Where the mock upstream listens; it takes any key
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub upstream_addr: SocketAddr,
    /// Size of a request
    #[arg(long, default_value = "2048")]
    pub body_bytes: usize,
    /// Events of a stream that carry text
    #[arg(long, default_value = "50")]
    pub events: NonZeroU64,
    /// Time between the events of a stream
    #[arg(long, default_value = "10")]
    pub gap_ms: u64,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Another gateway to measure.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    /// Up to where `/chat/completions` follows.
    pub url: String,
}

#[derive(Clone, Debug)]
pub struct TargetHeader {
    pub target: String,
    pub name: HeaderName,
    pub value: HeaderValue,
}

/// All that a run has shown.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub cores: usize,
    pub rounds: u32,
    /// How long or how many requests a row takes in a round.
    pub phase: String,
    pub body_bytes: usize,
    pub events: u64,
    pub gap_ms: u64,
    pub guests: Vec<GuestReport>,
    pub rows: Vec<Figures>,
}

#[derive(Clone, Debug, Serialize)]
pub struct GuestReport {
    pub name: &'static str,
    pub wasm_bytes: u64,
    /// Missing if no sandbox has ended yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_mib: Option<f64>,
}

/// Measures and prints.
pub async fn run(options: BenchOptions) -> Result<()> {
    match options.scenario {
        Scenario::Overhead => run_overhead(&options).await,
        Scenario::Outage => {
            let outages = uninterrupted(measure_outages(&options)).await?;
            print(options.json, outages.as_slice(), outage::render)
        }
        Scenario::Translate => {
            let rows = uninterrupted(measure_translation(&options)).await?;
            print(options.json, rows.as_slice(), translate::render)
        }
    }
}

async fn run_overhead(options: &BenchOptions) -> Result<()> {
    // The load generator takes the signal for itself, and ends a phase with it.
    let report = uninterrupted(measure(options)).await?;
    print(options.json, &report, table::render)?;
    let failed: Vec<&str> =
        report.rows.iter().filter(|figures| figures.errors > 0).map(|figures| figures.row.as_str()).collect();
    ensure!(failed.is_empty(), "requests failed, which voids the figures of {}", failed.join(", "));
    Ok(())
}

async fn uninterrupted<T>(measuring: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        measured = measuring => measured,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

fn print<T: Serialize + ?Sized>(json: bool, measured: &T, render: impl FnOnce(&T) -> String) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(measured)?);
    } else {
        print!("{}", render(measured));
    }
    Ok(())
}

/// Measures what an outage of the first candidate costs.
pub async fn measure_outages(options: &BenchOptions) -> Result<Vec<Outage>> {
    let progress = spinner()?;
    let building = progress.clone();
    let outages = outage::measure(options, move |line| building.set_message(line.to_owned())).await;
    progress.finish_and_clear();
    outages
}

/// Measures what the translation between dialects costs: medians over rounds.
pub async fn measure_translation(options: &BenchOptions) -> Result<Vec<Row>> {
    let progress = spinner()?;
    let building = progress.clone();
    let rows = translate::measure(options, move |line| building.set_message(line.to_owned())).await;
    progress.finish_and_clear();
    rows
}

fn spinner() -> Result<ProgressBar> {
    let progress = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {wide_msg}")?);
    progress.enable_steady_tick(Duration::from_millis(120));
    Ok(progress)
}

/// Measures all rows; what is under way shows on standard error.
pub async fn measure(options: &BenchOptions) -> Result<Report> {
    for header in &options.target_header {
        let known = options.target.iter().any(|target| target.name == header.target);
        ensure!(known, "--target-header names `{}`, which is no --target", header.target);
    }
    let progress = spinner()?;
    let upstream = Upstream { addr: options.upstream_addr, events: options.events.get(), gap_ms: options.gap_ms };
    let building = progress.clone();
    let mut rig = Rig::start(upstream, move |line| building.set_message(line.to_owned())).await?;
    let rows = rows::rows(options, &rig, upstream)?;

    let phases = rows.len() * options.connections.len() * (options.rounds.get() as usize + 1);
    progress.set_length(phases as u64);
    progress.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len}  {wide_msg}")?);
    // The phases of each row and number of connections, in the order of rounds.
    let mut measured: Vec<Vec<Phase>> = vec![Vec::new(); rows.len() * options.connections.len()];
    let mut rates = vec![0.0; measured.len()];
    for round in 0..=options.rounds.get() {
        for (place, connections) in options.connections.iter().map(|count| count.get()).enumerate() {
            for (index, row) in rows.iter().enumerate() {
                progress.set_message(format!("{} at {connections}, round {round}", row.name));
                let slot = place * rows.len() + index;
                // Round 0 warms up, and shows whether a row works at all and how fast it is.
                let requests = if round == 0 {
                    options.warm_up(row.kind, connections)
                } else {
                    options.requests(row.kind, connections, rates[slot])
                };
                let phase = measure_phase(&mut rig, row, connections, requests)
                    .await
                    .with_context(|| format!("row {}", row.name))?;
                rates[slot] = phase.load.requests_per_second;
                if round > 0 {
                    measured[slot].push(phase);
                }
                progress.inc(1);
            }
        }
    }
    progress.finish_and_clear();

    let mut figures = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let baseline = rows.iter().position(|other| other.kind == row.kind && other.is_baseline());
        for (place, connections) in options.connections.iter().enumerate() {
            let of = |index: usize| measured[place * rows.len() + index].as_slice();
            figures.push(figures::figures(&row.name, row.kind, connections.get(), of(index), baseline.map(of)));
        }
    }
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        cores: available_parallelism()?.get(),
        rounds: options.rounds.get(),
        phase: match options.requests {
            Some(requests) => format!("{requests} requests"),
            None => format!("{} s", options.seconds),
        },
        body_bytes: options.body_bytes,
        events: options.events.get(),
        gap_ms: options.gap_ms,
        guests: vec![guest_report("null-proxy", &rig.null_proxy), guest_report("tiergate", &rig.tiergate)],
        rows: figures,
    })
}

async fn measure_phase(rig: &mut Rig, row: &rows::Row, connections: u32, requests: u64) -> Result<Phase> {
    let service = match row.answerer {
        Answerer::NullProxy => Some(&mut rig.null_proxy),
        Answerer::Tiergate => Some(&mut rig.tiergate),
        Answerer::Other => None,
    };
    let Some(service) = service else {
        let load = load::run(&row.shot, connections, requests).await?;
        return Ok(Phase { load, guest: None });
    };
    lines::drain(&mut service.lines);
    let before = service.meter.reading();
    let load = load::run(&row.shot, connections, requests).await?;
    let lines = lines::collect(&mut service.lines, load.requests, row.source).await;
    let after = service.meter.reading();
    let used = meter::DecodeOptions {
        cpu: after.cpu.saturating_sub(before.cpu),
        sandboxes: after.sandboxes - before.sandboxes,
    };
    Ok(Phase { load, guest: Some((lines, used)) })
}

fn guest_report(name: &'static str, service: &Service) -> GuestReport {
    GuestReport { name, wasm_bytes: service.wasm_bytes, heap_mib: service.meter.heap_mib() }
}

impl BenchOptions {
    /// How many requests a phase has; `rate` is what the row did in a second, in the round before.
    fn requests(&self, kind: Kind, connections: u32, rate: f64) -> u64 {
        let requests = match (self.requests, kind) {
            (None, _) => (rate * self.seconds.get() as f64).ceil() as u64,
            (Some(requests), Kind::Whole) => requests.get(),
            (Some(requests), Kind::Stream) => requests.get().div_ceil(self.events.get()),
        };
        requests.max(connections.into())
    }

    fn warm_up(&self, kind: Kind, connections: u32) -> u64 {
        let least = match kind {
            Kind::Whole => self.requests.map_or(WARM_UP, |requests| requests.get().min(WARM_UP)),
            Kind::Stream => 1,
        };
        least.max(connections.into())
    }

    fn headers_for(&self, target: &str) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for header in self.target_header.iter().filter(|header| header.target == target) {
            headers.try_append(header.name.clone(), header.value.clone())?;
        }
        Ok(headers)
    }
}

fn parse_target(text: &str) -> Result<Target, String> {
    let (name, url) = text.split_once('=').ok_or("must be NAME=URL")?;
    if name.is_empty() || name.contains(':') {
        return Err("the name may not be empty or hold a colon".to_owned());
    }
    Ok(Target { name: name.to_owned(), url: url.to_owned() })
}

fn parse_target_header(text: &str) -> Result<TargetHeader, String> {
    let parts = || {
        let (target, header) = text.split_once(':')?;
        let (name, value) = header.split_once('=')?;
        Some((target, name, value))
    };
    let (target, name, value) = parts().ok_or("must be NAME:HEADER=VALUE")?;
    let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(TargetHeader {
        target: target.to_owned(),
        name: name.parse().map_err(|_| format!("`{name}` is not a header name"))?,
        value,
    })
}
