//! Many sessions.

use std::collections::BTreeSet;

use crate::support::operator::{House, Said};

fn ids(said: &Said) -> BTreeSet<String> {
    said.json_lines().iter().map(|session| session["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn all_sessions_are_listed_once_without_their_secrets() {
    let house = House::open();
    let made: Vec<_> = (0..30).map(|i| if i % 2 == 0 { house.visitor() } else { house.signed_in("andrew") }).collect();
    let said = house.run(&["list", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json_lines().len(), 30);
    assert_eq!(ids(&said), made.iter().map(ToString::to_string).collect());
    let text = house.run(&["list"]);
    assert_eq!(text.stdout.lines().count(), 31, "a heading and one line each");
    for id in &made {
        let secret_hash = house.secret_hash_of(id);
        assert!(!said.all().contains(&secret_hash) && !text.all().contains(&secret_hash));
    }
}

#[test]
fn a_limit_is_kept_and_said() {
    let house = House::open();
    for _ in 0..5 {
        house.visitor();
    }
    let said = house.run(&["list", "--limit", "3", "--json"]);
    assert_eq!(said.json_lines().len(), 3);
    assert!(said.stderr.contains("more than 3"), "{said:?}");
    let all = house.run(&["list", "--limit", "5", "--json"]);
    assert!(all.json_lines().len() == 5 && all.stderr.is_empty(), "{all:?}");
}

#[test]
fn a_users_sessions_are_listed_the_latest_first() {
    let house = House::open();
    let made: Vec<_> = (0..3).map(|_| house.signed_in("andrew").to_string()).collect();
    house.signed_in("berta");
    let said = house.run(&["list", "--user", "andrew", "--json"]);
    let listed: Vec<_> =
        said.json_lines().iter().map(|session| session["id"].as_str().unwrap_or("").to_owned()).collect();
    assert_eq!(listed, made.into_iter().rev().collect::<Vec<_>>());
    let nobody = house.run(&["list", "--user", "carl"]);
    assert_eq!(nobody.code, 3, "{nobody:?}");
    assert_eq!(house.run(&["list", "--user", ""]).code, 2);
}

#[test]
fn an_empty_store_is_no_failure() {
    let said = House::open().run(&["list"]);
    assert!(said.code == 0 && said.stdout.is_empty() && said.stderr.contains("no session"), "{said:?}");
}

#[test]
fn sessions_of_the_other_token_format_are_left_out_and_hinted_at() {
    let house = House::open();
    let plain = house.plain();
    let said = house.run(&["list"]);
    assert!(said.stdout.is_empty() && said.stderr.contains("--plain-tokens"), "{said:?}");
    let said = house.run(&["list", "--plain-tokens"]);
    assert!(said.stdout.contains(&plain.to_string()) && !said.all().contains(&plain.expose()[..9]), "{said:?}");
}

#[test]
fn keys_beside_sessions_are_not_sessions() {
    let house = House::open();
    let id = house.visitor();
    house.cli::<()>("HSET session:app-a:AAAAAAAAAAAAAAAAAAAAAA created_at 2026-01-01T00:00:00+00:00");
    house.cli::<()>("SET session:BBBBBBBBBBBBBBBBBBBBBA text");
    house.cli::<()>("HSET session:CCCCCCCCCCCCCCCCCCCCCA name andrew");
    assert_eq!(ids(&house.run(&["list", "--json"])), BTreeSet::from([id.to_string()]));
}

#[test]
fn a_user_may_begin_with_a_hyphen() {
    let house = House::open();
    for user in ["-x", "-h", "-1", "-", "-Ok3V0pXq1mB8sT5rYw2uC", "--json"] {
        house.signed_in(user);
        let joined = format!("--user={user}");
        // two hyphens and a word can only be another flag
        let flags: &[&[&str]] = if user == "--json" { &[&[&joined]] } else { &[&["--user", user], &[&joined]] };
        for flags in flags {
            let said = house.run(&[&["list"], *flags, &["--json"]].concat());
            assert!(said.code == 0 && said.json()["user"] == user, "{flags:?}: {said:?}");
            let said = house.run(&[&["revoke"], *flags, &["--dry-run", "--json"]].concat());
            assert!(said.code == 0 && said.json()["found"] == 1, "{flags:?}: {said:?}");
        }
    }
    for verb in ["list", "revoke"] {
        let said = house.run(&[verb, "--user", "--json"]);
        assert!(said.code == 2 && said.stderr.contains("value is required for '--user <USER>'"), "{said:?}");
    }
}
