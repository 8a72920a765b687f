//! Gathers what a request needs before it can be decided: policy, client and body, all under way at once.
//!
//! The client is checked as soon as its entry and the policy are there, whatever of the body is still to come; until then
//! body bytes are only collected. Store failures never lose the last good policy, but a client that cannot be checked is
//! turned away (design.md §5).

use std::rc::Rc;
use std::time::Duration;

use crate::auth::{self, Client, Presented, PresentedKey, Refusal};
use crate::error::{Error, Kind, Retry};
use crate::memory::{KnownPolicy, Memory, Origin, PopState};
use crate::platform::{Platform, StoreError, Wait};
use crate::policy::{self, Auth, Policy};
use crate::record::{Reason, Record};
use crate::upload::Upload;

/// The KV key of the policy.
pub const POLICY_KEY: &str = "policy";
/// The Core Cache key of the last policy document that parsed.
const LAST_GOOD_KEY: &str = "tiergate/last-good-policy";
const LAST_GOOD_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// The Core Cache key of what the sandboxes of a POP share.
const POP_KEY: &str = "tiergate/pop";
const POP_TTL: Duration = Duration::from_secs(3600);
/// A look-up that takes longer counts as a store that does not answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a client's entry may be used when no policy has said so yet.
const FIRST_CLIENT_TTL: Duration = Duration::from_secs(5);

/// What a request asks of the stores.
pub struct Wanted<'a, B> {
    pub presented: Presented,
    /// The body, if it is to be read.
    pub body: Option<Upload<'a, B>>,
    /// Whether what the POP knows of the providers matters.
    pub pop: bool,
}

/// What was gathered for a client that may use the gateway.
pub struct Gathered {
    pub policy: KnownPolicy,
    pub client: Rc<Client>,
    pub body: Vec<u8>,
    pub pop: PopState,
}

/// The policy in force, and the client or why it was refused.
pub struct Found {
    pub policy: KnownPolicy,
    pub client: Result<Rc<Client>, Error>,
    pub pop: PopState,
}

/// Finds the policy and the client, reading on in the body while it waits.
///
/// # Errors
/// Only for a body that broke off.
pub fn look_up<P: Platform>(
    platform: &P,
    memory: &mut Memory,
    wanted: &mut Wanted<'_, P::Body>,
    record: &mut Record,
) -> Result<Found, Error> {
    let now = platform.unix_time();
    let mut lookups = Lookups::start(platform, memory, wanted, now);
    while lookups.is_waiting() {
        let mut waits = Vec::with_capacity(5);
        let names = lookups.waits(&mut waits);
        waits.extend(wanted.body.as_ref().and_then(Upload::early_wait));
        let ready = platform.wait_first(&waits, Some(LOOKUP_TIMEOUT));
        drop(waits);
        match ready.map(|position| names.get(position)) {
            Some(Some(name)) => lookups.finish(platform, *name),
            Some(None) => {
                if let Some(body) = &mut wanted.body {
                    body.read(platform);
                }
            }
            None => lookups.give_up(),
        }
    }

    let policy = lookups.policy(platform, memory, now);
    record.timings.policy = Some(platform.elapsed());
    record.policy = Some(policy.policy.version.clone());
    if policy.fault.is_some() {
        record.reason(Reason::PolicyStale);
    }
    let client = lookups.client(memory, &policy.policy, &wanted.presented, now, record);
    record.timings.auth = Some(platform.elapsed());
    let pop = lookups.pop(memory, now);
    Ok(Found { policy, client, pop })
}

impl Found {
    /// Reads the rest of the body, until `until` on the request's clock, for a client that may use the gateway.
    ///
    /// # Errors
    /// The client's refusal, [`Kind::BodyTooLarge`], [`Kind::BodyIncomplete`], [`Kind::BodyTimeout`].
    pub fn gather<P: Platform>(
        self,
        platform: &P,
        body: Option<Upload<'_, P::Body>>,
        until: Duration,
        record: &mut Record,
    ) -> Result<Gathered, Error> {
        let client = self.client?;
        let limit = self.policy.policy.limits.body_bytes;
        let body = body.map_or(Ok(Vec::new()), |body| body.whole(platform, limit, until))?;
        record.bytes_received = body.len() as u64;
        Ok(Gathered { policy: self.policy, client, body, pop: self.pop })
    }
}

/// Changes what the sandboxes of this POP share, and keeps it; `change` also gets the time since 1970.
///
/// The present state is read first, which waits for the cache, so this is for what is rare.
pub fn update_pop<P: Platform>(platform: &P, memory: &mut Memory, change: impl FnOnce(&mut PopState, Duration)) {
    let now = platform.unix_time();
    let stored = platform.start_cache(POP_KEY).and_then(|lookup| platform.finish_cache(lookup));
    let mut state = pop_state(stored.ok().flatten());
    let before = state.clone();
    change(&mut state, now);
    if state != before {
        let bytes = serde_json::to_vec(&state).expect("numbers and names should serialise");
        platform.store_cache(POP_KEY, &bytes, POP_TTL);
    }
    memory.keep_pop(state, now);
}

/// What cannot be read is no state: another version may have written it.
fn pop_state(stored: Option<Vec<u8>>) -> PopState {
    stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// A look-up: not needed, under way, or answered.
enum Lookup<L> {
    NotNeeded,
    Waiting(L),
    Done(Result<Option<Vec<u8>>, StoreError>),
}

impl<L> Lookup<L> {
    fn begin(needed: bool, start: impl FnOnce() -> Result<L, StoreError>) -> Self {
        match needed.then(start) {
            None => Lookup::NotNeeded,
            Some(Ok(waiting)) => Lookup::Waiting(waiting),
            Some(Err(error)) => Lookup::Done(Err(error)),
        }
    }

    fn finish(&mut self, finish: impl FnOnce(L) -> Result<Option<Vec<u8>>, StoreError>) {
        *self = match std::mem::replace(self, Lookup::NotNeeded) {
            Lookup::Waiting(waiting) => Lookup::Done(finish(waiting)),
            other => other,
        };
    }

    fn answer(&mut self) -> Option<Result<Option<Vec<u8>>, StoreError>> {
        match std::mem::replace(self, Lookup::NotNeeded) {
            Lookup::Done(answer) => Some(answer),
            Lookup::NotNeeded | Lookup::Waiting(_) => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Name {
    Policy,
    LastGood,
    Client,
    Pop,
}

struct Lookups<P: Platform> {
    policy: Lookup<P::KvLookup>,
    last_good: Lookup<P::CacheLookup>,
    client: Lookup<P::KvLookup>,
    known_client: Option<Rc<Client>>,
    pop: Lookup<P::CacheLookup>,
}

impl<P: Platform> Lookups<P> {
    fn start(platform: &P, memory: &Memory, wanted: &Wanted<'_, P::Body>, now: Duration) -> Self {
        let client_ttl = memory.policy.as_ref().map_or(FIRST_CLIENT_TTL, |known| known.policy.ttl);
        let (known_client, client) = match &wanted.presented {
            Presented::Key(PresentedKey { id, .. }) => match memory.fresh_client(id, now, client_ttl) {
                Some(client) => (Some(client), Lookup::NotNeeded),
                None => (None, Lookup::begin(true, || platform.start_kv(&auth::entry_key(id)))),
            },
            Presented::Nothing | Presented::Malformed => (None, Lookup::NotNeeded),
        };
        Self {
            policy: Lookup::begin(memory.fresh_policy(now).is_none(), || platform.start_kv(POLICY_KEY)),
            last_good: Lookup::begin(memory.policy.is_none(), || platform.start_cache(LAST_GOOD_KEY)),
            client,
            known_client,
            pop: Lookup::begin(wanted.pop && memory.fresh_pop(now).is_none(), || platform.start_cache(POP_KEY)),
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.policy, Lookup::Waiting(_))
            || matches!(self.last_good, Lookup::Waiting(_))
            || matches!(self.client, Lookup::Waiting(_))
            || matches!(self.pop, Lookup::Waiting(_))
    }

    /// Adds what is waited for to `waits`, and names it in the same order.
    fn waits<'a>(&'a self, waits: &mut Vec<Wait<'a, P>>) -> Vec<Name> {
        let mut names = Vec::with_capacity(4);
        let mut add = |name, wait: Option<Wait<'a, P>>| {
            if let Some(wait) = wait {
                names.push(name);
                waits.push(wait);
            }
        };
        let kv = |lookup: &'a Lookup<P::KvLookup>| match lookup {
            Lookup::Waiting(waiting) => Some(Wait::Kv(waiting)),
            Lookup::NotNeeded | Lookup::Done(_) => None,
        };
        let cache = |lookup: &'a Lookup<P::CacheLookup>| match lookup {
            Lookup::Waiting(waiting) => Some(Wait::Cache(waiting)),
            Lookup::NotNeeded | Lookup::Done(_) => None,
        };
        add(Name::Policy, kv(&self.policy));
        add(Name::Client, kv(&self.client));
        add(Name::LastGood, cache(&self.last_good));
        add(Name::Pop, cache(&self.pop));
        names
    }

    fn finish(&mut self, platform: &P, name: Name) {
        match name {
            Name::Policy => self.policy.finish(|waiting| platform.finish_kv(waiting)),
            Name::Client => self.client.finish(|waiting| platform.finish_kv(waiting)),
            Name::LastGood => self.last_good.finish(|waiting| platform.finish_cache(waiting)),
            Name::Pop => self.pop.finish(|waiting| platform.finish_cache(waiting)),
        }
    }

    fn give_up(&mut self) {
        self.policy.finish(|_| Err(StoreError));
        self.client.finish(|_| Err(StoreError));
        self.last_good.finish(|_| Err(StoreError));
        self.pop.finish(|_| Err(StoreError));
    }

    /// The policy in force, kept in `memory`.
    fn policy(&mut self, platform: &P, memory: &mut Memory, now: Duration) -> KnownPolicy {
        let cached = self.last_good.answer().and_then(Result::ok).flatten();
        let known = match self.policy.answer() {
            None => match &memory.policy {
                Some(known) => return known.clone(),
                None => last_good(None, cached, "the KV Store was not asked", now),
            },
            Some(answer) => settle(platform, memory.policy.as_ref(), answer, cached, now),
        };
        memory.policy = Some(known.clone());
        known
    }

    fn client(
        &mut self,
        memory: &mut Memory,
        policy: &Policy,
        presented: &Presented,
        now: Duration,
        record: &mut Record,
    ) -> Result<Rc<Client>, Error> {
        let refused = |record: &mut Record, refusal: Refusal| {
            record.refusal = Some(refusal.as_str());
            Err(refusal.error())
        };
        let key = match (presented, policy.auth) {
            (Presented::Key(key), _) => key,
            (Presented::Nothing | Presented::Malformed, Auth::Optional) => {
                let client = Rc::new(Client::anonymous(policy));
                record.client = Some(client.id.clone());
                return Ok(client);
            }
            (Presented::Nothing, Auth::Required) => return refused(record, Refusal::NoKey),
            (Presented::Malformed, Auth::Required) => return refused(record, Refusal::MalformedKey),
        };
        let client = match (self.known_client.take(), self.client.answer()) {
            (Some(client), _) => client,
            (None, Some(Ok(Some(entry)))) => match Client::parse(&key.id, &entry) {
                Ok(client) => {
                    let client = Rc::new(client);
                    memory.keep_client(client.clone(), now);
                    client
                }
                Err(_) => return refused(record, Refusal::InvalidEntry),
            },
            (None, Some(Ok(None))) => return refused(record, Refusal::UnknownClient),
            (None, Some(Err(StoreError)) | None) => {
                let message = "Keys cannot be checked at the moment.";
                let soon = Retry::After(Duration::from_secs(1));
                return Err(Error::new(Kind::AuthUnavailable, message).with_retry(soon));
            }
        };
        if let Err(refusal) = client.check(key, now) {
            return refused(record, refusal);
        }
        record.client = Some(client.id.clone());
        record.tags.clone_from(&client.tags);
        Ok(client)
    }

    fn pop(&mut self, memory: &mut Memory, now: Duration) -> PopState {
        if let Some(answer) = self.pop.answer() {
            memory.keep_pop(pop_state(answer.ok().flatten()), now);
        }
        memory.fresh_pop(now).cloned().unwrap_or_default()
    }
}

/// What KV's answer makes of the policy known before.
fn settle<P: Platform>(
    platform: &P,
    known: Option<&KnownPolicy>,
    answer: Result<Option<Vec<u8>>, StoreError>,
    cached: Option<Vec<u8>>,
    now: Duration,
) -> KnownPolicy {
    let document = match answer {
        Ok(Some(document)) => document,
        Ok(None) => {
            let policy = known.filter(|known| known.origin == Origin::Default).map(|known| known.policy.clone());
            let policy = policy.unwrap_or_else(|| Rc::new(policy::default_policy()));
            return KnownPolicy { policy, origin: Origin::Default, document: None, fault: None, checked: now };
        }
        Err(StoreError) => return last_good(known, cached, "the KV Store cannot be reached", now),
    };
    if let Some(known) = known.filter(|known| known.document.as_deref() == Some(&document)) {
        return KnownPolicy { checked: now, ..known.clone() };
    }
    match policy::parse::parse(&document) {
        Ok(policy) => {
            if cached.as_ref() != Some(&document) {
                platform.store_cache(LAST_GOOD_KEY, &document, LAST_GOOD_TTL);
            }
            let policy = Rc::new(policy);
            KnownPolicy { policy, origin: Origin::Store, document: Some(document.into()), fault: None, checked: now }
        }
        Err(faults) => {
            let last = last_good(known, cached, &faults.to_string(), now);
            KnownPolicy { document: Some(document.into()), ..last }
        }
    }
}

/// The policy to go on with: the one in memory, else the POP's last good one, else the one compiled in.
fn last_good(known: Option<&KnownPolicy>, cached: Option<Vec<u8>>, fault: &str, now: Duration) -> KnownPolicy {
    let from_cache = || cached.and_then(|document| policy::parse::parse(&document).ok()).map(Rc::new);
    let (policy, origin): (Rc<Policy>, Origin) = match known {
        Some(KnownPolicy { policy, origin: Origin::Default, .. }) => (policy.clone(), Origin::Default),
        Some(known) => (known.policy.clone(), Origin::LastGood),
        None => match from_cache() {
            Some(policy) => (policy, Origin::LastGood),
            None => (Rc::new(policy::default_policy()), Origin::Default),
        },
    };
    KnownPolicy { policy, origin, document: None, fault: Some(fault.into()), checked: now }
}
