//! A store whose files are known to the byte, and what somebody may do to them.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use super::super::directory::Directory;
use super::super::entry::Sessions;
use super::super::format::{self, State};
use super::super::journal::{self, Journal, TITLE_LEN};
use super::super::seal::{self, Seal};
use crate::store::NewSession;
use crate::{
    Clock, SessionId, TokenFormat, UserId,
    store::{Credentials, Fields, Record, Terms},
};

/// Which session is in which state.
pub(super) type Held = BTreeMap<SessionId, State>;

const CHANGES: u64 = 24;
/// Of so many changes the seal says that the disk has them.
const SEALED: u64 = 14;
const CHANGES_IN_A_PART: u64 = 6;
/// More would only make the same damage slower.
const MOST_DAMAGES: usize = 8;

/// What was written, and what is to be read.
pub(super) struct Truth {
    /// The names of the files and what stands in them.
    files: Vec<(String, Vec<u8>)>,
    pub(super) seal: Seal,
    /// What was held after each change, and before the first.
    after: Vec<Held>,
}

impl Truth {
    pub(super) fn get() -> &'static Truth {
        static TRUTH: OnceLock<Truth> = OnceLock::new();
        TRUTH.get_or_init(Truth::write)
    }

    fn write() -> Truth {
        let scratch = Scratch::new();
        let dir = Arc::new(Directory::take(scratch.path()).expect("a directory"));
        journal::create(&dir, 1).expect("a part");
        let parts = VecDeque::from([(1, TITLE_LEN as u64)]);
        let mut journal = Journal::after(&dir, 0, Arc::default(), parts, u64::MAX, false).expect("a journal");
        let mut after = vec![Held::new()];
        for number in 1..=CHANGES {
            let mut held = after.last().cloned().unwrap_or_default();
            let changes = changes(number, &held);
            let write =
                |out: &mut Vec<u8>| changes.iter().for_each(|(id, state)| format::write(out, id, state.as_ref()));
            journal.append(time(number), write).expect("a change");
            if number % CHANGES_IN_A_PART == 0 {
                journal.turn_over().expect("another part");
            }
            for (id, state) in changes {
                match state {
                    Some(state) => held.insert(id, state),
                    None => held.remove(&id),
                };
            }
            after.push(held);
        }
        let seal = Seal { first_part: 1, synced: SEALED, time: time(SEALED) };
        seal.write(&dir).expect("a seal");
        let first = journal::part_path(scratch.path(), 1).file_name().map(|name| name.to_string_lossy().into_owned());
        assert_eq!(first.as_deref(), Some("journal-0000000001"));
        Truth { files: contents(scratch.path()), seal, after }
    }

    /// Writes the files into a directory, with all that the input does to them.
    pub(super) fn damaged(&self, input: &[u8], dir: &Path) {
        let mut files = self.files.clone();
        for damage in input.chunks_exact(6).take(MOST_DAMAGES) {
            let [what, file, high, low, len, byte] = *damage else { continue };
            let count = files.len();
            let bytes = &mut files[file as usize % count].1;
            if what % 10 == 9 {
                files.swap(file as usize % count, byte as usize % count);
                let names: Vec<_> = self.files.iter().map(|(name, _)| name.clone()).collect();
                files.iter_mut().zip(names).for_each(|(file, name)| file.0 = name);
                continue;
            }
            let at = (usize::from(high) << 8 | usize::from(low)) % (bytes.len() + 1);
            let end = bytes.len().min(at + len as usize);
            match what % 10 {
                0 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= byte),
                1 => bytes[at..end].fill(byte),
                2 => bytes.truncate(at),
                3 => drop(bytes.drain(at..end)),
                4 => drop(bytes.splice(at..at, vec![byte; len as usize])),
                5 => bytes.extend_from_within(at..end),
                6 => bytes.extend_from_within(at..),
                7 => bytes.extend(vec![byte; len as usize]),
                _ => bytes.clear(),
            }
        }
        for (i, (name, bytes)) in files.iter().enumerate() {
            let is_removed = input.chunks_exact(6).any(|damage| damage[0] == 255 && damage[1] as usize == i);
            if !is_removed {
                fs::write(dir.join(name), bytes).expect("a file");
            }
        }
    }

    /// Everything is held in a state in which it once was, and not before the seal.
    pub(super) fn assert_was_so(&self, held: &Held) {
        let since = &self.after[SEALED as usize..];
        for id in held.keys().chain(self.after.iter().flat_map(BTreeMap::keys)) {
            let state = held.get(id);
            assert!(since.iter().any(|after| after.get(id) == state), "{id} never was so since the seal: {state:?}");
        }
    }

    /// All is as it was after one of the changes, and not before the seal.
    pub(super) fn assert_was_all_so(&self, held: &Held) {
        assert!(self.after[SEALED as usize..].contains(held), "it never was so since the seal: {held:?}");
    }

    /// Everything is held in a state in which it once was.
    pub(super) fn assert_was_ever_so(&self, held: &Held) {
        for (id, state) in held {
            assert!(self.after.iter().any(|after| after.get(id) == Some(state)), "{id} never was so: {state:?}");
        }
    }
}

pub(super) fn held(sessions: &Sessions) -> Held {
    sessions.pin().iter().map(|(id, entry)| (*id, entry.state.clone())).collect()
}

/// All sessions of the truth live at this time.
pub(super) fn clock() -> Clock {
    Clock::manual(time(CHANGES))
}

fn time(change: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_775_133_296 + change)
}

/// Five sessions begin, are used, are signed in, are evicted and end.
fn changes(number: u64, held: &Held) -> Vec<(SessionId, Option<State>)> {
    let of = |number: u64| {
        let letter = ["A", "B", "C", "D", "E"][number as usize % 5];
        let token = format!("{}A.{}A", letter.repeat(21), letter.repeat(42));
        Credentials::parse(TokenFormat::Secret, token.as_bytes()).expect("a token")
    };
    let presented = of(number);
    let id = presented.id;
    let Some(State::Live(record, _)) = held.get(&id) else {
        let fields = Fields::from([("cart", "x".repeat(number as usize))]);
        let new = NewSession { presented, fields, idle_timeout: None, own_deadline: None };
        let record = Record::new(&new, &Terms::default(), time(number)).expect("it fits");
        return vec![(id, Some(State::Live(record.into(), 0)))];
    };
    let mut next = Record::clone(record);
    next.fields.insert("views", number.to_string());
    next.last_accessed_at = time(number);
    match number % 4 {
        0 => vec![(id, None)],
        1 => {
            next.user_id = Some(UserId::from(42));
            next.signed_in_at = Some(time(number));
            next.device = Some("Firefox on Linux".to_owned());
            let other = of(number + 2);
            let evicted = State::Evicted(other.secret_hash, time(number + 300));
            vec![(other.id, Some(evicted)), (id, Some(State::Live(next.into(), number)))]
        }
        _ => vec![(id, Some(State::Live(next.into(), 0)))],
    }
}

/// The files of a store, without the one that only says who has it open.
pub(super) fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let names = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a file").file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name == seal::NAME || name.starts_with("journal-"));
    names.sort();
    names.into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).expect("a file"))).collect()
}

/// A directory that is removed in the end. `TMPDIR` says where; in memory it is fastest.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Scratch {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("cloakroom-fuzz-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory");
        Scratch(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
