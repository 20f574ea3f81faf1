//! A user's sessions. The index is in another slot than they are, so nothing here is one step; the order of the steps is
//! what keeps the invariant: the index may hold ghosts, never misses.
//!
//! - An id is written to the index before the user is bound to the session.
//! - It is taken out only when its record is missing. Ids are never used again, so that is for good.
//! - Whoever makes it too many ends the others first and is bound then: dying in between leaves too few, not too many.

use super::question::Question;
use super::{Redis, now_of};
use crate::config::Terms;
use crate::delta::{Change, SignIn};
use crate::device::{Device, Page};
use crate::error::StoreError;
use crate::policy::OnLimit;
use crate::record::{CREATED_AT, EVICTION_NOTICE, Fields, RESERVED, Record, Refusal};
use crate::store::Applied;
use crate::token::{Presented, SessionId};
use crate::user::UserId;
use futures_util::future::{join_all, try_join_all};

/// What writing an id to the index answers.
struct Enlisted {
    score: String,
    /// All ids in the order of sign-in, if they are too many.
    ids: Vec<String>,
    /// Whether the id was not there before, or only as refused: 1 or 0.
    is_new: u8,
}

/// What became of a session that was to be ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It was the user's, and is gone.
    Ended,
    /// It is gone before its sign-in was done.
    Unbound,
    /// There was none.
    Missing,
    /// It is somebody else's, and lives on.
    NotTheirs,
}

impl Redis {
    /// Binds a user: two round trips, three more when that makes it too many sessions.
    pub(super) async fn sign_in(
        &self,
        presented: &Presented,
        change: &Change,
        new: &SignIn,
        terms: &Terms,
    ) -> Result<Applied, StoreError> {
        let lifetime = new.absolute_lifetime.unwrap_or(terms.absolute_lifetime);
        let index = self.prefix.user(&new.user);
        let mut script = self.scripts.enlist.key(&index);
        script.arg(presented.id.expose()).arg(lifetime.as_secs()).arg(new.max_sessions).arg(policy_of(new));
        let (score, ids, is_new) = self.server.ask(&index, Question::Script(&script)).await?;
        let enlisted = Enlisted { score, ids, is_new };
        let evicted = match enlisted.ids.is_empty() {
            true => Vec::new(),
            false => match self.make_room(presented.id, new, &enlisted).await? {
                Some(evicted) => evicted,
                None => return Ok(Applied::Refused(Refusal::LimitReached)),
            },
        };
        Ok(match self.apply_alone(presented, change, terms).await? {
            Applied::Done { loaded, .. } => Applied::Done { loaded, evicted },
            refused => refused,
        })
    }

    /// Ends the sessions that are too many. `None` when it is the new one that must go.
    async fn make_room(
        &self,
        id: SessionId,
        new: &SignIn,
        enlisted: &Enlisted,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        let Enlisted { score, ids, is_new } = enlisted;
        let exist = try_join_all(ids.iter().map(|id| self.exists(id))).await?;
        let index = self.prefix.user(&new.user);
        let mut script = self.scripts.choose.key(&index);
        script.arg(policy_of(new)).arg(new.max_sessions).arg(id.expose()).arg(score).arg(is_new);
        for (ghost, _) in ids.iter().zip(exist).filter(|(_, exists)| !exists) {
            script.arg(ghost);
        }
        let chosen: Vec<String> = self.server.ask(&index, Question::Script(&script)).await?;
        if new.on_limit == OnLimit::RefuseNew {
            return Ok(chosen.is_empty().then(Vec::new));
        }
        let victims: Vec<_> = chosen.iter().filter_map(|id| SessionId::parse(id).ok()).collect();
        let notice = EVICTION_NOTICE.as_secs();
        let endings =
            try_join_all(victims.iter().map(|victim| self.end(victim, new.user.as_str(), false, notice))).await?;
        let ended = victims.into_iter().zip(endings).filter(|(_, ending)| *ending == Ending::Ended);
        Ok(Some(ended.map(|(victim, _)| victim).collect()))
    }

    /// Ends one session, whosever it is: one round trip. No bare DEL: the notice for an evicted browser stands at the key,
    /// too, and is no session.
    pub(super) async fn end_any(&self, id: &SessionId) -> Result<u64, StoreError> {
        let ending = self.end(id, "", false, 0).await?;
        Ok(matches!(ending, Ending::Ended | Ending::Unbound).into())
    }

    /// Ends one session if it is this user's: one round trip.
    pub(super) async fn end_one(&self, user: &UserId, id: &SessionId) -> Result<u64, StoreError> {
        let ending = self.end(id, user.as_str(), true, 0).await?;
        Ok((ending == Ending::Ended).into())
    }

    /// Ends all of a user's sessions but one: the index, the sessions in one parallel flight, the index again. How many
    /// were bound to the user.
    pub(super) async fn end_all(&self, user: &UserId, kept: Option<&SessionId>) -> Result<u64, StoreError> {
        let index = self.prefix.user(user);
        // refused sign-ins have a negative score: what they were asked for is no session of this user
        let query = redis::cmd("ZRANGEBYSCORE").arg(&index).arg(0).arg("+inf").clone();
        let ids: Vec<String> = self.server.ask(&index, Question::Command(&query)).await?;
        let ids: Vec<_> = ids.iter().filter_map(|id| SessionId::parse(id).ok()).filter(|id| kept != Some(id)).collect();
        let endings = join_all(ids.iter().map(|id| self.end(id, user.as_str(), false, 0))).await;
        let mut ended = 0;
        let mut missing = Vec::new();
        let mut failure = None;
        for (id, ending) in ids.iter().zip(endings) {
            match ending {
                Ok(Ending::NotTheirs) => {}
                Ok(ending) => {
                    ended += u64::from(ending == Ending::Ended);
                    missing.push(*id);
                }
                // the others have ended all the same; the caller must hear that this one may live on
                Err(error) if failure.as_ref().is_none_or(StoreError::is_not_durable) => failure = Some(error),
                Err(_) => {}
            }
        }
        self.prune(&index, &missing).await?;
        failure.map_or(Ok(ended), Err)
    }

    /// A page of a user's sessions: the index and the sessions, two round trips; one more when ghosts were met.
    pub(super) async fn devices(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        let index = self.prefix.user(user);
        let mut query = redis::cmd("ZREVRANGEBYSCORE");
        query.arg(&index).arg("+inf").arg(0).arg("LIMIT").arg(page.offset).arg(page.limit);
        let ids: Vec<String> = self.server.ask(&index, Question::Command(&query)).await?;
        let ids: Vec<_> = ids.iter().filter_map(|id| SessionId::parse(id).ok()).collect();
        let records = try_join_all(ids.iter().map(|id| self.reserved_fields(id, terms))).await?;
        let mut devices = Vec::new();
        let mut ghosts = Vec::new();
        for (id, record) in ids.into_iter().zip(records) {
            match record {
                None => ghosts.push(id),
                Some(record) if record.user_id.as_ref() == Some(user) => devices.push(Device::of(id, &record)),
                Some(_) => {}
            }
        }
        self.prune(&index, &ghosts).await?;
        Ok(devices)
    }

    async fn exists(&self, id: &str) -> Result<bool, StoreError> {
        let Ok(id) = SessionId::parse(id) else {
            return Ok(false); // something else wrote it
        };
        // a marker of an eviction stands at the key, too, but was never created
        let key = self.prefix.session(&id);
        let query = redis::cmd("HEXISTS").arg(&key).arg(CREATED_AT).clone();
        self.server.ask(&key, Question::Command(&query)).await
    }

    /// Everything about a session but the application's fields; `None` where there is no session.
    async fn reserved_fields(&self, id: &SessionId, terms: &Terms) -> Result<Option<Record>, StoreError> {
        let key = self.prefix.session(id);
        let mut flight = redis::pipe();
        flight.cmd("HMGET").arg(&key).arg(&RESERVED).pttl(&key);
        let (values, remaining): (Vec<Option<String>>, i64) = self.server.ask(&key, Question::Flight(&flight)).await?;
        let names = RESERVED.iter().map(|name| name.to_string());
        let fields: Fields = names.zip(values).filter_map(|(name, text)| Some((name, text?))).collect();
        let record = Record::from_stored(fields, false, terms);
        Ok(record.filter(|record| {
            u64::try_from(remaining)
                .is_ok_and(|left| now_of(record, std::time::Duration::from_millis(left)) < record.ends_at())
        }))
    }

    async fn end(&self, id: &SessionId, user: &str, bound: bool, notice: u64) -> Result<Ending, StoreError> {
        let key = self.prefix.session(id);
        let mut script = self.scripts.end.key(&key);
        script.arg(user).arg(u8::from(bound)).arg(notice);
        // a sign-in that makes room, which gives notice, does not depend on replicas
        let durability = self.durability.as_ref().filter(|_| notice == 0);
        Ok(match self.server.ask_with::<i64>(&key, Question::Script(&script), durability).await? {
            1 => Ending::Ended,
            0 => Ending::Unbound,
            -1 => Ending::Missing,
            _ => Ending::NotTheirs,
        })
    }

    /// Takes ids whose record is missing out of an index.
    async fn prune(&self, index: &str, missing: &[SessionId]) -> Result<(), StoreError> {
        if missing.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("ZREM");
        command.arg(index);
        for id in missing {
            command.arg(id.expose());
        }
        self.server.ask(index, Question::Command(&command)).await
    }
}

/// What happens to one session too many, as the scripts name it.
fn policy_of(new: &SignIn) -> &'static str {
    match new.on_limit {
        OnLimit::EvictOldest => "evict",
        OnLimit::RefuseNew => "refuse",
    }
}
