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

/// Loads the session: one round trip with a token, none without. Take `Result<Session, Error>` in a handler that should
/// keep working without the store.
impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Session> {
        Session::load(&parts.extensions).await
    }
}

/// Extracts a session as the store has it, for a route that must not rely on what was true a moment ago. With a [near
/// cache](crate::store::NearCache) this takes one round trip more than [`Session`]; without one there is no difference.
///
/// ```
/// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # doctest::with_sessions(async |sessions| {
/// use axum::{Router, routing::post};
/// use cloakroom::Fresh;
///
/// async fn pay(Fresh(session): Fresh) -> String {
///     format!("{:?} pays.", session.user())
/// }
///
/// let app: Router = Router::new().route("/pay", post(pay)).layer(sessions.layer());
/// # assert_eq!(doctest::status_of(app, "/pay").await, 405);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Fresh(pub Session);

impl<S: Send + Sync> FromRequestParts<S> for Fresh {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Fresh> {
        Session::load_fresh(&parts.extensions).await.map(Fresh)
    }
}

/// Extracts a session with its signed-in user.
///
/// If nobody is signed in, the answer is 401, and the log says why at the level `debug`. A person who asked for a page is
/// redirected to the [`sign_in_page`](crate::ConfigBuilder::sign_in_page) instead, if there is one. Take `Option<SignedIn>`
/// for a page that everybody may see, and `Result<SignedIn, SignInRejection>` to answer in your own way.
///
/// ```
/// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # doctest::with_sessions(async |sessions| {
/// use axum::{Router, routing::get};
/// use cloakroom::SignedIn;
///
/// async fn account(SignedIn { user, .. }: SignedIn) -> String {
///     format!("This is your account, {user}.")
/// }
///
/// let app: Router = Router::new().route("/account", get(account)).layer(sessions.layer());
/// # assert_eq!(doctest::status_of(app, "/account").await, 401);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The user who is signed in.
    pub user: UserId,
    /// Their session.
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

/// Extracts `None` if nobody is signed in. A store that does not answer is still an error.
impl<S: Send + Sync> OptionalFromRequestParts<S> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<SignedIn>> {
        let session = Session::load(&parts.extensions).await?;
        Ok(session.user().map(|user| SignedIn { user, session }))
    }
}

/// Extracts a session whose user has proved who they are at most this many seconds ago, for what needs more trust than a
/// session that was left open, such as changing a password or paying. The session is read as by [`Fresh`].
///
/// If the sign-in was too long ago, the answer is 401 or the redirect, as for [`SignedIn`], but the error says that it was
/// too long ago. So the [`sign_in_page`](crate::ConfigBuilder::sign_in_page) must show its form to people who are signed
/// in, too.
///
/// ```
/// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # doctest::with_sessions(async |sessions| {
/// use axum::{Router, routing::get};
/// use cloakroom::RecentSignIn;
///
/// async fn change_password(recent: RecentSignIn<600>) -> String {
///     format!("Choose a new password, {}.", recent.user)
/// }
///
/// let app: Router = Router::new().route("/password", get(change_password)).layer(sessions.layer());
/// # assert_eq!(doctest::status_of(app, "/password").await, 401);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct RecentSignIn<const SECONDS: u64> {
    /// The user who is signed in.
    pub user: UserId,
    /// Their session.
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

/// Answers with the text for visitors. The session layer around the route replaces this answer: with problem details if the
/// request asks for JSON, or as [`on_error`](crate::SessionLayer::on_error) says.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        respond::untouched::<Body>(self)
    }
}
