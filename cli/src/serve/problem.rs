//! Errors, as problem details (RFC 9457).

mod kind;

use std::borrow::Cow;

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cloakroom::Error;
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::kind::Kind;

/// What went wrong, for the caller. It contains no secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Where this kind of problem is explained.
    #[serde(rename = "type")]
    #[schema(example = "/problems/gone")]
    link: String,
    /// The kind of problem in one sentence.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time, and what to do about it.
    detail: Cow<'static, str>,
    /// The kind of problem in one word, for programs.
    code: Kind,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Problem {
        let link = format!("/problems/{}", kind.code());
        Problem { link, title: kind.title(), status: kind.status().as_u16(), detail: detail.into(), code: kind }
    }

    /// Something in the request is not allowed.
    pub(crate) fn invalid(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(Kind::Invalid, detail)
    }

    /// Answers with another status than most problems of this kind have.
    pub(crate) fn with_status(self, status: StatusCode) -> Problem {
        Problem { status: status.as_u16(), ..self }
    }

    /// Another kind of problem for a conflict, which means different things to different questions.
    pub(crate) fn of_conflict(error: Error, kind: Kind) -> Problem {
        match error.is_conflict() {
            true => Problem::new(kind, error.to_string()),
            false => error.into(),
        }
    }

    /// There is no API key, or it is not valid.
    pub(crate) fn key() -> Problem {
        let detail = "show a valid API key in the header Authorization: Bearer KEY. `cloakroom key new` makes one";
        Problem::new(Kind::Key, detail)
    }

    /// There are no keys, and the request may come from a page in a browser on this machine.
    pub(crate) fn foreign_name() -> Problem {
        let detail = "without keys the service answers to localhost, to addresses and to names without a dot only. To use another \
                      name, start it with --keys or --without-keys";
        Problem::new(Kind::CrossSite, detail)
    }

    /// The API key is valid, but does not allow this.
    pub(crate) fn rights(has: &str, needed: &str) -> Problem {
        let detail = format!("this needs a key with the rights {needed}, and this key has {has}");
        Problem::new(Kind::Rights, detail)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let kind = Kind::of(&error);
        if kind.status().is_server_error() {
            tracing::error!(target: "cloakroom", %error, code = kind.code(), "a question was not answered");
        }
        Problem::new(kind, error.to_string())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Problem {
        Problem::invalid(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Problem {
        Problem::invalid(rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, kind) = (self.status, self.code);
        let mut response = Json(self).into_response();
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut say = |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        say(CONTENT_TYPE, "application/problem+json");
        match kind {
            Kind::Unavailable => drop(say(RETRY_AFTER, "1")),
            Kind::Key => drop(say(WWW_AUTHENTICATE, "Bearer")),
            _ => {}
        }
        response
    }
}

pub(crate) async fn not_found() -> Problem {
    Problem::new(Kind::NotFound, "there is nothing at this path")
}

pub(crate) async fn wrong_method() -> Problem {
    Problem::new(Kind::Method, "this path does not answer this method; the header Allow names those that it does")
}

/// Explains one kind of problem.
#[utoipa::path(
    get,
    path = "/problems/{code}",
    operation_id = "explainProblem",
    tag = "about",
    params(("code" = String, Path, description = "The `code` of a problem")),
    responses(
        (status = 200, description = "What the problem means, and what to do about it", body = String, content_type = "text/plain"),
        (status = 404, description = "`not-found`", body = Problem, content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(crate) async fn explain(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(code) = path?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.code() == code);
    let kind = kind.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such kind of problem"))?;
    Ok(format!("{} ({})\n\n{}\n", kind.title(), kind.status(), kind.advice()))
}
