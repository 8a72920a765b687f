//! What the local gateway's Secret Store lists: the places of the policy's providers, and those that options name.

use anyhow::{Result, anyhow, ensure};
use tiergate::policy::{AuthStyle, BaseUrl, Policy};

use super::destination::{Destination, Target};

/// A URL prefix with a key, or a marker, under a label.
#[derive(Debug, PartialEq)]
pub struct Place {
    pub prefix: String,
    pub label: String,
    pub key: Option<String>,
}

/// One place for each key and for each provider that takes none.
pub fn list(policy: &Policy, targets: &[Target]) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for Target { host, destination, secrets } in targets {
        let rows: Vec<_> = policy.providers.iter().filter(|row| row.base_url.host == *host).collect();
        for row in &rows {
            let url = &row.base_url;
            let is_elsewhere = matches!(destination, Destination::Backend { url } if url.starts_with("https:"));
            ensure!(
                !is_elsewhere || url.port == 443,
                "--backend {host}: a backend on another machine stands for port 443, but the policy has {host}:{}",
                url.port
            );
            let key = secrets.iter().find(|(entry, _)| *entry == row.secret).map(|(_, key)| key.as_str());
            if key.is_some() || row.auth == AuthStyle::None {
                places.push(place(url, &row.secret, key));
            }
        }
        for (entry, key) in secrets.iter().filter(|(entry, _)| rows.iter().all(|row| row.secret != *entry)) {
            let written = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            // The host is not shown, since it may be a part of the key.
            let url = BaseUrl::parse(&format!("https://{written}")).map_err(|reason| anyhow!("--secret: {reason}"))?;
            let label = url.secret_label(entry);
            ensure!(
                *entry == url.host || BaseUrl::is_secret_label(label),
                "--secret: its name is not HOST or HOST__LABEL"
            );
            places.push(place(&url, entry, Some(key)));
        }
    }
    Ok(places)
}

/// The whole of the URL's origin; a blank key is a marker.
fn place(url: &BaseUrl, entry: &str, key: Option<&str>) -> Place {
    let origin = BaseUrl { path: String::new(), ..url.clone() };
    let key = key.filter(|key| !key.trim().is_empty()).map(str::to_owned);
    Place { prefix: origin.to_string(), label: url.secret_label(entry).to_owned(), key }
}

#[cfg(test)]
mod tests {
    use tiergate::policy::parse::parse;

    use super::*;

    fn policy() -> Policy {
        let document = r#"{
            "version": "1", "default_tier": "only",
            "tiers": [{"name": "only", "description": "x", "candidates": [{"model": "m"}],
                "deadlines": {"first_token_ms": 1, "idle_ms": 1, "total_ms": 1}}],
            "models": {"m": {"provider": "keyed", "id": "m", "context": 1, "max_output": 1}},
            "providers": {
                "keyed": {"base_url": "https://api.example/v1", "dialect": "openai-chat"},
                "batch": {"base_url": "https://api.example/v2", "dialect": "openai-chat", "secret": "api.example__batch"},
                "port": {"base_url": "https://port.example:8443/v1", "dialect": "openai-chat"},
                "open": {"base_url": "https://open.example:8443/v1", "dialect": "openai-chat", "auth": "none"},
                "local": {"base_url": "http://[::1]:8000/v1", "dialect": "openai-chat"}
            }
        }"#;
        parse(document.as_bytes()).expect("a valid policy")
    }

    fn target(host: &str, url: Option<&str>, secrets: &[(&str, &str)]) -> Target {
        let destination = url.map_or(Destination::Itself, |url| Destination::Backend { url: url.to_owned() });
        let secrets = secrets.iter().map(|(entry, key)| ((*entry).to_owned(), (*key).to_owned())).collect();
        Target { host: host.to_owned(), destination, secrets }
    }

    #[test]
    fn each_row_has_the_place_where_it_is() {
        for (target, expected) in [
            (target("api.example", None, &[]), &[][..]),
            (
                target("api.example", None, &[("api.example", "a"), ("api.example__batch", "b")]),
                &[("https://api.example", "", Some("a")), ("https://api.example", "batch", Some("b"))],
            ),
            (target("port.example", None, &[("port.example", "p")]), &[("https://port.example:8443", "", Some("p"))]),
            (target("open.example", None, &[]), &[("https://open.example:8443", "", None)]),
            (target("open.example", None, &[("open.example", "")]), &[("https://open.example:8443", "", None)]),
            (target("::1", None, &[("::1", "l")]), &[("http://[::1]:8000", "", Some("l"))]),
            (target("new.example", None, &[("new.example__eu", "n")]), &[("https://new.example", "eu", Some("n"))]),
        ] {
            let places = list(&policy(), &[target]).expect("valid options");
            let seen: Vec<_> = places
                .iter()
                .map(|place| (place.prefix.as_str(), place.label.as_str(), place.key.as_deref()))
                .collect();
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn what_would_spoil_the_entry_is_refused_and_not_shown() {
        for target in [
            target("Sk-planted", None, &[("Sk-planted", "x")]),
            target("api.example", None, &[("api.example__planted key", "x")]),
            target("api.example", None, &[("api.example__", "x")]),
            target("port.example", Some("https://proxy.example"), &[]),
        ] {
            let message = list(&policy(), &[target]).expect_err("it should be refused").to_string();
            assert!(message.starts_with("--") && !message.contains("planted"), "{message}");
        }
        let local = target("port.example", Some("http://127.0.0.1:9"), &[("port.example", "p")]);
        assert_eq!(list(&policy(), &[local]).map(|places| places.len()).ok(), Some(1));
    }
}
