//! What `tiergate bench` may be told.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// The gateway against the null proxy
    #[default]
    Overhead,
    /// The same with an agent's requests: whole answers to bodies of 31 and 400 KB with 60 tools; --body-bytes does not apply
    Agent,
    /// An event of a stream against a loop that reads, writes and flushes; only --requests (streams), --rounds, --body-bytes and
    /// --json apply
    Relay,
    /// A first candidate that fails against the second listed first; only --rounds, --body-bytes and --json apply
    Outage,
    /// The translation between dialects alone, timed inside Wasm; only --rounds and --json apply
    Translate,
}

/// The options of the command line, which shows their comments as help.
#[derive(Args, Clone, Debug)]
pub struct BenchOptions {
    #[arg(long, value_enum, default_value_t)]
    pub scenario: Scenario,
    /// Seconds for each row, number of connections and round, about: as many requests as the round before lets expect
    #[arg(long, default_value = "5")]
    pub seconds: NonZeroU64,
    /// Requests for each row, number of connections and round, instead of seconds; a stream counts as one per event
    #[arg(long, conflicts_with = "seconds")]
    pub requests: Option<NonZeroU64>,
    #[arg(long, default_value = "3")]
    pub rounds: NonZeroU32,
    /// Numbers of connections, each sending its next request when it has its answer
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pub connections: Vec<NonZeroU32>,
    /// Measures these rows only
    #[arg(long, value_name = "ROWS", value_delimiter = ',')]
    pub only: Vec<String>,
    /// A further OpenAI-compatible gateway, whose upstream should be that of --upstream-addr; may be repeated
    #[arg(long, value_name = "NAME=URL", value_parser = parse_target)]
    pub target: Vec<Target>,
    /// A header for the requests to a target; may be repeated
    #[arg(long, value_name = "NAME:HEADER=VALUE", value_parser = parse_target_header)]
    pub target_header: Vec<TargetHeader>,
    /// Another build of the gateway, measured beside this one; may be repeated
    #[arg(long, value_name = "NAME=WASM", value_parser = parse_build)]
    pub build: Vec<Build>,
    /// Where the mock upstream listens; it takes any key
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub upstream_addr: SocketAddr,
    /// Size of a request
    #[arg(long, default_value = "2048")]
    pub body_bytes: usize,
    /// Events of a stream that carry text
    #[arg(long, default_value = "50")]
    pub events: NonZeroU64,
    /// Time between the events of a stream
    #[arg(long, default_value = "10")]
    pub gap_ms: u64,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Another gateway to measure.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    /// Up to where `/chat/completions` follows.
    pub url: String,
}

/// Another build of the gateway.
#[derive(Clone, Debug)]
pub struct Build {
    pub name: String,
    pub wasm: PathBuf,
}

#[derive(Clone, Debug)]
pub struct TargetHeader {
    pub target: String,
    pub name: HeaderName,
    pub value: HeaderValue,
}

impl BenchOptions {
    /// The headers that `--target-header` gives for a target.
    pub fn headers_for(&self, target: &str) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for header in self.target_header.iter().filter(|header| header.target == target) {
            headers.try_append(header.name.clone(), header.value.clone())?;
        }
        Ok(headers)
    }
}

fn parse_target(text: &str) -> Result<Target, String> {
    let (name, url) = text.split_once('=').ok_or("must be NAME=URL")?;
    if name.is_empty() || name.contains(':') {
        return Err("the name may not be empty or hold a colon".to_owned());
    }
    Ok(Target { name: name.to_owned(), url: url.to_owned() })
}

fn parse_build(text: &str) -> Result<Build, String> {
    match text.split_once('=') {
        Some((name, wasm)) if !name.is_empty() => Ok(Build { name: name.to_owned(), wasm: wasm.into() }),
        Some(_) | None => Err("must be NAME=WASM".to_owned()),
    }
}

fn parse_target_header(text: &str) -> Result<TargetHeader, String> {
    let parts = || {
        let (target, header) = text.split_once(':')?;
        let (name, value) = header.split_once('=')?;
        Some((target, name, value))
    };
    let (target, name, value) = parts().ok_or("must be NAME:HEADER=VALUE")?;
    let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(TargetHeader {
        target: target.to_owned(),
        name: name.parse().map_err(|_| format!("`{name}` is not a header name"))?,
        value,
    })
}
