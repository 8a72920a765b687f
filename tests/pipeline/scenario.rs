//! One gateway on the fake platform, and short ways to say what happens and to look at what came of it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};
use miniz_oxide::deflate::compress_to_vec;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tiergate::admit::memory::Memory;
use tiergate::pipeline;
use tiergate::platform::{Received, StoreError};
use tiergate::upstream::keyring::{MAX_READS, StoreUse};

use crate::fake::{Chunk, Event, Fake, Reply};

pub const KEY: &str = "tg_app_0123456789abcdefghijklmnopqrstuv";
pub const CLASSIFIER: &str = "classifier.example";
pub const FIRST: &str = "first.example";
pub const SECOND: &str = "second.example";
pub const CONTINUATION: &str = "on.example";
/// The root of what executions show each other.
pub const ROOT: &str = "root-of-2026-0123456789abcdefghijklmnop";

pub struct Scenario {
    pub fake: Fake,
    pub memory: Memory,
    path: String,
    method: Method,
    headers: HeaderMap,
    body: Vec<Chunk>,
}

/// Secrets by host; nothing that leaves the gateway but a request to that host may hold one.
pub fn secret_of(host: &str) -> String {
    format!("sk-secret-of-{host}-0123456789")
}

pub fn policy() -> Value {
    let model = |provider: &str, more: Value| {
        let mut model = json!({
            "provider": provider, "id": format!("{provider}-upstream"), "context": 100_000, "max_output": 1_000,
            "price": {"input": 1.0, "cached_input": 0.5, "output": 2.0},
        });
        model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        model
    };
    let tier = |name: &str, candidates: Value| {
        json!({
            "name": name, "description": format!("Work for {name}."), "candidates": candidates,
            "deadlines": {"connect_ms": 1000, "first_token_ms": 2000, "response_ms": 3000, "idle_ms": 5000, "total_ms": 10000},
        })
    };
    let provider = |host: &str| json!({"base_url": format!("https://{host}/v1"), "dialect": "openai-chat"});
    json!({
        "version": "test.1",
        "default_tier": "large",
        "policy_ttl_s": 5,
        "limits": {"body_bytes": 100_000},
        // One failure is a cool-down, so that tests that are not about rows of failures are short.
        "health": {"failures": 1},
        "cors_origins": ["https://app.example"],
        "classifier": {
            "model": "judge", "timeout_ms": 500, "min_confidence": 0.5, "excerpt_bytes": 400,
            "breaker": {"failures": 3, "open_s": 30},
        },
        "tiers": [
            tier("small", json!([{"model": "plain"}])),
            tier("large", json!([{"model": "one"}, {"model": "two"}])),
        ],
        "models": {
            "plain": model("first", json!({"context": 2_000})),
            "one": model("first", json!({"tools": true, "vision": true, "json_schema": true})),
            "two": model("second", json!({"tools": true, "forced_tools": false, "json_schema": true, "sampling": false})),
            "judge": model("classifier", json!({"json_schema": true, "efforts": {"none": "instant", "high": "high"}})),
        },
        "providers": {"first": provider(FIRST), "second": provider(SECOND), "classifier": provider(CLASSIFIER)},
        "rules": [],
    })
}

pub fn client(more: Value) -> Value {
    let digest = Sha256::digest(KEY);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut entry = json!({"name": "App", "keys": [{"sha256": hex}], "tags": {"team": "search"}});
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

/// A whole answer.
pub fn answer(text: &str) -> Reply {
    json_reply(
        200,
        json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "upstream-name", "surprise": {"kept": true},
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110,
                "prompt_tokens_details": {"cached_tokens": 40}},
        }),
    )
}

pub fn json_reply(status: u16, body: Value) -> Reply {
    reply(status, "application/json", vec![body.to_string().as_str()])
}

/// A reply whose body comes in these parts.
pub fn reply(status: u16, content_type: &str, parts: Vec<&str>) -> Reply {
    let headers = vec![
        ("content-type", content_type.to_owned()),
        ("x-request-id", "upstream-request".to_owned()),
        ("set-cookie", "session=1".to_owned()),
        ("openai-organization", "org-1".to_owned()),
    ];
    Reply::Answer { delay: Duration::ZERO, status, headers, chunks: parts.into_iter().map(chunk).collect() }
}

pub fn stream(parts: Vec<&str>) -> Reply {
    reply(200, "text/event-stream", parts)
}

/// One member of gzip (RFC 1952).
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let (sum, length) = (crc32fast::hash(plain).to_le_bytes(), (plain.len() as u32).to_le_bytes());
    [&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3][..], &compress_to_vec(plain, 6), &sum, &length].concat()
}

pub fn chunk(text: &str) -> Chunk {
    Chunk { delay: Duration::ZERO, bytes: Ok(text.as_bytes().to_vec()) }
}

pub fn verdict(tier: &str, confidence: f64) -> Reply {
    answer(&json!({"tier": tier, "confidence": confidence}).to_string())
}

impl Reply {
    pub fn after(self, milliseconds: u64) -> Reply {
        match self {
            Reply::Answer { status, headers, chunks, .. } => {
                Reply::Answer { delay: Duration::from_millis(milliseconds), status, headers, chunks }
            }
            Reply::Fails(error) => Reply::FailsAfter(Duration::from_millis(milliseconds), error),
            other => other,
        }
    }

    pub fn with_header(self, name: &'static str, value: &str) -> Reply {
        match self {
            Reply::Answer { delay, status, mut headers, chunks } => {
                headers.push((name, value.to_owned()));
                Reply::Answer { delay, status, headers, chunks }
            }
            other => other,
        }
    }
}

impl Scenario {
    /// A gateway with the test policy, the client `app` and every provider's secret; providers answer nothing yet.
    pub fn new() -> Self {
        let fake = Fake::default();
        for host in [CLASSIFIER, FIRST, SECOND] {
            fake.secrets.borrow_mut().insert(host.to_owned(), secret_of(host));
        }
        let headers = HeaderMap::new();
        let path = "/v1/chat/completions".to_owned();
        let scenario = Self { fake, memory: Memory::default(), path, method: Method::POST, headers, body: Vec::new() }
            .policy(policy())
            .client(client(json!({})))
            .header("authorization", &format!("Bearer {KEY}"));
        scenario.ask(json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello there"}]}))
    }

    pub fn policy(self, policy: Value) -> Self {
        self.kv("policy", policy.to_string().as_bytes())
    }

    pub fn client(self, entry: Value) -> Self {
        self.kv("client/app", entry.to_string().as_bytes())
    }

    /// The store as it is when it cannot be reached for these keys.
    pub fn unreachable(self, keys: &[&str]) -> Self {
        for key in keys {
            self.fake.kv.borrow_mut().insert((*key).to_owned(), Err(StoreError));
        }
        self
    }

    /// Another sandbox of the same POP serves the next request.
    pub fn new_sandbox(mut self) -> Self {
        self.memory = Memory::default();
        self
    }

    /// A sandbox of another POP does.
    pub fn new_pop(self) -> Self {
        self.fake.cache.take();
        self.fake.offices.take();
        self.new_sandbox()
    }

    /// How often this happened since the scenario's last request began.
    pub fn count(&self, event: &Event) -> usize {
        self.fake.events.borrow().iter().filter(|other| *other == event).count()
    }

    /// The version that `x-route-policy` shows, without the digest.
    pub fn version(&self) -> String {
        self.response_header("x-route-policy").split('@').next().unwrap_or_default().to_owned()
    }

    pub fn kv(self, key: &str, value: &[u8]) -> Self {
        self.fake.put(key, value);
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), value.parse().expect("a header value"));
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    pub fn path(mut self, method: Method, path: &str) -> Self {
        self.method = method;
        self.path = path.to_owned();
        self
    }

    pub fn ask(self, body: Value) -> Self {
        self.raw_body(body.to_string().as_bytes())
    }

    pub fn raw_body(self, body: &[u8]) -> Self {
        self.body_parts(vec![Chunk { delay: Duration::ZERO, bytes: Ok(body.to_vec()) }])
    }

    pub fn body_parts(mut self, parts: Vec<Chunk>) -> Self {
        self.body = parts;
        self
    }

    /// What the provider at `host` does with its next request.
    pub fn provider(self, host: &str, reply: Reply) -> Self {
        self.fake.providers.borrow_mut().entry(host.to_owned()).or_default().push_back(reply);
        self
    }

    /// An entry of the Secret Store.
    pub fn secret(self, entry: &str, value: &str) -> Self {
        self.fake.secrets.borrow_mut().insert(entry.to_owned(), value.to_owned());
        self
    }

    /// Other executions go on with long answers: all hosts stand in the entry that names where.
    pub fn continues(self) -> Self {
        let mut places = json!({"continuation": format!("https://{CONTINUATION}"), "hmac": {"2026": ROOT}});
        for host in [CLASSIFIER, FIRST, SECOND] {
            places[format!("https://{host}")] = json!(secret_of(host));
        }
        self.secret("tiergate", &places.to_string())
    }

    pub fn run(self) -> Self {
        if !self.memory.has_room(0, Duration::ZERO) {
            // The shell would start another sandbox; what else this one remembers is not touched, for tests of it.
            self.memory.secret_store.set(StoreUse::default());
        }
        let (path, query) = match self.path.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (self.path.clone(), None),
        };
        let received = Received {
            id: "request-1".to_owned(),
            method: self.method.clone(),
            path,
            query,
            headers: self.headers.clone(),
            body: self.fake.body(self.body.clone()),
            pop: "TST".to_owned(),
            sandbox_age: Duration::ZERO,
        };
        pipeline::handle(&self.fake, &self.memory, received);
        self.fake.run_hops();
        self.check_what_left();
        self
    }

    /// Runs the same request again, `later` after the first.
    pub fn again_after(self, later: Duration) -> Self {
        self.fake.next_request(later);
        self.run()
    }

    /// The promises that hold for every request: one log line, one answer, no secret where it does not belong.
    fn check_what_left(&self) {
        let fake = &self.fake;
        let logged = fake.events.borrow().iter().filter(|event| **event == Event::Logged).count();
        let reads = fake.secret_reads.borrow();
        let twice = reads.iter().enumerate().any(|(position, entry)| reads[..position].contains(entry));
        assert!(!twice && self.memory.secret_store.get().reads <= MAX_READS, "too many reads: {reads:?}");
        assert_eq!(logged, 1, "a request should have one log line: {:?}", fake.log.borrow());
        let answer = fake.answer.borrow();
        let head = answer.head.as_ref().expect("a request should have an answer");
        let line = fake.log.borrow().last().cloned().unwrap();
        let out = format!("{head:?}{}{line}", String::from_utf8_lossy(&answer.body));
        for host in [CLASSIFIER, FIRST, SECOND] {
            assert!(!out.contains(&secret_of(host)[10..24]), "the secret of {host} left the gateway: {out}");
            for sent in fake.sent.borrow().iter().filter(|sent| sent.host != host) {
                let request = format!("{:?}{}", sent.headers, String::from_utf8_lossy(&sent.body));
                assert!(!request.contains(&secret_of(host)), "the secret of {host} went to {}", sent.host);
            }
        }
        for handed in fake.handed.borrow().iter() {
            let text = String::from_utf8_lossy(&handed.beginning);
            let holds = |secret: &str| text.contains(secret);
            assert!(!holds("secret-of") && !holds(KEY) && !holds(ROOT), "a secret was handed on: {text}");
            assert_eq!(handed.url, format!("https://{CONTINUATION}/.tiergate/continuation"));
        }
        assert!(!out.contains(KEY), "the client's key came back: {out}");
        for name in ["x-route-id", "x-request-id"] {
            assert_eq!(head.headers.get(name).map(|id| id.as_bytes()), Some(&b"request-1"[..]), "{name}");
        }
        for sent in fake.sent.borrow().iter() {
            for name in sent.headers.keys() {
                let known = [
                    "content-type",
                    "accept",
                    "accept-encoding",
                    "user-agent",
                    "authorization",
                    "traceparent",
                    "anthropic-version",
                    "x-api-key",
                    // Of rows that say so.
                    "x-goog-api-key",
                ];
                assert!(known.contains(&name.as_str()), "the header {name} reached a provider");
            }
            assert!(!format!("{:?}", sent.headers).contains("secret-of"), "Debug prints a credential");
            assert!(!String::from_utf8_lossy(&sent.body).contains(KEY));
        }
        for name in head.headers.keys().map(|name| name.as_str()) {
            let listed = [
                "content-type",
                "cache-control",
                "server-timing",
                "x-request-id",
                "request-id",
                "retry-after",
                "x-should-retry",
                "accept-encoding",
                "allow",
                "vary",
            ]
            .contains(&name);
            let prefixed = ["x-route-", "access-control-", "x-ratelimit-", "anthropic-ratelimit-"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            assert!(listed || prefixed, "the header {name} reached the client");
        }
    }

    pub fn status(&self) -> u16 {
        self.fake.answer.borrow().head.as_ref().expect("an answer").status.as_u16()
    }

    pub fn response_header(&self, name: &str) -> String {
        let answer = self.fake.answer.borrow();
        let headers = &answer.head.as_ref().expect("an answer").headers;
        headers.get(name).map_or("", |value| value.to_str().expect("text")).to_owned()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.fake.answer.borrow().body.clone()).expect("text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn error_code(&self) -> String {
        let body = self.json();
        assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The last request's log line.
    pub fn log(&self) -> Value {
        let lines = self.fake.log.borrow();
        serde_json::from_str(lines.last().expect("a line")).expect("JSON")
    }

    /// The body of the last request to `host`.
    pub fn sent_to(&self, host: &str) -> Value {
        let sent = self.fake.sent.borrow();
        let last = sent.iter().rev().find(|sent| sent.host == host).unwrap_or_else(|| panic!("nothing went to {host}"));
        serde_json::from_slice(&last.body).expect("JSON")
    }

    /// The hosts that were asked, in order.
    pub fn asked(&self) -> Vec<String> {
        self.fake.sent.borrow().iter().map(|sent| sent.host.clone()).collect()
    }
}
