//! The session of a browser, from its first field to the sign-out.

use serde_json::json;

use crate::support::demo::Demo;
use crate::support::redis_server::RedisServer;
use crate::support::service::{Caller, service, service_on};

#[test]
fn nobody_has_no_session_and_gets_no_cookie() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service);
    let answer = caller.get("/v1/session");
    assert!(answer.sets_no_cookie());
    assert_eq!(answer.ok(), json!({ "state": "none" }));
}

#[test]
fn a_visitor_counts_signs_in_and_signs_out_in_memory() {
    a_visitor_counts_signs_in_and_signs_out(&service(&["--store", "memory"]));
}

#[test]
fn a_visitor_counts_signs_in_and_signs_out_in_a_directory() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("sessions");
    a_visitor_counts_signs_in_and_signs_out(&service(&["--store", path.to_str().expect("UTF-8")]));
}

#[test]
fn a_visitor_counts_signs_in_and_signs_out_in_redis() {
    let redis = RedisServer::start();
    a_visitor_counts_signs_in_and_signs_out(&service_on(&redis, &[]));
}

fn a_visitor_counts_signs_in_and_signs_out(service: &Demo) {
    let mut caller = Caller::of(service);
    let visitor = caller.patch(json!({ "set": { "theme": "dark" }, "increment": { "visits": 1 } })).ok();
    assert_eq!(visitor["state"], "visitor");
    assert_eq!(visitor["fields"], json!({ "theme": "dark", "visits": 1 }));
    let cookie = caller.cookie.clone();
    let counted = caller.patch(json!({ "increment": { "visits": 2 } })).ok();
    assert_eq!((&counted["id"], &counted["fields"]["visits"]), (&visitor["id"], &json!(3)));
    assert_eq!(caller.cookie, cookie, "the browser has its cookie already");

    let signed_in = caller.sign_in("ada");
    assert_eq!((&signed_in["state"], &signed_in["user"]), (&json!("signed-in"), &json!("ada")));
    assert_eq!(signed_in["fields"], json!({ "theme": "dark", "visits": 3 }));
    assert_ne!(caller.cookie, cookie, "a sign-in gives a new token");
    for time in ["created_at", "signed_in_at", "auth_time", "expires_at"] {
        let text = signed_in[time].as_str().unwrap_or_else(|| panic!("{time}: {signed_in}"));
        text.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{time}: {error}"));
    }
    assert!((1790..=1800).contains(&signed_in["expires_in"].as_u64().expect("seconds")), "{signed_in}");
    let mut former = caller.at(service);
    former.cookie = cookie;
    assert_eq!(former.session(), json!({ "state": "none" }), "the token from before the sign-in opens nothing");

    let gone = caller.at(service);
    assert_eq!(caller.delete("/v1/session").status, 204);
    assert_eq!(caller.cookie, None, "the answer removes the cookie");
    for mut late in [caller, gone] {
        assert_eq!(late.session(), json!({ "state": "none" }));
        assert_eq!(late.delete("/v1/session").status, 204, "to sign out twice is a success");
    }
}

#[test]
fn a_rotation_gives_a_new_token_and_elevate_ends_the_old_one() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service);
    let id = caller.sign_in("ada")["id"].clone();
    let mut before = caller.at(&service);
    assert_eq!(caller.post("/v1/session/rotate", json!({})).ok()["id"], id);
    assert_ne!(caller.cookie, before.cookie);
    assert_eq!(before.session()["id"], id, "parallel requests may still come with the token from before");
    let mut before = caller.at(&service);
    assert_eq!(caller.post("/v1/session/elevate", json!({})).ok()["id"], id);
    assert_eq!(before.session(), json!({ "state": "none" }));
    assert_eq!(caller.session()["id"], id);
}

#[test]
fn the_services_own_headers_and_the_browsers_site_are_not_mistaken_for_the_visitors() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service)
        .with("sec-fetch-site", "cross-site")
        .with("origin", "https://evil.example")
        .with("authorization", "Bearer x.y");
    assert_eq!(caller.sign_in("ada")["user"], "ada", "where the browser's request came from is the caller's to judge");
}

#[test]
fn a_head_has_the_headers_of_a_get_and_no_body() {
    let service = service(&["--store", "memory"]);
    let answer = Caller::of(&service).ask("HEAD", "/v1/session", "");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("content-type"), "application/json");
}
