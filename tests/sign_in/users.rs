//! User ids: what is one, what is none, and how little an odd one can do.

use cloakroom::{Error, Page, Session, Sessions, UserId};

use super::app::{app, id_of, signed_in};
use super::framework::{Path, Router, get};
use crate::support::{Browser, on_each_store};

#[tokio::test]
async fn numbers_and_text_of_every_kind_are_accepted_as_they_are() {
    async fn all(session: Session, Path(user): Path<String>) -> Result<String, Error> {
        session.sign_in(42).await?;
        session.sign_in(42_i64).await?;
        session.sign_in(42_u64).await?;
        session.sign_in(42_u32).await?;
        session.sign_in("42").await?;
        session.sign_in(&user).await?;
        session.sign_in(user.as_str()).await?;
        session.sign_in(user).await?;
        let user = UserId::from(42);
        session.sign_in(&user).await?;
        session.sign_in(user).device("all").await?;
        Ok(session.devices().await?.len().to_string())
    }
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browser = Browser::new(Router::new().route("/all/{user}", get(all)).layer(sessions.layer()));
        assert_eq!(browser.visit("/all/42").await.body, "1", "they are all the same user");
    })
    .await;
}

#[tokio::test]
async fn the_number_and_its_text_are_one_user_with_one_list() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let number = async |session: Session| session.sign_in(1).await;
        let app = app(&sessions).route("/number", get(number)).layer(sessions.layer());
        let browser = signed_in(Browser::new(app), "1").await;
        let other = browser.stranger();
        other.visit("/number").await;
        assert_eq!(browser.visit("/devices").await.body, format!("{} [{}]", id_of(&other), id_of(&browser)));
        assert_eq!(sessions.revoke_user(1).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_empty_or_endless_user_id_is_refused_and_nothing_is_stored() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let empty = async |session: Session| session.sign_in("").await;
        let endless = async |session: Session| session.sign_in("a".repeat(10 * 1024)).await;
        let longest = async |session: Session| session.sign_in("a".repeat(255)).await;
        let app = app(&sessions)
            .route("/empty", get(empty))
            .route("/endless", get(endless))
            .route("/longest", get(longest))
            .layer(sessions.layer());
        let browser = Browser::new(app);
        for path in ["/empty", "/endless"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, 400);
            assert!(answer.error.unwrap().is_invalid());
            assert_eq!(answer.headers.get("set-cookie"), None);
            assert!(place.store.asked().is_empty());
        }
        browser.visit("/longest").await;
        assert_eq!(browser.visit("/whoami").await.body, "a".repeat(255));
    })
    .await;
}

/// Signs in each of these users with a browser of its own.
async fn signed_in_all(sessions: &Sessions, users: &[&'static str]) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for user in users.iter().copied() {
        let sign_in = async move |session: Session| session.sign_in(user).await;
        let app = app(sessions).route("/sign_in_as", get(sign_in)).layer(sessions.layer());
        let browser = Browser::new(app);
        browser.visit("/sign_in_as").await;
        assert_eq!(browser.visit("/whoami").await.body, *user);
        browsers.push(browser);
    }
    browsers
}

const ODD: [&str; 14] = [
    "*",
    "?",
    "[a-z]",
    "a:b",
    "a",
    "b",
    "{x}",
    "x",
    "a\nb",
    "a\r\nSet-Cookie: x=y",
    "user:a",
    "\0",
    "ä€😀",
    "' or 1=1; --",
];

#[tokio::test]
async fn an_odd_user_id_lists_and_ends_only_its_own_sessions() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browsers = signed_in_all(&sessions, &ODD).await;
        for (browser, user) in browsers.iter().zip(ODD) {
            assert_eq!(browser.visit("/devices").await.body, format!("[{}]", id_of(browser)), "{user:?}");
            let devices = sessions.devices(user, Page::default()).await.unwrap();
            assert_eq!(devices.len(), 1);
        }
        for ended in 0..ODD.len() {
            assert_eq!(browsers[ended].visit("/sign_out_everywhere").await.body, "1", "{:?}", ODD[ended]);
            for (browser, user) in browsers.iter().zip(ODD).skip(ended + 1) {
                assert_eq!(browser.visit("/whoami").await.body, user, "after {:?}", ODD[ended]);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_id_that_looks_like_a_session_id_reaches_no_session() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let victim = signed_in(Browser::new(app(&sessions)), "anna").await;
        victim.visit("/write/cart/full").await;
        let name = id_of(&victim);
        let attacker = signed_in(victim.stranger(), &name).await;
        assert_eq!(attacker.visit("/devices").await.body, format!("[{}]", id_of(&attacker)));
        assert_eq!(attacker.visit("/sign_out_everywhere").await.body, "1");
        assert_eq!(victim.visit("/read/cart").await.body, "full");
        assert_eq!(victim.visit("/whoami").await.body, "anna");
    })
    .await;
}
