//! Simulators of providers: HTTP servers on the loopback that answer as a provider does and refuse what it refuses.
//!
//! Nothing here imports the gateway: a simulator checks it from outside. Nor does anything need a Wasm engine, so that
//! the core is tested without one. Waiting on a clock happens only where a script asks for it.
//!
//! # Rooms, in reading order
//! A room may use those that are named before it, in this table. Checked by `tests/architecture`.
//!
//! | what | rooms |
//! | --- | --- |
//! | what came in, and when | `journal`, `stamp` |
//! | what a provider takes, as data; another dialect is another arm there and another module below | `profile`, `providers` |
//! | the language of faults and delays | `script` |
//! | what is said | `reply`, `said`, `task`, `sample`, `foreign`, `trouble_words` |
//! | Mercury as the gateway's classifier, and the dialects Chat Completions and Messages | `classifier`, `openai`, `messages` |
//! | plays a reply, faults included, and owns the connections | `delivery`, `server` |
//! | OpenAI's description of its API, for tests | `description` |

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

mod classifier;
mod delivery;
/// OpenAI's description of its API, for tests.
pub mod description;
mod foreign;
mod journal;
mod messages;
mod openai;
mod profile;
mod providers;
mod reply;
mod said;
mod sample;
mod script;
mod server;
mod stamp;
mod task;
mod trouble_words;

pub use journal::Recorded;
pub use messages::{judge as judge_messages_request, sign_hidden_thought, sign_thought};
pub use openai::judge as judge_chat_request;
pub use profile::{
    Answers, Claude, ClaudeSampling, Dialect, ForcedTools, Known, Model, Object, Profile, Quirk, Sampling, Thinking,
    Tools,
};
pub use script::{Script, ScriptError, Trouble, WORDS};
pub use stamp::{SENT_AT, now_ns};

use server::State;

/// A running simulator. Dropping it stops it: the port is closed, answers under way get a second to end.
pub struct Simulator {
    addr: SocketAddr,
    state: Arc<State>,
    // The server task sees the other end close when the simulator is dropped.
    _running: watch::Sender<()>,
}

impl Simulator {
    /// Binds `addr` (port 0 picks a free one) and serves from the current runtime.
    pub async fn start(profile: Profile, addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State::new(profile));
        let (running, stopped) = watch::channel(());
        tokio::spawn(server::serve(listener, Arc::clone(&state), stopped));
        Ok(Self { addr, state, _running: running })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn profile(&self) -> &Profile {
        &self.state.profile
    }

    /// Replaces what is left of the running script; the empty text goes back to normal answers.
    pub fn script(&self, text: &str) -> Result<(), ScriptError> {
        let script: Script = text.parse()?;
        *self.state.queue() = script.into();
        Ok(())
    }

    /// The requests since the start or the last `clear`, oldest first; of very many only the newest.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.journal.requests()
    }

    /// How many requests came since the start or the last `clear`.
    pub fn received(&self) -> u64 {
        self.state.journal.received()
    }

    /// Waits for the `number`th request (from 1) since the start or the last `clear`.
    ///
    /// # Panics
    /// If that request came so long ago that it is no longer kept.
    pub async fn request(&self, number: u64) -> Recorded {
        self.state.journal.request(number).await
    }

    /// The request after those that came before this call; waiting starts with the first poll.
    pub fn next_request(&self) -> impl Future<Output = Recorded> + '_ {
        self.request(self.received() + 1)
    }

    /// How many clients went away before their answer was whole.
    pub fn gone(&self) -> u64 {
        self.state.journal.gone()
    }

    /// Waits until `count` clients in all went away before their answer was whole.
    pub async fn client_gone(&self, count: u64) {
        self.state.journal.client_gone(count).await;
    }

    /// Forgets requests and counts, not the script.
    pub fn clear(&self) {
        self.state.journal.clear();
    }
}
