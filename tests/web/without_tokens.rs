//! A visit whose response can carry no token, as the answer to a proxy that asks who a visitor is.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::routing::get;
use cloakroom::web::{OngoingVisit, Visit};
use cloakroom::{Config, Error, Field, Session, Sessions};

use crate::support::{Browser, Place, on_each_store};

const COUNT: Field<i64> = Field::new("count");
const MINUTE: Duration = Duration::from_secs(60);

fn app(sessions: &Sessions) -> Router {
    let whoami = async |session: Session| session.user().map_or("nobody".to_owned(), |user| user.to_string());
    let sign_in = async |session: Session, Path(user): Path<String>| session.sign_in(user).await;
    let remember = async |session: Session| session.sign_in("anna").cookie_max_age(10 * MINUTE).await;
    Router::new()
        .route("/whoami", get(whoami))
        .route("/sign_in/{user}", get(sign_in))
        .route("/remember", get(remember))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .layer(sessions.layer())
}

/// The proxy hands on what the browser sends.
fn begin(sessions: &Sessions, cookie: Option<String>) -> OngoingVisit {
    let mut headers = HeaderMap::new();
    if let Some(cookie) = cookie {
        headers.insert(header::COOKIE, cookie.parse().unwrap());
    }
    Visit::begin_without_tokens(sessions, &Method::GET, &Uri::from_static("/"), &headers).unwrap()
}

/// Says who it is, with this status. No answer may set or remove a cookie.
async fn who(sessions: &Sessions, browser: &Browser, status: u16) -> String {
    let ongoing = begin(sessions, browser.cookie_header());
    let user = ongoing.visit().session().await.unwrap().user();
    finished(ongoing, status).await.unwrap();
    user.map_or("nobody".to_owned(), |user| user.to_string())
}

async fn finished(ongoing: OngoingVisit, status: u16) -> Result<(), Error> {
    let (finished, changes) = match ongoing.finish(status).await {
        Ok(changes) => (Ok(()), changes),
        Err(failed) => {
            let (error, changes) = failed.into_parts();
            (Err(error), changes)
        }
    };
    let mut headers = HeaderMap::new();
    changes.apply(&mut headers);
    assert!(!headers.contains_key(header::SET_COOKIE), "{headers:?}");
    assert_eq!(headers[header::VARY], "Cookie");
    finished
}

#[tokio::test]
async fn a_rotation_that_is_due_waits_for_a_response_that_can_carry_the_token() {
    let interval = Duration::from_secs(1);
    on_each_store(async |place| {
        let config = Config::builder().rotate_every(interval).touch_interval(MINUTE);
        let sessions = place.sessions_with(config);
        let browser = Browser::new(app(&sessions));
        browser.visit("/sign_in/anna").await;
        match place.is_redis() {
            true => tokio::time::sleep(interval + Duration::from_millis(100)).await,
            false => place.clock.advance(interval),
        }
        // the new token was not confirmed yet, which is a touch
        let token = browser.token().unwrap();
        for _ in 0..3 {
            assert_eq!(who(&sessions, &browser, 200).await, "anna");
        }
        let answer = browser.visit("/whoami").await;
        assert_eq!(answer.body, "anna");
        assert!(answer.token().is_some_and(|new| new != token), "the rotation is still due");
    })
    .await;
}

#[tokio::test]
async fn the_session_is_extended_whatever_the_answer_is() {
    let place = Place::memory();
    let sessions = place.sessions_with(Config::builder().rotate_every(MINUTE));
    let browser = Browser::new(app(&sessions));
    browser.visit("/sign_in/anna").await;
    place.store.asked();
    for status in [200, 401, 503, 408] {
        for _ in 0..3 {
            place.clock.advance(20 * MINUTE);
            assert_eq!(who(&sessions, &browser, status).await, "anna", "{status}");
            assert_eq!(place.store.asked(), ["load", "apply"], "{status}");
            assert_eq!(who(&sessions, &browser, status).await, "anna", "{status}");
            assert_eq!(place.store.asked(), ["load"], "{status}: it is not due");
        }
    }
    place.clock.advance(30 * MINUTE);
    assert_eq!(who(&sessions, &browser, 200).await, "nobody");
}

#[tokio::test]
async fn the_grace_of_the_former_token_begins_when_the_new_one_is_shown_here() {
    let place = Place::memory();
    let sessions = place.sessions();
    let browser = Browser::new(app(&sessions));
    browser.visit("/sign_in/anna").await;
    let before = browser.stranger();
    before.carry("__Host-sid", &browser.token().unwrap());
    browser.visit("/rotate").await;
    place.clock.advance(MINUTE);
    assert_eq!(who(&sessions, &before, 200).await, "anna", "the browser may not have the new one");
    assert_eq!(who(&sessions, &browser, 200).await, "anna");
    place.clock.advance(MINUTE);
    assert_eq!(who(&sessions, &before, 200).await, "nobody");
}

#[tokio::test]
async fn a_cookie_that_is_to_be_renewed_waits_as_well() {
    let place = Place::memory();
    let sessions = place.sessions();
    let browser = Browser::new(app(&sessions));
    browser.visit("/remember").await;
    place.clock.advance(5 * MINUTE);
    assert_eq!(who(&sessions, &browser, 200).await, "anna");
    assert!(browser.visit("/whoami").await.set_cookie().is_some());
}

#[tokio::test]
async fn whatever_needs_a_new_token_is_an_error_and_does_nothing() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browser = Browser::new(app(&sessions));
        for cookie in [None, Some("__Host-sid=made-up".to_owned())] {
            let ongoing = begin(&sessions, cookie);
            let session = ongoing.visit().session().await.unwrap();
            assert_eq!(session.sign_in("anna").await.unwrap_err().status(), 500);
            let error = session.increment(COUNT, 1).await.unwrap_err();
            assert!(error.to_string().contains("begin_without_tokens"), "{error}");
            session.set(COUNT, &1).unwrap();
            assert_eq!(session.csrf_token(), "", "it would be of no session");
            assert_eq!(finished(ongoing, 200).await.unwrap_err().status(), 500);
        }
        assert!(place.store.asked().is_empty());

        browser.visit("/sign_in/anna").await;
        let ongoing = begin(&sessions, browser.cookie_header());
        let session = ongoing.visit().session().await.unwrap();
        assert!(session.sign_in("anna").await.is_err() && session.sign_in("bert").await.is_err());
        assert!(session.rotate().await.is_err() && session.elevate().await.is_err());
        assert_eq!(session.increment(COUNT, 1).await.unwrap(), 1, "this needs no token");
        session.set(COUNT, &2).unwrap();
        finished(ongoing, 200).await.unwrap();
        assert_eq!(browser.visit("/whoami").await.body, "anna", "her session was not ended for bert's");
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_ends_the_session_and_leaves_the_cookie() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browser = Browser::new(app(&sessions));
        browser.visit("/sign_in/anna").await;
        let ongoing = begin(&sessions, browser.cookie_header());
        ongoing.visit().session().await.unwrap().sign_out().await.unwrap();
        finished(ongoing, 200).await.unwrap();
        assert_eq!(browser.visit("/whoami").await.body, "nobody");
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_gone_is_told_from_one_that_never_was() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().max_sessions_per_user(1));
        let browser = Browser::new(app(&sessions));
        let state = async |cookie: Option<String>| {
            let ongoing = begin(&sessions, cookie);
            let session = ongoing.visit().session().await.unwrap();
            (session.exists(), session.is_gone())
        };
        assert_eq!(state(None).await, (false, false));
        for no_token in ["", "other=1", "__Host-sid=", "__Host-sid=made-up"] {
            assert_eq!(state(Some(no_token.to_owned())).await, (false, false), "{no_token}");
        }
        browser.visit("/sign_in/anna").await;
        let before = browser.cookie_header();
        assert_eq!(state(before.clone()).await, (true, false));
        browser.visit("/sign_in/anna").await;
        assert_eq!(state(before.clone()).await, (false, true), "its secret was replaced by a sign-in");
        let evicted = browser.cookie_header();
        let other = browser.stranger();
        other.visit("/sign_in/carl").await;
        let live = other.cookie_header().unwrap();
        let beside = |cookie: &Option<String>| Some(format!("{}; {live}", cookie.as_deref().unwrap()));
        assert_eq!(state(beside(&before)).await, (true, false), "the other token of this request opens a session");
        assert_eq!(state(beside(&evicted)).await, (false, false), "both open one, so none is taken");
        browser.stranger().visit("/sign_in/anna").await;
        assert_eq!(state(evicted).await, (false, true));

        browser.visit("/sign_in/bert").await;
        let signed_out = browser.cookie_header();
        browser.visit("/sign_out").await;
        assert_eq!(state(signed_out).await, (false, true));
        let ongoing = begin(&sessions, None);
        assert!(!ongoing.visit().session().await.unwrap().is_gone());
    })
    .await;
}
