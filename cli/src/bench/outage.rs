//! `--scenario outage`: what an outage of the first candidate adds to a request, at first and once its cool-down holds.
//!
//! Each failure has a tier with a failing candidate before a healthy one, and is compared with the same healthy candidate
//! listed first. Every round has tiers of its own, since a candidate's first failure is one.

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
use super::load::{self, Expected, Shot};
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
const DIRECT: &str = "direct";
/// What a hang may cost, once: the tiers' `response_ms`.
const RESPONSE_MS: u64 = 500;
/// Requests of a row in a round, after the first one.
const REQUESTS: u64 = 300;

/// What one failure costs.
#[derive(Clone, Debug, Serialize)]
pub struct Outage {
    /// How the first candidate fails.
    pub failure: &'static str,
    /// What its first failure adds, in milliseconds: medians over rounds.
    pub first_added_ms: f64,
    /// Of the requests after it.
    pub p50_ms: f64,
    /// More than with the healthy candidate listed first.
    pub added_p50_ms: f64,
    pub requests: u64,
    pub errors: u64,
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
    let mut simulators = Vec::new();
    for (name, script) in [(HEALTHY, Some(""))].into_iter().chain(FAILURES) {
        let host = host(name);
        let addr = match script {
            Some(script) => {
                let simulator = Simulator::start(Profile::generic(name), loopback).await?;
                simulator.script(script)?;
                simulators.push(simulator);
                simulators.last().map_or(loopback, Simulator::addr)
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
    let mut measured: HashMap<&str, Vec<[f64; 3]>> = HashMap::new();
    let mut errors: HashMap<&str, u64> = HashMap::new();
    for round in 0..rounds {
        for (failure, _) in FAILURES {
            let direct = load::run(&shot(DIRECT)?, 1, REQUESTS).await?;
            let failing = shot(&tier_name(failure, round))?;
            let first = load::run(&failing, 1, 1).await?;
            let after = load::run(&failing, 1, REQUESTS).await?;
            let added = [first.p50_ms - direct.p50_ms, after.p50_ms, after.p50_ms - direct.p50_ms];
            measured.entry(failure).or_default().push(added);
            *errors.entry(failure).or_default() += direct.errors + first.errors + after.errors;
        }
    }
    let column = |rows: &[[f64; 3]], column: usize| median(rows.iter().map(|row| row[column]));
    let outages = FAILURES.map(|(failure, _)| Outage {
        failure,
        first_added_ms: column(&measured[failure], 0),
        p50_ms: column(&measured[failure], 1),
        added_p50_ms: column(&measured[failure], 2),
        requests: (REQUESTS + 1) * rounds as u64,
        errors: errors[failure],
    });
    for outage in &outages {
        ensure!(outage.errors == 0, "{} requests failed, which voids the figures of {}", outage.errors, outage.failure);
    }
    Ok(outages.into())
}

pub fn render(outages: &[Outage]) -> String {
    let mut table = Builder::new();
    table.push_record(["first candidate", "first request + ms", "then p50 ms", "p50 + ms", "requests"]);
    for outage in outages {
        table.push_record([
            outage.failure.to_owned(),
            format!("{:.1}", outage.first_added_ms),
            format!("{:.2}", outage.p50_ms),
            format!("{:.2}", outage.added_p50_ms),
            outage.requests.to_string(),
        ]);
    }
    let mut table = table.build();
    table.with(Style::markdown()).modify(Columns::new(1..), Alignment::right());
    format!(
        "Outage of the first candidate (+: more than with the second listed first; a hang costs its deadline of \
         {RESPONSE_MS} ms once)\n{table}\n"
    )
}

fn host(name: &str) -> String {
    if name == HEALTHY { HEALTHY.to_owned() } else { format!("{name}.test") }
}

fn tier_name(failure: &str, round: usize) -> String {
    format!("{failure}-{round}")
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
    for (failure, _) in FAILURES {
        providers[failure] = provider(failure);
        for round in 0..rounds {
            let name = tier_name(failure, round);
            let failing = format!("failing-{name}");
            tier(&name, &[&failing, "healthy"]);
            models[&failing] = model(failure);
        }
    }
    // The first failure is a cool-down, so that one request shows what it costs.
    let health = json!({"failures": 1});
    json!({"version": "outage", "default_tier": DIRECT, "health": health, "tiers": tiers, "models": models, "providers": providers})
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
