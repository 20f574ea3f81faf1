//! The directory of a store and what others do with it: they remove the lock, put links in the place of files, move it away.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::operate::{Attached, Inspect as _};
use cloakroom::store::{Credentials, Fields, StoreError, Terms};
use cloakroom::store::{Embedded, Lookup, Store, Target};

async fn made(store: &Embedded) -> Result<Credentials, StoreError> {
    let presented = mint();
    let fields = Fields::from([("cart", "x".repeat(300).as_str())]);
    store.create(&new_session(presented, fields), &Terms::default()).await?;
    Ok(presented)
}

async fn is_there(store: &Embedded, presented: &Credentials) -> bool {
    store.load(presented, &Terms::default()).await.unwrap() != Lookup::Gone
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[tokio::test]
async fn who_removes_the_lock_does_not_let_a_second_process_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let first = made(&store).await.unwrap();
    fs::remove_file(dir.path().join("lock")).unwrap();
    let error = Embedded::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is in use by another process"), "{error}");
    fs::write(dir.path().join("lock"), "").unwrap();
    Embedded::open(dir.path()).unwrap_err();
    drop(store);
    assert!(is_there(&Embedded::open(dir.path()).unwrap(), &first).await);
}

#[tokio::test]
async fn the_file_that_was_open_to_others_is_closed_to_them() {
    let dir = tempfile::tempdir().unwrap();
    drop(Embedded::open(dir.path()).unwrap());
    for name in ["lock", "seal", "journal-0000000001"] {
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let store = Embedded::open(dir.path()).unwrap();
    made(&store).await.unwrap();
    drop(store);
    for name in ["lock", "seal", "journal-0000000001"] {
        assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn nothing_is_written_through_a_link_that_was_put_in_the_place_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    for name in ["lock", "journal-0000000001", "seal.new", "seal", "control", "journal-0000000002"] {
        for (how, is_symbolic) in [("a symbolic link", true), ("a hard link", false)] {
            fs::write(&victim, "precious").unwrap();
            let path = dir.path().join("store");
            let _ = fs::remove_dir_all(&path);
            drop(Embedded::open(&path).unwrap());
            let planted = path.join(name);
            let _ = fs::remove_file(&planted);
            if is_symbolic { symlink(&victim, &planted) } else { fs::hard_link(&victim, &planted) }.unwrap();
            // so that each change needs a new part
            if let Ok(store) = Embedded::builder(&path).part_bytes(10).open() {
                for _ in 0..3 {
                    let _ = made(&store).await;
                }
            }
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{how} as {name}");
        }
    }
    let _ = fs::remove_dir_all(dir.path().join("store"));
    fs::create_dir(dir.path().join("store")).unwrap();
    symlink(&victim, dir.path().join("store/lock")).unwrap();
    let error = Embedded::open(dir.path().join("store")).unwrap_err().to_string();
    assert!(error.contains("lock is not a file of the store, but a link"), "{error}");
}

#[tokio::test]
async fn a_directory_may_be_reached_by_a_link_and_is_still_one() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let store = Embedded::open(&link).unwrap();
    let first = made(&store).await.unwrap();
    Embedded::open(&real).unwrap_err();
    // the link is turned: the store stays where it is
    fs::remove_file(&link).unwrap();
    let second = made(&store).await.unwrap();
    drop(store);
    let store = Embedded::open(&real).unwrap();
    assert!(is_there(&store, &first).await && is_there(&store, &second).await);
}

#[tokio::test]
async fn a_process_that_ends_leaves_the_socket_of_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Embedded::open(&path).unwrap();
    fs::remove_file(path.join("control")).unwrap();
    let _others = UnixListener::bind(path.join("control")).unwrap();
    drop(store);
    assert!(path.join("control").exists());

    let moved = Embedded::open(&path).unwrap();
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    let store = Embedded::open(&path).unwrap();
    drop(moved);
    let attached = Attached::to(&path).await.unwrap().expect("the second process is reached");
    assert_eq!(attached.scan(None, 10).await.unwrap().ids, []);
    drop(store);
    assert!(!path.join("control").exists());
}

/// What happens to the files of a store while it is open, and how they come back.
struct Mishap {
    name: &'static str,
    happens: fn(&Path),
    /// Where it can be undone.
    is_undone: Option<fn(&Path)>,
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("aside")
}

/// The store may write its seal anew while the directory is being emptied, so it is emptied until it stays so.
fn remove_directory(path: &Path) {
    while let Err(error) = fs::remove_dir_all(path) {
        assert_eq!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty, "{error}");
    }
}

fn journal(path: &Path) -> PathBuf {
    path.join("journal-0000000001")
}

const MISHAPS: [Mishap; 5] = [
    Mishap { name: "the directory is removed", happens: remove_directory, is_undone: None },
    Mishap {
        name: "the directory is moved",
        happens: |path| fs::rename(path, aside(path)).unwrap(),
        is_undone: Some(|path| fs::rename(aside(path), path).unwrap()),
    },
    Mishap {
        name: "the directory is replaced by another store",
        happens: |path| {
            fs::rename(path, aside(path)).unwrap();
            drop(Embedded::open(path).unwrap());
        },
        is_undone: None,
    },
    Mishap { name: "the journal is removed", happens: |path| fs::remove_file(journal(path)).unwrap(), is_undone: None },
    Mishap {
        name: "the journal is replaced by its copy",
        happens: |path| {
            fs::rename(journal(path), aside(path)).unwrap();
            fs::copy(aside(path), journal(path)).unwrap();
        },
        is_undone: Some(|path| fs::rename(aside(path), journal(path)).unwrap()),
    },
];

#[tokio::test]
async fn when_its_files_vanish_changes_are_refused_and_reading_and_ending_go_on() {
    for (number, Mishap { name, happens, is_undone }) in MISHAPS.iter().enumerate() {
        for waits in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("store");
            let builder = Embedded::builder(&path).without_control_socket();
            let store = if waits { builder.wait_for_disk() } else { builder }.open().unwrap();
            let (first, second) = (made(&store).await.unwrap(), made(&store).await.unwrap());
            happens(&path);
            let before = listing(&path);
            let error = made(&store).await.expect_err(name).to_string();
            assert!(error.contains("was removed, moved or replaced while the store was open"), "{name}: {error}");
            assert!(is_there(&store, &first).await, "{name}");
            let error = store.revoke(&Target::Session(first.id)).await.expect_err(name);
            assert!(error.is_not_durable(), "{name}: {error}");
            assert!(!is_there(&store, &first).await, "{name}");
            if number == 2 {
                // longer than the store is without looking after its files
                tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
                assert_eq!(listing(&path), before, "what is there now is not this store's");
                drop(Embedded::open(&path).unwrap());
            }
            let Some(undo) = is_undone else { continue };
            undo(&path);
            let third = made(&store).await.expect(name);
            drop(store);
            let store = Embedded::open(&path).unwrap();
            assert!(!is_there(&store, &first).await && is_there(&store, &second).await, "{name}");
            assert!(is_there(&store, &third).await, "{name}");
        }
    }
}

#[tokio::test]
async fn an_older_part_and_the_seal_that_were_removed_are_written_again() {
    let dir = tempfile::tempdir().unwrap();
    // each part takes two of these changes
    let store = Embedded::builder(dir.path()).part_bytes(600).without_control_socket().open().unwrap();
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(made(&store).await.unwrap());
    }
    let (first, seal) = (journal(dir.path()), dir.path().join("seal"));
    assert!(first.exists() && dir.path().join("journal-0000000003").exists());
    // when the disk has everything, nothing else makes the store look after its files
    while !fs::read_to_string(&seal).unwrap().contains("synced 6\n") {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    fs::remove_file(first).unwrap();
    fs::remove_file(&seal).unwrap();
    // until all that was in the parts so far stands in later ones
    let begin = std::time::Instant::now();
    while dir.path().join("journal-0000000003").exists() || !seal.exists() {
        assert!(begin.elapsed() < std::time::Duration::from_secs(40), "it is not written again");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    all.push(made(&store).await.unwrap());
    // as a kill would leave it
    let left = tempfile::tempdir().unwrap();
    for (name, bytes) in listing(dir.path()) {
        fs::write(left.path().join(name), bytes).unwrap();
    }
    let again = Embedded::open(left.path()).unwrap();
    for presented in &all {
        assert!(is_there(&again, presented).await);
    }
}

/// All names, with what is in the files.
fn listing(path: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut all: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}
