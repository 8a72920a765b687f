//! The keys that `--secret-file`, `--secret-env` and `--secret` give.
//!
//! None of what stands after the `=` is ever shown: whoever mixes the options up has written a key there. For the same
//! reason nothing is shown of an option without a `=`.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, anyhow, ensure};

use super::options::DevOptions;

/// Fastly's own limit of a secret.
const MAX_BYTES: u64 = 64 * 1024;

/// One key, and where it came from.
pub struct GivenSecret {
    /// The option, as in `--secret`.
    pub option: &'static str,
    /// The Secret Store entry, which begins with one of the policy's hosts.
    pub entry: String,
    pub value: String,
    /// The variable that it was read from.
    pub variable: Option<String>,
}

impl GivenSecret {
    pub fn host(&self) -> &str {
        host_of(&self.entry)
    }
}

/// All keys that the options give; `hosts` are those of the policy.
pub fn read(options: &DevOptions, hosts: &[String], env: &impl Fn(&str) -> Option<String>) -> Result<Vec<GivenSecret>> {
    let from_file = options.secret_file.iter().map(|text| ("--secret-file", "FILE", text));
    let from_env = options.secret_env.iter().map(|text| ("--secret-env", "VARIABLE", text));
    let bare = options.secret.iter().map(|text| ("--secret", "VALUE", text));
    let read_one = |(option, what, text): (&'static str, &str, &String)| {
        let (entry, given) =
            text.split_once('=').with_context(|| format!("{option} is not of the form HOST={what}"))?;
        check_host(option, host_of(entry), hosts)?;
        let value = match what {
            "FILE" => read_file(given),
            "VARIABLE" => env(given).context("there is no such variable, or it is not text"),
            _ => Ok(given.to_owned()),
        };
        let value = value.with_context(|| format!("{option} for {entry}"))?;
        ensure!(!value.is_empty(), "{option} for {entry}: the key is empty");
        let variable = (what == "VARIABLE").then(|| given.to_owned());
        Ok(GivenSecret { option, entry: entry.to_owned(), value, variable })
    };
    from_file.chain(from_env).chain(bare).map(read_one).collect()
}

/// Refuses a host that the policy does not have. The error does not show it, since it may be half of a key with a `=`.
pub fn check_host(option: &str, host: &str, hosts: &[String]) -> Result<()> {
    let problem = "names a host that no provider of the policy has; valid:";
    ensure!(hosts.iter().any(|known| known == host), "{option} {problem} {}", hosts.join(", "));
    Ok(())
}

/// `api.example.com` of `api.example.com__label`.
fn host_of(entry: &str) -> &str {
    entry.split("__").next().unwrap_or(entry)
}

/// The file's text without the line end that editors leave.
fn read_file(path: &str) -> Result<String> {
    let mut text = String::new();
    // An error of the system would do, but for one that names the file.
    let file = File::open(path).map_err(|error| anyhow!("{}", error.kind()))?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| anyhow!("{}", error.kind()))?;
    ensure!(text.len() as u64 <= MAX_BYTES, "it has more than {MAX_BYTES} bytes");
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
