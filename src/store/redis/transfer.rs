//! Moves whole sessions out of this store and into it, many at once on one connection.

use std::time::SystemTime;

use futures_util::future::try_join_all;

use super::Redis;
use super::create::Creation;
use super::index::RESTORING;
use super::operate::loaded;
use super::question::Question;
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
        let Some(user) = &record.user_id else { return self.make_saved(saved).await };
        let index = self.prefix.user(user);
        let signed_in_at = seconds(signed_in_at.or(record.auth_time).unwrap_or(record.created_at));
        // the number keeps apart the markers of two programs that restore the same session
        let marker = format!("restoring {} {signed_in_at} {:016x}", id.expose(), any_number()?);

        let began = RESTORING - to_millis(self.guess_time(&index).await?) as f64 / 1000.0;
        let (began, id_bytes) = (format!("{began:.3}"), id.expose().as_bytes());
        let marked = (marker.as_bytes(), String::new(), began.clone());
        let entered = (id_bytes, String::new(), beside(&signed_in_at));
        // whoever finds the id without a session may take it out: the last step writes it again
        let (count, held) = self.replace(&index, Some(record.expires_at), &[marked, entered]).await?;
        let score = if count == 2 { beside(&signed_in_at) } else { held };
        match self.make_saved(saved).await {
            Ok(Restored::Made) => {
                // Somebody may have found the id when its session was missing, and be about to take it out: it needs another score.
                let is_same = score.parse::<f64>().ok() == signed_in_at.parse().ok();
                let after = if is_same { beside(&signed_in_at) } else { signed_in_at };
                if self.end_restore(&index, id_bytes, score, after, (marker.as_bytes(), began)).await? {
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
                let removed = self.replace(&index, None, &[(marker.as_bytes(), began, String::new())]).await;
                if let Err(error) = removed {
                    tracing::warn!(target: "cloakroom", session = %id, %error, "the marker of a restore stays in the index");
                }
                not_made
            }
        }
    }

    /// The last step of a restore that has made its session: writes the id as it stays, and takes the marker away. Returns `false` if
    /// the marker was gone, because the user's sessions were ended meanwhile.
    async fn end_restore(
        &self,
        index: &str,
        id: &[u8],
        mut seen: String,
        score: String,
        (marker, began): (&[u8], String),
    ) -> Result<bool, StoreError> {
        loop {
            let entries = [(id, seen, score.clone()), (marker, began.clone(), String::new())];
            match self.replace(index, None, &entries).await? {
                (0, held) => seen = held, // another program has written the id, or taken it out
                (changed, _) => return Ok(changed == 2),
            }
        }
    }

    async fn make_saved(&self, saved: &Saved) -> Result<Restored, StoreError> {
        match self.make(&saved.id, &saved.record, None).await? {
            Creation::Made => Ok(Restored::Made),
            Creation::There { .. } => Ok(Restored::Taken),
            Creation::Ended => Ok(Restored::Ended),
            Creation::Later => Err(StoreError::unknown("a script answered something unknown")),
        }
    }
}

/// Returns another score for the same time of sign-in, in the same microsecond: scores are a quarter of one apart.
fn beside(score: &str) -> String {
    format!("{:.8}", score.parse::<f64>().unwrap_or_default() + 0.000_000_25)
}

fn any_number() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|_| StoreError::new("the operating system gives no random bytes"))
}
