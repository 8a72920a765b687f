//! Which policy is in force, and the good copies that are kept of it.
//!
//! What the KV Store holds under `policy` is the truth. Where that is missing, faulty or out of reach, the newest good
//! document that KV held goes on: the POP's copy, which all of its sandboxes share, else the sandbox's own, and at most a
//! minute later what all POPs share, `policy/last-good`. That key is the gateway's: one request of a POP is elected to
//! write it for a new document. Nothing is compiled in, so without any good copy nobody is served.
//!
//! A copy is parsed like any document, so it can do no more than `policy` could.

use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Retry};
use crate::platform::{self, Platform, StoreError, Stored, Write};
use crate::policy::Policy;
use crate::policy::parse::parse;

/// The KV key of the policy.
pub const POLICY_KEY: &str = "policy";
/// The KV key of the last good document, which the gateway writes.
pub const LAST_GOOD_KEY: &str = "policy/last-good";
/// The Core Cache key of the POP's copy.
pub const CACHE_KEY: &str = "tiergate/policy";
/// How long a copy may be used after KV last held it.
const VALID: Duration = Duration::from_secs(3600);
/// After this the POP's copy is written anew, and `policy/last-good` is looked at again.
const RENEW: Duration = Duration::from_secs(600);
/// KV is eventually consistent: of two reads that are closer together than this the later may show the older value. Also
/// how long a POP trusts its copy while `policy` is not good, before it asks what other POPs have seen.
const SETTLING: Duration = Duration::from_secs(60);
/// How long the request that was elected leads.
const TERM: Duration = Duration::from_secs(10);
/// How long `policy/last-good` is waited for after the answer, where nobody waits.
const KEEP_TIMEOUT: Duration = Duration::from_secs(3);
/// A write loses against another POP's, which is then looked at.
const TRIES: u32 = 2;
/// How much of a document's digest its label shows.
const DIGEST_BYTES: usize = 4;
/// The version of what is in the POP's cache.
const FORMAT: u32 = 1;

/// What a sandbox knows of the policy.
#[derive(Clone)]
pub struct KnownPolicy {
    in_force: Option<InForce>,
    /// The document that KV held, if it did not parse.
    refused: Option<Rc<[u8]>>,
    /// Why what is in force is not what KV holds.
    fault: Option<Rc<str>>,
    checked: Duration,
}

/// A policy by which requests are served.
#[derive(Clone)]
pub struct InForce {
    pub policy: Rc<Policy>,
    /// The operator's label and the beginning of the document's SHA-256 digest, which tells documents with the same label
    /// apart.
    pub label: Rc<str>,
    copy: Rc<GoodCopy>,
}

/// A document that parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct GoodCopy {
    document: Vec<u8>,
    facts: CopyFacts,
}

/// What is known of a good copy, as it is kept beside the document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CopyFacts {
    format: u32,
    /// The beginning of the document's digest.
    digest: String,
    /// The generation that KV gave `policy` when it held this document.
    generation: u64,
    /// When `policy` was read and held it, in ms since 1970.
    confirmed_ms: u64,
    /// When KV was read and held it, under either key, in ms since 1970.
    seen_ms: u64,
    /// Whether `policy/last-good` is known to hold it.
    kept: bool,
}

/// What the stores said.
pub struct Answers {
    pub policy: Result<Option<Stored>, StoreError>,
    /// The POP's copy.
    pub cached: Option<Vec<u8>>,
}

impl KnownPolicy {
    /// # Errors
    /// [`Kind::PolicyUnavailable`] if there is none.
    pub fn in_force(&self) -> Result<&InForce, Error> {
        self.in_force.as_ref().ok_or_else(|| {
            let message = "This gateway has no policy: its KV Store holds no valid one under the key `policy`, or cannot be \
                           reached, and there is no good copy of an earlier one. To put one: fastly kv-store-entry create \
                           --store-id ID --key policy --value \"$(cat policy/default.json)\"";
            Error::new(Kind::PolicyUnavailable, message).with_retry(Retry::After(Duration::from_secs(5)))
        })
    }

    /// What is wrong with the document that KV holds, a line each, or that there is none or no answer.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether it need not be asked for again.
    pub fn is_fresh(&self, now: Duration) -> bool {
        self.in_force.as_ref().is_some_and(|known| now.saturating_sub(self.checked) < known.policy.ttl)
    }
}

/// The policy in force by what the stores said and `known` from before; also the copy that is to be kept by this request,
/// if it was elected for that. `deadline`, since receipt, is for asking for `policy/last-good`.
pub fn resolve<P: Platform>(
    platform: &P,
    known: Option<&KnownPolicy>,
    answers: Answers,
    deadline: Duration,
) -> (KnownPolicy, Option<GoodCopy>) {
    let now = platform.unix_time();
    let cached = answers.cached.as_deref().and_then(|bytes| GoodCopy::decode(bytes, now));
    let before = known.and_then(|known| known.in_force.as_ref());
    let (fault, refused, reach) = match answers.policy {
        Ok(Some(stored)) => match read(stored, known, cached.as_ref(), now) {
            Ok(in_force) => {
                let keep = elect(platform, &in_force.copy, cached.as_ref(), now);
                return (KnownPolicy { in_force: Some(in_force), refused: None, fault: None, checked: now }, keep);
            }
            Err((fault, refused)) => (fault, Some(refused), Reach::Answers),
        },
        Ok(None) => (Rc::from("the KV Store holds no policy"), None, Reach::Answers),
        Err(StoreError) => (Rc::from("the KV Store cannot be reached"), None, Reach::Fails),
    };
    let copies = Copies { cached, before: before.filter(|before| before.copy.is_valid(now)) };
    let in_force = copies.newest(platform, reach, deadline);
    (KnownPolicy { in_force, refused, fault: Some(fault), checked: now }, None)
}

/// The policy of a document that KV holds, or its faults and itself. What was parsed before is not parsed again.
fn read(
    stored: Stored,
    known: Option<&KnownPolicy>,
    cached: Option<&GoodCopy>,
    now: Duration,
) -> Result<InForce, (Rc<str>, Rc<[u8]>)> {
    let Stored { value: document, generation, .. } = stored;
    if let Some(KnownPolicy { refused: Some(refused), fault: Some(fault), .. }) = known
        && **refused == *document
    {
        return Err((Rc::clone(fault), Rc::clone(refused)));
    }
    let before = known.and_then(|known| known.in_force.as_ref()).filter(|before| before.copy.document == document);
    let policy = match before {
        Some(before) => Rc::clone(&before.policy),
        None => match parse(&document) {
            Ok(policy) => Rc::new(policy),
            Err(faults) => return Err((Rc::from(faults.to_string()), document.into())),
        },
    };
    let same = before.map(|before| &*before.copy).or(cached.filter(|cached| cached.document == document));
    let digest = same.map_or_else(|| digest(&document), |same| same.facts.digest.clone());
    let (format, time) = (FORMAT, milliseconds(now));
    let facts = CopyFacts { format, digest, generation, confirmed_ms: time, seen_ms: time, kept: false };
    Ok(InForce::new(policy, GoodCopy { document, facts }))
}

/// Renews the POP's copy if that is due and this request is elected for it, and says what is then to be kept in KV.
fn elect<P: Platform>(platform: &P, copy: &GoodCopy, cached: Option<&GoodCopy>, now: Duration) -> Option<GoodCopy> {
    let is_due = match cached {
        None => true,
        Some(cached) if cached.is_same(copy) => !cached.facts.kept || now.saturating_sub(cached.seen()) >= RENEW,
        Some(cached) => !cached.is_newer_than(copy),
    };
    let office = format!("{CACHE_KEY}/keeper/{}-{}", copy.facts.generation, copy.facts.digest);
    if !is_due || !platform.elect(&office, TERM) {
        return None;
    }
    copy.store(platform);
    Some(copy.clone())
}

/// Whether KV answers at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Answers,
    Fails,
}

/// The copies that a request begins with where `policy` is of no use.
struct Copies<'a> {
    cached: Option<GoodCopy>,
    before: Option<&'a InForce>,
}

impl Copies<'_> {
    /// The policy of the newest copy that parses.
    fn newest<P: Platform>(mut self, platform: &P, reach: Reach, deadline: Duration) -> Option<InForce> {
        let now = platform.unix_time();
        let is_recent = self.cached.as_ref().is_some_and(|cached| now.saturating_sub(cached.seen()) < SETTLING);
        let asks = match reach {
            Reach::Answers => !is_recent,
            // It would only be waited for again.
            Reach::Fails => self.cached.is_none() && self.before.is_none(),
        };
        let left = deadline.saturating_sub(platform.elapsed());
        if asks
            && !left.is_zero()
            && let Ok(Some(stored)) = platform::read_kv(platform, LAST_GOOD_KEY, left)
        {
            let last_good = GoodCopy::stored(stored, now);
            let is_older = self.cached.as_ref().is_some_and(|cached| cached.is_newer_than(&last_good));
            if !is_older && let Some(in_force) = self.parse(&last_good) {
                in_force.copy.store(platform);
                return Some(in_force);
            }
        }
        if let Some(before) = self.before
            && self.cached.as_ref().is_none_or(|cached| before.copy.is_newer_than(cached))
        {
            return Some(before.clone());
        }
        let cached = self.cached.take()?;
        self.parse(&cached).or_else(|| self.before.cloned())
    }

    fn parse(&self, copy: &GoodCopy) -> Option<InForce> {
        let before = self.before.filter(|before| before.copy.document == copy.document);
        let policy = before.map(|before| Rc::clone(&before.policy)).or_else(|| parse(&copy.document).ok().map(Rc::new));
        Some(InForce::new(policy?, copy.clone()))
    }
}

/// Sees to it that `policy/last-good` holds `copy`, for the request that was elected; after its answer, since it waits for
/// KV twice.
pub fn keep<P: Platform>(platform: &P, copy: &GoodCopy) {
    for _ in 0..TRIES {
        let Ok(stored) = platform::read_kv(platform, LAST_GOOD_KEY, KEEP_TIMEOUT) else { return };
        let expected = stored.as_ref().map(|stored| stored.generation);
        let held = stored.map(|stored| GoodCopy::stored(stored, platform.unix_time()));
        let is_kept = held.as_ref().is_some_and(|held| held.is_same(copy));
        if !is_kept && held.is_some_and(|held| held.is_newer_than(copy)) {
            return;
        }
        let metadata = serde_json::to_string(&copy.facts).expect("numbers and text should serialise");
        let write = Write { value: &copy.document, metadata: &metadata, expected };
        if is_kept || platform.store_kv(LAST_GOOD_KEY, write).is_ok() {
            return note_kept(platform, copy);
        }
    }
}

/// Notes in the POP's copy that no other request need keep it, unless there is a newer one by now.
fn note_kept<P: Platform>(platform: &P, copy: &GoodCopy) {
    let cached = platform::read_cache(platform, CACHE_KEY, KEEP_TIMEOUT);
    let cached = cached.and_then(|bytes| GoodCopy::decode(&bytes, platform.unix_time()));
    if let Some(mut cached) = cached.filter(|cached| cached.is_same(copy)) {
        cached.facts.kept = true;
        cached.store(platform);
    }
}

impl InForce {
    fn new(policy: Rc<Policy>, copy: GoodCopy) -> Self {
        let label = format!("{}@{}", policy.version, copy.facts.digest);
        InForce { policy, label: label.into(), copy: Rc::new(copy) }
    }
}

impl GoodCopy {
    /// What [`GoodCopy::encode`] made, unless KV has not confirmed it for too long. It has not been parsed.
    fn decode(bytes: &[u8], now: Duration) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (facts, document) = bytes.split_at(end);
        let facts: CopyFacts = serde_json::from_slice(facts).ok().filter(|facts: &CopyFacts| facts.format == FORMAT)?;
        let copy = GoodCopy { document: document.get(1..)?.to_vec(), facts };
        copy.is_valid(now).then_some(copy)
    }

    /// The facts on one line, then the document.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.facts).expect("numbers and text should serialise");
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.document);
        bytes
    }

    /// What `policy/last-good` holds. Who puts one by hand says nothing about it, so anything counts as newer; and what is
    /// said of the future is not believed, or it would count as the newest for ever.
    fn stored(stored: Stored, now: Duration) -> Self {
        let facts = stored.metadata.and_then(|metadata| serde_json::from_str(&metadata).ok());
        let facts = facts.filter(|facts: &CopyFacts| facts.confirmed_ms <= milliseconds(now + SETTLING));
        let (generation, confirmed_ms) = facts.map_or((0, 0), |facts| (facts.generation, facts.confirmed_ms));
        let digest = digest(&stored.value);
        let facts =
            CopyFacts { format: FORMAT, digest, generation, confirmed_ms, seen_ms: milliseconds(now), kept: true };
        GoodCopy { document: stored.value, facts }
    }

    fn store<P: Platform>(&self, platform: &P) {
        platform.store_cache(CACHE_KEY, &self.encode(), VALID);
    }

    fn seen(&self) -> Duration {
        Duration::from_millis(self.facts.seen_ms)
    }

    fn is_valid(&self, now: Duration) -> bool {
        now.saturating_sub(self.seen()) < VALID
    }

    /// The same document of the same time; one that was put again counts as another.
    fn is_same(&self, other: &GoodCopy) -> bool {
        self.facts.generation == other.facts.generation && self.document == other.document
    }

    /// Whether `policy` held this one later than `other`. Times say so, but for reads that are so close together that the
    /// later one may have shown the older document.
    fn is_newer_than(&self, other: &GoodCopy) -> bool {
        let (own, others) = (&self.facts, &other.facts);
        if u128::from(own.confirmed_ms.abs_diff(others.confirmed_ms)) < SETTLING.as_millis() {
            own.generation > others.generation
        } else {
            own.confirmed_ms > others.confirmed_ms
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis() as u64
}

fn digest(document: &[u8]) -> String {
    Sha256::digest(document).iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect()
}
