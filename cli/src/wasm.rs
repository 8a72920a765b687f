//! Builds the Wasm guests with cargo, in the workspace that this program was built from.
//!
//! Cargo itself knows whether anything has changed, so a build of what is up to date takes a fraction of a second.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tiergate_start::{WASM_TARGET, ensure_wasm_target};

/// A guest of this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guest {
    /// The gateway itself.
    Edge,
    /// Reads and writes the KV Store for the local tools.
    KvStore,
    /// Shows what the runtime gives to a guest.
    Probe,
    /// The gateway with one request per sandbox.
    Single,
    /// The gateway's shell around a pipeline that panics.
    Panicking,
    /// The same, where nothing of a request is known yet.
    PanickingEarly,
    /// Times the translation between dialects.
    Translate,
    /// The benchmark's floor.
    NullProxy,
}

impl Guest {
    fn package(self) -> &'static str {
        match self {
            Self::Edge => "tiergate",
            Self::KvStore | Self::Probe | Self::Single | Self::Panicking | Self::PanickingEarly | Self::Translate => {
                "tiergate-guests"
            }
            Self::NullProxy => "tiergate-null-proxy",
        }
    }

    fn bin(self) -> &'static str {
        match self {
            Self::Edge => "tiergate-edge",
            Self::KvStore => "kv-store",
            Self::Probe => "probe",
            Self::Single => "single",
            Self::Panicking => "panicking",
            Self::PanickingEarly => "panicking-early",
            Self::Translate => "translate",
            Self::NullProxy => "null-proxy",
        }
    }
}

/// What this process has built, so that parallel tests build once.
static BUILT: Mutex<Option<HashMap<Guest, PathBuf>>> = Mutex::new(None);

/// The workspace's root folder.
///
/// Clones that share a target directory may share this program too, so cargo's word on what it runs comes first.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let package = PathBuf::from(package);
        let root = package.ancestors().find(|folder| folder.join("Cargo.lock").exists());
        root.map_or_else(|| package.clone(), Path::to_owned)
    });
    &ROOT
}

/// The path of one guest's Wasm, built at most once in this process.
pub fn guest(guest: Guest) -> Result<PathBuf> {
    let mut paths = build(&[guest], &mut |_| {})?;
    paths.pop().context("cargo named no Wasm")
}

/// Builds what this process has not built yet, in one run of cargo, and returns the paths in the order of `guests`.
///
/// `report` gets cargo's own words on what it is doing. The error of a failed build holds all that cargo printed.
pub fn build(guests: &[Guest], report: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    let missing: Vec<Guest> = guests.iter().copied().filter(|guest| !built.contains_key(guest)).collect();
    if !missing.is_empty() {
        built.extend(run_cargo(&missing, report)?);
    }
    guests
        .iter()
        .map(|guest| built.get(guest).cloned().with_context(|| format!("cargo built no `{}`", guest.bin())))
        .collect()
}

/// The part of cargo's messages that names what was built.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

fn run_cargo(guests: &[Guest], report: &mut dyn FnMut(&str)) -> Result<HashMap<Guest, PathBuf>> {
    ensure_wasm_target(root(), report)?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let color = if console::colors_enabled_stderr() { "always" } else { "never" };
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--release", "--locked", "--target", WASM_TARGET, "--color", color]);
    command.arg("--message-format=json-render-diagnostics");
    for guest in guests {
        command.args(["--package", guest.package(), "--bin", guest.bin()]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run cargo in {}", root().display()))?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let stderr = child.stderr.take().context("cargo has no standard error")?;

    // Both are read at once, since cargo stops when either is full.
    let messages = thread::spawn(move || read_artifacts(BufReader::new(stdout)));
    let mut printed = String::new();
    for line in BufReader::new(stderr).lines() {
        let line = line?;
        report(console::strip_ansi_codes(&line).trim());
        printed.push_str(&line);
        printed.push('\n');
    }
    let status = child.wait()?;
    let artifacts = messages.join().map_err(|_| anyhow::anyhow!("reading cargo's messages failed"))?;
    if !status.success() {
        bail!("building the Wasm failed\n\n{printed}");
    }
    let path = |guest: &Guest| artifacts.get(guest.bin()).map(|path| (*guest, path.clone()));
    Ok(guests.iter().filter_map(path).collect())
}

/// The Wasm file of every bin that cargo names.
fn read_artifacts(messages: impl BufRead) -> HashMap<String, PathBuf> {
    let artifact = |line: String| {
        let message: Message = serde_json::from_str(&line).ok()?;
        let target = message.target.filter(|target| target.kind.iter().any(|kind| kind == "bin"))?;
        let wasm = message.filenames.into_iter().find(|path| path.extension().is_some_and(|end| end == "wasm"))?;
        (message.reason == "compiler-artifact").then_some((target.name, wasm))
    };
    messages.lines().map_while(Result::ok).filter_map(artifact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wasm_of_bins_counts_as_built() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"serde","kind":["lib"]},"filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","target":{"name":"probe","kind":["bin"]},"filenames":["/t/probe.d","/t/probe.wasm"]}
{"reason":"build-finished","success":true}
"#;
        let artifacts = read_artifacts(messages.as_bytes());
        assert_eq!(artifacts, HashMap::from([("probe".to_owned(), PathBuf::from("/t/probe.wasm"))]));
    }
}
