//! The record of a session: what a store keeps for it.

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

/// A session, as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The application's fields.
    pub fields: Fields,
    /// When the session was created.
    pub created_at: SystemTime,
    /// When the session was last extended. The idle timeout counts from here.
    pub last_accessed_at: SystemTime,
    /// The idle timeout, in whole seconds: the field `session_ttl`.
    pub idle_timeout: Duration,
    /// The absolute deadline, in whole seconds: by the absolute lifetime, or its own if that is earlier.
    pub expires_at: SystemTime,
    /// The deadline that the application has given to this session, in whole seconds. `None` if it has given none.
    pub own_deadline: Option<SystemTime>,
    /// The hash of the secret that opens the session, or `None` with plain tokens.
    pub secret_hash: Option<SecretHash>,
    /// The secret before the last rotation, as long as it is held.
    pub previous: Option<Previous>,
    /// When the secret was last rotated.
    pub rotated_at: Option<SystemTime>,
    /// The user who is signed in. Once it is set it never changes.
    pub user_id: Option<UserId>,
    /// When the user proved who they are: at the sign-in, or earlier if an identity provider said so.
    pub auth_time: Option<SystemTime>,
    /// When the user last signed in with this session, in whole seconds. The absolute lifetime counts from here.
    pub signed_in_at: Option<SystemTime>,
    /// The absolute lifetime that a sign-in chose for this session, or `None` for the configured one.
    pub absolute_lifetime: Option<Duration>,
    /// How long the browser keeps the cookie, if a sign-in chose that. Zero means until the browser is closed.
    pub cookie_max_age: Option<Duration>,
    /// The hash of the secret that the last sign-in replaced. It opens nothing. For the time of
    /// [`rotation_grace`](Terms::rotation_grace), a second click that still presents it counts as the same sign-in.
    pub sign_in_secret_hash: Option<SecretHash>,
    /// The label of the device, for the list of devices.
    pub device: Option<String>,
    /// The address of the device, for the list of devices.
    pub ip: Option<String>,
}

/// The secret before the last rotation. It is held for requests that were on their way at the rotation, and for a browser that did not
/// receive the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// The hash of the secret.
    pub secret_hash: SecretHash,
    /// When the secret expires. `None` until the new secret was presented for the first time, because until then the browser may not have
    /// it.
    pub until: Option<SystemTime>,
}

impl Record {
    /// Returns the record of a new session.
    ///
    /// # Errors
    /// Returns a [`Refusal::Invalid`] that says which limit the fields exceed, or that the session's own deadline has passed.
    pub fn new(new: &NewSession, terms: &Terms, now: SystemTime) -> Result<Record, Refusal> {
        check_size(&new.fields, terms)?;
        check_deadline(new.own_deadline, now)?;
        Ok(Record {
            fields: new.fields.clone(),
            created_at: now,
            last_accessed_at: now,
            idle_timeout: new.idle_timeout.unwrap_or(terms.idle_timeout).min(terms.absolute_lifetime),
            expires_at: earlier(whole_second(now + terms.absolute_lifetime), new.own_deadline),
            own_deadline: new.own_deadline,
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

    /// Returns when the session ends if there is no further request: at its idle timeout or its absolute deadline, whichever is first.
    pub fn ends_at(&self) -> SystemTime {
        (self.last_accessed_at + self.idle_timeout).min(self.expires_at)
    }

    /// Returns the longest idle timeout that this session may have: the configured absolute lifetime, or its own if that is longer.
    pub(crate) fn longest_idle(&self, terms: &Terms) -> Duration {
        let own = self.expires_at.duration_since(self.signed_in_at.unwrap_or(self.created_at));
        own.unwrap_or_default().max(terms.absolute_lifetime)
    }

    /// Returns the latest deadline that this session may have: by its absolute lifetime, or its present one if that is later.
    pub(crate) fn latest_deadline(&self, terms: &Terms) -> SystemTime {
        let lifetime = self.absolute_lifetime.unwrap_or(terms.absolute_lifetime);
        whole_second(self.signed_in_at.unwrap_or(self.created_at) + lifetime).max(self.expires_at)
    }

    /// Returns the deadline without the session's own. If that one has replaced it, it is what the lifetime allows, which is
    /// the caller's where the sign-in has not chosen one.
    pub(crate) fn granted_until(&self, terms: &Terms) -> SystemTime {
        match self.own_deadline {
            Some(own) if own <= self.expires_at => self.latest_deadline(terms),
            _ => self.expires_at,
        }
    }

    /// Returns true if the credentials contain the current secret or the held previous one, even after its grace period.
    pub fn is_opened_by(&self, presented: &Credentials) -> bool {
        presented.secret_hash == self.secret_hash
            || self.previous.is_some_and(|held| presented.secret_hash == Some(held.secret_hash))
    }

    /// Returns what the credentials open at this time. Compares in constant time.
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

/// Rounds a deadline down to whole seconds, so that nothing lives longer than it should.
fn whole_second(time: SystemTime) -> SystemTime {
    from_millis(to_millis(time) / 1000 * 1000)
}

/// Returns the deadline of a session that has a deadline of its own, or has none.
fn earlier(deadline: SystemTime, own: Option<SystemTime>) -> SystemTime {
    own.map_or(deadline, |own| own.min(deadline))
}

/// Refuses a deadline that has passed: the session would end while it is being changed.
fn check_deadline(own: Option<SystemTime>, now: SystemTime) -> Result<(), Refusal> {
    match own {
        Some(own) if own <= now => {
            Err(Refusal::Invalid { field: OWN_DEADLINE.to_owned(), reason: DEADLINE_HAS_PASSED })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
