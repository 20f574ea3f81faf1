//! The axum extractor.

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::error::Error;
use crate::session::Session;

/// Loads the session: one round trip with a token, none without. Take `Result<Session, Error>` in a handler that goes on
/// without the store.
impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Session, Error> {
        Session::load(&parts.extensions).await
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        super::tower::error_response::<Body>(self)
    }
}
