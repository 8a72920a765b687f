//! What a sandbox remembers between requests: a short read cache of things that are no request's own.
//!
//! Everything here can be lost at any time (a sandbox may live for one request) and nothing here is a prompt or a key.
//! Times are since 1970, since the monotonic clock starts with each request.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::Client;
use crate::classify::breaker;
use crate::health::Health;
use crate::hedge;
use crate::keyring::StoreUse;
use crate::policy::Policy;

/// More clients than this are forgotten all at once.
const MAX_CLIENTS: usize = 1_000;
/// How long the POP's state may be used before its cache is asked again.
const POP_TTL: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Memory {
    pub policy: Option<KnownPolicy>,
    clients: HashMap<String, Timed<Rc<Client>>>,
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

/// The policy in force and where it came from.
#[derive(Clone)]
pub struct KnownPolicy {
    pub policy: Rc<Policy>,
    pub origin: Origin,
    /// The document that KV held when it was last asked, also one that did not parse.
    pub document: Option<Rc<[u8]>>,
    /// What is wrong with that document, or that KV did not answer.
    pub fault: Option<Rc<str>>,
    pub checked: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The KV Store's document.
    Store,
    /// An earlier document, since the present one is bad or out of reach.
    LastGood,
    /// The one compiled in, since there is no other.
    Default,
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
        self.policy.as_ref().filter(|known| now.saturating_sub(known.checked) < known.policy.ttl)
    }

    pub fn fresh_client(&self, id: &str, now: Duration, ttl: Duration) -> Option<Rc<Client>> {
        self.clients.get(id)?.fresh(now, ttl).cloned()
    }

    pub fn keep_client(&mut self, client: Rc<Client>, now: Duration) {
        if self.clients.len() >= MAX_CLIENTS {
            self.clients.clear();
        }
        self.clients.insert(client.id.clone(), Timed { value: client, since: now });
    }

    pub fn fresh_pop(&self, now: Duration) -> Option<&PopState> {
        self.pop.as_ref()?.fresh(now, POP_TTL)
    }

    /// Whether the sandbox can take another request without passing the platform's limit on reads of the Secret Store.
    pub fn has_room_for_secrets(&self) -> bool {
        self.secret_store.has_room(self.policy.as_ref().map(|known| &*known.policy))
    }

    pub fn keep_pop(&mut self, state: PopState, now: Duration) {
        self.pop = Some(Timed { value: state, since: now });
    }
}
