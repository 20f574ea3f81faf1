//! For adapters of web frameworks: an [`OngoingVisit`] for each request. An application does not need this.

#[cfg(feature = "axum")]
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use tokio::sync::OnceCell;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cookie::{self, Tokens};
use crate::csrf::{self, Judged};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::session::{CookieChange, Session};
use crate::sessions::{ReadFrom, Sessions};

#[cfg(feature = "tower")]
mod accept;
#[cfg(feature = "axum")]
pub(crate) mod axum;
#[cfg(feature = "axum")]
pub(crate) mod rejection;
#[cfg(feature = "tower")]
pub(crate) mod respond;
#[cfg(feature = "tower")]
pub(crate) mod tower;

#[cfg(feature = "tower")]
pub use respond::{ErrorResponses, OnError, PlainErrors};
#[cfg(feature = "tower")]
pub use tower::{SessionFuture, SessionService};

/// One request's way through the sessions, as handlers and extractors find it: nothing is asked of the store until the
/// [`session`](Visit::session) is. Cheap to clone.
#[derive(Clone)]
pub struct Visit(Arc<Inner>);

/// A [`Visit`] in the hands of its framework adapter, which does three things with each request:
///
/// 1. It [begins](Visit::begin) the visit with the head of the request.
/// 2. It puts the [`visit`](OngoingVisit::visit) where handlers find it: into the request's extensions, which is where
///    [`Session::load`] looks.
/// 3. It [finishes](OngoingVisit::finish) when the response is ready and before its head leaves, and does to the response
///    what it is told.
///
/// A visit that is dropped without being finished, because there was no response, is abandoned: whoever still holds its
/// session gets an error for every change from then on, because nobody would store it.
///
/// ```
/// use cloakroom::{Error, Sessions, web::Visit};
/// use http::{Request, Response};
///
/// # fn plain(error: &Error) -> Response<String> { Response::new(error.to_string()) }
/// async fn serve<B>(
///     sessions: &Sessions,
///     mut request: Request<B>,
///     handler: impl AsyncFnOnce(Request<B>) -> Response<String>,
/// ) -> Response<String> {
///     let ongoing = match Visit::begin(sessions, request.method(), request.uri(), request.headers()) {
///         Ok(ongoing) => ongoing,
///         Err(error) => return plain(&error),
///     };
///     request.extensions_mut().insert(ongoing.visit().clone());
///     let mut response = handler(request).await;
///     let finish = match ongoing.finish(response.status().as_u16()).await {
///         Ok(finish) => finish,
///         Err(failed) => {
///             let (error, finish) = failed.into_parts();
///             response = plain(&error); // not the handler's: what it reported as done was not stored
///             finish
///         }
///     };
///     finish.apply(response.headers_mut());
///     response
/// }
/// ```
#[derive(Debug)]
#[must_use = "a visit that is dropped is abandoned: its changes are not stored"]
pub struct OngoingVisit(Visit);

struct Inner {
    sessions: Sessions,
    judged: Judged,
    tokens: Tokens,
    user_agent: Option<HeaderValue>,
    has_cookie: bool,
    /// What the request asks for, where the sign-in page is to be told.
    #[cfg(feature = "axum")]
    wanted: Option<PathAndQuery>,
    session: OnceCell<Result<Session>>,
    /// The response is on its way: a session that is only now asked for cannot be changed.
    over: AtomicBool,
}

/// What an adapter does to the head of the response. See [`apply`](ResponseChanges::apply).
#[derive(Debug)]
#[must_use = "without it the browser does not get its cookie, and caches do not learn that the response is one person's"]
pub struct ResponseChanges {
    read: bool,
    set_cookie: Option<HeaderValue>,
}

/// The changes of a request were not stored. The response becomes this [error](FailedCommit::error), and what the handler
/// answered must not be sent: it would report as done what was not.
#[derive(Debug)]
#[must_use = "the response has to become an error"]
pub struct FailedCommit {
    error: Error,
    finish: ResponseChanges,
}

impl Visit {
    /// Judges where a request comes from (see [`Csrf`](crate::Csrf)), and looks for a token among its cookies. No I/O.
    ///
    /// # Errors
    /// [`is_cross_site`](Error::is_cross_site): the request is to be answered with it, 403, and goes no further.
    pub fn begin(sessions: &Sessions, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<OngoingVisit> {
        let judged = csrf::judge(method, uri, headers, sessions.config()).map_err(|reason| {
            sessions.tell(Event::CrossSiteRefused { session: None, reason });
            Error::cross_site(reason)
        })?;
        let cookies = || headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        let config = sessions.config();
        let tokens = cookie::read(cookies(), &config.cookie, config.token_format);
        let has_cookie = !tokens.is_empty() || cookie::is_there(cookies(), &config.cookie);
        let user_agent = headers.get(header::USER_AGENT).cloned();
        Ok(OngoingVisit(Visit(Arc::new(Inner {
            sessions: sessions.clone(),
            judged,
            tokens,
            user_agent,
            has_cookie,
            #[cfg(feature = "axum")]
            wanted: sessions.config().sign_in_next.as_ref().and_then(|_| uri.path_and_query().cloned()),
            session: OnceCell::new(),
            over: AtomicBool::new(false),
        }))))
    }

    /// The request's session: loaded when first asked for, the same (or the same error) afterwards. One round trip for each
    /// token that it brings (four at most; mostly it is one), none without.
    ///
    /// # Errors
    /// The store's: that it cannot be asked does not make the visitor anonymous.
    pub async fn session(&self) -> Result<Session> {
        self.open(ReadFrom::Nearest).await
    }

    /// The same, seen where sessions are kept and not in a near cache.
    ///
    /// # Errors
    /// The store's.
    pub async fn fresh_session(&self) -> Result<Session> {
        let session = self.open(ReadFrom::Store).await?;
        session.refresh().await?;
        Ok(session)
    }

    async fn open(&self, from: ReadFrom) -> Result<Session> {
        let Inner { sessions, judged, tokens, user_agent, has_cookie, session, over, .. } = &*self.0;
        let open = || Session::open(sessions, tokens, user_agent.as_ref(), *has_cookie, *judged, from);
        let session = session.get_or_init(open).await.clone();
        if let Ok(session) = &session
            && over.load(Ordering::SeqCst)
        {
            session.close();
        }
        session
    }

    /// Whether it is this manager's: an adapter that finds a visit of its own manager leaves everything to it.
    pub fn is_of(&self, sessions: &Sessions) -> bool {
        self.0.sessions.is_same(sessions)
    }

    fn of(extensions: &http::Extensions) -> Result<&Visit> {
        extensions.get().ok_or_else(Error::no_layer)
    }
}

impl OngoingVisit {
    /// Returns the visit, for whoever handles the request.
    pub fn visit(&self) -> &Visit {
        &self.0
    }

    /// Commits what the request changed, and returns what to do to a response of this status. At most one round trip, none
    /// if nothing was changed and no touch is due.
    ///
    /// # Errors
    /// Returns the failed commit, with the error that the response becomes and what to do to its head.
    pub async fn finish(self, status: u16) -> Result<ResponseChanges, FailedCommit> {
        match self.finish_at_once() {
            Ok(finish) => Ok(finish),
            Err(session) => self.finish_with(&session, status).await,
        }
    }

    /// Finishes where nothing has to be stored, as after most requests. Otherwise returns the session that has to be waited
    /// for, to [finish with](OngoingVisit::finish_with).
    pub(crate) fn finish_at_once(&self) -> Result<ResponseChanges, Session> {
        let Inner { session, over, .. } = &*self.0.0;
        // first: whoever loads from now on sees it, whoever has loaded is seen here
        over.store(true, Ordering::SeqCst);
        match session.get() {
            None => Ok(ResponseChanges { read: false, set_cookie: None }),
            Some(Err(_)) => Ok(self.finished(CookieChange::None)),
            Some(Ok(session)) => {
                session.finish_at_once().map(|change| self.finished(change)).ok_or_else(|| session.clone())
            }
        }
    }

    pub(crate) async fn finish_with(self, session: &Session, status: u16) -> Result<ResponseChanges, FailedCommit> {
        let (committed, change) = session.finish(status).await;
        let finish = self.finished(change);
        match committed {
            Ok(()) => Ok(finish),
            Err(error) => Err(FailedCommit { error, finish }),
        }
    }

    fn finished(&self, change: CookieChange) -> ResponseChanges {
        let settings = &self.0.0.sessions.config().cookie;
        let set_cookie = match change {
            CookieChange::None => None,
            CookieChange::Set(token, max_age) => Some(cookie::set(&token, max_age, settings)),
            CookieChange::Remove => Some(cookie::remove(settings)),
        };
        ResponseChanges { read: true, set_cookie }
    }
}

/// Ends the visit, also where no response ever came: the inner service failed, or the client hung up. Clones of the session
/// that live on must not take changes that nobody will store. After it was finished this changes nothing.
impl Drop for OngoingVisit {
    fn drop(&mut self) {
        let Inner { session, over, .. } = &*self.0.0;
        over.store(true, Ordering::SeqCst);
        if let Some(Ok(session)) = session.get() {
            session.close();
        }
    }
}

impl Session {
    /// The session of a request, for middleware: from the request's extensions. One round trip the first time, or out of a
    /// near cache.
    ///
    /// # Errors
    /// The store's, or that no session layer is around this route.
    pub async fn load(extensions: &http::Extensions) -> Result<Session> {
        Visit::of(extensions)?.session().await
    }

    /// The same, past a [near cache](crate::store::NearCache).
    ///
    /// # Errors
    /// As [`load`](Session::load).
    pub async fn load_fresh(extensions: &http::Extensions) -> Result<Session> {
        Visit::of(extensions)?.fresh_session().await
    }
}

impl ResponseChanges {
    /// Adds what caches and browsers must know: `Vary: Cookie` where the session was read, and where a cookie is set or
    /// removed `Cache-Control: no-store`, whatever the application had set.
    pub fn apply(self, headers: &mut HeaderMap) {
        if self.read && !varies_by_cookie(headers) {
            headers.append(header::VARY, HeaderValue::from_static("Cookie"));
        }
        if let Some(cookie) = self.set_cookie {
            headers.append(header::SET_COOKIE, cookie);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}

impl FailedCommit {
    /// Returns why the changes were not stored.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns why the changes were not stored, and what to do to the head of the response that says so: what was done at
    /// once before the commit failed stands, so its cookie must reach the browser all the same.
    pub fn into_parts(self) -> (Error, ResponseChanges) {
        (self.error, self.finish)
    }
}

fn varies_by_cookie(headers: &HeaderMap) -> bool {
    let mut varies = headers.get_all(header::VARY).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    varies.any(|name| matches!(name.trim_ascii(), b"*") || name.trim_ascii().eq_ignore_ascii_case(b"cookie"))
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("tokens", &self.0.tokens).finish_non_exhaustive()
    }
}
