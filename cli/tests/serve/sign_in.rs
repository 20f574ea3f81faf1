//! Signing in, and asking for a sign-in again whose answer was lost.

use serde_json::json;

use crate::support::eventually;
use crate::support::gate::{Cut, Gate};
use crate::support::redis_server::RedisServer;
use crate::support::service::{Caller, problem, service};

#[test]
fn a_sign_in_has_its_own_terms() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service)
        .with("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
    caller.patch(json!({ "set": { "cart": [1] } })).ok();
    let answer = caller.post(
        "/v1/session/sign-in",
        json!({
            "user": "ada",
            "idle_timeout": 600,
            "absolute_lifetime": 7200,
            "deadline": "2999-01-01T00:00:00Z",
            "cookie_max_age": 7200,
            "auth_time": "2026-01-02T05:04:05+02:00",
            "ip": "192.0.2.7",
            "discard_fields": true,
        }),
    );
    let session = answer.ok();
    assert!((590..=600).contains(&session["expires_in"].as_u64().expect("seconds")), "{session}");
    assert_eq!(session["auth_time"], "2026-01-02T03:04:05.000+00:00");
    assert_eq!(session["fields"], json!({}));
    assert!(answer.header("set-cookie").contains("Max-Age=7200"), "{}", answer.header("set-cookie"));
    let devices = caller.get("/v1/session/devices").ok();
    assert_eq!(devices["devices"][0]["ip"], "192.0.2.7");
    assert!(devices["devices"][0]["label"].as_str().is_some_and(|label| label.contains("Firefox")), "{devices}");
}

#[test]
fn a_sign_in_that_is_asked_for_again_under_its_key_gives_the_token_that_was_lost() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service).with("idempotency-key", "6b0d2f6e-2f5e-4a55-9d0e-0d7c9f6a1c01");
    caller.patch(json!({ "set": { "cart": [1] } })).ok();
    let mut again = caller.at(&service);
    let first = caller.sign_in("ada");
    let second = again.sign_in("ada");
    assert_eq!((&first["id"], &caller.cookie), (&second["id"], &again.cookie));
    assert_eq!(caller.get("/v1/session/devices").ok()["devices"].as_array().map(Vec::len), Some(1));

    let mut other = caller.at(&service);
    other.headers[0].1 = "another".to_owned();
    other.sign_in("ada");
    assert_ne!(other.cookie, caller.cookie);
}

#[test]
fn a_key_that_is_no_key_is_refused() {
    let service = service(&["--store", "memory"]);
    for key in ["", &"x".repeat(256), "é"] {
        let mut caller = Caller::of(&service).with("idempotency-key", key);
        let answer = caller.post("/v1/session/sign-in", json!({ "user": "ada" }));
        assert_eq!(problem(&answer), (400, "invalid".to_owned()), "{key}");
    }
    let mut twice = Caller::of(&service).with("idempotency-key", "a").with("idempotency-key", "b");
    assert_eq!(problem(&twice.post("/v1/session/sign-in", json!({ "user": "ada" }))), (400, "invalid".to_owned()));
}

#[test]
fn a_sign_in_that_loses_any_of_redis_answers_is_one_sign_in_when_it_is_asked_for_again() {
    let redis = RedisServer::start();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let gate = runtime.block_on(Gate::before(redis.port()));
    let service = service(&["--redis-url", &gate.url(), "--no-near-cache"]);
    let mut codes = Vec::new();
    for commands in 0.. {
        let user = format!("user{commands}");
        let new = || Caller::of(&service).with("idempotency-key", format!("sign-in of {user}"));
        let sign_in = |caller: &mut Caller| caller.post("/v1/session/sign-in", json!({ "user": user }));
        gate.cut_after(commands, Cut::BeforeReply);
        let lost = sign_in(&mut new());
        if !gate.was_cut() {
            assert_eq!(lost.status, 200, "nothing was lost any more");
            break;
        }
        codes.push(problem(&lost).1);
        gate.open();
        // whatever cookie the answer had, its browser did not get it
        let mut caller = new();
        let again =
            eventually("Redis answers again", || Some(sign_in(&mut caller)).filter(|answer| answer.status == 200));
        let again = again.ok();
        let devices = caller.get("/v1/session/devices").ok();
        let ids: Vec<_> = devices["devices"].as_array().expect("a list").iter().map(|device| &device["id"]).collect();
        assert_eq!(ids, [&again["id"]], "{user}: what was lost and its repetition are one sign-in");
    }
    assert!(codes.iter().any(|code| code == "unknown-outcome"), "{codes:?}");
}
