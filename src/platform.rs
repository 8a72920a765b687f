//! The seam: all that the gateway asks of the world, as one trait over plain values.
//!
//! `edge` implements it on Fastly Compute; the tests implement it with a script. Work is started and waited for apart,
//! so that the pipeline can have several things under way and take whichever comes first ([`Platform::wait_first`]).
//! Dropping a [`Platform::Body`] closes its connection; dropping an unfinished [`Platform::Downstream`] aborts the answer.

pub mod allowance;

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use crate::policy::parse::MAX_DOCUMENT_BYTES;
use crate::policy::{BaseUrl, TcpKeepalive};
use crate::secret::Secret;

/// Name of the KV Store, the Secret Store and the log endpoint.
pub const RESOURCE: &str = "tiergate";
/// No more of a value in the KV Store is read: what is longer is cut, one byte beyond what a policy may have.
pub const MAX_STORED_BYTES: usize = MAX_DOCUMENT_BYTES + 1;

/// How long the platform waits for a provider's response head; the gateway's deadlines stand below it.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an idle connection to a provider is kept for the next request.
pub const KEEPALIVE: Duration = Duration::from_secs(60);

pub trait Platform {
    /// A request to a provider whose response head has not arrived.
    type Pending;
    /// Bytes that arrive over time: the client's request or a provider's response.
    type Body;
    /// A KV Store look-up under way.
    type KvLookup;
    /// A Core Cache look-up under way.
    type CacheLookup;
    /// A provider's address, ready to be sent to.
    type Backend;
    /// A body that is being sent: of a response to the client whose head has gone out, of a request ([`Platform::open`]), or into
    /// this POP's cache ([`Platform::publish`]).
    type Downstream;

    /// Since the request was received.
    fn elapsed(&self) -> Duration;
    /// Since 1970-01-01 UTC.
    fn unix_time(&self) -> Duration;
    fn random(&self) -> u64;
    /// CPU time that this sandbox has used, whole milliseconds.
    fn vcpu_ms(&self) -> u64;
    /// Where the client is, ISO 3166-1 alpha-2.
    fn country(&self) -> Option<String>;

    fn start_kv(&self, key: &str) -> Result<Self::KvLookup, StoreError>;
    /// The value, or nothing if there is no such key; waits if it has not arrived.
    fn finish_kv(&self, lookup: Self::KvLookup) -> Result<Option<Stored>, StoreError>;
    /// Writes a value if the store still holds what `write` expects, and waits for that.
    fn store_kv(&self, key: &str, write: Write<'_>) -> Result<(), StoreError>;
    fn start_cache(&self, key: &str) -> Result<Self::CacheLookup, StoreError>;
    fn finish_cache(&self, lookup: Self::CacheLookup) -> Result<Option<Vec<u8>>, StoreError>;
    /// Keeps a value in this POP; a failure only costs a later miss.
    fn store_cache(&self, key: &str, value: &[u8], max_age: Duration);
    /// Begins a value of this POP's cache that can be followed while it is written; nothing if it takes none. It is found for
    /// `max_age`.
    fn publish(&self, key: &str, max_age: Duration) -> Option<Self::Downstream>;
    /// A value that was published, as it comes; nothing if there is none.
    fn follow(&self, key: &str) -> Option<Self::Body>;
    /// Whether this request is the one of its POP that holds `office`; for `term` no other will.
    fn elect(&self, office: &str, term: Duration) -> bool;
    /// An entry of the Secret Store; one that is no text is empty. The platform allows few of these reads.
    fn secret(&self, entry: &str) -> Result<Option<Secret<String>>, StoreError>;

    fn backend(&self, target: &Target) -> Result<Self::Backend, SendError>;
    /// Whether the platform itself ends a body of this backend that stalls; otherwise the gateway must.
    fn keeps_timeouts(&self, backend: &Self::Backend) -> bool;
    fn send(&self, backend: &Self::Backend, request: UpstreamRequest) -> Result<Self::Pending, SendError>;
    /// As [`Platform::send`], with a body that goes on behind that of `request`.
    fn open(
        &self,
        backend: &Self::Backend,
        request: UpstreamRequest,
    ) -> Result<(Self::Pending, Self::Downstream), SendError>;
    /// The head and the body; waits if the head has not arrived.
    fn response(&self, pending: Self::Pending) -> Result<UpstreamResponse<Self::Body>, SendError>;
    /// Appends what has arrived, at most `limit` bytes, and waits if nothing has; 0 is the end of the body.
    fn read(&self, body: &mut Self::Body, into: &mut Vec<u8>, limit: usize) -> Result<usize, ReadError>;

    /// The position of the first that is ready, of any number, or nothing if `at_most` passes before. `None` waits without limit.
    fn wait_first(&self, waits: &[Wait<'_, Self>], at_most: Option<Duration>) -> Option<usize>;

    fn sleep(&self, duration: Duration);

    /// Sends a whole answer.
    fn respond(&self, head: ResponseHead, body: Vec<u8>);
    fn start_response(&self, head: ResponseHead) -> Self::Downstream;
    /// Writes and flushes. A client that reads too slowly is waited for, as long as `patience` says then; after that it counts as
    /// gone.
    fn write(
        &self,
        downstream: &mut Self::Downstream,
        bytes: &[u8],
        patience: impl Fn() -> Duration,
    ) -> Result<(), ClientGone>;
    /// Leaves a part to the platform: it sends `body` as it comes, and then what follows. A body that breaks breaks off what is
    /// being sent.
    fn append(&self, downstream: &mut Self::Downstream, body: Self::Body) -> Result<(), ClientGone>;
    /// Ends the body cleanly.
    fn finish(&self, downstream: Self::Downstream) -> Result<(), ClientGone>;
    /// Leaves the whole answer to the platform: it sends the head and the body that `pending` brings, also after this request's
    /// time.
    fn leave_answer(&self, pending: Self::Pending);
    /// Leaves the rest to the platform: it sends `body` as it comes and ends what is being sent with it, also after
    /// this request's time. What the body does is not seen any more.
    fn hand_over(&self, downstream: Self::Downstream, body: Self::Body) -> Result<(), ClientGone>;
    /// Breaks the answer off at once, with what has not left yet.
    fn abort(&self, downstream: Self::Downstream);

    /// Writes one line to the log endpoint.
    fn log(&self, line: &str);
}

/// Something that [`Platform::wait_first`] can wait for.
pub enum Wait<'a, P: Platform + ?Sized> {
    Response(&'a P::Pending),
    Body(&'a P::Body),
    Kv(&'a P::KvLookup),
    Cache(&'a P::CacheLookup),
}

/// The value of `key`, if it comes within `at_most`.
///
/// # Errors
/// [`StoreError`], also if it does not come.
pub fn read_kv<P: Platform>(platform: &P, key: &str, at_most: Duration) -> Result<Option<Stored>, StoreError> {
    let lookup = platform.start_kv(key)?;
    platform.wait_first(&[Wait::Kv(&lookup)], Some(at_most)).ok_or(StoreError)?;
    platform.finish_kv(lookup)
}

/// What the POP's cache holds under `key`, if it comes within `at_most`.
pub fn read_cache<P: Platform>(platform: &P, key: &str, at_most: Duration) -> Option<Vec<u8>> {
    let lookup = platform.start_cache(key).ok()?;
    platform.wait_first(&[Wait::Cache(&lookup)], Some(at_most))?;
    platform.finish_cache(lookup).ok().flatten()
}

/// A value of the KV Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub value: Vec<u8>,
    /// Another number for each time that a key is written.
    pub generation: u64,
    /// Text that was put beside the value.
    pub metadata: Option<String>,
}

/// A value to be written to the KV Store.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    pub value: &'a [u8],
    pub metadata: &'a str,
    /// The generation that must still be there; none if the key must not be.
    pub expected: Option<u64>,
}

/// A client's request, but for its body's bytes.
pub struct Received<B> {
    /// Unique; shown in `x-route-id` and the log.
    pub id: String,
    pub method: Method,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: B,
    /// The point of presence that serves this request.
    pub pop: String,
    /// How long the sandbox had lived when the request came.
    pub sandbox_age: Duration,
}

/// Why something may be sent to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clearance {
    /// The Secret Store has an entry for it.
    Listed,
    /// It is this machine.
    Loopback,
}

/// A provider's address and the timeouts that the platform itself keeps for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub url: BaseUrl,
    pub clearance: Clearance,
    pub connect_timeout: Duration,
    pub first_byte_timeout: Duration,
    pub between_bytes_timeout: Duration,
    /// 0 is no limit. It is always said, since the SDK's own default would refuse requests above 200 under way.
    pub max_connections: u32,
    pub tcp_keepalive: Option<TcpKeepalive>,
}

/// What a static backend says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticBackend {
    /// The host that is connected to.
    pub address: String,
    pub port: u16,
    /// What `Host` says instead of the address.
    pub override_host: Option<String>,
    pub tls: bool,
}

impl Target {
    /// The name of a dynamic backend for it: it says all that the backend depends on, and no host can have it, so neither
    /// another target nor a static backend that is named after its host stands under the same name.
    pub fn backend_name(&self) -> String {
        let Target { url, clearance: _, connect_timeout, first_byte_timeout, between_bytes_timeout, .. } = self;
        let Target { max_connections, tcp_keepalive, .. } = self;
        let scheme = if url.tls { "https" } else { "http" };
        let timeouts = format!("{}_{}", connect_timeout.as_millis(), between_bytes_timeout.as_millis());
        // Also what is the same for all, since another version of the service may have had it otherwise.
        let common = format!("{}-{}-{max_connections}", first_byte_timeout.as_secs(), KEEPALIVE.as_secs());
        let probing = tcp_keepalive.map_or_else(String::new, |TcpKeepalive { time_s, interval_s, probes }| {
            format!("_{time_s}-{}-{}", interval_s.unwrap_or_default(), probes.unwrap_or_default())
        });
        format!("tiergate_{scheme}_{}_{}_{timeouts}_{common}{probing}", url.host, url.port)
    }

    /// Whether a static backend that is named after the host is one for this target: its name alone may be a coincidence.
    /// One whose address is another host is the operator's proxy; it stands for the host's own port only.
    pub fn may_use(&self, backend: &StaticBackend) -> bool {
        let Target { url, clearance, .. } = self;
        // On Fastly such a one reaches nothing; in the local runtime it is where simulators are.
        let is_local = BaseUrl::is_loopback(&backend.address);
        let named = backend.override_host.as_deref().unwrap_or(&backend.address);
        let is_for_host = [&url.host, &url.host_header(), &url.authority()].into_iter().any(|host| host == named);
        let is_for_port = backend.port == url.port || (backend.address != url.host && url.port == 443);
        match clearance {
            Clearance::Loopback => is_local,
            Clearance::Listed if is_local => is_for_host,
            Clearance::Listed => is_for_host && is_for_port && backend.tls == url.tls,
        }
    }
}

/// A request to a provider.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    pub method: Method,
    /// Absolute.
    pub url: String,
    /// Complete: nothing else is sent, save what HTTP itself needs. Credentials are marked sensitive.
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

#[derive(Debug)]
pub struct UpstreamResponse<B> {
    pub status: StatusCode,
    /// Those that are [read](crate::upstream::headers::is_read).
    pub headers: HeaderMap,
    pub body: B,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub headers: HeaderMap,
}

/// Why no response head arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the provider's name did not resolve")]
    Dns,
    #[error("no connection to the provider")]
    Connect,
    #[error("TLS with the provider failed")]
    Tls,
    #[error("the provider did not answer in time")]
    Timeout,
    #[error("the connection ended before the response head")]
    Reset,
    /// The service may not create dynamic backends and has no static one of this name.
    #[error("this service has no backend for the provider's host and may not create one")]
    NoBackend,
    #[error("the request could not be sent")]
    Other,
}

/// Why a body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body broke off")]
pub struct ReadError;

/// A store that cannot answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be reached")]
pub struct StoreError;

/// The client has left, or takes nothing of its answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has gone")]
pub struct ClientGone;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn target(url: &str, clearance: Clearance) -> Target {
        let url = BaseUrl::parse(url).expect("a valid URL");
        Target {
            url,
            clearance,
            connect_timeout: SECOND,
            first_byte_timeout: FIRST_BYTE_TIMEOUT,
            between_bytes_timeout: SECOND,
            max_connections: 0,
            tcp_keepalive: None,
        }
    }

    #[test]
    fn a_static_backend_must_say_that_it_is_for_the_host() {
        let api = "https://api.example";
        for (url, clearance, (address, port, override_host, tls), expected) in [
            (api, Clearance::Listed, ("api.example", 443, None, true), true),
            (api, Clearance::Listed, ("api.example", 443, Some("api.example"), true), true),
            (api, Clearance::Listed, ("proxy.internal", 8443, Some("api.example"), true), true),
            (api, Clearance::Listed, ("127.0.0.1", 7701, Some("api.example"), false), true),
            (api, Clearance::Listed, ("[::1]", 7701, Some("api.example"), false), true),
            // Named after the host, but for another one, another port, or without TLS.
            (api, Clearance::Listed, ("evil.example", 443, None, true), false),
            (api, Clearance::Listed, ("10.0.0.1", 443, None, true), false),
            (api, Clearance::Listed, ("evil.example", 443, Some("evil.example"), true), false),
            (api, Clearance::Listed, ("api.example", 443, Some("evil.example"), true), false),
            (api, Clearance::Listed, ("127.0.0.1", 7701, Some("other.example"), false), false),
            (api, Clearance::Listed, ("127.0.0.1", 7701, None, false), false),
            (api, Clearance::Listed, ("api.example", 8443, None, true), false),
            (api, Clearance::Listed, ("api.example", 80, None, false), false),
            (api, Clearance::Listed, ("proxy.internal", 80, Some("api.example"), false), false),
            ("https://api.example:8443", Clearance::Listed, ("api.example", 8443, None, true), true),
            ("https://api.example:8443", Clearance::Listed, ("api.example", 443, None, true), false),
            ("https://api.example:8443", Clearance::Listed, ("proxy.internal", 443, Some("api.example"), true), false),
            (
                "https://api.example:8443",
                Clearance::Listed,
                ("proxy.internal", 8443, Some("api.example:8443"), true),
                true,
            ),
            ("https://api.example:8443", Clearance::Listed, ("127.0.0.1", 7701, Some("api.example"), false), true),
            // What has no entry reaches this machine only, whatever is called `localhost`.
            ("http://localhost:8000", Clearance::Loopback, ("127.0.0.1", 9, Some("localhost"), false), true),
            ("http://localhost:8000", Clearance::Loopback, ("evil.example", 8000, Some("localhost"), false), false),
            ("http://127.0.0.1:8000", Clearance::Loopback, ("evil.example", 8000, Some("127.0.0.1"), true), false),
        ] {
            let backend = StaticBackend {
                address: address.to_owned(),
                port,
                override_host: override_host.map(str::to_owned),
                tls,
            };
            assert_eq!(target(url, clearance).may_use(&backend), expected, "{url} {backend:?}");
        }
    }

    #[test]
    fn the_name_of_a_dynamic_backend_says_all_that_it_depends_on() {
        let name = |url: &str, connect, between| {
            let target = target(url, Clearance::Listed);
            Target { connect_timeout: connect, between_bytes_timeout: between, ..target }.backend_name()
        };
        let plain = name("https://a.example/v1", SECOND, SECOND);
        assert_eq!(plain, "tiergate_https_a.example_443_1000_1000_120-60-0");
        assert_eq!(name("https://a.example/other", SECOND, SECOND), plain, "a path is no matter of the backend");
        let special = |max_connections, tcp_keepalive| {
            let target = target("https://a.example", Clearance::Listed);
            Target { max_connections, tcp_keepalive, ..target }.backend_name()
        };
        let probing = |interval_s, probes| Some(TcpKeepalive { time_s: 30, interval_s, probes });
        let names = [
            plain,
            special(200, None),
            special(0, probing(None, None)),
            special(0, probing(Some(5), None)),
            special(0, probing(None, Some(5))),
            special(30, probing(None, None)),
            name("https://a.example", 2 * SECOND, SECOND),
            name("https://a.example", SECOND, 2 * SECOND),
            name("https://a.example:444", SECOND, SECOND),
            name("https://localhost:8000", SECOND, SECOND),
            name("http://localhost:8000", SECOND, SECOND),
            name("https://a.example-443-1000-1000.example", SECOND, SECOND),
        ];
        for (position, name) in names.iter().enumerate() {
            assert!(!names[..position].contains(name), "{name}");
            assert!(BaseUrl::parse(&format!("https://{name}")).is_err(), "no host can be called {name}");
        }
    }
}
