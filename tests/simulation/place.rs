//! Where the sessions are: what the world needs of a store besides its verbs.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cloakroom::store::operate::{Inspect, Restore, Restored, Save, Saved};
use cloakroom::store::{Embedded, Memory, Store};
use cloakroom::{Clock, SessionId, UserId, store::Terms};

use crate::oracle::Wrong;
use crate::story::Denial;

/// A kind of store, and one place for it.
pub(crate) trait Place: Sized + 'static {
    type Store: Store + Clone;

    /// Whether others work on an answer meanwhile, so that only a clock that goes on by itself knows when one is late.
    const IS_ELSEWHERE: bool = false;

    /// Whether the store's time stays as late as anybody was told, where a clock is set back.
    const KEEPS_TIME: bool = true;

    /// How much longer than it is granted a session may be seen. Each wait is so much longer.
    const LAST_MOMENT: Duration = Duration::ZERO;

    /// A place that nobody has used.
    fn new() -> Self;

    /// Another one to move to.
    fn next(&self) -> Self {
        Self::new()
    }

    async fn open(&self, clock: &Clock) -> Self::Store;

    /// What servers with a near cache have, if there is such a thing.
    async fn open_near(&self, store: &Self::Store) -> Self::Store {
        store.clone()
    }

    /// Waits until a near cache has heard of all that has changed, and both stores know what time it is.
    async fn settle(_store: &Self::Store, _near: &Self::Store) {}

    /// It is this time now, for a place that has a clock of its own.
    fn set_time(&mut self, _now: SystemTime) {}

    /// Looks at what is stored as it is stored. A session that had gone is only there again where it `may_return`.
    fn look_inside(&mut self, _may_return: bool) -> Result<(), Wrong> {
        Ok(())
    }

    /// Each session as it is stored, by its id.
    fn stored() -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The sessions of a user that are being restored at this moment, by their ids, where that takes several steps.
    fn being_restored(_user: &UserId) -> Vec<String> {
        Vec::new()
    }

    /// Has the store's server refuse from now on, or not any more. Whether there is a server that can.
    fn deny(_denial: Option<Denial>) -> bool {
        false
    }

    /// Whether what is stored outlives the process.
    fn is_kept(&self) -> bool;

    /// Goes on with a copy of what is on the disk at this moment, as after a kill.
    fn copy(&mut self);

    async fn ends(store: &Self::Store, id: &SessionId, terms: &Terms) -> Option<SystemTime>;

    /// All sessions as an export has them, where that can be done.
    async fn save_all(_store: &Self::Store) -> Result<Option<Vec<Saved>>, Wrong> {
        Ok(None)
    }

    /// Makes saved sessions again.
    async fn restore(_store: &Self::Store, _sessions: &[Saved]) -> Result<Vec<Restored>, Wrong> {
        Ok(Vec::new())
    }

    /// Moves everything, where that can be done.
    async fn move_all(from: &Self::Store, to: &Self::Store) -> Result<bool, Wrong>;
}

pub(crate) struct InMemory;

impl Place for InMemory {
    type Store = Memory;

    fn new() -> Self {
        InMemory
    }

    async fn open(&self, clock: &Clock) -> Memory {
        Memory::with_clock(clock.clone())
    }

    fn is_kept(&self) -> bool {
        false
    }

    fn copy(&mut self) {}

    async fn ends(store: &Memory, id: &SessionId, terms: &Terms) -> Option<SystemTime> {
        ends(store, id, terms).await
    }

    async fn move_all(_from: &Memory, _to: &Memory) -> Result<bool, Wrong> {
        Ok(false)
    }
}

/// A directory, and where the store in it is.
pub(crate) struct OnDisk {
    directory: tempfile::TempDir,
    generation: usize,
}

impl OnDisk {
    fn path(&self) -> PathBuf {
        self.directory.path().join(self.generation.to_string())
    }
}

impl Place for OnDisk {
    type Store = Embedded;

    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        // a file system in memory, where there is one: what a disk adds is time
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        OnDisk { directory: directory.expect("a temporary directory"), generation: 0 }
    }

    async fn open(&self, clock: &Clock) -> Embedded {
        let store = Embedded::builder(self.path()).clock(clock.clone()).without_control_socket();
        store.open().unwrap_or_else(|error| panic!("the store cannot be opened: {error}"))
    }

    fn is_kept(&self) -> bool {
        true
    }

    fn copy(&mut self) {
        let from = self.path();
        self.generation += 1;
        std::fs::create_dir(self.path()).unwrap();
        // The store goes on meanwhile. The seal comes first: it must not know of more than the copied journal holds.
        let mut files: Vec<_> = std::fs::read_dir(from).unwrap().map(|file| file.unwrap()).collect();
        files.sort_by_key(|file| file.file_name() != "seal");
        for file in files {
            match std::fs::copy(file.path(), self.path().join(file.file_name())) {
                // a file that was only there until it had its name
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            }
        }
    }

    async fn ends(store: &Embedded, id: &SessionId, terms: &Terms) -> Option<SystemTime> {
        ends(store, id, terms).await
    }

    async fn save_all(store: &Embedded) -> Result<Option<Vec<Saved>>, Wrong> {
        save_all(store).await.map(Some)
    }

    async fn restore(store: &Embedded, sessions: &[Saved]) -> Result<Vec<Restored>, Wrong> {
        store.restore(sessions).await.map_err(|error| error.to_string())
    }

    async fn move_all(from: &Embedded, to: &Embedded) -> Result<bool, Wrong> {
        move_all(from, to).await.map(|()| true)
    }
}

pub(crate) async fn ends(store: &impl Inspect, id: &SessionId, terms: &Terms) -> Option<SystemTime> {
    store.find(id, terms).await.expect("the store answers").map(|loaded| loaded.record.ends_at())
}

/// As `cloakroom move` does it.
pub(crate) async fn move_all(from: &impl Save, to: &impl Restore) -> Result<(), Wrong> {
    let saved = save_all(from).await?;
    let restored = to.restore(&saved).await.map_err(|error| error.to_string())?;
    match restored.contains(&Restored::Taken) {
        true => Err("a session is moved to where it is already".to_owned()),
        false => Ok(()),
    }
}

/// As `cloakroom export` does it.
pub(crate) async fn save_all(from: &impl Save) -> Result<Vec<Saved>, Wrong> {
    let terms = Terms::default();
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let part = from.scan(cursor.as_deref(), 100).await.map_err(|error| error.to_string())?;
        let saved = from.save(&part.ids, &terms).await.map_err(|error| error.to_string())?;
        all.extend(saved.into_iter().flatten());
        cursor = part.next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}
