//! The browser's cookie is the one that an application in Rust would set.

use std::time::Duration;

use cloakroom::store::Memory;
use cloakroom::web::Visit;
use cloakroom::{Config, Session, Sessions};
use serde_json::json;
use ureq::http::{HeaderMap, HeaderValue, Method, Uri, header};

use crate::support::service::{Caller, service};

/// What an application in Rust sets for a browser with this cookie.
fn set_by_the_library(sessions: &Sessions, cookie: Option<&str>, work: impl AsyncFnOnce(&Session)) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let cookie = cookie.map(|cookie| (header::COOKIE, HeaderValue::from_str(cookie).expect("ASCII")));
        let request = HeaderMap::from_iter(cookie);
        let ongoing = Visit::begin(sessions, &Method::GET, &Uri::default(), &request).expect("allowed");
        work(&ongoing.visit().session().await.expect("memory answers")).await;
        let mut response = HeaderMap::new();
        ongoing.finish(200).await.expect("memory answers").apply(&mut response);
        response[header::SET_COOKIE].to_str().expect("ASCII").to_owned()
    })
}

/// The line without its token.
fn attributes(line: &str) -> (&str, &str) {
    let (name, rest) = line.split_once('=').expect("a cookie");
    (name, rest.split_once(';').expect("attributes").1)
}

#[test]
fn set_cookie_is_what_the_library_sets_in_an_application() {
    let service = service(&["--store", "memory"]);
    let sessions = Sessions::new(Memory::new(), Config::default());
    let mut caller = Caller::of(&service);

    let ours = caller.post("/v1/session/sign-in", json!({ "user": "ada" })).header("set-cookie");
    let theirs =
        set_by_the_library(&sessions, None, async |session| session.sign_in("ada").await.expect("memory answers"));
    assert_eq!(attributes(&ours), attributes(&theirs));

    let year = 365 * 24 * 3600;
    let remembered = json!({ "user": "ada", "cookie_max_age": year });
    let ours = caller.post("/v1/session/sign-in", remembered).header("set-cookie");
    let theirs = set_by_the_library(&sessions, None, async |session| {
        session.sign_in("ada").cookie_max_age(Duration::from_secs(year)).await.expect("memory answers");
    });
    assert_eq!(attributes(&ours), attributes(&theirs));

    let cookie = theirs.split(';').next();
    let ours = caller.delete("/v1/session").header("set-cookie");
    let theirs =
        set_by_the_library(&sessions, cookie, async |session| session.sign_out().await.expect("memory answers"));
    assert_eq!(ours, theirs);
}
