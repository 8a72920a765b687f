//! Where a provider is reached, and which secret may go there.
//!
//! Stricter than URLs are: the host is the name of the secret, so there must be one way only to write it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::BaseUrl;
use super::fault::{Faults, Path};
use super::json::Node;
use super::read::{Read, wrong_type};
use super::scalar::SECRET_LABEL;

/// What stands between the host and the label in the name of a secret.
const LABEL_DIVIDER: &str = "__";

/// The longest URL that HTTP's own types take.
const MAX_BYTES: usize = 65_534;

impl BaseUrl {
    /// Host and port.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// What `Host` says: without the scheme's own port.
    pub fn host_header(&self) -> String {
        let own_port = if self.tls { 443 } else { 80 };
        if self.port == own_port { self.bracketed() } else { self.authority() }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    #[cfg(feature = "schema")]
    pub(super) const PATTERN: &str =
        r"^(https://[^\s/?#@]+|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?)(/[A-Za-z0-9._~:@=+,-]+)*/*$";

    /// Whether a host, as it stands in a URL, is this machine.
    pub fn is_loopback(host: &str) -> bool {
        parse_host(host).is_some_and(|(_, is_loopback)| is_loopback)
    }

    /// Whether a secret of this name may be sent here: the host's own, or one of its labelled ones.
    pub(super) fn owns_secret(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(self.host.as_str()) else {
            return false;
        };
        rest.is_empty() || rest.strip_prefix(LABEL_DIVIDER).is_some_and(Self::is_secret_label)
    }

    /// Whether requests to `path` below `url` go to this prefix or below it, segment by segment.
    pub fn covers(&self, url: &BaseUrl, path: &str) -> bool {
        let path = format!("{}{path}", url.path);
        (self.tls, &self.host, self.port) == (url.tls, &url.host, url.port)
            && path.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The label in the name of one of this host's secrets; empty for the host's own.
    pub fn secret_label<'n>(&self, name: &'n str) -> &'n str {
        name.strip_prefix(self.host.as_str()).and_then(|rest| rest.strip_prefix(LABEL_DIVIDER)).unwrap_or_default()
    }

    /// Whether the name of a secret may have this label.
    pub fn is_secret_label(label: &str) -> bool {
        SECRET_LABEL.matches(label)
    }

    /// # Errors
    /// What is wrong, without repeating the text, which may hold a password.
    pub fn parse(text: &str) -> Result<BaseUrl, &'static str> {
        if text.len() > MAX_BYTES {
            return Err("it is longer than any URL");
        }
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("it begins with neither https:// nor http://"),
        };
        if rest.contains(['?', '#']) {
            return Err("it has a query or a fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("it has a user or a password");
        }
        let host_end = match authority.starts_with('[') {
            true => authority.find(']').map(|at| at + 1),
            false => authority.find(':'),
        };
        let (written, port) = authority.split_at(host_end.unwrap_or(authority.len()));
        let (host, is_loopback) = parse_host(written).ok_or("its host is no lower-case host name or IP address")?;
        let port = match port.strip_prefix(':') {
            Some(port) => parse_port(port).ok_or("its port is not from 1 to 65535")?,
            None if !port.is_empty() => return Err("it is no URL"),
            None if tls => 443,
            None => 80,
        };
        if !tls && !is_loopback {
            return Err("only a loopback host may be reached without TLS");
        }
        let path = path.trim_end_matches('/');
        if !path.split('/').skip(1).all(is_plain_segment) {
            return Err("its path has a segment that is empty, only dots, or not of [A-Za-z0-9._~:@=+,-]");
        }
        Ok(BaseUrl { tls, host, port, path: path.to_owned() })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.host_header(), self.path)
    }
}

impl Read for BaseUrl {
    fn expected() -> String {
        "an https URL without user, query and fragment (http only for localhost, 127.0.0.0/8 and [::1])".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Some(text) = node.as_text() else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        match BaseUrl::parse(text) {
            Ok(url) => Some(url),
            Err(reason) => {
                faults.note(path, format!("{reason}; expected {}", Self::expected()));
                None
            }
        }
    }
}

/// The host without brackets, and whether it is loopback. An underscore is refused although DNS allows it: `__` divides
/// a host from the label in the name of a secret, so a host with one could claim another host's secret.
fn parse_host(written: &str) -> Option<(String, bool)> {
    if let Some(address) = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().ok()?;
        return Some((address.to_string(), address.is_loopback()));
    }
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if written.len() > 253 || !written.split('.').all(is_label) {
        return None;
    }
    // A name whose last label is a number is an address to some resolvers, so it must be a well-written one.
    let last = written.rsplit('.').next().unwrap_or(written);
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        let address: Ipv4Addr = written.parse().ok()?;
        return Some((written.to_owned(), address.is_loopback()));
    }
    Some((written.to_owned(), written == "localhost"))
}

/// Whether everybody reads a segment of a path alike: nothing to decode, to resolve or to leave out. Otherwise a path below
/// a prefix could lead out of it again at the provider.
pub fn is_plain_segment(segment: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:@=+,-".contains(&byte);
    segment.bytes().all(is_plain) && segment.bytes().any(|byte| byte != b'.')
}

fn parse_port(port: &str) -> Option<u16> {
    // `u16::from_str` takes a plus sign, a URL does not.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|port| digits && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            ("https://api.openai.com/v1", (true, "api.openai.com", 443, "/v1")),
            ("https://api.openai.com/v1//", (true, "api.openai.com", 443, "/v1")),
            ("https://api.anthropic.com", (true, "api.anthropic.com", 443, "")),
            ("https://a.example:8443/x/y", (true, "a.example", 8443, "/x/y")),
            ("https://a.example/x@y", (true, "a.example", 443, "/x@y")),
            ("https://10.0.0.1/", (true, "10.0.0.1", 443, "")),
            ("https://[2001:DB8::1]:1/", (true, "2001:db8::1", 1, "")),
            ("http://localhost:11434/v1", (false, "localhost", 11434, "/v1")),
            ("http://127.0.0.2", (false, "127.0.0.2", 80, "")),
            ("http://[::1]:80", (false, "::1", 80, "")),
        ];
        for (text, (tls, host, port, path)) in cases {
            let expected = BaseUrl { tls, host: host.to_owned(), port, path: path.to_owned() };
            assert_eq!(BaseUrl::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        let cases = [
            "",
            "api.openai.com",
            "ftp://a.example",
            "HTTPS://a.example",
            "https://",
            "https:///v1",
            "https://:443",
            "https://user:password@a.example",
            "https://user@a.example",
            "https://a.example?x=1",
            "https://a.example/#x",
            "https://a.example/v1/../v2",
            "https://a.example/v1/..",
            "https://a.example/./v1",
            "https://a.example/v1/...",
            "https://a.example/v1//v2",
            "https://a.example//v1",
            "https://a.example/v1/%2e%2e/v2",
            "https://a.example/v1%2fv2",
            "https://a.example/v1/..;/v2",
            "https://a.example/v1\\v2",
            "https://a.example/v 1",
            "https://a.example/v1\t",
            "https://a.example/v\u{e4}",
            "https://a.example\\@evil.example",
            "https://a.example\t.evil.example",
            "https://a%00.example",
            "https://[fe80::1%25eth0]",
            "https://[::1].example",
            "https://[v1.x]",
            "https://0177.0.0.1",
            "https://127.0.0.0x1",
            "https://2130706433",
            "https://1.2.3.4.",
            "https://1.2.3.256",
            "http://0.0.0.0",
            "http://2130706433",
            "http://[::]",
            "http://[::ffff:127.0.0.1]",
            "http://localhost.",
            "http://LOCALHOST",
            "http://localhost@evil.example",
            "http://localhost:80@evil.example",
            "http://xn--localhost-.example",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:65536",
            "https://a.example:+1",
            "https://a.example:x",
            "https://A.example",
            "https://a.example.",
            "https://a..example",
            "https://-a.example",
            "https://a_b.example",
            "https://api.openai.com__evil",
            "https://a b.example",
            "https://a%2eexample",
            "https://ä.example",
            "https://127.1",
            "https://0x7f000001",
            "https://[::1",
            "https://[localhost]",
            "http://a.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://[::2]",
        ];
        for text in cases {
            assert!(BaseUrl::parse(text).is_err(), "{text} should be refused");
        }
    }

    #[test]
    fn a_secret_belongs_to_its_host() {
        let url = BaseUrl::parse("https://api.openai.com/v1").expect("a valid URL");
        let cases = [
            ("api.openai.com", true),
            ("api.openai.com__batch", true),
            ("api.openai.com__", false),
            ("api.openai.com_batch", false),
            ("api.openai.com__a b", false),
            ("api.openai.com.evil.example", false),
            ("API.openai.com", false),
            ("openai.com", false),
            ("evil.example__api.openai.com", false),
            ("", false),
        ];
        for (name, expected) in cases {
            assert_eq!(url.owns_secret(name), expected, "{name}");
        }
    }
}
