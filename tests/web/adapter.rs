//! What an adapter for another framework cannot get wrong: a visit that it forgets, and a commit that fails.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::routing::get;
use cloakroom::{
    Field, Session, Sessions,
    web::{Asked, OngoingVisit, Visit},
};

use crate::support::{Browser, Fault, Place};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

fn begin(sessions: &Sessions) -> OngoingVisit {
    Visit::begin(sessions, &Method::GET, &Uri::from_static("/"), &HeaderMap::new()).unwrap()
}

#[tokio::test]
async fn debug_shows_the_id_of_a_session_and_no_secret() {
    let place = Place::memory();
    let sessions = place.sessions();
    let write = async |session: Session| session.set(NAME, "andrew");
    let browser = Browser::new(Router::new().route("/", get(write)).layer(sessions.layer()));
    browser.visit("/").await;
    let token = browser.token().unwrap();
    let (id, secret) = token.split_once('.').unwrap();
    let headers = HeaderMap::from_iter([(header::COOKIE, format!("__Host-sid={token}").parse().unwrap())]);
    assert!(format!("{sessions:?}").starts_with("Sessions { config: Config"));
    let ongoing = Visit::begin(&sessions, &Method::GET, &Uri::from_static("/"), &headers).unwrap();
    let visit = ongoing.visit().clone();
    let session = visit.session().await.unwrap();
    let live = session.after_response().await.unwrap();
    let shown = format!("{visit:?} {session:?} {:?} {live:?}", session.batch());
    assert_eq!(shown.matches(&format!("SessionId({id})")).count(), 4, "{shown}");
    for name in ["Visit", "Session {", "Batch {", "LiveSession {"] {
        assert!(shown.contains(name) && !shown.contains(secret), "{shown}");
    }
    let layer = sessions.layer().on_error(|_, _| ());
    assert!(
        format!("{layer:?} {:?}", sessions.create().set(NAME, secret)).ends_with("errors: OnError } Creating { .. }")
    );
}

#[tokio::test]
async fn an_adapter_answers_an_error_as_the_request_asks_for() {
    let place = Place::memory();
    place.store.fault_everywhere(Fault::Away);
    let ongoing = begin(&place.sessions());
    let away = ongoing.visit().session().await.unwrap().increment(COUNT, 1).await.unwrap_err();
    let json = HeaderMap::from_iter([(header::ACCEPT, "application/json".parse().unwrap())]);
    for (method, headers, kind, starts) in [
        (Method::GET, &HeaderMap::new(), "text/plain; charset=utf-8", "Sessions are not available"),
        (Method::GET, &json, "application/problem+json", "{\""),
        (Method::HEAD, &json, "application/problem+json", ""),
    ] {
        let answer = Asked::of(&method, headers).respond(&away);
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], kind);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        assert!(answer.body().starts_with(starts) && answer.body().is_empty() == starts.is_empty(), "{answer:?}");
    }
}

/// A service that is busy.
struct Busy;

impl<R> tower::Service<R> for Busy {
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Pending
    }

    fn call(&mut self, _: R) -> Self::Future {
        std::future::pending()
    }
}

#[test]
fn the_layer_is_ready_when_the_service_inside_is() {
    use axum::body::Body;
    use axum::http::Request;
    use tower::{Layer as _, Service};

    let mut layered = Place::memory().sessions().layer().layer(Busy);
    let ready = Service::<Request<Body>>::poll_ready(&mut layered, &mut Context::from_waker(Waker::noop()));
    assert!(ready.is_pending(), "what waits for a service that is busy must not be let through");
}

#[tokio::test]
async fn a_visit_that_is_dropped_is_abandoned() {
    let place = Place::memory();
    let sessions = place.sessions();
    let ongoing = begin(&sessions);
    let visit = ongoing.visit().clone();
    let session = visit.session().await.unwrap();
    session.set(NAME, "in time").unwrap();
    drop(ongoing);
    assert!(session.set(NAME, "too late").unwrap_err().to_string().contains("head was already sent"));

    let ongoing = begin(&sessions);
    let visit = ongoing.visit().clone();
    drop(ongoing);
    let session = visit.session().await.unwrap();
    assert!(session.set(NAME, "too late").is_err(), "also where the session is only now asked for");
    assert!(place.store.asked().is_empty(), "nothing of it was stored");
}

#[tokio::test]
async fn a_visit_whose_finish_is_dropped_half_way_is_abandoned() {
    let place = Place::memory();
    let ongoing = begin(&place.sessions());
    let session = ongoing.visit().session().await.unwrap();
    session.set(NAME, "in time").unwrap();
    // a verb that was begun and is kept holds its turn, so that the finish has to wait
    place.store.fault_everywhere(Fault::Hangs);
    let mut verb = Box::pin(session.increment(COUNT, 1));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(verb.as_mut().poll(&mut cx).is_pending());
    let mut finish = Box::pin(ongoing.finish(200));
    assert!(matches!(finish.as_mut().poll(&mut cx), Poll::Pending));
    drop(finish);
    assert!(session.set(NAME, "too late").is_err(), "nobody would store it");
}

#[tokio::test]
async fn a_failed_commit_is_no_finish_and_what_was_done_before_it_reaches_the_browser() {
    let place = Place::memory();
    let ongoing = begin(&place.sessions());
    let session = ongoing.visit().session().await.unwrap();
    session.increment(COUNT, 1).await.unwrap();
    session.set(NAME, "andrew").unwrap();
    place.store.fault("apply", Fault::Away);
    let failed = ongoing.finish(200).await.unwrap_err();
    assert!(failed.error().is_store());
    let (error, finish) = failed.into_parts();
    assert_eq!(error.status(), 503);
    let mut headers = HeaderMap::new();
    finish.apply(&mut headers);
    assert_eq!(headers[header::VARY], "Cookie");
    assert!(headers[header::SET_COOKIE].to_str().unwrap().starts_with("__Host-sid="), "the session was made");
}
