//! The command line `tiergate`: tools around the gateway. Each command is a module of the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tiergate_cli::{bench, dev, simulate};

#[derive(Parser)]
#[command(version, about = "Tools around the tiergate gateway")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole product on this machine, with simulated providers
    Dev(Box<dev::DevOptions>),
    /// Run the simulated providers alone, beside `fastly compute serve`
    Simulate(simulate::SimulateOptions),
    /// Measure the gateway against a null proxy on this machine
    Bench(Box<bench::BenchOptions>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Dev(options) => dev::run(*options).await,
        Command::Simulate(options) => simulate::run(options).await,
        Command::Bench(options) => bench::run(*options).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {error:#}", console::style("error:").red().bold().for_stderr());
            ExitCode::FAILURE
        }
    }
}
