//! The gateway with the suite's own policy and clients, a simulator for each provider, and the control server.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use serde_json::{Value, json};
use tiergate_cli::client_key::ClientKey;
use tiergate_cli::dev::client::{Client, Entrance};
use tiergate_cli::gateway::{Gateway, GatewayOptions};
use tiergate_cli::wasm::{self, Guest};
use tiergate_simulator::{Profile, Simulator};
use tokio::sync::mpsc::unbounded_channel;

use crate::control::Control;

/// Clients by id, with what their entry says beside the name and the key.
const CLIENTS: [(&str, &str); 5] = [
    ("app", r#"{"tags": {"team": "clients"}, "tiers": ["fast", "balanced", "quality", "reasoning"]}"#),
    ("pinner", r#"{"may_pin": true, "tiers": ["fast", "balanced", "quality", "reasoning"]}"#),
    // Who may use every tier and model, as the tests of the Messages API do, and see which candidates cool down.
    ("free", r#"{"may_pin": true, "may_inspect": true}"#),
    ("retired", r#"{"disabled": true}"#),
    ("cheap", r#"{"tiers": ["fast"]}"#),
];
const RANDOM_PART: &str = "TheseThirtyTwoOrMoreAreNoSecret0";
const POLICY: &[u8] = include_bytes!("../../policy.json");

pub struct World {
    description: Value,
    // It serves as long as it lives.
    _gateway: Gateway,
}

impl World {
    pub async fn start() -> Result<Self> {
        let (log, lines) = unbounded_channel();
        let mut options = GatewayOptions::new(wasm::guest(Guest::Edge)?).kv("policy", POLICY).log(log);
        let mut keys = BTreeMap::new();
        for (id, more) in CLIENTS {
            let key = ClientKey::with_random_part(id, RANDOM_PART);
            options = options.kv(key.entry_key(), client_entry(id, &key, more)?);
            keys.insert(id, key.expose().to_owned());
        }
        let mut simulators = BTreeMap::new();
        let mut provider_keys = BTreeMap::new();
        let mut simulator_urls = BTreeMap::new();
        for (name, host, profile) in [
            ("openai", "api.openai.com", Profile::openai()),
            ("anthropic", "api.anthropic.com", Profile::anthropic()),
            ("google", "generativelanguage.googleapis.com", Profile::google()),
            ("inception", "api.inceptionlabs.ai", Profile::inception()),
        ] {
            let key = format!("sk-made-up-4f9a0c27be31d865-of-{name}");
            let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let simulator = Simulator::start(profile.with_key(&key), any_port).await?;
            options = options.backend(host, format!("http://{}", simulator.addr()));
            options = options.place(format!("https://{host}"), "", Some(&key));
            simulator_urls.insert(name, format!("http://{}", simulator.addr()));
            simulators.insert(name, simulator);
            provider_keys.insert(name, key);
        }
        let gateway = Gateway::start(options.continues()).await?;
        let url = gateway.url();
        let entrance = Entrance { gateway: &url, key: &keys["free"] };
        let of_clients: BTreeMap<_, _> =
            Client::by_name().map(|(name, client)| (name, client.lines(entrance))).collect();
        let description = json!({
            "base_url": format!("{url}/v1"),
            "control_url": Control::start(simulators, lines).await?,
            "keys": keys,
            "lines": of_clients,
            "provider_keys": provider_keys,
            "simulator_urls": simulator_urls,
            "api_description": wasm::root().join("simulator/openapi/openai-subset.json"),
        });
        Ok(Self { description, _gateway: gateway })
    }

    /// What the suite is told, as JSON.
    pub fn description(&self) -> String {
        self.description.to_string()
    }
}

fn client_entry(id: &str, key: &ClientKey, more: &str) -> Result<Vec<u8>> {
    let mut entry: Value = serde_json::from_str(more)?;
    entry["name"] = json!(id);
    entry["keys"] = json!([key.entry()]);
    Ok(serde_json::to_vec(&entry)?)
}
