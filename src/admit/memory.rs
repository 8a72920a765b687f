//! What a sandbox remembers between requests: a short read cache of things that are no request's own.
//!
//! Everything here can be lost at any time (a sandbox may live for one request) and nothing here is a prompt or a key.
//! Times are since 1970, since the monotonic clock starts with each request. A sandbox serves one request at a time, so its
//! memory is shared by reference and changes in place.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::admit::auth::Client;
use crate::admit::client_cache;
use crate::admit::in_force::KnownPolicy;
use crate::platform::allowance::Used;
use crate::policy::PlatformLimits;
use crate::pop::index::Index;
use crate::upstream::keyring::StoreUse;

/// More clients than this are forgotten all at once.
const MAX_CLIENTS: usize = 1_000;
/// How long a client that is not there is taken to be missing; whoever adds one wants to try it.
const UNKNOWN_CLIENT_TTL: Duration = Duration::from_secs(5);
/// How long the POP's index of states may be used before its cache is asked again.
const INDEX_TTL: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Memory {
    policy: RefCell<Option<KnownPolicy>>,
    /// By id; none where KV holds no such client.
    clients: RefCell<HashMap<String, Timed<Option<Rc<Client>>>>>,
    /// When this sandbox wrote a client's entry to the POP's cache.
    cached_clients: RefCell<HashMap<String, Duration>>,
    index: Cell<Option<Timed<Index>>>,
    /// What the sandbox has used of the Secret Store.
    pub secret_store: Cell<StoreUse>,
    /// The sandbox's CPU time at its last log line.
    pub vcpu_ms: Cell<u64>,
}

#[derive(Clone, Copy)]
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
    /// The policy as it was known last, however old that is.
    pub fn policy(&self) -> Option<KnownPolicy> {
        self.policy.borrow().clone()
    }

    /// Whether the policy need not be asked for again.
    pub fn has_fresh_policy(&self, now: Duration) -> bool {
        self.policy.borrow().as_ref().is_some_and(|known| known.is_fresh(now))
    }

    pub fn keep_policy(&self, known: KnownPolicy) {
        self.policy.replace(Some(known));
    }

    /// The client, or that there is none, if KV need not be asked.
    pub fn fresh_client(&self, id: &str, now: Duration, ttl: Duration) -> Option<Option<Rc<Client>>> {
        let clients = self.clients.borrow();
        let known = clients.get(id)?;
        let ttl = if known.value.is_some() { ttl } else { ttl.min(UNKNOWN_CLIENT_TTL) };
        known.fresh(now, ttl).cloned()
    }

    pub fn keep_client(&self, id: &str, client: Option<Rc<Client>>, now: Duration) {
        let mut clients = self.clients.borrow_mut();
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(id.to_owned(), Timed { value: client, since: now });
    }

    /// Whether the POP's cache should get this client's entry; then that is taken to happen now.
    pub fn must_cache_client(&self, id: &str, now: Duration) -> bool {
        let mut cached = self.cached_clients.borrow_mut();
        if cached.get(id).is_some_and(|since| now.saturating_sub(*since) < client_cache::RENEW) {
            return false;
        }
        if cached.len() >= MAX_CLIENTS {
            cached.clear();
        }
        cached.insert(id.to_owned(), now);
        true
    }

    /// Until when anything has a state in this POP, if its cache need not be asked.
    pub fn fresh_index(&self, now: Duration) -> Option<Index> {
        self.index.get()?.fresh(now, INDEX_TTL).copied()
    }

    pub fn keep_index(&self, index: Index, now: Duration) {
        self.index.set(Some(Timed { value: index, since: now }));
    }

    /// Something may have a state that had none.
    pub fn forget_index(&self) {
        self.index.set(None);
    }

    /// Whether the sandbox, which has sent so often and lived so long, can take another request without passing any of the
    /// platform's limits.
    pub fn has_room(&self, sends: u32, age: Duration) -> bool {
        let known = self.policy.borrow();
        let policy = known.as_ref().and_then(|known| Some(&*known.in_force().ok()?.policy));
        let limits = policy.map_or(PlatformLimits::PAID, |policy| policy.platform);
        Used { vcpu_ms: self.vcpu_ms.get(), sends, age }.has_room(&limits) && self.secret_store.get().has_room(policy)
    }
}
