//! The routes. Each handler is one use of the library's `Session`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cloakroom::{Error, Field, Session, Sessions};

use crate::demo::answer::{Problem, Standing, Wants};
use crate::demo::form::{Fields, LARGEST_FORM, Query};
use crate::demo::{Demo, assets, page};

pub(crate) const USERNAME: Field<String> = Field::new("username");
pub(crate) const PAGE_VIEWS: Field<i64> = Field::new("page_views");

/// Everything this page may load comes from here, and nothing is inline.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(crate) fn router(demo: Demo, sessions: &Sessions) -> Router {
    Router::new()
        .route("/", get(page::show))
        .route("/session", get(show))
        .route("/login", post(login))
        .route("/increment", post(increment))
        .route("/ttl", post(change_ttl))
        .route("/logout", post(logout))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(sessions.layer())
        .layer(map_response(never_stored))
        .merge(assets::router())
        .fallback(async || Problem::no_such_route(StatusCode::NOT_FOUND, "nothing is here"))
        .method_not_allowed_fallback(async || {
            Problem::no_such_route(StatusCode::METHOD_NOT_ALLOWED, "this route has another method")
        })
        .layer(map_response(guarded))
        .with_state(Arc::new(demo))
}

/// `GET /session`: what there is. With `?peek=1` it looks without extending.
async fn show(session: Result<Session, Error>, query: Query) -> Response {
    match looked_at(session, &query).await {
        Ok(Some(session)) => Standing::of(&session).into_response(),
        Ok(None) => Standing::ANONYMOUS.into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// The session after this look at it: extended where that was due, unless the request only peeks. `None` where
/// there is none, also when it ended meanwhile.
pub(crate) async fn looked_at(session: Result<Session, Error>, query: &Query) -> Result<Option<Session>, Error> {
    let session = session?;
    if query.peeks() {
        session.peek();
    }
    match session.commit().await {
        Ok(()) => Ok(session.exists().then_some(session)),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// `POST /login`: a fresh session, and the old one is gone.
async fn login(
    State(demo): State<Arc<Demo>>,
    wants: Wants,
    session: Result<Session, Error>,
    form: Result<Fields, Problem>,
) -> Response {
    let begin = async {
        let form = form?;
        let (username, ttl) = (form.username()?, form.ttl_or_default(demo.longest_ttl)?);
        let session = session?;
        if session.exists() {
            session.sign_out().await?;
        }
        session.set(USERNAME, username)?;
        session.set(PAGE_VIEWS, &0)?;
        session.set_idle_timeout(ttl)?;
        session.commit().await?;
        Ok(Standing::of(&session))
    };
    wants.answer(begin.await)
}

/// `POST /increment`: one more page view, counted by the store.
async fn increment(wants: Wants, session: Result<Session, Error>) -> Response {
    let count = async {
        let session = existing(session)?;
        let page_views = session.increment(PAGE_VIEWS, 1).await?;
        session.commit().await?;
        Ok(Standing::of(&session).with_page_views(page_views))
    };
    wants.answer(count.await)
}

/// `POST /ttl`: another time to live for the session, from now.
async fn change_ttl(
    State(demo): State<Arc<Demo>>,
    wants: Wants,
    session: Result<Session, Error>,
    form: Result<Fields, Problem>,
) -> Response {
    let change = async {
        let session = existing(session)?;
        session.set_idle_timeout(form?.ttl(demo.longest_ttl)?)?;
        session.commit().await?;
        Ok(Standing::of(&session))
    };
    wants.answer(change.await)
}

/// `POST /logout`: the session ends now.
async fn logout(wants: Wants, session: Result<Session, Error>) -> Response {
    let end = async {
        existing(session)?.sign_out().await?;
        Ok(Standing::ANONYMOUS)
    };
    wants.answer(end.await)
}

fn existing(session: Result<Session, Error>) -> Result<Session, Problem> {
    Some(session?).filter(Session::exists).ok_or_else(Problem::no_session)
}

/// Every answer is for one visitor, now.
async fn never_stored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.append(header::VARY, HeaderValue::from_static("Accept"));
    response
}

async fn guarded(mut response: Response) -> Response {
    let guards = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in guards {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
