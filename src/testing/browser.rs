//! A browser without a window: it keeps the cookies that it is given, and sends them back.

use std::collections::BTreeMap;
#[cfg(feature = "tower")]
use std::fmt::Debug;
use std::time::Duration;

use cookie::Cookie;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
#[cfg(feature = "tower")]
use http::{Request, Response};
#[cfg(feature = "tower")]
use tower_service::Service;

use crate::error::Result;
use crate::headers::Headers;
use crate::session::Session;
use crate::sessions::Sessions;
use crate::web::Visit;

/// The cookies of one test user.
///
/// [`get`](Browser::get), [`post`](Browser::post) and [`send`](Browser::send) ask an application without a network. With a
/// real server, let your HTTP client send the header `Cookie` with [`cookies`](Browser::cookies), and give what it answers to
/// [`keep_cookies`](Browser::keep_cookies).
///
/// A clone is another browser with copies of the cookies. The path and the domain of a cookie make no difference here.
#[derive(Debug, Clone)]
pub struct Browser {
    sessions: Sessions,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Returns a browser without cookies.
    pub fn new(sessions: &Sessions) -> Browser {
        Browser { sessions: sessions.clone(), cookies: BTreeMap::new() }
    }

    /// Calls a function with this browser's session, as if it were the handler of a request, and keeps the cookie that it
    /// leads to. A test brings a session into the state that it needs, or looks at what the application has left there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cloakroom::Error> {
    /// use cloakroom::{Field, testing::TestSessions};
    ///
    /// const CART: Field<Vec<String>> = Field::new("cart");
    ///
    /// let test = TestSessions::new();
    /// let mut visitor = test.browser();
    /// visitor.with_session(async |session| session.push(CART, "coat")).await?;
    ///
    /// // ... the application handles a request
    ///
    /// let cart = visitor.with_session(async |session| session.get(CART)).await?;
    /// assert_eq!(cart, Some(vec!["coat".to_owned()]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns the error of the function, whose deferred changes are then not stored, and a store error
    /// ([`is_store`](crate::Error::is_store)) if the store does not answer.
    pub async fn with_session<T>(&mut self, handler: impl AsyncFnOnce(Session) -> Result<T>) -> Result<T> {
        let mut head = HeaderMap::new();
        self.add_cookies(&mut head);
        let ongoing = Visit::begin(&self.sessions, &Method::GET, &Uri::from_static("/"), &head)?;
        let answer = handler(ongoing.visit().session().await?).await;
        let status = if answer.is_ok() { 200 } else { 500 };
        let (stored, changes) = match ongoing.finish(status).await {
            Ok(changes) => (Ok(()), changes),
            Err(failed) => {
                let (error, changes) = failed.into_parts();
                (Err(error), changes)
            }
        };
        let mut response = HeaderMap::new();
        changes.apply(&mut response);
        self.keep_cookies(&response);
        let answer = answer?;
        stored.map(|()| answer)
    }

    /// Returns the value of the header `Cookie` of this browser's requests, or `None` if it has no cookies.
    pub fn cookies(&self) -> Option<String> {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Keeps the cookies that the head of a response sets, and forgets those that it removes.
    pub fn keep_cookies(&mut self, response: &impl Headers) {
        for header in response.values(&header::SET_COOKIE).filter_map(|header| str::from_utf8(header).ok()) {
            self.keep_cookie(header);
        }
    }

    /// Keeps the cookie of one header `Set-Cookie`, or forgets it: for clients that have another type for headers.
    pub fn keep_cookie(&mut self, set_cookie: &str) {
        let Ok(cookie) = Cookie::parse(set_cookie) else { return };
        let is_removed = cookie.max_age().is_some_and(|age| age <= Duration::ZERO) || cookie.value().is_empty();
        if is_removed {
            self.cookies.remove(cookie.name());
        } else {
            self.cookies.insert(cookie.name().to_owned(), cookie.value().to_owned());
        }
    }

    fn add_cookies(&self, head: &mut HeaderMap) {
        let cookies = self.cookies().and_then(|cookies| HeaderValue::from_str(&cookies).ok());
        head.extend(cookies.map(|cookies| (header::COOKIE, cookies)));
    }
}

#[cfg(feature = "tower")]
impl Browser {
    /// Sends a request with this browser's cookies to an application, without a network, and keeps the cookies of the
    /// response.
    ///
    /// The request is one of the application's own pages: it has `Sec-Fetch-Site: same-origin` and a `Host`. A test that
    /// sets these headers itself sends what it likes.
    ///
    /// # Panics
    /// Panics if the application answers with an error instead of a response. An axum `Router` never does.
    pub async fn send<S, B, R>(&mut self, app: &S, mut request: Request<B>) -> Response<R>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
        S::Error: Debug,
    {
        let head = request.headers_mut();
        self.add_cookies(head);
        head.entry(header::HOST).or_insert(HeaderValue::from_static("app.example"));
        head.entry("sec-fetch-site").or_insert(HeaderValue::from_static("same-origin"));
        let mut app = app.clone();
        std::future::poll_fn(|context| app.poll_ready(context)).await.expect("the application takes requests");
        let response = app.call(request).await.expect("the application answers");
        self.keep_cookies(response.headers());
        response
    }
}

#[cfg(feature = "axum")]
impl Browser {
    /// Asks an axum application for a page. See [`send`](Browser::send).
    ///
    /// # Panics
    /// Panics if the path is no URI.
    pub async fn get<S>(&mut self, app: &S, path: &str) -> Response<axum_core::body::Body>
    where
        S: Service<Request<axum_core::body::Body>, Response = Response<axum_core::body::Body>> + Clone,
        S::Error: Debug,
    {
        let request = Request::get(path).body(axum_core::body::Body::empty());
        self.send(app, request.expect("the path is a URI")).await
    }

    /// Posts a form to an axum application, such as `name=Ada&remember=true`. See [`send`](Browser::send).
    ///
    /// # Panics
    /// Panics if the path is no URI.
    pub async fn post<S>(&mut self, app: &S, path: &str, form: impl Into<String>) -> Response<axum_core::body::Body>
    where
        S: Service<Request<axum_core::body::Body>, Response = Response<axum_core::body::Body>> + Clone,
        S::Error: Debug,
    {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.body(axum_core::body::Body::from(form.into()));
        self.send(app, request.expect("the path is a URI")).await
    }
}
