//! A client with a bearer token has the session that a browser would have, and gets no cookie.

use axum::http::{StatusCode, header};
use cloakroom::{Config, TokenFormat};

use super::app::{Client, config};
use crate::support::{Browser, on_each_store};

#[tokio::test]
async fn a_sign_in_answers_with_its_token_once_and_sets_no_cookie() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config()));
        let answer = client.without_token("/sign_in/ada").await;
        assert_eq!((answer.status, answer.set_cookie()), (StatusCode::OK, None));
        assert_eq!(answer.all(header::CACHE_CONTROL), ["no-store"]);
        let token = answer.body;
        assert_eq!(client.with(&token, "/account").await.body, "ada");

        let again = client.with(&token, "/take").await;
        assert_eq!(again.status, StatusCode::INTERNAL_SERVER_ERROR);
        let error = again.error.unwrap().to_string();
        assert!(error.contains("has no token to take") && error.contains("after `sign_in`"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_session_of_nobody_gives_its_token_away_after_a_commit() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config()));
        let answer = client.without_token("/begin").await;
        assert_eq!(answer.set_cookie(), None);
        assert_eq!(client.with(&answer.body, "/read").await.body, "andrew");
        assert_eq!(client.with(&answer.body, "/count").await.body, "1");
        assert_eq!(client.with(&answer.body, "/count").await.body, "2");
    })
    .await;
}

#[tokio::test]
async fn no_answer_to_a_bearer_token_sets_or_removes_a_cookie() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        for path in ["/read", "/write", "/count", "/rotate", "/sign_in_with_cookie/betty", "/sign_out", "/read"] {
            let answer = client.with(&token, path).await;
            assert_eq!(answer.set_cookie(), None, "{path} answered {}", answer.status);
        }
    })
    .await;
}

#[tokio::test]
async fn signing_out_ends_the_session_of_the_bearer_token() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        assert_eq!(client.with(&token, "/sign_out").await.status, StatusCode::OK);
        assert_eq!(client.with(&token, "/exists").await.body, "false");
        assert_eq!(client.with(&token, "/sign_out").await.status, StatusCode::OK, "twice is no mistake");
    })
    .await;
}

#[tokio::test]
async fn the_token_of_a_visitor_opens_nothing_after_the_sign_in() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config()));
        let visitor = client.without_token("/begin").await.body;
        let answer = client.with(&visitor, "/sign_in/ada").await;
        assert_eq!(client.with(&answer.body, "/account").await.body, "ada");
        assert_eq!(client.with(&answer.body, "/read").await.body, "andrew", "the fields stay");
        assert_eq!(client.with(&visitor, "/exists").await.body, "false");
    })
    .await;
}

#[tokio::test]
async fn a_client_and_a_browser_of_one_user_are_two_devices() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        let browser = client.browser();
        let answer = browser.visit("/sign_in_with_cookie/ada").await;
        assert!(answer.token().is_some(), "a browser gets its cookie as ever");
        assert_eq!(browser.visit("/devices").await.body, "2");
        assert_eq!(client.with(&token, "/devices").await.body, "2");
    })
    .await;
}

#[tokio::test]
async fn a_token_is_the_same_in_a_cookie_and_in_the_header() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        let browser = client.browser();
        browser.carry("__Host-sid", &token);
        assert_eq!(browser.visit("/account").await.body, "ada");

        let other = client.browser();
        other.visit("/sign_in_with_cookie/betty").await;
        assert_eq!(client.with(&other.token().unwrap(), "/account").await.body, "betty");
    })
    .await;
}

#[tokio::test]
async fn a_browser_whose_token_is_taken_loses_its_cookie() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config()));
        let browser = client.browser();
        browser.visit("/write").await;
        let answer = browser.visit("/sign_in/ada").await;
        assert!(
            answer.set_cookie().unwrap().contains("Max-Age=0"),
            "the cookie would open nothing, and be a second way"
        );
        assert_eq!((browser.token(), answer.token()), (None, None));
        assert_eq!(client.with(&answer.body, "/read").await.body, "andrew");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_was_taken_before_a_sign_out_is_for_no_cache_and_there_is_no_cookie_to_remove() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config()));
        let answer = client.without_token("/take_and_sign_out").await;
        assert_eq!((answer.status, answer.set_cookie()), (StatusCode::OK, None));
        assert_eq!(answer.all(header::CACHE_CONTROL), ["no-store"]);
        assert_eq!(client.with(&answer.body, "/exists").await.body, "false");
    })
    .await;
}

#[tokio::test]
async fn responses_differ_by_the_header_as_well_as_by_the_cookie() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        let answer = client.with(&token, "/read").await;
        assert_eq!(answer.all(header::VARY), ["Cookie", "Authorization"]);
        assert!(answer.all(header::CACHE_CONTROL).is_empty());
        assert_eq!(client.without_token("/read").await.all(header::VARY), ["Cookie", "Authorization"]);
        assert!(client.with(&token, "/untouched").await.is_silent());
    })
    .await;
}

#[tokio::test]
async fn without_the_setting_the_header_is_not_looked_at() {
    on_each_store(async |place| {
        let (_, token) = Client::signed_in(&place, config()).await;
        let client = Client::new(&place.sessions_with(Config::builder()));
        let answer = client.with(&token, "/exists").await;
        assert_eq!((answer.body.as_str(), answer.all(header::VARY)), ("false", vec!["Cookie".to_owned()]));
        let refused = client.with(&token, "/account").await;
        assert!(!refused.headers.contains_key(header::WWW_AUTHENTICATE));
        let browser = client.browser();
        browser.carry("__Host-sid", &token);
        let both = browser.saying(header::AUTHORIZATION, &format!("Bearer {token}")).get("/account").await;
        assert_eq!(both.body, "ada");
        let taken = client.without_token("/sign_in/ada").await;
        assert_eq!(taken.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(taken.error.unwrap().to_string().contains("call `bearer_tokens`"));
    })
    .await;
}

#[tokio::test]
async fn plain_tokens_work_in_the_header_as_well() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config().token_format(TokenFormat::Plain)));
        let token = client.without_token("/begin").await.body;
        assert_eq!(token.len(), 43);
        assert_eq!(client.with(&token, "/read").await.body, "andrew");
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_takes_no_token_has_its_cookie_as_ever() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config()));
        let browser: Browser = client.browser();
        let answer = browser.visit("/write").await;
        assert!(answer.token().is_some());
        assert_eq!(browser.visit("/read").await.body, "andrew");
    })
    .await;
}
