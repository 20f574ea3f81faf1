//! A request that names its session in two ways is refused: nobody can say which one it means. (RFC 6750, section 2)

use axum::http::{HeaderName, StatusCode, header};

use super::app::{Client, config};
use crate::support::{Answer, on_each_store};

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    assert_eq!(answer.all(header::WWW_AUTHENTICATE), ["Bearer error=\"invalid_request\""]);
    assert_eq!(answer.set_cookie(), None);
    assert!(answer.error.as_ref().unwrap().is_ambiguous() && answer.error.as_ref().unwrap().code() == "ambiguous");
}

#[tokio::test]
async fn a_cookie_beside_a_bearer_token_is_refused_even_if_they_are_the_same() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        let (_, other) = Client::signed_in(&place, config()).await;
        place.store.asked();
        for cookie in [token.as_str(), &other, "x", ""] {
            let browser = client.browser();
            browser.carry("__Host-sid", cookie);
            for authorization in [&format!("Bearer {token}"), "Bearer x", "bearer"] {
                for path in ["/account", "/untouched", "/sign_out"] {
                    let answer = browser.saying(header::AUTHORIZATION, authorization).get(path).await;
                    assert_refused(&answer);
                    assert!(answer.body.contains("either the session cookie or one header"), "{}", answer.body);
                }
            }
        }
        assert!(place.store.asked().is_empty(), "no store is asked");
        assert_eq!(client.with(&token, "/account").await.body, "ada", "nothing has happened to the session");
    })
    .await;
}

#[tokio::test]
async fn other_cookies_and_other_schemes_are_no_second_way() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        let browser = client.browser();
        browser.carry("theme", "dark");
        let answer = browser.saying(header::AUTHORIZATION, &format!("Bearer {token}")).get("/account").await;
        assert_eq!(answer.body, "ada");

        let browser = client.browser();
        browser.carry("__Host-sid", &token);
        for authorization in ["Basic YTpi", "Bearerx abc", "Negotiate"] {
            assert_eq!(browser.saying(header::AUTHORIZATION, authorization).get("/account").await.body, "ada");
        }
    })
    .await;
}

#[tokio::test]
async fn a_doubled_header_is_refused_where_one_of_them_is_a_bearer_token() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        let bearer = format!("Bearer {token}");
        for (first, second) in [(bearer.as_str(), bearer.as_str()), (&bearer, "Basic YTpi"), ("Basic YTpi", &bearer)] {
            let browser = client.browser().saying(header::AUTHORIZATION, first).saying(header::AUTHORIZATION, second);
            assert_refused(&browser.send("/account", None).await);
        }
        let other = client.browser().saying(header::AUTHORIZATION, "Basic YTpi");
        let answer = other.saying(header::AUTHORIZATION, "Basic YTpi").send("/exists", None).await;
        assert_eq!(answer.body, "false", "two headers of another scheme are not ours to judge");
    })
    .await;
}

#[tokio::test]
async fn a_forged_request_with_the_cookie_is_refused_whatever_it_brings_beside_it() {
    on_each_store(async |place| {
        let (client, token) = Client::signed_in(&place, config()).await;
        let cookie = format!("__Host-sid={token}");
        let forged = (HeaderName::from_static("sec-fetch-site"), "cross-site");
        let headers = [forged, (header::COOKIE, &cookie), (header::AUTHORIZATION, "Bearer x")];
        assert_refused(&client.post("/write", &headers).await);
        assert_eq!(client.with(&token, "/read").await.body, "");
    })
    .await;
}
