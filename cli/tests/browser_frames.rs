//! What a real browser does with the cookie of an application that other sites show in a frame, and with a script that tries
//! to plant a cookie. The guide rests on this ("Proxies, caches and cookies").
//!
//! To a browser each `*.localhost` is a site of its own, and as good as one with TLS.

mod support;

use axum::Router;
use axum::http::header::{COOKIE, HOST};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Html;
use axum::routing::get;
use cloakroom::store::Memory;
use cloakroom::{Config, ConfigBuilder, Error, Field, SameSite, Session, Sessions};

use crate::support::browser::Browser;
use crate::support::served::serve;

const VIEWS: Field<i64> = Field::new("page_views");

/// An application that counts, and that every other name of the machine shows in a frame.
fn app(config: ConfigBuilder) -> Router {
    let count = async |session: Session| {
        let views = session.increment(VIEWS, 1).await?;
        Ok::<_, Error>(Html(format!("<!doctype html><p id=views>{views}</p>")))
    };
    let sign_out = async |session: Session| session.sign_out().await.map(|()| Html("<p id=views>signed out</p>"));
    Router::new()
        .route("/count", get(count))
        .route("/sign_out", get(sign_out))
        .layer(Sessions::new(Memory::new(), config.build().expect("a configuration")).layer())
        .route(
            "/cookies",
            get(async |headers: HeaderMap| Html(format!("<p id=cookies>{}</p>", text(&headers, COOKIE)))),
        )
        .route("/in_a_frame", get(async |headers: HeaderMap| frame(&headers, "/count")))
        .route("/sign_out_in_a_frame", get(async |headers: HeaderMap| frame(&headers, "/sign_out")))
}

fn frame(headers: &HeaderMap, path: &str) -> Html<String> {
    let host = text(headers, HOST);
    let (_, port) = host.rsplit_once(':').expect("a port");
    Html(format!(r#"<!doctype html><iframe src="http://app.localhost:{port}{path}"></iframe>"#))
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

/// What the application shows in a frame of this site.
fn in_a_frame(browser: &Browser, port: u16, site: &str, path: &str) -> String {
    browser.go(&format!("http://{site}.localhost:{port}{path}"));
    browser.look_into_frame();
    browser.wait_for("#views", |views| !views.is_empty())
}

fn views_in(browser: &Browser, port: u16, site: &str) -> String {
    in_a_frame(browser, port, site, "/in_a_frame")
}

#[test]
fn browser_has_a_session_for_each_site_that_shows_the_application_in_a_frame() {
    let config = Config::builder().cookie_name("__Host-Http-sid").same_site(SameSite::None).cookie_partitioned();
    let port = serve(app(config));
    for allowed in [true, false] {
        let browser = Browser::with_cookies_of_other_sites(allowed);
        assert_eq!(views_in(&browser, port, "one"), "1");
        assert_eq!(views_in(&browser, port, "one"), "2");
        assert_eq!(views_in(&browser, port, "two"), "1", "another site, another session");
        browser.go(&format!("http://app.localhost:{port}/count"));
        browser.wait_for_text("#views", "1"); // the application itself is a third site
        assert_eq!(views_in(&browser, port, "one"), "3");
        assert_eq!(views_in(&browser, port, "two"), "2");
        assert_eq!(in_a_frame(&browser, port, "one", "/sign_out_in_a_frame"), "signed out");
        assert_eq!(views_in(&browser, port, "one"), "1", "the cookie was removed, and the session was ended");
        assert_eq!(views_in(&browser, port, "two"), "3", "where the visitor did not sign out");
    }
}

#[test]
fn browser_takes_one_cookie_to_all_sites_or_none_at_all_if_it_is_not_partitioned() {
    let port = serve(app(Config::builder().same_site(SameSite::None)));
    let browser = Browser::with_cookies_of_other_sites(true);
    assert_eq!(views_in(&browser, port, "one"), "1");
    assert_eq!(views_in(&browser, port, "two"), "2", "one session everywhere");
    let browser = Browser::with_cookies_of_other_sites(false);
    assert_eq!(views_in(&browser, port, "one"), "1");
    assert_eq!(views_in(&browser, port, "one"), "1", "no session anywhere");
}

/// What reaches the server after a script of the page has tried to set this cookie in both ways that there are.
fn after_a_script_has_set(browser: &Browser, port: u16, name: &str) -> String {
    browser.go(&format!("http://app.localhost:{port}/cookies"));
    browser.run(&format!("document.cookie = '{name}=by_document; Secure; Path=/'"));
    browser.run(&format!("return cookieStore.set('{name}', 'by_store').catch(() => null)"));
    browser.reload();
    browser.wait_for("#cookies", |_| true)
}

#[test]
fn browser_lets_no_script_plant_a_cookie_with_the_prefix_host_http() {
    let port = serve(app(Config::builder().cookie_name("__Host-Http-sid")));
    let browser = Browser::open();
    assert_eq!(after_a_script_has_set(&browser, port, "__Host-Http-sid"), "");
    assert_eq!(
        after_a_script_has_set(&browser, port, "__Host-sid"),
        "__Host-sid=by_store",
        "the shorter prefix allows it"
    );
    // the application itself may set it, and no script replaces or reads it
    browser.go(&format!("http://app.localhost:{port}/count"));
    browser.wait_for_text("#views", "1");
    let cookie = browser.cookie("__Host-Http-sid").expect("the browser has accepted it");
    assert_eq!((&cookie["httpOnly"], &cookie["secure"], &cookie["path"]), (&true.into(), &true.into(), &"/".into()));
    let cookies = after_a_script_has_set(&browser, port, "__Host-Http-sid");
    assert!(cookies.contains("__Host-Http-sid=") && !cookies.contains("__Host-Http-sid=by_"), "{cookies}");
    browser.go(&format!("http://app.localhost:{port}/count"));
    browser.wait_for_text("#views", "2");
}
