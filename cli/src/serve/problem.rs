//! Errors, as problem details (RFC 9457).

use std::borrow::Cow;

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cloakroom::Error;
use serde::Serialize;

use super::keys::Rights;

/// What went wrong, for the caller. It contains no secret.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    /// Where the kind of problem is explained.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// What happened this time.
    detail: Cow<'static, str>,
    /// The kind of problem in one word, for programs.
    code: &'static str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Problem {
        let title = status.canonical_reason().unwrap_or_default();
        Problem { kind: format!("/problems/{code}"), title, status: status.as_u16(), detail: detail.into(), code }
    }

    /// Something in the request is not allowed.
    pub(crate) fn invalid(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// There is no API key, or it is not valid.
    pub(crate) fn key() -> Problem {
        let detail = "show a valid API key in the header Authorization: Bearer KEY. `cloakroom key new` makes one";
        Problem::new(StatusCode::UNAUTHORIZED, "key", detail)
    }

    /// The API key is valid, but does not allow this.
    pub(crate) fn rights(has: Rights, needed: Rights) -> Problem {
        let detail = format!("this needs a key with the rights {}, and this key has {}", needed.name(), has.name());
        Problem::new(StatusCode::FORBIDDEN, "rights", detail)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let (status, code) = match () {
            () if error.is_not_durable() => (503, "not-durable"),
            () if error.is_unknown() => (503, "unknown-outcome"),
            () if error.is_store() => (503, "unavailable"),
            () if error.is_gone() => (401, "gone"),
            () if error.is_signed_out() => (401, "signed-out"),
            () if error.is_limit() => (409, "limit"),
            () if error.is_conflict() => (409, "conflict"),
            () if error.is_cross_site() => (403, "cross-site"),
            () if error.status() == 413 => (413, "too-large"),
            // for an application in Rust this may be its own mistake, but here all that is said comes from the caller
            () if error.is_invalid() || error.is_config() || error.status() == 400 => (400, "invalid"),
            () => (500, "internal"),
        };
        if status >= 500 {
            tracing::error!(target: "cloakroom", %error, code, "a question was not answered");
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem::new(status, code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code) = (self.status, self.code);
        let mut response = Json(self).into_response();
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut say = |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        say(CONTENT_TYPE, "application/problem+json");
        say(CACHE_CONTROL, "no-store");
        match code {
            "unavailable" => drop(say(RETRY_AFTER, "1")),
            "key" => drop(say(WWW_AUTHENTICATE, "Bearer")),
            _ => {}
        }
        response
    }
}

pub(crate) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path")
}

pub(crate) async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this path does not answer this method")
}
