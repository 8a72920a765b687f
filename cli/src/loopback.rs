//! Which requests were meant for this machine: the test that local servers put before everything else.
//!
//! A listener on loopback keeps other machines out, but not the web pages that a browser here shows: a page can point
//! its own name at 127.0.0.1 (DNS rebinding) and then read a local server as if it were its own. The browser still
//! sends the page's name as `Host`, so a server that answers to loopback names only is out of its reach.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What a refused request is told, with the status 421.
pub const NOT_LOCAL: &str = "This server answers only requests whose Host is localhost, 127.0.0.1 or [::1].";
/// What a page of another site is told, with the status 403.
pub const FOREIGN_PAGE: &str = "This server answers no web page but those of this machine.";

/// Whether every name that a request gives for its server is one of this machine's.
///
/// `hosts` are its `Host` headers, `target` the authority of its target, which HTTP/2 has instead. At least one must be
/// there, and never two headers, since servers disagree on which one counts.
pub fn is_for_this_machine<'a>(hosts: impl IntoIterator<Item = &'a [u8]>, target: Option<&str>) -> bool {
    let mut hosts = hosts.into_iter();
    let (host, second) = (hosts.next(), hosts.next());
    let names = [host, target.map(str::as_bytes)];
    let is_named = names.iter().any(Option::is_some);
    is_named && second.is_none() && names.into_iter().flatten().all(is_loopback_authority)
}

/// Whether an `Origin` header is that of a page which this machine serves. `null` is not.
pub fn is_origin_of_this_machine(origin: &[u8]) -> bool {
    let authority = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| origin.strip_prefix(scheme));
    authority.is_some_and(is_loopback_authority)
}

/// `localhost`, an address of 127.0.0.0/8 in its usual form, or `[::1]`, with or without a port.
fn is_loopback_authority(authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else { return false };
    let host_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[host_end..].find(':') {
        Some(colon) => (&authority[..host_end + colon], Some(&authority[host_end + colon + 1..])),
        None => (authority, None),
    };
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_loopback = match bracketed {
        Some(address) => address.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        }
    };
    is_loopback && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_let_in() {
        for (hosts, target, expected) in [
            (&["localhost"][..], None, true),
            (&["LocalHost:7676"], None, true),
            (&["127.0.0.1"], None, true),
            (&["127.255.0.9:1"], None, true),
            (&["[::1]"], None, true),
            (&["[0:0:0:0:0:0:0:1]:65535"], None, true),
            (&["localhost"], Some("127.0.0.1:7676"), true),
            (&[], Some("localhost:7676"), true),
            (&[], None, false),
            (&[""], None, false),
            (&["localhost", "localhost"], None, false),
            (&["localhost", "evil.example"], None, false),
            (&["evil.example"], None, false),
            (&["evil.example"], Some("localhost"), false),
            (&["localhost"], Some("evil.example"), false),
            (&["evil.example:7676"], None, false),
            (&["localhost.evil.example"], None, false),
            (&["127.0.0.1.evil.example"], None, false),
            (&["evil-localhost"], None, false),
            (&["localhost@evil.example"], None, false),
            (&["evil.example@localhost"], None, false),
            (&["localhost/evil.example"], None, false),
            (&["localhost evil.example"], None, false),
            (&["localhost,evil.example"], None, false),
            (&["localhost\t"], None, false),
            (&["localhost:"], None, false),
            (&["localhost:+80"], None, false),
            (&["localhost:99999"], None, false),
            (&["localhost:80:80"], None, false),
            (&["localhost:80@evil.example"], None, false),
            (&["128.0.0.1"], None, false),
            (&["0.0.0.0"], None, false),
            (&["10.127.0.0"], None, false),
            (&["127.1"], None, false),
            (&["0177.0.0.1"], None, false),
            (&["0x7f000001"], None, false),
            (&["2130706433"], None, false),
            (&["::1"], None, false),
            (&["[::1"], None, false),
            (&["::1]"], None, false),
            (&["[::1]evil.example"], None, false),
            (&["evil.example[::1]"], None, false),
            (&["[::]"], None, false),
            (&["[::2]"], None, false),
            (&["[::1%25lo]"], None, false),
            (&["[127.0.0.1]"], None, false),
            (&["[localhost]"], None, false),
        ] {
            let given = hosts.iter().map(|host| host.as_bytes());
            assert_eq!(is_for_this_machine(given, target), expected, "{hosts:?} {target:?}");
        }
        assert!(!is_for_this_machine([&b"localhost\xff"[..]], None), "no text");
    }

    #[test]
    fn only_pages_of_this_machine_may_call() {
        for (origin, expected) in [
            ("http://localhost:3000", true),
            ("https://127.0.0.1", true),
            ("http://[::1]:8080", true),
            ("null", false),
            ("", false),
            ("localhost", false),
            ("file://", false),
            ("https://evil.example", false),
            ("https://localhost.evil.example", false),
            ("http://localhost, https://evil.example", false),
            ("http://http://localhost", false),
        ] {
            assert_eq!(is_origin_of_this_machine(origin.as_bytes()), expected, "{origin}");
        }
    }
}
