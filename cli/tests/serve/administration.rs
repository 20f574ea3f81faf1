//! What administrators ask.

use serde_json::{Value, json};

use crate::support::service::{Caller, problem, service};

#[test]
fn an_administrator_sees_and_ends_the_sessions_of_anybody() {
    let service = service(&["--store", "memory"]);
    let [mut laptop, mut phone, mut admin] = [(); 3].map(|()| Caller::of(&service));
    let user = "ada/löve 100%";
    let first = laptop.sign_in(user)["id"].clone();
    let second = phone.sign_in(user)["id"].clone();
    laptop.patch(json!({ "set": { "cart": [1] } })).ok();
    let path = format!(
        "/v1/users/{}/sessions",
        percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC)
    );
    let ids = |listed: &Value| -> Vec<Value> {
        listed["sessions"].as_array().expect("a list").iter().map(|session| session["id"].clone()).collect()
    };
    assert_eq!(ids(&admin.get(&path).ok()), [second.clone(), first.clone()]);
    assert_eq!(ids(&admin.get(&format!("{path}?offset=1&limit=5")).ok()), std::slice::from_ref(&first));

    let of_first = format!("/v1/sessions/{}", first.as_str().expect("text"));
    let shown = admin.get(&of_first).ok();
    assert_eq!((&shown["user"], &shown["fields"]), (&json!(user), &json!({ "cart": [1] })));
    assert_eq!(admin.delete(&of_first).ok(), json!({ "ended": 1 }));
    assert_eq!(admin.delete(&of_first).ok(), json!({ "ended": 0 }));
    assert_eq!(problem(&admin.get(&of_first)), (404, "not-found".to_owned()));
    assert_eq!(laptop.session()["state"], "none");
    assert_eq!(admin.delete(&path).ok(), json!({ "ended": 1 }));
    assert_eq!(phone.session()["state"], "none");
    assert_eq!(admin.get(&path).ok(), json!({ "sessions": [] }));
}
