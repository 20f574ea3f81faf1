//! Visitors who are there while a deployment changes the settings: two managers of one store, the former and the new one.

use std::time::Duration;

use cloakroom::{Config, Field, Session, Sessions};

use super::framework::{Router, get};
use crate::support::{Browser, Place, on_each_store};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn app(sessions: &Sessions) -> Router {
    let show = async |session: Session| {
        let user = session.user().map(|user| user.to_string()).unwrap_or_default();
        format!("{user} {:?}", session.idle_timeout().unwrap_or_default())
    };
    Router::new()
        .route("/begin", get(async |session: Session| session.increment(Field::new("n"), 1).await.map(drop)))
        .route("/sign_in", get(async |session: Session| session.sign_in("andrew").await))
        .route("/show", get(show))
        .layer(sessions.layer())
}

#[tokio::test]
async fn a_changed_cookie_name_makes_everybody_a_new_visitor() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/sign_in").await;
    place.store.asked();
    let renamed = place.sessions_with(Config::builder().cookie_name("__Host-new"));
    assert_eq!(browser.at(app(&renamed)).visit("/show").await.body, " 0ns");
    assert!(place.store.asked().is_empty(), "the former cookie is not looked at");
    assert!(browser.visit("/show").await.body.starts_with("andrew"), "its session lives on");
}

#[tokio::test]
async fn changed_lifetimes_hold_for_sessions_that_begin_or_are_signed_in_afterwards() {
    on_each_store(async |place| {
        let former = app(&place.sessions_with(Config::builder().idle_timeout(2 * HOUR)));
        let new = app(&place.sessions_with(Config::builder().idle_timeout(HOUR)));
        let browser = Browser::new(former.clone());
        browser.visit("/begin").await;
        assert_eq!(browser.at(new.clone()).visit("/show").await.body, " 7200s");
        browser.at(new.clone()).visit("/sign_in").await;
        assert_eq!(browser.at(new.clone()).visit("/show").await.body, "andrew 3600s");
        assert_eq!(browser.at(former).visit("/show").await.body, "andrew 3600s", "kept as it was granted");

        let another = browser.stranger().at(new);
        another.visit("/begin").await;
        assert_eq!(another.visit("/show").await.body, " 3600s");
    })
    .await;
}
