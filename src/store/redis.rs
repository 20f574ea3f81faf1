//! Sessions in Redis or Valkey: one hash per session, readable with redis-cli, shared by all servers.
//!
//! A read is two plain commands in one flight; every change is one script, because a bare `HSET` on a session that
//! was just revoked would bring it back without an expiry.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join;
use redis::{FromRedisValue, Value};

use super::{Loaded, Lookup, NewSession, Outcome, SignedOut, Store, Target};
use crate::clock::from_millis;
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
mod credentials;
mod dial;
mod durable;
mod index;
mod keys;
mod later;
mod link;
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
pub use near::NearCache;
use near::{Near, TrackingSnapshot};
use question::Question;
use scripts::{Call, Scripts};
use server::Server;

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

    /// Reads what is stored at a session's key and how long the key still lives, in milliseconds: one round trip. With a near
    /// cache, the answer also has the snapshot of the tracking that reports when the key changes.
    async fn read(&self, id: &SessionId) -> Result<(Value, i64, Option<TrackingSnapshot>), StoreError> {
        let key = self.prefix.session(id);
        let mut flight = redis::pipe();
        flight.hgetall(&key).pttl(&key).ignore_errors();
        let ((hash, remaining), seen) = self.server.ask_seen(&key, Question::Flight(&flight)).await?;
        Ok((hash, remaining, seen))
    }

    /// Returns the server's time when it answered. The record usually tells this time; otherwise it costs one more round trip.
    async fn time_of(&self, id: &SessionId, record: &Record, remaining: Duration) -> Result<SystemTime, StoreError> {
        if let Some(now) = now_of(record, remaining) {
            return Ok(now);
        }
        let time = redis::cmd("TIME");
        let (seconds, micros): (u64, u64) = self.server.ask(&self.prefix.session(id), Question::Command(&time)).await?;
        Ok(from_millis(1000 * seconds + micros / 1000))
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redis({}, {:?})", self.server, self.prefix)
    }
}

impl Store for Redis {
    async fn create(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        if let Err(refusal) = record::check_size(&new.fields, terms) {
            return Ok(Outcome::Refused(refusal));
        }
        let idle = new.idle_timeout.unwrap_or(terms.idle_timeout).min(terms.absolute_lifetime);
        let key = self.prefix.session(&new.presented.id);
        let mut script = Call::new(&self.scripts.create, &key);
        script
            .arg(text_of(new.presented.secret_hash.as_ref()))
            .arg(idle.as_secs())
            .arg(terms.absolute_lifetime.as_secs());
        for (name, text) in new.fields.iter() {
            script.arg(name).arg(text);
        }
        created(self.run(&new.presented.id, &script, None).await?, new, terms)
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
        let reading = self.near.as_ref().map(|near| near.reading(presented.id));
        let (hash, remaining, seen) = self.read(&presented.id).await?;
        if let Value::ServerError(_) = hash {
            tracing::warn!(target: "cloakroom", session = %presented.id, "what stands at a session's key is no hash");
            meter::unreadable("record", 1);
            return Ok(Lookup::Gone);
        }
        let stored = texts_of(pairs_of(&hash)?);
        let remaining = u64::try_from(remaining).map(Duration::from_millis);
        let (false, Ok(remaining)) = (stored.is_empty(), remaining) else {
            return Ok(Lookup::Gone); // or gone between the two commands, or a foreign key without an expiry
        };
        let field = |name| stored.iter().find(|(other, _)| *other == name).map(|(_, text)| *text);
        if field(record::CREATED_AT).is_none() && field(record::ENDED).is_some() {
            let secret_hash = field(record::SECRET_HASH).and_then(SecretHash::parse);
            let is_told = secret_hash.is_some() && secret_hash == presented.secret_hash;
            return Ok(if is_told { Lookup::Evicted } else { Lookup::Gone });
        }
        let Some(record) = Record::from_stored(stored, presented.secret_hash.is_none(), terms) else {
            tracing::warn!(target: "cloakroom", session = %presented.id, "what stands at a session's key is no session");
            meter::unreadable("record", 1);
            return Ok(Lookup::Gone);
        };
        let now = self.time_of(&presented.id, &record, remaining).await?;
        let loaded = Loaded { record: Arc::new(record), now };
        if let (Some(near), Some(reading)) = (&self.near, reading) {
            near.keep(reading, &loaded, remaining, terms, seen);
        }
        Ok(loaded.record.look_up(presented, now))
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

/// Returns the server's time when it answered. Every expiry that we set is the record's end, so this time is the end minus the
/// remaining life.
///
/// If the result is before the last access, it is wrong. There are three possible reasons: the server's clock was set back,
/// somebody has changed the record by hand, or, with plain tokens, another program has set the expiry. Such a program does not
/// know the absolute deadline and sets the idle timeout alone. Only in this last case can the time still be computed, and only
/// if the computed time is before the session's deadline. Otherwise this returns `None`, and the server has to be asked.
fn now_of(record: &Record, remaining: Duration) -> Option<SystemTime> {
    const ROUNDING: Duration = Duration::from_secs(1);
    let now = |end: SystemTime| end.checked_sub(remaining).unwrap_or(SystemTime::UNIX_EPOCH);
    let ours = now(record.ends_at());
    if ours + ROUNDING >= record.last_accessed_at {
        return Some(ours);
    }
    let is_plain = record.secret_hash.is_none();
    Some(now(record.last_accessed_at + record.idle_timeout)).filter(|theirs| is_plain && *theirs < record.expires_at)
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

/// Converts a part of a script's answer.
fn read<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    T::from_redis_value(value).map_err(StoreError::from_client)
}

/// Returns the outcome of creating a session from the answer of the script.
fn created(answer: Vec<Value>, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
    let mut answer = answer.into_iter();
    let mut next = || answer.next().ok_or(StoreError::unknown("a script's answer is too short"));
    match read::<String>(next()?)?.as_str() {
        "made" => {
            let now = from_millis(read(next()?)?);
            Ok(match Record::new(new, terms, now) {
                Ok(record) => Outcome::done(Loaded { record: record.into(), now }, Vec::new()),
                Err(refusal) => Outcome::Refused(refusal),
            })
        }
        "there" => {
            let now = from_millis(read(next()?)?);
            let packed = read::<Vec<u8>>(next()?)?;
            let plain = new.presented.secret_hash.is_none();
            let pairs = packed::unpack(&packed);
            let record = pairs.and_then(|pairs| Record::from_stored(texts_of(pairs), plain, terms));
            let record = record.ok_or(StoreError::unknown("a script's answer is no session"))?;
            Ok(Outcome::done(Loaded { record: record.into(), now }, Vec::new()))
        }
        "conflict" => Ok(Outcome::Refused(Refusal::Conflict)),
        _ => Err(StoreError::unknown("a script answered something unknown")),
    }
}
