//! Variables of the environment that everybody keeps a provider's key in, and the hosts that those keys are for.
//!
//! Such a variable is there without a word from whoever starts the gateway, so a policy must not get at it by a row's
//! name: it goes to its own hosts only, over https on port 443, and to nothing that stands in for them.

use anyhow::{Context, Result, bail};
use tiergate::policy::Provider;

use super::secrets::GivenSecret;

/// Each host, and its variables in the order in which they are looked for.
const WELL_KNOWN: [(&str, &[&str]); 20] = [
    ("api.openai.com", &["OPENAI_API_KEY"]),
    ("api.anthropic.com", &["ANTHROPIC_API_KEY"]),
    ("generativelanguage.googleapis.com", &["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
    ("api.inceptionlabs.ai", &["INCEPTION_API_KEY"]),
    ("api.mistral.ai", &["MISTRAL_API_KEY"]),
    ("api.groq.com", &["GROQ_API_KEY"]),
    ("api.deepseek.com", &["DEEPSEEK_API_KEY"]),
    ("api.x.ai", &["XAI_API_KEY"]),
    ("api.together.xyz", &["TOGETHER_API_KEY"]),
    ("api.together.ai", &["TOGETHER_API_KEY"]),
    ("api.fireworks.ai", &["FIREWORKS_API_KEY"]),
    ("api.cerebras.ai", &["CEREBRAS_API_KEY"]),
    ("openrouter.ai", &["OPENROUTER_API_KEY"]),
    ("api.cohere.com", &["COHERE_API_KEY", "CO_API_KEY"]),
    ("api.cohere.ai", &["COHERE_API_KEY", "CO_API_KEY"]),
    ("api.perplexity.ai", &["PERPLEXITY_API_KEY"]),
    ("api.moonshot.ai", &["MOONSHOT_API_KEY"]),
    ("dashscope-intl.aliyuncs.com", &["DASHSCOPE_API_KEY"]),
    ("integrate.api.nvidia.com", &["NVIDIA_API_KEY"]),
    ("router.huggingface.co", &["HF_TOKEN"]),
];

/// Whether this row is reached in the only way that a well-known variable is used for.
pub fn is_usual(row: &Provider) -> bool {
    row.base_url.tls && row.base_url.port == 443
}

/// The key of a provider that is used itself, and for which none was given.
pub fn key_of(provider: &Provider, env: &impl Fn(&str) -> Option<String>) -> Result<GivenSecret> {
    let entry = &provider.secret;
    let otherwise = format!("--secret-file {entry}=FILE or --secret-env {entry}=VARIABLE");
    let host = &provider.base_url.host;
    let variables = WELL_KNOWN.iter().find(|(known, _)| known == host).map(|(_, variables)| *variables);
    let Some(variables) = variables.filter(|_| is_usual(provider)) else {
        let port = provider.base_url.port;
        bail!("no variable is known to hold the key of {host}, port {port}; give it with {otherwise}");
    };
    let found = variables.iter().find_map(|variable| {
        let value = env(variable).filter(|value| !value.is_empty())?;
        Some(GivenSecret { option: "--real", entry: entry.clone(), value, variable: Some((*variable).to_owned()) })
    });
    found.with_context(|| {
        format!("the key must be in the environment as {}, or given with {otherwise}", variables.join(" or "))
    })
}

/// Refuses a well-known variable for another host than its own, and for its own host where something stands in for it.
pub fn check(given: &GivenSecret, is_host_itself: bool) -> Result<()> {
    let Some(variable) = given.variable.as_deref() else { return Ok(()) };
    let is_for = |(_, variables): &&(&str, &[&str])| variables.contains(&variable);
    let hosts: Vec<&str> = WELL_KNOWN.iter().filter(is_for).map(|(host, _)| *host).collect();
    if hosts.is_empty() || (is_host_itself && hosts.contains(&given.host())) {
        return Ok(());
    }
    let (option, host, allowed) = (given.option, given.host(), hosts.join(" or "));
    bail!(
        "{option} for {host}: {variable} is sent to {allowed} itself only (--real); keep another key in another variable"
    )
}
