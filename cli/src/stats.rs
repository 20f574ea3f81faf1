//! `cloakroom stats`: how many sessions and users, and how long they live.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use cloakroom::UserId;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::looking::LookFlags;
use crate::survey::{Found, Survey};
use crate::terminal::{self, FAINT, STRONG, count, line, painted};

/// The longest bar, in characters.
const BAR: u64 = 40;

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    look: LookFlags,
}

/// Looks at every session once, and prints the numbers.
///
/// # Errors
/// Returns an error if the store is not available.
pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let opened = flags.look.open().await?;
    let mut survey = Survey::with_bar(&opened, &flags.look.scan).await;
    let mut stats = Stats::default();
    while let Some(part) = survey.part().await? {
        part.iter().for_each(|found| stats.add(found));
    }
    survey.remark_on_others();
    if flags.look.answer.json { terminal::json(&stats.as_json()) } else { stats.print() }
}

#[derive(Default)]
struct Stats {
    sessions: u64,
    signed_in: u64,
    users: HashMap<UserId, u64>,
    ages: Histogram,
    remaining: Histogram,
}

impl Stats {
    fn add(&mut self, found: &Found) {
        self.sessions += 1;
        if let Some(user) = &found.loaded.record.user_id {
            self.signed_in += 1;
            *self.users.entry(user.clone()).or_default() += 1;
        }
        self.ages.add(found.age());
        self.remaining.add(found.remaining());
    }

    fn most_of_a_user(&self) -> u64 {
        self.users.values().copied().max().unwrap_or(0)
    }

    fn as_json(&self) -> Value {
        json!({
            "sessions": self.sessions,
            "signed_in": self.signed_in,
            "anonymous": self.sessions - self.signed_in,
            "users": self.users.len(),
            "most_sessions_of_a_user": self.most_of_a_user(),
            "age": self.ages.as_json(),
            "remaining": self.remaining.as_json(),
        })
    }

    fn print(&self) -> Result<(), Failure> {
        let figures = [
            ("sessions", self.sessions),
            ("signed in", self.signed_in),
            ("anonymous", self.sessions - self.signed_in),
            ("users", self.users.len() as u64),
            ("most per user", self.most_of_a_user()),
        ];
        for (name, figure) in figures {
            line(format_args!("{}  {:>12}", painted(FAINT, format_args!("{name:<14}")), count(figure)))?;
        }
        for (name, histogram) in [("age", &self.ages), ("time left without another request", &self.remaining)] {
            line(painted(STRONG, format_args!("\n{name}")))?;
            histogram.print()?;
        }
        Ok(())
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Where each part ends, in seconds; the last part has no end.
const ENDS: [(u64, &str); 7] = [
    (MINUTE, "under 1 min"),
    (10 * MINUTE, "under 10 min"),
    (HOUR, "under 1 h"),
    (6 * HOUR, "under 6 h"),
    (DAY, "under 1 d"),
    (7 * DAY, "under 7 d"),
    (u64::MAX, "longer"),
];

#[derive(Default)]
struct Histogram([u64; ENDS.len()]);

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let part = ENDS.iter().position(|(end, _)| duration.as_secs() < *end);
        self.0[part.unwrap_or(ENDS.len() - 1)] += 1;
    }

    fn as_json(&self) -> Value {
        let part =
            |((end, _), sessions)| json!({ "below_seconds": (end < u64::MAX).then_some(end), "sessions": sessions });
        ENDS.into_iter().zip(self.0).map(part).collect()
    }

    fn print(&self) -> Result<(), Failure> {
        let most = self.0.iter().copied().max().unwrap_or(0).max(1);
        ENDS.iter().zip(self.0).try_for_each(|((_, name), sessions)| {
            // every number above zero gets a mark, however small it is
            let bar = "█".repeat((sessions * BAR).div_ceil(most) as usize);
            line(format!("{name:>14}  {:>12}  {bar}", count(sessions)).trim_end())
        })
    }
}
