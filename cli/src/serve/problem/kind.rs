//! The kinds of problems. Their codes stay the same from version to version.

use axum::http::StatusCode;
use cloakroom::Error;
use serde::Serialize;
use utoipa::ToSchema;

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Gone,
    SignedOut,
    Key,
    Rights,
    CrossSite,
    NotFound,
    Method,
    Conflict,
    Limit,
    Changed,
    TooLarge,
    Invalid,
    Unavailable,
    UnknownOutcome,
    NotDurable,
    Internal,
}

impl Kind {
    pub(crate) const ALL: [Kind; 16] = [
        Kind::Gone,
        Kind::SignedOut,
        Kind::Key,
        Kind::Rights,
        Kind::CrossSite,
        Kind::NotFound,
        Kind::Method,
        Kind::Conflict,
        Kind::Limit,
        Kind::Changed,
        Kind::TooLarge,
        Kind::Invalid,
        Kind::Unavailable,
        Kind::UnknownOutcome,
        Kind::NotDurable,
        Kind::Internal,
    ];

    /// Returns the kind of problem that an error of the library is for a caller.
    pub(super) fn of(error: &Error) -> Kind {
        match () {
            () if error.is_not_durable() => Kind::NotDurable,
            () if error.is_unknown() => Kind::UnknownOutcome,
            // the store, or the operating system's random generator
            () if error.status() == 503 => Kind::Unavailable,
            () if error.is_gone() => Kind::Gone,
            () if error.is_signed_out() => Kind::SignedOut,
            () if error.is_limit() => Kind::Limit,
            () if error.is_conflict() => Kind::Conflict,
            () if error.is_cross_site() => Kind::CrossSite,
            () if error.status() == 413 => Kind::TooLarge,
            // for an application in Rust this may be its own mistake, but here all that is said comes from the caller
            () if error.is_invalid() || error.is_config() || error.status() == 400 => Kind::Invalid,
            () => Kind::Internal,
        }
    }

    /// Returns the word that programs recognise it by.
    pub(crate) fn code(self) -> &'static str {
        self.facts().0
    }

    /// Returns the status of an answer with this problem.
    pub(crate) fn status(self) -> StatusCode {
        self.facts().1
    }

    /// Returns what the problem is, in one sentence.
    pub(super) fn title(self) -> &'static str {
        self.facts().2
    }

    /// Returns what to do about it.
    pub(super) fn advice(self) -> &'static str {
        self.facts().3
    }

    fn facts(self) -> (&'static str, StatusCode, &'static str, &'static str) {
        match self {
            Kind::Gone => (
                "gone",
                StatusCode::UNAUTHORIZED,
                "The session has ended.",
                "The browser's cookie opens no session any more: it has expired or was ended, or its token was replaced. Nothing was \
                 changed. Send the answer's Set-Cookie to the browser, if there is one, and let the visitor begin again.",
            ),
            Kind::SignedOut => (
                "signed-out",
                StatusCode::UNAUTHORIZED,
                "Nobody is signed in.",
                "This needs a user who is signed in. Send the visitor to the page where they sign in.",
            ),
            Kind::Key => (
                "key",
                StatusCode::UNAUTHORIZED,
                "A valid API key is needed.",
                "Show the application's API key in the header Authorization: Bearer KEY. `cloakroom key new` makes a key. This is \
                 about your application, not about the visitor.",
            ),
            Kind::Rights => (
                "rights",
                StatusCode::FORBIDDEN,
                "The API key does not allow this.",
                "A key has one of the rights read, app and admin, and each of them includes those before it. Use a key with more \
                 rights.",
            ),
            Kind::CrossSite => (
                "cross-site",
                StatusCode::FORBIDDEN,
                "The request comes from another site.",
                "A page of another site made the browser send this request. Do not serve it.",
            ),
            Kind::NotFound => (
                "not-found",
                StatusCode::NOT_FOUND,
                "There is no such thing.",
                "Nothing is at this path, or the session has ended.",
            ),
            Kind::Method => (
                "method",
                StatusCode::METHOD_NOT_ALLOWED,
                "The path does not answer this method.",
                "The header Allow names the methods that it answers.",
            ),
            Kind::Conflict => (
                "conflict",
                StatusCode::CONFLICT,
                "Another request was faster.",
                "Another request changed the same session at the same moment, and nothing was changed by this one. Ask again.",
            ),
            Kind::Limit => (
                "limit",
                StatusCode::CONFLICT,
                "The user has the most sessions that are allowed.",
                "The service is configured to refuse a sign-in then. The user has to sign out on another device first.",
            ),
            Kind::Changed => (
                "changed",
                StatusCode::PRECONDITION_FAILED,
                "The session is not what was expected.",
                "Another request has changed a field that `expect` is about, and nothing was changed by this one. Read the session \
                 again, and decide anew.",
            ),
            Kind::TooLarge => (
                "too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The session cannot hold this.",
                "The body, a value or the number of fields is larger than the limits in the configuration. Nothing was changed.",
            ),
            Kind::Invalid => (
                "invalid",
                StatusCode::BAD_REQUEST,
                "Something in the request is not allowed.",
                "The body is not JSON of the documented form, or a name, a value, an id or a duration is not allowed. The detail says \
                 which. Nothing was changed. A body of another media type is answered with 415, one that comes too slowly with 408.",
            ),
            Kind::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The store of the sessions does not answer.",
                "This does not mean that the visitor has no session: answer 503, and never as if nobody was there. The header \
                 Retry-After says when to ask again.",
            ),
            Kind::UnknownOutcome => (
                "unknown-outcome",
                StatusCode::SERVICE_UNAVAILABLE,
                "It is not known whether the change was made.",
                "The store's answer was lost, so the change was made once or not at all. Read the session to find out. A sign-in with \
                 an Idempotency-Key may be repeated with the same key.",
            ),
            Kind::NotDurable => (
                "not-durable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The change was made, but not as durably as is configured.",
                "Too few replicas have confirmed it: if the primary fails now, the change may be undone. To end a session again is \
                 safe.",
            ),
            Kind::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong in the service.",
                "The service's log says more. If you can repeat it, please report it.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, Method, Uri};
    use cloakroom::store::{Memory, StoreError};
    use cloakroom::web::Visit;
    use cloakroom::{Config, Field, OnLimit, Sessions};

    use super::*;

    #[test]
    fn every_kind_is_listed_under_a_code_of_its_own() {
        for kind in Kind::ALL {
            let same: Vec<_> = Kind::ALL.into_iter().filter(|other| other.code() == kind.code()).collect();
            assert_eq!(same, [kind]);
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.code());
        }
    }

    /// What the real program comes to only by a race or by a failure of its surroundings.
    #[tokio::test]
    async fn an_error_that_is_hard_to_provoke_has_its_own_kind() {
        let config = Config::builder().max_sessions_per_user(1).on_limit(OnLimit::RefuseNew).build().expect("allowed");
        let sessions = Sessions::new(Memory::new(), config);
        let begin = || Visit::begin(&sessions, &Method::GET, &Uri::default(), &HeaderMap::new()).expect("allowed");
        let (first, second) = (begin(), begin());
        let session = first.visit().session().await.expect("memory answers");
        session.sign_in("ada").await.expect("there is room");
        let limit = second.visit().session().await.expect("memory answers").sign_in("ada").await;
        let conflict = session.batch().expect(Field::<u8>::new("step"), &1).await;
        let errors = [
            (limit.expect_err("there is no room"), Kind::Limit),
            (conflict.expect_err("there is no such field"), Kind::Conflict),
            (Visit::found(None).expect_err("there is none"), Kind::Internal),
            (StoreError::not_durable("too few replicas").into(), Kind::NotDurable),
            (StoreError::unknown("the answer was lost").into(), Kind::UnknownOutcome),
            (StoreError::new("the store is away").into(), Kind::Unavailable),
        ];
        for (error, kind) in errors {
            assert_eq!(Kind::of(&error), kind, "{error}");
        }
    }
}
