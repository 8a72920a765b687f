//! Which endpoint a request is for.

use http::{HeaderMap, Method};

use crate::door::unserved;
use crate::error::{Error, Kind};
use crate::wire::door::Door;

/// The header in which every client of Anthropic's API names the version that it knows.
const ANTHROPIC_VERSION: &str = "anthropic-version";

/// An endpoint (docs/contract.md, HTTP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    ChatCompletions,
    /// Anthropic's Messages.
    Messages,
    /// How many tokens a request of the Messages API has.
    CountTokens,
    /// Whether anybody is there, as Claude Code asks.
    Hello,
    Models,
    /// One model by its name.
    Model(String),
    /// The decision alone.
    Decision,
    Health,
    /// A CORS preflight, for any path: without it a browser does not ask, and shows nobody the 404 that it would get.
    Preflight,
}

impl Route {
    /// Whether a body comes with it.
    pub fn takes_body(&self) -> bool {
        matches!(self, Route::ChatCompletions | Route::Messages | Route::CountTokens | Route::Decision)
    }

    /// Whether what the POP knows of the providers matters.
    pub fn looks_at_pop(&self) -> bool {
        matches!(self, Route::ChatCompletions | Route::Messages | Route::CountTokens | Route::Decision | Route::Health)
    }

    /// Whether it is for clients alone.
    pub fn needs_key(&self) -> bool {
        !matches!(self, Route::Preflight | Route::Health | Route::Hello)
    }
}

/// Whether the query of a request for a decision lets the classifier be asked.
pub fn lets_classify(query: Option<&str>) -> bool {
    query.is_none_or(|query| !query.split('&').any(|pair| pair == "classify=false"))
}

const METHODS_POST: &str = "POST, OPTIONS";
const METHODS_GET: &str = "GET, OPTIONS";

/// Path and query of a request's URL, whatever its host is. What is no absolute URL, such as the target `*`, is all path.
pub fn target(url: &str) -> (&str, Option<&str>) {
    let is_scheme = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let below = match url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        Some((_, rest)) => &rest[rest.find(['/', '?', '#']).unwrap_or(rest.len())..],
        None => url,
    };
    let below = below.split('#').next().unwrap_or_default();
    match below.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (below, None),
    }
}

/// Which API whoever asks speaks: that of the path, else that of which it names a version in its headers.
pub fn door(path: &str, client_headers: &HeaderMap) -> Door {
    let below = below_version(path);
    let speaks_messages = client_headers.contains_key(ANTHROPIC_VERSION) && !below.starts_with("/chat/");
    if speaks_messages || below.starts_with("/messages") { Door::Messages } else { Door::Chat }
}

/// What stands behind `/v1`, which may be left out.
fn below_version(path: &str) -> &str {
    path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Finds the endpoint; paths work with and without `/v1`, since SDKs differ.
///
/// # Errors
/// [`Kind::UnknownPath`], [`Kind::MethodNotAllowed`].
pub fn find(method: &Method, path: &str) -> Result<Route, Error> {
    if method == Method::OPTIONS && path.starts_with('/') {
        return Ok(Route::Preflight);
    }
    let below = below_version(path);
    let below = below.strip_suffix('/').unwrap_or(below);
    let (route, methods) = match below {
        "/chat/completions" => (Route::ChatCompletions, METHODS_POST),
        "/messages" => (Route::Messages, METHODS_POST),
        "/messages/count_tokens" => (Route::CountTokens, METHODS_POST),
        "/route" => (Route::Decision, METHODS_POST),
        "/models" => (Route::Models, METHODS_GET),
        "/healthz" => (Route::Health, METHODS_GET),
        "/api/hello" => (Route::Hello, METHODS_GET),
        other => match other.strip_prefix("/models/") {
            Some(name) => (Route::Model(percent_decoded(name)), METHODS_GET),
            None => return Err(unknown(other)),
        },
    };
    match *method {
        Method::POST if methods == METHODS_POST => Ok(route),
        Method::GET if methods == METHODS_GET => Ok(route),
        // Load balancers probe with it; the platform leaves the body out.
        Method::HEAD if matches!(route, Route::Health | Route::Hello) => Ok(route),
        _ => {
            let message = format!("This path takes {methods}.");
            Err(Error::new(Kind::MethodNotAllowed(methods), message))
        }
    }
}

/// What is told of a path that is none of an endpoint.
pub fn unknown(path: &str) -> Error {
    Error::new(Kind::UnknownPath, unserved::explain(path))
}

/// The name that a part of a path stands for (RFC 3986, section 2.1), since SDKs write the slash in one as `%2F`. What is no
/// such writing stays as it is.
pub fn percent_decoded(part: &str) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let pair = behind.first_chunk::<2>().filter(|_| *first == b'%');
        let code = pair.and_then(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?));
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_behind_any_host() {
        for (url, path, query) in [
            ("http://gateway.test/v1/models", "/v1/models", None),
            ("http://localhost:99999/v1/models?a=b", "/v1/models", Some("a=b")),
            ("http://256.1.1.1?a?b#c", "", Some("a?b")),
            ("https://xn--/a#b?c", "/a", None),
            ("http://gateway.test", "", None),
            ("*", "*", None),
            ("/v1/models?u=http://x/y", "/v1/models", Some("u=http://x/y")),
            ("", "", None),
        ] {
            assert_eq!(target(url), (path, query), "{url}");
        }
    }

    #[test]
    fn paths_and_methods() {
        for (method, path, expected) in [
            (Method::POST, "/v1/chat/completions", Ok(Route::ChatCompletions)),
            (Method::POST, "/chat/completions/", Ok(Route::ChatCompletions)),
            (Method::GET, "/v1/models", Ok(Route::Models)),
            (Method::GET, "/v1/models/vendor/name", Ok(Route::Model("vendor/name".into()))),
            (Method::POST, "/v1/route", Ok(Route::Decision)),
            (Method::GET, "/healthz", Ok(Route::Health)),
            (Method::HEAD, "/healthz", Ok(Route::Health)),
            (Method::OPTIONS, "/v1/chat/completions", Ok(Route::Preflight)),
            (Method::GET, "/v1/chat/completions", Err(Kind::MethodNotAllowed(METHODS_POST))),
            (Method::DELETE, "/v1/models", Err(Kind::MethodNotAllowed(METHODS_GET))),
            (Method::GET, "/", Err(Kind::UnknownPath)),
            (Method::POST, "/v1", Err(Kind::UnknownPath)),
            (Method::POST, "/v1chat/completions", Err(Kind::UnknownPath)),
            (Method::GET, "/v1/models/vendor%2fn%C3%A4me%", Ok(Route::Model("vendor/näme%".into()))),
            (Method::GET, "/v1/models/%FF%2", Ok(Route::Model("%FF%2".into()))),
            (Method::OPTIONS, "/nowhere", Ok(Route::Preflight)),
            (Method::OPTIONS, "*", Err(Kind::UnknownPath)),
            (Method::GET, "/nowhere", Err(Kind::UnknownPath)),
        ] {
            assert_eq!(find(&method, path).map_err(|error| error.kind), expected, "{method} {path}");
        }
    }
}
