//! Where a visitor wanted to go: told to the sign-in page, and checked on the way back.

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{ACCEPT, LOCATION};
use cloakroom::{Config, ConfigBuilder, RecentSignIn, Session, SignedIn, local_path};
use serde::Deserialize;

use super::framework::{Query, Redirect, Router, any, get};
use crate::support::{Browser, Place};

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    next: String,
}

/// Every path but the sign-in page is for people who are signed in.
fn app(config: ConfigBuilder) -> Router {
    let account = async |SignedIn { .. }: SignedIn| "for those who are signed in";
    let pay = async |_: RecentSignIn<600>| "paid";
    let sign_in = async |session: Session, Query(wanted): Query<Wanted>| {
        session.sign_in("anna").await?;
        Ok::<_, cloakroom::Error>(Redirect::to(local_path(&wanted.next)))
    };
    let inner = Router::new().route("/orders", get(account)).route("/pay", get(pay));
    Router::new()
        .nest("/shop", inner)
        .route("/sign-in", any(sign_in))
        .fallback(account)
        .layer(Place::memory().sessions_with(config).layer())
}

fn with_next() -> ConfigBuilder {
    Config::builder().sign_in_page("/sign-in").sign_in_next("next")
}

async fn location(app: &Router, uri: &str) -> String {
    let request = Request::get(uri).header(ACCEPT, HTML).body(Body::empty()).unwrap();
    let answer = Browser::new(app.clone()).ask(request).await;
    assert_eq!(answer.status, 303, "{uri}");
    answer.all(LOCATION).remove(0)
}

#[tokio::test]
async fn the_sign_in_page_is_told_path_and_query() {
    let app = app(with_next());
    for (asked, expected) in [
        ("/", "/sign-in?next=/"),
        ("/shop/orders", "/sign-in?next=/shop/orders"),
        ("/shop/pay", "/sign-in?next=/shop/pay"),
        ("/shop/orders?page=2&q=a+b", "/sign-in?next=/shop/orders%3Fpage%3D2%26q%3Da%2Bb"),
        ("/a%20b%2F%C3%A4?%26=%3D", "/sign-in?next=/a%2520b%252F%25C3%25A4%3F%2526%3D%253D"),
        ("/x?next=/y", "/sign-in?next=/x%3Fnext%3D/y"),
        ("https://shop.example/shop/orders?a", "/sign-in?next=/shop/orders%3Fa"),
    ] {
        assert_eq!(location(&app, asked).await, expected);
    }
}

#[tokio::test]
async fn the_sign_in_page_is_not_told_a_path_that_would_be_refused_on_the_way_back() {
    let app = app(with_next());
    let long = format!("/{}", "a".repeat(2048));
    for asked in ["//evil.example/", "//evil.example/shop/orders", "/shop//orders", &long] {
        assert_eq!(location(&app, asked).await, "/sign-in", "{asked}");
    }
}

#[tokio::test]
async fn the_parameter_is_added_to_the_query_of_the_sign_in_page() {
    for (page, expected) in [
        ("/sign-in", "/sign-in?to=/a%3Fb"),
        ("/sign-in?lang=de", "/sign-in?lang=de&to=/a%3Fb"),
        ("/sign-in#form", "/sign-in?to=/a%3Fb#form"),
        ("/sign-in?lang=de#form?", "/sign-in?lang=de&to=/a%3Fb#form?"),
    ] {
        let app = app(Config::builder().sign_in_page(page).sign_in_next("to"));
        assert_eq!(location(&app, "/a?b").await, expected);
    }
    assert_eq!(
        location(&app(Config::builder().sign_in_page("/sign-in")), "/a?b").await,
        "/sign-in",
        "unless asked for"
    );
}

#[tokio::test]
async fn after_the_sign_in_the_visitor_gets_the_page_that_they_asked_for() {
    for asked in ["/", "/shop/orders?page=2&q=a+b%26c", "/a%20b%2F%C3%A4?%26=%3D#", "/x?next=//evil.example"] {
        let browser = Browser::new(app(with_next())).saying(ACCEPT, HTML);
        let sign_in = browser.get(asked).await.all(LOCATION).remove(0);
        let answer = browser.get(&sign_in).await;
        assert_eq!(answer.status, 303);
        let back = answer.all(LOCATION).remove(0);
        assert_eq!(back, asked.trim_end_matches('#'));
        assert_eq!(browser.visit(&back).await.status, 200);
    }
}

/// What has redirected visitors of other applications to other sites, and what is no path at all.
const FOREIGN: &[&str] = &[
    "",
    " ",
    "*",
    "evil.example",
    "https://evil.example",
    "HTTPS://evil.example/",
    "https:/evil.example",
    "https:evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    "/\r\n/evil.example",
    "/\0/evil.example",
    " //evil.example",
    " /orders",
    "/orders ",
    "\u{a0}//evil.example",
    "/\u{2028}/evil.example",
    "/\u{ff0f}evil.example",
    "/größe",
    "/.//evil.example",
    "/..//evil.example",
    "/a/..//evil.example",
    "/a//b",
    "/a\\b",
    "/?\\",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "?next=/",
    "#",
    "./orders",
    "../orders",
    "@evil.example",
    ".evil.example",
    "/orders\r\nSet-Cookie: sid=1",
    "http:///evil.example",
    "/\"><script>alert(1)</script>",
    "/?q=\"onmouseover=alert(1)",
    "/`",
    "http:\\\\evil.example",
];

/// What looks odd, and stays on this site.
const OWN: &[&str] = &[
    "/",
    "/orders",
    "/orders?page=2#last",
    "/?u=https://evil.example",
    "/#//evil.example",
    "/@evil.example",
    "/:80",
    "/%2F/evil.example",
    "/%2F%2Fevil.example",
    "/%5Cevil.example",
    "/%09/evil.example",
    "/.evil.example",
    "/../orders",
    "/javascript:alert(1)",
];

#[test]
fn only_a_path_of_this_site_comes_back() {
    for text in FOREIGN {
        assert_eq!(local_path(text), "/", "{text:?}");
        assert!(Config::builder().sign_in_page(*text).build().is_err(), "nor is it a sign-in page: {text:?}");
    }
    for text in OWN {
        assert_eq!(local_path(text), *text);
        Config::builder().sign_in_page(*text).build().unwrap();
    }
    let longest = format!("/{}", "a".repeat(2047));
    assert_eq!(local_path(&longest), longest);
    assert_eq!(local_path(&format!("{longest}a")), "/");
}
