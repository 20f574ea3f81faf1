//! What is stored and cannot be read is counted by what it is.

use axum::Router;
use axum::routing::get;
use cloakroom::{Field, Session};

use super::heard::{Heard, app};
use crate::support::{Browser, Place, on_each_store};

#[tokio::test]
async fn a_value_that_is_not_of_its_fields_type_is_counted() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let heard = Heard::new();
        browser.visit("/misread").await;
        assert_eq!(heard.all()["unreadable{what=value}"], 1);
    })
    .await;
}

#[tokio::test]
async fn an_update_and_a_take_that_begin_anew_count_the_value_as_a_read_does() {
    on_each_store(async |place| {
        let wrong = || Field::<Vec<u32>>::named("name");
        let app = Router::new()
            .route("/write", get(async |session: Session| session.set(Field::<String>::named("name"), "andrew")))
            .route("/update", get(async move |session: Session| session.update(wrong(), |list| list.push(1)).await))
            .route("/take", get(async move |session: Session| session.take(wrong()).await.map(drop)))
            .layer(place.sessions().layer());
        for path in ["/update", "/take"] {
            let browser = Browser::new(app.clone());
            browser.visit("/write").await;
            let heard = Heard::new();
            browser.visit(path).await;
            assert_eq!(heard.all()["unreadable{what=value}"], 1, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn fields_that_are_no_text_and_a_lifetime_that_is_no_number_are_counted_one_by_one() {
    let place = Place::redis().await;
    let (browser, key) = with_session(&place).await;
    let heard = Heard::new();
    let mut client = place.server().client();
    redis::cmd("HSET").arg(&key).arg("a").arg(b"\xff").arg("b").arg(b"\xfe").exec(&mut client).unwrap();
    browser.visit("/read").await;
    assert_eq!(heard.all()["unreadable{what=field}"], 2);
    redis::cmd("HDEL").arg(&key).arg("a").arg("b").exec(&mut client).unwrap();
    redis::cmd("HSET").arg(&key).arg("session_ttl").arg("soon").exec(&mut client).unwrap();
    browser.visit("/read").await;
    assert_eq!(heard.all()["unreadable{what=session_ttl}"], 1);
}

#[tokio::test]
async fn a_key_that_holds_no_session_is_counted() {
    let place = Place::redis().await;
    let (browser, key) = with_session(&place).await;
    let heard = Heard::new();
    let mut client = place.server().client();
    redis::cmd("HDEL").arg(&key).arg("created_at").exec(&mut client).unwrap();
    browser.visit("/read").await;
    assert_eq!(heard.all()["unreadable{what=record}"], 1);
    redis::cmd("SET").arg(&key).arg("no hash").exec(&mut client).unwrap();
    browser.visit("/read").await;
    let all = heard.all();
    assert_eq!((all["unreadable{what=record}"], all["loads{outcome=gone}"]), (1, 1));
}

/// A browser with a session, and where Redis keeps that.
async fn with_session(place: &Place) -> (Browser, String) {
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/write").await;
    let key = format!("session:{}", browser.token().unwrap().split('.').next().unwrap());
    (browser, key)
}
