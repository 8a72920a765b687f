//! `tiergate dev`: the whole product on this machine, without an account and without a key.
//!
//! It builds the gateway, starts a simulator for each provider of the policy, serves the gateway in the embedded local
//! runtime and shows one line per request. Only `--real` and `--secret-env` read keys from the environment. What listens
//! here answers nobody but this machine: the ports are loopback's, and so must the names be that requests give for them.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::json;
use tiergate::policy::Policy;
use tiergate::policy::parse::parse;
use tiergate::policy::warnings::warnings;
use tiergate_simulator::Simulator;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::client_key::ClientKey;
use crate::gateway::{Gateway, GatewayOptions};
use crate::kv::KvHandle;
use crate::kv_api::{KvApi, KvWrite};
use crate::kv_token::KvToken;
use crate::log::LogLine;
use crate::wasm::{self, Guest};

mod announcement;
mod changes;
pub mod client;
mod destination;
mod options;
mod places;
mod rehearsal;
mod secrets;
mod steps;
mod summary;
mod well_known;

pub use options::DevOptions;

use destination::{Destination, Target};
use places::Place;
use steps::Steps;

const DEFAULT_POLICY: &str = "policy/default.json";
const LOG_ENDPOINT: &str = "tiergate";
/// Where somebody who runs the gateway from a script may choose the KV API's token.
const TOKEN_VARIABLE: &str = "TIERGATE_KV_TOKEN";

/// Runs until Ctrl-C.
pub async fn run(options: DevOptions) -> Result<()> {
    // All that can be wrong with the options shows before anything is built.
    let policy_path = options.policy.clone().unwrap_or_else(|| wasm::root().join(DEFAULT_POLICY));
    let policy_bytes = fs::read(&policy_path).with_context(|| format!("cannot read {}", policy_path.display()))?;
    let policy = check_policy(&policy_path, &policy_bytes)?;
    let mut targets = destination::choose(&policy, &options, |name| std::env::var(name).ok())?;
    rehearsal::assign(&policy, &options.fault, &mut targets)?;
    let (token, shown_token) = choose_token(std::env::var_os(TOKEN_VARIABLE))?;
    let places = places::list(&policy, &targets)?;
    let log_file = options.log.as_deref().map(open_log).transpose()?;
    let gateway_listener = listen("--addr", options.addr)?;
    let kv_listener = listen("--kv-api", options.kv_api)?;

    let steps = Steps::new();
    let wasm = build(&steps, options.wasm).await?;
    let step = steps.begin("starting simulators");
    let simulators = start_simulators(&mut targets).await?;
    step.finish();

    let step = steps.begin("starting the gateway");
    let key = ClientKey::generate("dev");
    let (sink, lines) = unbounded_channel();
    let gateway_options = with_places(with_targets(GatewayOptions::new(wasm), &targets), places)
        .continues()
        .kv("policy", policy_bytes)
        .kv(key.entry_key(), client_entry(&key))
        .log(sink)
        .loopback_hosts_only();
    let gateway = Gateway::start_on(gateway_listener, gateway_options).await?;
    let (watcher, writes) = unbounded_channel();
    let kv_api = KvApi::start_on(kv_listener, gateway.kv(), token, Some(watcher))?;
    wait_until_healthy(&gateway).await?;
    step.finish();

    let announcement = announcement::Announcement {
        gateway: gateway.url(),
        policy: &policy_path,
        policy_version: &policy.version,
        targets: &targets,
        kv_api: kv_api.url(),
        kv_token: &shown_token,
        log: options.log.as_deref(),
        key: key.expose(),
        client: options.client,
    };
    println!("{announcement}");
    for warning in warnings(&policy) {
        println!("warning: {warning}");
    }

    tokio::select! {
        shown = show_log(lines, log_file) => shown?,
        () = show_changes(writes, gateway.kv()) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    println!("stopping");
    drop(kv_api);
    gateway.stop().await;
    drop(simulators);
    Ok(())
}

fn check_policy(path: &Path, bytes: &[u8]) -> Result<Policy> {
    parse(bytes).map_err(|faults| {
        let lines: Vec<String> = faults.0.iter().map(|fault| format!("  {fault}")).collect();
        anyhow!("{} is not a valid policy:\n{}", path.display(), lines.join("\n"))
    })
}

/// The KV API's token, and how a shell writes it: one that was chosen is not shown.
fn choose_token(chosen: Option<OsString>) -> Result<(KvToken, String)> {
    match chosen.filter(|text| !text.is_empty()) {
        Some(text) => {
            let token = text.into_string().map_err(|_| anyhow!("it is not text")).and_then(KvToken::chosen);
            Ok((token.context(TOKEN_VARIABLE)?, format!("\"${TOKEN_VARIABLE}\"")))
        }
        None => {
            let token = KvToken::generate();
            let shown = token.expose().to_owned();
            Ok((token, shown))
        }
    }
}

/// Binds a port of this machine only: what listens here hands out answers, keys and the policy to whoever asks.
fn listen(option: &str, addr: SocketAddr) -> Result<TcpListener> {
    ensure!(addr.ip().is_loopback(), "{option} {addr} is not an address of this machine only, such as 127.0.0.1:7676");
    TcpListener::bind(addr).with_context(|| format!("cannot listen on {addr}; choose another address with {option}"))
}

fn open_log(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write to {}, which --log names", path.display()))
}

async fn build(steps: &Steps, given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(path) = given {
        ensure!(path.is_file(), "there is no file {}, which --wasm names", path.display());
        return Ok(path);
    }
    let step = steps.begin("building the gateway");
    let progress = step.clone();
    // The KV API's guest is needed only later, but building both now costs less than a second run of cargo.
    let guests = [Guest::Edge, Guest::KvStore];
    let built = tokio::task::spawn_blocking(move || wasm::build(&guests, &mut |doing| progress.detail(doing)));
    let path = built.await??.into_iter().next().context("cargo named no Wasm")?;
    step.finish();
    Ok(path)
}

/// Starts one simulator for each host that needs one and notes its address.
async fn start_simulators(targets: &mut [Target]) -> Result<Vec<Simulator>> {
    let mut simulators = Vec::new();
    for target in targets {
        if let Destination::Simulator { profile, url, script } = &mut target.destination {
            let simulator = Simulator::start((**profile).clone(), (Ipv4Addr::LOCALHOST, 0).into()).await?;
            simulator.script(script)?;
            *url = format!("http://{}", simulator.addr());
            simulators.push(simulator);
        }
    }
    Ok(simulators)
}

fn with_targets(options: GatewayOptions, targets: &[Target]) -> GatewayOptions {
    targets.iter().fold(options, |options, target| match &target.destination {
        Destination::Simulator { url, .. } | Destination::Backend { url } => {
            options.backend(target.host.as_str(), url.as_str())
        }
        Destination::Itself | Destination::NoSimulator => options,
    })
}

fn with_places(options: GatewayOptions, places: Vec<Place>) -> GatewayOptions {
    let add = |options: GatewayOptions, Place { prefix, label, key }| options.place(prefix, &label, key.as_deref());
    places.into_iter().fold(options, add)
}

fn client_entry(key: &ClientKey) -> String {
    json!({ "name": "local development", "keys": [key.entry()], "may_pin": true, "may_inspect": true }).to_string()
}

async fn wait_until_healthy(gateway: &Gateway) -> Result<()> {
    let response = reqwest::get(format!("{}/healthz", gateway.url())).await.context("the gateway does not answer")?;
    let status = response.status();
    if !status.is_success() {
        bail!("the gateway is not healthy: /healthz answers {status}: {}", response.text().await?);
    }
    Ok(())
}

/// Shows what the gateway makes of each change of its store.
async fn show_changes(mut writes: UnboundedReceiver<KvWrite>, kv: KvHandle) {
    while let Some(write) = writes.recv().await {
        if let Some(refusal) = changes::describe_refusal(&write) {
            println!("{refusal}");
        }
        let Some(key) = changes::key_to_look_at(&write) else { continue };
        match kv.get(key).await {
            Ok(value) => println!("{}", changes::describe(key, value.as_ref().map(|value| &value.value[..]))),
            Err(error) => eprintln!("KV: `{key}` cannot be read: {error}"),
        }
    }
}

/// Shows each request as one line and keeps the JSON line where one wants it.
async fn show_log(mut lines: UnboundedReceiver<LogLine>, mut file: Option<File>) -> Result<()> {
    while let Some(line) = lines.recv().await {
        if line.endpoint != LOG_ENDPOINT {
            eprintln!("{}: {}", line.endpoint, line.text);
            continue;
        }
        if let Some(file) = &mut file {
            writeln!(file, "{}", line.text).context("cannot write the log file")?;
        }
        println!("{}", summary::summarize(&line.text));
    }
    Ok(())
}
