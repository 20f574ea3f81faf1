//! What an application has stored cannot steer the terminal on which it is shown, and hides nothing there.

use crate::lines::import;
use crate::support::operator::{House, run};

/// Of every kind: controls of C0 and C1, directions, no width, separators, tags, fillers, variation selectors.
const HOSTILE: &str = "a\u{1b}[31m\u{7}\r\n\u{7f}\u{9b}31m\u{85}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{200f}\u{2028}\
                       \u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{3164}\u{fe0f}\u{feff}\u{fff9}\u{e0001}\u{e0041}\u{e0100}z";

/// What may be printed of it: lines, and what can be seen.
fn is_seen(c: char) -> bool {
    c == '\n' || !c.is_control() && (c.is_ascii() || !HOSTILE.contains(c))
}

fn hostile_session(house: &House) -> String {
    let id = house.signed_in(HOSTILE);
    let mut hset = redis::cmd("HSET");
    hset.arg(format!("session:{}", id.expose()));
    for name in ["device", "ip", "text", HOSTILE] {
        hset.arg(name).arg(HOSTILE);
    }
    let _: i64 = hset.query(&mut house.redis.client()).expect("it is stored");
    id.expose().to_owned()
}

#[test]
fn no_verb_prints_what_steers_a_terminal_or_cannot_be_seen() {
    let house = House::open();
    let id = hostile_session(&house);
    let nobody = format!("{HOSTILE}?");
    let verbs: [&[&str]; 21] = [
        &["show", &id],
        &["show", &id, "--json"],
        &["show", HOSTILE],
        &["list"],
        &["list", "--json"],
        &["list", "--user", HOSTILE],
        &["list", "--user", HOSTILE, "--json"],
        &["list", "--user", &nobody],
        &["stats"],
        &["stats", "--json"],
        &["watch", "--count", "1"],
        &["watch", "--count", "1", "--json"],
        &["doctor", "--full"],
        &["doctor", "--full", "--json"],
        &["doctor", "--prefix", HOSTILE],
        &["show", &id, "--store", HOSTILE],
        &["repair", "--store", HOSTILE],
        &["revoke", HOSTILE],
        &["revoke", "--user", HOSTILE, "--dry-run"],
        &["revoke", "--user", &nobody],
        &["revoke", "--user", HOSTILE, "--json"],
    ];
    for verb in verbs {
        let said = if verb.contains(&"--store") { run(verb, &[]) } else { house.run(verb) };
        let all = said.all();
        assert!(!all.is_empty() && all.chars().all(is_seen), "{verb:?}: {all:?}");
    }
}

#[test]
fn what_is_escaped_still_means_the_same_in_json_and_an_export_is_exact() {
    let house = House::open();
    let id = hostile_session(&house);
    let shown = house.run(&["show", &id, "--json"]).json();
    for text in [&shown["user"], &shown["device"], &shown["ip"], &shown["fields"]["text"], &shown["fields"][HOSTILE]] {
        assert_eq!(text, HOSTILE);
    }
    assert_eq!(house.run(&["list", "--json"]).json()["user"], HOSTILE);
    let exported = house.run(&["export"]);
    assert!(exported.stdout.contains('\u{202e}'), "as it is stored: {exported:?}");
    house.run(&["revoke", &id]);
    assert_eq!(import(exported.stdout.as_bytes(), &["--redis-url", &house.redis.url()]).json()["made"], 1);
    assert_eq!(house.run(&["show", &id, "--json"]).json()["fields"][HOSTILE], HOSTILE);
}

#[test]
fn what_is_wrong_with_an_imported_line_is_said_safely() {
    let house = House::open();
    let line = serde_json::json!({ "id": "AAAAAAAAAAAAAAAAAAAAAA", HOSTILE: 1 }).to_string();
    for line in [line.clone(), line.replace('}', &format!(",{}", &line[1..]))] {
        let said = import(line.as_bytes(), &["--redis-url", &house.redis.url()]);
        assert!(said.code == 1 && said.all().chars().all(is_seen), "{said:?}");
    }
}
