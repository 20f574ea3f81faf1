//! `cloakroom import`: the sessions that `export` has printed.

use std::io::{BufRead as _, IsTerminal as _, Read as _, StdinLock};
use std::time::{Duration, SystemTime};

use clap::Args;
use cloakroom::store::Saved;

use crate::failure::Failure;
use crate::fill::{FLIGHT, Filled, LifetimeFlags, Others};
use crate::opened::Opened;
use crate::store_flags::StoreFlags;
use crate::strict_json;
use crate::terminal::{self, AnswerFlags, Many};

/// The longest line, in bytes: far more than a session may hold.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;
/// How far the clock of the machine on which the sessions were made may be ahead of this one's.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);
/// What some editors and shells put in front of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// How many bad lines are named; the others are counted.
const MOST_NAMED: u64 = 20;

/// Lines that are no sessions are named and left out, and the exit code is 1. What is at the target already stays as it is
/// there. So it can be run again.
#[derive(Args)]
pub(crate) struct Flags {
    /// Stop at the first line that is no session
    #[arg(long)]
    strict: bool,

    /// Only check the lines, and count
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    answer: AnswerFlags,
    #[command(flatten)]
    lifetime: LifetimeFlags,
    #[command(flatten)]
    store: StoreFlags,
}

/// Reads them from stdin.
///
/// # Errors
/// When a line is no session, or a session is there already and differs; when the store is not available.
pub(crate) async fn run(mut flags: Flags) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "import reads from stdin what `cloakroom export` has printed: cloakroom import < FILE",
        ));
    }
    flags.store.redis.be_patient();
    let target = Opened::to_fill(&flags.store.place()?, &flags.store.redis, flags.dry_run).await?;
    let target = flags.lifetime.applied_to(target);
    let mut lines = Lines { stdin: std::io::stdin().lock(), number: 0 };
    let (mut filled, mut bad, mut batch) = (Filled::default(), 0, Vec::new());
    while let Some(line) = lines.next()? {
        match line.and_then(|line| session_of(&line, &target)) {
            Ok(saved) => batch.push(saved),
            Err(why) => {
                bad += 1;
                let number = lines.number;
                if flags.strict {
                    filled.put(&target, std::mem::take(&mut batch), Others::Kept, flags.dry_run).await?;
                    answer(&flags, &filled, bad)?;
                    return Err(Failure::failed(format!("line {number}: {why}. Nothing behind it was read")));
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
        _ if bad > 0 => Err(Failure::failed(format!("left out {}: no session can be read there", Many(bad, "line")))),
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

/// The session in a line, or what is wrong with it.
fn session_of(line: &str, target: &Opened) -> Result<Saved, String> {
    let saved = Saved::from_json(&strict_json::parse(line)?, &target.terms)?;
    check_not_ahead(&saved)?;
    match (target.is_ours(&saved.id), target.plain_tokens) {
        (true, _) => Ok(saved),
        (false, true) => Err("its id is no plain token: leave --plain-tokens out".to_owned()),
        (false, false) => Err("its id is a plain token: say --plain-tokens".to_owned()),
    }
}

/// Refuses what has not happened yet. A sign-in of the future would be its user's latest for as long as it is ahead of the
/// clock, and the limit on a user's sessions could not tell which of the others is the oldest. A session that was made or
/// used in the future would live longer than it should.
fn check_not_ahead(saved: &Saved) -> Result<(), String> {
    let latest = SystemTime::now() + CLOCKS_APART;
    let Saved { record, signed_in_at, .. } = saved;
    let times = [
        ("signed_in_at", (*signed_in_at).max(record.signed_in_at)),
        ("created_at", Some(record.created_at)),
        ("last_accessed_at", Some(record.last_accessed_at)),
        ("rotated_at", record.rotated_at),
    ];
    match times.iter().find(|(_, time)| time.is_some_and(|time| time > latest)) {
        Some((name, _)) => Err(format!("`{name}` is in the future by this machine's clock")),
        None => Ok(()),
    }
}

/// Lines that are not empty, with their numbers.
struct Lines {
    stdin: StdinLock<'static>,
    number: u64,
}

impl Lines {
    /// The next line, or why it is none; `None` at the end.
    fn next(&mut self) -> Result<Option<Result<String, String>>, Failure> {
        loop {
            let mut line = Vec::new();
            let cannot = |error: std::io::Error| Failure::failed(format!("stdin cannot be read: {error}"));
            let read = (&mut self.stdin).take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(cannot)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.number == 1 && line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            }
            if read as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
                self.stdin.skip_until(b'\n').map_err(cannot)?;
                return Ok(Some(Err(format!("it is longer than {LONGEST_LINE} bytes"))));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(String::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())));
            }
        }
    }
}
