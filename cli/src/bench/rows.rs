//! The rows of the benchmark: who is asked, with which request.

use std::sync::Arc;

use anyhow::{Result, ensure};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::json;
use tiergate_guests::agent;

use super::load::{Expected, Shot};
use super::options::{BenchOptions, Scenario, Target};
use super::rig::{MODEL, Rig, Service, TIER, Upstream};

const NULL_PROXY: &str = "null-proxy";
const BYPASS: &str = "bypass";
/// A row, and how its requests are decided.
const CLASSIFIER: &str = "classifier";
const STREAM: &str = "-stream";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Whole,
    Stream,
}

/// The guest that answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerer {
    NullProxy,
    Tiergate,
    /// The gateway in the build of this position.
    Build(usize),
    /// Nobody whose guest could be watched.
    Other,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub kind: Kind,
    pub answerer: Answerer,
    /// How the gateway must decide, as its log line says it.
    pub source: Option<&'static str>,
    pub shot: Arc<Shot>,
}

impl Row {
    /// Whether `other` is compared with this row: the null proxy's with the same request.
    pub fn is_baseline_of(&self, other: &Row) -> bool {
        self.answerer == Answerer::NullProxy && self.kind == other.kind && self.shot.body() == other.shot.body()
    }
}

/// Somebody who answers: up to where `/chat/completions` follows, and with which headers.
struct Asked {
    name: String,
    answerer: Answerer,
    source: Option<&'static str>,
    base: String,
    headers: HeaderMap,
}

/// A request that rows have in common.
struct Form {
    /// What the names of its rows end with.
    suffix: String,
    kind: Kind,
    body: Bytes,
}

/// All rows in the order of the table, or those that `--only` names.
pub fn rows(options: &BenchOptions, rig: &Rig, upstream: Upstream) -> Result<Vec<Row>> {
    let forms = forms(options)?;
    let asked = asked(options, rig)?;
    let mut rows = Vec::new();
    for Form { suffix, kind, body } in &forms {
        let expected = match kind {
            Kind::Whole => Expected::Whole(upstream.answer().len()),
            Kind::Stream => Expected::Stream(upstream.events),
        };
        for asked in &asked {
            // It is asked before anything else, so that one form of request says all.
            if asked.source == Some(CLASSIFIER) && !suffix.is_empty() {
                continue;
            }
            let shot = Shot::new(&asked.base, asked.headers.clone(), body.clone(), expected)?;
            rows.push(Row {
                name: format!("{}{suffix}", asked.name),
                kind: *kind,
                answerer: asked.answerer,
                source: asked.source,
                shot: Arc::new(shot),
            });
        }
    }
    for name in &options.only {
        let names = || rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ");
        ensure!(rows.iter().any(|row| row.name == *name), "there is no row `{name}`; the rows are {}", names());
    }
    rows.retain(|row| options.only.is_empty() || options.only.contains(&row.name));
    Ok(rows)
}

fn asked(options: &BenchOptions, rig: &Rig) -> Result<Vec<Asked>> {
    let mut key = HeaderMap::new();
    key.insert(AUTHORIZATION, format!("Bearer {}", rig.key).parse()?);
    let mut bypass = key.clone();
    bypass.insert(HeaderName::from_static("x-route-tier"), HeaderValue::from_static(TIER));
    let base = |url: &str| format!("{url}/v1");
    let of_gateway = |name: &str, answerer, service: &Service| Asked {
        name: name.to_owned(),
        answerer,
        source: Some("header"),
        base: base(&service.url),
        headers: bypass.clone(),
    };
    let without_key = |name: &str, answerer, url: &str| Asked {
        name: name.to_owned(),
        answerer,
        source: None,
        base: base(url),
        headers: HeaderMap::new(),
    };
    let mut asked = vec![
        without_key("upstream", Answerer::Other, &format!("http://{}", rig.upstream.addr())),
        without_key(NULL_PROXY, Answerer::NullProxy, &rig.null_proxy.url),
        of_gateway(BYPASS, Answerer::Tiergate, &rig.tiergate),
    ];
    for (position, (build, service)) in options.build.iter().zip(&rig.builds).enumerate() {
        asked.push(of_gateway(&build.name, Answerer::Build(position), service));
    }
    let classifier = of_gateway(CLASSIFIER, Answerer::Tiergate, &rig.tiergate);
    asked.push(Asked { source: Some(CLASSIFIER), headers: key, ..classifier });
    for Target { name, url } in &options.target {
        let headers = options.headers_for(name)?;
        asked.push(Asked { name: name.clone(), answerer: Answerer::Other, source: None, base: url.clone(), headers });
    }
    Ok(asked)
}

fn forms(options: &BenchOptions) -> Result<Vec<Form>> {
    let of_kind = |suffix: &str, kind| {
        anyhow::Ok(Form { suffix: suffix.to_owned(), kind, body: request_body(options.body_bytes, kind)? })
    };
    match options.scenario {
        Scenario::Agent => Ok(agent::KILOBYTES.map(agent_form).into()),
        Scenario::Overhead | Scenario::Outage | Scenario::Relay | Scenario::Translate => {
            Ok(vec![of_kind("", Kind::Whole)?, of_kind(STREAM, Kind::Stream)?])
        }
    }
}

/// A whole answer to an agent: of streams the relay is another scenario's matter.
fn agent_form(kilobytes: usize) -> Form {
    let mut request = agent::request(kilobytes * 1_000);
    request["model"] = json!(MODEL);
    request["stream"] = json!(false);
    Form { suffix: format!("-{kilobytes}kb"), kind: Kind::Whole, body: request.to_string().into() }
}

/// A chat completion of exactly `length` bytes.
pub fn request_body(length: usize, kind: Kind) -> Result<Bytes> {
    let with_text = |text: &str| {
        json!({
            "model": MODEL,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": text},
            ],
            "stream": kind == Kind::Stream,
        })
        .to_string()
    };
    let frame = with_text("").len();
    ensure!(length >= frame, "--body-bytes must be at least {frame}");
    Ok(with_text(&words(length - frame)).into())
}

/// A text of so many bytes.
pub fn words(length: usize) -> String {
    "please tell me more about that ".chars().cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_as_long_as_asked() -> Result<()> {
        for kind in [Kind::Whole, Kind::Stream] {
            assert_eq!(request_body(2048, kind)?.len(), 2048);
            assert!(request_body(20, kind).is_err());
        }
        Ok(())
    }
}
