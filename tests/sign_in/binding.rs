//! What a sign-in does to the session that it meets.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Config, Error, Session, SessionId, Sessions, TokenFormat};
use tokio::sync::Barrier;

use super::app::{app, ask_with, field, id_of, pass, signed_in, whoami};
use super::framework::{Router, get};
use crate::support::{Browser, Fault, Place, on_each_store};

#[tokio::test]
async fn a_token_planted_before_the_sign_in_opens_nothing_after_it() {
    on_each_store(async |place| {
        let attacker = Browser::new(app(&place.sessions()));
        attacker.visit("/write/cart/full").await;
        let planted = attacker.token().unwrap();

        let victim = attacker.stranger();
        victim.carry("__Host-sid", &planted);
        let answer = victim.visit("/sign_in/anna").await;
        assert!(answer.set_cookie().is_some());
        assert_ne!(victim.token().unwrap(), planted);
        assert_eq!(id_of(&victim), id_of(&attacker), "the id stays, the secret does not");

        for path in ["/whoami", "/read/cart", "/id", "/ended", "/csrf_token"] {
            let answer = attacker.visit(path).await;
            assert!(["nobody", "", "None"].contains(&answer.body.as_str()), "{path} told {}", answer.body);
            assert_eq!(answer.set_cookie(), None);
        }
        for path in ["/rotate", "/elevate", "/sign_out"] {
            assert_eq!(attacker.get(path).await.status, 401, "{path}");
        }
        assert_eq!(attacker.token().unwrap(), planted, "nothing was handed out");
        assert_eq!(victim.visit("/whoami").await.body, "anna");
        assert_eq!(victim.visit("/read/cart").await.body, "full");
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_with_the_token_from_before_gets_a_session_of_its_own() {
    on_each_store(async |place| {
        let attacker = Browser::new(app(&place.sessions()));
        attacker.visit("/write/cart/full").await;
        let victim = attacker.stranger();
        victim.carry("__Host-sid", &attacker.token().unwrap());
        signed_in(victim.clone(), "anna").await;
        signed_in(attacker.clone(), "mallory").await;
        assert_ne!(id_of(&attacker), id_of(&victim));
        assert_eq!(attacker.visit("/read/cart").await.body, "");
        assert_eq!(victim.visit("/whoami").await.body, "anna");
    })
    .await;
}

/// Two requests meet at the barrier, with their sessions loaded.
fn with_meeting(sessions: &Sessions) -> Router {
    let barrier = Arc::new(Barrier::new(2));
    let (at_sign_in, at_write) = (barrier.clone(), barrier.clone());
    let sign_in = async move |session: Session| {
        at_sign_in.wait().await;
        session.sign_in("anna").await.map(|()| whoami(&session))
    };
    let first_sign_in = async move |session: Session| {
        barrier.wait().await; // the other has loaded
        let signed_in = session.sign_in("anna").await;
        barrier.wait().await; // and may go on
        signed_in
    };
    let late_write = async move |session: Session| {
        at_write.wait().await;
        at_write.wait().await;
        session.set(field("cart"), "poisoned")
    };
    app(sessions)
        .route("/meet/sign_in", get(sign_in))
        .route("/meet/first_sign_in", get(first_sign_in))
        .route("/meet/write", get(late_write))
        .layer(sessions.layer())
}

#[tokio::test]
async fn a_request_that_was_under_way_during_the_sign_in_changes_nothing_after_it() {
    on_each_store(async |place| {
        let attacker = Browser::new(with_meeting(&place.sessions()));
        attacker.visit("/write/cart/full").await;
        let victim = attacker.stranger();
        victim.carry("__Host-sid", &attacker.token().unwrap());
        let (slow, _) = tokio::join!(attacker.get("/meet/write"), victim.visit("/meet/first_sign_in"));
        assert_eq!(slow.status, 401);
        assert_eq!(slow.set_cookie(), None);
        assert_eq!(victim.visit("/read/cart").await.body, "full");
    })
    .await;
}

#[tokio::test]
async fn a_double_click_is_one_sign_in_and_both_answers_are_good() {
    on_each_store(async |place| {
        let browser = Browser::new(with_meeting(&place.sessions()));
        browser.visit("/write/cart/full").await;
        let before = browser.token().unwrap();
        let (one, two) =
            tokio::join!(ask_with(&browser, &before, "/meet/sign_in"), ask_with(&browser, &before, "/meet/sign_in"));
        for answer in [one, two] {
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "anna"));
            let token = answer.token().unwrap();
            assert_eq!(ask_with(&browser, &token, "/whoami").await.body, "anna");
            assert_eq!(ask_with(&browser, &token, "/read/cart").await.body, "full");
        }
        assert_eq!(browser.visit("/whoami").await.body, "nobody", "the token from before opens nothing");
        assert_eq!(browser.visit("/devices_of/anna").await.body, id_of(&browser), "there is one device");
    })
    .await;
}

#[tokio::test]
async fn a_visitor_without_a_session_gets_one_by_signing_in() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        place.store.asked();
        let answer = browser.visit("/sign_in/anna").await;
        assert!(answer.set_cookie().is_some());
        assert_eq!(place.store.asked(), ["create", "apply"]);
        assert_eq!(browser.visit("/account").await.body, "anna");
    })
    .await;
}

#[tokio::test]
async fn a_stale_or_made_up_token_is_not_adopted_by_a_sign_in() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write/cart/full").await;
        let stale = browser.token().unwrap();
        browser.visit("/sign_out").await;
        let made_up = format!("{}.{}", "A".repeat(22), "A".repeat(43));
        for token in [stale, made_up] {
            browser.carry("__Host-sid", &token);
            signed_in(browser.clone(), "anna").await;
            assert!(!token.starts_with(&id_of(&browser)));
            assert_eq!(browser.visit("/read/cart").await.body, "");
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_click_that_comes_after_the_first_was_answered_is_the_same_sign_in() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        browser.visit("/write/cart/full").await;
        let before = browser.token().unwrap();
        let first = signed_in(browser.clone(), "anna").await.token().unwrap();
        browser.visit("/write/theme/dark").await;

        let second = ask_with(&browser, &before, "/sign_in/anna").await.token().unwrap();
        for token in [&first, &second, &first] {
            assert_eq!(ask_with(&browser, token, "/read/cart").await.body, "full");
            assert_eq!(ask_with(&browser, token, "/read/theme").await.body, "dark", "what was written meanwhile stays");
        }
        assert_eq!(ask_with(&browser, &second, "/devices").await.body, format!("[{}]", id_of(&browser)));

        // it opens nothing else, and nobody else's
        assert_eq!(ask_with(&browser, &before, "/whoami").await.body, "nobody");
        assert_eq!(ask_with(&browser, &before, "/sign_out").await.status, 401);
        let mallory = ask_with(&browser, &before, "/sign_in/mallory").await.token().unwrap();
        assert!(!mallory.starts_with(&id_of(&browser)));
        assert_eq!(ask_with(&browser, &mallory, "/read/cart").await.body, "");
        assert_eq!(ask_with(&browser, &second, "/whoami").await.body, "anna");
    })
    .await;
}

#[tokio::test]
async fn a_token_from_before_the_sign_in_is_worth_nothing_to_a_sign_in_after_the_grace() {
    on_each_store(async |place| {
        let grace = Config::builder().rotation_grace(Duration::from_secs(1));
        let browser = Browser::new(app(&place.sessions_with(grace)));
        browser.visit("/write/cart/full").await;
        let before = browser.token().unwrap();
        signed_in(browser.clone(), "anna").await;
        pass(&place, Duration::from_millis(2100)).await;
        let late = ask_with(&browser, &before, "/sign_in/anna").await.token().unwrap();
        assert!(!late.starts_with(&id_of(&browser)), "it is a device of its own");
        assert_eq!(ask_with(&browser, &late, "/read/cart").await.body, "");
        browser.visit("/write/theme/dark").await;
        if place.is_redis() {
            let key = format!("session:{}", id_of(&browser));
            let is_held: bool =
                redis::cmd("HEXISTS").arg(&[&key, "sign_in_secret_hash"]).query(&mut place.server().client()).unwrap();
            assert!(!is_held, "what is not needed any more is forgotten");
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_ended_while_it_was_signed_in_stays_ended() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let manager = sessions.clone();
        let just_ended = async move |session: Session| {
            manager.revoke(&session.id().unwrap()).await?;
            session.sign_in("anna").await?;
            Ok::<_, Error>(whoami(&session))
        };
        let browser = Browser::new(app(&sessions).route("/just_ended", get(just_ended)).layer(sessions.layer()));
        browser.visit("/write/cart/full").await;
        place.store.asked();
        let answer = browser.get("/just_ended").await;
        assert!(answer.error.unwrap().is_gone());
        assert_eq!(place.store.asked(), ["load", "revoke", "apply"]);
        assert_eq!(browser.visit("/devices_of/anna").await.body, "", "nobody is signed in anew");
        signed_in(browser.clone(), "anna").await;
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_keeps_the_visitors_fields_unless_it_discards_them() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let afresh = async |session: Session| {
            session.sign_in("anna").discard_fields().await?;
            assert_eq!(session.get(field("cart"))?, None);
            session.set(field("greeting"), "hello")
        };
        let app = app(&sessions).route("/afresh", get(afresh)).layer(sessions.layer());
        let browser = Browser::new(app);
        for (path, cart) in [("/sign_in/anna", "full"), ("/afresh", "")] {
            let browser = browser.stranger();
            browser.visit("/write/cart/full").await;
            browser.visit(path).await;
            assert_eq!(browser.visit("/read/cart").await.body, cart);
            assert_eq!(browser.visit("/whoami").await.body, "anna");
        }
    })
    .await;
}

#[tokio::test]
async fn values_that_the_request_of_a_sign_in_sets_belong_to_the_user_unless_the_response_fails() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let both = async |session: Session| {
            session.set(field("before"), "1")?;
            session.sign_in("anna").await?;
            session.set(field("after"), "2")
        };
        let then_fails = async |session: Session| {
            session.set(field("before"), "1")?;
            session.sign_in("anna").await?;
            Ok::<_, Error>(axum::http::StatusCode::INTERNAL_SERVER_ERROR)
        };
        let app = app(&sessions).route("/both", get(both)).route("/fails", get(then_fails)).layer(sessions.layer());
        let browser = Browser::new(app);
        browser.visit("/both").await;
        assert_eq!(browser.visit("/read/before").await.body + &browser.visit("/read/after").await.body, "12");

        let browser = browser.stranger();
        assert_eq!(browser.get("/fails").await.status, 500);
        assert_eq!(browser.visit("/whoami").await.body, "anna", "a sign-in stands, whatever the response");
        assert_eq!(browser.visit("/read/before").await.body, "");
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_starts_a_new_absolute_lifetime() {
    let hour = Duration::from_secs(3600);
    let place = Place::memory();
    let config = Config::builder().idle_timeout(hour).absolute_lifetime(2 * hour);
    let browser = Browser::new(app(&place.sessions_with(config)));
    browser.visit("/write/cart/full").await;
    let half = async || {
        place.clock.advance(hour / 2);
        browser.visit("/whoami").await.body
    };
    for _ in 0..3 {
        half().await;
    }
    signed_in(browser.clone(), "anna").await;
    for _ in 0..3 {
        assert_eq!(half().await, "anna");
    }
    assert_eq!(half().await, "nobody", "two hours after the sign-in it is over, however busy");
}

#[tokio::test]
async fn a_sign_in_whose_secret_was_replaced_on_its_way_begins_a_new_session() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let barrier = Arc::new(Barrier::new(2));
        let meet = barrier.clone();
        let slow = async move |session: Session| {
            meet.wait().await;
            meet.wait().await;
            session.sign_in("anna").await
        };
        let browser = Browser::new(app(&sessions).route("/slow", get(slow)).layer(sessions.layer()));
        browser.visit("/write/cart/full").await;
        let before = id_of(&browser);
        let (answer, ()) = tokio::join!(browser.get("/slow"), async {
            barrier.wait().await;
            browser.visit("/elevate").await;
            barrier.wait().await;
        });
        assert_eq!(answer.status, 200);
        assert_ne!(id_of(&browser), before, "whoever had the old secret gets nothing of the session");
        assert_eq!(browser.visit("/whoami").await.body, "anna");
        assert_eq!(browser.visit("/read/cart").await.body, "");
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_has_lost_its_session_on_its_way_and_made_none_says_that_it_was_meanwhile() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let store = place.store.clone();
        let browser = Browser::new(app(&sessions));
        browser.visit("/write/cart/full").await;
        let elsewhere = browser.clone();
        let late = async move |session: Session| {
            assert!(session.exists());
            elsewhere.visit("/elevate").await;
            store.fault("create", Fault::Away);
            assert!(session.sign_in("anna").await.unwrap_err().is_store());
            store.heal();
            session.require_recent_sign_in(Duration::from_secs(60)).await
        };
        let late = browser.at(Router::new().route("/late", get(late)).layer(sessions.layer()));
        let error = late.get("/late").await.error.unwrap();
        assert!(error.is_signed_out() && error.to_string().contains("while the request was being answered"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn with_plain_tokens_whatever_needs_a_secret_is_a_configuration_error() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().token_format(TokenFormat::Plain));
        let browser = Browser::new(app(&sessions));
        browser.visit("/write/cart/full").await;
        let before = browser.token();
        for path in ["/sign_in/anna", "/rotate", "/elevate", "/devices_of/anna"] {
            for browser in [browser.clone(), browser.stranger()] {
                place.store.asked();
                let answer = browser.get(path).await;
                assert_eq!(answer.status, 500, "{path}");
                let error = answer.error.unwrap();
                assert!(error.is_config() && error.to_string().contains("token_format Plain"), "{error}");
                assert!(!place.store.asked().iter().any(|verb| *verb != "load"), "{path}");
            }
        }
        assert_eq!(browser.get("/account").await.status, 401);
        assert_eq!(browser.visit("/csrf_token").await.body, "");
        assert_eq!(browser.token(), before);
        assert!(sessions.revoke_user("anna").await.unwrap_err().is_config());
        let id = SessionId::parse(&before.unwrap()).unwrap();
        assert!(sessions.revoke(&id).await.unwrap(), "whoever knows it may end it");
    })
    .await;
}
