//! `cloakroom import`: the sessions that `export` has printed.

pub(crate) mod lines;

use std::io::IsTerminal as _;

use clap::Args;

use crate::failure::Failure;
use crate::fill::{FLIGHT, Filled, LifetimeFlags, Others};
use crate::import::lines::{Lines, session_of};
use crate::opened::Opened;
use crate::store_flags::StoreFlags;
use crate::terminal::{self, AnswerFlags, Many};

/// The longest line, in bytes: far more than a session may hold.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;
/// How many bad lines are named; the others are counted.
const MOST_NAMED: u64 = 20;

/// Lines that do not contain a session are reported and skipped, and the exit code is then 1. A session that the target already has
/// is not changed, so the import can be run again.
#[derive(Args)]
pub(crate) struct Flags {
    /// Stop at the first line that does not contain a session
    #[arg(long)]
    strict: bool,

    /// Only check and count the lines
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    answer: AnswerFlags,
    #[command(flatten)]
    lifetime: LifetimeFlags,
    #[command(flatten)]
    store: StoreFlags,
}

/// Reads the sessions from stdin, and creates them.
///
/// # Errors
/// Returns an error if a line does not contain a session, if the target has a session in another state, or if the store is not
/// available.
pub(crate) async fn run(mut flags: Flags) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "import reads from stdin what `cloakroom export` has printed, and stdin is a terminal: run cloakroom import < FILE",
        ));
    }
    flags.store.redis.be_patient();
    let target = Opened::to_fill(&flags.store.place()?, &flags.store.redis, flags.dry_run).await?;
    let target = flags.lifetime.applied_to(target);
    let mut lines = Lines::new(std::io::stdin().lock(), LONGEST_LINE);
    let (mut filled, mut bad, mut batch) = (Filled::default(), 0, Vec::new());
    while let Some(line) = lines.next().map_err(|error| Failure::failed(format!("stdin cannot be read: {error}")))? {
        match line.and_then(|line| session_of(&line, &target.terms, target.plain_tokens)) {
            Ok(saved) => batch.push(saved),
            Err(why) => {
                bad += 1;
                let number = lines.number();
                if flags.strict {
                    filled.put(&target, std::mem::take(&mut batch), Others::Kept, flags.dry_run).await?;
                    answer(&flags, &filled, bad)?;
                    return Err(Failure::failed(format!("line {number}: {why}. The lines after it were not read")));
                }
                if bad <= MOST_NAMED {
                    terminal::remark(format_args!("line {number}: {why}"));
                }
            }
        }
        if batch.len() == FLIGHT {
            filled.put(&target, std::mem::take(&mut batch), Others::Kept, flags.dry_run).await?;
        }
    }
    filled.put(&target, batch, Others::Kept, flags.dry_run).await?;
    answer(&flags, &filled, bad)?;
    match filled.complaint("") {
        _ if bad > 0 => Err(Failure::failed(format!("skipped {} that do not contain a session", Many(bad, "line")))),
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn answer(flags: &Flags, filled: &Filled, bad: u64) -> Result<(), Failure> {
    if flags.answer.json {
        let mut json = filled.as_json();
        json["bad_lines"] = bad.into();
        json["dry_run"] = flags.dry_run.into();
        return terminal::json(&json);
    }
    let did = if flags.dry_run { "would import" } else { "imported" };
    terminal::line(format_args!("{did} {}{}", Many(filled.made, "session"), filled.in_words()))
}
