//! What a store holds for one session.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::{from_millis, to_millis};

mod apply;
mod change;
mod device;
mod field;
mod fields;
mod outcome;
mod policy;
mod stored;
mod terms;
mod token;
mod user;
pub(crate) mod value;

pub(crate) use apply::*;
pub use change::*;
pub use device::*;
pub use field::*;
pub use fields::*;
pub use outcome::*;
pub use policy::*;
pub use stored::*;
pub use terms::*;
pub use token::*;
pub use user::*;

/// How long a store remembers that a session was evicted, so that its next request can learn why it ended: five minutes.
pub const EVICTION_NOTICE: Duration = Duration::from_secs(5 * 60);

/// One session, as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The application's fields.
    pub fields: Fields,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it was last extended: the idle timeout runs from here.
    pub last_accessed_at: SystemTime,
    /// How long without a request: the field `session_ttl`, whole seconds.
    pub idle_timeout: Duration,
    /// The absolute deadline, to the second.
    pub expires_at: SystemTime,
    /// The hash of the secret that opens it; `None` with plain tokens.
    pub secret_hash: Option<SecretHash>,
    /// The secret before the last rotation, while it is held.
    pub previous: Option<Previous>,
    /// When the secret was last rotated.
    pub rotated_at: Option<SystemTime>,
    /// Who is signed in. Once set it never changes.
    pub user_id: Option<UserId>,
    /// When that user proved who they are: at the sign-in, or earlier, where an identity provider said so.
    pub auth_time: Option<SystemTime>,
    /// When the user last signed in here, to the second. The absolute lifetime runs from then.
    pub signed_in_at: Option<SystemTime>,
    /// The absolute lifetime that a sign-in granted this session, where it is not the configured one.
    pub absolute_lifetime: Option<Duration>,
    /// How long the browser keeps the cookie, where a sign-in chose that; zero stands for until it is closed.
    pub cookie_max_age: Option<Duration>,
    /// The secret that the last sign-in replaced. It opens nothing. A second click that still brings it is the same
    /// sign-in, for as long as [`rotation_grace`](Terms::rotation_grace).
    pub sign_in_secret_hash: Option<SecretHash>,
    /// A label for the list of devices.
    pub device: Option<String>,
    /// The address, for the list of devices.
    pub ip: Option<String>,
}

/// The secret before the last rotation: for requests that were on their way, or whose answer got lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// Its hash.
    pub secret_hash: SecretHash,
    /// Until when it reads; `None` until the new secret is first presented, for so long the browser may not have it.
    pub until: Option<SystemTime>,
}

impl Record {
    /// The record of a new session, or why its fields do not fit.
    ///
    /// # Errors
    /// The [`Refusal::Invalid`] that says which limit is exceeded.
    pub fn new(new: &NewSession, terms: &Terms, now: SystemTime) -> Result<Record, Refusal> {
        check_size(&new.fields, terms)?;
        Ok(Record {
            fields: new.fields.clone(),
            created_at: now,
            last_accessed_at: now,
            idle_timeout: new.idle_timeout.unwrap_or(terms.idle_timeout).min(terms.absolute_lifetime),
            expires_at: whole_second(now + terms.absolute_lifetime),
            secret_hash: new.presented.secret_hash,
            previous: None,
            rotated_at: None,
            user_id: None,
            auth_time: None,
            signed_in_at: None,
            absolute_lifetime: None,
            cookie_max_age: None,
            sign_in_secret_hash: None,
            device: None,
            ip: None,
        })
    }

    /// When it ends if nobody comes: at its idle timeout or its absolute deadline, whichever is first.
    pub fn ends_at(&self) -> SystemTime {
        (self.last_accessed_at + self.idle_timeout).min(self.expires_at)
    }

    /// The longest idle timeout that this session may have: the configured absolute lifetime, or its own where that is
    /// longer.
    pub(crate) fn longest_idle(&self, terms: &Terms) -> Duration {
        let own = self.expires_at.duration_since(self.signed_in_at.unwrap_or(self.created_at));
        own.unwrap_or_default().max(terms.absolute_lifetime)
    }

    /// Whether what is presented is the current secret or the held previous one, whatever its grace.
    pub fn is_opened_by(&self, presented: &Credentials) -> bool {
        presented.secret_hash == self.secret_hash
            || self.previous.is_some_and(|held| presented.secret_hash == Some(held.secret_hash))
    }

    /// What is presented opens at this time. Compares in constant time.
    pub fn look_up(self: Arc<Record>, presented: &Credentials, now: SystemTime) -> Lookup {
        if now >= self.ends_at() {
            return Lookup::Gone;
        }
        if presented.secret_hash == self.secret_hash {
            return Lookup::Live(Loaded { record: self, now });
        }
        match self.previous {
            Some(held) if presented.secret_hash == Some(held.secret_hash) => match held.until {
                Some(until) if now >= until => Lookup::Replayed(Loaded { record: self, now }),
                _ => Lookup::Live(Loaded { record: self, now }),
            },
            _ => Lookup::Gone,
        }
    }
}

/// Deadlines are kept in whole seconds, rounded down: nothing lives longer than it should.
fn whole_second(time: SystemTime) -> SystemTime {
    from_millis(to_millis(time) / 1000 * 1000)
}

#[cfg(test)]
mod tests;
