//! The near cache: sessions that were read lately, in this process, for as long as their server would say if they changed.
//!
//! Redis tells a connection what becomes of the keys that were read by it (`CLIENT TRACKING`). So what is kept here is as
//! good as what a connection sees ([`Sight`]): when it is lost, or silent for too long, nothing is served that was read by
//! it.
//!
//! Two orders must never be confused, and a turn for each group of sessions keeps them apart:
//!
//! - A push that overtakes the reply which it belongs to wins: the reply is not kept.
//! - Of this process's own changes the server tells it nothing (`NOLOOP`), so they take sessions out themselves: before they
//!   leave, and once more if another change was on its way meanwhile. What the last one has answered is kept.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use redis::{PushInfo, PushKind, Value};

use super::keys::Prefix;
use crate::config::Terms;
use crate::error::{Error, Result};
use crate::record::{self, Record};
use crate::store::{Loaded, Lookup};
use crate::token::{Presented, SessionId};

mod moment;
mod sight;
mod tracking;

use moment::Moment;
pub(super) use sight::{Seen, Sight};
pub(super) use tracking::{Beat, Pulse, open};

/// Sessions share a turn with others; that only costs one that is read in the same moment its place.
const TURNS: usize = 256;
/// What an entry takes beside its texts, and each field beside its own: roughly, by measuring.
const ENTRY_BYTES: usize = 512;
const FIELD_BYTES: usize = 64;

/// Settings of a near cache. From [`RedisBuilder::near_cache`](super::RedisBuilder::near_cache).
///
/// ```
/// use std::time::Duration;
/// use cloakroom::store::NearCache;
///
/// let near = NearCache::default().max_sessions(20_000).silence_limit(Duration::from_millis(500));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct NearCache {
    max_sessions: usize,
    max_bytes: usize,
    silence_limit: Duration,
}

impl Default for NearCache {
    fn default() -> Self {
        NearCache { max_sessions: 100_000, max_bytes: 128 << 20, silence_limit: Duration::from_secs(1) }
    }
}

impl NearCache {
    /// How many sessions are kept at most. Default: 100,000.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// How many bytes they may take together, roughly. Default: 128 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long after the last sign of life of a connection sessions that were read by it may still be served. A question
    /// goes out four times in that time, to be answered within half of it. Default: one second.
    pub fn silence_limit(mut self, limit: Duration) -> Self {
        self.silence_limit = limit;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.max_sessions == 0 {
            return Err(Error::config("near_cache", "max_sessions must be at least 1"));
        }
        if self.max_bytes < 1 << 20 {
            return Err(Error::config("near_cache", "max_bytes must be at least 1 MiB"));
        }
        if self.silence_limit < Duration::from_millis(100) || self.silence_limit > Duration::from_secs(60) {
            return Err(Error::config("near_cache", "silence_limit must be from 100 milliseconds to a minute"));
        }
        Ok(())
    }
}

/// What all connections of a store share.
pub(super) struct Near {
    prefix: Prefix,
    pub(super) silence_limit: Duration,
    sessions: Cache<SessionId, Arc<Entry>, Weight>,
    turns: [Mutex<Turn>; TURNS],
    hasher: RandomState,
}

/// A session as it was read.
struct Entry {
    record: Arc<Record>,
    terms: Terms,
    /// Before the question left, by this machine's clock; what the server's clock said when it answered.
    asked: Moment,
    now: SystemTime,
    /// When it ends, by this machine's clock.
    ends: Moment,
    seen: Seen,
}

/// Every change of a session counts, and everything that was asked before it is not kept.
#[derive(Default)]
struct Turn {
    number: u64,
    /// A change was given up half-way. Until it has surely happened, or its connection is known to be lost, nothing is kept.
    shut_until: Moment,
}

#[derive(Clone)]
struct Weight {
    /// Each session takes its part of the limit at least, so that there are never more than allowed.
    least: u64,
}

impl Weighter<SessionId, Arc<Entry>> for Weight {
    fn weight(&self, _id: &SessionId, entry: &Arc<Entry>) -> u64 {
        let fields = &entry.record.fields;
        let bytes = ENTRY_BYTES + record::bytes(fields) + fields.len() * FIELD_BYTES;
        self.least.max(bytes as u64)
    }
}

/// A read that is on its way.
pub(super) struct Reading {
    id: SessionId,
    number: u64,
    asked: Moment,
}

impl Near {
    pub(super) fn new(settings: &NearCache, prefix: Prefix) -> Arc<Near> {
        let (sessions, bytes) = (settings.max_sessions, settings.max_bytes as u64);
        Arc::new(Near {
            prefix,
            silence_limit: settings.silence_limit,
            sessions: Cache::with_weighter(sessions, bytes, Weight { least: bytes.div_ceil(sessions as u64) }),
            turns: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        })
    }

    /// What is presented opens a session that is kept, and would be heard of if it had changed. Anything else is for the
    /// server to say.
    pub(super) fn look_up(&self, presented: &Presented, terms: &Terms) -> Option<Lookup> {
        let entry = self.sessions.get(&presented.id)?;
        let now = Moment::now();
        if now >= entry.ends || entry.terms != *terms || !entry.seen.still_holds(now, self.silence_limit) {
            return None;
        }
        let servers_now = entry.now + now.since(entry.asked);
        match entry.record.clone().look_up(presented, servers_now) {
            live @ Lookup::Live(_) => Some(live),
            Lookup::Gone | Lookup::Evicted | Lookup::Replayed(_) => None,
        }
    }

    /// To be called before the question leaves.
    pub(super) fn reading(&self, id: SessionId) -> Reading {
        let number = self.turn(&id).number;
        Reading { id, number, asked: Moment::now() }
    }

    /// Keeps what was read, unless it has changed since it was asked for.
    pub(super) fn keep(
        &self,
        reading: Reading,
        loaded: &Loaded,
        remaining: Duration,
        terms: &Terms,
        seen: Option<Seen>,
    ) {
        let Some(seen) = seen else { return };
        let turn = self.turn(&reading.id);
        if turn.is_still(&reading) {
            self.sessions.insert(reading.id, entry(&reading, loaded, remaining, terms, seen));
        }
    }

    /// To be called before a change leaves. Dropped unanswered it counts as on its way.
    pub(super) fn writing(&self, id: SessionId) -> Writing<'_> {
        let mut turn = self.turn(&id);
        turn.number += 1;
        self.sessions.remove(&id);
        let reading = Reading { id, number: turn.number, asked: Moment::now() };
        Writing { near: self, reading, is_answered: false }
    }

    /// What the server says unasked.
    pub(super) fn hear(&self, push: &PushInfo, sight: &Sight) {
        match (&push.kind, push.data.first()) {
            (PushKind::Invalidate, Some(Value::Array(keys))) => keys.iter().for_each(|key| self.forget(key)),
            // all of them: the database was emptied, or the server has forgotten what it should tell
            (PushKind::Invalidate, _) => sight.forget(),
            (PushKind::Disconnection, _) => sight.close(),
            _ => {}
        }
    }

    fn forget(&self, key: &Value) {
        let Value::BulkString(key) = key else { return };
        // others, such as the users' indexes, are read by the same connection
        if let Some(id) = std::str::from_utf8(key).ok().and_then(|key| self.prefix.session_of(key)) {
            let mut turn = self.turn(&id);
            turn.number += 1;
            self.sessions.remove(&id);
        }
    }

    fn turn(&self, id: &SessionId) -> MutexGuard<'_, Turn> {
        let place = self.hasher.hash_one(id) as usize % TURNS;
        self.turns[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn is_still(&self, reading: &Reading) -> bool {
        self.number == reading.number && reading.asked >= self.shut_until
    }
}

fn entry(reading: &Reading, loaded: &Loaded, remaining: Duration, terms: &Terms, seen: Seen) -> Arc<Entry> {
    let Loaded { record, now } = loaded;
    let ends = reading.asked + remaining;
    Arc::new(Entry { record: record.clone(), terms: *terms, asked: reading.asked, now: *now, ends, seen })
}

/// A change that is on its way.
pub(super) struct Writing<'a> {
    near: &'a Near,
    reading: Reading,
    is_answered: bool,
}

impl Writing<'_> {
    /// The change was made, or refused, and that is all there is to know.
    pub(super) fn answered(mut self) {
        self.end(None);
    }

    /// The change was made, and the session is this now.
    pub(super) fn answered_with(mut self, loaded: &Loaded, remaining: Duration, terms: &Terms, seen: Option<Seen>) {
        let entry = seen.map(|seen| entry(&self.reading, loaded, remaining, terms, seen));
        self.end(entry);
    }

    fn end(&mut self, kept: Option<Arc<Entry>>) {
        self.is_answered = true;
        let id = self.reading.id;
        let mut turn = self.near.turn(&id);
        let is_alone = turn.is_still(&self.reading);
        turn.number += 1;
        match kept {
            Some(entry) if is_alone => self.near.sessions.insert(id, entry),
            _ => drop(self.near.sessions.remove(&id)),
        }
    }
}

impl Drop for Writing<'_> {
    /// Whoever gave it up does not know when it happens, and the server will not say: it is this process's own. A question
    /// that leaves later is answered later, so after the time in which one must have been answered it has happened, or the
    /// connection is lost, and with it everything that was read by it.
    fn drop(&mut self) {
        if !self.is_answered {
            self.near.turn(&self.reading.id).shut_until = Moment::now() + self.near.silence_limit;
            self.end(None);
        }
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}
