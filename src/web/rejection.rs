//! What an extractor answers if nobody is signed in, or not recently enough.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Inner, Visit};
use crate::error::Error;
use crate::local_path::is_local_path;

/// The characters that are not encoded in the value of a query's parameter.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The reason why [`SignedIn`](crate::SignedIn) or [`RecentSignIn`](crate::RecentSignIn) turned a request away.
///
/// As a response it is a redirect to the sign-in page if there is one for this request, and otherwise its error. A handler
/// that takes a `Result` answers in its own way:
///
/// ```
/// use axum::response::{IntoResponse, Response};
/// use cloakroom::{RecentSignIn, SignInRejection};
///
/// async fn pay(who: Result<RecentSignIn<600>, SignInRejection>) -> Response {
///     match who {
///         Ok(recent) => format!("{} pays.", recent.user).into_response(),
///         Err(SignInRejection::NotRecent { error, .. }) => {
///             (axum::http::StatusCode::UNAUTHORIZED, error.public_message()).into_response()
///         }
///         Err(other) => other.into_response(),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub enum SignInRejection {
    /// The session could not be read, or there is no session layer around the route.
    Failed(Error),
    /// Nobody is signed in.
    SignedOut {
        /// 401: [`is_signed_out`](Error::is_signed_out).
        error: Error,
        /// The sign-in page, with the place where the visitor wanted to go, if this request is redirected.
        redirect: Option<String>,
    },
    /// Somebody is signed in, but has not proved who they are recently enough.
    NotRecent {
        /// 401: [`is_not_recent`](Error::is_not_recent).
        error: Error,
        /// The sign-in page, with the place where the visitor wanted to go, if this request is redirected.
        redirect: Option<String>,
    },
}

impl SignInRejection {
    /// Returns the error, whichever reason it is.
    ///
    /// ```
    /// # mod doctest { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # doctest::with_sessions(async |sessions| {
    /// use axum::{Router, routing::get};
    /// use cloakroom::{SignInRejection, SignedIn};
    ///
    /// async fn whoami(who: Result<SignedIn, SignInRejection>) -> String {
    ///     match who {
    ///         Ok(signed_in) => signed_in.user.to_string(),
    ///         Err(rejection) => rejection.error().public_message().into_owned(),
    ///     }
    /// }
    ///
    /// let app: Router = Router::new().route("/whoami", get(whoami)).layer(sessions.layer());
    /// # assert_eq!(doctest::status_of(app, "/whoami").await, 200);
    /// # Ok(())
    /// # });
    /// ```
    pub fn error(&self) -> &Error {
        match self {
            SignInRejection::Failed(error)
            | SignInRejection::SignedOut { error, .. }
            | SignInRejection::NotRecent { error, .. } => error,
        }
    }

    pub(super) fn of(visit: &Visit, error: Error) -> SignInRejection {
        if error.is_signed_out() {
            SignInRejection::SignedOut { error, redirect: redirect(visit) }
        } else if error.is_not_recent() {
            SignInRejection::NotRecent { error, redirect: redirect(visit) }
        } else {
            SignInRejection::Failed(error)
        }
    }

    /// Returns the sign-in page to redirect to (303), with the place where the visitor wanted to go, and logs it. Returns
    /// `None` if the answer is the [error](SignInRejection::error): there is no such page, or no person asked for one.
    pub fn redirect(&self) -> Option<HeaderValue> {
        let page = self.page()?;
        tracing::debug!(target: "cloakroom", error = %self.error(), "a visitor was sent to the sign-in page");
        Some(page)
    }

    pub(super) fn page(&self) -> Option<HeaderValue> {
        match self {
            SignInRejection::Failed(_) => None,
            SignInRejection::SignedOut { redirect, .. } | SignInRejection::NotRecent { redirect, .. } => {
                HeaderValue::try_from(redirect.as_deref()?).ok()
            }
        }
    }
}

/// The session could not be read, or there is no session layer around the route.
impl From<Error> for SignInRejection {
    fn from(error: Error) -> SignInRejection {
        SignInRejection::Failed(error)
    }
}

impl From<SignInRejection> for Error {
    fn from(rejection: SignInRejection) -> Error {
        rejection.error().clone()
    }
}

impl std::fmt::Display for SignInRejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for SignInRejection {}

/// Returns the sign-in page, if one is configured, for a person who asked for a page.
fn redirect(visit: &Visit) -> Option<String> {
    let Inner { sessions, wants_page, wanted, .. } = &*visit.0;
    let config = sessions.config();
    let page = config.sign_in_page.as_deref().filter(|_| *wants_page)?;
    let wanted = wanted.as_ref().map(|wanted| wanted.as_str()).filter(|wanted| is_local_path(wanted));
    match config.sign_in_next.as_deref().zip(wanted) {
        Some((parameter, wanted)) => Some(with_parameter(page, parameter, wanted)),
        None => Some(page.to_owned()),
    }
}

/// Adds a parameter to the query of a page, before its fragment.
fn with_parameter(page: &str, name: &str, value: &str) -> String {
    let fragment_at = page.find('#').unwrap_or(page.len());
    let (page, fragment) = page.split_at(fragment_at);
    let joint = if page.contains('?') { '&' } else { '?' };
    format!("{page}{joint}{name}={}{fragment}", utf8_percent_encode(value, IN_QUERY))
}
