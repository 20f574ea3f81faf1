//! Opens the directory of a store: checks who uses it, which version it has, and whether everything is there.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::directory::{Directory, LOCK, failed};
use super::entry::Sessions;
use super::index::Index;
use super::journal::{self, Journal, TITLE_LEN, Told, part_name};
use super::keeper::Keeper;
use super::latest::Latest;
use super::recovery::{self, ANY_PART, Recovered};
use super::seal::{self, Seal, Unsealed};
use super::writer::Writer;
use super::{Embedded, Shared, Synced};
use crate::clock::{Clock, to_millis};
use crate::error::StoreError;

/// Opens an [`Embedded`] store with options. [`Embedded::builder`] makes one.
///
/// ```
/// use cloakroom::store::Embedded;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("sessions");
/// // a store from which a power cut takes nothing that was answered
/// let store = Embedded::builder(&path).wait_for_disk().open()?;
/// # drop(store);
/// // a program that must not make a store where there is none
/// assert!(Embedded::builder(dir.path().join("other")).existing_only().open().is_err());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct EmbeddedBuilder {
    path: PathBuf,
    clock: Clock,
    wait_for_disk: bool,
    is_new_allowed: bool,
    is_listening: bool,
    part_bytes: u64,
}

/// What [`EmbeddedBuilder::repair`] has found and done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// How many sessions the store has now.
    pub sessions: usize,
    /// What is lost, one sentence each. If it is empty, nothing was damaged, and nothing was changed.
    pub damage: Vec<String>,
    /// The directory in which the damaged files are now, or `None` if nothing was damaged.
    pub aside: Option<PathBuf>,
}

impl EmbeddedBuilder {
    pub(super) fn new(path: &Path) -> EmbeddedBuilder {
        EmbeddedBuilder {
            path: path.to_owned(),
            clock: Clock::system(),
            wait_for_disk: false,
            is_new_allowed: true,
            is_listening: true,
            part_bytes: journal::PART_BYTES,
        }
    }

    /// Answers a change only when it is on the disk, so that a power cut loses nothing that was answered. Changes that wait at the same
    /// time share one sync. A touch does not wait. By default the disk is about one second behind.
    pub fn wait_for_disk(mut self) -> Self {
        self.wait_for_disk = true;
        self
    }

    /// Opens a store only if there is one. By default a new store is made if the directory does not exist, or is empty.
    pub fn existing_only(mut self) -> Self {
        self.is_new_allowed = false;
        self
    }

    /// Does not make the socket in the directory with which operators reach the running process. Without it, `cloakroom list` and
    /// `cloakroom show` read the files, and `cloakroom revoke` works only while no process has the store open.
    pub fn without_control_socket(mut self) -> Self {
        self.is_listening = false;
        self
    }

    /// Sets the size of the journal's parts, for tests that need many of them.
    #[doc(hidden)]
    pub fn part_bytes(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes;
        self
    }

    /// Uses this clock instead of the system's, for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Embedded::open`], and with [`existing_only`](EmbeddedBuilder::existing_only) if there is no
    /// store.
    pub fn open(self) -> Result<Embedded, StoreError> {
        let dir = self.take_directory()?;
        let seal = match read_seal(dir.path())? {
            Sealed::New => self.first_seal(&dir)?,
            sealed => sealed.existing(dir.path())?,
        };
        let contents = Contents::read(dir.path(), &seal, &self.clock)?.checked(dir.path())?;
        Opening { dir, options: self, seal, contents }.start(false)
    }

    /// Repairs a damaged store: keeps every session that can be read, and says what is lost. The damaged files are copied to a directory
    /// inside the store's directory. The store must not be in use.
    ///
    /// What is lost may be the end of a session, which is then live again. If you cannot accept that, revoke all sessions afterwards.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Embedded::open`], except for damage.
    pub fn repair(mut self) -> Result<Repaired, StoreError> {
        // the store is open for a moment only, so operators do not need to reach it
        self.is_listening = false;
        let dir = self.take_directory()?;
        let mut damage = Vec::new();
        let seal = match read_seal(dir.path())? {
            Sealed::With(seal) => seal,
            Sealed::Not(why) => {
                damage.push(why);
                Seal { first_part: ANY_PART, synced: 0, time: self.clock.now() }
            }
            Sealed::New => self.first_seal(&dir)?,
        };
        let contents = Contents::read(dir.path(), &seal, &self.clock)?;
        let mut opened = Opening { dir, options: self, seal, contents };
        damage.append(&mut opened.contents.recovered.damage);
        if damage.is_empty() {
            let sessions = opened.contents.sessions.len();
            return Ok(Repaired { sessions, damage, aside: None });
        }
        let aside =
            opened.put_aside().map_err(|error| failed(opened.dir.path(), "its files cannot be kept aside", &error))?;
        let store = opened.start(true)?;
        Ok(Repaired { sessions: store.shared.sessions.len(), damage, aside: Some(aside) })
    }

    fn take_directory(&self) -> Result<Arc<Directory>, StoreError> {
        if !self.is_new_allowed {
            check_is_store(&self.path)?;
        }
        Directory::take(&self.path).map(Arc::new)
    }

    fn first_seal(&self, dir: &Directory) -> Result<Seal, StoreError> {
        let seal = Seal { first_part: 1, synced: 0, time: self.clock.now() };
        seal.write(dir).map_err(|error| failed(dir.path(), "its seal cannot be written", &error))?;
        Ok(seal)
    }
}

/// What the files in a directory contain. Reading them changes nothing.
pub(super) struct Contents {
    pub(super) sessions: Sessions,
    pub(super) index: Index,
    pub(super) recovered: Recovered,
}

impl Contents {
    /// Reads the files. The clock shows at least their latest time from then on.
    pub(super) fn read(dir: &Path, seal: &Seal, clock: &Clock) -> Result<Contents, StoreError> {
        let unreadable = |error: io::Error| failed(dir, "it cannot be read", &error);
        let mut latest = Latest::of_journal(recovery::journal_bytes(dir).map_err(unreadable)?);
        let recovered = recovery::read(dir, seal, |change| latest.note(change));
        let mut recovered = recovered.map_err(unreadable)?;
        let Latest { sessions, mut damage, .. } = latest;
        recovered.damage.append(&mut damage);
        clock.not_before(recovered.time);
        let index = Index::of(&sessions, clock.now());
        Ok(Contents { sessions, index, recovered })
    }

    /// Returns the contents if nothing is missing.
    ///
    /// # Errors
    /// Returns an error that says what is missing.
    pub(super) fn checked(self, dir: &Path) -> Result<Contents, StoreError> {
        let damage = &self.recovered.damage;
        if damage.is_empty() { Ok(self) } else { Err(damaged(dir, damage)) }
    }
}

#[cfg(unix)]
impl Embedded {
    /// Opens the socket for operators. Sessions do not depend on it, so a failure is only logged.
    fn listening(self) -> Embedded {
        let control = super::control::Control::start(self.clone()).inspect_err(|error| {
            tracing::warn!(target: "cloakroom", %error, path = %self.path().display(),
                "the control socket could not be made: operators can only read the files, and end sessions only while no process \
                 has the store open");
        });
        Embedded { _control: control.ok().map(Arc::new), ..self }
    }
}

/// A store whose journal has been read.
struct Opening {
    dir: Arc<Directory>,
    options: EmbeddedBuilder,
    seal: Seal,
    contents: Contents,
}

impl Opening {
    /// Continues where the journal ends. If something in it cannot be trusted, continues in a new part.
    fn start(self, distrusts: bool) -> Result<Embedded, StoreError> {
        let Opening { dir, options, seal, contents: Contents { sessions, index, mut recovered } } = self;
        let path = dir.path().display().to_string();
        for lost in &recovered.unsealed {
            tracing::warn!(target: "cloakroom", path, "this was lost with the last second before a failure: {lost}");
        }
        if let Some(torn) = recovered.torn_in_words() {
            tracing::warn!(target: "cloakroom", path, "{torn}");
        }
        let distrusts = distrusts || !recovered.unsealed.is_empty();
        let told = Arc::new(AtomicU64::new(to_millis(recovered.time)));
        let journal = journal(&dir, &seal, &mut recovered, told.clone(), options.part_bytes, distrusts)
            .map_err(|error| failed(dir.path(), "it cannot be written", &error))?;
        let distrusted = distrusts.then(|| journal.part() - 1);
        let shared = Arc::new(Shared {
            watchers: index.watchers.clone(),
            dir,
            clock: options.clock,
            wait_for_disk: options.wait_for_disk,
            sessions,
            told,
            writer: Mutex::new(Writer::new(journal, index, distrusted)),
            synced: watch::Sender::new(Synced { commit: seal.synced, failed: 0 }),
        });
        let keeper = Keeper::start(shared.clone())
            .map_err(|error| failed(shared.dir.path(), "no thread can be started", &error))?;
        let store = Embedded {
            #[cfg(unix)]
            _control: None,
            keeper: Arc::new(keeper),
            shared,
        };
        #[cfg(unix)]
        if options.is_listening {
            return Ok(store.listening());
        }
        Ok(store)
    }

    /// Copies the journal and its seal to a directory, unchanged.
    fn put_aside(&self) -> io::Result<PathBuf> {
        let name = format!("damaged-{}", to_millis(self.options.clock.now()));
        let aside = self.dir.make(&name)?;
        let parts = self.contents.recovered.parts.iter().map(|(part, _)| part_name(*part));
        parts.chain([seal::NAME.to_owned()]).try_for_each(|file| self.dir.copy(&file, &name))?;
        Ok(aside)
    }
}

fn journal(
    dir: &Arc<Directory>,
    seal: &Seal,
    recovered: &mut Recovered,
    told: Told,
    part_bytes: u64,
    anew: bool,
) -> io::Result<Journal> {
    recovered.cut(dir)?;
    let mut parts = std::mem::take(&mut recovered.parts);
    if parts.is_empty() {
        let first = seal.first_part.max(1);
        journal::create(dir, first)?;
        parts = VecDeque::from([(first, TITLE_LEN as u64)]);
    }
    Journal::after(dir, recovered.commit, told, parts, part_bytes, anew)
}

/// Whether there is a seal.
pub(super) enum Sealed {
    With(Seal),
    /// There is no store, so the directory is for a new one.
    New,
    /// There should be a seal, but there is none: the reason.
    Not(String),
}

impl Sealed {
    /// Returns the seal of a store that must exist.
    pub(super) fn existing(self, dir: &Path) -> Result<Seal, StoreError> {
        match self {
            Sealed::With(seal) => Ok(seal),
            Sealed::Not(why) => Err(damaged(dir, &[why])),
            Sealed::New => Err(no_store(dir, "")),
        }
    }
}

/// Reads the seal.
///
/// # Errors
/// Returns an error if the directory contains something else, or a store of another version, or cannot be read.
pub(super) fn read_seal(dir: &Path) -> Result<Sealed, StoreError> {
    let cannot = |error: &io::Error| failed(dir, "its seal cannot be read", error);
    match Seal::read(dir) {
        Ok(seal) => Ok(Sealed::With(seal)),
        Err(Unsealed::Unreadable) => Ok(Sealed::Not("the seal is damaged".to_owned())),
        Err(Unsealed::Unknown(title)) => Err(StoreError::new(format!(
            "the session store in {} was written by another version, `{title}`: use that version, or move the sessions with \
             that version's `cloakroom export`",
            dir.display()
        ))),
        Err(Unsealed::Io(error)) => Err(cannot(&error)),
        Err(Unsealed::Missing) => {
            let names = names_in(dir).map_err(|error| cannot(&error))?;
            if names.iter().any(|name| is_of_journal(name)) {
                return Ok(Sealed::Not("the seal is missing".to_owned()));
            }
            if let Some(other) = names.iter().find(|name| ![LOCK, seal::NEW, "control"].contains(&name.as_str())) {
                let dir = dir.display();
                return Err(StoreError::new(format!(
                    "{dir} is not a session store, because it contains {other}: name an empty directory, or one that does not exist"
                )));
            }
            Ok(Sealed::New)
        }
    }
}

/// Checks that there is a store, which may be damaged.
///
/// # Errors
/// Returns an error if there is none, or this user may not read the directory.
pub(super) fn check_is_store(path: &Path) -> Result<(), StoreError> {
    match names_in(path) {
        Ok(names) if names.iter().any(|name| name == seal::NAME || is_of_journal(name)) => Ok(()),
        Ok(_) => Err(no_store(path, "")),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(no_store(path, ": it is not a directory")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(no_store(path, "")),
        Err(error) => Err(failed(path, "the directory cannot be read", &error)),
    }
}

fn no_store(path: &Path, why: &str) -> StoreError {
    StoreError::new(format!("there is no session store in {}{why}", path.display()))
}

fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    Ok(fs::read_dir(dir)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn is_of_journal(name: &str) -> bool {
    name.starts_with("journal-")
}

fn damaged(dir: &Path, damage: &[String]) -> StoreError {
    StoreError::new(format!(
        "the session store in {} is damaged: {}. Nothing was changed. Run `cloakroom repair` to keep what can be read",
        dir.display(),
        damage.join("; ")
    ))
}
