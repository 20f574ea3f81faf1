//! The program `cloakroom`: one file per verb. It is a library so that the fuzzer reaches what reads its input; `main.rs`
//! only starts it.

mod arguments;
mod completions;
mod demo;
mod doctor;
mod export;
mod failure;
mod fill;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod import;
mod kept;
mod list;
mod looking;
mod man;
mod moving;
mod opened;
mod pace;
mod place;
mod printable;
mod redis_flags;
mod repair;
mod revoke;
mod show;
mod stats;
mod store_flags;
mod strict_json;
mod survey;
mod terminal;
mod times;
mod watch;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::printable::PrintableLog;

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
    /// Check what can be wrong with a Redis that keeps sessions, and say what to do.
    Doctor(doctor::Flags),
    /// Show one session, without its secret.
    Show(show::Flags),
    /// List sessions: all of them, or a user's.
    List(list::Flags),
    /// End sessions: some, a user's, or all of them.
    Revoke(revoke::Flags),
    /// Count sessions and users, and how long they live.
    Stats(stats::Flags),
    /// Watch sessions come and go, until ctrl-c.
    Watch(watch::Flags),
    /// Move all sessions from one store to another: from a directory to Redis, or back. The source stays as it is.
    Move(moving::Flags),
    /// Print all sessions, one line of JSON for each, for `import`: confidential, although the hashes in it open nothing.
    Export(export::Flags),
    /// Make the sessions that `export` has printed, from stdin. What is no session is named and left out.
    Import(import::Flags),
    /// Keep what can be read of a damaged store in a directory, and say what is lost.
    Repair(repair::Flags),
    /// Print a script that completes this program's verbs and flags, for a shell.
    Completions(completions::Flags),
    /// Print the man page of this program, or of one of its verbs.
    Man(man::Flags),
}

/// Runs the program with the arguments of this process, and returns its exit code.
#[tokio::main]
pub async fn run() -> ExitCode {
    let cli = Cli::parse_from(arguments::arguments(std::env::args_os()));
    log_to_stderr();
    let done = match cli.verb {
        Verb::Demo(flags) => demo::run(flags).await,
        Verb::Doctor(flags) => doctor::run(flags).await,
        Verb::Show(flags) => show::run(flags).await,
        Verb::List(flags) => list::run(flags).await,
        Verb::Revoke(flags) => revoke::run(flags).await,
        Verb::Stats(flags) => stats::run(flags).await,
        Verb::Watch(flags) => watch::run(flags).await,
        Verb::Move(flags) => moving::run(flags).await,
        Verb::Export(flags) => export::run(flags).await,
        Verb::Import(flags) => import::run(flags).await,
        Verb::Repair(flags) => repair::run(&flags),
        Verb::Completions(flags) => completions::run(&flags),
        Verb::Man(flags) => man::run(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

/// Says on stderr why it did not work, even when nobody reads it, and leaves with the failure's code.
fn report(failure: &Failure) -> ExitCode {
    if !failure.is_silent() {
        terminal::remark(format_args!("cloakroom: {failure}"));
    }
    failure.exit_code()
}

/// `RUST_LOG` decides what is logged; without it, warnings and errors are.
fn log_to_stderr() {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into()).from_env_lossy();
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_writer(|| PrintableLog(std::io::stderr()))
        .init();
}
