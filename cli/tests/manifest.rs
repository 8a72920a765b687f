//! `fastly.toml` is what the local runtime takes and has what the shipped policy needs.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tiergate_cli::wasm;
use toml::Table;
use viceroy_lib::config::FastlyConfig;

#[test]
fn the_manifest_has_all_that_the_shipped_policy_needs() -> Result<()> {
    // Paths in the manifest are relative to the folder that the service is served from.
    std::env::set_current_dir(wasm::root())?;
    let config = FastlyConfig::from_file("fastly.toml")?;
    let policy = tiergate::policy::parse::parse(&std::fs::read("policy/default.json")?)?;
    let secrets = config.secret_stores().get_store("tiergate").context("there should be a Secret Store")?;
    let manifest: Table = std::fs::read_to_string("fastly.toml")?.parse()?;
    let asked_for = &manifest["setup"]["secret_stores"]["tiergate"]["entries"];
    for provider in &policy.providers {
        let host = &provider.base_url.host;
        assert!(config.backends().contains_key(host), "a local backend for {host}");
        assert!(secrets.get_secret(&provider.secret).is_some(), "a local secret for {host}");
        assert!(asked_for.get(&provider.secret).is_some(), "publish asks for the secret of {host}");
    }
    Ok(())
}

#[test]
fn the_key_that_the_manifest_shows_is_the_one_that_it_accepts() -> Result<()> {
    let text = std::fs::read_to_string(wasm::root().join("fastly.toml"))?;
    let key = text.split_whitespace().find(|word| word.starts_with("tg_demo_")).context("there should be a key")?;
    let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    let manifest: Table = text.parse()?;
    let entries = manifest["local_server"]["kv_stores"]["tiergate"].as_array().context("there should be entries")?;
    let entry = entries.iter().find(|entry| entry["key"].as_str() == Some("client/demo")).context("client/demo")?;
    let client: serde_json::Value = serde_json::from_str(entry["data"].as_str().context("data")?)?;
    assert_eq!(client["keys"][0]["sha256"], hash);
    Ok(())
}

#[test]
fn simulators_listen_where_the_manifest_sends_traffic() -> Result<()> {
    let manifest: Table = std::fs::read_to_string(wasm::root().join("fastly.toml"))?.parse()?;
    for (host, _, port) in tiergate_cli::simulate::simulated() {
        let backend = &manifest["local_server"]["backends"][host];
        assert_eq!(backend["url"].as_str(), Some(format!("http://127.0.0.1:{port}").as_str()), "{host}");
    }
    Ok(())
}
