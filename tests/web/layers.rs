//! Several managers, the same layer twice, middleware, and no layer at all.

use axum::http::header::VARY;
use cloakroom::{Config, Error, Field, Session, Sessions};

use super::framework::{Passed, Passing, Router, Stopped, around, get};
use crate::support::{Browser, Fault, Place, on_each_store};

const NAME: Field<String> = Field::new("name");

async fn count(session: Session) -> Result<String, Error> {
    Ok(session.increment(Field::new("n"), 1).await?.to_string())
}

async fn read(session: Session) -> Result<String, Error> {
    Ok(session.get(NAME)?.unwrap_or_default())
}

/// Middleware that writes the path into its session.
async fn remember_path(request: Passing) -> Result<Passed, Stopped> {
    request.session().await?.set(NAME, &request.path())?;
    request.go_on().await
}

#[tokio::test]
async fn two_managers_in_one_application_keep_their_visitors_apart() {
    let (shop, staff) = (Place::memory(), Place::redis().await);
    let shop_sessions = shop.sessions_with(Config::builder().cookie_name("__Host-shop"));
    let staff_sessions = staff.sessions_with(Config::builder().cookie_name("__Host-staff"));
    let app = Router::new()
        .nest("/shop", Router::new().route("/count", get(count)).layer(shop_sessions.layer()))
        .nest("/staff", Router::new().route("/count", get(count)).layer(staff_sessions.layer()));
    let browser = Browser::new(app);
    assert_eq!(browser.visit("/shop/count").await.body, "1");
    assert_eq!(browser.visit("/shop/count").await.body, "2");
    assert_eq!(browser.visit("/staff/count").await.body, "1");
    assert_ne!(browser.cookie("__Host-shop"), browser.cookie("__Host-staff"));
    assert_eq!(shop.store.asked(), ["create", "load", "apply"]);
    assert_eq!(staff.store.asked(), ["create"]);
}

#[tokio::test]
async fn one_manager_inside_another_gives_each_its_own_session_and_cookie() {
    let (outer, inner) = (Place::memory(), Place::memory());
    let outer_sessions = outer.sessions_with(Config::builder().cookie_name("__Host-outer"));
    let inner_sessions = inner.sessions_with(Config::builder().cookie_name("__Host-inner"));
    let inside = Router::new().route("/count", get(count)).layer(inner_sessions.layer());
    let browser = Browser::new(around(inside, remember_path).layer(outer_sessions.layer()));
    let answer = browser.visit("/count").await;
    assert_eq!(answer.set_cookies().len(), 2);
    assert_eq!(answer.all(VARY), ["Cookie"]);
    assert!(browser.cookie("__Host-outer").is_some() && browser.cookie("__Host-inner").is_some());
    assert_eq!(browser.visit("/count").await.body, "2");
    assert_eq!(inner.store.asked(), ["create", "load", "apply"]);
    assert_eq!(outer.store.asked(), ["create", "load", "apply"]);
}

#[tokio::test]
async fn the_same_layer_twice_is_as_good_as_once() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let inside = Router::new().route("/count", get(count)).route("/read", get(read)).layer(sessions.layer());
        let browser = Browser::new(around(inside, remember_path).layer(sessions.clone().layer()));
        let answer = browser.visit("/count").await;
        assert_eq!(answer.set_cookies().len(), 1);
        assert_eq!(answer.all(VARY), ["Cookie"]);
        place.store.asked();
        assert_eq!(browser.visit("/read").await.body, "/read");
        assert_eq!(place.store.asked(), ["load", "apply"], "loaded once, committed once");
    })
    .await;
}

#[tokio::test]
async fn middleware_and_handler_share_one_session() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let inside = Router::new().route("/read", get(read)).route("/count", get(count));
        let browser = Browser::new(around(inside, remember_path).layer(sessions.layer()));
        assert_eq!(browser.visit("/read").await.body, "/read");
        place.store.asked();
        assert_eq!(browser.visit("/read").await.body, "/read");
        assert_eq!(place.store.asked(), ["load", "apply"]);
        place.store.fault("load", Fault::Away);
        assert_eq!(browser.get("/count").await.status, 503);
        assert_eq!(place.store.asked(), ["load"]);
    })
    .await;
}

#[tokio::test]
async fn a_route_outside_the_layer_says_what_is_missing() {
    let go_on = async |session: Result<Session, Error>| session.map(drop).unwrap_err().to_string();
    let browser = Browser::new(Router::new().route("/read", get(read)).route("/why", get(go_on)));
    let answer = browser.get("/read").await;
    assert_eq!(answer.status, 500);
    assert!(answer.is_silent());
    let why = browser.visit("/why").await.body;
    assert!(why.contains("no session layer") && why.contains("sessions.layer()"), "{why}");
}

#[tokio::test]
async fn middleware_outside_the_layer_says_what_is_missing() {
    let place = Place::memory();
    let inside = Router::new().route("/read", get(read)).layer(place.sessions().layer());
    let answer = Browser::new(around(inside, remember_path)).get("/read").await;
    assert_eq!(answer.status, 500);
    assert!(answer.error.unwrap().to_string().contains("no session layer"));
    assert!(place.store.asked().is_empty());
}

#[tokio::test]
async fn middleware_that_takes_the_error_goes_on_while_the_store_is_away() {
    async fn if_known(request: Passing) -> Result<Passed, Stopped> {
        let user = request.session().await.ok().and_then(|session| session.user());
        let mut passed = request.go_on().await?;
        passed.append("x-user", user.as_ref().map_or("unknown", |user| user.as_str()));
        Ok(passed)
    }
    let place = Place::memory();
    let sign_in = async |session: Session| session.sign_in("andrew").await;
    let routes = Router::new().route("/sign_in", get(sign_in)).route("/work", get(async || "done"));
    let browser = Browser::new(around(routes, if_known).layer(place.sessions().layer()));
    browser.visit("/sign_in").await;
    let user = async || browser.visit("/work").await.all("x-user".parse().unwrap());
    assert_eq!(user().await, ["andrew"]);
    place.store.fault("load", Fault::Away);
    assert_eq!(user().await, ["unknown"]);
}

#[tokio::test]
async fn clones_of_a_manager_are_the_same_manager() {
    let place = Place::memory();
    let sessions: Sessions = place.sessions();
    let app = |sessions: Sessions| Router::new().route("/count", get(count)).layer(sessions.layer());
    let browser = Browser::new(app(sessions.clone()));
    browser.visit("/count").await;
    assert_eq!(browser.at(app(sessions)).visit("/count").await.body, "2");
}

#[tokio::test]
async fn two_managers_around_one_store_read_each_others_sessions_as_two_servers_do() {
    on_each_store(async |place| {
        let app = |sessions: Sessions| Router::new().route("/count", get(count)).layer(sessions.layer());
        let browser = Browser::new(app(place.sessions()));
        browser.visit("/count").await;
        assert_eq!(browser.at(app(place.sessions())).visit("/count").await.body, "2");
    })
    .await;
}
