//! The handle that a handler holds: one request's view of its session.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::csrf::Judged;
use crate::error::{Error, Result};
use crate::record::{Change, Credentials, Fields, Loaded, Lookup, NewSession, Token, TokenFormat};
use crate::sessions::{ReadFrom, Sessions};
use http::HeaderValue;

// rustdoc shows the methods of `Session` in this order
mod fields;
mod facts;
mod lifetime;
mod rotation;
mod sign_in;
mod csrf;
mod refresh;
mod commit;

mod absence;
mod immediate;
mod pending;

use pending::Pending;
pub use sign_in::SigningIn;

/// The session of one request. A clone is cheap and stands for the same session.
///
/// Two kinds of methods change a session:
///
/// - **Deferred** methods ([`set`](Session::set), [`remove`](Session::remove), [`clear`](Session::clear),
///   [`push`](Session::push), [`set_idle_timeout`](Session::set_idle_timeout), [`begin`](Session::begin)) collect changes. They
///   are stored together in one step when the response is ready, before its head is sent. A response of 5xx or 408 drops them.
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
    // std's, because it is never held across an await
    state: Mutex<State>,
    /// Verbs that stand at once come one after the other: each begins where the one before ended.
    turn: tokio::sync::Mutex<()>,
    /// What the browser says it is.
    user_agent: Option<HeaderValue>,
    /// A cookie with our name came along, whatever it held.
    has_cookie: bool,
    /// Where the request comes from.
    judged: Judged,
}

#[derive(Default)]
struct State {
    /// What is shown to the store: what the request brought, then what was minted.
    presented: Option<Credentials>,
    /// The session as last seen; `None` for a visitor without one.
    loaded: Option<Loaded>,
    /// Deferred changes.
    pending: Pending,
    /// A token on its way to the store. It outlives a dropped future: asking again is harmless.
    candidate: Option<Candidate>,
    /// What the response tells the browser.
    cookie: CookieChange,
    /// What is presented was minted while answering this request: the browser does not have it yet.
    minted: bool,
    /// It was seen where sessions are kept, and not in a near cache.
    fresh: bool,
    /// Tokens that the request brought and that open nothing.
    unopened: Vec<Unopened>,
    /// Tokens that the request brought and that each open a session: whose it is cannot be told, so none is taken.
    rivals: Vec<Credentials>,
    /// This request does not extend the session.
    peeking: bool,
    /// Why the token opens nothing, where that is known.
    ended: Option<Ended>,
    /// A token for what the commit will make, where its secret had to be known before.
    minted_ahead: Option<MintedAhead>,
    /// The head has left.
    over: bool,
}

/// A token that the request brought, and why it opens nothing.
#[derive(Debug, Clone, Copy)]
enum Unopened {
    /// Its session is gone, or lives with another secret.
    Unknown(Credentials),
    /// Its session was ended because its user signed in elsewhere.
    Evicted,
    /// It was replaced some time ago. Its session lives, for its owner.
    Replayed,
}

impl Unopened {
    /// The token, where it is not known what became of its session.
    fn unknown(&self) -> Option<Credentials> {
        match self {
            Unopened::Unknown(presented) => Some(*presented),
            Unopened::Evicted | Unopened::Replayed => None,
        }
    }
}

/// It is good for what it was minted for, and for nothing else.
enum MintedAhead {
    /// A session that is not there yet.
    Creation(Token),
    /// The next secret of the session with this id.
    Rotation(Token),
}

impl MintedAhead {
    fn token(&self) -> &Token {
        match self {
            MintedAhead::Creation(token) | MintedAhead::Rotation(token) => token,
        }
    }
}

/// Why a session ended, as far as its visitor may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Its user signed in elsewhere, in more places than allowed.
    SignedInElsewhere,
}

#[derive(Clone)]
struct Candidate {
    token: Token,
    purpose: Purpose,
}

#[derive(Clone)]
enum Purpose {
    Create(Box<NewSession>),
    /// A rotation or a sign-in, with what else changes in the same step.
    Change(Box<Change>),
}

#[derive(Debug, Clone, Default)]
pub(crate) enum CookieChange {
    #[default]
    None,
    /// With how long the browser keeps it; `None` stands for until it is closed.
    Set(Token, Option<Duration>),
    Remove,
}

impl Session {
    /// Reads the session that a request's tokens open, if any. One round trip for each, none out of a near cache.
    pub(crate) async fn open(
        sessions: &Sessions,
        brought: &[Credentials],
        user_agent: Option<&HeaderValue>,
        has_cookie: bool,
        judged: Judged,
        from: ReadFrom,
    ) -> Result<Session> {
        let mut state = State::default();
        let mut replays = Vec::new();
        for presented in brought {
            let lookup = sessions.load(presented, from).await?;
            if let Lookup::Replayed(loaded) = &lookup {
                replays.push((presented.id, loaded.record.user_id.clone()));
            }
            state.found(*presented, lookup, from);
        }
        for (session, user) in replays {
            // whoever brings the session's current secret as well has a cookie too many, and has stolen none
            if state.presented.is_none_or(|presented| presented.id != session) {
                sessions.replayed(session, user).await?;
            }
        }
        if !state.rivals.is_empty() {
            let cookie = &sessions.config().cookie.name;
            tracing::warn!(target: "cloakroom", cookie, "several tokens in one request open sessions: none is taken");
        }
        Ok(Session(Arc::new(Inner {
            sessions: sessions.clone(),
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::new(()),
            user_agent: user_agent.cloned(),
            has_cookie,
            judged,
        })))
    }

    fn format(&self) -> TokenFormat {
        self.0.sessions.config().token_format
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, as long as it can still be changed.
    fn open_state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.over { Err(Error::head_sent()) } else { Ok(state) }
    }
}

impl State {
    /// What one of the request's tokens opens.
    fn found(&mut self, presented: Credentials, lookup: Lookup, from: ReadFrom) {
        self.fresh = from == ReadFrom::Store;
        match lookup {
            Lookup::Live(loaded) if self.loaded.is_none() && self.rivals.is_empty() => {
                (self.loaded, self.presented) = (Some(loaded), Some(presented));
            }
            // both secrets of one session, held and current, in cookies of two paths: the current one counts
            Lookup::Live(loaded) if self.presented.is_some_and(|other| other.id == presented.id) => {
                if loaded.record.secret_hash == presented.secret_hash {
                    (self.loaded, self.presented) = (Some(loaded), Some(presented));
                }
            }
            Lookup::Live(_) => {
                self.rivals.extend(self.presented.take());
                self.rivals.push(presented);
                self.loaded = None;
            }
            Lookup::Gone => self.unopened.push(Unopened::Unknown(presented)),
            Lookup::Evicted => self.unopened.push(Unopened::Evicted),
            Lookup::Replayed(_) => self.unopened.push(Unopened::Replayed),
        }
        let was_evicted = self.unopened.iter().any(|token| matches!(token, Unopened::Evicted));
        self.ended = (was_evicted && self.loaded.is_none()).then_some(Ended::SignedInElsewhere);
    }

    /// From here on this request has no session. What was minted for it, or is on its way to it, was only ever its own.
    fn forget_session(&mut self) {
        (self.loaded, self.presented, self.minted_ahead, self.candidate) = (None, None, None, None);
    }

    /// The session as the store has just answered.
    fn see(&mut self, loaded: Loaded) {
        (self.loaded, self.fresh) = (Some(loaded), true);
    }

    /// A field's text with what this request has set.
    fn text_of(&self, name: &str) -> Option<Cow<'_, str>> {
        self.pending.text_of(name, self.stored_text(name))
    }

    fn stored_text(&self, name: &str) -> Option<&str> {
        self.stored()?.get(name)
    }

    /// The application's fields as last seen.
    fn stored(&self) -> Option<&Fields> {
        Some(&self.loaded.as_ref()?.record.fields)
    }

    /// Whether the session would still be within its limits. The store decides; this says it where the mistake is.
    fn check_fits(&self, name: &str, text: &str, sessions: &Sessions) -> Result<()> {
        let terms = sessions.config().terms();
        let none = Fields::new();
        let stored = self.stored().unwrap_or(&none);
        let stays = |name: &str| stored.contains_key(name) && !self.pending.replaces(name);
        let kept = stored.iter().filter(|(other, _)| !self.pending.replaces(other));
        let kept = kept.map(|(other, text)| (other, 1, other.len() + text.len()));
        let grown = self.pending.grows().map(|(other, len)| match stays(other) {
            true => (other, 0, len),
            false => (other, 1, other.len() + len),
        });
        let others = kept.chain(grown).filter(|(other, ..)| *other != name);
        let (count, bytes) =
            others.fold((1, name.len() + text.len()), |(count, sum), (_, more, bytes)| (count + more, sum + bytes));
        let is_new = self.text_of(name).is_none();
        if is_new && count > terms.max_fields {
            return Err(Error::too_large(
                format!("field `{name}`"),
                format!("would be one more than max_fields, {}", terms.max_fields),
            ));
        }
        // a session that is too large already (a lowered limit) may be changed, but not grow
        if bytes > terms.max_bytes.max(stored.bytes()) {
            let why = format!("would make the session {bytes} bytes; max_bytes is {}", terms.max_bytes);
            return Err(Error::too_large(format!("field `{name}`"), why));
        }
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id();
        f.debug_struct("Session").field("id", &id).finish_non_exhaustive()
    }
}
