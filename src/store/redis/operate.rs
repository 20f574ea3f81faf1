//! What operators ask: any session without its secret, all sessions, a server itself.

use std::time::Duration;

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
            Some((fields, remaining)) => self.loaded(fields, remaining, id, terms).await,
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
    /// A session of what stands at its key, and the server's time.
    pub(super) async fn loaded(
        &self,
        fields: Fields,
        remaining: Duration,
        id: &SessionId,
        terms: &Terms,
    ) -> Result<Option<Loaded>, StoreError> {
        let Some(record) = Record::from_stored(fields.iter(), id.is_plain(), terms) else { return Ok(None) };
        let now = self.time_of(id, &record, remaining).await?;
        Ok(Some(Loaded { record: record.into(), now }))
    }

    /// The fields at a session's key and what is left of its life; `None` where something else stands, or has no expiry.
    pub(super) async fn found(&self, id: &SessionId) -> Result<Option<(Fields, Duration)>, StoreError> {
        let (hash, remaining, _) = self.read(id).await?;
        if let Value::ServerError(_) = hash {
            return Ok(None);
        }
        let fields = texts_of(pairs_of(&hash)?).into_iter().collect();
        Ok(u64::try_from(remaining).ok().map(|millis| (fields, Duration::from_millis(millis))))
    }

    /// What every key of this store begins with.
    pub fn prefix(&self) -> &str {
        self.prefix.as_str()
    }

    /// The addresses of all primaries, without their passwords. None while a store that
    /// [connects in the background](super::RedisBuilder::connect_lazy) has reached no server.
    pub fn servers(&self) -> Vec<String> {
        self.server.primaries()
    }

    /// Asks one of the [`servers`](Redis::servers) a command, for operators' tools: INFO, CONFIG GET, MEMORY USAGE. The
    /// answer as JSON; text that is not UTF-8 is shown as well as possible. One round trip.
    ///
    /// # Errors
    /// The store's, also for what the server refuses.
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

    /// The same for a command about one key, which the server is asked that has it.
    ///
    /// # Errors
    /// As [`command`](Redis::command).
    pub async fn command_for(&self, key: &str, command: &[&str]) -> Result<serde_json::Value, StoreError> {
        let [name, arguments @ ..] = command else {
            return Err(StoreError::new("an empty command"));
        };
        let mut query = redis::cmd(name);
        query.arg(arguments);
        let answer: Value = self.server.ask(key, Question::Command(&query)).await?;
        Ok(json_of(answer))
    }

    /// Takes those of a user's ids out of the index behind which no session stands: a list does so where it meets them, this is
    /// for operators' tools. How many were taken out. Three round trips.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove_ghosts(&self, user: &UserId, ids: &[SessionId]) -> Result<u64, StoreError> {
        let index = self.prefix.user(user);
        // the scores first: one that comes to live after it was found missing has another score then
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
