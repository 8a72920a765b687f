//! `tiergate dev` as a user runs it: what it prints, what it refuses, and how it stops.
#![allow(clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context, Result};
use tiergate_cli::wasm::{self, Guest};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const ANY_PORT: &str = "127.0.0.1:0";

fn dev(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiergate"));
    command.arg("dev").args(arguments).kill_on_drop(true).env_remove("OPENAI_API_KEY");
    command
}

/// A dev server, and all that it said until it was ready.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
}

impl Running {
    async fn start(arguments: &[&str]) -> Result<Self> {
        let common = ["--addr", ANY_PORT, "--kv-api", ANY_PORT];
        let mut child = dev(&[&common, arguments].concat()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let mut said = String::new();
        // The last thing it announces is how to change the policy, and then an empty line.
        while !(said.contains("kv-store-entry") && said.ends_with("\n\n")) {
            said += &lines.next_line().await?.with_context(|| format!("it ended early:\n{said}"))?;
            said.push('\n');
        }
        Ok(Self { child, lines, said })
    }

    /// The rest of the announced line that begins with `name`.
    fn announced(&self, name: &str) -> &str {
        let line = self.said.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no `{name}` in\n{}", self.said)).trim()
    }

    /// Ends it as Ctrl-C does.
    async fn interrupt(mut self) -> Result<bool> {
        let id = self.child.id().context("it has ended")?.to_string();
        Command::new("kill").args(["-INT", &id]).status().await?;
        Ok(self.child.wait().await?.success())
    }
}

#[tokio::test]
async fn it_announces_what_runs_and_serves_it() -> Result<()> {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dev-test.log");
    let _ = std::fs::remove_file(&log);
    let probe = wasm::guest(Guest::Probe)?.display().to_string();
    let mut running = Running::start(&["--wasm", &probe, "--log", &log.display().to_string()]).await?;
    let (gateway, kv_api) = (running.announced("gateway").to_owned(), running.announced("KV API").to_owned());
    let key = running.announced("key").to_owned();
    assert!(key.starts_with("tg_dev_"), "{key}");

    let simulator = running.announced("api.openai.com").strip_prefix("simulator at ").context("no simulator")?;
    assert!(reqwest::get(simulator).await.is_ok(), "the simulator answers");
    let (_, python) = running.said.split_once("Python SDK").context("no Python block")?;
    for copied in [format!("OPENAI_BASE_URL={gateway}/v1"), format!("OPENAI_API_KEY={key}")] {
        assert!(python.contains(&copied), "{python}");
    }

    let read = async |path: &str| reqwest::get(format!("{gateway}/{path}")).await?.text().await;
    let shipped = std::fs::read_to_string(wasm::root().join("policy/default.json"))?;
    assert_eq!(read("kv/policy").await?, shipped);
    let entry: serde_json::Value = serde_json::from_str(&read("kv/client/dev").await?)?;
    assert_eq!(entry["keys"][0]["sha256"].as_str().map(str::len), Some(64), "{entry}");
    assert!(!entry.to_string().contains(&key), "the store holds no key");

    let put = async |token: &str| {
        let put = reqwest::Client::new().put(format!("{kv_api}/resources/stores/kv/tiergate/keys/policy"));
        anyhow::Ok(put.header("fastly-key", token).body("changed").send().await?.status().as_u16())
    };
    assert_eq!((put("local").await?, read("kv/policy").await?.as_str()), (401, shipped.as_str()));
    let token = running.announced("FASTLY_API_TOKEN=").split(' ').next().unwrap_or_default().to_owned();
    assert_eq!((put(&token).await?, read("kv/policy").await?.as_str()), (200, "changed"));
    for told in [
        "KV: a change of `policy` was refused: 401 Unauthorized",
        "policy: it is not valid, so the last good one stays in force:",
        "  $: ",
    ] {
        let line = running.lines.next_line().await?.unwrap_or_default();
        assert!(line.starts_with(told), "{line} should begin with {told}");
    }

    let rebound = reqwest::Client::new().get(format!("{gateway}/kv/policy")).header("host", "evil.example");
    assert_eq!(rebound.send().await?.status().as_u16(), 421, "a page of another name reaches nothing");

    read("log/one-line").await?;
    assert_eq!(running.lines.next_line().await?.as_deref(), Some("one-line"));
    assert_eq!(std::fs::read_to_string(&log)?, "one-line\n");
    assert!(running.interrupt().await?, "Ctrl-C is a clean end");
    Ok(())
}

#[tokio::test]
async fn the_announced_curl_line_works_as_pasted() -> Result<()> {
    let gateway = wasm::guest(Guest::Edge)?.display().to_string();
    let mut running = Running::start(&["--wasm", &gateway]).await?;
    let (_, curl) = running.said.split_once("curl").context("no curl block")?;
    let (curl, _) = curl.split_once("Python SDK").context("no Python block")?;
    let command = curl.find("curl ").map(|at| curl[at..].trim().to_owned()).context("no curl line")?;
    let output = Command::new("sh").args(["-c", &command]).output().await?;
    let printed = String::from_utf8(output.stdout)?;
    assert!(output.status.success() && printed.contains("chat.completion"), "{command}\n{printed}");
    let line = running.lines.next_line().await?.context("a request is shown")?;
    let line = if line.contains("healthz") { running.lines.next_line().await?.context("another")? } else { line };
    assert!(line.contains("200"), "{line}");
    assert!(running.interrupt().await?, "Ctrl-C is a clean end");
    Ok(())
}

#[tokio::test]
async fn an_outage_can_be_rehearsed() -> Result<()> {
    let gateway = wasm::guest(Guest::Edge)?.display().to_string();
    let faults = ["--fault", "google=status=503 *", "--fault", "api.anthropic.com=status=529 *"];
    let running = Running::start(&[&["--wasm", &gateway], &faults[..]].concat()).await?;
    let place = running.announced("generativelanguage.googleapis.com");
    assert!(place.starts_with("simulator at ") && place.ends_with("with the faults: status=503 *"), "{place}");

    let url = format!("{}/v1/chat/completions", running.announced("gateway"));
    let body = r#"{"model": "balanced", "messages": [{"role": "user", "content": "Hello"}]}"#;
    for _ in 0..30 {
        let request = reqwest::Client::new().post(&url).bearer_auth(running.announced("key")).body(body);
        let response = request.header("content-type", "application/json").send().await?;
        let attempts = response.headers()["x-route-attempts"].to_str()?.to_owned();
        assert!(response.status() == 200 && attempts.ends_with("openai/gpt-6-sol:200"), "{attempts}");
    }
    assert!(running.interrupt().await?, "Ctrl-C is a clean end");
    Ok(())
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_built() -> Result<()> {
    let taken = TcpListener::bind(ANY_PORT)?;
    let taken_addr = taken.local_addr()?.to_string();
    let bad_policy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad-policy.json");
    std::fs::write(&bad_policy, r#"{ "version": 1, "tires": [] }"#)?;
    let bad_policy = bad_policy.display().to_string();
    for (arguments, expected) in [
        (&["--addr", &taken_addr][..], &["choose another address with --addr"][..]),
        (&["--addr", ANY_PORT, "--kv-api", &taken_addr], &["choose another address with --kv-api"]),
        (&["--addr", "0.0.0.0:7676"], &["--addr 0.0.0.0:7676 is not an address of this machine only"]),
        (&["--policy", &bad_policy], &["$.version", "tires", "$.default_tier"]),
        (&["--secret", "api.opnai.com=x"], &["valid: api.anthropic.com, api.inceptionlabs.ai, api.openai.com"]),
        (&["--secret-file", "api.openai.com=/nowhere"], &["--secret-file for api.openai.com: entity not found"]),
        (&["--policy", "/nowhere.json"], &["cannot read /nowhere.json"]),
        (&["--real", "openai"], &["OPENAI_API_KEY"]),
        (&["--fault", "opnai=close"], &["valid: openai or api.openai.com", "google or generativelanguage"]),
        (&["--fault", "openai=closed"], &["--fault openai", "column 1: unknown word `closed`", "error-event=N"]),
        (&["--addr", ANY_PORT, "--kv-api", ANY_PORT, "--wasm", "/nowhere.wasm"], &["/nowhere.wasm"]),
    ] {
        let Output { status, stderr, .. } = dev(arguments).output().await?;
        let printed = String::from_utf8(stderr)?;
        assert!(!status.success(), "{arguments:?}");
        for part in expected {
            assert!(printed.contains(part), "{arguments:?}: {printed}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_tokens_of_the_kv_api_can_be_chosen_and_are_then_not_shown() -> Result<()> {
    let output =
        dev(&["--addr", ANY_PORT, "--kv-api", ANY_PORT]).env("TIERGATE_KV_TOKEN", "sk-secret").output().await?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && printed.contains("TIERGATE_KV_TOKEN: a token has 16 or more"), "{printed}");
    assert!(!printed.contains("sk-secret"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_key_in_the_wrong_place_is_not_shown() -> Result<()> {
    for arguments in [
        &["--secret", "api.openai.com", "sk-secret"][..],
        &["--secret", "api.openai.com=", "sk-secret"],
        &["--secret", "sk-secret"],
        &["--secret", "sk-secret="],
        &["--secrets=api.openai.com=sk-secret"],
        &["--secrets", "api.openai.com=sk-secret"],
        &["--secret-key=sk-secret"],
        &["--real", "openai", "api.openai.com=sk-secret"],
        &["--no-simulators=sk-secret"],
        &["-sk-secret"],
        &["sk-secret"],
        &["--", "sk-secret"],
    ] {
        let Output { status, stdout, stderr } = dev(arguments).output().await?;
        let printed = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(!status.success() && printed.starts_with("error:"), "{arguments:?}: {printed}");
        assert!(!printed.contains("sk-secret"), "{arguments:?}: {printed}");
    }
    Ok(())
}
