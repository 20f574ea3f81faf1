//! The session of a browser.

use serde_json::{Value, json};

use crate::support::service::service;

#[test]
fn nobody_has_no_session_and_gets_no_cookie() {
    let service = service(&["--store", "memory"]);
    let mut answer = ureq::get(service.url("/v1/session")).call().expect("an answer");
    assert_eq!(answer.headers().get("set-cookie"), None);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.body_mut().read_json::<Value>().expect("JSON"), json!({ "state": "none" }));
}

#[test]
fn who_signs_in_is_known_by_the_cookie_of_the_answer() {
    let service = service(&["--store", "memory"]);
    let answer = ureq::post(service.url("/v1/session/sign-in")).send_json(json!({ "user": "ada" })).expect("an answer");
    let cookie = answer.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a cookie").to_owned();
    let mut answer = ureq::get(service.url("/v1/session")).header("cookie", cookie).call().expect("an answer");
    let session = answer.body_mut().read_json::<Value>().expect("JSON");
    assert_eq!((&session["state"], &session["user"]), (&json!("signed-in"), &json!("ada")));
}
