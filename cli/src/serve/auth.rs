//! Forward-auth: the answer to a proxy's question who is there. There is one path for each family of proxies, because what they
//! understand differs. What is the visitor's (the original path and query, the headers) is never in a place where it could
//! decide who is let in: that is why `anyone` is in the path, and before the proxy's name.

mod asked;
mod flags;
mod identity;
mod sign_in_page;
mod wanted;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};

use self::asked::{Asked, Misunderstood};
pub(crate) use self::flags::{AuthFlags, Settings};
use self::identity::{CLOAKROOM, Identity, NOBODY, NoRemoteUser};
use super::access;
use super::problem::{self, Kind, Problem};
use super::service::Service;

/// Who is let in.
#[derive(Clone, Copy, PartialEq)]
enum Admitted {
    SignedIn,
    /// Everybody, and the application is told who it is.
    Anyone,
}

/// How a visitor who looks at a page is sent to the sign-in page. The address is in `Location` either way.
#[derive(Clone, Copy)]
enum Redirect {
    /// By the answer itself, which the proxy hands on.
    Found,
    /// By the proxy: nginx takes every status but 2xx, 401 and 403 for an error.
    Unauthorized,
}

/// What the answers to proxies depend on.
struct Asking {
    service: Arc<Service>,
    settings: Settings,
}

/// Returns the routes for proxies. Whatever else is asked for below `/auth` lets nobody in.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(service: Arc<Service>, settings: Settings) -> Router<S> {
    Router::new()
        .merge(proxies("/auth", Admitted::SignedIn))
        .merge(proxies("/auth/anyone", Admitted::Anyone))
        .route("/auth", any(problem::not_found))
        .route("/auth/", any(problem::not_found))
        .route("/auth/{*path}", any(problem::not_found))
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(map_response(complete))
        .with_state(Arc::new(Asking { service, settings }))
}

fn proxies(prefix: &str, admitted: Admitted) -> Router<Arc<Asking>> {
    let nginx = async move |State(asking): State<Arc<Asking>>, head: Parts| {
        answer(&asking, admitted, Redirect::Unauthorized, Asked::by_nginx(&head)).await
    };
    let forward = async move |State(asking): State<Arc<Asking>>, head: Parts| {
        answer(&asking, admitted, Redirect::Found, Asked::by_forward_auth(&head)).await
    };
    let envoy_prefix = format!("{prefix}/envoy");
    let envoy = async move |State(asking): State<Arc<Asking>>, head: Parts| {
        answer(&asking, admitted, Redirect::Found, Asked::by_envoy(&head, &envoy_prefix)).await
    };
    Router::new()
        .route(&format!("{prefix}/nginx"), get(nginx))
        .route(&format!("{prefix}/forward"), get(forward))
        .route(&format!("{prefix}/envoy/"), any(envoy.clone()))
        .route(&format!("{prefix}/envoy/{{*path}}"), any(envoy))
}

async fn answer(
    asking: &Asking,
    admitted: Admitted,
    redirect: Redirect,
    asked: Result<Asked, Misunderstood>,
) -> Response {
    let asked = match asked {
        Ok(asked) => asked,
        Err(misunderstood) => return refuse(&misunderstood),
    };
    decide(asking, admitted, redirect, &asked).await.unwrap_or_else(Problem::into_response)
}

/// Asks the store who has sent the request, extends the session, and decides whether to let them in.
async fn decide(asking: &Asking, admitted: Admitted, redirect: Redirect, asked: &Asked) -> Result<Response, Problem> {
    let ongoing = asked.begin(&asking.service.sessions)?;
    let session = ongoing.visit().session().await?;
    let changes = ongoing.finish(StatusCode::OK.as_u16()).await.map_err(|failed| failed.into_parts().0)?;
    // only now: extending the session may have shown that it has ended
    let mut response = match Identity::of(&session) {
        Some(identity) => identity.headers(asking.settings.remote_user).map_err(unnamed)?.into_response(),
        None if admitted == Admitted::Anyone => StatusCode::OK.into_response(),
        None => ask_to_sign_in(&asking.settings, redirect, asked),
    };
    changes.apply(response.headers_mut());
    Ok((access::about(&session), response).into_response())
}

fn unnamed(error: NoRemoteUser) -> Problem {
    tracing::error!(target: "cloakroom", %error, "a user was not let in");
    Problem::new(Kind::Internal, error.to_string())
}

fn ask_to_sign_in(settings: &Settings, redirect: Redirect, asked: &Asked) -> Response {
    let signed_out = Problem::new(Kind::SignedOut, "nobody is signed in");
    let (Some(page), Some(wanted)) = (&settings.sign_in_page, asked.wanted_page()) else {
        return signed_out.into_response();
    };
    let location = [(LOCATION, page.location(wanted))];
    match redirect {
        Redirect::Found => (StatusCode::FOUND, location).into_response(),
        Redirect::Unauthorized => (location, signed_out).into_response(),
    }
}

fn refuse(misunderstood: &Misunderstood) -> Response {
    tracing::warn!(target: "cloakroom", %misunderstood, "a proxy's question was refused: look at the proxy's configuration");
    Problem::invalid(misunderstood.to_string()).into_response()
}

/// Says in every answer who is there, also in an error's, so that no header of the visitor's own is left standing; and keeps tokens
/// out of the answer.
async fn complete(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CLOAKROOM).or_insert(NOBODY);
    headers.remove(SET_COOKIE);
    response
}
