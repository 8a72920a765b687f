//! Runs the suite of this folder (official SDKs, as children) against the gateway's Wasm on loopback.
//!
//! `world` starts the gateway with its simulators and tells the children where it is; `control` lets them set faults and
//! read back what arrived. What the SDKs do and must see stands in `python` and `node`. Without its programs
//! (`clients/install`) the suite is skipped, unless TIERGATE_REQUIRE_CLIENTS=1 says that it must run.

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

/// Runs a program of the suite against a world of its own.
async fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let suite = suite();
    if !is_installed() {
        let advice = "the SDKs are not installed; run clients/install";
        let is_required = std::env::var_os("TIERGATE_REQUIRE_CLIENTS").is_some_and(|value| value == "1");
        ensure!(!is_required, "TIERGATE_REQUIRE_CLIENTS=1, but {advice}");
        // Written past the test harness, which would hide it.
        writeln!(stderr(), "skipped: {advice}")?;
        return Ok(());
    }
    let world = World::start().await?;
    let output = Command::new(suite.join(program))
        .args(arguments)
        .current_dir(&suite)
        .env("TIERGATE_CLIENTS", world.description())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot run {program}"))?;
    // Whole, since two such tests run at a time, and past the test harness, since this is the report that counts.
    let mut report = b"\n".to_vec();
    report.extend([output.stdout, output.stderr].concat());
    stdout().write_all(&report)?;
    ensure!(output.status.success(), "{program} failed ({}); see its report", output.status);
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
