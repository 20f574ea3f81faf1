//! A sign-in whose answer was lost is asked for again, and answered as the first time.

use std::time::{Duration, SystemTime};

use cloakroom::{Config, Device, Error, Event, OnLimit, Page, Session, SessionId, Sessions};

use super::app::{app, ask_with, id_of, pass, signed_in};
use super::framework::{Path, Router, get};
use super::told::Told;
use crate::support::{Answer, Browser, Fault, Place, on_each_store};

const SECRET: [u8; 32] = [7; 32];

fn repeating(sessions: &Sessions) -> Router {
    let sign_in = async |session: Session, Path((user, key)): Path<(String, String)>| {
        session.sign_in(user.as_str()).device(format!("by {key}")).repeatable(SECRET, &key).await?;
        Ok::<_, Error>(super::app::whoami(&session))
    };
    let relabelled = async |session: Session, Path(key): Path<String>| {
        session.sign_in("anna").device("another").discard_fields().repeatable(SECRET, &key).await
    };
    app(sessions)
        .route("/repeatable/{user}/{key}", get(sign_in))
        .route("/relabelled/{key}", get(relabelled))
        .layer(sessions.layer())
}

/// The sign-in of a visitor without a session belongs to a minute. Waits where the minute is nearly over.
async fn within_a_minute() {
    let into = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() % 60_000;
    if into > 57_000 {
        tokio::time::sleep(Duration::from_millis(60_100 - into as u64)).await;
    }
}

async fn devices(sessions: &Sessions, user: &str) -> Vec<Device> {
    sessions.devices(user, Page::default()).await.unwrap()
}

/// A visitor with this cookie, or without a session.
async fn visitor(app: &Router, had_session: bool) -> Browser {
    let browser = Browser::new(app.clone());
    if had_session {
        browser.visit("/write/cart/full").await;
    }
    browser
}

/// What the browser would send if none of the answers had reached it.
async fn ask(browser: &Browser, path: &str) -> Answer {
    browser.send(path, browser.cookie_header().as_deref()).await
}

/// The token of a sign-in that was answered.
async fn token(browser: &Browser, path: &str) -> String {
    let answer = ask(browser, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.token().expect("a sign-in hands out a token")
}

#[tokio::test]
async fn a_repeat_gets_the_token_of_the_first_and_changes_nothing() {
    on_each_store(async |place| {
        for had_session in [true, false] {
            let told = Told::default();
            let sessions = place.sessions_with(told.listen(Config::builder()));
            let app = repeating(&sessions);
            let browser = visitor(&app, had_session).await;
            let key = format!("/repeatable/anna/{had_session}");
            let first = token(&browser, &key).await;
            let before = devices(&sessions, "anna").await;
            for _ in 0..3 {
                assert_eq!(token(&browser, &key).await, first);
            }
            let relabelled = format!("/relabelled/{had_session}");
            assert_eq!(token(&browser, &relabelled).await, first, "whatever else the repeat asks for");
            assert_eq!(devices(&sessions, "anna").await, before);
            let cart = ask_with(&browser, &first, "/read/cart").await.body;
            assert_eq!(cart, if had_session { "full" } else { "" });
            // the events until now, and one more
            ask_with(&browser, &first, "/rotate").await;
            assert_eq!(told.names_after(3), ["Created", "SignedIn", "Rotated"]);
            sessions.revoke_user("anna").await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn another_key_another_user_and_another_visitor_are_another_sign_in() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browser = Browser::new(repeating(&sessions));
        let first = token(&browser, "/repeatable/anna/1").await;
        let others = [
            token(&browser, "/repeatable/anna/2").await,
            token(&browser, "/repeatable/bert/1").await,
            token(&visitor(&repeating(&sessions), true).await, "/repeatable/anna/1").await,
        ];
        let ids: std::collections::HashSet<_> = others.iter().chain([&first]).map(|token| &token[..22]).collect();
        assert_eq!(ids.len(), 4, "each has a session of its own");
        assert_eq!((devices(&sessions, "anna").await.len(), devices(&sessions, "bert").await.len()), (3, 1));
    })
    .await;
}

#[tokio::test]
async fn a_user_who_was_switched_is_found_again() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let browser = signed_in(Browser::new(repeating(&sessions)), "anna").await;
        let first = token(&browser, "/repeatable/bert/1").await;
        assert_eq!(
            token(&browser, "/repeatable/bert/1").await,
            first,
            "anna's session has ended, and her cookie is sent"
        );
        assert_eq!((devices(&sessions, "anna").await.len(), devices(&sessions, "bert").await.len()), (0, 1));
        // and back, with the same key
        let back = token(&browser, "/repeatable/anna/1").await;
        assert_eq!(ask_with(&browser, &back, "/whoami").await.body, "anna");
        assert_eq!(ask_with(&browser, &first, "/whoami").await.body, "bert", "nobody has shown this one");
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_failed_half_way_is_completed_by_its_repeat_and_there_is_one_session() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let app = repeating(&sessions);
        let impatient = repeating(&place.impatient_sessions());
        for had_session in [true, false] {
            for verb in ["load", "create", "apply"] {
                for fault in [Fault::Away, Fault::AnswerLost, Fault::Hangs, Fault::DoneButHangs, Fault::NotDurable] {
                    within_a_minute().await;
                    let browser = visitor(&app, had_session).await;
                    let path = format!("/repeatable/anna/{had_session}{verb}{fault:?}");
                    place.store.fault(verb, fault);
                    ask(&browser.at(impatient.clone()), &path).await;
                    place.store.heal();
                    let repeated = token(&browser, &path).await;
                    assert_eq!(token(&browser, &path).await, repeated, "{path}");
                    assert_eq!(devices(&sessions, "anna").await.len(), 1, "{path}");
                    assert_eq!(ask_with(&browser, &repeated, "/whoami").await.body, "anna", "{path}");
                    sessions.revoke_user("anna").await.unwrap();
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_repeat_is_not_refused_by_the_limit_that_the_first_has_reached_and_evicts_nobody() {
    on_each_store(async |place| {
        for on_limit in [OnLimit::RefuseNew, OnLimit::EvictOldest] {
            let sessions = place.sessions_with(Config::builder().max_sessions_per_user(2).on_limit(on_limit));
            for had_session in [true, false] {
                let other = signed_in(Browser::new(repeating(&sessions)), "anna").await;
                let browser = visitor(&repeating(&sessions), had_session).await;
                let path = format!("/repeatable/anna/{on_limit:?}{had_session}");
                let first = token(&browser, &path).await;
                assert_eq!(token(&browser, &path).await, first);
                assert_eq!(other.visit("/whoami").await.body, "anna", "{path}");
                assert_eq!(devices(&sessions, "anna").await.len(), 2, "{path}");
                sessions.revoke_user("anna").await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_all_get_one_token_and_there_is_one_session() {
    on_each_store(async |place| {
        for on_limit in [OnLimit::RefuseNew, OnLimit::EvictOldest] {
            let sessions = place.sessions_with(Config::builder().max_sessions_per_user(1).on_limit(on_limit));
            let app = repeating(&sessions);
            for had_session in [true, false] {
                for round in 0..10 {
                    within_a_minute().await;
                    let browser = visitor(&app, had_session).await;
                    let path = format!("/repeatable/anna/{on_limit:?}{had_session}{round}");
                    let (a, b, c, d) =
                        tokio::join!(token(&browser, &path), token(&browser, &path), token(&browser, &path), async {
                            tokio::task::yield_now().await;
                            token(&browser, &path).await
                        });
                    assert!(a == b && b == c && c == d, "{path}");
                    assert_eq!(ask_with(&browser, &a, "/whoami").await.body, "anna", "{path}");
                    assert_eq!(devices(&sessions, "anna").await.len(), 1, "{path}");
                    sessions.revoke_user("anna").await.unwrap();
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_has_the_token_already_gets_it_again_within_the_grace() {
    let place = Place::memory();
    let told = Told::default();
    let sessions = place.sessions_with(told.listen(Config::builder()));
    for had_session in [true, false] {
        let browser = visitor(&repeating(&sessions), had_session).await;
        let path = format!("/repeatable/anna/{had_session}");
        browser.visit(&path).await;
        let (first, id) = (browser.token().unwrap(), id_of(&browser));
        place.clock.advance(Duration::from_secs(9));
        assert_eq!(token(&browser, &path).await, first);
        place.clock.advance(Duration::from_secs(60));
        browser.visit("/count").await;
        // nobody knows any more that it is a repeat: a new sign-in in the session
        browser.visit(&path).await;
        assert_eq!(id_of(&browser), id);
        assert_ne!(browser.token().unwrap(), first);
        assert_eq!(ask_with(&browser, &first, "/whoami").await.body, "nobody");
    }
    let signed_in = told.after(6).iter().filter(|event| matches!(event, Event::SignedIn { .. })).count();
    assert_eq!(signed_in, 4, "two for each browser");
}

#[tokio::test]
async fn a_secret_that_was_replaced_since_does_not_come_back() {
    on_each_store(async |place| {
        for after in ["/rotate", "/elevate", "/repeatable/anna/another", "/sign_in/anna"] {
            for had_session in [true, false] {
                let sessions = place.sessions();
                let before = visitor(&repeating(&sessions), had_session).await;
                let path = format!("/repeatable/anna/1{had_session}");
                // the answer has come, and the browser goes on with its token
                let first = token(&before, &path).await;
                let browser = before.stranger();
                browser.carry("__Host-sid", &first);
                browser.visit(after).await;
                let latest = browser.token().unwrap();
                assert_ne!(latest, first);
                // somebody repeats with the cookie from before, and with the one of now
                for repeat in [before, browser] {
                    let again = token(&repeat, &path).await;
                    assert_ne!(again, first, "{after} {had_session}");
                    assert_eq!(ask_with(&repeat, &again, "/whoami").await.body, "anna", "{after} {had_session}");
                }
                sessions.revoke_user("anna").await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_whose_secret_was_replaced_on_its_way_is_refused_once_where_the_limit_is_reached() {
    on_each_store(async |place| {
        let told = Told::default();
        let config = Config::builder().max_sessions_per_user(1).on_limit(OnLimit::RefuseNew);
        let sessions = place.sessions_with(told.listen(config));
        let store = place.store.clone();
        let browser = visitor(&repeating(&sessions), true).await;
        let elsewhere = browser.clone();
        let late = async move |session: Session| {
            assert!(session.exists());
            elsewhere.visit("/elevate").await;
            store.asked();
            let refused = session.sign_in("anna").repeatable(SECRET, "late").await.unwrap_err();
            assert!(refused.is_limit(), "{refused}");
            assert_eq!(store.asked(), ["apply", "load", "create", "apply"]);
        };
        signed_in(browser.stranger(), "anna").await;
        told.forget(3);
        browser.at(Router::new().route("/late", get(late)).layer(sessions.layer())).visit("/late").await;
        assert_eq!(told.names_after(3), ["Rotated", "Created", "SignInRefused"]);
    })
    .await;
}

#[tokio::test]
async fn a_repeat_after_the_session_has_ended_is_a_new_sign_in() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().max_sessions_per_user(1));
        for had_session in [true, false] {
            for ending in ["/sign_out", "/sign_out_everywhere", "revoked", "evicted"] {
                let browser = visitor(&repeating(&sessions), had_session).await;
                let path = format!("/repeatable/anna/{had_session}{}", ending.trim_start_matches('/'));
                let first = token(&browser, &path).await;
                match ending {
                    "evicted" => drop(signed_in(browser.stranger(), "anna").await),
                    "revoked" => drop(sessions.revoke(&SessionId::parse(&first[..22]).unwrap()).await.unwrap()),
                    _ => drop(ask_with(&browser, &first, ending).await),
                }
                assert_eq!(ask_with(&browser, &first, "/whoami").await.body, "nobody", "{path}");
                let again = token(&browser, &path).await;
                assert_eq!(ask_with(&browser, &again, "/whoami").await.body, "anna", "{path}");
                assert_eq!(devices(&sessions, "anna").await.len(), 1, "{path}");
                // the id of a visitor's session that was evicted is never given out again, so that sign-in had a random one
                let is_random = !had_session && ending == "evicted";
                assert_eq!(token(&browser, &path).await == again, !is_random, "{path}");
                sessions.revoke_user("anna").await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_visitor_with_a_session_may_repeat_as_long_as_it_lives() {
    let place = Place::memory();
    let browser = visitor(&repeating(&place.sessions()), true).await;
    let first = token(&browser, "/repeatable/anna/1").await;
    pass(&place, Duration::from_secs(20 * 60)).await;
    assert_eq!(token(&browser, "/repeatable/anna/1").await, first, "with the token that opens nothing since");
}

#[tokio::test]
async fn a_repeatable_sign_in_costs_one_look_more_for_a_visitor_without_a_session() {
    on_each_store(async |place| {
        let app = repeating(&place.sessions());
        place.store.asked();
        token(&visitor(&app, false).await, "/repeatable/anna/1").await;
        assert_eq!(place.store.asked(), ["load", "create", "apply"]);
        let browser = visitor(&app, true).await;
        place.store.asked();
        token(&browser, "/repeatable/anna/2").await;
        assert_eq!(place.store.asked(), ["load", "apply"], "with a session, nothing");
        token(&browser, "/repeatable/anna/2").await;
        assert_eq!(place.store.asked(), ["load", "load"], "the repeat");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_keeps_its_token_itself_gets_it_again_as_well() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().bearer_tokens());
        let sign_in = async |session: Session| {
            session.sign_in("anna").repeatable(SECRET, "key").await?;
            session.take_token().map(|token| token.expose().to_owned())
        };
        let app = Router::new().route("/", get(sign_in)).layer(sessions.layer());
        let [first, second] = [Browser::new(app.clone()), Browser::new(app)];
        assert_eq!(first.visit("/").await.body, second.visit("/").await.body);
        assert_eq!(first.token(), None);
    })
    .await;
}

#[tokio::test]
async fn a_secret_or_a_key_that_is_not_allowed_signs_nobody_in() {
    let place = Place::memory();
    let sessions = place.sessions();
    let short = async |session: Session| session.sign_in("anna").repeatable([0; 31], "key").await;
    let app = repeating(&sessions).route("/short", get(short)).layer(sessions.layer());
    let browser = Browser::new(app);
    let error = browser.get("/short").await.error.unwrap();
    assert!(error.is_config() && error.to_string().contains("32 bytes"), "{error}");
    let answer = browser.get(&format!("/repeatable/anna/{}", "k".repeat(256))).await;
    assert_eq!(answer.status, 400);
    assert!(place.store.asked().is_empty());
}
