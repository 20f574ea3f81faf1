//! What only actix-web has: its own way to treat the errors of extractors, and guards that are middleware.

use std::task::{Context, Poll, Waker};

use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform as _};
use actix_web::middleware::{Next, from_fn};
use actix_web::{FromRequest as _, HttpResponse, body::MessageBody};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use cloakroom::{Config, Error, Field, Fresh, RecentSignIn, Session, Sessions, SignInRejection, SignedIn};

use super::framework::{Passing, Router, Stopped, around, get};
use crate::support::{Browser, Capture, Fault, Place};

const NAME: Field<String> = Field::new("name");
const COUNT: Field<i64> = Field::new("count");

fn app(sessions: &Sessions) -> Router {
    let told = async |who: Result<SignedIn, SignInRejection>| who.map_or_else(|why| why.to_string(), name);
    Router::new()
        .route("/sign_in", get(async |session: Session| session.sign_in("andrew").await))
        .route("/session", get(async |session: Option<Session>| session.is_some().to_string()))
        .route("/fresh", get(async |fresh: Option<Fresh>| fresh.is_some().to_string()))
        .route("/signed_in", get(async |who: Option<SignedIn>| who.map_or("a stranger".to_owned(), name)))
        .route("/recent", get(async |who: Option<RecentSignIn<600>>| who.is_some().to_string()))
        .route("/told", get(told))
        .layer(sessions.layer())
}

fn name(SignedIn { user, .. }: SignedIn) -> String {
    user.to_string()
}

#[tokio::test]
async fn a_handler_that_takes_an_option_is_told_of_nobody_but_never_that_the_store_is_away() {
    let place = Place::memory();
    let browser = Browser::new(app(&place.sessions()));
    assert_eq!(browser.visit("/signed_in").await.body, "a stranger");
    browser.visit("/sign_in").await;
    for (path, body) in [("/session", "true"), ("/fresh", "true"), ("/signed_in", "andrew"), ("/recent", "true")] {
        assert_eq!(browser.visit(path).await.body, body);
    }
    place.store.fault("load", Fault::Away);
    for path in ["/session", "/fresh", "/signed_in", "/recent"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.all(VARY)), (503, vec!["Cookie".to_owned()]), "{path}");
        assert!(answer.error.unwrap().is_store());
    }
    assert!(browser.visit("/told").await.body.starts_with("session store"), "it has taken the error");
    place.store.heal();
    place.clock.advance(std::time::Duration::from_secs(601));
    assert_eq!(browser.visit("/recent").await.body, "false");
    assert_eq!(browser.visit("/signed_in").await.body, "andrew");
}

/// A service that is busy.
struct Busy;

impl Service<ServiceRequest> for Busy {
    type Response = ServiceResponse;
    type Error = actix_web::Error;
    type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Pending
    }

    fn call(&self, _: ServiceRequest) -> Self::Future {
        std::future::pending()
    }
}

#[tokio::test]
async fn the_middleware_is_ready_when_the_service_inside_is() {
    let layered = Place::memory().sessions().layer().new_transform(Busy).await.unwrap();
    let ready = layered.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(ready.is_pending(), "what waits for a service that is busy must not be let through");
}

#[tokio::test]
async fn an_option_outside_the_session_layer_is_none_and_the_log_says_what_is_missing() {
    let log = Capture::default();
    let _listening = tracing::subscriber::set_default(log.subscriber_at(tracing::Level::ERROR));
    let who = async |who: Option<SignedIn>| who.is_some().to_string();
    let browser = Browser::new(Router::new().route("/", get(who)));
    assert_eq!(browser.visit("/").await.body, "false");
    assert_eq!(log.count("no session layer"), 1, "{}", log.text());
}

/// Middleware that lets nobody in who is not signed in.
async fn guard(
    SignedIn { session, .. }: SignedIn,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    session.set(NAME, "came in")?;
    next.call(request).await
}

#[tokio::test]
async fn an_extractor_of_a_middleware_guards_routes_whose_handlers_never_ask() {
    let place = Place::memory();
    let sessions = place.sessions();
    let work = Router::new().route("/work", get(async || "done")).wrapped_in(|| from_fn(guard));
    let browser = Browser::new(work.merge(app(&sessions)).layer(sessions.layer()));
    let refused = browser.get("/work").await;
    assert_eq!((refused.status.as_u16(), refused.all(VARY)), (401, vec!["Cookie".to_owned()]));
    assert!(refused.error.unwrap().is_signed_out());
    let refused = browser.saying(ACCEPT, "application/json").get("/work").await;
    assert_eq!(refused.all(CONTENT_TYPE), ["application/problem+json"], "the layer answers the error of a middleware");
    browser.visit("/sign_in").await;
    place.store.asked();
    assert_eq!(browser.visit("/work").await.body, "done");
    assert_eq!(place.store.asked(), ["load", "apply"]);
}

/// Middleware that counts after the handler.
async fn count_afterwards(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let response = next.call(request).await?;
    Session::extract(response.request()).await?.increment(COUNT, 1).await?;
    Ok(response)
}

#[tokio::test]
async fn a_middleware_between_two_managers_has_the_session_of_the_outer_one_also_after_the_handler() {
    let (outer, inner) = (Place::memory(), Place::memory());
    let (outside, inside) = (outer.sessions_with(Config::builder().cookie_name("__Host-outer")), inner.sessions());
    let set = async |session: Session| session.set(NAME, "andrew");
    let routes = Router::new().route("/", get(set)).layer(inside.layer());
    let browser = Browser::new(routes.wrapped_in(|| from_fn(count_afterwards)).layer(outside.layer()));
    assert_eq!(browser.visit("/").await.set_cookies().len(), 2);
    browser.visit("/").await;
    assert_eq!(inner.store.asked(), ["create", "load", "apply"]);
    assert_eq!(outer.store.asked(), ["create", "load", "apply"]);
}

#[tokio::test]
async fn an_error_of_a_middleware_decides_what_is_stored_and_takes_the_cookie_along() {
    for (status, stored) in [(404, "later"), (503, "")] {
        let sessions = Place::memory().sessions();
        let fails = move |request: Passing| async move {
            let session = request.session().await?;
            session.increment(COUNT, 1).await?;
            session.set(NAME, "later")?;
            Err(Stopped::Status(StatusCode::from_u16(status).unwrap()))
        };
        let routes = around(Router::new().route("/work", get(async || "done")), fails);
        let read = async |session: Session| Ok::<_, Error>(session.get(NAME)?.unwrap_or_default());
        let browser = Browser::new(routes.route("/read", get(read)).layer(sessions.layer()));
        let answer = browser.get("/work").await;
        assert_eq!((answer.status.as_u16(), answer.set_cookies().len()), (status, 1));
        assert_eq!(browser.visit("/read").await.body, stored);
    }
}

#[tokio::test]
async fn the_answer_to_an_error_may_be_any_response_of_actix_web() {
    let place = Place::memory();
    let sessions = place.sessions();
    let page = |error: &Error, _: &cloakroom::RequestHead| match error.is_signed_out() {
        true => HttpResponse::PaymentRequired().body("pay first"),
        false => HttpResponse::InternalServerError().finish(),
    };
    let account = Router::new().route("/account", get(async |_: SignedIn| "account"));
    let answer = Browser::new(account.layer(sessions.layer().on_error(page))).get("/account").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (402, "pay first"));
}
