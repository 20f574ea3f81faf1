//! The verbs on a store in a directory: through the demo that uses it, and on the directory when none does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::demo::Demo;
use crate::support::eventually;
use crate::support::operator::{Running, Said, run};
use crate::support::visitor::Visitor;

fn verb(path: &Path, arguments: &[&str]) -> Said {
    run(&[arguments, &["--store", path.to_str().expect("UTF-8")]].concat(), &[])
}

/// Who is signed in, as their browsers would see it.
fn is_signed_in(visitor: &mut Visitor) -> bool {
    visitor.get("/session").json()["authenticated"] == true
}

#[test]
fn every_verb_works_while_the_demo_runs_and_after_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sessions");
    let mut demo = Demo::in_directory(&path);
    let mut visitors: Vec<_> = (0..3).map(|_| Visitor::of(&demo)).collect();
    let mut all = Vec::new();
    for (visitor, name) in visitors.iter_mut().zip(["andrew", "andrew", "beth"]) {
        all.push(visitor.login(name, 600)["session_id"].as_str().expect("an id").to_owned());
    }
    let set = |ids: &[String]| BTreeSet::from_iter(ids.iter().cloned());
    let check = |left: &[String]| {
        assert_eq!(verb(&path, &["list", "--json"]).ids(), set(left));
        assert_eq!(verb(&path, &["stats", "--json"]).json()["sessions"], left.len());
        assert_eq!(verb(&path, &["watch", "--count", "1", "--json"]).json()["sessions"], left.len());
        let shown = verb(&path, &["show", "--json", &left[0]]).json();
        assert_eq!((&shown["id"], &shown["secret_hash"]), (&left[0].as_str().into(), &"(hidden)".into()));
    };
    check(&all);
    assert_eq!(verb(&path, &["list", "--json", "--user", "andrew"]).ids(), set(&all[..2]));
    // the demo itself ends it, so its visitor sees it at once
    assert_eq!(verb(&path, &["revoke", "--json", &all[0]]).json()["ended"], 1);
    assert!(!is_signed_in(&mut visitors[0]) && is_signed_in(&mut visitors[1]));
    let dry = verb(&path, &["revoke", "--all", "--dry-run", "--json"]).json();
    assert_eq!((&dry["found"], &dry["ended"]), (&2.into(), &0.into()));

    assert_eq!(demo.stop().code(), Some(0));
    check(&all[1..]);
    assert_eq!(verb(&path, &["revoke", "--json", "--user", "andrew"]).json()["ended"], 1);
    check(&all[2..]);
    let said = verb(&path, &["revoke", "--user", "andrew"]);
    assert_eq!(said.code, 3, "{said:?}");

    let demo = Demo::in_directory(&path);
    assert!(!is_signed_in(&mut visitors[1].to(&demo)) && is_signed_in(&mut visitors[2].to(&demo)));
    let said = verb(&path, &["revoke", "--all", "--yes"]);
    assert!(said.code == 0 && said.stdout == "ended 1 session\n", "{said:?}");
    assert!(!is_signed_in(&mut visitors[2].to(&demo)));
    assert_eq!(verb(&path, &["list", "--json"]).stdout, "");
}

#[test]
fn a_demo_that_is_killed_signs_nobody_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut demo = Demo::in_directory(dir.path());
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 600);
    let views = |visitor: &mut Visitor| visitor.get("/session").json()["session"]["page_views"].clone();
    let before = views(&mut visitor);
    demo.kill();
    // what is left of it is no hindrance, neither for an operator nor for the next one
    assert_eq!(verb(dir.path(), &["stats", "--json"]).json()["signed_in"], 1);
    let demo = Demo::in_directory(dir.path());
    let mut visitor = visitor.to(&demo);
    assert!(is_signed_in(&mut visitor));
    assert_eq!(views(&mut visitor), before);
}

#[test]
fn a_second_process_is_refused_and_told_whose_the_directory_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let demo = Demo::in_directory(dir.path());
    let path = dir.path().to_str().expect("UTF-8");
    let said = verb(dir.path(), &["demo", "--port", "0"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stderr.contains(path) && said.stderr.contains("in use by another process, process "), "{said:?}");
    let said = verb(dir.path(), &["repair"]);
    assert!(said.code == 4 && said.stderr.contains("in use"), "{said:?}");
    assert!(Visitor::of(&demo).login("andrew", 60)["authenticated"] == true);
}

#[test]
fn a_damaged_store_is_named_and_repaired_by_its_own_verb_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut demo = Demo::in_directory(dir.path());
    let mut visitors: Vec<_> = (0..5).map(|_| Visitor::of(&demo)).collect();
    for (number, visitor) in visitors.iter_mut().enumerate() {
        visitor.login(&format!("user-{number}"), 600);
    }
    assert_eq!(demo.stop().code(), Some(0));
    let said = verb(dir.path(), &["repair"]);
    assert!(said.code == 0 && said.stdout == "nothing is damaged; the store has 5 sessions\n", "{said:?}");

    let journal = dir.path().join("journal-0000000001");
    let mut bytes = fs::read(&journal).expect("the journal");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&journal, &bytes).expect("it is written");
    for arguments in [&["list"][..], &["stats"], &["demo", "--port", "0"]] {
        let said = verb(dir.path(), arguments);
        assert!(
            said.code == 4 && said.stderr.contains("is damaged") && said.stderr.contains("cloakroom repair"),
            "{said:?}"
        );
    }
    assert_eq!(fs::read(&journal).expect("the journal"), bytes, "nothing was changed");
    let said = verb(dir.path(), &["repair", "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let report = said.json();
    assert!(report["damage"][0].as_str().is_some_and(|damage| damage.starts_with("journal-0000000001")), "{report}");
    let aside = Path::new(report["aside"].as_str().expect("a path")).join("journal-0000000001");
    assert_eq!(fs::read(aside).expect("the damaged file"), bytes);
    let left = report["sessions"].as_u64().expect("a number");
    let demo = Demo::in_directory(dir.path());
    let lives = visitors.into_iter().filter(|visitor| is_signed_in(&mut visitor.to(&demo))).count();
    // what is lost may be a sign-in, with the secret that it gave to the browser
    assert!(0 < lives && lives as u64 <= left, "{lives} of {left}");
}

#[test]
fn who_removes_the_lock_does_not_let_a_second_process_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let demo = Demo::in_directory(dir.path());
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 600);
    fs::remove_file(dir.path().join("lock")).expect("it is there");
    for arguments in [&["repair"][..], &["demo", "--port", "0"]] {
        let said = verb(dir.path(), arguments);
        assert!(said.code == 4 && said.stderr.contains("is in use by another process"), "{said:?}");
    }
    // the one that has it open is still reached
    assert_eq!(verb(dir.path(), &["stats", "--json"]).json()["signed_in"], 1);
}

#[test]
fn a_directory_that_is_removed_under_the_demo_signs_nobody_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sessions");
    let demo = Demo::in_directory(&path);
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 600);
    fs::remove_dir_all(&path).expect("it is there");
    let mut late = Visitor::of(&demo);
    let refused = late.post("/login", &[("user", "beth"), ("ttl", "600")]);
    assert_eq!((refused.status, late.has_cookie()), (503, false), "{}", refused.body);
    assert!(is_signed_in(&mut visitor), "reading goes on");
    let log = demo.stderr();
    assert!(log.contains("was removed, moved or replaced while the store was open"), "{log}");
}

#[test]
fn while_somebody_watches_a_stopped_store_the_application_starts_and_is_watched() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut demo = Demo::in_directory(dir.path());
    Visitor::of(&demo).login("andrew", 600);
    assert_eq!(demo.stop().code(), Some(0));
    let path = dir.path().to_str().expect("UTF-8");
    let mut watch = Running::start(&["watch", "--interval", "1", "--json", "--store", path]);
    let mut sessions = || serde_json::from_str::<Value>(&watch.line()).expect("JSON")["sessions"].clone();
    assert_eq!(sessions(), 1);
    let mut demo = Demo::in_directory(dir.path());
    Visitor::of(&demo).login("beth", 600);
    eventually("the process is watched", || (sessions() == 2).then_some(()));
    assert_eq!(demo.stop().code(), Some(0));
    let demo = Demo::in_directory(dir.path());
    Visitor::of(&demo).login("carol", 600);
    eventually("and so is the next one", || (sessions() == 3).then_some(()));
}

#[test]
fn a_directory_with_a_long_path_is_as_good_as_any() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("d".repeat(150)).join("sessions");
    let mut demo = Demo::in_directory(&path);
    let mut visitor = Visitor::of(&demo);
    let id = visitor.login("andrew", 600)["session_id"].as_str().expect("an id").to_owned();
    assert_eq!(verb(&path, &["list", "--json"]).ids(), BTreeSet::from([id.clone()]));
    if cfg!(target_os = "linux") {
        assert_eq!(verb(&path, &["revoke", "--json", &id]).json()["ended"], 1);
        assert!(!is_signed_in(&mut visitor));
    }
    assert_eq!(demo.stop().code(), Some(0));
    assert_eq!(verb(&path, &["stats", "--json"]).json()["sessions"], u32::from(!cfg!(target_os = "linux")));
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named_for_what_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sessions");
    fs::write(&path, "").expect("it is written");
    for arguments in [&["list"][..], &["stats"], &["export"], &["revoke", "--all", "--yes"], &["repair"]] {
        let said = verb(&path, arguments);
        let expected = format!("there is no session store in {}: it is not a directory", path.display());
        assert!(said.code == 4 && said.stderr.contains(&expected), "{said:?}");
    }
}

#[test]
fn what_was_cut_off_the_end_of_the_journal_is_said_in_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut demo = Demo::in_directory(dir.path());
    let seal = fs::read(dir.path().join("seal")).expect("the seal of before they come");
    for name in ["andrew", "beth", "carol"] {
        Visitor::of(&demo).login(name, 600);
    }
    demo.kill();
    // as a power cut leaves it: the file is as long as it was, and the end of it has not reached the disk
    let journal = dir.path().join("journal-0000000001");
    let bytes = fs::read(&journal).expect("the journal");
    let begins: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"\xC1oak")).collect();
    let last_two = begins[begins.len() - 2];
    let mut cut = bytes.clone();
    cut.truncate(last_two + 5);
    cut.extend(b"\xC1oak of one more");
    fs::write(&journal, cut).expect("it is written");
    fs::write(dir.path().join("seal"), seal).expect("it is written");
    let log = Demo::in_directory(dir.path()).stderr();
    for part in [
        "21 bytes at the end of journal-0000000001, in which 2 changes begin",
        "the last whole change is number ",
        "changes that were answered",
        dir.path().to_str().expect("UTF-8"),
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    // it is said once: then it is gone
    let log = Demo::in_directory(dir.path()).stderr();
    assert!(!log.contains("at the end of"), "{log}");
}

#[test]
fn what_is_no_store_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("thesis.txt"), "mine").expect("it is written");
    for arguments in [&["list"][..], &["repair"], &["demo", "--port", "0"]] {
        let said = verb(dir.path(), arguments);
        assert!(said.code == 4 && said.stderr.contains(dir.path().to_str().expect("UTF-8")), "{said:?}");
    }
    let others = fs::read_dir(dir.path()).expect("it is there").filter(|file| {
        file.as_ref().is_ok_and(|file| !["thesis.txt", "lock"].contains(&file.file_name().to_str().expect("UTF-8")))
    });
    assert_eq!(others.count(), 0);
    fs::write(dir.path().join("seal"), "cloakroom sessions 99\n").expect("it is written");
    let said = verb(dir.path(), &["stats"]);
    assert!(said.code == 4 && said.stderr.contains("another version, `cloakroom sessions 99`"), "{said:?}");
}

#[test]
fn the_rate_is_kept_although_all_sessions_are_named_at_once() {
    let demo = Demo::start(&[]);
    for number in 0..40 {
        Visitor::of(&demo).login(&format!("user-{number}"), 600);
    }
    let begin = std::time::Instant::now();
    let said = verb(&demo.default_directory(), &["stats", "--rate", "50", "--json"]);
    assert_eq!(said.json()["sessions"], 40, "{said:?}");
    assert!(begin.elapsed() > std::time::Duration::from_millis(600), "{:?}", begin.elapsed());
}
