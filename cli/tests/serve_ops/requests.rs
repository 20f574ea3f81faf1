//! Requests that are odd, broken or about what belongs to others.

use std::io::Write as _;
use std::net::Shutdown;

use serde_json::Value;

use crate::caller::{Answer, all_of, ask, connect, request, send};
use crate::honest::Honest;
use crate::support::service::service;

#[test]
fn what_is_no_request_is_refused_and_what_is_odd_is_answered() {
    let service = service(&["--store", "memory"]);
    let honest = Honest::begin(&service);
    let get = |more: &str| format!("GET /v1/session HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{more}\r\n");
    let many = (0..200).map(|i| format!("x-{i}: 1\r\n")).collect::<String>();
    let cases: Vec<(Vec<u8>, &[u16])> = vec![
        (get("").into(), &[200]),
        (b"GET /v1/session HTTP/1.0\r\n\r\n".to_vec(), &[200]),
        (b"HEAD /v1/session HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(), &[200]),
        (b"GET /v1/session HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec(), &[200, 400]),
        (b"\r\n\r\nGET /v1/session HTTP/1.0\r\n\r\n".to_vec(), &[200]),
        (b"hello\r\n\r\n".to_vec(), &[400]),
        (b"\x00\x01\x02\x03\r\n\r\n".to_vec(), &[400]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &[400]),
        // of HTTP/2, in which an answer in HTTP/1 would be noise
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[]),
        (b"GET /v1/session HTTP/9.9\r\n\r\n".to_vec(), &[400, 505]),
        (b"GET /v1/ses\x00sion HTTP/1.1\r\n\r\n".to_vec(), &[400]),
        (get("x: a\x00b\r\n").into(), &[400]),
        (get("cookie: a\x00b\r\n").into(), &[400]),
        (get(": nameless\r\n").into(), &[400]),
        (get("x y: 1\r\n").into(), &[400]),
        (get(&many).into(), &[431]),
        (get(&format!("x: {}\r\n", "a".repeat(40_000))).into(), &[431]),
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000)).into(), &[414, 431]),
        (get("content-length: 1\r\ncontent-length: 2\r\n").into(), &[400]),
        (get("content-length: -1\r\n").into(), &[400]),
        (get("content-length: 99999999999999999999999\r\n").into(), &[400]),
        (get("transfer-encoding: gzip\r\n").into(), &[400]),
        (get(&format!("cookie: {}\r\n", "a=b; ".repeat(5000))).into(), &[200]),
        (get("cookie: \u{202e}=\u{1f600}; __Host-sid=é.ü\r\n").into(), &[200]),
        (b"GET /v1/session?extend=maybe HTTP/1.0\r\n\r\n".to_vec(), &[400]),
        (b"GET /v1/sessions/%00 HTTP/1.0\r\n\r\n".to_vec(), &[404]),
        (b"GET /v1/sessions/%ff HTTP/1.0\r\n\r\n".to_vec(), &[400, 404]),
        (b"GET /v1/users/%00/sessions HTTP/1.0\r\n\r\n".to_vec(), &[200, 400]),
        (b"GET http://elsewhere/v1/session HTTP/1.0\r\n\r\n".to_vec(), &[200]),
        (b"GET /v1/../v1/session HTTP/1.0\r\n\r\n".to_vec(), &[404]),
        (b"CONNECT elsewhere:80 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(), &[400, 404, 405]),
        (b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(), &[400, 404, 405]),
        (b"TRACE /v1/session HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(), &[405]),
    ];
    for (sent, allowed) in cases {
        let shown = String::from_utf8_lossy(&sent[..sent.len().min(100)]).into_owned();
        let answer = send_and_end(&service, &sent);
        assert_eq!(answer.is_empty(), allowed.is_empty(), "{shown:?}");
        if answer.is_empty() {
            continue;
        }
        let answer = Answer::read(&answer);
        assert!(allowed.contains(&answer.status), "{shown:?}: {answer:?}");
    }
    honest.end(&service);
}

/// Sends these bytes and says that no more will come.
fn send_and_end(service: &crate::support::demo::Demo, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(service);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    all_of(stream)
}

#[test]
fn whatever_is_wrong_with_a_body_is_said_and_nothing_is_done() {
    let service = service(&["--store", "memory"]);
    let honest = Honest::begin(&service);
    let deep = "[".repeat(100_000);
    let cases = [
        "{",
        "nonsense",
        "[]",
        "null",
        "1",
        "\"a\"",
        "{}",
        "{\"user\":",
        &deep,
        r#"{"user":1}"#,
        r#"{"user":null}"#,
        r#"{"user":["a"]}"#,
        r#"{"user":""}"#,
        r#"{"user":"ada","colour":"red"}"#,
        r#"{"user":"ada","user":"bob"}"#,
        r#"{"user":"ada"} more"#,
        r#"{"user":"ada","idle_timeout":-1}"#,
        r#"{"user":"ada","idle_timeout":1.5}"#,
        r#"{"user":"ada","idle_timeout":"1"}"#,
        r#"{"user":"ada","idle_timeout":99999999999999999999}"#,
        r#"{"user":"ada","auth_time":"yesterday"}"#,
        r#"{"user":"a\u0000b\ud800"}"#,
    ];
    for body in cases {
        let answer = ask(&service, "POST", "/v1/session/sign-in", &[], body);
        let shown = &body[..body.len().min(60)];
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid"), "{shown}: {answer:?}");
        assert_eq!(answer.cookie(), None, "{shown}");
    }
    let bytes =
        b"POST /v1/session/sign-in HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n\xff\xff";
    assert_eq!(Answer::read(&send(&service, bytes)).status, 400);
    let form = request("POST", "/v1/session/sign-in", &[], "user=ada").replace("application/json", "text/plain");
    assert_eq!(Answer::read(&send(&service, form.as_bytes())).status, 415);
    honest.end(&service);
}

#[test]
fn a_body_that_ends_too_early_changes_nothing() {
    let service = service(&["--store", "memory"]);
    let whole = request("POST", "/v1/session/sign-in", &[], r#"{"user":"ada"}"#);
    for length in [whole.len() - 1, whole.len() - 5, whole.len() - 14] {
        let answer = send_and_end(&service, &whole.as_bytes()[..length]);
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("200 OK") && !text.contains("set-cookie"), "{text}");
    }
    let listed = ask(&service, "GET", "/v1/users/ada/sessions", &[], "");
    assert_eq!(listed.body, r#"{"sessions":[]}"#);
}

#[test]
fn somebody_elses_session_is_none_of_yours() {
    let service = service(&["--store", "memory"]);
    let signed_in = |user: &str| {
        let answer = ask(&service, "POST", "/v1/session/sign-in", &[], &format!(r#"{{"user":"{user}"}}"#));
        let session: Value = serde_json::from_str(&answer.body).expect("JSON");
        (format!("cookie: {}", answer.cookie().expect("a cookie")), session["id"].as_str().expect("an id").to_owned())
    };
    let ((ada, _), (bob, id)) = (signed_in("ada"), signed_in("bob"));
    for other in [id.as_str(), "AAAAAAAAAAAAAAAAAAAAAA", "nonsense", "%00", &"a".repeat(5000)] {
        let answer = ask(&service, "DELETE", &format!("/v1/session/devices/{other}"), &[&ada], "");
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"ended":0}"#), "{other}");
    }
    assert!(ask(&service, "GET", "/v1/session", &[&bob], "").body.contains(r#""user":"bob""#));
    // an id is no token, whatever is put behind it
    for forged in [id.clone(), format!("{id}."), format!("{id}.{}", "A".repeat(43))] {
        let name = bob.split_once('=').expect("a name").0;
        let answer = ask(&service, "GET", "/v1/session", &[&format!("{name}={forged}")], "");
        assert_eq!(answer.body, r#"{"state":"none"}"#);
    }
}

#[test]
fn who_has_nothing_more_to_say_is_still_answered() {
    let service = service(&["--store", "memory"]);
    let answer = send_and_end(&service, b"GET /v1/session HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(Answer::read(&answer).status, 200);
}

#[test]
fn requests_in_one_breath_are_answered_one_after_the_other() {
    let service = service(&["--store", "memory"]);
    let mut requests = String::new();
    for i in 0..100 {
        requests +=
            &format!("GET /v1/session/{} HTTP/1.1\r\nhost: a\r\n\r\n", if i % 2 == 0 { "devices" } else { "none" });
    }
    requests += &request("GET", "/livez", &[], "");
    let answers = send(&service, requests.as_bytes());
    let text = String::from_utf8_lossy(&answers);
    let statuses: Vec<_> = text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
    let expected: Vec<_> = (0..100).map(|i| if i % 2 == 0 { "200" } else { "404" }).chain(["200"]).collect();
    assert_eq!(statuses, expected);
}
