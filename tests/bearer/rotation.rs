//! How a client gets the token of a rotation: in the header that the configuration names, from the handler, or not at all.

use std::time::Duration;

use axum::http::{StatusCode, header};
use cloakroom::ConfigBuilder;

use super::app::{Client, config};
use crate::support::{Answer, Capture, Place, on_each_store};

const MINUTE: Duration = Duration::from_secs(60);
const NEW_TOKEN: header::HeaderName = header::HeaderName::from_static("x-session-token");

fn with_header() -> ConfigBuilder {
    config().bearer_token_header("X-Session-Token")
}

fn new_token(answer: &Answer) -> Option<String> {
    answer.all(NEW_TOKEN).pop()
}

#[tokio::test]
async fn a_rotation_hands_the_new_token_over_in_the_configured_header() {
    let place = Place::memory();
    let (client, token) = Client::signed_in(&place, with_header().rotate_every(MINUTE)).await;
    assert_eq!(new_token(&client.with(&token, "/read").await), None, "no new token before its time");
    place.clock.advance(MINUTE);
    let answer = client.with(&token, "/read").await;
    let new = new_token(&answer).expect("it is time for a new token");
    assert_eq!((answer.set_cookie(), answer.all(header::CACHE_CONTROL)), (None, vec!["no-store".to_owned()]));
    assert_ne!(new, token);
    assert_eq!(client.with(&new, "/account").await.body, "ada");
    assert_eq!(client.with(&token, "/account").await.body, "ada", "within the grace, for requests on their way");
    place.clock.advance(MINUTE / 2);
    assert_eq!(client.with(&token, "/account").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_such_a_header_no_interval_rotates_a_bearer_token() {
    let place = Place::memory();
    let config = config().rotate_every(MINUTE).cookie_max_age(10 * MINUTE);
    let (client, token) = Client::signed_in(&place, config).await;
    for _ in 0..5 {
        place.clock.advance(MINUTE);
        let answer = client.with(&token, "/account").await;
        assert_eq!((answer.body.as_str(), answer.set_cookie(), new_token(&answer)), ("ada", None, None));
    }
    let browser = client.browser();
    browser.visit("/sign_in_with_cookie/betty").await;
    place.clock.advance(MINUTE);
    assert!(browser.visit("/read").await.token().is_some(), "a browser's rotates as ever");
}

#[tokio::test]
async fn the_age_of_a_cookie_renews_no_bearer_token() {
    let place = Place::memory();
    let (client, token) = Client::signed_in(&place, with_header().cookie_max_age(10 * MINUTE)).await;
    place.clock.advance(5 * MINUTE);
    assert_eq!(new_token(&client.with(&token, "/read").await), None);
}

#[tokio::test]
async fn whatever_makes_a_new_token_hands_it_over() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, with_header()).await;
        let rotated = new_token(&client.with(&token, "/rotate").await).expect("a new token");
        let signed_in = new_token(&client.with(&rotated, "/sign_in_with_cookie/betty").await).expect("a new token");
        assert_eq!(client.with(&signed_in, "/account").await.body, "betty");
        client.with(&signed_in, "/sign_out").await;
        let begun = new_token(&client.with(&signed_in, "/write").await).expect("a session of its own");
        assert_eq!(client.with(&begun, "/read").await.body, "andrew");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_the_handler_takes_is_not_in_the_header_as_well() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, with_header()).await;
        let answer = client.with(&token, "/rotate_and_take").await;
        assert_eq!(new_token(&answer), None);
        assert_eq!(client.with(&answer.body, "/account").await.body, "ada");

        let answer = client.without_token("/take_and_rotate").await;
        let latest = new_token(&answer).expect("the one that was made after the other was taken");
        assert_ne!(latest, answer.body);
        assert_eq!((client.with(&latest, "/account").await.body.as_str(), answer.set_cookie()), ("andrew", None));
    })
    .await;
}

#[tokio::test]
async fn a_browser_gets_no_token_in_the_header() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(with_header()));
        let browser = client.browser();
        for path in ["/write", "/rotate", "/sign_in_with_cookie/ada"] {
            let answer = browser.visit(path).await;
            assert_eq!(new_token(&answer), None, "{path}");
            assert!(answer.token().is_some(), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_token_that_nobody_gets_is_logged() {
    let place = Place::memory();
    let (client, token) = Client::signed_in(&place, config()).await;
    let capture = Capture::default();
    let _guard = tracing::subscriber::set_default(capture.subscriber());
    let answer = client.with(&token, "/rotate").await;
    assert_eq!((answer.status, new_token(&answer), answer.set_cookie()), (StatusCode::OK, None, None));
    assert_eq!(capture.count("nobody got the new token of a session"), 1);
    assert_eq!(client.with(&token, "/account").await.body, "ada", "the one before is held until the new one is shown");
}
