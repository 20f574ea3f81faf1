//! What a server says of one session, and of one index.

use cloakroom::store::Redis;
use cloakroom::{SessionId, store::StoreError};
use futures_util::future::{join, join4, try_join_all};
use serde_json::Value;

use super::server::unless_forbidden;
use crate::opened::Opened;

/// How many sessions are asked for at once.
const FLIGHT: usize = 50;

/// What the server said of a session's key; `None` where this user may not ask.
pub(super) struct OfSession<'a> {
    pub(super) key: &'a str,
    pub(super) id: &'a SessionId,
    pub(super) remaining: Option<Value>,
    pub(super) encoding: Option<Value>,
    pub(super) memory: Option<Value>,
    pub(super) fields: Option<Value>,
    pub(super) bound: Bound,
}

/// Whether the index of its user knows a session.
pub(super) enum Bound {
    ToNobody,
    Indexed,
    Missed,
    Forbidden,
}

/// What the server said of a user's index.
pub(super) struct OfIndex {
    pub(super) key: String,
    pub(super) remaining: Option<Value>,
    pub(super) entries: Entries,
}

pub(super) enum Entries {
    /// How many there are, and behind which no session stands.
    Ids {
        all: u64,
        ghosts: Vec<SessionId>,
    },
    OfAnotherType,
    /// The command that this user may not run.
    Forbidden(&'static str),
}

impl OfSession<'_> {
    pub(super) async fn ask<'a>(
        opened: &Opened<Redis>,
        key: &'a str,
        id: &'a SessionId,
    ) -> Result<OfSession<'a>, StoreError> {
        let redis = &opened.store;
        let (remaining, encoding, memory, fields) = join4(
            redis.command_for(key, &["PTTL", key]),
            redis.command_for(key, &["OBJECT", "ENCODING", key]),
            redis.command_for(key, &["MEMORY", "USAGE", key]),
            redis.command_for(key, &["HMGET", key, "created_at", "user_id", "session_ttl"]),
        )
        .await;
        let (remaining, encoding, memory, fields) = (of(remaining)?, of(encoding)?, of(memory)?, of(fields)?);
        let user = fields.as_ref().and_then(|fields| fields[1].as_str());
        let bound = match user {
            Some(user) if !opened.plain_tokens => Bound::of(opened, key, id, user).await?,
            _ => Bound::ToNobody,
        };
        Ok(OfSession { key, id, remaining, encoding, memory, fields, bound })
    }
}

impl Bound {
    async fn of(opened: &Opened<Redis>, key: &str, id: &SessionId, user: &str) -> Result<Bound, StoreError> {
        let index = format!("{}user:{user}", opened.store.prefix());
        let score = of(opened.store.command_for(&index, &["ZSCORE", &index, id.expose()]).await)?;
        Ok(match score {
            None => Bound::Forbidden,
            // the index forgets a session only after it has ended: asked in this order, that is no miss
            Some(score) if score.is_null() && exists(opened, key).await? == Some(true) => Bound::Missed,
            Some(_) => Bound::Indexed,
        })
    }
}

impl OfIndex {
    pub(super) async fn ask(opened: &Opened<Redis>, key: &str) -> Result<OfIndex, StoreError> {
        let (remaining, entries) = join(
            opened.store.command_for(key, &["PTTL", key]),
            opened.store.command_for(key, &["ZRANGE", key, "0", "-1"]),
        )
        .await;
        let entries = match of(entries)? {
            None => Entries::Forbidden("ZRANGE"),
            Some(Value::Array(entries)) => {
                let ids: Vec<_> = entries.iter().filter_map(|entry| SessionId::parse(entry.as_str()?).ok()).collect();
                match ghosts_among(opened, &ids).await? {
                    Some(ghosts) => Entries::Ids { all: ids.len() as u64, ghosts },
                    None => Entries::Forbidden("HGET"),
                }
            }
            Some(_) => Entries::OfAnotherType,
        };
        Ok(OfIndex { key: key.to_owned(), remaining: of(remaining)?, entries })
    }
}

/// The ids behind which no session stands. But for those that are about to be restored, none of them can ever come to live: a
/// session is made before its id is written to an index, and ids are never used again.
///
/// # Errors
/// When the store is not available. `None` where it may not be asked.
async fn ghosts_among(opened: &Opened<Redis>, ids: &[SessionId]) -> Result<Option<Vec<SessionId>>, StoreError> {
    let mut ghosts = Vec::new();
    for flight in ids.chunks(FLIGHT) {
        let keys: Vec<_> = flight.iter().map(|id| format!("{}{}", opened.store.prefix(), id.expose())).collect();
        let exist = try_join_all(keys.iter().map(|key| exists(opened, key))).await?;
        for (id, exists) in flight.iter().zip(exist) {
            match exists {
                None => return Ok(None),
                Some(false) => ghosts.push(*id),
                Some(true) => {}
            }
        }
    }
    Ok(Some(ghosts))
}

/// Whether a session stands there. What is left of one that was evicted stands at its key, too, but was never created.
async fn exists(opened: &Opened<Redis>, key: &str) -> Result<Option<bool>, StoreError> {
    let answer = of(opened.store.command_for(key, &["HGET", key, "created_at"]).await)?;
    Ok(answer.map(|answer| !answer.is_null()))
}

/// What a server said of a key; null where the key is of another type, `None` where this user may not ask.
pub(super) fn of(answer: Result<Value, StoreError>) -> Result<Option<Value>, StoreError> {
    match answer {
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(Some(Value::Null)),
        answer => unless_forbidden(answer),
    }
}
