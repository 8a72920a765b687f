//! What a newcomer sees whose Rust lacks something: one line, before anything is built. The programs are stand-ins.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

const CARGO: &str = r#"echo "cargo $*"; [ "$1" = build ] || { echo "pid $$"; exit 7; }"#;
const WITH_TARGET: &str = r#"echo "$FOLDER/lib""#;

static TURN: Mutex<()> = Mutex::new(());

/// One test at a time: a program that is being written is busy, and cannot be run, as long as a process that another test
/// starts at that moment has it open.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder with these programs alone; `lib` is where its compiler looks for the target.
fn programs(name: &str, scripts: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("lib")).expect("the folder should be writable");
    for (program, script) in scripts {
        let path = folder.join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the folder should be writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }
    folder
}

fn start(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiergate-start"));
    command.args(arguments).env("PATH", folder).env("FOLDER", folder).env("CARGO", folder.join("cargo"));
    command.env_remove("RUSTC").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = start(folder, arguments).output().expect("it should run");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn what_is_missing_is_said_in_one_line_before_anything_is_built() {
    let _turn = turn();
    let offline =
        "echo 'info: downloading' >&2; echo 'error: could not download' >&2; echo 'Stack backtrace:' >&2; exit 1";
    let no_toolchain = "echo \"error: toolchain '1.95.0' is not installed\" >&2; echo 'Stack backtrace:' >&2; exit 1";
    for (name, scripts, expected) in [
        (
            "no-rust",
            &[("cargo", CARGO)][..],
            "no Rust compiler runs here (entity not found); install Rust from https://rustup.rs",
        ),
        (
            "no-toolchain",
            &[("cargo", CARGO), ("rustc", no_toolchain)],
            "no Rust compiler runs here (toolchain '1.95.0' is not installed); install Rust from https://rustup.rs, then \
             run `rustup toolchain install` in this folder",
        ),
        ("no-rustup", &[("cargo", CARGO), ("rustc", WITH_TARGET)], "no target wasm32-wasip1, and no rustup adds it"),
        (
            "another-rustup",
            &[("cargo", CARGO), ("rustc", WITH_TARGET), ("rustup", "exit 0")],
            "no target wasm32-wasip1, and no rustup adds it",
        ),
        (
            "offline",
            &[("cargo", CARGO), ("rustc", WITH_TARGET), ("rustup", offline)],
            "no target wasm32-wasip1, and `rustup target add wasm32-wasip1` failed (could not download)",
        ),
    ] {
        let folder = programs(name, scripts);
        for arguments in [&["dev"][..], &["--check"]] {
            let (code, stdout, stderr) = run(&folder, arguments);
            assert_eq!((code, stdout.as_str()), (Some(1), ""), "{name}: nothing is built: {stderr}");
            let mut errors = stderr.lines().filter(|line| *line != "adding the target wasm32-wasip1 with rustup");
            let error = errors.next().unwrap_or_default();
            assert!(error.starts_with("error: ") && error.contains(expected), "{name}: {stderr}");
            assert_eq!(errors.next(), None, "{name}: {stderr}");
        }
    }
}

#[test]
fn a_missing_target_is_added_and_one_that_is_there_is_left_alone() {
    let _turn = turn();
    let add = r#"[ "$*" = "target add wasm32-wasip1" ] && : >"$FOLDER/lib/libstd-1.rlib""#;
    let folder = programs("adds", &[("cargo", CARGO), ("rustc", WITH_TARGET), ("rustup", add)]);
    assert_eq!(run(&folder, &["--check"]).0, Some(0));
    assert!(folder.join("lib/libstd-1.rlib").exists(), "rustup has added it");

    fs::remove_file(folder.join("rustup")).expect("it is ours");
    let (code, stdout, stderr) = run(&folder, &["--check"]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn it_becomes_the_tool_with_its_arguments_and_exit_code() {
    let _turn = turn();
    let folder = programs("becomes", &[("cargo", CARGO), ("rustc", WITH_TARGET)]);
    fs::write(folder.join("lib/libstd-1.rlib"), "").expect("the folder should be writable");
    let child = start(&folder, &["dev", "--fault", "openai=status=503 *"]).spawn().expect("it should run");
    let id = child.id();
    let output = child.wait_with_output().expect("it should end");
    let printed = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = printed.lines().collect();
    let [build, run, pid] = lines[..] else { panic!("{printed}") };
    assert!(build.starts_with("cargo build ") && build.ends_with("--package tiergate-cli --bin tiergate"), "{build}");
    assert!(!build.contains("openai"), "{build}");
    assert!(run.starts_with("cargo run --quiet ") && run.ends_with(" -- dev --fault openai=status=503 *"), "{run}");
    assert_eq!(pid, format!("pid {id}"), "the process is the same, so signals reach the tool");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn a_failed_build_is_its_exit_code_and_runs_nothing() {
    let _turn = turn();
    let cargo = r#"echo "cargo $1"; exit 101"#;
    let folder = programs("fails", &[("cargo", cargo), ("rustc", WITH_TARGET)]);
    fs::write(folder.join("lib/libstd-1.rlib"), "").expect("the folder should be writable");
    let (code, stdout, _) = run(&folder, &["dev"]);
    assert_eq!((code, stdout.as_str()), (Some(101), "cargo build\n"));
}
