//! The only place where sessions change: first in the journal, then in memory.

use std::collections::HashSet;
use std::io;
use std::time::SystemTime;

use super::entry::Sessions;
use super::format::{self, State};
use super::index::Index;
use super::journal::Journal;
use crate::record::SessionId;

/// What a change locks, so that only one task writes at a time.
pub(super) struct Writer {
    pub(super) journal: Journal,
    pub(super) index: Index,
    /// The sessions that have ended in memory, but not yet in the journal, because it could not be written.
    pub(super) owed: HashSet<SessionId>,
    /// The journal cannot be trusted up to this part, so everything in it is written again.
    pub(super) distrusted: Option<u64>,
}

/// A session id and its new state, or `None` if it ends.
pub(super) type Change = (SessionId, Option<State>);

impl Writer {
    pub(super) fn new(journal: Journal, index: Index, distrusted: Option<u64>) -> Writer {
        Writer { journal, index, owed: HashSet::new(), distrusted }
    }

    /// Makes these changes, or none of them if the journal cannot be written. Returns the number of the change.
    pub(super) fn make(&mut self, sessions: &Sessions, changes: Vec<Change>, now: SystemTime) -> io::Result<u64> {
        let mut sizes = Vec::with_capacity(changes.len());
        let commit = self.journal.append(now, |out| {
            for (id, state) in &changes {
                let before = out.len();
                format::write(out, id, state.as_ref());
                sizes.push((out.len() - before) as u64);
            }
        })?;
        let part = self.journal.part();
        for ((id, state), size) in changes.into_iter().zip(sizes) {
            self.index.hold(sessions, id, state, part, size);
        }
        Ok(commit)
    }

    /// Ends sessions in any case. If the journal cannot be written now, it is written later.
    pub(super) fn end(&mut self, sessions: &Sessions, ids: &[SessionId], now: SystemTime) -> io::Result<u64> {
        let changes = ids.iter().map(|id| (*id, None)).collect();
        self.make(sessions, changes, now).inspect_err(|_| {
            for id in ids {
                self.index.hold(sessions, *id, None, 0, 0);
            }
            self.owed.extend(ids);
        })
    }

    /// Writes to the journal what could not be written before.
    pub(super) fn pay(&mut self, sessions: &Sessions, now: SystemTime) -> io::Result<()> {
        if !self.owed.is_empty() {
            let changes = self.owed.iter().map(|id| (*id, None)).collect();
            self.make(sessions, changes, now)?;
            self.owed.clear();
        }
        Ok(())
    }
}
