//! What a directory holds, read without touching it.

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

/// How often the directory is read again because a process has changed it meanwhile.
const MOST_TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// The sessions of an [`Embedded`](super::Embedded) store as they were when its directory was read. For operators.
///
/// Nothing is written into the directory and nobody is kept from opening the store, so it may be taken by any user who may
/// read the files, root included. What a process changes in the store later is not seen.
pub struct Snapshot {
    path: PathBuf,
    clock: Clock,
    contents: Contents,
    /// Where nobody may open the store meanwhile.
    _locked: Option<File>,
}

impl Snapshot {
    /// Reads the store in this directory: some two seconds for a million sessions, in which the calling thread is busy.
    ///
    /// # Errors
    /// When there is no store, it is damaged or of an unknown version, or this user may not read it.
    pub fn of(path: impl AsRef<Path>) -> Result<Snapshot, StoreError> {
        Snapshot::read(path.as_ref(), None)
    }

    /// Reads it, and keeps every process from opening the store as long as the snapshot lives: then nothing can change.
    ///
    /// # Errors
    /// As [`of`](Snapshot::of), and when a process has it open.
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
            // a process that shortens its journal writes a new seal before it removes a part
            let is_current = read_seal(path)?.existing(path)?.first_part == seal.first_part;
            match contents {
                Ok(contents) if is_current => {
                    return Ok(Snapshot { path: path.to_owned(), clock, contents, _locked: locked });
                }
                // what is being written while it is read may look like damage once
                Err(error) if is_current && tries > 1 || tries == MOST_TRIES => return Err(error),
                Ok(_) if tries == MOST_TRIES => {
                    return Err(StoreError::new(format!(
                        "the session store in {} was changed each time while it was read: try again later",
                        path.display()
                    )));
                }
                _ => sleep(BETWEEN_TRIES),
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ids of a user's sessions, the latest sign-in first.
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
