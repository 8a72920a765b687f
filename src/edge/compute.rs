//! The platform seam on Fastly Compute.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::Write;
use std::num::NonZeroU32;
use std::time::{Duration, Instant, SystemTime};

use fastly::backend::BackendCreationError;
use fastly::cache::core::Transaction;
use fastly::handle::{BodyHandle, CacheOverride, PendingRequestHandle, RequestHandle, ResponseHandle};
use fastly::http::request::SendErrorCause;
use fastly::kv_store::{InsertMode, KVStore, KVStoreError, PendingLookupHandle, StoreHandle};
use fastly::log::Endpoint;
use fastly::secret_store::SecretStore;
use fastly::{Backend, Body, Request};

use crate::edge::handles::{self, CacheLookup, InvalidUrl, OpenAnswer, RawBody};
use crate::edge::panic;
use crate::platform::{
    ClientGone, KEEPALIVE, MAX_STORED_BYTES, Platform, RESOURCE, ReadError, ResponseHead, SendError, StaticBackend,
    StoreError, Stored, Target, UpstreamRequest, UpstreamResponse, Wait, Write as KvWrite,
};
use crate::policy::TcpKeepalive;
use crate::secret::Secret;
use crate::upstream::headers::is_read;

/// How much of a stored value is read at once.
const STORED_READ_BYTES: usize = 16 * 1024;
/// Whoever is elected says so at once, so that waiting longer for it is of no use.
const ELECTION_TIMEOUT: Duration = Duration::from_millis(250);

/// One request's view of Fastly Compute.
pub struct Compute<'a> {
    pub received: Instant,
    /// What has been taken in of it is not there any more.
    pub request: &'a Request,
    pub sandbox: &'a Sandbox,
}

/// What a sandbox keeps from request to request: places of the platform, nothing of a request.
#[derive(Default)]
pub struct Sandbox {
    /// Requests to backends, over the sandbox's life.
    pub sends: Cell<u32>,
    /// The backends that were used.
    backends: RefCell<Vec<(Target, Destination)>>,
    secrets: OnceCell<SecretStore>,
    log: RefCell<Option<Endpoint>>,
}

impl Sandbox {
    fn secrets(&self) -> Result<&SecretStore, StoreError> {
        if self.secrets.get().is_none() {
            let store = SecretStore::open(RESOURCE).map_err(|_| StoreError)?;
            return Ok(self.secrets.get_or_init(|| store));
        }
        self.secrets.get().ok_or(StoreError)
    }

    /// Writes a line to the log, if the service has one; nobody can be told that it takes none.
    pub fn log(&self, line: &str) {
        let mut log = self.log.borrow_mut();
        if log.is_none() {
            *log = Endpoint::try_from_name(RESOURCE).ok();
        }
        if let Some(endpoint) = log.as_mut() {
            let _ = endpoint.write_all(line.as_bytes());
        }
    }
}

/// A look-up under way, with the store it needs to be finished.
pub struct KvLookup {
    store: StoreHandle,
    pending: PendingLookupHandle,
}

/// Where a request goes.
#[derive(Clone)]
pub struct Destination {
    backend: Backend,
    is_static: bool,
}

impl Platform for Compute<'_> {
    type Pending = PendingRequestHandle;
    type Body = RawBody;
    type KvLookup = KvLookup;
    type CacheLookup = CacheLookup;
    type Backend = Destination;
    type Downstream = OpenAnswer;

    fn elapsed(&self) -> Duration {
        self.received.elapsed()
    }

    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn random(&self) -> u64 {
        super::random()
    }

    fn vcpu_ms(&self) -> u64 {
        fastly::compute_runtime::elapsed_vcpu_ms().unwrap_or_default()
    }

    fn country(&self) -> Option<String> {
        let country = fastly::geo::geo_lookup(self.request.get_client_ip_addr()?)?.country_code().to_ascii_uppercase();
        (country.len() == 2).then_some(country)
    }

    fn start_kv(&self, key: &str) -> Result<KvLookup, StoreError> {
        let store = StoreHandle::open(RESOURCE).ok().flatten().ok_or(StoreError)?;
        let pending = store.lookup(key).map_err(|_| StoreError)?;
        Ok(KvLookup { store, pending })
    }

    fn finish_kv(&self, lookup: KvLookup) -> Result<Option<Stored>, StoreError> {
        let mut found = match lookup.store.pending_lookup_wait(lookup.pending) {
            Ok(found) => found,
            Err(KVStoreError::ItemNotFound) => return Ok(None),
            Err(_) => return Err(StoreError),
        };
        let metadata = found.metadata().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let generation = found.current_generation();
        let mut body = RawBody::from(found.try_take_body().ok_or(StoreError)?.into_handle());
        let mut value = Vec::new();
        while value.len() < MAX_STORED_BYTES {
            let wanted = STORED_READ_BYTES.min(MAX_STORED_BYTES - value.len());
            if body.read(&mut value, wanted).map_err(|_| StoreError)? == 0 {
                break;
            }
        }
        Ok(Some(Stored { value, generation, metadata }))
    }

    fn store_kv(&self, key: &str, write: KvWrite<'_>) -> Result<(), StoreError> {
        let store = KVStore::open(RESOURCE).ok().flatten().ok_or(StoreError)?;
        let insert = store.build_insert().metadata(write.metadata);
        let insert = match write.expected {
            Some(generation) => insert.if_generation_match(generation),
            None => insert.mode(InsertMode::Add),
        };
        insert.execute(key, write.value).map_err(|_| StoreError)
    }

    fn start_cache(&self, key: &str) -> Result<CacheLookup, StoreError> {
        CacheLookup::start(key)
    }

    fn finish_cache(&self, lookup: CacheLookup) -> Result<Option<Vec<u8>>, StoreError> {
        lookup.finish()
    }

    fn store_cache(&self, key: &str, value: &[u8], max_age: Duration) {
        let inserted = fastly::cache::core::insert(key.as_bytes().to_vec().into(), max_age)
            .known_length(value.len() as u64)
            .execute();
        // A value that could not be kept is a later miss.
        if let Ok(mut body) = inserted
            && body.write_all(value).is_ok()
        {
            let _ = body.finish();
        }
    }

    fn publish(&self, key: &str, max_age: Duration) -> Option<OpenAnswer> {
        handles::publish(key, max_age).ok()
    }

    fn follow(&self, key: &str) -> Option<RawBody> {
        CacheLookup::start(key).ok()?.body().ok().flatten()
    }

    fn elect(&self, office: &str, term: Duration) -> bool {
        // Of several at once all but one wait until that one has inserted, which it does at once.
        let lookup = Transaction::lookup(office.as_bytes().to_vec().into()).timeout(ELECTION_TIMEOUT).execute();
        let Some(elected) = lookup.ok().filter(Transaction::must_insert) else { return false };
        elected.insert(term).known_length(0).execute().is_ok_and(|body| body.finish().is_ok())
    }

    fn secret(&self, entry: &str) -> Result<Option<Secret<String>>, StoreError> {
        let Some(secret) = self.sandbox.secrets()?.try_get(entry).map_err(|_| StoreError)? else {
            return Ok(None);
        };
        let plaintext = secret.try_plaintext().map_err(|_| StoreError)?;
        // A key that is no text cannot stand in a header either.
        Ok(Some(Secret::new(String::from_utf8(plaintext.to_vec()).unwrap_or_default())))
    }

    fn backend(&self, target: &Target) -> Result<Destination, SendError> {
        let used = |(known, _): &&(Target, Destination)| known == target;
        if let Some((_, destination)) = self.sandbox.backends.borrow().iter().find(used) {
            return Ok(destination.clone());
        }
        let dynamic = target.backend_name();
        let is_static = static_backend(&target.url.host).is_some_and(|found| target.may_use(&found));
        if !is_static {
            create_backend(&dynamic, target)?;
        }
        let name = if is_static { &target.url.host } else { &dynamic };
        let backend = Backend::from_name(name).map_err(|_| SendError::NoBackend)?;
        let destination = Destination { backend, is_static };
        self.sandbox.backends.borrow_mut().push((target.clone(), destination.clone()));
        Ok(destination)
    }

    fn keeps_timeouts(&self, destination: &Destination) -> bool {
        // A static backend has those that its operator gave it, or none.
        !destination.is_static
    }

    fn send(&self, destination: &Destination, request: UpstreamRequest) -> Result<PendingRequestHandle, SendError> {
        let (head, body) = self.prepare(request)?;
        head.send_async_to_backend(body, &destination.backend).map_err(|cause| send_error(&cause))
    }

    fn open(
        &self,
        destination: &Destination,
        request: UpstreamRequest,
    ) -> Result<(PendingRequestHandle, OpenAnswer), SendError> {
        let (head, body) = self.prepare(request)?;
        let sent = head.send_async_streaming_to_backend(body, &destination.backend);
        let (body, pending) = sent.map_err(|cause| send_error(&cause))?;
        Ok((pending, body.into()))
    }

    fn response(&self, pending: PendingRequestHandle) -> Result<UpstreamResponse<RawBody>, SendError> {
        let (head, body) = pending.wait().map_err(|cause| send_error(&cause))?;
        let headers = handles::response_headers(&head, is_read);
        Ok(UpstreamResponse { status: head.get_status(), headers, body: RawBody::from(body) })
    }

    fn read(&self, body: &mut RawBody, into: &mut Vec<u8>, limit: usize) -> Result<usize, ReadError> {
        body.read(into, limit)
    }

    fn wait_first(&self, waits: &[Wait<'_, Self>], at_most: Option<Duration>) -> Option<usize> {
        let handle = |wait: &Wait<'_, Self>| match wait {
            Wait::Response(pending) => pending.as_u32(),
            Wait::Body(body) => body.handle(),
            Wait::Kv(lookup) => lookup.pending.as_u32(),
            Wait::Cache(lookup) => lookup.handle(),
        };
        match waits {
            // Each event of a stream is waited for alone.
            [only] => handles::select(&[handle(only)], at_most),
            several => handles::select(&several.iter().map(handle).collect::<Vec<u32>>(), at_most),
        }
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn respond(&self, head: ResponseHead, body: Vec<u8>) {
        panic::note_answered();
        response(&head).send_to_client(Body::from(body).into_handle());
    }

    fn leave_answer(&self, pending: PendingRequestHandle) {
        panic::note_answered();
        pending.send_to_client();
    }

    fn start_response(&self, head: ResponseHead) -> OpenAnswer {
        panic::note_answered();
        response(&head).stream_to_client(BodyHandle::new()).into()
    }

    fn write(
        &self,
        downstream: &mut OpenAnswer,
        bytes: &[u8],
        patience: impl Fn() -> Duration,
    ) -> Result<(), ClientGone> {
        downstream.write(bytes, patience)
    }

    fn finish(&self, downstream: OpenAnswer) -> Result<(), ClientGone> {
        downstream.finish()
    }

    fn append(&self, downstream: &mut OpenAnswer, body: RawBody) -> Result<(), ClientGone> {
        downstream.append(body)
    }

    fn hand_over(&self, mut downstream: OpenAnswer, body: RawBody) -> Result<(), ClientGone> {
        downstream.append(body)?;
        downstream.finish()
    }

    fn abort(&self, downstream: OpenAnswer) {
        drop(downstream);
    }

    fn log(&self, line: &str) {
        panic::note_logged();
        self.sandbox.log(line);
    }
}

impl Compute<'_> {
    /// A request that is counted and can be sent.
    fn prepare(&self, request: UpstreamRequest) -> Result<(RequestHandle, BodyHandle), SendError> {
        self.sandbox.sends.set(self.sandbox.sends.get() + 1);
        let mut head = RequestHandle::new();
        head.set_method(&request.method);
        handles::set_url(&head, &request.url).map_err(|InvalidUrl| SendError::Other)?;
        for (name, value) in &request.headers {
            head.append_header(name, value);
        }
        // The HTTP cache must not see prompts.
        head.set_cache_override(&CacheOverride::pass());
        Ok((head, Body::from(request.body).into_handle()))
    }
}

/// What the static backend of this name says of itself.
fn static_backend(name: &str) -> Option<StaticBackend> {
    let backend = Backend::from_name(name).ok().filter(Backend::exists)?;
    Some(StaticBackend {
        address: backend.get_host(),
        port: backend.get_port(),
        // One that cannot be read names no host.
        override_host: backend.get_host_override().map(|host| host.to_str().unwrap_or_default().to_owned()),
        tls: backend.is_ssl(),
    })
}

/// Builds a dynamic backend. All that it is built from is in its name, [`Target::backend_name`].
fn create_backend(name: &str, target: &Target) -> Result<(), SendError> {
    let Target { url, clearance: _, connect_timeout, first_byte_timeout, between_bytes_timeout, .. } = target;
    let Target { max_connections, tcp_keepalive, .. } = target;
    let mut builder = Backend::builder(name, url.authority())
        .override_host(url.host_header())
        .connect_timeout(*connect_timeout)
        .first_byte_timeout(*first_byte_timeout)
        .between_bytes_timeout(*between_bytes_timeout)
        .http_keepalive_time(KEEPALIVE)
        .max_connections(*max_connections);
    if let Some(TcpKeepalive { time_s, interval_s, probes }) = tcp_keepalive {
        builder = builder.tcp_keepalive_enable(true);
        if let Some(time) = NonZeroU32::new(*time_s) {
            builder = builder.tcp_keepalive_time_secs(time);
        }
        if let Some(interval) = interval_s.and_then(NonZeroU32::new) {
            builder = builder.tcp_keepalive_interval_secs(interval);
        }
        if let Some(probes) = probes.and_then(NonZeroU32::new) {
            builder = builder.tcp_keepalive_probes(probes);
        }
    }
    if url.tls {
        builder = builder.enable_ssl().sni_hostname(&url.host).check_certificate(&url.host);
    } else {
        builder = builder.disable_ssl();
    }
    match builder.finish() {
        Ok(_) => Ok(()),
        // The platform may keep it from another request. A static one of this name would lead anywhere.
        Err(BackendCreationError::NameInUse) if Backend::from_name(name).is_ok_and(|found| found.is_dynamic()) => {
            Ok(())
        }
        Err(_) => Err(SendError::NoBackend),
    }
}

pub fn response(head: &ResponseHead) -> ResponseHandle {
    let mut response = ResponseHandle::new();
    response.set_status(head.status);
    for (name, value) in &head.headers {
        response.append_header(name, value);
    }
    response
}

fn send_error(cause: &SendErrorCause) -> SendError {
    match cause {
        SendErrorCause::DnsTimeout | SendErrorCause::DnsError { .. } => SendError::Dns,
        SendErrorCause::DestinationUnavailable
        | SendErrorCause::DestinationIpUnroutable
        | SendErrorCause::ConnectionRefused
        | SendErrorCause::ConnectionTimeout
        | SendErrorCause::ConnectionLimitReached => SendError::Connect,
        SendErrorCause::TlsProtocolError
        | SendErrorCause::TlsCertificateError
        | SendErrorCause::TlsAlertReceived { .. }
        | SendErrorCause::TlsConfigurationError => SendError::Tls,
        SendErrorCause::HttpResponseTimeout => SendError::Timeout,
        SendErrorCause::ConnectionTerminated | SendErrorCause::HttpIncompleteResponse => SendError::Reset,
        SendErrorCause::DestinationNotFound => SendError::NoBackend,
        _ => SendError::Other,
    }
}
