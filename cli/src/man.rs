//! `cloakroom man`: the manual, as `man` reads it.

use std::io::Write as _;

use clap::{Args, Command, CommandFactory as _};

use crate::failure::Failure;
use crate::{Cli, failure};

#[derive(Args)]
pub(crate) struct Flags {
    /// The verb whose page is wanted [default: the page of the program]
    verb: Option<String>,
}

/// Prints the page.
///
/// # Errors
/// When there is no such verb, or nobody reads it.
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
    let found = found.ok_or_else(|| Failure::usage(format!("no such verb; there are {verbs}")))?;
    Ok(found.clone().version(env!("CARGO_PKG_VERSION")).after_help(failure::EXIT_CODES))
}
