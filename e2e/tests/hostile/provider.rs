//! A provider that can send anything: one raw server for each host, and replies that each case makes for itself.
//!
//! A request says which case it belongs to by a mark in its text. Whoever has no case gets a good answer. The server
//! also guards the first promise: what comes to a host may carry that host's key only.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Chunks, dechunk};
use crate::planted::{PLANTED, Set};
use crate::reply::{self, Dialect, End, Reply, Said};

/// A request that came to a host.
#[derive(Debug)]
pub struct Asked {
    /// Its place in [`PLANTED`].
    pub host: usize,
    pub dialect: Dialect,
    pub streams: bool,
    /// The key that came with it.
    pub key: String,
    pub body: String,
    /// How many requests of the same case came before.
    pub before: usize,
}

type Plan = dyn Fn(&Asked) -> Reply + Send + Sync;

/// All hosts of one process.
pub struct Provider {
    pub addrs: Vec<SocketAddr>,
    /// A host that no policy may send anything to.
    pub trap: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    plans: Mutex<HashMap<u64, (Arc<Plan>, usize)>>,
    violations: Mutex<Vec<String>>,
}

/// The mark of a case, for the text of a request.
pub fn mark(case: u64) -> String {
    format!("{MARK}{case}-")
}

const MARK: &str = "hostile-case-";

fn marked(body: &str) -> Option<u64> {
    let after = &body[body.find(MARK)? + MARK.len()..];
    after.split('-').next()?.parse().ok()
}

impl Provider {
    /// Listens for all hosts.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let mut addrs = Vec::new();
        for host in 0..=PLANTED.len() {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            addrs.push(listener.local_addr().expect("an address"));
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    // A connection that fails is the other side's business.
                    tokio::spawn(async move { serve(stream, host, &shared).await.ok() });
                }
            });
        }
        let trap = addrs.pop().expect("the last one is the trap");
        Self { addrs, trap, shared }
    }

    /// What the requests of a case will get.
    pub fn plan(&self, case: u64, plan: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        self.shared.plans.lock().unwrap_or_else(PoisonError::into_inner).insert(case, (Arc::new(plan), 0));
    }

    /// Ends a case, and says how many requests came for it.
    pub fn forget(&self, case: u64) -> usize {
        let plan = self.shared.plans.lock().unwrap_or_else(PoisonError::into_inner).remove(&case);
        plan.map_or(0, |(_, asked)| asked)
    }

    /// Keys and requests that came where they do not belong, since the last call.
    pub fn violations(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.violations.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn note(&self, violation: String) {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(violation);
    }

    fn reply(&self, asked: &mut Asked) -> Reply {
        let plan = marked(&asked.body).and_then(|case| {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            let (plan, before) = plans.get_mut(&case)?;
            asked.before = *before;
            *before += 1;
            Some(Arc::clone(plan))
        });
        match plan {
            Some(plan) => plan(asked),
            None => reply::good(asked.dialect, asked.streams, &Said::new("All is well.")),
        }
    }

    fn check(&self, head: &str, asked: &Asked) {
        let Some(planted) = PLANTED.get(asked.host) else {
            self.note(format!(
                "the host that is listed nowhere was asked: {}",
                head.lines().next().unwrap_or_default()
            ));
            return;
        };
        // A provider that takes no key gets none.
        let own = [Set::First, Set::Second].map(|set| planted.key(set));
        if !asked.key.is_empty() && !own.contains(&asked.key.as_str()) {
            self.note(format!("{} got the key `{}`", planted.host, asked.key));
        }
        let lower = head.to_ascii_lowercase();
        let host = lower.lines().find_map(|line| line.strip_prefix("host:")).unwrap_or_default().trim().to_owned();
        if host != planted.host {
            self.note(format!("{} was asked as `{host}`", planted.host));
        }
    }
}

async fn serve(mut stream: TcpStream, host: usize, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let Some((head, body)) = read_request(&mut stream).await? else { return Ok(()) };
    let header = |name: &str| {
        let found = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        found.map(|line| line[name.len() + 1..].trim().to_owned())
    };
    let bearer = header("authorization").map(|value| value.trim_start_matches("Bearer ").to_owned());
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mut asked = Asked {
        host,
        dialect: if path.ends_with("/messages") { Dialect::Messages } else { Dialect::Chat },
        streams: body.contains("\"stream\":true"),
        key: bearer.or_else(|| header("x-api-key")).or_else(|| header("api-key")).unwrap_or_default(),
        body,
        before: 0,
    };
    shared.check(&head, &asked);
    let reply = shared.reply(&mut asked);
    for part in reply.parts {
        stream.write_all(&part).await?;
        stream.flush().await?;
        // The parts should not all be one read of the gateway's.
        tokio::task::yield_now().await;
    }
    match reply.end {
        End::Close => stream.shutdown().await?,
        End::Reset => stream.set_zero_linger()?,
    }
    Ok(())
}

/// The head and the body, or nothing if there is no whole request.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let body = &bytes[end + 4..];
            let whole = match length {
                Some(length) => (body.len() >= length).then(|| body.to_vec()),
                None if lower.contains("transfer-encoding: chunked") => {
                    let may_be_whole = bytes.ends_with(reply::LAST_CHUNK);
                    may_be_whole.then(|| dechunk(body)).and_then(Chunks::whole)
                }
                None => Some(Vec::new()),
            };
            if let Some(body) = whole {
                return Ok(Some((head, String::from_utf8_lossy(&body).into_owned())));
            }
        }
        let start = bytes.len();
        bytes.resize(start + 16 * 1024, 0);
        let read = stream.read(&mut bytes[start..]).await?;
        bytes.truncate(start + read);
        if read == 0 {
            return Ok(None);
        }
    }
}

/// Where some bytes stand first.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}
