//! Ending sessions.

use crate::support::operator::House;

#[test]
fn sessions_are_ended_by_their_ids() {
    let house = House::open();
    let (one, two, other) = (house.visitor(), house.signed_in("andrew"), house.visitor());
    let said = house.run(&["revoke", one.expose(), two.expose()]);
    assert_eq!((said.code, said.stdout.as_str()), (0, "ended 2 sessions\n"), "{said:?}");
    assert!(said.stderr.contains("about to end 2 sessions"), "{said:?}");
    assert!(!house.exists(&one) && !house.exists(&two) && house.exists(&other));
    let again = house.run(&["revoke", one.expose(), other.expose()]);
    assert_eq!(again.code, 3, "{again:?}");
    assert!(again.stderr.contains(one.expose()) && !house.exists(&other), "the others end all the same: {again:?}");
}

#[test]
fn a_user_is_signed_out_everywhere() {
    let house = House::open();
    let theirs = [house.signed_in("andrew"), house.signed_in("andrew")];
    let other = house.signed_in("berta");
    let said = house.run(&["revoke", "--user", "andrew", "--json"]);
    assert_eq!(said.json(), serde_json::json!({ "found": 2, "ended": 2, "dry_run": false }));
    assert!(theirs.iter().all(|id| !house.exists(id)) && house.exists(&other));
    let left = house.run(&["list", "--user", "andrew", "--json"]);
    assert!(!left.stdout.contains(theirs[0].expose()) && !left.stdout.contains(theirs[1].expose()), "{left:?}");
    assert_eq!(house.run(&["revoke", "--user", "andrew"]).code, 3);
}

#[test]
fn a_dry_run_counts_and_ends_nothing() {
    let house = House::open();
    let (one, two) = (house.visitor(), house.signed_in("andrew"));
    for (whose, found) in [(&["--all"][..], 2), (&["--user", "andrew"], 1), (&[one.expose(), two.expose()], 2)] {
        let said = house.run(&[&["revoke", "--dry-run", "--json"], whose].concat());
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(said.json(), serde_json::json!({ "found": found, "ended": 0, "dry_run": true }));
    }
    assert!(house.exists(&one) && house.exists(&two));
}

#[test]
fn all_sessions_end_only_when_that_was_said_twice_and_nobody_elses() {
    let house = House::open();
    let ids: Vec<_> = (0..20).map(|_| house.visitor()).chain([house.signed_in("andrew")]).collect();
    let foreign = "session:app-a:AAAAAAAAAAAAAAAAAAAAAA";
    house.cli::<()>(&format!("HSET {foreign} created_at 2026-01-01T00:00:00+00:00"));
    house.cli::<()>("SET session:BBBBBBBBBBBBBBBBBBBBBA text");
    let unsure = house.run(&["revoke", "--all"]);
    assert_eq!(unsure.code, 2, "{unsure:?}");
    assert!(unsure.stderr.contains("21 sessions") && unsure.stderr.contains("--yes"), "{unsure:?}");
    assert!(ids.iter().all(|id| house.exists(id)));
    let sure = house.run(&["revoke", "--all", "--yes"]);
    assert_eq!((sure.code, sure.stdout.as_str()), (0, "ended 21 sessions\n"), "{sure:?}");
    assert!(ids.iter().all(|id| !house.exists(id)));
    assert!(
        house.cli::<bool>(&format!("EXISTS {foreign}")) && house.cli::<bool>("EXISTS session:BBBBBBBBBBBBBBBBBBBBBA")
    );
}

#[test]
fn revoke_needs_exactly_one_of_ids_user_and_all() {
    let house = House::open();
    for arguments in
        [&["revoke"][..], &["revoke", "--all", "--user", "andrew"], &["revoke", "--all", "AAAAAAAAAAAAAAAAAAAAAA"]]
    {
        assert_eq!(house.run(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn a_revoke_that_replicas_do_not_have_in_time_says_so() {
    let house = House::open();
    let id = house.visitor();
    let said = house.run(&["revoke", id.expose(), "--wait-for-replicas", "1"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("may come back") && said.stderr.contains("0 of 1 replicas"), "{said:?}");
    assert!(!house.exists(&id));
}
