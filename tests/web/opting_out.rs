//! Routes that stand beside the session layer, or in one with other rules.

use axum::body::Body;
use axum::http::header::{HeaderName, ORIGIN};
use axum::http::{Method, Request};
use cloakroom::{Config, Csrf, Error, Field, Session};

use super::framework::{Headers, Redirect, Router, get, post};
use crate::support::{Answer, Browser, Place, on_each_store};

const PAID: Field<String> = Field::new("paid");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const BANK: &str = "https://bank.example";

async fn hook(Headers(headers): Headers) -> &'static str {
    match headers.get("x-signature").is_some_and(|signature| signature.as_bytes() == b"right") {
        true => "taken",
        false => "not signed",
    }
}

async fn pay(session: Session) -> Result<(), Error> {
    session.set(PAID, "yes")
}

/// As a server posts it, with the headers that this one adds.
async fn posted(browser: &Browser, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
    let mut request = Request::builder().method(Method::POST).uri(path).header("host", "shop.example");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    if let Some(token) = browser.token() {
        request = request.header("cookie", format!("__Host-sid={token}"));
    }
    browser.ask(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_webhook_beside_the_layer_is_taken_under_strict_and_one_inside_is_not() {
    let place = Place::memory();
    let sessions = place.sessions_with(Config::builder().csrf(Csrf::Strict));
    let app = Router::new().route("/inside", post(hook)).layer(sessions.layer()).route("/hooks/payment", post(hook)); // added after the layer: not in it
    let browser = Browser::new(app);
    let signature = HeaderName::from_static("x-signature");
    assert_eq!(posted(&browser, "/inside", &[(signature.clone(), "right")]).await.status, 403);
    let taken = posted(&browser, "/hooks/payment", &[(signature, "right")]).await;
    assert_eq!(taken.body, "taken");
    assert!(taken.is_silent());
    assert_eq!(posted(&browser, "/hooks/payment", &[]).await.body, "not signed", "nobody else judges it");
    assert!(place.store.asked().is_empty());
}

#[tokio::test]
async fn a_trusted_origin_opens_every_route_inside_that_layer() {
    let place = Place::memory();
    let sessions = place.sessions_with(Config::builder().trust_origin(BANK));
    let app = Router::new().route("/paid", post(pay)).route("/delete_account", post(pay)).layer(sessions.layer());
    let browser = Browser::new(app);
    for path in ["/paid", "/delete_account"] {
        assert_eq!(posted(&browser, path, &[(SITE, "cross-site"), (ORIGIN, BANK)]).await.status, 200);
    }
}

#[tokio::test]
async fn a_second_manager_of_the_same_sessions_trusts_an_origin_for_its_own_routes_only() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let trusting = place.sessions_with(Config::builder().trust_origin(BANK));
        let app = Router::new()
            .route("/pay", post(pay))
            .route("/begin", get(async |session: Session| session.set(PAID, "no")))
            .route("/show", get(async |session: Session| session.get(PAID).map(Option::unwrap_or_default)))
            .layer(sessions.layer())
            .merge(Router::new().route("/paid", post(pay)).layer(trusting.layer()));
        let browser = Browser::new(app);
        browser.visit("/begin").await;
        let from_bank = [(SITE, "cross-site"), (ORIGIN, BANK)];
        assert_eq!(posted(&browser, "/pay", &from_bank).await.status, 403);
        assert_eq!(browser.visit("/show").await.body, "no");
        assert_eq!(posted(&browser, "/paid", &from_bank).await.status, 200);
        assert_eq!(browser.visit("/show").await.body, "yes", "one session, seen by both");
    })
    .await;
}

#[tokio::test]
async fn a_form_of_another_site_is_handed_on_by_a_redirect_from_beside_the_layer() {
    on_each_store(async |place| {
        let finish = async |session: Session| session.get(PAID).map(Option::unwrap_or_default);
        let app = Router::new()
            .route("/begin", get(async |session: Session| session.set(PAID, "not yet")))
            .route("/payment/done", get(finish))
            .layer(place.sessions().layer())
            .route("/payment/return", post(async || Redirect::to("/payment/done")));
        let browser = Browser::new(app);
        browser.visit("/begin").await;
        place.store.asked();
        // the browser leaves the cookie at home
        let returned = posted(&browser.stranger(), "/payment/return", &[(SITE, "cross-site"), (ORIGIN, BANK)]).await;
        assert_eq!(returned.status, 303);
        assert!(returned.is_silent());
        assert!(place.store.asked().is_empty(), "an empty session would have replaced the visitor's");
        assert_eq!(browser.saying(SITE, "cross-site").visit("/payment/done").await.body, "not yet");
    })
    .await;
}
