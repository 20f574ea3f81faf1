//! `cloakroom man`: the manual, in the format that `man` reads.

use std::io::Write as _;

use clap::{Args, Command, CommandFactory as _};

use crate::failure::Failure;
use crate::{Cli, failure};

#[derive(Args)]
pub(crate) struct Flags {
    /// Print the page of this verb [default: the page of the program]
    verb: Option<String>,
}

/// Prints the page.
///
/// # Errors
/// Returns an error if there is no such verb, or nobody reads stdout.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let mut program = Cli::command();
    program.build();
    let page = match &flags.verb {
        None => program,
        Some(verb) => page_of(&program, verb)?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    Ok(std::io::stdout().lock().write_all(&text)?)
}

fn page_of(program: &Command, verb: &str) -> Result<Command, Failure> {
    let verbs = program.get_subcommands().map(Command::get_name).collect::<Vec<_>>().join(", ");
    let found = program.find_subcommand(verb);
    let found = found.ok_or_else(|| Failure::usage(format!("there is no such verb: choose one of {verbs}")))?;
    Ok(found.clone().version(env!("CARGO_PKG_VERSION")).after_help(failure::EXIT_CODES))
}
