//! The platform as a script: stores, providers and a clock that moves only when somebody waits.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use http::{HeaderName, StatusCode};
use tiergate::platform::{
    ClientGone, FIRST_BYTE_TIMEOUT, Platform, ReadError, ResponseHead, SendError, StoreError, Stored, Target,
    UpstreamRequest, UpstreamResponse, Wait, Write,
};
use tiergate::secret::Secret;
use tiergate::upstream::headers::is_read;

use crate::handing_on::{Elsewhere, GIVING_UP_BYTES, Handed};
pub use crate::happenings::{Answer, Chunk, Event, Published, PublishedEnd, Reply, Sent};

/// 2026-11-22 12:00:00 UTC.
const EPOCH: Duration = Duration::from_secs(1_795_348_800);

#[derive(Default)]
pub struct Fake {
    pub clock: Cell<Duration>,
    pub offset: Cell<Duration>,
    pub kv: RefCell<HashMap<String, Result<Vec<u8>, StoreError>>>,
    /// The generation and the metadata of a key.
    pub kv_facts: RefCell<HashMap<String, (u64, Option<String>)>>,
    pub kv_delay: Cell<Duration>,
    pub kv_is_read_only: Cell<bool>,
    /// Values, and when they end.
    pub cache: RefCell<HashMap<String, (Vec<u8>, Duration)>>,
    pub cache_delay: Cell<Duration>,
    /// Keys of the cache that cannot be read.
    pub unreadable: RefCell<Vec<String>>,
    /// Offices that are held, and until when.
    pub offices: RefCell<HashMap<String, Duration>>,
    pub secrets: RefCell<HashMap<String, String>>,
    pub no_secret_store: Cell<bool>,
    /// The entries of the Secret Store that this request has read.
    pub secret_reads: RefCell<Vec<String>>,
    pub providers: RefCell<HashMap<String, VecDeque<Reply>>>,
    pub sent: RefCell<Vec<Sent>>,
    pub events: RefCell<Vec<Event>>,
    pub answer: RefCell<Answer>,
    pub log: RefCell<Vec<String>>,
    pub random: Cell<u64>,
    pub country: RefCell<Option<String>>,
    /// The client leaves after this many writes.
    pub leaves_after: Cell<Option<usize>>,
    /// The client takes nothing more after this many writes.
    pub stops_reading_after: Cell<Option<usize>>,
    pub no_backends: Cell<bool>,
    pub vcpu_ms: Cell<u64>,
    /// The backends are static ones, whose timeouts are not the gateway's.
    pub has_static_backends: Cell<bool>,
    /// What was handed on to other executions.
    pub handed: RefCell<Vec<Handed>>,
    /// What executions published, by its key.
    pub published: RefCell<BTreeMap<String, Published>>,
    pub elsewhere: Elsewhere,
}

/// A provider's address.
pub struct Backend {
    host: String,
    /// How long may pass between two parts of a body, if the platform sees to it.
    between_bytes: Option<Duration>,
}

pub struct Pending {
    ready: Duration,
    reply: Reply,
    between_bytes: Option<Duration>,
}

pub struct FakeBody {
    pub chunks: VecDeque<Chunk>,
    /// When the first of `chunks` is there, or the time for it is over.
    pub ready: Duration,
    between_bytes: Option<Duration>,
    /// Whether it is what another execution answers.
    is_of_another: bool,
}

pub struct Lookup<T> {
    ready: Duration,
    value: Result<Option<T>, StoreError>,
}

/// A body that is being sent.
pub enum Downstream {
    ToClient,
    /// To another execution.
    HandedOn,
    /// Into the cache, under this key.
    Published(String),
}

const NEVER: Duration = Duration::MAX;

impl Fake {
    /// A client's body.
    pub fn body(&self, chunks: Vec<Chunk>) -> FakeBody {
        self.body_within(chunks.into(), None)
    }

    fn body_within(&self, chunks: VecDeque<Chunk>, between_bytes: Option<Duration>) -> FakeBody {
        let mut body = FakeBody { chunks, ready: self.clock.get(), between_bytes, is_of_another: false };
        self.await_next(&mut body);
        body
    }

    /// From now on the next chunk of `body` is on its way. One that would take longer than the platform waits for it is an
    /// error at that time.
    fn await_next(&self, body: &mut FakeBody) {
        let now = self.clock.get();
        let Some(next) = body.chunks.front_mut() else {
            body.ready = now;
            return;
        };
        let between_bytes = body.between_bytes.unwrap_or(NEVER);
        if next.delay > between_bytes {
            *next = Chunk { delay: between_bytes, bytes: Err(ReadError) };
        }
        body.ready = now.checked_add(next.delay).unwrap_or(NEVER);
    }

    pub fn note(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }

    /// Starts the next request's clock at zero, `later` after this one's end.
    pub fn next_request(&self, later: Duration) {
        self.offset.set(self.offset.get() + self.clock.get() + later);
        self.clock.set(Duration::ZERO);
        self.answer.take();
        self.events.take();
        self.secret_reads.take();
    }

    /// Puts a value into the KV Store, as an operator would.
    pub fn put(&self, key: &str, value: &[u8]) {
        self.kv.borrow_mut().insert(key.to_owned(), Ok(value.to_vec()));
        self.note_generation(key, None);
    }

    /// Each writing of a key gets a higher number, as on the platform.
    fn note_generation(&self, key: &str, metadata: Option<String>) {
        let mut facts = self.kv_facts.borrow_mut();
        let next = facts.values().map(|(generation, _)| generation + 1).max().unwrap_or(1);
        facts.insert(key.to_owned(), (next, metadata));
    }

    pub fn stored(&self, key: &str) -> Option<Vec<u8>> {
        self.kv.borrow().get(key).cloned().and_then(Result::ok)
    }

    fn pending(&self, reply: Reply, between_bytes: Option<Duration>) -> Pending {
        let delay = match &reply {
            Reply::Answer { delay, .. } | Reply::FailsAfter(delay, _) => *delay,
            Reply::Fails(_) | Reply::Takes => Duration::ZERO,
            Reply::Never => NEVER,
        };
        let (delay, reply) = match between_bytes {
            Some(_) if delay > FIRST_BYTE_TIMEOUT => (FIRST_BYTE_TIMEOUT, Reply::Fails(SendError::Timeout)),
            Some(_) | None => (delay, reply),
        };
        let ready = self.clock.get().checked_add(delay).unwrap_or(NEVER);
        Pending { ready, reply, between_bytes }
    }

    fn wait_until(&self, time: Duration) {
        assert_ne!(time, NEVER, "nothing should be waited for without limit that never comes");
        self.clock.set(self.clock.get().max(time));
    }
}

impl Platform for Fake {
    type Pending = Pending;
    type Body = FakeBody;
    type KvLookup = Lookup<Stored>;
    type CacheLookup = Lookup<Vec<u8>>;
    type Backend = Backend;
    type Downstream = Downstream;

    fn elapsed(&self) -> Duration {
        self.clock.get()
    }

    fn unix_time(&self) -> Duration {
        EPOCH + self.offset.get() + self.clock.get()
    }

    fn random(&self) -> u64 {
        self.random.get()
    }

    fn vcpu_ms(&self) -> u64 {
        self.vcpu_ms.get()
    }

    fn country(&self) -> Option<String> {
        self.country.borrow().clone()
    }

    fn start_kv(&self, key: &str) -> Result<Lookup<Stored>, StoreError> {
        self.note(Event::KvStarted(key.to_owned()));
        let value = self.kv.borrow().get(key).cloned().transpose();
        let (generation, metadata) = self.kv_facts.borrow().get(key).cloned().unwrap_or_default();
        let value = value.map(|value| value.map(|value| Stored { value, generation, metadata }));
        Ok(Lookup { ready: self.clock.get() + self.kv_delay.get(), value })
    }

    fn finish_kv(&self, lookup: Lookup<Stored>) -> Result<Option<Stored>, StoreError> {
        self.wait_until(lookup.ready);
        lookup.value
    }

    fn store_kv(&self, key: &str, write: Write<'_>) -> Result<(), StoreError> {
        let generation = self.stored(key).and_then(|_| self.kv_facts.borrow().get(key).map(|(number, _)| *number));
        if self.kv_is_read_only.get() || generation != write.expected {
            return Err(StoreError);
        }
        self.note(Event::KvWritten(key.to_owned()));
        self.kv.borrow_mut().insert(key.to_owned(), Ok(write.value.to_vec()));
        self.note_generation(key, Some(write.metadata.to_owned()));
        Ok(())
    }

    fn start_cache(&self, key: &str) -> Result<Lookup<Vec<u8>>, StoreError> {
        self.note(Event::CacheStarted(key.to_owned()));
        let now = self.unix_time();
        let value = self.cache.borrow().get(key).filter(|(_, end)| now < *end).map(|(value, _)| value.clone());
        let is_readable = self.unreadable.borrow().iter().all(|other| other != key);
        let value = if is_readable { Ok(value) } else { Err(StoreError) };
        Ok(Lookup { ready: self.clock.get() + self.cache_delay.get(), value })
    }

    fn finish_cache(&self, lookup: Lookup<Vec<u8>>) -> Result<Option<Vec<u8>>, StoreError> {
        self.wait_until(lookup.ready);
        lookup.value
    }

    fn store_cache(&self, key: &str, value: &[u8], max_age: Duration) {
        self.note(Event::CacheStored(key.to_owned()));
        self.cache.borrow_mut().insert(key.to_owned(), (value.to_vec(), self.unix_time() + max_age));
    }

    fn publish(&self, key: &str, _max_age: Duration) -> Option<Downstream> {
        self.published.borrow_mut().insert(key.to_owned(), Published::default());
        Some(Downstream::Published(key.to_owned()))
    }

    fn follow(&self, key: &str) -> Option<FakeBody> {
        if self.elsewhere.caches_apart.get() && !self.published.borrow().contains_key(key) {
            return None;
        }
        // The other execution runs only after this one, and publishes then.
        Some(FakeBody { is_of_another: true, ..self.body(Vec::new()) })
    }

    fn elect(&self, office: &str, term: Duration) -> bool {
        let now = self.unix_time();
        let mut offices = self.offices.borrow_mut();
        let is_free = offices.get(office).is_none_or(|end| *end <= now);
        if is_free {
            offices.insert(office.to_owned(), now + term);
        }
        is_free
    }

    fn secret(&self, entry: &str) -> Result<Option<Secret<String>>, StoreError> {
        self.secret_reads.borrow_mut().push(entry.to_owned());
        if self.no_secret_store.get() {
            return Err(StoreError);
        }
        Ok(self.secrets.borrow().get(entry).cloned().map(Secret::new))
    }

    fn backend(&self, target: &Target) -> Result<Backend, SendError> {
        if self.no_backends.get() {
            return Err(SendError::NoBackend);
        }
        self.note(Event::BackendReady(target.url.host.clone()));
        let between_bytes = (!self.has_static_backends.get()).then_some(target.between_bytes_timeout);
        Ok(Backend { host: target.url.host.clone(), between_bytes })
    }

    fn keeps_timeouts(&self, backend: &Backend) -> bool {
        backend.between_bytes.is_some()
    }

    fn send(&self, backend: &Backend, request: UpstreamRequest) -> Result<Pending, SendError> {
        let Backend { ref host, between_bytes } = *backend;
        self.note(Event::Sent(host.clone()));
        let UpstreamRequest { url, headers, body, .. } = request;
        self.sent.borrow_mut().push(Sent { host: host.clone(), url, headers, body, at: self.clock.get() });
        let reply = self.providers.borrow_mut().get_mut(host).and_then(VecDeque::pop_front);
        let reply = reply.unwrap_or_else(|| panic!("{host} should not be asked again"));
        Ok(self.pending(reply, between_bytes))
    }

    fn open(&self, backend: &Backend, request: UpstreamRequest) -> Result<(Pending, Downstream), SendError> {
        let Backend { ref host, between_bytes } = *backend;
        self.note(Event::Sent(host.clone()));
        let reply = self.providers.borrow_mut().get_mut(host).and_then(VecDeque::pop_front).unwrap_or(Reply::Takes);
        let UpstreamRequest { url, body, .. } = request;
        // A whole answer comes when it is whole, after it was asked whether one would be taken.
        let is_whole = self.handed.borrow().last().is_some_and(Handed::is_question);
        self.elsewhere.opened.replace(body.clone());
        match body.len() == GIVING_UP_BYTES {
            true => self.elsewhere.given_up.set(self.elsewhere.given_up.get() + 1),
            false => self.handed.borrow_mut().push(Handed { url, beginning: body, go: Vec::new(), rest: None }),
        }
        let pending = self.pending(reply, between_bytes);
        let ready = if is_whole && matches!(pending.reply, Reply::Takes) { NEVER } else { pending.ready };
        Ok((Pending { ready, ..pending }, Downstream::HandedOn))
    }

    fn response(&self, pending: Pending) -> Result<UpstreamResponse<FakeBody>, SendError> {
        self.wait_until(pending.ready);
        match pending.reply {
            Reply::Answer { status, headers, chunks, .. } => {
                let headers = headers
                    .into_iter()
                    .filter(|(name, _)| is_read(name))
                    .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a header value")));
                let status = StatusCode::from_u16(status).expect("a status");
                let body = self.body_within(chunks.into(), pending.between_bytes);
                Ok(UpstreamResponse { status, headers: headers.collect(), body })
            }
            Reply::Fails(error) | Reply::FailsAfter(_, error) => Err(error),
            Reply::Takes => {
                let headers = self.proof();
                let body = FakeBody { is_of_another: true, ..self.body(Vec::new()) };
                Ok(UpstreamResponse { status: StatusCode::OK, headers, body })
            }
            Reply::Never => unreachable!("waiting for it should not have ended"),
        }
    }

    fn read(&self, body: &mut FakeBody, into: &mut Vec<u8>, limit: usize) -> Result<usize, ReadError> {
        let Some(chunk) = body.chunks.pop_front() else {
            self.note(Event::BodyRead(0));
            return Ok(0);
        };
        self.wait_until(body.ready);
        if chunk.bytes.is_err() && self.elsewhere.breaks_both_ways.get() {
            self.leaves_after.set(Some(0));
        }
        let mut bytes = chunk.bytes?;
        self.note(Event::BodyRead(bytes.len().min(limit)));
        if bytes.len() > limit {
            let rest = bytes.split_off(limit);
            body.chunks.push_front(Chunk { delay: Duration::ZERO, bytes: Ok(rest) });
        }
        into.extend_from_slice(&bytes);
        self.await_next(body);
        Ok(bytes.len())
    }

    fn wait_first(&self, waits: &[Wait<'_, Self>], at_most: Option<Duration>) -> Option<usize> {
        let ready = |wait: &Wait<'_, Self>| match wait {
            Wait::Response(pending) => pending.ready,
            Wait::Body(body) => body.ready,
            Wait::Kv(lookup) => lookup.ready,
            Wait::Cache(lookup) => lookup.ready,
        };
        let (position, time) =
            waits.iter().map(ready).enumerate().min_by_key(|(_, time)| *time).expect("something to wait for");
        match at_most {
            Some(at_most) if time > self.clock.get() + at_most => {
                self.clock.set(self.clock.get() + at_most);
                None
            }
            _ => {
                self.wait_until(time);
                Some(position)
            }
        }
    }

    fn sleep(&self, duration: Duration) {
        self.clock.set(self.clock.get() + duration);
    }

    fn respond(&self, head: ResponseHead, body: Vec<u8>) {
        self.note(Event::HeadSent);
        let mut answer = self.answer.borrow_mut();
        assert!(answer.head.is_none(), "a request should have one answer");
        *answer = Answer { head: Some(head), body, finished: true, writes: 1, goes_on: false };
    }

    fn leave_answer(&self, pending: Pending) {
        assert!(
            matches!(pending.reply, Reply::Takes),
            "only another execution's answer should be left to the platform"
        );
        self.note(Event::HandedOn);
    }

    fn start_response(&self, head: ResponseHead) -> Downstream {
        self.note(Event::HeadSent);
        let mut answer = self.answer.borrow_mut();
        // The head of an execution that goes on with an answer is for the one before it.
        if !answer.goes_on {
            assert!(answer.head.is_none(), "a request should have one answer");
            answer.head = Some(head);
        }
        Downstream::ToClient
    }

    fn write(
        &self,
        downstream: &mut Downstream,
        bytes: &[u8],
        patience: impl Fn() -> Duration,
    ) -> Result<(), ClientGone> {
        match downstream {
            Downstream::ToClient => {}
            Downstream::HandedOn => {
                self.note_go(bytes);
                return Ok(());
            }
            Downstream::Published(key) => {
                self.change_published(key, |published| published.bytes.extend_from_slice(bytes));
                return Ok(());
            }
        }
        self.note(Event::Written);
        let mut answer = self.answer.borrow_mut();
        if self.stops_reading_after.get().is_some_and(|writes| answer.writes >= writes) {
            self.clock.set(self.clock.get() + patience());
            return Err(ClientGone);
        }
        if self.leaves_after.get().is_some_and(|writes| answer.writes >= writes) {
            return Err(ClientGone);
        }
        answer.writes += 1;
        answer.body.extend_from_slice(bytes);
        Ok(())
    }

    fn append(&self, _downstream: &mut Downstream, body: FakeBody) -> Result<(), ClientGone> {
        assert!(body.is_of_another, "only another execution's answer should be a part");
        Ok(())
    }

    fn finish(&self, downstream: Downstream) -> Result<(), ClientGone> {
        match downstream {
            Downstream::Published(key) => self.end_published(&key, PublishedEnd::Finished),
            Downstream::HandedOn => {}
            Downstream::ToClient => self.answer.borrow_mut().finished = true,
        }
        Ok(())
    }

    fn hand_over(&self, downstream: Downstream, body: FakeBody) -> Result<(), ClientGone> {
        let mut answer = self.answer.borrow_mut();
        match downstream {
            Downstream::HandedOn => {
                let mut handed = self.handed.borrow_mut();
                handed.last_mut().expect("something was handed on").rest = Some(self.rest_of(body));
                return Ok(());
            }
            Downstream::Published(key) => {
                self.end_published(&key, PublishedEnd::LeftToAnother);
                return Ok(());
            }
            Downstream::ToClient if body.is_of_another => {
                self.note(Event::HandedOn);
                answer.goes_on = true;
                return Ok(());
            }
            Downstream::ToClient => self.note(Event::HandedOver),
        }
        for chunk in body.chunks {
            answer.body.extend_from_slice(&chunk.bytes.expect("the rest should be whole"));
        }
        answer.finished = true;
        Ok(())
    }

    fn abort(&self, downstream: Downstream) {
        if let Downstream::Published(key) = downstream {
            self.end_published(&key, PublishedEnd::Aborted);
        }
    }

    fn log(&self, line: &str) {
        self.note(Event::Logged);
        self.log.borrow_mut().push(line.to_owned());
    }
}
