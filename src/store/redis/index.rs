//! A user's sessions. The index is in another slot than the sessions, so nothing here can be done in one step. The order of the
//! steps keeps this invariant: the index may hold ghosts, but it never misses a session.
//!
//! - An id is written to the index before the user is bound to the session.
//! - An id is taken out only when its record is missing. Ids are never used again, so a missing record stays missing.
//! - A restore and the repeat of a sign-in are the exceptions: they make a record again, and somebody may have found the id without
//!   its record before. The sign-in writes the id with another score before it binds the user. So an id
//!   is taken out only if it still has the score that it had when its record was missing. A restore writes the id again, with
//!   another score, once the record is there. Until then a marker in the index stands for the session: `restoring <id> <signed in
//!   at, s> <number>`, with a score below those of all ids.
//! - A sign-in that would make too many sessions first ends others, and only then is bound. If the server of the application
//!   dies in between, the user has too few sessions, not too many.

use super::question::Question;
use super::scripts::Call;
use super::{Redis, no_answer, text_of};
use crate::clock::{from_millis, to_millis};
use crate::error::StoreError;
use crate::record::{
    CREATED_AT, Change, Credentials, Device, EVICTION_NOTICE, IndexEntry, OnLimit, PREVIOUS_SECRET_HASH, Page,
    RESERVED, Record, Refusal, SECRET_HASH, SIGN_IN_SECRET_HASH, SIGNED_IN_AT, SecretHash, SessionId, SignIn, Terms,
    USER_ID, UserId, second,
};
use crate::store::saved::seconds;
use crate::store::{Loaded, Outcome, SignedOut};
use futures_util::future::{join_all, try_join_all, try_join3};
use redis::Value;
use std::time::SystemTime;

/// What an index holds: an id, or what another program wrote, and its score.
pub(super) type Entry = (Vec<u8>, f64);

/// How long a sign-in may be on its way at most, in seconds (`HOUR` in index.lua).
const LONGEST_SIGN_IN: f64 = 3600.0;

/// The score of a restore's marker is this, less the time at which the restore began, in seconds (index.lua).
pub(super) const RESTORING: f64 = -1e12;

/// What is to become of an entry: the member, the score that was seen (empty if it was not there), and the new score (empty if it is
/// to be taken out).
pub(super) type Replaced<'a> = (&'a [u8], String, String);

pub(super) type EnlistedAnswer = (String, String, f64, Vec<Entry>);

/// The answer of the script that writes an id to the index.
pub(super) struct Enlisted {
    score: String,
    /// The score that the id had before; empty if the id was not in the index.
    before: String,
    /// The server's time, in seconds.
    now: f64,
    /// The ids whose sign-in was refused long ago. Only if there are too many ids.
    refused: Vec<Entry>,
    /// All other ids in the order of sign-in, if there are too many; otherwise empty.
    ids: Vec<Entry>,
}

impl Enlisted {
    pub(super) fn read((score, before, now, mut refused): EnlistedAnswer) -> Enlisted {
        let ids = refused.split_off(refused.partition_point(|(_, score)| *score < 0.0));
        Enlisted { score, before, now, refused, ids }
    }

    /// Returns whether the id was not in the index before, or was there only as a refused sign-in.
    fn is_new(&self) -> bool {
        self.before.is_empty() || self.before.starts_with('-')
    }

    /// Returns whether another id was written so long ago that its sign-in cannot be on its way any more. If that session has no
    /// user, it is a visitor's session, and its sign-in died.
    fn is_long_there(&self, other: &SessionId) -> bool {
        let is_it = |id: &[u8]| id == other.expose().as_bytes();
        self.ids.iter().any(|(id, score)| is_it(id) && self.is_long_ago(*score))
    }

    fn is_long_ago(&self, score: f64) -> bool {
        score < self.now - LONGEST_SIGN_IN
    }
}

/// What stands behind an id of a user's index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// A session of this user's.
    Theirs,
    /// A visitor's session, whose sign-in is on its way or has died.
    Visitors,
    /// Nothing that can ever be one of this user's sessions: the record is missing, or it belongs to another user.
    Ghost,
}

/// What became of a session that was to be ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The session was the user's, and has ended.
    Ended,
    /// The session has ended before its user was bound.
    Unbound,
    /// There was no session.
    Missing,
    /// The secret that the browser sent does not open the session, and the session lives on.
    Stale,
    /// The session belongs to another user, and lives on.
    NotTheirs,
}

impl Redis {
    /// Binds a user to a session: two round trips, and three more if the user then has too many sessions.
    pub(super) async fn sign_in(
        &self,
        presented: &Credentials,
        change: &Change,
        new: &SignIn,
        loaded: Option<&Loaded>,
        terms: &Terms,
    ) -> Result<Outcome, StoreError> {
        let lifetime = new.absolute_lifetime.unwrap_or(terms.absolute_lifetime);
        let index = self.prefix.user(&new.user);
        let mut script = Call::new(&self.scripts.enlist, &index);
        script.arg(presented.id.expose()).arg(lifetime.as_secs()).arg(new.max_sessions).arg(policy_of(new));
        let enlisted = Enlisted::read(self.server.ask(&index, Question::Script(&script)).await?);
        let evicted = match enlisted.ids.is_empty() {
            true => Ok(Vec::new()),
            false => self.make_room(presented, change, new, &enlisted, terms).await?,
        };
        let refusal = match evicted {
            Ok(evicted) => match self.change(presented, change, loaded, terms).await? {
                Outcome::Done { loaded, .. } => return Ok(Outcome::done(loaded, evicted)),
                Outcome::Refused(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        // if the session is gone, its id leads to nothing that could be ended; the script for the limit marks what it refuses
        let is_still_there = !matches!(refusal, Refusal::Gone | Refusal::LimitReached);
        if is_still_there {
            self.take_back(&presented.id, &new.user, &enlisted).await.unwrap_or_else(|error| {
                tracing::warn!(target: "cloakroom", session = %presented.id, %error,
                    "a refused sign-in was not taken out of the index");
            });
        }
        Ok(Outcome::Refused(refusal))
    }

    /// Undoes that an id was written to the index, because its sign-in was refused afterwards: one round trip, or two for an id
    /// that was not there before. The session is still the visitor's. It does not count as one of the user's sessions and does
    /// not end with them, unless another sign-in has bound it in the meantime.
    async fn take_back(&self, id: &SessionId, user: &UserId, enlisted: &Enlisted) -> Result<(), StoreError> {
        if enlisted.is_new() && !self.is_not_theirs(id.expose().as_bytes(), user).await? {
            return Ok(());
        }
        // An id that was there before gets its former score. One that was not stays, marked, because another sign-in of the same
        // session may be on its way. If that has written the id since, the id has another score, and stays as it is.
        let former = if enlisted.is_new() { format!("-{}", enlisted.score) } else { enlisted.before.clone() };
        let entry = (id.expose().as_bytes(), enlisted.score.clone(), former);
        self.replace(&self.prefix.user(user), None, &[entry]).await.map(drop)
    }

    /// Writes a session's id into the index again, in the same flight as a touch. So if a failover has lost acknowledged writes,
    /// the index misses the session only until the session's next touch.
    pub(super) async fn relist(&self, id: &SessionId, listed: &IndexEntry) {
        match self.list_again(id, listed).await {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(target: "cloakroom", session = %id, "the index had lost a session, and has it again")
            }
            Err(error) => tracing::warn!(target: "cloakroom", session = %id, %error, "the index was not looked after"),
        }
    }

    /// Writes a session's id into the index with the time of its sign-in, unless the id is there already. Returns whether the id
    /// was missing, or was there as a refused sign-in.
    async fn list_again(&self, id: &SessionId, listed: &IndexEntry) -> Result<bool, StoreError> {
        let index = self.prefix.user(&listed.user);
        let entry = |seen| (id.expose().as_bytes(), seen, seconds(listed.signed_in_at));
        let (listed_again, found) = self.replace(&index, Some(listed.expires_at), &[entry(String::new())]).await?;
        if !found.starts_with('-') {
            return Ok(listed_again == 1);
        }
        Ok(self.replace(&index, Some(listed.expires_at), &[entry(found)]).await?.0 == 1)
    }

    /// Changes entries of an index, one after the other, as long as each is what was seen: one round trip. Returns how many were
    /// changed, and the score of the first that is something else by now. Keeps the index until an hour after a deadline, if there is
    /// one.
    pub(super) async fn replace(
        &self,
        index: &str,
        deadline: Option<SystemTime>,
        entries: &[Replaced<'_>],
    ) -> Result<(usize, String), StoreError> {
        let mut script = Call::new(&self.scripts.entries, index);
        match deadline {
            Some(deadline) => script.arg(to_millis(deadline)),
            None => script.arg(""),
        };
        for (member, seen, score) in entries {
            script.arg(member).arg(seen).arg(score);
        }
        self.server.ask(index, Question::Script(&script)).await
    }

    /// Ends the sessions over the limit. Ends no session if the limit refuses the new one instead, or if the new one cannot be
    /// bound anyway.
    async fn make_room(
        &self,
        presented: &Credentials,
        change: &Change,
        new: &SignIn,
        enlisted: &Enlisted,
        terms: &Terms,
    ) -> Result<Result<Vec<SessionId>, Refusal>, StoreError> {
        let Enlisted { score, ids, refused, .. } = enlisted;
        let behind = try_join_all(ids.iter().map(|(id, _)| self.behind(id, &new.user)));
        let strangers = try_join_all(refused.iter().map(|(id, _)| self.is_not_theirs(id, &new.user)));
        let judged = self.refuses(presented, change, new, enlisted.now, terms);
        let (behind, strangers, judged) = try_join3(behind, strangers, judged).await?;
        let is_bound = match judged {
            Ok(is_bound) => is_bound,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let index = self.prefix.user(&new.user);
        let mut script = Call::new(&self.scripts.choose, &index);
        // a session that is bound to the user counts, even if the index did not know it
        let may_be_marked = enlisted.is_new() && !is_bound;
        script.arg(policy_of(new)).arg(new.max_sessions).arg(presented.id.expose());
        script.arg(if may_be_marked { score } else { "" });
        // A sign-in that died has left a visitor's session here, which counts no more. It may be signed in again at this moment, so it
        // is marked, as one that was refused; but never the sign-in that is being made now.
        let own = presented.id.expose().as_bytes();
        for ((id, score), behind) in ids.iter().zip(&behind) {
            match behind {
                Behind::Visitors if enlisted.is_long_ago(*score) && id != own => script.arg(id).arg(score).arg(-score),
                Behind::Ghost => script.arg(id).arg(score).arg(""),
                _ => continue,
            };
        }
        for ((id, score), _) in refused.iter().zip(strangers).filter(|(_, is_stranger)| *is_stranger) {
            script.arg(id).arg(score).arg("");
        }
        let chosen: Vec<String> = self.server.ask(&index, Question::Script(&script)).await?;
        if new.on_limit == OnLimit::RefuseNew {
            return Ok(if chosen.is_empty() { Ok(Vec::new()) } else { Err(Refusal::LimitReached) });
        }
        let victims: Vec<_> = chosen.iter().filter_map(|id| SessionId::parse(id).ok()).collect();
        let notice = EVICTION_NOTICE.as_secs();
        let endings = victims.iter().map(|victim| {
            let must_be_bound = enlisted.is_long_there(victim);
            self.end(victim, new.user.as_str(), must_be_bound, notice, None)
        });
        let endings = try_join_all(endings).await?;
        let ended = victims.into_iter().zip(endings).filter(|(_, ending)| *ending == Ending::Ended);
        Ok(Ok(ended.map(|(victim, _)| victim).collect()))
    }

    /// Returns whether the session is bound to the user already, or why the sign-in cannot be done, as far as this can be known
    /// beforehand. No session must be ended for a sign-in that cannot be done.
    async fn refuses(
        &self,
        presented: &Credentials,
        change: &Change,
        new: &SignIn,
        now: f64,
        terms: &Terms,
    ) -> Result<Result<bool, Refusal>, StoreError> {
        let names = [SECRET_HASH, PREVIOUS_SECRET_HASH, SIGN_IN_SECRET_HASH, USER_ID, CREATED_AT, SIGNED_IN_AT];
        let values = self.some_fields(&presented.id, &names).await?;
        // the notice of an eviction has a secret too, but no time of creation
        let Some(values) = values.filter(|values| values[4].is_some()) else {
            return Ok(Err(Refusal::Gone));
        };
        let hash = |place: usize| values[place].as_deref().and_then(SecretHash::parse);
        let is_asked_again = hash(0).is_some() && hash(0) == change.new_secret();
        let is_presented = |place| hash(place).is_some() && hash(place) == presented.secret_hash;
        // for a while, the secret from before the latest sign-in may ask for that sign-in once more
        let now = from_millis((now * 1000.0) as u64);
        let is_in_grace = values[5].as_deref().and_then(second).is_some_and(|at| terms.holds_sign_in(at, now));
        let is_known = is_presented(0) || is_presented(1) || is_presented(2) && is_in_grace;
        let is_taken = values[3].as_ref().is_some_and(|user| user != new.user.as_str());
        Ok(match (is_asked_again || is_known) && !is_taken {
            true => Ok(values[3].is_some()),
            false if hash(0).is_none() => Err(Refusal::Gone),
            false => Err(Refusal::Conflict),
        })
    }

    /// Ends one session of any user: one round trip. A bare DEL would be wrong, because the notice for an evicted browser stands
    /// at the same key, and is not a session.
    pub(super) async fn end_any(&self, id: &SessionId) -> Result<u64, StoreError> {
        let ending = self.end(id, "", false, 0, None).await.map_err(|error| ended_all_the_same(error, 1))?;
        Ok(matches!(ending, Ending::Ended | Ending::Unbound).into())
    }

    /// Ends the session if the browser's credentials open it: one round trip.
    pub(super) async fn end_own(&self, presented: &Credentials) -> Result<SignedOut, StoreError> {
        let ending = self.end(&presented.id, "", false, 0, presented.secret_hash.as_ref()).await;
        Ok(match ending.map_err(|error| ended_all_the_same(error, 1))? {
            Ending::Ended | Ending::Unbound => SignedOut::Ended,
            Ending::Missing => SignedOut::Gone,
            Ending::Stale | Ending::NotTheirs => SignedOut::Stale,
        })
    }

    /// Ends one session if it is this user's: one round trip.
    pub(super) async fn end_one(&self, user: &UserId, id: &SessionId) -> Result<u64, StoreError> {
        let ending = self.end(id, user.as_str(), true, 0, None).await.map_err(|error| ended_all_the_same(error, 1))?;
        Ok((ending == Ending::Ended).into())
    }

    /// Ends all sessions of a user, except `kept`. First asks the index, and then ends all sessions in one parallel flight.
    /// Returns how many of them were bound to the user. Their entries stay in the index until they are pruned.
    pub(super) async fn end_all(&self, user: &UserId, kept: Option<&SessionId>) -> Result<u64, StoreError> {
        let all = self.ids_of(user, kept).await?;
        let endings = all
            .into_iter()
            .map(async |(id, bound)| self.end(&id, user.as_str(), bound, 0, None).await)
            .collect::<Vec<_>>();
        let mut ended = 0;
        let mut failure = None;
        for ending in join_all(endings).await {
            match ending {
                Ok(ending) => ended += u64::from(ending == Ending::Ended),
                // the other sessions have ended, but the caller must learn that this one may live on
                Err(error) => {
                    ended += u64::from(error.is_not_durable());
                    if failure.as_ref().is_none_or(StoreError::is_not_durable) {
                        failure = Some(error);
                    }
                }
            }
        }
        failure.map_or(Ok(ended), |error| Err(error.after_ending(ended)))
    }

    /// Returns the ids of a user's sessions except `kept`, and whether each ends only if it is bound to the user: one round trip, and two
    /// more while sessions are restored. A session that is just being restored is among them, and its marker is taken away. By that
    /// the restore sees that it must end what it makes.
    async fn ids_of(&self, user: &UserId, kept: Option<&SessionId>) -> Result<Vec<(SessionId, bool)>, StoreError> {
        let index = self.prefix.user(user);
        let (mut entries, mut now) = self.entries(&index).await?;
        let restored = |member: &[u8]| restored_by(member).filter(|id| kept != Some(id));
        let markers: Vec<Entry> = entries.iter().filter(|(member, _)| restored(member).is_some()).cloned().collect();
        if !markers.is_empty() {
            self.prune(&index, &markers).await?;
            (entries, now) = self.entries(&index).await?;
        }
        let ids = entries.iter().filter(|(_, score)| *score > RESTORING).filter_map(|(id, score)| {
            // A sign-in that was written more than an hour ago is not on its way any more: its session was bound, or its server died
            // before that, and then it is a visitor's.
            let must_be_bound = *score < now - LONGEST_SIGN_IN;
            Some((session_of(id)?, must_be_bound))
        });
        let restored = markers.iter().filter_map(|(marker, _)| Some((restored_by(marker)?, true)));
        Ok(ids.chain(restored).filter(|(id, _)| kept != Some(id)).collect())
    }

    /// Reads an index, and returns the server's time in seconds as well: one round trip.
    async fn entries(&self, index: &str) -> Result<(Vec<Entry>, f64), StoreError> {
        let mut flight = redis::pipe();
        flight.cmd("ZRANGE").arg(index).arg(0).arg(-1).arg("WITHSCORES");
        let answer = self.server.answer(index, Question::Read { flight: &flight, asks_time: true }).await?;
        let (entries,) = super::read(answer.value)?;
        Ok((entries, to_millis(answer.time.ok_or_else(no_answer)?.now) as f64 / 1000.0))
    }

    /// Returns a page of a user's sessions: one round trip to the index, and one to the sessions. If there are ghosts on the
    /// page, they are pruned, and the page is read again, because later entries take their place: three more round trips.
    pub(super) async fn devices(&self, user: &UserId, page: Page, terms: &Terms) -> Result<Vec<Device>, StoreError> {
        let index = self.prefix.user(user);
        let mut query = redis::cmd("ZREVRANGEBYSCORE");
        query.arg(&index).arg("+inf").arg(0).arg("WITHSCORES").arg("LIMIT").arg(page.offset).arg(page.limit);
        loop {
            let entries: Vec<Entry> = self.server.ask(&index, Question::Command(&query)).await?;
            let records = try_join_all(entries.iter().map(|(id, _)| self.record_of(id, terms))).await?;
            let mut devices = Vec::new();
            let mut ghosts = Vec::new();
            for (entry, found) in entries.into_iter().zip(records) {
                match found {
                    // a session's user never changes, so another user's session will never be this user's
                    Some((id, record)) if record.user_id.as_ref() == Some(user) => {
                        devices.push(Device::of(id, &record))
                    }
                    Some((_, record)) if record.user_id.is_none() => {}
                    _ => ghosts.push(entry),
                }
            }
            if ghosts.is_empty() {
                return Ok(devices);
            }
            self.prune(&index, &ghosts).await?;
        }
    }

    /// Returns whether an id can never be one of this user's sessions, because its record is missing or belongs to another user.
    pub(super) async fn is_ghost(&self, id: &[u8], user: &UserId) -> Result<bool, StoreError> {
        Ok(self.behind(id, user).await? == Behind::Ghost)
    }

    async fn behind(&self, id: &[u8], user: &UserId) -> Result<Behind, StoreError> {
        let Some(id) = session_of(id) else {
            return Ok(Behind::Ghost);
        };
        // the notice of an eviction stands at the same key, but has no time of creation
        Ok(match self.some_fields(&id, &[CREATED_AT, USER_ID]).await?.as_deref() {
            Some([Some(_), None]) => Behind::Visitors,
            Some([Some(_), Some(owner)]) if owner == user.as_str() => Behind::Theirs,
            _ => Behind::Ghost,
        })
    }

    /// Returns whether an id is not one of this user's sessions now.
    async fn is_not_theirs(&self, id: &[u8], user: &UserId) -> Result<bool, StoreError> {
        let Some(id) = session_of(id) else {
            return Ok(true);
        };
        let owner = self.some_fields(&id, &[USER_ID]).await?.and_then(|mut values| values.swap_remove(0));
        Ok(owner.is_none_or(|owner| owner != user.as_str()))
    }

    /// Reads a session's record without the application's fields. Returns `None` if there is no session.
    async fn record_of(&self, id: &[u8], terms: &Terms) -> Result<Option<(SessionId, Record)>, StoreError> {
        let Some(id) = session_of(id) else {
            return Ok(None);
        };
        let key = self.prefix.session(&id);
        let mut flight = redis::pipe();
        flight.cmd("HMGET").arg(&key).arg(&RESERVED).pttl(&key).ignore_errors();
        let (values, remaining): (Value, i64) = self.server.ask(&key, Question::Flight(&flight)).await?;
        let Some(values) = values_of(values)? else {
            return Ok(None);
        };
        let fields = RESERVED.iter().zip(values).filter_map(|(name, text)| Some((*name, text?)));
        // in its last millisecond (0 remain) a session is still there and may be touched, so it is not a ghost
        let record = Record::from_stored(fields, false, terms).filter(|_| remaining >= 0);
        Ok(record.map(|record| (id, record)))
    }

    /// Reads some fields of a hash. Returns `None` if the key holds something else. A field that is not text counts as absent.
    async fn some_fields(&self, id: &SessionId, names: &[&str]) -> Result<Option<Vec<Option<String>>>, StoreError> {
        let key = self.prefix.session(id);
        let mut flight = redis::pipe();
        flight.cmd("HMGET").arg(&key).arg(names).ignore_errors();
        let (values,): (Value,) = self.server.ask(&key, Question::Flight(&flight)).await?;
        values_of(values)
    }

    async fn end(
        &self,
        id: &SessionId,
        user: &str,
        bound: bool,
        notice: u64,
        shown: Option<&SecretHash>,
    ) -> Result<Ending, StoreError> {
        let key = self.prefix.session(id);
        let mut script = Call::new(&self.scripts.end, &key);
        script.arg(user).arg(u8::from(bound)).arg(notice).arg(text_of(shown));
        // only a sign-in that makes room leaves a notice, and it does not wait for replicas
        let durability = self.durability.as_ref().filter(|_| notice == 0);
        Ok(match self.run(id, &script, durability).await? {
            1 => Ending::Ended,
            0 => Ending::Unbound,
            -1 => Ending::Missing,
            -3 => Ending::Stale,
            _ => Ending::NotTheirs,
        })
    }

    /// Takes ids whose record is missing out of an index. Returns how many it has taken out.
    pub(super) async fn prune(&self, index: &str, missing: &[Entry]) -> Result<u64, StoreError> {
        let mut entries =
            missing.iter().map(|(id, score)| (id.as_slice(), score.to_string(), String::new())).collect::<Vec<_>>();
        let mut taken_out = 0;
        while !entries.is_empty() {
            let (changed, _) = self.replace(index, None, &entries).await?;
            taken_out += changed as u64;
            // one that has another score by now stays
            entries.drain(..entries.len().min(changed + 1));
        }
        Ok(taken_out)
    }
}

/// Adds to an error how many sessions have ended: `sessions` if the revoke was done but is not durable, otherwise 0.
fn ended_all_the_same(error: StoreError, sessions: u64) -> StoreError {
    let ended = if error.is_not_durable() { sessions } else { 0 };
    error.after_ending(ended)
}

/// Returns the answer of HMGET as texts, or `None` if the key holds no hash.
pub(super) fn values_of(values: Value) -> Result<Option<Vec<Option<String>>>, StoreError> {
    if let Value::ServerError(_) = values {
        return Ok(None);
    }
    let values: Vec<Option<Vec<u8>>> = redis::from_redis_value(values).map_err(StoreError::from_client)?;
    Ok(Some(values.into_iter().map(|bytes| String::from_utf8(bytes?).ok()).collect()))
}

/// Returns the session that is about to be made by a restore whose marker this is.
fn restored_by(member: &[u8]) -> Option<SessionId> {
    session_of(member.strip_prefix(b"restoring ")?.split(|byte| *byte == b' ').next()?)
}

/// Returns the session that an entry of an index names. Returns `None` if another program has written something else there.
fn session_of(entry: &[u8]) -> Option<SessionId> {
    SessionId::parse(std::str::from_utf8(entry).ok()?).ok()
}

/// Returns the scripts' name for what happens when there is one session too many.
fn policy_of(new: &SignIn) -> &'static str {
    match new.on_limit {
        OnLimit::EvictOldest => "evict",
        OnLimit::RefuseNew => "refuse",
    }
}
