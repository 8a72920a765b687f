//! The gateway's Wasm in the local runtime between hostile providers and hostile clients, shared by all tests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tiergate_cli::client_key::ClientKey;
use tiergate_cli::gateway::{Gateway, GatewayOptions};
use tiergate_cli::log::LogLine;
use tiergate_cli::wasm::{self, Guest};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::client::{Ended, Got, Sending, send};
use crate::documented::DOCUMENTED;
use crate::planted::{CLASSIFIER, HOSTS, PLANTED, Set};
use crate::provider::Provider;
use crate::reply::Dialect;
use crate::report::Report;

/// `total_ms` of every tier.
pub const TOTAL: Duration = Duration::from_secs(4);
/// What a request may take beyond its total.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long the log lines of answered requests are waited for.
const LOG_PATIENCE: Duration = Duration::from_secs(10);
/// How many requests are under way at once.
pub const AT_ONCE: usize = 8;

/// How the tiers relay streams; one tier of each kind begins with each host and dialect.
pub const KINDS: [&str; 5] = ["plain", "hold", "retry", "replay", "continue"];

/// Hosts that no secret is for, so that nothing may go there, although a static backend of the name exists.
pub const TRAPS: [&str; 6] =
    ["trap.test", "sk.test.trap.test", "trap-sk.test", "xn--sk-tka.test", "test", "sk.test-trap.test"];

/// All tests share the provider, and run one after the other, as they would otherwise slow each other past deadlines.
pub struct Stage {
    tokio: tokio::runtime::Runtime,
    turn: Mutex<()>,
    pub provider: Provider,
    /// The gateway with the first set of keys.
    pub world: World,
}

/// The stage of this process.
pub static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime should start");
    let provider = tokio.block_on(Provider::start());
    let policy = policy().to_string();
    let world = tokio.block_on(World::start(&provider, Guest::Edge, Set::First, &policy));
    Stage { tokio, turn: Mutex::new(()), provider, world }
});

impl Stage {
    /// Runs a test alone, and tells what it found.
    pub fn run(&'static self, name: &'static str, test: impl AsyncFnOnce(&'static Stage, &Report)) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let report = Report::new(name);
        self.provider.violations();
        self.tokio.block_on(test(self, &report));
        for violation in self.provider.violations() {
            report.finding("a key or a request where it does not belong", 0, violation);
        }
        report.finish();
    }
}

/// One running gateway.
pub struct World {
    pub gateway: Gateway,
    log: Mutex<UnboundedReceiver<LogLine>>,
}

/// What the log said, by the ids of the requests.
#[derive(Default)]
pub struct Log {
    pub lines: Vec<LogLine>,
    pub by_id: HashMap<String, Vec<Value>>,
}

impl Log {
    /// Whether the platform sent the end of this answer, which the gateway then did not see.
    pub fn is_handed_off(&self, got: &Got) -> bool {
        let lines = got.route_id().and_then(|id| self.by_id.get(id));
        lines.is_some_and(|lines| lines.iter().any(|line| line["handed_off"] == true))
    }

    fn take(&mut self, line: LogLine) {
        if let Ok(value) = serde_json::from_str::<Value>(&line.text)
            && let Some(id) = value["id"].as_str()
        {
            self.by_id.entry(id.to_owned()).or_default().push(value);
        }
        self.lines.push(line);
    }
}

impl World {
    /// A gateway with one set of keys and a policy.
    pub async fn start(provider: &Provider, guest: Guest, set: Set, policy: &str) -> Self {
        tiergate::policy::parse::parse(policy.as_bytes()).expect("the tests' policy should be valid");
        let (sink, log) = unbounded_channel();
        let mut options =
            GatewayOptions::new(wasm::guest(guest).expect("the guest should build")).kv("policy", policy).log(sink);
        for (planted, addr) in PLANTED.iter().zip(&provider.addrs) {
            options = options.backend(planted.host, format!("http://{addr}")).secret(planted.host, planted.key(set));
        }
        for host in TRAPS {
            options = options.backend(host, format!("http://{}", provider.trap));
        }
        let entry = json!({"name": "app", "keys": [app_key().entry()], "may_pin": true, "may_inspect": true});
        let options = options.kv("client/app", entry.to_string());
        let gateway = Gateway::start(options).await.expect("the gateway should start");
        Self { gateway, log: Mutex::new(log) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.gateway.addr()
    }

    /// The lines that have come, once those of the requests with these ids are among them or do not come any more.
    pub async fn log(&self, ids: impl IntoIterator<Item = &str>) -> Log {
        let mut log = Log::default();
        let mut missing: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        let deadline = tokio::time::Instant::now() + LOG_PATIENCE;
        loop {
            let next = self.log.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
            match next {
                Ok(line) => log.take(line),
                Err(_) => {
                    missing.retain(|id| !log.by_id.contains_key(id));
                    if missing.is_empty() || tokio::time::Instant::now() > deadline {
                        return log;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// What holds of every answer, whoever asked and whatever the provider did.
    pub async fn check(&self, answers: &[(u64, Got)], report: &Report) -> Log {
        let ids: Vec<&str> = answers.iter().filter_map(|(_, got)| got.route_id()).collect();
        let log = self.log(ids.iter().copied()).await;
        for (case, got) in answers {
            check_answer(*case, got, report);
            let Some(id) = got.route_id() else { continue };
            match log.by_id.get(id).map_or(0, Vec::len) {
                1 => {}
                count => report.finding("log lines for one answer", *case, format!("{count} for {id}")),
            }
        }
        for line in &log.lines {
            check_line(line, report);
        }
        report.count("requests", answers.len() as u64);
        report.count("log lines", log.by_id.len() as u64);
        log
    }

    /// Lets every candidate of `tier` serve once, so that what failed before does not show; of all tiers of the default
    /// one for an empty name.
    pub async fn heal(&self, tier: &str) {
        let tier = if tier.is_empty() { "plain-c0" } else { tier };
        for place in ["first", "second"] {
            let pin = format!("x-route-model: {tier}-{place}\r\n");
            let body = json!({"messages": [{"role": "user", "content": "Hello"}]}).to_string();
            let request = crate::requests::post("/v1/chat/completions", &pin, body.as_bytes());
            let got = send(self.addr(), &Sending::new(request, TOTAL + GRACE)).await;
            // Not every tier has a second one.
            assert!(got.status == Some(200) || place == "second", "{}", got.text());
        }
    }

    /// A request with good bytes is answered well: the gateway lives.
    pub async fn is_well(&self, case: u64, report: &Report) {
        let got =
            send(self.addr(), &Sending::new(crate::requests::chat("plain-c0", false, "Hello"), TOTAL + GRACE)).await;
        if got.status != Some(200) || !got.text().contains("All is well.") {
            report.finding("a good request was not served", case, format!("{:?} {}", got.status, got.text()));
        }
    }
}

fn check_answer(case: u64, got: &Got, report: &Report) {
    let start = String::from_utf8_lossy(&got.raw[..got.raw.len().min(600)]).into_owned();
    if got.status.is_none() && got.end == Ended::TooLate {
        // The runtime takes in a body of known length before the guest sees its request, so one that does not come ends here.
        // Bodies in chunks are what the guest waits for, and `slow` wants an answer to those.
        report.count("without an answer, since a body of known length did not come", 1);
    } else if got.elapsed > TOTAL + GRACE {
        report.finding("over its own total + 5 s", case, format!("{:.1} s: {start}", got.elapsed.as_secs_f64()));
    }
    let lower = start.to_ascii_lowercase();
    if ["backtrace", "wasm trap", "panicked", "viceroy"].iter().any(|word| lower.contains(word)) {
        report.finding("a panic in the answer", case, &start);
    }
    let Some(status) = got.status.filter(|status| *status >= 400) else { return };
    // What the runtime refuses before the guest sees it is a 4xx without the guest's headers.
    if got.route_id().is_none() && status < 500 {
        return;
    }
    let code = got.code().unwrap_or_default();
    // An answer to HEAD has no body that could hold a code.
    let is_documented = DOCUMENTED.has(status, &code) || (got.body.is_empty() && DOCUMENTED.has_status(status));
    if !is_documented || got.route_id().is_none() || status == 500 {
        report.finding(format!("an undocumented {status}"), case, format!("code `{code}`: {start}"));
    }
}

fn check_line(line: &LogLine, report: &Report) {
    if line.text.contains("\"error.type\":\"internal_error\"") {
        report.finding("an internal error in the log", 0, &line.text);
    }
    if line.endpoint != "tiergate" && !line.text.is_empty() {
        report.finding("a line outside the log", 0, format!("{}: {}", line.endpoint, line.text));
    }
    let value: Value = serde_json::from_str(&line.text).unwrap_or_default();
    if value["duration_ms"]["total"].as_f64().is_some_and(|total| total > (TOTAL + GRACE).as_secs_f64() * 1e3) {
        report.finding("over its own total + 5 s, by the log", 0, &line.text);
    }
    // Names and counts, all bounded: more would be text of somebody.
    if line.endpoint == "tiergate" && line.text.len() > 16 * 1024 {
        report.finding("a log line of more than 16 KiB", 0, format!("{} bytes: {}", line.text.len(), line.text));
    }
}

/// Runs `case` for all `cases`, some at once, and gives what it gave, in order.
pub async fn all<T>(cases: &[u64], at_once: usize, case: impl AsyncFn(u64) -> T) -> Vec<T> {
    let case = &case;
    futures_util::stream::iter(cases).map(|number| case(*number)).buffered(at_once).collect().await
}

/// The key of the tests' client.
pub fn client_key() -> String {
    app_key().expose().to_owned()
}

fn app_key() -> ClientKey {
    ClientKey::with_random_part("app", "0123456789abcdefghijklmnopqrstuvwxyz")
}

/// How many tiers of a kind begin with the same dialect. A candidate that failed comes last for a while, so tests that
/// compare answers take another lane each time.
pub const LANES: usize = 24;

/// The name of a tier.
pub fn tier(kind: &str, dialect: Dialect, lane: usize) -> String {
    format!("{kind}-{}{lane}", letter(dialect))
}

fn letter(dialect: Dialect) -> char {
    match dialect {
        Dialect::Chat => 'c',
        Dialect::Messages => 'm',
    }
}

/// Every host in both dialects, in tiers of every kind, and a classifier.
pub fn policy() -> Value {
    let mut providers = serde_json::Map::new();
    for (host, planted) in PLANTED.iter().enumerate() {
        let url = format!("https://{}", planted.host);
        let messages = json!({"base_url": url, "dialect": "anthropic-messages", "auth": "x-api-key"});
        providers.insert(format!("m{host}"), messages);
        providers.insert(format!("c{host}"), json!({"base_url": format!("{url}/v1"), "dialect": "openai-chat"}));
    }
    let mut models = serde_json::Map::new();
    let mut model = |name: &str, dialect: Dialect, host: usize| {
        let model = json!({"provider": format!("{}{host}", letter(dialect)), "id": "upstream-model", "context": 100_000,
            "max_output": 10_000, "tools": true, "json_schema": true, "vision": true, "prefill": "message"});
        models.insert(name.to_owned(), model);
        json!({"model": name})
    };
    model("classifier", Dialect::Chat, CLASSIFIER);
    let mut tiers = Vec::new();
    for kind in KINDS {
        for lane in 0..LANES {
            for (first, second) in [(Dialect::Chat, Dialect::Messages), (Dialect::Messages, Dialect::Chat)] {
                let name = tier(kind, first, lane);
                let mut candidates = vec![model(&format!("{name}-first"), first, lane % HOSTS)];
                if kind != "plain" && kind != "hold" {
                    candidates.push(model(&format!("{name}-second"), second, (lane + 1) % HOSTS));
                }
                let mut entry = json!({
                    "name": name, "description": "Any work.", "candidates": candidates,
                    "deadlines": {"connect_ms": 1000, "first_token_ms": 2000, "response_ms": 2000, "idle_ms": 2000,
                        "total_ms": TOTAL.as_millis() as u64},
                });
                match kind {
                    "hold" => entry["stream"] = json!("hold"),
                    "retry" => entry["retries"] = json!(1),
                    "replay" | "continue" => entry["resume"] = json!(kind),
                    _ => {}
                }
                tiers.push(entry);
            }
        }
    }
    json!({
        "version": "hostile.1", "default_tier": "plain-c0", "policy_ttl_s": 3600,
        "health": {"cooldown_s": 1, "max_cooldown_s": 1, "auth_cooldown_s": 1},
        "classifier": {
            "model": "classifier", "timeout_ms": 1000, "min_confidence": 0.5, "excerpt_bytes": 400,
            "breaker": {"failures": 100, "open_s": 1},
        },
        "tiers": tiers, "models": models, "providers": providers,
    })
}
