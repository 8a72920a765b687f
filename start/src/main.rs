//! What `cargo dev` and `cargo tiergate` run first: it looks for what the build needs, builds, and becomes the tool.
//!
//! All of it is compiled in a second, so what is missing shows before the build of minutes. `--check` stops after that.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use tiergate_start::ensure_wasm_target;

const PACKAGE: [&str; 4] = ["--package", "tiergate-cli", "--bin", "tiergate"];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // Clones that share a target directory may share this program too, so cargo's word on what it runs comes first.
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut root = PathBuf::from(package);
    root.pop();
    if let Err(missing) = ensure_wasm_target(&root, &mut |line| eprintln!("{line}")) {
        eprintln!("error: {missing}");
        return ExitCode::FAILURE;
    }
    if arguments == ["--check"] {
        return ExitCode::SUCCESS;
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = root.join("Cargo.toml");
    // Building apart shows cargo's progress; running it is quiet, since cargo would show the arguments, keys among them.
    let built = Command::new(&cargo).arg("build").arg("--manifest-path").arg(&manifest).args(PACKAGE).status();
    match built {
        Ok(status) if status.success() => {}
        Ok(status) => return exit_code(status.code()),
        Err(error) => return fail(&error),
    }
    let mut tool = Command::new(&cargo);
    tool.args(["run", "--quiet", "--manifest-path"]).arg(&manifest).args(PACKAGE).arg("--").args(arguments);
    become_tool(&mut tool)
}

/// Signals and the exit code are then the tool's own.
#[cfg(unix)]
fn become_tool(tool: &mut Command) -> ExitCode {
    use std::os::unix::process::CommandExt;
    fail(&tool.exec())
}

#[cfg(not(unix))]
fn become_tool(tool: &mut Command) -> ExitCode {
    tool.status().map_or_else(|error| fail(&error), |status| exit_code(status.code()))
}

fn exit_code(code: Option<i32>) -> ExitCode {
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn fail(error: &std::io::Error) -> ExitCode {
    eprintln!("error: cannot run cargo: {error}");
    ExitCode::FAILURE
}
