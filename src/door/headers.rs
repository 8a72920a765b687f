//! The headers of a client's request: what it asks of the routing, and what it says of its body.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};

use crate::door::answer_headers;
use crate::error::{Error, Kind};
use crate::mask::keys::without_known_shapes;
use crate::wire::coding::{Coding, READ_CODINGS, coding};
use crate::wire::media::JSON;

/// A client's routing headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteHeaders {
    pub tier: Option<String>,
    pub model: Option<String>,
    /// An affinity token; none is issued yet, so each one is foreign.
    pub affinity: Option<String>,
    pub timeout: Option<Duration>,
    pub tags: BTreeMap<String, String>,
}

/// All routing headers, which browsers may send too. None goes to a provider.
pub const ROUTING: [&str; 7] = [TIER, MODEL, SESSION, AFFINITY, CACHE, TIMEOUT, TAGS];

const PREFIX: &str = "x-route-";
const TIER: &str = "x-route-tier";
const MODEL: &str = "x-route-model";
const SESSION: &str = "x-route-session";
const AFFINITY: &str = "x-route-affinity";
const CACHE: &str = "x-route-cache";
const TIMEOUT: &str = "x-route-timeout-ms";
const TAGS: &str = "x-route-tags";

const MAX_TAGS: usize = 16;
const MAX_TAG_BYTES: usize = 128;
/// The longest part of a client's own word that a message shows, in bytes.
const MAX_SHOWN_BYTES: usize = 64;
const MAX_SESSION_BYTES: usize = 256;
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 1..=1_800_000;

/// Reads the routing headers.
///
/// # Errors
/// [`Kind::InvalidHeader`] that names the header and its valid values. Names of tiers and models are checked later, by
/// the policy.
pub fn parse_route_headers(headers: &HeaderMap) -> Result<RouteHeaders, Error> {
    if let Some(name) = headers.keys().map(HeaderName::as_str).find(|name| is_unknown(name)) {
        return Err(unknown(name));
    }
    let cache = single(headers, CACHE)?;
    if cache.is_some_and(|value| !matches!(value, "no-store" | "no-cache")) {
        return Err(invalid(CACHE, "one of: no-store, no-cache"));
    }
    if single(headers, SESSION)?.is_some_and(|session| session.len() > MAX_SESSION_BYTES) {
        return Err(invalid(SESSION, "an id of 1 to 256 characters"));
    }
    let timeout = match single(headers, TIMEOUT)? {
        None => None,
        Some(value) => match value.parse() {
            Ok(milliseconds) if TIMEOUT_MS.contains(&milliseconds) => Some(Duration::from_millis(milliseconds)),
            _ => {
                return Err(invalid(TIMEOUT, "a whole number of milliseconds from 1 to 1800000"));
            }
        },
    };
    Ok(RouteHeaders {
        tier: single(headers, TIER)?.map(str::to_owned),
        model: single(headers, MODEL)?.map(str::to_owned),
        affinity: single(headers, AFFINITY)?.map(str::to_owned),
        timeout,
        tags: single(headers, TAGS)?.map_or(Ok(BTreeMap::new()), parse_tags)?,
    })
}

/// Whether a header looks like one for the gateway and is none. A demand that is misspelt must not be passed over, and one that
/// says who has served (`x-route-provider`) must not pass for a demand, so those of answers are no exception.
fn is_unknown(name: &str) -> bool {
    name.starts_with(PREFIX) && !ROUTING.contains(&name)
}

fn unknown(name: &str) -> Error {
    let hint = if answer_headers::SENT.contains(&name) { ", which is a header of answers" } else { "" };
    let (name, valid) = (without_known_shapes(name, MAX_SHOWN_BYTES), ROUTING.join(", "));
    Error::new(Kind::InvalidHeader, format!("There is no header `{name}` for requests{hint}; valid: {valid}."))
}

fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    match first.to_str() {
        Ok(value) if values.next().is_none() && !value.trim().is_empty() => Ok(Some(value.trim())),
        _ => Err(invalid(name, "one value of visible ASCII characters")),
    }
}

fn parse_tags(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let expected = "up to 16 pairs such as team=search,job=nightly, names and values of up to 128 characters each";
    let tags: BTreeMap<String, String> = text
        .split(',')
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let fits = !name.is_empty() && name.len() <= MAX_TAG_BYTES && value.len() <= MAX_TAG_BYTES;
            fits.then(|| (name.to_owned(), value.to_owned()))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| invalid(TAGS, expected))?;
    if tags.len() > MAX_TAGS {
        return Err(invalid(TAGS, expected));
    }
    Ok(tags)
}

fn invalid(name: &str, expected: &str) -> Error {
    Error::new(Kind::InvalidHeader, format!("The header {name} must be {expected}."))
}

/// Checks that a body is what the gateway reads, by the headers that describe it, and gives the coding that it has.
///
/// Browsers send forms and plain text to any host without asking first, so nothing but JSON passes for JSON.
///
/// # Errors
/// [`Kind::UnsupportedContent`] or [`Kind::UnsupportedCoding`] that says what is expected.
pub fn check_content(headers: &HeaderMap) -> Result<Option<Coding>, Error> {
    let Ok(coding) = coding(headers) else {
        let named = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
        let named = without_known_shapes(&named.collect::<Vec<_>>().join(", "), MAX_SHOWN_BYTES);
        let message = format!(
            "The body comes with the content-encoding `{named}`; valid: one of {READ_CODINGS}, identity, or none. \
             Most clients that compress can be told to send the body as it is."
        );
        return Err(Error::new(Kind::UnsupportedCoding, message));
    };
    let mut types = headers.get_all(CONTENT_TYPE).iter().map(|value| value.to_str().unwrap_or_default());
    match (types.next(), types.next()) {
        (None, _) => Ok(coding),
        (Some(given), None) if is_json(given) => Ok(coding),
        (Some(given), _) => {
            let given = without_known_shapes(given, MAX_SHOWN_BYTES);
            let message = format!(
                "The body comes with the content-type `{given}`; valid: {JSON} (curl -d sends another one unless it is told: \
                 -H 'content-type: {JSON}')."
            );
            Err(Error::new(Kind::UnsupportedContent, message))
        }
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    match essence.split_once('/') {
        Some(("application", "json")) => true,
        Some((kind, subtype)) => plain(kind) && subtype.strip_suffix("+json").is_some_and(plain),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn routing_headers_are_read_or_refused() {
        let headers = map(&[("x-route-tier", "fast"), ("x-route-timeout-ms", "2500"), ("x-route-tags", "a=1, b = 2")]);
        let parsed = parse_route_headers(&headers).expect("valid");
        assert_eq!(parsed.tier.as_deref(), Some("fast"));
        assert_eq!(parsed.timeout, Some(Duration::from_millis(2500)));
        assert_eq!(parsed.tags, BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]));
        for (name, value) in [
            ("x-route-tier", " "),
            ("x-route-cache", "never"),
            ("x-route-timeout-ms", "0"),
            ("x-route-timeout-ms", "soon"),
            ("x-route-timeout-ms", "1800001"),
            ("x-route-tags", "a"),
            ("x-route-tags", "=1"),
        ] {
            let error = parse_route_headers(&map(&[(name, value)])).expect_err(value);
            assert!(error.message.contains(name), "{error:?}");
        }
        let mut twice = map(&[("x-route-tier", "fast")]);
        twice.append("x-route-tier", HeaderValue::from_static("quality"));
        assert!(parse_route_headers(&twice).is_err());
    }

    #[test]
    fn only_json_passes_for_json() {
        for (given, expected) in [
            (&[][..], true),
            (&[("content-type", "application/json")], true),
            (&[("content-type", "Application/JSON; charset=utf-8")], true),
            (&[("content-type", "application/problem+json ;v=1")], true),
            (&[("content-type", "application/json"), ("content-encoding", "identity")], true),
            (&[("content-type", "")], false),
            (&[("content-type", "text/plain")], false),
            (&[("content-type", "text/plain; a=+json")], false),
            (&[("content-type", "text/plain, application/json")], false),
            (&[("content-type", "text/plain,a/b+json")], false),
            (&[("content-type", "application/x-www-form-urlencoded")], false),
            (&[("content-type", "multipart/form-data; boundary=application/json")], false),
            (&[("content-type", "application/jsonl")], false),
            (&[("content-type", "json")], false),
            (&[("content-type", "application/+json")], false),
            (&[("content-type", "application/json"), ("content-type", "text/plain")], false),
            (&[("content-encoding", "gzip")], true),
            (&[("content-encoding", "identity"), ("content-encoding", "Deflate")], true),
            (&[("content-encoding", "identity, br")], false),
            (&[("content-encoding", "zstd")], false),
            (&[("content-encoding", "gzip, gzip")], false),
            (&[("content-encoding", "gzip"), ("content-type", "text/plain")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let result = check_content(&headers);
            assert_eq!(result.is_ok(), expected, "{given:?}");
            let names_it =
                |error: Error| error.message.contains("application/json") || error.message.contains("identity");
            assert!(result.err().is_none_or(names_it), "{given:?}");
        }
    }
}
