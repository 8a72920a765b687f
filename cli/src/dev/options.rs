//! What `tiergate dev` may be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::client::Client;

/// The options of the command line, which shows their comments as help.
#[derive(Args)]
pub struct DevOptions {
    /// Where the gateway listens; loopback only
    #[arg(long, default_value = "127.0.0.1:7676")]
    pub addr: SocketAddr,
    /// The policy to start with, instead of the shipped policy/default.json
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// A provider's key, read from a file; the entry is named after the provider's host; may be repeated
    #[arg(long, value_name = "HOST=FILE")]
    pub secret_file: Vec<String>,
    /// A provider's key, read from this variable of the environment; may be repeated
    #[arg(long, value_name = "HOST=VARIABLE")]
    pub secret_env: Vec<String>,
    /// A provider's key itself, which every user of this machine can see in the list of processes; may be repeated
    #[arg(long, value_name = "HOST=VALUE")]
    pub secret: Vec<String>,
    /// Sends a host's traffic to this URL instead of a simulator; may be repeated
    #[arg(long, value_name = "HOST=URL")]
    pub backend: Vec<String>,
    /// Talks to this provider of the policy itself; the key is the one that was given for its host, or that in the
    /// variable which everybody uses for this host (OPENAI_API_KEY for api.openai.com); may be repeated
    #[arg(long, value_name = "PROVIDER")]
    pub real: Vec<String>,
    /// Plays this provider, which the policy has on this machine (vLLM, Ollama), in place of the server there; may be repeated
    #[arg(long, value_name = "PROVIDER")]
    pub simulate: Vec<String>,
    /// Rehearses an outage: what this provider's simulator does to its next requests, as a fault script
    /// (docs/simulators.md); may be repeated
    #[arg(long, value_name = "PROVIDER=SCRIPT")]
    pub fault: Vec<String>,
    /// Starts no simulators: a provider without --backend or --real has no key
    #[arg(long)]
    pub no_simulators: bool,
    /// Where the stand-in for Fastly's KV API listens; loopback only. It wants the token that is printed, which
    /// TIERGATE_KV_TOKEN may choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7677")]
    pub kv_api: SocketAddr,
    /// Prints the lines for this client alone
    #[arg(long = "for", value_name = "CLIENT", value_enum)]
    pub client: Option<Client>,
    /// Appends the log's JSON lines to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Runs this Wasm instead of building the gateway
    #[arg(long, value_name = "FILE")]
    pub wasm: Option<PathBuf>,
}
