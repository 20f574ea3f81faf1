//! The program `cloakroom`: one file per verb.

mod demo;
mod failure;
mod store_flags;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Server-side web sessions: one opaque ticket in the browser, everything else on the server.
#[derive(Parser)]
#[command(name = "cloakroom", version, after_help = failure::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve a page (and the same as JSON) on which sessions can be watched living and ending.
    Demo(demo::Flags),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    let done = match cli.verb {
        Verb::Demo(flags) => demo::run(flags).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

/// Says on stderr why it did not work, even when nobody reads it, and leaves with the failure's code.
fn report(failure: &Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "cloakroom: {failure}");
    failure.exit_code()
}

/// `RUST_LOG` decides what is logged; without it, warnings and errors are.
fn log_to_stderr() {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into()).from_env_lossy();
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_terminal).with_writer(std::io::stderr).init();
}
