//! A session that is held outside a request: by a stream that goes on after the head of its response, by a job, or by another
//! transport.

use std::borrow::Borrow;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::{Current, Source};
use super::{Batch, Ended, Session};
use crate::error::{Absence, Error, Result};
use crate::events::RevokeReason;
use crate::meter;
use crate::record::{Field, FieldChanges, Fields, SessionId, SignedOut, UserId};
use crate::sessions::Sessions;

mod ended;
mod look;

/// How often [`ended`](LiveSession::ended) asks, unless it is told otherwise.
const INTERVAL: Duration = Duration::from_secs(10);

/// A session that is held outside a request. A clone is cheap and stands for the same session.
///
/// | who | gets it from | and holds the session by |
/// | --- | --- | --- |
/// | a handler that goes on after the head of its response: a stream, a WebSocket, a long download | [`Session::after_response`] | the secret that its request had |
/// | another transport, whose client sends its token | [`Sessions::find_by_token`] | the client's secret |
/// | a job or a script | [`Sessions::find`], [`Sessions::create`] | the session's id; the new secret |
///
/// Methods that read show the session as it was last seen: when it was found, read again or changed with this handle. Methods
/// that change it are `async`, and have changed the store when they return: nothing is deferred. They need no response, so
/// what needs one is not here: a new token ([`rotate`](Session::rotate), [`sign_in`](Session::sign_in)) reaches a browser
/// only in the head of a response. Nothing here creates a session: one that has ended stays ended.
///
/// A change costs one round trip, and one more if the secret, the idle timeout or the deadline is not as it was last seen.
///
/// None of it counts as activity of the visitor, except [`touch`](LiveSession::touch) and a new
/// [idle timeout](LiveSession::set_idle_timeout): what a server does by itself does not keep a visitor signed in.
///
/// A handle that was made with a secret follows the session through rotations. A sign-in and [`elevate`](Session::elevate)
/// end the handle although the session goes on, because they make every earlier secret worthless: somebody who knew the
/// session before gains nothing from what it is afterwards. For the handle, the session has then
/// [ended](LiveSession::ended). If the session was rotated more than once since the handle last asked, nobody can tell
/// whether one of these was in between, so the handle has ended as well.
///
/// ```
/// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # doctest::with_session(async |session| {
/// use cloakroom::{Error, Field, LiveSession};
///
/// const SEEN: Field<i64> = Field::new("messages_seen");
///
/// async fn deliver(live: &LiveSession) -> Result<(), Error> {
///     let seen = live.increment(SEEN, 1).await?;
///     println!("{:?} has seen {seen} messages", live.user());
///     Ok(())
/// }
/// # session.sign_in("ada").await?;
/// # deliver(&session.after_response().await?).await
/// # });
/// ```
#[derive(Clone)]
pub struct LiveSession {
    session: Session,
    id: SessionId,
    interval: Duration,
}

impl LiveSession {
    pub(super) fn new(sessions: &Sessions, current: Current) -> LiveSession {
        let id = current.presented.id;
        LiveSession { session: Session::outside(sessions, Some(current)), id, interval: INTERVAL }
    }

    /// Returns the session's id. It may be logged and shown: it opens nothing.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Returns the user who is signed in, as it was last seen, or `None`.
    pub fn user(&self) -> Option<UserId> {
        self.session.user()
    }

    /// Returns when the session was created, as it was last seen.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.session.created_at()
    }

    /// Returns when the user signed in with this session, or `None` if nobody is signed in.
    pub fn signed_in_at(&self) -> Option<SystemTime> {
        self.session.signed_in_at()
    }

    /// Returns when the user last proved who they are, or `None` if nobody is signed in.
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.session.auth_time()
    }

    /// Returns the value of a field, as it was last seen. A stored text that is not a `T` is `None`, with a warning in the log.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_sessions(async |sessions| {
    /// const NAME: Field<String> = Field::new("name");
    ///
    /// let (_, live) = sessions.create().set(NAME, "Ada").await?;
    /// assert_eq!(live.get(NAME)?.as_deref(), Some("Ada"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns an error only for a [named](Field::named) field whose name is not allowed.
    pub fn get<T: DeserializeOwned>(&self, field: Field<T>) -> Result<Option<T>> {
        self.session.get(field)
    }

    /// Returns the value of a field, as it was last seen, or an error if the stored text is not a `T`.
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid), with the name of the field.
    pub fn try_get<T: DeserializeOwned>(&self, field: Field<T>) -> Result<Option<T>> {
        self.session.try_get(field)
    }

    /// Returns the names of the application's fields in alphabetical order, as they were last seen.
    pub fn fields(&self) -> Vec<String> {
        self.session.fields()
    }

    /// Returns the idle timeout of this session.
    pub fn idle_timeout(&self) -> Duration {
        self.session.idle_timeout().unwrap_or_default()
    }

    /// Returns how much time the session had left when it was last seen.
    pub fn remaining(&self) -> Duration {
        self.session.remaining().unwrap_or_default()
    }

    /// Returns when the session ends if there is no further activity, as it was last seen.
    pub fn ends_at(&self) -> Option<SystemTime> {
        self.session.ends_at()
    }

    /// Sets a field. One round trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_sessions(async |sessions| {
    /// const PLAN: Field<String> = Field::new("plan");
    /// # let (_, live) = sessions.create().await?;
    ///
    /// live.set(PLAN, "premium").await?;
    /// assert_eq!(live.get(PLAN)?.as_deref(), Some("premium"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`Session::set`], [`is_gone`](Error::is_gone) if the session has ended, and a store error
    /// ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn set<T: Borrow<V>, V: Serialize + ?Sized>(&self, field: Field<T>, value: &V) -> Result<()> {
        let name = field.name();
        self.session.check(name)?;
        let text = self.session.text_for(name, value)?;
        let checked = self.session.state().check_fits(name, &text, self.session.sessions());
        checked.inspect_err(|_| meter::refused("too_large"))?;
        self.change(FieldChanges { set: Fields::from([(name, text)]), ..FieldChanges::default() }).await
    }

    /// Removes a field. To remove a field that does not exist is not an error. One round trip.
    ///
    /// # Errors
    /// Returns an error if the name is not allowed, [`is_gone`](Error::is_gone) if the session has ended, and a store error
    /// ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn remove<T>(&self, field: Field<T>) -> Result<()> {
        self.session.check(field.name())?;
        self.change(FieldChanges { remove: [field.name().to_owned()].into(), ..FieldChanges::default() }).await
    }

    /// Adds to a counter and returns its new value. A counter that does not exist starts at 0, and increments add up exactly,
    /// whoever makes them. One round trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_sessions(async |sessions| {
    /// const DELIVERED: Field<i64> = Field::new("delivered");
    /// # let (_, live) = sessions.create().await?;
    ///
    /// assert_eq!(live.increment(DELIVERED, 1).await?, 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`Session::increment`], and [`is_gone`](Error::is_gone) if the session has ended. After
    /// [`is_unknown`](Error::is_unknown) the increment was made once or not at all.
    pub async fn increment(&self, field: Field<i64>, by: i64) -> Result<i64> {
        self.session.increment(field, by).await
    }

    /// Changes several fields in one step, and only if what the batch expects is stored. One round trip. See
    /// [`Session::batch`].
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_sessions(async |sessions| {
    /// const EXPORT: Field<String> = Field::new("export");
    /// const EXPORTS: Field<i64> = Field::new("exports");
    /// # let (_, live) = sessions.create().set(EXPORT, "running").await?;
    ///
    /// live.batch().expect(EXPORT, "running").set(EXPORT, "ready").increment(EXPORTS, 1).await?;
    /// # assert_eq!(live.get(EXPORTS)?, Some(1));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`Session::batch`], and [`is_gone`](Error::is_gone) if the session has ended.
    pub fn batch(&self) -> Batch<'_> {
        self.session.batch()
    }

    /// Reads, changes and writes a field without losing the change of another request. If another request came first, the
    /// field is read again and `change` is called again, a few times. One round trip, and two more for each repetition: the
    /// first attempt takes the field as it was last seen.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_sessions(async |sessions| {
    /// const MESSAGES: Field<Vec<String>> = Field::new("messages");
    /// # let (_, live) = sessions.create().await?;
    ///
    /// live.update(MESSAGES, |messages| messages.push("Your export is ready.".to_owned())).await?;
    /// # assert_eq!(live.get(MESSAGES)?.unwrap().len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`Session::update`], and [`is_gone`](Error::is_gone) if the session has ended.
    pub async fn update<T, R>(&self, field: Field<T>, change: impl FnMut(&mut T) -> R) -> Result<R>
    where
        T: DeserializeOwned + Serialize + Default,
    {
        self.session.update(field, change).await
    }

    /// Reads a value and removes it in one step: only one of several gets it. Reads the session again first: one round trip,
    /// and one more if there is a value.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_sessions(async |sessions| {
    /// const MESSAGES: Field<Vec<String>> = Field::new("messages");
    /// # let (_, live) = sessions.create().set(MESSAGES, &vec!["Hello".to_owned()]).await?;
    ///
    /// // of several streams of one session, one shows the messages
    /// assert_eq!(live.take(MESSAGES).await?.unwrap_or_default(), ["Hello"]);
    /// assert_eq!(live.take(MESSAGES).await?, None);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`Session::take`], and [`is_gone`](Error::is_gone) if the session has ended.
    pub async fn take<T: DeserializeOwned>(&self, field: Field<T>) -> Result<Option<T>> {
        self.refresh().await?;
        self.session.take(field).await
    }

    /// Gives this session its own idle timeout, which counts from now. One round trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # doctest::with_sessions(async |sessions| {
    /// # let (_, live) = sessions.create().await?;
    /// live.set_idle_timeout(Duration::from_secs(5 * 60)).await?;
    /// assert_eq!(live.idle_timeout(), Duration::from_secs(5 * 60));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`Session::set_idle_timeout`], [`is_gone`](Error::is_gone) if the session has ended, and a store
    /// error ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn set_idle_timeout(&self, idle: Duration) -> Result<()> {
        self.session.check_idle_timeout(idle)?;
        self.change(FieldChanges { idle_timeout: Some(idle), ..FieldChanges::default() }).await
    }

    /// Extends the session by its idle timeout, because its visitor is active: call it for what the visitor does, such as a
    /// message on a socket, and not for what the server sends. One round trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// # let (_, live) = sessions.create().await?;
    /// live.touch().await?;
    /// assert_eq!(live.remaining(), live.idle_timeout());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_gone`](Error::is_gone) if the session has ended, and a store error ([`is_store`](Error::is_store)) if
    /// the store does not answer.
    pub async fn touch(&self) -> Result<()> {
        let _turn = self.session.turn().await?;
        self.session.save(FieldChanges::default(), true).await
    }

    /// Ends the session now, and returns true if it was live. A browser keeps its cookie, which opens nothing any more. One
    /// round trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// # let (_, live) = sessions.create().await?;
    /// assert!(live.end().await?);
    /// assert!(!live.is_live().await?);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer; the session may then still be live.
    /// Returns [`is_gone`](Error::is_gone) if the session lives on with a secret that this handle must not follow.
    pub async fn end(&self) -> Result<bool> {
        let _turn = self.session.turn().await?;
        let Some(Current { presented, source, .. }) = self.session.state().current.clone() else { return Ok(false) };
        if source == Source::ById {
            return self.session.sessions().revoke(&self.id).await;
        }
        match self.session.sessions().sign_out(&presented, RevokeReason::SignedOut).await? {
            SignedOut::Ended => Ok(true),
            SignedOut::Gone => Ok(false),
            SignedOut::Stale => Err(Error::gone_because(Absence::Stale)),
        }
    }

    async fn change(&self, changes: FieldChanges) -> Result<()> {
        let _turn = self.session.turn().await?;
        self.session.save(changes, false).await
    }
}

impl fmt::Debug for LiveSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSession").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Session {
    /// Returns a handle on this session for what goes on after the head of the response has left: a stream, a WebSocket, a
    /// long download. It can be cloned and sent to other tasks.
    ///
    /// What was deferred is stored first, as by [`commit`](Session::commit): at most one round trip. Sign in and rotate before,
    /// because the handle must not follow a session through a sign-in.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_session(async |session| {
    /// # session.sign_in("ada").await?;
    /// let live = session.after_response().await?;
    /// let stream = async move {
    ///     while live.is_live().await? {
    ///         // send something, and wait
    /// #       live.end().await?;
    ///     }
    ///     Ok::<_, cloakroom::Error>(())
    /// };
    /// # stream.await
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_gone`](Error::is_gone) if the visitor has no session, and the errors of [`commit`](Session::commit).
    pub async fn after_response(&self) -> Result<LiveSession> {
        if !self.state().over {
            self.commit().await?;
        }
        let current = self.state().current.clone();
        let current = current.ok_or_else(|| self.gone_because(self.absence()))?;
        Ok(LiveSession::new(self.sessions(), current))
    }
}
