//! Removes ghosts from the users' indexes, and nothing else.

use cloakroom::UserId;
use cloakroom::store::Redis;

use super::finding::Finding;
use super::sample::Sample;
use super::server::unless_forbidden;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::terminal::{Many, confirm};

/// How many ids are removed at once.
const AT_ONCE: usize = 100;

/// Removes the ghosts that were found, after a confirmation.
///
/// # Errors
/// Returns an error if the repair is not confirmed, or the store is not available.
pub(super) async fn confirmed(
    opened: &Opened<Redis>,
    sample: Option<&Sample>,
    yes: bool,
) -> Result<Option<Finding>, Failure> {
    const CHECK: &str = "repair";
    let Some(sample) = sample else { return Ok(None) };
    let ghosts: u64 = sample.ghosts.values().map(|ids| ids.len() as u64).sum();
    if ghosts == 0 {
        return Ok(Some(Finding::ok(CHECK, "there are no ghosts to remove")));
    }
    confirm(yes, &format!("remove {} from the users' indexes", Many(ghosts, "ghost")))?;
    let mut removed = 0;
    for (index, ids) in &sample.ghosts {
        let Some(user) = user_of(opened, index) else { continue };
        for ids in ids.chunks(AT_ONCE) {
            // the store looks at each again before it removes it, because some time has passed and no live session may be removed
            match unless_forbidden(opened.store.remove_ghosts(&user, ids).await)? {
                Some(count) => removed += count,
                None => return Ok(Some(Finding::skipped(CHECK, "ZREM"))),
            }
        }
    }
    Ok(Some(Finding::ok(CHECK, format!("removed {} from the users' indexes", Many(removed, "ghost")))))
}

/// Returns the user whose index this is.
fn user_of(opened: &Opened<Redis>, index: &str) -> Option<UserId> {
    let user = index.strip_prefix(opened.store.prefix())?.strip_prefix("user:")?;
    UserId::try_from(user).ok()
}
