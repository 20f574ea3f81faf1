//! One Redis, one cookie, and an application in each language: those with a client, and one in Rust with the library.

use std::thread;

use axum::routing::{get, post};
use axum::{Json, Router};
use cloakroom::store::{NearCache, Redis};
use cloakroom::{Config, Error, Field, Session, Sessions};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::application::{Application, Language};
use crate::browser::{Browser, Json as _};
use crate::support::RedisServer;
use crate::support::demo::Demo;
use crate::support::eventually_or;
use crate::support::service::service_on;

const COUNT: Field<i64> = Field::new("count");
/// The most sessions of one user, as the service and the library have it by default.
const LIMIT: usize = 100;

/// An application in Rust. The test's programs are all configured as by default.
struct InRust {
    url: String,
    _runtime: Runtime,
}

impl InRust {
    fn start(redis: &RedisServer) -> InRust {
        let runtime = Runtime::new().expect("a runtime");
        let url = runtime.block_on(async {
            let store =
                Redis::builder(redis.url()).near_cache(NearCache::default()).connect().await.expect("the store");
            let sessions = Sessions::new(store, Config::builder().build().expect("a configuration"));
            let app = Router::new()
                .route("/show", post(show))
                .route("/count", post(count))
                .route("/sign-in", post(async |session: Session| session.sign_in("ada").await.map(|_| Json(json!({})))))
                .route("/sign-out", post(async |session: Session| session.sign_out().await.map(|_| Json(json!({})))))
                .route(
                    "/devices",
                    get(async |session: Session| {
                        session
                            .devices()
                            .await
                            .map(|devices| Json(json!({ "devices": devices.iter().map(|_| 1).collect::<Vec<_>>() })))
                    }),
                )
                .layer(sessions.layer());
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            tokio::spawn(async { axum::serve(listener, app).await });
            format!("http://{address}")
        });
        InRust { url, _runtime: runtime }
    }
}

async fn show(session: Session) -> Result<Json<Value>, Error> {
    let fields = session.get(COUNT)?.map_or_else(|| json!({}), |count| json!({ "count": count }));
    Ok(Json(json!({ "user": session.user().map(|user| user.to_string()), "fields": fields })))
}

async fn count(session: Session) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "count": session.increment(COUNT, 1).await? })))
}

/// Each application has a service of its own, as on a machine of its own, and each of them has its near cache.
struct Together {
    urls: Vec<String>,
    _applications: Vec<(Demo, Application)>,
    _in_rust: InRust,
    _redis: RedisServer,
}

impl Together {
    fn start() -> Together {
        let redis = RedisServer::start();
        let in_rust = InRust::start(&redis);
        let start = |language| {
            let service = service_on(&redis, &[]);
            let application = Application::start(language, &service.url(""));
            (service, application)
        };
        let applications: Vec<_> = Language::ALL.map(start).into();
        let mut urls: Vec<_> = applications.iter().map(|(_, application)| application.url().to_owned()).collect();
        urls.push(in_rust.url.clone());
        Together { urls, _applications: applications, _in_rust: in_rust, _redis: redis }
    }
}

#[test]
fn a_cookie_is_worth_the_same_in_every_language() {
    let together = Together::start();
    let mut browser = Browser::at(&together.urls[0]);
    for (round, url) in together.urls.iter().enumerate() {
        browser = browser.to(url);
        browser.post("/sign-in?user=ada").ok_json();
        thread::scope(|scope| {
            for url in together.urls.iter().chain(&together.urls) {
                let mut tab = browser.to(url);
                scope.spawn(move || (0..5).for_each(|_| drop(tab.post("/count").ok_json())));
            }
        });
        for url in &together.urls {
            let count = 2 * 5 * together.urls.len() * (round + 1);
            // a near cache may be behind for as long as its invalidation needs
            let expected = json!({ "user": "ada", "fields": { "count": count } });
            is_soon(&browser.to(url), &expected);
        }
    }
    // it ends in the next language, and is gone in all of them
    for (number, url) in together.urls.iter().enumerate() {
        let mut elsewhere = browser.to(&together.urls[(number + 1) % together.urls.len()]);
        elsewhere.post("/sign-in?user=ada").ok_json();
        let former = elsewhere.clone();
        for url in &together.urls {
            assert_eq!(former.to(url).session()["user"], "ada", "{url}");
        }
        elsewhere.to(url).post("/sign-out").ok_json();
        for url in &together.urls {
            is_soon(&former.to(url), &json!({ "user": null, "fields": {} }));
        }
    }
}

fn is_soon(browser: &Browser, expected: &Value) {
    let seen = std::cell::RefCell::new(Value::Null);
    let look = || {
        let now = browser.clone().session();
        let is_expected = now == *expected;
        *seen.borrow_mut() = now;
        is_expected.then_some(())
    };
    eventually_or(look, || format!("{expected} and not {}", seen.borrow()));
}

#[test]
fn the_limit_on_a_users_sessions_holds_across_languages() {
    let together = Together::start();
    let each = LIMIT / together.urls.len() + 2;
    thread::scope(|scope| {
        for url in &together.urls {
            scope.spawn(move || (0..each).for_each(|_| drop(Browser::at(url).post("/sign-in?user=ada").ok_json())));
        }
    });
    for url in &together.urls {
        let mut browser = Browser::at(url);
        browser.post("/sign-in?user=ada").ok_json();
        assert_eq!(browser.get("/devices").ok_json()["devices"].as_array().expect("a list").len(), LIMIT, "{url}");
    }
}
