//! The near cache: sessions that were read lately, in this process, for as long as their server would say if they changed.
//!
//! Redis tells a connection what becomes of the keys that were read by it (`CLIENT TRACKING`). So what is kept here is as
//! good as what a connection sees ([`Tracking`]): when it is lost, or silent for too long, nothing is served that was read by
//! it.
//!
//! A push that overtakes the reply which it belongs to must win: a turn for each group of sessions counts what has changed,
//! and a reply is kept only in the turn in which it was asked for.
//!
//! The server tells a process of its own changes, too. It could be asked not to (`NOLOOP`), and would then also be silent
//! about keys that it stops tracking because its table is full, if the question of this very process made it do so.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};
use redis::{PushInfo, PushKind, Value};

use super::keys::Prefix;
use crate::error::{Error, Result};
use crate::meter;
use crate::record::{Credentials, Record, SessionId, Terms};
use crate::store::{Loaded, Lookup};

mod connection;
mod heartbeat;
mod moment;
mod tracking;

pub(super) use connection::open;
pub(super) use heartbeat::{Heartbeat, HeartbeatAnswer};
use moment::Moment;
pub(super) use tracking::{Tracking, TrackingSnapshot};

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
    sessions: Cache<SessionId, Arc<Entry>, Weight, DefaultHashBuilder, Leaving>,
    /// How many changes of each group of sessions this process has heard of.
    turns: [Mutex<u64>; TURNS],
    hasher: RandomState,
}

/// A session as it was read.
struct Entry {
    record: Arc<Record>,
    terms: Terms,
    /// Before the question left and after the answer came, by this machine's clock.
    asked: Moment,
    answered: Moment,
    /// What the server's clock said when it answered.
    now: SystemTime,
    /// When it ends, by this machine's clock.
    ends: Moment,
    seen: TrackingSnapshot,
}

#[derive(Clone)]
struct Weight {
    /// Each session takes its part of the limit at least, so that there are never more than allowed.
    least: u64,
}

impl Weighter<SessionId, Arc<Entry>> for Weight {
    fn weight(&self, _id: &SessionId, entry: &Arc<Entry>) -> u64 {
        let fields = &entry.record.fields;
        let bytes = ENTRY_BYTES + fields.bytes() + fields.len() * FIELD_BYTES;
        self.least.max(bytes as u64)
    }
}

/// Notes what leaves when something is kept: what has to because the cache is full, and what is replaced.
#[derive(Clone)]
struct Leaving;

impl Lifecycle<SessionId, Arc<Entry>> for Leaving {
    type RequestState = Vec<SessionId>;

    fn on_evict(&self, left: &mut Vec<SessionId>, id: SessionId, _entry: Arc<Entry>) {
        left.push(id);
    }
}

/// A read that is on its way.
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
        })
    }

    /// What is presented opens a session that is kept, and would be heard of if it had changed. Anything else is for the
    /// server to say.
    pub(super) fn look_up(&self, presented: &Credentials, terms: &Terms) -> Option<Lookup> {
        let entry = self.sessions.get(&presented.id)?;
        let now = Moment::now();
        if now >= entry.ends || entry.terms != *terms || !entry.seen.still_holds(now, self.silence_limit) {
            return None;
        }
        // judged by the latest time that it can be for the server, and answered with the earliest: a change that is planned with
        // it is never ahead of the server
        let latest = entry.now + now.since(entry.asked);
        match entry.record.clone().look_up(presented, latest) {
            Lookup::Live(Loaded { record, .. }) => {
                meter::near::hit();
                Some(Lookup::Live(Loaded { record, now: entry.now + now.since(entry.answered) }))
            }
            Lookup::Gone | Lookup::Evicted | Lookup::Replayed(_) => None,
        }
    }

    /// To be called before the question leaves.
    pub(super) fn reading(&self, id: SessionId) -> Reading {
        let turn = *self.turn(&id);
        Reading { id, turn, asked: Moment::now() }
    }

    /// Keeps what was read, unless it has changed since it was asked for.
    pub(super) fn keep(
        &self,
        reading: Reading,
        loaded: &Loaded,
        remaining: Duration,
        terms: &Terms,
        seen: Option<TrackingSnapshot>,
    ) {
        let (Some(seen), Loaded { record, now }) = (seen, loaded) else { return };
        let Reading { id, turn, asked } = reading;
        let entry = Entry {
            record: record.clone(),
            terms: *terms,
            asked,
            answered: Moment::now(),
            now: *now,
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

    /// This process has changed it: whoever asks from now on shall see that, also before the push comes.
    pub(super) fn changed(&self, id: &SessionId) {
        let mut turn = self.turn(id);
        *turn += 1;
        if self.sessions.remove(id).is_some() {
            meter::near::invalidated();
        }
    }

    /// What the server says unasked.
    pub(super) fn hear(&self, push: &PushInfo, tracking: &Tracking) {
        match (&push.kind, push.data.first()) {
            (PushKind::Invalidate, Some(Value::Array(keys))) => keys.iter().for_each(|key| self.forget(key)),
            // all of them: the database was emptied, or the server has forgotten what it should tell
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
