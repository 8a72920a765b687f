//! The command line `tiergate`: tools around the gateway. Each command is a module of the library.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
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

/// The exit code for a command line that cannot be read, as the parser has it.
const USAGE: u8 = 2;

/// Whether an error quotes a word that is no option's name. Behind a slip in the options it may be a key.
fn shows_a_word(error: &clap::Error) -> bool {
    match error.kind() {
        ErrorKind::TooManyValues => true,
        ErrorKind::UnknownArgument => {
            let word = error.get(ContextKind::InvalidArg);
            !matches!(word, Some(ContextValue::String(word)) if word.starts_with("--"))
        }
        _ => false,
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) if shows_a_word(&error) => {
            eprintln!(
                "error: a word belongs to no option; it is not shown, since it may be a key (--secret-file HOST=FILE)"
            );
            return ExitCode::from(USAGE);
        }
        Err(error) => error.exit(),
    };
    let result = match line.command {
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
