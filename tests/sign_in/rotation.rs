//! New secrets for a session that goes on: on demand, at a change of privilege, and by themselves.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Config, ConfigBuilder, Error, Event, OnReplay, Session, Sessions};
use tokio::sync::Notify;

use super::app::{app, ask_with, field, id_of, signed_in, whoami};
use super::framework::{Path, get};
use super::told::Told;
use crate::support::{Browser, Fault, Place, on_each_store};

const MINUTE: Duration = Duration::from_secs(60);

fn every_minute() -> ConfigBuilder {
    Config::builder().rotate_every(MINUTE)
}

/// A place in memory whose visitor's secret is to be rotated by the next request.
async fn when_due(config: ConfigBuilder) -> (Place, Browser) {
    let place = Place::memory();
    let browser = signed_in(Browser::new(app(&place.sessions_with(config))), "anna").await;
    browser.visit("/write/cart/full").await;
    place.clock.advance(MINUTE);
    place.store.asked();
    (place, browser)
}

#[tokio::test]
async fn an_elevation_ends_the_old_secret_at_once_and_a_rotation_holds_it() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        for (path, still) in [("/rotate", "anna"), ("/elevate", "nobody")] {
            let (id, old) = (id_of(&browser), browser.token().unwrap());
            assert!(browser.visit(path).await.set_cookie().is_some());
            assert_eq!(id_of(&browser), id);
            assert_eq!(ask_with(&browser, &old, "/whoami").await.body, still, "after {path}");
            assert_eq!(browser.visit("/whoami").await.body, "anna");
        }
    })
    .await;
}

#[tokio::test]
async fn a_rotation_and_an_elevation_count_as_activity() {
    for (verb, config) in [
        ("/rotate", Config::builder()),
        ("/elevate", Config::builder()),
        ("/sign_in/anna", Config::builder()),
        ("/whoami", every_minute()),
    ] {
        let place = Place::memory();
        let browser = signed_in(Browser::new(app(&place.sessions_with(config))), "anna").await;
        place.clock.advance(2 * MINUTE); // before a touch is due
        browser.visit(verb).await;
        place.clock.advance(29 * MINUTE);
        assert_eq!(browser.visit("/whoami").await.body, "anna", "{verb}");
    }
}

#[tokio::test]
async fn a_held_secret_reads_changes_signs_in_and_revokes_but_does_not_rotate_or_elevate() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
        let other = signed_in(browser.stranger(), "anna").await;
        let held = browser.token().unwrap();
        browser.visit("/rotate").await;

        for path in ["/rotate", "/elevate"] {
            let answer = ask_with(&browser, &held, path).await;
            assert_eq!(answer.status, 409, "{path}");
            assert!(answer.error.as_ref().unwrap().is_conflict());
            assert_eq!(answer.set_cookie(), None);
        }
        assert_eq!(ask_with(&browser, &held, "/whoami").await.body, "anna");
        assert_eq!(ask_with(&browser, &held, "/write/cart/full").await.status, 200);
        assert_eq!(ask_with(&browser, &held, "/count").await.body, "1");
        assert_eq!(browser.visit("/read/cart").await.body, "full");
        assert_eq!(ask_with(&browser, &held, "/sign_out_others").await.body, "1");
        assert_eq!(other.visit("/whoami").await.body, "nobody");
        let anew = ask_with(&browser, &held, "/sign_in/anna").await;
        assert_eq!((anew.status.as_u16(), anew.body.as_str()), (200, "anna"), "its browser may have lost an answer");
        assert_eq!(browser.visit("/whoami").await.body, "nobody", "a sign-in leaves no other secret");
        let token = anew.token().unwrap();
        ask_with(&browser, &token, "/rotate").await;
        assert!(ask_with(&browser, &token, "/sign_out").await.set_cookie().is_some());
        assert_eq!(ask_with(&browser, &token, "/whoami").await.body, "nobody");
    })
    .await;
}

#[tokio::test]
async fn the_grace_begins_when_the_new_secret_is_first_presented() {
    let place = Place::memory();
    let browser = signed_in(Browser::new(app(&place.sessions())), "anna").await;
    let held = browser.token().unwrap();
    browser.visit("/rotate").await;
    // the response never arrived: the browser goes on with what it has
    for _ in 0..3 {
        place.clock.advance(10 * MINUTE);
        assert_eq!(ask_with(&browser, &held, "/whoami").await.body, "anna");
    }
    // another tab has got it
    browser.visit("/whoami").await;
    place.clock.advance(Duration::from_secs(9));
    assert_eq!(ask_with(&browser, &held, "/whoami").await.body, "anna");
    place.clock.advance(Duration::from_secs(2));
    assert_eq!(ask_with(&browser, &held, "/whoami").await.body, "nobody");
    assert_eq!(browser.visit("/whoami").await.body, "anna");
}

#[tokio::test]
async fn the_grace_ends_in_redis_as_well() {
    let place = Place::redis().await;
    let config = Config::builder().rotation_grace(Duration::from_secs(1));
    let browser = signed_in(Browser::new(app(&place.sessions_with(config))), "anna").await;
    let held = browser.token().unwrap();
    browser.visit("/rotate").await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(ask_with(&browser, &held, "/whoami").await.body, "anna", "the new one was not presented yet");
    browser.visit("/whoami").await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(ask_with(&browser, &held, "/whoami").await.body, "nobody");
    assert_eq!(browser.visit("/whoami").await.body, "anna");
}

#[tokio::test]
async fn a_session_in_use_gets_a_new_secret_by_itself_as_often_as_configured() {
    let (place, browser) = when_due(every_minute()).await;
    let (id, mut token) = (id_of(&browser), browser.token());
    for _ in 0..3 {
        let answer = browser.visit("/read/cart").await;
        assert!(answer.set_cookie().is_some() && answer.body == "full");
        assert_eq!(id_of(&browser), id);
        assert_ne!(browser.token(), token);
        token = browser.token();
        for _ in 0..3 {
            assert_eq!(browser.visit("/read/cart").await.set_cookie(), None, "not more often");
        }
        place.clock.advance(MINUTE);
    }
}

#[tokio::test]
async fn a_sign_in_and_the_changes_of_its_request_are_one_step_in_redis_as_well() {
    let place = Place::redis().await;
    let browser = Browser::new(app(&place.sessions_with(Config::builder().rotate_every(Duration::from_secs(1)))));
    signed_in(browser.clone(), "anna").await;
    let old = browser.token();
    tokio::time::sleep(Duration::from_millis(2000)).await;
    place.store.asked();
    assert!(browser.visit("/write/cart/full").await.set_cookie().is_some());
    assert_eq!(place.store.asked(), ["load", "apply"]);
    assert_ne!(browser.token(), old);
    assert_eq!(ask_with(&browser, &old.unwrap(), "/whoami").await.body, "anna", "held");
    assert_eq!(browser.visit("/read/cart").await.body, "full");
}

#[tokio::test]
async fn parallel_requests_of_a_page_go_on_while_one_of_them_rotates() {
    let (_, browser) = when_due(every_minute()).await;
    let old = browser.token().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (browser, old) = (browser.clone(), old.clone());
        tasks.spawn(async move { ask_with(&browser, &old, "/count").await });
    }
    let mut cookies = Vec::new();
    for answer in tasks.join_all().await {
        assert_eq!(answer.status, 200);
        cookies.extend(answer.set_cookie());
    }
    assert_eq!(cookies.len(), 1, "one new secret, handed out once");
    let new = cookies[0].split(['=', ';']).nth(1).unwrap();
    assert_eq!(ask_with(&browser, new, "/count").await.body, "9");
}

#[tokio::test]
async fn of_two_requests_that_both_find_it_due_one_rotates_and_both_changes_are_kept() {
    let place = Place::memory();
    let sessions = place.sessions_with(every_minute());
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let meet = async move |session: Session, path: Path<String>| {
        barrier.wait().await;
        session.set(field(path.0), "set")
    };
    let browser = Browser::new(app(&sessions).route("/meet/{name}", get(meet)).layer(sessions.layer()));
    signed_in(browser.clone(), "anna").await;
    place.clock.advance(MINUTE);
    let (one, two) = tokio::join!(browser.visit("/meet/one"), browser.visit("/meet/two"));
    assert_eq!(one.set_cookies().len() + two.set_cookies().len(), 1);
    assert_eq!(browser.visit("/read/one").await.body + &browser.visit("/read/two").await.body, "setset");
}

#[tokio::test]
async fn a_lost_response_does_not_lose_the_session_and_causes_no_second_rotation() {
    let (place, browser) = when_due(every_minute()).await;
    let old = browser.token().unwrap();
    assert!(ask_with(&browser, &old, "/whoami").await.set_cookie().is_some(), "lost on the way");
    for _ in 0..3 {
        place.clock.advance(MINUTE);
        let answer = ask_with(&browser, &old, "/read/cart").await;
        assert_eq!(answer.body, "full");
        assert_eq!(answer.set_cookie(), None, "a held secret does not rotate");
    }
}

#[tokio::test]
async fn a_long_upload_that_began_before_the_rotation_is_saved_after_the_grace() {
    for verb in ["set", "update", "take"] {
        let place = Place::memory();
        let told = Told::default();
        let config = told.listen(every_minute().on_replay(OnReplay::Revoke));
        let sessions = place.sessions_with(config);
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (begun.clone(), go_on.clone());
        let upload = async move |session: Session| {
            tell.notify_one();
            wait.notified().await;
            let note = || cloakroom::Field::<String>::new("note");
            match verb {
                "set" => session.set(field("note"), "saved")?,
                // the others have changed the field meanwhile: it is read again, long after the grace
                "update" => session.update(note(), |note| *note = "saved".to_owned()).await?,
                _ => assert_eq!(session.take(note()).await?.as_deref(), Some("later")),
            }
            Ok::<_, Error>(())
        };
        let app = app(&sessions).route("/upload", get(upload)).layer(sessions.layer());
        let browser = signed_in(Browser::new(app), "anna").await;
        browser.visit("/write/note/first").await;
        let uploading = tokio::spawn({
            let browser = browser.clone();
            async move { browser.get("/upload").await }
        });
        begun.notified().await;
        place.clock.advance(MINUTE);
        browser.visit("/write/note/later").await;
        browser.visit("/whoami").await; // the browser has the new secret: the grace runs
        place.clock.advance(Duration::from_secs(30));
        go_on.notify_one();
        assert_eq!(uploading.await.unwrap().status, 200, "{verb}");
        let note = if verb == "take" { "" } else { "saved" };
        assert_eq!(browser.visit("/read/note").await.body, note, "{verb}");
        assert!(!told.names().contains(&"Replayed"), "{verb}: nobody has stolen anything");
    }
}

#[tokio::test]
async fn a_failed_response_rotates_on_demand_but_not_by_itself() {
    let place = Place::memory();
    let sessions = place.sessions_with(every_minute());
    let fails = async |_: Session| axum::http::StatusCode::INTERNAL_SERVER_ERROR;
    let rotates_and_fails = async |session: Session| {
        session.rotate().await?;
        Ok::<_, Error>(axum::http::StatusCode::INTERNAL_SERVER_ERROR)
    };
    let app = app(&sessions).route("/fails", get(fails)).route("/rotates_and_fails", get(rotates_and_fails));
    let browser = signed_in(Browser::new(app.layer(sessions.layer())), "anna").await;
    assert!(browser.get("/rotates_and_fails").await.set_cookie().is_some());
    place.clock.advance(MINUTE);
    assert_eq!(browser.get("/fails").await.set_cookie(), None);
    assert!(browser.get("/whoami").await.set_cookie().is_some());
}

#[tokio::test]
async fn a_due_rotation_that_fails_costs_a_reader_nothing() {
    for fault in [Fault::Away, Fault::AnswerLost] {
        let (place, browser) = when_due(every_minute()).await;
        place.store.fault("apply", fault);
        for _ in 0..2 {
            let answer = browser.visit("/read/cart").await;
            assert_eq!((answer.body.as_str(), answer.set_cookie()), ("full", None), "{fault:?}");
        }
        place.store.asked();
        assert_eq!(browser.get("/write/cart/empty").await.status, 503, "a change that fails is an error");
        assert_eq!(
            place.store.asked(),
            ["load", "apply"],
            "{fault:?}: it is not asked a second time without the rotation"
        );
        place.store.heal();
        assert_eq!(browser.visit("/read/cart").await.body, if fault == Fault::Away { "full" } else { "empty" });
    }
}

#[tokio::test]
async fn a_due_rotation_is_left_out_where_the_request_only_peeks_or_has_rotated_already() {
    let place = Place::memory();
    let sessions = place.sessions_with(every_minute());
    let peek = async |session: Session| {
        session.peek();
        whoami(&session)
    };
    let twice = async |session: Session| {
        session.rotate().await?;
        session.set(field("cart"), "full")?;
        session.commit().await
    };
    let app = app(&sessions).route("/peek", get(peek)).route("/twice", get(twice)).layer(sessions.layer());
    let browser = signed_in(Browser::new(app), "anna").await;
    place.clock.advance(MINUTE);
    place.store.asked();
    assert_eq!(browser.visit("/peek").await.set_cookie(), None);
    assert_eq!(place.store.asked(), ["load"]);
    assert!(browser.visit("/twice").await.set_cookie().is_some());
    assert_eq!(place.store.asked(), ["load", "apply", "apply"]);
    assert_eq!(browser.visit("/read/cart").await.body, "full");
}

#[tokio::test]
async fn a_visitor_without_a_session_has_nothing_to_rotate_and_a_stale_token_is_told() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        for path in ["/rotate", "/elevate"] {
            assert!(browser.visit(path).await.set_cookie().is_none());
        }
        browser.visit("/write/cart/full").await;
        let stale = browser.token().unwrap();
        browser.visit("/sign_out").await;
        for path in ["/rotate", "/elevate"] {
            let answer = ask_with(&browser, &stale, path).await;
            assert_eq!((answer.status.as_u16(), answer.set_cookie()), (401, None));
        }
    })
    .await;
}

/// A session whose previous secret shows up after its grace.
async fn replayed(place: &Place, config: ConfigBuilder) -> (Sessions, Browser, String) {
    let sessions = place.sessions_with(config.rotation_grace(Duration::from_secs(1)));
    let browser = signed_in(Browser::new(app(&sessions)), "anna").await;
    let old = browser.token().unwrap();
    browser.visit("/rotate").await;
    browser.visit("/whoami").await;
    super::app::pass(place, Duration::from_millis(2100)).await;
    (sessions, browser, old)
}

#[tokio::test]
async fn an_old_secret_after_its_grace_is_reported_and_opens_nothing() {
    on_each_store(async |place| {
        let told = Told::default();
        let (_, browser, old) = replayed(&place, told.listen(Config::builder())).await;
        told.forget(3);
        let answer = ask_with(&browser, &old, "/whoami").await;
        assert_eq!((answer.body.as_str(), answer.set_cookie()), ("nobody", None));
        let session = cloakroom::SessionId::parse(&id_of(&browser)).unwrap();
        let user = Some("anna".try_into().unwrap());
        assert_eq!(told.after(1), [Event::Replayed { session, user }]);
        assert_eq!(browser.visit("/whoami").await.body, "anna", "the owner goes on");
        for path in ["/rotate", "/sign_out"] {
            assert_eq!(ask_with(&browser, &old, path).await.status, 401);
        }
        assert_eq!(browser.visit("/whoami").await.body, "anna");
    })
    .await;
}

#[tokio::test]
async fn by_policy_an_old_secret_after_its_grace_ends_the_session() {
    on_each_store(async |place| {
        let told = Told::default();
        let config = told.listen(Config::builder().on_replay(OnReplay::Revoke));
        let (_, browser, old) = replayed(&place, config).await;
        place.store.fault("revoke", Fault::Away);
        assert_eq!(ask_with(&browser, &old, "/whoami").await.status, 503, "not done is not said to be done");
        place.store.heal();
        told.forget(4);
        let answer = ask_with(&browser, &old, "/whoami").await;
        assert_eq!((answer.body.as_str(), answer.set_cookie()), ("nobody", None));
        assert_eq!(browser.visit("/whoami").await.body, "nobody", "the owner has to sign in again");
        assert_eq!(told.names_after(2), ["Replayed", "Revoked"]);
    })
    .await;
}

#[tokio::test]
async fn where_an_old_secret_ends_the_session_a_sign_out_that_brings_one_is_a_success() {
    on_each_store(async |place| {
        let told = Told::default();
        let (_, browser, old) = replayed(&place, told.listen(Config::builder().on_replay(OnReplay::Revoke))).await;
        let answer = ask_with(&browser, &old, "/sign_out").await;
        assert_eq!(answer.status, 200, "the session has ended, which is what was asked for");
        assert!(answer.set_cookie().is_some_and(|cookie| cookie.contains("Max-Age=0")), "{:?}", answer.set_cookie());
        assert_eq!(browser.visit("/whoami").await.body, "nobody");
    })
    .await;
}
