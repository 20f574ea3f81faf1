//! For adapters of web frameworks, which begin and finish a visit for each request. An application does not need this
//! module.
//!
//! [Writing an adapter](crate::guide::writing_an_adapter) shows a whole one.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use tokio::sync::OnceCell;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::credential::{self, Brought, Carrier};
use crate::csrf::{self, Judged};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::session::{ClientChanges, Session};
use crate::sessions::{ReadFrom, Sessions};

mod accept;
mod changes;
pub(crate) mod extract;
pub(crate) mod rejection;
pub(crate) mod respond;
#[cfg(any(feature = "tower", feature = "actix"))]
mod untouched;
#[cfg(any(feature = "tower", feature = "actix"))]
pub(crate) mod layer;
#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "tower")]
mod tower;

pub use crate::headers::{Headers, ResponseHeaders};
pub use changes::{FailedCommit, ResponseChanges};
pub use respond::{Asked, ErrorResponses, OnError, PlainErrors};
#[cfg(feature = "tower")]
pub use tower::{SessionFuture, SessionService};

/// One request's way through the sessions, as handlers and extractors find it in the request's extensions. The store is
/// asked only when [`session`](Visit::session) is called. A clone is cheap and stands for the same visit.
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
/// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # doctest::with_sessions(async |sessions| {
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
///             response = plain(&error); // the handler's response would report as done what was not stored
///             finish
///         }
///     };
///     finish.apply(response.headers_mut());
///     response
/// }
/// # let answer = serve(&sessions, Request::new(()), async |_| Response::new("Hello".to_owned())).await;
/// # assert_eq!(answer.body(), "Hello");
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
#[must_use = "a visit that is dropped is abandoned: its changes are not stored"]
pub struct OngoingVisit(Visit);

struct Inner {
    sessions: Sessions,
    judged: Judged,
    brought: Brought,
    user_agent: Option<HeaderValue>,
    /// A person who asked for a page sent the request, and there is a sign-in page.
    wants_page: bool,
    /// What the request asks for, if the sign-in page is told it.
    wanted: Option<PathAndQuery>,
    /// The response can carry no token, so none is made.
    without_tokens: bool,
    session: OnceCell<Result<Session>>,
    /// The response is being sent: a session that is loaded from now on cannot be changed.
    over: AtomicBool,
}

impl Visit {
    /// The headers of a request that are looked at. A framework that has header types of its own needs to convert only these,
    /// but all values of each.
    pub const HEADERS: [HeaderName; 8] = [
        header::ACCEPT,
        header::AUTHORIZATION,
        header::COOKIE,
        header::HOST,
        header::ORIGIN,
        csrf::SEC_FETCH_SITE,
        header::UPGRADE,
        header::USER_AGENT,
    ];

    /// Looks for a token among a request's cookies, or in its header `Authorization` if
    /// [`bearer_tokens`](crate::ConfigBuilder::bearer_tokens) are on, and checks where the request comes from (see
    /// [`Csrf`](crate::Csrf)). No I/O.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::web::Visit;
    /// # doctest::with_sessions(async |sessions| {
    /// # let request = http::Request::new(());
    /// let ongoing = Visit::begin(&sessions, request.method(), request.uri(), request.headers())?;
    /// let session = ongoing.visit().session().await?;
    /// assert_eq!(session.user(), None);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns an error if the request must be refused: answer with this error, and do not call the handler. It is
    /// [`is_cross_site`](Error::is_cross_site), 403, or [`is_ambiguous`](Error::is_ambiguous), 400, if the request names its
    /// session in two ways.
    pub fn begin(sessions: &Sessions, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<OngoingVisit> {
        Visit::begin_with(sessions, method, uri, headers, false)
    }

    /// Begins a visit whose response cannot carry a token, such as the answer to a proxy that asks who a visitor is: proxies
    /// drop its `Set-Cookie`. No I/O.
    ///
    /// The session is read and extended as usual. A rotation that is due by
    /// [`rotate_every`](crate::ConfigBuilder::rotate_every) or for the cookie's age waits for a request that can carry the new
    /// token, and so does the takeover of a [former session](crate::ConfigBuilder::adopt). No cookie is set or removed. What
    /// needs a new token is an error, 500, and does nothing: a sign-in, a rotation, or a write for a visitor without a session.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::web::Visit;
    /// # doctest::with_sessions(async |sessions| {
    /// # let request = http::Request::new(());
    /// let ongoing = Visit::begin_without_tokens(&sessions, request.method(), request.uri(), request.headers())?;
    /// let session = ongoing.visit().session().await?;
    /// assert!(session.sign_in("ada").await.is_err());
    ///
    /// let mut response = http::Response::new("nobody");
    /// let changes = ongoing.finish(response.status().as_u16()).await.expect("the store in memory answers");
    /// changes.apply(response.headers_mut());
    /// assert!(!response.headers().contains_key("set-cookie"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`begin`](Visit::begin).
    pub fn begin_without_tokens(
        sessions: &Sessions,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<OngoingVisit> {
        Visit::begin_with(sessions, method, uri, headers, true)
    }

    fn begin_with(
        sessions: &Sessions,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        without_tokens: bool,
    ) -> Result<OngoingVisit> {
        let config = sessions.config();
        let brought = credential::read(headers, config).map_err(Error::ambiguous)?;
        let judged = match brought.carrier {
            Carrier::Bearer => Judged::Bearer,
            Carrier::Nothing | Carrier::Cookie => csrf::judge(method, uri, headers, config).map_err(|reason| {
                sessions.tell(Event::CrossSiteRefused { session: None, reason });
                Error::cross_site(reason)
            })?,
        };
        let user_agent = headers.get(header::USER_AGENT).cloned();
        let wants_page =
            config.sign_in_page.is_some() && brought.carrier != Carrier::Bearer && wants_page(method, headers);
        let wanted = config.sign_in_next.as_ref().filter(|_| wants_page).and_then(|_| uri.path_and_query().cloned());
        Ok(OngoingVisit(Visit(Arc::new(Inner {
            sessions: sessions.clone(),
            judged,
            brought,
            user_agent,
            wants_page,
            wanted,
            without_tokens,
            session: OnceCell::new(),
            over: AtomicBool::new(false),
        }))))
    }

    /// Returns the session of the request. It is loaded when it is first asked for; later calls return the same session, or
    /// the same error. One round trip for each token that the request brings (mostly one, at most four), and none without a
    /// token.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_sessions(async |sessions| {
    /// let ongoing = doctest::request(&sessions)?;
    /// let session = ongoing.visit().session().await?;
    /// session.increment(Field::new("page_views"), 1).await?;
    /// assert!(ongoing.visit().session().await?.exists()); // it is the same session
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer. This does not mean that the
    /// visitor is anonymous.
    pub async fn session(&self) -> Result<Session> {
        self.open(ReadFrom::Nearest).await
    }

    /// Returns the session of the request as the store has it, past a [near cache](crate::store::NearCache): one round trip
    /// more if the session was read out of a near cache before.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// let ongoing = doctest::request(&sessions)?;
    /// let session = ongoing.visit().fresh_session().await?;
    /// assert_eq!(session.user(), None);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer.
    pub async fn fresh_session(&self) -> Result<Session> {
        let session = self.open(ReadFrom::Store).await?;
        session.refresh().await?;
        Ok(session)
    }

    async fn open(&self, from: ReadFrom) -> Result<Session> {
        let Inner { sessions, judged, brought, user_agent, without_tokens, session, over, .. } = &*self.0;
        let open = || Session::open(sessions, brought, user_agent.as_ref(), *judged, *without_tokens, from);
        let session = session.get_or_init(open).await.clone();
        if let Ok(session) = &session
            && over.load(Ordering::SeqCst)
        {
            session.close();
        }
        session
    }

    /// Returns true if the visit belongs to this manager. An adapter that finds a visit of its own manager leaves
    /// everything to it.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// let ongoing = doctest::request(&sessions)?;
    /// assert!(ongoing.visit().is_of(&sessions));
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_of(&self, sessions: &Sessions) -> bool {
        self.0.sessions.is_same(sessions)
    }

    /// Returns the visit that was found where the adapter leaves it, or the error that says that there is no session layer
    /// around the route.
    ///
    /// ```
    /// # use cloakroom::web::Visit;
    /// let error = Visit::found(None).unwrap_err();
    /// assert!(error.to_string().contains("no session layer"));
    /// ```
    ///
    /// # Errors
    /// Returns an error for `None`.
    pub fn found(visit: Option<&Visit>) -> Result<&Visit> {
        visit.ok_or_else(Error::no_layer)
    }
}

impl OngoingVisit {
    /// Returns the visit, for whoever handles the request.
    pub fn visit(&self) -> &Visit {
        &self.0
    }

    /// Commits what the request changed, and returns what to do to the head of its response, which has this status. At most
    /// one round trip, and none if nothing was changed and no touch is due.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Field;
    /// # doctest::with_sessions(async |sessions| {
    /// let ongoing = doctest::request(&sessions)?;
    /// ongoing.visit().session().await?.set(Field::<String>::new("theme"), "dark")?;
    ///
    /// let mut response = http::Response::new("saved");
    /// let changes = ongoing.finish(response.status().as_u16()).await.expect("the store in memory answers");
    /// changes.apply(response.headers_mut());
    /// assert!(response.headers().contains_key("set-cookie"));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the failed commit: the error that the response has to become, and what to do to its head.
    pub async fn finish(self, status: u16) -> Result<ResponseChanges, FailedCommit> {
        match self.finish_at_once(status) {
            Ok(finish) => Ok(finish),
            Err(session) => self.finish_with(&session, status).await,
        }
    }

    /// Finishes the visit if nothing has to be stored, as after most requests. Otherwise returns the session to [finish
    /// with](OngoingVisit::finish_with).
    pub(crate) fn finish_at_once(&self, status: u16) -> Result<ResponseChanges, Session> {
        let Inner { session, over, .. } = &*self.0.0;
        // first: whoever loads from now on sees it, whoever has loaded is seen here
        over.store(true, Ordering::SeqCst);
        match session.get() {
            None => Ok(self.finished(status, None)),
            Some(Err(_)) => Ok(self.finished(status, Some(ClientChanges::default()))),
            Some(Ok(session)) => match session.finish_at_once() {
                Some(changes) => Ok(self.finished(status, Some(changes))),
                None => Err(session.clone()),
            },
        }
    }

    pub(crate) async fn finish_with(self, session: &Session, status: u16) -> Result<ResponseChanges, FailedCommit> {
        let (committed, changes) = session.finish(status).await;
        match committed {
            Ok(()) => Ok(self.finished(status, Some(changes))),
            Err(error) => {
                let finish = self.finished(error.status(), Some(changes));
                Err(FailedCommit::new(error, finish))
            }
        }
    }

    /// Returns what to do to the head of a response with this status. `None` stands for a session that was not asked for.
    fn finished(&self, status: u16, changes: Option<ClientChanges>) -> ResponseChanges {
        let is_refused = status == StatusCode::UNAUTHORIZED;
        ResponseChanges::new(self.0.0.sessions.config(), is_refused, changes)
    }
}

/// Ends the visit, even if there was no response because the inner service failed or the client hung up: clones of the
/// session must not accept changes that nobody will store. It does nothing to a visit that was finished.
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
    /// Returns the session of a request from its extensions, for middleware. One round trip the first time, or none out of
    /// a [near cache](crate::store::NearCache).
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Session;
    /// # doctest::with_sessions(async |sessions| {
    /// # let ongoing = doctest::request(&sessions)?;
    /// # let mut request = http::Request::new(());
    /// # request.extensions_mut().insert(ongoing.visit().clone());
    /// // `request` comes from inside a session layer
    /// let session = Session::load(request.extensions()).await?;
    /// assert_eq!(session.user(), None);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](Error::is_store)) if the store does not answer, and an error if there is no
    /// session layer around the route.
    pub async fn load(extensions: &http::Extensions) -> Result<Session> {
        Visit::found(extensions.get())?.session().await
    }

    /// Returns the session of a request from its extensions, past a [near cache](crate::store::NearCache), for middleware
    /// that must not rely on what was true a moment ago. At most one round trip more than [`load`](Session::load), and none
    /// more without a near cache.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # use cloakroom::Session;
    /// # doctest::with_sessions(async |sessions| {
    /// # let ongoing = doctest::request(&sessions)?;
    /// # let mut request = http::Request::new(());
    /// # request.extensions_mut().insert(ongoing.visit().clone());
    /// let session = Session::load_fresh(request.extensions()).await?;
    /// assert_eq!(session.user(), None);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`load`](Session::load).
    pub async fn load_fresh(extensions: &http::Extensions) -> Result<Session> {
        Visit::found(extensions.get())?.fresh_session().await
    }
}

/// Returns true if a person asks for a page, and not a program, or a page for one of its parts.
fn wants_page(method: &Method, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    method == Method::GET && accept.is_some_and(|accept| accept.contains("text/html"))
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("tokens", &self.0.brought.tokens).finish_non_exhaustive()
    }
}
