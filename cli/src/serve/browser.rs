//! The browser whose request the caller answers. The caller hands on its cookies, and brings the cookies of the answer back.

use axum::http::header::{COOKIE, USER_AGENT};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use cloakroom::Session;
use cloakroom::web::Visit;

use super::access;
use super::problem::Problem;
use super::service::Service;

/// Answers with what `work` makes of the browser's session. Whatever happens to its token comes with the answer, also with an
/// error: a token that was given must reach its browser.
pub(crate) async fn answer<T: IntoResponse>(
    service: &Service,
    headers: &HeaderMap,
    work: impl AsyncFnOnce(&Visit) -> Result<T, Problem>,
) -> Response {
    // a GET comes from wherever it likes: where the browser's request came from is the caller's to judge
    let ongoing = match Visit::begin(&service.sessions, &Method::GET, &Uri::default(), &of_browser(headers)) {
        Ok(ongoing) => ongoing,
        Err(error) => return Problem::from(error).into_response(),
    };
    let mut response = work(ongoing.visit()).await.into_response();
    let changes = match ongoing.finish(response.status().as_u16()).await {
        Ok(changes) => changes,
        Err(failed) => {
            let (error, changes) = failed.into_parts();
            response = Problem::from(error).into_response();
            changes
        }
    };
    changes.apply(response.headers_mut());
    response
}

/// Answers with what `work` makes of the session, which was read where it is nearest.
pub(crate) async fn answer_with_session<T: IntoResponse>(
    service: &Service,
    headers: &HeaderMap,
    work: impl AsyncFnOnce(Session) -> Result<T, Problem>,
) -> Response {
    answer(service, headers, async |visit| {
        let session = visit.session().await?;
        let answer = work(session.clone()).await?;
        Ok((access::about(&session), answer))
    })
    .await
}

/// Only what is the browser's: `Authorization` is the caller's own.
fn of_browser(headers: &HeaderMap) -> HeaderMap {
    let mut of_browser = HeaderMap::new();
    for name in [COOKIE, USER_AGENT] {
        for value in headers.get_all(&name) {
            of_browser.append(name.clone(), value.clone());
        }
    }
    of_browser
}
