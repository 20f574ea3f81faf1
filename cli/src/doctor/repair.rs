//! Removing ghosts, and nothing else.

use cloakroom::store::Redis;

use super::answers::{self, ghosts_among};
use super::finding::Finding;
use super::sample::Sample;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::terminal::{Many, confirm};

/// How many ids are removed at once.
const AT_ONCE: usize = 100;

/// Removes the ghosts that were found, after a confirmation.
///
/// # Errors
/// When it is not confirmed, or the store is not available.
pub(super) async fn confirmed(
    opened: &Opened<Redis>,
    sample: Option<&Sample>,
    yes: bool,
) -> Result<Option<Finding>, Failure> {
    const CHECK: &str = "repair";
    let Some(sample) = sample else { return Ok(None) };
    let ghosts: u64 = sample.ghosts.values().map(|ids| ids.len() as u64).sum();
    if ghosts == 0 {
        return Ok(Some(Finding::ok(CHECK, "no ghosts to remove")));
    }
    confirm(yes, &format!("removing {} from users' indexes", Many(ghosts, "ghost")))?;
    let mut removed = 0;
    for (index, ids) in &sample.ghosts {
        for ids in ids.chunks(AT_ONCE) {
            // asked again: a while has passed, and this is the one thing that must not be wrong
            let ghosts = ghosts_among(opened, ids).await?.unwrap_or_default();
            if ghosts.is_empty() {
                continue;
            }
            let command = ["ZREM", index].into_iter().chain(ghosts.iter().map(|id| id.expose()));
            let command: Vec<&str> = command.collect();
            match answers::of(opened.store.command_for(index, &command).await)? {
                Some(answer) => removed += answer.as_u64().unwrap_or(0),
                None => return Ok(Some(Finding::skipped(CHECK, "ZREM"))),
            }
        }
    }
    Ok(Some(Finding::ok(CHECK, format!("removed {} from users' indexes", Many(removed, "ghost")))))
}
