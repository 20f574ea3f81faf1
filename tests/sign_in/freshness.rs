//! Routes for people who are signed in, or have just proved who they are.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::header::{ACCEPT, LOCATION, VARY};
use axum::http::{Method, Request};
use cloakroom::{Config, ConfigBuilder, RecentSignIn, Session, Sessions, SignInRejection, SignedIn};

use super::app::{app, ask_with, pass, signed_in};
use super::framework::{Router, any, get};
use super::told::Told;
use crate::support::{Browser, Fault, Place, on_each_store};

fn guarded(sessions: &Sessions) -> Router {
    let account = async |SignedIn { user, session }: SignedIn| {
        assert_eq!(session.user().as_ref(), Some(&user));
        user.as_str().to_owned()
    };
    let pay = async |recent: RecentSignIn<600>| recent.user.as_str().to_owned();
    let check = async |session: Session| session.require_recent_sign_in(Duration::from_secs(600)).await;
    let long_ago = async |session: Session| {
        let then = session.auth_time().unwrap() - Duration::from_secs(601);
        session.sign_in("anna").auth_time(then).await
    };
    let in_the_future = async |session: Session| {
        session.sign_in("anna").auth_time(SystemTime::now() + Duration::from_secs(100_000_000)).await
    };
    app(sessions)
        .route("/my_account", any(account))
        .route("/pay", any(pay))
        .route("/check", get(check))
        .route("/long_ago", get(long_ago))
        .route("/in_the_future", get(in_the_future))
        .layer(sessions.layer())
}

/// The times of its session, in seconds since a moment.
fn times(session: &Session, since: SystemTime) -> String {
    let seconds = |time: Option<SystemTime>| time.map(|time| time.duration_since(since).unwrap().as_secs());
    format!("{:?}", [session.created_at(), session.signed_in_at(), session.auth_time(), session.ends_at()].map(seconds))
}

#[tokio::test]
async fn a_session_knows_when_it_was_made_and_signed_in_and_when_it_ends_without_a_further_visit() {
    let place = Place::memory();
    let sessions = place.sessions();
    let begun = place.clock.now();
    let shown = async move |session: Session| times(&session, begun);
    let browser = Browser::new(app(&sessions).route("/times", get(shown)).layer(sessions.layer()));
    assert_eq!(browser.visit("/times").await.body, "[None, None, None, None]");
    browser.visit("/write/cart/full").await;
    assert_eq!(browser.visit("/times").await.body, "[Some(0), None, None, Some(1800)]");
    place.clock.advance(Duration::from_secs(7));
    signed_in(browser.clone(), "anna").await;
    assert_eq!(browser.visit("/times").await.body, "[Some(0), Some(7), Some(7), Some(1807)]");
}

#[tokio::test]
async fn a_token_whose_grace_ends_before_a_refresh_is_a_replay() {
    let place = Place::memory();
    let told = Told::default();
    let sessions = place.sessions_with(told.listen(Config::builder()));
    place.store.be_near();
    let clock = place.clock.clone();
    let slow = async move |session: Session| {
        assert!(session.exists());
        clock.advance(Duration::from_secs(60));
        session.refresh().await?;
        Ok::<_, cloakroom::Error>(session.exists().to_string())
    };
    let browser = Browser::new(app(&sessions).route("/slow", get(slow)).layer(sessions.layer()));
    browser.visit("/write/cart/full").await;
    let former = browser.token().unwrap();
    browser.visit("/rotate").await;
    browser.visit("/exists").await;
    told.forget(2);
    assert_eq!(ask_with(&browser, &former, "/slow").await.body, "false");
    assert_eq!(told.names_after(1), ["Replayed"]);
    assert_eq!(browser.visit("/slow").await.body, "true");
}

fn with_page() -> ConfigBuilder {
    Config::builder().sign_in_page("/sign_in?next=here")
}

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn who_is_not_signed_in_gets_a_401_that_no_cache_shows_to_others() {
    on_each_store(async |place| {
        let browser = Browser::new(guarded(&place.sessions()));
        browser.visit("/write/cart/full").await;
        for browser in [browser.stranger(), browser.clone(), browser.saying(ACCEPT, HTML)] {
            for path in ["/my_account", "/pay", "/check"] {
                let answer = browser.get(path).await;
                assert_eq!(answer.status, 401, "{path}");
                assert!(answer.error.as_ref().unwrap().is_signed_out());
                assert_eq!(answer.all(VARY), ["Cookie"]);
                assert_eq!(answer.set_cookie(), None);
            }
        }
        signed_in(browser.clone(), "anna").await;
        for path in ["/my_account", "/pay"] {
            assert_eq!(browser.visit(path).await.body, "anna");
        }
        browser.visit("/sign_out").await;
        assert_eq!(browser.get("/my_account").await.status, 401);
    })
    .await;
}

#[tokio::test]
async fn a_page_for_everybody_may_ask_whether_a_user_is_signed_in() {
    let place = Place::memory();
    let sessions = place.sessions_with(with_page());
    let hello = async |who: Option<SignedIn>| who.map_or("stranger".to_owned(), |who| who.user.as_str().to_owned());
    let app = app(&sessions).route("/hello", get(hello)).layer(sessions.layer());
    let browser = Browser::new(app).saying(ACCEPT, HTML);
    assert_eq!(browser.visit("/hello").await.body, "stranger");
    signed_in(browser.clone(), "anna").await;
    assert_eq!(browser.visit("/hello").await.body, "anna");
    place.store.fault("load", Fault::Away);
    assert_eq!(browser.get("/hello").await.status, 503, "that the store fails does not make her a stranger");
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_and_no_redirect_to_the_sign_in_page() {
    let place = Place::memory();
    let browser = Browser::new(guarded(&place.sessions_with(with_page()))).saying(ACCEPT, HTML);
    signed_in(browser.clone(), "anna").await;
    place.store.fault("load", Fault::Away);
    for path in ["/my_account", "/pay"] {
        assert_eq!(browser.get(path).await.status, 503);
    }
}

#[tokio::test]
async fn only_a_person_who_asked_for_a_page_is_sent_to_the_sign_in_page() {
    let place = Place::memory();
    let browser = Browser::new(guarded(&place.sessions_with(with_page())));
    let ask = async |method: Method, path: &str, accept: Option<&str>| {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        browser.ask(request.body(Body::empty()).unwrap()).await
    };
    for path in ["/my_account", "/pay"] {
        let answer = ask(Method::GET, path, Some(HTML)).await;
        assert_eq!(answer.status, 303);
        assert_eq!(answer.all(LOCATION), ["/sign_in?next=here"]);
        assert_eq!(answer.all(VARY), ["Cookie"]);
        for (method, accept) in [
            (Method::GET, None),
            (Method::GET, Some("*/*")),
            (Method::GET, Some("application/json")),
            (Method::GET, Some("image/avif,image/webp,*/*")),
            (Method::HEAD, Some(HTML)),
            (Method::POST, Some(HTML)),
            (Method::DELETE, Some(HTML)),
        ] {
            let answer = ask(method.clone(), path, accept).await;
            assert_eq!(answer.status, 401, "{method} {accept:?}");
            assert!(answer.all(LOCATION).is_empty());
        }
    }
}

#[tokio::test]
async fn a_sign_in_is_recent_for_as_long_as_the_route_says() {
    let place = Place::memory();
    let browser = signed_in(Browser::new(guarded(&place.sessions_with(with_page()))), "anna").await;
    place.clock.advance(Duration::from_secs(600));
    browser.visit("/pay").await;
    browser.visit("/check").await;
    place.clock.advance(Duration::from_secs(1));
    for path in ["/pay", "/check"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 401);
        let error = answer.error.unwrap();
        assert!(error.is_not_recent() && !error.is_signed_out());
    }
    assert_eq!(browser.saying(ACCEPT, HTML).get("/pay").await.status, 303);
    assert_eq!(browser.visit("/my_account").await.body, "anna", "signed in all the same");

    browser.visit("/elevate").await;
    assert_eq!(browser.get("/pay").await.status, 401, "a new secret proves nothing");
    signed_in(browser.clone(), "anna").await;
    browser.visit("/pay").await;
}

#[tokio::test]
async fn a_handler_that_takes_the_rejection_tells_a_stale_sign_in_and_none_and_a_failed_store_apart() {
    let place = Place::memory();
    let sessions = place.sessions_with(with_page());
    let why = async |who: Result<RecentSignIn<600>, SignInRejection>| match who {
        Ok(recent) => recent.user.as_str().to_owned(),
        Err(SignInRejection::Failed(error)) => format!("failed: {error}"),
        Err(SignInRejection::SignedOut { error, redirect }) => format!("{error}; {redirect:?}"),
        Err(SignInRejection::NotRecent { error, redirect }) => format!("{error}; {redirect:?}"),
    };
    let read = async |who: Result<RecentSignIn<600>, SignInRejection>| {
        let rejection = who.expect_err("nobody has signed in");
        assert_eq!(rejection.to_string(), rejection.error().to_string());
        assert!(rejection.source().is_none(), "a report of an error and its sources says it once");
    };
    let app = app(&sessions).route("/why", get(why)).route("/read", get(read));
    let browser = Browser::new(app.layer(sessions.layer()));
    browser.visit("/read").await;
    assert!(browser.visit("/why").await.body.starts_with("nobody is signed in"));
    signed_in(browser.clone(), "anna").await;
    assert_eq!(browser.visit("/why").await.body, "anna");
    place.clock.advance(Duration::from_secs(601));
    let page = browser.saying(ACCEPT, HTML);
    assert_eq!(
        browser.visit("/why").await.body,
        "the last sign-in is too long ago: the user has to sign in again; None"
    );
    assert!(page.visit("/why").await.body.ends_with("; Some(\"/sign_in?next=here\")"));
    place.store.fault("load", Fault::Away);
    assert!(page.visit("/why").await.body.starts_with("failed: session store"), "not a reason to sign in again");
}

#[tokio::test]
async fn redis_judges_the_end_of_a_session_by_its_own_clock() {
    let place = Place::redis().await;
    let sessions = place.sessions();
    let at_once = async |recent: RecentSignIn<1>| recent.user.as_str().to_owned();
    let app = guarded(&sessions).route("/at_once", get(at_once)).layer(sessions.layer());
    let browser = signed_in(Browser::new(app), "anna").await;
    pass(&place, Duration::from_millis(2100)).await;
    assert_eq!(browser.get("/at_once").await.status, 401);
    browser.visit("/pay").await;
}

#[tokio::test]
async fn the_identity_providers_time_counts_where_the_application_gives_it() {
    on_each_store(async |place| {
        let browser = signed_in(Browser::new(guarded(&place.sessions())), "anna").await;
        browser.visit("/long_ago").await;
        assert_eq!(browser.get("/pay").await.status, 401);
        assert_eq!(browser.visit("/my_account").await.body, "anna");
        browser.visit("/in_the_future").await;
        browser.visit("/pay").await;
    })
    .await;
}
