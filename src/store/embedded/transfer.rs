//! Moves whole sessions out of this store and into it.

use std::collections::HashSet;
use std::time::SystemTime;

use super::entry::Sessions;
use super::format::State;
use super::{Answered, Embedded, NOTHING, Shared};
use crate::error::StoreError;
use crate::record::{SessionId, Terms};
use crate::store::saved::{Restore, Restored, Save, Saved};
use crate::store::saved::{from_micros, to_micros};

impl Save for Embedded {
    async fn save(&self, ids: &[SessionId], _terms: &Terms) -> Result<Vec<Option<Saved>>, StoreError> {
        let now = self.shared.clock.now();
        let passed = {
            let sessions = self.shared.sessions.pin();
            ids.iter().filter_map(|id| sessions.get(id)?.passed(now)).max()
        };
        self.shared.tell(passed);
        Ok(save(&self.shared.sessions, ids, now))
    }
}

/// Returns the live ones of these sessions.
pub(super) fn save(sessions: &Sessions, ids: &[SessionId], now: SystemTime) -> Vec<Option<Saved>> {
    let sessions = sessions.pin();
    let saved = |id: &SessionId| {
        let (record, order) = sessions.get(id)?.live(now)?;
        let signed_in_at = record.user_id.is_some().then(|| from_micros(order));
        Some(Saved { id: *id, record: record.clone(), signed_in_at })
    };
    ids.iter().map(saved).collect()
}

impl Restore for Embedded {
    async fn restore(&self, sessions: &[Saved]) -> Result<Vec<Restored>, StoreError> {
        let (restored, commit) = self.shared.restore(sessions)?;
        self.settle(commit).await?;
        Ok(restored)
    }
}

impl Shared {
    /// Makes all sessions that can be made in one change.
    fn restore(&self, sessions: &[Saved]) -> Answered<Vec<Restored>> {
        let mut writer = self.writer();
        let now = self.clock.now();
        let (mut changes, mut made, mut restored) = (Vec::new(), HashSet::new(), Vec::new());
        for Saved { id, record, signed_in_at } in sessions {
            let is_taken = self.sessions.pin().get(id).is_some_and(|entry| !entry.has_ended(now));
            restored.push(match () {
                () if now >= record.ends_at() => Restored::Ended,
                () if is_taken || !made.insert(*id) => Restored::Taken,
                () => {
                    let order = signed_in_at.map_or(0, to_micros);
                    changes.push((*id, Some(State::Live(record.clone(), order))));
                    Restored::Made
                }
            });
        }
        if changes.is_empty() {
            return Ok((restored, NOTHING));
        }
        let commit = writer.make(&self.sessions, changes, now).map_err(|error| self.not_done(&error))?;
        let users: HashSet<_> = sessions.iter().filter_map(|saved| saved.record.user_id.as_ref()).collect();
        users.into_iter().for_each(|user| writer.index.put_in_order(&self.sessions, user));
        Ok((restored, commit))
    }
}
