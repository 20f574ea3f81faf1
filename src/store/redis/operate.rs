//! What operators ask for: any session without its secret, all sessions, or an answer from one server.

use std::time::SystemTime;

use futures_util::future::try_join_all;
use redis::Value;

use super::index::Entry;
use super::question::Question;
use super::{Redis, pairs_of, texts_of};
use crate::error::StoreError;
use crate::record::{Fields, Record, SessionId, Terms, UserId};
use crate::store::Loaded;
use crate::store::inspect::{Inspect, Scanned};

impl Inspect for Redis {
    async fn find(&self, id: &SessionId, terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        match self.found(id).await? {
            Some((fields, now)) => Ok(loaded(&fields, now, id, terms)),
            None => Ok(None),
        }
    }

    async fn scan(&self, cursor: Option<&str>, about: usize) -> Result<Scanned, StoreError> {
        let (node, position) = cursor.and_then(|cursor| cursor.split_once('@')).unwrap_or(("0", "0"));
        let lost = || StoreError::new("this is no cursor of a scan");
        let (node, position): (usize, u64) = (node.parse().map_err(|_| lost())?, position.parse().map_err(|_| lost())?);
        let server = self.server.known().await?;
        let primaries = server.primaries();
        let Some(name) = primaries.get(node) else {
            return Ok(Scanned { ids: Vec::new(), next: None });
        };
        let link = server.primary(name)?;
        let mut command = redis::cmd("SCAN");
        command.arg(position).arg("MATCH").arg(self.prefix.all()).arg("COUNT").arg(about);
        let answer = link.ask(Question::Command(&command)).await.map_err(|failure| failure.error)?;
        let (position, keys): (u64, Vec<Vec<u8>>) = redis::from_redis_value(answer).map_err(StoreError::from_client)?;
        let ids = keys.iter().filter_map(|key| self.prefix.session_of(std::str::from_utf8(key).ok()?)).collect();
        let next = match (position, node + 1 < primaries.len()) {
            (0, false) => None,
            (0, true) => Some(format!("{}@0", node + 1)),
            (position, _) => Some(format!("{node}@{position}")),
        };
        Ok(Scanned { ids, next })
    }
}

impl Redis {
    /// Returns the fields at a session's key and the server's time. `None` if something else stands there, or if the key has no
    /// expiry.
    pub(super) async fn found(&self, id: &SessionId) -> Result<Option<(Fields, SystemTime)>, StoreError> {
        let (hash, remaining, now) = self.read_with_time(id).await?;
        if matches!(hash, Value::ServerError(_)) || remaining < 0 {
            return Ok(None);
        }
        Ok(Some((texts_of(pairs_of(&hash)?).into_iter().collect(), now)))
    }

    /// Returns the prefix with which every key of this store begins.
    pub fn prefix(&self) -> &str {
        self.prefix.as_str()
    }

    /// Returns the addresses of all primaries, without their passwords. The list is empty while a store that [connects in the
    /// background](super::RedisBuilder::connect_lazy) has not reached any server yet.
    pub fn servers(&self) -> Vec<String> {
        self.server.primaries()
    }

    /// Sends a command to one of the [`servers`](Redis::servers), for operators' tools: INFO, CONFIG GET, MEMORY USAGE.
    /// Returns the answer as JSON. Text that is not UTF-8 is shown as well as possible. One round trip.
    ///
    /// # Errors
    /// Returns the store's errors, also if the server refuses the command.
    pub async fn command(&self, server: &str, command: &[&str]) -> Result<serde_json::Value, StoreError> {
        let link = self.server.known().await?.primary(server)?;
        let [name, arguments @ ..] = command else {
            return Err(StoreError::new("an empty command"));
        };
        let mut query = redis::cmd(name);
        query.arg(arguments);
        let answer = link.ask(Question::Command(&query)).await.map_err(|failure| failure.error)?;
        Ok(json_of(answer))
    }

    /// Sends a command about one key, like [`command`](Redis::command), to the server that has the key.
    ///
    /// # Errors
    /// Returns the same errors as [`command`](Redis::command).
    pub async fn command_for(&self, key: &str, command: &[&str]) -> Result<serde_json::Value, StoreError> {
        let [name, arguments @ ..] = command else {
            return Err(StoreError::new("an empty command"));
        };
        let mut query = redis::cmd(name);
        query.arg(arguments);
        let answer: Value = self.server.ask(key, Question::Command(&query)).await?;
        Ok(json_of(answer))
    }

    /// Removes ids from a user's index if they have no session any more. Returns how many were removed. A list of a user's
    /// sessions removes such ids where it meets them; this function is for operators' tools. Three round trips.
    ///
    /// # Errors
    /// Returns the store's errors.
    pub async fn remove_ghosts(&self, user: &UserId, ids: &[SessionId]) -> Result<u64, StoreError> {
        let index = self.prefix.user(user);
        // The scores are read first. If a session is found missing and comes to live afterwards, its id has another score by
        // then, so it is not removed.
        let scores = ids.iter().map(async |id| {
            let query = redis::cmd("ZSCORE").arg(&index).arg(id.expose()).clone();
            self.server.ask::<Option<f64>>(&index, Question::Command(&query)).await
        });
        let scores = try_join_all(scores).await?;
        let ghosts = try_join_all(ids.iter().map(|id| self.is_ghost(id.expose().as_bytes(), user))).await?;
        let missing = ids.iter().zip(scores).zip(ghosts).filter(|(_, is_ghost)| *is_ghost);
        let missing: Vec<Entry> =
            missing.filter_map(|((id, score), _)| Some((id.expose().as_bytes().to_vec(), score?))).collect();
        if missing.is_empty() { Ok(0) } else { self.prune(&index, &missing).await }
    }
}

/// Reads a session from the fields at its key. Returns `None` if the fields are no session.
pub(super) fn loaded(fields: &Fields, now: SystemTime, id: &SessionId, terms: &Terms) -> Option<Loaded> {
    let record = Record::from_stored(fields.iter(), id.is_plain(), terms)?;
    Some(Loaded { record: record.into(), now })
}

pub(super) fn json_of(value: Value) -> serde_json::Value {
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Int(number) => number.into(),
        Value::Double(number) => number.into(),
        Value::Boolean(flag) => flag.into(),
        Value::Okay => "OK".into(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.into(),
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        Value::Array(items) | Value::Set(items) => items.into_iter().map(json_of).collect(),
        Value::Map(pairs) => pairs.into_iter().flat_map(|(name, value)| [json_of(name), json_of(value)]).collect(),
        other => format!("{other:?}").into(),
    }
}
