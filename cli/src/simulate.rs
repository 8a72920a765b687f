//! `tiergate simulate`: the simulators alone, on the ports that `fastly.toml` sends local traffic to.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use clap::Args;
use tiergate_simulator::{Profile, Simulator};

#[derive(Args)]
pub struct SimulateOptions {}

/// Each simulated host, its profile and its port; `fastly.toml` names the same.
pub fn simulated() -> Vec<(&'static str, Profile, u16)> {
    vec![
        ("api.openai.com", Profile::openai(), 7701),
        ("api.anthropic.com", Profile::anthropic(), 7702),
        ("generativelanguage.googleapis.com", Profile::google(), 7703),
        ("api.inceptionlabs.ai", Profile::inception(), 7704),
    ]
}

/// The profile of a host that is simulated only where a policy has it; nothing for one that nobody knows.
pub fn profile_of(host: &str) -> Option<Profile> {
    let profile = match host {
        "api.mistral.ai" => Profile::mistral(),
        "api.groq.com" => Profile::groq(),
        "api.deepseek.com" => Profile::deepseek(),
        "api.x.ai" => Profile::xai(),
        "api.together.ai" | "api.together.xyz" => Profile::together(),
        "api.fireworks.ai" => Profile::fireworks(),
        "api.cerebras.ai" => Profile::cerebras(),
        "openrouter.ai" => Profile::openrouter(),
        "ollama.com" => Profile::ollama(),
        _ if host.ends_with(".openai.azure.com") => Profile::azure(),
        _ => return None,
    };
    Some(profile)
}

/// The profile of a model server, by the name that the policy has for it or by its usual port.
pub fn profile_of_server(name: &str, port: u16) -> Option<Profile> {
    match (name, port) {
        ("vllm", _) => Some(Profile::vllm()),
        ("ollama", _) | (_, 11434) => Some(Profile::ollama()),
        (_, 8000) => Some(Profile::vllm()),
        _ => None,
    }
}

/// Runs until Ctrl-C.
pub async fn run(_options: SimulateOptions) -> Result<()> {
    let mut simulators = Vec::new();
    for (host, profile, port) in simulated() {
        let simulator = Simulator::start(profile, (Ipv4Addr::LOCALHOST, port).into()).await;
        let simulator = simulator.with_context(|| format!("cannot simulate {host} on 127.0.0.1:{port}"))?;
        println!("{host} is simulated on http://{}", simulator.addr());
        simulators.push(simulator);
    }
    println!("Now: fastly compute serve");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
