//! What a scenario mounts its handlers with, on axum. `on_actix` has the same for actix-web.

use std::pin::Pin;

pub use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
pub use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
pub use axum::response::{Html, IntoResponse, Json, Redirect, Response};
pub use axum::routing::{any, get, post};
use cloakroom::{Error, Session, web::Visit};
use tower::ServiceExt;

use super::browser::Serve;

impl Serve for Router {
    fn serve(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send>> {
        let app = self.clone();
        Box::pin(async { app.oneshot(request).await.unwrap() })
    }
}

/// The headers of a request, as the framework has them.
pub struct Headers(pub HeaderMap);

impl<S: Send + Sync> FromRequestParts<S> for Headers {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Headers, Self::Rejection> {
        Ok(Headers(parts.headers.clone()))
    }
}

/// The visit of a request, which its session layer left there.
pub struct Kept(pub Visit);

impl<S: Send + Sync> FromRequestParts<S> for Kept {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Kept, Self::Rejection> {
        Ok(Kept(parts.extensions.get::<Visit>().expect("there is a session layer").clone()))
    }
}

/// Puts a middleware of the application around the routes that are there so far.
pub fn around<F, Answer>(app: Router, middleware: F) -> Router
where
    F: Fn(Passing) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Result<Passed, Stopped>> + Send + 'static,
{
    app.layer(from_fn(move |request, next| {
        let answer = middleware(Passing { request, next });
        async {
            match answer.await {
                Ok(passed) => passed.0,
                Err(Stopped::Error(error)) => error.into_response(),
                Err(Stopped::Status(status)) => status.into_response(),
            }
        }
    }))
}

/// A request on its way through a middleware.
pub struct Passing {
    request: Request,
    next: Next,
}

impl Passing {
    pub fn path(&self) -> String {
        self.request.uri().path().to_owned()
    }

    pub fn session(&self) -> impl Future<Output = Result<Session, Error>> + Send + 'static {
        let extensions = self.request.extensions().clone();
        async move { Session::load(&extensions).await }
    }

    pub async fn go_on(self) -> Result<Passed, Stopped> {
        Ok(Passed(self.next.run(self.request).await))
    }
}

/// A response on its way out.
pub struct Passed(Response);

impl Passed {
    pub fn error(&self) -> Option<Error> {
        self.0.extensions().get().cloned()
    }

    pub fn append(&mut self, name: &str, value: &str) {
        self.0.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }

    /// Puts another response in its place.
    pub fn replace(self, response: impl IntoResponse) -> Passed {
        Passed(response.into_response())
    }

    /// Keeps its head, and puts another body into it.
    pub fn with_body(self, content_type: &'static str, body: &'static str) -> Passed {
        let (mut head, _) = self.0.into_parts();
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        head.headers.remove(header::CONTENT_LENGTH);
        Passed(Response::from_parts(head, Body::from(body)))
    }
}

/// Why a middleware did not let a request through.
pub enum Stopped {
    Error(Error),
    Status(StatusCode),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Error(error)
    }
}
