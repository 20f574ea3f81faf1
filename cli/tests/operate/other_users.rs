//! A directory that belongs to the application's user, and what root and other users of the machine do with it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::accounts::{APPLICATION, Accounts, STRANGER, give};
use crate::support::demo::{Demo, cloakroom};
use crate::support::operator::{run, said};
use crate::support::visitor::Visitor;

/// The application's demo on this directory.
fn demo(accounts: &Accounts, path: &Path) -> Demo {
    Demo::by(accounts.command(APPLICATION, &["demo", "--port", "0", "--store", text(path)]))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A directory with the sessions of two users, which the application made and has closed; and one of the visitors.
fn stopped(accounts: &Accounts) -> (PathBuf, Visitor) {
    let path = accounts.path("sessions");
    let mut demo = demo(accounts, &path);
    Visitor::of(&demo).login("beth", 600);
    let mut visitor = Visitor::of(&demo);
    visitor.login("andrew", 600);
    assert_eq!(demo.stop().code(), Some(0));
    (path, visitor)
}

fn is_signed_in(visitor: &Visitor, demo: &Demo) -> bool {
    visitor.to(demo).get("/session").json()["authenticated"] == true
}

/// Each file with everything that looking at it might change.
fn state(path: &Path) -> Vec<(PathBuf, String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(path)
        .expect("a directory")
        .map(|entry| entry.expect("a file").path())
        .map(|path| {
            let metadata = fs::metadata(&path).expect("it is there");
            let what = format!(
                "inode {}, mode {:o}, owner {}, {:?}",
                metadata.ino(),
                metadata.mode(),
                metadata.uid(),
                metadata.modified()
            );
            let bytes = fs::read(&path).expect("root may");
            (path, what, bytes)
        })
        .collect();
    all.sort();
    all
}

fn assert_all_belong_to_the_application(path: &Path, after: &str) {
    for entry in fs::read_dir(path).expect("a directory") {
        let path = entry.expect("a file").path();
        assert_eq!(fs::metadata(&path).expect("it is there").uid(), APPLICATION, "{} after {after}", path.display());
        if path.is_dir() {
            assert_all_belong_to_the_application(&path, after);
        }
    }
}

#[test]
fn root_may_look_at_a_store_without_changing_it_or_keeping_the_application_from_starting() {
    let accounts = Accounts::new();
    let (path, visitor) = stopped(&accounts);
    let before = state(&path);
    let id = run(&["list", "--json", "--user", "andrew", "--store", text(&path)], &[]).ids().pop_last().expect("one");
    let elsewhere = accounts.path("elsewhere");
    let looks: [&[&str]; 8] = [
        &["list"],
        &["stats"],
        &["show", &id],
        &["export"],
        &["watch", "--count", "1"],
        &["revoke", "--all", "--dry-run"],
        &["revoke", "--user", "andrew", "--dry-run"],
        &["import", "--dry-run"],
    ];
    for verb in looks {
        let said = said(cloakroom(&[verb, &["--store", text(&path)]].concat()).stdin(Stdio::piped()));
        assert_eq!(said.code, 0, "{said:?}");
        assert!(state(&path) == before, "{verb:?} changed something");
    }
    for (from, to) in [(&path, &elsewhere), (&elsewhere, &path)] {
        let said = run(&["move", "--dry-run", "--from", text(from), "--to", text(to)], &[]);
        assert_eq!(said.code == 0, from == &path, "{said:?}");
        assert!(state(&path) == before, "it changed something: {said:?}");
        assert!(!elsewhere.exists());
    }
    let demo = demo(&accounts, &path);
    assert!(is_signed_in(&visitor, &demo));
}

#[test]
fn what_root_changes_still_belongs_to_the_application() {
    let accounts = Accounts::new();
    let (path, visitor) = stopped(&accounts);
    let exported = run(&["export", "--store", text(&path)], &[]).stdout;
    let lines = accounts.path("lines");
    fs::write(&lines, &exported).expect("it is written");
    let check = |after: &str| {
        assert_all_belong_to_the_application(&path, after);
        let mut demo = demo(&accounts, &path);
        assert!(is_signed_in(&visitor, &demo), "after {after}");
        assert_eq!(demo.stop().code(), Some(0));
    };

    assert_eq!(run(&["revoke", "--user", "beth", "--store", text(&path)], &[]).code, 0);
    check("revoke");
    let stdin = || fs::File::open(&lines).expect("it is there");
    let mut import = cloakroom(&["import", "--store", text(&path)]);
    let imported = said(import.stdin(stdin()));
    assert!(imported.stdout.contains("imported 1 session"), "{imported:?}");
    check("import");
    let from = accounts.path("from");
    assert_eq!(said(cloakroom(&["import", "--store", text(&from)]).stdin(stdin())).code, 0);
    let moved = run(&["move", "--merge", "--from", text(&from), "--to", text(&path)], &[]);
    assert!(!moved.stdout.is_empty(), "{moved:?}");
    check("move");
    // what a kill left, with one byte of the journal turned
    let journal = path.join("journal-0000000001");
    let mut bytes = fs::read(&journal).expect("the journal");
    bytes[40] ^= 1;
    fs::write(&journal, bytes).expect("it is written");
    assert_eq!(run(&["repair", "--store", text(&path)], &[]).code, 1);
    check("repair");
}

#[test]
fn a_new_directory_of_root_comes_with_the_command_that_gives_it_away() {
    let accounts = Accounts::new();
    let (path, _) = stopped(&accounts);
    let new = accounts.path("new");
    let said = run(&["move", "--from", text(&path), "--to", text(&new)], &[]);
    assert!(said.code == 0 && said.stderr.contains(&format!("chown -R USER {}", new.display())), "{said:?}");
}

#[test]
fn another_user_is_told_whose_the_directory_is() {
    let accounts = Accounts::new();
    let (path, _) = stopped(&accounts);
    for running in [false, true] {
        let _demo = running.then(|| demo(&accounts, &path));
        for verb in [&["list"][..], &["revoke", "--all", "--yes"], &["repair"], &["demo", "--port", "0"]] {
            let said = accounts.run(STRANGER, &[verb, &["--store", text(&path)]].concat());
            let hint = format!("belongs to user {APPLICATION}, and this process runs as user {STRANGER}");
            assert!(said.code == 4 && said.stderr.contains(&hint), "{said:?}");
            assert!(said.stderr.contains("sudo -u '#65534'"), "{said:?}");
        }
    }
}

#[test]
fn a_file_that_belongs_to_another_user_is_named_with_the_command_that_helps() {
    let accounts = Accounts::new();
    let (path, visitor) = stopped(&accounts);
    std::os::unix::fs::chown(path.join("seal"), Some(0), Some(0)).expect("root may");
    let arguments = ["demo", "--port", "0", "--store", text(&path)];
    let said = accounts.run(APPLICATION, &arguments);
    let hint = format!("seal in it belongs to another user: sudo chown -R {APPLICATION} '{}'", path.display());
    assert!(said.code == 4 && said.stderr.contains(&hint), "{said:?}");
    give(&path, APPLICATION);
    assert!(is_signed_in(&visitor, &demo(&accounts, &path)));
}

#[test]
fn whatever_the_umask_is_nobody_else_may_read_what_is_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sessions");
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_cloakroom"), "demo", "--port", "0"]);
    command.args(["--store", text(&path)]);
    let demo = Demo::by(command);
    Visitor::of(&demo).login("andrew", 600);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let names: Vec<_> = state_names(&path);
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        assert_eq!(mode(&path.join(&name)), 0o600, "{name}");
    }
    assert!(!demo.stderr().contains("other user"), "{}", demo.stderr());
}

fn state_names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory").map(|entry| entry.expect("a file").file_name());
    entries.map(|name| name.into_string().expect("UTF-8")).collect()
}

#[test]
fn a_directory_that_is_open_to_others_is_warned_of() {
    let accounts = Accounts::new();
    let path = accounts.path("sessions");
    fs::create_dir(&path).expect("it is made");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    give(&path, APPLICATION);
    let open = demo(&accounts, &path).stderr();
    assert!(open.contains("is open to other users of this machine: chmod 700") && open.contains(text(&path)), "{open}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let closed = demo(&accounts, &path).stderr();
    assert!(!closed.contains("other user"), "{closed}");
    // a trap: somebody else's directory at a name that was expected
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("it is ours");
    give(&path, STRANGER);
    for name in state_names(&path) {
        fs::remove_file(path.join(name)).expect("root may");
    }
    let foreign = demo(&accounts, &path).stderr();
    assert!(foreign.contains("belongs to another user, who can read and change all sessions"), "{foreign}");
}

#[test]
fn a_link_that_another_user_has_put_there_is_not_followed() {
    let accounts = Accounts::new();
    let path = accounts.path("sessions");
    fs::create_dir(&path).expect("it is made");
    let victim = accounts.path("victim");
    fs::write(&victim, "precious").expect("it is written");
    for name in ["lock", "seal.new", "control", "journal-0000000001"] {
        give(&path, STRANGER);
        std::os::unix::fs::symlink(&victim, path.join(name)).expect("it is put there");
        // root opens the store of a user who wants a file of root's to be overwritten
        let said = said(cloakroom(&["import", "--store", text(&path)]).stdin(Stdio::piped()));
        assert_eq!(fs::read_to_string(&victim).expect("it is there"), "precious", "{name}: {said:?}");
        assert_eq!(fs::metadata(&victim).expect("it is there").uid(), 0, "{name}");
        for name in state_names(&path) {
            fs::remove_file(path.join(name)).expect("root may");
        }
    }
}

#[test]
fn api_keys_that_root_makes_belong_to_the_user_of_the_service() {
    let accounts = Accounts::new();
    let directory = accounts.path("service");
    fs::create_dir(&directory).expect("a directory");
    give(&directory, APPLICATION);
    let keys = directory.join("keys.toml");
    let new = |name| run(&["key", "new", "--keys", text(&keys), "--name", name, "--rights", "read"], &[]);
    for name in ["shop", "blog"] {
        assert_eq!(new(name).code, 0);
        let metadata = fs::metadata(&keys).expect("a file");
        assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o777), (APPLICATION, 0o600), "after {name}");
    }
    let listed = |user| accounts.run(user, &["key", "list", "--keys", text(&keys)]);
    assert!(listed(APPLICATION).stdout.contains("blog"));
    assert_eq!(listed(STRANGER).code, 1);
}
