//! The journal: every change is appended to the current part before it is answered.
//!
//! ```text
//! journal-0000000001       a line that says what it is, then frames
//!   frame                  marker · length · checksum · payload
//!   payload                number of the change · time · sessions, each with what has become of it
//! ```
//!
//! A change is one frame, so it is there completely or not at all. Changes are numbered without gaps over all parts, so a missing one
//! is noticed and can be named.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::directory::{Directory, Identity, check_in_place, identity};
use crate::clock::to_millis;

/// The text with which a part begins. It contains the version of the format, and the number of the part follows it.
pub(super) const TITLE: &str = "cloakroom journal 1, part ";
pub(super) const NUMBER_LEN: usize = 10;
/// The title, the number and the end of the line.
pub(super) const TITLE_LEN: usize = TITLE.len() + NUMBER_LEN + 1;
/// The bytes with which a frame begins. After a damaged frame they show where the next one is.
pub(super) const MARKER: [u8; 4] = *b"\xC1oak";
/// Marker, length, checksum.
pub(super) const HEAD_LEN: usize = 4 + 4 + 8;
/// When a part has this size, the next one begins.
pub(super) const PART_BYTES: u64 = 32 << 20;

pub(super) fn part_path(dir: &Path, part: u64) -> PathBuf {
    dir.join(part_name(part))
}

pub(super) fn part_name(part: u64) -> String {
    format!("journal-{part:0width$}", width = NUMBER_LEN)
}

pub(super) fn title(part: u64) -> String {
    format!("{TITLE}{part:0width$}\n", width = NUMBER_LEN)
}

/// The checksum of the payload. It is different in each part, so a frame that was copied from another part is not valid.
pub(super) fn checksum(part: u64, payload: &[u8]) -> u64 {
    xxh3_64_with_seed(payload, part ^ (payload.len() as u64) << 40)
}

/// The latest time in the journal, in milliseconds. A process that reads the journal knows that this time has passed.
pub(super) type Told = Arc<AtomicU64>;

/// The end of the journal, where changes are appended.
pub(super) struct Journal {
    dir: Arc<Directory>,
    current: Part,
    part: u64,
    /// The length up to which the current part is complete.
    len: u64,
    /// True if there is more after that length, left by a failed write.
    torn: bool,
    /// The number of the last change.
    pub(super) commit: u64,
    told: Told,
    /// The parts before the current one, and their lengths.
    closed: VecDeque<(u64, u64)>,
    /// The parts with changes that may not be on the disk.
    unsynced: Vec<Part>,
    /// True if names of files may not be on the disk.
    new_names: bool,
    part_bytes: u64,
    frame: Vec<u8>,
}

/// A part that is open, and where it is.
#[derive(Clone)]
struct Part {
    file: Arc<File>,
    path: PathBuf,
    identity: Identity,
}

impl Part {
    fn of(dir: &Directory, part: u64, file: File) -> io::Result<Part> {
        let identity = identity(&file.metadata()?);
        Ok(Part { file: Arc::new(file), path: part_path(dir.path(), part), identity })
    }

    /// Checks that the file still has its name. The operating system accepts writes to a file without a name, but they are lost.
    fn check_in_place(&self) -> io::Result<()> {
        check_in_place(&self.path, self.identity)
    }
}

impl Journal {
    /// Continues after the last change, in the last of these parts (there is always one) or in a new one.
    pub(super) fn after(
        dir: &Arc<Directory>,
        commit: u64,
        told: Told,
        mut parts: VecDeque<(u64, u64)>,
        part_bytes: u64,
        anew: bool,
    ) -> io::Result<Journal> {
        let open = |part: u64| Part::of(dir, part, dir.open(&part_name(part))?);
        let unsynced = parts.iter().map(|(part, _)| open(*part)).collect::<io::Result<Vec<_>>>()?;
        let (part, len) = parts.pop_back().unwrap_or_default();
        let current = unsynced.last().cloned().ok_or_else(|| io::Error::other("a journal has at least one part"))?;
        (&*current.file).seek(SeekFrom::Start(len))?;
        let mut journal = Journal {
            dir: dir.clone(),
            current,
            part,
            len,
            torn: false,
            commit,
            told,
            closed: parts,
            unsynced,
            new_names: true,
            part_bytes,
            frame: Vec::new(),
        };
        if anew {
            journal.turn_over()?;
        }
        Ok(journal)
    }

    /// Appends a change, whose payload `write` writes. When this returns, the operating system has the change.
    pub(super) fn append(&mut self, now: SystemTime, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<u64> {
        self.mend()?;
        if self.len >= self.part_bytes {
            self.turn_over()?;
        }
        let commit = self.commit + 1;
        let frame = &mut self.frame;
        frame.clear();
        frame.extend(MARKER);
        frame.extend([0; HEAD_LEN - 4]);
        frame.extend(commit.to_le_bytes());
        frame.extend(to_millis(now).to_le_bytes());
        write(frame);
        let payload = &frame[HEAD_LEN..];
        let (len, check) = (payload.len() as u32, checksum(self.part, payload));
        frame[4..8].copy_from_slice(&len.to_le_bytes());
        frame[8..HEAD_LEN].copy_from_slice(&check.to_le_bytes());
        // checked after it was written: if the file is removed later than this, the change was made before
        let written = (&*self.current.file).write_all(frame).and_then(|()| self.current.check_in_place());
        if let Err(error) = written {
            self.torn = true;
            let _ = self.mend(); // if not now, then before the next change
            return Err(error);
        }
        self.len += self.frame.len() as u64;
        self.commit = commit;
        self.told.fetch_max(to_millis(now), Ordering::SeqCst);
        Ok(commit)
    }

    /// Writes the time to the journal if it does not contain it yet, as a change without sessions.
    pub(super) fn tell(&mut self, now: SystemTime) -> io::Result<()> {
        match self.told.load(Ordering::SeqCst) >= to_millis(now) {
            true => Ok(()),
            false => self.append(now, |_| ()).map(|_| ()),
        }
    }

    /// Removes what a failed write has left at the end.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.current.file.set_len(self.len)?;
            (&*self.current.file).seek(SeekFrom::Start(self.len))?;
            self.torn = false;
        }
        Ok(())
    }

    /// Begins the next part.
    pub(super) fn turn_over(&mut self) -> io::Result<()> {
        self.mend()?;
        self.dir.check_in_place()?;
        let next = Part::of(&self.dir, self.part + 1, create(&self.dir, self.part + 1)?)?;
        self.closed.push_back((self.part, self.len));
        self.unsynced.push(next.clone());
        (self.current, self.part, self.len, self.new_names) = (next, self.part + 1, TITLE_LEN as u64, true);
        Ok(())
    }

    /// Returns the number of the part that is being written.
    pub(super) fn part(&self) -> u64 {
        self.part
    }

    /// Returns the number of the oldest part.
    pub(super) fn first_part(&self) -> u64 {
        self.closed.front().map_or(self.part, |(part, _)| *part)
    }

    /// Returns true if the journal is much longer than what is needed of it.
    pub(super) fn is_long(&self, needed: u64) -> bool {
        self.len + self.closed.iter().map(|(_, len)| len).sum::<u64>() > 2 * needed + 2 * self.part_bytes
    }

    /// Checks that the parts before the current one exist.
    pub(super) fn check_closed(&self) -> io::Result<()> {
        self.closed
            .iter()
            .try_for_each(|(part, _)| part_path(self.dir.path(), *part).symlink_metadata().map(|_| ()))
            .map_err(|error| io::Error::new(error.kind(), format!("a part of the journal was removed: {error}")))
    }

    /// Returns what must be synced so that the disk has everything up to the last change.
    pub(super) fn take_unsynced(&mut self) -> Unsynced {
        let parts = std::mem::replace(&mut self.unsynced, vec![self.current.clone()]);
        let dir = std::mem::take(&mut self.new_names).then(|| self.dir.clone());
        Unsynced { parts, dir, commit: self.commit }
    }

    /// Forgets the oldest part, and returns the file that may be removed now. There is always a part after it.
    pub(super) fn forget_first(&mut self) -> Option<String> {
        self.closed.pop_front().map(|(part, _)| part_name(part))
    }
}

/// Makes a part without changes.
pub(super) fn create(dir: &Directory, part: u64) -> io::Result<File> {
    let mut file = dir.create(&part_name(part))?;
    if let Err(error) = file.write_all(title(part).as_bytes()) {
        let _ = dir.remove(&part_name(part));
        return Err(error);
    }
    Ok(file)
}

/// The files that may not be on the disk yet.
pub(super) struct Unsynced {
    parts: Vec<Part>,
    dir: Option<Arc<Directory>>,
    /// The number of the last change in them.
    pub(super) commit: u64,
}

impl Unsynced {
    /// Syncs the files, and waits for the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.parts.iter().try_for_each(|part| part.file.sync_data())?;
        self.dir.as_ref().map_or(Ok(()), |dir| dir.sync())?;
        self.parts.iter().try_for_each(Part::check_in_place)
    }
}
