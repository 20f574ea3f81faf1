//! Opening the directory of a store: whose it is, of which version, and whether everything is there.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::books::{Books, Index, Sessions};
use super::journal::{self, Journal, TITLE_LEN, part_path};
use super::keeper::Keeper;
use super::latest::Latest;
use super::recovery::{self, ANY_PART, Recovered};
use super::seal::{self, Seal, Unsealed};
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

    /// Does not listen for operators: without the socket in the directory, `cloakroom list`, `show` and `revoke` reach the
    /// sessions only while no process has it open.
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
        let (dir, lock) = self.take_directory()?;
        let seal = read_seal(&dir, &self.clock)?.map_err(|why| damaged(&dir, &[why]))?;
        let opened = self.read(dir, lock, seal)?;
        if !opened.recovered.damage.is_empty() {
            return Err(damaged(&opened.dir, &opened.recovered.damage));
        }
        opened.start(false)
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
        let (dir, lock) = self.take_directory()?;
        let mut damage = Vec::new();
        let seal = read_seal(&dir, &self.clock)?.unwrap_or_else(|why| {
            damage.push(why);
            Seal { first_part: ANY_PART, synced: 0, time: self.clock.now() }
        });
        let mut opened = self.read(dir, lock, seal)?;
        damage.append(&mut opened.recovered.damage);
        if damage.is_empty() {
            let sessions = opened.sessions.len();
            return Ok(Repaired { sessions, damage, aside: None });
        }
        let aside =
            opened.put_aside().map_err(|error| failed(&opened.dir, "its files cannot be kept aside", &error))?;
        let store = opened.start(true)?;
        Ok(Repaired { sessions: store.shared.sessions.len(), damage, aside: Some(aside) })
    }

    fn take_directory(&self) -> Result<(PathBuf, File), StoreError> {
        if !self.is_new_allowed && !is_store(&self.path) {
            return Err(StoreError::new(format!("there is no session store in {}", self.path.display())));
        }
        let made = make_dir(&self.path).and_then(|()| self.path.canonicalize());
        let dir = made.map_err(|error| failed(&self.path, "the directory cannot be made", &error))?;
        let cannot = |error: &io::Error| failed(&dir, "its lock cannot be taken", error);
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(&path).map_err(|error| cannot(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&path).unwrap_or_default();
                let by = if owner.is_empty() { String::new() } else { format!(", {}", owner.trim_end()) };
                let dir = dir.display();
                return Err(StoreError::new(format!("the session store in {dir} is in use by another process{by}")));
            }
            Err(TryLockError::Error(error)) => return Err(cannot(&error)),
        }
        // for people and for the next one to come: that it cannot be written is no reason not to open
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "process {}", std::process::id()));
        Ok((dir, lock))
    }

    fn read(&self, dir: PathBuf, lock: File, seal: Seal) -> Result<Opening, StoreError> {
        let mut latest = Latest::default();
        let recovered = recovery::read(&dir, &seal, |change| latest.note(change));
        let mut recovered = recovered.map_err(|error| failed(&dir, "it cannot be read", &error))?;
        let (sessions, mut index, mut damage) = latest.read();
        recovered.damage.append(&mut damage);
        self.clock.not_before(recovered.time);
        index.settle(&sessions, self.clock.now());
        Ok(Opening { dir, lock, options: self.clone(), seal, sessions, index, recovered })
    }
}

#[cfg(unix)]
impl Embedded {
    /// With the socket for operators. Sessions do not depend on it: without it, it is only said.
    fn listening(self) -> Embedded {
        let control = super::control::Control::start(self.clone()).inspect_err(|error| {
            tracing::warn!(target: "cloakroom", %error, path = %self.path().display(),
                "there is no control socket: operators reach the sessions only while no process has the store open");
        });
        Embedded { _control: control.ok().map(Arc::new), ..self }
    }
}

/// A store whose journal has been read.
struct Opening {
    dir: PathBuf,
    lock: File,
    options: EmbeddedBuilder,
    seal: Seal,
    sessions: Sessions,
    index: Index,
    recovered: Recovered,
}

impl Opening {
    /// Goes on where the journal ends; behind everything that cannot be trusted.
    fn start(mut self, distrusts: bool) -> Result<Embedded, StoreError> {
        let path = self.dir.display().to_string();
        for lost in &self.recovered.unsealed {
            tracing::warn!(target: "cloakroom", path, "lost with the last second before a failure: {lost}");
        }
        let distrusts = distrusts || !self.recovered.unsealed.is_empty();
        let journal = self.journal(distrusts).map_err(|error| failed(&self.dir, "it cannot be written", &error))?;
        let distrusted = distrusts.then(|| journal.part() - 1);
        let shared = Arc::new(Shared {
            dir: self.dir,
            _lock: self.lock,
            clock: self.options.clock,
            wait_for_disk: self.options.wait_for_disk,
            sessions: self.sessions,
            books: Mutex::new(Books::new(journal, self.index, distrusted)),
            synced: watch::Sender::new(Synced { commit: self.seal.synced, failed: 0 }),
        });
        let keeper =
            Keeper::start(shared.clone()).map_err(|error| failed(&shared.dir, "no thread can be begun", &error))?;
        let store = Embedded {
            #[cfg(unix)]
            _control: None,
            keeper: Arc::new(keeper),
            shared,
        };
        #[cfg(unix)]
        if self.options.is_listening {
            return Ok(store.listening());
        }
        Ok(store)
    }

    fn journal(&mut self, anew: bool) -> io::Result<Journal> {
        self.recovered.cut(&self.dir)?;
        let mut parts = std::mem::take(&mut self.recovered.parts);
        if parts.is_empty() {
            let first = self.seal.first_part.max(1);
            journal::create(&self.dir, first)?;
            parts = VecDeque::from([(first, TITLE_LEN as u64)]);
        }
        Journal::after(&self.dir, self.recovered.commit, parts, self.options.part_bytes, anew)
    }

    /// Copies the journal and its seal as they are.
    fn put_aside(&self) -> io::Result<PathBuf> {
        let aside = self.dir.join(format!("damaged-{}", to_millis(self.options.clock.now())));
        make_dir(&aside)?;
        let mut files: Vec<_> = self.recovered.parts.iter().map(|(part, _)| part_path(&self.dir, *part)).collect();
        files.push(self.dir.join("seal"));
        for file in files {
            match fs::copy(&file, aside.join(file.file_name().unwrap_or_default())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(aside)
    }
}

/// The seal, or what it says that there is none where there should be one.
fn read_seal(dir: &Path, clock: &Clock) -> Result<Result<Seal, String>, StoreError> {
    let cannot = |error: &io::Error| failed(dir, "its seal cannot be read or written", error);
    match Seal::read(dir) {
        Ok(seal) => Ok(Ok(seal)),
        Err(Unsealed::Unreadable) => Ok(Err("the seal is damaged".to_owned())),
        Err(Unsealed::Unknown(title)) => Err(StoreError::new(format!(
            "the session store in {} is of another version, `{title}`: move its sessions with the program that wrote it \
             (cloakroom export), or use that version",
            dir.display()
        ))),
        Err(Unsealed::Io(error)) => Err(cannot(&error)),
        Err(Unsealed::Missing) => {
            let names = names_in(dir).map_err(|error| cannot(&error))?;
            if names.iter().any(|name| is_of_journal(name)) {
                return Ok(Err("the seal is missing".to_owned()));
            }
            if let Some(other) = names.iter().find(|name| !["lock", "seal.new", "control"].contains(&name.as_str())) {
                let dir = dir.display();
                return Err(StoreError::new(format!("{dir} holds something else than a session store: {other}")));
            }
            let seal = Seal { first_part: 1, synced: 0, time: clock.now() };
            seal.write(dir).map_err(|error| cannot(&error))?;
            Ok(Ok(seal))
        }
    }
}

/// Also a damaged one.
fn is_store(dir: &Path) -> bool {
    names_in(dir).is_ok_and(|names| names.iter().any(|name| name == seal::NAME || is_of_journal(name)))
}

fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    Ok(fs::read_dir(dir)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn is_of_journal(name: &str) -> bool {
    name.starts_with("journal-")
}

fn make_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn damaged(dir: &Path, damage: &[String]) -> StoreError {
    StoreError::new(format!(
        "the session store in {} is damaged: {}. Nothing was changed. `cloakroom repair` keeps what can be read",
        dir.display(),
        damage.join("; ")
    ))
}

fn failed(dir: &Path, what: &str, error: &io::Error) -> StoreError {
    StoreError::new(format!("the session store in {}: {what}: {error}", dir.display()))
}
