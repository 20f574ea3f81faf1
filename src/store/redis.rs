//! Sessions in Redis or Valkey: one hash per session, readable with redis-cli, shared by all servers.
//!
//! A read is one plain command; every change is one script, because a bare `HSET` on a session that was just revoked would
//! bring it back without an expiry.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join;
use redis::{FromRedisValue, Value};

use super::inspect::Inspect;
use super::{Loaded, Lookup, NewSession, Outcome, SignedOut, Store, Target, Watch};
use crate::error::{Result, StoreError};
use crate::meter;
use crate::record::{
    self, Change, Credentials, Device, Page, Record, Refusal, Save, SecretHash, SessionId, Terms, UserId,
};

mod attempts;
mod change;
mod client_error;
mod cluster;
mod connect;
mod create;
mod credentials;
mod dial;
mod durable;
mod index;
mod keys;
mod later;
mod link;
mod moment;
mod near;
mod operate;
mod packed;
mod plain_text;
mod plan;
mod question;
mod endpoint;
mod rights;
mod role;
mod scripts;
mod sentinels;
mod server;
mod server_clock;
#[cfg(feature = "tls")]
mod tls;
mod topology;
mod transfer;
#[cfg(all(unix, any(test, fuzzing), feature = "embedded"))]
pub(crate) mod fuzzing;

pub use connect::RedisBuilder;
pub use credentials::RedisCredentials;
pub use durable::Durability;
use keys::Prefix;
use link::Answer;
pub use near::NearCache;
use near::{Near, TrackingSnapshot};
use question::Question;
use scripts::{Call, Scripts};
use server::Server;
use server_clock::Time;

/// Keeps sessions in Redis or Valkey. Cheap to clone: clones share one multiplexed connection.
///
/// A session is the hash `<prefix><session id>`; its expiry is Redis's own, and so is the clock.
#[derive(Clone)]
pub struct Redis {
    server: Server,
    prefix: Prefix,
    scripts: Arc<Scripts>,
    durability: Option<Durability>,
    near: Option<Arc<Near>>,
}

impl Redis {
    /// How to reach the server: `redis://[user:password@]host[:port][/db]` or `unix:///path/to/socket`.
    pub fn builder(url: impl Into<String>) -> RedisBuilder {
        RedisBuilder::new(url.into())
    }

    /// The same store, by the same connections, with another durability of its revokes; `None` for none. For the few that
    /// must outlive a failover, or the many that need not.
    ///
    /// # Errors
    /// A configuration error when the time-out is zero, or absurd.
    pub fn with_durable_revokes(&self, durability: impl Into<Option<Durability>>) -> crate::Result<Redis> {
        let durability = durability.into();
        connect::check_durability(durability.as_ref())?;
        Ok(Redis { durability, ..self.clone() })
    }

    async fn apply_as_seen(
        &self,
        presented: &Credentials,
        change: &Change,
        loaded: Option<&Loaded>,
        terms: &Terms,
    ) -> Result<Outcome, StoreError> {
        if is_id_alone(presented) {
            return Ok(Outcome::Refused(Refusal::Gone));
        }
        // the future of a rare change is boxed, so that the future of every other change stays small
        match change {
            Change::SignIn { new, .. } if !new.only_again => {
                Box::pin(self.sign_in(presented, change, new, loaded, terms)).await
            }
            Change::Save(Save { listed: Some(listed), .. }) => {
                let changed = self.change(presented, change, loaded, terms);
                Box::pin(join(changed, self.relist(&presented.id, listed))).await.0
            }
            _ => self.change(presented, change, loaded, terms).await,
        }
    }

    /// Runs a script that changes or ends a session: one round trip. Afterwards the session is not in the near cache.
    async fn run<T: FromRedisValue>(
        &self,
        id: &SessionId,
        script: &Call<'_>,
        durability: Option<&Durability>,
    ) -> Result<T, StoreError> {
        let answer = self.server.ask_with(&self.prefix.session(id), Question::Script(script), durability).await;
        if let Some(near) = &self.near {
            near.changed(id);
        }
        answer
    }

    /// Reads the fields at a session's key: one round trip. The second part of the answer is how long the key still lives, in
    /// milliseconds, if that is needed: negative if it has no expiry or is not there.
    async fn read(&self, id: &SessionId, needs_expiry: bool) -> Result<Stored, StoreError> {
        let key = self.prefix.session(id);
        let mut flight = redis::pipe();
        flight.hgetall(&key).ignore_errors();
        if needs_expiry {
            flight.pttl(&key);
        }
        Stored::read(self.server.answer(&key, Question::Read { flight: &flight, asks_time: false }).await?)
    }

    /// Reads the fields at a session's key and how long the key still lives, and asks for the time: one round trip.
    async fn read_with_time(&self, id: &SessionId) -> Result<(Value, i64, SystemTime), StoreError> {
        let key = self.prefix.session(id);
        let mut flight = redis::pipe();
        flight.hgetall(&key).pttl(&key).ignore_errors();
        let stored = self.server.answer(&key, Question::Read { flight: &flight, asks_time: true }).await?;
        let Stored { hash, remaining, time, .. } = Stored::read(stored)?;
        Ok((hash, remaining.ok_or_else(no_answer)?, time.now))
    }

    /// Asks the server that has a key for the time: one round trip.
    async fn time(&self, key: &str) -> Result<SystemTime, StoreError> {
        let question = Question::Read { flight: &redis::pipe(), asks_time: true };
        Ok(self.server.answer(key, question).await?.time.ok_or_else(no_answer)?.now)
    }

    /// Guesses the time of the server that has a key, for what that server compares with its clock. One round trip only if it was
    /// never asked.
    async fn guess_time(&self, key: &str) -> Result<SystemTime, StoreError> {
        match self.server.guess_time(key).await? {
            Some(now) => Ok(now),
            None => self.time(key).await,
        }
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redis({}, {:?})", self.server, self.prefix)
    }
}

impl Store for Redis {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        self.create_as_planned(new, terms).await
    }

    async fn load(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        if let Some(lookup) = self.load_at_hand(presented, terms) {
            return Ok(lookup);
        }
        if self.may_be_near() {
            meter::near::missed();
        }
        self.load_fresh(presented, terms).await
    }

    fn load_at_hand(&self, presented: &Credentials, terms: &Terms) -> Option<Lookup> {
        self.near.as_ref()?.look_up(presented, terms)
    }

    fn may_be_near(&self) -> bool {
        self.near.is_some()
    }

    async fn load_fresh(&self, presented: &Credentials, terms: &Terms) -> Result<Lookup, StoreError> {
        if is_id_alone(presented) {
            return Ok(Lookup::Gone);
        }
        let is_plain = presented.secret_hash.is_none();
        let reading = self.near.as_ref().map(|near| near.reading(presented.id));
        let Stored { hash, remaining, time, seen } = self.read(&presented.id, is_plain || reading.is_some()).await?;
        if let Value::ServerError(_) = hash {
            tracing::warn!(target: "cloakroom", session = %presented.id, "what stands at a session's key is no hash");
            meter::unreadable("record", 1);
            return Ok(Lookup::Gone);
        }
        let stored = texts_of(pairs_of(&hash)?);
        let remaining = remaining.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
        // a key without an expiry that belongs to another program is no session
        if stored.is_empty() || is_plain && remaining.is_none() {
            return Ok(Lookup::Gone);
        }
        let field = |name| stored.iter().find(|(other, _)| *other == name).map(|(_, text)| *text);
        if field(record::CREATED_AT).is_none() && field(record::ENDED).is_some() {
            let secret_hash = field(record::SECRET_HASH).and_then(SecretHash::parse);
            let is_told = secret_hash.is_some() && secret_hash == presented.secret_hash;
            return Ok(if is_told { Lookup::Evicted } else { Lookup::Gone });
        }
        let Some(record) = Record::from_stored(stored, is_plain, terms) else {
            tracing::warn!(target: "cloakroom", session = %presented.id, "what stands at a session's key is no session");
            meter::unreadable("record", 1);
            return Ok(Lookup::Gone);
        };
        let record = Arc::new(record);
        let time = time.not_before(record.last_accessed_at);
        if let (Some(near), Some(reading), Some(seen), Some(remaining)) = (&self.near, reading, seen, remaining) {
            near.keep(reading, &record, time, remaining, terms, seen);
        }
        let now = match remaining {
            // another program may have shortened its life, which only the key's expiry tells
            Some(remaining) if is_plain => time.now.max(record.ends_at() - remaining),
            _ => time.now,
        };
        let lookup = record.clone().look_up(presented, now);
        let has_passed = time.now >= record.ends_at() || matches!(lookup, Lookup::Replayed(_));
        if has_passed && !time.is_asked {
            // Redis still has the session: perhaps its clock was set back, so nothing ends by a time that is reckoned
            let now = self.time(&self.prefix.session(&presented.id)).await?;
            return Ok(record.look_up(presented, now));
        }
        Ok(lookup)
    }

    async fn load_by_id(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        let found = Inspect::find(self, id, terms).await?;
        // another program may have kept it beyond its deadline
        Ok(found.filter(|loaded| loaded.now < loaded.record.ends_at()))
    }

    fn watch(&self, id: &SessionId) -> Option<Watch> {
        self.near.as_ref().map(|near| near.watchers.watch(id))
    }

    async fn apply(&self, presented: &Credentials, change: &Change, terms: &Terms) -> Result<Outcome, StoreError> {
        self.apply_as_seen(presented, change, None, terms).await
    }

    async fn apply_to(
        &self,
        loaded: &Loaded,
        presented: &Credentials,
        change: &Change,
        terms: &Terms,
    ) -> Result<Outcome, StoreError> {
        self.apply_as_seen(presented, change, Some(loaded), terms).await
    }

    async fn sign_out(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        match is_id_alone(presented) {
            true => Ok(SignedOut::Gone),
            false => self.end_own(presented).await,
        }
    }

    async fn revoke(&self, target: &Target) -> Result<u64, StoreError> {
        match target {
            Target::Session(id) => self.end_any(id).await,
            Target::SessionOf(user, id) => self.end_one(user, id).await,
            Target::OthersOf(user, kept) => self.end_all(user, Some(kept)).await,
            Target::AllOf(user) => self.end_all(user, None).await,
        }
    }

    async fn list(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        self.devices(user, page, terms).await
    }
}

/// Returns whether the browser sent an id without its secret. The record cannot answer this, because another program's record
/// may have a field named `secret_hash`.
fn is_id_alone(presented: &Credentials) -> bool {
    presented.secret_hash.is_none() && !presented.id.is_plain()
}

fn text_of(hash: Option<&SecretHash>) -> &str {
    hash.map_or("", SecretHash::as_str)
}

/// What was read at a session's key.
struct Stored {
    hash: Value,
    /// How long the key still lives, in milliseconds; negative without an expiry. `None` if that was not asked.
    remaining: Option<i64>,
    time: Time,
    /// The snapshot of the tracking that reports when the key changes. Only with a near cache.
    seen: Option<TrackingSnapshot>,
}

impl Stored {
    fn read(Answer { value, seen, time }: Answer) -> Result<Stored, StoreError> {
        let mut values = read::<Vec<Value>>(value)?.into_iter();
        let hash = values.next().ok_or_else(no_answer)?;
        let remaining = values.next().map(read).transpose()?;
        Ok(Stored { hash, remaining, time: time.ok_or_else(no_answer)?, seen })
    }
}

fn no_answer() -> StoreError {
    StoreError::unknown("the server's answer is too short")
}

/// The name and the value of a field, as the store holds them.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// Returns the names and values of a hash. RESP2 and RESP3 answer in different forms, and both are understood.
fn pairs_of(hash: &Value) -> Result<Vec<Pair<'_>>, StoreError> {
    fn bytes(value: &Value) -> Option<&[u8]> {
        let Value::BulkString(bytes) = value else { return None };
        Some(bytes)
    }
    let pairs: Option<Vec<_>> = match hash {
        Value::Map(pairs) => pairs.iter().map(|(name, value)| Some((bytes(name)?, bytes(value)?))).collect(),
        Value::Array(flat) if flat.len().is_multiple_of(2) => {
            flat.chunks(2).map(|pair| Some((bytes(&pair[0])?, bytes(&pair[1])?))).collect()
        }
        _ => None,
    };
    pairs.ok_or(StoreError::unknown("the server answered with something that is no hash"))
}

/// Returns the names and values of a hash that are text. A field that is not text belongs to another program (which may pickle
/// its values). It counts as absent, and it stays as it is in the store, because we write only the fields that have changed.
fn texts_of(pairs: Vec<Pair<'_>>) -> Vec<(&str, &str)> {
    let count = pairs.len();
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let texts: Vec<_> = pairs.into_iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
    if texts.len() < count {
        let lost = count - texts.len();
        tracing::warn!(target: "cloakroom", fields = lost, "a record has fields that are no text: they count as none");
        meter::unreadable("field", lost as u64);
    }
    texts
}

/// Converts a part of an answer.
fn read<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    T::from_redis_value(value).map_err(StoreError::from_client)
}
