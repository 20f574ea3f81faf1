//! The axum extractors.

use std::time::Duration;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use super::rejection::SignInRejection;
use super::respond;
use crate::error::{Error, Result};
use crate::record::UserId;
use crate::session::Session;

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
/// may see, and `Result<SignedIn, SignInRejection>` to answer in another way.
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
    type Rejection = SignInRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<SignedIn, SignInRejection> {
        let session = Session::load(&parts.extensions).await.map_err(SignInRejection::Failed)?;
        let user = session.user().ok_or_else(|| SignInRejection::of(parts, session.signed_out()))?;
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

/// A session whose user has proved who they are at most so many seconds ago. For what needs more trust than a session that
/// was left open: changing a password, paying. The session is read as by [`Fresh`].
///
/// Otherwise the answer is as for [`SignedIn`], with another text where somebody is signed in, but not recently enough. The
/// [`sign_in_page`](crate::ConfigBuilder::sign_in_page) must therefore show its form also to people who are signed in.
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
    type Rejection = SignInRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, SignInRejection> {
        let session = Session::load_fresh(&parts.extensions).await.map_err(SignInRejection::Failed)?;
        let recent = session.require_recent_sign_in(Duration::from_secs(SECONDS)).await;
        let user = recent.and_then(|()| session.user().ok_or_else(|| session.signed_out()));
        match user {
            Ok(user) => Ok(RecentSignIn { user, session }),
            Err(error) => Err(SignInRejection::of(parts, error)),
        }
    }
}

/// The text for visitors. A session layer around the route answers in its own way instead: with problem details where JSON is
/// asked for, or as [`on_error`](crate::SessionLayer::on_error) says.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        respond::untouched::<Body>(self)
    }
}
