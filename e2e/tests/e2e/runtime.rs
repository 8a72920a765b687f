//! The gateway's Wasm in the local runtime with simulated providers, shared by all scenarios of one kind of sandbox.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tiergate_cli::client_key::ClientKey;
use tiergate_cli::gateway::{Gateway, GatewayOptions};
use tiergate_cli::log::LogLine;
use tiergate_cli::wasm::{self, Guest};
use tiergate_simulator::{Profile, Simulator};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub const CLASSIFIER: &str = "classifier.test";
pub const FIRST: &str = "first.test";
pub const SECOND: &str = "second.test";
/// It speaks the Messages API.
pub const THIRD: &str = "third.test";
/// Nothing listens there.
pub const DOWN: &str = "down.test";

const RANDOM: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
/// No event that a test waits for takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which clients exist, and what their entries say besides the key.
const CLIENTS: [(&str, &str); 4] = [
    ("app", r#"{"tags":{"team":"search"}}"#),
    ("pinner", r#"{"may_pin":true,"may_inspect":true}"#),
    ("small-only", r#"{"tiers":["small"]}"#),
    ("gone", r#"{"disabled":true}"#),
];

pub struct Runtime {
    pub gateway: Gateway,
    pub first: Simulator,
    pub second: Simulator,
    pub third: Simulator,
    pub classifier: Simulator,
    log: Mutex<UnboundedReceiver<LogLine>>,
    pub http: reqwest::Client,
    /// How many cases of each kind have been given out.
    given: [AtomicUsize; KINDS.len()],
    /// Which scenario runs.
    scenario: AtomicUsize,
}

/// A tier whose candidates nobody has asked yet: a failing one comes last for a while, so each failure needs its own.
pub struct Case {
    pub tier: String,
    /// As attempts name them.
    pub first: String,
    pub second: String,
}

/// Cases of each kind, and what their tiers say besides the usual.
const CASES: usize = 24;
const KINDS: [(&str, &str); 10] = [
    ("case", "{}"),
    ("alone", "{}"),
    ("retry", r#"{"retries":1}"#),
    ("hedge", r#"{"hedge_after_ms":300}"#),
    ("hold", r#"{"stream":"hold"}"#),
    ("handoff", r#"{"stream":"handoff"}"#),
    ("replay", r#"{"resume":"replay"}"#),
    ("short", r#"{"deadlines":{"first_token_ms":1000,"response_ms":1000,"idle_ms":1400,"total_ms":1500}}"#),
    // One candidate of each dialect, the Messages API second or first.
    ("to-messages", "{}"),
    ("from-messages", "{}"),
];

/// What is particular to a gateway.
#[derive(Clone, Copy)]
pub struct Setting {
    pub policy: fn() -> Value,
    pub options: fn(GatewayOptions) -> GatewayOptions,
}

/// A tokio runtime and, once started, the gateway in it.
pub struct Shared {
    setting: Setting,
    tokio: tokio::runtime::Runtime,
    runtime: OnceLock<Runtime>,
    turn: Mutex<()>,
}

impl Shared {
    pub fn new() -> Self {
        Self::of(Setting { policy, options: |options| options })
    }

    pub fn of(setting: Setting) -> Self {
        let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime should start");
        Self { setting, tokio, runtime: OnceLock::new(), turn: Mutex::new(()) }
    }

    /// Runs one scenario, alone on this gateway, with providers that answer normally.
    pub fn run(&self, guest: Guest, scenario: impl AsyncFnOnce(&Runtime)) {
        let _turn: MutexGuard<'_, ()> = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = self.runtime.get_or_init(|| self.tokio.block_on(Runtime::start(guest, self.setting)));
        for simulator in [&runtime.first, &runtime.second, &runtime.third, &runtime.classifier] {
            simulator.script("").expect("an empty script");
            simulator.clear();
        }
        self.tokio.block_on(async {
            runtime.scenario.fetch_add(1, Ordering::Relaxed);
            runtime.drain_log();
            let limit = tokio::time::timeout(PATIENCE * 9, scenario(runtime));
            limit.await.expect("a scenario should not wait for ever");
        });
    }
}

fn client_key(client: &str) -> ClientKey {
    ClientKey::with_random_part(client, RANDOM)
}

pub fn key(client: &str) -> String {
    client_key(client).expose().to_owned()
}

/// What the Secret Store holds for a host.
pub fn secret(host: &str) -> String {
    format!("sk-{host}-WhatMustNeverLeave42")
}

pub fn client_entry(client: &str, more: &str) -> Value {
    let mut entry = json!({"name": client, "keys": [client_key(client).entry()]});
    let more: Value = serde_json::from_str(more).expect("JSON");
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

pub fn policy() -> Value {
    let model = |provider: &str, more: Value| {
        let mut model = json!({
            "provider": provider, "id": format!("{provider}-model"), "context": 100_000, "max_output": 10_000,
            "tools": true, "json_schema": true, "vision": true, "price": {"input": 1.0, "output": 2.0},
        });
        model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        model
    };
    let tier = |name: &str, candidates: Value, response_ms: u64| {
        json!({
            "name": name, "description": format!("Work for {name}."), "candidates": candidates,
            "deadlines": {"connect_ms": 1000, "first_token_ms": 1000, "response_ms": response_ms, "idle_ms": 2000, "total_ms": 15000},
        })
    };
    let mut tiers = vec![
        tier("small", json!([{"model": "one"}]), 10_000),
        tier("medium", json!([{"model": "mild"}, {"model": "two"}]), 1_000),
        tier("broken", json!([{"model": "down"}, {"model": "two"}]), 1_000),
    ];
    let mut models = serde_json::Map::new();
    for (name, provider) in [("one", "first"), ("mild", "first"), ("two", "second"), ("down", "down")] {
        models.insert(name.to_owned(), model(provider, json!({"prefill": "message"})));
    }
    models.insert("judge".to_owned(), model("classifier", json!({"id": "mercury-2", "efforts": {"none": "instant"}})));
    let claude = json!({"id": "claude-haiku-5-5", "sampling": false, "thinking": "optional"});
    models.insert("claude-judge".to_owned(), model("third", claude));
    for (kind, more) in KINDS {
        for number in 0..CASES {
            let case = Case::new(kind, number);
            let (first, second) = (format!("{kind}-a{number}"), format!("{kind}-b{number}"));
            let mut candidates = vec![json!({"model": first}), json!({"model": second})];
            if kind == "alone" {
                candidates.pop();
            }
            let mut tier = tier(&case.tier, candidates.into(), 1_000);
            let more: Value = serde_json::from_str(more).expect("JSON");
            tier.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            tiers.push(tier);
            let claude = json!({"id": "claude-sonnet-5-5", "forced_tools": false, "sampling": false,
                "thinking": "always", "thinking_display": true});
            let (one, two) = match kind {
                "to-messages" => (model("first", json!({})), model("third", claude)),
                "from-messages" => (model("third", claude), model("second", json!({}))),
                _ => (model("first", json!({})), model("second", json!({}))),
            };
            models.insert(first, one);
            models.insert(second, two);
        }
    }
    let provider = |host: &str| json!({"base_url": format!("https://{host}/v1"), "dialect": "openai-chat"});
    json!({
        "version": "e2e.1", "default_tier": "medium", "policy_ttl_s": 1, "limits": {"body_bytes": 1_000_000},
        "cors_origins": ["https://app.test"],
        "classifier": {
            "model": "judge", "timeout_ms": 400, "min_confidence": 0.5, "excerpt_bytes": 400,
            "breaker": {"failures": 100, "open_s": 1},
        },
        "health": {"failures": 1, "cooldown_s": 1, "max_cooldown_s": 60, "hedge_share": 1.0},
        "tiers": tiers,
        "models": models,
        "providers": {
            "first": provider(FIRST), "second": provider(SECOND), "down": provider(DOWN),
            "third": {"base_url": format!("https://{THIRD}"), "dialect": "anthropic-messages", "auth": "x-api-key",
                "show_reasoning": true},
            "classifier": provider(CLASSIFIER),
        },
        "rules": [{"name": "Danes stay with second", "when": {"country": ["DK"]}, "then": {"providers": ["second"]}}],
    })
}

async fn simulator(profile: Profile, host: &str) -> Simulator {
    let addr = "127.0.0.1:0".parse().expect("an address");
    Simulator::start(profile.with_key(&secret(host)), addr).await.expect("a simulator should start")
}

impl Case {
    fn new(kind: &str, number: usize) -> Self {
        let (first, second) = match kind {
            "to-messages" => ("first", "third"),
            "from-messages" => ("third", "second"),
            _ => ("first", "second"),
        };
        Case {
            tier: format!("{kind}-{number}"),
            first: format!("{first}/{kind}-a{number}"),
            second: format!("{second}/{kind}-b{number}"),
        }
    }

    /// What `x-route-attempts` should say when the first came to `outcome` and the second served.
    pub fn passed_on(&self, outcome: &str) -> String {
        format!("{}:{outcome},{}:200", self.first, self.second)
    }
}

impl Runtime {
    /// A case of this kind that nobody has used.
    pub fn case(&self, kind: &str) -> Case {
        let position = KINDS.iter().position(|(name, _)| *name == kind).expect("a kind of case");
        let number = self.given[position].fetch_add(1, Ordering::Relaxed);
        assert!(number < CASES, "there should be more cases of the kind {kind}");
        Case::new(kind, number)
    }

    async fn start(guest: Guest, setting: Setting) -> Self {
        let first = simulator(Profile::generic("first"), FIRST).await;
        let second = simulator(Profile::generic("second"), SECOND).await;
        let third = simulator(Profile::anthropic(), THIRD).await;
        let classifier = simulator(Profile::inception(), CLASSIFIER).await;
        let (sink, log) = unbounded_channel();
        let policy = (setting.policy)().to_string();
        tiergate::policy::parse::parse(policy.as_bytes()).expect("the tests' policy should be valid");
        let unused = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
        let mut options = GatewayOptions::new(wasm::guest(guest).expect("the guest should build"))
            .kv("policy", policy)
            .backend(FIRST, format!("http://{}", first.addr()))
            .backend(SECOND, format!("http://{}", second.addr()))
            .backend(THIRD, format!("http://{}", third.addr()))
            .backend(CLASSIFIER, format!("http://{}", classifier.addr()))
            .backend(DOWN, format!("http://{unused}"))
            .log(sink);
        for host in [FIRST, SECOND, THIRD, CLASSIFIER, DOWN] {
            options = options.place(format!("https://{host}"), "", Some(&secret(host)));
        }
        for (client, more) in CLIENTS {
            options = options.kv(format!("client/{client}"), client_entry(client, more).to_string());
        }
        let gateway = Gateway::start((setting.options)(options)).await.expect("the gateway should start");
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let given = [const { AtomicUsize::new(0) }; KINDS.len()];
        Self {
            gateway,
            first,
            second,
            third,
            classifier,
            log: Mutex::new(log),
            http,
            given,
            scenario: AtomicUsize::new(0),
        }
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let post = self.http.post(format!("{}{path}", self.gateway.url())).bearer_auth(key("app")).json(body);
        post.header("x-route-tags", format!("scenario={}", self.scenario.load(Ordering::Relaxed)))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.gateway.url()))
    }

    /// A chat completion of `text` in the tier `tier`; the classifier decides if it is empty.
    pub fn chat(&self, tier: &str, text: &str) -> RequestBuilder {
        let body = json!({"model": "any", "messages": [{"role": "user", "content": text}]});
        in_tier(self.post("/v1/chat/completions", &body), tier)
    }

    pub fn stream(&self, tier: &str, text: &str) -> RequestBuilder {
        let body = json!({"model": "any", "stream": true, "messages": [{"role": "user", "content": text}]});
        in_tier(self.post("/v1/chat/completions", &body), tier)
    }

    /// The next log line of a request of this scenario, and that it is one JSON object without a secret. Lines of earlier
    /// scenarios, which may come late, are passed over.
    pub async fn log_line(&self) -> Value {
        let scenario = self.scenario.load(Ordering::Relaxed).to_string();
        let line = tokio::time::timeout(PATIENCE, async {
            loop {
                let next = self.log.lock().expect("the log").try_recv();
                let Ok(line) = next else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if line.endpoint != "tiergate" {
                    continue;
                }
                check_no_secret(&line.text);
                let line: Value = serde_json::from_str(&line.text).expect("a log line should be JSON");
                if line["tags"]["scenario"].as_str().is_none_or(|of| of == scenario) {
                    return line;
                }
            }
        });
        line.await.expect("a log line should come")
    }

    /// The lines that are there already.
    pub fn drain_log(&self) -> Vec<LogLine> {
        let mut log = self.log.lock().expect("the log");
        std::iter::from_fn(|| log.try_recv().ok()).collect()
    }
}

fn in_tier(request: RequestBuilder, tier: &str) -> RequestBuilder {
    if tier.is_empty() { request } else { request.header("x-route-tier", tier) }
}

/// What came back, whole.
pub struct Got {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub text: String,
    /// Whether the transfer ended as HTTP says it should.
    pub ended: bool,
}

/// Sends a request and takes in all that comes back, also of an aborted transfer.
pub async fn send(request: RequestBuilder) -> Got {
    use futures_util::StreamExt;
    let response: Response = request.send().await.expect("the gateway should answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut bytes = Vec::new();
    let mut ended = true;
    let mut stream = response.bytes_stream();
    while let Some(part) = stream.next().await {
        match part {
            Ok(part) => bytes.extend_from_slice(&part),
            Err(_) => {
                ended = false;
                break;
            }
        }
    }
    let text = String::from_utf8(bytes).expect("answers should be text");
    check_no_secret(&format!("{headers:?}{text}"));
    Got { status, headers, text, ended }
}

fn check_no_secret(text: &str) {
    for part in ["WhatMustNeverLeave42", RANDOM] {
        assert!(!text.contains(part), "a key left the gateway: {text}");
    }
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The text of a whole answer.
    pub fn answer(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
    }

    /// The data of a stream's events.
    pub fn events(&self) -> Vec<String> {
        self.text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(str::to_owned).collect()
    }
}
