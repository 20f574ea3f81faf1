//! A sign-in that is dropped half-way, or whose store fails at one of its steps.

use std::time::Duration;

use cloakroom::store::Redis;
use cloakroom::{Config, Error, Session, Sessions};

use super::app::{app, ask_with, count, id_of, signed_in, whoami};
use super::framework::{Router, get};
use crate::support::{Browser, Cut, Fault, Gate, Place, Watched, on_each_store};

/// Gives up on a sign-in that hangs; then the store works again.
async fn give_up(session: &Session, store: &Watched, verb: &'static str, fault: Fault) {
    store.fault(verb, fault);
    store.asked();
    let patience = async {
        store.until_asked(verb).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    tokio::select! {
        _ = session.sign_in("anna").into_future() => panic!("it hangs"),
        () = patience => store.heal(),
    }
}

fn giving_up(place: &Place, sessions: &Sessions, verb: &'static str, fault: Fault) -> Router {
    let stores = [(); 3].map(|()| place.store.clone());
    let [by_commit, by_next_verb, by_sign_in] = stores;
    let commit = async move |session: Session| {
        give_up(&session, &by_commit, verb, fault).await;
    };
    let next_verb = async move |session: Session| {
        give_up(&session, &by_next_verb, verb, fault).await;
        count(&session).await?;
        Ok::<_, Error>(whoami(&session))
    };
    let again = async move |session: Session| {
        give_up(&session, &by_sign_in, verb, fault).await;
        session.sign_in("anna").await?;
        Ok::<_, Error>(whoami(&session))
    };
    app(sessions)
        .route("/commit", get(commit))
        .route("/next_verb", get(next_verb))
        .route("/again", get(again))
        .layer(sessions.layer())
}

#[tokio::test]
async fn a_sign_in_that_the_handler_gave_up_on_is_settled_by_the_commit_or_the_next_verb() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        for fault in [Fault::Hangs, Fault::DoneButHangs] {
            let app = giving_up(&place, &sessions, "apply", fault);
            for path in ["/commit", "/next_verb", "/again"] {
                for had_session in [true, false] {
                    let browser = Browser::new(app.clone());
                    if had_session {
                        browser.visit("/write/cart/full").await;
                    }
                    let before = browser.token();
                    let answer = browser.visit(path).await;
                    assert!(answer.set_cookie().is_some(), "{path} {fault:?}");
                    assert_eq!(browser.visit("/whoami").await.body, "anna", "{path} {fault:?}");
                    assert_eq!(browser.visit("/read/cart").await.body, if had_session { "full" } else { "" });
                    if let Some(before) = before {
                        assert_eq!(ask_with(&browser, &before, "/whoami").await.body, "nobody");
                    }
                    assert_eq!(browser.visit("/sign_out_everywhere").await.body, "1", "and nothing is left over");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_given_up_before_its_session_was_made_leaves_an_empty_one_at_most() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        for fault in [Fault::Hangs, Fault::DoneButHangs] {
            let app = giving_up(&place, &sessions, "create", fault);
            let browser = Browser::new(app);
            browser.visit("/commit").await;
            assert_eq!(browser.visit("/whoami").await.body, "nobody");
            assert_eq!(browser.visit("/devices_of/anna").await.body, "");
            assert_eq!(browser.stranger().visit("/again").await.body, "anna");
            sessions.revoke_user("anna").await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_whose_store_fails_is_a_503_and_can_be_tried_again() {
    on_each_store(async |place| {
        let browser = Browser::new(app(&place.sessions()));
        for (verb, fault) in [
            ("create", Fault::Away),
            ("create", Fault::AnswerLost),
            ("apply", Fault::Away),
            ("apply", Fault::AnswerLost),
            ("load", Fault::Away),
        ] {
            for had_session in [false, true] {
                let browser = browser.stranger();
                if had_session {
                    browser.visit("/write/cart/full").await;
                }
                if had_session == (verb == "create") || (!had_session && verb == "load") {
                    continue; // it is not asked
                }
                place.store.fault(verb, fault);
                let answer = browser.get("/sign_in/anna").await;
                assert_eq!(answer.status, 503, "{verb} {fault:?}");
                assert_eq!(answer.all(axum::http::header::RETRY_AFTER), ["1"]);
                let error = answer.error.as_ref().unwrap();
                assert!(error.is_store() && error.is_unknown() == (fault == Fault::AnswerLost), "{error}");
                place.store.heal();
                // half a sign-in is none, as far as this browser goes
                assert_eq!(browser.visit("/whoami").await.body, "nobody", "{verb} {fault:?}");
                signed_in(browser.clone(), "anna").await;
                let here = format!("[{}]", id_of(&browser));
                assert!(browser.visit("/devices").await.body.starts_with(&here));
                browser.visit("/sign_out_everywhere").await;
                assert_eq!(browser.visit("/devices_of/anna").await.body, "", "{verb} {fault:?} left something");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_was_done_but_looked_failed_hands_out_its_token_when_the_store_is_back() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let store = place.store.clone();
        let lost = async move |session: Session| {
            store.fault("apply", Fault::AnswerLost);
            let error = session.sign_in("anna").await.unwrap_err();
            store.heal();
            Err::<(), _>(error)
        };
        let browser = Browser::new(app(&sessions).route("/lost", get(lost)).layer(sessions.layer()));
        browser.visit("/write/cart/full").await;
        let answer = browser.get("/lost").await;
        assert_eq!(answer.status, 503);
        assert!(answer.set_cookie().is_some(), "otherwise the session would be lost to the browser");
        assert_eq!(browser.visit("/whoami").await.body, "anna");
        assert_eq!(browser.visit("/read/cart").await.body, "full");
    })
    .await;
}

#[tokio::test]
async fn a_second_click_whose_answer_was_lost_makes_no_second_device() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let store = place.store.clone();
        let lost = async move |session: Session| {
            store.asked();
            store.fault("apply", Fault::AnswerLost);
            let error = session.sign_in("anna").await.unwrap_err();
            store.heal();
            assert!(error.is_unknown() && store.asked() == ["apply"], "{error}");
        };
        let browser = Browser::new(app(&sessions).route("/lost", get(lost)).layer(sessions.layer()));
        browser.visit("/write/cart/full").await;
        let before = browser.token().unwrap();
        signed_in(browser.clone(), "anna").await;
        let second = ask_with(&browser, &before, "/lost").await.token().expect("the commit settles it");
        assert_eq!(ask_with(&browser, &second, "/read/cart").await.body, "full");
        assert_eq!(browser.visit("/devices").await.body, format!("[{}]", id_of(&browser)));
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_goes_away_during_a_sign_in_leaves_no_session_that_the_index_misses() {
    let place = Place::redis().await;
    let browser = Browser::new(app(&place.sessions()));
    browser.visit("/write/cart/full").await;
    signed_in(browser.stranger(), "anna").await;
    // an index that cannot be written: the second step is never reached
    let mut cli = place.server().client();
    redis::cmd("DEL").arg("session:user:anna").exec(&mut cli).unwrap();
    redis::cmd("SET").arg("session:user:anna").arg("not an index").exec(&mut cli).unwrap();
    let answer = browser.get("/sign_in/anna").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.set_cookie(), None);
    assert_eq!(browser.visit("/whoami").await.body, "nobody", "not bound, because it would not be listed");
    assert_eq!(browser.visit("/read/cart").await.body, "full");
    redis::cmd("DEL").arg("session:user:anna").exec(&mut cli).unwrap();
    signed_in(browser.clone(), "anna").await;
    assert_eq!(browser.visit("/devices").await.body, format!("[{}]", id_of(&browser)));
}

/// The sign-in has told the user's index of its session, and is about to bind it.
#[tokio::test]
async fn a_sign_in_that_a_sign_out_everywhere_has_ended_on_its_way_stays_ended() {
    let place = Place::redis().await;
    let gate = Gate::before(place.server().port()).await;
    let store = Redis::builder(gate.url()).connect().await.unwrap();
    let behind_gate = Browser::new(app(&Sessions::new(store, Config::default())));
    let elsewhere = Browser::new(app(&place.sessions()));
    // the server learns the scripts
    signed_in(elsewhere.clone(), "anna").await.visit("/sign_out_everywhere").await;
    // a session is made, or looked at; then comes the index; then the user is bound
    for had_session in [false, true] {
        let browser = behind_gate.stranger();
        if had_session {
            browser.visit("/write/cart/full").await;
        }
        gate.cut_after(2, Cut::Hold);
        let ended = async {
            gate.until_cut().await;
            let ended = signed_in(elsewhere.stranger(), "anna").await.visit("/sign_out_everywhere").await;
            gate.open();
            ended.body
        };
        let (answer, ended) = tokio::join!(browser.get("/sign_in/anna"), ended);
        assert_eq!(ended, "1", "the one that was on its way is no device yet");
        assert!(answer.error.is_some_and(|error| error.is_gone()), "{had_session}");
        assert_eq!(elsewhere.visit("/devices_of/anna").await.body, "", "{had_session}");
        assert_eq!(browser.visit("/whoami").await.body, "nobody");
        // and whoever tries again is let in
        assert_eq!(signed_in(browser, "anna").await.visit("/sign_out_everywhere").await.body, "1");
    }
}
