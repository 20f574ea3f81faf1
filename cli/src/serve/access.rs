//! What is logged and counted of each request: who asked for what, and how it went. Never a token, a key or a query.

use std::time::Instant;

use axum::Extension;
use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use cloakroom::{Session, SessionId};

use crate::serve::keys::Caller;

/// The requests that were answered, by method, route and status.
pub(crate) const REQUESTS: &str = "cloakroom_http_requests_total";
/// How long the answers took, by method and route.
pub(crate) const SECONDS: &str = "cloakroom_http_request_duration_seconds";

/// Which session an answer is about, in the extensions of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About(SessionId);

/// Returns what a handler adds to an answer about this session, so that the log names it.
pub(crate) fn about(session: &Session) -> Option<Extension<About>> {
    session.id().map(|id| Extension(About(id)))
}

/// Logs and counts one request.
pub(crate) async fn record(request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    // what a caller makes up is no label: there would be as many series as a caller likes
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (status, duration) = (response.status().as_u16(), begin.elapsed());
    let labels = [("method", method.to_owned()), ("route", route.to_owned())];
    metrics::histogram!(SECONDS, &labels).record(duration);
    metrics::counter!(REQUESTS, "method" => method, "route" => route.to_owned(), "status" => status.to_string())
        .increment(1);
    let caller = response.extensions().get::<Caller>().and_then(|caller| caller.name.as_deref());
    let session = response.extensions().get::<About>().map(|about| about.0);
    tracing::info!(
        target: "cloakroom::access",
        method,
        route,
        status,
        duration_ms = duration.as_secs_f64() * 1000.0,
        key = caller,
        session = session.map(tracing::field::display),
        "answered"
    );
    response
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
