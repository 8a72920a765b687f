//! Runs the suite of this folder (official SDKs, as children) against the gateway's Wasm on loopback.
//!
//! `world` starts the gateway with its simulators and tells the children where it is; `control` lets them set faults and
//! read back what arrived. What the SDKs do and must see stands in `python` and `node`; `types` has what needs no gateway: the
//! answers of tests/golden/crossings, by the SDKs' types. Without its programs (`clients/install`) the suite is skipped, unless
//! TIERGATE_REQUIRE_CLIENTS=1 says that it must run.

use std::fs;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tiergate_cli::wasm;
use tokio::process::Command;

mod control;
mod world;

use world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_works() -> Result<()> {
    let arguments = ["-B", "-m", "pytest", "-p", "no:cacheprovider", "--verbose", "python"];
    run(".venv/bin/python", &arguments).await
}

/// OpenAI's and Anthropic's own, and the AI SDK's providers. One file at a time, since faults are set for all.
#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdks_work() -> Result<()> {
    let arguments =
        ["--test", "--test-concurrency=1", "--test-timeout=120000", "--test-reporter=spec", "node/*.test.mjs"];
    run(".venv/bin/node", &arguments).await
}

/// What clients got stands in files, so that nothing has to run.
#[tokio::test]
async fn the_types_of_the_python_sdks_take_every_answer() -> Result<()> {
    check(".venv/bin/python", &["-B", "-m", "pytest", "-p", "no:cacheprovider", "types"]).await
}

#[tokio::test]
async fn the_types_of_the_node_sdks_take_every_answer() -> Result<()> {
    check(".venv/bin/node", &["--test", "--test-reporter=spec", "types/*.test.mjs"]).await
}

/// Runs a program of the suite against a world of its own.
async fn run(program: &str, arguments: &[&str]) -> Result<()> {
    if !may_run()? {
        return Ok(());
    }
    let world = World::start().await?;
    let mut command = Command::new(suite().join(program));
    report(command.args(arguments).env("TIERGATE_CLIENTS", world.description())).await
}

/// Runs a program of the suite that needs no world.
async fn check(program: &str, arguments: &[&str]) -> Result<()> {
    if !may_run()? {
        return Ok(());
    }
    report(Command::new(suite().join(program)).args(arguments)).await
}

/// Whether the programs of the suite are there.
fn may_run() -> Result<bool> {
    let is_installed = is_installed();
    if !is_installed {
        let advice = "the SDKs are not installed; run clients/install";
        let is_required = std::env::var_os("TIERGATE_REQUIRE_CLIENTS").is_some_and(|value| value == "1");
        ensure!(!is_required, "TIERGATE_REQUIRE_CLIENTS=1, but {advice}");
        // Written past the test harness, which would hide it.
        writeln!(stderr(), "skipped: {advice}")?;
    }
    Ok(is_installed)
}

/// Runs a program, and shows what it says.
async fn report(command: &mut Command) -> Result<()> {
    let output = command.current_dir(suite()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    // Whole, since several such tests run at a time, and past the test harness, since this is the report that counts.
    let mut report = b"\n".to_vec();
    report.extend([output.stdout, output.stderr].concat());
    stdout().write_all(&report)?;
    let program = command.as_std().get_program();
    ensure!(output.status.success(), "{} failed ({}); see its report", program.display(), output.status);
    Ok(())
}

fn suite() -> PathBuf {
    wasm::root().join("clients")
}

/// Whether `install` has run since the pinned versions changed.
fn is_installed() -> bool {
    let pinned = [("requirements.txt", ".venv/installed.txt"), ("package-lock.json", "node_modules/installed.json")];
    let read = |name: &str| fs::read(suite().join(name)).ok();
    pinned.iter().all(|(wanted, installed)| read(wanted) == read(installed))
}
