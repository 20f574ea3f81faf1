//! Moves whole sessions out of this store and into it, many at once on one connection.

use std::time::SystemTime;

use futures_util::future::try_join_all;

use super::Redis;
use super::operate::loaded;
use super::question::Question;
use super::scripts::Call;
use crate::clock::to_millis;
use crate::error::StoreError;
use crate::record::{Record, SessionId, Terms, UserId};
use crate::store::Loaded;
use crate::store::saved::{Restore, Restored, Save, Saved};
use crate::store::saved::{from_micros, seconds, terms_of};

impl Save for Redis {
    /// Takes one round trip, and one more for sessions with a user.
    async fn save(&self, ids: &[SessionId], terms: &Terms) -> Result<Vec<Option<Saved>>, StoreError> {
        try_join_all(ids.iter().map(|id| self.save_one(id, terms))).await
    }
}

impl Restore for Redis {
    /// Takes one round trip, and two more for sessions with a user.
    async fn restore(&self, sessions: &[Saved]) -> Result<Vec<Restored>, StoreError> {
        try_join_all(sessions.iter().map(|saved| self.restore_one(saved))).await
    }
}

impl Redis {
    async fn save_one(&self, id: &SessionId, terms: &Terms) -> Result<Option<Saved>, StoreError> {
        let Some((fields, now)) = self.found(id).await? else { return Ok(None) };
        let terms = terms_of(&fields, id.is_plain(), terms);
        let lives = |loaded: &Loaded| loaded.now < loaded.record.ends_at();
        let Some(loaded) = loaded(&fields, now, id, &terms).filter(lives) else { return Ok(None) };
        let mut saved = Saved { id: *id, record: loaded.record, signed_in_at: None };
        if let Some(user) = &saved.record.user_id {
            saved.signed_in_at = Some(self.place_in_index(id, user, &saved.record).await?);
        }
        Ok(Some(saved))
    }

    /// Returns when a user signed in, by the user's index. If a failover has lost the entry in the index, returns the time
    /// that the session itself has.
    async fn place_in_index(&self, id: &SessionId, user: &UserId, record: &Record) -> Result<SystemTime, StoreError> {
        let index = self.prefix.user(user);
        let query = redis::cmd("ZSCORE").arg(&index).arg(id.expose()).clone();
        let score: Option<f64> = self.server.ask(&index, Question::Command(&query)).await?;
        // a negative score marks a sign-in that was refused; the session belonged to this user before
        let score = score.map(|seconds| from_micros((seconds.abs() * 1e6).round() as u64));
        Ok(score.or(record.signed_in_at).unwrap_or(record.created_at))
    }

    async fn restore_one(&self, saved: &Saved) -> Result<Restored, StoreError> {
        let Saved { id, record, signed_in_at } = saved;
        let Some(user) = &record.user_id else { return self.make(saved).await };
        let index = self.prefix.user(user);
        let signed_in_at = seconds(signed_in_at.or(record.auth_time).unwrap_or(record.created_at));
        // the number keeps apart the markers of two programs that restore the same session
        let marker = format!("restoring {} {signed_in_at} {:016x}", id.expose(), any_number()?);

        let mut script = Call::new(&self.scripts.restoring, &index);
        script.arg(&marker).arg(id.expose()).arg(&signed_in_at).arg(to_millis(record.expires_at));
        let score: Option<String> = self.server.ask(&index, Question::Script(&script)).await?;
        match self.make(saved).await {
            Ok(Restored::Made) => {
                let mut script = Call::new(&self.scripts.restored, &index);
                script.arg(&marker).arg(id.expose()).arg(&signed_in_at).arg(score.unwrap_or_default());
                if self.server.ask(&index, Question::Script(&script)).await? {
                    return Ok(Restored::Made);
                }
                // all of the user's sessions were ended before this session was made
                self.end_any(id).await?;
                Ok(Restored::Ended)
            }
            // The session may have been made. So its marker stays: through it, the session still ends together with the
            // user's others.
            Err(error) if error.is_unknown() => Err(error),
            not_made => {
                let command = redis::cmd("ZREM").arg(&index).arg(&marker).clone();
                let removed: Result<(), StoreError> = self.server.ask(&index, Question::Command(&command)).await;
                if let Err(error) = removed {
                    tracing::warn!(target: "cloakroom", session = %id, %error, "the marker of a restore stays for an hour");
                }
                not_made
            }
        }
    }

    async fn make(&self, saved: &Saved) -> Result<Restored, StoreError> {
        let Saved { id, record, .. } = saved;
        let key = self.prefix.session(id);
        let mut script = Call::new(&self.scripts.restore, &key);
        script.arg(to_millis(record.ends_at()));
        for (name, text) in record.to_stored() {
            script.arg(name).arg(text);
        }
        match self.server.ask::<String>(&key, Question::Script(&script)).await?.as_str() {
            "made" => Ok(Restored::Made),
            "taken" => Ok(Restored::Taken),
            "ended" => Ok(Restored::Ended),
            _ => Err(StoreError::unknown("a script answered something unknown")),
        }
    }
}

fn any_number() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|_| StoreError::new("the operating system gives no random bytes"))
}
