//! What can go wrong, and what it means for the visitor.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

mod absence;
mod public;

pub(crate) use absence::Absence;

/// A [`Result`](std::result::Result) with this library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that can go wrong with a session.
///
/// The type is opaque. Ask what went wrong with its methods, such as [`is_gone`](Error::is_gone), or let
/// [`status`](Error::status) choose the HTTP status. An error never contains a token or a secret, so it may be logged as it is.
///
/// ```
/// use cloakroom::{Config, Error};
/// use std::time::Duration;
///
/// let error: Error = Config::builder().idle_timeout(Duration::ZERO).build().unwrap_err();
/// assert!(error.is_config() && !error.is_store());
/// assert_eq!(error.status(), 500);
/// // for the log: what is wrong, and what is allowed
/// assert!(error.to_string().starts_with("configuration: idle_timeout must be"));
/// // for the visitor: nothing about the inside of the application
/// assert_eq!(error.public_message(), "Something went wrong on this server.");
/// ```
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
    Ambiguous(&'static str),
}

impl Error {
    pub(crate) fn config(setting: &'static str, reason: impl Into<Cow<'static, str>>) -> Error {
        Kind::Config { setting, reason: reason.into() }.into()
    }

    pub(crate) fn invalid(what: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Error {
        Kind::Invalid { what: what.into(), reason: reason.into() }.into()
    }

    /// For an id, a name, a number or a duration that may have come from the visitor.
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

    /// For a request that names its session in more than one way.
    pub(crate) fn ambiguous(reason: &'static str) -> Error {
        Kind::Ambiguous(reason).into()
    }

    pub(crate) fn no_randomness() -> Error {
        Kind::NoRandomness.into()
    }

    /// Returns the HTTP status for this error.
    ///
    /// | status | for |
    /// | --- | --- |
    /// | 400 | input that may have come from the visitor: a malformed id or field name, a duration outside the limits, a counter beyond 64 bits, a value that could not be read back unchanged (NaN, or nested too deep); or a request that brings both the session cookie and a bearer token |
    /// | 401 | the session is gone, nobody is signed in, or the sign-in is too long ago |
    /// | 403 | a request from another site |
    /// | 409 | a conflict with another request, or a sign-in by a user who has the most sessions allowed |
    /// | 413 | a value or a field that does not fit into the session |
    /// | 500 | a mistake in the application: its configuration, a type that cannot be written as JSON, a stored value of another type than was asked for, a missing layer, a change after the response head was sent or the request was given up |
    /// | 503 | a failure of the store or of the operating system's random generator |
    ///
    /// [Sessions and fields](crate::guide::sessions#where-a-401-comes-from) lists the causes of a 401, and says how to see in the
    /// log which one it is.
    pub fn status(&self) -> u16 {
        match *self.0 {
            Kind::Store(_) | Kind::NoRandomness => 503,
            Kind::Gone(_) | Kind::SignedOut(_) | Kind::NotRecent => 401,
            Kind::CrossSite(_) => 403,
            Kind::Conflict(_) | Kind::Limit { .. } => 409,
            Kind::Malformed { .. } | Kind::Ambiguous(_) => 400,
            Kind::TooLarge { .. } => 413,
            Kind::Config { .. } | Kind::Invalid { .. } | Kind::HeadSent | Kind::NoLayer => 500,
        }
    }

    /// Returns true if the store failed. This does not mean that the visitor has no session.
    pub fn is_store(&self) -> bool {
        matches!(*self.0, Kind::Store(_))
    }

    /// Returns true if it is unknown whether the change was made, because the store's answer was lost. The change was not
    /// repeated, so an increment was counted once or not at all.
    pub fn is_unknown(&self) -> bool {
        matches!(&*self.0, Kind::Store(store) if store.is_unknown())
    }

    /// Returns true if the change was made, but on fewer replicas or disks than were asked for. If the primary or the machine
    /// fails now, the change may be undone, and a session that was ended may come back.
    pub fn is_not_durable(&self) -> bool {
        matches!(&*self.0, Kind::Store(store) if store.is_not_durable())
    }

    /// Returns true if the session does not exist, has ended, or was asked for with a stale token.
    pub fn is_gone(&self) -> bool {
        matches!(*self.0, Kind::Gone(_))
    }

    /// Returns true if another request changed the same thing at the same time.
    pub fn is_conflict(&self) -> bool {
        matches!(*self.0, Kind::Conflict(_))
    }

    /// Returns true if a name, a value or a duration was refused. Nothing was changed.
    pub fn is_invalid(&self) -> bool {
        matches!(*self.0, Kind::Invalid { .. } | Kind::Malformed { .. } | Kind::TooLarge { .. })
    }

    /// Returns true if nobody is signed in although the request needs a signed-in user.
    pub fn is_signed_out(&self) -> bool {
        matches!(*self.0, Kind::SignedOut(_))
    }

    /// Returns true if the last sign-in is too long ago for what was asked, so that the user should sign in again.
    pub fn is_not_recent(&self) -> bool {
        matches!(*self.0, Kind::NotRecent)
    }

    /// Returns true if a sign-in was refused because its user already has the most sessions that are allowed.
    pub fn is_limit(&self) -> bool {
        matches!(*self.0, Kind::Limit { .. })
    }

    /// Returns true if a request was refused because it seems to come from another site, or because its form did not have the
    /// CSRF token of this session.
    pub fn is_cross_site(&self) -> bool {
        matches!(*self.0, Kind::CrossSite(_))
    }

    /// Returns true if a request was refused because it brought both the session cookie and a
    /// [bearer token](crate::ConfigBuilder::bearer_tokens), or several headers `Authorization`, so that nobody can say which
    /// session it means.
    pub fn is_ambiguous(&self) -> bool {
        matches!(*self.0, Kind::Ambiguous(_))
    }

    /// Returns true if a setting is not allowed, or contradicts another one.
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
            Kind::HeadSent => f.write_str(
                "the response head was already sent, so no cookie can be set and this handle no longer changes the session: \
                 change it before the handler returns, or take `after_response` for a stream or a socket",
            ),
            Kind::NoLayer => {
                f.write_str("there is no session layer around this route: add `sessions.layer()` to the router")
            }
            Kind::SignedOut(absence) => write!(f, "nobody is signed in: {absence}"),
            Kind::NotRecent => f.write_str("the last sign-in is too long ago: the user has to sign in again"),
            Kind::Limit { most } => write!(
                f,
                "this user already has as many sessions as are allowed ({most}): the user has to sign out on another device \
                 first"
            ),
            Kind::CrossSite(reason) => write!(f, "the request was refused, because it may come from another site: {reason}"),
            Kind::Ambiguous(reason) => {
                write!(f, "the request was refused, because it does not say which session it means: {reason}")
            }
            Kind::NoRandomness => f.write_str(
                "the operating system's random generator failed, so no token could be made: the request may be tried again",
            ),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {}

/// A failure of a store: it could not be reached, did not answer, or refused.
///
/// A store makes these errors. Its author makes sure that the message contains no secret.
///
/// ```
/// use cloakroom::store::StoreError;
///
/// // the store knows that nothing was changed
/// let error = StoreError::new("the disk is full");
/// assert!(!error.is_unknown());
///
/// // the connection broke before the answer came: the change may have been made
/// let error = StoreError::unknown("the connection was closed");
/// assert!(error.is_unknown());
/// assert_eq!(error.to_string(), "the connection was closed (it is unknown whether the change was made)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StoreError {
    message: Cow<'static, str>,
    outcome: Effect,
    code: Option<Cow<'static, str>>,
    ended: u64,
}

/// What became of the change that a store was asked for when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    NotDone,
    Unknown,
    /// Done, but on fewer replicas or disks than were asked for.
    NotDurable,
}

impl StoreError {
    /// Returns this error for a read. A read changes nothing, so its outcome is never unknown.
    pub(crate) fn of_read(self) -> StoreError {
        StoreError { outcome: Effect::NotDone, ..self }
    }

    /// Returns the value of the metrics' label `kind`: what became of the change.
    pub(crate) fn kind(&self) -> &'static str {
        match self.outcome {
            Effect::NotDone => "not_done",
            Effect::Unknown => "unknown",
            Effect::NotDurable => "not_durable",
        }
    }

    /// Makes the error of a store that changed nothing.
    pub fn new(message: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError { message: message.into(), outcome: Effect::NotDone, code: None, ended: 0 }
    }

    /// Makes the error of a store that answered with a refusal and changed nothing. The code is the store's own word for the
    /// reason, such as Redis's `OOM`, `READONLY` or `NOPERM`.
    pub fn refused(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError { code: Some(code.into()), ..StoreError::new(message) }
    }

    /// Makes the error of a store that may have received the request but whose answer was lost: the change was made once or
    /// not at all.
    pub fn unknown(message: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError { outcome: Effect::Unknown, ..StoreError::new(message) }
    }

    /// Makes the error of a store from any error of the client library that it uses. Whether the change was made is then
    /// [unknown](StoreError::unknown). Use [`new`](StoreError::new) where you know that it was not.
    ///
    /// ```
    /// use cloakroom::store::StoreError;
    ///
    /// fn ask() -> Result<String, std::io::Error> {
    /// #   Err(std::io::Error::other("connection reset"))
    ///     // ...
    /// }
    ///
    /// fn verb() -> Result<String, StoreError> {
    ///     ask().map_err(StoreError::from_client)
    /// }
    /// # assert!(verb().unwrap_err().is_unknown());
    /// ```
    pub fn from_client(error: impl std::error::Error) -> StoreError {
        StoreError::unknown(error.to_string())
    }

    /// Returns the store's own word for why it refused, or `None` if it gave no such word.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Returns true if it is unknown whether the change was made.
    pub fn is_unknown(&self) -> bool {
        self.outcome == Effect::Unknown
    }

    /// Makes the error for a change that was made, but that fewer disks or replicas have than were asked for, so that a failure
    /// now may undo it. [`create`](crate::store::Store::create) and [`apply`](crate::store::Store::apply) do not return this error
    /// as an `Err`. They put it into [`Outcome::Done`](crate::store::Outcome::Done).
    pub fn not_durable(message: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError { outcome: Effect::NotDurable, ..StoreError::new(message) }
    }

    /// Adds to the error of a revoke or a sign-out how many sessions it has ended before it failed, or has ended but not durably.
    /// The application's events and metrics then include these sessions.
    pub fn after_ending(self, sessions: u64) -> StoreError {
        StoreError { ended: sessions, ..self }
    }

    /// Returns how many sessions were ended by a revoke or a sign-out although it failed.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Returns true if the change was made, but on fewer disks or replicas than were asked for.
    pub fn is_not_durable(&self) -> bool {
        self.outcome == Effect::NotDurable
    }
}

impl std::error::Error for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.is_unknown() {
            f.write_str(" (it is unknown whether the change was made)")?;
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
        // these are the bounds of anyhow's `From`
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
