//! What is held in memory for each session.

use std::sync::Arc;
use std::time::SystemTime;

use super::format::State;
use crate::record::{Record, SessionId, UserId};
use crate::store::Loaded;
use crate::store::inspect::Scanned;

/// What is held for a session id: read without a lock, written by whoever holds the [`Writer`](super::writer::Writer).
pub(super) struct Entry {
    pub(super) state: State,
    /// Where the journal has it, and how many bytes that takes.
    pub(super) part: u64,
    pub(super) size: u64,
}

pub(super) type Sessions = papaya::HashMap<SessionId, Entry>;

impl Entry {
    pub(super) fn has_ended(&self, now: SystemTime) -> bool {
        match &self.state {
            State::Live(record, _) => now >= record.ends_at(),
            State::Evicted(_, until) => now >= *until,
        }
    }

    /// The latest time of this session that has passed, and with which something of it has ended: the session, or the grace
    /// of its previous secret.
    pub(super) fn passed(&self, now: SystemTime) -> Option<SystemTime> {
        let (record, _) = self.record()?;
        let grace = record.previous.and_then(|held| held.until);
        [Some(record.ends_at()), grace].into_iter().flatten().filter(|time| *time <= now).max()
    }

    fn record(&self) -> Option<(&Arc<Record>, u64)> {
        match &self.state {
            State::Live(record, order) => Some((record, *order)),
            State::Evicted(..) => None,
        }
    }

    /// The session, if it lives, and when its user signed in.
    pub(super) fn live(&self, now: SystemTime) -> Option<(&Arc<Record>, u64)> {
        self.record().filter(|(record, _)| now < record.ends_at())
    }

    pub(super) fn user(&self) -> Option<(&UserId, u64)> {
        self.record().and_then(|(record, order)| Some((record.user_id.as_ref()?, order)))
    }
}

/// A session that lives.
pub(super) fn find(sessions: &Sessions, id: &SessionId, now: SystemTime) -> Option<Loaded> {
    let sessions = sessions.pin();
    let (record, _) = sessions.get(id)?.live(now)?;
    Some(Loaded { record: record.clone(), now })
}

/// All sessions that live, in one part.
pub(super) fn scan(sessions: &Sessions, now: SystemTime) -> Scanned {
    let sessions = sessions.pin();
    let live = sessions.iter().filter(|(_, entry)| entry.live(now).is_some());
    Scanned { ids: live.map(|(id, _)| *id).collect(), next: None }
}
