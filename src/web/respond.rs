//! The response to an error: a text for people, problem details for programs, or what the application makes of it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use smallvec::SmallVec;

use super::accept::prefers_json;
use crate::error::Error;
use crate::headers::ResponseHeaders;

/// How long a client should wait before it asks again when the store is away, in seconds.
const RETRY_AFTER: u64 = 1;
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// RFC 6750, section 3.1.
const INVALID_REQUEST: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_request\"");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The head of a request that became an error.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// Its method.
    pub method: Method,
    /// What it asks for, as the session layer saw it.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// Returns what the layer would answer by itself, for the errors that an application does not answer in its own way.
    /// See [`on_error`](crate::SessionLayer::on_error) for an example.
    pub fn default_response<R>(&self, error: &Error) -> R
    where
        PlainErrors: ErrorResponses<R, Asked = Asked>,
    {
        PlainErrors.respond(error, &Asked::of(&self.method, &self.headers))
    }
}

/// How a [`SessionLayer`](crate::SessionLayer) answers with an error, as a response of the framework. There are two ways:
/// [`PlainErrors`] and [`OnError`].
pub trait ErrorResponses<R>: Clone + sealed::Sealed {
    /// What is kept of a request in case it ends in an error.
    #[doc(hidden)]
    type Asked;

    /// Whether all headers of the request are needed, and not only [those](super::Visit::HEADERS) that a visit looks at.
    #[doc(hidden)]
    const NEEDS_ALL_HEADERS: bool;

    #[doc(hidden)]
    fn asked(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Self::Asked;

    #[doc(hidden)]
    fn respond(&self, error: &Error, asked: &Self::Asked) -> R;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::PlainErrors {}
    impl<F> Sealed for super::OnError<F> {}
}

/// Answers with the [text for visitors](Error::public_message), or, where the request asks for JSON, with problem details
/// (RFC 9457): `application/problem+json` with `title`, `status`, `detail` and the error's [`code`](Error::code).
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainErrors;

/// What an adapter keeps of a request in case it ends in an error. It is little, because nearly every request is answered
/// without one.
///
/// ```
/// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # doctest::with_sessions(async |sessions| {
/// use cloakroom::web::Asked;
/// use http::Request;
///
/// let request = Request::get("/account").header("accept", "application/json").body(()).unwrap();
/// let asked = Asked::of(request.method(), request.headers());
/// # let ongoing = doctest::request(&sessions)?;
/// let rejection = ongoing.visit().signed_in().await.unwrap_err();
/// let response = asked.respond(rejection.error());
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Default)]
pub struct Asked {
    is_head: bool,
    accept: SmallVec<[HeaderValue; 1]>,
}

impl Asked {
    /// Keeps what the answer to an error depends on: whether the request is a HEAD, and what it accepts.
    pub fn of(method: &Method, headers: &HeaderMap) -> Asked {
        Asked { is_head: method == Method::HEAD, accept: headers.get_all(header::ACCEPT).iter().cloned().collect() }
    }

    /// Returns the answer to an error, as [`PlainErrors`] makes it, and logs it. Call it once for each error.
    pub fn respond(&self, error: &Error) -> Response<String> {
        note(error);
        let mut response = self.plain(error);
        complete(error, response.headers_mut());
        response
    }

    /// Returns the head and the body of the answer to an error.
    pub(super) fn plain(&self, error: &Error) -> Response<String> {
        let (kind, body) = if prefers_json(&self.accept) {
            (PROBLEM, problem(error))
        } else {
            (TEXT, error.public_message().into_owned())
        };
        let mut response = Response::new(if self.is_head { String::new() } else { body });
        *response.status_mut() = status(error);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// Answers with the response of the application. Made by [`SessionLayer::on_error`](crate::SessionLayer::on_error).
pub struct OnError<F>(pub(super) Arc<F>);

impl<F> Clone for OnError<F> {
    fn clone(&self) -> Self {
        OnError(self.0.clone())
    }
}

impl<F> std::fmt::Debug for OnError<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnError")
    }
}

impl<R, F: Fn(&Error, &RequestHead) -> R> ErrorResponses<R> for OnError<F> {
    type Asked = RequestHead;
    const NEEDS_ALL_HEADERS: bool = true;

    fn asked(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> RequestHead {
        let (method, uri, mut headers) = (method.clone(), uri.clone(), headers.clone());
        // whoever logs the head must not log a token
        for (name, value) in &mut headers {
            value.set_sensitive(value.is_sensitive() || [header::COOKIE, header::AUTHORIZATION].contains(name));
        }
        RequestHead { method, uri, headers }
    }

    fn respond(&self, error: &Error, asked: &RequestHead) -> R {
        self.0(error, asked)
    }
}

/// Adds what clients must know of an error, whoever has made the response: when to ask again, and what they did wrong.
pub(super) fn complete(error: &Error, headers: &mut impl ResponseHeaders) {
    if error.is_store() {
        headers.default(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    if error.is_ambiguous() {
        headers.default(header::WWW_AUTHENTICATE, INVALID_REQUEST);
    }
}

/// Logs one line for each error that becomes a response, with its cause. What concerns only the visitor is logged at
/// `debug`.
pub(super) fn note(error: &Error) {
    let (status, code) = (error.status(), error.code());
    match status {
        500.. => tracing::error!(target: "cloakroom", %error, "a request failed for its session"),
        _ => tracing::debug!(target: "cloakroom", status, code, %error, "a request was refused for its session"),
    }
}

fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn problem(error: &Error) -> String {
    let title = status(error).canonical_reason().unwrap_or_default();
    let (status, detail, code) = (error.status(), error.public_message(), error.code());
    serde_json::json!({ "title": title, "status": status, "detail": detail, "code": code }).to_string()
}
