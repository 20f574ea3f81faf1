//! Files that are cut, flipped, zeroed, swapped or missing: a store that is opened on them is exactly right, or says what
//! is missing. What it shows after a repair was so once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cloakroom::conformance::{mint, new_session};
use cloakroom::store::operate::Inspect as _;
use cloakroom::store::{Embedded, Store, Target};
use cloakroom::{
    SessionId,
    store::{Credentials, Fields, Record, Save, StoreError, Terms},
};

const SESSIONS: usize = 120;

/// A store that was filled, and everything that each of its sessions ever was.
struct Filled {
    dir: tempfile::TempDir,
    now: BTreeMap<String, Record>,
    ever: BTreeMap<String, Vec<Record>>,
    revoked: BTreeSet<String>,
}

impl Filled {
    fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn open(path: &Path) -> Result<Embedded, StoreError> {
    // its files are copied while it is open, and a socket is none
    Embedded::builder(path).part_bytes(8_000).without_control_socket().open()
}

/// Closed when `store` is dropped; until then it is as a killed process would leave it.
async fn filled() -> (Filled, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store")).unwrap();
    let terms = Terms::default();
    let (mut now, mut ever, mut revoked) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new(), BTreeSet::new());
    let all: Vec<Credentials> = (0..SESSIONS).map(|_| mint()).collect();
    for presented in &all {
        let fields = [("cart".to_owned(), "x".repeat(100)), ("views".to_owned(), "0".to_owned())].into();
        store.create(&new_session(*presented, fields), &terms).await.unwrap();
    }
    for round in 0..6 {
        for (i, presented) in all.iter().enumerate().filter(|(i, _)| i % 7 != round % 7) {
            let id = presented.id.expose().to_owned();
            if i % 10 == round {
                store.revoke(&Target::Session(presented.id)).await.unwrap();
                revoked.insert(id.clone());
                now.remove(&id);
            }
            let mut save = Save::default();
            save.fields.add.insert("views".to_owned(), 1);
            let before = store.find(&presented.id, &terms).await.unwrap();
            ever.entry(id.clone()).or_default().extend(before.map(|loaded| loaded.record.as_ref().clone()));
            store.apply(presented, &save.into(), &terms).await.unwrap();
            if let Some(loaded) = store.find(&presented.id, &terms).await.unwrap() {
                now.insert(id.clone(), loaded.record.as_ref().clone());
                ever.entry(id).or_default().push(loaded.record.as_ref().clone());
            }
        }
    }
    settle(&dir.path().join("store"));
    (Filled { dir, now, ever, revoked }, store)
}

/// The seal is written each second: once it stays, it knows everything.
fn settle(store: &Path) {
    let sealed = || fs::read_to_string(store.join("seal")).unwrap();
    let mut last = String::new();
    while sealed() != last {
        last = sealed();
        std::thread::sleep(std::time::Duration::from_millis(1500));
    }
}

async fn found(store: &Embedded) -> BTreeMap<String, Record> {
    let terms = Terms::default();
    let mut found = BTreeMap::new();
    for id in store.scan(None, 1000).await.unwrap().ids {
        let loaded = store.find(&id, &terms).await.unwrap().expect("it was found");
        found.insert(id.expose().to_owned(), loaded.record.as_ref().clone());
    }
    found
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // a new seal that is just being put in place may have gone
        match fs::copy(entry.path(), to.join(entry.file_name())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Damages one file in some way, and says how.
fn damage(dir: &Path, number: u64) -> String {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "lock");
    names.sort();
    let name = &names[scrambled(number) as usize % names.len()];
    let path = dir.join(name);
    let mut bytes = fs::read(&path).unwrap();
    let at = scrambled(number ^ 1 << 32) as usize % bytes.len();
    let what = match scrambled(number ^ 1 << 33) % 8 {
        0..3 => {
            bytes[at] ^= 1 << (number % 8);
            "bit flipped"
        }
        3..5 => {
            bytes.truncate(at);
            "cut"
        }
        5 => {
            let end = bytes.len().min(at + 512);
            bytes[at..end].fill(0);
            "zeroed for 512 bytes"
        }
        6 => {
            let copied = bytes[at / 2..at].to_vec();
            bytes.extend(copied);
            "half of what is before it again at the end"
        }
        _ => {
            fs::remove_file(&path).unwrap();
            return format!("{name:?} removed");
        }
    };
    fs::write(&path, bytes).unwrap();
    format!("{name:?}, byte {at}: {what}")
}

/// Everything that is there was so once.
fn assert_was_so(filled: &Filled, found: &BTreeMap<String, Record>, what: &str) {
    for (id, record) in found {
        assert!(filled.ever[id].contains(record), "{what}: {id} was never {record:?}");
    }
}

#[test]
fn a_damaged_store_is_exactly_right_or_says_what_is_missing() {
    let runtime = runtime();
    let (filled, store) = runtime.block_on(filled());
    // as a killed process leaves it, and as one that ended does
    let killed = filled.dir.path().join("killed");
    copy(&filled.path(), &killed);
    drop(store);
    let closed = filled.path();
    let (mut refused, mut right, mut kept) = (0, 0, Vec::new());
    for number in 0..160 {
        let dir = filled.dir.path().join("damaged");
        copy(if number % 2 == 0 { &killed } else { &closed }, &dir);
        let what = damage(&dir, number);
        match open(&dir) {
            Ok(store) => {
                right += 1;
                assert_eq!(runtime.block_on(found(&store)), filled.now, "{what}");
            }
            Err(error) => {
                refused += 1;
                let error = format!("{error:?}");
                assert!(error.contains("is damaged: ") && error.contains("cloakroom repair"), "{what}: {error}");
                kept.push(runtime.block_on(repaired(&filled, &dir, &what)));
            }
        }
    }
    println!("{refused} refused and repaired, {right} exactly right");
    assert!(refused > 100 && right > 0, "{refused} refused, {right} right");
    kept.sort_unstable();
    assert!(kept[kept.len() / 4] >= filled.now.len() * 9 / 10, "most damage costs few sessions: {kept:?}");
}

/// Repairs it, and uses it again. How many sessions are there that should be.
async fn repaired(filled: &Filled, dir: &Path, what: &str) -> usize {
    let repaired =
        Embedded::builder(dir).part_bytes(8_000).repair().unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert!(!repaired.damage.is_empty(), "{what}");
    assert!(repaired.aside.unwrap().join("seal").exists() || what.contains("seal"), "{what}");
    let store = open(dir).unwrap_or_else(|error| panic!("{what}, repaired: {error:?}"));
    let kept = found(&store).await;
    assert_was_so(filled, &kept, what);
    assert_eq!(kept.len(), repaired.sessions, "{what}");
    let presented = mint();
    store.create(&new_session(presented, Fields::new()), &Terms::default()).await.unwrap();
    drop(store);
    let store = open(dir).unwrap_or_else(|error| panic!("{what}, repaired and used: {error:?}"));
    assert!(store.find(&presented.id, &Terms::default()).await.unwrap().is_some(), "{what}");
    kept.keys().filter(|id| !filled.revoked.contains(*id)).count()
}

#[test]
fn after_a_power_cut_at_most_what_was_not_synced_is_missing() {
    let runtime = runtime();
    let (filled, store) = runtime.block_on(filled());
    let last = || {
        let parts = fs::read_dir(filled.path()).unwrap().map(|entry| entry.unwrap().path());
        parts.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("journal")).max().unwrap()
    };
    // changes that only the operating system has, in the part that has some which the disk has
    let mut ids = runtime.block_on(store.scan(None, 0)).unwrap().ids.into_iter();
    let revoke_some = |ids: &mut std::vec::IntoIter<SessionId>| {
        let sealed_part = last();
        let synced = fs::metadata(&sealed_part).unwrap().len();
        for id in ids.take(10) {
            runtime.block_on(store.revoke(&Target::Session(id))).unwrap();
        }
        (sealed_part, synced)
    };
    let mut most_revoked = 10;
    let (mut sealed_part, mut synced) = revoke_some(&mut ids);
    if sealed_part != last() {
        // that part was full: the next one, once the disk has what is in it
        settle(&filled.path());
        (sealed_part, synced) = revoke_some(&mut ids);
        most_revoked = 20;
    }
    let cut_off = filled.dir.path().join("cut off");
    copy(&filled.path(), &cut_off);
    for number in 0..40 {
        let dir = filled.dir.path().join("cut");
        copy(&cut_off, &dir);
        let path = dir.join(sealed_part.file_name().unwrap());
        let mut bytes = fs::read(&path).unwrap();
        let unsynced = bytes.len() - synced as usize;
        let at = synced as usize + scrambled(number) as usize % unsynced;
        if number % 2 == 0 {
            bytes.truncate(at);
        } else {
            let end = bytes.len().min(at + 100);
            bytes[at..end].fill(0);
        }
        fs::write(&path, bytes).unwrap();
        for time in ["at once", "and again"] {
            let store = open(&dir).unwrap_or_else(|error| panic!("{number}, {time}: {error:?}"));
            let found = runtime.block_on(found(&store));
            assert_was_so(&filled, &found, "a power cut");
            assert!(filled.now.keys().filter(|id| !found.contains_key(*id)).count() <= most_revoked);
            assert!(found.keys().all(|id| !filled.revoked.contains(id)));
        }
    }
}

#[test]
fn a_store_of_an_unknown_version_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let seal = fs::read_to_string(dir.path().join("seal")).unwrap();
    fs::write(dir.path().join("seal"), seal.replacen("cloakroom sessions 2", "cloakroom sessions 3", 1)).unwrap();
    let error = format!("{:?}", open(dir.path()).unwrap_err());
    assert!(error.contains("another version") && error.contains("cloakroom export"), "{error}");
}

#[test]
fn a_directory_of_something_else_is_refused_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("photo.jpg"), "a photo").unwrap();
    let error = format!("{:?}", open(dir.path()).unwrap_err());
    assert!(error.contains("photo.jpg"), "{error}");
    assert!(!dir.path().join("seal").exists());
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let error = format!("{:?}", open(dir.path()).unwrap_err());
    let path = dir.path().canonicalize().unwrap().display().to_string();
    assert!(error.contains(&path) && error.contains(&format!("process {}", std::process::id())), "{error}");
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn a_part_whose_first_line_a_kill_has_cut_is_no_damage() {
    const TITLE: usize = 12;
    let terms = Terms::default();
    for len in [0, 1, TITLE] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let first = mint();
        let made = async |store: Embedded, presented| {
            store.create(&new_session(presented, Fields::new()), &terms).await.unwrap();
            store.find(&first.id, &terms).await.unwrap().is_some()
        };
        assert!(runtime().block_on(made(open(&path).unwrap(), first)));
        let names = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let part = names.filter(|name| name.starts_with("journal-")).max().unwrap();
        let number = part.strip_prefix("journal-").unwrap();
        let next = format!("journal-{:0width$}", number.parse::<u64>().unwrap() + 1, width = number.len());
        fs::write(path.join(next), &fs::read(path.join(part)).unwrap()[..len]).unwrap();
        for _ in 0..2 {
            assert!(runtime().block_on(made(open(&path).unwrap(), mint())), "{len} bytes");
        }
    }
}

#[test]
fn a_change_that_a_kill_has_cut_off_is_gone_for_good() {
    let terms = Terms::default();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let make = async |store: Embedded| {
        let presented = mint();
        store.create(&new_session(presented, Fields::new()), &terms).await.unwrap();
        presented.id
    };
    let mut ids = vec![runtime().block_on(make(open(&path).unwrap()))];
    let part = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let part = part.filter(|path| path.to_str().unwrap().contains("journal-")).max().unwrap();
    // the beginning of a change: that of the first one
    let bytes = fs::read(&part).unwrap();
    let begins = bytes.iter().position(|byte| *byte == b'\n').expect("a first line") + 1;
    for len in [1, 4, 20] {
        let mut torn = fs::read(&part).unwrap();
        torn.extend_from_slice(&bytes[begins..begins + len]);
        fs::write(&part, torn).unwrap();
        ids.push(runtime().block_on(make(open(&path).unwrap())));
        let store = open(&path).expect("what was written after the cut is whole");
        for id in &ids {
            assert!(runtime().block_on(store.find(id, &terms)).unwrap().is_some(), "{len} bytes");
        }
    }
}
