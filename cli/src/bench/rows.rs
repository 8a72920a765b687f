//! The rows of the benchmark: who is asked, with which request.

use std::sync::Arc;

use anyhow::{Result, ensure};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::json;

use super::load::{Expected, Shot};
use super::options::BenchOptions;
use super::rig::{MODEL, Rig, TIER, Upstream};

/// What the rows of a kind are compared with.
pub const NULL_PROXY: &str = "null-proxy";
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
    /// The row's name, for the row of its kind that others are compared with.
    pub fn is_baseline(&self) -> bool {
        self.name == NULL_PROXY || self.name.strip_suffix(STREAM) == Some(NULL_PROXY)
    }
}

/// All rows in the order of the table, or those that `--only` names.
pub fn rows(options: &BenchOptions, rig: &Rig, upstream: Upstream) -> Result<Vec<Row>> {
    let base = |url: &str| format!("{url}/v1");
    let mut key = HeaderMap::new();
    key.insert(AUTHORIZATION, format!("Bearer {}", rig.key).parse()?);
    let mut bypass = key.clone();
    bypass.insert(HeaderName::from_static("x-route-tier"), HeaderValue::from_static(TIER));

    let upstream_base = base(&format!("http://{}", rig.upstream.addr()));
    let null_proxy = base(&rig.null_proxy.url);
    let tiergate = base(&rig.tiergate.url);
    let none = HeaderMap::new();
    let mut plan = vec![
        ("upstream".to_owned(), Kind::Whole, Answerer::Other, None, &upstream_base, &none),
        (NULL_PROXY.to_owned(), Kind::Whole, Answerer::NullProxy, None, &null_proxy, &none),
        ("bypass".to_owned(), Kind::Whole, Answerer::Tiergate, Some("header"), &tiergate, &bypass),
        ("classifier".to_owned(), Kind::Whole, Answerer::Tiergate, Some("classifier"), &tiergate, &key),
    ];
    let targets = options
        .target
        .iter()
        .map(|target| Ok((&target.name, &target.url, options.headers_for(&target.name)?)))
        .collect::<Result<Vec<_>>>()?;
    for (name, url, headers) in &targets {
        plan.push(((*name).clone(), Kind::Whole, Answerer::Other, None, url, headers));
    }
    let stream = |name: &str| format!("{name}{STREAM}");
    plan.push((stream("upstream"), Kind::Stream, Answerer::Other, None, &upstream_base, &none));
    plan.push((stream(NULL_PROXY), Kind::Stream, Answerer::NullProxy, None, &null_proxy, &none));
    plan.push((stream("bypass"), Kind::Stream, Answerer::Tiergate, Some("header"), &tiergate, &bypass));
    for (name, url, headers) in &targets {
        plan.push((stream(name), Kind::Stream, Answerer::Other, None, url, headers));
    }

    let names: Vec<String> = plan.iter().map(|row| row.0.clone()).collect();
    for name in &options.only {
        ensure!(names.contains(name), "there is no row `{name}`; the rows are {}", names.join(", "));
    }
    let answer_bytes = upstream.answer().len();
    plan.into_iter()
        .filter(|row| options.only.is_empty() || options.only.contains(&row.0))
        .map(|(name, kind, answerer, source, base, headers)| {
            let expected = match kind {
                Kind::Whole => Expected::Whole(answer_bytes),
                Kind::Stream => Expected::Stream(upstream.events),
            };
            let body = request_body(options.body_bytes, kind)?;
            Ok(Row { shot: Arc::new(Shot::new(base, headers.clone(), body, expected)?), name, kind, answerer, source })
        })
        .collect()
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
    let text: String = "please tell me more about that ".chars().cycle().take(length - frame).collect();
    Ok(with_text(&text).into())
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
