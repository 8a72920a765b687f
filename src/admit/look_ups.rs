//! Gathers what a request needs before it can be decided: policy, client and body, all under way at once.
//!
//! The client is checked as soon as its entry and the policy are there, whatever of the body is still to come; until then
//! body bytes are only collected. Store failures never lose the last good policy, but a client that cannot be checked is
//! turned away.

use std::rc::Rc;
use std::time::Duration;

use crate::admit::auth::{self, Client, Presented, PresentedKey, Refusal};
use crate::admit::client_cache;
use crate::admit::in_force::{self, Answers, GoodCopy, InForce, KnownPolicy, POLICY_KEY};
use crate::admit::memory::Memory;
use crate::door::call_tags::FoundTags;
use crate::door::headers::RouteHeaders;
use crate::door::upload::{self, Upload};
use crate::error::{Error, Kind, Retry};
use crate::platform::allowance::Allowance;
use crate::platform::{Platform, StoreError, Stored, Wait};
use crate::policy::{Auth, Policy};
use crate::pop::index::{self, Index};
use crate::wire::call_tag::Origin;
use crate::wire::coding::Coding;

/// A store that has not answered by then counts as one that does not; for all look-ups of a request together.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a client's entry may be used when no policy has said so yet.
const FIRST_CLIENT_TTL: Duration = Duration::from_secs(5);

/// What a request asks of the stores.
pub struct Wanted<'a, B> {
    pub presented: Presented,
    /// The body, if it is to be read.
    pub body: Option<Upload<'a, B>>,
    pub shared: Shared,
}

/// Whether what the POP knows of the providers matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    Wanted,
    Ignored,
}

/// What was gathered for a client that may use the gateway.
pub struct Gathered {
    pub policy: InForce,
    pub client: Rc<Client>,
    pub body: Vec<u8>,
    pub index: Index,
    /// Which model made the calls whose results the body brings, if that is known.
    pub maker: Option<Origin>,
}

/// What is known of the policy and of the client.
pub struct Found<'a, B> {
    pub policy: KnownPolicy,
    pub client: Checked,
    /// Until when any candidate has a state in this POP.
    pub index: Index,
    /// What is to be done after the answer.
    pub chores: Vec<Chore>,
    /// The part of the body that has come.
    body: Option<Upload<'a, B>>,
    /// When the policy and the client were known, since receipt.
    pub policy_known: Duration,
    pub client_known: Duration,
}

/// A client, as far as it could be checked.
pub struct Checked {
    pub client: Result<Rc<Client>, Error>,
    /// Why its key was refused, for the log.
    pub refusal: Option<Refusal>,
    /// Whose key was refused, for the log.
    pub refused: Option<Refused>,
    /// Whether its entry is one that the KV Store held some time ago.
    pub is_stale: bool,
}

/// The id in a key with which a client was turned away.
pub enum Refused {
    /// The key is this client's, who may not use it.
    Client(String),
    /// Nobody has found the key to be this client's.
    Claimed(String),
}

impl Checked {
    fn known(client: Rc<Client>) -> Self {
        Self { client: Ok(client), refusal: None, refused: None, is_stale: false }
    }

    fn refused(refusal: Refusal, key: Option<&PresentedKey>) -> Self {
        let refused = key.map(|key| match refusal.is_of_right_key() {
            true => Refused::Client(key.id.clone()),
            false => Refused::Claimed(key.id.clone()),
        });
        Self { client: Err(refusal.error()), refusal: Some(refusal), refused, is_stale: false }
    }
}

/// Finds the policy and the client, reading on in the body while it waits.
pub fn look_up<'a, P: Platform>(platform: &P, memory: &Memory, wanted: Wanted<'a, P::Body>) -> Found<'a, P::Body> {
    let Wanted { presented, mut body, shared } = wanted;
    let now = platform.unix_time();
    let deadline = platform.elapsed() + LOOKUP_TIMEOUT;
    let stores = Stores { platform, memory };
    let mut lookups = Lookups::start(&stores, &presented, shared, now);
    while lookups.is_waiting() {
        let left = deadline.saturating_sub(platform.elapsed());
        // A body whose bytes are always there must not keep the request waiting for the stores.
        if left.is_zero() {
            lookups.give_up();
            break;
        }
        let mut waits = Vec::with_capacity(5);
        let names = lookups.waits(&mut waits);
        waits.extend(body.as_ref().and_then(Upload::early_wait));
        let ready = platform.wait_first(&waits, Some(left));
        drop(waits);
        match ready.map(|position| names.get(position)) {
            Some(Some(name)) => lookups.finish(platform, *name),
            Some(None) => {
                if let Some(body) = &mut body {
                    body.read_early(platform);
                }
            }
            None => lookups.give_up(),
        }
    }

    let policy = lookups.policy(&stores, deadline);
    let policy_known = platform.elapsed();
    let in_force = policy.in_force().ok().map(|in_force| &*in_force.policy);
    let client = lookups.client(&stores, in_force, &presented);
    let client_known = platform.elapsed();
    let index = lookups.index(memory, now);
    Found { policy, client, index, chores: lookups.chores, body, policy_known, client_known }
}

impl Gathered {
    /// The same with the body that the client has coded so, at most as long as the policy's limit.
    ///
    /// # Errors
    /// [`Kind::BodyTooLarge`], and [`Kind::InvalidJson`] for a body that is not what its coding says.
    pub fn decoded(self, coding: Option<Coding>) -> Result<Self, Error> {
        let limit = self.policy.policy.limits.body_bytes;
        let body = upload::decoded(self.body, coding, limit)?;
        Ok(Self { body, ..self })
    }

    /// The same without the tags that were found in the body.
    pub fn untagged(self, tags: &FoundTags) -> Self {
        let mut body = self.body;
        tags.take_off(&mut body);
        Self { body, maker: tags.maker, ..self }
    }
}

impl<B> Found<'_, B> {
    /// Reads the rest of the body, until `until` on the request's clock, for a client that may use the gateway.
    ///
    /// # Errors
    /// [`Kind::PolicyUnavailable`], the client's refusal, [`Kind::BodyTooLarge`], [`Kind::BodyIncomplete`],
    /// [`Kind::BodyTimeout`].
    pub fn gather<P: Platform<Body = B>>(self, platform: &P, until: Duration) -> Result<Gathered, Error> {
        let policy = self.policy.in_force()?.clone();
        let client = self.client.client?;
        let limit = policy.policy.limits.body_bytes;
        let body = self.body.map_or(Ok(Vec::new()), |body| body.whole(platform, limit, until))?;
        Ok(Gathered { policy, client, body, index: self.index, maker: None })
    }
}

/// Until when a body may arrive: as long as the request may take in all, whichever tier it will be for.
pub fn body_deadline(policy: &Policy, asked: Option<&RouteHeaders>, allowance: &Allowance) -> Duration {
    let tier = asked.and_then(|asked| policy.tier_named(asked.tier.as_deref()?));
    let tiers = tier.map_or(&policy.tiers[..], |tier| std::slice::from_ref(policy.tier(tier)));
    let longest = tiers.iter().map(|tier| tier.deadlines.total).max().unwrap_or_default();
    let timeout = asked.and_then(|asked| asked.timeout).unwrap_or(longest);
    longest.min(timeout).min(allowance.ends)
}

/// What look-ups leave to be done after the answer, when nobody waits for it.
#[derive(Debug)]
pub enum Chore {
    /// This document is to be in KV as the last good one.
    KeepPolicy(GoodCopy),
    /// A key was verified against this entry of the client.
    KeepClient(String, Vec<u8>),
    /// A key of this client was refused; what KV holds of it.
    ForgetClient(String, Option<Vec<u8>>),
}

impl Chore {
    pub fn perform<P: Platform>(self, platform: &P) {
        match self {
            Chore::KeepPolicy(copy) => in_force::keep(platform, &copy),
            Chore::KeepClient(id, entry) => client_cache::keep(platform, &id, &entry),
            Chore::ForgetClient(id, entry) => client_cache::forget(platform, &id, entry.as_deref()),
        }
    }
}

/// A look-up: not needed, under way, or answered.
enum Lookup<L, T> {
    NotNeeded,
    Waiting(L),
    Done(Result<Option<T>, StoreError>),
}

impl<L, T> Lookup<L, T> {
    fn begin(needed: bool, start: impl FnOnce() -> Result<L, StoreError>) -> Self {
        match needed.then(start) {
            None => Lookup::NotNeeded,
            Some(Ok(waiting)) => Lookup::Waiting(waiting),
            Some(Err(error)) => Lookup::Done(Err(error)),
        }
    }

    fn finish(&mut self, finish: impl FnOnce(L) -> Result<Option<T>, StoreError>) {
        *self = match std::mem::replace(self, Lookup::NotNeeded) {
            Lookup::Waiting(waiting) => Lookup::Done(finish(waiting)),
            other => other,
        };
    }

    fn answer(&mut self) -> Option<Result<Option<T>, StoreError>> {
        match std::mem::replace(self, Lookup::NotNeeded) {
            Lookup::Done(answer) => Some(answer),
            Lookup::NotNeeded | Lookup::Waiting(_) => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Name {
    Policy,
    PolicyCopy,
    Client,
    Index,
}

/// Where look-ups go, and what keeps their answers.
struct Stores<'a, P: Platform> {
    platform: &'a P,
    memory: &'a Memory,
}

struct Lookups<P: Platform> {
    policy: Lookup<P::KvLookup, Stored>,
    policy_copy: Lookup<P::CacheLookup, Vec<u8>>,
    client: Lookup<P::KvLookup, Stored>,
    /// What is known of the client without a look-up.
    known_client: Option<Option<Rc<Client>>>,
    index: Lookup<P::CacheLookup, Vec<u8>>,
    chores: Vec<Chore>,
}

impl<P: Platform> Lookups<P> {
    fn start(stores: &Stores<'_, P>, presented: &Presented, shared: Shared, now: Duration) -> Self {
        let Stores { platform, memory } = *stores;
        let known = memory.policy();
        let in_force = known.as_ref().and_then(|known| known.in_force().ok());
        let client_ttl = in_force.map_or(FIRST_CLIENT_TTL, |in_force| in_force.policy.ttl);
        let (known_client, client) = match presented {
            Presented::Key(PresentedKey { id, .. }) => match memory.fresh_client(id, now, client_ttl) {
                Some(client) => (Some(client), Lookup::NotNeeded),
                None => (None, Lookup::begin(true, || platform.start_kv(&auth::entry_key(id)))),
            },
            Presented::Nothing | Presented::Malformed => (None, Lookup::NotNeeded),
        };
        let asks = !memory.has_fresh_policy(now);
        let asks_index = shared == Shared::Wanted && memory.fresh_index(now).is_none();
        Self {
            policy: Lookup::begin(asks, || platform.start_kv(POLICY_KEY)),
            policy_copy: Lookup::begin(asks, || platform.start_cache(in_force::CACHE_KEY)),
            client,
            known_client,
            index: Lookup::begin(asks_index, || platform.start_cache(index::KEY)),
            chores: Vec::new(),
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.policy, Lookup::Waiting(_))
            || matches!(self.policy_copy, Lookup::Waiting(_))
            || matches!(self.client, Lookup::Waiting(_))
            || matches!(self.index, Lookup::Waiting(_))
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
        let kv = |lookup: &'a Lookup<P::KvLookup, Stored>| match lookup {
            Lookup::Waiting(waiting) => Some(Wait::Kv(waiting)),
            Lookup::NotNeeded | Lookup::Done(_) => None,
        };
        let cache = |lookup: &'a Lookup<P::CacheLookup, Vec<u8>>| match lookup {
            Lookup::Waiting(waiting) => Some(Wait::Cache(waiting)),
            Lookup::NotNeeded | Lookup::Done(_) => None,
        };
        add(Name::Policy, kv(&self.policy));
        add(Name::Client, kv(&self.client));
        add(Name::PolicyCopy, cache(&self.policy_copy));
        add(Name::Index, cache(&self.index));
        names
    }

    fn finish(&mut self, platform: &P, name: Name) {
        match name {
            Name::Policy => self.policy.finish(|waiting| platform.finish_kv(waiting)),
            Name::Client => self.client.finish(|waiting| platform.finish_kv(waiting)),
            Name::PolicyCopy => self.policy_copy.finish(|waiting| platform.finish_cache(waiting)),
            Name::Index => self.index.finish(|waiting| platform.finish_cache(waiting)),
        }
    }

    fn give_up(&mut self) {
        self.policy.finish(|_| Err(StoreError));
        self.client.finish(|_| Err(StoreError));
        self.policy_copy.finish(|_| Err(StoreError));
        self.index.finish(|_| Err(StoreError));
    }

    /// What is known of the policy, which `memory` keeps.
    fn policy(&mut self, stores: &Stores<'_, P>, deadline: Duration) -> KnownPolicy {
        let Stores { platform, memory } = *stores;
        let before = memory.policy();
        let policy = match (self.policy.answer(), &before) {
            (None, Some(known)) => return known.clone(),
            (None, None) => Err(StoreError),
            (Some(answer), _) => answer,
        };
        let answers = Answers { policy, cached: self.policy_copy.answer().and_then(Result::ok).flatten() };
        let (known, keep) = in_force::resolve(platform, before.as_ref(), answers, deadline);
        if let Some(copy) = keep {
            self.chores.push(Chore::KeepPolicy(copy));
        }
        memory.keep_policy(known.clone());
        known
    }

    fn client(&mut self, stores: &Stores<'_, P>, policy: Option<&Policy>, presented: &Presented) -> Checked {
        let Stores { platform, memory } = *stores;
        let now = platform.unix_time();
        let open = policy.filter(|policy| policy.auth == Auth::Optional);
        let key = match (presented, open) {
            (Presented::Key(key), _) => key,
            (Presented::Nothing | Presented::Malformed, Some(policy)) => {
                return Checked::known(Rc::new(Client::anonymous(policy)));
            }
            (Presented::Nothing, None) => return Checked::refused(Refusal::NoKey, None),
            (Presented::Malformed, None) => return Checked::refused(Refusal::MalformedKey, None),
        };
        // What KV has just said, if it was asked and did answer.
        let mut said: Option<Option<Vec<u8>>> = None;
        let mut is_stale = false;
        let client = match (self.known_client.take(), self.client.answer()) {
            (Some(known), _) => known.ok_or(Refusal::UnknownClient),
            (None, Some(Ok(stored))) => {
                let entry = stored.map(|stored| stored.value);
                let client = match &entry {
                    Some(entry) => Client::parse(&key.id, entry).map(Rc::new).map_err(|_| Refusal::InvalidEntry),
                    None => Err(Refusal::UnknownClient),
                };
                if !matches!(client, Err(Refusal::InvalidEntry)) {
                    memory.keep_client(&key.id, client.clone().ok(), now);
                }
                said = Some(entry);
                client
            }
            (None, Some(Err(StoreError)) | None) => {
                let cached = client_cache::find(platform, &key.id);
                let client = cached.and_then(|entry| Client::parse(&key.id, &entry).ok()).map(Rc::new);
                let Some(client) = client else {
                    let message = "Keys cannot be checked at the moment.";
                    let soon = Retry::After(Duration::from_secs(1));
                    let error = Error::new(Kind::AuthUnavailable, message).with_retry(soon);
                    let refused = Some(Refused::Claimed(key.id.clone()));
                    return Checked { client: Err(error), refusal: None, refused, is_stale };
                };
                is_stale = true;
                Ok(client)
            }
        };
        let checked = client.and_then(|client| client.check(key, now).map(|()| client));
        match (&checked, said) {
            (Ok(_), Some(Some(entry))) if memory.must_cache_client(&key.id, now) => {
                self.chores.push(Chore::KeepClient(key.id.clone(), entry));
            }
            (Err(_), Some(entry)) => self.chores.push(Chore::ForgetClient(key.id.clone(), entry)),
            (_, _) => {}
        }
        let checked = checked.map_or_else(|refusal| Checked::refused(refusal, Some(key)), Checked::known);
        Checked { is_stale, ..checked }
    }

    /// The index; without a word from the cache nothing has a state, and the next request asks again.
    fn index(&mut self, memory: &Memory, now: Duration) -> Index {
        if let Some(Ok(stored)) = self.index.answer() {
            memory.keep_index(Index::decode(stored), now);
        }
        memory.fresh_index(now).unwrap_or_default()
    }
}
