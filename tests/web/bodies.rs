//! Services of tower that are not axum's, with bodies of their own.

use axum::http::{Request, Response};
use cloakroom::Error;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::Place;

/// A service of another framework, whose bodies are texts.
async fn text(_: Request<()>) -> Result<Response<String>, Error> {
    Ok(Response::new("the handler's".to_owned()))
}

/// A body that is made of no text.
struct Frames(u16);

async fn frames(_: Request<()>) -> Result<Response<Frames>, Error> {
    Ok(Response::new(Frames(200)))
}

#[tokio::test]
async fn services_of_other_bodies_are_served_too() {
    let place = Place::memory();
    let post = || Request::post("/").header("sec-fetch-site", "cross-site").body(()).unwrap();
    let response = place.sessions().layer().layer(service_fn(text)).oneshot(post()).await.unwrap();
    assert!(response.body().starts_with("This request seems to come from another site"));

    let layer = place.sessions().layer().on_error(|error, _| Response::new(Frames(error.status())));
    let response = layer.layer(service_fn(frames)).oneshot(post()).await.unwrap();
    assert_eq!(response.body().0, 403);
}

#[tokio::test]
async fn the_answer_to_a_head_request_has_no_body_that_a_server_could_send() {
    let service = Place::memory().sessions().layer().layer(service_fn(text));
    let request = Request::head("/").header("upgrade", "websocket").header("origin", "null");
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().as_str()), (403, ""));
}
