//! What one execution on the fake platform hands on to another one, and how that one begins.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};
use serde_json::Value;
use tiergate::admit::memory::Memory;
use tiergate::pipeline;
use tiergate::platform::{Platform, ReadError, Received};
use tiergate::relay::frame::{FrameKeys, HEAD_BYTES, NONCE_BYTES};
use tiergate::secret::Secret;

use crate::fake::{Chunk, Fake, FakeBody, Published, PublishedEnd};

/// How long a request is that gives up an answer, and asks for its end.
pub const GIVING_UP_BYTES: usize = HEAD_BYTES + NONCE_BYTES;

/// What is different between this execution and the next.
#[derive(Default)]
pub struct Elsewhere {
    /// A body that breaks takes the way to the client along, as between executions.
    pub breaks_both_ways: Cell<bool>,
    /// The other execution has another cache.
    pub caches_apart: Cell<bool>,
    /// How often it was asked to see to an end there.
    pub given_up: Cell<u32>,
    /// What was sent last to another execution.
    pub opened: RefCell<Vec<u8>>,
    /// The way to another execution breaks behind the state.
    pub loses_go: Cell<bool>,
}

/// A request to another execution.
pub struct Handed {
    pub url: String,
    /// What was sent at once.
    pub beginning: Vec<u8>,
    /// What came once it was taken.
    pub go: Vec<u8>,
    /// What came behind that.
    pub rest: Option<Vec<Chunk>>,
}

impl Handed {
    /// Whether it only asked if an answer would be taken.
    pub fn is_question(&self) -> bool {
        self.beginning.len() == HEAD_BYTES
    }
}

impl Fake {
    pub fn change_published(&self, key: &str, change: impl FnOnce(&mut Published)) {
        change(self.published.borrow_mut().get_mut(key).expect("it should have been begun"));
    }

    pub fn end_published(&self, key: &str, end: PublishedEnd) {
        self.change_published(key, |published| published.end = Some(end));
    }

    /// How what was published ended, in the order of the executions.
    pub fn ends(&self) -> Vec<Option<PublishedEnd>> {
        self.published.borrow().values().map(|published| published.end).collect()
    }

    pub fn note_go(&self, bytes: &[u8]) {
        self.handed.borrow_mut().last_mut().expect("something was handed on").go.extend_from_slice(bytes);
    }

    /// What is still to come of a body, from now on.
    pub fn rest_of(&self, mut body: FakeBody) -> Vec<Chunk> {
        let wait = body.ready.saturating_sub(self.clock.get());
        if let Some(next) = body.chunks.front_mut() {
            next.delay = wait;
        }
        body.chunks.into()
    }

    /// What the execution that takes the last answer shows: that it has opened its head.
    pub fn proof(&self) -> HeaderMap {
        let opened = self.elsewhere.opened.borrow();
        let head: &[u8; HEAD_BYTES] = opened.first_chunk().expect("a head");
        let keys = self.frame_keys();
        let (announced, key) = keys.open(head, self.unix_time()).expect("the gateway's own head");
        let proof = key.proof(&announced.nonce).parse().expect("a header value");
        HeaderMap::from_iter([(HeaderName::from_static("x-tiergate-continuation"), proof)])
    }

    /// The keys of the roots in the Secret Store.
    pub fn frame_keys(&self) -> FrameKeys {
        let secrets = self.secrets.borrow();
        let places: Value = serde_json::from_str(&secrets["tiergate"]).expect("JSON");
        let roots = places["hmac"].as_object().expect("roots").values();
        FrameKeys::new(&roots.map(|root| Secret::new(root.as_str().expect("a root").to_owned())).collect::<Vec<_>>())
    }

    /// Lets other executions go on with what was handed on, each in a sandbox of its own, until one ends.
    pub fn run_hops(&self) {
        loop {
            let next = {
                let mut handed = self.handed.borrow_mut();
                let last = handed.last_mut();
                last.and_then(|handed| Some(([handed.beginning.clone(), handed.go.clone()], handed.rest.take()?)))
            };
            let Some((sent, rest)) = next else { break };
            let [beginning, go] = sent.map(|bytes| Chunk { delay: Duration::ZERO, bytes: Ok(bytes) });
            let mut parts = vec![beginning];
            match self.elsewhere.loses_go.get() {
                true => parts.push(Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }),
                false => parts.extend(std::iter::once(go).chain(rest)),
            }
            self.next_execution();
            self.hop(parts, &Memory::default());
        }
    }

    /// A request to the continuation with these parts of a body.
    pub fn hop(&self, parts: Vec<Chunk>, memory: &Memory) {
        let received = Received {
            id: "hop".to_owned(),
            method: Method::POST,
            path: "/.tiergate/continuation".to_owned(),
            query: None,
            headers: HeaderMap::new(),
            body: self.body(parts),
            pop: "TST".to_owned(),
            sandbox_age: Duration::ZERO,
        };
        pipeline::handle(self, memory, received);
    }

    /// Starts the clock of the next execution at zero.
    fn next_execution(&self) {
        self.offset.set(self.offset.get() + self.clock.take());
        self.secret_reads.take();
        self.random.set(self.random.get() + 1);
    }
}
