//! `--scenario outage`: what an outage of the first candidate adds to a request, at first and once its cool-down holds.
//!
//! Each failure has a tier with a failing candidate before a healthy one, and is compared with the same healthy candidate
//! listed first. Every round has tiers of its own, since a candidate's first failures are its first. Then a herd: many
//! connections at once on a tier whose first candidate hangs.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Result, ensure};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName};
use serde::Serialize;
use serde_json::{Value, json};
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};
use tiergate_simulator::{Profile, Simulator};
use tokio::task::spawn_blocking;

use super::figures::median;
use super::load::{self, Expected, Load, Shot};
use super::options::BenchOptions;
use super::rig::{CLIENT, Service, client_entry};
use super::rows::{Kind, request_body};
use crate::client_key::ClientKey;
use crate::gateway::GatewayOptions;
use crate::wasm::{self, Guest};

const HEALTHY: &str = "healthy.test";
/// How a first candidate fails, and what its simulator does; nothing listens where there is none.
const FAILURES: [(&str, Option<&str>); 3] =
    [("503", Some("status=503 *")), ("refused", None), ("hang", Some("hang *"))];
/// The failures that are measured, and with how many connections.
const ROWS: [(&str, u32); 4] = [("503", 1), ("refused", 1), ("hang", 1), ("hang", HERD)];
const DIRECT: &str = "direct";
/// What a hang may cost, once: the tiers' `response_ms`.
const RESPONSE_MS: u64 = 500;
/// Failures in a row that cool a candidate down: the policy's default.
const FAILURES_IN_A_ROW: u64 = 3;
/// Requests of a row in a round, after the first ones.
const REQUESTS: u64 = 300;
/// How many connections a herd has, and how many requests of it are measured in a round.
const HERD: u32 = 50;
const HERD_REQUESTS: u64 = 3_000;

/// What one failure costs.
#[derive(Clone, Debug, Serialize)]
pub struct Outage {
    /// How the first candidate fails.
    pub failure: &'static str,
    /// At once.
    pub connections: u32,
    /// What each of the first failures adds, in milliseconds: medians over rounds.
    pub first_added_ms: f64,
    /// Of the requests after them.
    pub p50_ms: f64,
    /// More than with the healthy candidate listed first.
    pub added_p50_ms: f64,
    pub p99_ms: f64,
    pub added_p99_ms: f64,
    /// How many requests after the first ones went to the failing candidate, in a round.
    pub asked: Option<f64>,
    pub requests: u64,
    pub errors: u64,
}

/// What a round has shown of a failure.
struct Round {
    first: Load,
    after: Load,
    direct: Load,
    asked: Option<u64>,
}

/// Measures every failure, one connection at a time.
pub async fn measure(options: &BenchOptions, report: impl Fn(&str) + Send + 'static) -> Result<Vec<Outage>> {
    let wasm = spawn_blocking(move || wasm::build(&[Guest::Edge], &mut |line| report(line))).await??;
    let rounds = options.rounds.get() as usize;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let key = ClientKey::generate(CLIENT);
    let mut gateway = GatewayOptions::new(&wasm[0])
        .kv("policy", policy(rounds).to_string())
        .kv(key.entry_key(), client_entry(&key).to_string());
    let mut simulators: HashMap<&str, Simulator> = HashMap::new();
    for (name, script) in [(HEALTHY, Some(""))].into_iter().chain(FAILURES) {
        let host = host(name);
        let addr = match script {
            Some(script) => {
                let simulator = Simulator::start(Profile::generic(name), loopback).await?;
                simulator.script(script)?;
                let addr = simulator.addr();
                simulators.insert(name, simulator);
                addr
            }
            // A port that was free a moment ago refuses connections.
            None => TcpListener::bind(loopback)?.local_addr()?,
        };
        gateway = gateway.backend(&host, format!("http://{addr}"));
        gateway = gateway.place(format!("https://{host}"), "", Some("upstream-key"));
    }
    let service = Service::start("tiergate", &wasm[0], gateway).await?;

    let shot = |tier: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {}", key.expose()).parse()?);
        headers.insert(HeaderName::from_static("x-route-tier"), tier.parse()?);
        let body = request_body(options.body_bytes, Kind::Whole)?;
        anyhow::Ok(Arc::new(Shot::new(&format!("{}/v1", service.url), headers, body, Expected::Whole(1))?))
    };
    load::run(&shot(DIRECT)?, 1, REQUESTS).await?;
    let mut outages = Vec::new();
    for (failure, connections) in ROWS {
        let requests = if connections == 1 { REQUESTS } else { HERD_REQUESTS };
        let received = || simulators.get(failure).map(|simulator| simulator.received());
        let mut measured = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let direct = load::run(&shot(DIRECT)?, connections, requests).await?;
            let failing = shot(&tier_name(failure, connections, round))?;
            let first = load::run(&failing, connections, FAILURES_IN_A_ROW * u64::from(connections)).await?;
            let before = received();
            let after = load::run(&failing, connections, requests).await?;
            let asked = received().zip(before).map(|(after, before)| after - before);
            measured.push(Round { first, after, direct, asked });
        }
        let outage = Outage::of(failure, connections, &measured);
        ensure!(outage.errors == 0, "{} requests failed, which voids the figures of {failure}", outage.errors);
        outages.push(outage);
    }
    Ok(outages)
}

impl Outage {
    fn of(failure: &'static str, connections: u32, rounds: &[Round]) -> Self {
        let of_rounds = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure));
        let loads = || rounds.iter().flat_map(|round| [&round.first, &round.after, &round.direct]);
        Self {
            failure,
            connections,
            first_added_ms: of_rounds(&|round| round.first.p50_ms - round.direct.p50_ms),
            p50_ms: of_rounds(&|round| round.after.p50_ms),
            added_p50_ms: of_rounds(&|round| round.after.p50_ms - round.direct.p50_ms),
            p99_ms: of_rounds(&|round| round.after.p99_ms),
            added_p99_ms: of_rounds(&|round| round.after.p99_ms - round.direct.p99_ms),
            asked: rounds[0].asked.map(|_| of_rounds(&|round| round.asked.unwrap_or_default() as f64)),
            requests: loads().map(|load| load.requests).sum(),
            errors: loads().map(|load| load.errors).sum(),
        }
    }
}

pub fn render(outages: &[Outage]) -> String {
    let mut table = Builder::new();
    table.push_record([
        "first candidate",
        "connections",
        "first 3, each + ms",
        "then p50 ms",
        "p50 + ms",
        "p99 ms",
        "p99 + ms",
        "asked",
    ]);
    for outage in outages {
        table.push_record([
            outage.failure.to_owned(),
            outage.connections.to_string(),
            format!("{:.1}", outage.first_added_ms),
            format!("{:.2}", outage.p50_ms),
            format!("{:.2}", outage.added_p50_ms),
            format!("{:.2}", outage.p99_ms),
            format!("{:.2}", outage.added_p99_ms),
            outage.asked.map_or_else(|| "-".to_owned(), |asked| format!("{asked:.0}")),
        ]);
    }
    let mut table = table.build();
    table.with(Style::markdown()).modify(Columns::new(1..), Alignment::right());
    format!(
        "Outage of the first candidate (+: more than with the second listed first; a hang costs its deadline of \
         {RESPONSE_MS} ms until it cools down; asked: how often it was asked from then on, in a round of {REQUESTS} requests, \
         or {HERD_REQUESTS} of {HERD} connections)\n{table}\n"
    )
}

fn host(name: &str) -> String {
    if name == HEALTHY { HEALTHY.to_owned() } else { format!("{name}.test") }
}

fn tier_name(failure: &str, connections: u32, round: usize) -> String {
    format!("{failure}-{connections}-{round}")
}

fn policy(rounds: usize) -> Value {
    let deadlines = json!({"connect_ms": 1000, "first_token_ms": RESPONSE_MS, "response_ms": RESPONSE_MS,
        "idle_ms": 30000, "total_ms": 100_000});
    let mut tiers = Vec::new();
    let mut tier = |name: &str, models: &[&str]| {
        let candidates: Vec<Value> = models.iter().map(|model| json!({"model": model})).collect();
        tiers.push(json!({"name": name, "description": "For the benchmark.", "candidates": candidates,
            "deadlines": deadlines.clone(), "retries": 1}));
    };
    let model = |provider: &str| json!({"provider": provider, "id": "model", "context": 100_000, "max_output": 10_000});
    let provider = |name: &str| json!({"base_url": format!("https://{}/v1", host(name)), "dialect": "openai-chat"});
    let mut models = json!({"healthy": model("healthy"), "spare": model("healthy")});
    let mut providers = json!({"healthy": provider(HEALTHY)});
    tier(DIRECT, &["healthy", "spare"]);
    for (failure, connections) in ROWS {
        providers[failure] = provider(failure);
        for round in 0..rounds {
            let name = tier_name(failure, connections, round);
            let failing = format!("failing-{name}");
            tier(&name, &[&failing, "healthy"]);
            models[&failing] = model(failure);
        }
    }
    json!({"version": "outage", "default_tier": DIRECT, "tiers": tiers, "models": models, "providers": providers})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_one_that_the_gateway_takes() {
        let parsed = tiergate::policy::parse::parse(policy(3).to_string().as_bytes());
        assert!(parsed.is_ok(), "{:?}", parsed.err());
    }
}
