//! The near cache keeps sessions that were read lately in this process. An entry is served only as long as the server would
//! tell this process of a change.
//!
//! Redis tells a connection when the keys that it has read change (`CLIENT TRACKING`). So an entry is only as good as what
//! its connection sees ([`Tracking`]). When a connection is lost or silent for too long, nothing that was read on it is
//! served.
//!
//! A push may overtake the reply that it belongs to, and must then win. So each group of sessions has a turn that counts its
//! changes, and a reply is kept only if the turn is still the one in which the question was asked.
//!
//! The server also tells a process of the changes that this process makes itself. It could be asked not to (`NOLOOP`). But
//! then it would also be silent about keys that it stops tracking because its table is full, if a question of this process
//! filled the table.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};
use redis::{PushInfo, PushKind, Value};

use super::keys::Prefix;
use super::moment::Moment;
use super::server_clock::Time;
use crate::error::{Error, Result};
use crate::meter;
use crate::record::{Credentials, Record, SessionId, Terms};
use crate::store::{Loaded, Lookup, Watchers};

mod connection;
mod heartbeat;
mod tracking;

pub(super) use connection::open;
pub(super) use heartbeat::{Heartbeat, HeartbeatAnswer};
pub(super) use tracking::{Tracking, TrackingSnapshot};

/// The number of turns. Several sessions share a turn. The only cost: when one of them changes, another one that is being
/// read in the same moment is not kept.
const TURNS: usize = 256;
/// What an entry takes in addition to its texts, and what each field takes in addition to its own text. Both are rough,
/// measured values.
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
    /// Sets how many sessions are kept at most. Default: 100,000.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sets how many bytes the kept sessions may take together, roughly. Default: 128 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how long sessions may still be served after the last sign of life of the connection that read them. In that time
    /// the connection is asked four questions, and each must be answered within half of that time. Default: one second.
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
    sessions: Cache<SessionId, Arc<Entry>, Weight, DefaultHashBuilder, Leaving>,
    /// How many changes this process has heard of, for each group of sessions.
    turns: [Mutex<u64>; TURNS],
    hasher: RandomState,
    /// Those who wait for the end of a session.
    pub(super) watchers: Watchers,
}

/// A session as it was read.
struct Entry {
    record: Arc<Record>,
    terms: Terms,
    /// The server's time when the answer had come, and when that was by this machine's clock.
    time: Time,
    answered: Moment,
    /// When the session ends, by this machine's clock.
    ends: Moment,
    seen: TrackingSnapshot,
}

#[derive(Clone)]
struct Weight {
    /// Each session weighs at least its equal share of the byte limit, so that there are never more sessions than allowed.
    least: u64,
}

impl Weighter<SessionId, Arc<Entry>> for Weight {
    fn weight(&self, _id: &SessionId, entry: &Arc<Entry>) -> u64 {
        let fields = &entry.record.fields;
        let bytes = ENTRY_BYTES + fields.bytes() + fields.len() * FIELD_BYTES;
        self.least.max(bytes as u64)
    }
}

/// Notes which entries leave when a new one is kept: entries for which a full cache has no room, and the entry that is
/// replaced.
#[derive(Clone)]
struct Leaving;

impl Lifecycle<SessionId, Arc<Entry>> for Leaving {
    type RequestState = Vec<SessionId>;

    fn on_evict(&self, left: &mut Vec<SessionId>, id: SessionId, _entry: Arc<Entry>) {
        left.push(id);
    }
}

/// A read whose answer has not come yet.
pub(super) struct Reading {
    id: SessionId,
    turn: u64,
    asked: Moment,
}

impl Near {
    pub(super) fn new(settings: &NearCache, prefix: Prefix) -> Arc<Near> {
        let (sessions, bytes) = (settings.max_sessions, settings.max_bytes as u64);
        let weight = Weight { least: bytes.div_ceil(sessions as u64) };
        Arc::new(Near {
            prefix,
            silence_limit: settings.silence_limit,
            sessions: Cache::with(sessions, bytes, weight, DefaultHashBuilder::default(), Leaving),
            turns: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            watchers: Watchers::default(),
        })
    }

    /// Returns the session if it is kept, the presented credentials open it, and this process would have heard of a change to
    /// it. Returns `None` in every other case, and the server must be asked.
    pub(super) fn look_up(&self, presented: &Credentials, terms: &Terms) -> Option<Lookup> {
        let entry = self.sessions.get(&presented.id)?;
        let now = Moment::now();
        if now >= entry.ends || entry.terms != *terms || !entry.seen.still_holds(now, self.silence_limit) {
            return None;
        }
        // The session is judged by the latest time that the server's clock can show now, and answered with the earliest. So a
        // change that is planned with the answered time is never ahead of the server.
        let since = now.since(entry.answered);
        let latest = entry.time.latest + since;
        match entry.record.clone().look_up(presented, latest) {
            Lookup::Live(Loaded { record, .. }) => {
                meter::near::hit();
                Some(Lookup::Live(Loaded { record, now: entry.time.now + since }))
            }
            Lookup::Gone | Lookup::Evicted | Lookup::Replayed(_) => None,
        }
    }

    /// Notes that a session is about to be read. Must be called before the question leaves.
    pub(super) fn reading(&self, id: SessionId) -> Reading {
        let turn = *self.turn(&id);
        Reading { id, turn, asked: Moment::now() }
    }

    /// Keeps a session that was read, unless it has changed since the question was asked.
    pub(super) fn keep(
        &self,
        reading: Reading,
        record: &Arc<Record>,
        time: Time,
        remaining: Duration,
        terms: &Terms,
        seen: TrackingSnapshot,
    ) {
        let Reading { id, turn, asked } = reading;
        let entry = Entry {
            record: record.clone(),
            terms: *terms,
            time,
            answered: Moment::now(),
            ends: asked + remaining,
            seen,
        };
        let is_now = self.turn(&id);
        if *is_now == turn {
            let mut left = Vec::new();
            self.sessions.insert_with_lifecycle(id, Arc::new(entry), &mut left);
            left.iter().filter(|other| **other != id).for_each(|_| meter::near::evicted());
        }
    }

    /// Drops a session that has changed. When this process has changed it itself, whoever asks from now on sees the change,
    /// even before the server's push comes.
    pub(super) fn changed(&self, id: &SessionId) {
        {
            let mut turn = self.turn(id);
            *turn += 1;
            if self.sessions.remove(id).is_some() {
                meter::near::invalidated();
            }
        }
        self.watchers.changed(id);
    }

    /// Handles a push, which is a message that the server sends unasked.
    pub(super) fn hear(&self, push: &PushInfo, tracking: &Tracking) {
        match (&push.kind, push.data.first()) {
            (PushKind::Invalidate, Some(Value::Array(keys))) => keys.iter().for_each(|key| self.forget(key)),
            // all keys: the database was emptied, or the server has forgotten which keys to tell us about
            (PushKind::Invalidate, _) => tracking.forget(),
            (PushKind::Disconnection, _) => tracking.close(),
            _ => {}
        }
    }

    fn forget(&self, key: &Value) {
        let Value::BulkString(key) = key else { return };
        // others, such as the users' indexes, are read by the same connection
        if let Some(id) = std::str::from_utf8(key).ok().and_then(|key| self.prefix.session_of(key)) {
            self.changed(&id);
        }
    }

    fn turn(&self, id: &SessionId) -> MutexGuard<'_, u64> {
        let group = self.hasher.hash_one(id) as usize % TURNS;
        self.turns[group].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}
