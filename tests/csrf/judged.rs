//! The decision table: by what the browser says of a request. The cases of Go's `CrossOriginProtection` and of tower-http's
//! `csrf`, and those where this layer is stricter: the scheme counts, headers may not come twice, strict mode.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Method, Request, header};
use cloakroom::{Config, ConfigBuilder, Csrf, Field, Session};

use super::framework::{Router, any};
use crate::support::{Answer, Browser, Fault, Place};

const SITE: &str = "sec-fetch-site";
const HOST: &str = "host";
const ORIGIN: &str = "origin";

/// A place whose only route changes the session, and how often it was reached.
struct Scene {
    place: Place,
    browser: Browser,
    reached: Arc<AtomicUsize>,
}

impl Scene {
    async fn new(config: ConfigBuilder) -> Scene {
        let (place, reached) = (Place::memory(), Arc::new(AtomicUsize::new(0)));
        let counter = reached.clone();
        let change = async move |session: Session| {
            counter.fetch_add(1, Ordering::SeqCst);
            session.increment(Field::new("n"), 1).await.map(|n| n.to_string())
        };
        let sessions = place.sessions_with(config);
        let browser = Browser::new(Router::new().route("/do", any(change)).layer(sessions.layer()));
        browser.visit("/do").await;
        Scene { place, browser, reached }
    }

    /// Sends it with the visitor's cookie; whether it was let through. Refused is refused entirely.
    async fn lets(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        self.place.store.asked();
        let before = self.reached.load(Ordering::SeqCst);
        let answer = self.ask(method, uri, headers).await;
        let reached = self.reached.load(Ordering::SeqCst) - before;
        if answer.status == 200 {
            assert_eq!(reached, 1);
            return true;
        }
        assert_eq!((answer.status.as_u16(), reached), (403, 0));
        assert_eq!(answer.set_cookie(), None);
        assert!(answer.error.unwrap().is_cross_site());
        assert!(self.place.store.asked().is_empty(), "a refused request causes no I/O");
        false
    }

    async fn ask(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        let token = self.browser.cookie("__Host-sid").or(self.browser.cookie("sid")).unwrap();
        let name = if self.browser.cookie("sid").is_some() { "sid" } else { "__Host-sid" };
        let method: Method = method.parse().unwrap();
        let mut request = Request::builder().method(method).uri(uri).header(header::COOKIE, format!("{name}={token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.browser.ask(request.body(Body::empty()).unwrap()).await
    }
}

type Row = (&'static [(&'static str, &'static str)], bool);

async fn decide(config: ConfigBuilder, method: &str, table: &[Row]) {
    let scene = Scene::new(config).await;
    for (headers, expected) in table {
        assert_eq!(scene.lets(method, "/do", headers).await, *expected, "{method} {headers:?}");
    }
}

/// What a browser of the last years sends.
const FETCH_METADATA: &[Row] = &[
    (&[(HOST, "example.com"), (SITE, "same-origin")], true),
    (&[(HOST, "example.com"), (SITE, "none")], true),
    (&[(HOST, "example.com"), (SITE, "cross-site")], false),
    (&[(HOST, "example.com"), (SITE, "same-site")], false),
    (&[(HOST, "example.com"), (SITE, "same-origin"), (ORIGIN, "https://example.com")], true),
    (&[(HOST, "example.com"), (SITE, "same-origin"), (ORIGIN, "null")], true),
    (&[(HOST, "example.com"), (SITE, "cross-site"), (ORIGIN, "https://example.com")], false),
    (&[(HOST, "example.com"), (SITE, "cross-site"), (ORIGIN, "https://attacker.example")], false),
    (&[(HOST, "example.com"), (SITE, "same-site"), (ORIGIN, "https://app.example.com")], false),
    (&[(HOST, "example.com"), (SITE, "none"), (ORIGIN, "https://attacker.example")], true),
    // what no browser sends
    (&[(HOST, "example.com"), (SITE, "SAME-ORIGIN")], false),
    (&[(HOST, "example.com"), (SITE, "same-origin;x")], false),
    (&[(HOST, "example.com"), (SITE, "same-origin, cross-site")], false),
    (&[(HOST, "example.com"), (SITE, "anything")], false),
    (&[(HOST, "example.com"), (SITE, "same-origin"), (SITE, "same-origin")], false),
    (&[(HOST, "example.com"), (SITE, "none"), (SITE, "cross-site")], false),
    (
        &[
            (HOST, "example.com"),
            (SITE, "same-origin"),
            (ORIGIN, "https://example.com"),
            (ORIGIN, "https://example.com"),
        ],
        false,
    ),
];

/// What an older browser sends.
const ORIGIN_ONLY: &[Row] = &[
    (&[(HOST, "example.com"), (ORIGIN, "https://example.com")], true),
    (&[(HOST, "example.com"), (ORIGIN, "https://attacker.example")], false),
    (&[(HOST, "example.com"), (ORIGIN, "null")], false),
    (&[(HOST, "example.com"), (ORIGIN, "http://example.com")], false),
    (&[(HOST, "app.example"), (ORIGIN, "https://app.example.evil")], false),
    (&[(HOST, "app.example"), (ORIGIN, "https://evil.app.example")], false),
    (&[(HOST, "app.example"), (ORIGIN, "https://app.example@evil")], false),
    (&[(HOST, "app.example"), (ORIGIN, "https://evil/https://app.example")], false),
    (&[(HOST, "app.example"), (ORIGIN, "app.example")], false),
    (&[(HOST, "app.example"), (ORIGIN, "https://")], false),
    (&[(HOST, "example.com"), (ORIGIN, "https://example.com/")], false),
    (&[(HOST, "example.com"), (ORIGIN, "HTTPS://example.com")], false),
    (&[(HOST, "EXAMPLE.com"), (ORIGIN, "https://example.com")], true),
    (&[(HOST, "example.com"), (ORIGIN, "https://EXAMPLE.COM")], true),
    (&[(HOST, "example.com:8443"), (ORIGIN, "https://example.com:8443")], true),
    (&[(HOST, "example.com:8443"), (ORIGIN, "https://example.com")], false),
    (&[(HOST, "example.com"), (ORIGIN, "https://example.com:8443")], false),
    (&[(HOST, "example.com:8443"), (ORIGIN, "https://example.com:8444")], false),
    (&[(HOST, "[::1]:3000"), (ORIGIN, "https://[::1]:3000")], true),
    // browsers leave the default port out of Origin, whoever wrote Host may not
    (&[(HOST, "shop.example:443"), (ORIGIN, "https://shop.example")], true),
    (&[(HOST, "shop.example"), (ORIGIN, "https://shop.example:443")], true),
    (&[(HOST, "shop.example:443"), (ORIGIN, "https://shop.example:443")], true),
    (&[(HOST, "[::1]:443"), (ORIGIN, "https://[::1]")], true),
    (&[(HOST, "shop.example:80"), (ORIGIN, "https://shop.example")], false),
    (&[(HOST, "shop.example:443"), (ORIGIN, "https://evil.example")], false),
    (&[(HOST, "shop.example:443"), (ORIGIN, "https://shop.example:8443")], false),
    (&[(HOST, "shop.example:443"), (ORIGIN, "http://shop.example")], false),
    (&[(HOST, "shop.example:443"), (ORIGIN, "https://shop.example:443:443")], false),
    (&[(HOST, ":443"), (ORIGIN, "https://")], false),
    (&[(HOST, "127.0.0.1:3000"), (ORIGIN, "https://localhost:3000")], false),
    (&[(HOST, "example.com"), (ORIGIN, "https://example.com"), (ORIGIN, "https://example.com")], false),
    (&[(HOST, "example.com"), (ORIGIN, "https://example.com, https://attacker.example")], false),
    (&[(HOST, "example.com"), (ORIGIN, "https://example.com\u{e4}")], false),
    (&[(ORIGIN, "https://example.com")], false),
];

/// What is no browser, or hides that it is one.
const NEITHER: &[Row] =
    &[(&[(HOST, "example.com")], true), (&[(HOST, "example.com"), (ORIGIN, ""), (SITE, "")], true), (&[], true)];

#[tokio::test]
async fn a_request_that_changes_something_is_judged_by_fetch_metadata_then_by_the_full_origin() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "PROPFIND", "get"] {
        for table in [FETCH_METADATA, ORIGIN_ONLY, NEITHER] {
            decide(Config::builder(), method, table).await;
        }
    }
}

#[tokio::test]
async fn a_request_that_only_reads_is_never_refused() {
    let all: Vec<_> = [FETCH_METADATA, ORIGIN_ONLY, NEITHER].concat();
    let pass: Vec<Row> = all.into_iter().map(|(headers, _)| (headers, true)).collect();
    for method in ["GET", "HEAD", "OPTIONS"] {
        decide(Config::builder(), method, &pass).await;
        decide(Config::builder().csrf(Csrf::Strict), method, &pass).await;
    }
}

/// How browsers and other programs ask for a WebSocket over HTTP/1.1.
const UPGRADES: [&[(&str, &str)]; 7] = [
    &[("connection", "Upgrade"), ("upgrade", "websocket")],
    &[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")],
    &[("connection", "upgrade"), ("upgrade", "h2c, websocket")],
    &[("connection", "upgrade"), ("upgrade", "h2c,WEBSOCKET , other")],
    &[("connection", "upgrade"), ("upgrade", "h2c"), ("upgrade", "websocket")],
    &[("connection", "upgrade"), ("upgrade", "websocket/13")],
    // a proxy took `Connection` away, and the application goes by `Upgrade` alone
    &[("upgrade", "websocket")],
];

#[tokio::test]
async fn a_get_that_opens_a_web_socket_is_judged_as_a_post() {
    let csrf = |csrf| Config::builder().csrf(csrf);
    let all: Vec<_> = [FETCH_METADATA, ORIGIN_ONLY, NEITHER].concat();
    let nothing_said = NEITHER.iter().map(|(headers, _)| *headers).collect::<Vec<_>>();
    for (mode, upgrades) in [(Csrf::On, &UPGRADES[..]), (Csrf::Strict, &UPGRADES[..1]), (Csrf::Off, &UPGRADES[..1])] {
        let scene = Scene::new(csrf(mode)).await;
        for upgrade in upgrades {
            for (headers, as_post) in &all {
                let expected = match mode {
                    Csrf::Off => true,
                    Csrf::Strict if nothing_said.contains(headers) => false,
                    _ => *as_post,
                };
                let both = [*upgrade, *headers].concat();
                assert_eq!(scene.lets("GET", "/do", &both).await, expected, "{mode:?} {both:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_upgrade_to_something_else_only_reads() {
    let scene = Scene::new(Config::builder()).await;
    for upgrade in ["h2c", "websockets", "not-websocket", "TLS/1.2", ""] {
        let headers = [("connection", "upgrade"), ("upgrade", upgrade), (SITE, "cross-site")];
        assert!(scene.lets("GET", "/do", &headers).await, "{upgrade:?}");
    }
}

#[tokio::test]
async fn strict_mode_refuses_what_says_nothing_and_decides_the_rest_alike() {
    let strict = || Config::builder().csrf(Csrf::Strict);
    decide(strict(), "POST", FETCH_METADATA).await;
    decide(strict(), "POST", ORIGIN_ONLY).await;
    let refuse: Vec<Row> = NEITHER.iter().map(|(headers, _)| (*headers, false)).collect();
    decide(strict(), "POST", &refuse).await;
}

#[tokio::test]
async fn a_check_that_is_switched_off_refuses_nothing() {
    let all: Vec<_> = [FETCH_METADATA, ORIGIN_ONLY, NEITHER].concat();
    let pass: Vec<Row> = all.into_iter().map(|(headers, _)| (headers, true)).collect();
    decide(Config::builder().csrf(Csrf::Off), "POST", &pass).await;
}

#[tokio::test]
async fn a_trusted_origin_passes_and_what_resembles_it_does_not() {
    let table: &[Row] = &[
        (&[(HOST, "example.com"), (ORIGIN, "https://trusted.example")], true),
        (&[(HOST, "example.com"), (ORIGIN, "https://trusted.example"), (SITE, "cross-site")], true),
        (&[(HOST, "example.com"), (ORIGIN, "https://trusted.example"), (SITE, "same-site")], true),
        (&[(HOST, "example.com"), (ORIGIN, "http://plain.example:8080"), (SITE, "cross-site")], true),
        (&[(HOST, "example.com"), (ORIGIN, "https://attacker.example"), (SITE, "cross-site")], false),
        (&[(HOST, "example.com"), (ORIGIN, "https://attacker.example")], false),
        (&[(HOST, "example.com"), (ORIGIN, "http://trusted.example"), (SITE, "cross-site")], false),
        (&[(HOST, "example.com"), (ORIGIN, "https://trusted.example:444"), (SITE, "cross-site")], false),
        (&[(HOST, "example.com"), (ORIGIN, "https://trusted.example.evil"), (SITE, "cross-site")], false),
        (&[(HOST, "example.com"), (ORIGIN, "https://sub.trusted.example"), (SITE, "cross-site")], false),
        (&[(HOST, "example.com"), (ORIGIN, "https://trusted.example/"), (SITE, "cross-site")], false),
        (&[(HOST, "example.com"), (ORIGIN, "HTTPS://TRUSTED.EXAMPLE"), (SITE, "cross-site")], false),
        (&[(HOST, "example.com"), (ORIGIN, "null"), (SITE, "cross-site")], false),
        (&[(HOST, "example.com"), (ORIGIN, "https://trusted.example"), (ORIGIN, "https://evil.example")], false),
        (&[(HOST, "example.com"), (SITE, "cross-site")], false),
    ];
    for csrf in [Csrf::On, Csrf::Strict] {
        let config = || Config::builder().csrf(csrf).trust_origin("https://trusted.example");
        decide(config().trust_origin("http://plain.example:8080"), "POST", table).await;
    }
}

#[tokio::test]
async fn over_plain_http_the_origin_begins_with_http() {
    let table: &[Row] = &[
        (&[(HOST, "localhost:3000"), (ORIGIN, "http://localhost:3000")], true),
        (&[(HOST, "localhost:3000"), (ORIGIN, "https://localhost:3000")], false),
        (&[(HOST, "localhost:3000"), (ORIGIN, "http://localhost:3001")], false),
        (&[(HOST, "localhost:3000"), (ORIGIN, "http://127.0.0.1:3000")], false),
        (&[(HOST, "localhost:3000"), (ORIGIN, "http://localhost:3001"), (SITE, "same-site")], false),
        (&[(HOST, "localhost:3000"), (ORIGIN, "null")], false),
        (&[(HOST, "localhost:80"), (ORIGIN, "http://localhost")], true),
        (&[(HOST, "localhost"), (ORIGIN, "http://localhost:80")], true),
        (&[(HOST, "localhost:443"), (ORIGIN, "http://localhost")], false),
    ];
    decide(Config::builder().plain_http_for_development(), "POST", table).await;
}

#[tokio::test]
async fn a_host_in_the_request_line_counts_before_the_host_header() {
    // HTTP/2's :authority, and the absolute form of a proxy (RFC 9112, section 3.2.2)
    let scene = Scene::new(Config::builder()).await;
    for (uri, host, origin, expected) in [
        ("https://example.com/do", "example.com", "https://example.com", true),
        ("https://example.com/do", "other.example", "https://example.com", true),
        ("https://example.com/do", "evil.example", "https://evil.example", false),
        ("http://example.com/do", "example.com", "http://example.com", false),
        ("https://example.com:8443/do", "example.com", "https://example.com:8443", true),
        ("https://example.com:8443/do", "example.com", "https://example.com", false),
        ("https://example.com:443/do", "other.example", "https://example.com", true),
        ("https://evil.example@example.com/do", "example.com", "https://evil.example", false),
    ] {
        let headers = [(HOST, host), (ORIGIN, origin)];
        assert_eq!(scene.lets("POST", uri, &headers).await, expected, "{uri} {headers:?}");
    }
}

#[tokio::test]
async fn a_refused_request_is_refused_without_a_cookie_and_without_a_store_too() {
    let scene = Scene::new(Config::builder()).await;
    scene.place.store.fault_everywhere(Fault::Away);
    assert!(!scene.lets("POST", "/do", &[(SITE, "cross-site")]).await);
    let request = Request::post("/do").header(SITE, "cross-site").body(Body::empty()).unwrap();
    let answer = scene.browser.ask(request).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.headers.keys().collect::<Vec<_>>(), ["content-type", "content-length"]);
}

#[tokio::test]
async fn a_route_that_never_looks_at_its_session_is_guarded_as_well() {
    let place = Place::memory();
    let app = Router::new().route("/do", any(async || "done")).layer(place.sessions().layer());
    for (site, status) in [("cross-site", 403), ("same-origin", 200)] {
        let request = Request::post("/do").header(SITE, site).body(Body::empty()).unwrap();
        assert_eq!(Browser::new(app.clone()).ask(request).await.status, status);
    }
}
