//! What one request changed. Only this is ever written, never a whole record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use super::Record;
use super::fields::Fields;
use super::outcome::Refusal;
use super::policy::OnLimit;
use super::token::{Credentials, SecretHash, SessionId};
use super::user::UserId;

/// Changes to the fields and the lifetime of a session. Either all of them are made, or none.
///
/// The names are the application's. A store may trust that no name is reserved, empty or too long, and that each name stands
/// in at most one of `set`, `remove` and `add`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldChanges {
    /// Fields to set, with their new text.
    pub set: Fields,
    /// Fields to remove. A field that is not there is no error.
    pub remove: BTreeSet<String>,
    /// Counters to add to. A counter that is not there starts at 0. Its text is a canonical `i64` before and after.
    pub add: BTreeMap<String, i64>,
    /// What must still be true of some fields: a field's text, or its absence. Otherwise nothing changes, and the answer is a
    /// conflict.
    pub expect: BTreeMap<String, Option<String>>,
    /// A new idle timeout for this session, in whole seconds.
    pub idle_timeout: Option<Duration>,
    /// A deadline of its own for this session, in whole seconds, or `Some(None)` to take it away. It never lets the session live
    /// longer than its absolute lifetime.
    pub own_deadline: Option<Option<SystemTime>>,
}

impl FieldChanges {
    /// Returns true if nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty() && self.add.is_empty() && !self.changes_lifetime()
    }

    /// Returns true if the session gets an idle timeout or a deadline of its own, or loses its own deadline.
    pub fn changes_lifetime(&self) -> bool {
        self.idle_timeout.is_some() || self.own_deadline.is_some()
    }

    pub(crate) fn set(&mut self, name: &str, text: String) {
        self.remove.remove(name);
        self.set.insert(name, text);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.set.remove(name);
        self.remove.insert(name.to_owned());
    }
}

/// What one call does to a live session.
#[derive(Debug, Clone, PartialEq, Eq)]
// The largest variant is also the rarest. To box its content would cost more than it saves.
#[allow(clippy::large_enum_variant)]
pub enum Change {
    /// Stores what a request has changed, or only that the session was in use.
    Save(Save),
    /// Gives the session a new secret. What the request has changed is stored in the same step.
    Rotate(Rotation),
    /// Binds a user to the session, which gets a new secret. No earlier secret opens the session afterwards.
    SignIn {
        /// The user, and the terms of the sign-in.
        new: SignIn,
        /// The hash of the new secret.
        secret_hash: SecretHash,
    },
}

/// What a request stores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Save {
    /// Fields and idle timeout.
    pub fields: FieldChanges,
    /// Whether the session was in use, which extends the idle timeout from now.
    pub touch: bool,
    /// Whether the credentials came from the browser. If their secret is the current one, the browser has it, and the grace of
    /// the held previous secret begins.
    pub confirm: bool,
    /// The entry in the index of the user's sessions, as it was last seen. A store whose index can lose an id (by a failover)
    /// writes it again. Given when a touch is due.
    pub listed: Option<IndexEntry>,
}

/// A new secret for a session. A rotation extends the idle timeout, because the session is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The hash of the new secret. The presented secret becomes the held previous one.
    pub secret_hash: SecretHash,
    /// Whether the presented secret is worthless immediately, instead of being held.
    pub drop_previous: bool,
    /// Fields and idle timeout.
    pub fields: FieldChanges,
}

impl Change {
    /// Returns the sign-in for which room has to be made among its user's sessions ([`SignIn::make_room`]), judged by the
    /// record before the change. `None` if this is no sign-in, if the sign-in was made before, or if it may only repeat one.
    pub fn needs_room<'a>(&'a self, before: &Record) -> Option<&'a SignIn> {
        self.sign_in().filter(|new| !self.was_made_in(before) && !new.only_again)
    }

    /// Returns the hash of the secret that the session gets, if it gets one.
    pub fn new_secret(&self) -> Option<SecretHash> {
        match self {
            Change::Save(_) => None,
            Change::Rotate(rotation) => Some(rotation.secret_hash),
            Change::SignIn { secret_hash, .. } => Some(*secret_hash),
        }
    }

    /// Returns what the change does to the fields and the lifetime. A sign-in does not say it in this way.
    pub fn fields(&self) -> Option<&FieldChanges> {
        match self {
            Change::Save(save) => Some(&save.fields),
            Change::Rotate(rotation) => Some(&rotation.fields),
            Change::SignIn { .. } => None,
        }
    }

    /// Returns the deadline that the session is to get, if it is to get one.
    pub(crate) fn own_deadline(&self) -> Option<SystemTime> {
        match self {
            Change::SignIn { new, .. } => new.own_deadline,
            Change::Save(_) | Change::Rotate(_) => self.fields()?.own_deadline?,
        }
    }

    /// Returns the sign-in, if the change is one.
    pub fn sign_in(&self) -> Option<&SignIn> {
        match self {
            Change::SignIn { new, .. } => Some(new),
            Change::Save(_) | Change::Rotate(_) => None,
        }
    }

    /// Returns true if the session was in use, which extends its idle timeout from now.
    pub fn touches(&self) -> bool {
        match self {
            Change::Save(save) => save.touch || save.fields.changes_lifetime(),
            Change::Rotate(_) | Change::SignIn { .. } => true,
        }
    }

    /// Returns true if this change rotates to the secret that is already the current one.
    pub(crate) fn was_made_in(&self, record: &Record) -> bool {
        self.new_secret().is_some_and(|new| record.secret_hash == Some(new))
    }

    /// Returns true if the change only extends the session.
    pub(crate) fn is_touch(&self) -> bool {
        matches!(self, Change::Save(save) if save.touch && save.fields.is_empty())
    }
}

impl From<Save> for Change {
    fn from(save: Save) -> Change {
        Change::Save(save)
    }
}

impl From<Rotation> for Change {
    fn from(rotation: Rotation) -> Change {
        Change::Rotate(rotation)
    }
}

/// What the index of a user's sessions says about one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The user of the session.
    pub user: UserId,
    /// When the user signed in.
    pub signed_in_at: SystemTime,
    /// The session's absolute deadline.
    pub expires_at: SystemTime,
}

/// A user who is to be bound to a session, and the terms of the sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The user who signs in.
    pub user: UserId,
    /// An idle timeout for this session instead of the configured one.
    pub idle_timeout: Option<Duration>,
    /// An absolute lifetime, from now, instead of the configured one.
    pub absolute_lifetime: Option<Duration>,
    /// A deadline of its own for this session, in whole seconds. With `None` the session keeps the one that it has.
    pub own_deadline: Option<SystemTime>,
    /// How long the browser keeps the cookie, instead of the configured time. Zero means until the browser is closed.
    pub cookie_max_age: Option<Duration>,
    /// When the user proved who they are, if that was not just now.
    pub auth_time: Option<SystemTime>,
    /// A label for the list of devices.
    pub device: Option<String>,
    /// The address, for the list of devices.
    pub ip: Option<String>,
    /// Whether the fields that the visitor had before are dropped.
    pub discard_fields: bool,
    /// How many sessions this user may have.
    pub max_sessions: usize,
    /// What happens if the user has more sessions than that.
    pub on_limit: OnLimit,
    /// Whether this may only repeat the sign-in that was just made, with the secret that it replaced, as after a second
    /// click. Any other sign-in is then refused. The session is the user's already, so a store does not change the limit or
    /// the order of the user's sessions.
    pub only_again: bool,
}

impl SignIn {
    /// Returns a sign-in with the configured lifetimes and no label or address, under this limit.
    pub fn new(user: UserId, max_sessions: usize, on_limit: OnLimit) -> SignIn {
        SignIn {
            user,
            idle_timeout: None,
            absolute_lifetime: None,
            own_deadline: None,
            cookie_max_age: None,
            auth_time: None,
            device: None,
            ip: None,
            discard_fields: false,
            max_sessions,
            on_limit,
            only_again: false,
        }
    }

    /// Decides which sessions must end so that a session can sign in, by the limit on the user's sessions.
    ///
    /// `signed_in` are the user's live sessions in the order of sign-in, the oldest first. The session that signs in may be
    /// among them. Returns the sessions that must end, the oldest first, and whether the session becomes the latest. Usually
    /// it does. It stays in its place if it is the user's already and the limit was lowered since and refuses new sessions.
    ///
    /// # Errors
    /// [`Refusal::LimitReached`] where the user has too many sessions and the policy is [`OnLimit::RefuseNew`].
    pub fn make_room(&self, id: SessionId, signed_in: &[SessionId]) -> Result<(Vec<SessionId>, bool), Refusal> {
        let place = signed_in.iter().position(|other| *other == id).unwrap_or(signed_in.len());
        let mut others: Vec<_> = signed_in.iter().filter(|other| **other != id).copied().collect();
        let too_many = (others.len() + 1).saturating_sub(self.max_sessions);
        if too_many > 0 && self.on_limit == OnLimit::RefuseNew {
            return if place < self.max_sessions { Ok((Vec::new(), false)) } else { Err(Refusal::LimitReached) };
        }
        others.truncate(too_many);
        Ok((others, true))
    }
}

/// A session that is to be made.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The session's id and the hash of its secret. Without a hash, the session is a plain token.
    pub presented: Credentials,
    /// The application's fields, as text.
    pub fields: Fields,
    /// The session's own idle timeout in whole seconds, if it differs from the configured one.
    pub idle_timeout: Option<Duration>,
    /// A deadline of its own for the session, in whole seconds.
    pub own_deadline: Option<SystemTime>,
}

/// Which sessions to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One session, whosever it is.
    Session(SessionId),
    /// One session, but only if it belongs to this user.
    SessionOf(UserId, SessionId),
    /// All sessions of a user except one.
    OthersOf(UserId, SessionId),
    /// All sessions of a user.
    AllOf(UserId),
}

impl Target {
    /// Returns the session, if the target is a single one.
    pub(crate) fn session(&self) -> Option<&SessionId> {
        match self {
            Target::Session(id) | Target::SessionOf(_, id) => Some(id),
            Target::OthersOf(..) | Target::AllOf(_) => None,
        }
    }
}
