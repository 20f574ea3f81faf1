//! The contents of a store's directory, read without changing it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::directory::lock_against_writers;
use super::entry;
use super::open::{Contents, check_is_store, read_seal};
use super::transfer;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::record::{Page, SessionId, Terms, UserId};
use crate::store::Loaded;
use crate::store::inspect::{Inspect, Scanned};
use crate::store::saved::{Save, Saved};

/// How often the directory is read again because another process has changed it meanwhile.
const MOST_TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// The sessions of an [`Embedded`](super::Embedded) store at the time when its directory was read. For operators' tools.
///
/// A snapshot writes nothing into the directory, and does not keep others from opening the store. Any user who may read the files can
/// take one. It does not see what a process changes in the store later.
pub struct Snapshot {
    path: PathBuf,
    clock: Clock,
    contents: Contents,
    /// Keeps others from opening the store.
    _locked: Option<File>,
}

impl Snapshot {
    /// Reads the store in this directory. It takes some two seconds for a million sessions, in which the calling thread is busy.
    ///
    /// # Errors
    /// Returns an error if there is no store, if it is damaged or of an unknown version, or if this user may not read it.
    pub fn of(path: impl AsRef<Path>) -> Result<Snapshot, StoreError> {
        Snapshot::read(path.as_ref(), None)
    }

    /// Reads the store, and keeps every process from opening it as long as the snapshot exists, so that nothing can change.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`of`](Snapshot::of), and if a process has the store open.
    pub fn locked(path: impl AsRef<Path>) -> Result<Snapshot, StoreError> {
        let path = path.as_ref();
        check_is_store(path)?;
        let locked = lock_against_writers(path)?;
        Snapshot::read(path, Some(locked))
    }

    fn read(path: &Path, locked: Option<File>) -> Result<Snapshot, StoreError> {
        check_is_store(path)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let clock = Clock::system();
            let seal = read_seal(path)?.existing(path)?;
            let contents = Contents::read(path, &seal, &clock).and_then(|contents| contents.checked(path));
            let error = match contents {
                // nothing is missing that the seal names, so it was all there when the newest part was read
                Ok(contents) => return Ok(Snapshot { path: path.to_owned(), clock, contents, _locked: locked }),
                Err(error) => error,
            };
            // a process that shortens its journal writes a new seal before it removes a part
            let is_current = read_seal(path)?.existing(path)?.first_part == seal.first_part;
            // a change that is being written while it is read may look like damage the first time
            if is_current && tries > 1 || tries == MOST_TRIES {
                return Err(error);
            }
            sleep(BETWEEN_TRIES);
        }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the ids of a user's sessions, the latest sign-in first.
    pub fn sessions_of(&self, user: &UserId, page: Page) -> Vec<SessionId> {
        let Contents { sessions, index, .. } = &self.contents;
        index.page_of(sessions, user, page, self.clock.now()).into_iter().map(|(id, _)| id).collect()
    }
}

impl Inspect for Snapshot {
    async fn find(&self, id: &SessionId, _terms: &Terms) -> Result<Option<Loaded>, StoreError> {
        Ok(entry::find(&self.contents.sessions, id, self.clock.now()))
    }

    async fn scan(&self, _cursor: Option<&str>, _about: usize) -> Result<Scanned, StoreError> {
        Ok(entry::scan(&self.contents.sessions, self.clock.now()))
    }
}

impl Save for Snapshot {
    async fn save(&self, ids: &[SessionId], _terms: &Terms) -> Result<Vec<Option<Saved>>, StoreError> {
        Ok(transfer::save(&self.contents.sessions, ids, self.clock.now()))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("path", &self.path).finish_non_exhaustive()
    }
}
