//! What a simulator saw: requests in a bounded ring, and clients that went away in mid-answer. Both can be awaited.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use tokio::sync::watch;

/// Enough for any test to look back, small enough for a benchmark not to grow.
const KEPT: usize = 512;

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: Method,
    /// With the query, if there was one.
    pub path: String,
    /// In the order of arrival; the key's value is hidden from `Debug`.
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The key that came with the request: a bearer token, else an `x-api-key`; empty if there is neither.
    pub fn key(&self) -> &str {
        self.bearer().or_else(|| self.header("x-api-key")).or_else(|| self.header("api-key")).unwrap_or_default()
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
    }

    /// The body as JSON, `null` if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

pub struct Journal {
    ring: Mutex<VecDeque<Recorded>>,
    received: watch::Sender<u64>,
    gone: Arc<watch::Sender<u64>>,
}

impl Journal {
    pub fn new() -> Self {
        Self {
            ring: Mutex::new(VecDeque::with_capacity(KEPT)),
            received: watch::Sender::new(0),
            gone: Arc::new(watch::Sender::new(0)),
        }
    }

    pub fn record(&self, request: Recorded) {
        // The count changes under the ring's lock, so that the newest entry always is number `received`.
        let mut ring = self.ring();
        if ring.len() == KEPT {
            ring.pop_front();
        }
        ring.push_back(request);
        self.received.send_modify(|count| *count += 1);
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.ring().iter().cloned().collect()
    }

    pub fn received(&self) -> u64 {
        *self.received.borrow()
    }

    pub async fn request(&self, number: u64) -> Recorded {
        loop {
            let mut received = self.received.subscribe();
            received.wait_for(|count| *count >= number).await.expect("the sender should live as long as self");
            let ring = self.ring();
            let newest = *self.received.borrow();
            if newest < number {
                // Somebody cleared the journal meanwhile.
                continue;
            }
            let age = usize::try_from(newest - number).unwrap_or(usize::MAX);
            let position = ring.len().checked_sub(age.saturating_add(1));
            return position.map(|position| ring[position].clone()).expect("the request should still be kept");
        }
    }

    pub fn gone(&self) -> u64 {
        *self.gone.borrow()
    }

    pub async fn client_gone(&self, count: u64) {
        let mut gone = self.gone.subscribe();
        gone.wait_for(|seen| *seen >= count).await.expect("the sender should live as long as self");
    }

    pub fn clear(&self) {
        let mut ring = self.ring();
        ring.clear();
        self.received.send_replace(0);
        self.gone.send_replace(0);
    }

    pub fn presence(&self) -> Presence {
        Presence { gone: Arc::clone(&self.gone), served: false }
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<Recorded>> {
        self.ring.lock().expect("no holder of this lock should panic")
    }
}

/// Lives as long as a client waits for its answer. Dropped before `served`, it counts as a client that went away,
/// because the server drops an answer only when its connection ends.
pub struct Presence {
    gone: Arc<watch::Sender<u64>>,
    served: bool,
}

impl Presence {
    /// The simulator has sent all it wants to send.
    pub fn served(&mut self) {
        self.served = true;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if !self.served {
            self.gone.send_modify(|count| *count += 1);
        }
    }
}
