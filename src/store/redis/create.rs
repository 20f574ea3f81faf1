//! How a session is made: planned here, at the server's time as it was last asked for, and written by a script that compares that
//! time with the server's clock.

use std::time::SystemTime;

use redis::Value;

use super::scripts::Call;
use super::{Pair, Redis, packed, pairs_of, read, texts_of};
use crate::clock::{from_millis, to_millis};
use crate::error::StoreError;
use crate::record::{self, NewSession, Record, Refusal, SecretHash, SessionId, Terms};
use crate::store::{Loaded, Outcome};

/// How often a new session is planned at most. Each time but the first, its plan has come too late.
const ATTEMPTS: usize = 16;

/// What the script answers.
pub(super) enum Creation {
    Made,
    /// Something was there already, with these fields; none if it is no hash.
    There {
        now: SystemTime,
        packed: Vec<u8>,
    },
    /// The time with which it was planned is too long ago.
    Later,
    /// The session would have ended before it begins.
    Ended,
}

impl Redis {
    /// Makes a session, and answers the same when it is asked again with the same secret hash. One round trip, and another one on
    /// a connection on which nobody has asked for the time for some minutes.
    pub(super) async fn create_as_planned(&self, new: &NewSession, terms: &Terms) -> Result<Outcome, StoreError> {
        if let Err(refusal) = record::check_size(&new.fields, terms) {
            return Ok(Outcome::Refused(refusal));
        }
        let key = self.prefix.session(&new.presented.id);
        let mut now = self.guess_time(&key).await?;
        for attempt in 0..ATTEMPTS {
            match Record::new(new, terms, now) {
                Ok(record) => match self.make(&new.presented.id, &record, Some(now)).await? {
                    Creation::Made => return Ok(Outcome::done(Loaded { record: record.into(), now }, Vec::new())),
                    Creation::There { now, packed } => {
                        let pairs = packed::unpack(&packed);
                        let pairs = pairs.ok_or(StoreError::unknown("a script's answer cannot be read"))?;
                        return was_there(pairs, now, new, terms);
                    }
                    Creation::Later | Creation::Ended => now = self.time(&key).await?,
                },
                // Its own deadline has passed, perhaps only by a time that was guessed. If it was made before, the answer is the same.
                Err(refusal) => {
                    let (hash, _, asked) = self.read_with_time(&new.presented.id).await?;
                    let pairs = pairs_of(&hash)?;
                    if !pairs.is_empty() {
                        return was_there(pairs, asked, new, terms);
                    }
                    if attempt > 0 {
                        return Ok(Outcome::Refused(refusal));
                    }
                    now = asked;
                }
            }
        }
        Err(StoreError::new("the server is too slow to make a session"))
    }

    /// Makes a session, if there is nothing at its key. Without the time with which it was planned, it is a session that another
    /// store holds. One round trip.
    pub(super) async fn make(
        &self,
        id: &SessionId,
        record: &Record,
        planned: Option<SystemTime>,
    ) -> Result<Creation, StoreError> {
        let key = self.prefix.session(id);
        let mut script = Call::new(&self.scripts.make, &key);
        match planned {
            Some(now) => script.arg(to_millis(now)),
            None => script.arg(""),
        };
        script.arg(to_millis(record.ends_at()));
        for (name, text) in record.to_reserved() {
            script.arg(name).arg(text);
        }
        for (name, text) in record.fields.iter() {
            script.arg(name).arg(text);
        }
        Creation::read(self.run(id, &script, None).await?)
    }
}

impl Creation {
    pub(super) fn read(answer: Vec<Value>) -> Result<Creation, StoreError> {
        let mut answer = answer.into_iter();
        let mut next = || answer.next().ok_or(StoreError::unknown("a script's answer is too short"));
        match read::<String>(next()?)?.as_str() {
            "made" => Ok(Creation::Made),
            "later" => Ok(Creation::Later),
            "ended" => Ok(Creation::Ended),
            "there" => Ok(Creation::There { now: from_millis(read(next()?)?), packed: read(next()?)? }),
            _ => Err(StoreError::unknown("a script answered something unknown")),
        }
    }
}

/// Returns the outcome of creating a session at whose key something was found: the same session, if it was made before and its
/// answer was lost.
pub(super) fn was_there(
    pairs: Vec<Pair<'_>>,
    now: SystemTime,
    new: &NewSession,
    terms: &Terms,
) -> Result<Outcome, StoreError> {
    let stored = texts_of(pairs);
    if stored.is_empty() {
        return Err(StoreError::refused("WRONGTYPE", "what stands at the key of a new session is no hash"));
    }
    let field = |name| stored.iter().find(|(other, _)| *other == name).map(|(_, text)| *text);
    let is_evicted = field(record::ENDED).is_some() && field(record::CREATED_AT).is_none();
    let is_theirs = match new.presented.secret_hash {
        Some(hash) => field(record::SECRET_HASH).and_then(SecretHash::parse) == Some(hash),
        None => true,
    };
    if is_evicted || !is_theirs {
        // a session that was evicted was made once, and is not made again
        return Ok(Outcome::Refused(Refusal::Conflict));
    }
    let record = Record::from_stored(stored, new.presented.secret_hash.is_none(), terms);
    let record = record.ok_or(StoreError::unknown("what stands at the key of a new session is no session"))?;
    Ok(Outcome::done(Loaded { record: record.into(), now }, Vec::new()))
}
