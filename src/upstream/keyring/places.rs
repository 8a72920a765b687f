//! The Secret Store entry `tiergate`: which URL prefixes prompts may go to, and with which keys.
//!
//! One JSON object. Each name is a URL prefix, as a `base_url` is written; its value is a key, `null` for a place that
//! gets prompts but no key, or an object of these by label. `hmac` is no prefix: it holds the named roots of tokens that the
//! gateway makes itself; nor is `continuation`: it is the URL of the service that goes on with long answers. The longest prefix alone decides. A fault says where it is and what would be valid, never what stands
//! there: it may be a key.

use serde_json::Error;

use crate::policy::BaseUrl;
use crate::policy::json::Node;
use crate::secret::Secret;

/// The name of the object of roots.
const ROOTS: &str = "hmac";
/// The name of the URL of the service that goes on with long answers.
const CONTINUATION: &str = "continuation";
/// The most roots: a new one, and those before it whose tokens are still about.
const MAX_ROOTS: usize = 8;
/// The shortest root, in bytes.
const MIN_ROOT_BYTES: usize = 32;

/// A key, or nothing for a marker.
pub type Key = Option<Secret<String>>;

/// What the entry says; `Debug` shows no key.
#[derive(Debug)]
pub struct Places {
    places: Vec<ListedPlace>,
    roots: Vec<Secret<String>>,
    continuation: Option<BaseUrl>,
}

#[derive(Debug)]
struct ListedPlace {
    prefix: BaseUrl,
    /// By label; the empty label is that of a provider whose `secret` names none.
    keys: Vec<(String, Key)>,
}

impl Places {
    /// # Errors
    /// What is wrong, without a word of the text.
    pub fn parse(text: &str) -> Result<Places, String> {
        let at = |error: Error| format!("not valid JSON at line {}, column {}", error.line(), error.column());
        let Node::Object(entries) = serde_json::from_str(text).map_err(at)? else {
            return Err("not a JSON object of URL prefixes".to_owned());
        };
        let mut places: Vec<ListedPlace> = Vec::new();
        let (mut roots, mut continuation) = (None, None);
        for (position, (name, value)) in entries.into_iter().enumerate() {
            let fault = |what: &str| format!("entry {} of the object: {what}", position + 1);
            if name == ROOTS {
                if roots.replace(parse_roots(value).map_err(fault)?).is_some() {
                    return Err(format!("`{ROOTS}` stands there twice"));
                }
                continue;
            }
            if name == CONTINUATION {
                if continuation.replace(parse_continuation(&value).map_err(|what| fault(&what))?).is_some() {
                    return Err(format!("`{CONTINUATION}` stands there twice"));
                }
                continue;
            }
            let prefix =
                BaseUrl::parse(&name).map_err(|reason| fault(&format!("its name is no URL prefix: {reason}")))?;
            if places.iter().any(|place| place.prefix == prefix) {
                return Err(fault("the same URL prefix as an earlier one"));
            }
            places.push(ListedPlace { prefix, keys: parse_keys(value).map_err(fault)? });
        }
        if let Some(url) = &continuation {
            if roots.is_none() {
                return Err(format!("`{CONTINUATION}` stands there without `{ROOTS}`, whose secrets it needs"));
            }
            if places.iter().any(|place| is_same_host(&place.prefix, url)) {
                return Err(format!("the host of `{CONTINUATION}` is a provider's place too"));
            }
        }
        Ok(Places { places, roots: roots.unwrap_or_default(), continuation })
    }

    /// Where the service is that goes on with long answers, if there is one.
    pub fn continuation(&self) -> Option<&BaseUrl> {
        self.continuation.as_ref()
    }

    /// The key for requests to `path` below `url` under `label`: nothing if no prefix covers it or the longest one lacks
    /// the label, `Some(None)` if it is only a marker.
    pub fn find(&self, url: &BaseUrl, path: &str, label: &str) -> Option<Option<&Secret<String>>> {
        let covering = self.places.iter().filter(|place| place.prefix.covers(url, path));
        let place = covering.max_by_key(|place| place.prefix.path.len())?;
        place.keys.iter().find(|(name, _)| name == label).map(|(_, key)| key.as_ref())
    }

    /// The roots of the gateway's own tokens, the one for new tokens first.
    pub fn roots(&self) -> &[Secret<String>] {
        &self.roots
    }

    /// All keys that the entry holds.
    pub fn keys(&self) -> impl Iterator<Item = &Secret<String>> {
        let of_places = self.places.iter().flat_map(|place| &place.keys).filter_map(|(_, key)| key.as_ref());
        of_places.chain(&self.roots)
    }
}

/// Whether requests to both would reach the same host; on this machine a port is a host of its own.
pub fn is_same_host(one: &BaseUrl, other: &BaseUrl) -> bool {
    one.host == other.host && (one.port == other.port || !BaseUrl::is_loopback(&one.host))
}

fn parse_continuation(value: &Node) -> Result<BaseUrl, String> {
    let text = value.as_text().ok_or_else(|| format!("`{CONTINUATION}` is not a URL"))?;
    let url = BaseUrl::parse(text).map_err(|reason| format!("`{CONTINUATION}` is no URL of a service: {reason}"))?;
    if url.path.is_empty() {
        Ok(url)
    } else {
        Err(format!("`{CONTINUATION}` has a path; valid: scheme and host alone"))
    }
}

fn parse_roots(value: Node) -> Result<Vec<Secret<String>>, &'static str> {
    const EXPECTED: &str = "`hmac` is not an object of 1 to 8 secrets by name, each of at least 32 characters";
    let Node::Object(named) = value else { return Err(EXPECTED) };
    let mut names = Vec::with_capacity(named.len());
    let mut roots = Vec::with_capacity(named.len());
    for (name, root) in named {
        match root {
            Node::Text(root) if root.len() >= MIN_ROOT_BYTES && roots.len() < MAX_ROOTS => {
                roots.push(Secret::new(root.into_owned()));
            }
            Node::Null | Node::Flag(_) | Node::Number(_) | Node::Text(_) | Node::List(_) | Node::Object(_) => {
                return Err(EXPECTED);
            }
        }
        if names.contains(&name) {
            return Err("a name in `hmac` stands there twice");
        }
        names.push(name);
    }
    if roots.is_empty() { Err(EXPECTED) } else { Ok(roots) }
}

fn parse_keys(value: Node) -> Result<Vec<(String, Key)>, &'static str> {
    const EXPECTED: &str = "its value is not a key, null, or an object of these by label";
    let labelled = match value {
        Node::Object(labelled) => labelled,
        one @ (Node::Null | Node::Text(_)) => vec![("".into(), one)],
        Node::Flag(_) | Node::Number(_) | Node::List(_) => return Err(EXPECTED),
    };
    let mut keys: Vec<(String, Key)> = Vec::with_capacity(labelled.len());
    for (label, key) in labelled {
        let key = match key {
            Node::Null => None,
            Node::Text(key) if key.trim().is_empty() => return Err("a key is empty; a place without a key has null"),
            Node::Text(key) => Some(Secret::new(key.into_owned())),
            Node::Flag(_) | Node::Number(_) | Node::List(_) | Node::Object(_) => return Err(EXPECTED),
        };
        if !label.is_empty() && !BaseUrl::is_secret_label(&label) {
            return Err("a label is not of 1 to 64 characters from [A-Za-z0-9._-]");
        }
        if keys.iter().any(|(earlier, _)| *earlier == label) {
            return Err("a label stands there twice");
        }
        keys.push((label.into_owned(), key));
    }
    if keys.is_empty() { Err("its object has no label") } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> BaseUrl {
        BaseUrl::parse(text).expect("a valid URL")
    }

    /// What goes to `text`, which is a base URL: the key, `marker`, or nothing.
    fn found(places: &Places, text: &str, label: &str) -> String {
        match places.find(&url(text), "/chat/completions", label) {
            Some(Some(key)) => key.expose().clone(),
            Some(None) => "marker".to_owned(),
            None => String::new(),
        }
    }

    #[test]
    fn the_longest_prefix_decides() {
        let places = Places::parse(
            r#"{
                "https://a.example": "whole-host",
                "https://a.example/v1/": {"": "plain", "batch": "batch-key", "open": null},
                "https://a.example/v1/eu": null,
                "https://a.example:8443/x": "other-port",
                "https://b.example/v1/chat/completions": "one-path",
                "http://127.0.0.1:8000": "local",
                "hmac": {"2026": "root-of-2026-0123456789abcdefghij", "2025": "root-of-2025-0123456789abcdefghij"}
            }"#,
        )
        .expect("a valid entry");
        for (text, label, expected) in [
            ("https://a.example", "", "whole-host"),
            ("https://a.example/v2", "", "whole-host"),
            ("https://a.example/v11", "", "whole-host"),
            ("https://a.example/V1", "", "whole-host"),
            ("https://a.example/v1", "", "plain"),
            ("https://a.example/v1/us", "batch", "batch-key"),
            ("https://a.example/v1", "open", "marker"),
            ("https://a.example/v1", "other", ""),
            ("https://a.example", "batch", ""),
            ("https://a.example/v1/eu", "", "marker"),
            ("https://a.example/v1/eu/x", "", "marker"),
            ("https://a.example/v1/eu", "batch", ""),
            ("https://a.example/v1/europe", "", "plain"),
            ("https://a.example:8443/x", "", "other-port"),
            ("https://a.example:8443/x/y", "", "other-port"),
            ("https://a.example:8443", "", ""),
            ("https://a.example:8444/x", "", ""),
            ("https://b.example/v1", "", "one-path"),
            ("https://b.example", "", ""),
            ("https://b.example/v1/x", "", ""),
            ("http://127.0.0.1:8000/v1", "", "local"),
            ("http://127.0.0.1:8001/v1", "", ""),
            ("https://127.0.0.1:8000/v1", "", ""),
            ("https://sub.a.example", "", ""),
        ] {
            assert_eq!(found(&places, text, label), expected, "{text} {label}");
        }
        assert_eq!(places.keys().count(), 8);
        let roots: Vec<&str> = places.roots().iter().map(|root| &root.expose()[..12]).collect();
        assert_eq!(roots, ["root-of-2026", "root-of-2025"]);
    }

    #[test]
    fn a_fault_says_where_and_repeats_nothing() {
        for (text, expected) in [
            ("sk-planted-key", "line 1, column 1"),
            (r#"{"https://a.example": sk-planted-key}"#, "line 1, column"),
            (r#"{"https://a.example": "sk-planted-key""#, "line 1, column"),
            (r#""sk-planted-key""#, "not a JSON object"),
            ("[]", "not a JSON object"),
            ("null", "not a JSON object"),
            (r#"{"sk-planted-key": "https://a.example"}"#, "entry 1 of the object: its name is no URL prefix"),
            (r#"{"a.example": "sk-planted-key"}"#, "begins with neither"),
            (r#"{"http://a.example": "sk-planted-key"}"#, "without TLS"),
            (r#"{"https://u:sk-planted-key@a.example": null}"#, "a user or a password"),
            (r#"{"https://A.example": null}"#, "no lower-case host name"),
            (r#"{"https://a.example/v1/../v2": null}"#, "path"),
            (r#"{"https://a.example": null, "https://b.example": 7}"#, "entry 2 of the object: its value"),
            (r#"{"https://a.example": ["sk-planted-key"]}"#, "its value"),
            (r#"{"https://a.example": ""}"#, "a key is empty"),
            (r#"{"https://a.example": {"x": " \n"}}"#, "a key is empty"),
            (r#"{"https://a.example": {}}"#, "no label"),
            (r#"{"https://a.example": {"x": {"y": "sk-planted-key"}}}"#, "its value"),
            (r#"{"https://a.example": {"x y": "sk-planted-key"}}"#, "a label is not"),
            (r#"{"https://a.example": {"x": "sk-planted-key", "x": null}}"#, "a label stands there twice"),
            (r#"{"https://a.example": "sk-planted-key", "https://a.example": null}"#, "the same URL prefix"),
            (r#"{"https://a.example": "sk-planted-key", "https://a.example:443/": null}"#, "the same URL prefix"),
            (r#"{"hmac": "sk-planted-key"}"#, "entry 1 of the object: `hmac` is not an object"),
            (r#"{"https://a.example": null, "hmac": {}}"#, "entry 2 of the object: `hmac` is not an object"),
            (r#"{"hmac": {"a": "sk-planted-key"}}"#, "at least 32 characters"),
            (r#"{"hmac": {"a": ["sk-planted-key"]}}"#, "`hmac` is not an object"),
            (
                r#"{"hmac": {"a": "sk-planted-key-0123456789abcdefghij", "a": "sk-planted-key-0123456789abcdefghij"}}"#,
                "a name in `hmac` stands there twice",
            ),
            (
                r#"{"hmac": {"a": "sk-planted-key-0123456789abcdefghij"}, "hmac": {"b": "sk-planted-key-0123456789abcdefghij"}}"#,
                "`hmac` stands there twice",
            ),
            (r#"{"continuation": "sk-planted-key"}"#, "entry 1 of the object: `continuation` is no URL"),
            (r#"{"continuation": ["sk-planted-key"]}"#, "`continuation` is not a URL"),
            (r#"{"continuation": "http://planted.example"}"#, "without TLS"),
            (r#"{"continuation": "https://planted.example/v1"}"#, "`continuation` has a path"),
            (r#"{"continuation": "https://go.example"}"#, "`continuation` stands there without `hmac`"),
            (
                r#"{"continuation": "https://go.example", "continuation": "https://on.example",
                    "hmac": {"a": "sk-planted-key-0123456789abcdefghij"}}"#,
                "`continuation` stands there twice",
            ),
            (
                r#"{"continuation": "https://go.example", "https://go.example:8443/v1": "sk-planted-key",
                    "hmac": {"a": "sk-planted-key-0123456789abcdefghij"}}"#,
                "the host of `continuation` is a provider's place",
            ),
        ] {
            let fault = Places::parse(text).expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
            assert!(!fault.contains("planted"), "{fault}");
        }
        let places = Places::parse(r#"{"https://a.example": "sk-planted-key"}"#).expect("a valid entry");
        assert!(!format!("{places:?}").contains("planted"), "{places:?}");
    }
}
