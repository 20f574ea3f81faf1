//! What an adapter for another framework cannot get wrong: a visit that it forgets, and a commit that fails.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::routing::get;
use cloakroom::{
    Field, Session, Sessions,
    web::{OngoingVisit, Visit},
};

use crate::support::{Browser, Fault, Place};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

fn begin(sessions: &Sessions) -> OngoingVisit {
    Visit::begin(sessions, &Method::GET, &Uri::from_static("/"), &HeaderMap::new()).unwrap()
}

#[tokio::test]
async fn a_visit_and_its_session_show_the_id_and_no_secret() {
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
    let shown = format!("{visit:?} {:?}", visit.session().await.unwrap());
    assert_eq!(shown.matches(&format!("SessionId({id})")).count(), 2, "{shown}");
    assert!(shown.contains("Visit") && shown.contains("Session {") && !shown.contains(secret), "{shown}");
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
