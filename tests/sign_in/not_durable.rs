//! What was done, but not on as many disks or servers as were asked for: it is an error, and it has happened.

use cloakroom::{Config, Event};

use super::app::{app, ask_with, id_of, signed_in};
use super::told::Told;
use crate::support::{Answer, Browser, Fault, on_each_store};

fn is_not_durable(answer: &Answer) -> bool {
    answer.status == 503 && answer.error.as_ref().is_some_and(cloakroom::Error::is_not_durable)
}

#[tokio::test]
async fn the_token_of_a_sign_in_that_is_not_durable_reaches_its_browser() {
    on_each_store(async |place| {
        for had_session in [true, false] {
            let browser = Browser::new(app(&place.sessions()));
            if had_session {
                browser.visit("/write/cart/full").await;
            }
            place.store.fault("apply", Fault::NotDurable);
            let answer = browser.get("/sign_in/anna").await;
            assert!(is_not_durable(&answer), "{answer:?}");
            place.store.heal();
            assert_eq!(browser.visit("/whoami").await.body, "anna", "{had_session}");
            assert_eq!(browser.visit("/sign_out_everywhere").await.body, "1");
        }
    })
    .await;
}

#[tokio::test]
async fn every_new_secret_that_is_not_durable_reaches_its_browser() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        place.store.fault("apply", Fault::NotDurable);
        for path in ["/rotate", "/elevate", "/sign_in/anna"] {
            let before = browser.token();
            assert!(is_not_durable(&browser.get(path).await), "{path}");
            assert_ne!(browser.token(), before, "{path}");
            assert_eq!(browser.visit("/whoami").await.body, "anna", "{path}");
        }
        place.store.heal();
        let visitor = browser.stranger();
        place.store.fault("create", Fault::NotDurable);
        assert!(is_not_durable(&visitor.get("/write/cart/full").await));
        place.store.heal();
        assert_eq!(visitor.visit("/read/cart").await.body, "full");
    })
    .await;
}

#[tokio::test]
async fn a_change_that_is_not_durable_is_made_once() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        place.store.fault("apply", Fault::NotDurable);
        assert!(is_not_durable(&browser.get("/count").await));
        assert!(is_not_durable(&browser.get("/write/cart/full").await));
        place.store.heal();
        assert_eq!(browser.visit("/read/cart").await.body, "full");
        assert_eq!(browser.visit("/count").await.body, "2");
    })
    .await;
}

#[tokio::test]
async fn a_switch_of_users_whose_end_is_not_durable_is_a_switch() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        let annas = browser.token().unwrap();
        place.store.fault("revoke", Fault::NotDurable);
        assert!(is_not_durable(&browser.get("/sign_in/bert").await));
        place.store.heal();
        assert_eq!(browser.visit("/whoami").await.body, "bert");
        assert_eq!(ask_with(&browser, &annas, "/whoami").await.body, "nobody");
    })
    .await;
}

#[tokio::test]
async fn what_has_happened_but_is_not_durable_sends_an_event_as_well() {
    on_each_store(async |place| {
        let told = Told::default();
        let sessions = place.sessions_with(told.listen(Config::builder().max_sessions_per_user(1)));
        let browser = signed_in(Browser::new(app(&sessions)), "anna").await;
        let first = id_of(&browser);
        told.forget(2);
        place.store.fault_everywhere(Fault::NotDurable);
        let other = browser.stranger();
        assert!(is_not_durable(&other.get("/write/cart/full").await));
        assert!(is_not_durable(&other.get("/sign_in/anna").await));
        let events = told.after(3);
        assert!(
            matches!(&events[..], [Event::Created { .. }, Event::SignedIn { .. }, Event::Evicted { session, .. }]
            if session.to_string() == first),
            "{events:?}"
        );
        told.forget(3);
        assert!(is_not_durable(&other.get("/sign_out").await));
        assert_eq!(other.token(), None, "it has ended, so the cookie goes");
        let anna = cloakroom::UserId::try_from("anna").unwrap();
        let again = browser.stranger();
        assert!(is_not_durable(&again.get("/sign_in/anna").await));
        assert!(sessions.revoke_user(&anna).await.unwrap_err().is_store());
        place.store.heal();
        let ended: Vec<u64> = told
            .after(4)
            .iter()
            .filter_map(|event| match event {
                Event::Revoked { ended, .. } => Some(*ended),
                _ => None,
            })
            .collect();
        assert_eq!(ended, [1, 1]);
    })
    .await;
}
