//! What a damaged store says: which files, bytes and changes are missing, and which of them a power cut may have taken.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use cloakroom::Clock;
use cloakroom::conformance::{mint, new_session};
use cloakroom::store::operate::Snapshot;
use cloakroom::store::{Embedded, EmbeddedBuilder, Fields, Store as _, Terms};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::capture::Capture;

const SESSIONS: usize = 9;
/// How long the first line of a part is.
const TITLE: usize = 37;
const MARKER: &[u8] = b"\xC1oak";

/// A store that was closed. Its journal has three parts, and each of them has three changes: the first part 1 to 3, the last
/// one 7 to 9. Each change creates a session.
struct Closed(tempfile::TempDir);

impl Closed {
    async fn new() -> Closed {
        let closed = Closed(tempfile::tempdir().unwrap());
        let store = closed.builder().part_bytes(1_200).open().unwrap();
        for _ in 0..SESSIONS {
            let fields = Fields::from([("cart", "x".repeat(300).as_str())]);
            store.create(&new_session(mint(), fields), &Terms::default()).await.unwrap();
        }
        drop(store);
        assert_eq!((1..=4).map(|part| closed.frames(part).len()).collect::<Vec<_>>(), [3, 3, 3, 0]);
        closed
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn builder(&self) -> EmbeddedBuilder {
        let clock = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_775_133_296));
        Embedded::builder(self.path()).clock(clock).without_control_socket()
    }

    fn part(&self, part: usize) -> PathBuf {
        self.path().join(format!("journal-{part:010}"))
    }

    fn remove(&self, part: usize) {
        fs::remove_file(self.part(part)).unwrap();
    }

    fn edit(&self, part: usize, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.part(part)).unwrap();
        edit(&mut bytes);
        fs::write(self.part(part), bytes).unwrap();
    }

    /// Where the changes of a part are.
    fn frames(&self, part: usize) -> Vec<std::ops::Range<usize>> {
        let bytes = fs::read(self.part(part)).unwrap_or_default();
        let begins: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(MARKER)).collect();
        let ends = begins.iter().skip(1).copied().chain([bytes.len()]);
        begins.iter().copied().zip(ends).map(|(begin, end)| begin..end).collect()
    }

    /// Damages the first, second or third change of a part.
    fn flip(&self, part: usize, change: usize) {
        let frame = &self.frames(part)[change - 1];
        self.edit(part, |bytes| bytes[frame.end - 1] ^= 1);
    }

    /// Appends a change as another version of the library might write it.
    fn append(&self, part: usize, number: u64, sessions: &[u8]) {
        let payload = [&number.to_le_bytes(), &1_775_133_296_000_u64.to_le_bytes(), sessions].concat();
        let check = xxh3_64_with_seed(&payload, part as u64 ^ (payload.len() as u64) << 40);
        let len = (payload.len() as u32).to_le_bytes();
        self.edit(part, |bytes| bytes.extend([MARKER, &len, &check.to_le_bytes(), &payload].concat()));
    }

    /// Has the seal say that the disk has the changes up to this one only.
    fn seal(&self, synced: u64) {
        let body = format!("cloakroom sessions 2\nfirst part 1\nsynced {synced}\ntime 1775133296000\n");
        let seal = format!("{body}checksum {:016x}\n", xxh3_64(body.as_bytes()));
        fs::write(self.path().join("seal"), seal).unwrap();
    }

    /// The store is refused, and a repair says the same and keeps this many sessions.
    fn assert_refused(&self, damage: &[&str], sessions: usize) {
        let refused = format!("is damaged: {}", damage.join("; "));
        let error = self.builder().open().unwrap_err().to_string();
        assert!(error.contains(&refused), "{error}\ninstead of: {refused}");
        let error = Snapshot::of(self.path()).unwrap_err().to_string();
        assert!(error.contains(&refused), "{error}\ninstead of: {refused}");
        let repaired = self.builder().repair().unwrap();
        assert_eq!(repaired.damage, damage);
        assert_eq!(repaired.sessions, sessions, "{damage:?}");
        assert_eq!(self.builder().repair().unwrap().damage, [""; 0], "it is repaired");
    }

    /// The store is opened, and logs these warnings.
    fn assert_opened(&self, warnings: &[&str], sessions: usize) {
        let capture = Capture::default();
        let store = tracing::subscriber::with_default(capture.subscriber(), || self.builder().open().unwrap());
        let logged = capture.text();
        for warning in warnings {
            assert!(logged.contains(warning), "{logged}\nwithout: {warning}");
        }
        assert_eq!(capture.count("WARN"), warnings.len(), "{logged}");
        drop(store);
        assert_eq!(self.builder().repair().unwrap().sessions, sessions);
    }
}

#[tokio::test]
async fn missing_files_are_named_with_the_changes_that_were_in_them() {
    let closed = Closed::new().await;
    closed.remove(1);
    // the oldest part may begin with any change
    closed.assert_refused(&["journal-0000000001 is missing"], 6);

    let closed = Closed::new().await;
    closed.remove(2);
    closed.assert_refused(&["journal-0000000002 is missing", "changes 4 to 6 are missing"], 6);

    let closed = Closed::new().await;
    closed.remove(1);
    closed.remove(2);
    closed.assert_refused(&["journal-0000000001 to journal-0000000002 are missing"], 3);

    let closed = Closed::new().await;
    closed.remove(3);
    closed.assert_refused(&["changes 7 to 9 are missing at the end, although the disk had been written"], 6);
}

#[tokio::test]
async fn a_damaged_first_line_is_named_and_costs_nothing() {
    for part in 1..=3 {
        let closed = Closed::new().await;
        closed.edit(part, |bytes| bytes[3] ^= 1);
        closed.assert_refused(&[&format!("the first line of journal-000000000{part} is damaged")], 9);
    }
}

#[tokio::test]
async fn a_part_that_is_empty_is_damaged_unless_it_is_the_last_one() {
    let closed = Closed::new().await;
    closed.edit(2, Vec::clear);
    closed.assert_refused(&["the first line of journal-0000000002 is damaged", "changes 4 to 6 are missing"], 6);

    let closed = Closed::new().await;
    fs::write(closed.part(4), "").unwrap();
    closed.assert_opened(&[], 9);
}

#[tokio::test]
async fn bytes_that_cannot_be_read_are_named_with_the_change_that_was_there() {
    for (part, place, change) in [(1, 2, 2), (2, 1, 4), (2, 3, 6), (3, 1, 7)] {
        let closed = Closed::new().await;
        let frame = closed.frames(part)[place - 1].clone();
        closed.flip(part, place);
        let (begin, end) = (frame.start, frame.end - 1);
        let unreadable = format!("journal-000000000{part} cannot be read from byte {begin} to {end}");
        closed.assert_refused(&[&unreadable, &format!("change {change} is missing")], 8);
    }
}

#[tokio::test]
async fn a_change_that_was_cut_out_without_a_trace_is_named() {
    let closed = Closed::new().await;
    let frame = closed.frames(2)[1].clone();
    closed.edit(2, |bytes| drop(bytes.drain(frame)));
    closed.assert_refused(&["change 5 is missing"], 8);

    let closed = Closed::new().await;
    let frame = closed.frames(3)[2].clone();
    closed.edit(3, |bytes| bytes.truncate(frame.start));
    closed.assert_refused(&["change 9 is missing at the end, although the disk had been written"], 8);
}

#[tokio::test]
async fn a_change_that_was_copied_from_another_part_is_not_read() {
    let closed = Closed::new().await;
    let (from, to) = (closed.frames(1)[1].clone(), closed.frames(2)[1].clone());
    let copied = fs::read(closed.part(1)).unwrap()[from].to_vec();
    let (begin, end) = (to.start, to.end - 1);
    closed.edit(2, |bytes| bytes[to].copy_from_slice(&copied));
    let unreadable = format!("journal-0000000002 cannot be read from byte {begin} to {end}");
    closed.assert_refused(&[&unreadable, "change 5 is missing"], 8);
}

#[tokio::test]
async fn a_change_that_another_version_may_have_written_is_named() {
    let closed = Closed::new().await;
    closed.append(3, 10, b"no session");
    let id = b"\x16\0\0\0AAAAAAAAAAAAAAAAAAAAAA";
    closed.append(3, 11, &[id, b"\x01\0\0\0\x63".as_slice()].concat());
    let unknown = |change| format!("change {change} is written in a way that is not known here");
    closed.assert_refused(&[&unknown(10), &unknown(11)], 9);
}

#[tokio::test]
async fn what_a_power_cut_may_have_taken_is_only_logged() {
    let closed = Closed::new().await;
    closed.seal(7);
    closed.flip(3, 2);
    let frame = closed.frames(3)[1].clone();
    let (begin, end) = (frame.start, frame.end - 1);
    let lost = "this was lost with the last second before a failure:";
    closed.assert_opened(
        &[
            &format!("{lost} journal-0000000003 cannot be read from byte {begin} to {end}"),
            &format!("{lost} change 8 is missing"),
        ],
        8,
    );
    // the change is one that the disk had
    let closed = Closed::new().await;
    closed.seal(8);
    closed.flip(3, 2);
    let unreadable = format!("journal-0000000003 cannot be read from byte {begin} to {end}");
    closed.assert_refused(&[&unreadable, "change 8 is missing"], 8);
}

#[tokio::test]
async fn what_a_kill_has_cut_off_is_logged_with_the_last_whole_change() {
    let closed = Closed::new().await;
    closed.edit(3, |bytes| bytes.extend(b"\xC1oak begins, \xC1oak begins again"));
    closed.assert_opened(
        &["30 bytes at the end of journal-0000000003, in which 2 changes begin, are not whole and are cut off; the last \
           whole change is number 9 of 2026-04-02T12:34:56"],
        9,
    );
    let closed = Closed::new().await;
    closed.seal(6);
    closed.edit(3, |bytes| bytes.truncate(TITLE + 50));
    closed.assert_opened(
        &["50 bytes at the end of journal-0000000003, in which 1 change begins, are not whole and are cut off; the last \
           whole change is number 6 of 2026-04-02T12:34:56"],
        6,
    );
}
