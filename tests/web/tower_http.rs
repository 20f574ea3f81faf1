//! The layers of tower-http that most applications have, inside and outside the session layer. The guide says which order to
//! take ("Middleware and layers"), and this is why.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD,
    CONTENT_ENCODING, COOKIE, HeaderName, ORIGIN, VARY,
};
use axum::http::{Method, Request, StatusCode};
use axum::routing::{get, post};
use cloakroom::{Config, Error, Field, Page, Session, Sessions};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer};
use tracing::subscriber::set_default;

use crate::support::{Answer, Browser, Capture, Fault, Place, on_each_store};

const NAME: Field<String> = Field::new("name");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const OWN_APP: &str = "https://app.shop.example";

/// Routes whose handler signs somebody in, sets a field, and then does not come to an end.
fn interrupted_routes() -> Router {
    async fn begin(session: &Session) -> Result<(), Error> {
        session.set(NAME, "half of it")?;
        session.sign_in("andrew").await
    }
    Router::new()
        .route(
            "/hang",
            get(async |session: Session| {
                begin(&session).await?;
                std::future::pending::<Result<(), Error>>().await
            }),
        )
        .route(
            "/panic",
            get(async |session: Session| {
                begin(&session).await.unwrap();
                if session.exists() {
                    panic!("a bug in the handler");
                }
            }),
        )
        .route(
            "/who",
            get(async |session: Session| {
                let name = session.get(NAME)?.unwrap_or_default();
                Ok::<_, Error>(format!("{:?} {name}", session.user().map(|user| user.to_string())))
            }),
        )
}

fn time_out() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_millis(400))
}

async fn devices(sessions: &Sessions) -> usize {
    sessions.devices("andrew", Page::default()).await.unwrap().len()
}

#[tokio::test]
async fn a_time_out_or_a_caught_panic_inside_the_session_layer_still_hands_out_the_cookie() {
    for (path, status) in [("/hang", 503), ("/panic", 500)] {
        let sessions = Place::memory().sessions();
        let routes = interrupted_routes().layer(time_out()).layer(CatchPanicLayer::new());
        let browser = Browser::new(routes.layer(sessions.layer()));
        let answer = browser.get(path).await;
        assert_eq!(answer.status, status);
        assert!(answer.set_cookie().is_some(), "the sign-in was done, and the browser gets its token");
        assert_eq!(browser.visit("/who").await.body, "Some(\"andrew\") ", "{path}: what was deferred is dropped");
        assert_eq!(devices(&sessions).await, 1);
    }
}

#[tokio::test]
async fn a_time_out_or_a_caught_panic_outside_the_session_layer_loses_the_cookie() {
    for (path, status) in [("/hang", 503), ("/panic", 500)] {
        let sessions = Place::memory().sessions();
        let routes = interrupted_routes().layer(sessions.layer());
        let browser = Browser::new(routes.layer(time_out()).layer(CatchPanicLayer::new()));
        let answer = browser.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.set_cookie()), (status, None));
        assert_eq!(browser.visit("/who").await.body, "None ", "{path}");
        assert_eq!(devices(&sessions).await, 1, "signed in, but the token was lost");
    }
}

#[tokio::test]
async fn compression_inside_or_outside_keeps_the_cookie_and_names_both_headers_in_vary() {
    let count = async |session: Session| {
        let count = session.increment(Field::new("n"), 1).await?;
        Ok::<_, Error>(format!("{count} {}", "as long as something worth compressing ".repeat(20)))
    };
    for inside in [true, false] {
        let sessions = Place::memory().sessions();
        let routes = Router::new().route("/count", get(count));
        let app = match inside {
            true => routes.layer(CompressionLayer::new()).layer(sessions.layer()),
            false => routes.layer(sessions.layer()).layer(CompressionLayer::new()),
        };
        let answer = Browser::new(app).saying(ACCEPT_ENCODING, "gzip").visit("/count").await;
        assert_eq!(answer.all(CONTENT_ENCODING), ["gzip"]);
        assert_eq!(answer.set_cookies().len(), 1);
        let vary = answer.all(VARY).join(",").to_ascii_lowercase();
        assert!(vary.contains("cookie") && vary.contains("accept-encoding"), "{vary}");
    }
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin([OWN_APP.parse().unwrap()])
        .allow_methods([Method::GET, Method::POST])
        .allow_credentials(true)
}

fn for_an_app_elsewhere(sessions: &Sessions) -> Router {
    Router::new()
        .route("/write", post(async |session: Session| session.set(NAME, "andrew")))
        .route("/hello", get(async || "hello"))
        .layer(sessions.layer())
}

/// A request of a script on a page of this origin, which is another one than the application's.
async fn from_page(browser: &Browser, origin: &str, method: Method, path: &str) -> Answer {
    let request = Request::builder().method(method.clone()).uri(path);
    let request = request.header("host", "api.shop.example").header(ORIGIN, origin).header(SITE, "same-site");
    let request = match method {
        Method::OPTIONS => request.header(ACCESS_CONTROL_REQUEST_METHOD, "POST"),
        _ => request,
    };
    browser.ask(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn cors_outside_answers_preflights_and_lets_the_scripts_of_a_trusted_origin_read_errors_too() {
    on_each_store(async |place| {
        let sessions = place.sessions_with(Config::builder().trust_origin(OWN_APP));
        let browser = Browser::new(for_an_app_elsewhere(&sessions).layer(cors()));
        let preflight = from_page(&browser, OWN_APP, Method::OPTIONS, "/write").await;
        assert_eq!(preflight.status, 200);
        assert_eq!(preflight.all(ACCESS_CONTROL_ALLOW_CREDENTIALS), ["true"]);
        assert!(place.store.asked().is_empty(), "a preflight asks for no session");

        let written = from_page(&browser, OWN_APP, Method::POST, "/write").await;
        assert_eq!(written.status, 200);
        assert_eq!(written.all(ACCESS_CONTROL_ALLOW_ORIGIN), [OWN_APP]);
        assert!(written.set_cookie().is_some());
        let vary = written.all(VARY).join(",").to_ascii_lowercase();
        assert!(vary.contains("origin") && vary.contains("cookie"), "{vary}");

        place.store.fault("create", Fault::Away);
        let failed = from_page(&browser, OWN_APP, Method::POST, "/write").await;
        assert_eq!(failed.status, 503);
        assert_eq!(failed.all(ACCESS_CONTROL_ALLOW_ORIGIN), [OWN_APP], "the script can see that it is 503");
    })
    .await;
}

#[tokio::test]
async fn cors_inside_hides_from_scripts_why_a_request_failed() {
    let place = Place::memory();
    let sessions = place.sessions_with(Config::builder().trust_origin(OWN_APP));
    let routes = Router::new().route("/write", post(async |session: Session| session.set(NAME, "andrew")));
    let browser = Browser::new(routes.layer(cors()).layer(sessions.layer()));
    place.store.fault("create", Fault::Away);
    let failed = from_page(&browser, OWN_APP, Method::POST, "/write").await;
    assert_eq!(failed.status, 503);
    assert!(failed.all(ACCESS_CONTROL_ALLOW_ORIGIN).is_empty());
}

#[tokio::test]
async fn cors_does_not_let_an_origin_write_that_the_sessions_do_not_trust() {
    let place = Place::memory();
    let browser = Browser::new(for_an_app_elsewhere(&place.sessions()).layer(cors()));
    let refused = from_page(&browser, OWN_APP, Method::POST, "/write").await;
    assert_eq!(refused.status, 403);
    assert!(place.store.asked().is_empty());
    // and what only reads is for CORS to decide
    let read = from_page(&browser, "https://other.example", Method::GET, "/hello").await;
    assert_eq!((read.status.as_u16(), read.body.as_str()), (200, "hello"));
    assert!(read.all(ACCESS_CONTROL_ALLOW_ORIGIN).is_empty(), "its page may not look at the answer");
}

#[tokio::test]
async fn a_trace_outside_sees_the_status_that_the_browser_gets_and_one_inside_does_not() {
    for (outside, seen) in [(true, "status=503"), (false, "status=200")] {
        let place = Place::memory();
        let sessions = place.sessions();
        let routes = Router::new().route("/write", get(async |session: Session| session.set(NAME, "andrew")));
        let app = match outside {
            true => routes.layer(sessions.layer()).layer(TraceLayer::new_for_http()),
            false => routes.layer(TraceLayer::new_for_http()).layer(sessions.layer()),
        };
        place.store.fault("create", Fault::Away);
        let log = Capture::default();
        let _listening = set_default(log.subscriber());
        assert_eq!(Browser::new(app).get("/write").await.status, 503);
        let text = log.text();
        assert!(text.contains(seen), "outside: {outside}\n{text}");
        let failure = text.lines().find(|line| line.contains("a request failed for its session")).unwrap();
        assert_eq!(failure.contains("request{method=GET uri=/write"), outside, "{failure}");
    }
}

#[tokio::test]
async fn a_trace_that_logs_headers_shows_the_token_unless_cookie_is_marked_as_sensitive() {
    for marked in [false, true] {
        let sessions = Place::memory().sessions();
        let trace = TraceLayer::new_for_http()
            .make_span_with(DefaultMakeSpan::new().include_headers(true))
            .on_response(DefaultOnResponse::new().include_headers(true));
        let routes = Router::new().route("/write", get(async |session: Session| session.rotate().await));
        let routes = routes.route("/begin", get(async |session: Session| session.set(NAME, "andrew")));
        let app = routes.layer(sessions.layer()).layer(trace);
        let app = match marked {
            true => app.layer(SetSensitiveRequestHeadersLayer::new([COOKIE])),
            false => app,
        };
        let log = Capture::default();
        let _listening = set_default(log.subscriber());
        let browser = Browser::new(app);
        browser.visit("/begin").await;
        let shown = browser.token().unwrap();
        browser.visit("/write").await;
        let given = browser.token().unwrap();
        let text = log.text();
        assert_eq!(text.contains(&shown), !marked, "{text}");
        assert!(!text.contains(&given), "Set-Cookie is marked by the session layer itself: {text}");
    }
}
