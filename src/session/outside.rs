//! Sessions outside a request: made, and found by their token or by their id.

use std::borrow::Borrow;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;

use super::state::{Current, Source, TokenChange};
use super::{LiveSession, Session};
use crate::error::{Error, Result};
use crate::record::{Credentials, Field, Lookup, SessionId, Token, UserId};
use crate::sessions::{ReadFrom, Sessions};

impl Sessions {
    /// Creates a session outside a request, for a client that gets its token on another way than in a cookie. Returns the
    /// token and the session. One round trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use std::time::Duration;
    /// # use cloakroom::Field;
    /// # doctest::with_sessions(async |sessions| {
    /// const NAME: Field<String> = Field::new("name");
    ///
    /// let (token, live) = sessions.create().set(NAME, "Ada").idle_timeout(Duration::from_secs(600)).await?;
    /// println!("session {} begins", live.id());
    /// let send_to_the_client: &str = token.expose();
    /// # assert!(sessions.find_by_token(send_to_the_client).await?.is_some());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns [`is_invalid`](Error::is_invalid) for a value, a name, a user id or an idle timeout that is not allowed,
    /// [`is_limit`](Error::is_limit) if the user has too many sessions and the policy is to refuse another, and a store error
    /// ([`is_store`](Error::is_store)) if the store does not answer. After an error no session is left. Only if the answer
    /// of the store was lost, the session may have been made; nobody has its token, and it expires.
    pub fn create(&self) -> Creating {
        let session = Session::outside(self, None);
        Creating { session, idle_timeout: None, user: None, device: None, refused: Ok(()) }
    }

    /// Returns the session that a token opens, for a transport whose client sends its token. `None` if it opens nothing: it is
    /// malformed, the session has ended, or its secret was replaced. One round trip, none for a malformed token, and none
    /// out of a warm [near cache](crate::store::NearCache).
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// let (token, _) = sessions.create().await?;
    ///
    /// assert!(sessions.find_by_token(token.expose()).await?.is_some());
    /// assert!(sessions.find_by_token("made up").await?.is_none());
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer. This does not mean that the token
    /// opens nothing.
    pub async fn find_by_token(&self, token: &str) -> Result<Option<LiveSession>> {
        let Some(presented) = Credentials::parse(self.config().token_format, token.as_bytes()) else {
            return Ok(None);
        };
        let from = ReadFrom::Nearest;
        match self.load(&presented, from).await? {
            Lookup::Live(loaded) => {
                Ok(Some(LiveSession::new(self, Current::new(presented, loaded, Source::Brought(from)))))
            }
            Lookup::Replayed(loaded) => {
                self.replayed(presented.id, loaded.record.user_id.clone()).await?;
                Ok(None)
            }
            Lookup::Gone | Lookup::Evicted => Ok(None),
        }
    }

    /// Returns a live session by its id, for a job or a script, or `None` if there is none. It shows no secret, so it is for
    /// the application itself and never for what a visitor asks: the ids of [`devices`](Sessions::devices) and of events are
    /// public. One round trip.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::{Field, Page};
    /// # doctest::with_sessions(async |sessions| {
    /// # let ongoing = doctest::request(&sessions)?;
    /// # ongoing.visit().session().await?.sign_in("ada").await?;
    /// const PLAN: Field<String> = Field::new("plan");
    ///
    /// for device in sessions.devices("ada", Page { offset: 0, limit: 100 }).await? {
    ///     if let Some(live) = sessions.find(&device.id).await? {
    ///         live.set(PLAN, "premium").await?;
    ///     }
    /// }
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn find(&self, id: &SessionId) -> Result<Option<LiveSession>> {
        let found = self.load_by_id(id).await?;
        Ok(found.map(|loaded| {
            let presented = Credentials { id: *id, secret_hash: loaded.record.secret_hash };
            LiveSession::new(self, Current::new(presented, loaded, Source::ById))
        }))
    }
}

/// A session that is being created outside a request, and its options. [`Sessions::create`] returns it.
#[must_use = "the session is created only when this is awaited"]
pub struct Creating {
    session: Session,
    idle_timeout: Option<Duration>,
    user: Option<UserId>,
    device: Option<String>,
    /// The first option that is not allowed.
    refused: Result<()>,
}

impl Creating {
    /// Sets a field of the new session.
    pub fn set<T: Borrow<V>, V: Serialize + ?Sized>(self, field: Field<T>, value: &V) -> Creating {
        let set = self.session.set(field, value);
        self.and(set)
    }

    /// Gives the session its own idle timeout, instead of the configured one.
    pub fn idle_timeout(self, idle: Duration) -> Creating {
        let set = self.session.set_idle_timeout(idle);
        Creating { idle_timeout: Some(idle), ..self.and(set) }
    }

    /// Signs this user in, after the application has found out who they are. The limit on the user's sessions applies, and the
    /// session is in the list of their devices. Two more round trips, and three more if the user has one session too many.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// let (token, live) = sessions.create().sign_in("ada").device("The television").await?;
    /// assert_eq!(live.user().unwrap().as_str(), "ada");
    /// # assert!(sessions.find_by_token(token.expose()).await?.is_some());
    /// # Ok(())
    /// # });
    /// ```
    pub fn sign_in<U>(self, user: U) -> Creating
    where
        U: TryInto<UserId>,
        Error: From<U::Error>,
    {
        match user.try_into() {
            Ok(user) => Creating { user: Some(user), ..self },
            Err(error) => self.and(Err(error.into())),
        }
    }

    /// Labels the session in the list of the user's devices. At most [`MAX_LABEL_BYTES`](crate::MAX_LABEL_BYTES) are kept.
    pub fn device(self, label: impl Into<String>) -> Creating {
        Creating { device: Some(label.into()), ..self }
    }

    fn and(mut self, next: Result<()>) -> Creating {
        self.refused = self.refused.and(next);
        self
    }

    async fn create(self) -> Result<(Token, LiveSession)> {
        self.refused.clone()?;
        if let Err(error) = self.make().await {
            // nobody gets its token
            if let Some(id) = self.session.id() {
                let _ = self.session.sessions().revoke(&id).await;
            }
            return Err(error);
        }
        let mut state = self.session.state();
        let (TokenChange::Set(token, _), Some(current)) = (std::mem::take(&mut state.token), &state.current) else {
            return Err(Error::gone());
        };
        Ok((token, LiveSession::new(self.session.sessions(), current.clone())))
    }

    async fn make(&self) -> Result<()> {
        if self.user.is_some() {
            self.session.sessions().need_secrets()?;
        }
        self.session.begin()?;
        self.session.commit().await?;
        let Some(user) = self.user.clone() else { return Ok(()) };
        let mut signing_in = self.session.sign_in(user);
        if let Some(idle) = self.idle_timeout {
            signing_in = signing_in.idle_timeout(idle);
        }
        if let Some(label) = &self.device {
            signing_in = signing_in.device(label);
        }
        signing_in.await
    }
}

impl IntoFuture for Creating {
    type Output = Result<(Token, LiveSession)>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.create())
    }
}

impl std::fmt::Debug for Creating {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Creating").finish_non_exhaustive()
    }
}
