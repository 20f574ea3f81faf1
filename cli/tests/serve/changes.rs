//! Changes of a session's fields: which session they are for, and what they expect.

use serde_json::{Value, json};

use crate::support::service::{Caller, problem, service};

#[test]
fn who_comes_without_a_cookie_gets_a_session_and_who_comes_with_a_dead_one_does_not() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service);
    let first = caller.patch(json!({ "set": { "cart": [1] } })).ok();
    let mut dead = caller.at(&service);
    caller.delete("/v1/session");

    let refused = dead.patch(json!({ "set": { "cart": [2] } }));
    assert_eq!(problem(&refused), (401, "gone".to_owned()));
    assert_eq!(dead.session(), json!({ "state": "none" }), "no session was made");
    let named = dead.patch(json!({ "session": first["id"], "set": { "cart": [2] } }));
    assert_eq!(problem(&named), (401, "gone".to_owned()));
    // the caller has read that there is none, and wants a new one
    let anew = dead.patch(json!({ "session": null, "set": { "cart": [3] } })).ok();
    assert_eq!(anew["fields"], json!({ "cart": [3] }));
    assert_ne!(anew["id"], first["id"]);
}

#[test]
fn a_change_is_made_only_to_the_session_that_it_names() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service);
    let id = caller.patch(json!({ "session": null, "set": { "step": 1 } })).ok()["id"].clone();
    assert_eq!(caller.patch(json!({ "session": id, "set": { "step": 2 } })).ok()["fields"]["step"], 2);
    let other = Caller::of(&service).sign_in("bob")["id"].clone();
    for (session, refusal) in [(other, (401, "gone")), (json!("x"), (401, "gone")), (Value::Null, (412, "changed"))] {
        let answer = caller.patch(json!({ "session": session, "set": { "step": 3 } }));
        assert_eq!(problem(&answer), (refusal.0, refusal.1.to_owned()), "{session}");
    }
    assert_eq!(caller.session()["fields"], json!({ "step": 2 }));
}

#[test]
fn all_changes_are_made_in_one_step_or_none() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service);
    caller.patch(json!({ "set": { "step": "address", "note": "x" } })).ok();
    let change = json!({
        "expect": { "step": "address", "paid": null },
        "set": { "step": "payment" },
        "remove": ["note", "never_there"],
        "increment": { "changes": -1 },
    });
    let changed = caller.patch(change.clone()).ok();
    assert_eq!(changed["fields"], json!({ "step": "payment", "changes": -1 }));
    let late = caller.patch(change);
    assert_eq!(problem(&late), (412, "changed".to_owned()));
    assert!(late.body.contains("`step`"), "it says which field: {}", late.body);
    caller.patch(json!({ "set": { "paid": true } })).ok();
    let late = caller.patch(json!({ "expect": { "paid": null }, "increment": { "changes": 1 } }));
    assert_eq!(problem(&late), (412, "changed".to_owned()));
    assert_eq!(caller.session()["fields"], json!({ "step": "payment", "changes": -1, "paid": true }));
}

#[test]
fn what_is_expected_is_compared_as_json() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service);
    caller.patch(json!({ "set": { "cart": { "a": 1, "b": [2.50] } } })).ok();
    let same = r#"{"expect": {"cart": {"b": [25e-1], "a": 1.0}}, "set": {"cart": null}}"#;
    assert_eq!(caller.ask("PATCH", "/v1/session", same).ok()["fields"], json!({ "cart": null }));
    // null is a value as well, and such a field exists
    assert_eq!(problem(&caller.patch(json!({ "expect": { "cart": null } }))), (412, "changed".to_owned()));
}

#[test]
fn nobody_expects_a_session_of_somebody_who_has_none() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service);
    assert_eq!(problem(&caller.patch(json!({ "expect": { "step": 1 } }))), (412, "changed".to_owned()));
    assert_eq!(
        caller.patch(json!({ "expect": { "step": null }, "remove": ["step"] })).ok(),
        json!({ "state": "none" })
    );
    assert_eq!(caller.patch(json!({})).ok(), json!({ "state": "none" }));
    assert_eq!(caller.cookie, None);
}

#[test]
fn parallel_counts_are_exact() {
    let service = service(&["--store", "memory"]);
    let mut caller = Caller::of(&service);
    caller.patch(json!({ "set": { "count": 0 } })).ok();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let mut caller = caller.at(&service);
            scope.spawn(move || (0..25).for_each(|_| drop(caller.patch(json!({ "increment": { "count": 1 } })).ok())));
        }
    });
    assert_eq!(caller.session()["fields"]["count"], 200);
}
