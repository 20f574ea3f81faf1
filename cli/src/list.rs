//! `cloakroom list`: sessions, all or a user's.

use clap::Args;
use cloakroom::store::Loaded;
use cloakroom::{Page, SessionId, UserId};

use crate::failure::Failure;
use crate::looking::LookFlags;
use crate::opened::Opened;
use crate::pace::ScanFlags;
use crate::printable::printable;
use crate::show::summary;
use crate::survey::{Found, Survey};
use crate::terminal::{self, lasting};

/// How many of a user's index are read: far more than the library lets a user have.
const MOST_OF_A_USER: usize = 100_000;

#[derive(Args)]
pub(crate) struct Flags {
    /// List only the sessions of this user, the latest sign-in first. Write --user=ID if the id begins with two hyphens
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// The most sessions to list; 0 lists all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,

    #[command(flatten)]
    look: LookFlags,
}

/// Lists the sessions. In JSON each session is one line.
///
/// # Errors
/// Returns an error if the user has no session, or the store is not available.
pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let user = flags.user.as_deref().map(user_of).transpose()?;
    let opened = flags.look.open().await?;
    let limit = if flags.limit == 0 { usize::MAX } else { flags.limit };
    // one more tells whether there are more
    let wanted = limit.saturating_add(1);
    let mut sessions = match &user {
        None => all(&opened, &flags.look.scan, wanted).await?,
        Some(user) => of_user(&opened, user, wanted).await?,
    };
    let are_more = sessions.len() > limit;
    sessions.truncate(limit);
    if flags.look.answer.json {
        sessions.iter().try_for_each(|found| terminal::json(&summary(&found.id, &found.loaded)))?;
    } else if !sessions.is_empty() {
        let rows: Vec<_> = sessions.iter().map(row).collect();
        terminal::table(&["SESSION", "USER", "CREATED", "LAST SEEN", "ENDS IN", "DEVICE", "ADDRESS"], &rows)?;
    }
    if are_more {
        terminal::remark(format_args!(
            "there are more than {limit} sessions: raise --limit to list more, or give --limit 0 to list all"
        ));
    }
    match (&user, sessions.is_empty()) {
        (Some(user), true) => Err(Failure::not_found(format!("user {user} has no session"))),
        (None, true) => {
            terminal::remark("there is no session");
            Ok(())
        }
        _ => Ok(()),
    }
}

pub(crate) fn user_of(text: &str) -> Result<UserId, Failure> {
    UserId::try_from(text).map_err(|error| Failure::usage(error.to_string()))
}

async fn all(opened: &Opened, scan: &ScanFlags, wanted: usize) -> Result<Vec<Found>, Failure> {
    let mut survey = Survey::with_bar(opened, scan).await;
    let mut sessions = Vec::new();
    while sessions.len() < wanted
        && let Some(part) = survey.part().await?
    {
        sessions.extend(part);
    }
    survey.finish();
    if sessions.is_empty() {
        survey.remark_on_others();
    }
    sessions.truncate(wanted);
    Ok(sessions)
}

async fn of_user(opened: &Opened, user: &UserId, wanted: usize) -> Result<Vec<Found>, Failure> {
    let mut sessions = Vec::new();
    for id in ids_of(opened, user).await?.into_iter().take(wanted) {
        let found = opened.find(&id).await?;
        sessions.extend(found.map(|loaded: Loaded| Found { id, loaded }));
    }
    Ok(sessions)
}

/// The sessions of a user, from the index.
pub(crate) async fn ids_of(opened: &Opened, user: &UserId) -> Result<Vec<SessionId>, Failure> {
    opened.sessions_of(user, Page { offset: 0, limit: MOST_OF_A_USER }).await
}

fn row(found: &Found) -> Vec<String> {
    let Found { id, loaded: Loaded { record, now } } = found;
    let ago = |time| format!("{} ago", lasting(now.duration_since(time).unwrap_or_default()));
    let text = |text: Option<&str>| text.map_or("-".to_owned(), printable);
    vec![
        id.to_string(),
        text(record.user_id.as_ref().map(|user| user.as_str())),
        ago(record.created_at),
        ago(record.last_accessed_at),
        lasting(found.remaining()),
        text(record.device.as_deref()),
        text(record.ip.as_deref()),
    ]
}
