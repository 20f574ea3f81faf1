//! The examples do what they say.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use cloakroom::conformance::Fixture;
use cloakroom::store::Memory;
use cloakroom::{Clock, Config, Sessions};
use tower::ServiceExt as _;

use support::RedisServer;

mod support;

#[allow(dead_code)] // their `main` is for people
#[path = "../examples"]
mod example {
    pub(crate) mod actix;
    pub(crate) mod choose_store;
    pub(crate) mod hello;
    pub(crate) mod identity_provider;
    pub(crate) mod jobs;
    pub(crate) mod json_api;
    pub(crate) mod own_store;
    pub(crate) mod passwords;
    pub(crate) mod streams;
    // with its own tests
    pub(crate) mod testing;
}

use example::{choose_store, hello, identity_provider, jobs, json_api, own_store, passwords, streams};

/// A browser with the cookie that it was given last.
struct Browser {
    app: Router,
    cookie: Option<String>,
}

/// What it gets.
struct Page {
    status: StatusCode,
    location: String,
    text: String,
    set_cookie: String,
}

impl Browser {
    fn at(app: &Router) -> Browser {
        Browser { app: app.clone(), cookie: None }
    }

    async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, &[(header::ACCEPT.as_str(), "text/html")], "").await
    }

    async fn post(&mut self, path: &str, form: &str) -> Page {
        let kind = (header::CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded");
        self.send(Method::POST, path, &[kind, ("sec-fetch-site", "same-origin")], form).await
    }

    async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Page {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:3000");
        for (name, value) in headers.iter().copied().chain(self.cookie.as_deref().map(|cookie| ("cookie", cookie))) {
            request = request.header(name, value);
        }
        let response = self.app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let text_of = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (status, location, set_cookie) =
            (response.status(), text_of(header::LOCATION), text_of(header::SET_COOKIE));
        if let Some(pair) = set_cookie.split(';').next().filter(|pair| !pair.is_empty()) {
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        let text = String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
        Page { status, location, text, set_cookie }
    }
}

fn sessions() -> Sessions {
    let config = Config::builder().plain_http_for_development().sign_in_page("/sign-in").build().unwrap();
    Sessions::new(Memory::new(), config)
}

#[tokio::test]
async fn hello_counts_page_views() {
    let app = hello::app(&sessions());
    let (mut one, mut other) = (Browser::at(&app), Browser::at(&app));
    assert_eq!(one.get("/").await.text, "You have been here 1 times.\n");
    assert_eq!(one.get("/").await.text, "You have been here 2 times.\n");
    assert_eq!(other.get("/").await.text, "You have been here 1 times.\n");
}

#[tokio::test]
async fn people_sign_in_and_out_on_actix_web() {
    use actix_web::{App, dev::Service, test};
    let app = test::init_service(App::new().configure(example::actix::routes).wrap(sessions().layer())).await;
    let cookie = std::cell::RefCell::new(String::new());
    let ask = async |request: test::TestRequest| {
        let request =
            request.insert_header(("cookie", cookie.borrow().as_str())).insert_header(("accept", "text/html"));
        let response = app.call(request.to_request()).await.unwrap();
        if let Some(set) = response.headers().get("set-cookie") {
            *cookie.borrow_mut() = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        let location = response.headers().get("location").map(|page| page.to_str().unwrap().to_owned());
        (location.unwrap_or_default(), String::from_utf8(test::read_body(response).await.to_vec()).unwrap())
    };
    let get = |path: &str| ask(test::TestRequest::get().uri(path));
    let post = |path: &str, form: &[(&str, &str)]| ask(test::TestRequest::post().uri(path).set_form(form));
    assert_eq!(get("/").await.1, "Hello, stranger. You have been here 1 times.\n");
    assert_eq!(get("/account").await.0, "/sign-in");
    assert_eq!(post("/sign-in", &[("user", "ada")]).await.0, "/account");
    assert_eq!(get("/account").await.1, "This is your account, ada. You have been on the first page 1 times.\n");
    assert_eq!(get("/").await.1, "Hello, ada. You have been here 2 times.\n");
    post("/sign-out", &[]).await;
    assert_eq!(get("/account").await.0, "/sign-in");
}

#[tokio::test]
async fn one_setting_chooses_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let server = RedisServer::start();
    for place in ["memory", dir.path().to_str().unwrap(), &server.url()] {
        let mut browser = Browser::at(&choose_store::app(place).await.unwrap());
        browser.get("/").await;
        assert_eq!(browser.get("/").await.text, "You have been here 2 times.\n", "{place}");
    }
    assert!(dir.path().read_dir().unwrap().next().is_some(), "the directory holds the sessions");
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 1);
}

#[tokio::test]
async fn a_setting_that_names_no_store_says_what_it_may_be() {
    let error = |place: &'static str| async move { choose_store::app(place).await.unwrap_err().to_string() };
    assert_eq!(
        error("").await,
        "configuration: the place of the sessions is empty: it must be `memory`, a directory or the URL of a Redis"
    );
    let wrong_scheme = error("postgres://app:secret@db/sessions").await;
    assert!(wrong_scheme.contains("scheme `postgres`") && !wrong_scheme.contains("secret"), "{wrong_scheme}");
}

#[tokio::test]
async fn a_user_signs_in_with_a_password_and_sees_their_devices() {
    let users = Arc::new(passwords::Users::default());
    assert!(users.register("ada", "a long password").await);
    assert!(!users.register("ada", "another one").await);
    let app = passwords::app(&Sessions::new(Memory::new(), passwords::config().unwrap()), users);
    let (mut laptop, mut phone) = (Browser::at(&app), Browser::at(&app));
    let away = laptop.get("/").await;
    assert_eq!((away.status, &*away.location), (StatusCode::SEE_OTHER, "/sign-in"));
    assert_eq!(laptop.get("/sign-in").await.status, StatusCode::OK);
    for wrong in ["name=ada&password=wrong", "name=nobody&password=a+long+password"] {
        assert_eq!(laptop.post("/sign-in", wrong).await.status, StatusCode::UNAUTHORIZED);
    }
    let signed_in = laptop.post("/sign-in", "name=ada&password=a+long+password").await;
    assert_eq!((&*signed_in.location, signed_in.set_cookie.contains("Max-Age")), ("/", false));
    let remembered = phone.post("/sign-in", "name=ada&password=a+long+password&remember=true").await;
    assert!(remembered.set_cookie.contains("Max-Age=2592000"), "{}", remembered.set_cookie);
    let devices = laptop.get("/").await.text;
    assert_eq!((devices.matches("<li>").count(), devices.matches("(this one)").count()), (2, 1));

    assert_eq!(laptop.post("/password", "password=a+new+one").await.location, "/");
    assert_eq!(phone.get("/").await.location, "/sign-in", "who knew the old password signs in again");
    assert_eq!(laptop.get("/").await.status, StatusCode::OK);
    let old = phone.post("/sign-in", "name=ada&password=a+long+password").await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
    phone.post("/sign-in", "name=ada&password=a+new+one").await;

    let devices = laptop.get("/").await.text;
    let latest = devices.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(laptop.post("/devices/sign-out", &format!("id={latest}")).await.location, "/");
    assert_eq!(phone.get("/").await.location, "/sign-in", "the latest sign-in is listed first");
    laptop.post("/sign-out", "").await;
    assert_eq!(laptop.get("/").await.location, "/sign-in");
}

#[tokio::test]
async fn a_user_signs_in_at_an_identity_provider_and_only_in_the_browser_that_began() {
    let app = identity_provider::app(&sessions(), Arc::default());
    let (mut browser, mut other) = (Browser::at(&app), Browser::at(&app));
    let to_provider = browser.get("/sign-in").await.location;
    let back = browser.get(&to_provider).await.location;
    assert_eq!(other.get(&back).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get(&back).await.location, "/");
    assert_eq!(browser.get("/").await.text, "You are signed in as ada.\n");
    assert_eq!(browser.get(&back).await.status, StatusCode::BAD_REQUEST, "an answer is good once");
}

#[tokio::test]
async fn an_api_takes_changes_only_with_the_token_of_the_session() {
    let mut browser = Browser::at(&json_api::app(&sessions()));
    let state = browser.get("/api/session").await.text;
    let token = state.split("\"csrf_token\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let json = [(header::CONTENT_TYPE.as_str(), "application/json"), (header::ACCEPT.as_str(), "application/json")];
    let item = r#"{"product":7,"count":2}"#;
    let without = browser.send(Method::POST, "/api/cart", &json, item).await;
    assert_eq!(without.status, StatusCode::FORBIDDEN);
    assert!(without.text.contains(r#""code":"cross_site""#), "{}", without.text);
    let with = [&json[..], &[("x-csrf-token", token)]].concat();
    assert_eq!(browser.send(Method::POST, "/api/cart", &with, item).await.status, StatusCode::NO_CONTENT);
    assert!(browser.get("/api/session").await.text.contains(&format!("\"cart\":[{item}]")));
}

#[tokio::test]
async fn a_device_sends_measurements_with_its_token_and_an_operator_looks_at_its_session() {
    let clock = Clock::manual(SystemTime::now());
    let sessions = Sessions::new(Memory::with_clock(clock.clone()), Config::default());
    let (token, id) = jobs::pair(&sessions, "thermometer").await.unwrap();
    for expected in 1..=3 {
        clock.advance(Duration::from_secs(500));
        assert_eq!(jobs::measured(&sessions, token.expose()).await.unwrap(), Some(expected), "it has gone on");
    }
    let shown = jobs::look(&sessions, &id).await.unwrap();
    assert!(shown.ends_with("is thermometer, which has sent 3 measurements and has 3600s left"), "{shown}");
    clock.advance(Duration::from_secs(3600));
    assert_eq!(jobs::measured(&sessions, token.expose()).await.unwrap(), None);
    assert!(jobs::look(&sessions, &id).await.unwrap().ends_with("has ended"));
}

#[tokio::test]
async fn a_job_tells_a_user_something_on_each_of_their_devices() {
    let sessions = sessions();
    let app = streams::app(&sessions, Duration::from_secs(10));
    for _ in 0..2 {
        assert_eq!(Browser::at(&app).post("/sign-in", "name=ada").await.status, StatusCode::OK);
    }
    assert_eq!(jobs::announce(&sessions, "ada", "Your export is ready.").await.unwrap(), 2);
    sessions.revoke_user("ada").await.unwrap();
    assert_eq!(jobs::announce(&sessions, "ada", "Your export is ready.").await.unwrap(), 0);
}

#[tokio::test]
async fn only_who_is_signed_in_hears_what_is_said_in_the_room() {
    let mut browser = Browser::at(&streams::app(&sessions(), Duration::from_secs(10)));
    assert!(browser.get("/").await.text.contains("EventSource"));
    assert_eq!(browser.get("/events").await.location, "/sign-in");
    assert_eq!(browser.send(Method::GET, "/events", &[], "").await.status, StatusCode::UNAUTHORIZED);
}

struct InATree(Clock);

impl Fixture for InATree {
    type Store = own_store::TreeStore;

    async fn fresh(&self) -> own_store::TreeStore {
        own_store::TreeStore::with_clock(self.0.clone())
    }

    async fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

mod own_store_in_memory {
    use super::*;
    cloakroom::conformance!(InATree(Clock::manual(SystemTime::now())));
}
