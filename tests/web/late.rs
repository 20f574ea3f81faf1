//! Handlers that are dropped half-way, and those that write when it is too late.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use cloakroom::{Config, Error, Field, OnReplay, Session, SessionId, Sessions, SignedIn, web::Visit};
use tokio::sync::{Notify, mpsc};

use super::framework::{Kept, Path, Router, Stopped, around, get};
use crate::support::{Browser, Fault, Place, on_each_store};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

/// The routes to look with, beside those of the test.
fn app(sessions: &Sessions, routes: Router) -> Router {
    let show = async |session: Session| {
        Ok::<_, Error>(format!("{:?} {}", session.get(NAME)?.unwrap_or_default(), session.get(COUNT)?.unwrap_or(0)))
    };
    routes
        .route("/show", get(show))
        .route("/write", get(async |session: Session| session.set(NAME, "andrew")))
        .route("/increment", get(async |session: Session| session.increment(COUNT, 1).await.map(drop)))
        .layer(sessions.layer())
}

#[tokio::test]
async fn a_write_after_the_head_has_left_is_an_error() {
    on_each_store(async |place| {
        let kept: Arc<Mutex<Option<Session>>> = Arc::default();
        let keep = kept.clone();
        let leak = async move |session: Session| {
            *keep.lock().unwrap() = Some(session.clone());
            session.set(NAME, "in time")
        };
        let browser = Browser::new(app(&place.sessions(), Router::new().route("/leak", get(leak))));
        browser.visit("/leak").await;
        place.store.asked();

        let session = kept.lock().unwrap().take().unwrap();
        let errors = [
            session.set(NAME, "too late"),
            session.remove(NAME),
            session.set_idle_timeout(Duration::from_secs(60)),
            session.increment(COUNT, 1).await.map(drop),
            session.rotate().await,
            session.sign_out().await,
            session.commit().await,
        ];
        for error in errors {
            assert!(error.unwrap_err().to_string().contains("head was already sent"));
        }
        assert_eq!(session.get(NAME).unwrap().as_deref(), Some("in time"), "reading is still fine");
        assert!(place.store.asked().is_empty());
        assert_eq!(browser.visit("/show").await.body, "\"in time\" 0");
    })
    .await;
}

#[tokio::test]
async fn a_session_first_loaded_after_the_head_has_left_cannot_be_written_either() {
    on_each_store(async |place| {
        let kept: Arc<Mutex<Option<Visit>>> = Arc::default();
        let keep = kept.clone();
        let leak = async move |Kept(visit): Kept| *keep.lock().unwrap() = Some(visit);
        let browser = Browser::new(app(&place.sessions(), Router::new().route("/leak", get(leak))));
        browser.visit("/write").await;
        browser.visit("/leak").await;

        let visit = kept.lock().unwrap().take().unwrap();
        let session = visit.session().await.unwrap();
        assert_eq!(session.get(NAME).unwrap().as_deref(), Some("andrew"));
        assert!(session.set(NAME, "lost in silence").is_err());
        assert!(session.increment(COUNT, 1).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_commit_stores_now_and_the_handler_may_go_on() {
    on_each_store(async |place| {
        let store = place.store.clone();
        let twice = async move |session: Session| {
            session.set(NAME, "first")?;
            session.commit().await?;
            assert_eq!(store.asked(), ["create"]);
            assert!(session.exists());
            session.commit().await?;
            assert!(store.asked().is_empty(), "nothing is left to store");
            session.set_idle_timeout(Duration::from_secs(60))?;
            session.remove(NAME)?;
            session.commit().await?;
            assert_eq!(store.asked(), ["apply"]);
            session.commit().await?;
            assert!(store.asked().is_empty(), "nor of what was removed");
            session.set(NAME, "second")?;
            session.set(COUNT, &7)
        };
        let browser = Browser::new(app(&place.sessions(), Router::new().route("/twice", get(twice))));
        assert_eq!(browser.visit("/twice").await.set_cookies().len(), 1);
        assert_eq!(place.store.asked(), ["apply"]);
        assert_eq!(browser.visit("/show").await.body, "\"second\" 7");
    })
    .await;
}

/// A time-out inside the session layer: drops the handler when the test says so.
fn timed_out_when(told: Arc<Notify>, routes: Router) -> Router {
    around(routes, move |request| {
        let told = told.clone();
        async move {
            tokio::select! {
                biased;
                passed = request.go_on() => passed,
                () = told.notified() => Err(Stopped::Status(StatusCode::REQUEST_TIMEOUT)),
            }
        }
    })
}

#[tokio::test]
async fn a_time_out_inside_drops_what_was_deferred_and_keeps_what_was_done() {
    on_each_store(async |place| {
        let told = Arc::new(Notify::new());
        let (tell, store) = (told.clone(), place.store.clone());
        let slow = async move |session: Session| {
            session.set(NAME, "half of it")?;
            session.increment(COUNT, 1).await?;
            assert_eq!(store.asked().len(), 1);
            tell.notify_one();
            std::future::pending::<()>().await;
            Ok::<_, Error>(())
        };
        let routes = timed_out_when(told, Router::new().route("/slow", get(slow)));
        let browser = Browser::new(app(&place.sessions(), routes));
        let answer = browser.get("/slow").await;
        assert_eq!(answer.status, 408);
        assert!(answer.set_cookie().is_some(), "the increment made a session");
        assert_eq!(browser.visit("/show").await.body, "\"\" 1");
    })
    .await;
}

#[tokio::test]
async fn a_rotation_that_was_dropped_half_way_is_settled_by_the_commit() {
    for fault in [Fault::Hangs, Fault::DoneButHangs] {
        on_each_store(async |place| {
            let store = place.store.clone();
            let half = async move |session: Session| {
                store.asked();
                store.fault("apply", fault);
                tokio::select! {
                    biased;
                    result = session.rotate() => panic!("{result:?}"),
                    () = store.until_asked("apply") => store.heal(),
                }
            };
            let browser = Browser::new(app(&place.sessions(), Router::new().route("/half", get(half))));
            browser.visit("/write").await;
            let old = browser.token().unwrap();
            assert!(browser.visit("/half").await.set_cookie().is_some(), "{fault:?}");
            assert_ne!(browser.token().unwrap(), old);
            // a parallel request that left before still reads, and so does the new token
            let parallel = browser.send("/show", Some(&format!("__Host-sid={old}"))).await;
            assert_eq!((parallel.body.as_str(), parallel.set_cookie()), ("\"andrew\" 0", None));
            assert_eq!(browser.visit("/show").await.body, "\"andrew\" 0");
        })
        .await;
    }
}

#[tokio::test]
async fn a_creation_that_was_dropped_half_way_makes_one_session_and_counts_once() {
    for fault in [Fault::Hangs, Fault::DoneButHangs] {
        on_each_store(async |place| {
            let store = place.store.clone();
            let half = async move |session: Session| {
                store.fault("create", fault);
                tokio::select! {
                    biased;
                    result = session.increment(COUNT, 1) => panic!("{result:?}"),
                    () = store.until_asked("create") => store.heal(),
                }
            };
            let browser = Browser::new(app(&place.sessions(), Router::new().route("/half", get(half))));
            assert!(browser.visit("/half").await.set_cookie().is_some());
            assert_eq!(browser.visit("/show").await.body, "\"\" 1", "{fault:?}");
            if place.is_redis() {
                let keys: i64 = redis::cmd("DBSIZE").query(&mut place.server().client()).unwrap();
                assert_eq!(keys, 1);
            }
        })
        .await;
    }
}

#[tokio::test]
async fn clear_also_removes_what_was_on_its_way_when_it_was_dropped() {
    on_each_store(async |place| {
        let store = place.store.clone();
        let half = async move |session: Session| {
            session.set(NAME, "andrew")?;
            store.fault("create", Fault::Hangs);
            tokio::select! {
                biased;
                result = session.commit() => panic!("{result:?}"),
                () = store.until_asked("create") => store.heal(),
            }
            session.clear()
        };
        let browser = Browser::new(app(&place.sessions(), Router::new().route("/half", get(half))));
        browser.visit("/half").await;
        assert_eq!(browser.visit("/show").await.body, "\"\" 0");
    })
    .await;
}

#[tokio::test]
async fn the_next_verb_of_the_same_request_settles_what_was_dropped() {
    on_each_store(async |place| {
        let store = place.store.clone();
        let half = async move |session: Session| {
            store.asked();
            store.fault("apply", Fault::DoneButHangs);
            tokio::select! {
                biased;
                result = session.rotate() => panic!("{result:?}"),
                () = store.until_asked("apply") => store.heal(),
            }
            session.increment(COUNT, 1).await.map(drop)
        };
        let browser = Browser::new(app(&place.sessions(), Router::new().route("/half", get(half))));
        browser.visit("/write").await;
        assert!(browser.visit("/half").await.set_cookie().is_some());
        assert_eq!(browser.visit("/show").await.body, "\"andrew\" 1");
    })
    .await;
}

#[tokio::test]
async fn where_what_was_dropped_is_refused_the_next_verb_goes_on_and_where_the_store_is_away_it_fails() {
    on_each_store(async |place| {
        let inside: Arc<Mutex<Option<Browser>>> = Arc::default();
        let (store, other) = (place.store.clone(), inside.clone());
        let half = async move |session: Session, Path(how): Path<String>| {
            store.fault("apply", Fault::Hangs);
            tokio::select! {
                biased;
                result = session.rotate() => panic!("{result:?}"),
                () = store.until_asked("apply") => store.heal(),
            }
            if how == "away" {
                store.fault("apply", Fault::Away);
                store.asked();
                assert!(session.increment(COUNT, 1).await.unwrap_err().is_store());
                assert_eq!(store.asked(), ["apply"], "the rotation, and nothing after it");
                store.heal();
                return Ok(());
            }
            // with the secret that this request has shown, so that its own rotation comes too late
            let other = other.lock().unwrap().clone().unwrap();
            assert!(other.visit("/rotate").await.set_cookie().is_some());
            session.increment(COUNT, 1).await.map(drop)
        };
        let routes = Router::new()
            .route("/half/{how}", get(half))
            .route("/rotate", get(async |session: Session| session.rotate().await));
        let browser = Browser::new(app(&place.sessions(), routes));
        browser.visit("/write").await;
        *inside.lock().unwrap() = Some(browser.clone());
        place.store.asked();
        browser.visit("/half/away").await;
        assert_eq!(browser.visit("/show").await.body, "\"andrew\" 0");
        place.store.asked();
        assert_eq!(browser.visit("/half/refused").await.set_cookie(), None);
        assert_eq!(browser.visit("/show").await.body, "\"andrew\" 1");
    })
    .await;
}

#[tokio::test]
async fn a_dropped_increment_counted_once_or_not_at_all() {
    for (fault, expected) in [(Fault::Hangs, "\"\" 1"), (Fault::DoneButHangs, "\"\" 2")] {
        let place = Place::memory();
        let store = place.store.clone();
        let half = async move |session: Session| {
            store.asked();
            store.fault("apply", fault);
            tokio::select! {
                biased;
                result = session.increment(COUNT, 1) => panic!("{result:?}"),
                () = store.until_asked("apply") => store.heal(),
            }
        };
        let browser = Browser::new(app(&place.sessions(), Router::new().route("/half", get(half))));
        browser.visit("/increment").await;
        browser.visit("/half").await;
        assert_eq!(browser.visit("/show").await.body, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_dropped_sign_out_leaves_the_cookie_whether_or_not_the_session_ended() {
    for (fault, expected) in [(Fault::Hangs, "\"andrew\" 0"), (Fault::DoneButHangs, "\"\" 0")] {
        let place = Place::memory();
        let store = place.store.clone();
        let half = async move |session: Session| {
            store.fault("revoke", fault);
            tokio::select! {
                biased;
                result = session.sign_out() => panic!("{result:?}"),
                () = store.until_asked("revoke") => store.heal(),
            }
        };
        let browser = Browser::new(app(&place.sessions(), Router::new().route("/half", get(half))));
        browser.visit("/write").await;
        assert_eq!(browser.visit("/half").await.set_cookie(), None, "{fault:?}");
        assert_eq!(browser.visit("/show").await.body, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_client_that_hung_up_leaves_what_was_done_and_nothing_of_what_was_deferred() {
    on_each_store(async |place| {
        let reached = Arc::new(Notify::new());
        let reach = reached.clone();
        let slow = async move |session: Session| {
            session.set(NAME, "half of it")?;
            session.increment(COUNT, 1).await?;
            reach.notify_one();
            std::future::pending::<()>().await;
            Ok::<_, Error>(())
        };
        let browser = Browser::new(app(&place.sessions(), Router::new().route("/slow", get(slow))));
        browser.visit("/write").await;
        tokio::select! {
            answer = browser.get("/slow") => panic!("{answer:?}"),
            () = reached.notified() => {}
        }
        assert_eq!(browser.visit("/show").await.body, "\"andrew\" 1");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_hung_up_during_the_commit_leaves_all_of_it_or_nothing() {
    for (fault, expected) in [(Fault::Hangs, "\"andrew\" 0"), (Fault::DoneButHangs, "\"both\" 9")] {
        let place = Place::memory();
        let both = async |session: Session| {
            session.set(NAME, "both")?;
            session.set(COUNT, &9)
        };
        let browser = Browser::new(app(&place.sessions(), Router::new().route("/both", get(both))));
        browser.visit("/write").await;
        place.store.asked();
        place.store.fault("apply", fault);
        tokio::select! {
            biased;
            answer = browser.get("/both") => panic!("{answer:?}"),
            () = place.store.until_asked("apply") => place.store.heal(),
        }
        assert_eq!(browser.visit("/show").await.body, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_handle_that_is_kept_still_sees_its_session_after_a_rotation_and_is_not_taken_for_a_thief() {
    let place = Place::memory();
    let sessions = place.sessions_with(Config::builder().on_replay(OnReplay::Revoke));
    let kept: Arc<Mutex<Option<Session>>> = Arc::default();
    let keep = kept.clone();
    let routes = Router::new()
        .route("/keep", get(async move |session: Session| *keep.lock().unwrap() = Some(session)))
        .route("/rotate", get(async |session: Session| session.rotate().await));
    let browser = Browser::new(app(&sessions, routes));
    browser.visit("/write").await;
    browser.visit("/keep").await;
    browser.visit("/rotate").await;
    browser.visit("/increment").await;
    place.clock.advance(Duration::from_secs(60));

    let session = kept.lock().unwrap().take().unwrap();
    session.refresh().await.unwrap();
    assert_eq!(session.get(COUNT).unwrap(), Some(1));
    assert_eq!(browser.visit("/show").await.body, "\"andrew\" 1");
}

#[tokio::test]
async fn a_task_that_outlives_its_request_cannot_change_the_session_and_asks_the_manager_instead() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let (jobs, mut queue) = mpsc::channel::<(Session, SessionId)>(1);
        let start = async move |SignedIn { session, .. }: SignedIn| {
            let id = session.id().expect("somebody is signed in");
            jobs.send((session, id)).await.expect("the queue is there");
            "it is being done"
        };
        let app = Router::new()
            .route("/sign_in", get(async |session: Session| session.sign_in("andrew").await))
            .route("/start", get(start))
            .route("/account", get(async |SignedIn { .. }: SignedIn| ()))
            .layer(sessions.layer());
        let browser = Browser::new(app);
        browser.visit("/sign_in").await;
        browser.visit("/start").await;
        let (session, id) = queue.recv().await.unwrap();

        let job = tokio::spawn(async move {
            assert!(session.set(NAME, "too late").unwrap_err().to_string().contains("head was already sent"));
            assert!(session.sign_out().await.is_err());
            assert_eq!(session.user().unwrap().as_str(), "andrew", "what was read can still be read");
            sessions.revoke(&id).await.unwrap()
        });
        assert!(job.await.unwrap());
        assert_eq!(browser.get("/account").await.status, 401);
    })
    .await;
}
