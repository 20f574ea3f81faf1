//! What the application's hook is told, and what happens when the hook misbehaves.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use cloakroom::store::Target;
use cloakroom::{Config, Error, Event, OnLimit, OnReplay, RevokeReason, Session, SessionId, Sessions, UserId};

use super::app::{app, ask_with, field, id_of, pass, signed_in};
use super::framework::get;
use super::told::Told;
use crate::support::{Browser, Fault, Place, on_each_store};

fn user(name: &str) -> UserId {
    UserId::try_from(name).unwrap()
}

fn session(browser: &Browser) -> SessionId {
    SessionId::parse(&id_of(browser)).unwrap()
}

#[tokio::test]
async fn the_events_of_a_session_come_in_order_with_user_and_session() {
    on_each_store(async |place| {
        let told = Told::default();
        let browser = Browser::new(app(&place.sessions_with(told.listen(Config::builder()))));
        browser.visit("/whoami").await;
        browser.visit("/write/cart/full").await;
        let id = session(&browser);
        for path in ["/sign_in/anna", "/rotate", "/whoami", "/elevate", "/write/cart/empty", "/count", "/sign_in/bert"]
        {
            browser.visit(path).await;
        }
        let second = session(&browser);
        browser.visit("/sign_out").await;
        let (anna, bert) = (user("anna"), user("bert"));
        let by = Some(id);
        let expected = [
            Event::Created { session: id },
            Event::SignedIn { session: id, user: anna },
            Event::Rotated { session: id },
            Event::Rotated { session: id },
            Event::Revoked { target: Target::Session(id), ended: 1, reason: RevokeReason::UserSwitched, by },
            Event::Created { session: second },
            Event::SignedIn { session: second, user: bert },
            Event::Revoked {
                target: Target::Session(second),
                ended: 1,
                reason: RevokeReason::SignedOut,
                by: Some(second),
            },
        ];
        assert_eq!(told.after(expected.len()), expected);
    })
    .await;
}

#[tokio::test]
async fn every_way_to_sign_out_tells_whom_it_meant_who_asked_and_how_many_ended() {
    on_each_store(async |place| {
        let told = Told::default();
        let sessions = place.sessions_with(told.listen(Config::builder()));
        let here = signed_in(Browser::new(app(&sessions)), "anna").await;
        let there = signed_in(here.stranger(), "anna").await;
        for _ in 0..2 {
            signed_in(here.stranger(), "anna").await;
        }
        let (id, other, anna) = (session(&here), session(&there), user("anna"));
        told.forget(8);
        for _ in 0..2 {
            here.visit(&format!("/sign_out_device/{other}")).await;
        }
        here.visit("/sign_out_others").await;
        here.visit("/sign_out_everywhere").await;
        sessions.revoke_user(&anna).await.unwrap();
        sessions.revoke(&id).await.unwrap();
        let revoked = |target, ended, by| Event::Revoked { target, ended, reason: RevokeReason::SignedOut, by };
        let by_application = |target| Event::Revoked { target, ended: 0, reason: RevokeReason::Application, by: None };
        let expected = [
            revoked(Target::SessionOf(anna.clone(), other), 1, Some(id)),
            revoked(Target::SessionOf(anna.clone(), other), 0, Some(id)),
            revoked(Target::OthersOf(anna.clone(), id), 2, Some(id)),
            revoked(Target::AllOf(anna.clone()), 1, Some(id)),
            by_application(Target::AllOf(anna)),
            by_application(Target::Session(id)),
        ];
        assert_eq!(told.after(expected.len()), expected);
    })
    .await;
}

#[tokio::test]
async fn an_eviction_and_a_refusal_are_told_with_who_caused_them() {
    on_each_store(async |place| {
        let told = Told::default();
        let limited = || told.listen(Config::builder().max_sessions_per_user(1));
        let first = signed_in(Browser::new(app(&place.sessions_with(limited()))), "anna").await;
        let second = first.stranger();
        second.visit("/write/cart/full").await;
        let anna = user("anna");
        let (evicted, by) = (session(&first), session(&second));
        told.forget(3);
        signed_in(second, "anna").await;
        let expected = [
            Event::SignedIn { session: by, user: anna.clone() },
            Event::Evicted { session: evicted, user: anna.clone(), by },
        ];
        assert_eq!(told.after(2), expected);

        told.forget(2);
        let refusing = app(&place.sessions_with(limited().on_limit(OnLimit::RefuseNew)));
        let third = first.stranger().at(refusing);
        third.visit("/write/cart/full").await;
        assert_eq!(third.get("/sign_in/anna").await.status, 409);
        assert_eq!(told.after(2), [Event::Created { session: session(&third) }, Event::SignInRefused { user: anna }]);
    })
    .await;
}

#[tokio::test]
async fn a_request_from_another_site_is_told_and_one_that_passes_is_not() {
    let place = Place::memory();
    let told = Told::default();
    let browser = Browser::new(app(&place.sessions_with(told.listen(Config::builder()))));
    for (site, refused) in [("same-origin", false), ("cross-site", true)] {
        let request = Request::post("/count").header("sec-fetch-site", site).body(Body::empty()).unwrap();
        assert_eq!(browser.ask(request).await.status == 403, refused);
    }
    match told.after(1).remove(0) {
        Event::CrossSiteRefused { reason, .. } => assert!(reason.contains("Sec-Fetch-Site"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_event_is_only_sent_for_what_has_happened() {
    on_each_store(async |place| {
        let told = Told::default();
        let browser = Browser::new(app(&place.sessions_with(told.listen(Config::builder()))));
        place.store.fault_everywhere(Fault::Away);
        for path in ["/write/cart/full", "/sign_in/anna"] {
            assert_eq!(browser.get(path).await.status, 503);
        }
        place.store.heal();
        signed_in(browser.clone(), "anna").await;
        told.forget(2);
        place.store.fault("apply", Fault::Away);
        place.store.fault("revoke", Fault::Away);
        for path in ["/sign_in/anna", "/rotate", "/elevate", "/sign_out", "/sign_out_everywhere", "/sign_in/bert"] {
            assert_eq!(browser.get(path).await.status, 503, "{path}");
        }
        place.store.heal();
        browser.visit("/read/cart").await;
        assert_eq!(told.names(), [""; 0]);
    })
    .await;
}

/// A rotation whose answer was lost is asked again by the commit: it happened once and is told once.
#[tokio::test]
async fn a_question_that_is_asked_again_sends_one_event() {
    on_each_store(async |place| {
        let told = Told::default();
        let sessions = place.sessions_with(told.listen(Config::builder()));
        let store = place.store.clone();
        let lost = async move |session: Session| {
            store.fault("apply", Fault::AnswerLost);
            let error = session.sign_in("anna").await.unwrap_err();
            store.heal();
            assert!(error.is_unknown());
        };
        let browser = Browser::new(app(&sessions).route("/lost", get(lost)).layer(sessions.layer()));
        browser.visit("/lost").await;
        assert_eq!(browser.visit("/whoami").await.body, "anna");
        assert_eq!(told.names_after(2), ["Created", "SignedIn"]);
    })
    .await;
}

#[tokio::test]
async fn an_event_about_a_revocation_is_sent_after_it_has_happened() {
    on_each_store(async |place| {
        let handle = tokio::runtime::Handle::current();
        let (manager, seen) = (Arc::new(std::sync::OnceLock::<Sessions>::new()), Arc::new(AtomicUsize::new(0)));
        let (looking, found) = (manager.clone(), seen.clone());
        let config = Config::builder().on_event(move |event| {
            if let Event::Revoked { target: Target::AllOf(user), .. } = event {
                let sessions = looking.get().unwrap().clone();
                let left = handle.block_on(sessions.devices(user, cloakroom::Page::default())).unwrap().len();
                found.store(100 + left, Ordering::SeqCst);
            }
        });
        let sessions = place.sessions_with(config);
        assert!(manager.set(sessions.clone()).is_ok());
        let browser = signed_in(Browser::new(app(&sessions)), "anna").await;
        signed_in(browser.stranger(), "anna").await;
        browser.visit("/sign_out_everywhere").await;
        while seen.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(seen.load(Ordering::SeqCst), 100);
    })
    .await;
}

#[tokio::test]
async fn a_revocation_that_fails_is_told_if_a_session_has_ended_or_may_end_once_more() {
    on_each_store(async |place| {
        let told = Told::default();
        let sessions = place.sessions_with(told.listen(Config::builder()));
        let browser = signed_in(Browser::new(app(&sessions)), "anna").await;
        let id = session(&browser);
        told.forget(2);
        place.store.fault("revoke", Fault::Away);
        assert!(sessions.revoke(&id).await.unwrap_err().is_store());
        place.store.fault("revoke", Fault::HalfWay);
        assert!(sessions.revoke_user("anna").await.unwrap_err().is_store());
        place.store.fault("revoke", Fault::NotDurable);
        assert!(sessions.revoke(&id).await.unwrap_err().is_not_durable());
        let revoked = |target, ended| Event::Revoked { target, ended, reason: RevokeReason::Application, by: None };
        let expected = [revoked(Target::AllOf(user("anna")), 1), revoked(Target::Session(id), 0)];
        assert_eq!(told.after(2), expected);
    })
    .await;
}

#[tokio::test]
async fn a_hook_that_never_returns_holds_up_nobody() {
    let place = Place::memory();
    let (release, hold) = mpsc::channel::<()>();
    let hold = std::sync::Mutex::new(hold);
    let config = Config::builder().on_event(move |_| {
        let _ = hold.lock().unwrap().recv();
    });
    let browser = Browser::new(app(&place.sessions_with(config)));
    // many more than wait for a slow hook
    signed_in(browser.clone(), "anna").await;
    for _ in 0..5000 {
        browser.visit("/rotate").await;
    }
    assert_eq!(browser.visit("/whoami").await.body, "anna");
    drop(release);
}

#[tokio::test]
async fn a_hook_that_panics_fails_no_request_and_is_told_the_next_event() {
    let place = Place::memory();
    let told = Told::default();
    let (listening, panicked) = (told.clone(), Arc::new(AtomicBool::new(false)));
    let once = panicked.clone();
    let config = Config::builder().on_event(move |event| {
        listening.hear(event);
        assert!(once.swap(true, Ordering::SeqCst), "the test's hook panics at its first event");
    });
    let browser = signed_in(Browser::new(app(&place.sessions_with(config))), "anna").await;
    browser.visit("/sign_out").await;
    assert_eq!(told.names_after(3), ["Created", "SignedIn", "Revoked"]);
    assert!(panicked.load(Ordering::SeqCst));
}

#[tokio::test]
async fn no_event_holds_a_secret_and_each_is_logged() {
    for place in [Place::memory(), Place::redis().await] {
        let (told, log) = (Told::default(), crate::support::Capture::default());
        let _guard = tracing::subscriber::set_default(log.subscriber());
        let config = Config::builder().max_sessions_per_user(1).rotation_grace(Duration::from_secs(1));
        let sessions = place.sessions_with(told.listen(config.on_replay(OnReplay::Revoke)));
        let note = async |session: Session| {
            session.set(field("csrf"), session.csrf_token().as_str())?;
            Ok::<_, Error>(session.csrf_token())
        };
        let browser = Browser::new(app(&sessions).route("/note", get(note)).layer(sessions.layer()));
        let mut secrets = Vec::new();
        for path in ["/note", "/sign_in/anna", "/rotate", "/whoami", "/elevate", "/rotate", "/whoami"] {
            browser.visit(path).await;
            secrets.extend(browser.token());
            secrets.push(browser.visit("/csrf_token").await.body);
        }
        let other = signed_in(browser.stranger(), "anna").await;
        let old = other.token().unwrap();
        other.visit("/rotate").await;
        other.visit("/whoami").await;
        pass(&place, Duration::from_millis(2100)).await;
        ask_with(&other, &old, "/whoami").await;
        secrets.extend([old, other.token().unwrap()]);
        let request = Request::post("/count").header("sec-fetch-site", "cross-site").body(Body::empty()).unwrap();
        browser.ask(request).await;

        let names = told.names_after(12);
        for name in ["Created", "SignedIn", "Rotated", "Evicted", "Replayed", "Revoked", "CrossSiteRefused"] {
            assert!(names.contains(&name) && log.count(name) > 0, "{name} is told and logged");
        }
        let shown = format!("{:?} {:#?} {}", told.all(), told.all(), log.text());
        for secret in &secrets {
            let secret = secret.split('.').next_back().unwrap();
            assert!(secret.len() == 43 && !shown.contains(secret), "{secret} is in an event or a log");
        }
    }
}
