//! How long the journal is: as short as it should be however often sessions change, and not written again without need.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::{Credentials, Embedded, Fields, Save, Store as _, Terms};

const PATIENCE: Duration = Duration::from_secs(40);

async fn made(store: &Embedded, sessions: usize) -> Vec<Credentials> {
    let all: Vec<_> = (0..sessions).map(|_| mint()).collect();
    for presented in &all {
        let fields = Fields::from([("cart", "x".repeat(300).as_str()), ("views", "0")]);
        store.create(&new_session(*presented, fields), &Terms::default()).await.unwrap();
    }
    all
}

async fn change(store: &Embedded, presented: &Credentials) {
    let mut save = Save::default();
    save.fields.add.insert("views".to_owned(), 1);
    store.apply(presented, &save.into(), &Terms::default()).await.unwrap();
}

/// How many bytes all parts of the journal have.
fn length(path: &Path) -> u64 {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let parts = names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("journal-"));
    // a part that is just being removed has no length
    parts.filter_map(|part| Some(fs::metadata(part).ok()?.len())).sum()
}

/// Waits until the store has looked after its files.
async fn is_sealed(path: &Path, changes: u64) {
    let synced = || {
        let seal = fs::read_to_string(path.join("seal")).unwrap();
        seal.lines().find_map(|line| line.strip_prefix("synced ")?.parse::<u64>().ok()).unwrap()
    };
    until(|| synced() >= changes).await;
}

async fn until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it takes too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_journal_stays_short_however_often_a_session_changes() {
    const PART: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let open = || Embedded::builder(dir.path()).part_bytes(PART).without_control_socket().open().unwrap();
    let mut store = open();
    let sessions = made(&store, 60).await;
    let needed = length(dir.path());
    // a store that was just opened knows as well how much is needed, and so does one that has written its sessions again
    for _ in 0..3 {
        for _ in 0..1000 {
            change(&store, &sessions[0]).await;
        }
        assert!(length(dir.path()) > 5 * needed);
        until(|| length(dir.path()) < 2 * needed + 3 * PART).await;
        drop(store);
        store = open();
    }
    for presented in &sessions {
        assert!(store.load(presented, &Terms::default()).await.unwrap().live().is_some());
    }
}

#[tokio::test]
async fn a_journal_that_is_mostly_needed_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::builder(dir.path()).part_bytes(1_000).without_control_socket().open().unwrap();
    let sessions = made(&store, 40).await;
    for presented in &sessions[..20] {
        change(&store, presented).await;
    }
    is_sealed(dir.path(), 60).await;
    // what follows the next change begins after all these
    change(&store, &sessions[0]).await;
    is_sealed(dir.path(), 61).await;
    assert!(dir.path().join("journal-0000000001").exists());
}
