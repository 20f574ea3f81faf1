//! Two cookies of one session, as after a change of the cookie's path or domain.

use std::time::Duration;

use cloakroom::{Config, Error, Field, OnReplay, Session, Sessions};

use super::framework::{Router, get};
use crate::support::{Browser, Place, on_each_store};

const NAME: Field<String> = Field::new("name");

fn app(sessions: &Sessions) -> Router {
    let show = async |session: Session| {
        let user = session.user().map(|user| user.to_string()).unwrap_or_default();
        Ok::<_, Error>(format!("{} {user}", session.get(NAME)?.unwrap_or_default()))
    };
    Router::new()
        .route("/write", get(async |session: Session| session.set(NAME, "cart")))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/elevate", get(async |session: Session| session.elevate().await))
        .route("/sign_in", get(async |session: Session| session.sign_in("andrew").await))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .route("/show", get(show))
        .layer(sessions.layer())
}

/// What a browser sends that has kept the cookie of the former path.
fn both(first: &str, second: &str) -> [String; 2] {
    [(first, second), (second, first)].map(|(first, second)| format!("__Host-sid={first}; __Host-sid={second}"))
}

#[tokio::test]
async fn the_former_cookie_beside_the_current_one_loses_nobody_their_session() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        for (verb, seen) in [("/rotate", "cart "), ("/sign_in", "cart andrew")] {
            let former = browser.token().unwrap();
            browser.visit(verb).await;
            for cookies in both(&former, &browser.token().unwrap()) {
                for _ in 0..2 {
                    assert_eq!(browser.send("/show", Some(&cookies)).await.body, seen, "after {verb}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_former_cookie_beside_the_current_one_is_not_taken_for_stolen_after_its_grace() {
    let place = Place::memory();
    let sessions = place.sessions_with(Config::builder().on_replay(OnReplay::Revoke));
    let browser = Browser::new(app(&sessions));
    browser.visit("/write").await;
    let former = browser.token().unwrap();
    browser.visit("/rotate").await;
    browser.visit("/show").await;
    place.clock.advance(Duration::from_secs(60));
    for cookies in both(&former, &browser.token().unwrap()) {
        assert_eq!(browser.send("/show", Some(&cookies)).await.body, "cart ");
    }
    browser.send("/show", Some(&format!("__Host-sid={former}"))).await;
    assert_eq!(browser.visit("/show").await.body, " ", "by itself it is");
}

#[tokio::test]
async fn with_both_cookies_the_session_is_held_by_the_current_secret() {
    on_each_store(async |place| {
        for order in 0..2 {
            let browser = Browser::new(app(&place.sessions()));
            browser.visit("/write").await;
            let former = browser.token().unwrap();
            browser.visit("/rotate").await;
            let cookies = &both(&former, &browser.token().unwrap())[order];
            let answer = browser.send("/elevate", Some(cookies)).await;
            assert_eq!(answer.status, 200, "the former secret is not allowed to do this: {}", answer.body);
        }
    })
    .await;
}

#[tokio::test]
async fn signing_out_with_both_cookies_ends_the_session_and_is_a_success() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write").await;
        let former = browser.token().unwrap();
        browser.visit("/rotate").await;
        let [cookies, _] = both(&former, &browser.token().unwrap());
        assert_eq!(browser.send("/sign_out", Some(&cookies)).await.status, 200);
        assert_eq!(browser.visit("/show").await.body, " ");
        assert_eq!(browser.send("/sign_out", Some(&cookies)).await.status, 200, "a second click");
    })
    .await;
}
