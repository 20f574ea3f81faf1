//! The routes. Each handler is one use of the library's `Session`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cloakroom::{Error, RequestHead, Session, Sessions};

use crate::demo::absence::Absence;
use crate::demo::answer::{Problem, Standing, Wants};
use crate::demo::fields::{PAGE_VIEWS, USERNAME};
use crate::demo::form::{LARGEST_FORM, Query};
use crate::demo::look::{Seen, looked_at};
use crate::demo::names::{self, Names};
use crate::demo::posted::Posted;
use crate::demo::{Demo, assets, devices, page, stranger};

/// As in the tutorials, the page that a sign-in leads to is the first.
const FIRST_VIEW: i64 = 1;

/// Everything this page may load comes from here, and nothing is inline.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(crate) fn router(demo: Demo, names: Names, sessions: &Sessions) -> Router {
    Router::new()
        .route("/", get(page::show))
        .route("/index.html", get(page::show))
        .route("/session", get(show))
        .route("/login", post(login))
        .route("/increment", post(increment))
        .route("/ttl", post(change_ttl))
        .route("/logout", post(logout))
        .merge(devices::router(demo.plain_tokens))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(sessions.layer().on_error(explained))
        .layer(map_response(never_stored))
        .route("/forged", get(stranger::show))
        .merge(assets::router())
        .fallback(async || Problem::no_such_route(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::no_such_route(StatusCode::METHOD_NOT_ALLOWED, "this path does not have this method")
        })
        .layer(from_fn_with_state(Arc::new(names), names::only_own))
        .layer(map_response(guarded))
        .with_state(Arc::new(demo))
}

/// `GET /session`: what there is. With `?peek=1` it looks without extending.
async fn show(session: Result<Session, Error>, query: Query, headers: HeaderMap) -> Response {
    match looked_at(session, &query, &headers).await {
        Ok(Seen::Session(session)) => Standing::of(&session).into_response(),
        Ok(Seen::Nobody(absence)) => Standing::without(absence).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// `POST /login`: a session in which nothing is left of what was there before, neither its fields nor its secret. Unless
/// tokens are plain, the user is signed in with it.
async fn login(State(demo): State<Arc<Demo>>, ConnectInfo(peer): ConnectInfo<SocketAddr>, posted: Posted) -> Response {
    let begin = async {
        let form = posted.form()?;
        let (username, ttl) = (form.username()?, form.ttl_or_default(&demo.limits)?);
        let session = posted.any_session()?;
        let begun = match demo.plain_tokens {
            true => begin_plain(&session, username, ttl).await,
            false => sign_in(&session, username, ttl, peer.ip()).await,
        };
        match begun {
            // many have signed in as this user at the same time: it was the oldest session already, and was ended
            Err(error) if error.is_gone() => Ok(Standing::without(Absence::Ended)),
            begun => Ok(begun.map(|()| Standing::of(&session))?),
        }
    };
    posted.wants.answer(begin.await)
}

async fn sign_in(session: &Session, username: &str, ttl: Duration, ip: IpAddr) -> Result<(), Error> {
    session.sign_in(username).discard_fields().idle_timeout(ttl).ip(ip.to_canonical()).await?;
    // at once: where the session is ended meanwhile, nothing is left that would fail when the answer is ready
    session.update(USERNAME, |name| username.clone_into(name)).await?;
    session.update(PAGE_VIEWS, |views| *views = FIRST_VIEW).await
}

async fn begin_plain(session: &Session, username: &str, ttl: Duration) -> Result<(), Error> {
    match session.sign_out().await {
        // another request has ended it
        Err(error) if error.is_gone() => {}
        done => done?,
    }
    session.set(USERNAME, username)?;
    session.set(PAGE_VIEWS, &FIRST_VIEW)?;
    session.set_idle_timeout(ttl)?;
    session.commit().await
}

/// `POST /increment`: one more page view, counted by the store.
async fn increment(posted: Posted) -> Response {
    let count = async {
        let session = posted.session()?;
        let page_views = session.increment(PAGE_VIEWS, 1).await?;
        session.commit().await?;
        Ok(Standing::of(&session).with_page_views(page_views))
    };
    posted.wants.answer(count.await)
}

/// `POST /ttl`: another time to live for the session, from now.
async fn change_ttl(State(demo): State<Arc<Demo>>, posted: Posted) -> Response {
    let change = async {
        let session = posted.session()?;
        session.set_idle_timeout(posted.form()?.ttl(demo.limits.longest_ttl)?)?;
        session.commit().await?;
        Ok(Standing::of(&session))
    };
    posted.wants.answer(change.await)
}

/// `POST /logout`: the session ends now. Where there is none, nothing is left to do.
async fn logout(posted: Posted) -> Response {
    let end = async {
        posted.any_session_of_this_page()?.sign_out().await?;
        Ok(Standing::ANONYMOUS)
    };
    posted.wants.answer(end.await)
}

/// What the session layer refuses is answered as everything else is.
fn explained(error: &Error, request: &RequestHead) -> Response {
    let problem = Problem::from(error.clone());
    let mut explained = Wants::of(&request.headers).answer(Err::<Standing, _>(problem));
    // its body may not have been read: the next request needs a connection of its own
    explained.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    explained
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
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
