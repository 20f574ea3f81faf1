//! What every framework adapter does: a [`Visit`] for each request.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::OnceCell;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cookie;
use crate::error::{Error, Result};
use crate::session::{CookieChange, Session};
use crate::sessions::Sessions;
use crate::token::Token;

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "tower")]
mod tower;

#[cfg(feature = "tower")]
pub use tower::{SessionFuture, SessionLayer, SessionService};

/// One request's way through the sessions. A framework adapter begins it with the request's cookies, puts it where the
/// handler finds it, and finishes it when the response is ready.
///
/// Nothing is asked of the store until the [`session`](Visit::session) is.
#[derive(Clone)]
pub struct Visit(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    token: Option<Token>,
    session: OnceCell<Result<Session>>,
    /// The response is on its way: a session that is only now asked for cannot be changed.
    over: AtomicBool,
}

/// What an adapter does to the response.
#[derive(Debug)]
#[must_use]
pub struct Finish {
    /// Set: the response becomes this error. The handler's body must not be sent.
    pub error: Option<Error>,
    headers: Headers,
}

#[derive(Debug, Default)]
struct Headers {
    read: bool,
    set_cookie: Option<HeaderValue>,
}

impl Visit {
    /// Looks for a token in the values of all `Cookie` headers. No I/O.
    pub fn begin<'a>(sessions: &Sessions, cookies: impl IntoIterator<Item = &'a [u8]>) -> Visit {
        let token = cookie::read(cookies, sessions.config());
        Visit(Arc::new(Inner {
            sessions: sessions.clone(),
            token,
            session: OnceCell::new(),
            over: AtomicBool::new(false),
        }))
    }

    /// The request's session: loaded when first asked for, the same (or the same error) afterwards. One round trip with
    /// a token, none without.
    ///
    /// # Errors
    /// The store's: that it cannot be asked does not make the visitor anonymous.
    pub async fn session(&self) -> Result<Session> {
        let Inner { sessions, token, session, over } = &*self.0;
        let session = session.get_or_init(|| Session::open(sessions, token.as_ref())).await.clone();
        if let Ok(session) = &session
            && over.load(Ordering::SeqCst)
        {
            session.close();
        }
        session
    }

    /// Whether it is this manager's.
    #[cfg(feature = "tower")]
    pub(crate) fn is_of(&self, sessions: &Sessions) -> bool {
        self.0.sessions.is_same(sessions)
    }

    /// Commits, and says what to do to a response of this status. At most one round trip, none if nothing was changed
    /// and no touch is due.
    pub async fn finish(&self, status: u16) -> Finish {
        let Inner { sessions, session, over, .. } = &*self.0;
        // first: whoever loads from now on sees it, whoever has loaded is seen here
        over.store(true, Ordering::SeqCst);
        let Some(session) = session.get() else {
            return Finish { error: None, headers: Headers::default() };
        };
        let Ok(session) = session else {
            return Finish { error: None, headers: Headers { read: true, set_cookie: None } };
        };
        let (committed, change) = session.finish(status).await;
        let set_cookie = match change {
            CookieChange::None => None,
            CookieChange::Set(token) => Some(cookie::set(&token, sessions.config())),
            CookieChange::Remove => Some(cookie::remove(sessions.config())),
        };
        Finish { error: committed.err(), headers: Headers { read: true, set_cookie } }
    }
}

impl Finish {
    /// Adds what caches and browsers must know: `Vary: Cookie` where the session was read, and where a cookie is set or
    /// removed `Cache-Control: no-store`, whatever the application had set.
    pub fn apply(self, headers: &mut HeaderMap) {
        for (name, value) in self.headers.into_pairs(headers) {
            match name {
                header::CACHE_CONTROL => drop(headers.insert(name, value)),
                _ => drop(headers.append(name, value)),
            }
        }
    }
}

impl Headers {
    fn into_pairs(self, present: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        let mut pairs = Vec::new();
        let mut varies = present.get_all(header::VARY).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
        let covers =
            |name: &[u8]| matches!(name.trim_ascii(), b"*") || name.trim_ascii().eq_ignore_ascii_case(b"cookie");
        if self.read && !varies.any(covers) {
            pairs.push((header::VARY, HeaderValue::from_static("Cookie")));
        }
        if let Some(cookie) = self.set_cookie {
            pairs.push((header::SET_COOKIE, cookie));
            pairs.push((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
        }
        pairs
    }
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("token", &self.0.token).finish_non_exhaustive()
    }
}
