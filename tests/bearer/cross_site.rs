//! No other site can make a browser send a bearer token, so a request that brings nothing else is not judged.

use axum::http::{HeaderName, StatusCode, header};
use cloakroom::Csrf;

use super::app::{Client, config};
use crate::support::on_each_store;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[tokio::test]
async fn a_request_with_nothing_but_a_bearer_token_passes_wherever_it_comes_from() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config().csrf(Csrf::Strict)).await;
        let bearer = format!("Bearer {token}");
        let from_elsewhere = [(SEC_FETCH_SITE, "cross-site"), (header::ORIGIN, "https://app.example")];
        for others in [&from_elsewhere[..], &from_elsewhere[..1], &[]] {
            let headers = [&[(header::AUTHORIZATION, bearer.as_str())], others].concat();
            assert_eq!(client.post("/write", &headers).await.status, StatusCode::OK, "{others:?}");
            assert_eq!(client.post("/form", &headers).await.status, StatusCode::OK, "no form's token is needed either");
        }
    })
    .await;
}

#[tokio::test]
async fn every_other_request_is_judged_as_ever() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        let forged = (SEC_FETCH_SITE, "cross-site");
        let cookie = format!("__Host-sid={token}");
        assert_eq!(client.post("/write", std::slice::from_ref(&forged)).await.status, StatusCode::FORBIDDEN);
        let with_cookie = [forged.clone(), (header::COOKIE, &cookie)];
        assert_eq!(client.post("/write", &with_cookie).await.status, StatusCode::FORBIDDEN);
        for authorization in ["Basic YTpi", "Bearerx abc", "", "Digest username=\"Bearer\"", "Basic Bearer abc"] {
            let headers = [forged.clone(), (header::AUTHORIZATION, authorization)];
            assert_eq!(client.post("/write", &headers).await.status, StatusCode::FORBIDDEN, "{authorization}");
        }
    })
    .await;
}
