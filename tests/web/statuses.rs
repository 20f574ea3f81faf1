//! What stands when, by the status of the response and the commit's own answer.

use axum::http::StatusCode;
use cloakroom::{Error, Field, Session, Sessions};

use super::framework::{Path, Router, get};
use crate::support::{Browser, Fault, Place, on_each_store};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap()
}

fn app(sessions: &Sessions) -> Router {
    let set = async |session: Session, Path(code): Path<u16>| session.set(NAME, "new").map(|()| status(code));
    let at_once = async |session: Session, Path(code): Path<u16>| {
        session.set(NAME, "new")?;
        session.increment(COUNT, 1).await?;
        session.rotate().await?;
        Ok::<_, Error>(status(code))
    };
    let sign_out = async |session: Session, Path(code): Path<u16>| session.sign_out().await.map(|()| status(code));
    let read = async |session: Session| {
        Ok::<_, Error>(format!("{:?} {:?}", session.get(NAME)?.unwrap_or_default(), session.get(COUNT)?.unwrap_or(0)))
    };
    // the session ends elsewhere while the handler works
    let revoked = async |sessions: &Sessions, session: &Session| match session.id() {
        Some(id) => sessions.revoke(&id).await.map(drop),
        None => Ok(()),
    };
    let (a, b) = (sessions.clone(), sessions.clone());
    Router::new()
        .route("/read", get(read))
        .route("/set/{status}", get(set))
        .route("/at_once/{status}", get(at_once))
        .route("/sign_out/{status}", get(sign_out))
        .route(
            "/revoked_and_set",
            get(async move |session: Session| {
                revoked(&a, &session).await?;
                session.set(NAME, "new").map(|()| "the handler's answer")
            }),
        )
        .route("/revoked_and_read", get(async move |session: Session| revoked(&b, &session).await.map(|()| "read")))
        .layer(sessions.layer())
}

#[tokio::test]
async fn deferred_changes_are_stored_unless_the_response_is_a_server_error_or_a_time_out() {
    on_each_store(async |place| {
        let app = app(&place.sessions());
        for code in [200, 204, 302, 400, 401, 403, 404, 409, 422, 499] {
            let browser = Browser::new(app.clone());
            assert_eq!(browser.get(&format!("/set/{code}")).await.status, code);
            assert_eq!(browser.get("/read").await.body, "\"new\" 0", "after {code}");
        }
        for code in [408, 500, 502, 503, 599] {
            let browser = Browser::new(app.clone());
            let answer = browser.get(&format!("/set/{code}")).await;
            assert_eq!((answer.status.as_u16(), answer.set_cookie()), (code, None));
            browser.visit("/at_once/200").await;
            browser.get(&format!("/set/{code}")).await;
            assert_eq!(browser.get("/read").await.body, "\"new\" 1", "after {code}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_immediate_change_stands_whatever_the_status_is_and_its_token_reaches_the_browser() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        for (count, code) in [200, 302, 404, 408, 500, 503].into_iter().enumerate() {
            let before = browser.token();
            let answer = browser.get(&format!("/at_once/{code}")).await;
            assert_eq!(answer.status, code);
            assert!(answer.set_cookie().is_some(), "{code}");
            assert_ne!(browser.token(), before);
            assert_eq!(browser.get("/read").await.body, format!("\"new\" {}", count + 1), "after {code}");
        }
        let token = browser.token().unwrap();
        assert_eq!(browser.get("/sign_out/500").await.set_cookies().len(), 1);
        assert_eq!(browser.token(), None, "a sign-out stands on a 500 as well");
        browser.carry("__Host-sid", &token);
        assert_eq!(browser.get("/read").await.body, "\"\" 0");
    })
    .await;
}

#[tokio::test]
async fn a_change_to_a_session_that_ended_meanwhile_answers_401_and_stores_nothing() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.get("/set/200").await;
        let answer = browser.get("/revoked_and_set").await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.body, "Your session has ended. Please begin again.", "not the handler's success");
        assert_eq!(answer.set_cookie(), None);
        assert_eq!(browser.get("/read").await.body, "\"\" 0");
        if place.is_redis() {
            let keys: i64 = redis::cmd("DBSIZE").query(&mut place.server().client()).unwrap();
            assert_eq!(keys, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_touch_of_a_session_that_ended_meanwhile_is_passed_through() {
    on_each_store(async |place| {
        let eager = cloakroom::Config::builder().touch_interval(std::time::Duration::ZERO);
        let browser = Browser::new(app(&place.sessions_with(eager)));
        browser.get("/set/200").await;
        place.store.asked();
        let answer = browser.visit("/revoked_and_read").await;
        assert_eq!(answer.body, "read");
        assert_eq!(answer.set_cookie(), None);
        assert_eq!(place.store.asked(), ["load", "revoke", "apply"]);
    })
    .await;
}

#[tokio::test]
async fn the_handlers_headers_do_not_survive_a_failed_commit() {
    let place = Place::memory();
    let leave =
        async |session: Session| session.set(NAME, "x").map(|()| ([("location", "/welcome")], StatusCode::FOUND));
    let browser = Browser::new(Router::new().route("/", get(leave)).layer(place.sessions().layer()));
    place.store.fault("create", Fault::Away);
    let answer = browser.get("/").await;
    assert_eq!(answer.status, 503);
    assert!(!answer.headers.contains_key("location"));
}
