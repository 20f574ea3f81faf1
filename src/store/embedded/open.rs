//! Opening the directory of a store: whose it is, of which version, and whether everything is there.

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

/// How an [`Embedded`] store is opened. From [`Embedded::builder`].
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
    /// How many sessions are there.
    pub sessions: usize,
    /// What is lost, a sentence each. Empty: nothing was damaged, and nothing was done.
    pub damage: Vec<String>,
    /// Where the damaged files are now.
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

    /// Answers a change only when the disk has it, so that a power cut takes nothing that was answered. Changes that wait
    /// at the same time share one sync. A touch does not wait.
    pub fn wait_for_disk(mut self) -> Self {
        self.wait_for_disk = true;
        self
    }

    /// Opens what is there, and makes no store where there is none.
    pub fn existing_only(mut self) -> Self {
        self.is_new_allowed = false;
        self
    }

    /// Does not listen for operators: without the socket in the directory, `cloakroom list` and `show` see what its files
    /// say, and `revoke` ends sessions only while no process has it open.
    pub fn without_control_socket(mut self) -> Self {
        self.is_listening = false;
        self
    }

    /// The size of the journal's parts, for tests that want many of them.
    #[doc(hidden)]
    pub fn part_bytes(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes;
        self
    }

    /// Asks this clock, for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open(self) -> Result<Embedded, StoreError> {
        let dir = self.take_directory()?;
        let seal = match read_seal(dir.path())? {
            Sealed::New => self.first_seal(&dir)?,
            sealed => sealed.existing(dir.path())?,
        };
        let contents = Contents::read(dir.path(), &seal, &self.clock)?.checked(dir.path())?;
        Opening { dir, options: self, seal, contents }.start(false)
    }

    /// Repairs a damaged store, which must not be in use: keeps every session that can be read, and says what is lost.
    /// The damaged files are kept in a directory beside the others.
    ///
    /// What is lost may have been the end of a session that is now there again. Whoever cannot bear that revokes all.
    ///
    /// # Errors
    /// As [`Embedded::open`], but not for damage.
    pub fn repair(mut self) -> Result<Repaired, StoreError> {
        // it is open for a moment only: there is nothing to ask
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

/// What the files in a directory say. Reading it changes none of them.
pub(super) struct Contents {
    pub(super) sessions: Sessions,
    pub(super) index: Index,
    pub(super) recovered: Recovered,
}

impl Contents {
    /// Reads them. The clock learns what time it has been.
    pub(super) fn read(dir: &Path, seal: &Seal, clock: &Clock) -> Result<Contents, StoreError> {
        let mut latest = Latest::default();
        let recovered = recovery::read(dir, seal, |change| latest.note(change));
        let mut recovered = recovered.map_err(|error| failed(dir, "it cannot be read", &error))?;
        let (sessions, mut index, mut damage) = latest.read();
        recovered.damage.append(&mut damage);
        clock.not_before(recovered.time);
        index.settle(&sessions, clock.now());
        Ok(Contents { sessions, index, recovered })
    }

    /// Returns them where nothing is missing.
    pub(super) fn checked(self, dir: &Path) -> Result<Contents, StoreError> {
        let damage = &self.recovered.damage;
        if damage.is_empty() { Ok(self) } else { Err(damaged(dir, damage)) }
    }
}

#[cfg(unix)]
impl Embedded {
    /// With the socket for operators. Sessions do not depend on it: without it, it is only said.
    fn listening(self) -> Embedded {
        let control = super::control::Control::start(self.clone()).inspect_err(|error| {
            tracing::warn!(target: "cloakroom", %error, path = %self.path().display(),
                "there is no control socket: operators see what the files say, and end sessions only while no process has \
                 the store open");
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
    /// Goes on where the journal ends; behind everything that cannot be trusted.
    fn start(self, distrusts: bool) -> Result<Embedded, StoreError> {
        let Opening { dir, options, seal, contents: Contents { sessions, index, mut recovered } } = self;
        let path = dir.path().display().to_string();
        for lost in &recovered.unsealed {
            tracing::warn!(target: "cloakroom", path, "lost with the last second before a failure: {lost}");
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
            dir,
            clock: options.clock,
            wait_for_disk: options.wait_for_disk,
            sessions,
            told,
            writer: Mutex::new(Writer::new(journal, index, distrusted)),
            synced: watch::Sender::new(Synced { commit: seal.synced, failed: 0 }),
        });
        let keeper = Keeper::start(shared.clone())
            .map_err(|error| failed(shared.dir.path(), "no thread can be begun", &error))?;
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

    /// Copies the journal and its seal as they are.
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

/// What there is of a seal.
pub(super) enum Sealed {
    With(Seal),
    /// Nothing is there: the directory is for a new store.
    New,
    /// It should be there, and is not: why.
    Not(String),
}

impl Sealed {
    /// The seal of a store that must be there.
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
/// When the directory holds something else, or a store of another version, or cannot be read.
pub(super) fn read_seal(dir: &Path) -> Result<Sealed, StoreError> {
    let cannot = |error: &io::Error| failed(dir, "its seal cannot be read", error);
    match Seal::read(dir) {
        Ok(seal) => Ok(Sealed::With(seal)),
        Err(Unsealed::Unreadable) => Ok(Sealed::Not("the seal is damaged".to_owned())),
        Err(Unsealed::Unknown(title)) => Err(StoreError::new(format!(
            "the session store in {} is of another version, `{title}`: move its sessions with the program that wrote it \
             (cloakroom export), or use that version",
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
                return Err(StoreError::new(format!("{dir} holds something else than a session store: {other}")));
            }
            Ok(Sealed::New)
        }
    }
}

/// Checks that there is a store, whole or damaged.
///
/// # Errors
/// When there is none, or this user may not look.
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
        "the session store in {} is damaged: {}. Nothing was changed. `cloakroom repair` keeps what can be read",
        dir.display(),
        damage.join("; ")
    ))
}
