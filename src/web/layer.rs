//! The layer, whatever the framework: what [`Sessions::layer`] makes.

use std::sync::Arc;

use super::respond::{OnError, PlainErrors, RequestHead};
use crate::error::Error;
use crate::sessions::Sessions;

impl Sessions {
    /// Returns the layer that gives sessions to the routes inside it. A route that does not ask for its session costs
    /// nothing.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// use axum::{Router, routing::get};
    /// use cloakroom::Session;
    ///
    /// let app: Router = Router::new()
    ///     .route("/", get(async |session: Session| format!("{:?}", session.user())))
    ///     .layer(sessions.layer());
    /// # assert_eq!(doctest::status_of(app, "/").await, 200);
    /// # Ok(())
    /// # });
    /// ```
    pub fn layer(&self) -> SessionLayer {
        if !self.config().cookie.secure {
            tracing::warn!(target: "cloakroom", "the session cookie is not Secure: for development over plain http only");
        }
        SessionLayer { sessions: self.clone(), errors: PlainErrors }
    }
}

/// Gives sessions to the services inside it. Made by [`Sessions::layer`].
///
/// With axum and tower it is a layer (`.layer(sessions.layer())`), with actix-web a middleware (`.wrap(sessions.layer())`).
///
/// By default the layer answers errors as [`PlainErrors`] does. For a service of tower this needs a response body that
/// implements `From<String>`, as that of axum does. With [`on_error`](SessionLayer::on_error) the body may be of any type.
#[derive(Debug, Clone)]
pub struct SessionLayer<E = PlainErrors> {
    pub(super) sessions: Sessions,
    pub(super) errors: E,
}

impl SessionLayer {
    /// Makes the application answer all errors in its own way: those of the layer itself, such as a request of another site
    /// or a commit that failed, and those that an extractor or a handler returned, unless something between them and the
    /// layer has answered already. `Set-Cookie`, `Vary`, `Retry-After` and similar headers are kept, whatever is answered.
    ///
    /// The head of each request is copied for this. [`RequestHead::default_response`] answers the errors that the
    /// application leaves to the layer.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// use axum::http::{StatusCode, header};
    /// use axum::response::{Html, IntoResponse, Response};
    /// use cloakroom::{Error, RequestHead};
    ///
    /// fn error_page(error: &Error, request: &RequestHead) -> Response {
    ///     let accept = request.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    ///     if !accept.is_some_and(|accept| accept.contains("text/html")) {
    ///         return request.default_response(error);
    ///     }
    ///     let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    ///     (status, Html(format!("<!doctype html><title>Sorry</title><p>{}", error.public_message()))).into_response()
    /// }
    ///
    /// let app: axum::Router = axum::Router::new().layer(sessions.layer().on_error(error_page));
    /// # assert_eq!(doctest::status_of(app, "/").await, 404);
    /// # Ok(())
    /// # });
    /// ```
    pub fn on_error<F, R>(self, respond: F) -> SessionLayer<OnError<F>>
    where
        F: Fn(&Error, &RequestHead) -> R,
    {
        SessionLayer { sessions: self.sessions, errors: OnError(Arc::new(respond)) }
    }
}
