//! A snapshot: what the files of a store say, while nobody has it open and while somebody has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::operate::{Inspect as _, Save as _, Snapshot};
use cloakroom::store::{Embedded, Store, Target};
use cloakroom::{
    Page, UserId,
    store::{Change, Credentials, Fields, Terms},
};

use crate::crashes::sign_in;

async fn made(store: &Embedded) -> Credentials {
    let presented = mint();
    let fields = Fields::from([("cart", "x".repeat(300).as_str())]);
    store.create(&new_session(presented, fields), &Terms::default()).await.unwrap();
    presented
}

/// Everything in a directory that looking at it could change.
fn state(dir: &Path) -> Vec<(String, Vec<u8>, String)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> = entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            let what = format!("{:?} {:?} {:?}", metadata.modified(), metadata.permissions(), metadata.created());
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap(), what)
        })
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_snapshot_shows_what_the_store_had_and_leaves_the_directory_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (path, terms) = (dir.path().join("store"), Terms::default());
    let andrew = UserId::try_from("andrew").unwrap();
    let store = Embedded::open(&path).unwrap();
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let visitor = made(&store).await;
        let change = Change::SignIn { new: sign_in(andrew.clone()), secret_hash: mint().secret_hash.unwrap() };
        store.apply(&visitor, &change, &terms).await.unwrap();
        sessions.push(visitor.id);
    }
    let ended = made(&store).await.id;
    store.revoke(&Target::Session(ended)).await.unwrap();
    let saved = store.save(&sessions, &terms).await.unwrap();
    drop(store);
    // what a kill may leave behind does not go away either
    let journal = path.join("journal-0000000001");
    let mut bytes = fs::read(&journal).unwrap();
    bytes.extend(b"\xC1oak of a change that was never finish");
    fs::write(&journal, bytes).unwrap();

    let before = state(&path);
    let snapshot = Snapshot::of(&path).unwrap();
    assert_eq!(snapshot.scan(None, 0).await.unwrap().ids.len(), 2);
    assert_eq!(snapshot.save(&sessions, &terms).await.unwrap(), saved);
    assert_eq!(snapshot.find(&ended, &terms).await.unwrap(), None);
    for (id, saved) in sessions.iter().zip(&saved) {
        let found = snapshot.find(id, &terms).await.unwrap().map(|loaded| loaded.record);
        assert_eq!(found, saved.as_ref().map(|saved| saved.record.clone()));
    }
    let debug = format!("{snapshot:?}");
    assert!(debug.contains(path.to_str().unwrap()) && !debug.contains("cart"), "{debug}");
    assert_eq!(snapshot.sessions_of(&andrew, Page::default()), [sessions[1], sessions[0]]);
    assert_eq!(state(&path), before);
    // and the application starts meanwhile
    drop(Embedded::open(&path).unwrap());
    assert_eq!(snapshot.scan(None, 0).await.unwrap().ids.len(), 2);
}

#[tokio::test]
async fn a_locked_snapshot_keeps_the_application_from_starting_and_is_named_in_its_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    made(&store).await;
    let error = Snapshot::locked(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is in use by another process, process "), "{error}");
    drop(store);
    let before = state(dir.path());
    let snapshot = Snapshot::locked(dir.path()).unwrap();
    let error = Embedded::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is being moved by another process"), "{error}");
    assert_eq!(Snapshot::locked(dir.path()).unwrap().scan(None, 0).await.unwrap().ids.len(), 1);
    assert_eq!(state(dir.path()), before);
    drop(snapshot);
    Embedded::open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_store_that_is_changed_all_the_time_is_read_as_it_was_at_some_moment() {
    let dir = tempfile::tempdir().unwrap();
    // so that parts end, and are written again and removed, all the time
    let store = Embedded::builder(dir.path()).part_bytes(16_000).without_control_socket().open().unwrap();
    let mut stay = BTreeSet::new();
    for _ in 0..20 {
        stay.insert(made(&store).await.id);
    }
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                let id = made(&store).await.id;
                store.revoke(&Target::Session(id)).await.unwrap();
                // whoever reads on a busy machine must come to it between two parts now and then
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    };
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let path = dir.path().to_owned();
        let snapshot = tokio::task::spawn_blocking(move || Snapshot::of(path)).await.unwrap().unwrap();
        let found: BTreeSet<_> = snapshot.scan(None, 0).await.unwrap().ids.into_iter().collect();
        assert!(found.is_superset(&stay) && found.len() <= stay.len() + 1, "{} sessions", found.len());
    }
    writing.abort();
}

#[test]
fn a_damaged_store_is_named_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    drop(Embedded::open(dir.path()).unwrap());
    let seal = dir.path().join("seal");
    let text = fs::read_to_string(&seal).unwrap();
    fs::write(&seal, text.replace("first part 1", "first part 7")).unwrap();
    let error = Snapshot::of(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is damaged: the seal is damaged"), "{error}");
    fs::remove_file(&seal).unwrap();
    let error = Snapshot::of(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is damaged: the seal is missing"), "{error}");
}
