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
mod key;
mod list;
mod log;
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
mod serve;
mod show;
mod stats;
mod stopping;
mod store_flags;
mod strict_json;
mod survey;
mod terminal;
mod times;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::log::LogFormat;

/// Server-side web sessions: the browser carries one opaque token, everything else stays on the server.
#[derive(Parser)]
#[command(name = "cloakroom", version, after_help = failure::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve a page that shows how sessions begin, live and end. It also answers in JSON.
    Demo(demo::Flags),
    /// Serve sessions over HTTP, for applications in any language and for proxies.
    Serve(serve::Flags),
    /// Make, list and remove the API keys of the session service.
    Key(key::Flags),
    /// Check a Redis that keeps sessions: what is wrong, and what to do about it.
    Doctor(doctor::Flags),
    /// Show one session, without its secret.
    Show(show::Flags),
    /// List sessions: all of them, or those of one user.
    List(list::Flags),
    /// End sessions: some of them, those of one user, or all of them.
    Revoke(revoke::Flags),
    /// Count sessions and users, and show how old the sessions are and how long they still live.
    Stats(stats::Flags),
    /// Show how many sessions begin and end, line by line, until you press ctrl-c.
    Watch(watch::Flags),
    /// Copy all sessions to another store, from a directory to Redis or back, so that everybody stays signed in. The source is not
    /// changed.
    Move(moving::Flags),
    /// Print all sessions for `import`, one line of JSON for each. The lines are confidential.
    Export(export::Flags),
    /// Read from stdin what `export` has printed, and create these sessions.
    Import(import::Flags),
    /// Repair a damaged store in a directory: keep what can be read, and say what is lost.
    Repair(repair::Flags),
    /// Print a script for a shell that completes this program's verbs and flags.
    Completions(completions::Flags),
    /// Print the manual page of this program, or of one of its verbs.
    Man(man::Flags),
}

/// Runs the program with the arguments of this process, and returns its exit code.
#[tokio::main]
pub async fn run() -> ExitCode {
    let cli = Cli::parse_from(arguments::arguments(std::env::args_os()));
    log::to_stderr(match &cli.verb {
        Verb::Serve(flags) => flags.log_format,
        _ => LogFormat::default(),
    });
    let done = match cli.verb {
        Verb::Demo(flags) => demo::run(flags).await,
        Verb::Serve(flags) => serve::run(flags).await,
        Verb::Key(flags) => key::run(&flags),
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

/// Says on stderr why the verb failed, and returns the failure's exit code. That nobody reads stderr is no reason to fail.
fn report(failure: &Failure) -> ExitCode {
    if !failure.is_silent() {
        terminal::remark(format_args!("cloakroom: {failure}"));
    }
    failure.exit_code()
}
