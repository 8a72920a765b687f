//! `tiergate bench`: the gateway against the smallest proxy there is, and against the upstream alone, in one run.
//!
//! Each row is measured once per round and number of connections, rounds after each other, so that whatever else the
//! machine does meets all rows alike. docs/benchmark.md says what is measured, and what is not.

use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tiergate_guests::translation::Row;

mod figures;
mod lines;
mod load;
mod meter;
mod options;
mod outage;
mod phase;
mod relay;
mod report;
mod rig;
mod rows;
mod table;
mod translate;

pub use figures::{DecideFigures, EventFigures, Figures, GuestFigures, Ratios};
pub use options::{BenchOptions, Build, Scenario, Target, TargetHeader};
pub use outage::Outage;
pub use relay::{Relay, Way};
pub use report::{GuestReport, Report};
pub use rows::Kind;

use figures::Rounds;
use phase::Phase;
use rig::{Rig, Service, Upstream};
use rows::Answerer;

/// Whole answers of a row, at least, before it is measured.
const WARM_UP: u64 = 200;

/// Measures and prints.
pub async fn run(options: BenchOptions) -> Result<()> {
    match options.scenario {
        Scenario::Overhead | Scenario::Agent => run_overhead(&options).await,
        Scenario::Relay => {
            let relays = uninterrupted(measure_relays(&options)).await?;
            print(options.json, relays.as_slice(), relay::render)
        }
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

/// Measures what relaying an event costs.
pub async fn measure_relays(options: &BenchOptions) -> Result<Vec<Relay>> {
    let progress = spinner()?;
    let building = progress.clone();
    let relays = relay::measure(options, move |line| building.set_message(line.to_owned())).await;
    progress.finish_and_clear();
    relays
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
    let mut rig = Rig::start(upstream, &options.build, move |line| building.set_message(line.to_owned())).await?;
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
                    warm_up(options, row.kind, connections)
                } else {
                    requests(options, row.kind, connections, rates[slot])
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
        let baseline = rows.iter().position(|other| other.is_baseline_of(row));
        for (place, connections) in options.connections.iter().enumerate() {
            let of = |index: usize| measured[place * rows.len() + index].as_slice();
            let rounds = Rounds { own: of(index), baseline: baseline.map(of) };
            figures.push(figures::figures(&row.name, row.kind, connections.get(), &rounds));
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
        body_bytes: (options.scenario == Scenario::Overhead).then_some(options.body_bytes),
        events: options.events.get(),
        gap_ms: options.gap_ms,
        guests: guest_reports(options, &rig),
        rows: figures,
    })
}

async fn measure_phase(rig: &mut Rig, row: &rows::Row, connections: u32, requests: u64) -> Result<Phase> {
    let service = match row.answerer {
        Answerer::NullProxy => Some(&mut rig.null_proxy),
        Answerer::Tiergate => Some(&mut rig.tiergate),
        Answerer::Build(index) => rig.builds.get_mut(index),
        Answerer::Other => None,
    };
    let Some(service) = service else {
        let load = load::run(&row.shot, connections, requests).await?;
        return Ok(Phase { load, guest: None });
    };
    phase::measure(service, row, connections, requests).await
}

fn guest_reports(options: &BenchOptions, rig: &Rig) -> Vec<GuestReport> {
    let report = |name: &str, service: &Service| GuestReport {
        name: name.to_owned(),
        wasm_bytes: service.wasm_bytes,
        heap_mib: service.meter.heap_mib(),
    };
    let builds = options.build.iter().zip(&rig.builds).map(|(build, service)| report(&build.name, service));
    [report("null-proxy", &rig.null_proxy), report("tiergate", &rig.tiergate)].into_iter().chain(builds).collect()
}

/// How many requests a phase has; `rate` is what the row did in a second, in the round before.
fn requests(options: &BenchOptions, kind: Kind, connections: u32, rate: f64) -> u64 {
    let requests = match (options.requests, kind) {
        (None, _) => (rate * options.seconds.get() as f64).ceil() as u64,
        (Some(requests), Kind::Whole) => requests.get(),
        (Some(requests), Kind::Stream) => requests.get().div_ceil(options.events.get()),
    };
    requests.max(connections.into())
}

fn warm_up(options: &BenchOptions, kind: Kind, connections: u32) -> u64 {
    let least = match kind {
        Kind::Whole => options.requests.map_or(WARM_UP, |requests| requests.get().min(WARM_UP)),
        Kind::Stream => 1,
    };
    least.max(connections.into())
}
