//! Knows which sessions each user has, in the order of sign-in, and how much of the journal the sessions need.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::entry::{Entry, Sessions};
use super::format::State;
use crate::clock::to_millis;
use crate::record::{Page, Record, Refusal, SessionId, SignIn, UserId};
use crate::store::Watchers;

/// The sessions of each user. It is not stored, but built from the sessions when the store is opened.
#[derive(Default)]
pub(super) struct Index {
    /// The sessions of each user in the order of sign-in. It may contain sessions that have ended, but never misses a live one.
    users: HashMap<UserId, Vec<SessionId>>,
    /// How many bytes of the journal are needed.
    pub(super) needed: u64,
    pub(super) watchers: Watchers,
}

impl Index {
    /// Makes the index of the sessions that the journal contains, and removes those that have ended.
    pub(super) fn of(sessions: &Sessions, now: SystemTime) -> Index {
        let mut index = Index::default();
        let pinned = sessions.pin();
        for (id, entry) in &pinned {
            if entry.has_ended(now) {
                pinned.remove(id);
                continue;
            }
            index.needed += entry.size;
            if let Some((user, _)) = entry.user() {
                index.users.entry(user.clone()).or_default().push(*id);
            }
        }
        index.users.values_mut().for_each(|ids| sort(ids, sessions));
        index
    }

    /// Changes a session in memory only, for a touch that could not be written to the journal.
    pub(super) fn hold_only(&mut self, sessions: &Sessions, id: SessionId, state: State) {
        let at = sessions.pin().get(&id).map(|entry| (entry.part, entry.size));
        let (part, size) = at.unwrap_or_default();
        self.hold(sessions, id, Some(state), part, size);
    }

    /// Changes a session in memory to what the journal contains.
    pub(super) fn hold(&mut self, sessions: &Sessions, id: SessionId, state: Option<State>, part: u64, size: u64) {
        let sessions = sessions.pin();
        let entry = state.map(|state| Entry { state, part, size });
        let before = sessions.get(&id);
        self.needed -= before.map_or(0, |before| before.size);
        self.needed += entry.as_ref().map_or(0, |entry| entry.size);
        let (was, is) = (before.and_then(Entry::user), entry.as_ref().and_then(Entry::user));
        if was != is {
            if let Some((user, _)) = was {
                self.strike(user, &id);
            }
            if let Some((user, _)) = is {
                self.users.entry(user.clone()).or_default().push(id);
            }
        }
        match entry {
            Some(entry) => sessions.insert(id, entry),
            None => sessions.remove(&id),
        };
        self.watchers.changed(&id);
    }

    fn strike(&mut self, user: &UserId, id: &SessionId) {
        if let Some(ids) = self.users.get_mut(user) {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                self.users.remove(user);
            }
        }
    }

    /// Sorts the sessions of a user by sign-in, after one was added that is not the latest.
    pub(super) fn put_in_order(&mut self, sessions: &Sessions, user: &UserId) {
        if let Some(ids) = self.users.get_mut(user) {
            sort(ids, sessions);
        }
    }

    /// Returns the time of a sign-in that is made now, in microseconds. It is after all others of this user, whatever the clock shows.
    pub(super) fn time_of_sign_in(&self, sessions: &Sessions, user: &UserId, now: SystemTime) -> u64 {
        let sessions = sessions.pin();
        let latest = self.users.get(user).and_then(|ids| sessions.get(ids.last()?)?.user());
        (1000 * to_millis(now)).max(latest.map_or(0, |(_, order)| order + 1))
    }

    /// Returns the sessions of a user in the order of sign-in. Some of them may have ended.
    pub(super) fn ids_of(&self, user: &UserId) -> Vec<SessionId> {
        self.users.get(user).cloned().unwrap_or_default()
    }

    /// Returns when the last of a user's ended sessions has ended.
    pub(super) fn latest_end(&self, sessions: &Sessions, user: &UserId, now: SystemTime) -> Option<SystemTime> {
        let sessions = sessions.pin();
        let ids = self.users.get(user)?;
        ids.iter().filter_map(|id| sessions.get(id).filter(|entry| entry.has_ended(now))?.passed(now)).max()
    }

    /// Returns the live sessions of a user in the order of sign-in.
    fn sessions_of(&self, sessions: &Sessions, user: &UserId, now: SystemTime) -> Vec<SessionId> {
        let sessions = sessions.pin();
        let lives = |id: &&SessionId| sessions.get(*id).is_some_and(|entry| entry.live(now).is_some());
        self.users.get(user).into_iter().flatten().filter(lives).copied().collect()
    }

    /// Returns a page of the live sessions of a user with their records, the latest first.
    pub(super) fn page_of(
        &self,
        sessions: &Sessions,
        user: &UserId,
        page: Page,
        now: SystemTime,
    ) -> Vec<(SessionId, Arc<Record>)> {
        let sessions = sessions.pin();
        let live = |id: &SessionId| Some((*id, sessions.get(id)?.live(now)?.0.clone()));
        let latest_first = self.users.get(user).into_iter().flat_map(|ids| ids.iter().rev());
        latest_first.filter_map(live).skip(page.offset).take(page.limit).collect()
    }

    /// Returns which sessions of a user must end for one that signs in now, and whether that one becomes the latest.
    pub(super) fn make_room(
        &self,
        sessions: &Sessions,
        id: SessionId,
        new: &SignIn,
        now: SystemTime,
    ) -> Result<(Vec<SessionId>, bool), Refusal> {
        new.make_room(id, &self.sessions_of(sessions, &new.user, now))
    }
}

/// Sorts by sign-in. A session that came from another store may have signed in at the same microsecond as one of this store. Their ids
/// then decide, as they do in Redis, so that the order is the same after a restart and after a move.
fn sort(ids: &mut [SessionId], sessions: &Sessions) {
    let sessions = sessions.pin();
    ids.sort_by_key(|id| (sessions.get(id).and_then(Entry::user).map(|(_, order)| order), *id));
}
