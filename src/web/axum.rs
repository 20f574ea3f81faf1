//! The axum extractors.

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};

use super::extract::{Fresh, RecentSignIn, SignedIn};
use super::rejection::SignInRejection;
use super::{Visit, tower};
use crate::error::{Error, Result};
use crate::session::Session;

/// Loads the session: one round trip with a token, none without. Take `Result<Session, Error>` in a handler that should
/// keep working without the store.
impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Session> {
        visit(parts)?.session().await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Fresh {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Fresh> {
        visit(parts)?.fresh_session().await.map(Fresh)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = SignInRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<SignedIn, SignInRejection> {
        visit(parts)?.signed_in().await
    }
}

/// Extracts `None` if nobody is signed in. A store that does not answer is still an error.
impl<S: Send + Sync> OptionalFromRequestParts<S> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<SignedIn>> {
        visit(parts)?.signed_in_if_any().await
    }
}

impl<S: Send + Sync, const SECONDS: u64> FromRequestParts<S> for RecentSignIn<SECONDS> {
    type Rejection = SignInRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, SignInRejection> {
        visit(parts)?.recent_sign_in().await
    }
}

fn visit(parts: &Parts) -> Result<&Visit> {
    Visit::found(parts.extensions.get())
}

/// Answers with the text for visitors. The session layer around the route replaces this answer: with problem details if the
/// request asks for JSON, or as [`on_error`](crate::SessionLayer::on_error) says.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        tower::answer::untouched::<Body>(self)
    }
}

/// Answers with a redirect to the sign-in page if there is one for this request, and otherwise with the error.
impl IntoResponse for SignInRejection {
    fn into_response(self) -> Response {
        match self.redirect() {
            Some(page) => (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response(),
            None => Error::from(self).into_response(),
        }
    }
}
