//! Where the traffic for each provider of the policy goes, and with which key.
//!
//! A made-up key goes to simulators and to what `--backend` names only; a real host gets a key that was given for it or
//! none at all. No error shows what was given as a key, as an address or instead of a host's name.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;
use tiergate::policy::{AuthStyle, Dialect, Policy, Provider};
use tiergate_simulator::{self as simulator, Profile};

use super::options::DevOptions;
use super::secrets::{self, GivenSecret};
use super::well_known;
use crate::simulate;

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
    /// A server on this machine is played.
    simulated: bool,
    secrets: BTreeMap<String, GivenSecret>,
}

/// One target for each host of the policy.
pub fn choose(policy: &Policy, options: &DevOptions, env: impl Fn(&str) -> Option<String>) -> Result<Vec<Target>> {
    let mut hosts: BTreeMap<String, Wishes> = BTreeMap::new();
    for provider in &policy.providers {
        hosts.entry(provider.base_url.host.clone()).or_default().rows.push(provider);
    }
    let known: Vec<String> = hosts.keys().cloned().collect();
    for given in secrets::read(options, &known, &env)? {
        let (option, host) = (given.option, given.host().to_owned());
        let given_before = hosts.entry(host.clone()).or_default().secrets.insert(given.entry.clone(), given);
        ensure!(given_before.is_none(), "{option} for {host}: this key is given twice");
    }
    for text in &options.backend {
        let (host, url) = text.split_once('=').context("--backend is not of the form HOST=URL")?;
        secrets::check_host("--backend", host, &known)?;
        let wishes = hosts.entry(host.to_owned()).or_default();
        ensure!(wishes.backend.is_none(), "--backend for {host} is given twice");
        wishes.backend = Some(check_backend_url(url).with_context(|| format!("--backend for {host}"))?);
    }
    for name in &options.real {
        let provider = provider_named(policy, "--real", name)?;
        let host = &provider.base_url.host;
        let wishes = hosts.entry(host.clone()).or_default();
        ensure!(wishes.backend.is_none(), "--real {name} and --backend {host} contradict");
        wishes.real = true;
        if provider.auth != AuthStyle::None && !wishes.secrets.contains_key(&provider.secret) {
            let given = well_known::key_of(provider, &env).with_context(|| format!("--real {name}"))?;
            wishes.secrets.insert(provider.secret.clone(), given);
        }
    }
    for name in &options.simulate {
        let host = &provider_named(policy, "--simulate", name)?.base_url.host;
        let wishes = hosts.entry(host.clone()).or_default();
        ensure!(!options.no_simulators, "--simulate {name} and --no-simulators contradict");
        ensure!(!wishes.real, "--simulate {name} and --real for {host} contradict");
        ensure!(wishes.backend.is_none(), "--simulate {name} and --backend {host} contradict");
        wishes.simulated = true;
    }
    hosts.into_iter().map(|(host, wishes)| target(host, wishes, options.no_simulators)).collect()
}

fn target(host: String, wishes: Wishes, no_simulators: bool) -> Result<Target> {
    let Wishes { rows, backend, real, simulated, secrets: given } = wishes;
    let is_server_here = !simulated && rows.iter().any(|row| !row.base_url.tls);
    let mut secrets: BTreeMap<String, String> =
        given.values().map(|given| (given.entry.clone(), given.value.clone())).collect();
    let destination = match backend {
        Some(url) => {
            add_made_up_keys(&mut secrets, &rows);
            Destination::Backend { url }
        }
        None if real || no_simulators || is_server_here || rows.is_empty() => Destination::Itself,
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
    let is_host_itself = matches!(destination, Destination::Itself) && rows.iter().all(|row| well_known::is_usual(row));
    given.values().try_for_each(|given| well_known::check(given, is_host_itself))?;
    Ok(Target { host, destination, secrets: secrets.into_iter().collect() })
}

/// It has the shape of a real one, so that it is masked where a real one would be.
fn made_up_key(entry: &str) -> String {
    format!("sk-made-up-4f9a0c27be31d865-of-{entry}")
}

fn add_made_up_keys(secrets: &mut BTreeMap<String, String>, rows: &[&Provider]) {
    for row in rows.iter().filter(|row| row.auth != AuthStyle::None) {
        secrets.entry(row.secret.clone()).or_insert_with(|| made_up_key(&row.secret));
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
    let known = known.find(|(_, profile, _)| profile.dialect == dialect).map(|(_, profile, _)| profile);
    let server = || simulate::profile_of_server(&row.name, row.base_url.port);
    let other = simulate::profile_of(host).or_else(server).filter(|profile| profile.dialect == dialect);
    Some(known.or(other).unwrap_or(generic))
}

fn provider_named<'a>(policy: &'a Policy, option: &str, name: &str) -> Result<&'a Provider> {
    let found = policy.providers.iter().find(|provider| provider.name == name);
    found.with_context(|| {
        let valid: Vec<&str> = policy.providers.iter().map(|provider| provider.name.as_str()).collect();
        format!("{option} {name}: the policy has no such provider; valid: {}", valid.join(", "))
    })
}

fn check_backend_url(text: &str) -> Result<String> {
    let url: Url = text.parse().context("this is not a URL")?;
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        _ => bail!("this URL is neither https nor http to this machine"),
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !has_user;
    ensure!(is_bare, "this URL must be no more than scheme, host and port; the policy's base_url has the path");
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
        let mut targets = choose(&policy(), &line.options, env)?;
        rehearsal::assign(&policy(), &line.options.fault, &mut targets)?;
        Ok(targets)
    }

    fn env(name: &str) -> Option<String> {
        let known = ["OPENAI_API_KEY", "GOOGLE_API_KEY", "MY_KEY", "OPNAI_API_KEY"].contains(&name);
        known.then(|| format!("secret-from-{name}"))
    }

    /// The shipped policy, but for OpenAI's row.
    fn with_openai_at(base_url: &str) -> Policy {
        let mut document: serde_json::Value =
            serde_json::from_slice(include_bytes!("../../../policy/default.json")).expect("the policy should be JSON");
        document["providers"]["openai"]["base_url"] = base_url.into();
        // The key's entry is then the one that is named after the host.
        document["providers"]["openai"].as_object_mut().expect("a row is an object").remove("secret");
        tiergate::policy::parse::parse(document.to_string().as_bytes()).expect("the policy should be valid")
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
            (&[][..], openai, "simulator openai; api.openai.com=sk-made-up-4f9a0c27be31d865-of-api.openai.com"),
            (&[], anthropic, "simulator anthropic; api.anthropic.com=sk-made-up-4f9a0c27be31d865-of-api.anthropic.com"),
            (&["--no-simulators"], openai, "itself"),
            (&["--real", "openai"], openai, "itself; api.openai.com=secret-from-OPENAI_API_KEY"),
            (
                &["--real", "google"],
                "generativelanguage.googleapis.com",
                "itself; generativelanguage.googleapis.com=secret-from-GOOGLE_API_KEY",
            ),
            (&["--secret-env", "api.openai.com=MY_KEY"], openai, "simulator openai; api.openai.com=secret-from-MY_KEY"),
            (
                &["--real", "openai", "--secret-env", "api.openai.com=OPENAI_API_KEY"],
                openai,
                "itself; api.openai.com=secret-from-OPENAI_API_KEY",
            ),
            (
                &["--real", "openai", "--secret-env", "api.openai.com=MY_KEY"],
                openai,
                "itself; api.openai.com=secret-from-MY_KEY",
            ),
            (&["--real", "openai", "--secret", "api.openai.com=a=b"], openai, "itself; api.openai.com=a=b"),
            (&["--secret", "api.openai.com=mine"], openai, "simulator openai; api.openai.com=mine"),
            (
                &["--backend", "api.anthropic.com=http://127.0.0.1:9"],
                anthropic,
                "http://127.0.0.1:9; api.anthropic.com=sk-made-up-4f9a0c27be31d865-of-api.anthropic.com",
            ),
            (
                &["--fault", "openai=status=503 x2; close"],
                openai,
                "simulator openai with status=503 x2; close; api.openai.com=sk-made-up-4f9a0c27be31d865-of-api.openai.com",
            ),
            (
                &["--fault", "api.openai.com=hang *"],
                openai,
                "simulator openai with hang *; api.openai.com=sk-made-up-4f9a0c27be31d865-of-api.openai.com",
            ),
            (&["--no-simulators", "--secret", "api.openai.com__eu=k"], openai, "itself; api.openai.com__eu=k"),
        ] {
            let targets = targets(arguments).expect("the options should be valid");
            assert_eq!(describe(&targets, host), expected, "{arguments:?}");
        }
    }

    #[test]
    fn bad_options_say_what_would_be_good_and_show_no_key() {
        for (arguments, expected) in [
            (&["--real", "opnai"][..], "valid: openai, anthropic, google, inception"),
            (&["--real", "inception"], "in the environment as INCEPTION_API_KEY, or given with --secret-file api.inc"),
            (&["--secret", "sk-only-the-key"], "HOST=VALUE"),
            (&["--secret-file", "sk-only-the-key"], "HOST=FILE"),
            (&["--secret-env", "sk-only-the-key"], "HOST=VARIABLE"),
            (&["--secret", "sk-only-the-key="], "no provider of the policy has; valid: api.anthropic.com, api.inc"),
            (&["--secret", "sk-only-the-key__eu=="], "valid: api.anthropic.com"),
            (&["--secret-file", "sk-only-the-key=="], "valid: api.anthropic.com"),
            (&["--secret-env", "sk-only-the-key=="], "valid: api.anthropic.com"),
            (&["--secret", "api.openai.com="], "the key is empty"),
            (
                &["--secret-file", "api.openai.com=/sk-only-the-key"],
                "--secret-file for api.openai.com: entity not found",
            ),
            (&["--secret-env", "api.openai.com=sk-only-the-key"], "no such variable"),
            (&["--secret-env", "api.openai.com=MY_KEY", "--secret", "api.openai.com=sk-only-the-key"], "given twice"),
            (&["--backend", "sk-only-the-key"], "HOST=URL"),
            (&["--backend", "new.example.com=http://127.0.0.1:1"], "valid: api.anthropic.com"),
            (&["--backend", "api.openai.com=sk-only-the-key"], "not a URL"),
            (&["--backend", "api.openai.com=http://me:sk-only-the-key@127.0.0.1"], "scheme, host and port"),
            (&["--backend", "api.openai.com=http://:sk-only-the-key@127.0.0.1"], "scheme, host and port"),
            (
                &["--backend", "api.openai.com=http://[::1]:1", "--backend", "api.openai.com=http://[::1]:2"],
                "given twice",
            ),
            (&["--backend", "api.openai.com=http://192.0.2.1"], "neither https nor http to this machine"),
            (&["--backend", "api.openai.com=http://127.0.0.1:1/v1"], "scheme, host and port"),
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

    #[test]
    fn a_well_known_variable_goes_to_its_own_host_only() {
        for (base_url, arguments) in [
            ("http://127.0.0.1:9/v1", &["--real", "openai"][..]),
            ("https://127.0.0.1/v1", &["--real", "openai"]),
            ("https://llm.example.com/v1", &["--real", "openai"]),
            ("https://api.openai.com.example.com/v1", &["--real", "openai"]),
            ("https://xapi.openai.com/v1", &["--real", "openai"]),
            ("https://api.openai.com:8443/v1", &["--real", "openai"]),
            ("https://llm.example.com/v1", &["--real", "openai", "--secret-env", "llm.example.com=OPENAI_API_KEY"]),
            ("https://api.openai.com:8443/v1", &["--no-simulators", "--secret-env", "api.openai.com=OPENAI_API_KEY"]),
            ("https://api.openai.com/v1", &["--secret-env", "api.openai.com=OPENAI_API_KEY"]),
            ("https://api.openai.com/v1", &["--secret-env", "api.anthropic.com=OPENAI_API_KEY"]),
            ("https://api.openai.com/v1", &["--no-simulators", "--secret-env", "api.anthropic.com=OPENAI_API_KEY"]),
            (
                "https://api.openai.com/v1",
                &["--backend", "api.openai.com=http://[::1]:1", "--secret-env", "api.openai.com=OPENAI_API_KEY"],
            ),
            (
                "https://api.openai.com/v1",
                &[
                    "--backend",
                    "api.openai.com=https://llm.example.com",
                    "--secret-env",
                    "api.openai.com=OPENAI_API_KEY",
                ],
            ),
        ] {
            let line = CommandLine::parse_from(["dev"].iter().chain(arguments));
            let message = match choose(&with_openai_at(base_url), &line.options, env) {
                Ok(_) => panic!("{base_url} {arguments:?} should be refused"),
                Err(error) => format!("{error:#}"),
            };
            assert!(!message.contains("secret-from"), "{message}");
        }
        let line = CommandLine::parse_from(["dev", "--real", "openai", "--secret-env", "llm.example.com=MY_KEY"]);
        let targets = choose(&with_openai_at("https://llm.example.com/v1"), &line.options, env).expect("it is named");
        assert_eq!(describe(&targets, "llm.example.com"), "itself; llm.example.com=secret-from-MY_KEY");
    }

    #[test]
    fn a_server_on_this_machine_is_played_only_if_that_is_asked_for() {
        for (base_url, arguments, host, expected) in [
            ("http://localhost:11434/v1", &[][..], "localhost", "itself"),
            ("http://localhost:11434/v1", &["--simulate", "openai"], "localhost", "simulator ollama"),
            ("http://127.0.0.1:8000/v1", &["--simulate", "openai"], "127.0.0.1", "simulator vllm"),
            ("http://127.0.0.1:9/v1", &["--simulate", "openai"], "127.0.0.1", "simulator openai"),
            ("https://llm.example.com:8000/v1", &[], "llm.example.com", "simulator vllm"),
        ] {
            let line = CommandLine::parse_from(["dev"].iter().chain(arguments));
            let targets = choose(&with_openai_at(base_url), &line.options, env).expect("the options should be valid");
            let described = describe(&targets, host);
            assert_eq!(described.split(';').next(), Some(expected), "{base_url}: {described}");
        }
        for (arguments, expected) in [
            (&["--simulate", "opnai"][..], "--simulate opnai: the policy has no such provider; valid: openai"),
            (&["--simulate", "openai", "--no-simulators"], "contradict"),
            (&["--simulate", "openai", "--backend", "127.0.0.1=http://[::1]:1"], "contradict"),
        ] {
            let line = CommandLine::parse_from(["dev"].iter().chain(arguments));
            let chosen = choose(&with_openai_at("http://127.0.0.1:8000/v1"), &line.options, env);
            let message = chosen.map(drop).expect_err("the options contradict").to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_key_may_stand_in_a_file() {
        let file = tempfile::NamedTempFile::new().expect("a file should be possible");
        let option = format!("api.openai.com={}", file.path().display());
        for (content, expected) in [
            (&b"the key\r\n"[..], Some("the key")),
            (b" the key\n\n", Some(" the key")),
            (b"the key", Some("the key")),
            (b"\n", None),
            (b"the key\xff", None),
            (&[b'k'; 65537], None),
        ] {
            std::fs::write(file.path(), content).expect("the file should be writable");
            match (targets(&["--secret-file", &option]), expected) {
                (Ok(targets), Some(key)) => {
                    assert_eq!(describe(&targets, "api.openai.com"), format!("simulator openai; api.openai.com={key}"));
                }
                (Err(error), None) => assert!(!format!("{error:#}").contains("the key\u{fffd}"), "{error:#}"),
                (found, _) => panic!("{content:?}: {:#?}", found.err()),
            }
        }
    }
}
