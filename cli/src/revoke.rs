//! `cloakroom revoke`: ends sessions, by the library, so that all invariants hold.

use std::time::Duration;

use clap::{ArgGroup, Args};
use cloakroom::store::{Durability, Target};
use cloakroom::{SessionId, UserId};
use futures_util::future::join_all;
use serde_json::json;

use crate::failure::Failure;
use crate::list::{ids_of, user_of};
use crate::looking::LookFlags;
use crate::opened::Opened;
use crate::pace::Pace;
use crate::survey::Survey;
use crate::terminal::{self, Many};

/// How many sessions are ended at once.
const FLIGHT: usize = 50;

#[derive(Args)]
#[command(group = ArgGroup::new("whose").required(true))]
pub(crate) struct Flags {
    /// The ids of the sessions to end, as shown in logs and lists
    #[arg(group = "whose", value_name = "ID")]
    ids: Vec<String>,

    /// End all sessions of this user, for example because a password has changed or an account is closed. Write --user=ID if the id
    /// begins with two hyphens
    #[arg(long, group = "whose", value_name = "USER")]
    user: Option<String>,

    /// End all sessions of the store. Everybody has to sign in again
    #[arg(long, group = "whose")]
    all: bool,

    /// Only count the sessions that would end
    #[arg(long)]
    dry_run: bool,

    /// Do not ask for confirmation before --all
    #[arg(long)]
    yes: bool,

    /// Wait until this many replicas know that a session has ended, so that no failover brings it back
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    wait_for_replicas: Option<u32>,

    #[command(flatten)]
    look: LookFlags,
}

/// Counts the sessions and ends them.
///
/// # Errors
/// Returns an error if a session is not found, or the store is not available. The error says how many sessions have ended before.
pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let user = flags.user.as_deref().map(user_of).transpose()?;
    let timeout = flags.look.store.redis.timeout().max(Duration::from_secs(5));
    let durability = flags.wait_for_replicas.map(|replicas| Durability { replicas, on_disk: false, timeout });
    let opened = match flags.dry_run {
        true => flags.look.open().await?,
        false => Opened::to_change(&flags.look.store, durability).await?,
    };
    match &user {
        Some(user) => of_user(&flags, &opened, user).await,
        None if flags.all => everyone(&flags, &opened).await,
        None => named(&flags, &opened).await,
    }
}

async fn named(flags: &Flags, opened: &Opened) -> Result<(), Failure> {
    let mut ids: Vec<SessionId> = Vec::new();
    let mut missing: Vec<String> = Vec::new();
    for text in &flags.ids {
        match opened.named(text, &flags.look.scan).await {
            Ok(id) if ids.contains(&id) => {}
            Ok(id) if opened.find(&id).await?.is_some() => ids.push(id),
            Ok(id) => missing.push(id.to_string()),
            Err(failure) if failure.is_not_found() => missing.push(text.clone()),
            Err(failure) => return Err(failure),
        }
    }
    count(flags, ids.len() as u64);
    let mut ended = Vec::new();
    for id in ids.iter().filter(|_| !flags.dry_run) {
        match end(opened, id).await {
            // it has ended by itself since it was found
            Ok(0) => missing.push(id.to_string()),
            Ok(_) => ended.push(id.to_string()),
            Err(failure) => return Err(failure.after(Ended(ended.len() as u64))),
        }
    }
    answer(flags, ids.len() as u64, ended.len() as u64)?;
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Failure::not_found(format!("there is no such session: {}", missing.join(", ")))),
    }
}

async fn of_user(flags: &Flags, opened: &Opened, user: &UserId) -> Result<(), Failure> {
    let found = ids_of(opened, user).await?.len() as u64;
    count(flags, found);
    // even if there is none to count, because a session whose sign-in has begun ends as well
    let ended = if flags.dry_run { 0 } else { opened.store.revoke(&Target::AllOf(user.clone())).await? };
    answer(flags, found, ended)?;
    match found.max(ended) {
        0 => Err(Failure::not_found(format!("user {user} has no session"))),
        _ => Ok(()),
    }
}

async fn everyone(flags: &Flags, opened: &Opened) -> Result<(), Failure> {
    let mut survey = Survey::with_bar(opened, &flags.look.scan).await;
    let mut found = 0;
    while let Some(part) = survey.part().await? {
        found += part.len() as u64;
    }
    survey.remark_on_others();
    count(flags, found);
    if flags.dry_run {
        return answer(flags, found, 0);
    }
    terminal::confirm(flags.yes, &format!("end all {} ({})", Many(found, "session"), opened.store.all()))?;
    let mut survey = Survey::with_bar(opened, &flags.look.scan).await;
    let mut pace = Pace::new(&flags.look.scan);
    let mut ended = 0;
    while let Some(ids) = survey.ids().await.map_err(|failure| failure.after(Ended(ended)))? {
        for flight in ids.chunks(FLIGHT) {
            pace.wait(flight.len()).await;
            let mut failed = None;
            for answer in join_all(flight.iter().map(|id| end(opened, id))).await {
                match answer {
                    Ok(lived) => ended += lived,
                    Err(failure) => failed = Some(failure),
                }
            }
            if let Some(failure) = failed {
                return Err(failure.after(Ended(ended)));
            }
        }
    }
    answer(flags, found, ended)
}

async fn end(opened: &Opened, id: &SessionId) -> Result<u64, Failure> {
    opened.store.revoke(&Target::Session(*id)).await
}

/// Says on stderr how many sessions were found, before any of them ends.
fn count(flags: &Flags, found: u64) {
    let would = if flags.dry_run { "would end" } else { "about to end" };
    if !flags.look.answer.json {
        terminal::remark(format_args!("{would} {}", Many(found, "session")));
    }
}

fn answer(flags: &Flags, found: u64, ended: u64) -> Result<(), Failure> {
    match (flags.look.answer.json, flags.dry_run) {
        (true, dry_run) => terminal::json(&json!({ "found": found, "ended": ended, "dry_run": dry_run })),
        (false, true) => terminal::line(format_args!("dry run: {} found, and none was ended", Many(found, "session"))),
        (false, false) => terminal::line(Ended(ended)),
    }
}

struct Ended(u64);

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ended {}", Many(self.0, "session"))
    }
}
