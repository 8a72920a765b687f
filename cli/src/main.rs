//! The command line `tiergate`: tools around the gateway. Each command is a module of the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tiergate_cli::bench;

#[derive(Parser)]
#[command(version, about = "Tools around the tiergate gateway")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the gateway against a null proxy on this machine
    Bench(bench::BenchOptions),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Bench(options) => bench::run(options).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {error:#}", console::style("error:").red().bold().for_stderr());
            ExitCode::FAILURE
        }
    }
}
