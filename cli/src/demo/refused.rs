//! The page that says that a form was refused.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

/// A person's form was refused: 403, in words.
#[derive(Template)]
#[template(path = "refused.html")]
pub(crate) struct Refused<'a> {
    pub(crate) why: &'a str,
}

impl IntoResponse for Refused<'_> {
    fn into_response(self) -> Response {
        match self.render() {
            Ok(html) => (StatusCode::FORBIDDEN, Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
