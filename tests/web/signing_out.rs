//! The session ends on the server first, then the cookie goes.

use cloakroom::{Error, Field, Session, Sessions};

use super::framework::{Router, get};
use crate::support::{Browser, on_each_store};

const NAME: Field<String> = Field::new("name");

fn app(sessions: &Sessions) -> Router {
    let manager = sessions.clone();
    Router::new()
        .route("/read", get(async |session: Session| session.get(NAME).map(Option::unwrap_or_default)))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .route(
            "/twice",
            get(async |session: Session| {
                session.sign_out().await?;
                assert!(!session.exists());
                assert_eq!(session.id(), None);
                assert_eq!(session.get(NAME)?, None);
                session.sign_out().await
            }),
        )
        .route(
            "/write_then_sign_out",
            get(async |session: Session| {
                session.set(NAME, "never stored")?;
                session.sign_out().await
            }),
        )
        .route(
            "/count_then_sign_out",
            get(async |session: Session| {
                session.increment(Field::new("n"), 1).await?;
                session.sign_out().await
            }),
        )
        .route(
            "/ended_elsewhere_then_sign_out",
            get(async move |session: Session| {
                manager.revoke(&session.id().unwrap()).await?;
                session.sign_out().await
            }),
        )
        .layer(sessions.layer())
}

#[tokio::test]
async fn after_sign_out_the_token_opens_nothing_any_more() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let token = browser.token().unwrap();
        browser.visit("/sign_out").await;
        browser.carry("__Host-sid", &token);
        assert_eq!(browser.visit("/read").await.body, "");
    })
    .await;
}

#[tokio::test]
async fn a_second_sign_out_is_a_success_too_and_removes_the_cookie() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let token = browser.token().unwrap();
        browser.visit("/sign_out").await;
        let answer = browser.send("/sign_out", Some(&format!("__Host-sid={token}"))).await;
        assert_eq!(answer.status, 200);
        assert!(answer.set_cookie().unwrap().contains("Max-Age=0"));

        let malformed = browser.send("/sign_out", Some("__Host-sid=x")).await;
        assert_eq!(malformed.status, 200, "a visitor without a session has nothing to end");
    })
    .await;
}

#[tokio::test]
async fn a_second_sign_out_in_the_same_request_changes_nothing() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        place.store.asked();
        assert!(browser.visit("/twice").await.set_cookie().unwrap().contains("Max-Age=0"));
        assert_eq!(place.store.asked(), ["load", "revoke"]);
    })
    .await;
}

#[tokio::test]
async fn a_value_that_is_set_before_a_sign_out_is_dropped_with_the_session() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        assert_eq!(browser.visit("/write_then_sign_out").await.set_cookie(), None);
        assert!(place.store.asked().is_empty());
        browser.visit("/write").await;
        browser.visit("/write_then_sign_out").await;
        assert_eq!(browser.token(), None);
        assert_eq!(browser.visit("/read").await.body, "");
    })
    .await;
}

#[tokio::test]
async fn a_session_made_and_ended_in_one_request_leaves_nothing_behind() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/count_then_sign_out").await;
        assert_eq!(browser.token(), None);
        assert_eq!(place.store.asked(), ["create", "revoke"]);
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_of_a_session_that_an_administrator_has_just_ended_is_a_success() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let answer = browser.get("/ended_elsewhere_then_sign_out").await;
        assert_eq!(answer.status, 200);
        assert!(answer.set_cookie().unwrap().contains("Max-Age=0"));
        assert_eq!(browser.visit("/read").await.body, "");
    })
    .await;
}

#[tokio::test]
async fn a_session_revoked_by_its_id_is_gone_for_the_browser_too() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let show_id = async |session: Session| Ok::<_, Error>(session.id().unwrap().to_string());
        let browser = Browser::new(app(&sessions).route("/id", get(show_id)).layer(sessions.layer()));
        browser.visit("/write").await;
        let id = cloakroom::SessionId::parse(&browser.visit("/id").await.body).unwrap();
        assert!(browser.token().unwrap().starts_with(&id.to_string()));
        assert!(sessions.revoke(&id).await.unwrap());
        assert!(!sessions.revoke(&id).await.unwrap(), "it had ended already");
        assert_eq!(browser.visit("/read").await.body, "");
    })
    .await;
}
