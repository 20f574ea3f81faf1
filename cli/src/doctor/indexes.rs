//! Whether users' indexes and their sessions agree.

use super::finding::Finding;
use super::sample::Sample;
use crate::terminal::{Many, count};

/// Entries without a session. A session that ends by itself leaves one, until its user's sessions are listed next: a few
/// are as it should be.
pub(super) fn ghosts(sample: &Sample) -> Finding {
    const CHECK: &str = "ghosts";
    for command in ["ZRANGE", "HGET"] {
        if sample.refused.contains(command) {
            return Finding::skipped(CHECK, command);
        }
    }
    let ghosts: u64 = sample.ghosts.values().map(|ids| ids.len() as u64).sum();
    let text = format!(
        "{} of {} in users' indexes stand for sessions that have ended",
        count(ghosts),
        Many(sample.entries, "id")
    );
    match ghosts > sample.entries - ghosts {
        true => {
            Finding::warn(CHECK, text).advice("harmless, but they take memory: cloakroom doctor --repair removes them")
        }
        false => Finding::ok(CHECK, text),
    }
}

/// Sessions that the index of their user does not know.
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
            format!("each of {} is in its user's index", Many(sample.bound, "signed-in session")),
        );
    }
    let text = format!(
        "{} of {} are not in their user's index: signing out everywhere does not reach them",
        count(sample.misses),
        Many(sample.bound, "signed-in session")
    );
    Finding::bad(CHECK, text).advice(
        "after a failover that lasts until their next request; otherwise somebody deletes indexes: see eviction",
    )
}
