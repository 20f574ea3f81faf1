//! No token stands anywhere but in `Cookie` and `Set-Cookie`.

use serde_json::json;

use crate::support::service::{Caller, service};

/// What opens the session: the half of the token behind the dot, or all of a plain one.
fn secret(caller: &Caller) -> String {
    let token = caller.cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("a cookie").1;
    token.rsplit('.').next().expect("a token").to_owned()
}

#[test]
fn no_answer_and_no_line_of_the_log_has_a_token_in_it() {
    for format in [&[][..], &["--plain-tokens"]] {
        let service = service(&[&["--store", "memory"], format].concat());
        let mut caller = Caller::of(&service);
        let id = caller.patch(json!({ "set": { "a": 1 } })).ok()["id"].as_str().expect("an id").to_owned();
        let mut secrets = vec![secret(&caller)];
        let questions = [
            ("GET", "/v1/session", "".to_owned()),
            ("GET", "/v1/session?fresh=true", "".to_owned()),
            ("PATCH", "/v1/session", json!({ "session": id, "increment": { "a": 1 } }).to_string()),
            ("PATCH", "/v1/session", json!({ "expect": { "a": 7 } }).to_string()),
            ("POST", "/v1/session/sign-in", json!({ "user": "ada" }).to_string()),
            ("GET", "/v1/session/devices", "".to_owned()),
            ("POST", "/v1/session/rotate", "".to_owned()),
            ("POST", "/v1/session/elevate", "".to_owned()),
            ("GET", "/v1/users/ada/sessions", "".to_owned()),
            ("GET", &format!("/v1/sessions/{id}"), "".to_owned()),
            ("POST", "/v1/session/sign-out", json!({ "scope": "others" }).to_string()),
            ("DELETE", "/v1/session", "".to_owned()),
        ];
        for (method, path, body) in questions {
            let mut answer = caller.ask(method, path, &body);
            answer.headers.remove("set-cookie");
            if caller.cookie.is_some() {
                secrets.push(secret(&caller));
            }
            let said = format!("{:?} {}", answer.headers, answer.body);
            assert!(secrets.iter().all(|secret| !said.contains(secret)), "{method} {path}: {said}");
        }
        let log = service.stderr();
        assert!(secrets.iter().all(|secret| !log.contains(secret)), "{log}");
    }
}

#[test]
fn a_plain_token_is_no_id_that_opens_or_ends_a_session_for_an_administrator() {
    let service = service(&["--store", "memory", "--plain-tokens"]);
    let mut caller = Caller::of(&service);
    caller.patch(json!({ "set": { "a": 1 } })).ok();
    let path = format!("/v1/sessions/{}", secret(&caller));
    assert_eq!(Caller::of(&service).get(&path).status, 404);
    assert_eq!(Caller::of(&service).delete(&path).ok(), json!({ "ended": 0 }));
    assert_eq!(caller.session()["fields"], json!({ "a": 1 }));
}
