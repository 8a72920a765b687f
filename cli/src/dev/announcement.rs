//! What runs, and lines to copy, once everything does.

use std::fmt;
use std::path::Path;

use console::style;
use tiergate_guests::kv::STORE;

use super::client::{Client, Entrance};
use super::destination::{Destination, Target};

pub struct Announcement<'a> {
    /// Base URLs have no slash at the end.
    pub gateway: String,
    pub policy: &'a Path,
    pub policy_version: &'a str,
    pub targets: &'a [Target],
    pub kv_api: String,
    /// As a shell takes it.
    pub kv_token: &'a str,
    pub log: Option<&'a Path>,
    pub key: &'a str,
    /// The one client whose lines are wanted.
    pub client: Option<Client>,
}

impl fmt::Display for Announcement<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.policy.canonicalize().unwrap_or_else(|_| self.policy.to_owned());
        writeln!(out, "\n{} Ctrl-C stops it.\n", style("tiergate is running.").bold())?;
        writeln!(out, "  gateway  {}", self.gateway)?;
        writeln!(out, "  key      {}", self.key)?;
        writeln!(out, "  policy   {} from {}", self.policy_version, policy.display())?;
        match self.log {
            Some(path) => writeln!(out, "  log      below, and as JSON in {}", path.display())?,
            None => writeln!(out, "  log      below; --log FILE keeps the JSON lines")?,
        }
        writeln!(out, "  KV API   {}", self.kv_api)?;
        writeln!(out, "\n{}", heading("Providers"))?;
        let width = self.targets.iter().map(|target| target.host.len()).max().unwrap_or_default();
        for target in self.targets {
            writeln!(out, "  {:width$}  {}", target.host, place(&target.destination))?;
        }

        let Self { gateway, key, kv_api, kv_token, .. } = self;
        let clients = match self.client {
            Some(client) => &[client][..],
            None => {
                let body = r#"{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}"#;
                writeln!(out, "\n{}", heading("curl"))?;
                writeln!(
                    out,
                    "curl {gateway}/v1/chat/completions -H 'Authorization: Bearer {key}' \
                     -H 'Content-Type: application/json' -d '{body}'"
                )?;
                &[Client::Python, Client::Node, Client::ClaudeCode]
            }
        };
        for client in clients {
            writeln!(out, "\n{}\n{}", heading(client.heading()), client.lines(Entrance { gateway, key }))?;
        }
        writeln!(out, "\n{}", heading("Change the policy of the running gateway"))?;
        writeln!(
            out,
            "FASTLY_API_TOKEN={kv_token} fastly kv-store-entry create --store-id {STORE} --key policy --value \"$(cat '{}')\" \
             --api {kv_api} --account {kv_api} --non-interactive",
            policy.display()
        )
    }
}

fn heading(text: &str) -> console::StyledObject<&str> {
    style(text).bold()
}

fn place(destination: &Destination) -> String {
    match destination {
        Destination::Simulator { url, script, .. } if script.is_empty() => format!("simulator at {url}"),
        Destination::Simulator { url, script, .. } => format!("simulator at {url} with the faults: {script}"),
        Destination::Backend { url } => url.clone(),
        Destination::Itself => "the host itself".to_owned(),
        Destination::NoSimulator => "nothing: its dialect has no simulator yet, so it is skipped".to_owned(),
    }
}
