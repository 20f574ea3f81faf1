//! Whole requests through the layer of tower-sessions.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use cloakroom::testing::{Browser, TestSessions};
use tokio::sync::Notify;
use tower_sessions::{Session, SessionManagerLayer, SessionStore};

mod support;

on_each_store! {
    two_requests_of_one_browser_keep_each_others_changes,
    a_request_that_saves_after_the_sign_out_fails_and_brings_nothing_back,
    a_read_only_request_beside_a_sign_out_succeeds,
    a_browser_whose_session_is_gone_gets_a_new_one,
}

/// Lets a handler wait after it has changed its session, so that another request can come in between.
#[derive(Clone, Default)]
struct Pause {
    has_changed: Arc<Notify>,
    goes_on: Arc<Notify>,
}

fn app(store: impl SessionStore + Clone, pause: &Pause) -> Router {
    Router::new()
        .route("/set/{key}", post(set))
        .route("/set-slowly/{key}", post(set_slowly))
        .route("/read-slowly/{key}", get(read_slowly))
        .route("/read/{key}", get(read))
        .route("/sign-out", post(async |session: Session| session.flush().await.unwrap()))
        .with_state(pause.clone())
        .layer(SessionManagerLayer::new(store))
}

async fn set(Path(key): Path<String>, session: Session) {
    session.insert(&key, true).await.unwrap();
}

async fn set_slowly(State(pause): State<Pause>, Path(key): Path<String>, session: Session) {
    session.insert(&key, true).await.unwrap();
    pause.has_changed.notify_one();
    pause.goes_on.notified().await;
}

async fn read_slowly(State(pause): State<Pause>, path: Path<String>, session: Session) -> StatusCode {
    let seen = read(path, session).await;
    pause.has_changed.notify_one();
    pause.goes_on.notified().await;
    seen
}

async fn read(Path(key): Path<String>, session: Session) -> StatusCode {
    let is_there = session.get(&key).await.unwrap().unwrap_or(false);
    if is_there { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

async fn browser_with_session(app: &Router) -> Browser {
    let mut browser = TestSessions::new().browser();
    browser.post(app, "/set/first", "").await;
    assert_eq!(browser.get(app, "/read/first").await.status(), 200);
    browser
}

async fn two_requests_of_one_browser_keep_each_others_changes(store: impl SessionStore + Clone) {
    let pause = Pause::default();
    let app = app(store, &pause);
    let mut browser = browser_with_session(&app).await;
    let mut tab = browser.clone();
    let slow = tokio::spawn({
        let app = app.clone();
        async move { tab.post(&app, "/set-slowly/slow", "").await.status() }
    });
    pause.has_changed.notified().await;
    assert_eq!(browser.post(&app, "/set/quick", "").await.status(), 200);
    pause.goes_on.notify_one();
    assert_eq!(slow.await.unwrap(), 200);
    for key in ["first", "slow", "quick"] {
        assert_eq!(browser.get(&app, &format!("/read/{key}")).await.status(), 200, "{key}");
    }
}

async fn a_request_that_saves_after_the_sign_out_fails_and_brings_nothing_back(store: impl SessionStore + Clone) {
    let pause = Pause::default();
    let app = app(store, &pause);
    let mut browser = browser_with_session(&app).await;
    let (mut tab, mut thief) = (browser.clone(), browser.clone());
    let late = tokio::spawn({
        let app = app.clone();
        async move { tab.post(&app, "/set-slowly/late", "").await.status() }
    });
    pause.has_changed.notified().await;
    assert_eq!(browser.post(&app, "/sign-out", "").await.status(), 200);
    pause.goes_on.notify_one();
    assert_eq!(late.await.unwrap(), 500);
    assert_eq!(thief.get(&app, "/read/first").await.status(), 404);
    assert_eq!(thief.get(&app, "/read/late").await.status(), 404);
}

async fn a_read_only_request_beside_a_sign_out_succeeds(store: impl SessionStore + Clone) {
    let pause = Pause::default();
    let app = app(store, &pause);
    let mut browser = browser_with_session(&app).await;
    let mut tab = browser.clone();
    let reading = tokio::spawn({
        let app = app.clone();
        async move { tab.get(&app, "/read-slowly/first").await.status() }
    });
    pause.has_changed.notified().await;
    assert_eq!(browser.post(&app, "/sign-out", "").await.status(), 200);
    pause.goes_on.notify_one();
    assert_eq!(reading.await.unwrap(), 200);
}

async fn a_browser_whose_session_is_gone_gets_a_new_one(store: impl SessionStore + Clone) {
    let app = app(store, &Pause::default());
    let mut browser = browser_with_session(&app).await;
    let mut elsewhere = browser.clone();
    elsewhere.post(&app, "/sign-out", "").await;
    let former = browser.cookies();
    assert_eq!(browser.post(&app, "/set/second", "").await.status(), 200);
    assert_ne!(browser.cookies(), former);
    assert_eq!(browser.get(&app, "/read/second").await.status(), 200);
    assert_eq!(browser.get(&app, "/read/first").await.status(), 404);
}
