//! The devices of a user: their own only.

use serde_json::{Value, json};

use crate::support::service::{Caller, problem, service};

fn ids(caller: &mut Caller) -> Vec<Value> {
    let devices = caller.get("/v1/session/devices").ok();
    devices["devices"].as_array().expect("a list").iter().map(|device| device["id"].clone()).collect()
}

#[test]
fn a_user_sees_and_ends_their_own_sessions_and_no_others() {
    let service = service(&["--store", "memory"]);
    let [mut laptop, mut phone, mut bob] = [(); 3].map(|()| Caller::of(&service));
    let laptop_id = laptop.sign_in("ada")["id"].clone();
    let phone_id = phone.sign_in("ada")["id"].clone();
    let bob_id = bob.sign_in("bob")["id"].clone();
    let listed = laptop.get("/v1/session/devices").ok();
    let current: Vec<_> = listed["devices"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|device| (&device["id"], &device["current"]))
        .collect();
    assert_eq!(current, [(&phone_id, &json!(false)), (&laptop_id, &json!(true))]);

    let mut end = |id: &str| laptop.delete(&format!("/v1/session/devices/{id}")).ok();
    for other in [bob_id.as_str().expect("text"), "AAAAAAAAAAAAAAAAAAAAAA", "x", "%00", "..%2f"] {
        assert_eq!(end(other), json!({ "ended": 0 }), "{other}");
    }
    assert_eq!(end(phone_id.as_str().expect("text")), json!({ "ended": 1 }));
    assert_eq!(phone.session()["state"], "none");
    assert_eq!(bob.session()["state"], "signed-in");
    assert_eq!(ids(&mut laptop), [laptop_id]);
    assert_eq!(ids(&mut Caller::of(&service)), [Value::Null; 0]);
}

#[test]
fn a_user_signs_out_on_the_others_and_everywhere() {
    let service = service(&["--store", "memory"]);
    let mut callers = [(); 3].map(|()| Caller::of(&service));
    callers.iter_mut().for_each(|caller| drop(caller.sign_in("ada")));
    let [laptop, phone, tablet] = &mut callers;
    assert_eq!(laptop.post("/v1/session/sign-out", json!({ "scope": "others" })).ok(), json!({ "ended": 2 }));
    assert_eq!([phone.session()["state"].clone(), tablet.session()["state"].clone()], ["none", "none"]);
    phone.sign_in("ada");
    assert_eq!(phone.post("/v1/session/sign-out", json!({ "scope": "everywhere" })).ok(), json!({ "ended": 2 }));
    assert_eq!((&phone.cookie, &laptop.session()), (&None, &json!({ "state": "none" })));
    let nobody = phone.post("/v1/session/sign-out", json!({ "scope": "everywhere" }));
    assert_eq!(problem(&nobody), (401, "signed-out".to_owned()));
}
