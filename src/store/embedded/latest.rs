//! Collects the last state of each session from the journal.

use std::collections::HashSet;

use super::entry::{Entry, Sessions};
use super::format::Reader;
use super::recovery::{Change, unknown_change};
use crate::record::SessionId;

/// How many bytes of the journal there are for each session, about: a few hundred, and as many again that are outdated. A map that grows
/// while it is filled looks at every id again, which takes longer than all else.
const JOURNAL_BYTES_OF_A_SESSION: u64 = 800;

pub(super) struct Latest {
    pub(super) sessions: Sessions,
    /// Sessions whose last state is that they are gone, or that it cannot be read.
    gone: HashSet<SessionId>,
    /// What could not be read, one sentence each.
    pub(super) damage: Vec<String>,
}

impl Latest {
    /// Makes room for the sessions that a journal of this length is likely to contain.
    pub(super) fn of_journal(bytes: u64) -> Latest {
        let likely = (bytes / JOURNAL_BYTES_OF_A_SESSION) as usize;
        Latest { sessions: Sessions::with_capacity(likely), gone: HashSet::new(), damage: Vec::new() }
    }

    /// Notes a state, unless a later one of the session has been noted. Must be called with the last state first.
    pub(super) fn note(&mut self, change: &Change<'_>) {
        let Change { id, state, part, size, commit } = *change;
        let sessions = self.sessions.pin();
        if sessions.contains_key(&id) || self.gone.contains(&id) {
            return;
        }
        match Reader(state).state() {
            Some(state) => {
                sessions.insert(id, Entry { state, part, size });
                return;
            }
            None if !state.is_empty() => self.damage.push(unknown_change(commit)),
            None => {}
        }
        self.gone.insert(id);
    }
}
