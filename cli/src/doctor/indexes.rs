//! Checks whether users' indexes and their sessions agree.

use super::finding::Finding;
use super::sample::Sample;
use crate::terminal::{Many, count};

/// Checks for entries without a session. A session that expires leaves one until its user's sessions are listed the next time, so a
/// few are normal.
pub(super) fn ghosts(sample: &Sample) -> Finding {
    const CHECK: &str = "ghosts";
    for command in ["ZRANGE", "HGET"] {
        if sample.refused.contains(command) {
            return Finding::skipped(CHECK, command);
        }
    }
    let ghosts: u64 = sample.ghosts.values().map(|ids| ids.len() as u64).sum();
    let text = format!(
        "{} of {} in users' indexes belong to sessions that have ended",
        count(ghosts),
        Many(sample.entries, "id")
    );
    match ghosts > sample.entries - ghosts {
        true => {
            Finding::warn(CHECK, text).advice("they do no harm but take memory: cloakroom doctor --repair removes them")
        }
        false => Finding::ok(CHECK, text),
    }
}

/// Checks for sessions that are missing in the index of their user.
pub(super) fn misses(sample: &Sample) -> Finding {
    const CHECK: &str = "misses";
    for command in ["HMGET", "ZSCORE"] {
        if sample.refused.contains(command) {
            return Finding::skipped(CHECK, command);
        }
    }
    if sample.misses == 0 {
        return Finding::ok(
            CHECK,
            format!("every one of {} is in its user's index", Many(sample.bound, "signed-in session")),
        );
    }
    let text = format!(
        "{} of {} are not in their user's index: signing out everywhere does not end them",
        count(sample.misses),
        Many(sample.bound, "signed-in session")
    );
    Finding::bad(CHECK, text).advice(
        "after a failover this is normal until their next request. Otherwise something deletes indexes: see the check eviction",
    )
}
