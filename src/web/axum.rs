//! The axum extractors.

use std::time::Duration;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};

use super::Visit;
use super::tower::error_response;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::user::UserId;

/// Loads the session: one round trip with a token, none without. Take `Result<Session, Error>` in a handler that goes on
/// without the store.
impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Session> {
        Session::load(&parts.extensions).await
    }
}

/// A session that was read where sessions are kept, for a route that must not rest on what was true a moment ago: with a
/// [near cache](crate::store::NearCache), one round trip more. Without one it is the same as [`Session`].
///
/// ```
/// use cloakroom::Fresh;
///
/// async fn pay(Fresh(session): Fresh) -> String {
///     format!("{:?} pays.", session.user())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Fresh(pub Session);

impl<S: Send + Sync> FromRequestParts<S> for Fresh {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Fresh> {
        Session::load_fresh(&parts.extensions).await.map(Fresh)
    }
}

/// A session with somebody signed in. Otherwise the answer is 401; a person who asked for a page is sent to the
/// [`sign_in_page`](crate::ConfigBuilder::sign_in_page), if there is one. Take `Option<SignedIn>` for a page that everybody
/// may see.
///
/// ```
/// use cloakroom::SignedIn;
///
/// async fn account(SignedIn { user, .. }: SignedIn) -> String {
///     format!("This is your account, {user}.")
/// }
/// ```
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub user: UserId,
    /// The session.
    pub session: Session,
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<SignedIn, Response> {
        let session = Session::load(&parts.extensions).await.map_err(IntoResponse::into_response)?;
        let user = session.user().ok_or_else(|| to_sign_in(parts, Error::signed_out()))?;
        Ok(SignedIn { user, session })
    }
}

/// `None` where nobody is signed in. That the store failed is still an error.
impl<S: Send + Sync> OptionalFromRequestParts<S> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<SignedIn>> {
        let session = Session::load(&parts.extensions).await?;
        Ok(session.user().map(|user| SignedIn { user, session }))
    }
}

/// The same, where the user has proved who they are at most so many seconds ago. For what needs more trust than a session
/// that was left open: changing a password, paying. The session is read as by [`Fresh`].
///
/// ```
/// use cloakroom::RecentSignIn;
///
/// async fn change_password(recent: RecentSignIn<600>) -> String {
///     format!("It is really you, {}.", recent.user)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct RecentSignIn<const SECONDS: u64> {
    /// Who.
    pub user: UserId,
    /// The session.
    pub session: Session,
}

impl<S: Send + Sync, const SECONDS: u64> FromRequestParts<S> for RecentSignIn<SECONDS> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        let session = Session::load_fresh(&parts.extensions).await.map_err(IntoResponse::into_response)?;
        let user = session.user().ok_or_else(|| to_sign_in(parts, Error::signed_out()))?;
        match session.require_recent_sign_in(Duration::from_secs(SECONDS)).await {
            Ok(()) => Ok(RecentSignIn { user, session }),
            Err(error) => Err(to_sign_in(parts, error)),
        }
    }
}

/// A redirect for a person who asked for a page, if one is configured to go to; otherwise the error.
fn to_sign_in(parts: &Parts, error: Error) -> Response {
    let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asked_for_page = parts.method == Method::GET && accept.contains("text/html");
    let page = parts.extensions.get::<Visit>().and_then(Visit::sign_in_page).filter(|_| asked_for_page);
    match page.and_then(|page| HeaderValue::from_str(page).ok()) {
        Some(page) => (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response(),
        None => error.into_response(),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        error_response::<Body>(self)
    }
}
