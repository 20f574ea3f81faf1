//! Another user, or the same one again, signs in with a browser that is signed in.

use std::sync::Arc;

use cloakroom::{Error, OnLimit, Session};
use tokio::sync::Notify;

use super::app::{app, ask_with, field, id_of, signed_in, whoami};
use super::framework::get;
use crate::support::{Browser, Fault, on_each_store};

#[tokio::test]
async fn another_user_gets_a_new_session_with_nothing_of_the_formers_in_it() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        browser.visit("/write/cart/annas").await;
        let (id, token) = (id_of(&browser), browser.token().unwrap());

        let answer = browser.visit("/sign_in/bert").await;
        assert_eq!(answer.body, "bert");
        assert!(!answer.set_cookie().expect("one cookie").contains("Max-Age=0"));
        assert_ne!(id_of(&browser), id);
        assert_eq!(browser.visit("/read/cart").await.body, "");
        assert_eq!(browser.visit("/devices").await.body, format!("[{}]", id_of(&browser)));
        assert_eq!(browser.visit("/devices_of/anna").await.body, "");
        assert_eq!(ask_with(&browser, &token, "/whoami").await.body, "nobody", "the former session has ended");
    })
    .await;
}

#[tokio::test]
async fn values_set_before_a_switch_of_users_are_the_former_users_and_later_ones_the_new_users() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let switch = async |session: Session| {
            session.set(field("before"), "annas")?;
            session.sign_in("bert").await?;
            assert_eq!(session.get(field("before"))?, None);
            session.set(field("after"), "berts")?;
            Ok::<_, Error>(whoami(&session))
        };
        let app = app(&sessions).route("/switch", get(switch)).layer(sessions.layer());
        let browser = signed_in(Browser::new(app), "anna").await;
        assert!(browser.visit("/switch").await.set_cookie().is_some());
        assert_eq!(browser.visit("/read/before").await.body, "");
        assert_eq!(browser.visit("/read/after").await.body, "berts");
    })
    .await;
}

#[tokio::test]
async fn the_same_user_again_keeps_the_session_and_gets_a_new_secret() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        browser.visit("/write/cart/annas").await;
        let (id, token) = (id_of(&browser), browser.token().unwrap());
        assert!(browser.visit("/sign_in/anna").await.set_cookie().is_some());
        assert_eq!(id_of(&browser), id);
        assert_ne!(browser.token().unwrap(), token);
        assert_eq!(ask_with(&browser, &token, "/whoami").await.body, "nobody");
        assert_eq!(browser.visit("/read/cart").await.body, "annas");
        assert_eq!(browser.visit("/devices").await.body, format!("[{id}]"), "listed once");
    })
    .await;
}

#[tokio::test]
async fn several_sign_ins_in_one_request_are_one_cookie_and_the_last_user() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let three = async |session: Session| {
            for user in ["anna", "bert", "carla"] {
                session.sign_in(user).await?;
            }
            Ok::<_, Error>(whoami(&session))
        };
        let out_and_in = async |session: Session| {
            session.sign_out().await?;
            session.sign_in("dora").await
        };
        let app = app(&sessions).route("/three", get(three)).route("/out_and_in", get(out_and_in));
        let browser = Browser::new(app.layer(sessions.layer()));
        assert!(browser.visit("/three").await.set_cookie().is_some());
        assert_eq!(browser.visit("/whoami").await.body, "carla");
        for former in ["anna", "bert"] {
            assert_eq!(browser.visit(&format!("/devices_of/{former}")).await.body, "");
        }
        let before = id_of(&browser);
        assert!(browser.visit("/out_and_in").await.set_cookie().is_some());
        assert_eq!(browser.visit("/whoami").await.body, "dora");
        assert_ne!(id_of(&browser), before);
    })
    .await;
}

#[tokio::test]
async fn a_switch_that_cannot_end_the_former_session_is_no_switch() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        let token = browser.token();
        place.store.fault("revoke", Fault::Away);
        let answer = browser.get("/sign_in/bert").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.set_cookie(), None);
        place.store.heal();
        assert_eq!(browser.token(), token);
        assert_eq!(browser.visit("/whoami").await.body, "anna");
        assert_eq!(browser.visit("/devices_of/bert").await.body, "");
    })
    .await;
}

#[tokio::test]
async fn a_switch_to_a_user_who_is_refused_leaves_nobody_signed_in() {
    on_each_store(async |place| {
        let config = cloakroom::Config::builder().max_sessions_per_user(1).on_limit(OnLimit::RefuseNew);
        let elsewhere = signed_in(Browser::new(app(&place.sessions_with(config))), "bert").await;
        let browser = signed_in(elsewhere.stranger(), "anna").await;
        let annas = browser.token().unwrap();
        assert_eq!(browser.get("/sign_in/bert").await.status, 409);
        assert_eq!(browser.visit("/whoami").await.body, "nobody");
        assert_eq!(ask_with(&browser, &annas, "/whoami").await.body, "nobody");
        assert_eq!(elsewhere.visit("/whoami").await.body, "bert");
    })
    .await;
}

#[tokio::test]
async fn a_late_request_with_the_secret_from_before_a_sign_in_ends_nobodys_session() {
    on_each_store(async |place| {
        let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (reached, goes_on) = (arrived.clone(), go_on.clone());
        let sessions = place.sessions();
        let late = async move |session: Session| {
            reached.notify_one();
            goes_on.notified().await;
            session.sign_in("bert").await
        };
        let app = app(&sessions).route("/late", get(late)).layer(sessions.layer());
        let browser = signed_in(Browser::new(app), "anna").await;
        let before = browser.token().unwrap();
        let (answer, ()) = tokio::join!(ask_with(&browser, &before, "/late"), async {
            arrived.notified().await;
            signed_in(browser.clone(), "anna").await;
            go_on.notify_one();
        });
        assert_eq!(answer.status, 409, "what it brought is not the session's secret any more");
        assert_eq!(answer.set_cookie(), None);
        assert_eq!(browser.visit("/whoami").await.body, "anna");
        assert_eq!(browser.visit("/devices_of/bert").await.body, "");
        assert_eq!(signed_in(browser, "bert").await.visit("/devices_of/anna").await.body, "", "the next one may");
    })
    .await;
}
