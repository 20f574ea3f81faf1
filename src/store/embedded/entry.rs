//! What the store keeps in memory for each session.

use std::sync::Arc;
use std::time::SystemTime;

use super::format::State;
use crate::record::{Record, SessionId, UserId};
use crate::store::Loaded;
use crate::store::inspect::Scanned;

/// What the store keeps for a session id. It is read without a lock, and written by whoever has locked the
/// [`Writer`](super::writer::Writer).
pub(super) struct Entry {
    pub(super) state: State,
    /// Where it is in the journal, and how many bytes it has there.
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

    /// Returns the latest time that has passed and has ended something of this session: the session itself, or the grace period of its
    /// previous secret.
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

    /// Returns the session if it is live, and when its user signed in.
    pub(super) fn live(&self, now: SystemTime) -> Option<(&Arc<Record>, u64)> {
        self.record().filter(|(record, _)| now < record.ends_at())
    }

    pub(super) fn user(&self) -> Option<(&UserId, u64)> {
        self.record().and_then(|(record, order)| Some((record.user_id.as_ref()?, order)))
    }
}

/// Returns a live session.
pub(super) fn find(sessions: &Sessions, id: &SessionId, now: SystemTime) -> Option<Loaded> {
    let sessions = sessions.pin();
    let (record, _) = sessions.get(id)?.live(now)?;
    Some(Loaded { record: record.clone(), now })
}

/// Returns all live sessions in one part.
pub(super) fn scan(sessions: &Sessions, now: SystemTime) -> Scanned {
    let sessions = sessions.pin();
    let live = sessions.iter().filter(|(_, entry)| entry.live(now).is_some());
    Scanned { ids: live.map(|(id, _)| *id).collect(), next: None }
}
