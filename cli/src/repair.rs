//! `cloakroom repair`: what can be read of a damaged store, and what is lost.

use std::path::PathBuf;

use clap::Args;
use cloakroom::store::Embedded;
use serde_json::json;

use crate::failure::Failure;
use crate::printable::printable;
use crate::store_flags::state_directory;
use crate::terminal::{self, AnswerFlags, Many, line};

#[derive(Args)]
pub(crate) struct Flags {
    /// The directory in which the sessions are [default: that of the demo]
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,

    #[command(flatten)]
    answer: AnswerFlags,
}

/// Repairs it, if it must be. No process may use it meanwhile.
///
/// # Errors
/// Silently when something was lost, with exit code 1; with words when there is no store, or it is in use.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let path = flags.store.clone().map_or_else(state_directory, Ok)?;
    let repaired = Embedded::builder(&path).existing_only().repair()?;
    if flags.answer.json {
        terminal::json(&json!({
            "sessions": repaired.sessions,
            "damage": repaired.damage,
            "aside": repaired.aside.as_ref().map(|path| path.display().to_string()),
        }))?;
    } else {
        let sessions = Many(repaired.sessions as u64, "session");
        match &repaired.aside {
            None => line(format_args!("nothing is damaged: {sessions}"))?,
            Some(aside) => {
                repaired
                    .damage
                    .iter()
                    .try_for_each(|damage| line(format_args!("damaged: {}", printable(&damage.to_string()))))?;
                line(format_args!(
                    "kept {sessions}; the damaged files are in {}",
                    printable(&aside.display().to_string())
                ))?;
                line("what is lost may have been the end of a session: to be sure, cloakroom revoke --all")?;
            }
        }
    }
    match repaired.damage.is_empty() {
        true => Ok(()),
        false => Err(Failure::silent(1)),
    }
}
