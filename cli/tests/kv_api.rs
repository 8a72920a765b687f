//! The stand-in for Fastly's KV API changes what the running guest reads: over plain HTTP, and by the official CLI.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tiergate_cli::gateway::{Gateway, GatewayOptions};
use tiergate_cli::kv_api::{KvApi, Watcher};
use tiergate_cli::kv_token::KvToken;
use tiergate_cli::wasm::{self, Guest};
use tiergate_guests::kv::ListOptions;
use tokio::process::Command;
use tokio::sync::mpsc::unbounded_channel;

/// What the tests call with; each run of `tiergate dev` has another one.
const TOKEN: &str = "token-of-the-tests";

fn token() -> Result<KvToken> {
    KvToken::chosen(TOKEN.to_owned())
}

struct Running {
    gateway: Gateway,
    api: KvApi,
}

async fn start() -> Result<Running> {
    start_watched(None).await
}

async fn start_watched(watcher: Watcher) -> Result<Running> {
    let gateway = Gateway::start(GatewayOptions::new(wasm::guest(Guest::Probe)?).kv("policy", "first")).await?;
    let api = KvApi::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, gateway.kv(), token()?, watcher)?;
    Ok(Running { gateway, api })
}

impl Running {
    /// What the guest reads under this key.
    async fn guest_reads(&self, key: &str) -> Result<String> {
        Ok(reqwest::get(format!("{}/kv/{key}", self.gateway.url())).await?.text().await?)
    }

    /// The status and the body, as JSON where it is JSON.
    async fn call(&self, method: &str, path: &str, body: &'static str) -> Result<(u16, Value)> {
        let url = format!("{}/resources/stores/kv{path}", self.api.url());
        let request = Client::new().request(Method::from_bytes(method.as_bytes())?, url);
        let response = request.header("fastly-key", TOKEN).body(body).send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }
}

#[tokio::test]
async fn a_watcher_is_told_of_every_write() -> Result<()> {
    let (watcher, mut writes) = unbounded_channel();
    let running = start_watched(Some(watcher)).await?;
    for (method, path, body, told) in [
        ("GET", "/tiergate/keys/policy", "", None),
        ("PUT", "/tiergate/keys/policy", "second", Some((Some("policy"), 200))),
        ("PUT", "/tiergate/keys/client%2Fapp", "{}", Some((Some("client/app"), 200))),
        ("PUT", "/other/keys/policy", "third", Some((Some("policy"), 404))),
        ("PUT", "/tiergate/batch", "", Some((None, 200))),
        ("PUT", "/tiergate/batch", "{", Some((None, 400))),
        ("DELETE", "/tiergate/keys/policy", "", Some((Some("policy"), 204))),
    ] {
        let (status, _) = running.call(method, path, body).await?;
        let expected = told.map(|(key, status)| (key.map(str::to_owned), status));
        let write = writes.try_recv().ok().map(|write| (write.key, write.status.as_u16()));
        assert_eq!(write, expected, "{method} {path}: {status}");
    }
    Ok(())
}

#[tokio::test]
async fn calls_are_answered_as_fastly_does() -> Result<()> {
    let running = start().await?;
    let no_key = json!({ "title": "Not Found", "detail": "no such key: `absent`", "status": 404 });
    for (method, path, body, status, answer) in [
        ("PUT", "/tiergate/keys/policy", "second", 200, json!("")),
        ("GET", "/tiergate/keys/policy", "", 200, json!("second")),
        ("PUT", "/tiergate/keys/client%2Fdev", "entry", 200, json!("")),
        ("GET", "/tiergate/keys/client%2Fdev", "", 200, json!("entry")),
        ("PUT", "/tiergate/keys/policy?append=true", " half", 200, json!("")),
        ("GET", "/tiergate/keys/policy", "", 200, json!("second half")),
        ("GET", "/tiergate/keys", "", 200, json!({ "data": ["client/dev", "policy"], "meta": { "limit": 100 } })),
        (
            "GET",
            "/tiergate/keys?prefix=client%2F&limit=1",
            "",
            200,
            json!({ "data": ["client/dev"], "meta": { "limit": 1, "prefix": "client/" } }),
        ),
        ("DELETE", "/tiergate/keys/client%2Fdev", "", 204, json!("")),
        ("GET", "/tiergate/keys/absent", "", 404, no_key.clone()),
        ("DELETE", "/tiergate/keys/absent", "", 404, no_key),
        (
            "PUT",
            "/tiergate/batch",
            "{\"key\":\"a\",\"value\":\"djE=\"}\n{\"key\":\"b\",\"value\":\"djI=\"}\n",
            200,
            json!(""),
        ),
        ("GET", "/tiergate/keys/b", "", 200, json!("v2")),
    ] {
        assert_eq!(running.call(method, path, body).await?, (status, answer), "{method} {path}");
    }
    assert_eq!(running.guest_reads("policy").await?, "second half");
    assert_eq!(running.guest_reads("a").await?, "v1");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_done_is_a_problem_with_its_reason() -> Result<()> {
    let running = start().await?;
    for (method, path, body, status, reason) in [
        ("PUT", "/other/keys/policy", "x", 404, "no KV Store has the id `other`; the local one is `tiergate`"),
        ("GET", "/other", "", 404, "no KV Store has the id `other`"),
        ("PUT", "/tiergate/keys/policy?add=true", "x", 412, "precondition"),
        ("PUT", "/tiergate/keys/policy?add=true&append=true", "x", 400, "only one of"),
        ("PUT", "/tiergate/keys/a%23b", "x", 400, "bad"),
        ("PUT", "/tiergate/batch", "{\"key\":\"a\",\"value\":\"djE=\"}\nnot JSON\n", 400, "line 2"),
        ("PUT", "/tiergate/batch", "{\"key\":\"a\",\"value\":\"?\"}", 400, "line 1"),
    ] {
        let (found, problem) = running.call(method, path, body).await?;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert_eq!(
            (found, problem["status"].as_u64()),
            (status, Some(u64::from(status))),
            "{method} {path}: {problem}"
        );
        assert!(detail.contains(reason), "{method} {path}: {detail}");
    }
    assert_eq!(running.guest_reads("policy").await?, "first");
    assert_eq!(running.call("GET", "/tiergate/keys/a", "").await?.0, 404, "a faulty batch writes nothing");
    Ok(())
}

#[tokio::test]
async fn nothing_is_read_or_written_without_the_token_of_this_run() -> Result<()> {
    let running = start().await?;
    let base = running.api.url();
    let generated = KvToken::generate();
    for given in [
        &[][..],
        &[""],
        &["local"],
        &["token-of-the-test"],
        &["token-of-the-testsx"],
        &["Token-of-the-tests"],
        &[generated.expose()],
        &["local", TOKEN],
        &[TOKEN, "local"],
    ] {
        for (method, path) in [
            ("GET", "/resources/stores/kv"),
            ("GET", "/resources/stores/kv/tiergate"),
            ("GET", "/resources/stores/kv/tiergate/keys"),
            ("GET", "/resources/stores/kv/tiergate/keys/policy"),
            ("PUT", "/resources/stores/kv/tiergate/keys/policy"),
            ("PUT", "/resources/stores/kv/tiergate/batch"),
            ("DELETE", "/resources/stores/kv/tiergate/keys/policy"),
            ("POST", "/resources/stores/kv/tiergate/keys/policy"),
            ("GET", "/elsewhere"),
        ] {
            let mut request = Client::new().request(Method::from_bytes(method.as_bytes())?, format!("{base}{path}"));
            for token in given {
                request = request.header("fastly-key", *token);
            }
            // As a batch it would write `policy`, too.
            let response = request.body(r#"{"key":"policy","value":"djI="}"#).send().await?;
            let status = response.status().as_u16();
            let problem: Value = response.json().await?;
            assert_eq!((status, &problem["status"]), (401, &json!(401)), "{method} {path} {given:?}");
            assert!(!problem.to_string().contains(TOKEN), "{problem}");
        }
    }
    assert_eq!(running.guest_reads("policy").await?, "first");
    let discovered = reqwest::get(format!("{base}/realms/fastly/.well-known/openid-configuration")).await?;
    assert_eq!(discovered.status().as_u16(), 200, "the command line asks for this without a token");
    Ok(())
}

#[tokio::test]
async fn strangers_are_refused_even_with_the_token() -> Result<()> {
    let running = start().await?;
    let own = running.api.addr().to_string();
    for (path, headers, expected) in [
        ("/resources/stores/kv/tiergate/keys/policy", &[][..], 200),
        ("/resources/stores/kv/tiergate/keys/policy", &[("host", "localhost")], 200),
        ("/resources/stores/kv/tiergate/keys/policy", &[("origin", "http://localhost:3000")], 200),
        ("/resources/stores/kv/tiergate/keys/policy", &[("host", "evil.example")], 421),
        ("/resources/stores/kv/tiergate/keys/policy", &[("host", "evil.example:7677")], 421),
        ("/resources/stores/kv/tiergate/keys/policy", &[("host", &own), ("host", "evil.example")], 421),
        ("/resources/stores/kv/tiergate/keys/policy", &[("origin", "https://evil.example")], 403),
        ("/resources/stores/kv/tiergate/keys/policy", &[("origin", "null")], 403),
        (
            "/resources/stores/kv/tiergate/keys/policy",
            &[("origin", "http://localhost"), ("origin", "https://evil.example")],
            403,
        ),
        ("/realms/fastly/.well-known/openid-configuration", &[("host", "evil.example")], 421),
        ("/elsewhere", &[("host", "evil.example")], 421),
    ] {
        let mut request = Client::new().get(format!("{}{path}", running.api.url())).header("fastly-key", TOKEN);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        assert_eq!(status, expected, "{path} {headers:?}: {text}");
        assert!(status == 200 || text.contains("This server answers"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_value_comes_with_its_generation_and_metadata() -> Result<()> {
    let running = start().await?;
    let url = format!("{}/resources/stores/kv/tiergate/keys/policy", running.api.url());
    let client = Client::new();
    let get = async || client.get(&url).header("fastly-key", TOKEN).send().await?.error_for_status();
    let generation = get().await?.headers()["generation"].to_str()?.to_owned();

    let put = async |generation: &str| {
        let request = client.put(&url).header("fastly-key", TOKEN).header("metadata", "by hand");
        request.header("if-generation-match", generation).body("second").send().await
    };
    assert_eq!(put(&generation).await?.status().as_u16(), 200);
    assert_eq!(put(&generation).await?.status().as_u16(), 412, "the generation has changed");
    let changed = get().await?;
    assert_eq!(changed.headers()["metadata"], "by hand");
    assert_ne!(changed.headers()["generation"], generation.as_str());
    Ok(())
}

#[tokio::test]
async fn the_official_command_line_changes_the_running_store() -> Result<()> {
    let Some(cli) = OfficialCli::find()? else {
        eprintln!("skipped: no Fastly CLI; clients/install installs it");
        return Ok(());
    };
    let running = start().await?;
    let entry = async |arguments: &[&str]| cli.run(&running.api.url(), "kv-store-entry", arguments).await;

    let shipped = std::fs::read_to_string(wasm::root().join("policy/default.json"))?;
    let create = ["create", "--store-id", "tiergate", "--key", "policy", "--value", &shipped];
    assert_success(&entry(&create).await?);
    assert_eq!(running.guest_reads("policy").await?, shipped);

    assert_success(&entry(&["create", "--store-id", "tiergate", "--key", "client/app", "--value", "{}"]).await?);
    assert_eq!(running.guest_reads("client/app").await?, "{}");

    let lines = cli.home.join("entries.ndjson");
    std::fs::write(&lines, "{\"key\":\"from-file\",\"value\":\"djE=\"}\n")?;
    assert_success(&entry(&["create", "--store-id", "tiergate", "--file", &lines.display().to_string()]).await?);
    assert_eq!(running.guest_reads("from-file").await?, "v1");

    let listed = entry(&["list", "--store-id", "tiergate", "--json"]).await?;
    assert_success(&listed);
    assert_eq!(serde_json::from_slice::<Value>(&listed.stdout)?, json!(["client/app", "from-file", "policy"]));

    let got = entry(&["get", "--store-id", "tiergate", "--key", "policy"]).await?;
    assert_success(&got);
    assert_eq!(String::from_utf8(got.stdout)?, shipped);

    assert_success(&entry(&["delete", "--store-id", "tiergate", "--key", "client/app"]).await?);
    assert_eq!(running.call("GET", "/tiergate/keys/client%2Fapp", "").await?.0, 404);

    let stores = cli.run(&running.api.url(), "kv-store", &["list", "--json"]).await?;
    assert_success(&stores);
    assert!(String::from_utf8_lossy(&stores.stdout).contains("\"tiergate\""));

    let folder = cli.home.join("large");
    std::fs::create_dir_all(&folder)?;
    // No program takes so much as one argument.
    let large = format!("{shipped}{}", " ".repeat(256 * 1024));
    std::fs::write(folder.join("policy"), &large)?;
    assert_success(&entry(&["create", "--store-id", "tiergate", "--dir", &folder.display().to_string()]).await?);
    assert!(running.guest_reads("policy").await? == large, "a large policy arrives whole");

    let unknown = entry(&["create", "--store-id", "other", "--key", "policy", "--value", "x"]).await?;
    assert!(!unknown.status.success(), "there is no store `other`");
    Ok(())
}

#[tokio::test]
async fn the_line_of_the_readme_works_with_the_printed_token() -> Result<()> {
    let Some(cli) = OfficialCli::find()? else {
        eprintln!("skipped: no Fastly CLI; clients/install installs it");
        return Ok(());
    };
    let running = start().await?;
    let readme = std::fs::read_to_string(wasm::root().join("README.md"))?;
    let (_, line) = readme.split_once("```sh\nFASTLY_API_TOKEN=…").context("the README should have the line")?;
    let (line, _) = line.split_once("```").context("the block should end")?;
    let line = line.replace("127.0.0.1:7677", &running.api.addr().to_string());
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let own = Path::new(&cli.program).parent().map(Path::to_owned);
    let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&folders)))?;
    let paste = async |token: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("FASTLY_API_TOKEN={token}{line}")]).current_dir(wasm::root()).env("PATH", &path);
        shell.env("HOME", &cli.home).env("XDG_CONFIG_HOME", &cli.home).output().await
    };
    assert!(!paste("local").await?.status.success(), "another gateway's token changes nothing");
    assert_eq!(running.guest_reads("policy").await?, "first");
    assert_success(&paste(TOKEN).await?);
    let shipped = std::fs::read_to_string(wasm::root().join("policy/default.json"))?;
    // The shell leaves the last line end out.
    assert!(running.guest_reads("policy").await? == shipped.trim_end(), "the shipped policy is there");
    Ok(())
}

#[tokio::test]
async fn the_official_command_line_says_what_is_wrong_with_a_token() -> Result<()> {
    let Some(cli) = OfficialCli::find()? else {
        eprintln!("skipped: no Fastly CLI; clients/install installs it");
        return Ok(());
    };
    let running = start().await?;
    let mut process = cli.command(&running.api.url(), "kv-store-entry");
    process.args(["create", "--store-id", "tiergate", "--key", "policy", "--value", "x"]);
    let output = process.env("FASTLY_API_TOKEN", "local").output().await?;
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && printed.contains("not the one that this run of `tiergate dev` printed"),
        "{printed}"
    );
    assert_eq!(running.guest_reads("policy").await?, "first");
    Ok(())
}

#[tokio::test]
async fn the_gateways_own_copy_lies_beside_the_policy() -> Result<()> {
    let shipped = std::fs::read_to_string(wasm::root().join("policy/default.json"))?;
    let gateway = Gateway::start(GatewayOptions::new(wasm::guest(Guest::Edge)?).kv("policy", shipped.as_str())).await?;
    let kv = gateway.kv();
    reqwest::get(format!("{}/healthz", gateway.url())).await?.error_for_status()?;
    let listed = async {
        loop {
            let keys = kv.list(ListOptions::default()).await?.keys;
            if keys.len() > 1 {
                return anyhow::Ok(keys);
            }
        }
    };
    let keys = tokio::time::timeout(Duration::from_secs(30), listed).await.context("it should be written")??;
    assert_eq!(keys, ["policy", "policy/last-good"]);
    let copy = kv.get("policy/last-good").await?.context("a value")?;
    assert_eq!(copy.value, shipped.into_bytes());
    assert!(copy.info.metadata.is_some_and(|metadata| metadata.contains("confirmed_ms")));
    Ok(())
}

#[tokio::test]
async fn the_official_command_line_changes_the_policy_of_the_running_gateway() -> Result<()> {
    let Some(cli) = OfficialCli::find()? else {
        eprintln!("skipped: no Fastly CLI; clients/install installs it");
        return Ok(());
    };
    let shipped = std::fs::read_to_string(wasm::root().join("policy/default.json"))?;
    let gateway = Gateway::start(GatewayOptions::new(wasm::guest(Guest::Edge)?).kv("policy", shipped.as_str())).await?;
    let api = KvApi::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, gateway.kv(), token()?, None)?;
    let in_force = async || -> Result<Value> {
        let health: Value = reqwest::get(format!("{}/healthz", gateway.url())).await?.json().await?;
        // The label, without the digest.
        Ok(health["policy"].as_str().and_then(|label| label.split('@').next()).unwrap_or_default().into())
    };
    let mut changed: Value = serde_json::from_str(&shipped)?;
    assert_eq!(in_force().await?, changed["version"]);

    changed["version"] = json!("changed-by-the-cli");
    let changed = changed.to_string();
    let create = ["create", "--store-id", "tiergate", "--key", "policy", "--value", &changed];
    assert_success(&cli.run(&api.url(), "kv-store-entry", &create).await?);
    // `policy_ttl_s` is 5; a gateway that never looks again would keep this waiting.
    let noticed = async {
        while in_force().await? != "changed-by-the-cli" {
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(30), noticed).await.context("the change should take effect")?
}

/// Fastly's own program, with a home folder of its own so that it finds no one's account.
struct OfficialCli {
    program: OsString,
    home: PathBuf,
}

impl OfficialCli {
    /// Nothing if it is not installed; an error if the environment says that it must be.
    fn find() -> Result<Option<Self>> {
        let installed = wasm::root().join("clients/node_modules/.bin/fastly");
        let on_path = || {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).map(|folder| folder.join("fastly")).find(|path| path.is_file())
        };
        let program = std::env::var_os("FASTLY_CLI")
            .or_else(|| installed.is_file().then(|| installed.into_os_string()))
            .or_else(|| on_path().map(PathBuf::into_os_string));
        if program.is_none() && std::env::var_os("TIERGATE_REQUIRE_CLIENTS").is_some_and(|value| value == "1") {
            anyhow::bail!("TIERGATE_REQUIRE_CLIENTS=1, but there is no Fastly CLI; run clients/install");
        }
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fastly-home");
        std::fs::create_dir_all(&home)?;
        Ok(program.map(|program| Self { program, home }))
    }

    /// The command without its own arguments.
    fn command(&self, api: &str, command: &str) -> Command {
        let mut process = Command::new(&self.program);
        process.args(["--api", api, "--account", api, "--non-interactive", command]);
        process.env("HOME", &self.home).env("XDG_CONFIG_HOME", &self.home).env("FASTLY_API_TOKEN", TOKEN);
        process
    }

    async fn run(&self, api: &str, command: &str, arguments: &[&str]) -> Result<Output> {
        self.command(api, command).args(arguments).output().await.context("the Fastly CLI cannot be run")
    }
}

fn assert_success(output: &Output) {
    let printed = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{}: {}", output.status, printed.join("\n"));
}
