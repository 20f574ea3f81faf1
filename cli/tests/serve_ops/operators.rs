//! What operators and their tools see: health, metrics and the log.

use serde_json::Value;

use crate::caller::{Answer, ask};
use crate::keys::{KeysFile, showing};
use crate::support::demo::{Demo, cloakroom};
use crate::support::{RedisServer, eventually, service::service};

/// Starts the service with a log of every request.
fn logging(flags: &[&str]) -> Demo {
    let mut command = cloakroom(&[&["serve", "--store", "memory", "--listen", "127.0.0.1:0"], flags].concat());
    command.env("RUST_LOG", "info");
    Demo::by(command)
}

/// The lines about requests, when there are so many.
fn access_lines(service: &Demo, count: usize) -> Vec<String> {
    eventually("the requests are logged", || {
        let log = service.stderr();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("answered")).map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    })
}

fn metrics(service: &Demo, headers: &[&str]) -> String {
    let answer = ask(service, "GET", "/metrics", headers, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{answer:?}");
    answer.body
}

#[test]
fn the_service_is_ready_while_its_store_answers_and_alive_without_it() {
    let redis = RedisServer::start();
    let port = redis.port().to_string();
    let service = service(&["--redis-port", &port, "--redis-timeout", "300"]);
    let health = || ["/livez", "/readyz"].map(|path| ask(&service, "GET", path, &[], "").status);
    assert_eq!(health(), [200, 200]);
    redis.pause();
    assert_eq!(health(), [200, 503]);
    redis.resume();
    eventually("it is ready again", || (health() == [200, 200]).then_some(()));
}

#[test]
fn requests_are_counted_by_route_and_not_by_what_callers_make_up() {
    let service = service(&["--store", "memory"]);
    for _ in 0..3 {
        ask(&service, "GET", "/v1/session", &[], "");
    }
    ask(&service, "POST", "/v1/session/sign-in", &[], r#"{"user":"ada"}"#);
    ask(&service, "GET", "/v1/users/secretive-user/sessions", &[], "");
    ask(&service, "MADEUP", "/v1/session", &[], "");
    ask(&service, "GET", "/made/up", &[], "");
    let metrics = metrics(&service, &[]);
    for line in [
        r#"cloakroom_http_requests_total{method="GET",route="/v1/session",status="200"} 3"#,
        r#"cloakroom_http_requests_total{method="POST",route="/v1/session/sign-in",status="200"} 1"#,
        r#"cloakroom_http_requests_total{method="GET",route="/v1/users/{user}/sessions",status="200"} 1"#,
        r#"cloakroom_http_requests_total{method="other",route="/v1/session",status="405"} 1"#,
        r#"cloakroom_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"cloakroom_http_request_duration_seconds_count{method="GET",route="/v1/session"} 3"#,
        r#"cloakroom_http_request_duration_seconds_bucket{method="GET",route="/v1/session",le="+Inf"} 3"#,
        "cloakroom_sign_ins_total 1",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} is missing: {metrics}");
    }
    assert!(!metrics.to_lowercase().contains("made") && !metrics.contains("secretive"), "{metrics}");
}

#[test]
fn metrics_need_a_key_of_any_rights_where_there_are_keys() {
    let keys = KeysFile::new();
    let key = keys.key("prometheus", "read");
    let service = keys.service(&[]);
    assert_eq!(ask(&service, "GET", "/metrics", &[], "").status, 401);
    assert!(metrics(&service, &[&showing(&key)]).contains("cloakroom_http_requests_total"));
    let health = ["/livez", "/readyz"].map(|path| ask(&service, "GET", path, &[], "").status);
    assert_eq!(health, [200, 200], "whoever looks after the process has no key");
}

#[test]
fn each_request_is_one_line_of_the_log() {
    let keys = KeysFile::new();
    let key = keys.key("shop", "app");
    let path = keys.path();
    let flags = ["--keys", path.to_str().expect("UTF-8"), "--log-format", "json"];
    let service = logging(&flags);
    let signed_in = ask(&service, "POST", "/v1/session/sign-in", &[&showing(&key)], r#"{"user":"ada"}"#);
    ask(&service, "GET", "/v1/session?extend=false", &["user-agent: \u{202e}evil"], "");
    let lines = access_lines(&service, 2);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let [first, second] = [&lines[0], &lines[1]].map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let session: Value = serde_json::from_str(&signed_in.body).expect("JSON");
    let of = |line: &Value| ["method", "route", "status", "key", "session"].map(|name| line[name].clone());
    assert_eq!(
        of(&first),
        ["POST".into(), "/v1/session/sign-in".into(), 200.into(), "shop".into(), session["id"].clone()]
    );
    assert_eq!(of(&second), ["GET".into(), "/v1/session".into(), 401.into(), Value::Null, Value::Null]);
    assert!(first["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{first}");
    assert_eq!((&first["level"], &first["target"]), (&"INFO".into(), &"cloakroom::access".into()));
}

#[test]
fn the_log_for_people_names_the_session_and_says_nothing_without_being_asked() {
    let service = logging(&[]);
    let answer: Answer = ask(&service, "POST", "/v1/session/sign-in", &[], r#"{"user":"ada"}"#);
    let session: Value = serde_json::from_str(&answer.body).expect("JSON");
    let line = access_lines(&service, 1).remove(0);
    assert!(line.contains(session["id"].as_str().expect("an id")) && line.contains("status=200"), "{line}");
    let quiet = crate::support::service::service(&["--store", "memory"]);
    ask(&quiet, "GET", "/v1/session", &[], "");
    assert_eq!(quiet.stderr(), "");
}
