//! A Wasm service in the embedded local runtime (Viceroy), on a real port, with its stores, backends and log.
//!
//! Names are those that the gateway uses on Fastly: the KV Store, the Secret Store and the log endpoint are all called
//! `tiergate`, and a static backend is named after its host.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper14::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper14::server::conn::AddrStream;
use hyper14::service::{Service, make_service_fn, service_fn};
use hyper14::{Request, Response, StatusCode};
use rand::distr::{Alphanumeric, SampleString};
use serde::Serialize;
use serde_json::json;
use tiergate_guests::kv::STORE;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use viceroy_lib::ViceroyService;
use viceroy_lib::body::Body;
use viceroy_lib::config::{Backend, BackendHealth, FastlyConfig, SecretStore, SecretStores};

use crate::engine::{Parts, compile};
use crate::kv::KvHandle;
use crate::log::LogSink;
use crate::loopback;

/// How long a backend may take to its first byte, and between bytes: as long as a sandbox lives, so that only the
/// gateway's own deadlines show.
const BACKEND_TIMEOUT: Duration = Duration::from_secs(120);
/// The length of a root that nobody chose.
const ROOT_LENGTH: usize = 43;
/// How long [`Gateway::stop`] waits for answers under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What a [`Gateway`] runs and what that sees.
#[derive(Clone)]
pub struct GatewayOptions {
    wasm: PathBuf,
    addr: SocketAddr,
    /// Name, what `Host` says, and URL.
    backends: Vec<(String, String, String)>,
    secrets: Vec<(String, String)>,
    /// Keys and markers by URL prefix and label.
    places: BTreeMap<String, BTreeMap<String, Option<String>>>,
    continuation: Continuation,
    /// The root of which the keys are made by which the two sides of a continuation know each other.
    root: String,
    kv: Option<Vec<(String, Vec<u8>)>>,
    countries: Vec<(IpAddr, String)>,
    log: Option<LogSink>,
    hosts: Hosts,
}

/// Who goes on with a [`Gateway`]'s long answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Continuation {
    Nobody,
    Itself,
    /// A service of the same Wasm with a cache of its own, as Fastly keeps them apart.
    SecondService,
}

/// To which names a [`Gateway`] answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hosts {
    /// The guest sees whatever comes, as on Fastly.
    Any,
    Loopback,
}

impl GatewayOptions {
    /// A service with an empty KV Store and Secret Store, no backends and no log, on a free loopback port.
    pub fn new(wasm: impl Into<PathBuf>) -> Self {
        Self {
            wasm: wasm.into(),
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
            backends: Vec::new(),
            secrets: Vec::new(),
            places: BTreeMap::new(),
            continuation: Continuation::Nobody,
            root: Alphanumeric.sample_string(&mut rand::rng(), ROOT_LENGTH),
            kv: Some(Vec::new()),
            countries: Vec::new(),
            log: None,
            hosts: Hosts::Any,
        }
    }

    pub fn addr(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Sends what is meant for `host` to `url` instead, by a static backend.
    pub fn backend(self, host: impl Into<String>, url: impl Into<String>) -> Self {
        let host = host.into();
        self.backend_named(host.clone(), host, url)
    }

    /// A static backend of any name, for `host`.
    pub fn backend_named(mut self, name: impl Into<String>, host: impl Into<String>, url: impl Into<String>) -> Self {
        self.backends.push((name.into(), host.into(), url.into()));
        self
    }

    /// An entry of the Secret Store.
    pub fn secret(mut self, entry: impl Into<String>, value: impl Into<String>) -> Self {
        self.secrets.push((entry.into(), value.into()));
        self
    }

    /// Lists a place in the one entry of the Secret Store that holds all places: with a key, or as a marker without one. The
    /// label is empty for providers whose `secret` has none. The entries of hosts count no more once there is a place.
    pub fn place(mut self, prefix: impl Into<String>, label: &str, key: Option<&str>) -> Self {
        self.places.entry(prefix.into()).or_default().insert(label.to_owned(), key.map(str::to_owned));
        self
    }

    /// Lets the service go on with its own long answers; places must be listed too, since the same entry names both.
    pub fn continues(mut self) -> Self {
        self.continuation = Continuation::Itself;
        self
    }

    /// As [`GatewayOptions::continues`], but a second service goes on, and with what that hands on it goes on itself. It has no KV Store.
    pub fn continues_in_a_second_service(mut self) -> Self {
        self.continuation = Continuation::SecondService;
        self
    }

    /// Puts a value into the KV Store before the service starts.
    pub fn kv(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.kv.get_or_insert_default().push((key.into(), value.into()));
        self
    }

    /// Leaves the service without its KV Store, as when none is linked.
    pub fn without_kv(mut self) -> Self {
        self.kv = None;
        self
    }

    /// Places an address in a country (ISO 3166-1 alpha-2); the runtime itself places loopback in the US.
    pub fn country(mut self, address: IpAddr, code: impl Into<String>) -> Self {
        self.countries.push((address, code.into()));
        self
    }

    pub fn log(mut self, sink: LogSink) -> Self {
        self.log = Some(sink);
        self
    }

    /// Keeps requests from the guest that were not addressed to this machine ([`crate::loopback`]).
    pub fn loopback_hosts_only(mut self) -> Self {
        self.hosts = Hosts::Loopback;
        self
    }
}

/// A running service. It stops when it is dropped.
pub struct Gateway {
    addr: SocketAddr,
    kv: KvHandle,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Result<(), hyper14::Error>>,
    /// What goes on with its long answers, if that is a second service.
    _second: Option<Box<Gateway>>,
}

impl Gateway {
    /// Binds the port, compiles the Wasm and serves.
    pub async fn start(options: GatewayOptions) -> Result<Self> {
        let listener = TcpListener::bind(options.addr).with_context(|| format!("cannot listen on {}", options.addr))?;
        Self::start_on(listener, options).await
    }

    /// As [`Gateway::start`], on a port that is bound already; the options' address is not used.
    pub async fn start_on(listener: TcpListener, options: GatewayOptions) -> Result<Self> {
        let addr = listener.local_addr()?;
        let has_kv = options.kv.is_some();
        let second = match options.continuation {
            Continuation::Nobody | Continuation::Itself => None,
            Continuation::SecondService => {
                let options = options.clone().addr((Ipv4Addr::LOCALHOST, 0).into()).continues().without_kv();
                Some(Box::new(Box::pin(Self::start(options)).await?))
            }
        };
        let continuation = match options.continuation {
            Continuation::Nobody => None,
            Continuation::Itself | Continuation::SecondService => {
                Some(second.as_ref().map_or(addr, |second| second.addr))
            }
        };
        let secrets = secret_stores(&options, continuation);
        let (text_values, byte_values): (Vec<_>, Vec<_>) =
            options.kv.into_iter().flatten().partition(|(_, value)| std::str::from_utf8(value).is_ok());
        let config = local_config(has_kv.then_some(text_values), &options.countries)?;
        let stores = config.object_stores().clone();
        let parts = Parts {
            backends: backends(&options.backends)?,
            secrets,
            stores: stores.clone(),
            geolocation: config.geolocation().clone(),
            log: options.log,
        };
        let kv = KvHandle::new(stores);
        // The runtime's manifest can only hold text.
        for (key, value) in byte_values {
            kv.put(&key, value).await?;
        }
        let wasm = options.wasm;
        let context = spawn_blocking(move || compile(&wasm, parts)).await??;

        let mut viceroy = ViceroyService::new(context);
        let hosts = options.hosts;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = oneshot::channel::<()>();
        // Streamed events are small writes, which Nagle's algorithm would hold back.
        let server = hyper14::Server::from_tcp(listener)?
            .tcp_nodelay(true)
            .serve(make_service_fn(move |stream: &AddrStream| {
                let made = viceroy.call(stream);
                async move {
                    let guest = made.await?;
                    Ok::<_, Infallible>(service_fn(move |request| {
                        let mut guest = guest.clone();
                        async move {
                            match hosts {
                                Hosts::Loopback if !is_for_this_machine(&request) => Ok(not_local()),
                                Hosts::Any | Hosts::Loopback => guest.call(request).await,
                            }
                        }
                    }))
                }
            }))
            .with_graceful_shutdown(async {
                // A sender that was dropped means the same as one that was used.
                let _ = stopped.await;
            });
        Ok(Self { addr, kv, stop: Some(stop), server: tokio::spawn(server), _second: second })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base of every address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The running service's KV Store.
    pub fn kv(&self) -> KvHandle {
        self.kv.clone()
    }

    /// Takes no more requests, and waits a while for the answers that are under way.
    pub async fn stop(mut self) {
        self.stop.take();
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

fn is_for_this_machine<B>(request: &Request<B>) -> bool {
    let hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    loopback::is_for_this_machine(hosts, request.uri().authority().map(|authority| authority.as_str()))
}

fn not_local() -> Response<Body> {
    let mut response = Response::new(Body::from(loopback::NOT_LOCAL.as_bytes()));
    *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn backends(targets: &[(String, String, String)]) -> Result<HashMap<String, Arc<Backend>>> {
    let backend = |(name, host, url): &(String, String, String)| {
        let backend = Backend {
            uri: url.parse().with_context(|| format!("`{url}` is not a URL"))?,
            override_host: Some(HeaderValue::from_str(host).with_context(|| format!("`{host}` is not a host name"))?),
            cert_host: None,
            use_sni: true,
            grpc: false,
            first_byte_timeout: Some(BACKEND_TIMEOUT),
            between_bytes_timeout: Some(BACKEND_TIMEOUT),
            client_cert: None,
            ca_certs: Vec::new(),
            health: BackendHealth::Unknown,
        };
        Ok((name.clone(), Arc::new(backend)))
    };
    targets.iter().map(backend).collect()
}

fn secret_stores(options: &GatewayOptions, continuation: Option<SocketAddr>) -> SecretStores {
    let mut store = SecretStore::new();
    let mut entry = json!(options.places);
    if let Some(addr) = continuation {
        entry["continuation"] = json!(format!("http://{addr}"));
        entry["hmac"] = json!({ "local": options.root });
    }
    if entry != json!({}) {
        // The entry is called like the store.
        store.add_secret(STORE.to_owned(), entry.to_string().into());
    }
    for (entry, value) in &options.secrets {
        store.add_secret(entry.clone(), value.clone().into());
    }
    let mut stores = SecretStores::new();
    stores.add_store(STORE.to_owned(), store);
    stores
}

/// The runtime's manifest, by which alone it takes KV entries and places of addresses.
#[derive(Serialize)]
struct Manifest {
    local_server: LocalServer,
}

#[derive(Serialize)]
struct LocalServer {
    kv_stores: BTreeMap<&'static str, Vec<KvEntry>>,
    geolocation: Places,
}

#[derive(Serialize)]
struct KvEntry {
    key: String,
    data: String,
}

#[derive(Serialize)]
struct Places {
    format: &'static str,
    addresses: BTreeMap<String, Place>,
}

/// Everything that the guest's library wants of a place, or it takes the place for unknown.
#[derive(Serialize)]
struct Place {
    as_name: &'static str,
    as_number: u32,
    area_code: u16,
    city: &'static str,
    conn_speed: &'static str,
    conn_type: &'static str,
    continent: &'static str,
    country_code: String,
    country_code3: &'static str,
    country_name: &'static str,
    latitude: f64,
    longitude: f64,
    metro_code: i64,
    postal_code: &'static str,
    proxy_description: &'static str,
    proxy_type: &'static str,
    region: &'static str,
    utc_offset: i32,
}

impl Place {
    fn in_country(code: &str) -> Self {
        Self {
            as_name: "?",
            as_number: 0,
            area_code: 0,
            city: "?",
            conn_speed: "broadband",
            conn_type: "wired",
            continent: "EU",
            country_code: code.to_owned(),
            country_code3: "?",
            country_name: "?",
            latitude: 0.0,
            longitude: 0.0,
            metro_code: 0,
            postal_code: "?",
            proxy_description: "?",
            proxy_type: "?",
            region: "?",
            utc_offset: 0,
        }
    }
}

fn local_config(kv: Option<Vec<(String, Vec<u8>)>>, countries: &[(IpAddr, String)]) -> Result<FastlyConfig> {
    let entries = |values: Vec<(String, Vec<u8>)>| {
        let entry = |(key, value): (String, Vec<u8>)| {
            let data = String::from_utf8_lossy(&value).into_owned();
            KvEntry { key, data }
        };
        values.into_iter().map(entry).collect()
    };
    let manifest = Manifest {
        local_server: LocalServer {
            kv_stores: kv.map(|values| (STORE, entries(values))).into_iter().collect(),
            geolocation: Places {
                format: "inline-toml",
                addresses: countries
                    .iter()
                    .map(|(address, code)| (address.to_string(), Place::in_country(code)))
                    .collect(),
            },
        },
    };
    let text = toml::to_string(&manifest).context("the runtime's manifest cannot be written")?;
    text.parse().context("the runtime refuses its manifest")
}
