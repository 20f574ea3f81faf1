//! Watching.

use serde_json::{Value, json};

use crate::support::operator::House;

#[test]
fn sessions_are_seen_coming_and_being_revoked_and_expiring() {
    let house = House::open();
    let revoked = house.signed_in("andrew");
    house.visitor_for(2);
    let mut watch = house.start(&["watch", "--interval", "1", "--count", "5", "--json"]);
    let mut next = || serde_json::from_str::<Value>(&watch.line()).expect("JSON");
    let first = next();
    assert_eq!((&first["sessions"], &first["signed_in"], &first["new"]), (&2.into(), &1.into(), &0.into()));
    house.run(&["revoke", revoked.expose()]);
    house.visitor();
    let second = next();
    assert_eq!(
        (&second["new"], &second["revoked"], &second["signed_in"]),
        (&1.into(), &1.into(), &0.into()),
        "{second}"
    );
    let (_, _, last) = (next(), next(), next());
    assert_eq!(last["since_start"], json!({ "new": 1, "expired": 1, "revoked": 1 }), "{last}");
    assert_eq!(last["sessions"], 1);
}

#[test]
fn ctrl_c_ends_it_and_is_no_failure() {
    let house = House::open();
    house.visitor();
    let mut watch = house.start(&["watch"]);
    assert!(watch.line().contains("revoked since start"));
    assert!(watch.line().contains("UTC"));
    assert_eq!(watch.interrupt(), Some(0));
}
