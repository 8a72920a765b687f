//! Where the traffic for each provider of the policy goes, and with which key.
//!
//! A made-up key goes to simulators and to what `--backend` names only; a real host gets a key that was given for it or
//! none at all.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;
use tiergate::policy::{AuthStyle, Dialect, Policy, Provider};

use super::DevOptions;
use crate::simulate;
use crate::simulator::{self, Profile};

/// A host, and what stands for it here.
pub struct Target {
    pub host: String,
    pub destination: Destination,
    /// Secret Store entries and their values.
    pub secrets: Vec<(String, String)>,
}

pub enum Destination {
    /// The address is known once the simulator runs.
    Simulator {
        profile: Box<Profile>,
        url: String,
        /// Its fault script; empty where nothing is to be rehearsed.
        script: String,
    },
    Backend {
        url: String,
    },
    /// The gateway goes to the host as on Fastly.
    Itself,
    /// No simulator speaks its dialect yet.
    NoSimulator,
}

/// What the policy and the options say of one host.
#[derive(Default)]
struct Wishes<'a> {
    rows: Vec<&'a Provider>,
    backend: Option<String>,
    real: bool,
    secrets: BTreeMap<String, String>,
}

/// One target for each host that the policy or an option names.
pub fn choose(policy: &Policy, options: &DevOptions, env: impl Fn(&str) -> Option<String>) -> Result<Vec<Target>> {
    let mut hosts: BTreeMap<String, Wishes> = BTreeMap::new();
    for provider in &policy.providers {
        hosts.entry(provider.base_url.host.clone()).or_default().rows.push(provider);
    }
    for text in &options.secret {
        // The text itself is not shown, since it may be nothing but the key.
        let (entry, value) = text.split_once('=').context("--secret is not of the form HOST=VALUE")?;
        let host = entry.split("__").next().unwrap_or(entry);
        hosts.entry(host.to_owned()).or_default().secrets.insert(entry.to_owned(), value.to_owned());
    }
    for text in &options.backend {
        let (host, url) = text.split_once('=').with_context(|| format!("--backend {text} is not HOST=URL"))?;
        hosts.entry(host.to_owned()).or_default().backend = Some(check_backend_url(url)?);
    }
    for name in &options.real {
        let provider = provider_named(policy, name)?;
        let wishes = hosts.entry(provider.base_url.host.clone()).or_default();
        ensure!(wishes.backend.is_none(), "--real {name} and --backend {} contradict", provider.base_url.host);
        wishes.real = true;
        if provider.auth != AuthStyle::None && !wishes.secrets.contains_key(&provider.secret) {
            let variable = key_variable(name);
            let key = env(&variable).filter(|key| !key.is_empty());
            let key = key.with_context(|| format!("--real {name} needs its key in the environment as {variable}"))?;
            wishes.secrets.insert(provider.secret.clone(), key);
        }
    }
    Ok(hosts.into_iter().map(|(host, wishes)| target(host, wishes, options.no_simulators)).collect())
}

fn target(host: String, wishes: Wishes, no_simulators: bool) -> Target {
    let Wishes { rows, backend, real, mut secrets } = wishes;
    let is_local = rows.iter().any(|row| !row.base_url.tls);
    let destination = match backend {
        Some(url) => {
            add_made_up_keys(&mut secrets, &rows);
            Destination::Backend { url }
        }
        None if real || no_simulators || is_local || rows.is_empty() => Destination::Itself,
        None => match profile(&host, &rows) {
            Some(profile) => {
                add_made_up_keys(&mut secrets, &rows);
                // A simulator knows one key; with several entries for its host it takes any.
                let only_key = secrets.values().next().filter(|_| secrets.len() == 1);
                let profile = only_key.map(|key| profile.clone().with_key(key)).unwrap_or(profile);
                Destination::Simulator { profile: Box::new(profile), url: String::new(), script: String::new() }
            }
            None => Destination::NoSimulator,
        },
    };
    Target { host, destination, secrets: secrets.into_iter().collect() }
}

fn add_made_up_keys(secrets: &mut BTreeMap<String, String>, rows: &[&Provider]) {
    for row in rows.iter().filter(|row| row.auth != AuthStyle::None) {
        secrets.entry(row.secret.clone()).or_insert_with(|| format!("made-up-key-of-{}", row.secret));
    }
}

/// How the simulator of this host behaves; nothing if its dialect is not simulated.
fn profile(host: &str, rows: &[&Provider]) -> Option<Profile> {
    let row = rows.first()?;
    let (dialect, generic) = match row.dialect {
        Dialect::OpenaiChat => (simulator::Dialect::OpenAiChat, Profile::generic(&row.name)),
        Dialect::AnthropicMessages => (simulator::Dialect::AnthropicMessages, Profile::generic_messages(&row.name)),
        Dialect::OpenaiResponses => return None,
    };
    let mut known = simulate::simulated().into_iter().filter(|(simulated, ..)| *simulated == host);
    Some(known.find(|(_, profile, _)| profile.dialect == dialect).map_or(generic, |(_, profile, _)| profile))
}

fn provider_named<'a>(policy: &'a Policy, name: &str) -> Result<&'a Provider> {
    let found = policy.providers.iter().find(|provider| provider.name == name);
    found.with_context(|| {
        let valid: Vec<&str> = policy.providers.iter().map(|provider| provider.name.as_str()).collect();
        format!("--real {name}: the policy has no such provider; valid: {}", valid.join(", "))
    })
}

/// `OPENAI_API_KEY` for `openai`.
fn key_variable(provider: &str) -> String {
    let upper = |character: char| {
        if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' }
    };
    format!("{}_API_KEY", provider.chars().map(upper).collect::<String>())
}

fn check_backend_url(text: &str) -> Result<String> {
    let url: Url = text.parse().with_context(|| format!("--backend: `{text}` is not a URL"))?;
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        _ => bail!("--backend: `{text}` is neither https nor http to this machine"),
    }
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    ensure!(is_bare, "--backend: `{text}` must end after the port; the policy's base_url has the path");
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::dev::rehearsal;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        options: DevOptions,
    }

    fn policy() -> Policy {
        let document = include_bytes!("../../../policy/default.json");
        tiergate::policy::parse::parse(document).expect("the shipped policy should be valid")
    }

    fn targets(arguments: &[&str]) -> Result<Vec<Target>> {
        let line = CommandLine::parse_from(["dev"].iter().chain(arguments));
        let env = |name: &str| (name == "OPENAI_API_KEY").then(|| "from-the-environment".to_owned());
        let mut targets = choose(&policy(), &line.options, env)?;
        rehearsal::assign(&policy(), &line.options.fault, &mut targets)?;
        Ok(targets)
    }

    /// The destination in a word and the secrets.
    fn describe(targets: &[Target], host: &str) -> String {
        let target = targets.iter().find(|target| target.host == host).expect("the host should have a target");
        let word = match &target.destination {
            Destination::Simulator { profile, script, .. } => match script.as_str() {
                "" => format!("simulator {}", profile.name),
                script => format!("simulator {} with {script}", profile.name),
            },
            Destination::Backend { url } => url.clone(),
            Destination::Itself => "itself".to_owned(),
            Destination::NoSimulator => "none".to_owned(),
        };
        let secrets = target.secrets.iter().map(|(entry, value)| format!("; {entry}={value}"));
        word + &secrets.collect::<String>()
    }

    #[test]
    fn every_destination_gets_only_the_keys_meant_for_it() {
        let openai = "api.openai.com";
        let anthropic = "api.anthropic.com";
        for (arguments, host, expected) in [
            (&[][..], openai, "simulator openai; api.openai.com=made-up-key-of-api.openai.com"),
            (&[], anthropic, "simulator anthropic; api.anthropic.com=made-up-key-of-api.anthropic.com"),
            (&["--no-simulators"], openai, "itself"),
            (&["--real", "openai"], openai, "itself; api.openai.com=from-the-environment"),
            (&["--real", "openai", "--secret", "api.openai.com=a=b"], openai, "itself; api.openai.com=a=b"),
            (&["--secret", "api.openai.com=mine"], openai, "simulator openai; api.openai.com=mine"),
            (
                &["--backend", "api.anthropic.com=http://127.0.0.1:9"],
                anthropic,
                "http://127.0.0.1:9; api.anthropic.com=made-up-key-of-api.anthropic.com",
            ),
            (
                &["--fault", "openai=status=503 x2; close"],
                openai,
                "simulator openai with status=503 x2; close; api.openai.com=made-up-key-of-api.openai.com",
            ),
            (
                &["--fault", "api.openai.com=hang *"],
                openai,
                "simulator openai with hang *; api.openai.com=made-up-key-of-api.openai.com",
            ),
            (&["--secret", "new.example.com__eu=k"], "new.example.com", "itself; new.example.com__eu=k"),
        ] {
            let targets = targets(arguments).expect("the options should be valid");
            assert_eq!(describe(&targets, host), expected, "{arguments:?}");
        }
    }

    #[test]
    fn bad_options_say_what_would_be_good_and_show_no_key() {
        for (arguments, expected) in [
            (&["--real", "opnai"][..], "valid: openai, anthropic, google, inception"),
            (&["--real", "google"], "GOOGLE_API_KEY"),
            (&["--secret", "sk-only-the-key"], "HOST=VALUE"),
            (&["--backend", "api.openai.com"], "HOST=URL"),
            (&["--backend", "api.openai.com=http://192.0.2.1"], "neither https nor http to this machine"),
            (&["--backend", "api.openai.com=http://127.0.0.1:1/v1"], "must end after the port"),
            (&["--fault", "opnai=hang"], "valid: openai or api.openai.com, "),
            (&["--fault", "hang"], "PROVIDER=SCRIPT"),
            (&["--fault", "openai=ok; statsu=503"], "column 5: unknown word `statsu`; valid words are ok, if=TEXT"),
            (&["--fault", "openai=hang", "--fault", "api.openai.com=close"], "is given twice"),
            (&["--fault", "openai=hang", "--no-simulators"], "no simulator but the host itself"),
            (
                &["--fault", "openai=hang", "--backend", "api.openai.com=http://[::1]:1"],
                "no simulator but http://[::1]:1",
            ),
            (&["--real", "openai", "--backend", "api.openai.com=http://[::1]:1"], "contradict"),
        ] {
            let message = match targets(arguments) {
                Ok(_) => panic!("{arguments:?} should be refused"),
                Err(error) => format!("{error:#}"),
            };
            assert!(message.contains(expected), "{arguments:?}: {message}");
            assert!(!message.contains("sk-only-the-key"), "{message}");
        }
    }
}
