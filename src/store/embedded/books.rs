//! The sessions in memory, and the one place where they change: first in the journal, then here.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::format::{self, State};
use super::journal::Journal;
use crate::clock::to_millis;
use crate::delta::SignIn;
use crate::device::Page;
use crate::policy::OnLimit;
use crate::record::{Record, Refusal};
use crate::store::{Loaded, Scanned};
use crate::token::SessionId;
use crate::user::UserId;

/// What is held for a session id: read without a lock, written with the [`Books`] in hand.
pub(super) struct Entry {
    pub(super) state: State,
    /// Where the journal has it, and how many bytes that takes.
    pub(super) part: u64,
    size: u64,
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

    fn user(&self) -> Option<(&UserId, u64)> {
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

/// What only one may hold at a time who changes something.
pub(super) struct Books {
    pub(super) journal: Journal,
    pub(super) index: Index,
    /// What ended in memory, and the journal could not be told yet.
    pub(super) owed: HashSet<SessionId>,
    /// Up to this part the journal is not to be trusted: everything in it is written again.
    pub(super) distrusted: Option<u64>,
}

/// A session id, and what becomes of it.
pub(super) type Change = (SessionId, Option<State>);

impl Books {
    pub(super) fn new(journal: Journal, index: Index, distrusted: Option<u64>) -> Books {
        Books { journal, index, owed: HashSet::new(), distrusted }
    }

    /// Makes changes, all of them or, where the journal cannot be written, none. The number of the change.
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

    /// Ends sessions, whatever happens. Where the journal cannot be written it is told later.
    pub(super) fn end(&mut self, sessions: &Sessions, ids: &[SessionId], now: SystemTime) -> io::Result<u64> {
        let changes = ids.iter().map(|id| (*id, None)).collect();
        self.make(sessions, changes, now).inspect_err(|_| {
            for id in ids {
                self.index.hold(sessions, *id, None, 0, 0);
            }
            self.owed.extend(ids);
        })
    }

    /// Tells the journal what it could not be told before.
    pub(super) fn pay(&mut self, sessions: &Sessions, now: SystemTime) -> io::Result<()> {
        if !self.owed.is_empty() {
            let changes = self.owed.iter().map(|id| (*id, None)).collect();
            self.make(sessions, changes, now)?;
            self.owed.clear();
        }
        Ok(())
    }
}

/// Whose sessions are whose, and how much of the journal they need: follows from the sessions.
#[derive(Default)]
pub(super) struct Index {
    /// Each user's sessions in the order of sign-in. May name sessions that have ended, never miss one that lives.
    users: HashMap<UserId, Vec<SessionId>>,
    /// How many bytes of the journal are needed.
    pub(super) needed: u64,
}

impl Index {
    /// Holds something else in memory than the journal has: a touch that could not be written.
    pub(super) fn hold_only(&mut self, sessions: &Sessions, id: SessionId, state: State) {
        let at = sessions.pin().get(&id).map(|entry| (entry.part, entry.size));
        let (part, size) = at.unwrap_or_default();
        self.hold(sessions, id, Some(state), part, size);
    }

    /// Holds what the journal has.
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
    }

    fn strike(&mut self, user: &UserId, id: &SessionId) {
        if let Some(ids) = self.users.get_mut(user) {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                self.users.remove(user);
            }
        }
    }

    /// After the journal has been read: what has ended goes, and the index is put into the order of sign-in.
    pub(super) fn settle(&mut self, sessions: &Sessions, now: SystemTime) {
        let pinned = sessions.pin();
        for (id, _) in pinned.iter().filter(|(_, entry)| entry.has_ended(now)) {
            self.hold(sessions, *id, None, 0, 0);
        }
        for ids in self.users.values_mut() {
            sort(ids, sessions);
        }
    }

    /// Puts a user's sessions into the order of sign-in, where one has come that is not the latest.
    pub(super) fn put_in_order(&mut self, sessions: &Sessions, user: &UserId) {
        if let Some(ids) = self.users.get_mut(user) {
            sort(ids, sessions);
        }
    }

    /// The time of a sign-in that is made now, in microseconds: after all others of this user, whatever the clock does.
    pub(super) fn time_of_sign_in(&self, sessions: &Sessions, user: &UserId, now: SystemTime) -> u64 {
        let sessions = sessions.pin();
        let latest = self.users.get(user).and_then(|ids| sessions.get(ids.last()?)?.user());
        (1000 * to_millis(now)).max(latest.map_or(0, |(_, order)| order + 1))
    }

    /// A user's sessions, of which some may have ended, in the order of sign-in.
    pub(super) fn ids_of(&self, user: &UserId) -> Vec<SessionId> {
        self.users.get(user).cloned().unwrap_or_default()
    }

    /// When the latest of a user's sessions ended that are not in lists for that reason.
    pub(super) fn latest_end(&self, sessions: &Sessions, user: &UserId, now: SystemTime) -> Option<SystemTime> {
        let sessions = sessions.pin();
        let ids = self.users.get(user)?;
        ids.iter().filter_map(|id| sessions.get(id).filter(|entry| entry.has_ended(now))?.passed(now)).max()
    }

    /// A user's sessions that live, in the order of sign-in.
    fn sessions_of(&self, sessions: &Sessions, user: &UserId, now: SystemTime) -> Vec<SessionId> {
        let sessions = sessions.pin();
        let lives = |id: &&SessionId| sessions.get(*id).is_some_and(|entry| entry.live(now).is_some());
        self.users.get(user).into_iter().flatten().filter(lives).copied().collect()
    }

    /// A page of them, the latest first, with their records.
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

    /// Which sessions of a user must end for one that signs in now, and whether that one becomes the latest.
    pub(super) fn make_room(
        &self,
        sessions: &Sessions,
        id: SessionId,
        new: &SignIn,
        now: SystemTime,
    ) -> Result<(Vec<SessionId>, bool), Refusal> {
        let mut ids = self.sessions_of(sessions, &new.user, now);
        let place = ids.iter().position(|other| *other == id).unwrap_or(ids.len());
        ids.retain(|other| *other != id);
        let too_many = (ids.len() + 1).saturating_sub(new.max_sessions);
        if too_many > 0 && new.on_limit == OnLimit::RefuseNew {
            // one that is there already (a lowered limit) stays in its place, if that is within the limit
            return if place < new.max_sessions { Ok((Vec::new(), false)) } else { Err(Refusal::LimitReached) };
        }
        ids.truncate(too_many);
        Ok((ids, true))
    }
}

fn sort(ids: &mut [SessionId], sessions: &Sessions) {
    let sessions = sessions.pin();
    ids.sort_by_key(|id| sessions.get(id).and_then(Entry::user).map(|(_, order)| order));
}
