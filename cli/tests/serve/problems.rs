//! Every kind of problem, provoked once; and that a request which is refused changes nothing.

use serde_json::{Value, json};

use crate::support::demo::Demo;
use crate::support::operator::run;
use crate::support::redis_server::RedisServer;
use crate::support::service::{Caller, problem, service, service_on};
use crate::support::visitor::Answer;

fn is(answer: &Answer, status: u16, code: &str) {
    assert_eq!(problem(answer), (status, code.to_owned()), "{}", answer.body);
}

fn in_memory() -> Demo {
    service(&["--store", "memory"])
}

#[test]
fn a_key_that_is_missing_or_weak_is_no_word_about_the_visitor() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let keys = directory.path().join("keys.toml");
    let keys = keys.to_str().expect("UTF-8");
    let made = run(&["key", "new", "--keys", keys, "--name", "shop", "--rights", "read"], &[]);
    let service = service(&["--store", "memory", "--keys", keys]);
    let answer = Caller::of(&service).get("/v1/session");
    is(&answer, 401, "key");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    let mut caller = Caller::of(&service).with("authorization", format!("Bearer {}", made.stdout.trim_end()));
    assert_eq!(caller.session(), json!({ "state": "none" }));
    is(&caller.patch(json!({ "set": { "a": 1 } })), 403, "rights");
    is(&caller.get("/v1/users/ada/sessions"), 403, "rights");
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let service = in_memory();
    let mut caller = Caller::of(&service);
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/sessions",
        "/v1/session/",
        "/v2/session",
        "/v1/sessions/AAAAAAAAAAAAAAAAAAAAAA",
        "/problems/x",
    ] {
        is(&caller.get(path), 404, "not-found");
    }
    let wrong = caller.ask("PUT", "/v1/session", "");
    is(&wrong, 405, "method");
    assert!(wrong.header("allow").contains("PATCH"), "{}", wrong.header("allow"));
}

#[test]
fn a_body_that_is_not_as_documented_is_refused_and_changes_nothing() {
    let service = in_memory();
    let mut caller = Caller::of(&service);
    caller.patch(json!({ "set": { "name": "ada" } })).ok();
    let deep = format!(r#"{{"set": {{"a": {}1{}}}}}"#, "[".repeat(200), "]".repeat(200));
    let bodies = [
        "{",
        "null",
        "[]",
        "[null, {}, [], {}, {}]",
        r#"{"set": {"a": 1}} {"#,
        r#"{"set": {"a": 1, "a": 2}}"#,
        r#"{"set": {"a": 1}, "set": {}}"#,
        r#"{"set": {"a": {"b": 1, "b": 2}}}"#,
        r#"{"sets": {"a": 1}}"#,
        r#"{"set": ["a"]}"#,
        r#"{"set": {"a": 1}, "session": 1}"#,
        r#"{"set": {"a": NaN}}"#,
        r#"{"set": {"a": 1e999}}"#,
        r#"{"set": {"a": "\ud800"}}"#,
        r#"{"set": {"": 1}}"#,
        r#"{"set": {"user_id": "root"}}"#,
        r#"{"set": {"a": 1}, "remove": ["a"]}"#,
        r#"{"increment": {"a": 1.5}}"#,
        r#"{"increment": {"a": 9223372036854775808}}"#,
        r#"{"increment": {"name": 1}}"#,
        r#"{"increment": {"a": 1, "name": 1}}"#,
        &deep,
    ];
    for body in bodies {
        is(&caller.ask("PATCH", "/v1/session", body), 400, "invalid");
    }
    caller.patch(json!({ "set": { "most": i64::MAX } })).ok();
    is(&caller.patch(json!({ "increment": { "most": 1 } })), 400, "invalid");
    assert_eq!(caller.session()["fields"], json!({ "name": "ada", "most": i64::MAX }));
    let other = caller.at(&service).with("content-type", "text/plain").ask("PATCH", "/v1/session", "");
    is(&other, 415, "invalid");
}

#[test]
fn a_sign_in_that_is_not_allowed_is_refused() {
    let service = in_memory();
    let mut caller = Caller::of(&service);
    let bodies = [
        json!({}),
        json!({ "user": "" }),
        json!({ "user": 42 }),
        json!({ "user": "x".repeat(256) }),
        json!({ "user": "ada", "idle_timeout": 0 }),
        json!({ "user": "ada", "idle_timeout": -1 }),
        json!({ "user": "ada", "idle_timeout": 1.5 }),
        json!({ "user": "ada", "idle_timeout": u64::MAX }),
        json!({ "user": "ada", "absolute_lifetime": u64::MAX }),
        json!({ "user": "ada", "cookie_max_age": u64::MAX }),
        json!({ "user": "ada", "deadline": "tomorrow" }),
        json!({ "user": "ada", "idle": 60 }),
    ];
    for body in bodies {
        let answer = caller.post("/v1/session/sign-in", body.clone());
        assert_eq!(problem(&answer), (400, "invalid".to_owned()), "{body}: {}", answer.body);
        assert!(answer.sets_no_cookie(), "{body}: {}", answer.body);
    }
    is(
        &caller.post("/v1/session/sign-in", json!({ "user": "ada", "deadline": "2001-01-01T00:00:00Z" })),
        400,
        "invalid",
    );
    assert_ne!(caller.session()["state"], "signed-in");
    is(&caller.post("/v1/session/sign-out", json!({ "scope": "here" })), 400, "invalid");
    for query in ["?fresh=maybe", "?fresh=true&fresh=true", "?slow=true"] {
        is(&caller.get(&format!("/v1/session{query}")), 400, "invalid");
    }
    is(&caller.get("/v1/users/ada/sessions?limit=-1"), 400, "invalid");
    is(&caller.get("/v1/users/%ff/sessions"), 400, "invalid");
}

#[test]
fn more_than_a_session_can_hold_is_too_large() {
    let service = in_memory();
    let mut caller = Caller::of(&service);
    caller.patch(json!({ "set": { "name": "ada" } })).ok();
    is(&caller.patch(json!({ "set": { "a": "x".repeat(64 * 1024) } })), 413, "too-large");
    is(&caller.patch(json!({ "set": { "a": "x".repeat(2 * 1024 * 1024) } })), 413, "too-large");
    let many: serde_json::Map<_, _> = (0..1000).map(|n| (format!("field{n}"), Value::from(n))).collect();
    is(&caller.patch(json!({ "set": many })), 413, "too-large");
    assert_eq!(caller.session()["fields"], json!({ "name": "ada" }));
    // what fits is taken, also where JSON makes six characters of each byte
    let odd = format!(r#"{{"set": {{"a": "{}"}}}}"#, r"\u0001".repeat(60 * 1024));
    assert_eq!(caller.ask("PATCH", "/v1/session", &odd).status, 200);
}

#[test]
fn a_store_that_is_away_is_never_taken_for_nobody() {
    let redis = RedisServer::start();
    let service = service_on(&redis, &["--redis-timeout", "300", "--no-near-cache"]);
    let mut caller = Caller::of(&service);
    caller.sign_in("ada");
    redis.pause();
    let answer = caller.get("/v1/session");
    is(&answer, 503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.sets_no_cookie());
    is(&caller.get("/v1/session/devices"), 503, "unavailable");
    redis.resume();
    crate::support::eventually("the store answers again", || {
        let answer = caller.get("/v1/session");
        (answer.status == 200).then(|| assert_eq!(answer.ok()["user"], "ada"))
    });
}

#[test]
fn a_change_whose_answer_is_lost_has_an_unknown_outcome() {
    let redis = RedisServer::start();
    let service = service_on(&redis, &["--redis-timeout", "300"]);
    let mut caller = Caller::of(&service);
    caller.patch(json!({ "increment": { "count": 1 } })).ok();
    caller.session();
    redis.pause();
    let mut new = Caller::of(&service);
    let answer = new.patch(json!({ "set": { "a": 1 } }));
    is(&answer, 503, "unknown-outcome");
    assert_eq!(answer.header("retry-after"), "", "to make the change again could make it twice");
    redis.resume();
}

#[test]
fn every_kind_of_problem_is_explained() {
    let service = in_memory();
    let mut caller = Caller::of(&service);
    let description = caller.get("/openapi.json").ok();
    let codes = description["components"]["schemas"]["Kind"]["enum"].as_array().expect("the codes");
    assert!(codes.len() > 10);
    for code in codes {
        let answer = caller.get(&format!("/problems/{}", code.as_str().expect("text")));
        assert_eq!(
            (answer.status, answer.header("content-type").as_str()),
            (200, "text/plain; charset=utf-8"),
            "{code}"
        );
    }
}
