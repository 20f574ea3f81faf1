//! What the journal says last of each session. Most of what it says has been overtaken, so it is taken apart only at the end.
//!
//! One thread reads the journal. The others keep what it finds, each session always the same one, and take it apart.

use std::collections::HashMap;
use std::mem;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use super::books::{Index, Sessions};
use super::format::Reader;
use super::recovery::Change;
use crate::token::SessionId;

/// So many changes are handed over at once, and so many times as many may wait.
const BATCH: usize = 1024;
const WAITING: usize = 8;
/// Beyond that they wait for the one that reads.
const MOST_THREADS: usize = 8;

/// A part of the sessions for each thread.
pub(super) struct Latest(Vec<HashMap<SessionId, Written>>);

/// As it stands in the journal.
struct Written {
    state: Box<[u8]>,
    part: u64,
    size: u64,
    commit: u64,
}

impl Latest {
    /// What `read` passes on, in the order in which it was written; and its answer.
    pub(super) fn of<T>(read: impl FnOnce(&mut dyn FnMut(&Change<'_>)) -> T) -> (T, Latest) {
        thread::scope(|scope| {
            let (mut desks, keepers): (Vec<_>, Vec<_>) = (0..threads())
                .map(|_| {
                    let (sender, batches) = sync_channel(WAITING);
                    (Desk { batch: Vec::new(), sender }, scope.spawn(move || keep(batches)))
                })
                .unzip();
            let answer = read(&mut |change| {
                let desk = usize::from(change.id.expose().as_bytes()[0]) % desks.len();
                desks[desk].note(change);
            });
            desks.into_iter().for_each(Desk::close);
            (answer, Latest(keepers.into_iter().map(joined).collect()))
        })
    }

    /// The sessions, and what could not be read, a sentence each.
    pub(super) fn read(self) -> (Sessions, Index, Vec<String>) {
        let sessions = Sessions::with_capacity(self.0.iter().map(HashMap::len).sum());
        let (mut index, mut damage) = (Index::default(), Vec::new());
        thread::scope(|scope| {
            let readers: Vec<_> = self.0.into_iter().map(|part| scope.spawn(|| take_apart(part, &sessions))).collect();
            for (of_part, mut lost) in readers.into_iter().map(joined) {
                index.add(of_part);
                damage.append(&mut lost);
            }
        });
        (sessions, index, damage)
    }
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS)
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Where the reader leaves what one thread keeps.
struct Desk {
    batch: Vec<(SessionId, Written)>,
    sender: SyncSender<Vec<(SessionId, Written)>>,
}

impl Desk {
    fn note(&mut self, change: &Change<'_>) {
        let Change { id, state, part, size, commit } = *change;
        self.batch.push((id, Written { state: state.into(), part, size, commit }));
        if self.batch.len() == BATCH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let batch = mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        // nobody takes it only if the thread has panicked, which is seen when it is joined
        let _ = self.sender.send(batch);
    }

    fn close(mut self) {
        self.hand_over();
    }
}

fn keep(batches: impl IntoIterator<Item = Vec<(SessionId, Written)>>) -> HashMap<SessionId, Written> {
    let mut latest = HashMap::new();
    for (id, written) in batches.into_iter().flatten() {
        match written.state.is_empty() {
            true => latest.remove(&id),
            false => latest.insert(id, written),
        };
    }
    latest
}

fn take_apart(part: HashMap<SessionId, Written>, sessions: &Sessions) -> (Index, Vec<String>) {
    let (mut index, mut damage) = (Index::default(), Vec::new());
    for (id, Written { state, part, size, commit }) in part {
        match Reader(&state).state() {
            Some(state) => index.hold(sessions, id, Some(state), part, size),
            None => damage.push(format!("change {commit} is written in a way that is not known here")),
        }
    }
    (index, damage)
}
