//! `cloakroom completions`: a script with which a shell completes this program's verbs and flags.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::Cli;
use crate::failure::Failure;

#[derive(Args)]
pub(crate) struct Flags {
    /// The shell that the script is for
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Returns an error if nobody reads stdout.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    // into memory first: the generator panics where it cannot write
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut Cli::command(), "cloakroom", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}
