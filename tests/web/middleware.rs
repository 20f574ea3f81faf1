//! Middleware of the application that knows who asks, and what that costs.

use axum::Router;
use axum::extract::Request;
use axum::http::header::VARY;
use axum::middleware::{Next, from_extractor, from_fn};
use axum::response::Response;
use axum::routing::get;
use cloakroom::{Error, Session, SignedIn};
use tracing::Instrument as _;
use tracing::subscriber::set_default;

use crate::support::{Browser, Capture, Fault, Place, on_each_store};

/// Everything inside is logged with the user's id.
async fn in_users_span(signed_in: Option<SignedIn>, request: Request, next: Next) -> Response {
    let user = signed_in.map(|signed_in| signed_in.user.to_string());
    let span = tracing::info_span!("visitor", user);
    next.run(request).instrument(span).await
}

async fn work() {
    tracing::info!("the handler works");
}

fn routes() -> Router {
    Router::new()
        .route("/work", get(work))
        .route("/sign_in", get(async |session: Session| session.sign_in("andrew").await))
}

#[tokio::test]
async fn middleware_can_open_a_span_with_the_users_id() {
    let place = Place::memory();
    let browser = Browser::new(routes().layer(from_fn(in_users_span)).layer(place.sessions().layer()));
    let log = Capture::default();
    let _listening = set_default(log.subscriber());
    browser.visit("/work").await;
    assert_eq!(log.count("visitor{user="), 0, "{}", log.text());
    browser.visit("/sign_in").await;
    browser.visit("/work").await;
    let text = log.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("the handler works")).collect();
    assert_eq!(lines.len(), 2);
    assert!(!lines[0].contains("user=") && lines[1].contains("visitor{user=\"andrew\"}"), "{lines:?}");
}

#[tokio::test]
async fn middleware_that_asks_who_it_is_makes_every_route_load_the_session() {
    on_each_store(async |place| {
        let sessions = place.sessions();
        let plain = Browser::new(routes().layer(sessions.layer()));
        plain.visit("/sign_in").await;
        place.store.asked();
        assert!(plain.visit("/work").await.is_silent());
        assert!(place.store.asked().is_empty(), "the handler does not ask for the session");

        let asking = plain.at(routes().layer(from_fn(in_users_span)).layer(sessions.layer()));
        assert_eq!(asking.visit("/work").await.all(VARY), ["Cookie"]);
        assert_eq!(place.store.asked(), ["load"]);
        place.store.fault("load", Fault::Away);
        assert_eq!(asking.get("/work").await.status, 503);
        place.store.heal();
    })
    .await;
}

#[tokio::test]
async fn middleware_that_takes_a_result_goes_on_while_the_store_is_away() {
    async fn if_known(session: Result<Session, Error>, request: Request, next: Next) -> Response {
        let user = session.ok().and_then(|session| session.user()).map(|user| user.to_string());
        next.run(request).instrument(tracing::info_span!("visitor", user)).await
    }
    let place = Place::memory();
    let browser = Browser::new(routes().layer(from_fn(if_known)).layer(place.sessions().layer()));
    browser.visit("/sign_in").await;
    place.store.fault("load", Fault::Away);
    browser.visit("/work").await;
}

#[tokio::test]
async fn an_extractor_as_a_route_layer_guards_routes_whose_handlers_never_ask() {
    on_each_store(async |place| {
        let guarded = Router::new().route("/work", get(work)).route_layer(from_extractor::<SignedIn>());
        let too_far = Router::new().route("/work", get(work)).layer(from_extractor::<SignedIn>());
        let too_far = Browser::new(too_far.layer(place.sessions().layer()));
        assert_eq!(too_far.get("/nothing_here").await.status, 401);
        let app = Router::new()
            .route("/sign_in", get(async |session: Session| session.sign_in("andrew").await))
            .merge(guarded)
            .layer(place.sessions().layer());
        let browser = Browser::new(app);
        assert_eq!(browser.get("/work").await.status, 401);
        assert_eq!(browser.get("/nothing_here").await.status, 404, "only routes are guarded");
        browser.visit("/sign_in").await;
        place.store.asked();
        browser.visit("/work").await;
        assert_eq!(place.store.asked(), ["load"]);
    })
    .await;
}

#[tokio::test]
async fn an_extractor_outside_the_session_layer_is_an_error_of_every_request() {
    let place = Place::memory();
    let app = Router::new().route("/work", get(work)).layer(place.sessions().layer());
    let answer = Browser::new(app.route_layer(from_extractor::<SignedIn>())).get("/work").await;
    assert_eq!(answer.status, 500);
    assert!(answer.error.unwrap().to_string().contains("no session layer"));
}
