//! What the module for tests of an application promises.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::{get, post};
use cloakroom::store::Redis;
use cloakroom::testing::{Browser, TestSessions};
use cloakroom::{Config, Error, Event, Field, OnLimit, Session, Sessions, SignedIn};
use support::RedisServer;
use tokio::net::TcpListener;

mod support;

const CART: Field<Vec<String>> = Field::new("cart");

fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route("/sign-in", post(async |session: Session| session.sign_in("ada").await))
        .route("/account", get(async |who: SignedIn| who.user.to_string()))
        .route("/sign-out", post(async |session: Session| session.sign_out().await))
        .layer(sessions.layer())
}

async fn account_of(browser: &mut Browser, app: &Router) -> StatusCode {
    browser.get(app, "/account").await.status()
}

#[tokio::test]
async fn a_test_user_is_signed_in_until_the_idle_timeout() -> Result<(), Error> {
    let test = TestSessions::new();
    let app = app(test.sessions());
    assert_eq!(account_of(&mut test.browser(), &app).await, 401);
    let mut ada = test.signed_in("ada").await?;
    assert_eq!(account_of(&mut ada, &app).await, 200);
    test.advance(Duration::from_secs(29 * 60));
    assert_eq!(account_of(&mut ada, &app).await, 200);
    test.advance(Duration::from_secs(31 * 60));
    assert_eq!(account_of(&mut ada, &app).await, 401);
    Ok(())
}

#[tokio::test]
async fn a_client_with_a_bearer_token_is_signed_in_and_gets_no_cookie() -> Result<(), Error> {
    let test = TestSessions::with_config(Config::builder().bearer_tokens().build()?);
    let app = app(test.sessions());
    let authorization = test.bearer("ada").await?;
    for (path, status) in [("/account", 200), ("/sign-out", 200), ("/account", 401)] {
        let request = Request::builder().method(if path == "/account" { "GET" } else { "POST" }).uri(path);
        let request = request.header("authorization", authorization.clone()).body(Body::empty()).unwrap();
        let response = test.browser().send(&app, request).await;
        assert_eq!(response.status(), status, "{path}");
        assert!(!response.headers().contains_key("set-cookie"), "{path}");
    }
    assert!(!format!("{authorization:?}").contains("Bearer"), "it is a secret");
    Ok(())
}

#[tokio::test]
async fn a_browser_keeps_the_cookie_that_it_is_given_and_forgets_the_one_that_is_removed() {
    let test = TestSessions::new();
    let (app, mut browser) = (app(test.sessions()), test.browser());
    assert_eq!(browser.cookies(), None);
    browser.post(&app, "/sign-in", "").await;
    assert!(browser.cookies().unwrap().starts_with("__Host-sid="));
    assert_eq!(account_of(&mut browser, &app).await, 200);
    assert_eq!(account_of(&mut browser.clone(), &app).await, 200);
    browser.post(&app, "/sign-out", "").await;
    assert_eq!(browser.cookies(), None);
}

#[tokio::test]
async fn a_browser_sends_all_its_cookies() {
    let mut browser = TestSessions::new().browser();
    let mut head = HeaderMap::new();
    head.append("set-cookie", "theme=dark; Path=/".parse().unwrap());
    head.append("set-cookie", "lang=de; Max-Age=60".parse().unwrap());
    browser.keep_cookies(&head);
    assert_eq!(browser.cookies().as_deref(), Some("lang=de; theme=dark"));
    browser.keep_cookie("theme=gone; Max-Age=0");
    assert_eq!(browser.cookies().as_deref(), Some("lang=de"));
}

#[tokio::test]
async fn a_test_prepares_a_session_and_looks_at_what_the_application_left_in_it() -> Result<(), Error> {
    let test = TestSessions::new();
    let (app, mut browser) = (app(test.sessions()), test.browser());
    browser.with_session(async |session| session.push(CART, "coat")).await?;
    browser.post(&app, "/sign-in", "").await;
    let seen = browser.with_session(async |session| Ok((session.get(CART)?, session.user()))).await?;
    assert_eq!(seen, (Some(vec!["coat".to_owned()]), Some("ada".try_into()?)));
    Ok(())
}

#[tokio::test]
async fn a_preparation_that_fails_stores_no_deferred_change() -> Result<(), Error> {
    let test = TestSessions::new();
    let mut ada = test.signed_in("ada").await?;
    let failed = ada.with_session(async |session| {
        session.push(CART, "coat")?;
        session.sign_in("").await
    });
    assert!(failed.await.unwrap_err().is_invalid());
    assert_eq!(ada.with_session(async |session| session.get(CART)).await?, None);
    Ok(())
}

#[tokio::test]
async fn what_happened_is_listed_once_and_when_the_response_is_there() -> Result<(), Error> {
    let test = TestSessions::new();
    let app = app(test.sessions());
    let mut ada = test.signed_in("ada").await?;
    assert!(
        matches!(&test.take_events()[..], [Event::Created { .. }, Event::SignedIn { user, .. }] if *user == "ada".parse().unwrap())
    );
    ada.post(&app, "/sign-out", "").await;
    assert!(matches!(&test.take_events()[..], [Event::Revoked { ended: 1, .. }]));
    assert_eq!(test.take_events(), []);
    Ok(())
}

#[tokio::test]
async fn the_hook_of_the_application_hears_the_events_as_well() -> Result<(), Error> {
    let (sender, heard) = std::sync::mpsc::channel();
    let config = Config::builder().on_event(move |event| drop(sender.send(event.clone()))).build()?;
    let test = TestSessions::with_config(config);
    test.signed_in("ada").await?;
    let heard: Vec<_> = (0..2).map(|_| heard.recv_timeout(Duration::from_secs(60)).unwrap()).collect();
    assert_eq!(heard, test.take_events());
    Ok(())
}

#[tokio::test]
async fn a_test_user_obeys_the_limit_of_the_configuration() -> Result<(), Error> {
    let config = Config::builder().max_sessions_per_user(1).on_limit(OnLimit::RefuseNew).build()?;
    let test = TestSessions::with_config(config);
    test.signed_in("ada").await?;
    assert!(test.signed_in("ada").await.unwrap_err().is_limit());
    Ok(())
}

#[tokio::test]
async fn requests_are_those_of_the_applications_own_pages_unless_the_test_says_otherwise() {
    let test = TestSessions::with_config(Config::builder().csrf(cloakroom::Csrf::Strict).build().unwrap());
    let (app, mut browser) = (app(test.sessions()), test.browser());
    assert_eq!(browser.post(&app, "/sign-in", "").await.status(), 200);
    let forged = Request::post("/sign-out").header("sec-fetch-site", "cross-site").body(Body::empty()).unwrap();
    assert_eq!(browser.send(&app, forged).await.status(), 403);
    assert_eq!(account_of(&mut browser, &app).await, 200);
}

#[tokio::test]
async fn a_test_user_is_signed_in_at_a_real_server_with_the_store_of_production() -> Result<(), Error> {
    let redis = RedisServer::start();
    let sessions = Sessions::new(Redis::builder(redis.url()).connect().await?, Config::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/account", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app(&sessions)).into_future());

    let mut ada = Browser::new(&sessions);
    ada.with_session(async |session| session.sign_in("ada").await).await?;
    let asked = tokio::task::spawn_blocking(move || {
        ureq::get(&url).header("Cookie", ada.cookies().unwrap()).call().unwrap().body_mut().read_to_string().unwrap()
    });
    assert_eq!(asked.await.unwrap(), "ada");
    Ok(())
}
