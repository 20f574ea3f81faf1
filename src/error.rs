//! What can go wrong, and what it means for the visitor.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

mod absence;
mod public;

pub(crate) use absence::Absence;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that can go wrong with a session. Opaque: ask it with its predicates.
///
/// It never holds a token or a secret, so it may be logged as it is.
#[derive(Clone)]
pub struct Error(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Config { setting: &'static str, reason: Cow<'static, str> },
    Invalid { what: Cow<'static, str>, reason: Cow<'static, str> },
    Malformed { what: Cow<'static, str>, reason: Cow<'static, str> },
    TooLarge { what: Cow<'static, str>, reason: Cow<'static, str> },
    Store(StoreError),
    Gone(Absence),
    Conflict(Cow<'static, str>),
    HeadSent,
    NoLayer,
    NoRandomness,
    SignedOut(Absence),
    NotRecent,
    Limit { most: usize },
    CrossSite(&'static str),
}

impl Error {
    pub(crate) fn config(setting: &'static str, reason: impl Into<Cow<'static, str>>) -> Error {
        Kind::Config { setting, reason: reason.into() }.into()
    }

    pub(crate) fn invalid(what: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Error {
        Kind::Invalid { what: what.into(), reason: reason.into() }.into()
    }

    /// What was refused may be what the visitor gave: an id, a name, a number, a duration.
    pub(crate) fn malformed(what: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Error {
        Kind::Malformed { what: what.into(), reason: reason.into() }.into()
    }

    pub(crate) fn too_large(what: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Error {
        Kind::TooLarge { what: what.into(), reason: reason.into() }.into()
    }

    pub(crate) fn gone() -> Error {
        Error::gone_because(Absence::Meanwhile)
    }

    pub(crate) fn gone_because(absence: Absence) -> Error {
        Kind::Gone(absence).into()
    }

    pub(crate) fn conflict(what: impl Into<Cow<'static, str>>) -> Error {
        Kind::Conflict(what.into()).into()
    }

    pub(crate) fn head_sent() -> Error {
        Kind::HeadSent.into()
    }

    pub(crate) fn no_layer() -> Error {
        Kind::NoLayer.into()
    }

    pub(crate) fn signed_out(absence: Absence) -> Error {
        Kind::SignedOut(absence).into()
    }

    pub(crate) fn not_recent() -> Error {
        Kind::NotRecent.into()
    }

    pub(crate) fn limit(most: usize) -> Error {
        Kind::Limit { most }.into()
    }

    pub(crate) fn cross_site(reason: &'static str) -> Error {
        Kind::CrossSite(reason).into()
    }

    pub(crate) fn no_randomness() -> Error {
        Kind::NoRandomness.into()
    }

    /// The HTTP status that says it.
    ///
    /// | status | for |
    /// | --- | --- |
    /// | 400 | what a visitor may have given: an id or a field's name that cannot be one, a duration beyond the limits, a counter beyond 64 bits, a value that would not come back as it is (NaN, too deep) |
    /// | 401 | a session that is gone, nobody signed in, a sign-in that is too long ago |
    /// | 403 | a request from another site |
    /// | 409 | a conflict with another request, or one session too many |
    /// | 413 | a value or a field that does not fit into the session |
    /// | 500 | mistakes in the application: its configuration, a type that cannot be written as JSON, a stored text that is no value of the type, a missing layer, a change after the response head |
    /// | 503 | the store, or the operating system's random generator |
    pub fn status(&self) -> u16 {
        match *self.0 {
            Kind::Store(_) | Kind::NoRandomness => 503,
            Kind::Gone(_) | Kind::SignedOut(_) | Kind::NotRecent => 401,
            Kind::CrossSite(_) => 403,
            Kind::Conflict(_) | Kind::Limit { .. } => 409,
            Kind::Malformed { .. } => 400,
            Kind::TooLarge { .. } => 413,
            Kind::Config { .. } | Kind::Invalid { .. } | Kind::HeadSent | Kind::NoLayer => 500,
        }
    }

    /// Whether the store failed. The visitor may well have a session: this is not the same as having none.
    pub fn is_store(&self) -> bool {
        matches!(*self.0, Kind::Store(_))
    }

    /// Whether it is unknown if the change was made, because the store's answer was lost. It was not repeated:
    /// an increment counted 0 or 1.
    pub fn is_unknown(&self) -> bool {
        matches!(&*self.0, Kind::Store(store) if store.is_unknown())
    }

    /// Whether a change was made, but on fewer servers or disks than were asked for: if the primary or the machine fails
    /// now, it may be undone, and what was revoked may come back.
    pub fn is_not_durable(&self) -> bool {
        matches!(&*self.0, Kind::Store(store) if store.is_not_durable())
    }

    /// Whether the session does not exist, has ended, or the token was stale.
    pub fn is_gone(&self) -> bool {
        matches!(*self.0, Kind::Gone(_))
    }

    /// Whether another request changed the same thing at the same time.
    pub fn is_conflict(&self) -> bool {
        matches!(*self.0, Kind::Conflict(_))
    }

    /// Whether a name, a value or a duration was refused. Nothing was changed.
    pub fn is_invalid(&self) -> bool {
        matches!(*self.0, Kind::Invalid { .. } | Kind::Malformed { .. } | Kind::TooLarge { .. })
    }

    /// Whether nobody is signed in where somebody must be.
    pub fn is_signed_out(&self) -> bool {
        matches!(*self.0, Kind::SignedOut(_))
    }

    /// Whether the last sign-in is too long ago for what was asked: the user should prove again who they are.
    pub fn is_not_recent(&self) -> bool {
        matches!(*self.0, Kind::NotRecent)
    }

    /// Whether a sign-in was refused because its user has as many sessions as allowed.
    pub fn is_limit(&self) -> bool {
        matches!(*self.0, Kind::Limit { .. })
    }

    /// Whether a request was refused because another site sent it, or a form without the token of this session.
    pub fn is_cross_site(&self) -> bool {
        matches!(*self.0, Kind::CrossSite(_))
    }

    /// Whether the configuration contradicts itself.
    pub fn is_config(&self) -> bool {
        matches!(*self.0, Kind::Config { .. })
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Error(Arc::new(kind))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Kind::Store(error).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Config { setting, reason } => write!(f, "configuration: {setting} {reason}"),
            Kind::Invalid { what, reason } | Kind::Malformed { what, reason } | Kind::TooLarge { what, reason } => {
                write!(f, "{what} {reason}")
            }
            Kind::Store(error) => write!(f, "session store: {error}"),
            Kind::Gone(absence) => write!(f, "the session is gone: {absence}"),
            Kind::Conflict(what) => write!(f, "conflict: {what}"),
            Kind::HeadSent => f.write_str("the response head has been sent: the session can no longer be changed"),
            Kind::NoLayer => f.write_str("no session layer around this route: add `sessions.layer()` to the router"),
            Kind::SignedOut(absence) => write!(f, "nobody is signed in: {absence}"),
            Kind::NotRecent => f.write_str("the last sign-in is too long ago: sign in again"),
            Kind::Limit { most } => write!(f, "this user already has {most} sessions, the most that are allowed"),
            Kind::CrossSite(reason) => write!(f, "refused as a request of another site: {reason}"),
            Kind::NoRandomness => f.write_str("the operating system's random generator failed: no session was made"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {}

/// A store that failed: it could not be asked, did not answer, or refused.
///
/// An error of the client that a store is built on becomes one by [`from_client`](StoreError::from_client). Whoever makes
/// one sees to it that no secret is in its text.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreError {
    message: Cow<'static, str>,
    outcome: Effect,
    code: Option<Cow<'static, str>>,
    ended: u64,
}

/// What is known of a change that a store could not do as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    NotDone,
    Unknown,
    /// Done, but not yet by as many servers as were asked for.
    NotDurable,
}

impl StoreError {
    /// The same, where nothing was to be changed: a read has no unknown outcome.
    pub(crate) fn of_read(self) -> StoreError {
        StoreError { outcome: Effect::NotDone, ..self }
    }

    /// What is known of the change, in a word.
    pub(crate) fn kind(&self) -> &'static str {
        match self.outcome {
            Effect::NotDone => "not_done",
            Effect::Unknown => "unknown",
            Effect::NotDurable => "not_durable",
        }
    }

    /// Nothing was changed, and this is why.
    pub fn new(message: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError { message: message.into(), outcome: Effect::NotDone, code: None, ended: 0 }
    }

    /// The store answered: no. Nothing was changed, and the code is its own word for why (`OOM`, `READONLY`, `NOPERM`).
    pub fn refused(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError { code: Some(code.into()), ..StoreError::new(message) }
    }

    /// The question may have reached the store, but no answer came back: the change was made once or not at all.
    pub fn unknown(message: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError { outcome: Effect::Unknown, ..StoreError::new(message) }
    }

    /// Turns any error of the store's client into one, for authors of stores:
    /// `client.ask(question).await.map_err(StoreError::from_client)?`. Whether the change was made is then
    /// [unknown](StoreError::unknown); where it is known, say [`new`](StoreError::new).
    pub fn from_client(error: impl std::error::Error) -> StoreError {
        StoreError::unknown(error.to_string())
    }

    /// The store's own word for why it refused; `None` where it did not answer at all.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether it is unknown if the change was made.
    pub fn is_unknown(&self) -> bool {
        self.outcome == Effect::Unknown
    }

    /// The change was made, but fewer disks or replicas have it than were asked for, so that a failure now may undo it.
    /// [`create`](crate::store::Store::create) and [`apply`](crate::store::Store::apply) do not fail with it, but put it into
    /// [`Outcome::Done`](crate::store::Outcome::Done).
    pub fn not_durable(message: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError { outcome: Effect::NotDurable, ..StoreError::new(message) }
    }

    /// Returns the error of a revoke or a sign-out that has ended this many sessions before it failed, or not durably. They
    /// are told of and counted.
    pub fn after_ending(self, sessions: u64) -> StoreError {
        StoreError { ended: sessions, ..self }
    }

    /// Returns how many sessions a revoke or a sign-out that failed has ended all the same.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Whether the change was made, but on fewer disks or servers than were asked for.
    pub fn is_not_durable(&self) -> bool {
        self.outcome == Effect::NotDurable
    }
}

impl std::error::Error for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.is_unknown() {
            f.write_str(" (whether the change was made is unknown)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreError({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_error_passes_through_the_question_mark_of_boxes_and_of_anyhow() {
        // anyhow asks for exactly this
        fn passes<E: std::error::Error + Send + Sync + 'static>(error: E) -> String {
            error.to_string()
        }
        fn boxed() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Err(StoreError::new("the disk is full"))?
        }
        assert_eq!(passes(StoreError::new("the disk is full")), boxed().unwrap_err().to_string());
        assert!(Error::from(StoreError::new("the disk is full")).is_store());
    }

    #[test]
    fn a_clients_error_becomes_a_store_error_whose_outcome_is_unknown() {
        let error = StoreError::from_client(std::io::Error::other("connection reset"));
        assert!(error.is_unknown() && error.to_string().starts_with("connection reset"));
    }
}
