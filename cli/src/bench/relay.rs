//! `--scenario relay`: what relaying an event costs, beside a bare loop that reads, writes and flushes: the null proxy.
//!
//! Lone events, one after the other on one connection. Each way to relay has streams of two lengths, and an event costs what
//! the longer ones cost more, divided by the events that they have more: so the request, the start of its sandbox, and what
//! the guest's clock misses at a sandbox's end, which are the same in both, are not counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName};
use serde::Serialize;
use serde_json::{Value, json};
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};
use tiergate_simulator::{Profile, Simulator};
use tokio::task::spawn_blocking;

use super::figures::median;
use super::load::{Expected, Shot};
use super::meter;
use super::options::BenchOptions;
use super::phase::{self, Phase};
use super::rig::{CLIENT, Service, Threads, Upstream, client_entry};
use super::rows::{Answerer, Kind, Row, request_body, words};
use crate::client_key::ClientKey;
use crate::gateway::GatewayOptions;
use crate::wasm::{self, Guest};

const GAP_MS: u64 = 3;
/// Events of a stream that carry text: few enough that the gateway relays the longer ones to their end.
const LENGTHS: [u64; 2] = [50, 200];
/// Streams of a way and length in a round, unless `--requests` says it.
const STREAMS: u64 = 20;
/// How an event is relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// By the null proxy's loop.
    Loop,
    /// By the gateway, from a provider of the client's dialect.
    Passed,
    /// The same, where the answers of that provider are mended.
    Mended,
    /// From a provider of the Messages API.
    Translated,
    /// The same, to a client of that API.
    Messages,
}

const WAYS: [Way; 5] = [Way::Loop, Way::Passed, Way::Mended, Way::Translated, Way::Messages];

impl Way {
    fn as_str(self) -> &'static str {
        match self {
            Way::Loop => "loop",
            Way::Passed => "passed",
            Way::Mended => "mended",
            Way::Translated => "translated",
            Way::Messages => "messages",
        }
    }

    /// The tier whose streams of this length are relayed so, and the name of its model and provider.
    fn tier(self, events: u64) -> String {
        format!("{}-{events}", self.as_str())
    }
}

/// What an event costs that is relayed in one way: medians over rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Relay {
    pub way: Way,
    /// By the guest's own clock.
    pub vcpu_us: f64,
    /// Divided by what the loop needs in the same round.
    pub vcpu_to_loop: f64,
    /// By the runtime's threads.
    pub cpu_us: f64,
    pub cpu_to_loop: f64,
    /// From an event's sending to its receipt, in the longer streams.
    pub delay_p50_ms: f64,
    pub delay_p99_ms: f64,
    /// Of all rounds, in the streams of both lengths.
    pub events: u64,
}

/// What an event costs in one round, in microseconds.
#[derive(Clone, Copy)]
struct Cost {
    vcpu: f64,
    cpu: f64,
}

/// What runs for the streams of one length: a provider of each dialect, and the loop.
struct Track {
    events: u64,
    chat: Simulator,
    messages: Simulator,
    null_proxy: Service,
}

/// The gateway as its client knows it.
struct Entrance {
    url: String,
    key: ClientKey,
}

/// Measures every way to relay, in turns.
pub async fn measure(options: &BenchOptions, report: impl Fn(&str) + Send + 'static) -> Result<Vec<Relay>> {
    meter::install()?;
    let guests = [Guest::NullProxy, Guest::Edge];
    let wasm = spawn_blocking(move || wasm::build(&guests, &mut |line| report(line))).await??;
    let threads = Threads::new("simulators", None)?;
    let mut tracks = Vec::with_capacity(LENGTHS.len());
    for events in LENGTHS {
        tracks.push(Track::start(events, &threads, &wasm[0]).await?);
    }
    let key = ClientKey::generate(CLIENT);
    let mut gateway = GatewayOptions::new(&wasm[1])
        .kv("policy", policy(&tracks).to_string())
        .kv(key.entry_key(), client_entry(&key).to_string());
    for simulator in tracks.iter().flat_map(|track| [&track.chat, &track.messages]) {
        gateway = gateway.place(format!("http://{}", simulator.addr()), "", Some("upstream-key"));
    }
    let mut gateway = Service::start("tiergate", &wasm[1], gateway).await?;
    let entrance = Entrance { url: gateway.url.clone(), key };

    let mut measured: Vec<Vec<[Phase; LENGTHS.len()]>> = vec![Vec::new(); WAYS.len()];
    // Round 0 warms up.
    for round in 0..=options.rounds.get() {
        for (way, phases) in WAYS.into_iter().zip(&mut measured) {
            let mut lengths = Vec::with_capacity(LENGTHS.len());
            for track in &mut tracks {
                let row = row(options, way, track, &entrance)?;
                let service = if way == Way::Loop { &mut track.null_proxy } else { &mut gateway };
                let streams = if round == 0 { 1 } else { options.requests.map_or(STREAMS, NonZeroU64::get) };
                let phase = phase::measure(service, &row, 1, streams)
                    .await
                    .with_context(|| format!("streams, {}", way.as_str()))?;
                ensure_whole(way, &phase)?;
                lengths.push(phase);
            }
            if round > 0 {
                phases.push(lengths.try_into().ok().context("there should be a phase for each length")?);
            }
        }
    }
    let of_loop: Vec<Cost> = measured[0].iter().map(Cost::of).collect();
    Ok(WAYS.into_iter().zip(&measured).map(|(way, phases)| Relay::of(way, phases, &of_loop)).collect())
}

impl Track {
    async fn start(events: u64, threads: &Threads, null_proxy: &Path) -> Result<Self> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let answer = Upstream { addr: loopback, events, gap_ms: GAP_MS }.answer();
        let simulator = async |profile: Profile| {
            let profile = profile.with_constant_answer(&answer);
            let simulator = threads.run(Simulator::start(profile, loopback)).await??;
            simulator.script(&format!("first=0ms gap={GAP_MS}ms *"))?;
            anyhow::Ok(simulator)
        };
        let chat = simulator(Profile::openai()).await?;
        let messages = simulator(Profile::anthropic()).await?;
        let options = GatewayOptions::new(null_proxy).backend("upstream", format!("http://{}", chat.addr()));
        let null_proxy = Service::start("null-proxy", null_proxy, options).await?;
        Ok(Self { events, chat, messages, null_proxy })
    }
}

impl Cost {
    fn of(lengths: &[Phase; LENGTHS.len()]) -> Self {
        let [short, long] = lengths;
        let events = (LENGTHS[1] - LENGTHS[0]) * long.load.requests;
        let more = |of: fn(&Phase) -> f64| (of(long) - of(short)) / events as f64;
        Self { vcpu: more(vcpu_us), cpu: more(cpu_us) }
    }
}

fn vcpu_us(phase: &Phase) -> f64 {
    phase.guest.as_ref().map_or(f64::NAN, |(lines, _)| lines.vcpu_ms as f64 * 1e3)
}

fn cpu_us(phase: &Phase) -> f64 {
    phase.guest.as_ref().map_or(f64::NAN, |(_, used)| used.cpu.as_secs_f64() * 1e6)
}

impl Relay {
    fn of(way: Way, rounds: &[[Phase; LENGTHS.len()]], of_loop: &[Cost]) -> Self {
        let costs: Vec<Cost> = rounds.iter().map(Cost::of).collect();
        let figure = |of: fn(&Cost) -> f64| median(costs.iter().map(of));
        let to_loop = |of: fn(&Cost) -> f64| median(costs.iter().zip(of_loop).map(|(own, bare)| of(own) / of(bare)));
        let delay = |quantile: f64| {
            median(rounds.iter().map(|[_, long]| long.load.events.delay.value_at_quantile(quantile) as f64 / 1e6))
        };
        Self {
            way,
            vcpu_us: figure(|cost| cost.vcpu),
            vcpu_to_loop: to_loop(|cost| cost.vcpu),
            cpu_us: figure(|cost| cost.cpu),
            cpu_to_loop: to_loop(|cost| cost.cpu),
            delay_p50_ms: delay(0.5),
            delay_p99_ms: delay(0.99),
            events: rounds.iter().flatten().map(|phase| phase.load.events.delay.len()).sum(),
        }
    }
}

pub fn render(relays: &[Relay]) -> String {
    let mut table = Builder::new();
    table.push_record(["relay", "guest vCPU µs", "x", "guest CPU µs", "x", "event p50 ms", "event p99 ms", "events"]);
    for relay in relays {
        table.push_record([
            relay.way.as_str().to_owned(),
            format!("{:.1}", relay.vcpu_us),
            format!("{:.2}", relay.vcpu_to_loop),
            format!("{:.1}", relay.cpu_us),
            format!("{:.2}", relay.cpu_to_loop),
            format!("{:.3}", relay.delay_p50_ms),
            format!("{:.3}", relay.delay_p99_ms),
            relay.events.to_string(),
        ]);
    }
    let mut table = table.build();
    table.with(Style::markdown()).modify(Columns::new(1..), Alignment::right());
    let [short, long] = LENGTHS;
    format!(
        "An event of a stream, {GAP_MS} ms after the one before (x: against the loop; guest times: what streams of {long} \
         events cost more than those of {short}, for each event; event: from sending to receipt)\n{table}\n"
    )
}

/// A stream that is anything but relayed to its end says nothing of what relaying costs.
fn ensure_whole(way: Way, phase: &Phase) -> Result<()> {
    let astray = phase.guest.as_ref().map_or(0, |(lines, _)| lines.astray);
    let first = phase.guest.as_ref().and_then(|(lines, _)| lines.first_astray.as_ref());
    let why = phase.load.first_error.as_ref().or(first).map_or("", String::as_str);
    ensure!(phase.load.errors + astray == 0, "streams failed, which voids the figures of {}: {why}", way.as_str());
    Ok(())
}

fn row(options: &BenchOptions, way: Way, track: &Track, entrance: &Entrance) -> Result<Row> {
    let mut headers = HeaderMap::new();
    let is_loop = way == Way::Loop;
    if !is_loop {
        headers.insert(AUTHORIZATION, format!("Bearer {}", entrance.key.expose()).parse()?);
        headers.insert(HeaderName::from_static("x-route-tier"), way.tier(track.events).parse()?);
    }
    let url = if is_loop { &track.null_proxy.url } else { &entrance.url };
    let shot = |body| Shot::new(&format!("{url}/v1"), headers, body, Expected::Stream(track.events));
    let shot = match way {
        Way::Loop | Way::Passed | Way::Mended | Way::Translated => {
            shot(request_body(options.body_bytes, Kind::Stream)?)?
        }
        Way::Messages => {
            let text = words(options.body_bytes);
            let body = json!({"model": "model", "max_tokens": 10_000, "stream": true,
                "messages": [{"role": "user", "content": text}]});
            shot(body.to_string().into())?.at("/messages")
        }
    };
    Ok(Row {
        name: way.as_str().to_owned(),
        kind: Kind::Stream,
        answerer: if is_loop { Answerer::NullProxy } else { Answerer::Tiergate },
        source: (!is_loop).then_some("header"),
        shot: Arc::new(shot),
    })
}

/// A tier for each way and length.
fn policy(tracks: &[Track]) -> Value {
    let deadlines = json!({"connect_ms": 1000, "first_token_ms": 30000, "idle_ms": 30000, "total_ms": 100_000});
    let mut tiers = Vec::new();
    let mut models = json!({});
    let mut providers = json!({});
    for Track { events, chat, messages, .. } in tracks {
        for way in WAYS {
            let chat = |quirks: &[&str]| json!({"base_url": format!("http://{}/v1", chat.addr()), "dialect": "openai-chat", "quirks": quirks});
            let provider = match way {
                Way::Loop => continue,
                Way::Passed => chat(&[]),
                // As the shipped policy has it for Gemini.
                Way::Mended => chat(&["tool_delta_without_index", "thought_signatures"]),
                Way::Translated | Way::Messages => {
                    json!({"base_url": format!("http://{}", messages.addr()), "dialect": "anthropic-messages"})
                }
            };
            let name = way.tier(*events);
            let model = format!("model-{name}");
            tiers.push(json!({"name": name, "description": "For the benchmark.", "deadlines": deadlines,
                "candidates": [{"model": model}]}));
            models[model] = json!({"provider": name, "id": "model", "context": 100_000, "max_output": 10_000});
            providers[name] = provider;
        }
    }
    let default_tier = Way::Passed.tier(LENGTHS[0]);
    json!({"version": "relay", "default_tier": default_tier, "tiers": tiers, "models": models, "providers": providers})
}
