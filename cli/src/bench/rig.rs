//! What is measured: the mock upstream, the classifier's simulator, the null proxy and the gateway, each gateway on threads
//! of its own, so that the operating system and not one scheduler shares the cores among them and the load.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;
use tiergate_simulator::{Profile, SENT_AT, Simulator};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::spawn_blocking;

use super::meter::{self, Meter};
use super::options::Build;
use crate::client_key::ClientKey;
use crate::gateway::{Gateway, GatewayOptions};
use crate::log::LogLine;
use crate::wasm::{self, Guest};

/// The tier that the bypass header names.
pub const TIER: &str = "fast";
/// The model in every request; other gateways than ours may look at it.
pub const MODEL: &str = "gpt-6-luna";

const CLASSIFIER_HOST: &str = "api.inceptionlabs.ai";
/// The client's id.
pub const CLIENT: &str = "bench";

/// Everything that runs. It stops when it is dropped.
pub struct Rig {
    pub upstream: Simulator,
    pub null_proxy: Service,
    pub tiergate: Service,
    /// Other builds of the gateway, in the order of `--build`.
    pub builds: Vec<Service>,
    /// What the gateway takes as a client's key.
    pub key: String,
    _classifier: Simulator,
    _threads: Threads,
}

/// A guest being served.
pub struct Service {
    pub url: String,
    pub wasm_bytes: u64,
    pub meter: Arc<Meter>,
    pub lines: UnboundedReceiver<LogLine>,
    _gateway: Gateway,
    _threads: Threads,
}

/// A runtime that may be dropped anywhere.
pub struct Threads(Option<Runtime>);

impl Threads {
    pub fn new(name: &str, meter: Option<Arc<Meter>>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name(name)
            .on_thread_start(move || {
                if let Some(meter) = &meter {
                    meter::attach(meter);
                }
            })
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let runtime = self.0.as_ref().context("the threads should be there until they are dropped")?;
        Ok(runtime.spawn(future).await?)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// How the mock upstream answers.
#[derive(Clone, Copy, Debug)]
pub struct Upstream {
    pub addr: SocketAddr,
    pub events: u64,
    pub gap_ms: u64,
}

impl Upstream {
    /// One word an event.
    pub fn answer(self) -> String {
        format!("{SENT_AT} ").repeat(usize::try_from(self.events).unwrap_or(usize::MAX))
    }
}

impl Rig {
    pub async fn start(upstream: Upstream, builds: &[Build], report: impl Fn(&str) + Send + 'static) -> Result<Self> {
        meter::install()?;
        let guests = [Guest::NullProxy, Guest::Edge];
        let paths = spawn_blocking(move || wasm::build(&guests, &mut |line| report(line))).await??;

        let threads = Threads::new("simulators", None)?;
        let profile = Profile::openai().with_constant_answer(&upstream.answer());
        let upstream_simulator = threads
            .run(Simulator::start(profile, upstream.addr))
            .await?
            .with_context(|| format!("cannot listen on {}", upstream.addr))?;
        // The first event follows its head at once. Whole answers are left alone.
        upstream_simulator.script(&format!(r#"if="\"stream\":true" first=0ms gap={}ms *"#, upstream.gap_ms))?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let classifier = threads.run(Simulator::start(Profile::inception(), loopback)).await??;

        let upstream_url = format!("http://{}", upstream_simulator.addr());
        let key = ClientKey::generate(CLIENT);
        let options = |path: &Path| GatewayOptions::new(path);
        let null_proxy = Service::start("null-proxy", &paths[0], options(&paths[0]).backend("upstream", &upstream_url));
        let tiergate = |path: &Path| {
            options(path)
                .backend(CLASSIFIER_HOST, format!("http://{}", classifier.addr()))
                .place(upstream_url.as_str(), "", Some("upstream-key"))
                .place(format!("https://{CLASSIFIER_HOST}"), "", Some("classifier-key"))
                .kv("policy", policy(&upstream_url).to_string())
                .kv(key.entry_key(), client_entry(&key).to_string())
        };
        let mut others = Vec::with_capacity(builds.len());
        for build in builds {
            others.push(Service::start(&build.name, &build.wasm, tiergate(&build.wasm)).await?);
        }
        Ok(Self {
            null_proxy: null_proxy.await?,
            tiergate: Service::start("tiergate", &paths[1], tiergate(&paths[1])).await?,
            builds: others,
            upstream: upstream_simulator,
            key: key.expose().to_owned(),
            _classifier: classifier,
            _threads: threads,
        })
    }
}

impl Service {
    pub async fn start(name: &str, wasm: &Path, options: GatewayOptions) -> Result<Self> {
        let meter = Arc::new(Meter::default());
        let threads = Threads::new(name, Some(Arc::clone(&meter)))?;
        let (sink, lines) = unbounded_channel();
        let gateway = threads.run(Gateway::start(options.log(sink))).await??;
        Ok(Self {
            url: gateway.url(),
            wasm_bytes: std::fs::metadata(wasm)?.len(),
            meter,
            lines,
            _gateway: gateway,
            _threads: threads,
        })
    }
}

/// The upstream is a plain HTTP address: on loopback the gateway makes a dynamic backend, as it does for a provider that its
/// service has no static one for.
fn policy(upstream_url: &str) -> serde_json::Value {
    let tier = |name: &str, description: &str| {
        json!({
            "name": name,
            "description": description,
            "candidates": [{"model": MODEL}],
            "deadlines": {"connect_ms": 1000, "first_token_ms": 30000, "idle_ms": 30000, "total_ms": 100_000},
        })
    };
    json!({
        "version": "bench",
        "default_tier": TIER,
        "classifier": {
            "model": "mercury-2",
            "timeout_ms": 1000,
            "min_confidence": 0.5,
            "excerpt_bytes": 4000,
            "breaker": {"failures": 3, "open_s": 30},
        },
        "tiers": [
            tier(TIER, "Short, well-defined work with one obvious answer."),
            tier("balanced", "Everything that needs some care."),
        ],
        "models": {
            MODEL: {"provider": "openai", "id": MODEL, "context": 1_050_000, "max_output": 128_000, "tools": true,
                    "price": {"input": 0.10, "cached_input": 0.01, "output": 0.50}},
            "mercury-2": {"provider": "inception", "id": "mercury-2", "context": 128_000, "max_output": 50_000,
                          "json_schema": true, "efforts": {"none": "instant"},
                          "price": {"input": 0.25, "cached_input": 0.025, "output": 0.75}},
        },
        "providers": {
            "openai": {"base_url": format!("{upstream_url}/v1"), "dialect": "openai-chat"},
            "inception": {"base_url": format!("https://{CLASSIFIER_HOST}/v1"), "dialect": "openai-chat"},
        },
    })
}

/// What the KV Store holds for the client with this key.
pub fn client_entry(key: &ClientKey) -> serde_json::Value {
    json!({"name": "Benchmark", "keys": [key.entry()]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_one_that_the_gateway_takes() {
        let parsed = tiergate::policy::parse::parse(policy("http://127.0.0.1:9100").to_string().as_bytes());
        assert!(parsed.is_ok(), "{:?}", parsed.err());
    }
}
