//! Collects the last state of each session in the journal. Most of what the journal contains is outdated, so the states are read only
//! at the end, on all cores.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;

use super::entry::Sessions;
use super::format::{Reader, State};
use super::index::Index;
use super::recovery::Change;
use crate::record::SessionId;

#[derive(Default)]
pub(super) struct Latest(HashMap<SessionId, Written>);

/// The state as it is written in the journal.
struct Written {
    state: Box<[u8]>,
    part: u64,
    size: u64,
    commit: u64,
}

impl Latest {
    /// Notes a state. Must be called in the order in which the states were written.
    pub(super) fn note(&mut self, change: &Change<'_>) {
        let Change { id, state, part, size, commit } = *change;
        if state.is_empty() {
            self.0.remove(&id);
        } else {
            self.0.insert(id, Written { state: state.into(), part, size, commit });
        }
    }

    /// Returns the sessions, and what could not be read, one sentence each.
    pub(super) fn read(self) -> (Sessions, Index, Vec<String>) {
        let all: Vec<_> = self.0.into_iter().collect();
        let (sessions, mut index, mut damage) = (Sessions::with_capacity(all.len()), Index::default(), Vec::new());
        let states = states_of(&all);
        for ((id, written), state) in all.into_iter().zip(states) {
            let Written { part, size, commit, .. } = written;
            match state {
                Some(state) => index.hold(&sessions, id, Some(state), part, size),
                None => damage.push(format!("change {commit} is written in a way that is not known here")),
            }
        }
        (sessions, index, damage)
    }
}

fn states_of(all: &[(SessionId, Written)]) -> Vec<Option<State>> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let read = |(_, written): &(SessionId, Written)| Reader(&written.state).state();
    thread::scope(|scope| {
        let parts = all.chunks(all.len().div_ceil(threads).max(1));
        let readers: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().map(read).collect::<Vec<_>>())).collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
