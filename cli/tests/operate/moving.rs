//! From a directory to Redis and back: every session as it was, whatever happens on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Stdio};

use cloakroom::SessionId;
use serde_json::json;

use crate::lines::{import, lines_of, made};
use crate::support::demo::{Demo, cloakroom};
use crate::support::operator::{House, Said, run};
use crate::support::visitor::Visitor;
use crate::support::{RedisServer, eventually};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn moved(from: &str, to: &str, flags: &[&str]) -> Said {
    run(&[&["move", "--json", "--from", from, "--to", to], flags].concat(), &[])
}

/// Everything that stands in a Redis under the prefix, as redis-cli shows it, with the time at which each key expires.
fn everything(house: &House) -> BTreeMap<String, (BTreeMap<String, String>, u64)> {
    let keys: Vec<String> = house.cli("KEYS session:*");
    let look = |key: &String| match key.starts_with("session:user:") {
        true => (house.cli(&format!("ZRANGE {key} 0 -1 WITHSCORES")), 0),
        false => (house.cli(&format!("HGETALL {key}")), house.cli(&format!("PEXPIRETIME {key}"))),
    };
    keys.iter().map(|key| (key.clone(), look(key))).collect()
}

#[test]
fn every_key_is_the_same_after_the_way_to_a_directory_and_back() {
    let (here, there) = (House::open(), House::open());
    for number in 0..1500 {
        let id = match number % 3 {
            0 => here.visitor_with(&["name", "Ä \"b\" {}", "cart", &"x".repeat(300)]),
            _ => here.signed_in(&format!("user-{}", number % 400)),
        };
        if number % 5 == 0 {
            let hash = "A".repeat(43);
            here.cli::<()>(&format!("HSET session:{} previous_secret_hash {hash}", id.expose()));
        }
    }
    let before = everything(&here);
    let dir = tempfile::tempdir().expect("a directory");
    let said = moved(&here.redis.url(), text(dir.path()), &[]);
    assert_eq!((said.code, &said.json()["made"]), (0, &1500.into()), "{said:?}");
    let said = moved(text(dir.path()), &there.redis.url(), &[]);
    assert_eq!((said.code, &said.json()["made"]), (0, &1500.into()), "{said:?}");
    assert_eq!(everything(&there), before);
    assert_eq!(everything(&here), before, "the source stays as it is");
    for user in (0..400).map(|number| format!("session:user:user-{number}")).filter(|key| before.contains_key(key)) {
        let (index, id) = (there.cli::<i64>(&format!("PTTL {user}")), before[&user].0.keys().next().unwrap());
        assert!(index > there.cli::<i64>(&format!("PTTL session:{id}")), "an index outlives its sessions");
    }
    let said = moved(text(dir.path()), &there.redis.url(), &[]).json();
    assert_eq!((&said["made"], &said["already_there"]), (&0.into(), &1500.into()), "{said}");
}

/// Moves, and is killed as soon as `is_enough`.
fn killed(from: &str, to: &str, rate: usize, is_enough: impl Fn() -> bool) {
    let mut moving = begun(from, to, rate);
    eventually("something is moved", || {
        assert!(moving.try_wait().expect("it is our child").is_none(), "it was to be killed half-way");
        is_enough().then_some(())
    });
    moving.kill().expect("it runs");
    moving.wait().expect("it ends");
}

fn begun(from: &str, to: &str, rate: usize) -> Child {
    let rate = rate.to_string();
    let mut command = cloakroom(&["move", "--json", "--rate", &rate, "--from", from, "--to", to]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// To Redis and back, killed twice on each way.
fn there_and_back_killed_twice(sessions: usize, rate: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, last) = (dir.path().join("first"), dir.path().join("last"));
    let said = import(&made(sessions), &["--store", text(&first)]);
    assert_eq!(said.code, 0, "{said:?}");
    let before = lines_of(&["--store", text(&first)]);
    assert_eq!(before.len(), sessions);
    let redis = RedisServer::start();
    for part in [5, 2] {
        let is_enough = || redis.ask::<usize>(&["DBSIZE"]) > sessions / part;
        killed(text(&first), &redis.url(), rate, is_enough);
    }
    let left = moved(text(&first), &redis.url(), &["--dry-run"]).json();
    assert!(left["made"].as_u64() > Some(0) && left["already_there"].as_u64() > Some(0), "{left}");
    let said = moved(text(&first), &redis.url(), &[]);
    assert_eq!(said.json()["made"], left["made"], "{said:?}");
    assert!(lines_of(&["--redis-url", &redis.url()]) == before, "record by record");

    let whole: u64 = bytes_in(&first);
    for part in [5, 2] {
        killed(&redis.url(), text(&last), rate, || bytes_in(&last) > whole / part);
    }
    let said = moved(&redis.url(), text(&last), &[]);
    assert!(said.code == 0 && said.json()["already_there"].as_u64() > Some(0), "{said:?}");
    assert!(lines_of(&["--store", text(&last)]) == before, "record by record");
}

fn bytes_in(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

#[test]
fn a_move_that_is_killed_twice_each_way_ends_with_equal_records() {
    there_and_back_killed_twice(4000, 3000);
}

/// Some minutes: `cargo nextest run --release -p cloakroom-cli --run-ignored only two_hundred_thousand`
#[test]
#[ignore = "the long form of the one above"]
fn two_hundred_thousand_sessions_are_the_same_after_four_kills() {
    there_and_back_killed_twice(200_000, 50_000);
}

#[test]
fn what_is_revoked_in_a_living_redis_meanwhile_is_not_at_the_target() {
    let (here, there) = (House::open(), House::open());
    for _ in 0..150 {
        here.signed_in("andrew");
        here.signed_in("beth");
    }
    let moving = begun(&here.redis.url(), &there.redis.url(), 100);
    let is_there = || there.cli::<u64>("DBSIZE") > 60;
    eventually("half of them are moved", || is_there().then_some(()));
    let said = here.run(&["revoke", "--user", "andrew", "--json"]);
    assert_eq!(said.json()["ended"], 100, "evicted ones aside: {said:?}");
    let done = moving.wait_with_output().expect("it ends");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert!(done.status.success() && report["ended_at_target"].as_u64() > Some(0), "{report}");
    let left = there.run(&["list", "--limit", "0", "--json"]).json_lines();
    assert!(left.len() == 100 && left.iter().all(|session| session["user"] == "beth"), "{report}");
}

#[test]
fn what_is_revoked_in_a_running_process_meanwhile_is_not_at_the_target() {
    let (demo, redis) = (Demo::start(&[]), House::open());
    let dir = demo.default_directory();
    let login = |name: &str| Visitor::of(&demo).login(name, 600)["session_id"].as_str().expect("an id").to_owned();
    let mut ids: BTreeSet<_> = (0..40).map(|number| login(&format!("user-{number}"))).collect();
    let moving = begun(text(&dir), &redis.redis.url(), 20);
    let first = eventually("some are moved", || {
        let keys: Vec<String> = redis.cli("KEYS session:*");
        let id = |key: &String| SessionId::parse(key.strip_prefix("session:")?).ok();
        keys.iter().find_map(id)
    });
    let said = run(&["revoke", "--json", "--store", text(&dir), first.expose()], &[]);
    assert_eq!(said.json()["ended"], 1, "{said:?}");
    ids.remove(first.expose());
    let done = moving.wait_with_output().expect("it ends");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert!(done.status.success(), "{report}");
    assert_eq!((&report["made"], &report["ended_at_target"]), (&40.into(), &1.into()), "{report}");
    assert_eq!(redis.run(&["list", "--json"]).ids(), ids);
    assert_eq!(lines_of(&["--store", text(&dir)]), lines_of(&["--redis-url", &redis.redis.url()]));
    // a process that uses the target makes its sessions itself
    let said = moved(&redis.redis.url(), text(&dir), &[]);
    assert!(said.code == 1 && said.stderr.contains("in use by a running process"), "{said:?}");
}

#[test]
fn after_the_move_everybody_is_signed_in_and_the_oldest_place_is_the_first_to_end() {
    let (dir, redis) = (tempfile::tempdir().expect("a directory"), RedisServer::start());
    let mut demo = Demo::in_directory(dir.path());
    let mut places: Vec<_> = (0..3).map(|_| Visitor::of(&demo)).collect();
    // not in the order in which they were made
    for place in [2, 0, 1] {
        places[place].login("andrew", 600);
    }
    let fields = |visitor: &mut Visitor| {
        let seen = visitor.peek();
        let session = ["username", "page_views", "last_accessed_at"].map(|name| seen["session"][name].clone());
        (seen["session_id"].clone(), session)
    };
    let before: Vec<_> = places.iter_mut().map(fields).collect();
    assert!(demo.stop().success());
    let said = moved(text(dir.path()), &redis.url(), &[]);
    assert_eq!(said.json()["made"], 3, "{said:?}");

    let demo = Demo::on(&redis);
    let mut places: Vec<_> = places.iter().map(|place| place.to(&demo)).collect();
    assert!(places.iter_mut().all(|place| place.peek()["authenticated"] == true));
    assert_eq!(places.iter_mut().map(fields).collect::<Vec<_>>(), before);
    let fourth = Visitor::of(&demo).login("andrew", 600);
    assert_eq!(fourth["authenticated"], true);
    let left: Vec<_> = places.iter_mut().map(|place| place.peek()["authenticated"] == true).collect();
    assert_eq!(left, [true, true, false], "who signed in first has to go");

    let back = dir.path().join("back");
    assert_eq!(moved(&redis.url(), text(&back), &[]).json()["made"], 3);
    let demo = Demo::in_directory(&back);
    let order = |said: Said| said.json_lines().iter().map(|session| session["id"].clone()).collect::<Vec<_>>();
    let in_redis = run(&["list", "--user", "andrew", "--json", "--redis-url", &redis.url()], &[]);
    let in_directory = run(&["list", "--user", "andrew", "--json", "--store", text(&back)], &[]);
    assert_eq!(order(in_directory), order(in_redis));
    Visitor::of(&demo).login("andrew", 600);
    let left: Vec<_> = places.iter().map(|place| place.to(&demo).peek()["authenticated"] == true).collect();
    assert_eq!(left, [false, true, false]);
}

#[test]
fn sessions_only_at_the_target_need_a_flag_and_nothing_is_overwritten_without_one() {
    let (here, there) = (House::open(), House::open());
    let (ended, changed) = (here.signed_in("andrew"), here.signed_in("andrew"));
    let (from, to) = (here.redis.url(), there.redis.url());
    assert_eq!(moved(&from, &to, &[]).json()["made"], 2);
    here.run(&["revoke", ended.expose()]);
    let fresh = here.visitor();
    for flags in [&[][..], &["--dry-run"]] {
        let said = moved(&from, &to, flags);
        assert_eq!(said.code, i32::from(flags.is_empty()), "{said:?}");
    }
    let said = moved(&from, &to, &[]);
    assert!(said.stderr.contains(ended.expose()) && said.stderr.contains("--mirror"), "{said:?}");
    assert!(!there.exists(&fresh), "nothing was moved");

    let said = moved(&from, &to, &["--merge"]);
    assert_eq!((&said.json()["made"], &said.json()["only_at_target"]), (&1.into(), &1.into()), "{said:?}");
    assert!(there.exists(&ended));
    here.cli::<()>(&format!("HSET session:{} views 7", changed.expose()));
    let views = || there.cli::<String>(&format!("HGET session:{} views", changed.expose()));
    let said = moved(&from, &to, &["--merge"]);
    assert!(said.code == 1 && said.stderr.contains(changed.expose()), "{said:?}");
    assert_eq!((&said.json()["differing"], views().as_str()), (&1.into(), "1"));

    let said = moved(&from, &to, &["--mirror"]);
    assert_eq!((said.code, &said.json()["replaced"], &said.json()["ended_at_target"]), (0, &1.into(), &1.into()));
    assert!(!there.exists(&ended) && views() == "7");
    assert_eq!(everything(&there).keys().collect::<Vec<_>>(), everything(&here).keys().collect::<Vec<_>>());
    // one that was used later at the target stays
    there.cli::<()>(&format!("HSET session:{} last_accessed_at 2999-01-01T00:00:00.000+00:00", changed.expose()));
    let said = moved(&from, &to, &["--mirror"]);
    assert!(said.code == 1 && said.json()["differing"] == 1, "{said:?}");
}

#[test]
fn one_that_was_evicted_at_the_target_does_not_come_back() {
    let (here, there) = (House::open(), House::open());
    let id = here.visitor();
    there.cli::<()>(&format!("HSET session:{} ended elsewhere secret_hash x", id.expose()));
    let said = moved(&here.redis.url(), &there.redis.url(), &[]);
    assert!(said.code == 1 && said.json()["made"] == 0, "{said:?}");
    assert!(!there.cli::<bool>(&format!("HEXISTS session:{} created_at", id.expose())));
}

#[test]
fn a_session_with_a_plain_token_ends_when_the_application_says() {
    let (here, there) = (House::open(), House::open());
    here.plain();
    let dir = tempfile::tempdir().expect("a directory");
    let said = moved(&here.redis.url(), text(dir.path()), &[]);
    assert!(said.json()["made"] == 0 && said.stderr.contains("--plain-tokens"), "{said:?}");
    let flags = ["--plain-tokens", "--absolute-lifetime", "300"];
    assert_eq!(moved(&here.redis.url(), text(dir.path()), &flags).json()["made"], 1);
    assert_eq!(moved(text(dir.path()), &there.redis.url(), &flags).json()["made"], 1);
    let keys: Vec<String> = there.cli("KEYS session:*");
    let left = there.cli::<u64>(&format!("TTL {}", keys[0]));
    assert!(keys.len() == 1 && left <= 300, "its own idle timeout would be 600: {left}");
}

#[test]
fn places_that_cannot_be_are_refused_before_anything_is_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, url) = (text(dir.path()), "redis://127.0.0.1:1");
    for (flags, code, why) in [
        (&["--from", path, "--to", path][..], 2, "the same place"),
        (&["--from", url, "--to", url], 2, "the same place"),
        (&["--from", path, "--to", "redis://:hunter2@127.0.0.1"], 2, "REDIS_PASSWORD"),
        (&["--from", path, "--from", url, "--to", url], 2, "--from must be one directory, or one or more URLs"),
        (&["--from", path], 2, "--to"),
        (&["--from", url, "--to", path, "--merge", "--mirror"], 2, "cannot be used with"),
        (&["--from", path, "--to", url], 4, "there is no session store"),
        (&["--from", url, "--to", path], 4, "cannot connect"),
    ] {
        let said = run(&[&["move"], flags].concat(), &[]);
        assert!(said.code == code && said.stderr.contains(why), "{flags:?}: {said:?}");
        assert!(!said.all().contains("hunter2"), "{said:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("it is there").count(), 0);
    let house = House::open();
    house.visitor();
    let said = moved(&house.redis.url(), text(&dir.path().join("new")), &["--dry-run"]);
    assert_eq!(
        said.json(),
        json!({ "made": 1, "replaced": 0, "already_there": 0, "differing": 0, "ended": 0,
        "ended_at_target": 0, "only_at_target": 0, "dry_run": true })
    );
    assert!(!dir.path().join("new").exists(), "a dry run makes nothing");
}
