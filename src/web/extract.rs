//! What handlers take besides [`Session`]. Each framework's adapter makes its extractors of these.

use std::time::Duration;

use super::Visit;
use super::rejection::SignInRejection;
use crate::error::Result;
use crate::record::UserId;
use crate::session::Session;

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

impl Visit {
    /// Returns the session with its signed-in user, for the extractor of an adapter. One round trip the first time that the
    /// session is asked for.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// let ongoing = doctest::request(&sessions)?;
    /// assert!(ongoing.visit().signed_in().await.is_err());
    /// ongoing.visit().session().await?.sign_in("ada").await?;
    /// assert_eq!(ongoing.visit().signed_in().await.unwrap().user.as_str(), "ada");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// Returns the reason why the request is turned away. If nobody is signed in, it says whether this request is redirected
    /// to the [`sign_in_page`](crate::ConfigBuilder::sign_in_page).
    pub async fn signed_in(&self) -> Result<SignedIn, SignInRejection> {
        let session = self.session().await?;
        let user = session.user().ok_or_else(|| SignInRejection::of(self, session.signed_out()))?;
        Ok(SignedIn { user, session })
    }

    /// Returns the session with its signed-in user, or `None` if nobody is signed in.
    ///
    /// # Errors
    /// Returns a store error ([`is_store`](crate::Error::is_store)) if the store does not answer. This does not mean that
    /// the visitor is anonymous.
    pub async fn signed_in_if_any(&self) -> Result<Option<SignedIn>> {
        let session = self.session().await?;
        Ok(session.user().map(|user| SignedIn { user, session }))
    }

    /// Returns the session of a user who has proved who they are at most this many seconds ago. The session is read past a
    /// [near cache](crate::store::NearCache), as by [`fresh_session`](Visit::fresh_session).
    ///
    /// # Errors
    /// Returns the reason why the request is turned away, as [`signed_in`](Visit::signed_in) does.
    pub async fn recent_sign_in<const SECONDS: u64>(&self) -> Result<RecentSignIn<SECONDS>, SignInRejection> {
        let session = self.fresh_session().await?;
        let recent = session.require_recent_sign_in(Duration::from_secs(SECONDS)).await;
        let user = recent.and_then(|()| session.user().ok_or_else(|| session.signed_out()));
        let user = user.map_err(|error| SignInRejection::of(self, error))?;
        Ok(RecentSignIn { user, session })
    }
}
