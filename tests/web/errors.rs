//! What a person, a program and the log are told of an error, and how an application answers in its own way.

use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, ETAG, RETRY_AFTER, VARY};
use axum::http::{Method, Request, StatusCode};
use cloakroom::{Config, Error, Field, OnLimit, RecentSignIn, RequestHead, Session, SessionId, Sessions, SignedIn};
use tracing::Level;

use super::framework::{Html, IntoResponse, Passing, Path, Response, Router, any, around, get};
use crate::support::{Answer, Browser, Capture, Fault, Place};

const NAME: Field<String> = Field::new("name");
const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn routes(sessions: &Sessions) -> Router {
    let revoking = sessions.clone();
    let ended_meanwhile = async move |session: Session| {
        revoking.revoke(&session.id().unwrap()).await?;
        session.set(NAME, "too late")
    };
    let sign_in = async |session: Session, Path(user): Path<String>| session.sign_in(user).await;
    let sign_out_twice = async |session: Session| {
        session.sign_out().await?;
        session.sign_out_others().await.map(drop)
    };
    let too_large = async |session: Session| session.set(NAME, "x".repeat(100_000).as_str());
    let mistake = async |session: Session| {
        session.set(NAME, "andrew")?;
        session.increment(Field::new("name"), 1).await.map(drop)
    };
    Router::new()
        .route("/read", any(async |_: Session| "read"))
        .route("/write", any(async |session: Session| session.set(NAME, "andrew")))
        .route("/sign_in/{user}", get(sign_in))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/sign_out", get(async |session: Session| session.sign_out().await))
        .route("/sign_out_twice", get(sign_out_twice))
        .route("/account", any(async |_: SignedIn| "account"))
        .route("/pay", get(async |_: RecentSignIn<600>| "paid"))
        .route("/ended_meanwhile", get(ended_meanwhile))
        .route("/too_large", get(too_large))
        .route("/mistake", get(mistake))
        .route("/malformed", get(async || SessionId::parse("x").map(drop)))
        .route("/form", get(async |session: Session| session.check_csrf("made up")))
}

fn app(sessions: &Sessions) -> Router {
    routes(sessions).layer(sessions.layer())
}

async fn ask(browser: &Browser, method: Method, path: &str, accept: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("sec-fetch-site", "cross-site");
    if !accept.is_empty() {
        request = request.header(ACCEPT, accept);
    }
    if let Some(token) = browser.token() {
        request = request.header(COOKIE, format!("__Host-sid={token}"));
    }
    browser.ask(request.body(Body::empty()).unwrap()).await
}

fn content_type(answer: &Answer) -> String {
    answer.all(CONTENT_TYPE).join(" and ")
}

#[tokio::test]
async fn an_error_has_a_text_for_people_and_a_code_for_programs() {
    let place = Place::memory();
    let config = Config::builder().max_sessions_per_user(1).on_limit(OnLimit::RefuseNew);
    let app = app(&place.sessions_with(config));
    let browser = Browser::new(app.clone());
    browser.visit("/sign_in/anna").await;
    place.clock.advance(std::time::Duration::from_secs(601));
    let stranger = Browser::new(app);
    for (browser, path, status, code, text) in [
        (&stranger, "/account", 401, "signed_out", "You are not signed in. Please sign in."),
        (&browser, "/pay", 401, "sign_in_not_recent", "You signed in too long ago for this. Please sign in again."),
        (
            &stranger,
            "/sign_in/anna",
            409,
            "too_many_sessions",
            "as many devices as are allowed (1). Please sign out on one of them",
        ),
        (
            &stranger,
            "/malformed",
            400,
            "malformed",
            "This request contains something that is not valid. Please check it and try again.",
        ),
        (&stranger, "/too_large", 413, "too_large", "This is more than a session can hold. Please send less."),
        (&browser, "/form", 403, "cross_site", "Please reload the page and try again."),
        (&stranger, "/mistake", 500, "internal", "Something went wrong on this server."),
    ] {
        check(browser, Method::GET, path, (status, code, text)).await;
    }
    let refused = (403, "cross_site", "This request seems to come from another site and was refused.");
    check(&stranger, Method::POST, "/read", refused).await;
    let gone = browser.get("/ended_meanwhile").await;
    assert_eq!((gone.status.as_u16(), gone.body.as_str()), (401, "Your session has ended. Please begin again."));
    place.store.fault("load", Fault::Away);
    let away = (503, "store", "Sessions are not available at the moment. Please try again.");
    check(&browser, Method::GET, "/read", away).await;
}

async fn check(browser: &Browser, method: Method, path: &str, (status, code, text): (u16, &str, &str)) {
    for accept in ["", HTML, "*/*", "text/plain, application/json;q=0.5"] {
        let answer = ask(browser, method.clone(), path, accept).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(content_type(&answer), "text/plain; charset=utf-8", "{path} {accept}");
        assert!(answer.body.contains(text), "{path}: {}", answer.body);
    }
    for accept in ["application/json", "application/json, text/plain, */*", "application/problem+json;q=0.9"] {
        let answer = ask(browser, method.clone(), path, accept).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(content_type(&answer), "application/problem+json", "{path} {accept}");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(text), "{path}: {problem}");
        assert_eq!(problem["title"], StatusCode::from_u16(status).unwrap().canonical_reason().unwrap());
        assert_eq!(problem.as_object().unwrap().len(), 4, "and nothing else: {problem}");
    }
}

/// As an application may answer: a page that names the error, and a header of its own.
fn page(error: &Error, request: &RequestHead) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap();
    let text = format!("<p>{} {}: {}", request.method, request.uri, error.code());
    (status, [("x-page", "ours")], Html(text)).into_response()
}

#[tokio::test]
async fn an_application_answers_every_error_in_one_place() {
    let place = Place::memory();
    let sessions = place.sessions();
    let browser = Browser::new(routes(&sessions).layer(sessions.layer().on_error(page)));
    let is_page = |answer: &Answer, status: u16, text: &str| {
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (status, text));
        assert_eq!((content_type(answer).as_str(), answer.all(CONTENT_LENGTH).len()), ("text/html; charset=utf-8", 1));
        assert_eq!(answer.all("x-page".parse().unwrap()), ["ours"]);
        assert!(answer.error.is_some(), "layers further out see it all the same");
    };
    // by the layer before the handler, by an extractor, by a handler, and by the layer after the handler
    is_page(&ask(&browser, Method::POST, "/read", "").await, 403, "<p>POST /read: cross_site");
    is_page(&browser.get("/account?a=b").await, 401, "<p>GET /account?a=b: signed_out");
    is_page(&browser.get("/too_large").await, 413, "<p>GET /too_large: too_large");
    place.store.fault("create", Fault::Away);
    let failed = browser.get("/write").await;
    is_page(&failed, 503, "<p>GET /write: store");
    assert_eq!((failed.all(RETRY_AFTER), failed.all(VARY)), (vec!["1".to_owned()], vec!["Cookie".to_owned()]));
    assert_eq!(browser.visit("/read").await.body, "read", "and nothing else");
}

#[tokio::test]
async fn what_an_application_does_not_answer_itself_is_answered_as_ever() {
    let place = Place::memory();
    let sessions = place.sessions();
    let only_pages = |error: &Error, request: &RequestHead| match request.headers.get(ACCEPT) {
        Some(accept) if accept == HTML => page(error, request),
        _ => request.default_response(error),
    };
    let browser = Browser::new(routes(&sessions).layer(sessions.layer().on_error(only_pages)));
    assert_eq!(ask(&browser, Method::GET, "/account", HTML).await.body, "<p>GET /account: signed_out");
    assert_eq!(ask(&browser, Method::GET, "/account", "").await.body, "You are not signed in. Please sign in.");
    assert_eq!(
        content_type(&ask(&browser, Method::GET, "/account", "application/json").await),
        "application/problem+json"
    );
}

#[tokio::test]
async fn whatever_is_answered_the_head_keeps_what_browsers_and_caches_must_know() {
    let place = Place::memory();
    let sessions = place.sessions();
    // a token is minted at once, then the handler fails; on the way out the response gets more headers
    let fails = async |session: Session| {
        session.increment(Field::new("count"), 1).await?;
        session.check_csrf("made up")
    };
    let with_headers = async |request: Passing| {
        let mut passed = request.go_on().await?;
        for (name, value) in [
            ("set-cookie", "theme=dark"),
            ("vary", "Origin"),
            ("cache-control", "private"),
            ("etag", "\"of the body before\""),
            ("x-trace", "7"),
        ] {
            passed.append(name, value);
        }
        Ok(passed)
    };
    let inner = || {
        let routes = Router::new().route("/fails", get(fails)).route("/account", get(async |_: SignedIn| ()));
        around(routes, with_headers)
    };
    for app in [inner().layer(sessions.layer().on_error(page)), inner().layer(sessions.layer())] {
        let browser = Browser::new(app).saying(ACCEPT, "application/json");
        let answer = browser.get("/account").await;
        assert_eq!(answer.all(CACHE_CONTROL), ["private"]);
        let answer = browser.get("/fails").await;
        assert_eq!(answer.status, 403);
        assert_ne!(content_type(&answer), "text/plain; charset=utf-8");
        assert!(browser.token().is_some() && browser.cookie("theme").is_some(), "{:?}", answer.headers);
        assert_eq!(answer.all(VARY), ["Origin", "Cookie"]);
        assert_eq!(answer.all(CACHE_CONTROL), ["no-store"], "because of the new token");
        assert_eq!(answer.all("x-trace".parse().unwrap()), ["7"]);
        assert!(answer.all(ETAG).is_empty() && answer.all(CONTENT_LENGTH).len() == 1);
    }
}

#[tokio::test]
async fn what_the_application_has_answered_before_the_layer_stays() {
    let place = Place::memory();
    let sessions = place.sessions();
    let anew = async |request: Passing| {
        let passed = request.go_on().await?;
        let error = passed.error().expect("it failed");
        Ok(passed.replace((StatusCode::IM_A_TEAPOT, format!("anew: {}", error.code()))))
    };
    let body_only = async |request: Passing| Ok(request.go_on().await?.with_body("text/html", "<p>another body"));
    for (app, status, body) in [
        (around(routes(&sessions), anew), 418, "anew: signed_out"),
        (around(routes(&sessions), body_only), 401, "<p>another body"),
    ] {
        for app in [app.clone().layer(sessions.layer().on_error(page)), app.layer(sessions.layer())] {
            let answer = ask(&Browser::new(app), Method::GET, "/account", "application/json").await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (status, body));
            assert_eq!(answer.all(VARY), ["Cookie"]);
        }
    }
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_the_error() {
    let place = Place::memory();
    let app = app(&place.sessions());
    for accept in ["", "application/json"] {
        let answer = ask(&Browser::new(app.clone()), Method::HEAD, "/account", accept).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (401, ""));
    }
}

#[tokio::test]
async fn with_two_managers_an_error_is_answered_once_by_the_nearest_layer() {
    let (inner, outer) = (Place::memory().sessions(), Place::memory());
    let outer = outer.sessions_with(Config::builder().cookie_name("__Host-outer"));
    let other = |_: &Error, _: &RequestHead| "by the outer one".into_response();
    let app = routes(&inner).layer(inner.layer().on_error(page)).layer(outer.layer().on_error(other));
    assert_eq!(Browser::new(app).get("/account").await.body, "<p>GET /account: signed_out");
}

#[tokio::test]
async fn the_log_says_which_of_its_causes_an_answer_had() {
    let capture = Capture::default();
    let _capturing = tracing::subscriber::set_default(capture.subscriber_at(Level::DEBUG));
    let place = Place::memory();
    let config = || Config::builder().max_sessions_per_user(1).sign_in_page("/sign-in");
    let (evicting, refusing) =
        (place.sessions_with(config()), place.sessions_with(config().on_limit(OnLimit::RefuseNew)));
    let signed_in = async || {
        let browser = Browser::new(app(&evicting));
        browser.visit("/sign_in/anna").await;
        browser
    };
    let carrying = |token: &str| {
        let browser = Browser::new(app(&evicting));
        browser.carry("__Host-sid", token);
        browser
    };
    let check = async |browser: &Browser, method: Method, path: &str, cause: &str| {
        let before = capture.text().len();
        ask(browser, method, path, "").await;
        let lines = capture.text()[before..].to_owned();
        let told: Vec<_> = lines.lines().filter(|line| line.contains("for its session")).collect();
        assert!(told.len() == 1 && told[0].contains("DEBUG") && told[0].contains(cause), "{path} {cause}: {lines}");
    };
    let get = async |browser: &Browser, path: &str, cause: &str| check(browser, Method::GET, path, cause).await;

    let anna = signed_in().await;
    let token = anna.token().unwrap();
    get(&anna.stranger(), "/account", "nobody is signed in: the request brought no session cookie").await;
    get(&carrying("x"), "/account", "nobody is signed in: the session cookie does not contain a well-formed token")
        .await;
    let other_secret = format!("{}.{}", token.split('.').next().unwrap(), "A".repeat(43));
    get(&carrying(&other_secret), "/account", "nobody is signed in: no session has this token").await;
    get(&carrying(&other_secret), "/sign_out", "the session is gone: the session has another secret").await;
    let visitor = Browser::new(app(&evicting));
    visitor.visit("/write").await;
    get(&visitor, "/account", "nobody is signed in: the session has no user").await;
    get(&visitor, "/form", "the form's CSRF token is missing or does not belong to this session").await;
    check(&visitor, Method::POST, "/read", "the header Sec-Fetch-Site says that another site sent it").await;
    get(&visitor, "/too_large", "max_bytes is 65536").await;
    get(&visitor.at(app(&refusing)), "/sign_in/anna", "this user already has as many sessions as are allowed (1)")
        .await;
    place.clock.advance(std::time::Duration::from_secs(601));
    get(&anna, "/pay", "the last sign-in is too long ago").await;
    signed_in().await;
    get(&anna, "/account", "the session was ended because its user signed in elsewhere").await;
    let ben = Browser::new(app(&evicting));
    ben.visit("/sign_in/ben").await;
    get(&ben, "/ended_meanwhile", "the session is gone: the session ended, or its secret was replaced, while").await;
    let dora = Browser::new(app(&evicting));
    dora.visit("/sign_in/dora").await;
    get(&dora, "/sign_out_twice", "nobody is signed in: this request has ended its session itself").await;

    let old = Browser::new(app(&evicting));
    old.visit("/sign_in/chris").await;
    let new = Browser::new(app(&evicting));
    new.carry("__Host-sid", &old.token().unwrap());
    new.visit("/rotate").await;
    new.visit("/read").await;
    place.clock.advance(std::time::Duration::from_secs(11));
    get(&old, "/account", "nobody is signed in: the token was replaced by a newer one, and its grace period is over")
        .await;

    let page = anna.stranger().saying(ACCEPT, HTML);
    assert_eq!(page.get("/account").await.status, 303);
    let sent =
        "a visitor was sent to the sign-in page error=nobody is signed in: the request brought no session cookie";
    assert_eq!(capture.count(sent), 1);
    for secret in [token.split('.').nth(1).unwrap(), ben.token().unwrap().split('.').nth(1).unwrap()] {
        assert_eq!(capture.count(secret), 0, "the log holds no secret");
    }
}
