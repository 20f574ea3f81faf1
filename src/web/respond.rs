//! The response to an error: a text for people, problem details for programs, or what the application makes of it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, response};
use smallvec::SmallVec;

use super::accept::prefers_json;
use crate::error::Error;

/// How long a client should wait before it asks again when the store is away, in seconds.
const RETRY_AFTER: u64 = 1;
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// RFC 6750, section 3.1.
const INVALID_REQUEST: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_request\"");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The headers that describe the body of a response. They are removed when the body is replaced.
const OF_THE_BODY: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::TRANSFER_ENCODING,
    header::ETAG,
    header::LAST_MODIFIED,
];

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
    pub fn default_response<B: From<String>>(&self, error: &Error) -> Response<B> {
        PlainErrors.respond(error, &Asked::of(&self.method, &self.headers))
    }
}

/// How a [`SessionLayer`](crate::SessionLayer) answers with an error. There are two ways: [`PlainErrors`] and [`OnError`].
pub trait ErrorResponses<B>: Clone + sealed::Sealed {
    /// What is kept of a request in case it ends in an error.
    #[doc(hidden)]
    type Asked;

    #[doc(hidden)]
    fn asked<R>(&self, request: &Request<R>) -> Self::Asked;

    #[doc(hidden)]
    fn respond(&self, error: &Error, asked: &Self::Asked) -> Response<B>;
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

/// What is kept of a request. It is little, because nearly every request is answered without an error.
#[doc(hidden)]
#[derive(Debug)]
pub struct Asked {
    is_head: bool,
    accept: SmallVec<[HeaderValue; 1]>,
}

impl Asked {
    fn of(method: &Method, headers: &HeaderMap) -> Asked {
        Asked { is_head: method == Method::HEAD, accept: headers.get_all(header::ACCEPT).iter().cloned().collect() }
    }
}

impl<B: From<String>> ErrorResponses<B> for PlainErrors {
    type Asked = Asked;

    fn asked<R>(&self, request: &Request<R>) -> Asked {
        Asked::of(request.method(), request.headers())
    }

    fn respond(&self, error: &Error, asked: &Asked) -> Response<B> {
        let (kind, body) = if prefers_json(&asked.accept) {
            (PROBLEM, problem(error))
        } else {
            (TEXT, error.public_message().into_owned())
        };
        let mut response = Response::new(B::from(if asked.is_head { String::new() } else { body }));
        *response.status_mut() = status(error);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// Answers with the response of the application. Made by [`SessionLayer::on_error`](crate::SessionLayer::on_error).
pub struct OnError<F>(Arc<F>);

impl<F> OnError<F> {
    pub(super) fn new(respond: F) -> OnError<F> {
        OnError(Arc::new(respond))
    }
}

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

impl<B, F: Fn(&Error, &RequestHead) -> Response<B>> ErrorResponses<B> for OnError<F> {
    type Asked = RequestHead;

    fn asked<R>(&self, request: &Request<R>) -> RequestHead {
        let (method, uri, mut headers) = (request.method().clone(), request.uri().clone(), request.headers().clone());
        // whoever logs the head must not log a token
        for (name, value) in &mut headers {
            value.set_sensitive(value.is_sensitive() || [header::COOKIE, header::AUTHORIZATION].contains(name));
        }
        RequestHead { method, uri, headers }
    }

    fn respond(&self, error: &Error, asked: &RequestHead) -> Response<B> {
        self.0(error, asked)
    }
}

/// Makes the response to an error. The error is in its extensions, for layers further out.
pub(super) fn respond<B, E: ErrorResponses<B>>(error: Error, errors: &E, asked: &E::Asked) -> Response<B> {
    note(&error);
    let mut response = errors.respond(&error, asked);
    if error.is_store() {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from(RETRY_AFTER));
    }
    if error.is_ambiguous() {
        response.headers_mut().entry(header::WWW_AUTHENTICATE).or_insert(INVALID_REQUEST);
    }
    response.extensions_mut().remove::<Untouched>();
    response.extensions_mut().insert(error);
    response
}

/// Marks the response that an extractor or a handler made of an error without knowing the request. The layer answers in its
/// place, unless something between them has already done so.
#[derive(Clone)]
struct Untouched;

/// Makes the response to an error without knowing the request.
#[cfg(feature = "axum")]
pub(super) fn untouched<B: From<String>>(error: Error) -> Response<B> {
    let mut response = respond(error, &PlainErrors, &Asked { is_head: false, accept: SmallVec::new() });
    response.extensions_mut().insert(Untouched);
    response
}

/// Replaces a response that nobody has touched by the answer of the layer. Its headers stay, except those of the body.
pub(super) fn retell<B, E: ErrorResponses<B>>(mut response: Response<B>, errors: &E, asked: &E::Asked) -> Response<B> {
    if response.extensions_mut().remove::<Untouched>().is_none() {
        return response;
    }
    let Some(error) = response.extensions().get::<Error>().cloned() else {
        return response;
    };
    // if something has put another body into this response, its head shows it
    if response.status() != status(&error) || response.headers().get(header::CONTENT_TYPE) != Some(&TEXT) {
        return response;
    }
    let mut told = errors.respond(&error, asked);
    told.extensions_mut().remove::<Untouched>();
    let (old, _) = response.into_parts();
    let (new, body) = told.into_parts();
    Response::from_parts(merged(old, new), body)
}

/// Adds to the new head what only the old one has: `Set-Cookie`, `Vary` and `Retry-After` must reach the browser.
fn merged(old: response::Parts, mut new: response::Parts) -> response::Parts {
    for name in old.headers.keys().filter(|name| !OF_THE_BODY.contains(name)) {
        let adds_up = [header::SET_COOKIE, header::VARY].contains(name);
        if adds_up || !new.headers.contains_key(name) {
            for value in old.headers.get_all(name) {
                new.headers.append(name, value.clone());
            }
        }
    }
    let mut extensions = old.extensions;
    extensions.extend(std::mem::take(&mut new.extensions));
    new.extensions = extensions;
    new
}

/// Logs one line for each error that becomes a response, with its cause. What concerns only the visitor is logged at
/// `debug`.
fn note(error: &Error) {
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
