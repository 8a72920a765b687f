//! `--fault PROVIDER=SCRIPT`: an outage to rehearse, given to the simulator that stands for the provider.

use anyhow::{Context, Result, bail, ensure};
use tiergate::policy::Policy;
use tiergate_simulator::Script;

use super::destination::{Destination, Target};

/// Gives each script to its provider's simulator. PROVIDER is a provider of the policy or its host; providers that share
/// a host share its simulator.
pub fn assign(policy: &Policy, faults: &[String], targets: &mut [Target]) -> Result<()> {
    for text in faults {
        let (name, script) = text.split_once('=').with_context(|| format!("--fault {text} is not PROVIDER=SCRIPT"))?;
        ensure!(!script.trim().is_empty(), "--fault {name}= has no script, such as status=503 *");
        let host = host_of(policy, name)?;
        script.parse::<Script>().with_context(|| format!("--fault {name}"))?;
        let target = targets.iter_mut().find(|target| target.host == host);
        let target = target.with_context(|| format!("--fault {name}: nothing stands for {host}"))?;
        match &mut target.destination {
            Destination::Simulator { script: given, .. } => {
                let problem = "is given twice; `;` separates the steps of one script";
                ensure!(given.is_empty(), "--fault for {host} {problem}");
                script.clone_into(given);
            }
            Destination::Backend { url } => bail!("--fault {name}: {host} is no simulator but {url}"),
            Destination::Itself => bail!("--fault {name}: {host} is no simulator but the host itself"),
            Destination::NoSimulator => bail!("--fault {name}: the dialect of {host} has no simulator"),
        }
    }
    Ok(())
}

fn host_of<'a>(policy: &'a Policy, name: &str) -> Result<&'a str> {
    let mut providers = policy.providers.iter();
    let found = providers.find(|provider| provider.name == name || provider.base_url.host == name);
    let host = found.map(|provider| provider.base_url.host.as_str());
    host.with_context(|| {
        let valid = policy.providers.iter().map(|provider| format!("{} or {}", provider.name, provider.base_url.host));
        format!("--fault {name}: the policy has no such provider; valid: {}", valid.collect::<Vec<_>>().join(", "))
    })
}
