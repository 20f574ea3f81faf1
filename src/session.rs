//! The handle that a handler holds: one request's view of its session.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::adoption::FormerCookie;
use crate::credential::{Brought, Carrier};
use crate::csrf::Judged;
use crate::error::{Absence, Error, Result};
use crate::record::{Credentials, Lookup, TokenFormat};
use crate::sessions::{ReadFrom, Sessions};
use http::HeaderValue;

// rustdoc shows the methods of `Session` in this order
mod fields;
mod batch;
mod facts;
mod lifetime;
mod rotation;
mod sign_in;
mod token;
mod csrf;
mod refresh;
mod commit;
mod live;
mod outside;

mod absence;
mod immediate;
mod pending;
mod repeatable;
mod state;
mod take_over;

pub use batch::Batch;
pub use live::LiveSession;
pub use outside::Creating;
pub use sign_in::SigningIn;
pub(crate) use state::{ClientChanges, TokenChange};
use state::{Current, State};

/// The session of one request. A clone is cheap and stands for the same session.
///
/// Two kinds of methods change a session:
///
/// - **Deferred** methods ([`set`](Session::set), [`remove`](Session::remove), [`clear`](Session::clear),
///   [`push`](Session::push), [`set_idle_timeout`](Session::set_idle_timeout), [`begin`](Session::begin)) collect changes.
///   They are stored together in one step when the response is ready, before its head is sent. A response of 5xx or 408
///   drops them.
/// - **Immediate** methods (everything that is `async`) have changed the store when they return, whatever the response.
///
/// A visitor without a session has an empty one. It is stored, and a cookie is sent, only when something is written to it.
///
/// ```
/// use cloakroom::{Error, Field, Session};
///
/// const NAME: Field<String> = Field::new("name");
/// const VIEWS: Field<i64> = Field::new("page_views");
///
/// async fn hello(session: Session) -> Result<String, Error> {
///     let views = session.increment(VIEWS, 1).await?; // immediate
///     if session.get(NAME)?.is_none() {
///         session.set(NAME, "Guest")?; // deferred
///     }
///     Ok(format!("You have been here {views} times."))
/// }
/// ```
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    // a mutex of std, because it is never held across an await
    state: Mutex<State>,
    /// Immediate methods run one after the other: each begins where the one before ended.
    turn: tokio::sync::Mutex<()>,
    /// The browser's `User-Agent`.
    user_agent: Option<HeaderValue>,
    /// The browser's cookie of the sessions that the application had before.
    former: Option<Arc<FormerCookie>>,
    /// Why this request has no session, if none of its tokens says more.
    without_session: Absence,
    /// What is known of where the request comes from.
    judged: Judged,
}

/// The reason why a session ended, as far as its visitor may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Its user signed in elsewhere and had more sessions than allowed, so the oldest one was ended.
    SignedInElsewhere,
}

impl Session {
    /// Reads the session that a request's tokens open, if any. One round trip for each token, and none out of a near cache.
    pub(crate) async fn open(
        sessions: &Sessions,
        brought: &Brought,
        user_agent: Option<&HeaderValue>,
        judged: Judged,
        without_tokens: bool,
        from: ReadFrom,
    ) -> Result<Session> {
        let Brought { tokens, carrier, former } = brought;
        let former = former.as_ref().filter(|_| !without_tokens);
        let mut state = State { carrier: *carrier, without_tokens, ..State::default() };
        let mut replays = Vec::new();
        for presented in tokens {
            let lookup = sessions.load(presented, from).await?;
            if let Lookup::Replayed(loaded) = &lookup {
                replays.push((presented.id, loaded.record.user_id.clone()));
            }
            state.found(*presented, lookup, from);
        }
        for (session, user) in replays {
            // a browser that also brings the session's current secret has one cookie too many, and has not stolen it
            if state.presented().is_none_or(|presented| presented.id != session) {
                sessions.replayed(session, user).await?;
            }
        }
        if !state.rivals.is_empty() {
            let cookie = &sessions.config().cookie.name;
            tracing::warn!(target: "cloakroom", cookie, "several tokens in one request open sessions: none is taken");
        }
        let without_session = match carrier {
            _ if !tokens.is_empty() => Absence::Meanwhile,
            Carrier::Cookie => Absence::NoToken,
            Carrier::Bearer => Absence::NoBearerToken,
            Carrier::Nothing if sessions.config().bearer.is_on => Absence::NoCredential,
            Carrier::Nothing => Absence::NoCookie,
        };
        let session = Session(Arc::new(Inner {
            user_agent: user_agent.cloned(),
            former: former.cloned(),
            without_session,
            judged,
            ..Inner::new(sessions, state)
        }));
        if former.is_some() {
            Box::pin(session.meet_former()).await?;
        }
        Ok(session)
    }

    /// Holds a session outside a request, or is about to create one. Nothing extends it but a touch that is asked for.
    fn outside(sessions: &Sessions, current: Option<Current>) -> Session {
        let state = State { current, peeking: true, is_outside: true, ..State::default() };
        Session(Arc::new(Inner::new(sessions, state)))
    }

    fn format(&self) -> TokenFormat {
        self.0.sessions.config().token_format
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn presented(&self) -> Option<Credentials> {
        self.state().presented()
    }

    /// Returns the state, or an error if the head of the response was already sent.
    fn open_state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.over { Err(Error::head_sent()) } else { Ok(state) }
    }
}

impl Inner {
    fn new(sessions: &Sessions, state: State) -> Inner {
        Inner {
            sessions: sessions.clone(),
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::new(()),
            user_agent: None,
            former: None,
            without_session: Absence::Meanwhile,
            judged: Judged::Unknown,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id();
        f.debug_struct("Session").field("id", &id).finish_non_exhaustive()
    }
}
