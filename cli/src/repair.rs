//! `cloakroom repair`: keeps what can be read of a damaged store, and says what is lost.

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
    /// The directory that contains the sessions [default: the directory for the user's state, as the demo uses it]
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,

    #[command(flatten)]
    answer: AnswerFlags,
}

/// Repairs the store if it is damaged. No other process may use it meanwhile.
///
/// # Errors
/// Returns a silent error with exit code 1 if something was lost. Returns an error if there is no store, or it is in use.
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
            None => line(format_args!("nothing is damaged; the store has {sessions}"))?,
            Some(aside) => {
                repaired
                    .damage
                    .iter()
                    .try_for_each(|damage| line(format_args!("damaged: {}", printable(&damage.to_string()))))?;
                line(format_args!(
                    "kept {sessions}; the damaged files were moved to {}",
                    printable(&aside.display().to_string())
                ))?;
                line(
                    "what is lost may include the end of a session, so an ended session may be live again. To be safe, end all sessions: \
                     cloakroom revoke --all",
                )?;
            }
        }
    }
    match repaired.damage.is_empty() {
        true => Ok(()),
        false => Err(Failure::silent(1)),
    }
}
