//! The Secret Store entry `tiergate`: which URL prefixes prompts may go to, and with which keys.
//!
//! One JSON object. Each name is a URL prefix, as a `base_url` is written; its value is a key, `null` for a place that
//! gets prompts but no key, or an object of these by label. `hmac` is reserved. The longest prefix alone decides. A fault
//! says where it is and what would be valid, never what stands there: it may be a key.

use serde_json::Error;

use crate::policy::BaseUrl;
use crate::policy::json::Node;
use crate::secret::Secret;

/// The name that is reserved for the named roots of signed tokens.
const RESERVED: &str = "hmac";

/// A key, or nothing for a marker.
pub type Key = Option<Secret<String>>;

/// What the entry says; `Debug` shows no key.
#[derive(Debug)]
pub struct Places(Vec<Place>);

#[derive(Debug)]
struct Place {
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
        let mut places: Vec<Place> = Vec::new();
        let mut reserved = 0;
        for (position, (name, value)) in entries.into_iter().enumerate() {
            if name == RESERVED {
                reserved += 1;
                continue;
            }
            let fault = |what: &str| format!("entry {} of the object: {what}", position + 1);
            let prefix =
                BaseUrl::parse(&name).map_err(|reason| fault(&format!("its name is no URL prefix: {reason}")))?;
            if places.iter().any(|place| place.prefix == prefix) {
                return Err(fault("the same URL prefix as an earlier one"));
            }
            places.push(Place { prefix, keys: parse_keys(value).map_err(fault)? });
        }
        if reserved > 1 { Err(format!("`{RESERVED}` stands there twice")) } else { Ok(Places(places)) }
    }

    /// The key for requests to `path` below `url` under `label`: nothing if no prefix covers it or the longest one lacks
    /// the label, `Some(None)` if it is only a marker.
    pub fn find(&self, url: &BaseUrl, path: &str, label: &str) -> Option<Option<&Secret<String>>> {
        let covering = self.0.iter().filter(|place| place.prefix.covers(url, path));
        let place = covering.max_by_key(|place| place.prefix.path.len())?;
        place.keys.iter().find(|(name, _)| name == label).map(|(_, key)| key.as_ref())
    }

    /// All keys that the entry holds.
    pub fn keys(&self) -> impl Iterator<Item = &Secret<String>> {
        self.0.iter().flat_map(|place| &place.keys).filter_map(|(_, key)| key.as_ref())
    }
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
                "hmac": {"2026": "root"}
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
        assert_eq!(places.keys().count(), 6);
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
            (r#"{"hmac": {}, "hmac": {}}"#, "`hmac` stands there twice"),
        ] {
            let fault = Places::parse(text).expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
            assert!(!fault.contains("planted"), "{fault}");
        }
        let places = Places::parse(r#"{"https://a.example": "sk-planted-key"}"#).expect("a valid entry");
        assert!(!format!("{places:?}").contains("planted"), "{places:?}");
    }
}
