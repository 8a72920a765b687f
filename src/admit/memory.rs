//! What a sandbox remembers between requests: a short read cache of things that are no request's own.
//!
//! Everything here can be lost at any time (a sandbox may live for one request) and nothing here is a prompt or a key.
//! Times are since 1970, since the monotonic clock starts with each request.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::admit::auth::Client;
use crate::admit::client_cache;
use crate::admit::in_force::{GoodCopy, KnownPolicy};
use crate::pop::breaker;
use crate::pop::health::Health;
use crate::pop::hedge;
use crate::upstream::keyring::StoreUse;

/// More clients than this are forgotten all at once.
const MAX_CLIENTS: usize = 1_000;
/// How long a client that is not there is taken to be missing; whoever adds one wants to try it.
const UNKNOWN_CLIENT_TTL: Duration = Duration::from_secs(5);
/// How long the POP's state may be used before its cache is asked again.
const POP_TTL: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Memory {
    pub policy: Option<KnownPolicy>,
    /// By id; none where KV holds no such client.
    clients: HashMap<String, Timed<Option<Rc<Client>>>>,
    /// When this sandbox wrote a client's entry to the POP's cache.
    cached_clients: HashMap<String, Duration>,
    pub chores: Vec<Chore>,
    pop: Option<Timed<PopState>>,
    /// What the sandbox has used of the Secret Store.
    pub secret_store: StoreUse,
    /// The sandbox's CPU time at its last log line.
    pub vcpu_ms: u64,
}

/// What the sandboxes of a POP share through its cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PopState {
    /// The classifier's.
    pub breaker: breaker::State,
    /// The candidates'.
    pub health: Health,
    pub hedges: hedge::Bucket,
}

/// What a request leaves to be done after its answer.
#[derive(Debug)]
pub enum Chore {
    /// This document is to be in KV as the last good one.
    KeepPolicy(GoodCopy),
    /// A key was verified against this entry of the client.
    KeepClient(String, Vec<u8>),
    /// A key of this client was refused; what KV holds of it.
    ForgetClient(String, Option<Vec<u8>>),
}

struct Timed<T> {
    value: T,
    since: Duration,
}

impl<T> Timed<T> {
    fn fresh(&self, now: Duration, ttl: Duration) -> Option<&T> {
        (now.saturating_sub(self.since) < ttl).then_some(&self.value)
    }
}

impl Memory {
    /// The policy, if it need not be asked for again.
    pub fn fresh_policy(&self, now: Duration) -> Option<&KnownPolicy> {
        self.policy.as_ref().filter(|known| known.is_fresh(now))
    }

    /// The client, or that there is none, if KV need not be asked.
    pub fn fresh_client(&self, id: &str, now: Duration, ttl: Duration) -> Option<Option<Rc<Client>>> {
        let known = self.clients.get(id)?;
        let ttl = if known.value.is_some() { ttl } else { ttl.min(UNKNOWN_CLIENT_TTL) };
        known.fresh(now, ttl).cloned()
    }

    pub fn keep_client(&mut self, id: &str, client: Option<Rc<Client>>, now: Duration) {
        if self.clients.len() >= MAX_CLIENTS {
            self.clients.clear();
        }
        self.clients.insert(id.to_owned(), Timed { value: client, since: now });
    }

    /// Whether the POP's cache should get this client's entry; then that is taken to happen now.
    pub fn must_cache_client(&mut self, id: &str, now: Duration) -> bool {
        if self.cached_clients.get(id).is_some_and(|since| now.saturating_sub(*since) < client_cache::RENEW) {
            return false;
        }
        if self.cached_clients.len() >= MAX_CLIENTS {
            self.cached_clients.clear();
        }
        self.cached_clients.insert(id.to_owned(), now);
        true
    }

    pub fn fresh_pop(&self, now: Duration) -> Option<&PopState> {
        self.pop.as_ref()?.fresh(now, POP_TTL)
    }

    /// Whether the sandbox can take another request without passing the platform's limit on reads of the Secret Store.
    pub fn has_room_for_secrets(&self) -> bool {
        self.secret_store.has_room(self.policy.as_ref().and_then(|known| Some(&*known.in_force().ok()?.policy)))
    }

    pub fn keep_pop(&mut self, state: PopState, now: Duration) {
        self.pop = Some(Timed { value: state, since: now });
    }
}
