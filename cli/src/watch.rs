//! `cloakroom watch`: sessions as they come and go.
//!
//! A store does not report when a session ends (in Redis, keyspace notifications are off by default, and can get lost). Each line
//! is therefore the difference between two looks at all sessions.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use clap::Args;
use cloakroom::SessionId;
use serde_json::json;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::kept::Kept;
use crate::looking::LookFlags;
use crate::opened::Opened;
use crate::pace::ScanFlags;
use crate::survey::Survey;
use crate::terminal::{self, STRONG, count, line, painted};
use crate::times::{iso, of_day};

/// A session that ends less than this before its time counts as expired and not as revoked.
const ROUNDING: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct Flags {
    /// The least seconds between two lines. With many sessions it takes longer, because of --rate
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,

    /// Stop after this many lines [default: go on until ctrl-c]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    #[command(flatten)]
    look: LookFlags,
}

/// Looks at all sessions again and again, and prints a line each time, until there are enough lines or ctrl-c is pressed.
///
/// # Errors
/// Returns an error if the store is not available.
pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    tokio::select! {
        done = watch(&flags) => done,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn watch(flags: &Flags) -> Result<(), Failure> {
    let mut opened = flags.look.open().await?;
    if !flags.look.answer.json {
        let heading = ["time", "sessions", "signed in", "new/s", "ended/s", "revoked since start"];
        line(painted(STRONG, row(heading.map(str::to_owned))))?;
    }
    let mut before: Option<Look> = None;
    let mut total = Total::default();
    for _ in 0..flags.count.unwrap_or(u64::MAX) {
        if let Some(look) = &before {
            tokio::time::sleep_until(look.at + Duration::from_secs(flags.interval)).await;
            // since the last look, a process may have begun to use the directory, or ended
            if !matches!(opened.store, Kept::Redis(_)) {
                opened = flags.look.open().await?;
            }
        }
        let look = Look::take(&opened, &flags.look.scan).await?;
        let difference = before.as_ref().map(|before| look.since(before)).unwrap_or_default();
        total.new += difference.new;
        total.expired += difference.expired;
        total.revoked += difference.revoked;
        if flags.look.answer.json { say_json(&look, &difference, &total) } else { say(&look, &difference, &total) }?;
        before = Some(look);
    }
    Ok(())
}

/// All sessions at one time.
struct Look {
    at: Instant,
    /// How long each session lives without another request, and when that was read.
    sessions: HashMap<SessionId, (Duration, Instant)>,
    signed_in: u64,
}

/// What happened between two looks. A session that came and went between them was not seen.
#[derive(Default)]
struct Difference {
    new: u64,
    /// Ended because their time was over.
    expired: u64,
    /// Ended before their time: signed out, revoked, or evicted.
    revoked: u64,
    over: Duration,
}

#[derive(Default)]
struct Total {
    new: u64,
    expired: u64,
    revoked: u64,
}

impl Look {
    async fn take(opened: &Opened, scan: &ScanFlags) -> Result<Look, Failure> {
        let mut look = Look { at: Instant::now(), sessions: HashMap::new(), signed_in: 0 };
        let mut survey = Survey::quiet(opened, scan);
        while let Some(part) = survey.part().await? {
            let known = Instant::now();
            for found in part {
                look.signed_in += u64::from(found.loaded.record.user_id.is_some());
                look.sessions.insert(found.id, (found.remaining(), known));
            }
        }
        Ok(look)
    }

    fn since(&self, before: &Look) -> Difference {
        let new = self.sessions.keys().filter(|id| !before.sessions.contains_key(id)).count() as u64;
        let ended = before.sessions.iter().filter(|(id, _)| !self.sessions.contains_key(id));
        // it would have lived until now at least: nothing but a revoke ends it earlier
        let now = Instant::now();
        let early = |(left, known): &(Duration, Instant)| *known + *left > now + ROUNDING;
        let (revoked, expired): (Vec<_>, Vec<_>) = ended.map(|(_, life)| early(life)).partition(|early| *early);
        let over = self.at.duration_since(before.at);
        Difference { new, expired: expired.len() as u64, revoked: revoked.len() as u64, over }
    }
}

impl Difference {
    fn per_second(&self, sessions: u64) -> f64 {
        if self.over.is_zero() { 0.0 } else { sessions as f64 / self.over.as_secs_f64() }
    }

    fn ended(&self) -> u64 {
        self.expired + self.revoked
    }
}

fn say(look: &Look, difference: &Difference, total: &Total) -> Result<(), Failure> {
    line(row([
        of_day(SystemTime::now()),
        count(look.sessions.len() as u64),
        count(look.signed_in),
        format!("{:.1}", difference.per_second(difference.new)),
        format!("{:.1}", difference.per_second(difference.ended())),
        count(total.revoked),
    ]))
}

fn row([time, sessions, signed_in, new, ended, revoked]: [String; 6]) -> String {
    format!("{time:<12}  {sessions:>11}  {signed_in:>11}  {new:>9}  {ended:>9}  {revoked:>19}")
}

fn say_json(look: &Look, difference: &Difference, total: &Total) -> Result<(), Failure> {
    terminal::json(&json!({
        "time": iso(SystemTime::now()),
        "sessions": look.sessions.len(),
        "signed_in": look.signed_in,
        "new": difference.new,
        "expired": difference.expired,
        "revoked": difference.revoked,
        "new_per_second": difference.per_second(difference.new),
        "ended_per_second": difference.per_second(difference.ended()),
        "since_start": { "new": total.new, "expired": total.expired, "revoked": total.revoked },
    }))
}
