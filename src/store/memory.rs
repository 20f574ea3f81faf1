//! The reference store: sessions in a map. Every store must behave as this one does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::inspect::{Inspect, Scanned};
use super::{Loaded, Lookup, NewSession, Outcome, SignedOut, Store, Target, Watch, Watchers};
use crate::clock::Clock;
use crate::error::StoreError;
use crate::record::{
    Change, Credentials, Device, EVICTION_NOTICE, Page, Record, Refusal, SecretHash, SessionId, SignIn, Terms, UserId,
};

/// Keeps sessions in memory. It is for tests, for development, and for applications whose sessions may end with the process.
///
/// ```
/// use cloakroom::{Config, Sessions, store::Memory};
///
/// let sessions = Sessions::new(Memory::new(), Config::default());
/// ```
///
/// A store is cheap to clone, and clones share the sessions.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    clock: Clock,
    // one lock for everything: each verb is only a few operations on maps, and the lock makes it atomic
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    records: HashMap<SessionId, Arc<Record>>,
    /// The sessions of each user in the order of sign-in. It may contain sessions that have ended, but never misses a live one.
    index: HashMap<UserId, Vec<SessionId>>,
    /// The sessions that were evicted: the secret hash to which this is told, and until when.
    evicted: HashMap<SessionId, (Option<SecretHash>, SystemTime)>,
    /// When there are this many entries, the expired ones are removed. On average this costs each create a constant time.
    sweep_at: usize,
    watchers: Watchers,
}

impl Memory {
    /// Returns an empty store that uses the system's clock.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// Returns an empty store that uses this clock. A test can move a [manual clock](Clock::manual):
    ///
    /// ```
    /// use cloakroom::{Clock, store::Memory};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let clock = Clock::manual(SystemTime::now());
    /// let store = Memory::with_clock(clock.clone());
    /// clock.advance(Duration::from_secs(60 * 60)); // for the store, an hour has passed
    /// ```
    pub fn with_clock(clock: Clock) -> Memory {
        Memory { clock, ..Memory::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // no verb panics half-way, so the data behind a poisoned lock is complete
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        let mut held = self.held();
        let now = self.clock.now();
        held.sweep(now);
        if let Some(record) = held.records.get(&new.presented.id) {
            let asked_again = now < record.ends_at() && record.secret_hash == new.presented.secret_hash;
            return Ok(match asked_again {
                true => Outcome::done(Loaded { record: record.clone(), now }, Vec::new()),
                false => Outcome::Refused(Refusal::Conflict),
            });
        }
        if held.evicted.contains_key(&new.presented.id) {
            return Ok(Outcome::Refused(Refusal::Conflict)); // it was created once, and is never created again
        }
        Ok(match Record::new(new, terms, now) {
            Ok(record) => {
                let record = Arc::new(record);
                held.records.insert(new.presented.id, record.clone());
                Outcome::done(Loaded { record, now }, Vec::new())
            }
            Err(refusal) => Outcome::Refused(refusal),
        })
    }

    async fn load(&self, presented: &Credentials, _terms: &Terms) -> Result<Lookup, StoreError> {
        let now = self.clock.now();
        Ok(self.held().look_up(presented, now))
    }

    fn load_at_hand(&self, presented: &Credentials, _terms: &Terms) -> Option<Lookup> {
        let now = self.clock.now();
        Some(self.held().look_up(presented, now))
    }

    async fn load_by_id(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        Inspect::find(self, id, terms).await
    }

    fn watch(&self, id: &SessionId) -> Option<Watch> {
        Some(self.held().watchers.watch(id))
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        let now = self.clock.now();
        Ok(match self.held().apply(presented, change, terms, now) {
            Ok((record, evicted)) => Outcome::done(Loaded { record, now }, evicted),
            Err(refusal) => Outcome::Refused(refusal),
        })
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        let now = self.clock.now();
        let mut held = self.held();
        Ok(match held.records.get(&presented.id).filter(|record| now < record.ends_at()) {
            None => SignedOut::Gone,
            Some(record) if !record.is_opened_by(presented) => SignedOut::Stale,
            Some(_) => {
                held.end(&presented.id, now);
                SignedOut::Ended
            }
        })
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut held = self.held();
        let (user, ids) = match target {
            Target::Session(id) => return Ok(held.end(id, now).is_some().into()),
            Target::SessionOf(user, id) => (user, vec![*id]),
            Target::OthersOf(user, kept) => (user, held.sessions_of(user, now).filter(|id| id != kept).collect()),
            Target::AllOf(user) => (user, held.sessions_of(user, now).collect()),
        };
        let is_theirs =
            |id: &SessionId| held.records.get(id).is_some_and(|record| record.user_id.as_ref() == Some(user));
        let theirs: Vec<_> = ids.into_iter().filter(is_theirs).collect();
        Ok(theirs.iter().filter_map(|id| held.end(id, now)).count() as u64)
    }

    async fn list(&self, user: &UserId, page: Page, _terms: &Terms) -> Result<Vec<Device>, StoreError> {
        let now = self.clock.now();
        let held = self.held();
        let latest_first: Vec<_> = held.sessions_of(user, now).collect();
        let part = latest_first.iter().rev().skip(page.offset).take(page.limit);
        Ok(part.map(|id| Device::of(*id, &held.records[id])).collect())
    }
}

impl Inspect for Memory {
    async fn find(&self, id: &SessionId, _terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        let now = self.clock.now();
        let found = self.held().records.get(id).filter(|record| now < record.ends_at()).cloned();
        Ok(found.map(|record| Loaded { record, now }))
    }

    async fn scan(&self, _cursor: Option<&str>, _about: usize) -> Result<Scanned, StoreError> {
        let now = self.clock.now();
        let held = self.held();
        let live = held.records.iter().filter(|(_, record)| now < record.ends_at());
        Ok(Scanned { ids: live.map(|(id, _)| *id).collect(), next: None })
    }
}

impl Held {
    fn look_up(&self, presented: &Credentials, now: SystemTime) -> Lookup {
        if let Some(record) = self.records.get(&presented.id) {
            return record.clone().look_up(presented, now);
        }
        let notice = self.evicted.get(&presented.id);
        let is_told = notice.is_some_and(|(secret, until)| *secret == presented.secret_hash && now < *until);
        if is_told { Lookup::Evicted } else { Lookup::Gone }
    }

    fn apply(
        &mut self,
        presented: &Credentials,
        change: &Change,
        terms: &Terms,
        now: SystemTime,
    ) -> Result<(Arc<Record>, Vec<SessionId>), Refusal> {
        let id = presented.id;
        let mut record = self.records.get(&id).ok_or(Refusal::Gone)?.as_ref().clone();
        let needs_room = change.needs_room(&record);
        record.apply(presented, change, terms, now)?;
        let mut evicted = Vec::new();
        if let Some(new) = needs_room {
            evicted = self.make_room(id, new, now)?;
        }
        let record = Arc::new(record);
        self.records.insert(id, record.clone());
        self.watchers.changed(&id);
        Ok((record, evicted))
    }

    /// Puts a session into its user's index as the latest, and ends the oldest ones beyond the limit.
    fn make_room(&mut self, id: SessionId, new: &SignIn, now: SystemTime) -> Result<Vec<SessionId>, Refusal> {
        let mut ids: Vec<_> = self.sessions_of(&new.user, now).collect();
        let (evicted, is_latest) = new.make_room(id, &ids)?;
        for id in &evicted {
            let ended = self.end(id, now).expect("only sessions that live are listed");
            self.evicted.insert(*id, (ended.secret_hash, now + EVICTION_NOTICE));
        }
        if is_latest {
            ids.retain(|other| *other != id && !evicted.contains(other));
            ids.push(id);
            self.index.insert(new.user.clone(), ids);
        }
        Ok(evicted)
    }

    /// Returns the live sessions of a user in the order of sign-in.
    fn sessions_of(&self, user: &UserId, now: SystemTime) -> impl Iterator<Item = SessionId> {
        let lives = move |id: &SessionId| self.records.get(id).is_some_and(|record| now < record.ends_at());
        self.index.get(user).into_iter().flatten().copied().filter(lives)
    }

    /// Ends a session, and returns its record if it was live.
    fn end(&mut self, id: &SessionId, now: SystemTime) -> Option<Arc<Record>> {
        let ended = self.records.remove(id);
        self.watchers.changed(id);
        ended.filter(|record| now < record.ends_at())
    }

    fn sweep(&mut self, now: SystemTime) {
        if self.records.len() + self.evicted.len() + self.index.len() >= self.sweep_at {
            self.records.retain(|_, record| now < record.ends_at());
            self.evicted.retain(|_, (_, until)| now < *until);
            self.index.retain(|_, ids| {
                ids.retain(|id| self.records.contains_key(id));
                !ids.is_empty()
            });
            let left = self.records.len() + self.evicted.len() + self.index.len();
            self.sweep_at = (2 * left).max(1024);
        }
    }
}
