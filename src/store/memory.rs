//! The reference model: sessions in a map. What it does is what every store must do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::{Applied, Loaded, NewSession, Store, Target};
use crate::clock::Clock;
use crate::config::Terms;
use crate::delta::Change;
use crate::error::StoreError;
use crate::record::{Record, Refusal};
use crate::token::{Presented, SessionId};

/// Keeps sessions in memory: for tests, for development, and for applications whose sessions may end with the
/// process. Cheap to clone; clones share the sessions.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    clock: Clock,
    // one lock for everything: each verb is a few map operations, and atomic without another thought
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    records: HashMap<SessionId, Record>,
    /// Once this many are held the expired ones are dropped, which costs each create a constant share.
    sweep_at: usize,
}

impl Memory {
    /// An empty store on the system's clock.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// An empty store that asks this clock.
    pub fn with_clock(clock: Clock) -> Memory {
        Memory { clock, ..Memory::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // no verb panics half-way, so what a poisoned lock guards is whole
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn sweep(&mut self, now: SystemTime) {
        if self.records.len() >= self.sweep_at {
            self.records.retain(|_, record| now < record.ends_at());
            self.sweep_at = (2 * self.records.len()).max(1024);
        }
    }
}

fn done(record: &Record, now: SystemTime) -> Applied {
    Applied::Done(Loaded { record: record.clone(), now })
}

impl Store for Memory {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Applied, StoreError> {
        let mut held = self.held();
        let now = self.clock.now();
        held.sweep(now);
        if let Some(record) = held.records.get(&new.presented.id) {
            let asked_again = now < record.ends_at() && record.secret_hash == new.presented.secret_hash;
            return Ok(if asked_again { done(record, now) } else { Applied::Refused(Refusal::Conflict) });
        }
        match Record::new(new, terms, now) {
            Ok(record) => Ok(done(held.records.entry(new.presented.id).or_insert(record), now)),
            Err(refusal) => Ok(Applied::Refused(refusal)),
        }
    }

    async fn load(&self, presented: &Presented, _terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        let now = self.clock.now();
        let held = self.held();
        let record = held.records.get(&presented.id).filter(|record| record.admits(presented, now));
        Ok(record.map(|record| Loaded { record: record.clone(), now }))
    }

    async fn apply(&self, presented: &Presented, change: &Change, terms: &Terms) -> Result<Applied, StoreError> {
        let now = self.clock.now();
        let mut held = self.held();
        let Some(record) = held.records.get_mut(&presented.id) else {
            return Ok(Applied::Refused(Refusal::Gone));
        };
        match record.apply(presented, change, terms, now) {
            Ok(()) => Ok(done(record, now)),
            Err(refusal) => Ok(Applied::Refused(refusal)),
        }
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let Target::Session(id) = target;
        let ended = self.held().records.remove(id).filter(|record| now < record.ends_at());
        Ok(ended.is_some().into())
    }
}
