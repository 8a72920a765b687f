//! What the first minute needs: the standard library for Wasm, which rustup does not always install by itself.
//!
//! `rust-toolchain.toml` names the target, but rustup reads that only where automatic installs are on, and other
//! installations of Rust never do.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What the guests are compiled for.
pub const WASM_TARGET: &str = "wasm32-wasip1";

/// Why the target is not there: one line with what to do.
#[derive(Debug)]
pub enum Missing {
    /// There is no compiler, or it does not run; the text is its last word.
    Compiler(String),
    /// Rust was not installed by rustup.
    Rustup,
    /// `rustup target add` failed, as without a network; the text is its last word.
    Target(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compiler(why) => {
                write!(out, "no Rust compiler runs here ({why}); install Rust from https://rustup.rs, then run ")?;
                write!(out, "`rustup toolchain install` in this folder")
            }
            Self::Rustup => {
                write!(out, "this Rust has no target {WASM_TARGET}, and no rustup adds it; ")?;
                write!(out, "install Rust from https://rustup.rs, or your system's package of that target")
            }
            Self::Target(why) => {
                write!(
                    out,
                    "this Rust has no target {WASM_TARGET}, and `rustup target add {WASM_TARGET}` failed ({why}); "
                )?;
                write!(out, "run it where there is a network")
            }
        }
    }
}

impl std::error::Error for Missing {}

/// Adds the target to the Rust that compiles in `folder` if it is not there. `report` gets a line before that.
pub fn ensure_wasm_target(folder: &Path, report: &mut dyn FnMut(&str)) -> Result<(), Missing> {
    if has_wasm_target(folder)? {
        return Ok(());
    }
    report(&format!("adding the target {WASM_TARGET} with rustup"));
    let mut rustup = Command::new("rustup");
    let added = rustup.args(["target", "add", WASM_TARGET]).current_dir(folder);
    let added = run(added).map_err(|_| Missing::Rustup)?;
    // A rustup that is not the one of this compiler succeeds, and nothing has changed.
    match added.status.success() {
        true if has_wasm_target(folder)? => Ok(()),
        true => Err(Missing::Rustup),
        false => Err(Missing::Target(problem(&added))),
    }
}

fn has_wasm_target(folder: &Path) -> Result<bool, Missing> {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let mut command = Command::new(compiler);
    command.args(["--print", "target-libdir", "--target", WASM_TARGET]).current_dir(folder);
    let printed = run(&mut command).map_err(Missing::Compiler)?;
    if !printed.status.success() {
        return Err(Missing::Compiler(problem(&printed)));
    }
    // The folder's name is printed whether or not it is there; it may also be there without the library.
    let folder = PathBuf::from(String::from_utf8_lossy(&printed.stdout).trim());
    let files = folder.read_dir().into_iter().flatten().flatten();
    Ok(files.into_iter().any(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
}

fn run(command: &mut Command) -> Result<Output, String> {
    command.stdin(Stdio::null()).output().map_err(|error| error.kind().to_string())
}

/// What a program says is wrong: its line that begins with `error:`, not a backtrace or advice that may follow it.
fn problem(output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stderr);
    let mut lines = printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.clone().find_map(|line| line.strip_prefix("error:")).or_else(|| lines.next());
    line.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned())
}
