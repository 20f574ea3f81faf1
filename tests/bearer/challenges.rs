//! What a client is told when its token opens nothing. (RFC 6750, section 3)

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use cloakroom::web::Visit;

use super::app::{Client, config};
use crate::support::{Answer, Fault, Place, on_each_store};

const INVALID: &str = "Bearer error=\"invalid_token\"";

fn challenge(answer: &Answer) -> Vec<String> {
    answer.all(header::WWW_AUTHENTICATE)
}

#[tokio::test]
async fn a_request_without_a_token_is_told_to_bring_one() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config()));
        let answer = client.without_token("/account").await;
        assert_eq!((answer.status, challenge(&answer)), (StatusCode::UNAUTHORIZED, vec!["Bearer".to_owned()]));
        let error = answer.error.unwrap().to_string();
        assert!(error.contains("neither a session cookie nor a bearer token"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_stale_or_gone_or_no_token_is_invalid() {
    on_each_store(async |place| {
        let (client, first) = Client::signed_in(&place, config()).await;
        let second = client.with(&first, "/sign_in/ada").await.body;
        client.with(&second, "/sign_out").await;
        let nobodys = format!("{}.{}", "A".repeat(22), "A".repeat(43));
        for token in [&first, &second, &nobodys, "abc", ""] {
            let answer = client.with(token, "/account").await;
            assert_eq!((answer.status, challenge(&answer)), (StatusCode::UNAUTHORIZED, vec![INVALID.to_owned()]));
        }
        let error = client.with("abc", "/account").await.error.unwrap().to_string();
        assert!(error.contains("the header Authorization does not contain a well-formed token"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_visit_whose_response_can_carry_no_token_says_that_a_token_is_invalid_as_well() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(config());
        let client = Client::new(&sessions);
        let visitor = client.without_token("/begin").await.body;
        for (token, expected) in [(visitor.as_str(), "Bearer"), ("abc", INVALID)] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
            let ongoing =
                Visit::begin_without_tokens(&sessions, &Method::GET, &Uri::from_static("/"), &headers).unwrap();
            ongoing.visit().session().await.unwrap();
            let mut answer = HeaderMap::new();
            ongoing.finish(401).await.unwrap().apply(&mut answer);
            assert_eq!(answer[header::WWW_AUTHENTICATE], expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_whose_session_ends_during_the_request_is_invalid() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config()));
        for verb in ["set", "increment", "rotate", "devices"] {
            let token = client.without_token("/sign_in/ada").await.body;
            let answer = client.with(&token, &format!("/revoked_before/{verb}")).await;
            assert_eq!(
                (answer.status, challenge(&answer)),
                (StatusCode::UNAUTHORIZED, vec![INVALID.to_owned()]),
                "{verb}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn the_token_of_a_session_without_a_user_is_not_called_invalid() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config()));
        let token = client.without_token("/begin").await.body;
        let answer = client.with(&token, "/account").await;
        assert_eq!((answer.status, challenge(&answer)), (StatusCode::UNAUTHORIZED, vec!["Bearer".to_owned()]));
    })
    .await;
}

#[tokio::test]
async fn a_refusal_of_the_application_itself_carries_the_challenge_too() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        assert_eq!(challenge(&client.with(&token, "/own_refusal").await), ["Bearer"]);
        assert_eq!(challenge(&client.with("abc", "/own_refusal").await), [INVALID]);
        assert!(challenge(&client.with(&token, "/account").await).is_empty(), "only a refusal does");
    })
    .await;
}

#[tokio::test]
async fn a_store_that_is_away_is_no_invalid_token() {
    let place = Place::memory();
    let (client, token) = Client::signed_in(&place, config()).await;
    place.store.fault("load", Fault::Away);
    let answer = client.with(&token, "/account").await;
    assert_eq!((answer.status, challenge(&answer).len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
}

#[tokio::test]
async fn writing_with_a_token_that_opens_nothing_is_refused_and_stores_nothing() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        client.with(&token, "/sign_out").await;
        for path in ["/write", "/count", "/begin"] {
            place.store.asked();
            let answer = client.with(&token, path).await;
            assert_eq!(
                (answer.status, challenge(&answer)),
                (StatusCode::UNAUTHORIZED, vec![INVALID.to_owned()]),
                "{path}"
            );
            assert_eq!(place.store.asked(), ["load"], "{path}");
        }
        let answer = client.with(&token, "/sign_in/ada").await;
        assert_eq!(answer.status, StatusCode::OK, "but a sign-in takes no offence at an old token");
        assert_eq!(client.with(&answer.body, "/account").await.body, "ada");
    })
    .await;
}

#[tokio::test]
async fn a_program_with_a_token_is_not_sent_to_the_sign_in_page() {
    on_each_store(async |place| {
        let client = Client::new(&place.sessions_with(config().sign_in_page("/sign-in")));
        let html = client.browser().saying(header::ACCEPT, "text/html");
        assert_eq!(html.send("/account", None).await.status, StatusCode::SEE_OTHER);
        let answer = html.saying(header::AUTHORIZATION, "Bearer abc").send("/account", None).await;
        assert_eq!((answer.status, challenge(&answer)), (StatusCode::UNAUTHORIZED, vec![INVALID.to_owned()]));
    })
    .await;
}
