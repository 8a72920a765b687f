//! Gathers what a request needs before it can be decided: policy, client and body, all under way at once.
//!
//! The client is checked as soon as its entry and the policy are there, whatever of the body is still to come; until then
//! body bytes are only collected. Store failures never lose the last good policy, but a client that cannot be checked is
//! turned away (design.md §5).

use std::rc::Rc;
use std::time::Duration;

use crate::admit::auth::{self, Client, Presented, PresentedKey, Refusal};
use crate::admit::client_cache;
use crate::admit::in_force::{self, Answers, InForce, KnownPolicy, POLICY_KEY};
use crate::admit::memory::{Chore, Memory, PopState};
use crate::door::upload::Upload;
use crate::error::{Error, Kind, Retry};
use crate::platform::{Platform, StoreError, Stored, Wait};
use crate::policy::{Auth, Policy};
use crate::record::{Reason, Record};

/// The Core Cache key of what the sandboxes of a POP share.
const POP_KEY: &str = "tiergate/pop";
const POP_TTL: Duration = Duration::from_secs(3600);
/// A store that has not answered by then counts as one that does not; for all look-ups of a request together.
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
    pub policy: InForce,
    pub client: Rc<Client>,
    pub body: Vec<u8>,
    pub pop: PopState,
}

/// What is known of the policy, and the client or why it was refused.
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
    let deadline = platform.elapsed() + LOOKUP_TIMEOUT;
    let mut lookups = Lookups::start(platform, memory, wanted, now);
    while lookups.is_waiting() {
        let left = deadline.saturating_sub(platform.elapsed());
        // A body whose bytes are always there must not keep the request waiting for the stores.
        if left.is_zero() {
            lookups.give_up();
            break;
        }
        let mut waits = Vec::with_capacity(5);
        let names = lookups.waits(&mut waits);
        waits.extend(wanted.body.as_ref().and_then(Upload::early_wait));
        let ready = platform.wait_first(&waits, Some(left));
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

    let policy = lookups.policy(platform, memory, deadline);
    record.timings.policy = Some(platform.elapsed());
    let in_force = policy.in_force().ok();
    record.policy = in_force.map(|in_force| in_force.label.to_string());
    if in_force.is_some() && policy.fault().is_some() {
        record.reason(Reason::PolicyStale);
    }
    let policy_in_force = in_force.map(|in_force| &*in_force.policy);
    let open = policy_in_force.filter(|policy| policy.auth == Auth::Optional);
    let verified = lookups.client(platform, memory, &wanted.presented, open);
    record.timings.auth = Some(platform.elapsed());
    if verified.is_stale {
        record.reason(Reason::ClientStale);
    }
    let client = match verified.client {
        Ok(client) => {
            record.client = Some(client.id.clone());
            record.tags.clone_from(&client.tags);
            Ok(client)
        }
        Err(Turned::Refused(refusal)) => {
            record.refusal = Some(refusal.as_str());
            Err(refusal.error())
        }
        Err(Turned::Unchecked) => {
            let message = "Keys cannot be checked at the moment.";
            let soon = Retry::After(Duration::from_secs(1));
            Err(Error::new(Kind::AuthUnavailable, message).with_retry(soon))
        }
    };
    let pop = lookups.pop(memory, now);
    Ok(Found { policy, client, pop })
}

impl Found {
    /// Reads the rest of the body, until `until` on the request's clock, for a client that may use the gateway.
    ///
    /// # Errors
    /// [`Kind::PolicyUnavailable`], the client's refusal, [`Kind::BodyTooLarge`], [`Kind::BodyIncomplete`],
    /// [`Kind::BodyTimeout`].
    pub fn gather<P: Platform>(
        self,
        platform: &P,
        body: Option<Upload<'_, P::Body>>,
        until: Duration,
    ) -> Result<Gathered, Error> {
        let policy = self.policy.in_force()?.clone();
        let client = self.client?;
        let limit = policy.policy.limits.body_bytes;
        let body = body.map_or(Ok(Vec::new()), |body| body.whole(platform, limit, until))?;
        Ok(Gathered { policy, client, body, pop: self.pop })
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

/// Does what a request left for the time after its answer, when nobody waits for it.
pub fn do_chores<P: Platform>(platform: &P, memory: &mut Memory) {
    for chore in std::mem::take(&mut memory.chores) {
        match chore {
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
    Pop,
}

struct Lookups<P: Platform> {
    policy: Lookup<P::KvLookup, Stored>,
    policy_copy: Lookup<P::CacheLookup, Vec<u8>>,
    client: Lookup<P::KvLookup, Stored>,
    /// What is known of the client without a look-up.
    known_client: Option<Option<Rc<Client>>>,
    pop: Lookup<P::CacheLookup, Vec<u8>>,
}

/// Who asks, if that may be.
struct Verified {
    client: Result<Rc<Client>, Turned>,
    /// The client was found among those that were verified earlier, since KV did not answer.
    is_stale: bool,
}

/// Why a client is turned away.
enum Turned {
    Refused(Refusal),
    /// Neither KV nor a good copy says anything about its key.
    Unchecked,
}

impl Verified {
    fn now(client: Result<Rc<Client>, Turned>) -> Self {
        Self { client, is_stale: false }
    }
}

impl<P: Platform> Lookups<P> {
    fn start(platform: &P, memory: &Memory, wanted: &Wanted<'_, P::Body>, now: Duration) -> Self {
        let in_force = memory.policy.as_ref().and_then(|known| known.in_force().ok());
        let client_ttl = in_force.map_or(FIRST_CLIENT_TTL, |in_force| in_force.policy.ttl);
        let (known_client, client) = match &wanted.presented {
            Presented::Key(PresentedKey { id, .. }) => match memory.fresh_client(id, now, client_ttl) {
                Some(client) => (Some(client), Lookup::NotNeeded),
                None => (None, Lookup::begin(true, || platform.start_kv(&auth::entry_key(id)))),
            },
            Presented::Nothing | Presented::Malformed => (None, Lookup::NotNeeded),
        };
        let asks = memory.fresh_policy(now).is_none();
        Self {
            policy: Lookup::begin(asks, || platform.start_kv(POLICY_KEY)),
            policy_copy: Lookup::begin(asks, || platform.start_cache(in_force::CACHE_KEY)),
            client,
            known_client,
            pop: Lookup::begin(wanted.pop && memory.fresh_pop(now).is_none(), || platform.start_cache(POP_KEY)),
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.policy, Lookup::Waiting(_))
            || matches!(self.policy_copy, Lookup::Waiting(_))
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
        add(Name::Pop, cache(&self.pop));
        names
    }

    fn finish(&mut self, platform: &P, name: Name) {
        match name {
            Name::Policy => self.policy.finish(|waiting| platform.finish_kv(waiting)),
            Name::Client => self.client.finish(|waiting| platform.finish_kv(waiting)),
            Name::PolicyCopy => self.policy_copy.finish(|waiting| platform.finish_cache(waiting)),
            Name::Pop => self.pop.finish(|waiting| platform.finish_cache(waiting)),
        }
    }

    fn give_up(&mut self) {
        self.policy.finish(|_| Err(StoreError));
        self.client.finish(|_| Err(StoreError));
        self.policy_copy.finish(|_| Err(StoreError));
        self.pop.finish(|_| Err(StoreError));
    }

    /// What is known of the policy, kept in `memory`.
    fn policy(&mut self, platform: &P, memory: &mut Memory, deadline: Duration) -> KnownPolicy {
        let policy = match (self.policy.answer(), &memory.policy) {
            (None, Some(known)) => return known.clone(),
            (None, None) => Err(StoreError),
            (Some(answer), _) => answer,
        };
        let answers = Answers { policy, cached: self.policy_copy.answer().and_then(Result::ok).flatten() };
        let (known, keep) = in_force::settle(platform, memory.policy.as_ref(), answers, deadline);
        memory.chores.extend(keep.map(Chore::KeepPolicy));
        memory.policy = Some(known.clone());
        known
    }

    /// Who asks; `open` is a policy in force that lets everybody in.
    fn client(&mut self, platform: &P, memory: &mut Memory, presented: &Presented, open: Option<&Policy>) -> Verified {
        let now = platform.unix_time();
        let key = match (presented, open) {
            (Presented::Key(key), _) => key,
            (Presented::Nothing | Presented::Malformed, Some(policy)) => {
                return Verified::now(Ok(Rc::new(Client::anonymous(policy))));
            }
            (Presented::Nothing, None) => return Verified::now(Err(Turned::Refused(Refusal::NoKey))),
            (Presented::Malformed, None) => return Verified::now(Err(Turned::Refused(Refusal::MalformedKey))),
        };
        let mut is_stale = false;
        // What KV has just said, if it was asked and did answer.
        let mut said: Option<Option<Vec<u8>>> = None;
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
                let Some(client) = client else { return Verified::now(Err(Turned::Unchecked)) };
                is_stale = true;
                Ok(client)
            }
        };
        let checked = client.and_then(|client| client.check(key, now).map(|()| client));
        match (&checked, said) {
            (Ok(_), Some(Some(entry))) if memory.must_cache_client(&key.id, now) => {
                memory.chores.push(Chore::KeepClient(key.id.clone(), entry));
            }
            (Err(_), Some(entry)) => memory.chores.push(Chore::ForgetClient(key.id.clone(), entry)),
            (_, _) => {}
        }
        Verified { client: checked.map_err(Turned::Refused), is_stale }
    }

    fn pop(&mut self, memory: &mut Memory, now: Duration) -> PopState {
        if let Some(answer) = self.pop.answer() {
            memory.keep_pop(pop_state(answer.ok().flatten()), now);
        }
        memory.fresh_pop(now).cloned().unwrap_or_default()
    }
}
